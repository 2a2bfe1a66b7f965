import { estimateOf, lastBin } from '../domain/histogram.ts';
import { metrics } from '../domain/metrics.ts';
import { type Vital, vitals } from '../domain/signal.ts';
import { lnStep } from '../ingest/cell.ts';

/** What one observation in a bin adds to the sums of a metric: columns, indexed by bin. */
export interface BinValues {
  readonly vital: Vital;
  /** Winsorised integer in the stored unit. */
  readonly value: Float64Array;
  /** Its logarithm in steps of `lnStep`, as ingest rounds it: sums are exact in any order. */
  readonly lnSteps: Float64Array;
  readonly bad1: Uint8Array;
  readonly bad2: Uint8Array;
  /** The same by row: value, lnSteps, bad1, bad2. */
  readonly rows: Float64Array;
}

/** The integer that stands for a bin: what a simulated page view of this bin would have reported. */
export function valueOfBin(bin: number): number {
  return Math.round(estimateOf(bin));
}

/** By index into `vitals`. */
export const binValues: readonly BinValues[] = vitals.map((vital) => {
  const { winsor, bad1, bad2 } = metrics[vital];
  const bins = Array.from({ length: lastBin + 1 }, (_, bin) => valueOfBin(bin));
  const value = Float64Array.from(bins, (at) => Math.min(at, winsor));
  const columns = {
    value,
    lnSteps: value.map((at) => Math.round(Math.log(Math.max(1, at)) / lnStep)),
    bad1: Uint8Array.from(bins, (at) => (at > bad1 ? 1 : 0)),
    bad2: Uint8Array.from(bins, (at) => (at > bad2 ? 1 : 0)),
  };
  return {
    vital,
    ...columns,
    rows: Float64Array.from({ length: 4 * bins.length }, (_, i) => {
      const { value, lnSteps, bad1, bad2 } = columns;
      return [value, lnSteps, bad1, bad2][i % 4]?.[i >> 2] ?? 0;
    }),
  };
});
