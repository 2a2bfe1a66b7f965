import { edgeOf, type Histogram } from '../histogram.ts';
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
