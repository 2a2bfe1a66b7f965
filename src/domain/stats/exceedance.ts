import type { Table } from './table.ts';
import { excesses, mixCumulants, thetas, tiltCount } from './tilt.ts';

/**
 * Sums over strata, in any order: the Cochran-Mantel-Haenszel score (excess of treatment exceedances over their
 * expectation), its hypergeometric variance (Mantel & Haenszel 1959), and the score's cumulant at each tilt.
 */
export const scoreSize = 2 + tiltCount;

/** Adds one stratum's exceedances (`x`) among its observations (`n`) to a score (stats.md §6). */
export function addExceedances(score: number[], xt: number, nt: number, xc: number, nc: number): void {
  const n = nt + nc;
  const x = xt + xc;
  if (nt === 0 || nc === 0 || n < 2) return;
  score[0] = (score[0] ?? 0) + xt - (nt * x) / n;
  score[1] = (score[1] ?? 0) + (nt * nc * x * (n - x)) / (n * n * (n - 1));
  if (x === 0 || x === n) return;
  const p = x / n;
  const trials = (nt * nc) / (n - 1);
  for (let j = 0; j < tiltCount; j++) {
    const rise = p * (excesses[j] ?? 0);
    // The plain logarithm is three times as fast, and as good unless its argument is next to 1.
    const cumulant = (rise < 1e-3 ? Math.log1p(rise) : Math.log(1 + rise)) - (thetas[j] ?? 0) * p;
    score[2 + j] = (score[2 + j] ?? 0) + trials * cumulant;
  }
}

/** ln e-value of such sums; see `exceedanceLogE`. */
export function exceedanceLogEOf(sums: number[], deff: number, sign: 1 | -1): number {
  return mixCumulants(sign * (sums[0] ?? 0), sums, 2, deff);
}

/** A score as a value. */
export interface Score {
  readonly u: number;
  readonly v: number;
  readonly sums: number[];
}

/** Scores exceedances stratum by stratum. */
export function exceedanceScore(tables: readonly Table[]): Score {
  const sums = new Array<number>(scoreSize).fill(0);
  for (const { xt, nt, xc, nc } of tables) addExceedances(sums, xt, nt, xc, nc);
  return { u: sums[0] ?? 0, v: sums[1] ?? 0, sums };
}

/**
 * ln e-value against "treatment exceeds no more often than control": the score exponentially tilted as a centred
 * binomial of the same variance. `sign` -1 mirrors it: evidence that the treatment exceeds less often. Never positive
 * when the signed score is not.
 */
export function exceedanceLogE({ sums }: Score, deff: number, sign: 1 | -1): number {
  return exceedanceLogEOf(sums, deff, sign);
}
