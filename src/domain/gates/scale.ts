import { average } from '../stats/combine.ts';
import { largestWhere, smallestWhere } from '../stats/invert.ts';

/**
 * What the evidence says of one number: the treatment's value (absolute), treatment - control (difference), or
 * treatment / control - 1 (relative), in the signal's unit and not yet oriented by its direction.
 */
export interface Scale {
  estimate(): number | null;
  /** ln e-value against "the truth is at most `limit`". */
  above(limit: number): number;
  /** ln e-value against "the truth is at least `limit`". */
  below(limit: number): number;
  /** Limits that an interval is searched on, rising with the step. */
  readonly grid: { readonly from: number; readonly to: number; limitAt(step: number): number };
}

export type ScaleName = 'absolute' | 'difference' | 'relative';
export type Scales = { readonly [name in ScaleName]: Scale };

/** Always-valid interval: the limits that the evidence does not refute at `needed` = ln(1/alpha). Null = unbounded. */
export function interval(scale: Scale, needed: number): { low: number | null; high: number | null } {
  const { grid } = scale;
  const low = largestWhere((step) => scale.above(grid.limitAt(step)) >= needed, grid.from, grid.to);
  const high = smallestWhere((step) => scale.below(grid.limitAt(step)) >= needed, grid.from, grid.to);
  return { low: low === null ? null : grid.limitAt(low), high: high === null ? null : grid.limitAt(high) };
}

/** One scale of which another part of the evidence has its say too: all data, or all data since a stage began. */
export interface Part {
  readonly weight: number;
  /** Null: not begun yet, so it says nothing either way. */
  readonly scale: Scale | null;
}

/** Averages the evidence of the parts; estimate and grid are those of `whole`. */
export function combineParts(whole: Scale, parts: readonly Part[]): Scale {
  const weigh = (logE: (scale: Scale) => number): number =>
    average(parts.map(({ weight, scale }) => ({ weight, logE: scale === null ? 0 : logE(scale) })));
  return {
    ...whole,
    above: (limit) => weigh((scale) => scale.above(limit)),
    below: (limit) => weigh((scale) => scale.below(limit)),
  };
}

/** Seen so that up is worse: what `above` is for a signal where lower is better. */
export function oriented(scale: Scale, direction: 'lower_is_better' | 'higher_is_better'): Scale {
  if (direction === 'lower_is_better') return scale;
  return {
    estimate: () => {
      const estimate = scale.estimate();
      return estimate === null ? null : -estimate;
    },
    above: (limit) => scale.below(-limit),
    below: (limit) => scale.above(-limit),
    grid: { from: -scale.grid.to, to: -scale.grid.from, limitAt: (step) => -scale.grid.limitAt(-step) },
  };
}
