import type { Clock } from './clock.ts';
import type { Applied, Held } from './reducer.ts';
import { applyChange, applySnapshot } from './reducer.ts';
import type { Endpoint } from './request.ts';
import type { View } from './resolve.ts';
import { readSnapshotFile, writeSnapshotFile } from './snapshot-file.ts';
import type { Health, HealthEvent, Status } from './state.ts';
import { expiredLeases, nextHealth, statusOf } from './state.ts';
import { createSync } from './sync.ts';

export interface ReplicaSettings {
  readonly environment: string | undefined;
  readonly snapshotFile: string | undefined;
  readonly pollMs: number;
  readonly errorAfterMs: number;
  readonly warn: (message: string) => void;
}

export interface ReplicaListener {
  status(status: Status, message: string): void;
  /** Keys whose value may be another now. */
  changed(keys: readonly string[]): void;
}

export type Started =
  | { readonly is: 'loaded' }
  | { readonly is: 'refused'; readonly status: number }
  | { readonly is: 'empty'; readonly because: string };

export interface Replica {
  /** Resolves once flags are there, the key is refused, or `withinMs` is over; goes on in the background. */
  start(withinMs: number): Promise<Started>;
  view(): View;
  status(): Status;
  close(): void;
}

/** With a usable file an application start waits for the controller no longer than this. */
const startWithFileMs = 1_000;
const tickMs = 1_000;

/** A copy of the controller's flag set, kept in step by `sync`, saved to a file, and aware of its own age. */
export function createReplica(endpoint: Endpoint, settings: ReplicaSettings, listener: ReplicaListener): Replica {
  const { clock } = endpoint;
  let held: Held | undefined;
  let health: Health = { is: 'starting' };
  let contact = contactNow(clock);
  let expired: ReadonlySet<string> = new Set();
  let why = 'the controller has not answered';
  let cancelTick = () => {};
  const save = createSaver(settings, clock);

  function become(event: HealthEvent): void {
    const before = statusOf(health);
    health = nextHealth(health, event, settings.errorAfterMs);
    const after = statusOf(health);
    if (after !== before) listener.status(after, health.is === 'error' ? health.because : why);
  }

  /** Swaps the one pointer that every resolution reads. False when the document is refused. */
  function take(applied: Applied): boolean {
    if (applied.is === 'refused') {
      why = `the controller's snapshot is ignored: ${applied.because}`;
      settings.warn(why);
      return false;
    }
    if (applied.is === 'applied') {
      held = applied.held;
      if (held.origin === 'controller') save(held);
    }
    return true;
  }

  function announce(applied: Applied): void {
    if (applied.is === 'applied' && applied.changed.length > 0) listener.changed(applied.changed);
  }

  /** Leases run out without an event, and come back with any contact. */
  function lookAtLeases(): void {
    const before = expired;
    expired = expiredLeases(held?.lease ?? {}, sinceContactMs(contact, clock));
    const changed = [...before, ...expired].filter((flag) => before.has(flag) !== expired.has(flag));
    if (changed.length > 0) listener.changed(changed);
  }

  function tick(): void {
    become({ is: 'tick', atMs: clock.monotonicMs(), contactAtMs: contact.monotonicMs });
    lookAtLeases();
    cancelTick = clock.after(tickMs, tick);
  }

  const sync = createSync(endpoint, settings.pollMs, {
    held: () => (held?.origin === 'controller' ? held.ver : undefined),
    snapshot(snapshot, streamOpen) {
      const applied = applySnapshot(held, snapshot, 'controller', settings.environment);
      if (!take(applied)) return false;
      // A file proved to be the newest is as good as the controller's own word.
      if (held && held.origin === 'file') held = { ...held, origin: 'controller' };
      become({ is: 'fetched', atMs: clock.monotonicMs(), streamOpen });
      announce(applied);
      return true;
    },
    unchanged: (streamOpen) => become({ is: 'fetched', atMs: clock.monotonicMs(), streamOpen }),
    change(change) {
      if (!held) return 'behind';
      const applied = applyChange(held, change);
      if (applied.is === 'behind' || !take(applied)) return 'behind';
      announce(applied);
      return 'done';
    },
    contact() {
      contact = contactNow(clock);
      lookAtLeases();
    },
    streamEnded(end) {
      why = end.is === 'failed' ? end.because : `the stream is ${end.is}`;
      become(end.is === 'silent' ? { is: 'streamSilent' } : { is: 'streamClosed', atMs: clock.monotonicMs() });
    },
    keyRefused(status) {
      become({ is: 'keyRefused', because: `the controller refuses this key (${status})` });
    },
  });

  async function loadFile(): Promise<void> {
    if (settings.snapshotFile === undefined) return;
    const file = await readSnapshotFile(settings.snapshotFile);
    if (file.is === 'absent') return;
    const applied: Applied =
      file.is === 'unusable'
        ? { is: 'refused', because: file.because }
        : applySnapshot(undefined, file.snapshot, 'file', settings.environment);
    if (applied.is === 'refused')
      settings.warn(`snapshot file ${settings.snapshotFile} is ignored: ${applied.because}`);
    if (file.is !== 'read' || applied.is !== 'applied') return;
    held = applied.held;
    contact = { monotonicMs: clock.monotonicMs(), wallMs: file.savedAtMs };
  }

  return {
    async start(withinMs) {
      await loadFile();
      const first = sync.start();
      const patienceMs = held ? Math.min(withinMs, startWithFileMs) : withinMs;
      const answer = await withDeadline(first, patienceMs, clock);
      cancelTick = clock.after(tickMs, tick);
      if (answer?.is === 'refused') {
        this.close();
        return { is: 'refused', status: answer.status };
      }
      if (held) {
        become({ is: 'loadedFile' });
        lookAtLeases();
        return { is: 'loaded' };
      }
      if (answer?.is === 'failed') return { is: 'empty', because: answer.because };
      return { is: 'empty', because: answer ? why : `no answer within ${withinMs} ms` };
    },
    view: () => ({
      held,
      environment: settings.environment,
      isStale: health.is === 'stale' || health.is === 'error',
      expired,
      atSeconds: Math.floor(clock.wallMs() / 1000),
    }),
    status: () => statusOf(health),
    close() {
      cancelTick();
      sync.close();
    },
  };
}

interface Contact {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

function contactNow(clock: Clock): Contact {
  return { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
}

/** The longer of both clocks: the monotonic one stands still while a machine sleeps, the wall clock can be set back. */
function sinceContactMs(contact: Contact, clock: Clock): number {
  return Math.max(clock.monotonicMs() - contact.monotonicMs, clock.wallMs() - contact.wallMs);
}

function withDeadline<T>(promise: Promise<T>, ms: number, clock: Clock): Promise<T | undefined> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, () => resolve(undefined));
    void promise.then((value) => {
      cancel();
      resolve(value);
    });
  });
}

/** Writes the newest set, one write at a time; a set that is overtaken while it waits is never written. */
function createSaver(settings: ReplicaSettings, clock: Clock): (held: Held) => void {
  const { snapshotFile, warn } = settings;
  if (snapshotFile === undefined) return () => {};
  let waiting: Held | undefined;
  let isWriting = false;

  async function drain(path: string): Promise<void> {
    isWriting = true;
    while (waiting) {
      const next = waiting;
      waiting = undefined;
      await writeSnapshotFile(path, next, clock.wallMs()).catch((error: unknown) =>
        warn(`snapshot file ${path} cannot be written: ${error instanceof Error ? error.message : String(error)}`),
      );
    }
    isWriting = false;
  }

  return (held) => {
    waiting = held;
    if (!isWriting) void drain(snapshotFile);
  };
}
