import { lbeta } from './special.ts';

/**
 * ln e-value against "each of the `n` units fell into treatment with probability `share`": beta-binomial mixture of
 * concentration `kappa` (Lindon & Malek, NeurIPS 2022, two cells). Add it over stage epochs. Needs 0 < share < 1.
 */
export function sampleRatioLogE(treated: number, n: number, share: number, kappa: number): number {
  const a = kappa * share;
  const b = kappa * (1 - share);
  return (
    lbeta(a + treated, b + n - treated) - lbeta(a, b) - treated * Math.log(share) - (n - treated) * Math.log(1 - share)
  );
}
