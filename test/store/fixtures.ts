import type { Decision } from '../../src/domain/decision.ts';
import type { Evidence } from '../../src/domain/evidence.ts';
import type { Progress, Rollout, RolloutState } from '../../src/domain/rollout.ts';
import type { AuditEntry, CellRow, RumBatch, SumRow } from '../../src/store/store.ts';

export const noon = Date.UTC(2026, 4, 4, 12);

export function aState(over: Partial<RolloutState> = {}): RolloutState {
  return {
    phase: 'ramping',
    stage: 0,
    heldBy: null,
    sticky: false,
    resumeTo: null,
    watch: false,
    approved: null,
    sentinel: false,
    excluded: [],
    epoch: 1,
    version: 1,
    ...over,
  };
}

export function someProgress(over: Partial<Progress> = {}): Progress {
  return {
    stageEnteredAt: noon,
    bakedMs: 0,
    dwellMs: 0,
    lastTick: null,
    blindSince: null,
    inconclusiveSince: null,
    errors: 0,
    streaks: {},
    rises: [],
    ...over,
  };
}

export function aRollout(over: Partial<Rollout> = {}): Rollout {
  return {
    id: 'r_0000000001',
    shortId: 1,
    name: 'new-checkout',
    environment: 'production',
    flag: 'new-checkout',
    wave: null,
    plan: { name: 'new-checkout', revision: 1 },
    policy: 'web@1',
    seed: 'new-checkout',
    bucketing: 'murmur3-utf8/v2',
    createdAt: noon,
    startedAt: null,
    author: 'mkaya',
    state: aState(),
    progress: someProgress(),
    evidenceFrom: 0,
    references: {},
    ...over,
  };
}

export function anEntry(over: Partial<AuditEntry> = {}): AuditEntry {
  return {
    at: noon,
    actor: 'mkaya',
    action: 'rollout.hold',
    environment: 'production',
    target: 'new-checkout',
    reason: null,
    detail: {},
    ...over,
  };
}

export function aDecision(over: Partial<Omit<Decision, 'id'>> = {}): Omit<Decision, 'id'> {
  return {
    rollout: 'r_0000000001',
    name: 'new-checkout',
    environment: 'production',
    flag: 'new-checkout',
    at: noon,
    action: 'hold',
    because: 'mkaya holds: looking',
    transition: null,
    cause: 'actor:mkaya',
    from: aState(),
    to: aState({ phase: 'held', version: 2 }),
    exposure: { from: 5, to: 5 },
    readings: [],
    waitingFor: [],
    evidence: null,
    plan: 'new-checkout@1',
    policy: 'web@1',
    code: '0.1.0',
    actor: 'mkaya',
    reason: 'looking',
    why: 'mkaya holds.',
    counterfactual: 'Nothing would have changed by itself.',
    next: 'Resume when ready.',
    ...over,
  };
}

export const someEvidence: Evidence = {
  asOf: noon,
  bucketMs: 60_000,
  strata: [],
  shards: {},
  units: {},
  shardCounts: {},
  concentration: null,
  segments: [],
  newest: { treatment: noon, control: null },
  ingest: { accepted: 10, invalid: 0, duplicate: 1, late: 0 },
  crossover: 0,
};

export function aBatch(flush: number, over: Partial<RumBatch> = {}): RumBatch {
  return { flush, pageViews: [], units: [], cells: [], sums: [], stats: [], ...over };
}

export function aCell(over: Partial<CellRow> = {}): CellRow {
  return {
    bucket: noon,
    rollout: 1,
    epoch: 1,
    arm: 'treatment',
    dim: '',
    val: '',
    blob: Uint8Array.of(1, 2, 3),
    ...over,
  };
}

export function someSums(over: Partial<SumRow> = {}): SumRow {
  return { rollout: 1, epoch: 1, arm: 'control', blob: Uint8Array.of(4, 5, 6), ...over };
}

/** 16 bytes that name page view number `n`. */
export function pageViewKey(n: number): Uint8Array {
  const key = new Uint8Array(16);
  new DataView(key.buffer).setUint32(12, n);
  return key;
}
