import { logSumExp } from './special.ts';

/** One effect size that the evidence is tuned for: a log odds or log rate ratio, and its share. */
interface Tilt {
  readonly theta: number;
  /** e^theta - 1 */
  readonly excess: number;
  readonly lnWeight: number;
}

/**
 * The fixed grid of stats.md §5: 32 effects up to a ratio of 50, half of them from a half-normal of scale 0.3, half of
 * one of scale 1. Fixed, because a grid chosen from the data would be tuned to the noise it is to judge.
 */
export const tilts: readonly Tilt[] = grid();

function grid(): Tilt[] {
  const points = Array.from({ length: 32 }, (_, j) => {
    const u = (j + 0.5) / 32;
    const theta = 4 * u ** 1.5;
    const weight = (Math.exp(-((theta / 0.3) ** 2) / 2) / 0.3 + Math.exp(-(theta ** 2) / 2)) * Math.sqrt(u);
    return { theta, weight };
  });
  const sum = points.reduce((total, { weight }) => total + weight, 0);
  return points.map(({ theta, weight }) => ({ theta, excess: Math.expm1(theta), lnWeight: Math.log(weight / sum) }));
}

/** ln e-value from the log-likelihood ratio of each tilt, tempered by the design effect `deff` >= 1. */
export function mixTilts(logLikelihoodRatio: (tilt: Tilt, index: number) => number, deff: number): number {
  return logSumExp(tilts.map((tilt, j) => tilt.lnWeight + logLikelihoodRatio(tilt, j) / deff));
}
