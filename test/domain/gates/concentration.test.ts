import { describe, expect, it } from 'vitest';
import type { Concentration, Evidence, Stratum } from '../../../src/domain/evidence.ts';
import { concentrationOf, isConcentrated } from '../../../src/domain/gates/concentration.ts';
import { measure } from '../../../src/domain/gates/measure.ts';
import { testGate } from '../../../src/domain/gates/tests.ts';
import { viewsOf } from '../../../src/domain/gates/views.ts';
import type { AuthoredPolicy, Gate } from '../../../src/domain/policy.ts';
import { builtinSignals, findSignal } from '../../../src/domain/signal.ts';
import { aPolicy, hour, monday } from '../../support/a-rollout.ts';
import { anEvidence, aStratum, aUnit, chance, evidenceFrom, lcpReference, loads, type Unit } from './an-evidence.ts';

type Tests = AuthoredPolicy['spec']['gates'][number]['tests'];

function aGate(signal: string, tests: Tests = ['<=+10%'], when: 'any' | 'all' = 'any'): Gate {
  const gate = { name: 'kill', signal, tier: 'kill' as const, owner: 'a', runbook: 'b', tests, when };
  return aPolicy({ gates: [gate] }).spec.gates[0] ?? expect.fail();
}

const needed = Math.log(1000);
const references = { LCP: lcpReference };

const many = { tokens: 100, networks: 100, heaviest: null };
const believed = { treatment: many, control: many };

/** The gate on this evidence: whether it breaches, and what the concentration rule says of that. */
function read(evidence: Evidence, gate: Gate) {
  const signal = findSignal(gate.signal, builtinSignals) ?? expect.fail();
  const testsOn = (strata: readonly Stratum[]) => {
    const measured = measure(gate, signal, evidence, viewsOf(strata, 1, 3), references) ?? expect.fail();
    return testGate(gate, signal, measured, needed);
  };
  const view = viewsOf(evidence.strata, 1, 3).all;
  return {
    breaches: (testsOn(evidence.strata).logE ?? 0) >= needed,
    concentrated: concentrationOf({ evidence, gate, signal, references, view, readOn: testsOn }),
  };
}

const times = <T>(n: number, make: () => T): T[] => Array.from({ length: n }, make);
const honest = (n: number, random: () => number, about: Partial<Unit> = {}) => times(n, () => aUnit(random, about));

describe('a breach that one sender could have made up is not believed', () => {
  it('of one token with 5,000 beacons', () => {
    const random = chance(1);
    const forger = aUnit(random, { lcp: times(5000, () => 60_000) });
    const evidence = evidenceFrom({
      treatment: [...honest(2000, random), forger],
      control: honest(8000, random),
    });
    for (const tests of [['<=+10%'], ['<4000'], [{ type: 'difference', margin: 300 }]] satisfies Tests[]) {
      const { concentrated } = read(evidence, aGate('lcp_p75', tests));
      expect(concentrated).toMatch(
        /^evidence_concentrated: 3 of 64 shards carry the breach, with 7\d % of the treatment's page views$/,
      );
    }
  });

  it('of one network with 20 % of the units', () => {
    for (let seed = 0; seed < 20; seed++) {
      const random = chance(seed);
      const evidence = evidenceFrom({
        treatment: [
          ...honest(1600, random),
          ...times(400, () => aUnit(random, { network: 900, errs: random() < 0.5, lcp: loads(1, random, 8) })),
        ],
        control: honest(8000, random),
      });
      const errors = read(evidence, aGate('js_error_rate'));
      expect(errors).toMatchObject({ breaches: true });
      expect(errors.concentrated).toMatch(
        /without the heaviest network \(20 % of the page views with the flag\) evidence of \d\.\d remains, 3\.9 is asked for$/,
      );
      const slow = read(evidence, aGate('lcp_p75'));
      expect(slow).toMatchObject({ breaches: true });
      expect(slow.concentrated).toContain('without the heaviest network');
    }
  });

  const random = chance(3);
  const bad = evidenceFrom({
    treatment: honest(1000, random).map((unit) => ({ ...unit, errs: random() < 0.08 })),
    control: honest(4000, random),
  });
  const among = (tokens: number, networks: number) => {
    const { concentration } = bad;
    if (concentration === null) return expect.fail();
    return read(
      { ...bad, concentration: { ...concentration, treatment: { ...concentration.treatment, tokens, networks } } },
      aGate('js_error_rate'),
    );
  };

  it('of fewer than 30 tokens or 5 networks', () => {
    expect(among(30, 5)).toEqual({ breaches: true, concentrated: null });
    expect(among(29, 80).concentrated).toBe(
      'evidence_concentrated: beacons with the flag come from 29 tokens and 80 networks, at least 30 and 5 are asked for',
    );
    expect(among(100, 4).concentrated).toContain('4 networks');
  });

  it('of a signal that is not kept by shards', () => {
    expect(read({ ...bad, shardCounts: {} }, aGate('js_error_rate')).concentrated).toContain(
      'nothing of js_error_rate is kept by shards',
    );
  });

  it('unless beacons cannot be forged: then it needs neither networks nor shards', () => {
    const own = { ...bad, concentration: null };
    expect(read(own, aGate('js_error_rate')).concentrated).toBeNull();
    expect(read({ ...own, shardCounts: {} }, aGate('js_error_rate')).concentrated).toBeNull();
  });
});

describe('an even regression is believed', () => {
  it('in every one of 150 worlds with more errors that kill', () => {
    const random = chance(41);
    let breached = 0;
    for (let world = 0; world < 150; world++) {
      const rate = 0.02 + 0.08 * random();
      const units = 300 + Math.floor(1200 * random());
      const evidence = evidenceFrom({
        treatment: honest(units, random, { lcp: [] }).map((unit) => ({ ...unit, errs: random() < rate })),
        control: honest(4 * units, random, { lcp: [] }),
      });
      const gate = aGate('js_error_rate', world % 2 === 0 ? ['<=+10%'] : ['<=+30%', '<=+0.5pt'], 'all');
      const { breaches, concentrated } = read(evidence, gate);
      if (!breaches) continue;
      breached++;
      expect(concentrated).toBeNull();
    }
    expect(breached).toBeGreaterThan(75);
  });

  it('in every one of 50 worlds with slower pages that kill, of the tail alone too', () => {
    const random = chance(43);
    let breached = 0;
    for (let world = 0; world < 50; world++) {
      const slower = 1.25 + random();
      const units = 300 + Math.floor(600 * random());
      const tailOnly = world % 2 === 1;
      const evidence = evidenceFrom({
        treatment: honest(units, random).map((unit) => ({
          ...unit,
          lcp: tailOnly ? unit.lcp.map((ms) => (random() < 0.3 ? 3 * ms : ms)) : loads(2, random, slower),
        })),
        control: honest(4 * units, random),
      });
      const { breaches, concentrated } = read(evidence, aGate('lcp_p75'));
      if (!breaches) continue;
      breached++;
      expect(concentrated).toBeNull();
    }
    expect(breached).toBeGreaterThan(25);
  });

  it('of conversions lost, where fewer are worse', () => {
    const shards = (each: number) => times(64, () => each);
    const evidence = anEvidence(
      [
        aStratum({
          treatment: { units: 6400, conversions: 188 },
          control: { units: 25_600, conversions: 1280 },
        }),
      ],
      hour,
      {
        concentration: believed,
        shardCounts: {
          exposed: { treatment: shards(100), control: shards(400) },
          'conv:buy': { treatment: shards(3), control: shards(20) },
        },
      },
    );
    const gate = aGate('js_error_rate', ['<=+10%']);
    const base = findSignal('js_error_rate', builtinSignals) ?? expect.fail();
    const source = { type: 'rum', event: 'conversion', field: 'buy' } as const;
    const signal = { ...base, spec: { ...base.spec, source, direction: 'higher_is_better' as const } };
    const view = viewsOf(evidence.strata, 1, 3).all;
    const rule = (from: Evidence) =>
      concentrationOf({
        evidence: from,
        gate,
        signal,
        references,
        view,
        readOn: () => ({ logE: 9, pointBreach: false }),
      });
    expect(rule(evidence)).toBeNull();
    // The same loss, but all of it in three shards.
    const lost = times(64, () => 3).map((of, i) => (i < 3 ? 0 : of));
    const exposed = times(64, () => 60).map((of, i) => (i < 3 ? 860 : of));
    const uneven = {
      exposed: { treatment: exposed, control: shards(400) },
      'conv:buy': { treatment: lost, control: shards(20) },
    };
    expect(rule({ ...evidence, shardCounts: uneven })).toContain('3 of 64 shards carry the breach');
  });
});

describe('silence', () => {
  const silent = (seen: readonly number[]): Evidence => {
    const issued = seen.map(() => 10);
    const heard = seen.reduce((sum, n) => sum + n, 0);
    const nobody: Concentration = { tokens: 0, networks: 0, heaviest: null };
    return anEvidence(
      [
        aStratum({
          treatment: { units: 640, silent: 640 - heard },
          control: { units: 2560, silent: 50 },
        }),
      ],
      hour,
      {
        shardCounts: { issued: { treatment: issued, control: issued }, seen: { treatment: seen, control: issued } },
        concentration: { treatment: nobody, control: { tokens: 100, networks: 100, heaviest: null } },
      },
    );
  };
  const gate = aGate('beacon_silence', ['<=+30%', '<=+2pt'], 'all');

  it('needs neither tokens nor networks of the treatment, for a blank page sends nothing', () => {
    expect(read(silent(times(64, () => 0)), gate)).toEqual({ breaches: true, concentrated: null });
  });

  it('is trimmed: three shards are not the treatment', () => {
    const three = times(64, () => 10).map((n, i) => (i < 3 ? 0 : n));
    expect(read(silent(three), gate).concentrated).toMatch(/^evidence_concentrated: 3 of 64 shards/);
  });
});

describe('an arm with a heavy network', () => {
  const heaviest = (share: number, views: number) => {
    const parts = [{ epoch: 1, hour: monday, cell: { counts: { views }, metrics: {} } }];
    const heavy: Concentration = { tokens: 100, networks: 100, heaviest: { share, parts } };
    return { concentration: { treatment: { ...heavy, heaviest: null }, control: heavy } };
  };
  const signalOf = (name: string) => findSignal(name, builtinSignals) ?? expect.fail();

  it('deserves no trust above 5 % of its page views, in either arm', () => {
    expect(isConcentrated(signalOf('lcp_p75'), heaviest(0.051, 500))).toBe(true);
    expect(isConcentrated(signalOf('lcp_p75'), heaviest(0.05, 500))).toBe(false);
    expect(isConcentrated(signalOf('lcp_p75'), { concentration: null })).toBe(false);
  });

  it('is not told by a handful of page views', () => {
    expect(isConcentrated(signalOf('lcp_p75'), heaviest(0.3, 19))).toBe(false);
  });

  it('says nothing of silence', () => {
    expect(isConcentrated(signalOf('beacon_silence'), heaviest(0.5, 500))).toBe(false);
  });
});
