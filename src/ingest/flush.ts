import { randomBytes } from 'node:crypto';
import type { EvidenceArm } from '../domain/evidence.ts';
import { bounded } from './bounded.ts';
import { type Committed, type CommitterStore, createCommitter } from './committer.ts';
import { type Concentrations, createConcentrations } from './concentration.ts';
import type { Issue, Message, Rules } from './fold.ts';
import type { Tokens } from './token.ts';

export interface IngestLimits {
  /** Longest that a message waits for company before it is committed, ms. */
  readonly commitMs: number;
  readonly commitMessages: number;
  /** Messages and bytes that may wait; one more is answered `full`. */
  readonly queueMessages: number;
  readonly queueBytes: number;
  /** Issues that may wait; more are forgotten, and told again by the unit's next evaluation or its first beacon. */
  readonly queueIssues: number;
}

const ingestLimits: IngestLimits = {
  commitMs: 10,
  commitMessages: 1_000,
  queueMessages: 10_000,
  queueBytes: 16 * 1024 * 1024,
  queueIssues: 100_000,
};

export interface IngestDeps extends Rules {
  readonly store: CommitterStore;
  readonly tokens: Pick<Tokens, 'storedUnit'>;
  /** Hears of every batch that failed; its messages are answered `full`. */
  readonly failed: (error: unknown) => void;
  readonly limits?: Partial<IngestLimits>;
}

export interface Ingest {
  /** `stored`: committed and counted once, also after `kill -9`. `full`: nothing was counted, come back later. */
  accept(message: Message): Promise<'stored' | 'full'>;
  /**
   * A unit (as `Tokens.mint` answers it in `units`) was given a token that lists the rollout. Costs a look-up when it is
   * nothing new, and never waits.
   */
  issued(rollout: number, epoch: number, arm: EvidenceArm, unit: Uint8Array, at: number): void;
  /** Commits what is waiting now. */
  flushNow(): Promise<void>;
  /** Commits what is waiting and takes no more. */
  close(): Promise<void>;
  /** Number of the newest batch; cells are stamped with it. */
  lastFlush(): number;
  /** Who the beacons come from that were committed since this start. */
  readonly concentrations: Pick<Concentrations, 'of' | 'forget'>;
  /** Calls back after every batch; the answer takes the listener off again. */
  onFlush(listener: (committed: Committed) => void): () => void;
}

interface Waiting {
  readonly message: Message;
  readonly answer: (outcome: 'stored' | 'full') => void;
}

const rememberedIssues = 200_000;
/** After a failed batch the store gets a pause, unless messages come in that want an answer. */
const retryMs = 1_000;

/** Collects messages and commits them in groups: one transaction costs about the same for one row and for a hundred. */
export function createIngest(deps: IngestDeps): Ingest {
  const limits = { ...ingestLimits, ...deps.limits };
  const committer = createCommitter(deps.store, deps);
  const concentrations = createConcentrations(() => randomBytes(32));
  const listeners = new Set<(committed: Committed) => void>();
  const told = bounded<string, true>(rememberedIssues);
  const queue: Waiting[] = [];
  let issues: Issue[] = [];
  // Counts the messages of the running batch too: they are in memory until they are answered.
  let messagesHeld = 0;
  let bytesHeld = 0;
  let timer: NodeJS.Timeout | null = null;
  let running: Promise<void> | null = null;
  let closed = false;

  const commitOnce = async (): Promise<boolean> => {
    const batch = queue.splice(0, limits.commitMessages);
    const news = issues.splice(0, limits.commitMessages);
    const messages = batch.map(({ message }) => message);
    const outcome = await committer.commit(messages, news).catch((error: unknown) => {
      deps.failed(error);
      return null;
    });
    messagesHeld -= batch.length;
    for (const { message } of batch) bytesHeld -= message.size;
    for (const { answer } of batch) answer(outcome === null ? 'full' : 'stored');
    if (outcome === null) {
      issues = news.concat(issues).slice(0, limits.queueIssues);
      return false;
    }
    try {
      concentrations.take(outcome.bookings);
      for (const listener of listeners) listener(outcome);
    } catch (error) {
      deps.failed(error);
    }
    return true;
  };

  const drain = async (): Promise<void> => {
    let working = true;
    while (working && queue.length + issues.length > 0) working = await commitOnce();
    // What came in meanwhile wants its answer as soon as ever; issues alone can wait for a store that is ill.
    while (!working && queue.length > 0) working = await commitOnce();
  };

  const run = (): Promise<void> => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    running ??= drain().finally(() => {
      running = null;
      if (queue.length + issues.length > 0) wake(queue.length > 0 ? limits.commitMs : retryMs);
    });
    return running;
  };

  const wake = (delayMs: number): void => {
    if (running !== null) return;
    if (queue.length >= limits.commitMessages) void run();
    else if (timer === null && !closed) timer = setTimeout(run, delayMs);
  };

  const flushNow = async (): Promise<void> => {
    // A batch that runs already may have left before the newest message came.
    if (running !== null) await running;
    if (queue.length + issues.length > 0) await run();
  };

  return {
    accept(message) {
      const isFull = messagesHeld >= limits.queueMessages || bytesHeld + message.size > limits.queueBytes;
      if (closed || isFull) return Promise.resolve('full');
      messagesHeld += 1;
      bytesHeld += message.size;
      return new Promise((answer) => {
        queue.push({ message, answer });
        wake(limits.commitMs);
      });
    },
    issued(rollout, epoch, arm, unit, at) {
      const key = `${rollout}.${epoch}.${arm}.${Buffer.from(unit).toString('latin1')}`;
      if (closed || told.get(key) !== undefined || issues.length >= limits.queueIssues) return;
      told.set(key, true);
      issues.push({ rollout, epoch, arm, unit: deps.tokens.storedUnit(rollout, unit), at });
      wake(limits.commitMs);
    },
    flushNow,
    async close() {
      closed = true;
      await flushNow();
      if (timer !== null) clearTimeout(timer);
    },
    lastFlush: () => committer.lastFlush(),
    concentrations,
    onFlush(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
