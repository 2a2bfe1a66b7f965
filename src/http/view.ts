import type { Seen } from '../control/tick.ts';
import { exposureOf } from '../domain/exposure.ts';
import type { RolloutPlan } from '../domain/plan.ts';
import type { Freeze, Latch, Rollout } from '../domain/rollout.ts';
import { freezeOn, latchOn } from '../domain/world.ts';
import type { ControlStore } from '../store/store.ts';
import type { RolloutView } from './views.ts';

export interface ViewDeps {
  readonly store: Pick<ControlStore, 'decisions' | 'latches' | 'freezes'>;
  readonly library: { plan(ref: Rollout['plan']): Promise<RolloutPlan> };
  readonly seen: (rolloutId: string) => Seen | null;
  readonly now: () => number;
}

/** Rollouts as the API, the CLI and the page show them. */
export async function viewsOf(deps: ViewDeps, rollouts: readonly Rollout[]): Promise<RolloutView[]> {
  const [latches, freezes] = await Promise.all([deps.store.latches(), deps.store.freezes()]);
  return Promise.all(rollouts.map((rollout) => viewOf(deps, rollout, latches, freezes)));
}

async function viewOf(
  deps: ViewDeps,
  rollout: Rollout,
  latches: readonly Latch[],
  freezes: readonly Freeze[],
): Promise<RolloutView> {
  const [plan, [lastDecision = null]] = await Promise.all([
    deps.library.plan(rollout.plan),
    deps.store.decisions({ rollout: rollout.id, limit: 1 }),
  ]);
  const seen = deps.seen(rollout.id);
  const latch = latchOn(rollout, latches);
  const world = { freezes, latches, dependencies: 'met', otherLive: false } as const;
  return {
    name: rollout.name,
    id: rollout.id,
    environment: rollout.environment,
    flag: rollout.flag,
    plan: rollout.plan,
    policy: rollout.policy,
    state: rollout.state,
    exposure: exposureOf(rollout.state, plan, latch !== null),
    stages: plan.spec.stages.map(({ name, exposure }) => ({ name, exposure })),
    createdAt: rollout.createdAt,
    startedAt: rollout.startedAt,
    stageEnteredAt: rollout.progress.stageEnteredAt,
    latch,
    frozen: freezeOn(rollout, world, deps.now()) !== null,
    readings: seen?.readings ?? [],
    waitingFor: seen?.waitingFor ?? [],
    lookedAt: seen?.at ?? null,
    lastDecision,
  };
}
