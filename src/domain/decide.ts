import { type Condition, conditions, unmet } from './conditions.ts';
import type { Outcome, Reading, Wait } from './decision.ts';
import { formatDuration } from './duration.ts';
import { isExposed } from './machine.ts';
import { causeOf, gateOf, isBlind, isHealth, preflightMisses, type Question, stageOf, unprovenMs } from './question.ts';
import type { HeldBy } from './rollout.ts';
import { latchOn } from './world.ts';

export type { Question } from './question.ts';

/** What one line of the precedence asks for; the waits are added once. */
export type Move = Omit<Outcome, 'waitingFor'>;

/** One line of the precedence. Null: it has nothing to say. */
export interface Rule {
  readonly name: string;
  readonly decide: (question: Question, waits: readonly Wait[]) => Move | null;
}

export interface Judgement {
  readonly precedence: readonly Rule[];
  readonly conditions: readonly Condition[];
}

/**
 * First match wins. The order is a contract: whatever lowers exposure comes before whatever waits, and both come before
 * what raises it. A kill waits for nothing above its own samples and reliability, which its reading has seen to.
 */
export const precedence: readonly Rule[] = [
  { name: 'latch', decide: byLatch },
  { name: 'kill gate', decide: byKillGate },
  { name: 'health', decide: byHealth },
  { name: 'hold gate', decide: byHoldGate },
  { name: 'preflight', decide: byPreflight },
  { name: 'deadline', decide: byDeadline },
  { name: 'inconclusive', decide: byInconclusive },
  { name: 'expiry', decide: byExpiry },
  { name: 'watch', decide: byWatch },
  { name: 'waits', decide: byWaits },
  { name: 'up', decide: up },
];

/** What the readings come to. Pure and total: same question, same answer. */
export function decide(question: Question, parts: Judgement = { precedence, conditions }): Outcome {
  const waitingFor = unmet(question, parts.conditions);
  for (const rule of parts.precedence) {
    const move = rule.decide(question, waitingFor);
    if (move !== null) return { ...move, waitingFor };
  }
  return { ...stay('nothing to do'), waitingFor };
}

function stay(because: string): Move {
  return { action: 'stay', transition: null, cause: 'tick', because };
}

function hold(transition: string, cause: string, because: string, by: HeldBy, sticky: boolean): Move {
  return { action: 'hold', transition, cause, because, hold: { by, sticky } };
}

function isRunning({ rollout }: Question): boolean {
  return rollout.state.phase === 'ramping' || rollout.state.phase === 'soaking';
}

/** A hold may still become one that waits for a person. */
function mayHold(question: Question): boolean {
  return isRunning(question) || (question.rollout.state.phase === 'held' && !question.rollout.state.sticky);
}

const over = ['killed', 'cancelled', 'superseded'];

/** A person's kill of the flag, including one that arrived while the evidence was being read. */
function byLatch({ rollout, world }: Question): Move | null {
  const latch = latchOn(rollout, world.latches);
  if (latch === null || over.includes(rollout.state.phase)) return null;
  const why = latch.reason === null ? '' : `: ${latch.reason}`;
  return { action: 'kill', transition: 'T12', cause: 'latch', because: `the flag was killed by ${latch.by}${why}` };
}

/** Looked at in every exposed phase, held or not, frozen or not. A kill does not wait: harm grows while we look. */
function byKillGate({ rollout, looked }: Question): Move | null {
  const { phase, sentinel } = rollout.state;
  if (!isExposed(rollout.state) || (phase === 'completed' && !sentinel)) return null;
  const reading = looked.readings.find(({ verdict }) => verdict === 'kill');
  if (reading === undefined) return null;
  const transition = phase === 'completed' ? 'T31' : 'T11';
  return { action: 'kill', transition, cause: causeOf(reading), because: reading.text };
}

/** Whether the comparison can be trusted at all, and whether there is one. */
function byHealth(question: Question): Move | null {
  const { looked, world, rollout } = question;
  if (mayHold(question)) {
    const sick = looked.readings.filter((reading) => isHealth(reading) && reading.verdict === 'hold');
    const reading = sick.find(({ sticky }) => sticky) ?? (isRunning(question) ? sick[0] : undefined);
    if (reading !== undefined) {
      const row = reading.sticky ? 'T14' : 'T15';
      return hold(row, causeOf(reading), reading.text, 'health', reading.sticky);
    }
    if (world.dependencies === 'killed')
      return hold('T20', 'dependency', 'the wave before this one was killed', 'dependency', true);
  }
  if (isRunning(question)) return byError(question) ?? byBlindness(question);
  return rollout.state.phase === 'held' ? byLongBlindness(question) : null;
}

function byError({ rollout, policy }: Question): Move | null {
  const { errors } = rollout.progress;
  if (errors < policy.spec.health.evaluatorError.consecutive) return null;
  return hold('T15', 'error', `the evaluation failed ${errors} times in a row`, 'error', false);
}

function blindMs({ rollout, now }: Question): number {
  const { blindSince } = rollout.progress;
  return blindSince === null ? -1 : now.wall - blindSince;
}

function byBlindness(question: Question): Move | null {
  const { policy, looked } = question;
  const { grace } = policy.spec.health.noData;
  if (blindMs(question) < grace) return null;
  const reading = looked.readings.find((candidate) => isBlind(candidate, policy));
  const which = reading === undefined ? '' : ` (${reading.gate}: ${reading.text})`;
  const because = `no usable evidence for ${formatDuration(blindMs(question))}, allowed ${formatDuration(grace)}${which}`;
  return hold('T15', 'no_data', because, 'no_data', false);
}

function byLongBlindness(question: Question): Move | null {
  const { heldBy, sticky, stage } = question.rollout.state;
  const { thenAfter, thenAction } = question.policy.spec.health.noData;
  if (heldBy !== 'no_data' || sticky || blindMs(question) < thenAfter) return null;
  const because = `still no usable evidence after ${formatDuration(blindMs(question))}, allowed ${formatDuration(thenAfter)}`;
  if (thenAction === 'kill') return { action: 'kill', transition: 'T16k', cause: 'no_data', because };
  if (thenAction === 'stay' || stage === 0) return null;
  const kept = { by: 'no_data', sticky: true } as const;
  return { action: 'step_back', transition: 'T16', cause: 'no_data', because, hold: kept };
}

function byHoldGate(question: Question): Move | null {
  if (!mayHold(question)) return null;
  const breached = question.looked.readings.filter((reading) => !isHealth(reading) && reading.verdict === 'hold');
  if (isRunning(question)) {
    const reading = breached.find(({ action }) => action === 'step_back') ?? breached[0];
    return reading === undefined ? null : byBreach(reading, 'T13');
  }
  const lasting = breached.find(({ sticky }) => sticky);
  return lasting === undefined ? null : hold('T14', causeOf(lasting), lasting.text, 'gate', true);
}

function byBreach(reading: Reading, row: string): Move {
  const cause = causeOf(reading);
  if (reading.action !== 'step_back') return hold(row, cause, reading.text, 'gate', reading.sticky);
  const kept = { by: 'gate', sticky: true } as const;
  return { action: 'step_back', transition: 'T17', cause, because: reading.text, hold: kept };
}

/** At its end everything must be true at once; until then what is not true yet is waited for. */
function byPreflight(question: Question): Move | null {
  const { rollout, plan, look, justStarted } = question;
  if (rollout.state.phase !== 'preflight') return null;
  const late = tooLong(question);
  if (late !== null) return hold('T6', 'deadline:maxDuration', late, 'preflight', true);
  // After a downtime of ours beacons have been missing, which is no fault of theirs.
  const isEarly = rollout.progress.dwellMs < plan.spec.preflight.duration || look === 'quick' || justStarted === true;
  const failed = preflightMisses(question);
  const [first] = failed;
  if (isEarly || first === undefined) return null;
  const because = `the preflight of ${formatDuration(plan.spec.preflight.duration)} failed: ${failed.map(({ text }) => text).join('; ')}`;
  return hold('T6', `preflight:${first.name}`, because, 'preflight', true);
}

function tooLong({ rollout, plan, now }: Question): string | null {
  const { maxDuration } = plan.spec.limits;
  const runs = now.wall - (rollout.startedAt ?? now.wall);
  if (maxDuration === null || runs < maxDuration) return null;
  return `the rollout runs for ${formatDuration(runs)}, allowed ${formatDuration(maxDuration)}`;
}

function byDeadline(question: Question): Move | null {
  if (!mayHold(question)) return null;
  const { rollout } = question;
  const stage = stageOf(question);
  if (stage?.maxDwell != null && rollout.progress.dwellMs >= stage.maxDwell) {
    const because = `stage ${stage.name} took ${formatDuration(rollout.progress.dwellMs)}, allowed ${formatDuration(stage.maxDwell)}`;
    return hold('T19', 'deadline:maxDwell', because, 'deadline', true);
  }
  const late = tooLong(question);
  return late === null ? null : hold('T19', 'deadline:maxDuration', late, 'deadline', true);
}

/** A proof that does not come: ask a person, hold, or step back, as the gate says. `advance` is in `unproven`. */
function byInconclusive(question: Question): Move | null {
  const { rollout, policy, looked, now } = question;
  if (rollout.state.phase !== 'ramping') return null;
  for (const reading of looked.readings) {
    const rule = gateOf(policy, reading)?.inconclusive ?? null;
    if (reading.verdict !== 'inconclusive' || rule === null || rule.action === 'advance') continue;
    if (unprovenMs(rollout, now) < rule.after) continue;
    const because = `${reading.gate} is inconclusive for ${formatDuration(unprovenMs(rollout, now))}, allowed ${formatDuration(rule.after)}: ${reading.text}`;
    if (rule.action === 'ask') return hold('T18', causeOf(reading), because, 'deadline', true);
    return { ...byBreach({ ...reading, action: rule.action }, 'T18'), because };
  }
  return null;
}

function byExpiry({ rollout, plan }: Question): Move | null {
  const { expireAfter, onExpire } = plan.spec.onHold;
  const { phase, sticky } = rollout.state;
  if (phase !== 'held' || !sticky || onExpire === 'stay') return null;
  const heldMs = rollout.progress.phaseMs ?? 0;
  if (expireAfter === null || heldMs < expireAfter) return null;
  const because = `nobody resumed it for ${formatDuration(heldMs)}, allowed ${formatDuration(expireAfter)}`;
  return { action: 'step_back', transition: 'T25', cause: 'plan:onHold', because };
}

/** Looks more often and does not ramp. A quick look, which does not read every gate, leaves the watch as it is. */
function byWatch(question: Question): Move | null {
  const { looked, rollout, look } = question;
  if (!isRunning(question) && !(rollout.state.phase === 'completed' && rollout.state.sentinel)) return null;
  const reading = looked.readings.find(({ verdict }) => verdict === 'watch');
  if (reading !== undefined) return { ...stay(reading.text), action: 'watch', cause: causeOf(reading) };
  return look === 'quick' && rollout.state.watch ? { ...stay('watched since an earlier look'), action: 'watch' } : null;
}

function byWaits(_question: Question, waits: readonly Wait[]): Move | null {
  return waits.length === 0 ? null : stay(`waiting for ${waits.map(({ text }) => text).join('; ')}`);
}

/** The one step up that each phase has, once nothing is waited for. */
function up(question: Question): Move | null {
  const { rollout, plan, looked } = question;
  const { phase, stage, sentinel, resumeTo } = rollout.state;
  const passes = `${looked.readings.filter(({ verdict }) => verdict === 'pass').length} of ${looked.readings.length} gates pass`;
  switch (phase) {
    case 'pending_approval':
      return {
        action: 'stay',
        transition: 'T2',
        cause: 'plan:start',
        because: 'the plan asks nobody to approve its start',
      };
    case 'scheduled':
      return plan.spec.preflight.mode === 'skip'
        ? raise('ramp', 'T4', 'plan:start', `starts at ${stageText(question, 0)}`)
        : raise('stay', 'T4', 'plan:start', 'checks its telemetry first: nobody is exposed yet');
    case 'preflight':
      return raise(
        'ramp',
        'T5',
        'timer:preflight',
        `the preflight of ${formatDuration(plan.spec.preflight.duration)} passed: starts at ${stageText(question, 0)}`,
      );
    case 'ramping':
      return raise(
        'ramp',
        'T7',
        'timer:bake',
        `${stageText(question, stage)} is baked and ${passes}: next is ${stageText(question, stage + 1)}`,
      );
    case 'soaking':
      return raise('complete', 'T30', 'timer:soak', `${stageText(question, stage)} is soaked and ${passes}`);
    case 'held':
      return raise(
        'stay',
        'T23',
        'timer:clear',
        `evidence is clear again: back to ${resumeTo ?? 'ramping'} at ${stageText(question, stage)}`,
      );
    case 'completed':
      return sentinel
        ? raise('complete', 'T30e', 'timer:sentinel', `watched ${plan.metadata.flag} long enough after completion`)
        : null;
    default:
      return null;
  }
}

function raise(action: 'ramp' | 'complete' | 'stay', transition: string, cause: string, because: string): Move {
  return { action, transition, cause, because };
}

function stageText({ plan }: Question, index: number): string {
  const stage = plan.spec.stages[index];
  return stage === undefined ? 'the end' : `${stage.name} (${stage.exposure} %)`;
}
