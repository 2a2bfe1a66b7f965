import type { Reading } from './decision.ts';
import type { Looked } from './looked.ts';
import type { Now } from './now.ts';
import type { RolloutPlan, Stage } from './plan.ts';
import type { Gate, GatePolicy } from './policy.ts';
import type { Rollout } from './rollout.ts';
import type { World } from './world.ts';

/** Everything a decision depends on. The rollout's progress includes the present look. */
export interface Question {
  readonly rollout: Rollout;
  readonly plan: RolloutPlan;
  readonly policy: GatePolicy;
  readonly looked: Looked;
  readonly world: World;
  readonly now: Now;
  /** A quick look may only lower; a full one may raise. */
  readonly look: 'full' | 'quick';
  /** First look of this process: what it knows may be older than it seems, so it never raises. */
  readonly justStarted?: boolean;
}

/** The stage that the rollout is in, or the first one. */
export function stageOf({ plan, rollout }: Pick<Question, 'plan' | 'rollout'>): Stage | null {
  return plan.spec.stages[Math.max(0, rollout.state.stage)] ?? null;
}

export function gateOf(policy: GatePolicy, reading: Reading): Gate | null {
  return policy.spec.gates.find((gate) => gate.name === reading.gate) ?? null;
}

export function isHealth(reading: Reading): boolean {
  return reading.gate.startsWith('health.');
}

export function isPreflight(reading: Reading): boolean {
  return reading.gate.startsWith('preflight.');
}

/** `gate:errors-kill`, `health:sampleRatio`, `preflight:beacons_joined`. */
export function causeOf(reading: Reading): string {
  return isHealth(reading) || isPreflight(reading) ? reading.gate.replace('.', ':') : `gate:${reading.gate}`;
}

/**
 * What a preflight still lacks: each of its checks must have been read, and read `pass`. That one was not read is no
 * better than that it failed.
 */
export function preflightMisses({
  plan,
  looked,
}: Pick<Question, 'plan' | 'looked'>): readonly { name: string; text: string }[] {
  const { mode, checks } = plan.spec.preflight;
  const asked = [...checks, 'reliability', ...(mode === 'aa' ? ['arms_alike'] : [])];
  return asked.flatMap((name) => {
    const reading = looked.readings.find(({ gate }) => gate === `preflight.${name}`);
    if (reading?.verdict === 'pass') return [];
    return [{ name, text: `${name}: ${reading?.text ?? 'nobody could look'}` }];
  });
}

/** Evidence that is missing or cannot be trusted, in a gate that minds. */
export function isBlind(reading: Reading, policy: GatePolicy): boolean {
  if (reading.verdict !== 'unreliable' && reading.verdict !== 'no_data') return false;
  return policy.spec.reliability.whenUnreliable[reading.tier] !== 'ignore';
}

/**
 * Worse than pass. A gate that is merely short of samples is left out (the stage's `minSamples` block instead), and so
 * is an unreliable one whose tier the policy ignores then.
 */
export function isWorseThanPass(reading: Reading, policy: GatePolicy): boolean {
  switch (reading.verdict) {
    case 'pass':
    case 'inconclusive':
      return false;
    case 'no_data':
    case 'unreliable':
      return isBlind(reading, policy);
    case 'watch':
    case 'hold':
    case 'kill':
    case 'error':
      return true;
  }
}

/** Gates that must prove something before the rollout advances and have not; not those that stopped waiting. */
export function unproven({ looked, policy, rollout, now }: Question): readonly Reading[] {
  return looked.readings.filter((reading) => {
    const gate = gateOf(policy, reading);
    if (reading.verdict !== 'inconclusive' || !gate?.tests.some((test) => test.type === 'non_inferior')) return false;
    return gate.inconclusive?.action !== 'advance' || unprovenMs(rollout, now) < gate.inconclusive.after;
  });
}

/** How long the proof has been open, by the slower of the wall clock and the time in the stage. */
export function unprovenMs({ progress }: Rollout, now: Now): number {
  if (progress.inconclusiveSince === null) return 0;
  return Math.min(now.wall - progress.inconclusiveSince, progress.dwellMs);
}
