import type { Stratum } from '../evidence.ts';

/** A quantity that strata add up to, in any order. Equal keys add the same. */
export interface Summand {
  readonly key: string;
  readonly size: number;
  add(sums: Float64Array, stratum: Stratum): void;
}

/** Strata that are compared together. */
export interface View {
  readonly strata: readonly Stratum[];
  /** Sums of a summand over the strata; read them, do not write. */
  sum(of: Summand): Float64Array;
}

/** Strata that have not changed for a while, and what they add up to. */
interface Closed {
  readonly strata: readonly Stratum[];
  readonly sums: Map<string, { readonly of: Summand; readonly sums: Float64Array }>;
}

/** The newest strata still change: the present hour, and the one before it, for which beacons come late. */
const open = 2;
/** Searches for bounds ask for many limits, again and again the same few. */
const rememberedSums = 1000;

/** By a view's first stratum. Strata are values: the same object always adds the same. */
const remembered = new WeakMap<Stratum, Closed>();

/**
 * A view whose sums cost what is new since the last look: what closed strata add up to is remembered, and found again
 * by the strata being the same objects. Forgetting it changes no number.
 */
export function viewOf(strata: readonly Stratum[]): View {
  const closed = closedPart(strata);
  const rest = strata.slice(closed?.strata.length ?? 0);
  const known = new Map<string, Float64Array>();
  return {
    strata,
    sum(of) {
      const before = known.get(of.key);
      if (before !== undefined) return before;
      const sums = closed === null ? new Float64Array(of.size) : closedSums(closed, of).slice();
      for (const stratum of rest) of.add(sums, stratum);
      known.set(of.key, sums);
      return sums;
    },
  };
}

function closedPart(strata: readonly Stratum[]): Closed | null {
  const [first] = strata;
  const length = strata.length - open;
  if (first === undefined || length <= 0) return null;
  const known = remembered.get(first);
  if (known !== undefined && isPrefix(known.strata, strata, length)) {
    if (known.strata.length === length) return known;
    return remember(first, extended(known, strata.slice(0, length)));
  }
  return remember(first, { strata: strata.slice(0, length), sums: new Map() });
}

function remember(first: Stratum, closed: Closed): Closed {
  remembered.set(first, closed);
  return closed;
}

function isPrefix(prefix: readonly Stratum[], strata: readonly Stratum[], length: number): boolean {
  if (prefix.length > length) return false;
  for (let i = 0; i < prefix.length; i++) if (prefix[i] !== strata[i]) return false;
  return true;
}

/** Once an hour: every sum goes on from where it was. */
function extended(known: Closed, strata: readonly Stratum[]): Closed {
  const added = strata.slice(known.strata.length);
  const sums: Closed['sums'] = new Map();
  for (const [key, { of, sums: before }] of known.sums) {
    const after = before.slice();
    for (const stratum of added) of.add(after, stratum);
    sums.set(key, { of, sums: after });
  }
  return { strata, sums };
}

function closedSums(closed: Closed, of: Summand): Float64Array {
  const known = closed.sums.get(of.key);
  if (known !== undefined) return known.sums;
  const sums = new Float64Array(of.size);
  for (const stratum of closed.strata) of.add(sums, stratum);
  if (closed.sums.size >= rememberedSums) closed.sums.clear();
  closed.sums.set(of.key, { of, sums });
  return sums;
}
