import { createHmac, timingSafeEqual } from 'node:crypto';

/** What a stream ticket allows: reading the event stream of one environment in one scope, and nothing else. */
export interface Ticket {
  readonly environment: string;
  /** Id of the key that asked for it; a revoked key closes its streams. */
  readonly keyId: string;
  readonly scope: 'all' | 'client';
}

export const ticketEpochMs = 600_000;

const macOf = (key: Uint8Array, payload: string) =>
  createHmac('sha256', key).update(`stream-ticket.${payload}`).digest().subarray(0, 16);

/**
 * The ticket of the present 10-minute epoch, the same for the whole epoch because it travels in a body whose ETag is
 * a hash. EventSource cannot send headers, so it stands in the stream's URL: never log it.
 */
export function mintTicket(key: Uint8Array, ticket: Ticket, at: number): string {
  const epoch = Math.floor(at / ticketEpochMs);
  const payload = Buffer.from(JSON.stringify([epoch, ticket.environment, ticket.keyId, ticket.scope])).toString(
    'base64url',
  );
  return `${payload}.${macOf(key, payload).toString('base64url')}`;
}

/** Null: not ours, damaged, or older than the epoch before this one. */
export function readTicket(key: Uint8Array, text: string, at: number): Ticket | null {
  const dot = text.indexOf('.');
  if (dot < 0 || text.length > 1_024) return null;
  const payload = text.slice(0, dot);
  const given = Buffer.from(text.slice(dot + 1), 'base64url');
  const mac = macOf(key, payload);
  if (given.length !== mac.length || !timingSafeEqual(given, mac)) return null;
  const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString());
  if (!Array.isArray(claims)) return null;
  const [epoch, environment, keyId, scope]: unknown[] = claims;
  if (typeof epoch !== 'number' || typeof environment !== 'string' || typeof keyId !== 'string') return null;
  const age = Math.floor(at / ticketEpochMs) - epoch;
  if (age < 0 || age > 1 || (scope !== 'all' && scope !== 'client')) return null;
  return { environment, keyId, scope };
}
