import type { Json } from '@tidegate/core';
import type { Condition, RolloutPlan } from '../domain/plan.ts';

/** The pieces of JsonLogic that a rollout compiles to. */
const attribute = (name: string): Json => ({ var: name });

/** `segment` names an entry of the flag set's `$evaluators`. */
const segment = (name: string): Json => ({ $ref: name });

const conditionOf = (condition: Condition): Json =>
  'segment' in condition ? segment(condition.segment) : { in: [attribute(condition.attribute), condition.in] };

export function audienceOf(plan: RolloutPlan): Json[] {
  const { include, exclude } = plan.spec.audience;
  return [...include.map(conditionOf), ...exclude.map((condition): Json => ({ '!': [conditionOf(condition)] }))];
}

/** Regions of the wave as a condition on the `region` of the context; none when it is for everywhere. */
export function regionsOf(plan: RolloutPlan, wave: string | null): Json[] {
  const regions = plan.spec.waves.find(({ name }) => name === wave)?.regions ?? [];
  if (regions.length === 0 || regions.includes('*')) return [];
  const exact = regions.filter((region) => !region.endsWith('*'));
  const prefixes = regions.filter((region) => region.endsWith('*')).map((region) => region.slice(0, -1));
  return [
    either([
      ...(exact.length > 0 ? [{ in: [attribute('region'), exact] }] : []),
      ...prefixes.map((prefix): Json => ({ starts_with: [attribute('region'), prefix] })),
    ]),
  ];
}

/** Units by name, or `segment:<name>`. */
export function anyOf(list: readonly string[], unit: string): Json {
  const segments = list.filter((entry) => entry.startsWith('segment:')).map((entry) => segment(entry.slice(8)));
  const units = list.filter((entry) => !entry.startsWith('segment:'));
  return either([...(units.length > 0 ? [{ in: [attribute(unit), units] }] : []), ...segments]);
}

/** Required before every bucket: `cat` turns a missing unit into `"seed:"`, one bucket for all anonymous traffic. */
export const unitPresent = (unit: string): Json => ({ '!!': [attribute(unit)] });

/** Explicit salt through `cat`: it survives a renamed flag and differs per rollout. */
export const bucketRule = (seed: string, unit: string, weights: readonly (readonly [string, number])[]): Json => ({
  fractional: [{ cat: [seed, ':', attribute(unit)] }, ...weights],
});

function either(conditions: readonly Json[]): Json {
  const [only] = conditions;
  return conditions.length === 1 && only !== undefined ? only : { or: conditions };
}
