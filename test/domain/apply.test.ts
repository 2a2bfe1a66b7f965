import { describe, expect, it } from 'vitest';
import { applyOutcome, applyVerb, isRefused } from '../../src/domain/apply.ts';
import { exposureOf } from '../../src/domain/exposure.ts';
import { newRollout, planChange, rebase, supersede } from '../../src/domain/initial.ts';
import type { Looked } from '../../src/domain/looked.ts';
import type { Verb } from '../../src/domain/machine.ts';
import { advance } from '../../src/domain/progress.ts';
import type { Rollout } from '../../src/domain/rollout.ts';
import type { World } from '../../src/domain/world.ts';
import { aFreeze, aLook, aPlan, aPolicy, aRollout, at, aVerdict, aWorld, hour } from '../support/a-rollout.ts';

interface About {
  readonly actor?: string;
  readonly reason?: string | null;
  readonly looked?: Looked | null;
  readonly world?: World;
  readonly plan?: ReturnType<typeof aPlan>;
  readonly now?: ReturnType<typeof at>;
}

function act(rollout: Rollout, verb: Verb, about: About = {}) {
  const { actor = 'rm', reason = 'because', looked = aLook(), world = aWorld(), plan = aPlan(), now = at() } = about;
  return applyVerb(rollout, plan, aPolicy(), verb, { actor, reason }, looked, world, now);
}

function done(rollout: Rollout, verb: Verb, about: About = {}): Rollout {
  const answer = act(rollout, verb, about);
  if (isRefused(answer)) throw new Error(`${answer.code}: ${answer.message}`);
  return answer;
}

function code(rollout: Rollout, verb: Verb, about: About = {}): string {
  const answer = act(rollout, verb, about);
  return isRefused(answer) ? answer.code : `went through to ${answer.state.phase}`;
}

const held = { phase: 'held', heldBy: 'operator', sticky: true, resumeTo: 'ramping' } as const;
const latch = { environment: 'production', flag: 'checkout-v2', wave: null, setAt: 0, by: 'oncall', reason: null };

describe('a person', () => {
  it('kills in every phase that is not over, without a reason, a look or a thaw', () => {
    const about = { reason: null, looked: null, world: aWorld({ freezes: [aFreeze] }) };
    for (const phase of [
      'draft',
      'pending_approval',
      'scheduled',
      'preflight',
      'ramping',
      'soaking',
      'held',
      'completed',
    ] as const) {
      const killed = done(aRollout({ state: { phase, stage: 1, sentinel: true } }), 'kill', about);
      expect(killed.state).toMatchObject({
        phase: 'killed',
        stage: -1,
        sticky: true,
        sentinel: false,
        epoch: 2,
        version: 6,
      });
      expect(exposureOf(killed.state, aPlan())).toBe(0);
    }
    expect(code(aRollout({ state: { phase: 'killed' } }), 'kill')).toBe('not_allowed');
  });

  it('holds and resumes at the same exposure, in a new epoch with a new bake', () => {
    const rollout = aRollout({ state: { stage: 1 }, progress: { bakedMs: hour } });
    const hold = done(rollout, 'hold');
    expect(hold.state).toMatchObject({ phase: 'held', stage: 1, heldBy: 'operator', sticky: true, epoch: 1 });
    const back = done(hold, 'resume');
    expect(back.state).toMatchObject({ phase: 'ramping', stage: 1, sticky: false, heldBy: null, epoch: 2, version: 7 });
    expect(back.progress.bakedMs).toBe(0);
  });

  it('resumes a soak as a soak', () => {
    const hold = done(aRollout({ state: { phase: 'soaking', stage: 3 } }), 'hold');
    expect(done(done(hold, 'hold'), 'resume').state.phase).toBe('soaking');
  });

  it('cannot resume into a breach, under a latch, after the last day, or before anybody looked', () => {
    const rollout = aRollout({ state: held });
    expect(code(rollout, 'resume', { looked: aLook(aVerdict('hold')) })).toBe('gate_breaching');
    expect(code(rollout, 'resume', { world: aWorld({ latches: [latch] }) })).toBe('latched');
    expect(code(rollout, 'resume', { world: aWorld({ dependencies: 'killed' }) })).toBe('dependency');
    expect(code(rollout, 'resume', { looked: null })).toBe('not_looked');
    const plan = aPlan({ limits: { maxDuration: '1h' } });
    expect(code(rollout, 'resume', { plan, now: at(2 * hour) })).toBe('too_late');
  });

  it('resumes at the same exposure while an upstream wave is held', () => {
    const world = aWorld({ dependencies: 'unmet' });
    expect(done(aRollout({ state: held }), 'resume', { world }).state).toMatchObject({ phase: 'ramping', stage: 0 });
  });

  it('says why, except for a kill', () => {
    expect(code(aRollout(), 'hold', { reason: ' ' })).toBe('reason_required');
    expect(code(aRollout(), 'cancel', { reason: null })).toBe('reason_required');
  });

  it('steps back one stage, and not below the first', () => {
    const back = done(aRollout({ state: { stage: 2 } }), 'step-back');
    expect(back.state).toMatchObject({ phase: 'held', stage: 1, heldBy: 'operator', resumeTo: 'ramping', epoch: 2 });
    expect(code(aRollout(), 'step-back')).toBe('nothing_to_step_back');
  });

  it('skips a bake or promotes, unless frozen or something is breaching', () => {
    expect(done(aRollout(), 'skip-bake').state).toMatchObject({ phase: 'ramping', stage: 1 });
    expect(done(aRollout(), 'promote').state).toMatchObject({ phase: 'soaking', stage: 3 });
    expect(code(aRollout(), 'skip-bake', { world: aWorld({ freezes: [aFreeze] }) })).toBe('frozen');
    expect(code(aRollout(), 'promote', { looked: aLook(aVerdict('kill')) })).toBe('gate_breaching');
  });

  it('starts what is scheduled, within its window, when nothing stands in the way', () => {
    const rollout = aRollout({ startedAt: null, state: { phase: 'scheduled', stage: -1, epoch: 0 } });
    const started = done(rollout, 'start', { looked: null });
    expect(started.state).toMatchObject({ phase: 'ramping', stage: 0, epoch: 1 });
    expect(started.startedAt).toBe(at().wall);
    expect(started.progress.rises).toEqual([[at().wall, 1]]);
    expect(code(rollout, 'start', { plan: aPlan({ windows: { allow: ['Tue 09:00-10:00'] } }) })).toBe('outside_window');
    expect(code(rollout, 'start', { world: aWorld({ otherLive: true }) })).toBe('other_live');
    expect(code(rollout, 'start', { world: aWorld({ dependencies: 'unmet' }) })).toBe('dependency');
  });

  it('rearms what was killed, at zero and through approval', () => {
    const rearmed = done(aRollout({ state: { phase: 'killed', stage: -1, sticky: true } }), 'rearm');
    expect(rearmed.state).toMatchObject({ phase: 'pending_approval', stage: -1, sticky: false });
    expect(rearmed.startedAt).toBeNull();
    expect(rearmed.seed).toBe('checkout-v2');
  });

  it('cancels what is not over, and nothing else', () => {
    expect(done(aRollout({ state: held }), 'cancel').state).toMatchObject({ phase: 'cancelled', stage: -1 });
    expect(code(aRollout({ state: { phase: 'completed' } }), 'cancel')).toBe('not_allowed');
  });
});

describe('an approval', () => {
  const plan = aPlan({
    start: { approval: { roles: ['release-manager'], count: 2 } },
    stages: [
      { name: 'canary', exposure: 1, bake: '1h' },
      { name: 'half', exposure: 50, bake: '1h', approval: { roles: ['release-manager'] } },
      { name: 'full', exposure: 100 },
    ],
  });
  const draft = aRollout({ of: plan, startedAt: null, state: { phase: 'draft', stage: -1, epoch: 0 } });

  it('is asked before the start, from as many subjects as the plan says', () => {
    const pending = done(draft, 'submit', { plan });
    expect(pending.state.phase).toBe('pending_approval');
    const once = done(pending, 'approve', { plan, actor: 'ana' });
    expect(once.state.phase).toBe('pending_approval');
    expect(done(once, 'approve', { plan, actor: 'ana' }).state.phase).toBe('pending_approval');
    expect(done(once, 'approve', { plan, actor: 'ben' }).state).toMatchObject({ phase: 'scheduled', approved: null });
    const late = at(25 * hour);
    expect(done(once, 'approve', { plan, actor: 'ben', now: late }).state.phase).toBe('pending_approval');
  });

  it('is not given by the author of the plan', () => {
    expect(code(done(draft, 'submit', { plan }), 'approve', { plan, actor: 'mkaya' })).toBe('own_plan');
  });

  it('is asked of nobody where the plan asks nobody', () => {
    expect(done(aRollout({ state: { phase: 'draft', stage: -1 } }), 'submit').state.phase).toBe('scheduled');
  });

  it('takes a rejection back to a draft', () => {
    expect(done(done(draft, 'submit', { plan }), 'reject', { plan }).state.phase).toBe('draft');
  });

  it('of a stage comes last, and a hold clears it', () => {
    const early = act(aRollout({ of: plan }), 'approve', { plan });
    expect(early).toMatchObject({ code: 'waiting', waitingFor: [{ for: 'bake' }] });
    const baked = aRollout({ of: plan, progress: { bakedMs: hour } });
    const approved = done(baked, 'approve', { plan });
    expect(approved.state.approved).toMatchObject({ stage: 1, by: 'rm', until: at(24 * hour).wall });
    expect(done(approved, 'hold', { plan }).state.approved).toBeNull();
  });
});

describe('an outcome', () => {
  it('decided for another phase is refused loudly', () => {
    const outcome = { action: 'ramp', transition: 'T7', cause: 'timer', because: '', waitingFor: [] } as const;
    expect(() => applyOutcome(aRollout({ state: held }), aPlan(), outcome, at())).toThrow('T7 does not start at held');
  });

  it('that changes nothing leaves the rollout as it is', () => {
    const outcome = { action: 'stay', transition: null, cause: 'tick', because: '', waitingFor: [] } as const;
    const rollout = aRollout();
    expect(applyOutcome(rollout, aPlan(), outcome, at())).toBe(rollout);
    expect(applyOutcome(rollout, aPlan(), { ...outcome, action: 'watch' }, at()).state).toMatchObject({
      watch: true,
      version: 6,
    });
  });
});

describe('progress', () => {
  const { progress } = aRollout({ progress: { bakedMs: 0, dwellMs: 0 } });

  it('counts what both clocks agree on', () => {
    expect(advance(progress, at(hour), true, false)).toMatchObject({ bakedMs: hour, dwellMs: hour });
    const forward = { ...at(hour), wall: at(24 * hour).wall };
    expect(advance(progress, forward, true, false).bakedMs).toBe(hour);
    const back = { ...at(hour), wall: at(-hour).wall };
    expect(advance(progress, back, true, false).bakedMs).toBe(0);
  });

  it('counts nothing across a restart', () => {
    expect(advance(progress, at(hour, 'b2'), true, false).bakedMs).toBe(0);
  });

  it('does not bake while blind, nor dwell while paused', () => {
    expect(advance(progress, at(hour), false, true)).toMatchObject({
      bakedMs: 0,
      dwellMs: 0,
      blindSince: at(hour).wall,
    });
  });

  it('forgets rises after a day', () => {
    const risen = { ...progress, rises: [[at(-25 * hour).wall, 4] as const, [at(-hour).wall, 5] as const] };
    expect(advance(risen, at(), true, false).rises).toEqual([[at(-hour).wall, 5]]);
  });
});

describe('a newer plan', () => {
  const plan = aPlan();
  const change = (rollout: Rollout | null, newPlan = plan, latches = [] as (typeof latch)[]) => {
    const answer = planChange(rollout, latches, newPlan, plan);
    return typeof answer === 'string' ? answer : answer.code;
  };

  it('makes a rollout where there is none, or where the last one is over', () => {
    expect(change(null)).toBe('create');
    expect(change(aRollout({ state: { phase: 'cancelled', stage: -1 } }))).toBe('create');
    const made = newRollout({
      id: 'r_1',
      shortId: 7,
      plan,
      revision: 2,
      policy: 'web@1',
      environment: 'production',
      wave: 'eu',
      author: 'mkaya',
      now: at(),
    });
    expect(made).toMatchObject({ name: 'checkout-v2/eu', state: { phase: 'draft', stage: -1 }, startedAt: null });
  });

  it('takes nothing away from everybody who is served a completed one', () => {
    const answer = planChange(aRollout({ state: { phase: 'completed', stage: 3 } }), [], plan, plan);
    expect(answer).toMatchObject({ code: 'completed', message: expect.stringContaining('begin again at 0 %') });
  });

  it('takes the place of one that was never exposed', () => {
    const scheduled = aRollout({ state: { phase: 'scheduled', stage: -1 } });
    expect(change(scheduled)).toBe('supersede');
    expect(supersede(scheduled).state).toMatchObject({ phase: 'superseded', version: 6 });
  });

  it('never un-kills and never touches a live rollout', () => {
    expect(change(aRollout({ state: { phase: 'killed', stage: -1 } }))).toBe('latched');
    expect(change(null, plan, [latch])).toBe('latched');
    expect(change(aRollout())).toBe('hold_first');
    expect(change(aRollout({ state: { phase: 'soaking', stage: 3 } }))).toBe('hold_first');
  });

  it('moves a held rollout to its highest stage that raises nothing, and keeps it held', () => {
    const rollout = aRollout({ state: { ...held, stage: 2 } });
    const gentler = aPlan({
      stages: [
        { name: 'ten', exposure: 10 },
        { name: 'thirty', exposure: 30 },
      ],
    });
    expect(change(rollout, gentler)).toBe('rebase');
    const made = { revision: 2, policy: 'web@2', author: 'ana', now: at() };
    const after = rebase(rollout, plan, gentler, made);
    expect(after.state).toMatchObject({ phase: 'held', stage: 0, heldBy: 'operator', sticky: true, epoch: 2 });
    expect(exposureOf(after.state, gentler)).toBe(10);
    expect(after.plan.revision).toBe(2);
    expect(after.evidenceFrom).toBe(after.state.epoch);
  });

  it('is refused where it would raise a held rollout, or reshuffle who is in it', () => {
    const rollout = aRollout({ state: held });
    expect(change(rollout, aPlan({ stages: [{ name: 'all', exposure: 100 }] }))).toBe('no_such_stage');
    expect(change(rollout, aPlan({ unit: { seed: 'other' } }))).toBe('seed_changed');
  });
});

describe('the evidence of a rollout', () => {
  it('begins anew with the first epoch after a rearm', () => {
    const rearmed = done(done(aRollout(), 'kill'), 'rearm');
    const scheduled: Rollout = { ...rearmed, state: { ...rearmed.state, phase: 'scheduled' } };
    const restarted = done(scheduled, 'start');
    expect(restarted.state).toMatchObject({ phase: 'ramping', stage: 0 });
    expect(restarted.evidenceFrom).toBe(restarted.state.epoch);
  });

  it('keeps every epoch over ramps, holds, step-backs and resumes', () => {
    const back = done(done(aRollout(), 'skip-bake'), 'step-back');
    const resumed = done(back, 'resume');
    expect(resumed.state.epoch).toBeGreaterThan(2);
    expect(resumed.evidenceFrom).toBe(0);
  });
});
