import { average } from './combine.ts';
import { logNcdf } from './special.ts';

/**
 * ln of the one-sided normal mixture: evidence against "drift <= 0" from a centred sum `s` with variance process `v`,
 * the drift mixed over a half-normal of precision `rho` = 1/tau^2 (Robbins 1970; Howard, Ramdas, McAuliffe, Sekhon,
 * Ann. Stat. 2021). Never positive for s <= 0.
 */
export function logMixOneSided(s: number, v: number, rho: number): number {
  const sum = v + rho;
  return 0.5 * Math.log((4 * rho) / sum) + (s * s) / (2 * sum) + logNcdf(s / Math.sqrt(sum));
}

/**
 * The same against "no drift", either way: 0.5 ln(rho / (v + rho)) + s^2 / (2 (v + rho)), the drift mixed over a normal
 * (Robbins 1970). For bands on display. v >= 0, rho > 0.
 */
export function logMixTwoSided(s: number, v: number, rho: number): number {
  const sum = v + rho;
  return 0.5 * Math.log(rho / sum) + (s * s) / (2 * sum);
}

/**
 * Evidence that a mean exceeds `limit`, from its estimate and estimated standard error: the mixture averaged over the
 * effect sizes `scales` it is tuned for (same unit as the estimate). Asymptotic, for the variance is estimated
 * (Waudby-Smith et al., Ann. Stat. 2024).
 */
export function logMeanAbove(
  mean: { readonly estimate: number; readonly variance: number },
  limit: number,
  scales: readonly number[],
): number {
  if (!(mean.variance > 0 && Number.isFinite(mean.variance))) return 0;
  const s = (mean.estimate - limit) / mean.variance;
  const v = 1 / mean.variance;
  return average(scales.map((tau) => ({ weight: 1 / scales.length, logE: logMixOneSided(s, v, 1 / (tau * tau)) })));
}
