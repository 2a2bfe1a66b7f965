import type { Stratum } from '../evidence.ts';
import { binOf, edgeOf, estimateOf, lastBin, lnGamma, merge, quantile } from '../histogram.ts';
import { metrics } from '../metrics.ts';
import type { Reference } from '../rollout.ts';
import { quantiles, type Vital } from '../signal.ts';
import { shareLogE } from '../stats/counts.ts';
import { exceedanceScore } from '../stats/exceedance.ts';
import { largestWhere } from '../stats/invert.ts';
import {
  exceedanceTables,
  fasterLogE,
  type LatencyArm,
  type LatencyMix,
  type LatencyNoise,
  type LatencyStratum,
  latencyArm,
  shiftAbove,
  slowerLogE,
} from '../stats/latency.ts';
import type { Scale, Scales } from './scale.ts';

export type Quantile = (typeof quantiles)[number];

const nothing: LatencyArm = latencyArm({ n: 0, sumLn: 0, hist: [] });

export function latencyStrata(strata: readonly Stratum[], metric: Vital): LatencyStratum[] {
  return strata.map(({ treatment, control }) => ({
    treatment: treatment.metrics[metric] === undefined ? nothing : latencyArm(treatment.metrics[metric]),
    control: control.metrics[metric] === undefined ? nothing : latencyArm(control.metrics[metric]),
  }));
}

/** Quantile of one arm over the strata, in the metric's own unit (ms, plain CLS); null when there is nothing. */
export function quantileIn(strata: readonly Stratum[], arm: 'treatment' | 'control', metric: Vital, q: number) {
  const value = quantile(merge(strata.map((stratum) => stratum[arm].metrics[metric]?.hist ?? [])), q);
  return value === null ? null : value / metrics[metric].scale;
}

/** A gate on the 75th percentile also hears the rest of the distribution (stats.md §6); any other is about itself. */
const vectorOf75: { readonly [q in Quantile]: number } = {
  0.5: 0.05,
  0.75: 0.4,
  0.9: 0.1,
  0.95: 0.1,
  0.99: 0.05,
};
const meanOf75 = 0.3;

/** Fixed shares. CLS is 0 in most page views, and a mean of logarithms at the clamp says nothing: it has none. */
export function mixOf(metric: Vital, q: Quantile, reference: Reference): LatencyMix {
  const bins = quantiles.map((each, i) => ({ q: each, bin: reference.bins[i] ?? 0 }));
  if (q !== 0.75) return pureMix(q, reference);
  const logMean = metric === 'CLS' ? 0 : meanOf75;
  const scaleUp = 1 / (1 - meanOf75 + logMean);
  return { quantiles: bins.map((each) => ({ ...each, weight: vectorOf75[each.q] * scaleUp })), logMean };
}

export function pureMix(q: Quantile, reference: Reference): LatencyMix {
  return { quantiles: [{ q, bin: binOfQuantile(q, reference), weight: 1 }], logMean: 0 };
}

/** Frozen bin of one quantile. Throws RangeError when the stored reference lacks it. */
export function binOfQuantile(q: Quantile, reference: Reference): number {
  const bin = reference.bins[quantiles.indexOf(q)];
  if (bin === undefined) throw new RangeError(`no reference is kept of the ${q} quantile`);
  return bin;
}

export interface LatencyQuestion {
  readonly metric: Vital;
  readonly q: Quantile;
  readonly reference: Reference;
  readonly mix: LatencyMix;
  readonly noise: LatencyNoise;
}

/** One quantile of a web vital, seen from all sides. */
export function latencyScales(strata: readonly LatencyStratum[], question: LatencyQuestion): Scales {
  const { metric, q, mix, noise } = question;
  const bin = binOfQuantile(q, question.reference);
  const ratio: Scale = {
    estimate: estimatedRatio(strata, bin),
    above: (limit) => (limit <= -1 ? 0 : slowerLogE(strata, mix, noise, 1 + limit, lnGamma)),
    below: (limit) => (limit <= -1 ? 0 : fasterLogE(strata, bin, noise.deff, 1 + limit, lnGamma)),
    grid: { from: -120, to: 120, limitAt: (step) => Math.exp(step * lnGamma) - 1 },
  };
  const reference = estimateOf(bin) / metrics[metric].scale;
  return {
    absolute: absoluteQuantile(
      strata.map(({ treatment }) => treatment),
      metric,
      q,
      noise.deff,
    ),
    difference: differenceOf(ratio, reference, (limit) =>
      slowerLogE(strata, pureMix(q, question.reference), noise, 1 + limit / reference, lnGamma),
    ),
    relative: ratio,
  };
}

/** The margin in the signal's unit is a ratio of the frozen reference; about this quantile alone. */
function differenceOf(ratio: Scale, reference: number, above: Scale['above']): Scale {
  return {
    estimate: ratio.estimate === null ? null : ratio.estimate * reference,
    above: (limit) => (limit <= -reference ? 0 : above(limit)),
    below: (limit) => ratio.below(limit / reference),
    grid: { ...ratio.grid, limitAt: (step) => ratio.grid.limitAt(step) * reference },
  };
}

/** Where the stratified score changes its sign (Hodges & Lehmann): the shift that makes the arms look alike. */
function estimatedRatio(strata: readonly LatencyStratum[], bin: number): number | null {
  const both = strata.filter(({ treatment, control }) => treatment.n > 0 && control.n > 0);
  if (both.length === 0) return null;
  const slower = (shift: number) => exceedanceScore(exceedanceTables(both, bin, shift)).u > 0;
  const shift = largestWhere(slower, -120, 120);
  return shift === null ? null : Math.exp((shift + 0.5) * lnGamma) - 1;
}

/** Fewer page views than this say nothing about a quantile. */
const minimumViews = 25;

/** The quantile of one arm alone: at most a share 1 - q of its page views may lie above the limit. */
export function absoluteQuantile(arms: readonly LatencyArm[], metric: Vital, q: number, deff: number): Scale {
  const n = arms.reduce((sum, arm) => sum + arm.n, 0);
  const exceeding = (bin: number): number => arms.reduce((sum, arm) => sum + arm.above(bin), 0);
  const { scale } = metrics[metric];
  const quantileOfArm = largestWhere((bin) => exceeding(bin) > (1 - q) * n, 0, lastBin);
  return {
    estimate: n === 0 ? null : estimateOf((quantileOfArm ?? -1) + 1) / scale,
    above: (limit) => (n < minimumViews ? 0 : shareLogE(exceeding(binOf(limit * scale)), n, 1 - q, deff)),
    below: (limit) => {
      if (n < minimumViews) return 0;
      const bin = binOf(limit * scale);
      // The edge must not lie beyond the limit, or page views past it would count as within.
      const within = edgeOf(bin) <= limit * scale ? bin : bin - 1;
      return shareLogE(n - exceeding(within), n, q, deff);
    },
    grid: { from: 0, to: lastBin, limitAt: (bin) => estimateOf(bin) / scale },
  };
}

/** What a relative margin really is once it is moved to a bin edge, as a share; printed beside the verdict. */
export function effectiveMargin(margin: number, q: Quantile, reference: Reference): number {
  return Math.exp(shiftAbove(binOfQuantile(q, reference), 1 + margin, lnGamma) * lnGamma) - 1;
}
