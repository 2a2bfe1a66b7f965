/** Phi^-1(3/4): what the median absolute deviation of normal values is, in standard deviations. */
const normalMad = 0.6744897501960817;

export interface Trend {
  /** Signal's unit per step. */
  readonly slope: number;
  /** Value of the line at the first point: median(y) - slope * median(x). */
  readonly intercept: number;
  /** Spread of the values themselves, not of the residuals: MAD / 0.6745, a standard deviation if they are normal. */
  readonly scale: number;
}

/**
 * Line through evenly spaced points that up to 29 % of outliers cannot tilt: the median of all pairwise slopes (Theil 1950;
 * Sen, JASA 1968), x = 0, 1, ... n - 1. Quadratic in n: meant for a few hundred points. Null below two points.
 */
export function robustTrend(values: readonly number[]): Trend | null {
  if (values.length < 2) return null;
  const slopes = values.flatMap((to, i) => values.slice(0, i).map((from, j) => (to - from) / (i - j)));
  const slope = median(slopes);
  const middle = median(values);
  return {
    slope,
    intercept: middle - (slope * (values.length - 1)) / 2,
    scale: median(values.map((value) => Math.abs(value - middle))) / normalMad,
  };
}

/** Of at least one value; the mean of the two in the middle when they are even in number. */
function median(values: readonly number[]): number {
  const sorted = Float64Array.from(values).sort();
  const upper = sorted.length >> 1;
  const lower = (sorted.length - 1) >> 1;
  return ((sorted[lower] ?? Number.NaN) + (sorted[upper] ?? Number.NaN)) / 2;
}
