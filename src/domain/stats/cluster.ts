/** Exact sums over clusters (units, or shards of units): K clusters with n observations and sum y each. */
export interface ClusterSums {
  readonly k: number;
  readonly n: number;
  readonly nn: number;
  readonly y: number;
  readonly yy: number;
  readonly yn: number;
}

export function clusterSums(clusters: readonly { readonly n: number; readonly y: number }[]): ClusterSums {
  const sums = { k: clusters.length, n: 0, nn: 0, y: 0, yy: 0, yn: 0 };
  for (const { n, y } of clusters) {
    sums.n += n;
    sums.nn += n * n;
    sums.y += y;
    sums.yy += y * y;
    sums.yn += y * n;
  }
  return sums;
}

/** Ratio y/n and its variance by the delta method (Deng, Knoblich, Lu, KDD 2018). Needs two clusters and an observation. */
export function ratioVariance(sums: ClusterSums): { ratio: number; variance: number } | null {
  const { k, n, nn, y, yy, yn } = sums;
  if (k < 2 || n <= 0) return null;
  const ratio = y / n;
  const squares = yy - 2 * ratio * yn + ratio * ratio * nn;
  return { ratio, variance: (squares * k) / (k - 1) / (n * n) };
}

/**
 * Design effect of a share: its clustered variance over the binomial one. Not floored here; null where the share is 0
 * or 1 or there are too few clusters.
 */
export function designEffect(sums: ClusterSums): number | null {
  const result = ratioVariance(sums);
  if (result === null || result.ratio <= 0 || result.ratio >= 1) return null;
  return (result.variance * sums.n) / (result.ratio * (1 - result.ratio));
}
