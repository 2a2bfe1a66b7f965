import type {
  Cell,
  Concentration,
  Evidence,
  EvidenceArm,
  Observations,
  Shard,
  Stratum,
} from '../../../src/domain/evidence.ts';
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

/** One unit with its page views, for evidence that knows who it comes from. */
export interface Unit {
  readonly shard: number;
  readonly network: number;
  readonly browser: string;
  readonly errs: boolean;
  readonly lcp: readonly number[];
}

/** A unit in a random shard, of one of 80 networks, the first of them the largest, on one of four browsers. */
export function aUnit(random: () => number, about: Partial<Unit> = {}): Unit {
  const browsers = ['chrome', 'chrome', 'chrome', 'safari', 'safari', 'firefox', 'edge', 'edge'];
  return {
    shard: Math.floor(64 * random()),
    network: Math.floor(80 * random() ** 1.2),
    browser: browsers[Math.floor(8 * random())] ?? 'other',
    errs: random() < 0.01,
    lcp: about.lcp ?? loads(1, random),
    ...about,
  };
}

type PerArm<T> = { readonly [arm in EvidenceArm]: T };

function visitsOf(units: readonly Unit[]): Visits {
  return {
    units: units.length,
    errors: units.filter(({ errs }) => errs).length,
    vitals: { LCP: units.flatMap(({ lcp }) => lcp) },
  };
}

/** Evidence of one hour of these units: strata, segments by browser, shards, and who it comes from. */
export function evidenceFrom({ treatment, control }: PerArm<readonly Unit[]>): Evidence {
  const stratumOf = (of: (unit: Unit) => boolean): Stratum =>
    aStratum({ treatment: visitsOf(treatment.filter(of)), control: visitsOf(control.filter(of)) });
  const browsers = [...new Set([...treatment, ...control].map(({ browser }) => browser))];
  const counts = (count: (unit: Unit) => boolean): PerArm<number[]> => {
    const of = (units: readonly Unit[]): number[] => {
      const shards = Array.from({ length: 64 }, () => 0);
      for (const unit of units) if (count(unit)) shards[unit.shard] = (shards[unit.shard] ?? 0) + 1;
      return shards;
    };
    return { treatment: of(treatment), control: of(control) };
  };
  const all = counts(() => true);
  return anEvidence([stratumOf(() => true)], 2 * hour, {
    segments: browsers.map((value) => ({
      dimension: 'browser',
      value,
      strata: [stratumOf(({ browser }) => browser === value)],
    })),
    shards: { LCP: { treatment: shardsFrom(treatment), control: shardsFrom(control) } },
    shardCounts: { issued: all, seen: all, exposed: all, err: counts(({ errs }) => errs) },
    concentration: { treatment: concentrationFrom(treatment), control: concentrationFrom(control) },
  });
}

function shardsFrom(units: readonly Unit[]): Shard[] {
  const values = Array.from({ length: 64 }, (): number[] => []);
  for (const { shard, lcp } of units) values[shard]?.push(...lcp);
  return values.map((own) => {
    const { n, sum, bad1, bad2 } = observations('LCP', own);
    const sumSq = own.reduce((total, value) => total + value ** 2, 0);
    return { n, sum, sumSq, bad1, bad2, sumBin: own.reduce((total, value) => total + binOf(value), 0) };
  });
}

function concentrationFrom(units: readonly Unit[]): Concentration {
  const views = new Map<number, number>();
  for (const { network, lcp } of units) views.set(network, (views.get(network) ?? 0) + Math.max(1, lcp.length));
  const [heaviest] = [...views].toSorted(([, a], [, b]) => b - a);
  const tokens = Math.min(100, units.length);
  if (heaviest === undefined) return { tokens, networks: 0, heaviest: null };
  const [network, own] = heaviest;
  const { counts, metrics: observed } = cellOf(visitsOf(units.filter((unit) => unit.network === network)));
  const cell = { counts: { ...counts, views: own }, metrics: observed };
  const total = [...views.values()].reduce((sum, n) => sum + n, 0);
  return { tokens, networks: views.size, heaviest: { share: own / total, parts: [{ epoch: 1, hour: monday, cell }] } };
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
