import { describe, expect, it } from 'vitest';
import { createRateLimit, networkOf, senderOf } from '../../src/ingest/network.ts';

const trusted = (address: string) => address.startsWith('10.');

describe('senderOf', () => {
  it('is the peer, whatever it claims, unless the peer is a trusted proxy', () => {
    expect(senderOf('203.0.113.9', '1.2.3.4', trusted)).toBe('203.0.113.9');
    expect(senderOf('::ffff:203.0.113.9', undefined, trusted)).toBe('203.0.113.9');
  });

  it('is the right-most hop that is no proxy of ours', () => {
    expect(senderOf('10.0.0.1', '6.6.6.6, 198.51.100.7, 10.0.0.2', trusted)).toBe('198.51.100.7');
  });

  it('stays with the last proxy when nothing better is known', () => {
    expect(senderOf('10.0.0.1', undefined, trusted)).toBe('10.0.0.1');
    expect(senderOf('10.0.0.1', '10.0.0.2', trusted)).toBe('10.0.0.2');
    expect(senderOf('10.0.0.1', '198.51.100.7, <script>', trusted)).toBe('10.0.0.1');
  });
});

describe('networkOf', () => {
  it('is the /24 of IPv4 and the /48 of IPv6', () => {
    expect(networkOf('198.51.100.7')).toBe(networkOf('198.51.100.200'));
    expect(networkOf('198.51.100.7')).not.toBe(networkOf('198.51.101.7'));
    expect(networkOf('2001:db8:1::7')).toBe(networkOf('2001:DB8:1:9:a:b:c:d'));
    expect(networkOf('2001:db8:1::7')).not.toBe(networkOf('2001:db8:2::7'));
    expect(networkOf('::1')).toBe('0:0:0');
    expect(networkOf('2001:db8::1')).toBe('2001:db8:0');
  });
});

describe('createRateLimit', () => {
  it('lets so many through per window and network, and says when to come back', () => {
    const waitFor = createRateLimit({ messages: 2, windowMs: 10_000 });
    expect([waitFor('a', 1), waitFor('a', 2), waitFor('a', 4_000), waitFor('b', 4_000)]).toEqual([0, 0, 6_000, 0]);
    expect(waitFor('a', 10_000)).toBe(0);
  });
});
