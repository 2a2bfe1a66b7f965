import type { EvidenceArm } from '../domain/evidence.ts';
import { type Allocation, slots } from '../domain/exposure.ts';
import { lastBin, lnGamma } from '../domain/histogram.ts';
import { vitals } from '../domain/signal.ts';
import { type Chance, createChance } from './chance.ts';
import type { Population, Prototype } from './population.ts';
import type { Fault } from './story.ts';

/** One unit that came by. */
export interface Visit {
  /** Epoch ms. */
  readonly at: number;
  readonly unit: Prototype;
  /** Bins by which the hour of the day moves its LCP. */
  readonly shift: number;
  readonly network: number;
}

/** The units of one arm in one minute. */
export interface MinuteArm {
  readonly visits: readonly Visit[];
}

export interface Minute {
  readonly treatment: MinuteArm;
  readonly control: MinuteArm;
  /** Whether the fault was there. */
  readonly faulty: boolean;
}

/** A minute of one arm in plain numbers, for whoever judges by something else than evidence. */
export interface MinuteTotals {
  /** Units heard of, their page views, and the page views with an LCP by bin (`domain/histogram.ts`). */
  readonly units: number;
  readonly views: number;
  readonly lcp: Int32Array;
  readonly errViews: number;
  readonly erredUnits: number;
  /** Units that convert, sooner or later. */
  readonly converted: number;
  /** Over units: page views with an LCP (N), and their sum of LCP bins (Y). */
  readonly unitSums: {
    readonly k: number;
    readonly n: number;
    readonly nn: number;
    readonly y: number;
    readonly yy: number;
    readonly yn: number;
  };
}

export interface World {
  /** Who comes in the minute that starts at `at`, epoch ms. Minutes are drawn once each, in order. */
  minute(at: number, allocation: Allocation): Minute;
  /** Networks of which it has to be kept what they alone reported; null where nobody forges. */
  readonly watched: ReadonlySet<number> | null;
}

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
/** Traffic is highest and pages are slowest at 20:00 UTC. */
const peakMs = 20 * 60 * minuteMs;
const honestNetworks = 4000;
/** Numbers of networks from which beacons are forged begin here. */
const forgedNetworks = 1_000_000;

/** Draws who comes. `startAt`: first minute of the rollout, which a fault's `after` counts from. */
export function createWorld(population: Population, seed: number, startAt: number): World {
  const chance = createChance(seed, 0x51f1);
  const { world, fault } = population.spec;
  let forgedLeft = fault.kind === 'poison' ? fault.tokens : 0;

  const visitOf = (unit: Prototype, at: number, sway: number, network: number): Visit => ({
    at: at + chance.below(minuteMs),
    unit,
    // Rounded at random, so that the mean moves smoothly.
    shift: Math.floor(sway + chance.next()),
    network,
  });

  const arrivals = (at: number, share: number, pool: () => readonly Prototype[], sway: number): Visit[] => {
    const mean = world.rate * 60 * (1 + world.dailyRate * wave(at)) * share;
    return Array.from({ length: chance.poisson(mean) }, () => {
      const from = pool();
      return visitOf(from[chance.below(from.length)] ?? population.unused, at, sway, chance.below(honestNetworks));
    });
  };

  /** Whoever collects tokens is given some of control as well, and has no use for them. */
  const forged = (at: number, allocation: Allocation): { treatment: Visit[]; control: Visit[] } => {
    if (fault.kind !== 'poison' || allocation.treatment === 0) return { treatment: [], control: [] };
    const n = Math.min(forgedLeft, chance.poisson((fault.tokens * minuteMs) / fault.over));
    forgedLeft -= n;
    const perToken = (allocation.control + allocation.holdback) / allocation.treatment;
    const from = () => forgedNetworks + chance.below(fault.networks);
    const units = (count: number, unit: Prototype) => Array.from({ length: count }, () => visitOf(unit, at, 0, from()));
    return {
      treatment: units(n, population.forged),
      control: units(chance.poisson(n * perToken), population.unused),
    };
  };

  return {
    watched: watchedOf(fault),
    minute(at, allocation) {
      const faulty = isOn(fault, at - startAt, (100 * allocation.treatment) / slots);
      const pools = poolsOf(population, faulty, at - startAt, chance);
      const sway = Math.log(1 + world.lcp.daily * wave(at)) / lnGamma;
      const extra = faulty ? forged(at, allocation) : { treatment: [], control: [] };
      // Before the first exposure a share of control is labelled treatment, and served the same.
      const labelled = allocation.treatment + allocation.labelled;
      const treated = arrivals(at, labelled / slots, pools.treatment, sway);
      const untreated = arrivals(at, (allocation.control + allocation.holdback) / slots, pools.control, sway);
      return {
        treatment: { visits: [...treated, ...extra.treatment] },
        control: { visits: [...untreated, ...extra.control] },
        faulty,
      };
    },
  };
}

/** -1..1 over a day. */
function wave(at: number): number {
  return Math.cos((2 * Math.PI * (at - peakMs)) / dayMs);
}

/** Whether the fault is there: `elapsed` ms into the rollout, at this exposure in percent. */
function isOn(fault: Fault, elapsed: number, exposure: number): boolean {
  if (fault.kind === 'none') return false;
  if (fault.kind === 'mix_drift') return true;
  if (fault.kind !== 'outage' && exposure === 0) return false;
  const { from, until } = fault;
  if (from?.exposure != null && exposure < from.exposure) return false;
  if (from?.after != null && elapsed < from.after) return false;
  return until === null || elapsed < until;
}

type Pools = { readonly [arm in EvidenceArm]: () => readonly Prototype[] };

function poolsOf(
  { plain, changed, spec: { fault } }: Population,
  faulty: boolean,
  elapsed: number,
  chance: Chance,
): Pools {
  const healthy = () => plain;
  const met = () => changed;
  if (!faulty || fault.kind === 'poison') return { treatment: healthy, control: healthy };
  if (fault.kind === 'outage') return { treatment: met, control: met };
  if (fault.kind !== 'mix_drift') return { treatment: met, control: healthy };
  const share = fault.fromShare + (fault.toShare - fault.fromShare) * Math.min(1, elapsed / fault.over);
  const mixed = () => (chance.next() < share ? changed : plain);
  return { treatment: mixed, control: mixed };
}

function watchedOf(fault: Fault): ReadonlySet<number> | null {
  if (fault.kind !== 'poison') return null;
  return new Set(Array.from({ length: fault.networks }, (_, i) => forgedNetworks + i));
}

const lcp = vitals.indexOf('LCP');

export function totalsOf({ visits }: MinuteArm): MinuteTotals {
  const bins = new Int32Array(lastBin + 1);
  const sums = { k: 0, n: 0, nn: 0, y: 0, yy: 0, yn: 0 };
  const totals = { units: 0, views: 0, errViews: 0, erredUnits: 0, converted: 0 };
  for (const { unit, shift } of visits) {
    if (unit.silent) continue;
    totals.units += 1;
    totals.views += unit.views;
    totals.errViews += unit.errViews;
    if (unit.errViews > 0) totals.erredUnits += 1;
    if (unit.conversions.length > 0) totals.converted += 1;
    for (const seen of unit.metrics) {
      if (seen.metric !== lcp) continue;
      let y = 0;
      for (const bin of seen.bins) {
        const shifted = Math.min(lastBin, Math.max(0, bin + (seen.sways ? shift : 0)));
        bins[shifted] = (bins[shifted] ?? 0) + 1;
        y += shifted;
      }
      const n = seen.bins.length;
      sums.k += 1;
      sums.n += n;
      sums.nn += n * n;
      sums.y += y;
      sums.yy += y * y;
      sums.yn += y * n;
    }
  }
  return { ...totals, lcp: bins, unitSums: sums };
}
