import type { Lease } from '@tidegate/core';

/** How well the flags in force are known to be the controller's. */
export type Health =
  /** No flags yet. */
  | { readonly is: 'starting' }
  /** The stream is open and a document was fetched since it opened. */
  | { readonly is: 'ready' }
  /** The stream is closed; for a moment nobody needs to know. */
  | { readonly is: 'cut'; readonly sinceMs: number }
  /** Last values, reason STALE. */
  | { readonly is: 'stale' }
  /** Last values still; no contact for long, or the key is refused. */
  | { readonly is: 'error'; readonly because: string };

/** What the application is told; `cut` counts as READY. */
export type Status = 'NOT_READY' | 'READY' | 'STALE' | 'ERROR';

export type HealthEvent =
  /** A document or a 304 came from the controller. */
  | { readonly is: 'fetched'; readonly atMs: number; readonly streamOpen: boolean }
  | { readonly is: 'loadedFile' }
  | { readonly is: 'streamClosed'; readonly atMs: number }
  /** No heartbeat: the socket may be half open. */
  | { readonly is: 'streamSilent' }
  | { readonly is: 'keyRefused'; readonly because: string }
  | { readonly is: 'tick'; readonly atMs: number; readonly contactAtMs: number };

/** A closed stream makes the provider STALE after this long. */
const closedGraceMs = 5_000;
/** No event for this long (the controller sends one every 10 s): give the stream up. */
export const silenceMs = 25_000;

/** The state table of the provider (README, "States"). */
export function nextHealth(health: Health, event: HealthEvent, errorAfterMs: number): Health {
  switch (event.is) {
    case 'fetched':
      if (event.streamOpen) return { is: 'ready' };
      if (health.is === 'starting') return { is: 'cut', sinceMs: event.atMs };
      return health.is === 'error' ? { is: 'stale' } : health;
    case 'loadedFile':
      return health.is === 'starting' ? { is: 'stale' } : health;
    case 'streamClosed':
      return health.is === 'ready' ? { is: 'cut', sinceMs: event.atMs } : health;
    case 'streamSilent':
      return statusOf(health) === 'READY' ? { is: 'stale' } : health;
    case 'keyRefused':
      return health.is === 'starting' ? health : { is: 'error', because: event.because };
    case 'tick':
      if (health.is === 'starting' || health.is === 'error') return health;
      if (event.atMs - event.contactAtMs >= errorAfterMs)
        return { is: 'error', because: `no contact with the controller for ${Math.round(errorAfterMs / 1000)} s` };
      if (health.is === 'cut' && event.atMs - health.sinceMs >= closedGraceMs) return { is: 'stale' };
      return health;
  }
}

export function statusOf(health: Health): Status {
  switch (health.is) {
    case 'starting':
      return 'NOT_READY';
    case 'ready':
    case 'cut':
      return 'READY';
    case 'stale':
      return 'STALE';
    case 'error':
      return 'ERROR';
  }
}

/** The flags that fall back to their control variation because nobody could have told us about a kill. */
export function expiredLeases(lease: { readonly [flag: string]: Lease }, sinceContactMs: number): Set<string> {
  const isExpired = ([, { ttl, onExpiry }]: [string, Lease]) => onExpiry === 'baseline' && sinceContactMs >= ttl * 1000;
  return new Set(
    Object.entries(lease)
      .filter(isExpired)
      .map(([flag]) => flag),
  );
}
