import { approvalFor } from './approval.ts';
import { conditions, unmet } from './conditions.ts';
import type { Wait } from './decision.ts';
import { formatDuration } from './duration.ts';
import type { Looked } from './looked.ts';
import type { Guard } from './machine.ts';
import type { Question } from './question.ts';
import { open } from './windows.ts';
import { freezeOn, latchOn } from './world.ts';

export type RefusedCode =
  | 'not_allowed'
  | 'reason_required'
  | 'latched'
  | 'frozen'
  | 'dependency'
  | 'outside_window'
  | 'other_live'
  | 'own_plan'
  | 'not_looked'
  | 'gate_breaching'
  | 'waiting'
  | 'nothing_to_step_back'
  | 'too_late'
  | 'hold_first'
  | 'seed_changed'
  | 'no_such_stage'
  | 'completed';

/** What was asked for does not happen. An ordinary answer, not an error. */
export interface Refused {
  readonly code: RefusedCode;
  readonly message: string;
  readonly waitingFor?: readonly Wait[];
}

/** A person's question: as a tick's, but nobody may have looked yet. */
export type Ask = Omit<Question, 'looked'> & { readonly looked: Looked | null; readonly actor: string };

export type Guards = { readonly [g in Guard]: (ask: Ask) => Refused | null };

export const guards: Guards = {
  not_latched({ rollout, world }) {
    const latch = latchOn(rollout, world.latches);
    if (latch === null) return null;
    return refuse('latched', `${latch.flag} was killed by ${latch.by}; rearm it first`);
  },
  not_frozen({ rollout, world, now }) {
    const freeze = freezeOn(rollout, world, now.wall);
    if (freeze === null) return null;
    return refuse('frozen', `${freeze.by} froze ${freeze.environment ?? 'every environment'}: ${freeze.reason}`);
  },
  dependencies_met({ world }) {
    if (world.dependencies === 'met') return null;
    const what = world.dependencies === 'killed' ? 'was killed' : 'is not far enough';
    return refuse('dependency', `the wave before this one ${what}`);
  },
  // A resume raises nothing, so it waits for no wave; but a dead one would hold it again at the next look.
  upstream_alive({ world }) {
    return world.dependencies === 'killed' ? refuse('dependency', 'the wave before this one was killed') : null;
  },
  window_open({ plan, now }) {
    if (open(plan.spec.windows, now.wall)) return null;
    return refuse('outside_window', `the plan's window (${plan.spec.windows.timezone}) is closed`);
  },
  alone({ world }) {
    return world.otherLive ? refuse('other_live', 'another plan exposes this flag here') : null;
  },
  not_own({ rollout, plan, actor }) {
    const next = rollout.state.phase === 'ramping' ? rollout.state.stage + 1 : 0;
    const asked = approvalFor(plan, next);
    if (asked === null || !asked.notAuthor || actor !== rollout.author) return null;
    return refuse('own_plan', `${actor} applied this plan; somebody else approves it`);
  },
  nothing_breaching({ looked, rollout }) {
    // What is not exposed has no evidence, and goes back to zero exposure.
    if (rollout.state.stage < 0) return null;
    if (looked === null) return notLooked();
    const breach = looked.readings.find(({ verdict }) => verdict === 'kill' || verdict === 'hold');
    if (breach === undefined) return null;
    return refuse('gate_breaching', `${breach.gate} reads ${breach.verdict}: ${breach.text}`);
  },
  evidence_clear(ask) {
    const { looked } = ask;
    if (looked === null) return notLooked();
    const waitingFor = unmet({ ...ask, looked, look: 'full', justStarted: false }, evidenceConditions);
    if (waitingFor.length === 0) return null;
    const first = waitingFor.map(({ text }) => text).join('; ');
    return { ...refuse('waiting', `an approval comes last; first: ${first}`), waitingFor };
  },
  stage_below({ rollout }) {
    if (rollout.state.stage > 0) return null;
    return refuse('nothing_to_step_back', 'it is at its first stage; hold, kill or cancel it');
  },
  time_left({ rollout, plan, now }) {
    const { maxDuration } = plan.spec.limits;
    if (maxDuration === null || now.wall - (rollout.startedAt ?? now.wall) < maxDuration) return null;
    const message = `the plan allows ${formatDuration(maxDuration)} in all; apply a new revision or cancel it`;
    return refuse('too_late', message);
  },
};

const evidenceConditions = conditions.filter(({ name }) =>
  ['bake', 'evidence', 'samples', 'gates', 'proof'].includes(name),
);

export function refuse(code: RefusedCode, message: string): Refused {
  return { code, message };
}

function notLooked(): Refused {
  return refuse('not_looked', 'nobody has looked at its evidence yet; try again after the next look');
}
