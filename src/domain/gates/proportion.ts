import type { EvidenceArm, Stratum } from '../evidence.ts';
import type { SignalSource } from '../signal.ts';
import { countLogE, shareLogE } from '../stats/counts.ts';
import { stratifiedDifference } from '../stats/difference.ts';
import { logMeanAbove } from '../stats/normal-mixture.ts';
import { sumTables, swapArms, type Table } from '../stats/table.ts';
import type { Scale, Scales } from './scale.ts';

export type ProportionSource = Exclude<SignalSource, { event: 'web_vital' }>;

/** Events and trials of one arm in one stratum. */
function counted(stratum: Stratum, arm: EvidenceArm, source: ProportionSource): { x: number; n: number } {
  const { counts } = stratum[arm];
  switch (source.event) {
    case 'error':
      return { x: counts.err ?? 0, n: counts.exposed ?? 0 };
    case 'silence':
      return { x: stratum.mature[arm].issued - stratum.mature[arm].seen, n: stratum.mature[arm].issued };
    case 'end':
      return { x: Math.min(counts.ends ?? 0, counts.starts ?? 0), n: counts.starts ?? 0 };
    case 'conversion':
      return { x: counts[`conv:${source.field}`] ?? 0, n: counts.exposed ?? 0 };
  }
}

export function tablesOf(strata: readonly Stratum[], source: ProportionSource): Table[] {
  return strata.map((stratum) => {
    const treatment = counted(stratum, 'treatment', source);
    const control = counted(stratum, 'control', source);
    return { xt: treatment.x, nt: treatment.n, xc: control.x, nc: control.n };
  });
}

/** Three events stop one unit's bad luck from speaking for the arm (stats.md §10). */
const minimumEvents = 3;

/** Shares of one signal, seen from all sides; `deff` >= 1 for trials that are clustered in units. */
export function proportionScales(tables: readonly Table[], deff: number): Scales {
  const sum = sumTables(tables);
  return {
    absolute: absoluteShare(sum.xt, sum.nt, deff),
    difference: shareDifference(tables, sum, deff),
    relative: shareRatio(tables, sum, deff),
  };
}

/** The share of one arm alone. */
export function absoluteShare(x: number, n: number, deff: number): Scale {
  return {
    estimate: n === 0 ? null : x / n,
    above: (limit) => (x < minimumEvents || limit >= 1 ? 0 : shareLogE(x, n, Math.max(0, limit), deff)),
    below: (limit) => (limit <= 0 ? 0 : shareLogE(n - x, n, 1 - Math.min(1, limit), deff)),
    grid: { from: 0, to: 10_000, limitAt: (step) => step / 10_000 },
  };
}

function shareRatio(tables: readonly Table[], sum: Table, deff: number): Scale {
  const swapped = tables.map(swapArms);
  const ratio = mantelHaenszelRatio(tables);
  return {
    estimate: ratio === null ? null : ratio - 1,
    above: (limit) => (sum.xt < minimumEvents ? 0 : countLogE(tables, Math.max(lowestRatio, 1 + limit), deff)),
    below: (limit) => (sum.xc < minimumEvents ? 0 : countLogE(swapped, 1 / Math.max(lowestRatio, 1 + limit), deff)),
    grid: { from: -400, to: 400, limitAt: (step) => Math.exp(step / 100) - 1 },
  };
}

/** A limit at or below -100 % would ask for a ratio of nothing. */
const lowestRatio = 1e-6;

/** Ratio of shares over strata (Mantel & Haenszel 1959), which a ramp's growing arm cannot bend; null without control events. */
function mantelHaenszelRatio(tables: readonly Table[]): number | null {
  let treatment = 0;
  let control = 0;
  for (const { xt, nt, xc, nc } of tables) {
    if (nt === 0 || nc === 0) continue;
    treatment += (xt * nc) / (nt + nc);
    control += (xc * nt) / (nt + nc);
  }
  return control === 0 ? null : treatment / control;
}

/** Effects smaller than two points are not what a difference test is tuned for. */
const smallestTuning = 0.02;

function shareDifference(tables: readonly Table[], sum: Table, deff: number): Scale {
  const means = tables.map(({ xt, nt, xc, nc }) => ({ nt, meanT: xt / nt, nc, meanC: xc / nc }));
  const mean = stratifiedDifference(means, varianceOf(sum.xt, sum.nt) * deff, varianceOf(sum.xc, sum.nc) * deff);
  const tested = (limit: number, sign: 1 | -1): number => {
    if (mean === null || sum.xt + sum.xc < minimumEvents) return 0;
    const signed = { estimate: sign * mean.estimate, variance: mean.variance };
    return logMeanAbove(signed, sign * limit, [Math.max(Math.abs(limit), smallestTuning)]);
  };
  return {
    estimate: mean?.estimate ?? null,
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
