import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { reliabilityOf, reliabilityTrendOf } from '../../../src/domain/reliability.ts';
import { asymptoticBand } from '../../../src/domain/stats/asymptotic-band.ts';
import { bernoulliBand } from '../../../src/domain/stats/bernoulli.ts';
import { bestRho, bestRhoOneSided } from '../../../src/domain/stats/best-rho.ts';
import { burnRate } from '../../../src/domain/stats/burn-rate.ts';
import { sampleRatioP } from '../../../src/domain/stats/chi-square.ts';
import { rejectByEvidence } from '../../../src/domain/stats/e-bh.ts';
import { normalBoundOneSided, normalBoundTwoSided } from '../../../src/domain/stats/normal-bound.ts';
import { logMixOneSided, logMixTwoSided } from '../../../src/domain/stats/normal-mixture.ts';
import { normalQuantile } from '../../../src/domain/stats/normal-quantile.ts';
import { oddsRatio } from '../../../src/domain/stats/odds-ratio.ts';
import { robustTrend } from '../../../src/domain/stats/robust-trend.ts';
import { logNcdf } from '../../../src/domain/stats/special.ts';
import { swapArms } from '../../../src/domain/stats/table.ts';

const between = (min: number, max: number) => fc.double({ min, max, noNaN: true });
const variance = between(0, 1e5);
const precision = between(1e-3, 1e4);
const alpha = between(1e-6, 0.4);
const logEs = fc.array(between(-10, 15), { maxLength: 12 });

describe('the normal quantile', () => {
  it('inverts the distribution function, into the far tail', () => {
    fc.assert(
      fc.property(between(-37, 0), (x) => {
        expect(normalQuantile(Math.exp(logNcdf(x)))).toBeCloseTo(x, 9);
      }),
    );
  });

  it('mirrors at one half', () => {
    fc.assert(
      fc.property(between(0.001, 0.999), (p) => {
        expect(normalQuantile(1 - p)).toBeCloseTo(-normalQuantile(p), 9);
      }),
    );
  });

  it('is infinite at the ends and nothing beyond them', () => {
    expect([normalQuantile(0), normalQuantile(1)]).toEqual([Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]);
    expect(() => normalQuantile(1.01)).toThrow('give 0 to 1');
    expect(() => normalQuantile(Number.NaN)).toThrow('give 0 to 1');
  });
});

describe('normal mixtures', () => {
  it('never speak for a rise when the sum has not risen', () => {
    fc.assert(
      fc.property(between(-1e4, 0), variance, precision, (s, v, rho) => {
        expect(logMixOneSided(s, v, rho)).toBeLessThanOrEqual(1e-9);
      }),
    );
  });

  it('say the same of a rise and of a fall when they have two sides', () => {
    fc.assert(
      fc.property(between(0, 1e4), variance, precision, (s, v, rho) => {
        expect(logMixTwoSided(-s, v, rho)).toBe(logMixTwoSided(s, v, rho));
      }),
    );
  });

  it('reach 1/alpha exactly at their bounds', () => {
    fc.assert(
      fc.property(variance, alpha, precision, (v, error, rho) => {
        const needed = Math.log(1 / error);
        expect(logMixOneSided(normalBoundOneSided(v, error, rho), v, rho)).toBeCloseTo(needed, 6);
        expect(logMixTwoSided(normalBoundTwoSided(v, error, rho), v, rho)).toBeCloseTo(needed, 6);
      }),
    );
  });

  it('are tightest at the variance they are tuned to', () => {
    fc.assert(
      fc.property(between(1, 1e5), between(1e-4, 0.05), between(0.1, 10), (v, error, factor) => {
        const tuned = bestRho(v, error);
        const slack = 1.01; // The closed form is within a percent of the optimum.
        expect(normalBoundTwoSided(v, error, tuned)).toBeLessThanOrEqual(
          slack * normalBoundTwoSided(v, error, tuned * factor),
        );
      }),
    );
  });

  it('cannot be tuned to no variance or to an error that is none', () => {
    expect(() => bestRho(0, 0.05)).toThrow('variance 0');
    expect(() => bestRho(100, 1)).toThrow('0 < alpha < 1');
    expect(() => bestRhoOneSided(100, 0.5)).toThrow('alpha < 0.5');
  });
});

describe('the band around a rate', () => {
  const counted = fc
    .integer({ min: 0, max: 3000 })
    .chain((trials) => fc.integer({ min: 0, max: trials }).map((successes) => ({ successes, trials })));

  it('contains the estimate, within 0 and 1', () => {
    fc.assert(
      fc.property(counted, alpha, (rate, error) => {
        const { lower, upper } = bernoulliBand(rate, error, 500, 0.05);
        const estimate = rate.trials === 0 ? 0.5 : rate.successes / rate.trials;
        expect(lower).toBeGreaterThanOrEqual(0);
        expect(upper).toBeLessThanOrEqual(1);
        expect(lower).toBeLessThanOrEqual(estimate);
        expect(upper).toBeGreaterThanOrEqual(estimate);
      }),
    );
  });

  it('mirrors when successes and failures change places', () => {
    fc.assert(
      fc.property(counted, ({ successes, trials }) => {
        const band = bernoulliBand({ successes, trials }, 0.05, 500, 0.05);
        const mirrored = bernoulliBand({ successes: trials - successes, trials }, 0.05, 500, 0.05);
        expect(mirrored.lower).toBeCloseTo(1 - band.upper, 9);
      }),
    );
  });

  it('is wider the smaller the error', () => {
    fc.assert(
      fc.property(counted, (rate) => {
        const strict = bernoulliBand(rate, 0.01, 500, 0.05);
        const loose = bernoulliBand(rate, 0.1, 500, 0.05);
        expect(strict.lower).toBeLessThanOrEqual(loose.lower);
        expect(strict.upper).toBeGreaterThanOrEqual(loose.upper);
      }),
    );
  });

  it('says nothing of a rate that nobody has tried', () => {
    expect(bernoulliBand({ successes: 0, trials: 0 }, 0.05, 500, 0.05)).toEqual({ lower: 0, upper: 1 });
  });
});

describe('the asymptotic band', () => {
  const arm = fc
    .record({ n: fc.integer({ min: 50, max: 1e5 }), mean: between(-5, 5), deviation: between(0.1, 10) })
    .map(({ n, mean, deviation }) => ({ n, sum: n * mean, sumSquares: n * (mean * mean + deviation * deviation) }));

  it('excludes "no difference" exactly when its p-value is below alpha', () => {
    fc.assert(
      fc.property(arm, arm, between(0.001, 0.2), (control, treatment, error) => {
        const band = asymptoticBand(control, treatment, error, 5000);
        if (band === null) throw new Error('both arms vary');
        fc.pre(Math.abs(band.p - error) > 1e-6 * error);
        expect(band.p < error).toBe(band.lower > 0 || band.upper < 0);
      }),
    );
  });

  it('changes its sign when the arms change places', () => {
    fc.assert(
      fc.property(arm, arm, (control, treatment) => {
        const band = asymptoticBand(control, treatment, 0.05, 5000);
        const swapped = asymptoticBand(treatment, control, 0.05, 5000);
        expect(swapped?.lower).toBeCloseTo(-(band?.upper ?? Number.NaN), 9);
        expect(swapped?.lowerOneSided).toBeCloseTo(-(band?.upperOneSided ?? Number.NaN), 9);
      }),
    );
  });

  it('is not drawn from one observation, nor from values that do not vary', () => {
    const constant = { n: 10, sum: 20, sumSquares: 40 };
    expect(asymptoticBand({ n: 1, sum: 2, sumSquares: 4 }, constant, 0.05, 5000)).toBeNull();
    expect(asymptoticBand(constant, constant, 0.05, 5000)).toBeNull();
  });
});

describe('e-BH', () => {
  it('rejects no less when any of the evidence grows', () => {
    fc.assert(
      fc.property(logEs, fc.nat(11), between(0, 10), (evidence, at, more) => {
        const grown = evidence.map((logE, index) => (index === at ? logE + more : logE));
        const rejected = new Set(rejectByEvidence(grown, 0.1));
        for (const index of rejectByEvidence(evidence, 0.1)) expect(rejected).toContain(index);
      }),
    );
  });

  it('rejects whatever evidence is as strong as what it rejects', () => {
    fc.assert(
      fc.property(logEs, (evidence) => {
        const rejected = new Set(rejectByEvidence(evidence, 0.1));
        const weakest = Math.min(...[...rejected].map((index) => evidence[index] ?? 0));
        for (const [index, logE] of evidence.entries()) expect(rejected.has(index)).toBe(logE >= weakest);
      }),
    );
  });

  it('asks of one hypothesis what a single test asks: 1/q', () => {
    expect(rejectByEvidence([Math.log(10.01)], 0.1)).toEqual([0]);
    expect(rejectByEvidence([Math.log(9.99)], 0.1)).toEqual([]);
    expect(rejectByEvidence([], 0.1)).toEqual([]);
  });
});

describe('what is shown beside the evidence', () => {
  const count = fc.integer({ min: 1, max: 1e5 });
  const table = fc
    .tuple(count, count, between(0.01, 0.99), between(0.01, 0.99))
    .map(([nt, nc, pt, pc]) => ({ nt, nc, xt: nt * pt, xc: nc * pc }));

  it('has an odds ratio that inverts with the arms', () => {
    fc.assert(
      fc.property(fc.array(table, { minLength: 1, maxLength: 5 }), (tables) => {
        const ratio = oddsRatio(tables) ?? Number.NaN;
        expect((oddsRatio(tables.map(swapArms)) ?? Number.NaN) * ratio).toBeCloseTo(1, 9);
      }),
    );
    expect(oddsRatio([{ xt: 3, nt: 10, xc: 0, nc: 10 }])).toBeNull();
  });

  it('finds nothing in counts that split as they should, and much in counts that do not', () => {
    expect(sampleRatioP([200, 300, 500], [2, 3, 5])).toBe(1);
    expect(sampleRatioP([0, 0], [1, 1])).toBe(1);
    expect(sampleRatioP([900, 100], [1, 1])).toBeLessThan(1e-100);
    expect(() => sampleRatioP([1, 2], [1])).toThrow('one weight a count');
  });

  it('knows the tables of chi-square at its 5 % points, for one to five degrees of freedom', () => {
    // Two cells that deviate by d in opposite directions, the others on the spot: chi-square is 2 d^2 / expected.
    for (const [freedom, point] of [3.841459, 5.991465, 7.814728, 9.487729, 11.0705].entries()) {
      const expected = 1e6;
      const off = Math.sqrt((point * expected) / 2);
      const counts = [expected + off, expected - off, ...Array<number>(freedom).fill(expected)];
      expect(
        sampleRatioP(
          counts,
          counts.map(() => 1),
        ),
      ).toBeCloseTo(0.05, 6);
    }
  });

  it('burns a budget at the speed at which bad events exceed their share', () => {
    expect(burnRate(144, 10_000, 0.999)).toBeCloseTo(14.4, 9);
    expect(burnRate(0, 0, 0.999)).toBe(0);
    expect(() => burnRate(1, 10, 1)).toThrow('below 1');
  });

  it('finds a line through outliers', () => {
    const line = Array.from({ length: 21 }, (_, x) => 3 + 2 * x);
    const struck = line.map((y, x) => (x % 5 === 0 ? y + 1000 : y));
    expect(robustTrend(line)?.slope).toBeCloseTo(2, 12);
    expect(robustTrend(line)?.intercept).toBeCloseTo(3, 12);
    expect(robustTrend(struck)?.slope).toBeCloseTo(2, 12);
    expect(robustTrend([1])).toBeNull();
  });
});

describe('the trend of reliability', () => {
  const question = {
    coverage: { treatment: 0.8, control: 0.9 },
    target: 0.8,
    ageMs: 120_000,
    expectedLagMs: 60_000,
    staleAfterMs: 240_000,
    information: 0.5,
    invalidShare: 0,
    duplicateShare: 0,
    concentrated: false,
  };

  it('is zero when one of its parts is', () => {
    const silent = { ...question, coverage: { treatment: 0, control: 0.9 } };
    expect(reliabilityTrendOf(silent)).toMatchObject({ integrity: 0, reliability: 0 });
    expect(reliabilityTrendOf({ ...question, information: 0 }).reliability).toBe(0);
  });

  it('goes on falling where the verdict is cut off', () => {
    const stale = { ...question, ageMs: 300_000 };
    expect(reliabilityOf(stale).components.freshness).toBe(0);
    expect(reliabilityTrendOf(stale).freshness).toBe(1 / 16);
  });

  it('is never below the smallest of its parts', () => {
    fc.assert(
      fc.property(
        between(0, 1),
        between(0, 1),
        between(0, 239_000),
        between(0, 2),
        (treatment, control, ageMs, information) => {
          const asked = { ...question, coverage: { treatment, control }, ageMs, information };
          const { coverage, balance, freshness, sufficiency } = reliabilityOf(asked).components;
          const least = Math.min(coverage * balance, freshness, sufficiency);
          expect(reliabilityTrendOf(asked).reliability).toBeGreaterThanOrEqual(least - 1e-12);
        },
      ),
    );
  });
});
