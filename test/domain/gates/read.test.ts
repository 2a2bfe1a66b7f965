import { describe, expect, it } from 'vitest';
import { binOf } from '../../../src/domain/histogram.ts';
import { builtinSignals, type Signal } from '../../../src/domain/signal.ts';
import { aPlan, aPolicy, aRollout, hour, minute, monday } from '../../support/a-rollout.ts';
import { anEvidence, aStratum, chance, lcpReference, loads, look } from './an-evidence.ts';

const random = chance(7);
const normal = (units: number, slower = 1) => ({
  units,
  errors: Math.round(units / 100),
  vitals: { LCP: loads(units, random, slower) },
});
const healthy = aStratum({ treatment: normal(1000), control: normal(4000) });
const state = { epoch: 1 };

describe('a kill gate', () => {
  it('kills when errors are six times as many, and says so with the numbers', () => {
    const { reading } = look(
      anEvidence([aStratum({ treatment: { ...normal(500), errors: 37 }, control: { ...normal(2000), errors: 22 } })]),
    );
    const kill = reading('errors-kill');
    expect(kill.verdict).toBe('kill');
    expect(kill.text).toBe(
      'JS errors 7.4 % of units with the flag, 1.1 % without (difference 6.3 points); limit +10 %',
    );
    expect(kill.logE).toBeGreaterThan(kill.needed);
    expect(kill.low).toBeGreaterThan(0.1);
    expect(kill.high).toBeGreaterThan(kill.low ?? 0);
  });

  it('kills when errors double, given the units it takes', () => {
    const doubled = aStratum({
      treatment: { ...normal(6000), errors: 120 },
      control: { ...normal(24_000), errors: 240 },
    });
    expect(look(anEvidence([doubled])).reading('errors-kill').verdict).toBe('kill');
  });

  it('does not kill what is equal', () => {
    const { reading, coreOk } = look(anEvidence([healthy]));
    expect(reading('errors-kill').verdict).toBe('pass');
    expect(reading('lcp-sticky').verdict).toBe('pass');
    expect(coreOk).toBe(true);
  });

  it('waits for its own samples', () => {
    const few = aStratum({ treatment: { units: 60, errors: 30 }, control: { units: 240, errors: 2 } });
    expect(look(anEvidence([few])).reading('errors-kill').verdict).toBe('inconclusive');
  });

  it('counts a window once, however often it is looked at', () => {
    const policy = aPolicy({
      gates: [
        {
          name: 'slow',
          signal: 'js_error_rate',
          tier: 'kill',
          consecutive: 2,
          owner: 'a',
          runbook: 'b',
          tests: ['<=+10%'],
        },
      ],
    });
    const bad = aStratum({ treatment: { units: 1000, errors: 100 }, control: { units: 4000, errors: 40 } });
    const first = look(anEvidence([bad], hour), { policy });
    const rollout = aRollout({ state, progress: { streaks: first.streaks } });
    const same = look(anEvidence([bad], hour + 30_000), { policy, rollout });
    const next = look(anEvidence([bad], hour + minute), { policy, rollout });
    expect([first, same, next].map(({ reading }) => reading('slow').verdict)).toEqual(['watch', 'watch', 'kill']);
    expect(next.reading('slow')).toMatchObject({ streak: 2, since: monday + hour });
  });

  it('falls to a hold when its evidence cannot be trusted', () => {
    const bad = aStratum({ treatment: { units: 1000, errors: 100 }, control: { units: 4000, errors: 40 } });
    const dirty = { ingest: { accepted: 900, invalid: 100, duplicate: 0, late: 0 } };
    const kill = look(anEvidence([bad], hour, dirty)).reading('errors-kill');
    expect(kill).toMatchObject({ verdict: 'hold', state: 'suspect', limiting: 'hygiene', reliability: 0 });
  });

  it('shares its error budget with the other gates of its tier, and hears them', () => {
    const gates = (names: readonly string[]) =>
      aPolicy({
        gates: names.map((name) => ({
          name,
          signal: 'js_error_rate',
          tier: 'kill' as const,
          owner: 'a',
          runbook: 'b',
          tests: ['<=+10%'],
        })),
      });
    const one = look(anEvidence([healthy]), { policy: gates(['a']) }).reading('a').needed;
    const two = look(anEvidence([healthy]), { policy: gates(['a', 'b']) }).reading('a').needed;
    expect(two - one).toBeCloseTo(Math.log(2), 10);
  });
});

describe('a latency gate', () => {
  const slow = aStratum({ treatment: normal(800, 1.4), control: normal(3200) });

  it('holds when the 75th percentile is 40 % slower', () => {
    const hold = look(anEvidence([slow])).reading('lcp-sticky');
    expect(hold.verdict).toBe('hold');
    expect(hold.estimate).toBeGreaterThan(0.3);
    expect(hold.estimate).toBeLessThan(0.5);
    expect(hold.text).toMatch(
      /^LCP p75 \d+ ms with the flag, \d+ ms without \(\+\d+.*%\); limit \+10 %, tested at \+10.5 %/,
    );
  });

  it('says that some worsening is certain although it is within the limit', () => {
    const policy = aPolicy({
      gates: [{ name: 'lcp', signal: 'lcp_p75', tier: 'hold', owner: 'a', runbook: 'b', tests: ['<=+30%'] }],
    });
    const slightly = aStratum({ treatment: normal(8000, 1.15), control: normal(8000) });
    expect(look(anEvidence([slightly]), { policy }).reading('lcp').verdict).toBe('watch');
  });

  it('collects a reference from control first, and never changes it', () => {
    const rollout = aRollout({ state });
    const young = look(anEvidence([healthy]), { rollout });
    expect(young.reading('lcp-sticky')).toMatchObject({ verdict: 'inconclusive' });
    expect(young.references.LCP?.since).toBe(monday + hour + minute);
    const p75 = young.references.LCP?.bins[1] ?? 0;
    expect(Math.abs(p75 - binOf(2000 * Math.exp(0.5 * 0.6745)))).toBeLessThan(4);
    const later = look(anEvidence([slow]), { rollout: aRollout({ state, references: young.references }) });
    expect(later.references).toEqual(young.references);
  });

  it('freezes no reference from a handful of page views', () => {
    const few = aStratum({ treatment: normal(10), control: normal(19) });
    expect(look(anEvidence([few]), { rollout: aRollout({ state }) }).references).toEqual({});
  });

  it('knows an absolute limit and a difference in milliseconds', () => {
    const test = (spec: string | { type: 'difference'; margin: number }) =>
      look(anEvidence([slow]), {
        policy: aPolicy({
          gates: [{ name: 'g', signal: 'lcp_p75', tier: 'hold', owner: 'a', runbook: 'b', tests: [spec] }],
        }),
      }).reading('g').verdict;
    expect(test('<3400')).toBe('hold');
    expect(test('<9000')).not.toBe('hold');
    expect(test({ type: 'difference', margin: 400 })).toBe('hold');
    expect(test({ type: 'difference', margin: 2000 })).not.toBe('hold');
  });
});

describe('missing evidence', () => {
  const verdicts = (strata: Parameters<typeof anEvidence>[0], about = {}) =>
    look(anEvidence(strata, hour, about))
      .readings.filter(({ gate }) => !gate.startsWith('health.'))
      .map(({ verdict }) => verdict);

  it('is never a pass', () => {
    const silent = { newest: { treatment: null, control: null } };
    expect(verdicts([], silent)).toEqual(['no_data', 'no_data', 'no_data']);
    expect(look(anEvidence([], hour, silent)).coreOk).toBe(false);
    expect(look(anEvidence([], hour, silent)).reading('health.noData').verdict).toBe('no_data');
  });

  it('of one arm reads partial and is no pass either', () => {
    const alone = look(
      anEvidence([aStratum({ control: normal(4000) })], hour, { newest: { treatment: null, control: monday + hour } }),
    );
    expect(alone.reading('errors-kill')).toMatchObject({ state: 'partial', verdict: 'no_data' });
    expect(alone.coreOk).toBe(false);
  });

  it('that is old reads stale', () => {
    const old = { newest: { treatment: monday + hour - 6 * minute, control: monday + hour } };
    const stale = look(anEvidence([healthy], hour, old));
    expect(stale.reading('errors-kill')).toMatchObject({
      state: 'stale',
      verdict: 'unreliable',
      limiting: 'freshness',
    });
    expect(stale.coreOk).toBe(false);
  });

  it('of this stage is not made good by an older stage', () => {
    const old = look(anEvidence([healthy]), {
      rollout: aRollout({ state: { epoch: 2, stage: 1 }, references: { LCP: lcpReference } }),
    });
    expect(old.reading('errors-kill').verdict).toBe('no_data');
    expect(old.coreOk).toBe(false);
    expect(old.rampWaits.map(({ for: what }) => what)).toContain('samples');
  });

  it('of an unknown signal reads error, and leaves the other gates alone', () => {
    const policy = aPolicy({
      gates: [
        { name: 'ghost', signal: 'ghost', tier: 'hold', owner: 'a', runbook: 'b', tests: ['<0.1'] },
        { name: 'errors', signal: 'js_error_rate', tier: 'hold', owner: 'a', runbook: 'b', tests: ['<=+50%'] },
      ],
    });
    const { reading } = look(anEvidence([healthy]), { policy });
    expect([reading('ghost').verdict, reading('errors').verdict]).toEqual(['error', 'pass']);
  });
});

describe('silence', () => {
  const policy = aPolicy({
    gates: [
      {
        name: 'silence-kill',
        signal: 'beacon_silence',
        tier: 'kill',
        when: 'all',
        minSamples: 300,
        owner: 'sre',
        runbook: 'r',
        tests: ['<=+30%', '<=+2pt'],
      },
    ],
  });

  it('kills a treatment that blanks the page, although it sends nothing', () => {
    const blank = aStratum({ treatment: { units: 400, silent: 400 }, control: { units: 1600, silent: 32 } });
    const kill = look(anEvidence([blank], hour, { newest: { treatment: null, control: monday + hour } }), { policy });
    expect(kill.reading('silence-kill').verdict).toBe('kill');
    expect(kill.reading('silence-kill').text).toMatch(/no beacon from 100 % of units with the flag, 2 % without/);
  });

  it('is sure at 6 % against 2 % after some thousand units', () => {
    const partly = aStratum({ treatment: { units: 3000, silent: 180 }, control: { units: 12_000, silent: 240 } });
    expect(look(anEvidence([partly]), { policy }).reading('silence-kill').verdict).toBe('kill');
  });

  it('is not kept from speaking by silence everywhere, which is no verdict on the flag', () => {
    const dead = aStratum({ treatment: { units: 400, silent: 400 }, control: { units: 1600, silent: 1600 } });
    const none = look(anEvidence([dead], hour, { newest: { treatment: null, control: null } }), { policy });
    expect(none.reading('silence-kill').verdict).toBe('unreliable');
  });
});

describe('the comparison itself', () => {
  it('is suspect when the arms are not split as planned', () => {
    const skewed = aStratum({ treatment: normal(1600), control: normal(4000) });
    const looked = look(anEvidence([skewed]));
    expect(looked.reading('health.sampleRatio')).toMatchObject({ verdict: 'hold', state: 'suspect', sticky: true });
    expect(looked.reading('health.sampleRatio').text).toMatch(/28.57 % in treatment, 20 % expected/);
    expect(looked.coreOk).toBe(false);
  });

  it('tells lost beacons from a faulty assignment', () => {
    const lossy = aStratum({ treatment: { units: 2000, silent: 700 }, control: { units: 8000, silent: 100 } });
    expect(look(anEvidence([lossy])).reading('health.sampleRatio').text).toMatch(
      /beacons are missing, not assignments$/,
    );
  });

  it('is suspect when units report the other arm', () => {
    expect(look(anEvidence([healthy], hour, { crossover: 0.05 })).reading('health.crossover').verdict).toBe('hold');
  });

  it('holds instead of killing when both arms are beyond an absolute limit: an outage', () => {
    const policy = aPolicy({
      gates: [{ name: 'k', signal: 'js_error_rate', tier: 'kill', owner: 'a', runbook: 'b', tests: ['<0.06'] }],
    });
    const outage = aStratum({ treatment: { units: 1000, errors: 300 }, control: { units: 4000, errors: 1200 } });
    const looked = look(anEvidence([outage]), { policy });
    expect(looked.reading('k').verdict).toBe('pass');
    expect(looked.reading('health.controlDegraded').verdict).toBe('hold');
  });
});

describe('the ramp rule', () => {
  const waits = (stratum: Parameters<typeof aStratum>[0], exposure: [number, number]) => {
    const plan = aPlan({
      stages: [
        { name: 'now', exposure: exposure[0], bake: '1h', minSamples: 500 },
        { name: 'next', exposure: exposure[1] },
      ],
      comparison: { control: { ratio: 1 }, holdback: { percent: 1, for: '7d' } },
    });
    return look(anEvidence([aStratum(stratum)]), { plan }).rampWaits.map(({ text }) => text);
  };

  it('lets a small step go on a wide bound and a large one only on a tight one', () => {
    const arm = { ...normal(600), errors: 0 };
    const equal = { treatment: arm, control: arm };
    expect(waits(equal, [1, 5])).toEqual([]);
    expect(waits(equal, [50, 100]).join()).toMatch(/LCP p75, up to \d+ % slower is possible, at most 5 % is allowed/);
  });

  it('waits for the samples of the stage', () => {
    expect(waits({ treatment: normal(499), control: normal(2000) }, [1, 5]).join()).toMatch(
      /500 units per arm in this stage: 499/,
    );
  });

  it('waits while many more errors are possible', () => {
    const worse = { treatment: { ...normal(1500), errors: 60 }, control: { ...normal(1500), errors: 30 } };
    expect(waits(worse, [10, 40]).join()).toMatch(/js_error_rate/);
  });

  it('does not ask for a bound where there is no error at all', () => {
    const clean = { ...normal(1500), errors: 0 };
    expect(waits({ treatment: clean, control: clean }, [1, 5])).toEqual([]);
  });

  it('bounds the share itself where events are too few to bound a ratio', () => {
    const few = (units: number) => ({
      treatment: { ...normal(units), errors: 1 },
      control: { ...normal(units), errors: 1 },
    });
    expect(waits(few(10_000), [5, 20]).join()).not.toMatch(/js_error_rate/);
    expect(waits(few(600), [5, 20]).join()).toMatch(/js_error_rate .*no bound yet/);
  });

  it('bounds the conversions that may be lost', () => {
    const buys: Signal = {
      ...(builtinSignals[0] ?? expect.fail()),
      metadata: { name: 'buys', version: 1, owner: 'a', description: '' },
    };
    const signal: Signal = {
      ...buys,
      spec: { ...buys.spec, source: { type: 'rum', event: 'conversion', field: 'buy' }, direction: 'higher_is_better' },
    };
    const policy = aPolicy({
      gates: [
        {
          name: 'buys',
          signal: 'buys',
          tier: 'hold',
          owner: 'a',
          runbook: 'b',
          tests: [{ type: 'non_inferior', margin: '10%' }],
          inconclusive: { after: '1d', action: 'ask' },
        },
      ],
    });
    const plan = aPlan({
      stages: [
        { name: 'canary', exposure: 1, bake: '1h' },
        { name: 'full', exposure: 50 },
      ],
    });
    const at = (units: number) => {
      const arm = { units, conversions: units / 20 };
      return look(anEvidence([aStratum({ treatment: arm, control: { units: 4 * units, conversions: units / 5 } })]), {
        policy,
        signals: [signal],
        plan,
      });
    };
    expect(at(400).reading('buys').verdict).toBe('inconclusive');
    expect(at(400).reading('buys').text).toMatch(/to be proven within \+10 %; not proven yet/);
    expect(at(40_000).reading('buys').verdict).toBe('pass');
    expect(at(40_000).rampWaits).toEqual([]);
    expect(
      at(60)
        .rampWaits.map(({ text }) => text)
        .join(),
    ).toMatch(/buy conversions/);
  });

  it('is not asked on a quick look, which reads kill gates and health alone', () => {
    const quick = look(anEvidence([healthy]), { look: 'quick' });
    expect(quick.readings.map(({ gate }) => gate).filter((gate) => !gate.startsWith('health.'))).toEqual([
      'errors-kill',
    ]);
    expect(quick.rampWaits).toEqual([]);
  });
});

describe('a gate that applies from an exposure on', () => {
  it('says nothing below it', () => {
    const policy = aPolicy({
      gates: [
        {
          name: 'late',
          signal: 'js_error_rate',
          tier: 'hold',
          owner: 'a',
          runbook: 'b',
          tests: ['<=+5%'],
          appliesTo: { stages: { from: 25 } },
        },
      ],
    });
    expect(look(anEvidence([healthy]), { policy }).readings.some(({ gate }) => gate === 'late')).toBe(false);
  });
});

describe('every reading', () => {
  it('has numbers or null, never NaN or infinity', () => {
    for (const strata of [
      [],
      [healthy],
      [aStratum({ control: normal(300) })],
      [aStratum({ treatment: { units: 5 }, control: { units: 5 } })],
    ])
      for (const reading of look(anEvidence(strata)).readings)
        expect(
          JSON.stringify(reading, (_, value) => (typeof value === 'number' && !Number.isFinite(value) ? 'BAD' : value)),
        ).not.toContain('BAD');
  });
});
