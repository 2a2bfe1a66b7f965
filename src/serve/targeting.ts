import type { Flag, Json } from '@tidegate/core';
import type { Allocation } from '../domain/exposure.ts';
import type { RolloutPlan } from '../domain/plan.ts';
import type { Rollout } from '../domain/rollout.ts';
import { anyOf, audienceOf, bucketRule, regionsOf, unitPresent } from './rules.ts';

/** One rollout of a flag, and what it may show now. */
export interface Part {
  readonly rollout: Rollout;
  readonly plan: RolloutPlan;
  /** A latch or a kill: control for everybody it covers, the pinned ones included. */
  readonly blocked: boolean;
  /** It has arms: it is exposed, or in a preflight, where both of them are served control. */
  readonly compared: boolean;
  /** Somebody is served the treatment. */
  readonly exposed: boolean;
  /** ppm. */
  readonly share: Allocation;
}

/** Control's value under other names, so that any client can see which cohort it is in. */
export function cohorts(base: Flag, compared: readonly Part[]): Record<string, Flag['variants'][string]> {
  const named: Record<string, Flag['variants'][string]> = {};
  for (const { plan, share } of compared) {
    const { control } = plan.spec.variations;
    const value = base.variants[control];
    if (value === undefined) continue;
    if (share.labelled > 0) named[`${control}@aa`] = value;
    if (share.control > 0) named[`${control}@control`] = value;
    if (share.holdback > 0) named[`${control}@holdback`] = value;
  }
  return named;
}

/** Rules of all rollouts of a flag, in the order in which they claim a context. */
export function targetingOf(parts: readonly Part[]): Json {
  return { if: [...parts.flatMap(branches), null] };
}

function branches(part: Part): Json[] {
  const { plan, rollout } = part;
  const { treatment, control } = plan.spec.variations;
  const where = regionsOf(plan, rollout.wave);
  // A killed wave still claims its contexts: a later wave must not expose them again.
  if (part.blocked) return [anyway([...where, ...audienceOf(plan)]), control];
  if (!part.compared) return [];
  const { always } = plan.spec.audience;
  const unit = plan.spec.unit.key;
  return [
    ...pinned(always.control, unit, where, control),
    // Nobody sees the treatment in a preflight, and who is pinned to it is never evidence.
    ...pinned(always.treatment, unit, where, part.exposed ? treatment : control),
    anyway([...audienceOf(plan), ...where, unitPresent(unit)]),
    bucketRule(rollout.seed, unit, weightsOf(part)),
  ];
}

/** Treatment first, control and holdback last: the thresholds at both ends depend on their own weight only (wire.md §3.4). */
function weightsOf({ plan, share }: Part): (readonly [variant: string, ppm: number])[] {
  const { treatment, control } = plan.spec.variations;
  const rest = 1_000_000 - share.treatment - share.labelled - share.control - share.holdback;
  const weights: (readonly [string, number])[] = [
    [treatment, share.treatment],
    [`${control}@aa`, share.labelled],
    [control, rest],
    [`${control}@control`, share.control],
    [`${control}@holdback`, share.holdback],
  ];
  return weights.filter(([, ppm]) => ppm > 0);
}

function pinned(list: readonly string[], unit: string, where: readonly Json[], variant: string): Json[] {
  return list.length === 0 ? [] : [anyway([anyOf(list, unit), ...where]), variant];
}

/** All of the conditions; without any, always. */
function anyway(conditions: readonly Json[]): Json {
  const [only] = conditions;
  if (only === undefined) return true;
  return conditions.length === 1 ? only : { and: conditions };
}

/** The same conditions in the same order, answering which entry covers the context. */
export function attributionOf(parts: readonly Part[]): Flag {
  const compared = parts.filter((part) => part.compared);
  const steps = parts.flatMap((part) => {
    const rules = branches(part);
    const entry = part.compared ? String(compared.indexOf(part)) : 'none';
    return rules.map((rule, at) => (at % 2 === 0 ? rule : entry));
  });
  const names = compared.map((_, index) => [String(index), index] as const);
  return {
    state: 'ENABLED',
    variants: { ...Object.fromEntries(names), none: -1 },
    defaultVariant: 'none',
    targeting: { if: [...steps, null] },
  };
}
