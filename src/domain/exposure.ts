import { isExposed } from './machine.ts';
import type { RolloutPlan } from './plan.ts';
import type { RolloutState } from './rollout.ts';

/** Width of the bucketing layout: a unit falls into one of this many slots. */
export const slots = 1_000_000;
const slotsPerPercent = slots / 100;

/** Slots of each arm. Treatment fills from 0 up; the holdback from the top down, control beneath it; the rest is neither. */
export interface Allocation {
  readonly treatment: number;
  /** In a preflight: named treatment and served control, in the place of those whom the first stage exposes. */
  readonly labelled: number;
  readonly control: number;
  readonly holdback: number;
}

/**
 * Percent of the audience served the treatment. A function of state and plan alone: a freeze blocks transitions and
 * changes nothing that is served. A standing kill latch makes it 0 whatever the state says.
 */
export function exposureOf(state: RolloutState, plan: RolloutPlan, latched = false): number {
  if (latched || !isExposed(state)) return 0;
  const { stages } = plan.spec;
  const stage = state.phase === 'completed' ? stages.at(-1) : stages[state.stage];
  return stage?.exposure ?? 0;
}

/**
 * Who is compared with whom. Treatment only grows while exposure rises; control grows until it meets treatment and
 * then gives way from below, so a unit changes arm at most once, from control to treatment. After completion the
 * holdback stays for as long as somebody compares with it.
 */
export function allocationOf(state: RolloutState, plan: RolloutPlan, latched = false): Allocation {
  if (state.phase === 'preflight' && !latched) {
    const { treatment, ...others } = armsAt(plan.spec.stages[0]?.exposure ?? 0, plan);
    return { ...others, treatment: 0, labelled: treatment };
  }
  const isWatched = state.phase !== 'completed' || state.sentinel;
  return { ...armsAt(exposureOf(state, plan, latched), plan, isWatched), labelled: 0 };
}

function armsAt(exposure: number, { spec }: RolloutPlan, isWatched = true): Omit<Allocation, 'labelled'> {
  if (exposure === 0) return { treatment: 0, control: 0, holdback: 0 };
  const { holdback, control } = spec.comparison;
  const kept = isWatched ? slotsOf(holdback?.percent ?? 0) : 0;
  const wanted = slotsOf(exposure);
  if (wanted === slots) return { treatment: slots - kept, control: 0, holdback: kept };
  const treatment = Math.min(wanted, slots - kept);
  return { treatment, control: Math.min(Math.floor(control.ratio * wanted), slots - treatment), holdback: 0 };
}

function slotsOf(percent: number): number {
  return Math.round(percent * slotsPerPercent);
}
