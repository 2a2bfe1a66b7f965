import { describe, expect, it } from 'vitest';
import { type Known, lint, offline } from '../../../src/domain/lint.ts';
import type { RolloutPlan } from '../../../src/domain/plan.ts';
import type { GatePolicy } from '../../../src/domain/policy.ts';
import { parseSignal, type Signal } from '../../../src/domain/signal.ts';
import { aGate, aPlan, aPolicy } from './a-document.ts';

const known: Known = { ...offline, complete: true };

/** `P01 error spec.stages.1.exposure` of every finding. */
function found(documents: (RolloutPlan | GatePolicy)[], extra: Partial<Known> = {}): string[] {
  return lint(documents, { ...known, ...extra }).map(({ id, severity, path }) => `${id} ${severity} ${path}`);
}
const inPlan = (plan: RolloutPlan, extra: Partial<Known> = {}) => found([plan, aPolicy()], extra);

function aConversion(name: string, version: number, field: string, maturity: string): Signal {
  const parsed = parseSignal({
    apiVersion: 'tidegate.dev/v1',
    kind: 'Signal',
    metadata: { name, version, owner: 'shop' },
    spec: {
      class: 'core',
      domain: 'business',
      source: { type: 'rum', event: 'conversion', field },
      statistic: { kind: 'proportion' },
      analysisUnit: 'user',
      direction: 'higher_is_better',
      maturity,
    },
  });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.value;
}

const early = { name: 'early', exposure: 20, bake: '1h', maxDwell: '1d', minSamples: 500 };
const full = { name: 'full', exposure: 100 };

describe('a clean plan and policy', () => {
  it('have no finding', () => expect(inPlan(aPlan())).toEqual([]));
});

describe('plan rules', () => {
  it('P01: exposures rise', () => {
    const stages = [early, { ...early, name: 'again', exposure: 20 }, full];
    expect(inPlan(aPlan({ stages }))).toEqual(['P01 error spec.stages.1.exposure']);
  });
  it('P01: exposures lie in (0, 100]', () => {
    expect(inPlan(aPlan({ stages: [early, { name: 'over', exposure: 101 }] }))).toContain(
      'P01 error spec.stages.1.exposure',
    );
    expect(inPlan(aPlan({ stages: [{ ...early, exposure: 0 }, full] }))).toContain('P01 error spec.stages.0.exposure');
  });
  it('P02: the last stage finishes the flag', () => {
    expect(inPlan(aPlan({ stages: [early] }))).toEqual(['P02 warning spec.stages.0.exposure']);
  });
  it('P03: above 50 % somebody stays on control', () => {
    expect(inPlan(aPlan({ comparison: {} }))).toEqual(['P03 error spec.stages.1.exposure']);
  });
  it('P04: a stage that is not the last bakes', () => {
    const { bake: _, ...unbaked } = early;
    expect(inPlan(aPlan({ stages: [unbaked, full] }))).toEqual(['P04 error spec.stages.0.bake']);
  });
  it('P05: a stage that is not the last has an end', () => {
    const { maxDwell: _, ...endless } = early;
    expect(inPlan(aPlan({ stages: [endless, full] }))).toEqual(['P05 warning spec.stages.0.maxDwell']);
  });
  it('P06: the bake fits into the dwell', () => {
    expect(inPlan(aPlan({ stages: [{ ...early, maxDwell: '1h' }, full] }))).toEqual(['P06 error spec.stages.0.bake']);
  });
  it('P07: the policy exists', () => {
    expect(found([aPlan()])).toEqual(['P07 error spec.policy']);
    expect(lint([aPlan(), aPolicy({}, 2)], known)[0]?.message).toContain('there is version 2');
  });
  it('P07: away from the controller a policy that is not here is a warning', () => {
    expect(found([aPlan()], { complete: false })).toEqual(['P07 warning spec.policy']);
  });
  it('P07: a stored policy counts', () => {
    expect(found([aPlan()], { policies: [aPolicy()] })).toEqual([]);
  });
  it('P07: the policy is for this project, environment and region', () => {
    const scope = { projects: ['shop'], environments: ['staging'], regions: ['eu-*'] };
    expect(found([aPlan(), aPolicy({ scope })])).toEqual(Array(3).fill('P07 error spec.policy'));
    const waves = [{ name: 'eu', environment: 'staging', regions: ['eu-west'] }];
    expect(found([aPlan({ waves }, { project: 'shop' }), aPolicy({ scope })])).toEqual([]);
  });
  it('P09: bakes and soak fit into the duration', () => {
    const plan = aPlan({ soak: { bake: '24h' }, limits: { maxDuration: '1d' } });
    expect(inPlan(plan)).toEqual(['P09 error spec.limits.maxDuration']);
  });
  it('P09: so does the preflight before them, unless it is skipped', () => {
    const plan = (mode: 'checks' | 'skip') =>
      aPlan({ preflight: { mode, duration: '2h' }, soak: { bake: '22h' }, limits: { maxDuration: '1d' } });
    expect(inPlan(plan('checks'))).toEqual(['P09 error spec.limits.maxDuration']);
    expect(inPlan(plan('skip'))).toEqual([]);
  });
  it('P10: exposure grows at most fivefold', () => {
    expect(inPlan(aPlan({ stages: [{ ...early, exposure: 19 }, full] }))).toEqual([
      'P10 warning spec.stages.1.exposure',
    ]);
  });
  it('P11: no step is larger than a day allows', () => {
    expect(inPlan(aPlan({ pace: { maxIncreasePerDay: 50 } }))).toEqual(['P11 error spec.stages.1.exposure']);
  });
  it('P12: waves follow waves that exist', () => {
    const waves = [{ name: 'eu', environment: 'production', after: { wave: 'us' } }];
    expect(inPlan(aPlan({ waves }))).toEqual(['P12 error spec.waves.0.after.wave']);
  });
  it('P12: waves do not wait for each other', () => {
    const waves = [
      { name: 'eu', environment: 'production', after: { wave: 'us' } },
      { name: 'us', environment: 'production', after: { wave: 'eu' } },
      { name: 'asia', environment: 'production', after: { wave: 'eu' } },
    ];
    expect(inPlan(aPlan({ waves }))).toEqual([
      'P12 error spec.waves.0.after.wave',
      'P12 error spec.waves.1.after.wave',
    ]);
  });
  it('P13: windows open', () => {
    expect(inPlan(aPlan({ windows: { allow: ['Mon 17:00-09:00'] } }))).toEqual(['P13 error spec.windows.allow.0']);
  });
  it('P14: somebody besides the author can approve', () => {
    const plan = aPlan({ start: { approval: { roles: ['release'] } } });
    const at = 'P14 error spec.start.approval.roles';
    expect(inPlan(plan, { members: { release: [] } })).toEqual([at]);
    expect(inPlan(plan, { members: { release: ['ann'] }, author: 'ann' })).toEqual([at]);
    expect(inPlan(plan, { members: { release: ['ann', 'bob'] }, author: 'ann' })).toEqual([]);
    expect(inPlan(plan)).toEqual([]);
  });
  it('P15: a stage asks for as many units as its gates', () => {
    expect(inPlan(aPlan({ stages: [{ ...early, minSamples: 100 }, full] }))).toEqual([
      'P15 warning spec.stages.0.minSamples',
    ]);
    const later = aPolicy({ gates: [aGate({ minSamples: 9000, appliesTo: { stages: { from: 25 } } })] });
    expect(found([aPlan(), later])).toEqual([]);
  });
  it('P16: a protected environment is checked first', () => {
    expect(inPlan(aPlan(), { protectedEnvironments: ['production'] })).toEqual(['P16 warning spec.preflight']);
  });
});

describe('what a plan may well say', () => {
  it.each<[string, Parameters<typeof aPlan>[0]]>([
    ['P06: a bake that is shorter than the dwell', { stages: [{ ...early, maxDwell: '61m' }, full] }],
    ['P09: bakes and soak within the duration', { soak: { bake: '23h' }, limits: { maxDuration: '1d' } }],
    ['P10: a fivefold step', { stages: [{ ...early, exposure: 20 }, full] }],
    ['P11: a step as large as a day allows', { pace: { maxIncreasePerDay: 80 } }],
    [
      'P12: a wave after another',
      {
        waves: [
          { name: 'us', environment: 'production' },
          { name: 'eu', environment: 'production', after: { wave: 'us' } },
        ],
      },
    ],
    ['P13: an opening up to midnight', { windows: { allow: ['Mon 17:00-24:00'] } }],
  ])('%s', (_, spec) => expect(inPlan(aPlan(spec))).toEqual([]));
});

describe('policy rules', () => {
  const inPolicy = (gate: Parameters<typeof aGate>[0], extra: Partial<Known> = {}) =>
    found([aPolicy({ gates: [aGate(), aGate({ name: 'second', ...gate })] })], extra);

  it('G01: gates read signals that exist', () => {
    expect(inPolicy({ signal: 'orders' })).toEqual(['G01 error spec.gates.1.signal']);
    expect(inPolicy({ signal: 'orders' }, { complete: false })).toEqual(['G01 warning spec.gates.1.signal']);
    expect(inPolicy({ signal: 'lcp_p75@2' })).toEqual(['G01 error spec.gates.1.signal']);
  });
  it('G02: a surrogate does not kill', () => {
    expect(inPolicy({ signal: 'ttfb_p75' })).toEqual(['G02 error spec.gates.1.tier']);
  });
  it('G03: what may stay unproven says what happens then', () => {
    const gate = { tier: 'hold', tests: [{ type: 'non_inferior', margin: '10%' }] } as const;
    expect(inPolicy({ ...gate, tests: [...gate.tests] })).toEqual(['G03 error spec.gates.1.tests.0']);
    const inconclusive = { after: '1d', action: 'ask' } as const;
    expect(inPolicy({ ...gate, tests: [...gate.tests], inconclusive })).toEqual([]);
  });
  it('G04: a hold that is not sticky says when it clears', () => {
    expect(inPolicy({ tier: 'hold', signal: 'lcp_p75', sticky: false })).toEqual(['G04 error spec.gates.1.sticky']);
    expect(inPolicy({ tier: 'hold', signal: 'lcp_p75' })).toEqual([]);
  });
  it('G05: a bare estimate needs three windows', () => {
    const tests = [{ type: 'relative' as const, margin: '50%', confidence: 'point' as const }];
    expect(inPolicy({ tests })).toEqual(['G05 warning spec.gates.1.tests.0']);
    expect(inPolicy({ tests, consecutive: 3 })).toEqual([]);
  });
  it('G05: a percentage is evidence, no bare estimate', () => {
    const tests = [{ type: 'relative' as const, margin: '50%', confidence: '50%' }];
    expect(inPolicy({ tests })).toEqual([]);
  });
  it('G06: an absolute test has a limit', () => {
    expect(inPolicy({ tests: [{ type: 'absolute' }] })).toEqual(['G06 error spec.gates.1.tests.0']);
  });
  it('G02: a surrogate may hold', () => {
    expect(inPolicy({ signal: 'ttfb_p75', tier: 'hold' })).toEqual([]);
  });
  it('G06: one limit is enough', () => {
    expect(inPolicy({ tests: [{ type: 'absolute', min: 0.5 }] })).toEqual([]);
  });
  it('G08: equal minimums rise enough', () => {
    expect(found([aPolicy({ reliability: { minimum: { hold: 0.8 } } })])).toEqual([]);
  });
  it('G07: evidence is fresh at every tick', () => {
    expect(found([aPolicy({ tick: { interval: '10m' } })])).toEqual(['G07 warning spec.gates.0.signal']);
  });
  it('G08: reliability minimums rise with the tier', () => {
    expect(found([aPolicy({ reliability: { minimum: { hold: 0.9 } } })])).toEqual([
      'G08 error spec.reliability.minimum',
    ]);
  });
  it('G09: something can kill', () => {
    expect(found([aPolicy({ gates: [aGate({ tier: 'hold' })] })])).toEqual(['G09 warning spec.gates']);
  });
  it('G10: what is locked exists', () => {
    const governance = { locked: ['errors', 'health.sampleRatio', 'latency'] };
    expect(found([aPolicy({ governance })])).toEqual(['G10 error spec.governance.locked.2']);
  });
  it('G11: a gate has an owner and a runbook', () => {
    expect(
      found([aPolicy({ gates: [{ name: 'bare', signal: 'js_error_rate', tier: 'kill', tests: ['<0.1'] }] })]),
    ).toEqual(['G11 error spec.gates.0']);
  });
  it.each([
    ['<=+10%', '<=+20%'],
    ['<0.02', '<0.05'],
    ['>0.9', '>0.8'],
    ['<=+0.5pt', '<=+1pt'],
  ])('G13: a kill at %s does not come before the hold at %s', (kill, hold) => {
    const gates = [aGate({ tests: [kill] }), aGate({ name: 'second', tier: 'hold', tests: [hold] })];
    expect(found([aPolicy({ gates })])).toEqual(['G13 warning spec.gates.0.tests.0']);
    const reversed = [aGate({ tests: [hold] }), aGate({ name: 'second', tier: 'hold', tests: [kill] })];
    expect(found([aPolicy({ gates: reversed })])).toEqual([]);
  });
  it('G13: a kill of two parts is as wide as its wider margin', () => {
    const tests = [
      { type: 'relative' as const, margin: '0%' },
      { type: 'relative' as const, margin: '15%', confidence: '50%' },
    ];
    const beside = (gate: Parameters<typeof aGate>[0], hold: string) =>
      found([aPolicy({ gates: [aGate({ ...gate, tests }), aGate({ name: 'second', tier: 'hold', tests: [hold] })] })]);
    expect(beside({ when: 'all' }, '<=+10%')).toEqual([]);
    expect(beside({ when: 'all' }, '<=+20%')).toEqual(['G13 warning spec.gates.0.tests.1']);
    expect(beside({ when: 'any' }, '<=+10%')).toEqual(['G13 warning spec.gates.0.tests.0']);
  });
  it('G13: a kill that also asks for a wider difference does not come first', () => {
    const hold = aGate({ name: 'second', tier: 'hold', tests: ['<=+10%', '<=+1pt'] });
    const at = (when: 'any' | 'all') =>
      found([aPolicy({ gates: [aGate({ when, tests: ['<=+5%', '<=+2pt'] }), hold] })]);
    expect(at('all')).toEqual([]);
    expect(at('any')).toEqual(['G13 warning spec.gates.0.tests.0']);
  });
  it('G13: a pinned version of a signal is the same signal', () => {
    const hold = aGate({ name: 'second', tier: 'hold', signal: 'js_error_rate@1' });
    expect(found([aPolicy({ gates: [aGate({ tests: ['<=+5%'] }), hold] })])).toEqual([
      'G13 warning spec.gates.0.tests.0',
    ]);
  });
  it('G14: the unproven does not advance where people must be asked', () => {
    const gate = { tier: 'hold', signal: 'lcp_p75', inconclusive: { after: '1d', action: 'advance' } } as const;
    expect(inPolicy(gate, { protectedEnvironments: ['production'] })).toEqual([
      'G14 warning spec.gates.1.inconclusive.action',
    ]);
    expect(inPolicy(gate)).toEqual([]);
  });
  it('G15: a conversion has one maturity, and both signals that disagree are named', () => {
    const policy = aPolicy({
      gates: [aGate({ signal: 'orders' }), aGate({ name: 'second', tier: 'hold', signal: 'baskets@2' })],
    });
    const withBaskets = (field: string, maturity: string) => ({
      ...known,
      signals: [aConversion('orders', 1, 'order', '30m'), aConversion('baskets', 2, field, maturity)],
    });
    const [clash, ...others] = lint([policy], withBaskets('order', '45m'));
    expect(others).toEqual([]);
    expect(clash).toMatchObject({ id: 'G15', severity: 'error', path: 'spec.gates.1.signal' });
    expect(clash?.message).toContain('orders@1 after 30 min, baskets@2 after 45 min');
    expect(lint([policy], withBaskets('order', '30m'))).toEqual([]);
    expect(lint([policy], withBaskets('basket', '45m'))).toEqual([]);
  });
});
