import { isIPv4, isIPv6 } from 'node:net';
import { bounded } from './bounded.ts';

/**
 * Who really sent it: the peer, or behind a trusted proxy the right-most hop that is none. What stands further left in
 * X-Forwarded-For was written by the sender and proves nothing.
 */
export function senderOf(
  peer: string,
  forwardedFor: string | undefined,
  trusted: (address: string) => boolean,
): string {
  const hops = (forwardedFor ?? '').split(',').map((hop) => bare(hop.trim()));
  let sender = bare(peer);
  while (trusted(sender)) {
    const next = hops.pop();
    if (next === undefined || (!isIPv4(next) && !isIPv6(next))) return sender;
    sender = next;
  }
  return sender;
}

/** An IPv4 address that came through an IPv6 socket is an IPv4 address. */
const bare = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/i, '');

/** The /24 or /48 that an address is in, as text: one household or office counts once, however many addresses it has. */
export function networkOf(address: string): string {
  if (isIPv4(address)) return address.slice(0, address.lastIndexOf('.'));
  const [head = '', tail] = address.toLowerCase().split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  return [...left, ...Array.from({ length: Math.max(0, zeros) }, () => '0'), ...right].slice(0, 3).join(':');
}

/**
 * Loopback, private, link-local and carrier-grade NAT: such a sender is in the house, or behind a proxy that nobody has
 * named; either way its network tells nobody from anybody.
 */
export function isInside(network: string): boolean {
  if (network.includes('.')) {
    const [a = 0, b = 0] = network.split('.').map(Number);
    if (a === 172) return b >= 16 && b <= 31;
    if (a === 100) return b >= 64 && b <= 127;
    return a === 10 || a === 127 || (a === 192 && b === 168) || (a === 169 && b === 254);
  }
  return network === '0:0:0' || /^(?:f[cd]|fe[89ab])/.test(network);
}

export interface RateLimit {
  /** Messages that one network may send per window. */
  readonly messages: number;
  readonly windowMs: number;
}

/** Far above an office behind one address, far below what fills the queue: 600 messages a second. */
export const networkLimit: RateLimit = { messages: 6_000, windowMs: 10_000 };

const rememberedNetworks = 100_000;

/** Counts per network in fixed windows. 0 = go ahead, else the ms until the network may try again. */
export function createRateLimit({ messages, windowMs }: RateLimit): (network: string, now: number) => number {
  const windows = bounded<string, { window: number; n: number }>(rememberedNetworks);
  return (network, now) => {
    const window = Math.floor(now / windowMs);
    const known = windows.get(network);
    if (known === undefined || known.window !== window) {
      windows.set(network, { window, n: 1 });
      return 0;
    }
    known.n += 1;
    return known.n > messages ? (window + 1) * windowMs - now : 0;
  };
}
