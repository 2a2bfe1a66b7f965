import { applyOutcome, applyVerb, isRefused, type Mechanics } from '../../../src/domain/apply.ts';
import { conditions } from '../../../src/domain/conditions.ts';
import { decide, type Judgement, precedence } from '../../../src/domain/decide.ts';
import { effects } from '../../../src/domain/effects.ts';
import { exposureOf } from '../../../src/domain/exposure.ts';
import { guards } from '../../../src/domain/guards.ts';
import type { Looked } from '../../../src/domain/looked.ts';
import { transitions, type Verb, verbs } from '../../../src/domain/machine.ts';
import type { RolloutPlan } from '../../../src/domain/plan.ts';
import type { Phase, Progress, Rollout } from '../../../src/domain/rollout.ts';
import {
  aBlindLook,
  aFreeze,
  aLook,
  aPlan,
  aPolicy,
  aReading,
  aRollout,
  at,
  aVerdict,
  aWorld,
  hour,
} from '../../support/a-rollout.ts';

export type Machine = Judgement & Mechanics;
export const machine: Machine = { precedence, conditions, table: transitions, effects, guards };

/** Four stages; the third asks for an approval, and everything that can end a hold or a stage is set. */
export const checked = aPlan({
  preflight: { mode: 'checks', duration: '1h' },
  stages: [
    { name: 'canary', exposure: 1, bake: '1h', maxDwell: '6h' },
    { name: 'early', exposure: 5, bake: '1h', maxDwell: '6h' },
    { name: 'quarter', exposure: 25, bake: '1h', maxDwell: '6h', approval: { roles: ['release-manager'] } },
    { name: 'full', exposure: 100 },
  ],
  start: { trigger: 'at', approval: { roles: ['release-manager'] } },
  comparison: { holdback: { percent: 1, for: '1h' } },
  soak: { bake: '1h' },
  onHold: { expireAfter: '7d' },
  limits: { maxDuration: '30d' },
});
/** The same without a preflight. */
export const unchecked: RolloutPlan = {
  ...checked,
  spec: { ...checked.spec, preflight: { ...checked.spec.preflight, mode: 'skip' } },
};

const proof = {
  name: 'conversion',
  signal: 'checkout_conversion',
  tier: 'hold' as const,
  owner: 'shop',
  clear: { consecutive: 2 },
  tests: [{ type: 'non_inferior' as const, margin: '10%' }],
  inconclusive: { after: '2h', action: 'ask' as const },
};
const gates = ['errors-kill', 'errors-hold', 'lcp-sticky'].map((name) => ({
  name,
  signal: 'js_error_rate',
  tier: name === 'errors-kill' ? ('kill' as const) : ('hold' as const),
  owner: 'sre',
  ...(name === 'errors-hold' ? { clear: { consecutive: 2 } } : {}),
  tests: ['<=+10%'],
}));
const policy = aPolicy({ gates: [...gates, proof] });

const proven = aReading({ gate: 'conversion' });

/** What one look may say. */
const looks: { readonly [name: string]: Looked } = {
  pass: aLook(proven),
  watch: aLook(aVerdict('watch'), proven),
  hold: aLook(aVerdict('hold'), proven),
  hold_sticky: aLook(aVerdict('hold', { gate: 'lcp-sticky', sticky: true }), proven),
  step_back: aLook(aVerdict('hold', { action: 'step_back' }), proven),
  kill: aLook(aVerdict('kill'), proven),
  kill_and_blind: { ...aLook(aVerdict('kill'), aVerdict('no_data'), proven), coreOk: false },
  kill_and_hold: aLook(aVerdict('kill'), aVerdict('hold'), proven),
  inconclusive: aLook(aReading({ gate: 'conversion', verdict: 'inconclusive' })),
  no_data: aBlindLook(),
  unreliable: aLook(aVerdict('unreliable'), proven),
  partial: { ...aLook(proven), coreOk: false },
  error: aLook(aVerdict('error'), proven),
  sample_ratio: aLook(aVerdict('hold', { gate: 'health.sampleRatio', sticky: true }), proven),
  control_degraded: aLook(aVerdict('hold', { gate: 'health.controlDegraded', sticky: false }), proven),
};

/** How far the clocks are: nothing counted; a bake; many bakes at once; and each limit passed. */
const counts: { readonly [name: string]: Partial<Progress> } = {
  fresh: {},
  baked: { bakedMs: hour, phaseMs: hour, dwellMs: hour },
  backlog: { bakedMs: 5 * hour, phaseMs: 5 * hour, dwellMs: 5 * hour },
  dwelt: { bakedMs: hour, dwellMs: 7 * hour },
  blind: { blindSince: at(-hour).wall },
  long_blind: { blindSince: at(-7 * hour).wall },
  unproven: { bakedMs: 3 * hour, dwellMs: 3 * hour, inconclusiveSince: at(-3 * hour).wall },
  failing: { bakedMs: hour, errors: 5 },
  expired: { phaseMs: 8 * 24 * hour },
};

const streaks = { none: 0, clear: 9 };

export type Event =
  | {
      readonly kind: 'tick';
      readonly look: string;
      readonly counted: string;
      readonly clear: keyof typeof streaks;
      readonly frozen: boolean;
      readonly quick: boolean;
      readonly upstream: 'met' | 'killed';
      readonly latched: boolean;
    }
  | {
      readonly kind: 'verb';
      readonly verb: Verb;
      readonly look: string | null;
      readonly counted: string;
      readonly frozen: boolean;
    };

const both = [false, true];

/** What else is the case at a look, with the counts that it can depend on. */
const cases = [
  { clear: 'clear', quick: false, upstream: 'met', latched: false, counted: Object.keys(counts) },
  { clear: 'none', quick: false, upstream: 'met', latched: false, counted: ['fresh', 'baked'] },
  { clear: 'clear', quick: true, upstream: 'met', latched: false, counted: Object.keys(counts) },
  { clear: 'clear', quick: false, upstream: 'killed', latched: false, counted: ['baked', 'dwelt', 'expired'] },
  { clear: 'clear', quick: false, upstream: 'met', latched: true, counted: ['fresh', 'baked'] },
] as const;

const ticks: Event[] = Object.keys(looks).flatMap((look) =>
  both.flatMap((frozen) =>
    cases.flatMap(({ counted, ...rest }) =>
      counted.map((each) => ({ kind: 'tick', look, counted: each, frozen, ...rest }) as const),
    ),
  ),
);

const orders: Event[] = verbs.flatMap((verb) =>
  ['pass', 'hold', 'kill', 'no_data', null].flatMap((look) =>
    ['fresh', 'baked'].flatMap((counted) =>
      both.map((frozen) => ({ kind: 'verb' as const, verb, look, counted, frozen })),
    ),
  ),
);

export const events: readonly Event[] = [...ticks, ...orders];

export interface Edge {
  readonly plan: RolloutPlan;
  readonly event: Event;
  readonly before: Rollout;
  readonly after: Rollout;
  readonly exposure: { readonly from: number; readonly to: number };
}

function step(parts: Machine, plan: RolloutPlan, rollout: Rollout, event: Event): Rollout {
  const counted = { ...rollout.progress, ...counts[event.counted] };
  const world = aWorld({ freezes: event.frozen ? [aFreeze] : [] });
  if (event.kind === 'verb') {
    const looked = event.look === null ? null : lookOf(event.look, rollout.state.phase);
    const order = { actor: 'rm', reason: 'because' };
    const to = applyVerb(
      { ...rollout, progress: counted },
      plan,
      policy,
      event.verb,
      order,
      looked,
      world,
      at(),
      parts,
    );
    return isRefused(to) ? rollout : to;
  }
  const clear = { window: 0, breach: 0, clear: streaks[event.clear], since: null };
  const progress = { ...counted, streaks: { 'errors-hold': clear, conversion: clear } };
  const latch = { environment: 'production', flag: rollout.flag, wave: null, setAt: 0, by: 'oncall', reason: null };
  const question = {
    rollout: { ...rollout, progress },
    plan,
    policy,
    looked: lookOf(event.look, rollout.state.phase),
    world: { ...world, dependencies: event.upstream, latches: event.latched ? [latch] : [] },
    now: at(),
    look: event.quick ? ('quick' as const) : ('full' as const),
  };
  return applyOutcome(question.rollout, plan, decide(question, parts), at(), parts);
}

/** In a preflight there is nothing to compare: a look that passes finds every check true, and any other does not. */
export function lookOf(name: string, phase: Phase): Looked {
  const look = looks[name];
  if (look === undefined) throw new Error(`no look is called ${name}`);
  if (phase !== 'preflight') return look;
  const { checks } = checked.spec.preflight;
  const found = [...checks, 'reliability'].map((check) => aReading({ gate: `preflight.${check}` }));
  const lost = aReading({ gate: 'preflight.beacons_joined', verdict: 'hold', sticky: true });
  return { ...look, readings: name === 'pass' ? found : [lost, ...found.slice(1)] };
}

const enough = 1000;

/** Visits every edge of every state that can be reached from a draft, until the visitor has seen what it looks for. */
export function explore(
  visit: (edge: Edge) => boolean,
  plan: RolloutPlan = checked,
  parts: Machine = machine,
): { readonly states: number } {
  const start = aRollout({ of: plan, startedAt: null, state: { phase: 'draft', stage: -1, epoch: 0 } });
  const seen = new Map([[keyOf(start), start]]);
  for (const before of seen.values()) {
    if (seen.size > enough) throw new Error('the machine has more states than it should');
    const from = exposureOf(before.state, plan);
    for (const event of events) {
      const after = plain(step(parts, plan, before, event), before);
      const to = after === before ? from : exposureOf(after.state, plan);
      if (visit({ plan, event, before, after, exposure: { from, to } })) return { states: seen.size };
      if (after === before) continue;
      const key = keyOf(after);
      if (!seen.has(key)) seen.set(key, after);
    }
  }
  return { states: seen.size };
}

/** What was counted is given by each event, so states that differ in nothing else are one. */
function plain(after: Rollout, before: Rollout): Rollout {
  const { version, epoch, approved } = after.state;
  if (version === before.state.version) return before;
  const reached = epoch === before.state.epoch ? epoch : Math.min(epoch, 1);
  const digest = approved === null ? '' : approved.digest.replace(/epoch \d+/, `epoch ${reached}`);
  const state = { ...after.state, epoch: reached, approved: approved === null ? null : { ...approved, digest } };
  return { ...after, state, progress: uncounted };
}

const uncounted = aRollout({ of: checked }).progress;

function keyOf({ state, startedAt }: Rollout): string {
  const { phase, stage, heldBy, sticky, resumeTo, watch, approved, sentinel, epoch } = state;
  const by = approved === null ? null : `${approved.stage} ${approved.digest}`;
  return `${phase} ${stage} ${heldBy} ${sticky} ${resumeTo} ${watch} ${by} ${sentinel} ${epoch} ${startedAt === null}`;
}
