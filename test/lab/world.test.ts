import { describe, expect, it } from 'vitest';
import { lastBin, quantile } from '../../src/domain/histogram.ts';
import { type Vital, vitals } from '../../src/domain/signal.ts';
import { createChance } from '../../src/lab/chance.ts';
import { createPopulation, type Prototype } from '../../src/lab/population.ts';
import { parseStory } from '../../src/lab/story.ts';
import { createWorld, type Minute, totalsOf } from '../../src/lab/world.ts';
import { minute, monday } from '../support/a-rollout.ts';

function aPopulation(spec: object, seed = 1) {
  const story = parseStory({
    apiVersion: 'tidegate.dev/v1',
    kind: 'FaultStory',
    metadata: { name: 'a-story' },
    spec: { expect: 'killed', ...spec },
  });
  if (!story.ok) throw new Error(JSON.stringify(story.problems));
  const { world, fault } = story.value.spec;
  return createPopulation({ world, fault, vitals: new Set<Vital>(['LCP', 'INP', 'CLS']), conversions: 1 }, seed);
}

const half = { treatment: 500_000, control: 500_000, holdback: 0, labelled: 0 };
const few = { treatment: 50_000, control: 200_000, holdback: 0, labelled: 0 };

function quantileOf(units: readonly Prototype[], vital: Vital, q: number): number {
  const counts = new Int32Array(lastBin + 1);
  for (const { metrics } of units)
    for (const { metric, bins } of metrics)
      if (vitals[metric] === vital) for (const bin of bins) counts[bin] = (counts[bin] ?? 0) + 1;
  return (
    quantile(
      [...counts].map((n, bin) => [bin, n] as const),
      q,
    ) ?? 0
  );
}

const mean = (units: readonly Prototype[], of: (unit: Prototype) => number) =>
  units.reduce((sum, unit) => sum + of(unit), 0) / units.length;

describe('a population', () => {
  it('has the declared shares and quantiles', () => {
    const { plain } = aPopulation({});
    const views = mean(plain, ({ views }) => views);
    expect(views).toBeCloseTo(3, 0);
    expect(quantileOf(plain, 'LCP', 0.5)).toBeGreaterThan(1900);
    expect(quantileOf(plain, 'LCP', 0.5)).toBeLessThan(2100);
    // Normal score .674 x sqrt(.55^2 + .55^2).
    expect(quantileOf(plain, 'LCP', 0.75) / (2000 * Math.exp(0.524))).toBeCloseTo(1, 1);
    expect(mean(plain, ({ errViews }) => errViews) / views).toBeCloseTo(0.01, 2);
    expect(mean(plain, ({ errViews }) => (errViews > 0 ? 1 : 0))).toBeLessThan(0.035);
    expect(mean(plain, ({ conversions }) => conversions.length)).toBeCloseTo(0.05, 1);
    expect(mean(plain, ({ silent }) => (silent ? 1 : 0))).toBeCloseTo(0.02, 1);
  });

  it('reports LCP on 70 to 90 % of page views', () => {
    const { plain } = aPopulation({});
    const reported = mean(plain, ({ metrics }) => metrics.find(({ metric }) => metric === 0)?.bins.length ?? 0);
    expect(reported / mean(plain, ({ views }) => views)).toBeGreaterThan(0.7);
    expect(reported / mean(plain, ({ views }) => views)).toBeLessThan(0.9);
  });

  it('is heavy-tailed from the 90th percentile on when told so', () => {
    const [light, heavy] = [aPopulation({}), aPopulation({ world: { lcp: { tail: 'heavy' } } })];
    expect(quantileOf(heavy.plain, 'LCP', 0.85)).toBe(quantileOf(light.plain, 'LCP', 0.85));
    expect(quantileOf(heavy.plain, 'LCP', 0.99)).toBeGreaterThan(1.6 * quantileOf(light.plain, 'LCP', 0.99));
  });

  it.each([
    ['slow', { kind: 'slow', by: '25%' }, 0.5, 1.25],
    ['faster', { kind: 'faster', by: '10%' }, 0.5, 0.9],
    ['a tail', { kind: 'tail', times: 4 }, 0.5, 1],
    ['a tail', { kind: 'tail', times: 4 }, 0.98, 4],
  ])('moves LCP as declared: %s', (_, fault, q, times) => {
    const { plain, changed } = aPopulation({ fault });
    const ratio = quantileOf(changed, 'LCP', q) / quantileOf(plain, 'LCP', q);
    // Quantiles are known to one bin, 2 %.
    expect(Math.abs(ratio / times - 1)).toBeLessThan(0.025);
  });

  it('has k times the errors, in page views and in units', () => {
    const { plain, changed } = aPopulation({ fault: { kind: 'errors', times: 5 } });
    const per = (of: (unit: Prototype) => number) => mean(changed, of) / mean(plain, of);
    expect(per(({ errViews }) => errViews)).toBeGreaterThan(4.2);
    expect(per(({ errViews }) => errViews)).toBeLessThan(5.8);
    expect(per(({ errViews }) => (errViews > 0 ? 1 : 0))).toBeGreaterThan(4.2);
  });

  it('harms nobody outside the segment, and everybody in it', () => {
    const { plain, changed } = aPopulation({ fault: { kind: 'slow', by: '50%', only: { browser: 'safari' } } });
    const met = changed.filter((unit, i) => unit !== plain[i]);
    expect(met.length / plain.length).toBeCloseTo(0.2, 1);
    expect(met.every(({ harm }) => harm.lcpMs >= 0)).toBe(true);
    expect(met.some(({ harm }) => harm.lcpMs > 0)).toBe(true);
  });
});

function minutes(world: ReturnType<typeof createWorld>, n: number, allocation = half): Minute[] {
  return Array.from({ length: n }, (_, i) => world.minute(monday + i * minute, allocation));
}

describe('a world', () => {
  it('repeats itself byte for byte, and another seed differs', () => {
    const population = aPopulation({});
    const told = (seed: number) => JSON.stringify(minutes(createWorld(population, seed, monday), 5));
    expect(told(1)).toBe(told(1));
    expect(told(1)).not.toBe(told(2));
  });

  it('splits units as they are allocated', () => {
    const drawn = minutes(createWorld(aPopulation({ world: { rate: 50 } }), 1, monday), 20, few);
    const units = (arm: 'treatment' | 'control') => drawn.reduce((sum, each) => sum + each[arm].visits.length, 0);
    expect(units('control') / units('treatment')).toBeCloseTo(4, 0);
  });

  it('swings by half over a day', () => {
    const world = createWorld(aPopulation({ world: { rate: 50, dailyRate: '50%' } }), 1, monday);
    const at = (hours: number) => world.minute(monday + hours * 60 * minute, half).control.visits.length;
    expect(at(10)).toBeGreaterThan(2100);
    expect(at(22)).toBeLessThan(900);
  });

  it('begins a late fault at its exposure', () => {
    const population = aPopulation({ fault: { kind: 'errors', times: 10, from: { exposure: 25 } } });
    const world = createWorld(population, 1, monday);
    expect(world.minute(monday, few).faulty).toBe(false);
    expect(world.minute(monday + minute, half).faulty).toBe(true);
  });

  it('forges beacons from the networks that it says', () => {
    const world = createWorld(
      aPopulation({ fault: { kind: 'poison', tokens: 50, networks: 2, over: '5m' } }),
      1,
      monday,
    );
    const forged = minutes(world, 60, few).flatMap(({ treatment }) =>
      treatment.visits.filter(({ network }) => world.watched?.has(network)),
    );
    expect(forged).toHaveLength(50);
    expect(new Set(forged.map(({ network }) => network)).size).toBe(2);
  });

  it('adds a minute up for whoever judges by plain numbers', () => {
    const { treatment } = createWorld(aPopulation({}), 4, monday).minute(monday, half);
    const totals = totalsOf(treatment);
    const heard = treatment.visits.filter(({ unit }) => !unit.silent);
    expect(totals.units).toBe(heard.length);
    expect(totals.views).toBe(heard.reduce((sum, { unit }) => sum + unit.views, 0));
    expect(totals.lcp.reduce((sum, n) => sum + n, 0)).toBe(totals.unitSums.n);
  });
});

describe('chance', () => {
  it.each([0.4, 8, 29, 31, 400])('draws Poisson numbers of mean and variance %d', (expected) => {
    const chance = createChance(11, expected);
    const drawn = Array.from({ length: 20_000 }, () => chance.poisson(expected));
    const average = drawn.reduce((sum, k) => sum + k, 0) / drawn.length;
    const variance = drawn.reduce((sum, k) => sum + (k - average) ** 2, 0) / drawn.length;
    expect(Math.abs(average - expected)).toBeLessThan(5 * Math.sqrt(expected / drawn.length));
    expect(variance / expected).toBeGreaterThan(0.93);
    expect(variance / expected).toBeLessThan(1.07);
  });
});
