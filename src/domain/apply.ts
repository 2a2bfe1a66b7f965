import type { Outcome } from './decision.ts';
import { type Effects, effects } from './effects.ts';
import { type Guards, guards, type Refused, refuse } from './guards.ts';
import type { Looked } from './looked.ts';
import { type Transition, transitionOf, transitions, type Verb } from './machine.ts';
import type { Now } from './now.ts';
import type { RolloutPlan } from './plan.ts';
import type { GatePolicy } from './policy.ts';
import type { Rollout } from './rollout.ts';
import type { World } from './world.ts';

export type { Refused } from './guards.ts';

export interface Mechanics {
  readonly table: readonly Transition[];
  readonly effects: Effects;
  readonly guards: Guards;
}

const standard: Mechanics = { table: transitions, effects, guards };
const byOperator = { by: 'operator', sticky: true } as const;

/** The rollout after a tick's outcome. Throws when the outcome was decided for another phase: the caller mixed up two. */
export function applyOutcome(
  rollout: Rollout,
  plan: RolloutPlan,
  outcome: Outcome,
  now: Now,
  { table, effects }: Pick<Mechanics, 'table' | 'effects'> = standard,
): Rollout {
  if (outcome.transition === null) return watched(rollout, outcome.action === 'watch');
  const row = transitionOf('tick', rollout.state, table, outcome.transition);
  if (row === null) throw new Error(`${outcome.transition} does not start at ${rollout.state.phase}`);
  return effects[row.effect]({ rollout, plan, now, actor: null, hold: outcome.hold ?? byOperator });
}

function watched(rollout: Rollout, watch: boolean): Rollout {
  const { state } = rollout;
  if (state.watch === watch) return rollout;
  return { ...rollout, state: { ...state, watch, version: state.version + 1 } };
}

export interface Order {
  /** Subject of the person or service. */
  readonly actor: string;
  readonly reason: string | null;
}

/**
 * The rollout after a person's verb, or why it does not happen. Permission is asked before, at the door. `looked` is
 * the newest look, null when nobody has looked yet: then only verbs that lower or wait go through.
 */
export function applyVerb(
  rollout: Rollout,
  plan: RolloutPlan,
  policy: GatePolicy,
  verb: Verb,
  { actor, reason }: Order,
  looked: Looked | null,
  world: World,
  now: Now,
  mechanics: Mechanics = standard,
): Rollout | Refused {
  const row = transitionOf(verb, rollout.state, mechanics.table);
  if (row === null) return refuse('not_allowed', `${verb} means nothing while a rollout is ${rollout.state.phase}`);
  if (row.reason && (reason ?? '').trim() === '') return refuse('reason_required', `say why: ${verb} needs a reason`);
  for (const guard of row.guards) {
    const refused = mechanics.guards[guard]({ rollout, plan, policy, looked, world, now, actor, look: 'full' });
    if (refused !== null) return refused;
  }
  return mechanics.effects[row.effect]({ rollout, plan, now, actor, hold: byOperator });
}

export function isRefused(answer: Rollout | Refused): answer is Refused {
  return 'code' in answer;
}
