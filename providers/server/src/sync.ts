import type { Snapshot, SnapshotChange } from '@tidegate/core';
import type { Endpoint, Fetched } from './request.ts';
import { fetchSnapshot } from './request.ts';
import type { StreamEnd } from './stream.ts';
import { readStream } from './stream.ts';

/** What the link learns, and what the holder of the flags answers. */
export interface SyncHandler {
  /** Revision in force, if any. */
  held(): number | undefined;
  /** A document; false when it was refused (its ETag is then not remembered). */
  snapshot(snapshot: Snapshot, streamOpen: boolean): boolean;
  unchanged(streamOpen: boolean): void;
  /** `behind` asks for the snapshot. */
  change(change: SnapshotChange): 'behind' | 'done';
  contact(): void;
  streamEnded(end: StreamEnd): void;
  keyRefused(status: number): void;
}

export interface Sync {
  /** Asks for the document once, and from then on keeps it in step until `close`. */
  start(): Promise<Fetched>;
  close(): void;
}

const firstBackoffMs = 500;
const longestBackoffMs = 30_000;

/** Full jitter: any moment up to the doubled limit, so that a fleet does not come back at once. */
export function backoffMs(attempt: number, random: number): number {
  return random * Math.min(longestBackoffMs, firstBackoffMs * 2 ** attempt);
}

/**
 * Keeps a stream open and polls beside it: the stream brings changes at once, the poll finds what a lying stream hides.
 * A head above the revision in force, a reopened stream and a gap between changes each fetch the document.
 */
export function createSync(endpoint: Endpoint, pollMs: number, handler: SyncHandler): Sync {
  const { clock } = endpoint;
  const life = new AbortController();
  let etag: string | undefined;
  let streamOpen = false;
  let following = false;
  let cancelPoll = () => {};
  let failures = 0;
  let quietUntilMs = 0;
  let fetching: Promise<Fetched> | undefined;
  let askedAgain = false;

  async function fetchOnce(): Promise<Fetched> {
    const fetched = await fetchSnapshot(endpoint, etag, life.signal);
    if (life.signal.aborted) return fetched;
    failures = fetched.is === 'failed' ? failures + 1 : 0;
    switch (fetched.is) {
      case 'snapshot':
        handler.contact();
        etag = handler.snapshot(fetched.snapshot, streamOpen) ? fetched.etag : undefined;
        break;
      case 'unchanged':
        handler.contact();
        handler.unchanged(streamOpen);
        break;
      case 'refused':
        handler.keyRefused(fetched.status);
        break;
      case 'later':
        quietUntilMs = clock.monotonicMs() + fetched.afterMs;
        break;
      case 'failed':
        break;
    }
    pollAfter(nextPollMs(fetched));
    return fetched;
  }

  function nextPollMs(fetched: Fetched): number {
    if (fetched.is === 'failed') return Math.min(pollMs, backoffMs(failures, clock.random()));
    if (fetched.is === 'later') return Math.max(fetched.afterMs, backoffMs(0, clock.random()));
    return pollMs * (0.9 + 0.2 * clock.random());
  }

  function pollAfter(ms: number): void {
    cancelPoll();
    cancelPoll = clock.after(ms, () => void refresh());
  }

  /** One request at a time; asked again meanwhile, it asks once more, since the running answer may be older. */
  function refresh(): Promise<Fetched> {
    if (fetching) {
      askedAgain = true;
      return fetching;
    }
    const quietMs = quietUntilMs - clock.monotonicMs();
    if (quietMs > 0) return Promise.resolve({ is: 'later', afterMs: quietMs });
    fetching = fetchOnce().finally(() => {
      fetching = undefined;
    });
    return fetching.then((fetched) => {
      const isAnswered = fetched.is === 'snapshot' || fetched.is === 'unchanged';
      if (isAnswered && !life.signal.aborted) void follow();
      if (isAnswered && askedAgain && !life.signal.aborted) void refresh();
      askedAgain = false;
      return fetched;
    });
  }

  /** Reconnects until closed or until the key is refused; the next answered poll starts it again. */
  async function follow(): Promise<void> {
    if (following) return;
    following = true;
    let attempt = 0;
    while (!life.signal.aborted) {
      let heads = 0;
      const end = await readStream(endpoint, handler.held(), life.signal, {
        opened() {
          streamOpen = true;
          handler.contact();
          void refresh();
        },
        head(ver) {
          // The second head is a heartbeat: only a stream that lives for a while earns quick reconnects again.
          heads += 1;
          if (heads > 1) attempt = 0;
          handler.contact();
          if (ver > (handler.held() ?? -1)) void refresh();
        },
        change(change) {
          handler.contact();
          if (handler.change(change) === 'behind') void refresh();
        },
        unreadable: () => void refresh(),
      });
      streamOpen = false;
      if (life.signal.aborted) break;
      handler.streamEnded(end);
      if (end.is === 'refused') {
        handler.keyRefused(end.status);
        break;
      }
      const wanted = backoffMs(attempt, clock.random());
      attempt += 1;
      await pause(end.is === 'later' ? Math.max(end.afterMs, wanted) : wanted);
    }
    following = false;
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resume) => {
      const giveUp = () => {
        cancel();
        resume();
      };
      const cancel = clock.after(ms, () => {
        life.signal.removeEventListener('abort', giveUp);
        resume();
      });
      life.signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  return {
    start: refresh,
    close() {
      cancelPoll();
      life.abort();
    },
  };
}
