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
export const tiltCount = tilts.length;

/** The grid once more, as the inner loops read it. */
export const thetas = Float64Array.from(tilts, ({ theta }) => theta);
export const excesses = Float64Array.from(tilts, ({ excess }) => excess);
const lnWeights = Float64Array.from(tilts, ({ lnWeight }) => lnWeight);
const terms = new Array<number>(tiltCount).fill(0);

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

/** Terms so much smaller than the largest (e^-40) do not show in a double. */
const negligible = -40;

/**
 * ln e-value of a sum `u` whose cumulant at tilt j is `cumulants[from + j]`: each tilt's log-likelihood ratio
 * `theta u - cumulant`, tempered by the design effect `deff` >= 1, averaged over the grid. Plain loops over typed arrays:
 * this runs for every quantile of every gate at every look.
 */
export function mixCumulants(u: number, cumulants: number[], from: number, deff: number): number {
  let top = Number.NEGATIVE_INFINITY;
  for (let j = 0; j < tiltCount; j++) {
    const term = (lnWeights[j] ?? 0) + ((thetas[j] ?? 0) * u - (cumulants[from + j] ?? 0)) / deff;
    terms[j] = term;
    if (term > top) top = term;
  }
  if (!Number.isFinite(top)) return top;
  let sum = 0;
  for (let j = 0; j < tiltCount; j++) {
    const below = (terms[j] ?? 0) - top;
    if (below > negligible) sum += Math.exp(below);
  }
  return top + Math.log(sum);
}
