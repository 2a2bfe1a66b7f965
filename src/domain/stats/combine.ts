import { logSumExp } from './special.ts';

/** Natural log of an e-value with its share of the budget; shares of one combination sum to 1, fixed before the data. */
export interface Weighted {
  readonly weight: number;
  readonly logE: number;
}

/**
 * ln of the weighted average of e-values: an e-value again under any dependence (Vovk & Wang, Ann. Stat. 2021). The
 * maximum would not be one.
 */
export function average(evidence: readonly Weighted[]): number {
  return logSumExp(evidence.map(({ weight, logE }) => Math.log(weight) + logE));
}
