import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyOutcome } from '../../src/domain/apply.ts';
import { decide, type Question } from '../../src/domain/decide.ts';
import type { Reading, Verdict } from '../../src/domain/decision.ts';
import { exposureOf } from '../../src/domain/exposure.ts';
import {
  aBlindLook,
  aFreeze,
  aLook,
  aPlan,
  aPolicy,
  aReading,
  aRollout,
  at,
  aVerdict,
  aWorld,
  hour,
  minute,
} from '../support/a-rollout.ts';

function ask(about: Partial<Question> = {}): Question {
  return {
    rollout: aRollout({ progress: { bakedMs: hour } }),
    plan: aPlan(),
    policy: aPolicy(),
    looked: aLook(),
    world: aWorld(),
    look: 'full',
    now: at(),
    ...about,
  };
}

const waits = (question: Question) => decide(question).waitingFor.map((wait) => wait.for);
const held = { phase: 'held', heldBy: 'gate', resumeTo: 'ramping' } as const;

describe('a ramp', () => {
  it('goes up one stage once the bake is over and every gate passes', () => {
    const outcome = decide(ask());
    expect(outcome).toMatchObject({ action: 'ramp', transition: 'T7', waitingFor: [] });
    expect(outcome.because).toContain('canary (1 %)');
    expect(outcome.because).toContain('early (5 %)');
  });

  it('waits for the bake and says how long', () => {
    const outcome = decide(ask({ rollout: aRollout({ progress: { bakedMs: 20 * minute } }) }));
    expect(outcome.transition).toBeNull();
    expect(outcome.waitingFor).toEqual([
      { for: 'bake', text: '40 min more of 1 h bake with usable evidence', etaMs: 40 * minute },
    ]);
  });

  it('tells everything it waits for at once', () => {
    const plan = aPlan({
      pace: { maxIncreasePerDay: 5 },
      windows: { allow: ['Tue 09:00-10:00'] },
      stages: [
        { name: 'canary', exposure: 1, bake: '1h' },
        { name: 'early', exposure: 5, approval: { roles: ['release-manager'] } },
      ],
    });
    const rollout = aRollout({ of: plan, progress: { rises: [[at(-hour).wall, 3]] } });
    const looked = { ...aBlindLook(), rampWaits: [{ for: 'samples' as const, text: '900 more units', etaMs: null }] };
    const world = aWorld({ freezes: [aFreeze], dependencies: 'unmet' });
    expect(waits(ask({ plan, rollout, looked, world }))).toEqual([
      'bake',
      'evidence',
      'samples',
      'gate',
      'approval',
      'window',
      'freeze',
      'dependency',
      'pace',
    ]);
  });

  it('is never made by a quick look, nor by the first look of a process', () => {
    expect(decide(ask({ look: 'quick' })).transition).toBeNull();
    expect(decide(ask({ justStarted: true })).waitingFor.map((wait) => wait.for)).toEqual(['tick']);
  });

  it('stays within the points a day that the plan allows, and tells when there is room', () => {
    const plan = aPlan({ pace: { maxIncreasePerDay: 20 } });
    const rollout = aRollout({ state: { stage: 1 }, progress: { bakedMs: hour, rises: [[at(-hour).wall, 4]] } });
    expect(decide(ask({ plan, rollout })).waitingFor).toMatchObject([{ for: 'pace', etaMs: 23 * hour }]);
  });

  it('lets a freeze that has ended go', () => {
    const world = aWorld({ freezes: [{ ...aFreeze, until: at(-1).wall }] });
    expect(decide(ask({ world })).action).toBe('ramp');
    const elsewhere = aWorld({ freezes: [{ ...aFreeze, environment: 'staging' }] });
    expect(decide(ask({ world: elsewhere })).action).toBe('ramp');
  });

  it('enters the last stage as a soak, and completes once that is baked', () => {
    const plan = aPlan({ soak: { bake: '2h', sentinel: { for: '1d' } } });
    const soaking = aRollout({ of: plan, state: { phase: 'soaking', stage: 3 }, progress: { bakedMs: hour } });
    expect(decide(ask({ plan, rollout: soaking })).waitingFor).toMatchObject([{ for: 'bake', etaMs: hour }]);
    const baked = { ...soaking, progress: { ...soaking.progress, bakedMs: 2 * hour } };
    const question = ask({ plan, rollout: baked });
    expect(decide(question)).toMatchObject({ action: 'complete', transition: 'T30' });
    expect(applyOutcome(baked, plan, decide(question), at()).state).toMatchObject({
      phase: 'completed',
      sentinel: true,
    });
  });
});

describe('a kill gate', () => {
  const killing = aLook(aVerdict('kill'), aVerdict('hold'));

  it('kills before the bake is over, frozen, outside the window and on a quick look', () => {
    const plan = aPlan({ windows: { allow: ['Tue 09:00-10:00'] } });
    const question = ask({
      plan,
      rollout: aRollout(),
      looked: killing,
      world: aWorld({ freezes: [aFreeze] }),
      look: 'quick',
    });
    expect(decide(question)).toMatchObject({ action: 'kill', transition: 'T11', cause: 'gate:errors-kill' });
  });

  it('kills what is held, and what is completed while the sentinel watches', () => {
    expect(decide(ask({ rollout: aRollout({ state: held }), looked: killing })).transition).toBe('T11');
    const completed = aRollout({ state: { phase: 'completed', stage: 3, sentinel: true } });
    expect(decide(ask({ rollout: completed, looked: killing })).transition).toBe('T31');
    const done = aRollout({ state: { phase: 'completed', stage: 3 } });
    expect(decide(ask({ rollout: done, looked: killing })).action).toBe('stay');
  });

  it('is outranked by a person who killed the flag meanwhile', () => {
    const latch = { environment: 'production', flag: 'checkout-v2', wave: null, setAt: 0, by: 'mkaya', reason: 'bad' };
    const outcome = decide(ask({ looked: killing, world: aWorld({ latches: [latch] }) }));
    expect(outcome).toMatchObject({ transition: 'T12', cause: 'latch', because: 'the flag was killed by mkaya: bad' });
    const elsewhere = aWorld({ latches: [{ ...latch, environment: 'staging' }] });
    expect(decide(ask({ world: elsewhere })).action).toBe('ramp');
  });
});

describe('a hold', () => {
  it('keeps its gate, its numbers and whether it waits for a person', () => {
    const outcome = decide(ask({ looked: aLook(aVerdict('hold')) }));
    expect(outcome).toMatchObject({ action: 'hold', transition: 'T13', hold: { by: 'gate', sticky: false } });
    expect(outcome.because).toBe('js errors read hold');
  });

  it('comes from the sample ratio before it comes from a gate', () => {
    const ratio = aVerdict('hold', { gate: 'health.sampleRatio', sticky: true });
    const outcome = decide(ask({ looked: aLook(aVerdict('hold'), ratio) }));
    expect(outcome).toMatchObject({
      transition: 'T14',
      cause: 'health:sampleRatio',
      hold: { by: 'health', sticky: true },
    });
  });

  it('steps back one stage where the gate says so, and stays at the first', () => {
    const looked = aLook(aVerdict('hold', { action: 'step_back' }));
    const rollout = aRollout({ state: { stage: 2 } });
    const after = applyOutcome(rollout, aPlan(), decide(ask({ rollout, looked })), at());
    expect(after.state).toMatchObject({ phase: 'held', stage: 1, sticky: true, resumeTo: 'ramping', epoch: 2 });
    const first = applyOutcome(aRollout(), aPlan(), decide(ask({ rollout: aRollout(), looked })), at());
    expect(first.state).toMatchObject({ phase: 'held', stage: 0, epoch: 1 });
  });

  it('ends by itself after as many clear windows as the gate asks, at the same exposure', () => {
    const clearFor = (clear: number) =>
      aRollout({
        state: { ...held, stage: 1 },
        progress: { bakedMs: hour, streaks: { 'errors-hold': { window: 0, breach: 0, clear, since: null } } },
      });
    expect(waits(ask({ rollout: clearFor(1) }))).toEqual(['clear']);
    const question = ask({ rollout: clearFor(2) });
    expect(decide(question).transition).toBe('T23');
    const after = applyOutcome(question.rollout, aPlan(), decide(question), at());
    expect(after.state).toMatchObject({ phase: 'ramping', stage: 1, epoch: 1, heldBy: null });
    expect(after.progress.bakedMs).toBe(0);
    expect(decide({ ...question, world: aWorld({ freezes: [aFreeze] }) }).transition).toBeNull();
  });

  it('ends by itself while an upstream wave is held, because nothing rises', () => {
    const streaks = { 'errors-hold': { window: 0, breach: 0, clear: 2, since: null } };
    const question = ask({ rollout: aRollout({ state: held, progress: { streaks } }) });
    expect(decide({ ...question, world: aWorld({ dependencies: 'unmet' }) }).transition).toBe('T23');
  });

  it('that is sticky waits for a person, however clear the evidence', () => {
    const rollout = aRollout({
      state: { ...held, sticky: true },
      progress: { streaks: { 'errors-hold': { window: 0, breach: 0, clear: 99, since: null } } },
    });
    expect(decide(ask({ rollout })).transition).toBeNull();
  });

  it('becomes sticky when something sticky breaks meanwhile', () => {
    const ratio = aVerdict('hold', { gate: 'health.sampleRatio', sticky: true });
    expect(decide(ask({ rollout: aRollout({ state: held }), looked: aLook(ratio) })).transition).toBe('T14');
    const sticky = aRollout({ state: { ...held, sticky: true } });
    expect(decide(ask({ rollout: sticky, looked: aLook(ratio) })).transition).toBeNull();
  });

  it('that nobody ends expires to nothing', () => {
    const plan = aPlan({ onHold: { expireAfter: '1d' } });
    const rollout = aRollout({ state: { ...held, sticky: true }, progress: { phaseMs: 24 * hour } });
    const outcome = decide(ask({ plan, rollout }));
    expect(outcome.transition).toBe('T25');
    expect(exposureOf(applyOutcome(rollout, plan, outcome, at()).state, plan)).toBe(0);
    const kept = aPlan({ onHold: { expireAfter: '1d', onExpire: 'stay' } });
    expect(decide(ask({ plan: kept, rollout })).transition).toBeNull();
  });
});

describe('missing evidence', () => {
  const blindFor = (ms: number, state: Partial<Parameters<typeof aRollout>[0]> = {}) =>
    aRollout({ ...state, progress: { bakedMs: hour, blindSince: at(-ms).wall } });

  it('waits for the grace, then holds', () => {
    expect(decide(ask({ rollout: blindFor(14 * minute), looked: aBlindLook() })).action).toBe('stay');
    const outcome = decide(ask({ rollout: blindFor(15 * minute), looked: aBlindLook() }));
    expect(outcome).toMatchObject({ transition: 'T15', hold: { by: 'no_data', sticky: false } });
    expect(outcome.because).toContain('15 min');
  });

  it('steps back, kills or stays when it lasts, as the policy says', () => {
    const lasting = blindFor(6 * hour, { state: { ...held, heldBy: 'no_data', stage: 1 } });
    const question = ask({ rollout: lasting, looked: aBlindLook() });
    expect(decide(question).transition).toBe('T16');
    const policyOf = (thenAction: 'stay' | 'kill') => aPolicy({ health: { noData: { thenAction } } });
    expect(decide({ ...question, policy: policyOf('kill') })).toMatchObject({ action: 'kill', transition: 'T16k' });
    expect(decide({ ...question, policy: policyOf('stay') }).transition).toBeNull();
    const first = blindFor(6 * hour, { state: { ...held, heldBy: 'no_data' } });
    expect(decide({ ...question, rollout: first }).transition).toBeNull();
  });

  it('does not silence a kill gate', () => {
    const looked = { ...aLook(aVerdict('kill'), aVerdict('no_data')), coreOk: false };
    expect(decide(ask({ looked, rollout: blindFor(hour) })).action).toBe('kill');
  });

  it('of a watch gate is ignored where the policy ignores it', () => {
    const looked = aLook(aReading({ gate: 'cls-watch', tier: 'watch', verdict: 'unreliable' }));
    expect(decide(ask({ looked })).action).toBe('ramp');
    const policy = aPolicy({ reliability: { whenUnreliable: { watch: 'hold' } } });
    expect(decide(ask({ looked, policy })).action).toBe('stay');
  });
});

describe('time that runs out', () => {
  const hurried = aPlan({
    limits: { maxDuration: '2d' },
    stages: [
      { name: 'canary', exposure: 1, bake: '1h', maxDwell: '6h' },
      { name: 'full', exposure: 100 },
    ],
  });

  it('holds for a person, even when everything else is ready', () => {
    const rollout = aRollout({ of: hurried, progress: { bakedMs: hour, dwellMs: 6 * hour } });
    const outcome = decide(ask({ plan: hurried, rollout }));
    expect(outcome).toMatchObject({
      transition: 'T19',
      cause: 'deadline:maxDwell',
      hold: { by: 'deadline', sticky: true },
    });
  });

  it('counts the whole rollout too', () => {
    const rollout = aRollout({ of: hurried, startedAt: at(-48 * hour).wall, progress: { bakedMs: hour } });
    expect(decide(ask({ plan: hurried, rollout })).cause).toBe('deadline:maxDuration');
  });
});

describe('a gate that must prove something', () => {
  const looked = aLook(aReading({ gate: 'conversion', verdict: 'inconclusive' }));
  const policyOf = (action: 'ask' | 'hold' | 'step_back' | 'advance') =>
    aPolicy({
      gates: [
        {
          name: 'conversion',
          signal: 'checkout_conversion',
          tier: 'hold',
          owner: 'shop',
          sticky: true,
          tests: [{ type: 'non_inferior', margin: '10%' }],
          inconclusive: { after: '2h', action },
        },
      ],
    });
  const openFor = (ms: number) =>
    aRollout({ state: { stage: 1 }, progress: { bakedMs: hour, dwellMs: ms, inconclusiveSince: at(-ms).wall } });

  it('blocks until it has', () => {
    expect(waits(ask({ looked, policy: policyOf('ask'), rollout: openFor(hour) }))).toEqual(['gate']);
  });

  it('asks a person, holds or steps back when the proof does not come', () => {
    const outcome = (action: 'ask' | 'hold' | 'step_back') =>
      decide(ask({ looked, policy: policyOf(action), rollout: openFor(2 * hour) }));
    expect(outcome('ask')).toMatchObject({ transition: 'T18', hold: { by: 'deadline', sticky: true } });
    expect(outcome('hold')).toMatchObject({ transition: 'T18', hold: { by: 'gate' } });
    expect(outcome('step_back').transition).toBe('T17');
  });

  it('stops waiting only where the policy says so, and not because a clock jumped', () => {
    const policy = policyOf('advance');
    expect(decide(ask({ looked, policy, rollout: openFor(2 * hour) })).action).toBe('ramp');
    const jumped = aRollout({ progress: { bakedMs: hour, dwellMs: hour, inconclusiveSince: at(-9 * hour).wall } });
    expect(decide(ask({ looked, policy, rollout: jumped })).action).toBe('stay');
  });
});

describe('a start', () => {
  const scheduled = (spec: Parameters<typeof aPlan>[0] = {}) => {
    const plan = aPlan(spec);
    const rollout = aRollout({ of: plan, startedAt: null, state: { phase: 'scheduled', stage: -1, epoch: 0 } });
    return ask({ plan, rollout });
  };

  it('happens at once, at its time, or by hand, as the plan says', () => {
    const now = scheduled();
    expect(decide(now)).toMatchObject({ action: 'ramp', transition: 'T4' });
    expect(applyOutcome(now.rollout, now.plan, decide(now), at()).state).toMatchObject({ phase: 'ramping', stage: 0 });
    const later = scheduled({ start: { trigger: 'at', at: '2026-11-02T12:00:00Z' } });
    expect(decide(later).waitingFor).toMatchObject([{ for: 'start', etaMs: 2 * hour }]);
    expect(waits(scheduled({ start: { trigger: 'manual' } }))).toEqual(['start']);
  });

  it('waits for other waves, for a freeze and for another live rollout', () => {
    const world = aWorld({ dependencies: 'killed', freezes: [aFreeze], otherLive: true });
    const question = { ...scheduled(), world };
    expect(waits(question)).toEqual(['freeze', 'dependency', 'dependency']);
    expect(decide(question).transition).toBeNull();
  });

  it('is by hand after a kill, whatever the trigger says', () => {
    const question = scheduled();
    const again = { ...question.rollout, state: { ...question.rollout.state, epoch: 2 } };
    expect(waits({ ...question, rollout: again })).toEqual(['start']);
  });
});

describe('a wave whose upstream was killed', () => {
  it('is held for a person', () => {
    const outcome = decide(ask({ world: aWorld({ dependencies: 'killed' }) }));
    expect(outcome).toMatchObject({ transition: 'T20', hold: { by: 'dependency', sticky: true } });
  });
});

const verdicts: readonly Verdict[] = [
  'pass',
  'watch',
  'hold',
  'kill',
  'inconclusive',
  'no_data',
  'unreliable',
  'error',
];
const readings = fc.array(
  fc.record({
    verdict: fc.constantFrom(...verdicts),
    tier: fc.constantFrom('hold' as const, 'kill' as const),
    sticky: fc.boolean(),
  }),
  { minLength: 1, maxLength: 5 },
);

describe('exposure', () => {
  it('never rises while any gate reads worse than pass', () => {
    const state = fc.record({
      phase: fc.constantFrom('ramping' as const, 'soaking' as const, 'held' as const),
      stage: fc.integer({ min: 0, max: 2 }),
      sticky: fc.boolean(),
    });
    const progress = fc.record({
      bakedMs: fc.integer({ min: 0, max: 9 * hour }),
      errors: fc.integer({ min: 0, max: 9 }),
    });
    // Parsed once: a plan takes longer to read than to decide.
    const plan = aPlan();
    const base = ask({ plan });
    fc.assert(
      fc.property(readings, state, progress, fc.boolean(), (read, state, progress, coreOk) => {
        const all: Reading[] = read.map((about, i) => aReading({ gate: `g${i}`, ...about }));
        const rollout = aRollout({ of: plan, state: { ...state, resumeTo: 'ramping' }, progress });
        const looked = { ...aLook(...all), coreOk };
        const after = applyOutcome(rollout, plan, decide({ ...base, rollout, looked }), at());
        const rose = exposureOf(after.state, plan) > exposureOf(rollout.state, plan);
        const worse = all.some(({ verdict }) => verdict !== 'pass' && verdict !== 'inconclusive');
        expect(rose && (worse || !coreOk)).toBe(false);
      }),
      { numRuns: 500 },
    );
  });
});
