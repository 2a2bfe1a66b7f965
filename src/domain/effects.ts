import { approvalFor, approvedBy, isApproved } from './approval.ts';
import { exposureOf } from './exposure.ts';
import type { Effect } from './machine.ts';
import type { Now } from './now.ts';
import type { RolloutPlan } from './plan.ts';
import { newEpoch } from './progress.ts';
import type { HeldBy, Rollout, RolloutState } from './rollout.ts';

/** One step of the machine: on what, by whom, when. */
export interface Step {
  readonly rollout: Rollout;
  readonly plan: RolloutPlan;
  readonly now: Now;
  /** Null: the controller. */
  readonly actor: string | null;
  readonly hold: { readonly by: HeldBy; readonly sticky: boolean };
}

export type Effects = { readonly [e in Effect]: (step: Step) => Rollout };

/** What a transition does. Each takes the state of its row's `from` for granted. */
export const effects: Effects = {
  submit: (step) => change(step, { phase: approvalFor(step.plan, 0) === null ? 'scheduled' : 'pending_approval' }),
  schedule,
  withdraw: (step) => change(step, { phase: 'draft', approved: null }),
  start: (step) => (step.plan.spec.preflight.mode === 'skip' ? enter(step, 0) : check(step)),
  begin,
  ramp: (step) => enter(step, step.rollout.state.stage + 1),
  promote: (step) => enter(step, step.plan.spec.stages.length - 1),
  approve: (step) => change(step, { approved: approval(step, step.rollout.state.stage + 1) }),
  hold: held,
  step_back: stepBack,
  resume: (step) => resumed(step, step.rollout.state.epoch),
  reopen: (step) => resumed(step, step.rollout.state.epoch + 1),
  complete: (step) => change(step, { phase: 'completed', watch: false, sentinel: watchedAfter(step.plan) > 0 }),
  end_sentinel: (step) => change(step, { sentinel: false, watch: false }),
  kill: (step) => leave(step, 'killed'),
  rearm: (step) => {
    const waiting = change(step, { phase: 'pending_approval', sticky: false });
    // The epoch that the kill opened stays unexposed; the next one is the first of the new process.
    return { ...waiting, startedAt: null, evidenceFrom: step.rollout.state.epoch + 1 };
  },
  cancel: (step) => leave(step, 'cancelled'),
};

/** How long a completed rollout is still compared with its holdback, ms; 0 = not at all. */
export function watchedAfter(plan: RolloutPlan): number {
  return Math.max(plan.spec.soak.sentinel?.for ?? 0, plan.spec.comparison.holdback?.for ?? 0);
}

const unheld = { heldBy: null, sticky: false, resumeTo: null } as const;

/** The one place where a state is replaced: versions rise by one, and a changed phase starts its own clock. */
function change(step: Step, to: Partial<RolloutState>): Rollout {
  const { rollout } = step;
  const state = { ...rollout.state, ...to, version: rollout.state.version + 1 };
  const samePhase = state.phase === rollout.state.phase;
  return { ...rollout, state, progress: samePhase ? rollout.progress : { ...rollout.progress, phaseMs: 0 } };
}

/** As `change`, and opens a stage epoch: evidence, bake, streaks and approvals of the old one count no more. */
function changeEpoch(step: Step, to: Partial<RolloutState>): Rollout {
  const before = exposureOf(step.rollout.state, step.plan);
  const changed = change(step, { ...to, approved: null, watch: false, epoch: step.rollout.state.epoch + 1 });
  const risenBy = exposureOf(changed.state, step.plan) - before;
  return { ...changed, progress: newEpoch(step.rollout.progress, step.now, risenBy) };
}

function enter(step: Step, stage: number): Rollout {
  const phase = stage === step.plan.spec.stages.length - 1 ? 'soaking' : 'ramping';
  const entered = changeEpoch(step, { phase, stage, ...unheld });
  return { ...entered, startedAt: step.rollout.startedAt ?? step.now.wall };
}

/** Nobody is exposed, so this is the first epoch of a process of its own: nothing that it finds is held against anybody. */
function check(step: Step): Rollout {
  const checked = changeEpoch(step, { phase: 'preflight', stage: -1, ...unheld });
  return { ...checked, evidenceFrom: checked.state.epoch, startedAt: step.rollout.startedAt ?? step.now.wall };
}

/** In a preflight both arms were served control: as evidence about the treatment it is worth nothing. */
function begin(step: Step): Rollout {
  const begun = enter(step, 0);
  return { ...begun, evidenceFrom: begun.state.epoch };
}

function leave(step: Step, phase: 'killed' | 'cancelled'): Rollout {
  return changeEpoch(step, { ...unheld, phase, stage: -1, sticky: phase === 'killed', sentinel: false });
}

function schedule(step: Step): Rollout {
  const approved = approval(step, 0);
  const enough = isApproved(
    { ...step.rollout, state: { ...step.rollout.state, approved } },
    step.plan,
    0,
    step.now.wall,
  );
  return enough ? change(step, { phase: 'scheduled', approved: null }) : change(step, { approved });
}

function approval({ rollout, actor, now }: Step, stage: number): RolloutState['approved'] {
  return actor === null ? null : approvedBy(rollout, stage, actor, now.wall);
}

function held(step: Step): Rollout {
  return change(step, {
    phase: 'held',
    heldBy: step.hold.by,
    sticky: step.hold.sticky,
    resumeTo: whereTo(step.rollout.state),
    approved: null,
    watch: false,
  });
}

function whereTo({ phase, resumeTo }: RolloutState): 'preflight' | 'ramping' | 'soaking' {
  if (phase === 'held') return resumeTo ?? 'ramping';
  return phase === 'preflight' || phase === 'soaking' ? phase : 'ramping';
}

/** At the first stage there is nothing to step back to: exposure stays, and the hold waits for a person. */
function stepBack(step: Step): Rollout {
  const { stage } = step.rollout.state;
  if (stage <= 0) return held(step);
  return changeEpoch(step, {
    phase: 'held',
    stage: stage - 1,
    heldBy: step.hold.by,
    sticky: step.hold.sticky,
    resumeTo: 'ramping',
  });
}

/**
 * Same exposure; the bake begins again. Only a person's resume opens an epoch, because a person may have changed more.
 * What was never exposed goes back to its start: a preflight is not continued, it is done again.
 */
function resumed(step: Step, epoch: number): Rollout {
  const { state } = step.rollout;
  const to = { phase: state.stage < 0 ? ('scheduled' as const) : whereTo(state), ...unheld };
  if (epoch !== state.epoch) return changeEpoch(step, to);
  const back = change(step, to);
  return { ...back, progress: { ...back.progress, bakedMs: 0 } };
}
