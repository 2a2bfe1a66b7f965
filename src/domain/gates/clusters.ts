import type { Clustered, Evidence, EvidenceArm, Shards, UnitSums } from '../evidence.ts';
import { lnGamma } from '../histogram.ts';
import type { Vital } from '../signal.ts';
import { type ClusterSums, clusterSums, designEffect, ratioVariance } from '../stats/cluster.ts';
import { type ProportionSource, proportionOf, unitsIn, type VitalTotals, vitalTotals } from './sums.ts';
import type { View } from './view.ts';

/** How noisy the page views of one metric are, their clustering in units included. */
export interface LatencyNoise {
  /** Design effect of exceedances, >= 1. */
  readonly deff: number;
  /** Variance of ln(value) per observation and arm, clusters included; null where it cannot be estimated. */
  readonly lnVariance: { readonly treatment: number; readonly control: number } | null;
}

type PerArm<T> = { readonly [arm in EvidenceArm]: T };

/** From here on a shard holds five units on average, and 64 of them measure the variance to some 18 % (stats.md §4). */
const unitsForShards = 320;

/**
 * From the exact sums over units; where there are none, from the 64 shards of units once there are enough units; before
 * that from the worst case, in which all page views of a unit are alike.
 */
export function noiseOf(metric: Vital, all: View, evidence: Evidence): LatencyNoise {
  const totals = vitalTotals(all, metric);
  const units = evidence.units[metric];
  if (units !== undefined && units.treatment.k >= 2 && units.control.k >= 2) return fromUnits(units);
  const shards = evidence.shards[metric];
  const enough = Math.min(totals.treatment.units, totals.control.units) >= unitsForShards;
  if (shards !== undefined && enough && shards.treatment.length > 0 && shards.control.length > 0)
    return fromShards(shards);
  return atWorst(totals);
}

function atWorst({ treatment, control }: PerArm<VitalTotals>): LatencyNoise {
  const deff = worstDesignEffect(treatment.n + control.n, treatment.units + control.units);
  if (treatment.n < 2 || control.n < 2) return { deff, lnVariance: null };
  return { deff, lnVariance: { treatment: plainVariance(treatment) * deff, control: plainVariance(control) * deff } };
}

/** Of ln(value), as if page views were independent, from the histogram's bins. */
function plainVariance({ n, bins, squares }: VitalTotals): number {
  return ((squares - (bins * bins) / n) / (n - 1)) * lnGamma * lnGamma;
}

/**
 * Mean squared cluster size over mean cluster size, for counts that fall geometrically and observations that are all
 * alike within a unit: no real clustering is worse.
 */
export function worstDesignEffect(observations: number, units: number): number {
  return units === 0 ? 1 : Math.max(1, (2 * observations) / units - 1);
}

/**
 * Design effect of a signal's trials, >= 1. Where a trial is a page view, units share their luck: the shards tell how
 * much of it, both arms together, and before they can the worst case is assumed.
 */
export function trialNoise(source: ProportionSource, all: View, evidence: Evidence): number {
  const byView = source.event === 'end' || (source.event === 'error' && source.field === 'views');
  if (!byView) return 1;
  const { nt, nc } = proportionOf(all, source);
  const { treatment, control } = unitsIn(all).exposed;
  const measured = source.event === 'error' && treatment + control >= unitsForShards;
  const { views, errViews } = measured ? evidence.shardCounts : {};
  if (views === undefined || errViews === undefined) return worstDesignEffect(nt + nc, treatment + control);
  const clusters = (['treatment', 'control'] as const).flatMap((arm) =>
    views[arm].map((n, shard) => ({ n, y: errViews[arm][shard] ?? 0 })),
  );
  return Math.max(1, designEffect(clusterSums(clusters.filter(({ n }) => n > 0))) ?? 1);
}

/** Variance of winsorised values per observation, clusters included, from the shards; null until they can tell. */
export function valueVariance(
  metric: Vital,
  all: View,
  evidence: Evidence,
): { readonly treatment: number; readonly control: number } | null {
  const { treatment, control } = vitalTotals(all, metric);
  const shards = evidence.shards[metric];
  if (shards === undefined || Math.min(treatment.units, control.units) < unitsForShards) return null;
  const of = (arm: Shards): number | null => {
    const sums = clusterSums(arm.map(({ n, sum }) => ({ n, y: sum })));
    const result = ratioVariance(sums);
    return result === null ? null : result.variance * sums.n;
  };
  const [t, c] = [of(shards.treatment), of(shards.control)];
  return t === null || c === null ? null : { treatment: t, control: c };
}

function fromUnits({ treatment, control }: PerArm<UnitSums>): LatencyNoise {
  const pooled = (of: (sums: UnitSums) => Clustered): ClusterSums => ({
    k: treatment.k + control.k,
    n: treatment.n + control.n,
    nn: treatment.nn + control.nn,
    y: of(treatment).y + of(control).y,
    yy: of(treatment).yy + of(control).yy,
    yn: of(treatment).yn + of(control).yn,
  });
  const own = ({ k, n, nn, bins }: UnitSums): ClusterSums => ({ k, n, nn, ...bins });
  const deff = nearestQuarter(
    pooled(({ bad1 }) => bad1),
    pooled(({ bad2 }) => bad2),
  );
  return {
    deff: deff * caution(treatment.k + control.k),
    lnVariance: variances(own(treatment), own(control), caution(treatment.k + control.k)),
  };
}

function fromShards({ treatment, control }: PerArm<Shards>): LatencyNoise {
  const pooled = [...treatment, ...control];
  const deff = nearestQuarter(
    clusterSums(pooled.map(({ n, bad1 }) => ({ n, y: bad1 }))),
    clusterSums(pooled.map(({ n, bad2 }) => ({ n, y: bad2 }))),
  );
  const bins = (arm: Shards) => clusterSums(arm.map(({ n, sumBin }) => ({ n, y: sumBin })));
  return { deff, lnVariance: variances(bins(treatment), bins(control), 1) };
}

/** Few clusters measure their own variance badly, and too small a variance invents evidence: it counts as larger. */
function caution(clusters: number): number {
  return 1 + 2 / Math.sqrt(clusters);
}

/** Of the two counters the one whose share is nearest to a quarter, as the exceedances of the 75th percentile are. */
function nearestQuarter(bad1: ClusterSums, bad2: ClusterSums): number {
  const nearest = Math.abs(bad1.y / bad1.n - 0.25) <= Math.abs(bad2.y / bad2.n - 0.25) ? bad1 : bad2;
  return Math.max(1, designEffect(nearest) ?? 1);
}

/** Clusters that the treatment's own variance is drawn towards that of both arms by. */
const drawnBy = 50;

/** Per observation of ln(value). A young treatment knows its own variance badly, and both arms vary alike until proven. */
function variances(treatment: ClusterSums, control: ClusterSums, by: number): LatencyNoise['lnVariance'] {
  const [t, c] = [ratioVariance(treatment), ratioVariance(control)];
  if (t === null || c === null) return null;
  const scale = lnGamma * lnGamma * by;
  const own = { treatment: t.variance * treatment.n * scale, control: c.variance * control.n * scale };
  const pooled = (own.treatment * treatment.n + own.control * control.n) / (treatment.n + control.n);
  const drawn = (own.treatment * treatment.k + pooled * drawnBy) / (treatment.k + drawnBy);
  return { treatment: drawn, control: own.control };
}
