/** Page views of one unit, epoch and metric that enter statistics, as in `ingest/unit.ts`. */
export const viewCap = 20;

/** Page views of one unit with one metric, as bins; at most 20 of them count. */
export interface UnitMetric {
  /** Index into `vitals`. */
  readonly metric: number;
  readonly bins: readonly number[];
  /** Follows the `shift` of its visit. */
  readonly sways: boolean;
}

/** All that one simulated unit does after it was exposed. */
export interface UnitOutcome {
  /** Issued, and never heard of. */
  readonly silent: boolean;
  readonly views: number;
  readonly errViews: number;
  readonly ends: number;
  readonly metrics: readonly UnitMetric[];
  /** Index into the book's conversions, and how long after the exposure, ms. */
  readonly conversions: readonly { readonly conversion: number; readonly lagMs: number }[];
}

/**
 * Units packed into rows, by index. Hundreds of thousands of visits are booked from a few thousand units, and what a unit
 * does fits one or two lines of the processor's cache where objects do not.
 */
export interface Roster {
  /** Where the row of unit u begins in `rows`. */
  readonly rowAt: Int32Array;
  /** silent, views, errViews, ends, conversions, metrics; then per metric: 2 x metric + sways, page views, their bins. */
  readonly rows: Uint16Array;
  /** Where the conversions of unit u begin in the next two. */
  readonly conversionAt: Int32Array;
  readonly conversion: Uint16Array;
  readonly lagMs: Float64Array;
}

export const rowHead = 6;

export function rosterOf(units: readonly UnitOutcome[]): Roster {
  const rowAt = new Int32Array(units.length);
  const conversionAt = new Int32Array(units.length);
  const rows: number[] = [];
  const conversions: UnitOutcome['conversions'][number][] = [];
  for (const [unit, of] of units.entries()) {
    const metrics = of.metrics.filter(({ bins }) => bins.length > 0);
    rowAt[unit] = rows.length;
    conversionAt[unit] = conversions.length;
    rows.push(of.silent ? 1 : 0, of.views, of.errViews, of.ends, of.conversions.length, metrics.length);
    for (const { metric, bins, sways } of metrics) {
      rows.push(2 * metric + (sways ? 1 : 0), Math.min(viewCap, bins.length));
      for (const bin of bins.slice(0, viewCap)) rows.push(bin);
    }
    conversions.push(...of.conversions);
  }
  return {
    rowAt,
    rows: Uint16Array.from(rows),
    conversionAt,
    conversion: Uint16Array.from(conversions, ({ conversion }) => conversion),
    lagMs: Float64Array.from(conversions, ({ lagMs }) => lagMs),
  };
}
