/**
 * How many times faster than allowed the error budget is spent: (bad / total) / (1 - slo) (Google, The Site Reliability
 * Workbook, ch. 5). 1 spends it exactly within the objective's period; 14.4 over an hour spends 2 % of 30 days'. `slo` is the
 * share that must be good, 0 <= slo < 1, and 0 <= bad <= total. Nothing happened: 0.
 */
export function burnRate(bad: number, total: number, slo: number): number {
  if (!(slo >= 0 && slo < 1)) throw new RangeError(`no budget to burn at the objective ${slo}: give a share below 1`);
  return total === 0 ? 0 : bad / total / (1 - slo);
}
