import type { EvidenceArm } from '../evidence.ts';
import { binOf, edgeOf, estimateOf, lastBin, lnGamma, merge, quantile } from '../histogram.ts';
import { metrics } from '../metrics.ts';
import type { Reference } from '../rollout.ts';
import { quantiles, type Vital } from '../signal.ts';
import { average } from '../stats/combine.ts';
import { shareLogE } from '../stats/counts.ts';
import { exceedanceLogEOf } from '../stats/exceedance.ts';
import { largestWhere } from '../stats/invert.ts';
import { shiftAbove, shiftBelow } from '../stats/latency.ts';
import { logMeanAbove } from '../stats/normal-mixture.ts';
import type { LatencyNoise } from './clusters.ts';
import type { Scale, Scales } from './scale.ts';
import { differenceOf, exceedances, exceeding, logMeans, vitalTotals } from './sums.ts';
import type { View } from './view.ts';

export type Quantile = (typeof quantiles)[number];

/** Quantile of one arm over a view, in the metric's own unit (ms, plain CLS); null when there is nothing. */
export function quantileIn(view: View, arm: EvidenceArm, metric: Vital, q: number): number | null {
  const value = quantile(merge(view.strata.map((stratum) => stratum[arm].metrics[metric]?.hist ?? [])), q);
  return value === null ? null : value / metrics[metric].scale;
}

/** What a latency e-value is made of: shares of quantiles (by their frozen reference bin) and of the log mean; sum 1. */
interface LatencyMix {
  readonly quantiles: readonly { readonly bin: number; readonly weight: number }[];
  readonly logMean: number;
}

/** A gate on the 75th percentile also hears the rest of the distribution (stats.md §6); any other is about itself. */
const vectorOf75: { readonly [q in Quantile]: number } = {
  0.5: 0.05,
  0.75: 0.25,
  0.9: 0.1,
  0.95: 0.1,
  0.99: 0.1,
};
const meanOf75 = 0.4;

/** Fixed shares. CLS is 0 in most page views, and a mean of logarithms at the clamp says nothing: it has none. */
export function mixOf(metric: Vital, q: Quantile, reference: Reference): LatencyMix {
  if (q !== 0.75) return pureMix(q, reference);
  const logMean = metric === 'CLS' ? 0 : meanOf75;
  const scaleUp = 1 / (1 - meanOf75 + logMean);
  return {
    quantiles: quantiles.map((each, i) => ({ bin: reference.bins[i] ?? 0, weight: vectorOf75[each] * scaleUp })),
    logMean,
  };
}

export function pureMix(q: Quantile, reference: Reference): LatencyMix {
  return { quantiles: [{ bin: binOfQuantile(q, reference), weight: 1 }], logMean: 0 };
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

/** Fewer treatment page views than this say nothing: the normal approximation would do the talking (stats.md §10). */
const minimumViews = 25;
const minimumViewsForMean = 25;
/** Effect sizes that the log mean is tuned for. */
const lnScales = [0.1, 0.5];

/** One quantile of a web vital, seen from all sides. */
export function latencyScales(view: View, question: LatencyQuestion): Scales {
  const { metric, q, noise } = question;
  const bin = binOfQuantile(q, question.reference);
  const ratio: Scale = {
    estimate: () => estimatedRatio(view, metric, bin),
    above: (limit) => (limit <= -1 ? 0 : slowerLogE(view, question, 1 + limit)),
    below: (limit) => (limit <= -1 ? 0 : fasterLogE(view, metric, bin, noise.deff, 1 + limit)),
    grid: { from: -120, to: 120, limitAt: (step) => Math.exp(step * lnGamma) - 1 },
  };
  const reference = estimateOf(bin) / metrics[metric].scale;
  const pure = { ...question, mix: pureMix(q, question.reference) };
  return {
    absolute: absoluteQuantile(view, 'treatment', metric, q, noise.deff),
    difference: inUnits(ratio, reference, (limit) => slowerLogE(view, pure, 1 + limit / reference)),
    relative: ratio,
  };
}

/** ln e-value against "the treatment is at most `ratio` times as slow", over quantiles and mean (stats.md §6). */
function slowerLogE(view: View, { metric, mix, noise }: LatencyQuestion, ratio: number): number {
  const views = vitalTotals(view, metric).treatment.n;
  if (views < minimumViews) return 0;
  const parts = mix.quantiles.map(({ bin, weight }) => {
    const score = view.sum(exceedances(metric, bin, shiftAbove(bin, ratio, lnGamma)));
    return { weight, logE: exceedanceLogEOf(score, noise.deff, 1) };
  });
  if (mix.logMean > 0) {
    const logE = views < minimumViewsForMean ? 0 : meanLogE(view, metric, noise, Math.log(ratio));
    parts.push({ weight: mix.logMean, logE });
  }
  return average(parts);
}

function meanLogE(view: View, metric: Vital, { lnVariance }: LatencyNoise, limit: number): number {
  if (lnVariance === null) return 0;
  const mean = differenceOf(view.sum(logMeans(metric)), 0, lnVariance.treatment, lnVariance.control);
  return mean === null ? 0 : logMeanAbove(mean, limit, lnScales);
}

/**
 * ln e-value against "the treatment's quantile is at least `ratio` times the control's". One quantile only: an average
 * over several would prove that some quantile is fine, not this one.
 */
export function fasterLogE(view: View, metric: Vital, bin: number, deff: number, ratio: number): number {
  return exceedanceLogEOf(view.sum(exceedances(metric, bin, shiftBelow(ratio, lnGamma))), deff, -1);
}

/** The margin in the signal's unit is a ratio of the frozen reference; about this quantile alone. */
function inUnits(ratio: Scale, reference: number, above: Scale['above']): Scale {
  return {
    estimate: () => {
      const estimate = ratio.estimate();
      return estimate === null ? null : estimate * reference;
    },
    above: (limit) => (limit <= -reference ? 0 : above(limit)),
    below: (limit) => ratio.below(limit / reference),
    grid: { ...ratio.grid, limitAt: (step) => ratio.grid.limitAt(step) * reference },
  };
}

/** Where the stratified score changes its sign (Hodges & Lehmann): the shift that makes the arms look alike. */
function estimatedRatio(view: View, metric: Vital, bin: number): number | null {
  const { treatment, control } = vitalTotals(view, metric);
  if (treatment.n === 0 || control.n === 0) return null;
  const slower = (shift: number) => (view.sum(exceedances(metric, bin, shift))[0] ?? 0) > 0;
  const shift = largestWhere(slower, -120, 120);
  return shift === null ? null : Math.exp((shift + 0.5) * lnGamma) - 1;
}

/** The quantile of one arm alone: at most a share 1 - q of its page views may lie above the limit. */
export function absoluteQuantile(view: View, arm: EvidenceArm, metric: Vital, q: number, deff: number): Scale {
  const { n } = vitalTotals(view, metric)[arm];
  const above = (bin: number): number => view.sum(exceeding(metric, bin, arm))[0] ?? 0;
  const { scale } = metrics[metric];
  return {
    estimate: () => {
      if (n === 0) return null;
      const bin = largestWhere((at) => above(at) > (1 - q) * n, 0, lastBin);
      return estimateOf((bin ?? -1) + 1) / scale;
    },
    above: (limit) => (n < minimumViews ? 0 : shareLogE(above(binOf(limit * scale)), n, 1 - q, deff)),
    below: (limit) => {
      if (n < minimumViews) return 0;
      const bin = binOf(limit * scale);
      // The edge must not lie beyond the limit, or page views past it would count as within.
      const within = edgeOf(bin) <= limit * scale ? bin : bin - 1;
      return shareLogE(n - above(within), n, q, deff);
    },
    grid: { from: 0, to: lastBin, limitAt: (bin) => estimateOf(bin) / scale },
  };
}

/** What a relative margin really is once it is moved to a bin edge, as a share; printed beside the verdict. */
export function effectiveMargin(margin: number, q: Quantile, reference: Reference): number {
  return Math.exp(shiftAbove(binOfQuantile(q, reference), 1 + margin, lnGamma) * lnGamma) - 1;
}
