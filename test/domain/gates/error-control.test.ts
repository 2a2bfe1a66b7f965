import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Stratum } from '../../../src/domain/evidence.ts';
import { proportionScales } from '../../../src/domain/gates/proportion.ts';
import { interval } from '../../../src/domain/gates/scale.ts';
import { viewOf } from '../../../src/domain/gates/view.ts';
import { countLogE, shareLogE } from '../../../src/domain/stats/counts.ts';
import { exceedanceLogE, exceedanceScore } from '../../../src/domain/stats/exceedance.ts';
import { logMixOneSided } from '../../../src/domain/stats/normal-mixture.ts';
import { sampleRatioLogE } from '../../../src/domain/stats/sample-ratio.ts';
import { swapArms, type Table } from '../../../src/domain/stats/table.ts';
import { aPolicy, minute } from '../../support/a-rollout.ts';
import { anEvidence, aStratum, chance, loads, look } from './an-evidence.ts';

/** Arrivals of one minute: how many of `n` tries succeed. */
function successes(n: number, share: number, random: () => number): number {
  let count = 0;
  for (let i = 0; i < n; i++) if (random() < share) count++;
  return count;
}

const source = { type: 'rum', event: 'error', field: 'units' } as const;
const empty = aStratum({});

/** A stratum that says nothing but how many units erred. */
function errors({ xt, nt, xc, nc }: Table): Stratum {
  const cell = (err: number, exposed: number) => ({ counts: { err, exposed }, metrics: {} });
  return { ...empty, treatment: cell(xt, nt), control: cell(xc, nc) };
}

describe('looking every minute without any effect', () => {
  it('kills by errors in at most 1 % of two-day runs, at an alpha of 1 %', () => {
    const random = chance(2026);
    const runs = 200;
    let killed = 0;
    for (let run = 0; run < runs; run++) {
      const tables: { xt: number; nt: number; xc: number; nc: number }[] = [];
      const strata: Stratum[] = [];
      let fired = false;
      for (let tick = 0; tick < 48 * 60 && !fired; tick++) {
        if (tick % 60 === 0) tables.push({ xt: 0, nt: 0, xc: 0, nc: 0 });
        const now = tables.at(-1) ?? expect.fail();
        now.nt += 3;
        now.nc += 12;
        // The error rate has a daily wave: strata must take it out.
        const share = 0.01 * (1 + 0.5 * Math.sin((2 * Math.PI * tick) / 1440));
        const [xt, xc] = [successes(3, share, random), successes(12, share, random)];
        now.xt += xt;
        now.xc += xc;
        strata[tables.length - 1] = errors(now);
        if (xt + xc === 0) continue;
        fired = proportionScales(viewOf(strata), source, 1).relative.above(0) >= Math.log(100);
      }
      if (fired) killed++;
    }
    expect(killed / runs).toBeLessThanOrEqual(0.01);
  });

  it('holds by latency in no run of twenty, one look a minute for its first 25 minutes', () => {
    const random = chance(11);
    const policy = aPolicy({
      gates: [
        { name: 'lcp', signal: 'lcp_p75', tier: 'hold', owner: 'a', runbook: 'b', tests: ['<=+5%'], minSamples: 100 },
      ],
    });
    let held = 0;
    for (let run = 0; run < 20; run++) {
      const [treatment, control]: [number[], number[]] = [[], []];
      let fired = false;
      for (let tick = 1; tick <= 25 && !fired; tick++) {
        treatment.push(...loads(20, random));
        control.push(...loads(80, random));
        const stratum = aStratum({
          treatment: { units: treatment.length, vitals: { LCP: treatment } },
          control: { units: control.length, vitals: { LCP: control } },
        });
        fired = look(anEvidence([stratum], tick * minute), { policy, detail: false }).reading('lcp').verdict === 'hold';
      }
      if (fired) held++;
    }
    expect(held).toBe(0);
  });

  it('raises a sample-ratio alarm in some 1 % of runs at most, at an alpha of 1 %', () => {
    const random = chance(5);
    let alarms = 0;
    for (let run = 0; run < 1000; run++) {
      let [treated, n, fired] = [0, 0, false];
      for (let tick = 0; tick < 500 && !fired; tick++) {
        n += 20;
        treated += successes(20, 0.2, random);
        fired = sampleRatioLogE(treated, n, 0.2, 100) >= Math.log(100);
      }
      if (fired) alarms++;
    }
    // Ten are allowed on average; sixteen is two standard errors above.
    expect(alarms).toBeLessThanOrEqual(16);
  });
});

const table = fc
  .record({
    nt: fc.integer({ min: 1, max: 500 }),
    nc: fc.integer({ min: 1, max: 2000 }),
    t: fc.double({ min: 0, max: 1, noNaN: true }),
    c: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  .map(({ nt, nc, t, c }): Table => ({ nt, nc, xt: Math.round(t * nt), xc: Math.round(c * nc) }));
const tables = fc.array(table, { minLength: 1, maxLength: 5 });

describe('evidence', () => {
  it('is never positive for the side the score does not point to', () => {
    fc.assert(
      fc.property(tables, fc.double({ min: 1, max: 5, noNaN: true }), (strata, deff) => {
        const score = exceedanceScore(strata);
        expect(exceedanceLogE(score, deff, score.u > 0 ? -1 : 1)).toBeLessThanOrEqual(1e-9);
      }),
    );
  });

  it('of counts is not positive while the estimate is within the ratio', () => {
    fc.assert(
      fc.property(tables, fc.double({ min: 0.5, max: 3, noNaN: true }), (strata, ratio) => {
        const score = strata.reduce(
          (sum, { xt, nt, xc, nc }) => sum + xt - ((xt + xc) * nt * ratio) / (nt * ratio + nc),
          0,
        );
        if (score <= 0) expect(countLogE(strata, ratio, 1)).toBeLessThanOrEqual(1e-9);
      }),
    );
  });

  it('cannot point both ways at once', () => {
    fc.assert(
      fc.property(tables, fc.double({ min: 0.5, max: 3, noNaN: true }), (strata, ratio) => {
        const worse = countLogE(strata, ratio, 1);
        const better = countLogE(strata.map(swapArms), 1 / ratio, 1);
        expect(Math.min(worse, better)).toBeLessThanOrEqual(1e-9);
      }),
    );
  });

  it('of a mean is not positive for a drift of the other sign', () => {
    fc.assert(
      fc.property(
        fc.double({ min: -50, max: 0, noNaN: true }),
        fc.double({ min: 0.01, max: 1e4, noNaN: true }),
        (s, v) => {
          expect(logMixOneSided(s, v, 1)).toBeLessThanOrEqual(1e-9);
        },
      ),
    );
  });

  it('of one arm is not positive while its share is within the limit', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), fc.double({ min: 0, max: 1, noNaN: true }), (n, limit) => {
        expect(shareLogE(Math.floor(limit * n), n, limit, 1)).toBeLessThanOrEqual(1e-9);
      }),
    );
  });

  it('gives intervals that hold their estimate', () => {
    fc.assert(
      fc.property(tables, (strata) => {
        const scales = proportionScales(viewOf(strata.map(errors)), source, 1);
        for (const scale of [scales.absolute, scales.difference, scales.relative]) {
          const { low, high } = interval(scale, Math.log(50));
          if (scale.estimate() === null) continue;
          if (low !== null && high !== null) expect(low).toBeLessThanOrEqual(high);
        }
        const { low, high } = interval(scales.absolute, Math.log(50));
        const share = scales.absolute.estimate() ?? 0;
        expect(low ?? 0).toBeLessThanOrEqual(share + 1e-9);
        expect(high ?? 1).toBeGreaterThanOrEqual(share - 1e-9);
      }),
      { numRuns: 50 },
    );
  });
});
