import { exposureOf } from './exposure.ts';
import { type Refused, refuse } from './guards.ts';
import type { Now } from './now.ts';
import type { RolloutPlan } from './plan.ts';
import { newEpoch, noProgress } from './progress.ts';
import type { Latch, Rollout, RolloutState } from './rollout.ts';

/** A rollout before anything has happened. `policy` is the pinned `name@version`. */
export function newRollout(make: {
  readonly id: string;
  readonly shortId: number;
  readonly plan: RolloutPlan;
  readonly revision: number;
  readonly policy: string;
  readonly environment: string;
  readonly wave: string | null;
  readonly author: string;
  readonly now: Now;
}): Rollout {
  const { plan, wave } = make;
  const { name, flag } = plan.metadata;
  return {
    id: make.id,
    shortId: make.shortId,
    name: wave === null ? name : `${name}/${wave}`,
    environment: make.environment,
    flag,
    wave,
    plan: { name, revision: make.revision },
    policy: make.policy,
    seed: plan.spec.unit.seed,
    bucketing: 'murmur3-utf8/v2',
    createdAt: make.now.wall,
    startedAt: null,
    author: make.author,
    state: unexposed,
    progress: noProgress(make.now),
    evidenceFrom: 0,
    references: {},
  };
}

const unexposed: RolloutState = {
  phase: 'draft',
  stage: -1,
  heldBy: null,
  sticky: false,
  resumeTo: null,
  watch: false,
  approved: null,
  sentinel: false,
  excluded: [],
  epoch: 0,
  version: 1,
};

/**
 * What applying a plan means for what already runs: `create` a rollout, `supersede` the one that was never exposed and
 * create another, or `rebase` the held one. It never un-kills, never raises, and never takes a completed one away from
 * those whom it serves. `existing` is the newest rollout of the name, `latches` are those of the environment.
 */
export function planChange(
  existing: Rollout | null,
  latches: readonly Latch[],
  newPlan: RolloutPlan,
  oldPlan: RolloutPlan | null,
  wave: string | null = existing?.wave ?? null,
): 'create' | 'supersede' | 'rebase' | Refused {
  const { flag } = newPlan.metadata;
  const latch = latches.find((l) => l.flag === flag && (l.wave === null || l.wave === wave));
  if (latch !== undefined) return refuse('latched', `${flag} was killed by ${latch.by}; rearm it first`);
  if (existing === null) return 'create';
  switch (existing.state.phase) {
    case 'cancelled':
    case 'superseded':
      return 'create';
    case 'completed':
      return refuse(
        'completed',
        `${existing.name} is completed and goes on serving the flag; a new revision would begin again at 0 %. If that is meant: kill it, rearm it, then apply the plan`,
      );
    case 'killed':
      return refuse('latched', `${existing.name} is killed; rearm it first`);
    case 'draft':
    case 'pending_approval':
    case 'scheduled':
    case 'preflight':
      return 'supersede';
    case 'ramping':
    case 'soaking':
      return refuse('hold_first', `${existing.name} is ${existing.state.phase}; hold it, then apply the plan`);
    case 'held':
      return rebaseTo(existing, newPlan, oldPlan);
  }
}

function rebaseTo(existing: Rollout, newPlan: RolloutPlan, oldPlan: RolloutPlan | null): 'rebase' | Refused {
  if (newPlan.spec.unit.seed !== existing.seed)
    return refuse(
      'seed_changed',
      `the seed of a live rollout stays "${existing.seed}": another one exposes other people`,
    );
  if (oldPlan === null || stageBelow(existing, newPlan, oldPlan) < 0)
    return refuse(
      'no_such_stage',
      existing.state.stage < 0
        ? `${existing.name} is held before anybody was exposed; cancel it, then apply the plan`
        : 'the new plan has no stage at or below the present exposure',
    );
  return 'rebase';
}

function stageBelow(existing: Rollout, newPlan: RolloutPlan, oldPlan: RolloutPlan): number {
  const present = exposureOf(existing.state, oldPlan);
  return newPlan.spec.stages.findLastIndex((stage) => stage.exposure <= present);
}

/** T34: a newer revision takes the place of a rollout that was never exposed. */
export function supersede(rollout: Rollout): Rollout {
  const { state } = rollout;
  return { ...rollout, state: { ...state, phase: 'superseded', approved: null, version: state.version + 1 } };
}

/**
 * T35: a held rollout goes on with the new revision, held by the operator at its highest stage that raises nothing. Its
 * evidence begins anew: older epochs belong to stages, shares and gates of a plan that is no longer there.
 */
export function rebase(
  rollout: Rollout,
  oldPlan: RolloutPlan,
  newPlan: RolloutPlan,
  made: { readonly revision: number; readonly policy: string; readonly author: string; readonly now: Now },
): Rollout {
  const { state } = rollout;
  const stage = stageBelow(rollout, newPlan, oldPlan);
  if (stage < 0) throw new Error(`${rollout.name} has no stage to go on from`);
  const last = stage === newPlan.spec.stages.length - 1;
  const epoch = state.epoch + 1;
  return {
    ...rollout,
    evidenceFrom: epoch,
    plan: { name: newPlan.metadata.name, revision: made.revision },
    policy: made.policy,
    author: made.author,
    state: {
      ...state,
      stage,
      heldBy: 'operator',
      sticky: true,
      resumeTo: last ? 'soaking' : 'ramping',
      approved: null,
      watch: false,
      epoch,
      version: state.version + 1,
    },
    progress: newEpoch(rollout.progress, made.now, 0),
  };
}
