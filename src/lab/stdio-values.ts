import { binOf, histogramOf, quantileBin } from '../domain/histogram.ts';
import { metrics } from '../domain/metrics.ts';
import type { Reference } from '../domain/rollout.ts';
import { quantiles, type Vital } from '../domain/signal.ts';

/**
 * Power of ten that brings a driver's values, seconds for example, into the range of the web vital whose place they
 * take: its bins begin at 1 and its sums end at the winsor limit. Comparisons are of ratios, which no factor changes.
 * CLS under its own name has one unit only, and is 0 most of the time: it stays as it is.
 */
export function scaleOf(vital: Vital, name: string, values: Float64Array): number {
  const { scale, winsor } = metrics[vital];
  const sorted = values.filter((value) => value > 0).sort();
  const median = sorted[Math.floor(sorted.length / 2)];
  if (median === undefined || name.toUpperCase() === 'CLS') return 1;
  const middle = median * scale;
  if (middle >= winsor / 300 && middle <= winsor / 3) return 1;
  return 10 ** Math.round(Math.log10(winsor / 15 / middle));
}

/** A value as ingest stores the vital; null when it is missing. What is larger than any is the largest. */
export function storedValue(vital: Vital, value: number, scale: number): number | null {
  const metric = metrics[vital];
  return value >= 0 ? Math.round(Math.min(value * scale, metric.max) * metric.scale) : null;
}

/** Values without which a history chooses no reference: the product asks control for as many. */
const enoughHistory = 200;

/** Reference of a metric from what was seen before the rollout; null when that is too little. */
export function referenceOf(vital: Vital, history: Float64Array, scale: number): Reference | null {
  const counts = new Map<number, number>();
  let n = 0;
  for (const each of history) {
    const value = storedValue(vital, each, scale);
    if (value === null) continue;
    const bin = binOf(value);
    counts.set(bin, (counts.get(bin) ?? 0) + 1);
    n += 1;
  }
  if (n < enoughHistory) return null;
  const hist = histogramOf(counts);
  return { bins: quantiles.map((q) => quantileBin(hist, q) ?? 0), since: Number.NEGATIVE_INFINITY };
}
