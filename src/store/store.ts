import type { Flag, FlagSet, Metadata } from '@tidegate/core';
import type { Decision } from '../domain/decision.ts';
import type { Evidence } from '../domain/evidence.ts';
import type { Freeze, Latch, Progress, Rollout } from '../domain/rollout.ts';

/** Somebody else changed it first: read again, judge again. */
export class Conflict extends Error {
  override name = 'Conflict';
}

/** The database cannot take a write now (locked, full, read-only, broken). Nothing was changed. */
export class StoreUnavailable extends Error {
  override name = 'StoreUnavailable';
}

export interface Environment {
  readonly name: string;
  /** Raising by hand needs a second subject. */
  readonly protected: boolean;
  readonly createdAt: number;
}

/** Who did it and why, one per change. */
export interface AuditEntry {
  readonly at: number;
  /** Subject of a person or service; `controller` for the tick. */
  readonly actor: string;
  /** `rollout.kill`, `plan.apply`, `flags.replace`, `token.create`, ... */
  readonly action: string;
  readonly environment: string | null;
  /** Rollout name, flag key, token id, ... */
  readonly target: string;
  readonly reason: string | null;
  /** JSON facts of the change: before, after, numbers. Never a secret. */
  readonly detail: { readonly [key: string]: unknown };
}
/** `seq` is dense, unique, and is also the version (`ver`) of everything served. */
export interface AuditRecord extends AuditEntry {
  readonly seq: number;
}

export interface StoredDocument<T> {
  readonly name: string;
  /** Plan revision, policy version, signal version. */
  readonly version: number;
  readonly document: T;
  readonly digest: string;
  readonly createdAt: number;
  readonly author: string;
}

export type DeclaredKind = 'plan' | 'policy' | 'signal';
/** `effective_policy`: a policy that extends another, with everything inherited written into it. */
export type DocumentKind = DeclaredKind | 'effective_policy';

export type Role = 'viewer' | 'operator' | 'approver' | 'admin' | 'ci' | 'ingest' | 'sdk-server' | 'sdk-client';

/** A bearer token without its secret. */
export interface TokenRecord {
  /** 8 base62 characters. */
  readonly id: string;
  readonly role: Role;
  /** Person or service; duties are separated by subject, not by token. */
  readonly subject: string;
  /** null = every environment. */
  readonly environment: string | null;
  /** SHA-256 of the secret, hex. */
  readonly secretHash: string;
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly revokedAt: number | null;
}

/** Key that signs exposure tokens of one environment, and the pepper that hides its targeting keys. */
export interface SigningKey {
  readonly kid: number;
  readonly environment: string;
  readonly secret: Uint8Array;
  readonly pepper: Uint8Array;
  readonly createdAt: number;
}

/** The answer that a repeated mutating request gets again. */
export interface IdempotentAnswer {
  readonly key: string;
  readonly subject: string;
  /** SHA-256 of method, path and body. */
  readonly request: string;
  readonly status: number;
  readonly body: string;
  readonly at: number;
  /** Audit sequence of the change that it belongs to; filled in by the store. */
  readonly seq: number;
}

/**
 * One change, all or nothing. `rollouts[].before` names the version that was seen: another one in the store means
 * `Conflict` and nothing is written.
 */
export interface Change {
  readonly audit: AuditEntry;
  readonly rollouts?: readonly { readonly before: number | null; readonly after: Rollout }[];
  /** `id` is filled in by the store from the audit sequence. */
  readonly decision?: Omit<Decision, 'id'>;
  /** Evidence of the decision, content-addressed; writing the same digest twice is one row. */
  readonly evidence?: { readonly digest: string; readonly body: Evidence };
  readonly documents?: readonly {
    readonly kind: DocumentKind;
    readonly name: string;
    readonly version: number;
    readonly document: unknown;
    readonly digest: string;
  }[];
  readonly flags?: {
    readonly environment: string;
    readonly put: { readonly [key: string]: Flag };
    readonly remove: readonly string[];
    readonly evaluators?: FlagSet['$evaluators'];
    readonly metadata?: Metadata;
  };
  readonly latch?:
    | { readonly set: Latch }
    | {
        /** Clears the latches that were `seen`, as they were read. `Conflict` when another one stands on the flag. */
        readonly clear: { readonly environment: string; readonly flag: string; readonly seen: readonly Latch[] };
      };
  readonly freeze?: { readonly on: Freeze } | { readonly off: { readonly environment: string | null } };
  readonly environment?: Environment;
  readonly token?: TokenRecord;
  readonly revokeToken?: { readonly id: string; readonly at: number };
  readonly signingKey?: SigningKey;
  readonly idempotency?: Omit<IdempotentAnswer, 'seq'>;
  /**
   * Set on a raise only. `Conflict` when the store commits it later than `notAfterMono` (monotonic ms of this process,
   * see `Now.mono`), and while a latch or a freeze stands over one of its rollouts at the time of `audit`.
   */
  readonly raise?: { readonly notAfterMono: number };
}

export interface RolloutFilter {
  readonly environment?: string;
  readonly flag?: string;
  readonly name?: string;
  /** Leave out superseded and cancelled ones. */
  readonly current?: boolean;
}

/** control.db: what people decided and what the judge decided. Every write is one batch through `commit`. */
export interface ControlStore {
  /** Highest audit sequence = head version of everything served. */
  head(): Promise<number>;
  /** Throws `Conflict` or `StoreUnavailable`; otherwise durable when it returns. */
  commit(change: Change): Promise<{ readonly seq: number }>;
  /** Saves what a tick counted, unless the rollout's version moved on (then nothing happens and false returns). */
  saveProgress(id: string, version: number, progress: Progress, references: Rollout['references']): Promise<boolean>;

  environments(): Promise<Environment[]>;
  /** Declared (plain) flags of an environment, with their set's evaluators and metadata. */
  flags(environment: string): Promise<FlagSet>;
  /** Newest version, or that one; null when unknown. The document is the stored JSON, parsed but not validated. */
  document(kind: DocumentKind, name: string, version?: number): Promise<StoredDocument<unknown> | null>;
  /** Every name once, in its newest version. */
  documents(kind: DocumentKind): Promise<StoredDocument<unknown>[]>;

  /** Newest first. */
  rollouts(filter: RolloutFilter): Promise<Rollout[]>;
  rollout(id: string): Promise<Rollout | null>;
  /** A `shortId` that no rollout has or had. */
  nextShortId(): Promise<number>;
  latches(environment?: string): Promise<Latch[]>;
  freezes(): Promise<Freeze[]>;

  /** Newest first; `before` is an audit sequence, the number in `D-<seq>`. */
  decisions(filter: {
    readonly rollout?: string;
    readonly id?: string;
    readonly before?: number;
    readonly limit: number;
  }): Promise<Decision[]>;
  evidence(digest: string): Promise<Evidence | null>;
  /** Newest first; `before` is a sequence. */
  audit(filter: {
    readonly environment?: string;
    readonly target?: string;
    readonly before?: number;
    readonly limit: number;
  }): Promise<AuditRecord[]>;

  tokens(): Promise<TokenRecord[]>;
  signingKeys(): Promise<SigningKey[]>;
  idempotent(key: string, subject: string): Promise<IdempotentAnswer | null>;
  /** Forgets idempotent answers older than `before`; returns how many. */
  forgetIdempotent(before: number): Promise<number>;
  close(): Promise<void>;
}

/** 16 bytes: token issue minute (4, big-endian) and page-view id (12): the same for every copy, ordered by time. */
export type PageViewKey = Uint8Array;

/** What is remembered of one page view until an hour after its last message. */
export interface PageViewRow {
  readonly key: PageViewKey;
  /** Receive time of the newest message, epoch ms. */
  readonly at: number;
  /** JSON of `ingest/fold`'s own making; the store does not look inside. */
  readonly state: string;
}

/** What is remembered of one unit in one stage epoch of one rollout. */
export interface UnitRow {
  readonly rollout: number;
  readonly epoch: number;
  /** 8 bytes, keyed hash. */
  readonly unit: Uint8Array;
  readonly state: string;
}

/** One packed evidence cell (see `Cell`); overwritten only by its writer. `dim`/`val` are '' for the pooled cell. */
export interface CellRow {
  readonly bucket: number;
  readonly rollout: number;
  readonly epoch: number;
  readonly arm: 'rest' | 'treatment' | 'control';
  readonly dim: string;
  readonly val: string;
  readonly blob: Uint8Array;
}

/** Packed sums of one arm beside its cells (see `ArmSums`); overwritten only by their writer. */
export interface SumRow {
  readonly rollout: number;
  readonly epoch: number;
  readonly arm: 'treatment' | 'control';
  readonly blob: Uint8Array;
}

export interface IngestStat {
  readonly bucket: number;
  readonly reason: string;
  readonly n: number;
}

/** What one group commit changes. Rows are whole new values, never differences, except `stats`, which are added. */
export interface RumBatch {
  /**
   * Rises by one with every batch of this writer; stamped on the cells so that a tick can ask for what is new. After a
   * failed batch ask `newestFlush` again: a lost connection does not tell whether the batch was committed.
   */
  readonly flush: number;
  readonly pageViews: readonly PageViewRow[];
  readonly units: readonly UnitRow[];
  readonly cells: readonly CellRow[];
  readonly sums: readonly SumRow[];
  readonly stats: readonly IngestStat[];
}

/** rum.db: what browsers reported. Durable against `kill -9` when `commit` returns. */
export interface RumStore {
  /** Flush number of the newest batch of this writer; 0 when there is none. */
  newestFlush(): Promise<number>;
  pageViews(keys: readonly PageViewKey[]): Promise<PageViewRow[]>;
  units(keys: readonly Pick<UnitRow, 'rollout' | 'epoch' | 'unit'>[]): Promise<UnitRow[]>;
  /** This writer's own rows, as are `sums`. */
  cells(keys: readonly Omit<CellRow, 'blob'>[]): Promise<CellRow[]>;
  sums(keys: readonly Omit<SumRow, 'blob'>[]): Promise<SumRow[]>;
  /**
   * Throws `StoreUnavailable` when the quota is used up or the disk is, `Conflict` when `flush` is not above the newest
   * (another process writes under this name); nothing is written then. A key may come once per kind of row.
   */
  commit(batch: RumBatch): Promise<void>;

  /**
   * Cells of one rollout stamped after `flush` (0 = all), pooled when `dim` is '', else the marginals; with their stamp.
   * `most`: so many rows and the rest of the last batch among them; fewer mean that there are no more.
   */
  cellsSince(
    rollout: number,
    flush: number,
    marginals: boolean,
    most?: number,
  ): Promise<(CellRow & { readonly flush: number })[]>;
  /** Sums of one rollout, of every writer, stamped after `flush` (0 = all). */
  sumsSince(rollout: number, flush: number): Promise<(SumRow & { readonly writer: string; readonly flush: number })[]>;
  stats(fromBucket: number): Promise<IngestStat[]>;
  /** Drops page views last heard of before `pageViewsBefore` and pooled cells and stats of buckets before `cellsBefore`. */
  prune(before: { readonly pageViewsBefore: number; readonly cellsBefore: number }): Promise<number>;
  /** Forgets everything of one rollout. */
  dropRollout(rollout: number): Promise<void>;
  close(): Promise<void>;
}
