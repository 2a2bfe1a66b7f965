import { approvalFor, isApproved } from './approval.ts';
import type { Wait } from './decision.ts';
import { formatDuration } from './duration.ts';
import { watchedAfter } from './effects.ts';
import { exposureOf } from './exposure.ts';
import { risesOfDay } from './progress.ts';
import { isWorseThanPass, preflightMisses, type Question, stageOf, unproven } from './question.ts';
import type { Phase } from './rollout.ts';
import { open, opensNext } from './windows.ts';
import { freezeOn } from './world.ts';

/** Something that must hold before a rollout in one of these phases takes its next step up. */
export interface Condition {
  readonly name: string;
  readonly phases: readonly Phase[];
  readonly unmet: (question: Question) => readonly Wait[];
}

const dayMs = 86_400_000;
const none: readonly Wait[] = [];

/** Lines 7 to 9 of the precedence, and their like for the other phases. The order is the one people read. */
export const conditions: readonly Condition[] = [
  {
    name: 'look',
    phases: ['pending_approval', 'scheduled', 'preflight', 'ramping', 'soaking', 'held', 'completed'],
    unmet: look,
  },
  { name: 'person', phases: ['held'], unmet: person },
  { name: 'trigger', phases: ['scheduled'], unmet: trigger },
  { name: 'preflight', phases: ['preflight'], unmet: preflight },
  { name: 'bake', phases: ['ramping', 'soaking', 'completed'], unmet: bake },
  { name: 'evidence', phases: ['ramping', 'soaking', 'held', 'completed'], unmet: evidence },
  { name: 'samples', phases: ['ramping', 'soaking'], unmet: samples },
  { name: 'gates', phases: ['ramping', 'soaking', 'held', 'completed'], unmet: gates },
  { name: 'proof', phases: ['ramping'], unmet: proof },
  { name: 'clear', phases: ['held'], unmet: clear },
  { name: 'approval', phases: ['pending_approval', 'ramping'], unmet: approval },
  { name: 'window', phases: ['scheduled', 'preflight', 'ramping'], unmet: window },
  { name: 'freeze', phases: ['scheduled', 'preflight', 'ramping', 'held', 'completed'], unmet: freeze },
  { name: 'dependency', phases: ['scheduled', 'preflight', 'ramping'], unmet: dependency },
  { name: 'alone', phases: ['scheduled', 'preflight'], unmet: alone },
  { name: 'pace', phases: ['scheduled', 'preflight', 'ramping'], unmet: pace },
];

/** Every condition that is unmet, whether or not another one decides. */
export function unmet(question: Question, list: readonly Condition[] = conditions): readonly Wait[] {
  const { phase } = question.rollout.state;
  return list.filter((condition) => condition.phases.includes(phase)).flatMap((condition) => condition.unmet(question));
}

function wait(what: Wait['for'], text: string, etaMs: number | null = null): readonly Wait[] {
  return [{ for: what, text, etaMs }];
}

function look({ look, justStarted, rollout }: Question): readonly Wait[] {
  if (justStarted && rollout.state.phase !== 'pending_approval') return wait('tick', 'the look after the first one');
  return look === 'quick' ? wait('tick', 'a full look at all gates') : none;
}

function person({ rollout }: Question): readonly Wait[] {
  return rollout.state.sticky ? wait('clear', 'a person resumes it: this hold is sticky') : none;
}

/**
 * A kill clears pending starts: after it, somebody starts by hand, whatever the trigger says. What a person resumed at
 * zero exposure was started before, and goes on.
 */
function trigger({ plan, rollout, now }: Question): readonly Wait[] {
  const { trigger, at } = plan.spec.start;
  if (rollout.startedAt !== null) return none;
  if (trigger === 'manual') return wait('start', 'somebody starts it');
  if (rollout.state.epoch > 0) return wait('start', 'somebody starts it again after the kill');
  if (at !== null && now.wall < at) return wait('start', 'its starting time', at - now.wall);
  return none;
}

function preflight(question: Question): readonly Wait[] {
  const { duration } = question.plan.spec.preflight;
  const left = duration - question.rollout.progress.dwellMs;
  const time =
    left > 0 ? wait('bake', `${formatDuration(left)} more of ${formatDuration(duration)} preflight`, left) : none;
  return [...time, ...preflightMisses(question).flatMap(({ text }) => wait('evidence', text))];
}

function bake(question: Question): readonly Wait[] {
  const { rollout, plan } = question;
  const { bakedMs, phaseMs } = rollout.progress;
  if (rollout.state.phase === 'completed') {
    const left = watchedAfter(plan) - (phaseMs ?? 0);
    return left > 0 ? wait('bake', `${formatDuration(left)} more of comparison with the holdback`, left) : none;
  }
  const needed = (stageOf(question)?.bake ?? 0) + (rollout.state.phase === 'soaking' ? plan.spec.soak.bake : 0);
  const left = needed - bakedMs;
  if (left <= 0) return none;
  return wait('bake', `${formatDuration(left)} more of ${formatDuration(needed)} bake with usable evidence`, left);
}

function evidence({ looked }: Question): readonly Wait[] {
  return looked.coreOk ? none : wait('evidence', 'fresh core evidence of this stage from both arms');
}

/** `gate` waits come from `gates` and `proof`, which know what the policy says about them. */
function samples({ looked }: Question): readonly Wait[] {
  return looked.rampWaits.filter((rampWait) => rampWait.for !== 'gate');
}

function gates({ looked, policy }: Question): readonly Wait[] {
  return looked.readings
    .filter((reading) => isWorseThanPass(reading, policy))
    .flatMap((reading) => wait('gate', `${reading.gate} reads ${reading.verdict}: ${reading.text}`));
}

function proof(question: Question): readonly Wait[] {
  return unproven(question).flatMap((reading) =>
    wait('gate', `${reading.gate} has not proven it yet: ${reading.text}`),
  );
}

/** Clear windows in a row of every gate whose hold ends by itself; one that is short of samples has nothing to clear. */
function clear({ looked, policy, rollout }: Question): readonly Wait[] {
  return looked.readings.flatMap((reading) => {
    const needed = policy.spec.gates.find((gate) => gate.name === reading.gate)?.clear?.consecutive ?? 0;
    const reached = rollout.progress.streaks[reading.gate]?.clear ?? 0;
    if (reading.verdict === 'inconclusive' || reached >= needed) return none;
    return wait('clear', `${reading.gate} clear for ${reached} of ${needed} windows`);
  });
}

function approval({ plan, rollout, now }: Question): readonly Wait[] {
  const next = rollout.state.phase === 'ramping' ? rollout.state.stage + 1 : 0;
  const asked = approvalFor(plan, next);
  if (asked === null || isApproved(rollout, plan, next, now.wall)) return none;
  const name = plan.spec.stages[next]?.name ?? 'the start';
  return wait(
    'approval',
    `${asked.count === 1 ? 'an approval' : `${asked.count} approvals`} for ${name} (${asked.roles.join(' or ')})`,
  );
}

function window({ plan, now }: Question): readonly Wait[] {
  const { windows } = plan.spec;
  if (open(windows, now.wall)) return none;
  const next = opensNext(windows, now.wall);
  return wait('window', `its window (${windows.timezone}) to open`, next === null ? null : next - now.wall);
}

function freeze({ rollout, world, now }: Question): readonly Wait[] {
  const on = freezeOn(rollout, world, now.wall);
  if (on === null) return none;
  return wait('freeze', `the freeze by ${on.by} to end: ${on.reason}`, on.until === null ? null : on.until - now.wall);
}

function dependency({ world }: Question): readonly Wait[] {
  if (world.dependencies === 'met') return none;
  return wait('dependency', world.dependencies === 'killed' ? 'an upstream wave that was killed' : 'an upstream wave');
}

function alone({ world }: Question): readonly Wait[] {
  return world.otherLive ? wait('dependency', 'another plan to stop serving this flag') : none;
}

/** Percentage points in any 24 h; the wait ends when enough of the older rises are a day old. */
function pace({ plan, rollout, now }: Question): readonly Wait[] {
  const cap = plan.spec.pace.maxIncreasePerDay;
  const next = plan.spec.stages[rollout.state.stage + 1];
  if (cap === null || next === undefined) return none;
  const step = next.exposure - exposureOf(rollout.state, plan);
  const rises = risesOfDay(rollout.progress, now.wall);
  const over = rises.reduce((sum, [, points]) => sum + points, step) - cap;
  if (over <= tolerance) return none;
  const freed = freedAt(rises, over);
  const text = `room in ${cap} points a day: the next step takes ${step}`;
  return wait('pace', text, freed === null ? null : freed - now.wall);
}

/** Sums of exposures with 3 decimals are off by less than this. */
const tolerance = 1e-6;

function freedAt(rises: readonly (readonly [at: number, points: number])[], over: number): number | null {
  let left = over;
  for (const [at, points] of rises) {
    left -= points;
    if (left <= tolerance) return at + dayMs;
  }
  return null;
}
