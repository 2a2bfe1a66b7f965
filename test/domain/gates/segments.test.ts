import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Evidence, Segment } from '../../../src/domain/evidence.ts';
import { segmentsOf } from '../../../src/domain/gates/segments.ts';
import { proportionOf } from '../../../src/domain/gates/sums.ts';
import { viewOf } from '../../../src/domain/gates/view.ts';
import { builtinSignals, findSignal, type Signal } from '../../../src/domain/signal.ts';
import { aPolicy, hour } from '../../support/a-rollout.ts';
import { anEvidence, aStratum, aUnit, chance, evidenceFrom, lcpReference, loads, type Visits } from './an-evidence.ts';

const signalOf = (name: string): Signal => findSignal(name, builtinSignals) ?? expect.fail();
const errors = signalOf('js_error_rate');
const limits = aPolicy().spec.segments;

const wheresOf = (evidence: Evidence, signal = errors, about: Partial<Parameters<typeof segmentsOf>[0]> = {}) =>
  segmentsOf({
    evidence,
    signal,
    references: { LCP: lcpReference },
    limits,
    all: viewOf(evidence.strata),
    fromEpoch: 0,
    ...about,
  });

const aSegment = (value: string, treatment: Visits, control: Visits, dimension = 'browser'): Segment => ({
  dimension,
  value,
  strata: [aStratum({ treatment, control })],
});

const times = <T>(n: number, make: () => T): T[] => Array.from({ length: n }, make);
const browsers = ['chrome', 'safari', 'firefox', 'edge'] as const;

describe('a regression in one browser', () => {
  it('is attributed to it, whichever it is: errors', () => {
    for (let seed = 0; seed < 40; seed++) {
      const random = chance(seed);
      const bad = browsers[seed % 4] ?? 'chrome';
      const hit = (unit: ReturnType<typeof aUnit>) =>
        unit.browser === bad && random() < 0.1 ? { ...unit, errs: true } : unit;
      const { where, worse } = wheresOf(
        evidenceFrom({
          treatment: times(1500, () => hit(aUnit(random, { lcp: [] }))),
          control: times(6000, () => aUnit(random, { lcp: [] })),
        }),
      );
      expect(where[0]).toMatchObject({ dimension: 'browser', value: bad, worse: true, standsOut: true });
      expect(where[0]?.share).toBeGreaterThan(0.6);
      expect(where[0]?.low).toBeGreaterThan(0);
      expect(worse).toContain(where[0]);
      expect(where.slice(1).some(({ standsOut }) => standsOut)).toBe(false);
    }
  });

  it('is attributed to it, whichever it is: slowness', () => {
    for (let seed = 0; seed < 12; seed++) {
      const random = chance(100 + seed);
      const bad = browsers[seed % 4] ?? 'chrome';
      const slowed = (unit: ReturnType<typeof aUnit>) =>
        unit.browser === bad ? { ...unit, lcp: loads(1, random, 2) } : unit;
      const { where } = wheresOf(
        evidenceFrom({
          treatment: times(800, () => slowed(aUnit(random))),
          control: times(3200, () => aUnit(random)),
        }),
        signalOf('lcp_p75'),
      );
      expect(where[0]).toMatchObject({ value: bad, worse: true, standsOut: true });
      expect(where[0]?.treatment.value).toBeGreaterThan(1.5 * (where[0]?.control.value ?? 0));
    }
  });

  it('is found from the epoch on from which it is looked for', () => {
    const clean = { units: 4000, errors: 40 };
    const strata = [
      aStratum({ epoch: 1, treatment: { units: 4000, errors: 10 }, control: clean }),
      aStratum({ epoch: 2, hour: 1, treatment: { units: 500, errors: 30 }, control: { units: 500, errors: 5 } }),
    ];
    const evidence = anEvidence(strata, 3 * hour, { segments: [{ dimension: 'browser', value: 'safari', strata }] });
    expect(wheresOf(evidence).where).toEqual([]);
    expect(wheresOf(evidence, errors, { fromEpoch: 2 }).where[0]).toMatchObject({
      value: 'safari',
      treatment: { n: 500, value: 0.06 },
    });
  });
});

describe('a regression everywhere', () => {
  it('has no browser that stands out in 98 of 100 worlds', () => {
    let stood = 0;
    const random = chance(5);
    for (let world = 0; world < 100; world++) {
      const hit = (unit: ReturnType<typeof aUnit>) => (random() < 0.03 ? { ...unit, errs: true } : unit);
      const { where } = wheresOf(
        evidenceFrom({
          treatment: times(1200, () => hit(aUnit(random, { lcp: [] }))),
          control: times(4800, () => aUnit(random, { lcp: [] })),
        }),
      );
      if (where.some(({ standsOut }) => standsOut)) stood++;
    }
    expect(stood).toBeLessThanOrEqual(2);
  });

  it('calls no cell worse without any effect in 90 of 100 worlds', () => {
    let called = 0;
    const random = chance(6);
    for (let world = 0; world < 100; world++) {
      const { worse } = wheresOf(
        evidenceFrom({
          treatment: times(1200, () => aUnit(random, { lcp: [] })),
          control: times(4800, () => aUnit(random, { lcp: [] })),
        }),
      );
      if (worse.length > 0) called++;
    }
    expect(called).toBeLessThanOrEqual(10);
  });
});

describe('cells', () => {
  const cell = fc.record({
    treatment: fc.nat(120),
    control: fc.nat(120),
    badT: fc.nat(20),
    badC: fc.nat(20),
  });

  it('of fewer units than `minCell` in an arm, or fewer than three events, never appear', () => {
    fc.assert(
      fc.property(fc.array(cell, { minLength: 1, maxLength: 8 }), (cells) => {
        const segments = cells.map(({ treatment, control, badT, badC }, i) =>
          aSegment(
            `v${i}`,
            { units: treatment, errors: Math.min(treatment, badT) },
            { units: control, errors: Math.min(control, badC) },
          ),
        );
        const { where } = wheresOf(anEvidence([], hour, { segments }));
        for (const each of where) {
          const of = cells[Number(each.value.slice(1))] ?? expect.fail();
          expect(Math.min(of.treatment, of.control)).toBeGreaterThanOrEqual(errors.spec.privacy.minCell);
          expect(each.treatment.n).toBe(of.treatment);
          expect(Math.min(of.treatment, of.badT) + Math.min(of.control, of.badC)).toBeGreaterThanOrEqual(3);
        }
      }),
    );
  });

  it('sum to the excess of all, where the arms are split alike in each, and their shares to one', () => {
    const part = fc.record({ size: fc.integer({ min: 50, max: 2000 }), bad: fc.integer({ min: 3, max: 40 }) });
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 9 }), (parts) => {
        const visits = parts.map(({ size, bad }) => ({
          treatment: { units: size, errors: bad },
          control: { units: 4 * size, errors: bad },
        }));
        const sum = (arm: 'treatment' | 'control') => ({
          units: visits.reduce((all, each) => all + each[arm].units, 0),
          errors: visits.reduce((all, each) => all + each[arm].errors, 0),
        });
        const pooled = aStratum({ treatment: sum('treatment'), control: sum('control') });
        const segments = visits.map(({ treatment, control }, i) => aSegment(`v${i}`, treatment, control));
        const { where } = wheresOf(anEvidence([pooled], hour, { segments }));
        const { xt, nt, xc, nc } = proportionOf(viewOf([pooled]), { type: 'rum', event: 'error', field: 'units' });
        const excess = xt - (nt * (xt + xc)) / (nt + nc);
        expect(where.reduce((all, each) => all + each.excess, 0)).toBeCloseTo(excess, 6);
        expect(where.reduce((all, each) => all + each.share, 0)).toBeCloseTo(1, 9);
        expect(where.reduce((all, each) => all + each.part, 0)).toBeCloseTo(1, 9);
        expect(where.map(({ share }) => share)).toEqual(where.map(({ share }) => share).toSorted((a, b) => b - a));
      }),
    );
  });

  const worse = (value: string, units: number, dimension?: string) =>
    aSegment(value, { units, errors: units / 10 }, { units, errors: units / 100 }, dimension);

  it('that are not shown still count in the shares of the others', () => {
    const evidence = anEvidence([], hour, { segments: [worse('safari', 400), worse('edge', 40)] });
    const { where } = wheresOf(evidence);
    expect(where.map(({ value }) => value)).toEqual(['safari']);
    expect(where[0]?.share).toBeCloseTo(10 / 11, 6);
  });

  it('are at most as many as the policy asks for, the largest first, and of its dimensions alone', () => {
    const segments = [worse('safari', 400), worse('edge', 600), worse('eu', 900, 'region'), worse('x', 900, 'device')];
    const { where } = wheresOf(anEvidence([], hour, { segments }), errors, {
      limits: { dimensions: ['browser', 'region'], maxCells: 2 },
    });
    expect(where.map(({ value }) => value).toSorted()).toEqual(['edge', 'eu']);
  });

  it('of silence and conversions wait until their hour has had its time', () => {
    const silent = aSegment('safari', { units: 600, silent: 120 }, { units: 600, silent: 6 });
    const at = (after: number) =>
      wheresOf(anEvidence([], after, { segments: [silent] }), signalOf('beacon_silence')).where;
    expect(at(hour)).toEqual([]);
    expect(at(hour + 20_000)).toMatchObject([{ value: 'safari', treatment: { n: 600, value: 0.2 }, worse: true }]);
  });

  it('of a vital without a reference are not read', () => {
    const evidence = evidenceFrom({ treatment: times(200, () => aUnit(chance(1))), control: [] });
    expect(wheresOf(evidence, signalOf('lcp_p75'), { references: {} }).where).toEqual([]);
  });
});
