import type { Evidence, EvidenceArm } from '../domain/evidence.ts';
import { lnGamma } from '../domain/histogram.ts';
import { ratioVariance } from '../domain/stats/cluster.ts';
import { logMeanAbove } from '../domain/stats/normal-mixture.ts';

/** What one hour at one exposure told, as the runs saw it. */
export interface Information {
  readonly exposure: number;
  readonly hours: number;
  /** Sum over strata of n_t n_c / (n_t + n_c), page views with an LCP, per variance of ln(LCP) with its clusters. */
  readonly lcp: number;
  /** Units with a known outcome, and those of control with an error. */
  readonly units: { readonly [arm in EvidenceArm]: number };
  readonly erred: number;
}

/** Reads what each exposure told from the evidence of a whole run. */
export function informationIn(
  evidence: Evidence,
  path: readonly (readonly [minute: number, exposure: number])[],
): Information[] {
  const variance = lcpVariance(evidence);
  const stages = [...new Set(evidence.strata.map(({ stage }) => stage))].filter((stage) => stage >= 0);
  const exposures = path.map(([, exposure]) => exposure).filter((exposure) => exposure > 0);
  const inOrder = [...new Set(exposures)].toSorted((a, b) => a - b);
  return stages.flatMap((stage): Information[] => {
    const exposure = inOrder[stage];
    if (exposure === undefined) return [];
    let [lcp, erred] = [0, 0];
    const units = { treatment: 0, control: 0 };
    for (const stratum of evidence.strata.filter((each) => each.stage === stage)) {
      const [nt, nc] = [stratum.treatment.metrics.LCP?.n ?? 0, stratum.control.metrics.LCP?.n ?? 0];
      if (nt > 0 && nc > 0) lcp += (nt * nc) / (nt + nc);
      units.treatment += stratum.treatment.counts.exposed ?? 0;
      units.control += stratum.control.counts.exposed ?? 0;
      erred += stratum.control.counts.err ?? 0;
    }
    return [{ exposure, hours: hoursAt(path, exposure), lcp: lcp / variance, units, erred }];
  });
}

/** Variance of ln(LCP) per page view, clusters included (stats.md §4), over both arms. */
function lcpVariance({ units }: Evidence): number {
  const of = units.LCP;
  if (of === undefined) return Number.POSITIVE_INFINITY;
  const per = [of.treatment, of.control].flatMap(({ k, n, nn, bins }) => {
    const found = ratioVariance({ k, n, nn, ...bins });
    return found === null ? [] : [{ n, variance: found.variance * n }];
  });
  const views = per.reduce((sum, { n }) => sum + n, 0);
  if (views === 0) return Number.POSITIVE_INFINITY;
  return (per.reduce((sum, { n, variance }) => sum + n * variance, 0) / views) * lnGamma * lnGamma;
}

function hoursAt(path: readonly (readonly [number, number])[], exposure: number): number {
  return path.reduce((sum, [minute, at], i) => {
    const until = path[i + 1]?.[0] ?? minute;
    return at === exposure ? sum + (until - minute) / 60 : sum;
  }, 0);
}

/** How long an exposure takes to tell an effect from none, hours. */
export interface Power {
  readonly exposure: number;
  readonly signal: 'LCP' | 'errors';
  /** Share: 0.05 = 5 % slower, or 5 % more units with an error. */
  readonly effect: number;
  readonly hours: number;
}

/** For each exposure that was served, each effect: the hours until evidence of that effect reaches 1/alpha. */
export function powerOf(
  information: readonly Information[],
  effects: { readonly LCP: readonly number[]; readonly errors: readonly number[] },
  alpha: number,
): Power[] {
  const enough = Math.log(1 / alpha);
  return pooled(information).flatMap((at): Power[] => [
    ...effects.LCP.map((effect) => {
      const hours = hoursForMean(at.lcp / at.hours, Math.log(1 + effect), enough);
      return { exposure: at.exposure, signal: 'LCP' as const, effect, hours };
    }),
    ...effects.errors.map((effect) => {
      const hours = enough / logRate(at, 1 + effect);
      return { exposure: at.exposure, signal: 'errors' as const, effect, hours };
    }),
  ]);
}

function pooled(information: readonly Information[]): Information[] {
  const byExposure = new Map<number, Information>();
  for (const each of information) {
    const known = byExposure.get(each.exposure);
    byExposure.set(each.exposure, known === undefined ? each : plus(known, each));
  }
  return [...byExposure.values()].filter(({ hours }) => hours > 0).toSorted((a, b) => a.exposure - b.exposure);
}

function plus(a: Information, b: Information): Information {
  return {
    exposure: a.exposure,
    hours: a.hours + b.hours,
    lcp: a.lcp + b.lcp,
    units: { treatment: a.units.treatment + b.units.treatment, control: a.units.control + b.units.control },
    erred: a.erred + b.erred,
  };
}

/** Effect sizes that the log mean is tuned for (stats.md §5). */
const scales = [0.1, 0.5];

/** Doubles, then halves, until the evidence that the effect itself would give is just enough. */
function hoursForMean(perHour: number, effect: number, enough: number): number {
  if (!(perHour > 0)) return Number.POSITIVE_INFINITY;
  const tells = (hours: number) =>
    logMeanAbove({ estimate: effect, variance: 1 / (perHour * hours) }, 0, scales) >= enough;
  let above = 1 / 60;
  while (!tells(above) && above < 1e6) above *= 2;
  let below = above / 2;
  for (let step = 0; step < 20; step++) {
    const middle = (below + above) / 2;
    if (tells(middle)) above = middle;
    else below = middle;
  }
  return above;
}

/** Expected log-likelihood an hour of a ratio of shares, of the conditional binomial at the best tilt (stats.md §7). */
function logRate({ units, erred, hours }: Information, ratio: number): number {
  const { treatment, control } = units;
  if (treatment === 0 || control === 0 || erred === 0) return 0;
  const share = erred / control;
  const [xt, xc] = [treatment * share * ratio, erred];
  const split = (treatment * ratio + control) / (treatment + control);
  return (xt * Math.log(ratio) - (xt + xc) * Math.log(split)) / hours;
}
