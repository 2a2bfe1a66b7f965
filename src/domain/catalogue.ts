import { z } from 'zod';
import { type DocumentProblem, isMap, type JsonMap, type Parsed, parseDocument, problem } from './document.ts';
import { type GatePolicy, PolicyPin, parseEffective } from './policy.ts';

/** Policies in one line of inheritance, the one at hand included. */
const deepest = 4;

/** A policy as somebody wrote it: whole, or only what it changes of the one that it extends. */
export interface AuthoredDocument {
  /** `name@version` */
  readonly ref: string;
  readonly name: string;
  readonly version: number;
  /** `name@version` of the policy that it extends. */
  readonly extends: string | null;
  readonly json: JsonMap;
}

/** What a policy has from those above it, and may not undo. */
export interface Inherited {
  /** What it says itself. */
  readonly source: AuthoredDocument;
  /** The effective policy that it extends. */
  readonly parent: GatePolicy;
  /** Locked item -> `name@version` of the first ancestor that locks it. */
  readonly lockedBy: ReadonlyMap<string, string>;
}

/** What a policy comes to once everything that it inherits is written into it. */
export interface Materialised {
  readonly policy: GatePolicy;
  /** The authored form of `policy`: this is stored and digested, and a judge reads nothing else. */
  readonly json: JsonMap;
  /** Null for a policy that extends nothing. */
  readonly inherited: Inherited | null;
}

const Header = z.looseObject({
  apiVersion: z.literal('tidegate.dev/v1'),
  kind: z.literal('GatePolicy'),
  metadata: z.looseObject({ name: z.string(), version: z.int(), extends: PolicyPin.optional() }),
});

/** Who the policy is and what it extends; all the rest is checked once it is materialised. */
export function readAuthored(json: unknown): Parsed<AuthoredDocument> {
  const header = parseDocument(Header, json);
  if (!header.ok) return header;
  const { name, version, extends: parent } = header.value.metadata;
  return { ok: true, value: { ref: `${name}@${version}`, name, version, extends: parent ?? null, json: header.value } };
}

/** The policies above one, nearest first; or the problem with its `extends`. `find` knows the authored form by reference. */
export function lineageOf(
  policy: AuthoredDocument,
  find: (ref: string) => AuthoredDocument | null,
): Parsed<readonly AuthoredDocument[]> {
  const above: AuthoredDocument[] = [];
  let next = policy.extends;
  while (next !== null) {
    const path = [policy.ref, ...above.map(({ ref }) => ref), next].join(' -> ');
    if (next === policy.ref || above.some(({ ref }) => ref === next))
      return extendsProblem(`the policies extend each other: ${path}; let one of them stand alone`);
    if (above.length === deepest - 1)
      return extendsProblem(`${path} is more than ${deepest} policies deep; extend one that is nearer to the top`);
    const found = find(next);
    if (found === null) return extendsProblem(`there is no policy ${next} (${path}); apply it first`);
    above.push(found);
    next = found.extends;
  }
  return { ok: true, value: above };
}

function extendsProblem(message: string): { ok: false; problems: DocumentProblem[] } {
  return { ok: false, problems: [problem(['metadata', 'extends'], message)] };
}

/**
 * Writes everything inherited into the policy. Maps are merged by key and gates by name; any other list, a gate's tests
 * among them, replaces the inherited one, except `governance.locked`, which only grows. `above` comes from `lineageOf`.
 */
export function materialise(policy: AuthoredDocument, above: readonly AuthoredDocument[]): Parsed<Materialised> {
  const twice = repeatedGates(policy.json);
  if (twice.length > 0) return { ok: false, problems: twice };
  const [parent, ...further] = above;
  if (parent === undefined) {
    const whole = parseEffective(policy.json);
    return whole.ok ? { ok: true, value: { policy: whole.value, json: policy.json, inherited: null } } : whole;
  }
  const inherited = materialise(parent, further);
  if (!inherited.ok) return extendsProblem(`${parent.ref} is not valid: ${inherited.problems[0]?.message}`);
  const spec = mergeSpec(inherited.value.json.spec, policy.json.spec);
  const json = { ...policy.json, spec };
  const parsed = parseEffective(json);
  if (!parsed.ok)
    return { ok: false, problems: parsed.problems.map((found) => inSource(found, gatesIn(spec).map(nameOf), policy)) };
  const lockedBy = new Map(inherited.value.inherited?.lockedBy);
  for (const item of inherited.value.policy.spec.governance.locked)
    if (!lockedBy.has(item)) lockedBy.set(item, parent.ref);
  const from = { source: policy, parent: inherited.value.policy, lockedBy };
  return { ok: true, value: { policy: parsed.value, json, inherited: from } };
}

function mergeSpec(inherited: unknown, own: unknown): unknown {
  if (own === undefined) return inherited;
  if (!isMap(inherited) || !isMap(own)) return own;
  const merged: JsonMap = { ...mergeMaps(inherited, own), gates: mergeGates(inherited.gates, own.gates) };
  const locked = lockedIn(inherited);
  if (locked.length === 0 || !isMap(merged.governance)) return merged;
  return { ...merged, governance: { ...merged.governance, locked: [...new Set([...locked, ...lockedIn(own)])] } };
}

function mergeMaps(inherited: JsonMap, own: JsonMap): { [key: string]: unknown } {
  const merged: { [key: string]: unknown } = { ...inherited };
  for (const [key, value] of Object.entries(own)) {
    const before = inherited[key];
    merged[key] = isMap(before) && isMap(value) ? mergeMaps(before, value) : value;
  }
  return merged;
}

/** Inherited gates keep their order; new ones come after them. */
function mergeGates(inherited: unknown, own: unknown): unknown {
  if (own === undefined) return inherited;
  if (!Array.isArray(inherited) || !Array.isArray(own)) return own;
  const changed = inherited.map((gate: unknown): unknown => {
    const change: unknown = own.find((other) => nameOf(other) !== null && nameOf(other) === nameOf(gate));
    return isMap(gate) && isMap(change) ? mergeMaps(gate, change) : gate;
  });
  const names = new Set(inherited.map(nameOf));
  return [...changed, ...own.filter((gate) => nameOf(gate) === null || !names.has(nameOf(gate)))];
}

function nameOf(gate: unknown): string | null {
  return isMap(gate) && typeof gate.name === 'string' ? gate.name : null;
}

function lockedIn({ governance }: JsonMap): readonly unknown[] {
  return isMap(governance) && Array.isArray(governance.locked) ? governance.locked : [];
}

function gatesIn(spec: unknown): readonly unknown[] {
  return isMap(spec) && Array.isArray(spec.gates) ? spec.gates : [];
}

/** Two changes of one gate: which of them was meant? */
function repeatedGates({ spec }: JsonMap): DocumentProblem[] {
  const names = gatesIn(spec).map(nameOf);
  return names.flatMap((name, index) =>
    name !== null && names.indexOf(name) < index
      ? [problem(['spec', 'gates', index, 'name'], `"${name}" is used twice`)]
      : [],
  );
}

function inSource(
  found: DocumentProblem,
  gates: readonly (string | null)[],
  source: AuthoredDocument,
): DocumentProblem {
  const at = ownPlace(found.at, gates, source);
  if (at === found.at) return found;
  if (at !== null) return problem(at, found.message, found.key);
  return problem(['metadata', 'extends'], `${source.extends}, ${found.path}: ${found.message}`);
}

/**
 * Where the author wrote what the effective policy has at `at`, whose gates have these names: a gate has another index
 * in their file. Null when all of it is inherited.
 */
export function ownPlace(
  at: DocumentProblem['at'],
  gates: readonly (string | null)[],
  { json }: AuthoredDocument,
): DocumentProblem['at'] | null {
  const [top, section, index, ...rest] = at;
  if (top !== 'spec' || section === undefined) return at;
  if (section === 'gates' && typeof index === 'number') {
    const own = gatesIn(json.spec).findIndex((gate) => nameOf(gate) === (gates[index] ?? null));
    return own < 0 ? null : ['spec', 'gates', own, ...rest];
  }
  return isMap(json.spec) && json.spec[section] !== undefined ? at : null;
}
