import type { Table } from './table.ts';

/**
 * Common odds ratio of an event, treatment over control, across strata: sum(a d / n) / sum(b c / n), with a, b events and
 * non-events of the treatment, c, d of the control (Mantel & Haenszel, JNCI 1959). Above 1: more frequent in treatment.
 * An estimate for display, beside the evidence. Null where no stratum contrasts the arms from below.
 */
export function oddsRatio(tables: readonly Table[]): number | null {
  let above = 0;
  let below = 0;
  for (const { xt, nt, xc, nc } of tables) {
    if (nt + nc === 0) continue;
    above += (xt * (nc - xc)) / (nt + nc);
    below += ((nt - xt) * xc) / (nt + nc);
  }
  return below === 0 ? null : above / below;
}
