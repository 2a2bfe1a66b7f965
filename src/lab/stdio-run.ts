import type { Outcome } from '../domain/decision.ts';
import { newRollout } from '../domain/initial.ts';
import { judge } from '../domain/judge.ts';
import type { Now } from '../domain/now.ts';
import type { RolloutPlan } from '../domain/plan.ts';
import { newEpoch } from '../domain/progress.ts';
import type { Rollout, RolloutState } from '../domain/rollout.ts';
import type { World } from '../domain/world.ts';
import { readPageViews } from './stdio-columns.ts';
import { createEvidence } from './stdio-evidence.ts';
import { documentsOf } from './stdio-policy.ts';
import { type Answer, Malformed, type Minute, type Start } from './stdio-protocol.ts';

export interface Run {
  /** One look. Throws `Malformed` and changes nothing when the message cannot be used. */
  minute(message: Minute): Answer;
}

/** Nobody freezes, kills or depends on anything in a driver's world. */
const world: World = { freezes: [], latches: [], dependencies: 'met', otherLive: false };

const minuteMs = 60_000;
/** Minute 0 of every run is a full hour like any other, epoch ms: 2025-01-01. */
const zero = 1_735_689_600_000;

/** Wall ms of a minute of the driver; a look is at its end, when all of its page views are in. */
const wallOf = (t: number): number => zero + t * minuteMs;

function nowAt(t: number): Now {
  const wall = wallOf(t + 1);
  return { wall, mono: wall, boot: 'stdio' };
}

/** One rollout in the driver's world. The driver owns stage and exposure, the judge its opinion. */
export function createRun({ plan: given, history }: Start): Run {
  const { policy, signals, ...documents } = documentsOf(given);
  const evidence = createEvidence(signals, history);
  const metrics = given.metrics.map(({ name }) => name);
  let { plan } = documents;
  let rollout: Rollout | null = null;
  let newest = Number.NEGATIVE_INFINITY;
  let heldFor = '';
  let killed: Answer | null = null;

  /** The rollout where the driver has it: another stage, or another exposure of the same one, opens a stage epoch. */
  const follow = ({ stage, exposure }: Minute, now: Now): Rollout => {
    const moved = withExposure(plan, stage, exposure, given.stages.factor);
    if (rollout !== null && rollout.state.stage === stage && moved === plan) return rollout;
    plan = moved;
    const before = rollout ?? { ...unexposed(plan, now), references: evidence.references };
    const after = entered(before, plan, stage, now);
    evidence.enter(after.state);
    return after;
  };

  const look = (present: Rollout, now: Now): Outcome => {
    const {
      outcome,
      looked,
      rollout: after,
    } = judge({
      evidence: evidence.read(present, now.wall),
      signals: signals.map(({ signal }) => signal),
      plan,
      policy,
      rollout: present,
      world,
      look: 'full',
      now,
    });
    // Going up is for the driver to do: until it does, such a look leaves nothing behind but references.
    const goesUp = outcome.action === 'ramp' || outcome.action === 'complete';
    rollout = goesUp ? { ...present, references: { ...present.references, ...looked.references } } : after;
    return outcome;
  };

  return {
    minute(message) {
      const { t, stage, dwell, samples } = message;
      if (t <= newest) throw new Malformed(`t: ${t} is not after ${newest}; minutes go forward`);
      if (plan.spec.stages[stage] === undefined)
        throw new Malformed(`stage: ${stage} is not in the plan; its last one is ${plan.spec.stages.length - 1}`);
      const views = readPageViews(samples, metrics, { t, stage });
      newest = t;
      if (killed !== null) return killed;
      const now = nowAt(t);
      const present = follow(message, now);
      evidence.take(views, wallOf, now.wall);
      const outcome = look(present, now);
      if (outcome.action === 'hold') heldFor = reasonOf(outcome);
      const answer = answerOf(outcome, rollout?.state.phase === 'held' ? heldFor : null);
      if (answer.action === 'kill') killed = answer;
      if (answer.action === 'ramp' && dwell !== null && dwell < given.minDwellMinutes)
        return { action: 'hold', reason: `waiting for minute ${given.minDwellMinutes} of the stage; this is ${dwell}` };
      return answer;
    },
  };
}

function unexposed(plan: RolloutPlan, now: Now): Rollout {
  const made = { id: 'r_stdio', shortId: 1, revision: 1, environment: 'stdio', wave: null, author: 'driver' };
  return newRollout({ ...made, plan, policy: plan.spec.policy, now });
}

/** The plan with the driver's exposure of a stage, when it is another; itself otherwise, also while nobody is exposed. */
function withExposure(plan: RolloutPlan, stage: number, exposure: number | null, factor: number): RolloutPlan {
  const planned = plan.spec.stages[stage]?.exposure ?? 0;
  if (exposure === null) return plan;
  const same = [exposure, 100 * exposure].some((percent) => Math.abs(percent - planned) < 0.001);
  const percent = Number((exposure * factor).toFixed(3));
  if (same || percent <= 0 || percent > 100) return plan;
  const stages = plan.spec.stages.map((each, i) => (i === stage ? { ...each, exposure: percent } : each));
  return { ...plan, spec: { ...plan.spec, stages } };
}

/** A new stage epoch. A hold that waits for a person is not ended by a driver that goes on. */
function entered(rollout: Rollout, plan: RolloutPlan, stage: number, now: Now): Rollout {
  const { state, progress } = rollout;
  const running = stage === plan.spec.stages.length - 1 ? 'soaking' : 'ramping';
  const moved: RolloutState = state.sticky
    ? { ...state, resumeTo: running }
    : { ...state, phase: running, heldBy: null, resumeTo: null };
  return {
    ...rollout,
    startedAt: rollout.startedAt ?? now.wall,
    state: { ...moved, stage, watch: false, epoch: state.epoch + 1, version: state.version + 1 },
    // The first look of a stage has seen nothing of it yet: dwell counts from here.
    progress: { ...newEpoch(progress, now, 0), lastTick: now },
  };
}

function reasonOf({ cause, because }: Outcome): string {
  return cause === 'tick' ? because : `${cause}: ${because}`;
}

/** `heldFor`: why the rollout is held, null when it is not. */
function answerOf(outcome: Outcome, heldFor: string | null): Answer {
  const reason = reasonOf(outcome);
  switch (outcome.action) {
    case 'kill':
    case 'watch':
    case 'ramp':
      return { action: outcome.action, reason };
    case 'complete':
      return { action: 'hold', reason: 'the last stage has proven itself; there is none to ramp to' };
    default:
      return { action: 'hold', reason: heldFor === null || heldFor === reason ? reason : `${heldFor}; ${reason}` };
  }
}
