import { edgeOf, type Histogram } from '../histogram.ts';
import { average, type Weighted } from './combine.ts';
import { stratifiedDifference } from './difference.ts';
import { exceedanceLogE, exceedanceScore } from './exceedance.ts';
import { logMeanAbove } from './normal-mixture.ts';
import type { Table } from './table.ts';

/** Observations of one arm in one stratum: how many, how many above a bin, and the sum of ln(value). */
export interface LatencyArm {
  readonly n: number;
  readonly sumLn: number;
  above(bin: number): number;
}
export interface LatencyStratum {
  readonly treatment: LatencyArm;
  readonly control: LatencyArm;
}

const tails = new WeakMap<Histogram, LatencyArm>();

/** Histogram with its tails added up once, for a look asks for many of them, and the next look for the same again. */
export function latencyArm({ n, sumLn, hist }: { n: number; sumLn: number; hist: Histogram }): LatencyArm {
  const known = tails.get(hist);
  if (known !== undefined) return known;
  const bins = new Int32Array(hist.length);
  const above = new Float64Array(hist.length + 1);
  for (let i = hist.length - 1; i >= 0; i--) {
    const [bin, count] = hist[i] ?? [0, 0];
    bins[i] = bin;
    above[i] = (above[i + 1] ?? 0) + count;
  }
  const arm = { n, sumLn, above: (bin: number): number => above[firstAbove(bins, bin)] ?? 0 };
  tails.set(hist, arm);
  return arm;
}

/** Index of the first bin above `bin` in ascending `bins`; their number when there is none. */
function firstAbove(bins: Int32Array, bin: number): number {
  let low = 0;
  let high = bins.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((bins[middle] ?? 0) > bin) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Exceedances of a reference bin: treatment above `bin + shift`, control above `bin`. */
export function exceedanceTables(strata: readonly LatencyStratum[], bin: number, shift: number): Table[] {
  return strata.map(({ treatment, control }) => ({
    xt: treatment.above(bin + shift),
    nt: treatment.n,
    xc: control.above(bin),
    nc: control.n,
  }));
}

/**
 * Bins to move the treatment's edge for evidence that its quantile is more than `ratio` times the control's: rounded
 * up, and at least to the next whole value, because values are integers and a shift between two of them tests nothing.
 */
export function shiftAbove(bin: number, ratio: number, lnGrowth: number): number {
  let shift = Math.ceil(Math.log(ratio) / lnGrowth - 1e-9);
  if (shift <= 0) return shift;
  while (Math.floor(edgeOf(bin + shift)) <= Math.floor(edgeOf(bin))) shift++;
  return shift;
}

/** The same for evidence that the quantile is less than `ratio` times the control's: rounded down. */
export function shiftBelow(ratio: number, lnGrowth: number): number {
  return Math.floor(Math.log(ratio) / lnGrowth + 1e-9);
}

/** What a latency e-value is made of: shares of quantiles (by their frozen reference bin) and of the log mean; sum 1. */
export interface LatencyMix {
  readonly quantiles: readonly { readonly q: number; readonly bin: number; readonly weight: number }[];
  readonly logMean: number;
}

export interface LatencyNoise {
  /** Design effect of exceedances, >= 1. */
  readonly deff: number;
  /** Variance of ln(value) per observation and arm, clusters included; null where it cannot be estimated. */
  readonly lnVariance: { readonly treatment: number; readonly control: number } | null;
}

/** Fewer treatment page views than this say nothing: the normal approximation would do the talking (stats.md §10). */
const minimumViews = 25;
const minimumViewsForMean = 50;
/** Effect sizes that the log mean is tuned for. */
const lnScales = [0.1, 0.5];

/** Parts of the evidence that the treatment's distribution lies above `ratio` times the control's (stats.md §6). */
export function slowerParts(
  strata: readonly LatencyStratum[],
  mix: LatencyMix,
  noise: LatencyNoise,
  ratio: number,
  lnGrowth: number,
): (Weighted & { readonly name: string })[] {
  const views = strata.reduce((sum, { treatment }) => sum + treatment.n, 0);
  const parts = mix.quantiles.map(({ q, bin, weight }) => ({
    name: `p${q * 100}`,
    weight,
    logE:
      views < minimumViews
        ? 0
        : exceedanceLogE(
            exceedanceScore(exceedanceTables(strata, bin, shiftAbove(bin, ratio, lnGrowth))),
            noise.deff,
            1,
          ),
  }));
  if (mix.logMean === 0) return parts;
  const logE = views < minimumViewsForMean ? 0 : logMeanSlower(strata, noise, Math.log(ratio));
  return [...parts, { name: 'the mean', weight: mix.logMean, logE }];
}

function logMeanSlower(strata: readonly LatencyStratum[], noise: LatencyNoise, limit: number): number {
  if (noise.lnVariance === null) return 0;
  const means = strata.map(({ treatment, control }) => ({
    nt: treatment.n,
    meanT: treatment.sumLn / treatment.n,
    nc: control.n,
    meanC: control.sumLn / control.n,
  }));
  const mean = stratifiedDifference(means, noise.lnVariance.treatment, noise.lnVariance.control);
  return mean === null ? 0 : logMeanAbove(mean, limit, lnScales);
}

/** ln e-value against "the treatment is at most `ratio` times as slow". */
export function slowerLogE(...input: Parameters<typeof slowerParts>): number {
  return average(slowerParts(...input));
}

/**
 * ln e-value against "the treatment's quantile is at least `ratio` times the control's". One quantile only: an average
 * over several would prove that some quantile is fine, not this one.
 */
export function fasterLogE(
  strata: readonly LatencyStratum[],
  bin: number,
  deff: number,
  ratio: number,
  lnGrowth: number,
): number {
  return exceedanceLogE(exceedanceScore(exceedanceTables(strata, bin, shiftBelow(ratio, lnGrowth))), deff, -1);
}
