import { applyVerb, isRefused } from '../domain/apply.ts';
import { newRollout } from '../domain/initial.ts';
import type { Now } from '../domain/now.ts';
import type { RolloutPlan } from '../domain/plan.ts';
import type { GatePolicy } from '../domain/policy.ts';
import type { Rollout } from '../domain/rollout.ts';
import { findSignal, type Signal, type Vital } from '../domain/signal.ts';
import type { World } from '../domain/world.ts';

/** What a rollout is judged by. */
export interface Papers {
  readonly plan: RolloutPlan;
  readonly policy: GatePolicy;
  readonly signals: readonly Signal[];
}

/** Nothing but the rollout itself exists. */
export const alone: World = { freezes: [], latches: [], dependencies: 'met', otherLive: false };

/** The plan as if everybody it asks said yes at once and its windows were always open, and what that leaves out. */
export function asGiven(plan: RolloutPlan): { readonly plan: RolloutPlan; readonly given: readonly string[] } {
  const { start, stages, windows, waves } = plan.spec;
  const given: string[] = [];
  if (start.trigger !== 'at' || start.at !== null) given.push('its start');
  if (start.approval !== null || stages.some(({ approval }) => approval !== null)) given.push('its approvals');
  if (windows.allow.length + windows.freeze.length > 0) given.push('its windows');
  if (waves.length > 0) given.push('its waves but one');
  const spec: RolloutPlan['spec'] = {
    ...plan.spec,
    start: { ...start, trigger: 'at', at: null, approval: null },
    stages: stages.map((stage) => ({ ...stage, approval: null })),
    windows: { ...windows, allow: [], freeze: [] },
    waves: [],
  };
  return { plan: { ...plan, spec }, given };
}

/** A rollout of the plan that waits for nothing but its first look. */
export function submitted({ plan, policy }: Papers, references: Rollout['references'], now: Now): Rollout {
  const rollout = newRollout({
    id: 'r_simulated0',
    shortId: 1,
    plan,
    revision: 1,
    policy: `${policy.metadata.name}@${policy.metadata.version}`,
    environment: 'simulation',
    wave: null,
    author: plan.metadata.owner,
    now,
  });
  const order = { actor: plan.metadata.owner, reason: null };
  const answer = applyVerb(rollout, plan, policy, 'submit', order, null, alone, now);
  if (isRefused(answer)) throw new Error(answer.message);
  return { ...answer, references };
}

function watchedSignals({ policy, signals }: Papers): Signal[] {
  return policy.spec.gates.flatMap((gate) => findSignal(gate.signal, signals) ?? []);
}

/** Web vitals that some gate reads. */
export function vitalsOf(papers: Papers): ReadonlySet<Vital> {
  return new Set(
    watchedSignals(papers).flatMap(({ spec: { source } }) => (source.event === 'web_vital' ? [source.field] : [])),
  );
}

/** Conversions that some gate reads, with the ms until a unit counts. */
export function conversionsOf(papers: Papers): ReadonlyMap<string, number> {
  return new Map(
    watchedSignals(papers).flatMap(({ spec: { source, maturity } }): [string, number][] =>
      source.event === 'conversion' ? [[source.field, maturity]] : [],
    ),
  );
}

/** How long silence waits for a unit's first beacon, ms; as the controller reads it. */
export function matureLagOf(papers: Papers): number {
  const lags = watchedSignals(papers).map(({ spec }) =>
    spec.source.event === 'silence' ? spec.freshness.expectedLag : 0,
  );
  return Math.max(0, ...lags);
}
