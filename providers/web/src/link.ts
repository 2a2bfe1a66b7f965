import { asksToRefetch } from './answer.ts';
import type { Clock } from './clock.ts';
import { backoffMs } from './clock.ts';

/** The part of EventSource that is used. */
export interface EventStream {
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onerror: ((event: Event) => void) | null;
  close(): void;
}

export interface LinkOwner {
  /** Where the newest answer says changes are announced. */
  streamUrl(): string | undefined;
  openStream(url: string): EventStream;
  /** Asks the controller again; resolves when the answer is in force, or is not coming. */
  refetch(): Promise<void>;
  /** The stream is open: changes will be heard. */
  up(): void;
  /** It is not, until `up`. */
  down(): void;
}

export interface Link {
  start(): void;
  /** The page went out of sight for long: give the connection back. */
  sleep(): void;
  /** The page is seen again, or may be trusted again. */
  wake(): void;
  close(): void;
  status(): State['is'];
}

type State =
  | { readonly is: 'idle' }
  | { readonly is: 'connecting' | 'streaming'; readonly stream: EventStream }
  | { readonly is: 'waiting' | 'polling'; readonly cancel: () => void }
  | { readonly is: 'asleep' | 'closed' };

const failuresBeforePolling = 3;

/**
 * Hears about changes. A browser retries an EventSource on its own, for ever, with the URL it began with - a ticket that
 * has expired by then. So each failure closes it, and the next attempt opens a new one; after three in a row the page
 * polls, and tries the stream again after each poll.
 */
export function createLink(owner: LinkOwner, clock: Clock, pollMs: number): Link {
  let state: State = { is: 'idle' };
  let failures = 0;
  let wasOpen = false;

  function leave(): void {
    if (state.is === 'connecting' || state.is === 'streaming') {
      state.stream.onopen = state.stream.onmessage = state.stream.onerror = null;
      state.stream.close();
    }
    if (state.is === 'waiting' || state.is === 'polling') state.cancel();
  }

  function enter(next: State): void {
    leave();
    state = next;
  }

  function connect(): void {
    const url = owner.streamUrl();
    if (url === undefined) {
      poll();
      return;
    }
    try {
      const stream = owner.openStream(url);
      enter({ is: 'connecting', stream });
      stream.onopen = () => {
        const isReopened = wasOpen || failures > 0;
        wasOpen = true;
        failures = 0;
        state = { is: 'streaming', stream };
        owner.up();
        // What was announced while nobody listened is not announced again.
        if (isReopened) void owner.refetch();
      };
      stream.onmessage = (event) => {
        if (asksToRefetch(event.data)) void owner.refetch();
      };
      stream.onerror = failed;
    } catch {
      failed();
    }
  }

  function failed(): void {
    owner.down();
    failures += 1;
    if (failures >= failuresBeforePolling) {
      poll();
      return;
    }
    // The first time the URL is likely good still; later its ticket may have run out, and an answer brings a new one.
    const again = failures === 1 ? connect : () => void refetchThenConnect();
    enter({ is: 'waiting', cancel: clock.after(backoffMs(failures - 1, clock.random()), again) });
  }

  function poll(): void {
    const isFirst = state.is !== 'polling';
    enter({ is: 'polling', cancel: clock.after(pollMs, () => void refetchThenConnect()) });
    if (isFirst && failures === failuresBeforePolling) void owner.refetch();
  }

  async function refetchThenConnect(): Promise<void> {
    const before = state;
    await owner.refetch();
    if (state === before) connect();
  }

  return {
    start() {
      if (state.is === 'idle') connect();
    },
    sleep() {
      if (state.is !== 'closed' && state.is !== 'idle') enter({ is: 'asleep' });
    },
    wake() {
      if (state.is !== 'asleep') return;
      failures = 0;
      connect();
    },
    close: () => enter({ is: 'closed' }),
    status: () => state.is,
  };
}
