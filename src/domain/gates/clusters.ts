import type { EvidenceArm, Shard, Shards, Stratum } from '../evidence.ts';
import { lnGamma } from '../histogram.ts';
import { type ClusterSums, clusterSums, designEffect, ratioVariance } from '../stats/cluster.ts';
import type { LatencyNoise } from '../stats/latency.ts';

/** From here on a shard holds five units on average, and 64 of them measure the variance to some 18 % (stats.md §4). */
const unitsForShards = 320;

/**
 * How noisy page views of one metric are, their clustering in units included: from the 64 shards of units once there
 * are enough units, before that from the worst case, in which all page views of a unit are alike.
 */
export function noiseOf(
  metric: string,
  strata: readonly Stratum[],
  shards: { readonly [arm in EvidenceArm]: Shards } | undefined,
): LatencyNoise {
  const treatment = totals(strata, metric, 'treatment');
  const control = totals(strata, metric, 'control');
  const enough = Math.min(treatment.units, control.units) >= unitsForShards;
  if (shards !== undefined && enough && shards.treatment.length > 0 && shards.control.length > 0)
    return fromShards(shards);
  const deff = worstDesignEffect(treatment.n + control.n, treatment.units + control.units);
  if (treatment.n < 2 || control.n < 2) return { deff, lnVariance: null };
  return { deff, lnVariance: { treatment: treatment.lnVariance * deff, control: control.lnVariance * deff } };
}

/**
 * Mean squared cluster size over mean cluster size, for counts that fall geometrically and observations that are all
 * alike within a unit: no real clustering is worse.
 */
export function worstDesignEffect(observations: number, units: number): number {
  return units === 0 ? 1 : Math.max(1, (2 * observations) / units - 1);
}

function fromShards(shards: { readonly [arm in EvidenceArm]: Shards }): LatencyNoise {
  const pooled = [...shards.treatment, ...shards.control];
  const [lower, upper] = [sums(pooled, ({ bad1 }) => bad1), sums(pooled, ({ bad2 }) => bad2)];
  const nearest = Math.abs(lower.y / lower.n - 0.25) <= Math.abs(upper.y / upper.n - 0.25) ? lower : upper;
  const variance = (arm: Shards): number | null => {
    const bins = sums(arm, ({ sumBin }) => sumBin);
    const result = ratioVariance(bins);
    return result === null ? null : result.variance * bins.n * lnGamma * lnGamma;
  };
  const [treatment, control] = [variance(shards.treatment), variance(shards.control)];
  const lnVariance = treatment === null || control === null ? null : { treatment, control };
  return { deff: Math.max(1, designEffect(nearest) ?? 1), lnVariance };
}

function sums(shards: Shards, y: (shard: Shard) => number): ClusterSums {
  return clusterSums(shards.map((shard) => ({ n: shard.n, y: y(shard) })));
}

/** Units, observations and the variance of ln(value) from the histogram's bins. */
function totals(strata: readonly Stratum[], metric: string, arm: EvidenceArm) {
  let [n, units, sum, squares] = [0, 0, 0, 0];
  for (const stratum of strata) {
    const observations = stratum[arm].metrics[metric];
    if (observations === undefined) continue;
    n += observations.n;
    units += Math.min(observations.n, stratum[arm].counts[`u:${metric}`] ?? 0);
    for (const [bin, count] of observations.hist) {
      sum += count * bin;
      squares += count * bin * bin;
    }
  }
  const lnVariance = n < 2 ? 0 : ((squares - (sum * sum) / n) / (n - 1)) * lnGamma * lnGamma;
  return { n, units, lnVariance };
}
