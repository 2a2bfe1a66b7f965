import type { Tier } from '../decision.ts';
import type { Gate, GatePolicy } from '../policy.ts';
import { average } from '../stats/combine.ts';
import { isStrict } from './tests.ts';

/** Chance of a false breach that the gates of a tier share over the rollout's whole life. */
export function alphaOf(spec: GatePolicy['spec'], tier: Tier): number {
  return tier === 'kill' ? spec.errorControl.killAlpha : spec.errorControl.holdAlpha;
}

/** ln(1 / alpha) of one gate: its tier's, with the gate's equal share of it. */
export function neededOf(spec: GatePolicy['spec'], tier: Tier): number {
  return Math.log(Math.max(1, strictGates(spec, tier).length) / alphaOf(spec, tier));
}

function strictGates(spec: GatePolicy['spec'], tier: Tier): Gate[] {
  return spec.gates.filter((gate) => gate.tier === tier && isStrict(gate));
}

/** Evidence of one gate that has the samples to be heard. */
export interface Heard {
  readonly gate: Gate;
  readonly logE: number;
}

/** Per gate, the evidence that decides: its own, or its tier's, on the gate that carries most of it. */
export type TierEvidence = ReadonlyMap<string, number>;

/**
 * Averages the gates of each tier (stats.md §8). Where the average breaches although no gate does alone, the gate with
 * the most evidence is the one that is said to breach, with the tier's evidence told on its own scale.
 */
export function combineTiers(spec: GatePolicy['spec'], heard: readonly Heard[]): TierEvidence {
  const result = new Map(heard.map(({ gate, logE }): [string, number] => [gate.name, logE]));
  for (const tier of ['watch', 'hold', 'kill'] as const) {
    const gates = strictGates(spec, tier);
    const own = heard.filter(({ gate }) => gate.tier === tier);
    const top = own.toSorted((a, b) => b.logE - a.logE)[0];
    if (top === undefined) continue;
    // A gate that is not heard says nothing either way: its e-value is 1.
    const combined = average(gates.map(({ name }) => ({ weight: 1 / gates.length, logE: result.get(name) ?? 0 })));
    if (combined >= Math.log(1 / alphaOf(spec, tier)))
      result.set(top.gate.name, Math.max(top.logE, combined + Math.log(gates.length)));
  }
  return result;
}
