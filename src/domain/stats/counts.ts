import type { Table } from './table.ts';
import { mixTilts } from './tilt.ts';

/**
 * ln e-value against "event rate of the treatment <= ratio x control's": given a stratum's events, the treatment's
 * share of them is binomial (Lindon & Malek, NeurIPS 2022; stats.md §7). Strata without events or with an empty arm say
 * nothing. Mirror: swap the arms and invert the ratio.
 */
export function countLogE(tables: readonly Table[], ratio: number, deff: number): number {
  const telling = tables.filter(({ xt, nt, xc, nc }) => xt + xc > 0 && nt > 0 && nc > 0);
  return mixTilts(({ theta }) => {
    const tilted = ratio * Math.exp(theta);
    let sum = 0;
    for (const { xt, nt, xc, nc } of telling)
      sum += xt * theta - (xt + xc) * Math.log((nt * tilted + nc) / (nt * ratio + nc));
    return sum;
  }, deff);
}

/**
 * ln e-value against "the share is at most `limit`" from `x` events of `n` trials of one arm; exact for any mixture of
 * shares within the limit (stats.md §7). 0 <= limit <= 1.
 */
export function shareLogE(x: number, n: number, limit: number, deff: number): number {
  return mixTilts(({ theta, excess }) => x * theta - n * Math.log1p(limit * excess), deff);
}
