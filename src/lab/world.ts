import type { EvidenceArm } from '../domain/evidence.ts';
import { type Allocation, slots } from '../domain/exposure.ts';
import { lastBin, lnGamma } from '../domain/histogram.ts';
import { vitals } from '../domain/signal.ts';
import type { Crowd } from './book.ts';
import { createChance } from './chance.ts';
import type { Population, Prototype } from './population.ts';
import type { Fault } from './story.ts';

/** One unit that came by. */
export interface Visit {
  /** Epoch ms. */
  readonly at: number;
  readonly unit: Prototype;
  /** Bins by which the hour of the day moves its LCP. */
  readonly shift: number;
  /** 0 where nobody forges. */
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

/** A minute in columns, for whoever books a whole simulation: indices into the population's `everybody`. */
export interface Drawn {
  readonly treatment: Crowd;
  readonly control: Crowd;
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
  /** The same minute in columns, which the next one overwrites. */
  draw(at: number, allocation: Allocation): Drawn;
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

  const { plain, everybody } = population;
  const [forgedUnit, unusedUnit] = [everybody.indexOf(population.forged), everybody.indexOf(population.unused)];
  const watched = watchedOf(fault);
  const crowds = { treatment: emptyCrowd(), control: emptyCrowd() };

  function join(crowd: GrowingCrowd, who: number, sway: number, network: number): void {
    const i = crowd.n++;
    crowd.who[i] = who;
    crowd.after[i] = chance.below(minuteMs);
    // Rounded at random, so that the mean moves smoothly.
    crowd.shift[i] = Math.floor(sway + chance.next());
    crowd.network[i] = network;
  }

  function arrive(crowd: GrowingCrowd, at: number, share: number, changed: number, sway: number): void {
    const mean = world.rate * 60 * (1 + world.dailyRate * wave(at)) * share;
    for (let left = chance.poisson(mean); left > 0; left--) {
      const isChanged = changed > 0 && chance.next() < changed;
      const who = chance.below(plain.length) + (isChanged ? plain.length : 0);
      join(crowd, who, sway, watched === null ? 0 : chance.below(honestNetworks));
    }
  }

  /** Whoever collects tokens is given some of control as well, and has no use for them. */
  function forge({ treatment, control, holdback }: Allocation): void {
    if (fault.kind !== 'poison' || treatment === 0) return;
    const n = Math.min(forgedLeft, chance.poisson((fault.tokens * minuteMs) / fault.over));
    forgedLeft -= n;
    const from = () => forgedNetworks + chance.below(fault.networks);
    for (let left = n; left > 0; left--) join(crowds.treatment, forgedUnit, 0, from());
    const unused = chance.poisson((n * (control + holdback)) / treatment);
    for (let left = unused; left > 0; left--) join(crowds.control, unusedUnit, 0, from());
  }

  function draw(at: number, allocation: Allocation): Drawn {
    const faulty = isOn(fault, at - startAt, (100 * allocation.treatment) / slots);
    const changed = sharesOf(fault, faulty, at - startAt);
    const sway = Math.log(1 + world.lcp.daily * wave(at)) / lnGamma;
    crowds.treatment.n = 0;
    crowds.control.n = 0;
    // Before the first exposure a share of control is labelled treatment, and served the same.
    const labelled = allocation.treatment + allocation.labelled;
    arrive(crowds.treatment, at, labelled / slots, changed.treatment, sway);
    arrive(crowds.control, at, (allocation.control + allocation.holdback) / slots, changed.control, sway);
    if (faulty) forge(allocation);
    return { ...crowds, faulty };
  }

  const visitsOf = ({ n, who, after, shift, network }: Crowd, at: number): Visit[] =>
    Array.from({ length: n }, (_, i) => ({
      at: at + (after[i] ?? 0),
      unit: everybody[who[i] ?? 0] ?? population.unused,
      shift: shift[i] ?? 0,
      network: network[i] ?? 0,
    }));

  return {
    watched,
    draw,
    minute(at, allocation) {
      const { treatment, control, faulty } = draw(at, allocation);
      return { treatment: { visits: visitsOf(treatment, at) }, control: { visits: visitsOf(control, at) }, faulty };
    },
  };
}

interface GrowingCrowd extends Crowd {
  n: number;
  readonly who: number[];
  readonly after: number[];
  readonly shift: number[];
  readonly network: number[];
}

const emptyCrowd = (): GrowingCrowd => ({ n: 0, who: [], after: [], shift: [], network: [] });

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

/** Share of the units that come as they are with the fault. */
function sharesOf(fault: Fault, faulty: boolean, elapsed: number): { readonly [arm in EvidenceArm]: number } {
  if (!faulty || fault.kind === 'poison') return { treatment: 0, control: 0 };
  if (fault.kind === 'outage') return { treatment: 1, control: 1 };
  if (fault.kind !== 'mix_drift') return { treatment: 1, control: 0 };
  const share = fault.fromShare + (fault.toShare - fault.fromShare) * Math.min(1, elapsed / fault.over);
  return { treatment: share, control: share };
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
