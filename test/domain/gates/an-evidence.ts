import type { Cell, Evidence, Observations, Stratum } from '../../../src/domain/evidence.ts';
import { readGates } from '../../../src/domain/gates/read.ts';
import { addTo, binOf, type HistogramBuilder, histogramOf } from '../../../src/domain/histogram.ts';
import { metrics } from '../../../src/domain/metrics.ts';
import { builtinSignals, quantiles, type Vital } from '../../../src/domain/signal.ts';
import { aPlan, aPolicy, aRollout, at, hour, monday } from '../../support/a-rollout.ts';

/** Mulberry32: chance that a test can repeat. */
export function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Log-normal page views: median 2 s, sigma 0.5, times `slower`. */
export function loads(n: number, random: () => number, slower = 1): number[] {
  return Array.from({ length: n }, () => {
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    return Math.round(2000 * slower * Math.exp(0.5 * normal));
  });
}

/** What the units of one arm went through in one stratum. */
export interface Visits {
  readonly units: number;
  readonly errors?: number;
  readonly silent?: number;
  readonly vitals?: { readonly [metric in Vital]?: readonly number[] };
  readonly conversions?: number;
}

function observations(metric: Vital, values: readonly number[]): Observations {
  const { winsor, bad1, bad2 } = metrics[metric];
  const builder: HistogramBuilder = new Map();
  for (const value of values) addTo(builder, binOf(value), 1);
  const capped = values.map((value) => Math.min(value, winsor));
  return {
    n: values.length,
    sum: capped.reduce((sum, value) => sum + value, 0),
    sumLn: capped.reduce((sum, value) => sum + Math.log(Math.max(1, value)), 0),
    bad1: values.filter((value) => value > bad1).length,
    bad2: values.filter((value) => value > bad2).length,
    hist: histogramOf(builder),
  };
}

function cellOf({ units, errors = 0, silent = 0, vitals = {}, conversions = 0 }: Visits): Cell {
  const heard = units - silent;
  const counts: Record<string, number> = {
    issued: units,
    seen: heard,
    exposed: heard,
    err: errors,
    'conv:buy': conversions,
  };
  const cells: Record<string, Observations> = {};
  for (const metric of ['LCP', 'INP', 'CLS', 'FCP', 'TTFB'] as const) {
    const values = vitals[metric];
    if (values === undefined || values.length === 0) continue;
    counts[`u:${metric}`] = Math.min(heard, values.length);
    cells[metric] = observations(metric, values);
  }
  return { counts, metrics: cells };
}

const nobody: Visits = { units: 0 };

export function aStratum(of: {
  readonly epoch?: number;
  readonly stage?: number;
  readonly hour?: number;
  readonly treatment?: Visits;
  readonly control?: Visits;
}): Stratum {
  const { epoch = 1, stage = 0, hour: index = 0, treatment = nobody, control = nobody } = of;
  const mature = ({ units, silent = 0 }: Visits) => ({ issued: units, seen: units - silent });
  const converted = ({ units, silent = 0, conversions = 0 }: Visits) => ({
    buy: { n: units - silent, x: conversions },
  });
  return {
    epoch,
    stage,
    hour: monday + index * hour,
    treatment: cellOf(treatment),
    control: cellOf(control),
    mature: { treatment: mature(treatment), control: mature(control) },
    converted: { treatment: converted(treatment), control: converted(control) },
  };
}

/** Evidence of a look `after` ms past Monday morning, fresh and clean unless told otherwise. */
export function anEvidence(strata: readonly Stratum[], after = hour, about: Partial<Evidence> = {}): Evidence {
  const asOf = monday + after;
  return {
    asOf,
    bucketMs: 60_000,
    strata,
    shards: {},
    units: {},
    shardCounts: {},
    concentration: null,
    segments: [],
    newest: { treatment: asOf, control: asOf },
    ingest: { accepted: 1000, invalid: 0, duplicate: 0, late: 0 },
    crossover: 0,
    ...about,
  };
}

/** Frozen bins of what `loads` makes. */
export const lcpReference = {
  bins: quantiles.map((q) => {
    const sorted = loads(20_000, chance(99)).toSorted((a, b) => a - b);
    return binOf(sorted[Math.floor(q * sorted.length)] ?? 0);
  }),
  since: monday,
};

type ReadInput = Parameters<typeof readGates>[0];

/** One full look at a rollout in epoch 1 of stage 0, with what the test is about in place of the defaults. */
export function look(evidence: Evidence, about: Partial<ReadInput> = {}) {
  const plan = aPlan();
  const rollout = aRollout({ of: plan, state: { epoch: 1 }, references: { LCP: lcpReference } });
  const looked = readGates({
    evidence,
    policy: aPolicy(),
    signals: builtinSignals,
    plan,
    rollout,
    look: 'full',
    detail: true,
    now: at(),
    ...about,
  });
  const reading = (gate: string) => {
    const found = looked.readings.find((each) => each.gate === gate);
    if (found === undefined) throw new Error(`no reading of ${gate}`);
    return found;
  };
  return { ...looked, reading };
}
