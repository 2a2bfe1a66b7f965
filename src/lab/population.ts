import { binOf, quantileBin } from '../domain/histogram.ts';
import { metrics } from '../domain/metrics.ts';
import type { Reference } from '../domain/rollout.ts';
import { quantiles, type Vital, vitals } from '../domain/signal.ts';
import { valueOfBin } from './bin-values.ts';
import { type Chance, createChance } from './chance.ts';
import { type Roster, rosterOf, type UnitOutcome, viewCap } from './roster.ts';
import { browsers, devices, type Fault, type WorldSpec } from './story.ts';

/** What the treatment cost one unit beyond what control would have. */
export interface Harm {
  /** Page views with an error. */
  readonly errors: number;
  /** LCP over all of its page views, ms. */
  readonly lcpMs: number;
  /** Conversions lost. */
  readonly conversions: number;
  /** 1 when the page stayed blank. */
  readonly blank: number;
}

/** A unit that visits draw from: what it does, and what that is worse than without the fault. */
export interface Prototype extends UnitOutcome {
  readonly harm: Harm;
}

export interface PopulationSpec {
  readonly world: WorldSpec;
  readonly fault: Fault;
  /** Metrics that somebody looks at. */
  readonly vitals: ReadonlySet<Vital>;
  /** Number of conversions that somebody looks at; a unit that converts makes all of them. */
  readonly conversions: number;
}

/** Units with and without the fault; the i-th of both is the same unit. */
export interface Population {
  readonly spec: PopulationSpec;
  readonly plain: readonly Prototype[];
  readonly changed: readonly Prototype[];
  /** A forged unit: every page view fails and is slow. */
  readonly forged: Prototype;
  /** A unit that was given a token and never used it. */
  readonly unused: Prototype;
  /** All of these in one list: plain from 0 on, changed from `plain.length` on, then the forged one and the unused one. */
  readonly everybody: readonly Prototype[];
  readonly roster: Roster;
  /** Quantile bins of page views without the fault, as a day of history has them. */
  readonly references: { readonly [metric: string]: Reference['bins'] };
}

/** Units to draw from: enough that 20 000 page views shape each distribution, few enough for the cache. */
const poolSize = 8192;

const noConversions: Prototype['conversions'] = [];
const noHarm: Harm = { errors: 0, lcpMs: 0, conversions: 0, blank: 0 };

/** How a metric without a fault is distributed: log-normal, its deviation halved between units and page views. */
interface Shape {
  readonly median: number;
  /** Standard deviation of ln(value) between units, and again within. */
  readonly sigma: number;
  /** Share of page views that report it, by browser. */
  readonly reported: readonly number[];
  /** Share of page views at 0. */
  readonly zero: number;
}

const chromium = [1, 0, 0, 1, 0] as const;

/** By browser: chrome, safari, firefox, edge, other. LCP is missing in 10 to 30 % of page views. */
const shapes: { readonly [vital in Vital]: Shape } = {
  LCP: { median: 2000, sigma: 0.55, reported: [0.9, 0.7, 0.8, 0.9, 0.7], zero: 0 },
  INP: { median: 110, sigma: 0.45, reported: [0.6, 0.45, 0.5, 0.6, 0.4], zero: 0 },
  CLS: { median: 0.04, sigma: 0.7, reported: chromium, zero: 0.4 },
  FCP: { median: 1100, sigma: 0.45, reported: [0.95, 0.9, 0.9, 0.95, 0.8], zero: 0 },
  TTFB: { median: 280, sigma: 0.45, reported: [0.98, 0.95, 0.95, 0.98, 0.9], zero: 0 },
};

const browserShares = [0.6, 0.2, 0.08, 0.09, 0.03];
const deviceShares = [0.55, 0.4, 0.05];
const endShare = 0.9;

export function createPopulation(spec: PopulationSpec, seed: number): Population {
  const chance = createChance(seed, 0x9e37);
  const drawn = Array.from({ length: poolSize }, () => drawUnit(spec, chance));
  const plain = drawn.map((unit) => outcomeOf(spec, unit, { kind: 'none' }));
  const changed = drawn.map((unit, i) => {
    const without = plain[i];
    if (spec.fault.kind === 'none' || without === undefined || !isMet(unit, spec.fault)) return without ?? forgedUnit;
    const outcome = outcomeOf(spec, unit, spec.fault);
    return { ...outcome, harm: harmOf(outcome, without, spec.fault) };
  });
  const forged = forgedOf(spec);
  const everybody = [...plain, ...changed, forged, unused];
  return {
    spec,
    plain,
    changed,
    forged,
    unused,
    everybody,
    roster: rosterOf(everybody),
    references: referencesOf(plain),
  };
}

/** Everything random about one unit; the fault changes what comes of it, not the draws. */
interface Drawn {
  readonly browser: number;
  readonly device: number;
  /** Uniform draws that decide by a threshold. */
  readonly segment: number;
  readonly silent: number;
  readonly erring: number;
  readonly converting: number;
  readonly lagMs: number;
  readonly views: readonly DrawnView[];
}

interface DrawnView {
  readonly error: number;
  readonly end: number;
  /** Standard normal score per reported metric, by index into `vitals`; null = not reported. */
  readonly scores: readonly (number | null)[];
}

function drawUnit({ world, vitals: watched }: PopulationSpec, chance: Chance): Drawn {
  const browser = pick(browserShares, chance.next());
  const between = vitals.map(() => chance.normal());
  const views = Array.from({ length: Math.min(viewCap, chance.geometric(1 / world.pageViews)) }, () => ({
    error: chance.next(),
    end: chance.next(),
    scores: vitals.map((vital, i) => {
      const [reported, within] = [chance.next(), chance.normal()];
      const isReported = watched.has(vital) && reported < (shapes[vital].reported[browser] ?? 0);
      return isReported ? ((between[i] ?? 0) + within) / Math.SQRT2 : null;
    }),
  }));
  return {
    browser,
    device: pick(deviceShares, chance.next()),
    segment: chance.next(),
    silent: chance.next(),
    erring: chance.next(),
    converting: chance.next(),
    lagMs: Math.round(chance.exponential(world.conversion.lag)),
    views,
  };
}

function pick(shares: readonly number[], draw: number): number {
  let left = draw;
  for (const [i, share] of shares.entries()) {
    left -= share;
    if (left < 0) return i;
  }
  return shares.length - 1;
}

/** Whether the fault's segment includes the unit. */
function isMet(unit: Drawn, fault: Fault): boolean {
  const only = 'only' in fault ? fault.only : null;
  if (only === null) return true;
  if ('browser' in only) return browsers[unit.browser] === only.browser;
  if ('device' in only) return devices[unit.device] === only.device;
  return unit.segment < only.share;
}

function outcomeOf(spec: PopulationSpec, unit: Drawn, fault: Fault): Prototype {
  const { world } = spec;
  const lost = fault.kind === 'white_screen' || fault.kind === 'beacon_loss' ? fault.share : 0;
  const fails = failing(world, fault);
  const kept = 1 - (fault.kind === 'conversion_loss' ? fault.by : 0);
  const errs = (view: DrawnView) =>
    (unit.erring < fails.ofUnits && view.error < fails.ofViews) || view.error > 1 - fails.all;
  const converts = unit.converting < world.conversion.share * kept;
  return {
    silent: unit.silent < world.silent + (1 - world.silent) * lost,
    views: unit.views.length,
    errViews: unit.views.filter(errs).length,
    ends: unit.views.filter(({ end }) => end < endShare).length,
    metrics: vitals.flatMap((vital, metric) => {
      const bins = unit.views.flatMap(({ scores }) => {
        const score = scores[metric] ?? null;
        return score === null ? [] : [binOf(valueAt(vital, score, world, fault))];
      });
      return bins.length === 0 ? [] : [{ metric, bins, sways: vital === 'LCP' }];
    }),
    conversions: converts
      ? Array.from({ length: spec.conversions }, (_, conversion) => ({ conversion, lagMs: unit.lagMs }))
      : noConversions,
    harm: noHarm,
  };
}

/** More errors come from more units that have them; once all have, from more in each. */
function failing({ errors }: WorldSpec, fault: Fault): { ofUnits: number; ofViews: number; all: number } {
  const times = fault.kind === 'errors' ? fault.times : 1;
  const ofUnits = Math.min(1, errors.ofUnits * times);
  const ofViews = errors.ofUnits === 0 ? 0 : Math.min(1, (errors.share * times) / ofUnits);
  return { ofUnits, ofViews, all: fault.kind === 'outage' ? fault.errors : 0 };
}

/** Stored value of a page view with this normal score, the fault included. */
function valueAt(vital: Vital, score: number, world: WorldSpec, fault: Fault): number {
  const { median, sigma, zero } = shapes[vital];
  const { scale, max } = metrics[vital];
  const spread = sigma * Math.SQRT2;
  if (zero > 0 && score < zeroScore) return 0;
  const middle = vital === 'LCP' ? world.lcp.median : median;
  const heavy = vital === 'LCP' && world.lcp.tail === 'heavy' && score > heavyFrom;
  const plain = heavy
    ? middle * Math.exp(heavyFrom * spread) * (upperTail(score) / upperTail(heavyFrom)) ** (-1 / paretoIndex)
    : middle * Math.exp(score * spread);
  return Math.round(Math.min(max, plain * factorOf(vital, score, fault)) * scale);
}

/** Score of the 40th percentile, below which a layout does not shift at all. */
const zeroScore = -0.2533;
/** Score of the 90th percentile. */
const heavyFrom = 1.2816;
const paretoIndex = 1.5;

function factorOf(vital: Vital, score: number, fault: Fault): number {
  switch (fault.kind) {
    case 'slow':
      return vital === fault.metric ? 1 + fault.by : 1;
    case 'faster':
      return vital === fault.metric ? 1 - fault.by : 1;
    case 'tail':
      return vital === 'LCP' && upperTail(score) < fault.share ? fault.times : 1;
    case 'outage':
    case 'mix_drift':
      return vital === 'CLS' ? 1 : fault.times;
    default:
      return 1;
  }
}

/** 1 - Phi(x), by Abramowitz & Stegun 26.2.17: within 7.5e-8, far finer than a pool of this size. */
function upperTail(x: number): number {
  if (x < 0) return 1 - upperTail(-x);
  const t = 1 / (1 + 0.2316419 * x);
  const series = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * series;
}

/** What is the same unit's, with and without; lost beacons harm nobody. */
function harmOf(outcome: Prototype, without: Prototype, fault: Fault): Harm {
  const blank = fault.kind === 'white_screen' && outcome.silent && !without.silent;
  if (blank) return { errors: 0, lcpMs: 0, conversions: without.conversions.length > 0 ? 1 : 0, blank: 1 };
  if (fault.kind === 'outage' || fault.kind === 'mix_drift' || fault.kind === 'beacon_loss') return noHarm;
  return {
    errors: outcome.errViews - without.errViews,
    lcpMs: lcpOf(outcome) - lcpOf(without),
    conversions: Math.sign(without.conversions.length) - Math.sign(outcome.conversions.length),
    blank: 0,
  };
}

function lcpOf({ metrics: seen }: UnitOutcome): number {
  const bins = seen.find(({ metric }) => vitals[metric] === 'LCP')?.bins ?? [];
  return bins.reduce((sum, bin) => sum + valueOfBin(bin), 0);
}

const forgedUnit: Prototype = {
  silent: false,
  views: viewCap,
  errViews: viewCap,
  ends: viewCap,
  metrics: [],
  conversions: [],
  harm: noHarm,
};

function forgedOf({ vitals: watched }: PopulationSpec): Prototype {
  const bins = Array.from({ length: viewCap }, () => binOf(60_000));
  const lcp = watched.has('LCP') ? [{ metric: vitals.indexOf('LCP'), bins, sways: false }] : [];
  return { ...forgedUnit, metrics: lcp };
}

const unused: Prototype = { ...forgedUnit, silent: true, views: 0, errViews: 0, ends: 0 };

function referencesOf(plain: readonly Prototype[]): { readonly [metric: string]: Reference['bins'] } {
  const references: { [metric: string]: Reference['bins'] } = {};
  for (const [index, vital] of vitals.entries()) {
    const counts = new Map<number, number>();
    for (const unit of plain) {
      if (unit.silent) continue;
      for (const { metric, bins } of unit.metrics)
        if (metric === index) for (const bin of bins) counts.set(bin, (counts.get(bin) ?? 0) + 1);
    }
    const hist = [...counts].sort(([a], [b]) => a - b);
    if (hist.length > 0) references[vital] = quantiles.map((q) => quantileBin(hist, q) ?? 0);
  }
  return references;
}
