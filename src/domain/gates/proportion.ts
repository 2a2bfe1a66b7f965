import { countLogEOf, shareLogE } from '../stats/counts.ts';
import { logMeanAbove } from '../stats/normal-mixture.ts';
import type { Scale, Scales } from './scale.ts';
import { countsBeyond, differenceOf, type Proportion, type ProportionSource, proportionOf } from './sums.ts';
import type { View } from './view.ts';

/** Three events stop one unit's bad luck from speaking for the arm (stats.md §10). */
const minimumEvents = 3;

/** Shares of one signal, seen from all sides; `deff` >= 1 for trials that are clustered in units. */
export function proportionScales(view: View, source: ProportionSource, deff: number): Scales {
  const of = proportionOf(view, source);
  return {
    absolute: absoluteShare(of.xt, of.nt, deff),
    difference: shareDifference(of, deff),
    relative: shareRatio(view, source, of, deff),
  };
}

/** The share of one arm alone. */
export function absoluteShare(x: number, n: number, deff: number): Scale {
  return {
    estimate: () => (n === 0 ? null : x / n),
    above: (limit) => (x < minimumEvents || limit >= 1 ? 0 : shareLogE(x, n, Math.max(0, limit), deff)),
    below: (limit) => (limit <= 0 ? 0 : shareLogE(n - x, n, 1 - Math.min(1, limit), deff)),
    grid: { from: 0, to: 10_000, limitAt: (step) => step / 10_000 },
  };
}

/** A limit at or below -100 % would ask for a ratio of nothing. */
const lowestRatio = 1e-6;

function shareRatio(view: View, source: ProportionSource, { xt, xc, ratio }: Proportion, deff: number): Scale {
  const at = (limit: number): number => Math.max(lowestRatio, 1 + limit);
  const above = (limit: number) => countLogEOf(view.sum(countsBeyond(source, at(limit), 'as is')), deff);
  const below = (limit: number) => countLogEOf(view.sum(countsBeyond(source, 1 / at(limit), 'swapped')), deff);
  return {
    estimate: () => (ratio === null ? null : ratio - 1),
    above: (limit) => (xt < minimumEvents ? 0 : above(limit)),
    below: (limit) => (xc < minimumEvents ? 0 : below(limit)),
    grid: { from: -400, to: 400, limitAt: (step) => Math.exp(step / 100) - 1 },
  };
}

/** Effects smaller than two points are not what a difference test is tuned for. */
const smallestTuning = 0.02;

function shareDifference({ xt, nt, xc, nc, sums }: Proportion, deff: number): Scale {
  const mean = differenceOf(sums, 6, varianceOf(xt, nt) * deff, varianceOf(xc, nc) * deff);
  const tested = (limit: number, sign: 1 | -1): number => {
    if (mean === null || xt + xc < minimumEvents) return 0;
    const signed = { estimate: sign * mean.estimate, variance: mean.variance };
    return logMeanAbove(signed, sign * limit, [Math.max(Math.abs(limit), smallestTuning)]);
  };
  return {
    estimate: () => mean?.estimate ?? null,
    above: (limit) => tested(limit, 1),
    below: (limit) => tested(limit, -1),
    grid: { from: -1000, to: 1000, limitAt: (step) => step / 1000 },
  };
}

/** Per observation; drawn towards the middle, or an arm without events would claim to know its share exactly. */
function varianceOf(x: number, n: number): number {
  const share = (x + 1) / (n + 2);
  return share * (1 - share);
}
