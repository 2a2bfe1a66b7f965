import type { Arm } from '@tidegate/core';
import type { Histogram } from './histogram.ts';

/** Page-view observations of one metric in one cell. Values are winsorised integers in the sums (ms, or CLS x 1000). */
export interface Observations {
  readonly n: number;
  readonly sum: number;
  /** Sum of ln(winsorised value), values below 1 counted as 1. */
  readonly sumLn: number;
  /** Observations above the metric's first and second threshold (`metrics.ts`). */
  readonly bad1: number;
  readonly bad2: number;
  /** Keeps the value itself, not the winsorised one. */
  readonly hist: Histogram;
}

/**
 * Integer counters of one cell. `n` of a gate is always units:
 * - `issued`: units given a token that lists the rollout; `seen`: of those, units with an accepted beacon (booked in
 *   the bucket in which the unit was issued, so that both belong to one stratum)
 * - `exposed`: units with a triggered exposure; `err`: of those, units with an uncaught error; `conv:<name>`: of those,
 *   units that converted (booked in the bucket of the unit's first exposure)
 * - `u:<metric>`: units with at least one observation of the metric
 * - `views`, `starts`, `ends`: triggered page views; those with a start message; those with an end message
 * - `errViews`: triggered page views with an uncaught error
 */
export type Counts = { readonly [name: string]: number };

/** All that is stored of one (bucket, rollout, stage epoch, arm). Addition is exact and in any order. */
export interface Cell {
  readonly counts: Counts;
  readonly metrics: { readonly [metric: string]: Observations };
}

/** Evidence arms: the holdback is part of control. */
export type EvidenceArm = 'treatment' | 'control';

/** The holdback is part of control; `rest` is never compared, so nothing is kept of it. */
export const evidenceArm: { readonly [arm in Arm]: EvidenceArm | null } = {
  rest: null,
  treatment: 'treatment',
  control: 'control',
  holdback: 'control',
};

/** Strata keep comparisons fair: same stage epoch, same UTC hour of the event. */
export interface Stratum {
  readonly epoch: number;
  readonly stage: number;
  /** Start of the UTC hour, epoch ms. */
  readonly hour: number;
  readonly treatment: Cell;
  readonly control: Cell;
  /** Counters of the buckets that are older than the reader's `matureBefore`; for silence. */
  readonly mature: { readonly [arm in EvidenceArm]: { readonly issued: number; readonly seen: number } };
  /**
   * Per conversion name: units whose first exposure is longer ago than the conversion's maturity, and how many of them
   * converted. Younger units have not had their chance yet, and an arm that has just grown is full of them.
   */
  readonly converted: { readonly [arm in EvidenceArm]: { readonly [name: string]: Trials } };
}

export interface Trials {
  readonly n: number;
  readonly x: number;
}

/**
 * Exact sums over the units of one arm, of page views N_u and a value Y_u per unit (stats.md §4): from them the variance
 * of what page views of one unit have in common. Additive over writers, for every unit belongs to one row.
 */
export interface UnitSums {
  /** Units with at least one page view of the metric, their page views, and the sum of squares of those. */
  readonly k: number;
  readonly n: number;
  readonly nn: number;
  readonly bad1: Clustered;
  readonly bad2: Clustered;
  /** Of histogram bins: the log mean in bucket steps. */
  readonly bins: Clustered;
}

export interface Clustered {
  readonly y: number;
  readonly yy: number;
  readonly yn: number;
}

/** Who an arm's beacons come from, in the last 24 hours: a kill that one network could have made up is not believed. */
export interface Concentration {
  /** Distinct exposure tokens, and distinct networks (/24 or /48), counted up to some hundred. */
  readonly tokens: number;
  readonly networks: number;
  /** The network with most page views: its share of the arm's, and what it alone reported. */
  readonly heaviest: {
    readonly share: number;
    readonly parts: readonly { readonly epoch: number; readonly hour: number; readonly cell: Cell }[];
  } | null;
}

/** One value of one dimension: hourly strata of the units that have it. `mature` and `converted` are not kept there. */
export interface Segment {
  readonly dimension: string;
  readonly value: string;
  readonly strata: readonly Stratum[];
}

/** One of 64 shards of units: the cluster from which variances are estimated (stats.md §4). */
export interface Shard {
  readonly n: number;
  readonly sum: number;
  readonly sumSq: number;
  readonly bad1: number;
  readonly bad2: number;
  /** Sum of histogram bins: the log mean in bucket steps. */
  readonly sumBin: number;
}
/** Length 64, or empty when the metric has no data. */
export type Shards = readonly Shard[];

/** Everything the judge reads in one look. Canonical JSON of it is hashed into the decision. */
export interface Evidence {
  /** Wall ms of the look. */
  readonly asOf: number;
  /** Width of a bucket, ms: 60 000 outside demos and tests. */
  readonly bucketMs: number;
  /** Oldest first, all epochs from the rollout's `evidenceFrom` on. */
  readonly strata: readonly Stratum[];
  /** Over the same epochs: metric -> arm -> 64 shards. */
  readonly shards: { readonly [metric: string]: { readonly [arm in EvidenceArm]: Shards } };
  /** Over the same epochs: metric -> arm -> sums over units. Metrics without data are left out. */
  readonly units: { readonly [metric: string]: { readonly [arm in EvidenceArm]: UnitSums } };
  /**
   * Counters per shard of units (64), over the same epochs: of units `exposed`, `err`, `issued`, `seen`, `conv:<name>`, of
   * their page views `views`, `errViews`, `starts`, `ends`.
   */
  readonly shardCounts: { readonly [count: string]: { readonly [arm in EvidenceArm]: readonly number[] } };
  /** Null where beacons cannot be forged: a simulation's own. */
  readonly concentration: { readonly [arm in EvidenceArm]: Concentration } | null;
  /** Read when somebody needs to know where; empty otherwise. */
  readonly segments: readonly Segment[];
  /** Receive time of the newest accepted beacon of the present epoch, epoch ms. */
  readonly newest: { readonly [arm in EvidenceArm]: number | null };
  /** Messages of the last 15 minutes, over the whole ingest. */
  readonly ingest: {
    readonly accepted: number;
    readonly invalid: number;
    readonly duplicate: number;
    readonly late: number;
  };
  /** Share of units that beacons report in another arm than the token's, 0..1; 0 unless telemetry is broken. */
  readonly crossover: number;
}
