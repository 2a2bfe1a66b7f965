import type { Wait } from '../decision.ts';
import type { Evidence } from '../evidence.ts';
import { estimateOf, lnGamma } from '../histogram.ts';
import type { GatePolicy } from '../policy.ts';
import type { Rollout } from '../rollout.ts';
import type { Signal, Vital } from '../signal.ts';
import { countLogE, shareLogE } from '../stats/counts.ts';
import { largestWhere, smallestWhere } from '../stats/invert.ts';
import { fasterLogE } from '../stats/latency.ts';
import { sumTables, swapArms, type Table } from '../stats/table.ts';
import { noiseOf } from './clusters.ts';
import { binOfQuantile, latencyStrata, type Quantile } from './latency.ts';
import { type ProportionSource, tablesOf } from './proportion.ts';
import { valueText } from './text.ts';
import type { Views } from './views.ts';

/**
 * "No proof of harm" is not proof of no harm: the upper bound of the effect, times the next exposure, must stay below
 * these (stats.md §9).
 */
export type HarmCaps = GatePolicy['spec']['harmCaps'];

export interface RampInput {
  readonly evidence: Evidence;
  readonly views: Views;
  readonly references: Rollout['references'];
  /** Signals of the hold and kill gates that apply now. */
  readonly signals: readonly Signal[];
  /** Units per arm and stage epoch that the stage asks for. */
  readonly minSamples: number;
  /** Percent of the next stage; null when there is none. */
  readonly nextExposure: number | null;
  readonly caps: HarmCaps;
}

/** Why the evidence of the present stage epoch does not yet allow the next exposure; empty when it does. */
export function rampWaits(input: RampInput): Wait[] {
  const { nextExposure, caps } = input;
  if (nextExposure === null) return samplesWait(input);
  const bounds = input.signals.flatMap((signal) => {
    const { source, statistic } = signal.spec;
    if (source.event === 'web_vital') return vitalWait(input, source.field, statistic.q ?? 0.75, nextExposure / 100);
    const tables = tablesOf(input.views.present, source);
    return source.event === 'conversion'
      ? conversionWait(tables, source.field, nextExposure / 100, caps)
      : rateWait(signal, badTables(tables, source), nextExposure / 100, caps);
  });
  return [...samplesWait(input), ...bounds];
}

function wait(text: string): Wait[] {
  return [{ for: 'samples', text, etaMs: null }];
}

function samplesWait({ views, minSamples }: RampInput): Wait[] {
  const exposed = (arm: 'treatment' | 'control') =>
    views.present.reduce((sum, stratum) => sum + (stratum[arm].counts.exposed ?? 0), 0);
  const [treatment, control] = [exposed('treatment'), exposed('control')];
  const needed = Math.max(1, minSamples);
  if (Math.min(treatment, control) >= needed) return [];
  return wait(`${needed} units per arm in this stage: ${treatment} with the flag, ${control} without`);
}

/** Treatment page views of the present epoch without which a quantile has no bound. */
const minimumViews = 75;

/** A plan that asks for fewer than 25 units, three page views each, has said that it takes the risk. */
function viewsNeeded(minSamples: number): number {
  return Math.min(minimumViews, Math.max(20, 3 * minSamples));
}

function vitalWait(input: RampInput, metric: Vital, q: Quantile, next: number): Wait[] {
  const { evidence, views, references, caps } = input;
  const reference = references[metric];
  if (reference === undefined) return wait(`a reference of ${metric} from control`);
  const strata = latencyStrata(views.present, metric);
  const seen = strata.reduce((sum, { treatment }) => sum + treatment.n, 0);
  const needed = viewsNeeded(input.minSamples);
  if (seen < needed) return wait(`${needed} page views with ${metric} in treatment: ${seen} in this stage`);
  const { deff } = noiseOf(metric, views.all, evidence.shards[metric]);
  const bin = binOfQuantile(q, reference);
  const enough = Math.log(1 / caps.alpha);
  const shift = smallestWhere((k) => fasterLogE(strata, bin, deff, Math.exp(k * lnGamma), lnGamma) >= enough, -8, 60);
  const slower = shift === null ? Number.POSITIVE_INFINITY : Math.exp(shift * lnGamma) - 1;
  if (slower * next <= caps.slower || slower * estimateOf(bin) * next <= caps.slowerBy) return [];
  return wait(boundText(`${metric} p${100 * q}`, slower, 'slower', caps.slower / next));
}

/** Bad events of a signal where higher is better are the trials that lack it. */
function badTables(tables: readonly Table[], source: ProportionSource): Table[] {
  return source.event === 'end'
    ? tables.map(({ xt, nt, xc, nc }) => ({ xt: nt - xt, nt, xc: nc - xc, nc }))
    : [...tables];
}

/** Steps of the search for a bound of a ratio: 2 % each. */
const step = 0.02;

function rateWait(signal: Signal, tables: readonly Table[], next: number, caps: HarmCaps): Wait[] {
  const swapped = tables.map(swapArms);
  const enough = Math.log(1 / caps.alpha);
  const steps = smallestWhere(
    (k) => countLogE(swapped, Math.exp(-k * step), 1) >= enough,
    0,
    Math.ceil(Math.log(50) / step),
  );
  const excess = steps === null ? Number.POSITIVE_INFINITY : Math.exp(steps * step) - 1;
  const { xt, nt, xc, nc } = sumTables(tables);
  // Without an event in control, the rate of both arms stands in for its own; without any, there is no harm to bound.
  const rate = xc > 0 ? xc / nc : (xt + xc) / Math.max(1, nt + nc);
  const excessShare = rate === 0 ? 0 : Math.min(excess * rate, shareBound(xt, nt, caps.alpha / 2) - rate);
  if (excess * next <= caps.rate || excessShare * next <= caps.rateShare) return [];
  const allowed = Math.max(caps.rate / next, caps.rateShare / next / rate);
  return wait(
    boundText(`${signal.metadata.name} (${valueText(signal, nt === 0 ? null : xt / nt)})`, excess, 'more', allowed),
  );
}

/** Upper bound of the treatment's own share: where events are too few to bound a ratio, they bound the share itself. */
function shareBound(x: number, n: number, alpha: number): number {
  const enough = Math.log(1 / alpha);
  const steps = smallestWhere((k) => shareLogE(n - x, n, 1 - k * shareStep, 1) >= enough, 1, 1 / shareStep);
  return steps === null ? 1 : steps * shareStep;
}

/** Steps of the search for a bound of a share. */
const shareStep = 0.0001;

function conversionWait(tables: readonly Table[], name: string, next: number, caps: HarmCaps): Wait[] {
  const enough = Math.log(1 / caps.alpha);
  const lowest = Math.floor(Math.log(0.02) / step);
  const steps = largestWhere(
    (k) => countLogE(tables, Math.exp(k * step), 1) >= enough,
    lowest,
    Math.ceil(Math.log(3) / step),
  );
  const loss = 1 - (steps === null ? 0 : Math.exp(steps * step));
  if (loss * next <= caps.conversion) return [];
  return wait(boundText(`${name} conversions`, loss, 'fewer', caps.conversion / next));
}

function boundText(what: string, bound: number, worse: string, allowed: number): string {
  const by = Number.isFinite(bound) ? `up to ${Math.round(100 * bound)} % ${worse} is possible` : 'no bound yet';
  return `proof enough for the next exposure: ${what}, ${by}, at most ${Math.round(100 * allowed)} % is allowed`;
}
