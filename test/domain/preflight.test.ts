import { describe, expect, it } from 'vitest';
import { applyVerb, isRefused } from '../../src/domain/apply.ts';
import { planChange } from '../../src/domain/initial.ts';
import { judge } from '../../src/domain/judge.ts';
import type { AuthoredPlan } from '../../src/domain/plan.ts';
import type { Rollout } from '../../src/domain/rollout.ts';
import { builtinSignals } from '../../src/domain/signal.ts';
import { aFreeze, aLook, aPlan, aPolicy, aRollout, at, aWorld, hour, minute } from '../support/a-rollout.ts';
import { anEvidence, aStratum } from './gates/an-evidence.ts';

const runbook = 'https://run.example/e';
const gate = { name: 'errors-kill', signal: 'js_error_rate', tier: 'kill' as const, owner: 'sre', runbook };
const policy = aPolicy({ gates: [{ ...gate, tests: [{ type: 'relative', margin: '10%' }] }] });

const planOf = (preflight: Partial<NonNullable<AuthoredPlan['spec']['preflight']>> = {}) =>
  aPlan({ preflight: { mode: 'checks', duration: '30m', ...preflight } });

const checking = (plan = planOf(), dwellMs = 30 * minute): Rollout =>
  aRollout({
    of: plan,
    evidenceFrom: 1,
    state: { phase: 'preflight', stage: -1, epoch: 1 },
    progress: { dwellMs },
  });

const healthy = [aStratum({ stage: -1, treatment: { units: 1000, errors: 10 }, control: { units: 4000, errors: 40 } })];

function look(about: Partial<Parameters<typeof judge>[0]> = {}) {
  const plan = about.plan ?? planOf();
  return judge({
    evidence: anEvidence(about.evidence?.strata ?? healthy, 0, about.evidence ?? {}),
    policy,
    signals: builtinSignals,
    plan,
    rollout: checking(plan),
    world: aWorld(),
    look: 'full',
    now: at(),
    ...about,
  });
}
const withStrata = (treatment: object, control: object) =>
  anEvidence(
    [aStratum({ stage: -1, treatment: { units: 1000, ...treatment }, control: { units: 4000, ...control } })],
    0,
  );

describe('a preflight', () => {
  it('begins at exposure 0 in an epoch of its own', () => {
    const plan = planOf();
    const scheduled = aRollout({ of: plan, startedAt: null, state: { phase: 'scheduled', stage: -1, epoch: 0 } });
    const { outcome, rollout } = look({ plan, rollout: scheduled });
    expect(outcome).toMatchObject({ action: 'stay', transition: 'T4' });
    expect(rollout).toMatchObject({ state: { phase: 'preflight', stage: -1, epoch: 1 }, evidenceFrom: 1 });
    expect(rollout.progress.rises).toEqual([]);
  });

  it('ends in the first stage, whose evidence begins there', () => {
    const { outcome, rollout } = look();
    expect(outcome).toMatchObject({ action: 'ramp', transition: 'T5', waitingFor: [] });
    expect(rollout).toMatchObject({ state: { phase: 'ramping', stage: 0, epoch: 2 }, evidenceFrom: 2 });
  });

  it('lasts as long as the plan says, however good it looks', () => {
    const { outcome } = look({ rollout: checking(planOf(), 20 * minute) });
    expect(outcome).toMatchObject({ transition: null, waitingFor: [{ for: 'bake', etaMs: 10 * minute }] });
  });

  it.each([
    ['flag_evaluated', anEvidence([], 0)],
    ['exposures_received', withStrata({}, { silent: 4000 })],
    ['beacons_joined', withStrata({ silent: 500 }, { silent: 2000 })],
    ['signals_fresh', anEvidence(healthy, 0, { newest: { treatment: null, control: null } })],
    ['arms_balanced', withStrata({ units: 1500 }, {})],
  ] as const)('fails at its end, and not before, without %s', (check, evidence) => {
    const plan = planOf({ checks: [check] });
    const early = look({ plan, evidence, rollout: checking(plan, 20 * minute) });
    expect(early.outcome.transition).toBeNull();
    expect(early.outcome.waitingFor.map(({ text }) => text).join()).toContain(check);
    const { outcome, rollout } = look({ plan, evidence });
    expect(outcome).toMatchObject({ transition: 'T6', cause: `preflight:${check}` });
    expect(rollout.state).toMatchObject({ phase: 'held', stage: -1, heldBy: 'preflight', sticky: true });
  });

  it('fails when the evidence is not reliable enough', () => {
    const plan = planOf({ checks: ['flag_evaluated'], minReliability: 0.9 });
    const evidence = withStrata({ silent: 300 }, {});
    expect(look({ plan, evidence }).outcome).toMatchObject({ transition: 'T6', cause: 'preflight:reliability' });
    expect(look({ plan: planOf({ checks: ['flag_evaluated'] }), evidence }).outcome.transition).toBe('T5');
  });

  it('with aa, fails when a gate tells apart what is served the same', () => {
    const evidence = withStrata({ errors: 200 }, { errors: 40 });
    const aa = planOf({ mode: 'aa' });
    expect(look({ plan: aa }).outcome.transition).toBe('T5');
    const { outcome } = look({ plan: aa, evidence });
    expect(outcome).toMatchObject({ transition: 'T6', cause: 'preflight:arms_alike' });
    expect(outcome.because).toContain('errors-kill');
    // With `checks` the arms are counted, not compared: it is no evidence about a treatment that nobody was served.
    expect(look({ evidence }).outcome.transition).toBe('T5');
  });

  it('waits for a freeze to end, and neither passes nor fails on a quick look or the first of a process', () => {
    expect(look({ world: aWorld({ freezes: [aFreeze] }) }).outcome.waitingFor).toMatchObject([{ for: 'freeze' }]);
    for (const evidence of [anEvidence([], 0), anEvidence(healthy, 0)]) {
      expect(look({ look: 'quick', evidence }).outcome.transition).toBeNull();
      expect(look({ now: at(0, 'b2'), evidence }).outcome.transition).toBeNull();
    }
  });

  it('is held when the whole rollout took too long', () => {
    const plan = aPlan({ preflight: { mode: 'checks' }, limits: { maxDuration: '1h' } });
    const rollout = { ...checking(plan, 0), startedAt: at(-hour).wall };
    expect(look({ plan, rollout }).outcome).toMatchObject({ transition: 'T6', cause: 'deadline:maxDuration' });
  });

  it('that failed starts anew when a person resumes it, at zero and in a new epoch', () => {
    const plan = planOf();
    const { rollout: held } = look({ plan, evidence: anEvidence([], 0) });
    const order = { actor: 'rm', reason: 'fixed the page' };
    const resumed = applyVerb(held, plan, policy, 'resume', order, null, aWorld(), at());
    if (isRefused(resumed)) throw new Error(resumed.message);
    expect(resumed.state).toMatchObject({ phase: 'scheduled', stage: -1, sticky: false, epoch: 2 });
    const { outcome, rollout } = look({ plan, rollout: resumed });
    expect(outcome.transition).toBe('T4');
    expect(rollout).toMatchObject({ state: { phase: 'preflight', epoch: 3 }, evidenceFrom: 3 });
  });

  it('can be held, killed and cancelled by a person', () => {
    const to = (verb: 'hold' | 'kill' | 'cancel') => {
      const order = { actor: 'rm', reason: 'because' };
      const answer = applyVerb(checking(), planOf(), policy, verb, order, aLook(), aWorld(), at());
      return isRefused(answer) ? answer.code : answer.state;
    };
    expect(to('hold')).toMatchObject({ phase: 'held', stage: -1, heldBy: 'operator', resumeTo: 'preflight' });
    expect(to('kill')).toMatchObject({ phase: 'killed', stage: -1 });
    expect(to('cancel')).toMatchObject({ phase: 'cancelled', stage: -1 });
  });

  it('gives way to a newer plan; held, it asks to be cancelled first', () => {
    expect(planChange(checking(), [], planOf(), planOf())).toBe('supersede');
    const held = aRollout({ state: { phase: 'held', stage: -1, heldBy: 'preflight', sticky: true } });
    expect(planChange(held, [], planOf(), planOf())).toMatchObject({
      code: 'no_such_stage',
      message: expect.stringContaining('cancel it'),
    });
  });
});
