import type { Evidence, Shards } from '../evidence.ts';
import { binOf, estimateOf, lnGamma } from '../histogram.ts';
import { metrics } from '../metrics.ts';
import type { Test } from '../policy.ts';
import type { Rollout } from '../rollout.ts';
import type { Signal, Vital } from '../signal.ts';
import { latencyArm, shiftAbove, shiftBelow } from '../stats/latency.ts';
import { binOfQuantile } from './latency.ts';
import { proportionScales } from './proportion.ts';
import { differenceOf, exceeding, logMeans, type ProportionSource, proportionOf, vitalTotals } from './sums.ts';
import type { Summand, View } from './view.ts';

/** About 5 % of the 64 shards of units. */
const droppedShards = 3;

export interface Trimmable {
  readonly evidence: Pick<Evidence, 'shards' | 'shardCounts'>;
  readonly signal: Signal;
  readonly references: Rollout['references'];
  /** The strata in which the gate breaches, those whose numbers are shown. */
  readonly view: View;
}

/**
 * Leaves out the treatment's shards of units with the most excess over the arm's own mean. What that does to the arm's
 * share is a factor on the estimate of the view, which stays stratified; shards are kept over all epochs, so it is one
 * factor for any view. Null where nothing is kept by shards.
 */
export function trimmingOf(of: Trimmable): Trimming | null {
  const { source } = of.signal.spec;
  return source.event === 'web_vital' ? vitalTrimming(of, source.field) : shareTrimming(of, source);
}

/** What the arm's events come to without its worst shards. */
interface Trimmed {
  /** Trimmed share (or mean) over the whole one; null where nothing is left. */
  readonly factor: number | null;
  /** Trimmed mean minus the whole one. */
  readonly shift: number;
  /** Of all observations and of all events, what the dropped shards have. */
  readonly dropped: { readonly n: number; readonly y: number };
}

/** Drops the shards with the most excess over the arm's own mean; `sign` -1: with the most missing. */
function trim(shards: readonly { readonly n: number; readonly y: number }[], sign: 1 | -1): Trimmed {
  const sum = (of: readonly { readonly n: number; readonly y: number }[]) =>
    of.reduce((all, { n, y }) => ({ n: all.n + n, y: all.y + y }), { n: 0, y: 0 });
  const whole = sum(shards);
  const mean = whole.n === 0 ? 0 : whole.y / whole.n;
  const excess = ({ n, y }: { readonly n: number; readonly y: number }): number => sign * (y - n * mean);
  const kept = sum(shards.toSorted((a, b) => excess(b) - excess(a)).slice(droppedShards));
  const share = (part: number, of: number): number => (of === 0 ? 0 : (of - part) / of);
  const dropped = { n: share(kept.n, whole.n), y: share(kept.y, whole.y) };
  if (kept.n === 0) return { factor: null, shift: 0, dropped };
  const rest = kept.y / kept.n;
  return { factor: mean === 0 ? 1 : rest / mean, shift: rest - mean, dropped };
}

export type MarginTest = Exclude<Test, { type: 'non_inferior' }>;

/** A breach as it is without the shards that have the most excess. */
export interface Trimming {
  readonly shards: number;
  readonly droppedShards: number;
  /** What is counted. */
  readonly of: string;
  /** Share of all that is counted, and of the events among it, that the dropped shards have. */
  readonly dropped: { readonly n: number; readonly y: number | null };
  /** Whether what is left is still beyond the limit of a test, by the estimate. */
  isBeyond(test: MarginTest): boolean;
}

const signOf = ({ spec }: Signal): 1 | -1 => (spec.direction === 'lower_is_better' ? 1 : -1);

/** Events of trials, each the sum of counters that are added, less those that are subtracted. */
function shardsOf(
  evidence: Trimmable['evidence'],
  signal: Signal,
  source: ProportionSource,
): { n: number; y: number }[] | null {
  const of = (name: string): readonly number[] | null => evidence.shardCounts[name]?.treatment ?? null;
  const [trials, events, less] = countersOf(signal, source).map(of);
  if (trials == null || events == null || trials.length === 0) return null;
  return trials.map((n, i) => ({ n, y: (events[i] ?? 0) - (less?.[i] ?? 0) }));
}

function countersOf({ spec: { analysisUnit } }: Signal, source: ProportionSource): string[] {
  switch (source.event) {
    case 'error':
      return analysisUnit === 'pageview' ? ['views', 'errViews'] : ['exposed', 'err'];
    case 'silence':
      return ['issued', 'issued', 'seen'];
    case 'end':
      return ['starts', 'ends'];
    case 'conversion':
      return ['exposed', `conv:${source.field}`];
  }
}

function shareTrimming({ evidence, signal, view }: Trimmable, source: ProportionSource): Trimming | null {
  const shards = shardsOf(evidence, signal, source);
  if (shards === null) return null;
  const sign = signOf(signal);
  const { factor, dropped } = trim(shards, sign);
  const { xt, nt, ratio } = proportionOf(view, source);
  const share = nt === 0 ? 0 : xt / nt;
  const difference = proportionScales(view, source, 1).difference.estimate() ?? 0;
  return {
    shards: shards.length,
    droppedShards,
    of: signal.spec.analysisUnit === 'pageview' ? 'page views' : 'units',
    dropped,
    isBeyond(test) {
      if (factor === null) return false;
      switch (test.type) {
        case 'absolute':
          return isOutside(share * factor, test);
        case 'difference':
          return sign * (difference - share * (1 - factor)) > test.margin;
        case 'relative':
          // No event in control: any that is left with the flag is infinitely more.
          return sign * ((ratio ?? (xt > 0 ? Number.POSITIVE_INFINITY : 1)) * factor - 1) > test.margin;
      }
    },
  };
}

function isOutside(value: number, { max, min }: Extract<MarginTest, { type: 'absolute' }>): boolean {
  return (max !== null && value > max) || (min !== null && value < min);
}

/**
 * Shards keep no histogram, but page views beyond two thresholds and the log mean. The breach outlives the trimming when
 * it is beyond the limit by any of the three, for it may lie in the tail alone.
 */
function vitalTrimming({ evidence, signal, references, view }: Trimmable, metric: Vital): Trimming | null {
  const shards = evidence.shards[metric]?.treatment ?? [];
  if (shards.length === 0) return null;
  const sign = signOf(signal);
  const reference = references[metric];
  const ratioOf = (test: Exclude<MarginTest, { type: 'absolute' }>): number => {
    if (test.type === 'relative' || reference === undefined) return Math.max(0.01, 1 + sign * test.margin);
    const usual = estimateOf(binOfQuantile(signal.spec.statistic.q ?? 0.75, reference)) / metrics[metric].scale;
    return Math.max(0.01, 1 + (sign * test.margin) / usual);
  };
  return {
    shards: shards.length,
    droppedShards,
    of: 'page views',
    dropped: { n: trim(binsOf(shards), sign).dropped.n, y: null },
    isBeyond: (test) =>
      test.type === 'absolute'
        ? isBeyondLimit(view, shards, metric, signal.spec.statistic.q, test)
        : isBeyondRatio(view, shards, metric, sign, ratioOf(test)),
  };
}

const binsOf = (shards: Shards) => shards.map(({ n, sumBin }) => ({ n, y: sumBin }));
const counters = ['bad1', 'bad2'] as const;
const beyondOf = (shards: Shards, counter: (typeof counters)[number]) =>
  shards.map((shard) => ({ n: shard.n, y: shard[counter] }));

function isBeyondRatio(view: View, shards: Shards, metric: Vital, sign: 1 | -1, ratio: number): boolean {
  const byCounter = counters.some((counter) => {
    const { factor } = trim(beyondOf(shards, counter), sign);
    const bin = binOf(metrics[metric][counter]);
    const shift = sign > 0 ? shiftAbove(bin, ratio, lnGamma) : shiftBelow(ratio, lnGamma);
    const [treatment = 0, control = 0] = view.sum(sidesOf(metric, bin, bin - shift));
    return factor !== null && sign * (treatment * factor - control) > 0;
  });
  // CLS is 0 in most page views: its log mean says nothing.
  return byCounter || (metric !== 'CLS' && isMeanBeyond(view, shards, metric, sign, ratio));
}

function isMeanBeyond(view: View, shards: Shards, metric: Vital, sign: 1 | -1, ratio: number): boolean {
  const { factor, shift } = trim(binsOf(shards), sign);
  const mean = differenceOf(view.sum(logMeans(metric)), 0, 1, 1);
  return factor !== null && mean !== null && sign * (mean.estimate + shift * lnGamma - Math.log(ratio)) > 0;
}

/** Page views above a bin, of the treatment and of control, each as it would be expected of the other's number. */
function sidesOf(metric: Vital, treatmentBin: number, controlBin: number): Summand {
  return {
    size: 2,
    add(sums, { treatment, control }) {
      const t = treatment.metrics[metric];
      const c = control.metrics[metric];
      if (t === undefined || c === undefined || t.n + c.n === 0) return;
      sums[0] = (sums[0] ?? 0) + (latencyArm(t).above(treatmentBin) * c.n) / (t.n + c.n);
      sums[1] = (sums[1] ?? 0) + (latencyArm(c).above(controlBin) * t.n) / (t.n + c.n);
    },
  };
}

/** The treatment's quantile (or mean) against a limit of its own; trimmed by the counter next to the limit. */
function isBeyondLimit(
  view: View,
  shards: Shards,
  metric: Vital,
  q: number | undefined,
  test: Extract<MarginTest, { type: 'absolute' }>,
): boolean {
  const { scale, bad1, bad2 } = metrics[metric];
  const side = (limit: number | null, sign: 1 | -1): boolean => {
    if (limit === null) return false;
    if (q === undefined) {
      const { factor } = trim(
        shards.map(({ n, sum }) => ({ n, y: sum })),
        sign,
      );
      const [sum, n] = [shards.reduce((all, each) => all + each.sum, 0), shards.reduce((all, each) => all + each.n, 0)];
      return factor !== null && sign * ((sum / n) * factor - limit * scale) > 0;
    }
    const far = (threshold: number): number => Math.abs(Math.log(threshold / (limit * scale)));
    const { factor } = trim(beyondOf(shards, far(bad1) <= far(bad2) ? 'bad1' : 'bad2'), sign);
    const { n } = vitalTotals(view, metric).treatment;
    const above = view.sum(exceeding(metric, binOf(limit * scale), 'treatment'))[0] ?? 0;
    return factor !== null && n > 0 && sign * ((above / n) * factor - (1 - q)) > 0;
  };
  return side(test.max, 1) || side(test.min, -1);
}
