import type { Reading, Verdict } from '../../src/domain/decision.ts';
import { newRollout } from '../../src/domain/initial.ts';
import type { Looked } from '../../src/domain/looked.ts';
import type { Now } from '../../src/domain/now.ts';
import { type AuthoredPlan, parsePlan, type RolloutPlan } from '../../src/domain/plan.ts';
import { type AuthoredPolicy, type GatePolicy, parsePolicy } from '../../src/domain/policy.ts';
import type { Progress, Rollout, RolloutState } from '../../src/domain/rollout.ts';
import type { World } from '../../src/domain/world.ts';

export const minute = 60_000;
export const hour = 60 * minute;
/** Monday 2026-11-02 10:00 UTC. */
export const monday = 1_793_613_600_000;

/** `after` ms past Monday morning, in one boot of one process. */
export function at(after = 0, boot = 'b1'): Now {
  return { wall: monday + after, mono: 1_000_000 + after, boot };
}

/** Four stages, 1, 5, 25 and 100 %, an hour of bake each; name what the test is about. */
export function aPlan(spec: Partial<AuthoredPlan['spec']> = {}): RolloutPlan {
  const parsed = parsePlan({
    apiVersion: 'tidegate.dev/v1',
    kind: 'RolloutPlan',
    metadata: { name: 'checkout-v2', flag: 'checkout-v2', owner: 'team-checkout' },
    spec: {
      policy: 'web@1',
      stages: [
        { name: 'canary', exposure: 1, bake: '1h' },
        { name: 'early', exposure: 5, bake: '1h' },
        { name: 'quarter', exposure: 25, bake: '1h' },
        { name: 'full', exposure: 100 },
      ],
      ...spec,
    },
  });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.value;
}

type AuthoredGates = AuthoredPolicy['spec']['gates'];
const test = { type: 'relative', margin: '10%' } as const;

/** A kill gate, a hold gate that clears after two windows and a sticky hold gate; name what the test is about. */
export function aPolicy(spec: Partial<AuthoredPolicy['spec']> = {}): GatePolicy {
  const gates: AuthoredGates = [
    {
      name: 'errors-kill',
      signal: 'js_error_rate',
      tier: 'kill',
      owner: 'sre',
      runbook: 'https://run.example/e',
      tests: [test],
    },
    {
      name: 'errors-hold',
      signal: 'js_error_rate',
      tier: 'hold',
      owner: 'sre',
      clear: { consecutive: 2 },
      tests: [test],
    },
    { name: 'lcp-sticky', signal: 'lcp_p75', tier: 'hold', owner: 'sre', sticky: true, tests: [test] },
  ];
  const parsed = parsePolicy({
    apiVersion: 'tidegate.dev/v1',
    kind: 'GatePolicy',
    metadata: { name: 'web', version: 1, owner: 'sre' },
    spec: { gates, ...spec },
  });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.value;
}

/** A rollout of `aPlan()`; `state` and `progress` name what the test is about. Ramping at 1 % unless told otherwise. */
export function aRollout(
  about: Partial<Omit<Rollout, 'state' | 'progress'>> & {
    readonly state?: Partial<RolloutState>;
    readonly progress?: Partial<Progress>;
    readonly of?: RolloutPlan;
  } = {},
): Rollout {
  const { state, progress, of = aPlan(), ...rest } = about;
  const draft = newRollout({
    id: 'r_0123456789',
    shortId: 1,
    plan: of,
    revision: 1,
    policy: 'web@1',
    environment: 'production',
    wave: null,
    author: 'mkaya',
    now: at(),
  });
  return {
    ...draft,
    startedAt: at().wall,
    ...rest,
    state: { ...draft.state, phase: 'ramping', stage: 0, epoch: 1, version: 5, ...state },
    progress: { ...draft.progress, lastTick: at(), ...progress },
  };
}

export function aReading(about: Partial<Reading> = {}): Reading {
  return {
    gate: 'errors-hold',
    tier: 'hold',
    signal: 'js_error_rate',
    state: 'ok',
    treatment: { n: 4000, value: 0.011 },
    control: { n: 16_000, value: 0.011 },
    estimate: 0,
    low: -0.2,
    high: 0.2,
    scale: 'relative',
    margin: 0.1,
    logE: 0,
    needed: 4.6,
    reliability: 0.97,
    limiting: 'coverage',
    streak: 0,
    consecutive: 1,
    since: null,
    verdict: 'pass',
    action: 'hold',
    sticky: false,
    runbook: null,
    where: [],
    text: 'js errors 1.1 % with the flag, 1.1 % without',
    ...about,
  };
}

/** A full look at healthy evidence; readings given here take the place of the passing ones of their gates. */
export function aLook(...readings: readonly Reading[]): Looked {
  const passing = [aReading({ gate: 'errors-kill', tier: 'kill' }), aReading()];
  const others = passing.filter((pass) => readings.every((reading) => reading.gate !== pass.gate));
  return { readings: [...readings, ...others], streaks: {}, references: {}, coreOk: true, rampWaits: [] };
}

/** A look that finds no evidence at all. */
export function aBlindLook(): Looked {
  return { ...aLook(aReading({ verdict: 'no_data', state: 'no_data', text: 'no beacons' })), coreOk: false };
}

export function aVerdict(verdict: Verdict, about: Partial<Reading> = {}): Reading {
  const gate = verdict === 'kill' ? 'errors-kill' : 'errors-hold';
  const tier = verdict === 'kill' ? 'kill' : 'hold';
  return aReading({ gate, tier, verdict, text: `js errors read ${verdict}`, ...about });
}

/** No freeze, no latch, dependencies met. */
export function aWorld(about: Partial<World> = {}): World {
  return { freezes: [], latches: [], dependencies: 'met', otherLive: false, ...about };
}

export const aFreeze = { environment: null, reason: 'peak season', by: 'ops', from: 0, until: null };
