import type { Stratum } from '../evidence.ts';

/** A quantity that strata add up to, in any order. What is to be remembered is one object: see `summandOf`. */
export interface Summand {
  readonly size: number;
  add(sums: number[], stratum: Stratum): void;
}

/** Strata that are compared together. */
export interface View {
  readonly strata: readonly Stratum[];
  /** Sums of a summand over the strata; read them, do not write. */
  sum(of: Summand): number[];
}

/** Strata that have not changed for a while, and what they add up to. */
interface Closed {
  readonly strata: readonly Stratum[];
  readonly sums: Map<Summand, number[]>;
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
  const known = new Map<Summand, number[]>();
  return {
    strata,
    sum(of) {
      const before = known.get(of);
      if (before !== undefined) return before;
      const sums = closed === null ? new Array<number>(of.size).fill(0) : closedSums(closed, of).slice();
      for (const stratum of rest) {
        const own = ownSums(stratum, of);
        for (let i = 0; i < of.size; i++) sums[i] = (sums[i] ?? 0) + (own[i] ?? 0);
      }
      known.set(of, sums);
      return sums;
    },
  };
}

/** What one open stratum adds: the views of a look have it in common, and the next look finds it if nothing came. */
function ownSums(stratum: Stratum, of: Summand): readonly number[] {
  const known = own.get(stratum) ?? new Map<Summand, readonly number[]>();
  own.set(stratum, known);
  const before = known.get(of);
  if (before !== undefined) return before;
  const sums = new Array<number>(of.size).fill(0);
  of.add(sums, stratum);
  known.set(of, sums);
  return sums;
}

const own = new WeakMap<Stratum, Map<Summand, readonly number[]>>();

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
  for (const [of, before] of known.sums) {
    const after = before.slice();
    for (const stratum of added) of.add(after, stratum);
    sums.set(of, after);
  }
  for (const stratum of added) own.delete(stratum);
  return { strata, sums };
}

function closedSums(closed: Closed, of: Summand): number[] {
  const known = closed.sums.get(of);
  if (known !== undefined) return known;
  const sums = new Array<number>(of.size).fill(0);
  for (const stratum of closed.strata) of.add(sums, stratum);
  if (closed.sums.size >= rememberedSums) closed.sums.clear();
  closed.sums.set(of, sums);
  return sums;
}

/** One object per name and numbers, made by `make` the first time it is asked for. Forgetting it costs a sum. */
export function summandOf(name: string, number: number, make: () => Summand): Summand {
  const of = summands.get(name) ?? new Map<number, Summand>();
  summands.set(name, of);
  const known = of.get(number);
  if (known !== undefined) return known;
  if (of.size >= rememberedSummands) of.clear();
  const made = make();
  of.set(number, made);
  return made;
}

const summands = new Map<string, Map<number, Summand>>();
const rememberedSummands = 20_000;
