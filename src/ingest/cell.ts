import type { Cell, Observations } from '../domain/evidence.ts';
import { binOf, decodeHistogram, encodeHistogram, type Histogram, lastBin } from '../domain/histogram.ts';
import { isMetric, metrics } from '../domain/metrics.ts';
import { type Vital, vitals } from '../domain/signal.ts';
import { byteReader, pushSigned, pushText, pushUnsigned } from './bytes.ts';

/** What is added up of one metric. Every field is an integer, so additions commute and subtract exactly. */
interface Sums {
  n: number;
  sum: number;
  /** Sum of ln(winsorised value) in steps of 2^-20. */
  lnSteps: number;
  bad1: number;
  bad2: number;
  /** Signed count per bin. */
  readonly bins: Int32Array;
}

/** A cell while it is being added to; also the difference that one batch makes to a cell. */
export interface CellSums {
  /** Receive time of the newest message counted here, epoch ms; 0 = none. The only part that is a maximum. */
  newestAt: number;
  readonly counts: Map<string, number>;
  readonly metrics: Map<Vital, Sums>;
}

/** Logarithms are rounded to this step: then their sums are exact, in whatever order beacons arrive. */
export const lnStep = 2 ** -20;

export const emptyCell = (): CellSums => ({ newestAt: 0, counts: new Map(), metrics: new Map() });

export function addCount(cell: CellSums, name: string, by: number): void {
  const sum = (cell.counts.get(name) ?? 0) + by;
  if (sum === 0) cell.counts.delete(name);
  else cell.counts.set(name, sum);
}

/** Books (`by` = 1) or takes back (-1) one observation of an integer value in stored units. */
export function addObservation(cell: CellSums, metric: Vital, value: number, by: 1 | -1): void {
  const { winsor, bad1, bad2 } = metrics[metric];
  const capped = Math.min(value, winsor);
  const sums = sumsOf(cell, metric);
  sums.n += by;
  sums.sum += by * capped;
  sums.lnSteps += by * Math.round(Math.log(Math.max(1, capped)) / lnStep);
  if (value > bad1) sums.bad1 += by;
  if (value > bad2) sums.bad2 += by;
  const bin = binOf(value);
  sums.bins[bin] = (sums.bins[bin] ?? 0) + by;
}

/** Adds (or takes away) a whole cell; `newestAt` only ever rises. */
export function addCell(to: CellSums, cell: CellSums, by: 1 | -1): void {
  to.newestAt = Math.max(to.newestAt, cell.newestAt);
  for (const [name, n] of cell.counts) addCount(to, name, by * n);
  for (const [metric, from] of cell.metrics) {
    const sums = sumsOf(to, metric);
    sums.n += by * from.n;
    sums.sum += by * from.sum;
    sums.lnSteps += by * from.lnSteps;
    sums.bad1 += by * from.bad1;
    sums.bad2 += by * from.bad2;
    for (let bin = 0; bin < sums.bins.length; bin++) {
      const count = from.bins[bin];
      if (count) sums.bins[bin] = (sums.bins[bin] ?? 0) + by * count;
    }
  }
}

function sumsOf(cell: CellSums, metric: Vital): Sums {
  const known = cell.metrics.get(metric);
  if (known !== undefined) return known;
  const fresh: Sums = { n: 0, sum: 0, lnSteps: 0, bad1: 0, bad2: 0, bins: new Int32Array(lastBin + 1) };
  cell.metrics.set(metric, fresh);
  return fresh;
}

function sparse(bins: Int32Array): Histogram {
  const histogram: [number, number][] = [];
  for (let bin = 0; bin < bins.length; bin++) {
    const count = bins[bin];
    if (count) histogram.push([bin, count]);
  }
  return histogram;
}

const isEmpty = (sums: Sums) => sums.n === 0 && sums.sum === 0 && sums.lnSteps === 0 && sums.bins.every((n) => n === 0);

/** Whether adding this to a cell would change nothing. */
export const changesNothing = (cell: CellSums): boolean =>
  cell.newestAt === 0 && cell.counts.size === 0 && [...cell.metrics.values()].every(isEmpty);

/** The cell as the judge reads it: names in order, nothing empty, so that equal evidence is equal JSON. */
export function cellOf(cell: CellSums): Cell {
  const observations: { [metric: string]: Observations } = {};
  for (const metric of vitals) {
    const sums = cell.metrics.get(metric);
    if (sums === undefined || isEmpty(sums)) continue;
    observations[metric] = {
      n: sums.n,
      sum: sums.sum,
      sumLn: sums.lnSteps * lnStep,
      bad1: sums.bad1,
      bad2: sums.bad2,
      hist: sparse(sums.bins),
    };
  }
  return { counts: Object.fromEntries(sortedCounts(cell)), metrics: observations };
}

function sortedCounts(cell: CellSums): [string, number][] {
  return [...cell.counts].sort(([a], [b]) => (a < b ? -1 : 1));
}

const version = 1;

/**
 * One row's blob: version, newest receive time, the counters by name, then each metric's sums and histogram. Cells that
 * hold the same are the same bytes, whatever was added and taken back on the way.
 */
export function encodeCell(cell: CellSums): Uint8Array {
  const bytes: number[] = [version];
  pushUnsigned(bytes, cell.newestAt);
  const counts = sortedCounts(cell);
  pushUnsigned(bytes, counts.length);
  for (const [name, n] of counts) {
    pushText(bytes, name);
    pushSigned(bytes, n);
  }
  for (const metric of vitals) {
    const sums = cell.metrics.get(metric);
    if (sums === undefined || isEmpty(sums)) continue;
    pushText(bytes, metric);
    for (const field of [sums.n, sums.sum, sums.lnSteps, sums.bad1, sums.bad2]) pushSigned(bytes, field);
    for (const byte of encodeHistogram(sparse(sums.bins))) bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

/** Throws RangeError on bytes that `encodeCell` did not write. */
export function decodeCell(blob: Uint8Array): CellSums {
  const reader = byteReader(blob);
  if (reader.byte() !== version) throw new RangeError(`no cell of version ${version}`);
  const cell = emptyCell();
  cell.newestAt = reader.unsigned();
  for (let left = reader.unsigned(); left > 0; left--) cell.counts.set(reader.text(), reader.signed());
  while (reader.at < blob.length) {
    const metric = reader.text();
    if (!isMetric(metric)) throw new RangeError(`unknown metric ${metric}`);
    const sums = sumsOf(cell, metric);
    sums.n = reader.signed();
    sums.sum = reader.signed();
    sums.lnSteps = reader.signed();
    sums.bad1 = reader.signed();
    sums.bad2 = reader.signed();
    const { histogram, end } = decodeHistogram(blob, reader.at);
    for (const [bin, count] of histogram) sums.bins[bin] = count;
    reader.skipTo(end);
  }
  return cell;
}
