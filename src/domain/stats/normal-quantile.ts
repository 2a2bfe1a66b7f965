import { logNcdf } from './special.ts';

const lnRootTwoPi = 0.5 * Math.log(2 * Math.PI);

/**
 * Quantile of the standard normal distribution, Phi^-1(p), 0 <= p <= 1 (infinite at the ends); throws RangeError outside.
 * Newton's method on ln Phi, which is concave: from -sqrt(-2 ln p), at or below the root because
 * Phi(-z) <= e^(-z^2/2) / 2, it climbs without ever overshooting. The upper half is the mirror of the lower.
 */
export function normalQuantile(p: number): number {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`no quantile at the probability ${p}: give 0 to 1`);
  if (p === 0) return Number.NEGATIVE_INFINITY;
  if (p === 0.5) return 0;
  if (p > 0.5) return -normalQuantile(1 - p);
  const wanted = Math.log(p);
  let x = -Math.sqrt(-2 * wanted);
  for (let step = 0; step < 30; step++) {
    const reached = logNcdf(x);
    const slope = Math.exp(-0.5 * x * x - lnRootTwoPi - reached);
    const climb = (wanted - reached) / slope;
    x += climb;
    if (Math.abs(climb) < 1e-14 * Math.abs(x)) break;
  }
  return x;
}
