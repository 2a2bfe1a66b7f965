import type { RolloutPlan } from '../domain/plan.ts';
import type { Rollout } from '../domain/rollout.ts';
import type { World } from '../domain/world.ts';
import type { ControlStore } from '../store/store.ts';

/** Phases in which a rollout claims the contexts that it covers. */
const claiming: readonly string[] = ['preflight', 'ramping', 'soaking', 'held', 'completed'];
const reached = { ramping: 0, soaking: 1, completed: 2 } as const;

export type WorldStore = Pick<ControlStore, 'freezes' | 'latches' | 'rollouts' | 'decisions'>;

/** What stands around one rollout: freezes and latches here, the wave it comes after, others on the same flag. */
export async function worldOf(store: WorldStore, rollout: Rollout, plan: RolloutPlan, wall: number): Promise<World> {
  const { environment, flag } = rollout;
  const [freezes, latches, dependencies, ofFlag] = await Promise.all([
    store.freezes(),
    store.latches(environment),
    dependencyOf(store, rollout, plan, wall),
    store.rollouts({ environment, flag, current: true }),
  ]);
  return {
    freezes,
    latches,
    dependencies,
    otherLive: ofFlag.some(
      (other) =>
        other.id !== rollout.id && other.plan.name !== rollout.plan.name && claiming.includes(other.state.phase),
    ),
  };
}

/** How far the wave is that this one comes after, in whatever environment that wave runs. */
async function dependencyOf(
  store: WorldStore,
  rollout: Rollout,
  plan: RolloutPlan,
  wall: number,
): Promise<World['dependencies']> {
  const { waves } = plan.spec;
  const after = waves.find((wave) => wave.name === rollout.wave)?.after ?? null;
  if (after === null) return 'met';
  const environment = waves.find((wave) => wave.name === after.wave)?.environment ?? rollout.environment;
  const name = `${rollout.plan.name}/${after.wave}`;
  const [upstream] = await store.rollouts({ environment, name, current: true });
  if (upstream === undefined) return 'unmet';
  const { phase } = upstream.state;
  if (phase === 'killed') return 'killed';
  if (phase !== 'ramping' && phase !== 'soaking' && phase !== 'completed') return 'unmet';
  if (reached[phase] !== reached[after.phase]) return reached[phase] > reached[after.phase] ? 'met' : 'unmet';
  return wall - (await enteredAt(store, upstream)) >= after.bake ? 'met' : 'unmet';
}

/** Completion opens no stage epoch, so only its decision tells when it was. */
async function enteredAt(store: WorldStore, { id, state, progress }: Rollout): Promise<number> {
  if (state.phase !== 'completed') return progress.stageEnteredAt;
  const decisions = await store.decisions({ rollout: id, limit: 50 });
  const completed = decisions.find(({ from, to }) => from.phase !== 'completed' && to.phase === 'completed');
  return completed?.at ?? progress.stageEnteredAt;
}
