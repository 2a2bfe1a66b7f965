import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  addTo,
  type Histogram,
  type HistogramBuilder,
  histogramOf,
  quantileBin,
  tail,
} from '../../../src/domain/histogram.ts';
import { type ReliabilityInput, reliabilityOf, reliabilityTrendOf } from '../../../src/domain/reliability.ts';
import { asymptoticBand } from '../../../src/domain/stats/asymptotic-band.ts';
import { bernoulliBand } from '../../../src/domain/stats/bernoulli.ts';
import { bestRho, bestRhoOneSided } from '../../../src/domain/stats/best-rho.ts';
import { burnRate } from '../../../src/domain/stats/burn-rate.ts';
import { sampleRatioP } from '../../../src/domain/stats/chi-square.ts';
import { clusterSums, designEffect, ratioVariance } from '../../../src/domain/stats/cluster.ts';
import { average } from '../../../src/domain/stats/combine.ts';
import { countLogE } from '../../../src/domain/stats/counts.ts';
import { rejectByEvidence } from '../../../src/domain/stats/e-bh.ts';
import { exceedanceLogE, exceedanceScore } from '../../../src/domain/stats/exceedance.ts';
import { largestWhere, smallestWhere } from '../../../src/domain/stats/invert.ts';
import { exceedanceTables, latencyArm } from '../../../src/domain/stats/latency.ts';
import { normalBoundOneSided, normalBoundTwoSided } from '../../../src/domain/stats/normal-bound.ts';
import { logMixOneSided, logMixTwoSided } from '../../../src/domain/stats/normal-mixture.ts';
import { normalQuantile } from '../../../src/domain/stats/normal-quantile.ts';
import { oddsRatio } from '../../../src/domain/stats/odds-ratio.ts';
import { robustTrend } from '../../../src/domain/stats/robust-trend.ts';
import { sampleRatioLogE } from '../../../src/domain/stats/sample-ratio.ts';
import { lbeta, lgamma, logNcdf } from '../../../src/domain/stats/special.ts';
import { swapArms } from '../../../src/domain/stats/table.ts';
import { tilts } from '../../../src/domain/stats/tilt.ts';

const Vectors = z.object({
  constants: z.object({ rr_grid: z.object({ theta: z.array(z.number()), log_weight: z.array(z.number()) }) }),
  groups: z.array(
    z.object({
      name: z.string(),
      tol: z.object({ rel: z.number().default(0), abs: z.number().default(0) }),
      cases: z.array(z.object({ in: z.unknown(), out: z.unknown() })),
    }),
  ),
});
const vectors = Vectors.parse(
  JSON.parse(readFileSync(new URL('../../vectors/stats-vectors.json', import.meta.url), 'utf8')),
);

const numbers = z.array(z.number());
const Strata = z
  .array(z.tuple([z.number(), z.number(), z.number(), z.number()]))
  .transform((rows) => rows.map(([xt, nt, xc, nc]) => ({ xt, nt, xc, nc })));
/** The reference implementation bins at 1.05^(1/4); the methods take bins and growth as they come. */
const lnGrowth = Math.log(1.05) / 4;
const bucket = (ms: number) => Math.ceil(Math.log(ms) / lnGrowth - 1e-9);
const histogram = (ms: readonly number[]): Histogram => {
  const builder: HistogramBuilder = new Map();
  for (const value of ms) addTo(builder, bucket(value), 1);
  return histogramOf(builder);
};
const Pair = z.tuple([z.number(), z.number()]);
const Four = z.tuple([z.number(), z.number(), z.number(), z.number()]);
const Arm = z
  .object({ n: z.number(), sum: z.number(), sum_squares: z.number() })
  .transform(({ n, sum, sum_squares: sumSquares }) => ({ n, sum, sumSquares }));
/** Compared exactly, whatever the tolerance of their group. */
const integers = new Set(['tail_counts', 'lower_shift', 'upper_shift', 'e_bh_rejected', 'sessions', 'n']);

function compare(got: unknown, wanted: unknown, tol: { rel: number; abs: number }, path: string): void {
  if (wanted === null) return;
  if (Array.isArray(wanted)) {
    const parts = z.array(z.unknown()).parse(got);
    expect(parts, path).toHaveLength(wanted.length);
    for (const [i, value] of wanted.entries()) compare(parts[i], value, tol, `${path}[${i}]`);
    return;
  }
  if (typeof wanted === 'object') {
    const fields: Record<string, unknown> = z.record(z.string(), z.unknown()).parse(got);
    for (const [key, value] of Object.entries(wanted))
      compare(fields[key], value, integers.has(key) ? { rel: 0, abs: 0 } : tol, `${path}.${key}`);
    return;
  }
  const target = z.number().parse(wanted);
  const limit = Math.max(tol.abs, tol.rel * Math.abs(target));
  expect(Math.abs(z.number().parse(got) - target), `${path}: ${got}, not ${target}`).toBeLessThanOrEqual(limit);
}

const methods: Record<string, (input: unknown) => unknown> = {
  log_normal_cdf: (input) => logNcdf(...z.tuple([z.number()]).parse(input)),
  log_gamma: (input) => lgamma(...z.tuple([z.number()]).parse(input)),
  log_beta: (input) => lbeta(...z.tuple([z.number(), z.number()]).parse(input)),
  normal_quantile: (input) => normalQuantile(...z.tuple([z.number()]).parse(input)),
  best_rho_one_sided: (input) => bestRhoOneSided(...Pair.parse(input)),
  best_rho_two_sided: (input) => bestRho(...Pair.parse(input)),
  normal_mixture_log_one_sided: (input) => {
    const [s, v, vOpt, alphaOpt] = Four.parse(input);
    return logMixOneSided(s, v, bestRhoOneSided(vOpt, alphaOpt));
  },
  normal_mixture_log_two_sided: (input) => {
    const [s, v, vOpt, alphaOpt] = Four.parse(input);
    return logMixTwoSided(s, v, bestRho(vOpt, alphaOpt));
  },
  normal_mixture_bound_one_sided: (input) => {
    const [v, alpha, vOpt, alphaOpt] = Four.parse(input);
    return normalBoundOneSided(v, alpha, bestRhoOneSided(vOpt, alphaOpt));
  },
  normal_mixture_bound_two_sided: (input) => {
    const [v, alpha, vOpt, alphaOpt] = Four.parse(input);
    return normalBoundTwoSided(v, alpha, bestRho(vOpt, alphaOpt));
  },
  bernoulli_confidence_sequence: (input) => {
    const [successes, trials, alpha, tOpt, alphaOpt] = z
      .tuple([z.number(), z.number(), z.number(), z.number(), z.number()])
      .parse(input);
    const { lower, upper } = bernoulliBand({ successes, trials }, alpha, tOpt, alphaOpt);
    return [lower, upper];
  },
  asymptotic_cs_closed_form: (input) => {
    const Input = z.object({ control: Arm, treatment: Arm, alpha: z.number(), n_star: z.number() });
    const { control, treatment, alpha, n_star: nStar } = Input.parse(input);
    const band = asymptoticBand(control, treatment, alpha, nStar);
    return {
      lower_one_sided: band?.lowerOneSided,
      upper_one_sided: band?.upperOneSided,
      ci_two_sided: [band?.lower, band?.upper],
      p_two_sided: band?.p,
    };
  },
  srm_chi_square_p: (input) => sampleRatioP(...z.tuple([numbers, numbers]).parse(input)),
  burn_rate: (input) => burnRate(...z.tuple([z.number(), z.number(), z.number()]).parse(input)),
  robust_trend: (input) => {
    const trend = robustTrend(numbers.parse(input));
    return { slope: trend?.slope, intercept_median: trend?.intercept, mad_scaled: trend?.scale };
  },
  ratio_variance: (input) => {
    const { K, N, NN, Y, YY, YN } = z.record(z.string(), z.number()).parse(input);
    const sums = { k: K ?? 0, n: N ?? 0, nn: NN ?? 0, y: Y ?? 0, yy: YY ?? 0, yn: YN ?? 0 };
    const result = ratioVariance(sums);
    return { ratio: result?.ratio, variance_of_ratio: result?.variance };
  },
  cmh_log_e: (input) => {
    const { strata, deff, tau } = z.object({ strata: Strata, deff: z.number(), tau: z.number() }).parse(input);
    const score = exceedanceScore(strata);
    return {
      U: score.u,
      V: score.v,
      chi2: score.u ** 2 / score.v,
      log_e: exceedanceLogE(score, deff, 1),
      log_e_mirrored: exceedanceLogE(score, deff, -1),
      odds_ratio_mh: oddsRatio(strata),
      log_e_normal_mixture: logMixOneSided(score.u / deff, score.v / deff, 1 / tau ** 2),
    };
  },
  cluster_design_effect: (input) => {
    const Rows = z.array(z.tuple([z.number(), z.number(), z.number()]));
    const { rows, threshold_bucket: threshold } = z.object({ rows: Rows, threshold_bucket: z.number() }).parse(input);
    const sums = (of: (ms: number, error: number) => number) => {
      const clusters = new Map<number, { n: number; y: number }>();
      for (const [session, ms, error] of rows) {
        const { n, y } = clusters.get(session) ?? { n: 0, y: 0 };
        clusters.set(session, { n: n + 1, y: y + of(ms, error) });
      }
      return clusterSums([...clusters.values()]);
    };
    const slow = sums((ms) => (bucket(ms) > threshold ? 1 : 0));
    const error = sums((_, errors) => errors);
    const log = ratioVariance(sums((ms) => Math.log(ms)));
    return {
      sessions: slow.k,
      n: slow.n,
      p: slow.y / slow.n,
      deff: designEffect(slow),
      log_mean: log?.ratio,
      log_mean_var: log?.variance,
      err_rate: error.y / error.n,
      err_deff: designEffect(error),
    };
  },
  count_log_e: (input) => {
    const { strata, rr0, deff } = z.object({ strata: Strata, rr0: z.number(), deff: z.number() }).parse(input);
    return {
      log_e: countLogE(strata, rr0, deff),
      log_e_mirrored: countLogE(strata.map(swapArms), 1 / rr0, deff),
    };
  },
  srm_log_e: (input) => {
    const [treated, n, share, kappa] = z.tuple([z.number(), z.number(), z.number(), z.number()]).parse(input);
    return sampleRatioLogE(treated, n, share, kappa);
  },
  e_combine: (input) => {
    const { log_e, weights, fdr } = z.object({ log_e: numbers, weights: numbers, fdr: z.number() }).parse(input);
    return {
      log_weighted_mean: average(log_e.map((logE, i) => ({ logE, weight: weights[i] ?? 0 }))),
      e_bh_rejected: rejectByEvidence(log_e, fdr),
    };
  },
  log_histogram: (input) => {
    const { ms } = z.object({ ms: numbers }).parse(input);
    const hist = histogram(ms);
    const growth = Math.exp(lnGrowth);
    const estimate = (q: number) => (2 * growth ** (quantileBin(hist, q) ?? 0)) / (growth + 1);
    return {
      quantiles: Object.fromEntries([0.5, 0.75, 0.9, 0.95, 0.99].map((q) => [String(q), estimate(q)])),
      tail_counts: Object.fromEntries(Array.from({ length: 1200 }, (_, bin) => [String(bin), tail(hist, bin)])),
    };
  },
  quantile_ratio_cs: (input) => {
    const Input = z.object({
      treatment_ms: numbers,
      control_ms: numbers,
      ref_bucket: z.number(),
      deff: z.number(),
      alpha: z.number(),
    });
    const { treatment_ms, control_ms, ref_bucket, deff, alpha } = Input.parse(input);
    const arm = (ms: readonly number[]) => latencyArm({ n: ms.length, sumLn: 0, hist: histogram(ms) });
    const strata = [{ treatment: arm(treatment_ms), control: arm(control_ms) }];
    const at = (shift: number, sign: 1 | -1) =>
      exceedanceLogE(exceedanceScore(exceedanceTables(strata, ref_bucket, shift)), deff, sign);
    const needed = Math.log(1 / alpha);
    const lower = largestWhere((shift) => at(shift, 1) >= needed, -200, 199);
    const upper = smallestWhere((shift) => at(shift, -1) >= needed, -200, 199);
    return {
      lower_shift: lower,
      upper_shift: upper,
      lower_ratio: lower === null ? null : Math.exp(lnGrowth * lower),
      upper_ratio: upper === null ? null : Math.exp(lnGrowth * upper),
      log_e_margin_5pct: at(4, 1),
    };
  },
  reliability_score: (input) => {
    const given = z.record(z.string(), z.number()).parse(input);
    const grace = given.grace_min ?? 0;
    const question: ReliabilityInput = {
      coverage: { treatment: given.coverage_treatment ?? 0, control: given.coverage_control ?? 0 },
      target: given.coverage_target ?? 0,
      ageMs: (given.age_min ?? 0) * 60_000,
      expectedLagMs: grace * 60_000,
      staleAfterMs: (grace + 3 * (given.half_life_min ?? 0)) * 60_000,
      information: given.information_fraction ?? 0,
      invalidShare: 0,
      duplicateShare: 0,
      concentrated: false,
    };
    return { ...reliabilityOf(question).components, ...reliabilityTrendOf(question) };
  },
};

describe('the reference values', () => {
  it('are all checked', () => {
    expect(vectors.groups.map(({ name }) => name).sort()).toEqual(Object.keys(methods).sort());
    expect(vectors.groups).toHaveLength(24);
  });

  it('have the grid of tilts', () => {
    const { theta, log_weight } = vectors.constants.rr_grid;
    for (const [j, tilt] of tilts.entries()) {
      expect(tilt.theta).toBeCloseTo(theta[j] ?? 0, 12);
      expect(tilt.lnWeight).toBeCloseTo(log_weight[j] ?? 0, 9);
    }
  });

  for (const { name, tol, cases } of vectors.groups) {
    it(`agree on ${name}, all ${cases.length} cases`, () => {
      for (const [i, { in: input, out }] of cases.entries()) compare(methods[name]?.(input), out, tol, `${name}[${i}]`);
    });
  }
});
