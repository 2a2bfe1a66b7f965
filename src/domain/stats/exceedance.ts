import type { Table } from './table.ts';
import { mixTilts, tilts } from './tilt.ts';

/** Sums over strata; add them in any order. */
export interface Score {
  /** Cochran-Mantel-Haenszel score: excess of treatment exceedances over their expectation. */
  readonly u: number;
  /** Its hypergeometric variance (Mantel & Haenszel 1959). */
  readonly v: number;
  /** Cumulant of the score at each tilt. */
  readonly cumulants: Float64Array;
}

/** Scores exceedances (x) among observations (n), stratum by stratum (stats.md §6). */
export function exceedanceScore(tables: readonly Table[]): Score {
  const cumulants = new Float64Array(tilts.length);
  let u = 0;
  let v = 0;
  for (const { xt, nt, xc, nc } of tables) {
    const n = nt + nc;
    const x = xt + xc;
    if (nt === 0 || nc === 0 || n < 2) continue;
    u += xt - (nt * x) / n;
    v += (nt * nc * x * (n - x)) / (n * n * (n - 1));
    if (x === 0 || x === n) continue;
    const p = x / n;
    const trials = (nt * nc) / (n - 1);
    tilts.forEach(({ theta, excess }, j) => {
      cumulants[j] = (cumulants[j] ?? 0) + trials * (Math.log1p(p * excess) - theta * p);
    });
  }
  return { u, v, cumulants };
}

/** The score's `u` alone, without the cost of its cumulants: positive when the treatment exceeds more often. */
export function exceedanceExcess(tables: readonly Table[]): number {
  return tables.reduce(
    (sum, { xt, nt, xc, nc }) => (nt === 0 || nc === 0 ? sum : sum + xt - (nt * (xt + xc)) / (nt + nc)),
    0,
  );
}

/**
 * ln e-value against "treatment exceeds no more often than control": the score exponentially tilted as a centred
 * binomial of the same variance. `sign` -1 mirrors it: evidence that the treatment exceeds less often. Never positive
 * when the signed score is not.
 */
export function exceedanceLogE(score: Score, deff: number, sign: 1 | -1): number {
  return mixTilts(({ theta }, j) => theta * sign * score.u - (score.cumulants[j] ?? 0), deff);
}
