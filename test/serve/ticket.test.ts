import { describe, expect, it } from 'vitest';
import { mintTicket, readTicket, type Ticket, ticketEpochMs } from '../../src/serve/ticket.ts';

const key = Buffer.alloc(32, 7);
const ticket: Ticket = { environment: 'production', keyId: 'abc', scope: 'client' };
const minted = mintTicket(key, ticket, 5 * ticketEpochMs);

describe('a stream ticket', () => {
  it('is the same for its whole ten minutes and another afterwards', () => {
    expect(mintTicket(key, ticket, 6 * ticketEpochMs - 1)).toBe(minted);
    expect(mintTicket(key, ticket, 6 * ticketEpochMs)).not.toBe(minted);
  });
  it('is accepted for one epoch more and no longer', () => {
    expect(readTicket(key, minted, 5 * ticketEpochMs)).toEqual(ticket);
    expect(readTicket(key, minted, 7 * ticketEpochMs - 1)).toEqual(ticket);
    expect(readTicket(key, minted, 7 * ticketEpochMs)).toBeNull();
    expect(readTicket(key, minted, 4 * ticketEpochMs)).toBeNull();
  });
  it('is worth nothing when changed, cut, foreign or made up', () => {
    const other = mintTicket(Buffer.alloc(32, 8), ticket, 5 * ticketEpochMs);
    const [payload, mac] = minted.split('.');
    const bad = [other, `${payload}x.${mac}`, `${payload}.`, minted.slice(0, -2), '', '.', 'x'.repeat(5_000)];
    for (const text of bad) expect(readTicket(key, text, 5 * ticketEpochMs)).toBeNull();
  });
});
