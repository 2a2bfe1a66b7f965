/**
 * Precision rho = 1/tau^2 at which the two-sided normal mixture is tightest when its variance process reaches `vOpt`, at
 * error `alpha`: rho = v / (2 ln(1/alpha) + ln(1 + 2 ln(1/alpha))) (Howard, Ramdas, McAuliffe, Sekhon, Ann. Stat. 2021;
 * stats.md §5). Same unit as the variance. Needs vOpt > 0 and 0 < alpha < 1; throws RangeError otherwise.
 */
export function bestRho(vOpt: number, alpha: number): number {
  if (!(vOpt > 0)) throw new RangeError(`cannot tune a mixture to the variance ${vOpt}: give one above 0`);
  if (!(alpha > 0 && alpha < 1))
    throw new RangeError(`cannot tune a mixture to the error ${alpha}: give 0 < alpha < 1`);
  const needed = 2 * Math.log(1 / alpha);
  return vOpt / (needed + Math.log(1 + needed));
}

/** The same for the one-sided mixture, whose bound is about the two-sided one's at twice the error. Needs 0 < alpha < 0.5. */
export function bestRhoOneSided(vOpt: number, alpha: number): number {
  if (!(alpha < 0.5))
    throw new RangeError(`cannot tune a one-sided mixture to the error ${alpha}: give 0 < alpha < 0.5`);
  return bestRho(vOpt, 2 * alpha);
}
