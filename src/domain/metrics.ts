import { binOf } from './histogram.ts';
import type { Vital } from './signal.ts';

/** A web vital: what is accepted, how it is stored, and which of its page views may be compared. */
export interface Metric {
  /** Accepted range of the value as sent: ms, or plain CLS. */
  readonly min: number;
  readonly max: number;
  /** Stored value = sent value x scale, rounded: integers keep every sum exact. */
  readonly scale: number;
  /** Stored values above this count as this in sums; histograms keep the value itself. */
  readonly winsor: number;
  /** Thresholds of the two counters, in stored units. */
  readonly bad1: number;
  readonly bad2: number;
  /**
   * The page view counts only if the flag was first evaluated within so many ms of navigation start; null = always.
   * A fixed cut, never the metric's own value: `evaluated before LCP` would select on the outcome.
   */
  readonly evaluatedWithinMs: number | null;
  /** What people read behind a number; `ms`, or nothing for CLS. */
  readonly unit: 'ms' | '';
}

const time = { min: 0, max: 120_000, scale: 1, winsor: 30_000, unit: 'ms' } as const;

/** rum.md §2 (ranges), §4 (eligibility), §9 (thresholds). */
export const metrics: { readonly [name in Vital]: Metric } = {
  LCP: { ...time, bad1: 2500, bad2: 4000, evaluatedWithinMs: 1000 },
  INP: { ...time, max: 60_000, winsor: 10_000, bad1: 200, bad2: 500, evaluatedWithinMs: null },
  CLS: { min: 0, max: 10, scale: 1000, winsor: 2000, bad1: 100, bad2: 250, evaluatedWithinMs: null, unit: '' },
  FCP: { ...time, bad1: 1800, bad2: 3000, evaluatedWithinMs: 1000 },
  TTFB: { ...time, bad1: 800, bad2: 1800, evaluatedWithinMs: 0 },
};

export function isMetric(name: string): name is Vital {
  return Object.hasOwn(metrics, name);
}

/** The value as it is counted: rounded, capped for sums, and its histogram bin. Null when it is out of range or no number. */
export function stored(name: Vital, raw: number): { value: number; winsorised: number; bin: number } | null {
  const metric = metrics[name];
  if (!(raw >= metric.min && raw <= metric.max)) return null;
  const value = Math.round(raw * metric.scale);
  return { value, winsorised: Math.min(value, metric.winsor), bin: binOf(value) };
}

/** Whether a page view whose flag was first evaluated at `evaluatedAtMs` after navigation start may count. */
export function eligible(name: Vital, evaluatedAtMs: number): boolean {
  const within = metrics[name].evaluatedWithinMs;
  return within === null || evaluatedAtMs <= within;
}
