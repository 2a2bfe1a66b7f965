import type { RolloutPlan } from './plan.ts';
import type { Rollout, RolloutState } from './rollout.ts';

const lastsMs = 24 * 3_600_000;

type Asked = RolloutPlan['spec']['start']['approval'];

/** The approval that entering a stage asks for: the first stage also answers to `start.approval`. Null: nobody is asked. */
export function approvalFor(plan: RolloutPlan, stage: number): Asked {
  const own = plan.spec.stages[stage]?.approval ?? null;
  return stage === 0 ? (plan.spec.start.approval ?? own) : own;
}

/** What an approval is bound to: another revision, policy, stage or epoch needs another approval. */
function approvalDigest(rollout: Rollout, stage: number): string {
  const { plan, policy, state } = rollout;
  return `${rollout.id} stage ${stage} epoch ${state.epoch} ${plan.name}@${plan.revision} ${policy}`;
}

/** Whether the next stage may be entered as far as people are concerned. */
export function isApproved(rollout: Rollout, plan: RolloutPlan, stage: number, wall: number): boolean {
  const asked = approvalFor(plan, stage);
  if (asked === null) return true;
  return present(rollout, stage, wall).length >= asked.count;
}

/** Adds one subject's approval; the same subject counts once, and a stale approval is replaced. */
export function approvedBy(rollout: Rollout, stage: number, actor: string, wall: number): RolloutState['approved'] {
  const others = present(rollout, stage, wall).filter((subject) => subject !== actor);
  return {
    stage,
    digest: approvalDigest(rollout, stage),
    by: actor,
    ...(others.length > 0 ? { with: others } : {}),
    until: wall + lastsMs,
  };
}

function present(rollout: Rollout, stage: number, wall: number): readonly string[] {
  const { approved } = rollout.state;
  if (approved === null || approved.stage !== stage || approved.until <= wall) return [];
  return approved.digest === approvalDigest(rollout, stage) ? [approved.by, ...(approved.with ?? [])] : [];
}
