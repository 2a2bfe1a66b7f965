import { slots } from '../../src/domain/exposure.ts';
import { binOf, lnGamma } from '../../src/domain/histogram.ts';
import { quantiles, vitals } from '../../src/domain/signal.ts';
import { type Chance, createChance } from '../../src/lab/chance.ts';
import type { Population, Prototype } from '../../src/lab/population.ts';
import type { Visit, World } from '../../src/lab/world.ts';
import type { Series, Traces } from './traces.ts';
import { type BenchWorld, startAt } from './worlds.ts';

const meanRate = 3;
const minuteMs = 60_000;
const lcpMetric = vitals.indexOf('LCP');

/**
 * A rollout in replayed telemetry: visits follow the taxi rides, all pages are as much slower or faster as the latency
 * series says at the hour (clamped to .3 .. 6 times its median), each LCP is a draw from the RUM Archive times the unit's
 * own exp(N(0, .4)). `slower`: what only the treatment adds. Errors and conversions are those of `base`.
 */
export function replayOf(
  traces: Traces,
  latency: Series,
  base: Population,
  slower: number,
): Pick<BenchWorld, 'population' | 'oracle' | 'open'> {
  const chance = createChance(11, latency.values.length);
  const draw = createDraw(traces.lcp, chance);
  const drawn = base.plain.map((unit) => {
    const own = Math.exp(0.4 * chance.normal());
    const views = Array.from({ length: unit.views }, () => own * draw());
    return { unit, values: views.filter(() => chance.next() < traces.lcpPresence) };
  });
  const pool = (factor: number) => drawn.map(({ unit, values }) => withLcp(unit, values, factor));
  const [plain, changed] = [pool(1), pool(1 + slower)];
  const population = { ...base, plain, changed, references: { LCP: referenceOf(plain) } };
  return {
    population,
    oracle: null,
    open: (seed) => openReplay(traces.volume, latency, { plain, changed }, seed),
  };
}

function createDraw(lcp: Traces['lcp'], chance: Chance): () => number {
  let sum = 0;
  const upTo = lcp.map(([ms, count]) => {
    sum += count;
    return { ms, sum };
  });
  return () => {
    const at = chance.next() * sum;
    let [low, high] = [0, upTo.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((upTo[middle]?.sum ?? 0) > at) high = middle;
      else low = middle + 1;
    }
    // Bars are 100 ms wide.
    return (upTo[low]?.ms ?? 0) + 100 * (chance.next() - 0.5);
  };
}

function withLcp(unit: Prototype, values: readonly number[], factor: number): Prototype {
  const bins = values.map((value) => binOf(Math.round(Math.min(120_000, Math.max(1, factor * value)))));
  return { ...unit, metrics: bins.length === 0 ? [] : [{ metric: lcpMetric, bins, sways: true }] };
}

function referenceOf(plain: readonly Prototype[]): readonly number[] {
  const bins = plain.flatMap(({ metrics }) => metrics.flatMap((metric) => metric.bins)).toSorted((a, b) => a - b);
  return quantiles.map((q) => bins[Math.floor(q * (bins.length - 1))] ?? 0);
}

/** Every seed begins elsewhere in both series. */
function openReplay(
  volume: Series,
  latency: Series,
  pools: { readonly plain: readonly Prototype[]; readonly changed: readonly Prototype[] },
  seed: number,
): Pick<World, 'minute'> {
  const chance = createChance(seed, 0x7ace);
  const rateAt = following(volume, chance.below(volume.values.length), 0);
  const slownessAt = following(latency, chance.below(latency.values.length), 0.3);
  const visitsOf = (pool: readonly Prototype[], at: number, minute: number, share: number): Visit[] => {
    const sway = Math.log(Math.min(6, slownessAt(minute))) / lnGamma;
    return Array.from({ length: chance.poisson(meanRate * 60 * rateAt(minute) * share) }, () => ({
      at: at + chance.below(minuteMs),
      unit: pool[chance.below(pool.length)] ?? neverDrawn(),
      shift: Math.floor(sway + chance.next()),
      network: 0,
    }));
  };
  return {
    minute(at, { treatment, control, holdback }) {
      const minute = (at - startAt) / minuteMs;
      return {
        treatment: { visits: visitsOf(pools.changed, at, minute, treatment / slots) },
        control: { visits: visitsOf(pools.plain, at, minute, (control + holdback) / slots) },
        faulty: true,
      };
    },
  };
}

function neverDrawn(): never {
  throw new Error('the pool of units is empty');
}

/** A series relative to its middle, from some step on; begins again at its end. */
function following({ values, stepMinutes }: Series, from: number, atLeast: number): (minute: number) => number {
  const middle = values.toSorted((a, b) => a - b)[values.length >> 1] ?? 1;
  return (minute) => {
    const value = values[(from + Math.floor(minute / stepMinutes)) % values.length] ?? middle;
    return Math.max(atLeast, value / middle);
  };
}
