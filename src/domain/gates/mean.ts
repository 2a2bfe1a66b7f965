import type { EvidenceArm } from '../evidence.ts';
import { lnGamma } from '../histogram.ts';
import { metrics } from '../metrics.ts';
import type { Vital } from '../signal.ts';
import { logMeanAbove } from '../stats/normal-mixture.ts';
import type { Scale, Scales } from './scale.ts';
import { means } from './sums.ts';
import type { View } from './view.ts';

/** Variance per observation and arm, clusters included; null while it cannot be estimated. */
export type ValueNoise = { readonly treatment: number; readonly control: number } | null;

/** Effect sizes that the evidence is tuned for, as shares of control's mean. */
const tunings = [0.1, 0.5];

/**
 * Mean of a web vital's winsorised values, seen from all sides: weighted differences within strata, tested by the normal
 * mixture with an estimated variance (Waudby-Smith et al., Ann. Stat. 2024). A relative limit r asks whether
 * `mean_t - (1 + r) mean_c` is above zero, which needs no variance of a ratio.
 */
export function meanScales(view: View, metric: Vital, noise: ValueNoise): Scales {
  const { scale } = metrics[metric];
  const [weight = 0, sumT = 0, sumC = 0, perT = 0, perC = 0] = view.sum(means(metric));
  const [meanT, meanC] = [sumT / weight / scale, sumC / weight / scale];
  const known = weight > 0;
  const beyond = (factor: number, limit: number, sign: 1 | -1): number => {
    if (!known || noise === null) return 0;
    const variance =
      (perT * noise.treatment + factor * factor * perC * noise.control) / (weight * weight * scale * scale);
    const estimate = sign * (meanT - factor * meanC);
    return logMeanAbove(
      { estimate, variance },
      sign * limit,
      tunings.map((tuning) => tuning * meanC),
    );
  };
  const difference: Scale = {
    estimate: () => (known ? meanT - meanC : null),
    above: (limit) => beyond(1, limit, 1),
    below: (limit) => beyond(1, limit, -1),
    grid: { from: -400, to: 400, limitAt: (step) => (step / 400) * (known ? meanC : 1) },
  };
  const relative: Scale = {
    estimate: () => (known ? meanT / meanC - 1 : null),
    above: (limit) => beyond(1 + limit, 0, 1),
    below: (limit) => beyond(1 + limit, 0, -1),
    grid: { from: -400, to: 400, limitAt: (step) => Math.exp(step / 100) - 1 },
  };
  return { absolute: armMean(view, 'treatment', metric, noise), difference, relative };
}

/** The mean of one arm by itself. */
export function armMean(view: View, arm: EvidenceArm, metric: Vital, noise: ValueNoise): Scale {
  const { scale } = metrics[metric];
  const [weight = 0, sumT = 0, sumC = 0, perT = 0, perC = 0] = view.sum(means(metric));
  const meanC = sumC / weight / scale;
  const [mean, per] = arm === 'treatment' ? [sumT / weight / scale, perT] : [meanC, perC];
  const tested = (limit: number, sign: 1 | -1): number => {
    if (weight === 0 || noise === null) return 0;
    const variance = (per * noise[arm]) / (weight * weight * scale * scale);
    return logMeanAbove(
      { estimate: sign * mean, variance },
      sign * limit,
      tunings.map((tuning) => tuning * meanC),
    );
  };
  return {
    estimate: () => (weight === 0 ? null : mean),
    above: (limit) => tested(limit, 1),
    below: (limit) => tested(limit, -1),
    grid: { from: 0, to: 700, limitAt: (step) => Math.exp(step * lnGamma) / scale },
  };
}
