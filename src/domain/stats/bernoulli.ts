import { bestRho } from './best-rho.ts';
import { sampleRatioLogE } from './sample-ratio.ts';

/** What one arm's rate is estimated from. */
interface Successes {
  readonly successes: number;
  readonly trials: number;
}

/**
 * Band around the rate of one arm that covers it at every look with probability 1 - alpha, for display: the rates that
 * the two-sided beta-binomial mixture does not reject (Howard, Ramdas, McAuliffe, Sekhon, Ann. Stat. 2021). Written with
 * kappa = max(tOpt / (2 ln(1/alphaOpt) + ln(1 + 2 ln(1/alphaOpt))) - 1, 0.001) that mixture is the sample ratio's e-value
 * with the rate as its share. Narrowest after `tOpt` >= 1 trials at error `alphaOpt`. Trials are independent 0/1 draws (one
 * a unit, not page views); 0 <= successes <= trials, 0 < alpha < 1. Shares 0..1; no trials: [0, 1].
 */
export function bernoulliBand(
  { successes, trials }: Successes,
  alpha: number,
  tOpt: number,
  alphaOpt: number,
): { lower: number; upper: number } {
  const kappa = Math.max(bestRho(tOpt, alphaOpt) - 1, 1e-3);
  const needed = Math.log(1 / alpha);
  return {
    lower: lowest(successes, trials, kappa, needed),
    // Failures are the successes of the mirrored question.
    upper: 1 - lowest(trials - successes, trials, kappa, needed),
  };
}

/** Bisects between 0 and the estimate for the largest rate below it that is rejected; 0 where none is. */
function lowest(x: number, n: number, kappa: number, needed: number): number {
  if (x === 0) return 0;
  let low = 0;
  let high = x / n;
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (sampleRatioLogE(x, n, middle, kappa) >= needed) low = middle;
    else high = middle;
  }
  return low;
}
