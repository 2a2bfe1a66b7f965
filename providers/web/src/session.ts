import type { Answer } from './answer.ts';
import type { Bulk, Fetch } from './bulk.ts';
import { postBulk } from './bulk.ts';
import type { Clock } from './clock.ts';
import { backoffMs } from './clock.ts';
import type { EventStream } from './link.ts';
import { createLink } from './link.ts';

export interface SessionSettings {
  readonly url: string;
  readonly key: string | undefined;
  readonly timeoutMs: number;
  readonly pollMs: number;
  readonly fetch: Fetch;
  readonly openStream: (url: string) => EventStream;
  readonly clock: Clock;
}

export interface SessionListener {
  answered(answer: Answer): void;
  status(status: 'READY' | 'STALE' | 'ERROR', message: string): void;
  /** Keys whose value may be another now, for the same context. */
  changed(keys: readonly string[]): void;
}

/** The flags of the page and how far they can be trusted. */
export type SessionState =
  | { readonly is: 'starting' }
  | { readonly is: 'live'; readonly answer: Answer }
  /** Last values; out of contact, or the key is refused. */
  | { readonly is: 'stale' | 'error'; readonly answer: Answer | undefined; readonly because: string }
  | { readonly is: 'closed' };

export interface Session {
  /** Asks for `context` from here on; what is asked or answered for another context no longer counts. */
  load(context: unknown): Promise<Bulk>;
  state(): SessionState;
  close(): void;
}

/** Out of contact for this long, values are STALE. */
const graceMs = 30_000;
/** A refused key is tried again this often: it may have been revoked by mistake. */
const refusedPollMs = 60_000;

/** Keeps one context's results in step with the controller. */
export function createSession(settings: SessionSettings, listener: SessionListener): Session {
  const { clock } = settings;
  let state: SessionState = { is: 'starting' };
  let context: unknown = {};
  let etag: string | undefined;
  /** The context whose results are in force. */
  let answeredFor: unknown;
  let asked = 0;
  let inForce = 0;
  let failures = 0;
  let isQuiet = false;
  let refetching: Promise<void> | undefined;
  let askAgain = false;
  let cancelRetry = () => {};
  let cancelDoubt: (() => void) | undefined;
  let cancelSleep = () => {};

  const link = createLink(
    {
      streamUrl,
      openStream: settings.openStream,
      refetch,
      up: trust,
      down: () => doubt('the event stream is down'),
    },
    clock,
    settings.pollMs,
  );

  /** `isLoad`: the application waits for this answer itself and is not told of changed keys. */
  async function ask(isLoad = false): Promise<Bulk> {
    asked += 1;
    const [turn, askedFor, sentEtag] = [asked, context, etag];
    cancelRetry();
    isQuiet = false;
    const { url, key, timeoutMs } = settings;
    const request = { url, key, context, etag, withinMs: timeoutMs };
    const bulk = await postBulk(request, settings.fetch, clock);
    // Overtaken: the page is somebody else's by now, or a younger answer is in force.
    if (isClosed() || askedFor !== context || turn < inForce) return bulk;

    switch (bulk.is) {
      case 'answer':
        inForce = turn;
        etag = bulk.etag;
        answeredFor = askedFor;
        accept(bulk.answer, isLoad);
        break;
      case 'unchanged': {
        const answer = answerOf(state);
        // "Unchanged" since a document that an answer in between has replaced says nothing about that answer.
        if (sentEtag !== etag || !answer) {
          etag = undefined;
          return ask(isLoad);
        }
        inForce = turn;
        accept(answer, isLoad);
        break;
      }
      case 'refused':
        link.sleep();
        become('error', `the controller refuses this key (${bulk.status})`);
        retryAfter(refusedPollMs);
        break;
      case 'later':
        isQuiet = true;
        outOfContact('the controller asks to come back later');
        retryAfter(Math.max(bulk.afterMs, backoffMs(0, clock.random())));
        break;
      case 'failed':
        outOfContact(bulk.because);
        retryAfter(backoffMs(failures, clock.random()));
        failures += 1;
        break;
    }
    return bulk;
  }

  function accept(answer: Answer, isLoad: boolean): void {
    const before = state;
    const previous = answerOf(before);
    state = { is: 'live', answer };
    failures = 0;
    listener.answered(answer);
    settleDoubt();
    if (!isHidden()) {
      link.start();
      link.wake();
    }
    if (link.status() !== 'streaming') doubt('the event stream is down');
    if (before.is === 'stale' || before.is === 'error') listener.status('READY', '');
    const keys = isLoad ? [] : changedKeys(previous, answer);
    if (keys.length > 0) listener.changed(keys);
  }

  function outOfContact(because: string): void {
    // Values of another context: nothing to be confident about even for a moment.
    if (state.is === 'starting') become('error', because);
    else if (answeredFor !== context) become('stale', because);
    else doubt(because);
  }

  function become(is: 'stale' | 'error', because: string): void {
    const before = state.is;
    state = { is, answer: answerOf(state), because };
    if (before !== is && before !== 'starting') listener.status(is === 'stale' ? 'STALE' : 'ERROR', because);
  }

  /** Starts the time after which values count as stale, unless it runs already or nobody is looking. */
  function doubt(because: string): void {
    if (cancelDoubt || state.is !== 'live' || link.status() === 'asleep') return;
    const patienceMs = link.status() === 'polling' ? settings.pollMs + graceMs : graceMs;
    cancelDoubt = clock.after(patienceMs, () => void verify(because));
  }

  /** A stream may hang while everything else works, so one question decides. */
  async function verify(because: string): Promise<void> {
    cancelDoubt = undefined;
    const lastInForce = inForce;
    await refetch();
    if (state.is !== 'live' || inForce !== lastInForce) return;
    settleDoubt();
    become('stale', because);
  }

  function settleDoubt(): void {
    cancelDoubt?.();
    cancelDoubt = undefined;
  }

  function trust(): void {
    if (failures > 0) return;
    settleDoubt();
  }

  function retryAfter(ms: number): void {
    cancelRetry = clock.after(ms, () => {
      isQuiet = false;
      void refetch();
    });
  }

  /** One request at a time; asked again meanwhile, it asks once more, since the running answer may be older. */
  function refetch(): Promise<void> {
    if (isQuiet || isClosed()) return Promise.resolve();
    if (refetching) {
      askAgain = true;
      return refetching;
    }
    refetching = (async () => {
      do {
        askAgain = false;
        await ask();
      } while (askAgain && !isClosed());
    })().finally(() => {
      refetching = undefined;
    });
    return refetching;
  }

  function isClosed(): boolean {
    return state.is === 'closed';
  }

  function streamUrl(): string | undefined {
    const uri = answerOf(state)?.streamUri;
    if (uri === undefined) return undefined;
    // A path is the controller's, wherever a proxy mounts it; anything else is complete.
    return uri.startsWith('/') ? settings.url + uri : uri;
  }

  function onVisibility(): void {
    cancelSleep();
    if (isHidden()) {
      cancelSleep = clock.after(answerOf(state)?.sleepAfterMs ?? 0, () => link.sleep());
      return;
    }
    void refetch();
  }
  if (typeof document !== 'undefined') document.addEventListener('visibilitychange', onVisibility);

  return {
    load(next) {
      context = next;
      etag = undefined;
      return ask(true);
    },
    state: () => state,
    close() {
      state = { is: 'closed' };
      cancelRetry();
      cancelSleep();
      cancelDoubt?.();
      link.close();
      if (typeof document !== 'undefined') document.removeEventListener('visibilitychange', onVisibility);
    },
  };
}

export function answerOf(state: SessionState): Answer | undefined {
  return 'answer' in state ? state.answer : undefined;
}

function changedKeys(before: Answer | undefined, after: Answer): string[] {
  if (before === after) return [];
  const keys = new Set([...(before?.flags.keys() ?? []), ...after.flags.keys()]);
  return [...keys].filter((key) => JSON.stringify(before?.flags.get(key)) !== JSON.stringify(after.flags.get(key)));
}

function isHidden(): boolean {
  return typeof document !== 'undefined' && document.visibilityState === 'hidden';
}
