import { applyOutcome } from './apply.ts';
import { unmet } from './conditions.ts';
import { decide, type Judgement } from './decide.ts';
import type { Outcome, Reading } from './decision.ts';
import type { Looked } from './looked.ts';
import type { Now } from './now.ts';
import type { RolloutPlan } from './plan.ts';
import type { GatePolicy } from './policy.ts';
import { advance } from './progress.ts';
import { gateOf, isBlind, type Question } from './question.ts';
import type { Progress, Rollout } from './rollout.ts';
import type { World } from './world.ts';

export interface Settle {
  readonly rollout: Rollout;
  readonly plan: RolloutPlan;
  readonly policy: GatePolicy;
  readonly world: World;
  readonly look: 'full' | 'quick';
  readonly now: Now;
}

export interface Judged {
  readonly readings: readonly Reading[];
  readonly outcome: Outcome;
  /** The rollout after the look: what it counted, and what was decided. */
  readonly rollout: Rollout;
  readonly looked: Looked;
}

/** What a look comes to: counts it, decides, applies the decision. The judge without the statistics. */
export function settle({ rollout, plan, policy, world, look, now }: Settle, looked: Looked, parts?: Judgement): Judged {
  const { lastTick } = rollout.progress;
  const justStarted = lastTick !== null && lastTick.boot !== now.boot;
  const before: Question = { rollout, plan, policy, looked, world, look: 'full', now };
  const references = { ...rollout.references, ...looked.references };
  const counted: Rollout = { ...rollout, references, progress: count({ ...before, look }, isPaused(before)) };
  const outcome = decide({ ...before, rollout: counted, look, justStarted }, parts);
  return { readings: looked.readings, outcome, rollout: applyOutcome(counted, plan, outcome, now), looked };
}

/** A quick look does not read every gate: it may find something missing or failing, but not that it is back. */
function count({ rollout, policy, looked, now, look }: Question, paused: boolean): Progress {
  const { progress } = rollout;
  const advanced = advance(progress, now, looked.coreOk, paused);
  const blind = !looked.coreOk || looked.readings.some((reading) => isBlind(reading, policy));
  const failed = looked.readings.some(({ verdict }) => verdict === 'error');
  const unproven = looked.readings.some(
    (reading) => reading.verdict === 'inconclusive' && gateOf(policy, reading)?.inconclusive != null,
  );
  const quick = look === 'quick';
  return {
    ...advanced,
    streaks: { ...progress.streaks, ...looked.streaks },
    blindSince: blind || quick ? (progress.blindSince ?? (blind ? now.wall : null)) : null,
    inconclusiveSince: unproven || quick ? (progress.inconclusiveSince ?? (unproven ? now.wall : null)) : null,
    errors: failed ? progress.errors + 1 : quick ? progress.errors : 0,
  };
}

/** A window or a freeze is the only thing that is missing: such time does not count towards a stage's `maxDwell`. */
function isPaused(question: Question): boolean {
  if (question.rollout.state.phase !== 'ramping') return false;
  const waits = unmet(question);
  return waits.length > 0 && waits.every((wait) => wait.for === 'window' || wait.for === 'freeze');
}
