import type { Wait } from '../decision.ts';
import type { Evidence } from '../evidence.ts';
import { estimateOf, lnGamma } from '../histogram.ts';
import type { GatePolicy } from '../policy.ts';
import type { Rollout } from '../rollout.ts';
import type { Signal, Vital } from '../signal.ts';
import { countLogEOf, shareLogE } from '../stats/counts.ts';
import { largestWhere, smallestWhere } from '../stats/invert.ts';
import { noiseOf } from './clusters.ts';
import { binOfQuantile, fasterLogE, type Quantile } from './latency.ts';
import { countsBeyond, type ProportionSource, proportionOf, type Side, unitsIn, vitalTotals } from './sums.ts';
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
  /** Whether to say how large the effect may still be, which takes a search. */
  readonly detail: boolean;
}

/** Why the evidence of the present stage epoch does not yet allow the next exposure; empty when it does. */
export function rampWaits(input: RampInput): Wait[] {
  const { nextExposure } = input;
  if (nextExposure === null) return samplesWait(input);
  const next = nextExposure / 100;
  const bounds = input.signals.flatMap((signal) => {
    const { source, statistic } = signal.spec;
    // A mean is bounded by the quantile: harm that a mean alone can see is harm to few.
    if (source.event === 'web_vital') return vitalWait(input, source.field, statistic.q ?? 0.75, next);
    return source.event === 'conversion' ? conversionWait(input, source, next) : rateWait(input, signal, source, next);
  });
  return [...samplesWait(input), ...bounds];
}

function wait(text: string): Wait[] {
  return [{ for: 'samples', text, etaMs: null }];
}

function samplesWait({ views, minSamples }: RampInput): Wait[] {
  const { treatment, control } = unitsIn(views.present).exposed;
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

/** Bins, of some 2 %, beyond which no slow-down is looked for. */
const slowest = 60;

function vitalWait(input: RampInput, metric: Vital, q: Quantile, next: number): Wait[] {
  const { evidence, views, references, caps } = input;
  const reference = references[metric];
  if (reference === undefined) return wait(`a reference of ${metric} from control`);
  const seen = vitalTotals(views.present, metric).treatment.n;
  const needed = viewsNeeded(input.minSamples);
  if (seen < needed) return wait(`${needed} page views with ${metric} in treatment: ${seen} in this stage`);
  const { deff } = noiseOf(metric, views.all, evidence);
  const bin = binOfQuantile(q, reference);
  const excluded = (shift: number) =>
    fasterLogE(views.present, metric, bin, deff, Math.exp(shift * lnGamma)) >= Math.log(1 / caps.alpha);
  const allowed = Math.max(caps.slower, caps.slowerBy / estimateOf(bin)) / next;
  if (excluded(Math.min(slowest, Math.floor(Math.log1p(allowed) / lnGamma)))) return [];
  const bound = (): number | null => {
    const shift = smallestWhere(excluded, -8, slowest);
    return shift === null ? null : Math.exp(shift * lnGamma) - 1;
  };
  return boundWait(input, `${metric} p${100 * q}`, bound, 'slower', caps.slower / next);
}

/** Steps of the search for a bound of a ratio: 2 % each. */
const step = 0.02;
const largestRatio = 50;

/** Bad events of a signal where higher is better are the trials that lack it. */
function rateWait(input: RampInput, signal: Signal, source: ProportionSource, next: number): Wait[] {
  const { views, caps } = input;
  const lacking = source.event === 'end';
  const side: Side = lacking ? 'lacking, swapped' : 'swapped';
  const { nt, nc, ...events } = proportionOf(views.present, source);
  const [xt, xc] = lacking ? [nt - events.xt, nc - events.xc] : [events.xt, events.xc];
  // Without an event in control, the rate of both arms stands in for its own; without any, there is no harm to bound.
  const rate = xc > 0 ? xc / nc : (xt + xc) / Math.max(1, nt + nc);
  const excluded = (ratio: number) =>
    countLogEOf(views.present.sum(countsBeyond(source, 1 / ratio, side)), 1) >= Math.log(1 / caps.alpha);
  const allowed = Math.max(caps.rate, rate === 0 ? Number.POSITIVE_INFINITY : caps.rateShare / rate) / next;
  if (rate === 0 || excluded(1 + allowed)) return [];
  // Where events are too few to bound a ratio, they bound the treatment's own share.
  const share = rate + caps.rateShare / next;
  if (share >= 1 || shareLogE(nt - xt, nt, 1 - share, 1) >= Math.log(2 / caps.alpha)) return [];
  const bound = (): number | null => {
    const steps = smallestWhere((k) => excluded(Math.exp(k * step)), 0, Math.ceil(Math.log(largestRatio) / step));
    return steps === null ? null : Math.exp(steps * step) - 1;
  };
  const what = `${signal.metadata.name} (${valueText(signal, nt === 0 ? null : events.xt / nt)})`;
  return boundWait(input, what, bound, 'more', allowed);
}

function conversionWait(input: RampInput, source: ProportionSource, next: number): Wait[] {
  const { views, caps } = input;
  const allowed = caps.conversion / next;
  const proven = (ratio: number) =>
    countLogEOf(views.present.sum(countsBeyond(source, ratio, 'as is')), 1) >= Math.log(1 / caps.alpha);
  if (allowed >= 1 || proven(1 - allowed)) return [];
  const bound = (): number => {
    const steps = largestWhere(
      (k) => proven(Math.exp(k * step)),
      Math.floor(Math.log(0.02) / step),
      Math.ceil(Math.log(3) / step),
    );
    return 1 - (steps === null ? 0 : Math.exp(steps * step));
  };
  return boundWait(input, `${source.field} conversions`, bound, 'fewer', allowed);
}

function boundWait(
  { detail }: RampInput,
  what: string,
  bound: () => number | null,
  worse: string,
  allowed: number,
): Wait[] {
  const limit = `at most ${Math.round(100 * allowed)} % is allowed`;
  if (!detail) return wait(`proof enough for the next exposure: ${what}, ${limit}`);
  const found = bound();
  const by = found === null ? 'no bound yet' : `up to ${Math.round(100 * found)} % ${worse} is possible`;
  return wait(`proof enough for the next exposure: ${what}, ${by}, ${limit}`);
}
