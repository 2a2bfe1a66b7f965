import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { Now } from '../domain/now.ts';

/** The only maker of instants; everything beneath takes a `Now`. */
export interface Clock {
  now(): Now;
}

export function systemClock(): Clock {
  const boot = randomUUID();
  return { now: () => ({ wall: Date.now(), mono: performance.now(), boot }) };
}
