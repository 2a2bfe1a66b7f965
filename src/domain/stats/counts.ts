import type { Table } from './table.ts';
import { excesses, mixCumulants, tiltCount } from './tilt.ts';

/** Sums over strata, in any order: events of the treatment, and per tilt the normalizer of their likelihood. */
export const countSize = 1 + tiltCount;

/**
 * Adds one stratum's events to the evidence against "event rate of the treatment <= ratio x control's": given the
 * stratum's events, the treatment's share of them is binomial (Lindon & Malek, NeurIPS 2022; stats.md §7). Strata without
 * events or with an empty arm say nothing.
 */
export function addCounts(sums: number[], { xt, nt, xc, nc }: Table, ratio: number): void {
  const x = xt + xc;
  if (x <= 0 || nt <= 0 || nc <= 0) return;
  sums[0] = (sums[0] ?? 0) + xt;
  const expected = (nt * ratio) / (nt * ratio + nc);
  for (let j = 0; j < tiltCount; j++) {
    const rise = expected * (excesses[j] ?? 0);
    sums[1 + j] = (sums[1 + j] ?? 0) + x * (rise < 1e-3 ? Math.log1p(rise) : Math.log(1 + rise));
  }
}

/** ln e-value of such sums, tempered by the design effect `deff` >= 1. */
export function countLogEOf(sums: number[], deff: number): number {
  return mixCumulants(sums[0] ?? 0, sums, 1, deff);
}

/**
 * ln e-value against "event rate of the treatment <= ratio x control's". Mirror it by swapping the arms and inverting
 * the ratio.
 */
export function countLogE(tables: readonly Table[], ratio: number, deff: number): number {
  const sums = new Array<number>(countSize).fill(0);
  for (const table of tables) addCounts(sums, table, ratio);
  return countLogEOf(sums, deff);
}

const cumulants = new Array<number>(tiltCount).fill(0);

/**
 * ln e-value against "the share is at most `limit`" from `x` events of `n` trials of one arm; exact for any mixture of
 * shares within the limit (stats.md §7). 0 <= limit <= 1.
 */
export function shareLogE(x: number, n: number, limit: number, deff: number): number {
  for (let j = 0; j < tiltCount; j++) cumulants[j] = n * Math.log1p(limit * (excesses[j] ?? 0));
  return mixCumulants(x, cumulants, 0, deff);
}
