import { bucketOf, maxWeight } from './bucket.ts';
import { argumentList, type Operator, type Place, type Rule, type Run } from './operator.ts';
import { propertyOf } from './value.ts';

type Name = string | number | boolean | null;

interface Split {
  readonly names: readonly Name[];
  /** Running sums of the weights; the last is the total. */
  readonly ends: readonly number[];
  readonly total: number;
}

/**
 * flagd's `fractional`, version 2: `[hash input?, [variant, weight], ...]`. Without an input it hashes the flag's key
 * followed by the targeting key. Null when the targeting key is missing or an entry makes no sense.
 */
export const fractional: Operator = (args, place) => {
  const fixed = Array.isArray(args) ? fixedSplit(args, place) : null;
  const pick = fixed ?? computedSplit(args, place);
  if (!place.isResult) return pick;
  return (data, run) => {
    const name = pick(data, run);
    run.split = name !== null;
    return name;
  };
};

/** The shape that rollouts compile to: weights are literals, so their sums are known now. */
function fixedSplit(args: readonly unknown[], place: Place): Rule | null {
  const [first, ...rest] = args;
  const implicit = Array.isArray(first);
  const entries = implicit ? args : rest;
  if (first === undefined || !entries.every(isLiteralEntry)) return null;
  const split = splitOf(entries);
  // Compiled even where the split makes no sense, so that limits and unknown operators show in every case.
  entries.forEach((entry, index) => {
    place.argument(entry, implicit ? index : index + 1);
  });
  const explicit = implicit ? null : place.argument(first, 0);
  return (data, run) => {
    const input = explicit ? explicit(data, run) : implicitInput(place.flagKey, run);
    if (typeof input === 'string') return split ? choose(split, input) : null;
    // An explicit input that is no text is read as a first entry, which makes no sense unless it is a list.
    if (!explicit || !Array.isArray(input)) return null;
    return chooseFrom([input, ...entries], place.flagKey, run);
  };
}

function computedSplit(args: unknown, place: Place): Rule {
  const list = argumentList(args, place);
  return (data, run) => chooseFrom(list(data, run), place.flagKey, run);
}

function chooseFrom(values: readonly unknown[], flagKey: string, run: Run): Name {
  const [first, ...rest] = values;
  const explicit = typeof first === 'string';
  const input = explicit ? first : implicitInput(flagKey, run);
  if (input === null || first === undefined) return null;
  const split = splitOf(explicit ? rest : values);
  return split ? choose(split, input) : null;
}

function implicitInput(flagKey: string, run: Run): string | null {
  const key = propertyOf(run.root, 'targetingKey');
  return typeof key === 'string' && key !== '' ? flagKey + key : null;
}

function choose({ names, ends, total }: Split, input: string): Name {
  const bucket = bucketOf(input, total);
  for (let index = 0; index < ends.length; index++) {
    if (bucket < (ends[index] ?? 0)) return names[index] ?? null;
  }
  return null;
}

function isLiteralEntry(entry: unknown): boolean {
  return Array.isArray(entry) && entry.every((part) => typeof part !== 'object' || part === null);
}

/** Null when an entry is not `[name, weight?]` with an integer weight, or the weights sum to more than flagd takes. */
function splitOf(entries: readonly unknown[]): Split | null {
  const names: Name[] = [];
  const ends: number[] = [];
  let total = 0;
  for (const entry of entries) {
    if (!Array.isArray(entry) || entry.length < 1 || entry.length > 2) return null;
    const [name, weight = 1]: readonly unknown[] = entry;
    if (!isName(name) || typeof weight !== 'number' || !Number.isInteger(weight)) return null;
    total += Math.max(0, weight);
    names.push(name ?? null);
    ends.push(total);
  }
  return total > maxWeight ? null : { names, ends, total };
}

function isName(name: unknown): name is Name | undefined {
  return name === null || name === undefined || ['string', 'number', 'boolean'].includes(typeof name);
}
