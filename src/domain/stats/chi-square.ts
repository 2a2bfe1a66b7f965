import { logNcdf } from './special.ts';

/**
 * p-value of Pearson's chi-square test (Pearson 1900) that `counts` units fell into arms in proportion to `weights` > 0
 * (any scale, one a count, at least two). For display only: looked at again and again it rejects far too often, the
 * verdict is `sampleRatioLogE`. 1 without units.
 */
export function sampleRatioP(counts: readonly number[], weights: readonly number[]): number {
  if (counts.length !== weights.length || counts.length < 2)
    throw new RangeError(
      `${counts.length} counts for ${weights.length} weights: give at least two, one weight a count`,
    );
  const units = sumOf(counts);
  const whole = sumOf(weights);
  if (units === 0) return 1;
  const distance = weights.map((weight, arm) => {
    const expected = (units * weight) / whole;
    return ((counts[arm] ?? 0) - expected) ** 2 / expected;
  });
  return chiSquareTail(sumOf(distance), counts.length - 1);
}

/**
 * P(X > x) for chi-square of `freedom` = 1, 2, 3, ... degrees: from 2 Phi(-sqrt x) or e^(-x/2), two degrees at a time by
 * Q(x; k + 2) = Q(x; k) + (x/2)^(k/2) e^(-x/2) / Gamma(k/2 + 1) (Abramowitz & Stegun 26.4.8). All terms are positive.
 */
function chiSquareTail(x: number, freedom: number): number {
  const half = x / 2;
  const odd = freedom % 2 === 1;
  let tail = odd ? 2 * Math.exp(logNcdf(-Math.sqrt(x))) : Math.exp(-half);
  let term = odd ? Math.sqrt(half / Math.PI) * 2 * Math.exp(-half) : half * Math.exp(-half);
  for (let k = odd ? 1 : 2; k < freedom; k += 2) {
    tail += term;
    term *= half / (k / 2 + 1);
  }
  return tail;
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
