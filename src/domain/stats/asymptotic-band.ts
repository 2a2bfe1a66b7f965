import { bestRho, bestRhoOneSided } from './best-rho.ts';
import { normalBoundTwoSided } from './normal-bound.ts';
import { logMixTwoSided } from './normal-mixture.ts';

/** Sums over `n` >= 2 independent observations of one arm, in the signal's unit (and its square). */
export interface Moments {
  readonly n: number;
  readonly sum: number;
  readonly sumSquares: number;
}

/** What holds of treatment - control, in the signal's unit, at every look. */
export interface AsymptoticBand {
  /** Each of the two alone holds with probability 1 - alpha. */
  readonly lowerOneSided: number;
  readonly upperOneSided: number;
  /** Both ends together hold with probability 1 - alpha. */
  readonly lower: number;
  readonly upper: number;
  /** Always-valid p-value of "no difference", two-sided. */
  readonly p: number;
}

/**
 * Closed-form asymptotic confidence sequence of an absolute difference of means (Waudby-Smith, Arbour, Sinha, Kennedy,
 * Ramdas, Ann. Stat. 2024: eq. 9 two-sided, eq. 134 one-sided, eq. 155 the p-value), tightest after `nStar` observations of
 * both arms together: the bands that GrowthBook's sequential test reports. Observations are taken as independent, so
 * page views of one unit make it too narrow; it is for display and as a peer, verdicts do not use it. 0 < alpha < 0.5.
 * Null below two observations in an arm, or where nothing varies.
 */
export function asymptoticBand(
  control: Moments,
  treatment: Moments,
  alpha: number,
  nStar: number,
): AsymptoticBand | null {
  if (control.n < 2 || treatment.n < 2) return null;
  const n = control.n + treatment.n;
  const estimate = treatment.sum / treatment.n - control.sum / control.n;
  const variance = varianceOfMean(control) + varianceOfMean(treatment);
  if (!(variance > 0)) return null;
  // One step of a sum with unit variance per observation, in the signal's unit.
  const step = Math.sqrt(variance / n);
  const rho = bestRho(nStar, alpha);
  const half = step * normalBoundTwoSided(n, alpha, rho);
  const halfOneSided = step * closedFormOneSided(n, alpha, bestRhoOneSided(nStar, alpha));
  return {
    lowerOneSided: estimate - halfOneSided,
    upperOneSided: estimate + halfOneSided,
    lower: estimate - half,
    upper: estimate + half,
    p: Math.min(1, Math.exp(-logMixTwoSided(estimate / step, n, rho))),
  };
}

/** Upper bound in closed form of the one-sided mixture's boundary: sqrt(2 (v + rho) ln(1 + sqrt((v + rho)/rho) / 2 alpha)). */
function closedFormOneSided(v: number, alpha: number, rho: number): number {
  const sum = v + rho;
  return Math.sqrt(2 * sum * Math.log1p(Math.sqrt(sum / rho) / (2 * alpha)));
}

function varianceOfMean({ n, sum, sumSquares }: Moments): number {
  return (sumSquares - (sum * sum) / n) / (n - 1) / n;
}
