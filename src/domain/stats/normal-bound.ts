import { logMixOneSided } from './normal-mixture.ts';

/**
 * The centred sum at which the two-sided normal mixture reaches 1/alpha at variance `v` >= 0 and precision `rho` > 0:
 * sqrt((v + rho) (ln(1 + v/rho) + 2 ln(1/alpha))) (Robbins 1970; Howard et al., Ann. Stat. 2021). Half the width of a band
 * that holds at every look with probability 1 - alpha; 0 < alpha < 1.
 */
export function normalBoundTwoSided(v: number, alpha: number, rho: number): number {
  return Math.sqrt((v + rho) * (Math.log1p(v / rho) + 2 * Math.log(1 / alpha)));
}

/**
 * The same for the one-sided mixture, by bisection to the last bit: the evidence grows with the sum. The two-sided
 * bound is never below it, for at a sum above 0 the one-sided mixture is the larger (its factor is 2 Phi(z) >= 1).
 */
export function normalBoundOneSided(v: number, alpha: number, rho: number): number {
  const needed = Math.log(1 / alpha);
  let low = 0;
  let high = normalBoundTwoSided(v, alpha, rho);
  for (let step = 0; step < 60; step++) {
    const middle = (low + high) / 2;
    if (logMixOneSided(middle, v, rho) < needed) low = middle;
    else high = middle;
  }
  return high;
}
