import { describe, expect, it } from 'vitest';
import type { Health, HealthEvent } from '../../../providers/server/src/state.ts';
import { expiredLeases, nextHealth, statusOf } from '../../../providers/server/src/state.ts';
import { backoffMs } from '../../../providers/server/src/sync.ts';

const errorAfterMs = 300_000;
const starting: Health = { is: 'starting' };
const ready: Health = { is: 'ready' };
const cut: Health = { is: 'cut', sinceMs: 1_000 };
const stale: Health = { is: 'stale' };
const error: Health = { is: 'error', because: 'x' };
const fetched = (streamOpen: boolean): HealthEvent => ({ is: 'fetched', atMs: 1_000, streamOpen });
const tick = (atMs: number, contactAtMs = 1_000): HealthEvent => ({ is: 'tick', atMs, contactAtMs });

const table: [Health, HealthEvent, Health['is']][] = [
  [starting, fetched(false), 'cut'],
  [starting, fetched(true), 'ready'],
  [starting, { is: 'loadedFile' }, 'stale'],
  [starting, { is: 'keyRefused', because: '' }, 'starting'],
  [starting, tick(1_000_000), 'starting'],
  [cut, fetched(true), 'ready'],
  [cut, fetched(false), 'cut'],
  [stale, fetched(true), 'ready'],
  [stale, fetched(false), 'stale'],
  [error, fetched(true), 'ready'],
  [error, fetched(false), 'stale'],
  [ready, { is: 'loadedFile' }, 'ready'],
  [ready, { is: 'streamClosed', atMs: 1_000 }, 'cut'],
  [stale, { is: 'streamClosed', atMs: 1_000 }, 'stale'],
  [ready, { is: 'streamSilent' }, 'stale'],
  [error, { is: 'streamSilent' }, 'error'],
  [ready, { is: 'keyRefused', because: '' }, 'error'],
  [cut, tick(5_999), 'cut'],
  [cut, tick(6_000), 'stale'],
  [ready, tick(300_999), 'ready'],
  [ready, tick(301_000), 'error'],
  [stale, tick(301_000), 'error'],
];

describe('the states of the server provider', () => {
  it.each(table)('%o, on %o, becomes %s', (health, event, is) => {
    expect(nextHealth(health, event, errorAfterMs).is).toBe(is);
  });

  it('count a stream that was cut a moment ago as READY', () => {
    expect([starting, ready, cut, stale, error].map(statusOf)).toEqual([
      'NOT_READY',
      'READY',
      'READY',
      'STALE',
      'ERROR',
    ]);
  });
});

describe('an exposure lease', () => {
  const lease = { a: { ttl: 900, onExpiry: 'baseline' }, b: { ttl: 900, onExpiry: 'stay' } } as const;
  it('runs out after ttl seconds without contact, where it says baseline', () => {
    expect([...expiredLeases(lease, 899_999)]).toEqual([]);
    expect([...expiredLeases(lease, 900_000)]).toEqual(['a']);
  });
});

describe('the delay before a reconnect', () => {
  it('doubles from half a second to half a minute and is drawn from all of it', () => {
    expect([0, 1, 5, 6, 60].map((attempt) => backoffMs(attempt, 1))).toEqual([500, 1_000, 16_000, 30_000, 30_000]);
    expect(backoffMs(6, 0)).toBe(0);
  });
});
