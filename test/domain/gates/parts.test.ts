import { describe, expect, it } from 'vitest';
import type { Shard } from '../../../src/domain/evidence.ts';
import { noiseOf, worstDesignEffect } from '../../../src/domain/gates/clusters.ts';
import { nextStreak } from '../../../src/domain/gates/streaks.ts';
import { combineTiers, neededOf } from '../../../src/domain/gates/tiers.ts';
import { viewOf } from '../../../src/domain/gates/view.ts';
import { viewsOf } from '../../../src/domain/gates/views.ts';
import { edgeOf, lnGamma } from '../../../src/domain/histogram.ts';
import { shiftAbove, shiftBelow } from '../../../src/domain/stats/latency.ts';
import { aPolicy, aRollout, hour, minute, monday } from '../../support/a-rollout.ts';
import { anEvidence, aStratum, chance, lcpReference, loads, look } from './an-evidence.ts';

describe('a streak', () => {
  const clear = { window: 60, breach: 0, clear: 4, since: null };

  it('counts breaches and clear windows in a row', () => {
    const breach = nextStreak(nextStreak(clear, 120, 'breach'), 180, 'breach');
    expect(breach).toEqual({ window: 180, breach: 2, clear: 0, since: 120 });
    expect(nextStreak(breach, 240, 'clear')).toEqual({ window: 240, breach: 0, clear: 1, since: null });
  });

  it('lets late data make a counted window worse, never better', () => {
    expect(nextStreak(clear, 60, 'breach')).toEqual({ window: 60, breach: 1, clear: 0, since: 60 });
    const breach = { window: 60, breach: 1, clear: 0, since: 60 };
    expect(nextStreak(breach, 60, 'clear')).toEqual(breach);
    expect(nextStreak(breach, 60, 'breach')).toEqual(breach);
  });

  it('is not cleared by a window without evidence', () => {
    expect(nextStreak(clear, 120, 'unclear')).toMatchObject({ window: 120, clear: 0 });
    expect(nextStreak({ window: 60, breach: 1, clear: 0, since: 60 }, 120, 'unclear')).toMatchObject({ breach: 1 });
  });
});

describe('margins on bin edges', () => {
  it('are those of the reference, rounded against the claim', () => {
    const far = 400;
    expect([1.05, 1.08, 1.1].map((ratio) => shiftAbove(far, ratio, lnGamma))).toEqual([3, 4, 5]);
    expect([1.05, 1.08, 1.1].map((ratio) => shiftBelow(ratio, lnGamma))).toEqual([2, 3, 4]);
  });

  it('move at least to the next whole value, where bins are finer than the values', () => {
    const shift = shiftAbove(0, 1.05, lnGamma);
    expect(Math.floor(edgeOf(shift))).toBe(2);
  });
});

describe('views of the evidence', () => {
  const strata = [
    aStratum({ epoch: 1, stage: 0 }),
    aStratum({ epoch: 2, stage: 1, hour: 1 }),
    aStratum({ epoch: 3, stage: 1, hour: 2 }),
  ];

  it('spend three quarters on all data and the rest on what came since each stage, with shares that sum to one', () => {
    const { parts, present } = viewsOf(strata, 3, 3);
    expect(parts.map(({ weight, view }) => [Number(weight.toFixed(4)), view?.strata.length ?? null])).toEqual([
      [0.8333, 3],
      [0.0833, 2],
      [0.0833, null],
    ]);
    expect(present.strata.map(({ epoch }) => epoch)).toEqual([3]);
  });

  it('find a regression that starts late, and show it undiluted', () => {
    const arm = (units: number, errors: number) => ({ units, errors });
    const clean = aStratum({ treatment: arm(20_000, 200), control: arm(80_000, 800) });
    const late = aStratum({ epoch: 2, stage: 1, hour: 5, treatment: arm(1500, 60), control: arm(6000, 60) });
    const { reading } = look(anEvidence([clean, late]));
    expect(reading('errors-kill').estimate).toBeGreaterThan(1);
    expect(reading('errors-kill').logE).toBeGreaterThan(reading('errors-kill').needed);
  });
});

describe('gates of one tier', () => {
  const policy = aPolicy({
    gates: ['a', 'b', 'c', 'd'].map((name) => ({
      name,
      signal: 'js_error_rate',
      tier: 'kill' as const,
      owner: 'x',
      runbook: 'y',
      tests: ['<=+10%'],
    })),
  });
  const { spec } = policy;
  const heard = (logEs: readonly number[]) =>
    spec.gates.flatMap((gate, i) => (logEs[i] === undefined ? [] : [{ gate, logE: logEs[i] }]));

  it('kill together when each alone falls short, and the one with most evidence is named', () => {
    const needed = neededOf(spec, 'kill');
    const together = combineTiers(spec, heard([7.5, 7.6, 7.5, 7.5]));
    expect([...together].filter(([, logE]) => logE >= needed).map(([name]) => name)).toEqual(['b']);
  });

  it('do not speak for a gate that is short of samples', () => {
    const needed = neededOf(spec, 'kill');
    expect([...combineTiers(spec, heard([7.5]))].some(([, logE]) => logE >= needed)).toBe(false);
  });
});

describe('noise of page views', () => {
  it('is the worst case of clustering until the shards can tell', () => {
    const values = loads(300, chance(1));
    const stratum = aStratum({
      treatment: { units: 100, vitals: { LCP: values } },
      control: { units: 100, vitals: { LCP: values } },
    });
    expect(noiseOf('LCP', viewOf([stratum]), anEvidence([stratum])).deff).toBeCloseTo(worstDesignEffect(600, 200), 10);
    expect(worstDesignEffect(600, 200)).toBe(5);
  });

  it('is measured by the shards from 320 units per arm on', () => {
    const values = loads(640, chance(2));
    const stratum = aStratum({
      treatment: { units: 640, vitals: { LCP: values } },
      control: { units: 640, vitals: { LCP: values } },
    });
    const random = chance(3);
    // All ten page views of a shard are alike: a design effect near ten.
    const shards: Shard[] = Array.from({ length: 64 }, () => {
      const bad = random() < 0.25 ? 10 : 0;
      return { n: 10, sum: 0, sumSq: 0, bad1: bad, bad2: 0, sumBin: 10 * (380 + Math.round(10 * random())) };
    });
    const noise = noiseOf(
      'LCP',
      viewOf([stratum]),
      anEvidence([stratum], hour, { shards: { LCP: { treatment: shards, control: shards } } }),
    );
    expect(noise.deff).toBeGreaterThan(8);
    expect(noise.deff).toBeLessThan(12);
    expect(noise.lnVariance?.treatment).toBeGreaterThan(0);
  });
});

describe('coverage of a vital', () => {
  const visits = (units: number, withLcp: number) => ({ units, vitals: { LCP: loads(withLcp, chance(4)) } });

  it('does not blame the hour whose page views the reference has used up', () => {
    const cut = aStratum({ treatment: visits(4000, 100), control: visits(16_000, 400) });
    expect(look(anEvidence([cut])).reading('lcp-sticky').limiting).toBe('coverage');
    const rollout = aRollout({
      state: { epoch: 1 },
      references: { LCP: { ...lcpReference, since: monday + 30 * minute } },
    });
    expect(look(anEvidence([cut]), { rollout }).reading('lcp-sticky').limiting).toBe('sufficiency');
  });

  it('is out of balance when one arm loses it', () => {
    const lost = aStratum({ treatment: visits(400, 200), control: visits(1600, 1600) });
    expect(look(anEvidence([lost])).reading('lcp-sticky')).toMatchObject({
      verdict: 'unreliable',
      limiting: 'balance',
    });
  });
});
