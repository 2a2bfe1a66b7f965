import type { FlagSet } from '@tidegate/core';
import type { Rollout } from '../domain/rollout.ts';
import type { Running } from '../serve/compile.ts';
import type { Library } from './library.ts';

/**
 * The rollouts that an environment serves, with their plans. Whatever is about to be committed is compiled from these
 * too: what passes there can be published, so a kill later on never meets a set that cannot.
 */
export async function runningOf(
  library: Pick<Library, 'plan'>,
  declared: FlagSet,
  rollouts: readonly Rollout[],
): Promise<readonly Running[]> {
  const present = rollouts.filter(({ state }) => state.phase !== 'superseded');
  const taken = new Set(present.filter(({ state }) => state.phase !== 'cancelled').map(({ flag }) => flag));
  const all = await Promise.all(present.map(async (rollout) => ({ rollout, plan: await library.plan(rollout.plan) })));
  return all.filter(
    (running) =>
      running.rollout.state.phase !== 'cancelled' || (!taken.has(running.rollout.flag) && fits(running, declared)),
  );
}

/** A cancelled rollout keeps its flag at control for as long as people leave it the flag that it knew. */
function fits({ rollout, plan }: Running, { flags }: FlagSet): boolean {
  const { treatment, control } = plan.spec.variations;
  const flag = Object.hasOwn(flags, rollout.flag) ? flags[rollout.flag] : undefined;
  if (flag === undefined) return treatment === 'on' && control === 'off';
  return Object.hasOwn(flag.variants, treatment) && Object.hasOwn(flag.variants, control);
}
