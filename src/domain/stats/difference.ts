/** Mean of `n` observations per arm in one stratum. */
export interface Means {
  readonly nt: number;
  readonly meanT: number;
  readonly nc: number;
  readonly meanC: number;
}

/**
 * Difference of means, treatment - control, weighted over strata by nt nc / n; `varianceT`, `varianceC` are per
 * observation, clusters included. Equals stats.md §6 (`se^2 = d_L / W`) when both arms vary alike; where they do not
 * (shares at a margin), one pooled variance would understate the smaller arm's. Null without a stratum that has both.
 */
export function stratifiedDifference(
  strata: readonly Means[],
  varianceT: number,
  varianceC: number,
): { estimate: number; variance: number } | null {
  let weights = 0;
  let estimate = 0;
  let variance = 0;
  for (const { nt, meanT, nc, meanC } of strata) {
    if (nt === 0 || nc === 0) continue;
    const weight = (nt * nc) / (nt + nc);
    weights += weight;
    estimate += weight * (meanT - meanC);
    variance += weight * weight * (varianceT / nt + varianceC / nc);
  }
  if (weights === 0) return null;
  return { estimate: estimate / weights, variance: variance / (weights * weights) };
}
