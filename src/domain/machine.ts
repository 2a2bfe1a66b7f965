import type { Permission } from './permissions.ts';
import type { Phase, RolloutState } from './rollout.ts';

/** What people do to a rollout. */
export const verbs = [
  'submit',
  'approve',
  'reject',
  'start',
  'hold',
  'resume',
  'step-back',
  'skip-bake',
  'promote',
  'kill',
  'rearm',
  'cancel',
] as const;
export type Verb = (typeof verbs)[number];

/** What a person's verb must satisfy; the functions are in `guards.ts`. */
export type Guard =
  | 'not_latched'
  | 'not_frozen'
  | 'dependencies_met'
  | 'upstream_alive'
  | 'window_open'
  | 'alone'
  | 'not_own'
  | 'nothing_breaching'
  | 'evidence_clear'
  | 'stage_below'
  | 'time_left';

/** What happens to the state; the functions are in `effects.ts`. */
export type Effect =
  | 'submit'
  | 'schedule'
  | 'withdraw'
  | 'start'
  | 'begin'
  | 'ramp'
  | 'promote'
  | 'approve'
  | 'hold'
  | 'step_back'
  | 'resume'
  | 'reopen'
  | 'complete'
  | 'end_sentinel'
  | 'kill'
  | 'rearm'
  | 'cancel';

/** One row of the table. `tick` rows are caused by `decide`, `apply` rows by a newer plan revision, others by people. */
export interface Transition {
  readonly id: string;
  readonly from: readonly Phase[];
  readonly event: Verb | 'tick';
  readonly guards: readonly Guard[];
  readonly effect: Effect;
  /** Whether the hold or kill waits for a person; null where the row neither holds nor kills. */
  readonly sticky: boolean | 'as gate' | null;
  /** Null: the controller itself. */
  readonly permission: Permission | null;
  /** `lower` reduces or freezes exposure and is always allowed; `raise` is everything else. */
  readonly direction: 'lower' | 'raise';
  /** The person must say why. A kill may be explained within 15 minutes. */
  readonly reason: boolean;
  readonly latch: 'set' | 'clear' | null;
}

const running = ['ramping', 'soaking'] as const;
const exposed = ['ramping', 'soaking', 'held'] as const;
const killable = [
  'draft',
  'pending_approval',
  'scheduled',
  'preflight',
  'ramping',
  'soaking',
  'held',
  'completed',
] as const;
const cancellable = ['draft', 'pending_approval', 'scheduled', 'preflight', 'ramping', 'soaking', 'held'] as const;

interface Marks {
  readonly guards?: readonly Guard[];
  readonly sticky?: boolean | 'as gate';
  readonly reason?: boolean;
  readonly latch?: 'set' | 'clear';
}

function row(
  id: string,
  from: readonly Phase[],
  event: Verb | 'tick',
  effect: Effect,
  direction: 'lower' | 'raise',
  permission: Permission | null,
  marks: Marks = {},
): Transition {
  return {
    id,
    from,
    event,
    effect,
    direction,
    permission,
    guards: marks.guards ?? [],
    sticky: marks.sticky ?? null,
    reason: marks.reason ?? false,
    latch: marks.latch ?? null,
  };
}

const noHarmSeen = ['not_latched', 'not_frozen', 'nothing_breaching'] as const;

/**
 * The state machine. Row ids are stable: decisions and their audit records name them. T4 runs through T5 in the same
 * step where the plan skips the preflight: there is nothing to wait for then. T34 and T35 (a newer revision of the plan) are
 * `planChange` and `rebase`.
 */
export const transitions: readonly Transition[] = [
  row('T1', ['draft'], 'submit', 'submit', 'raise', 'plan.apply', { guards: ['not_latched'] }),
  row('T2', ['pending_approval'], 'approve', 'schedule', 'raise', 'stage.approve', {
    guards: ['not_latched', 'not_own'],
  }),
  row('T2', ['pending_approval'], 'tick', 'schedule', 'raise', null),
  row('T3', ['pending_approval'], 'reject', 'withdraw', 'lower', 'stage.approve', { reason: true }),
  row('T4', ['scheduled'], 'start', 'start', 'raise', 'rollout.operate', {
    guards: ['not_latched', 'not_frozen', 'dependencies_met', 'alone', 'window_open'],
  }),
  row('T4', ['scheduled'], 'tick', 'start', 'raise', null),
  row('T5', ['preflight'], 'tick', 'begin', 'raise', null),
  row('T6', ['preflight'], 'tick', 'hold', 'lower', null, { sticky: true }),
  row('T7', ['ramping'], 'tick', 'ramp', 'raise', null),
  row('T8', ['ramping'], 'approve', 'approve', 'raise', 'stage.approve', { guards: ['not_own', 'evidence_clear'] }),
  row('T9', ['ramping'], 'skip-bake', 'ramp', 'raise', 'rollout.raise', { guards: noHarmSeen, reason: true }),
  row('T10', ['ramping'], 'promote', 'promote', 'raise', 'rollout.raise', { guards: noHarmSeen, reason: true }),
  row('T11', exposed, 'tick', 'kill', 'lower', null, { sticky: true, latch: 'set' }),
  row('T12', killable, 'kill', 'kill', 'lower', 'rollout.lower', { sticky: true, latch: 'set' }),
  row('T12', killable, 'tick', 'kill', 'lower', null, { sticky: true }),
  row('T13', running, 'tick', 'hold', 'lower', null, { sticky: 'as gate' }),
  row('T14', exposed, 'tick', 'hold', 'lower', null, { sticky: true }),
  row('T15', running, 'tick', 'hold', 'lower', null, { sticky: false }),
  row('T16', ['held'], 'tick', 'step_back', 'lower', null, { sticky: true }),
  row('T16k', ['held'], 'tick', 'kill', 'lower', null, { sticky: true, latch: 'set' }),
  row('T17', running, 'tick', 'step_back', 'lower', null, { sticky: true }),
  row('T18', ['ramping'], 'tick', 'hold', 'lower', null, { sticky: 'as gate' }),
  row('T19', exposed, 'tick', 'hold', 'lower', null, { sticky: true }),
  row('T20', exposed, 'tick', 'hold', 'lower', null, { sticky: true }),
  row('T21', ['preflight', ...exposed], 'hold', 'hold', 'lower', 'rollout.lower', { sticky: true, reason: true }),
  row('T22', exposed, 'step-back', 'step_back', 'lower', 'rollout.lower', {
    guards: ['stage_below'],
    sticky: true,
    reason: true,
  }),
  row('T23', ['held'], 'tick', 'resume', 'raise', null),
  row('T24', ['held'], 'resume', 'reopen', 'raise', 'rollout.resume', {
    guards: ['not_latched', 'upstream_alive', 'time_left', 'nothing_breaching'],
    reason: true,
  }),
  row('T25', ['held'], 'tick', 'cancel', 'lower', null),
  row('T30', ['soaking'], 'tick', 'complete', 'raise', null),
  row('T30e', ['completed'], 'tick', 'end_sentinel', 'raise', null),
  row('T31', ['completed'], 'tick', 'kill', 'lower', null, { sticky: true, latch: 'set' }),
  row('T32', ['killed'], 'rearm', 'rearm', 'raise', 'rollout.raise', { reason: true, latch: 'clear' }),
  row('T33', cancellable, 'cancel', 'cancel', 'lower', 'rollout.lower', { reason: true }),
];

/** Phases in which the treatment is served, given a stage of 0 or more. */
export function isExposed(state: RolloutState): boolean {
  return state.stage >= 0 && (state.phase === 'completed' || exposed.some((phase) => phase === state.phase));
}

export function transitionOf(
  event: Verb | 'tick',
  state: RolloutState,
  table: readonly Transition[] = transitions,
  id?: string,
): Transition | null {
  return (
    table.find((t) => t.event === event && t.from.includes(state.phase) && (id === undefined || t.id === id)) ?? null
  );
}

/** Whether the verb means anything in this phase. Permission, reason and guards are asked separately. */
export function may(verb: Verb, state: RolloutState): boolean {
  return transitionOf(verb, state) !== null;
}

/** All rows of one verb ask the same permission. */
export function permissionOf(verb: Verb): Permission {
  const permission = transitions.find((t) => t.event === verb)?.permission;
  if (!permission) throw new Error(`no row of the machine is caused by ${verb}`);
  return permission;
}
