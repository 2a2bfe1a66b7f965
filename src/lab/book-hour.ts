import type { Cell, EvidenceArm, Observations, Stratum, Trials } from '../domain/evidence.ts';
import { type Histogram, lastBin } from '../domain/histogram.ts';
import { vitals } from '../domain/signal.ts';
import { lnStep } from '../ingest/cell.ts';
import { binValues } from './bin-values.ts';

/** Names of a book's counters, in the order in which a cell lists them, and where each one is kept. */
export interface Counters {
  readonly names: readonly string[];
  readonly at: { readonly [name in FixedCounter]: number };
  /** By index into `vitals`. */
  readonly units: readonly number[];
  /** By index into the book's conversions. */
  readonly converted: readonly number[];
}

const fixed = ['issued', 'seen', 'exposed', 'err', 'errViews', 'views', 'starts', 'ends', 'crossed'] as const;
type FixedCounter = (typeof fixed)[number];

export function countersOf(conversions: readonly string[]): Counters {
  const units = vitals.map((vital) => `u:${vital}`);
  const converted = conversions.map((name) => `conv:${name}`);
  const names = [...fixed, ...units, ...converted].sort();
  const at = (name: string): number => names.indexOf(name);
  return {
    names,
    at: {
      issued: at('issued'),
      seen: at('seen'),
      exposed: at('exposed'),
      err: at('err'),
      errViews: at('errViews'),
      views: at('views'),
      starts: at('starts'),
      ends: at('ends'),
      crossed: at('crossed'),
    },
    units: units.map(at),
    converted: converted.map(at),
  };
}

/** What is added up of one metric in one hour and arm. */
export interface HourMetric {
  n: number;
  sum: number;
  lnSteps: number;
  bad1: number;
  bad2: number;
  readonly bins: Int32Array;
  /** Range of the bins that are not empty. */
  lowest: number;
  highest: number;
  /** Pairs of the newest histogram, kept so that a bin that did not move costs nothing. */
  readonly pairs: (readonly [bin: number, count: number] | undefined)[];
  observations: Observations | null;
}

/** What has not been waited for yet: units of one bucket, by when they were issued or first exposed. */
interface Young {
  readonly start: number;
  issued: number;
  seen: number;
  exposed: number;
  readonly converted: number[];
  silent: boolean;
  readonly waits: boolean[];
}

export interface HourArm {
  readonly counts: Float64Array;
  readonly metrics: (HourMetric | null)[];
  readonly young: Map<number, Young>;
  /** The one that was booked last: mostly the next one as well. */
  newest: Young | null;
  readonly mature: { issued: number; seen: number };
  readonly trials: { n: number; x: number }[];
  cell: Cell | null;
}

/** One stratum while it is being added to. Its evidence is kept until something in it changes. */
export interface Hour {
  readonly epoch: number;
  readonly stage: number;
  readonly hour: number;
  /** Of the hours of a book, in the order in which they began. */
  readonly index: number;
  readonly treatment: HourArm;
  readonly control: HourArm;
  stratum: Stratum | null;
}

export function newHour(of: Pick<Hour, 'epoch' | 'stage' | 'hour' | 'index'>, counters: Counters): Hour {
  return { ...of, treatment: newArm(counters), control: newArm(counters), stratum: null };
}

export function newArm(counters: Counters): HourArm {
  return {
    counts: new Float64Array(counters.names.length),
    metrics: vitals.map(() => null),
    young: new Map(),
    newest: null,
    mature: { issued: 0, seen: 0 },
    trials: counters.converted.map(() => ({ n: 0, x: 0 })),
    cell: null,
  };
}

export function count(arm: HourArm, at: number, by: number): void {
  arm.counts[at] = (arm.counts[at] ?? 0) + by;
  arm.cell = null;
}

export function metricOf(arm: HourArm, index: number): HourMetric {
  const known = arm.metrics[index];
  if (known != null) return known;
  const fresh: HourMetric = {
    n: 0,
    sum: 0,
    lnSteps: 0,
    bad1: 0,
    bad2: 0,
    bins: new Int32Array(lastBin + 1),
    lowest: lastBin,
    highest: 0,
    pairs: new Array(lastBin + 1),
    observations: null,
  };
  arm.metrics[index] = fresh;
  return fresh;
}

function youngOf(arm: HourArm, start: number): Young {
  if (arm.newest?.start === start) return arm.newest;
  const known = arm.young.get(start);
  if (known !== undefined) {
    arm.newest = known;
    return known;
  }
  const waits = arm.trials.map(() => true);
  const fresh: Young = { start, issued: 0, seen: 0, exposed: 0, converted: waits.map(() => 0), silent: true, waits };
  arm.young.set(start, fresh);
  arm.newest = fresh;
  return fresh;
}

/** Books a unit that was issued, in the bucket of its issue. */
export function awaitBeacon(arm: HourArm, start: number): void {
  const young = youngOf(arm, start);
  if (young.silent) young.issued += 1;
  else arm.mature.issued += 1;
}

/** Books a unit that was heard of, in the bucket of its issue. */
export function endSilence(arm: HourArm, start: number): void {
  const young = youngOf(arm, start);
  if (young.silent) young.seen += 1;
  else arm.mature.seen += 1;
}

/** Books a unit that was issued, heard of and exposed in one bucket. */
export function awaitUnit(arm: HourArm, start: number): void {
  const young = youngOf(arm, start);
  const of = young.silent ? young : arm.mature;
  of.issued += 1;
  of.seen += 1;
  addTrial(arm, young);
}

/** Books a unit in the bucket of its first exposure; it is a trial once it is old enough. */
export function awaitTrial(arm: HourArm, start: number): void {
  addTrial(arm, youngOf(arm, start));
}

function addTrial(arm: HourArm, young: Young): void {
  young.exposed += 1;
  for (let i = 0; i < arm.trials.length; i++) {
    const trials = arm.trials[i];
    if (young.waits[i] !== true && trials !== undefined) trials.n += 1;
  }
}

/** Books a conversion that came in time, in the bucket of its unit's first exposure. */
export function awaitConversion(arm: HourArm, start: number, conversion: number): void {
  const young = youngOf(arm, start);
  const trials = arm.trials[conversion];
  if (young.waits[conversion] === true) young.converted[conversion] = (young.converted[conversion] ?? 0) + 1;
  else if (trials !== undefined) trials.x += 1;
}

/** Counts the buckets that are old enough by now. Answers whether that changed anything. */
export function ripen(arm: HourArm, bucketMs: number, matureBefore: number, ripeBefore: readonly number[]): boolean {
  let changed = false;
  if (arm.young.size === 0) return changed;
  for (const young of arm.young.values()) {
    const { start } = young;
    if (young.silent && start + bucketMs <= matureBefore) {
      young.silent = false;
      arm.mature.issued += young.issued;
      arm.mature.seen += young.seen;
      changed = true;
    }
    for (let i = 0; i < arm.trials.length; i++) {
      const trials = arm.trials[i];
      if (young.waits[i] !== true || trials === undefined || start + bucketMs > (ripeBefore[i] ?? 0)) continue;
      young.waits[i] = false;
      trials.n += young.exposed;
      trials.x += young.converted[i] ?? 0;
      changed = true;
    }
    if (young.silent || young.waits.includes(true)) continue;
    arm.young.delete(start);
    if (arm.newest === young) arm.newest = null;
  }
  return changed;
}

/** The hour as the judge reads it: the very same object until something changes. */
export function stratumOf(hour: Hour, counters: Counters, conversions: readonly string[]): Stratum {
  if (hour.stratum !== null && hour.treatment.cell !== null && hour.control.cell !== null) return hour.stratum;
  const trials = (arm: HourArm): { [name: string]: Trials } =>
    Object.fromEntries(conversions.map((name, i) => [name, { n: 0, x: 0, ...arm.trials[i] }]));
  hour.stratum = {
    epoch: hour.epoch,
    stage: hour.stage,
    hour: hour.hour,
    treatment: cellOf(hour.treatment, counters),
    control: cellOf(hour.control, counters),
    mature: { treatment: { ...hour.treatment.mature }, control: { ...hour.control.mature } },
    converted: { treatment: trials(hour.treatment), control: trials(hour.control) },
  };
  return hour.stratum;
}

export function cellOf(arm: HourArm, { names }: Counters): Cell {
  if (arm.cell !== null) return arm.cell;
  const counts: { [name: string]: number } = {};
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    const n = arm.counts[i];
    if (name !== undefined && n) counts[name] = n;
  }
  const metrics: { [metric: string]: Observations } = {};
  for (let i = 0; i < binValues.length; i++) {
    const vital = binValues[i]?.vital;
    const sums = arm.metrics[i];
    if (vital !== undefined && sums != null && sums.n > 0) metrics[vital] = observationsOf(sums);
  }
  arm.cell = { counts, metrics };
  return arm.cell;
}

function observationsOf(sums: HourMetric): Observations {
  sums.observations ??= {
    n: sums.n,
    sum: sums.sum,
    sumLn: sums.lnSteps * lnStep,
    bad1: sums.bad1,
    bad2: sums.bad2,
    hist: sparse(sums),
  };
  return sums.observations;
}

/** Books one page view. */
export function addBin(to: HourMetric, bin: number): void {
  to.bins[bin] = (to.bins[bin] ?? 0) + 1;
  if (bin < to.lowest) to.lowest = bin;
  if (bin > to.highest) to.highest = bin;
}

function sparse({ bins, pairs, lowest, highest }: HourMetric): Histogram {
  const histogram: (readonly [number, number])[] = [];
  for (let bin = lowest; bin <= highest; bin++) {
    const n = bins[bin];
    if (!n) continue;
    const known = pairs[bin];
    const pair = known !== undefined && known[1] === n ? known : ([bin, n] as const);
    pairs[bin] = pair;
    histogram.push(pair);
  }
  return histogram;
}

export const evidenceArms: readonly EvidenceArm[] = ['treatment', 'control'];
