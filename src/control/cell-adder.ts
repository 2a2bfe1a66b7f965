import type { Cell, Counts, Observations } from '../domain/evidence.ts';
import { lastBin } from '../domain/histogram.ts';
import { isMetric } from '../domain/metrics.ts';
import { type Vital, vitals } from '../domain/signal.ts';
import { lnStep } from '../ingest/cell.ts';

/** What one packed cell says of its units by itself, whatever it is added to. */
export interface Tallies {
  /** Receive time of its newest message, epoch ms; 0 = none. */
  readonly newestAt: number;
  readonly issued: number;
  readonly seen: number;
  readonly exposed: number;
  /** Units that converted, by name of the conversion. */
  readonly converted: readonly (readonly [conversion: string, units: number])[];
}

/** Adds packed cells (`ingest/cell.ts`) to a cell without unpacking each: `start`, `add` as often as needed, `finish`. */
export interface CellAdder {
  start(from: CellSum): void;
  /**
   * Adds the cell in a blob, or takes it away. `without` is a set of metrics (`bitOf`) that are left out. Throws
   * RangeError on bytes that `encodeCell` did not write.
   */
  add(blob: Uint8Array, by: 1 | -1, without: number): Tallies;
  /** The sum. What nothing was added to is the same object as before. */
  finish(): CellSum;
}

export interface CellSum {
  /** As `cellOf` writes it. */
  readonly cell: Cell;
  /**
   * Bins and counts of each metric's histogram in turns. Its pairs lie all over the memory: looking at each of them to
   * find the few that change would be most of what a tick costs.
   */
  readonly flat: readonly (Int32Array | undefined)[];
}

export const noSum: CellSum = { cell: { counts: {}, metrics: {} }, flat: [] };

/** Place of a metric in a set of metrics. */
export const bitOf = (metric: Vital): number => 1 << vitals.indexOf(metric);

const version = 1;
const bins = lastBin + 1;
/** n, sum, lnSteps, bad1, bad2 */
const fields = 5;
const conversionPrefix = 'conv:';
const nothing: Tallies['converted'] = [];
const noPairs = new Int32Array();
/** Conversions are declared, so names are few; a bound all the same. */
const mostNames = 4_000;

/** A counter's name as it stands in a blob, met before: reading it again costs a look at its bytes. */
interface Name {
  readonly text: string;
  readonly bytes: Uint8Array;
  /** Where its sum is kept. */
  readonly slot: number;
  /** The metric whose units it counts, as a bit; 0 = none. */
  readonly metric: number;
  readonly vital: number;
  readonly conversion: string | null;
}

interface Names {
  readonly byHash: Map<number, Name[]>;
  readonly byText: Map<string, Name>;
  /** In order of text. */
  readonly sorted: Name[];
  sums: Float64Array;
}

const newNames = (): Names => ({ byHash: new Map(), byText: new Map(), sorted: [], sums: new Float64Array(64) });

function hashOf(bytes: Uint8Array, from: number, to: number): number {
  let hash = to - from;
  for (let i = from; i < to; i++) hash = (Math.imul(hash, 31) + (bytes[i] ?? 0)) | 0;
  return hash;
}

function isAt(name: Uint8Array, bytes: Uint8Array, from: number): boolean {
  for (let i = 0; i < name.length; i++) if (name[i] !== bytes[from + i]) return false;
  return true;
}

function named(names: Names, text: string, bytes: Uint8Array, hash: number): Name {
  const slot = names.sorted.length;
  if (slot >= names.sums.length) {
    const wider = new Float64Array(2 * names.sums.length);
    wider.set(names.sums);
    names.sums = wider;
  }
  const unitsOf = vitals.findIndex((vital) => text === `u:${vital}`);
  const name: Name = {
    text,
    bytes,
    slot,
    metric: unitsOf < 0 ? 0 : 1 << unitsOf,
    vital: isMetric(text) ? vitals.indexOf(text) : -1,
    conversion: text.startsWith(conversionPrefix) ? text.slice(conversionPrefix.length) : null,
  };
  const alike = names.byHash.get(hash) ?? [];
  alike.push(name);
  names.byHash.set(hash, alike);
  names.byText.set(text, name);
  names.sorted.push(name);
  names.sorted.sort((a, b) => (a.text < b.text ? -1 : 1));
  return name;
}

/** Everything it needs is allocated once: a cold start reads hundreds of thousands of cells. */
export function createCellAdder(): CellAdder {
  const counts = new Int32Array(vitals.length * bins);
  const sums = new Float64Array(vitals.length * fields);
  const low = new Int32Array(vitals.length);
  const high = new Int32Array(vitals.length);
  let names = newNames();
  let { cell: base, flat } = noSum;
  const pairs = new Int32Array(2 * bins);
  /** Metrics that are in the arrays above; the others are as in `base`. */
  let loaded = 0;
  let isOpen = false;
  let counted = false;
  let bytes: Uint8Array = new Uint8Array();
  let at = 0;

  const unsigned = (): number => {
    const first = bytes[at++] ?? 0;
    if (first < 128) return first;
    let value = first - 128;
    // Arithmetic instead of shifts: sums pass 2^31.
    for (let unit = 128; ; unit *= 128) {
      const byte = bytes[at++] ?? 0;
      if (byte < 128) return value + byte * unit;
      value += (byte - 128) * unit;
    }
  };
  const signed = (): number => {
    const zigzag = unsigned();
    return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
  };
  const checkEnd = (): void => {
    if (at > bytes.length) throw new RangeError(`the cell ends early at byte ${bytes.length}`);
  };
  const readName = (): Name => {
    const length = unsigned();
    const from = at;
    at += length;
    checkEnd();
    const hash = hashOf(bytes, from, at);
    const alike = names.byHash.get(hash);
    if (alike !== undefined)
      for (const name of alike) if (name.bytes.length === length && isAt(name.bytes, bytes, from)) return name;
    const own = bytes.slice(from, at);
    return named(names, new TextDecoder().decode(own), own, hash);
  };
  const nameOf = (text: string): Name => {
    const known = names.byText.get(text);
    if (known !== undefined) return known;
    const own = new TextEncoder().encode(text);
    return named(names, text, own, hashOf(own, 0, own.length));
  };

  /** Bins from `first` to `last` may have something in them. */
  const widen = (vital: number, first: number, last: number): void => {
    if (first < (low[vital] ?? 0)) low[vital] = first;
    if (last > (high[vital] ?? 0)) high[vital] = last;
  };
  const addField = (vital: number, field: number, by: number): void => {
    const place = vital * fields + field;
    sums[place] = (sums[place] ?? 0) + by;
  };
  const load = (vital: number): void => {
    loaded |= 1 << vital;
    low[vital] = lastBin;
    high[vital] = 0;
    const known = base.metrics[vitals[vital] ?? ''];
    if (known === undefined) return;
    addField(vital, 0, known.n);
    addField(vital, 1, known.sum);
    addField(vital, 2, known.sumLn / lnStep);
    addField(vital, 3, known.bad1);
    addField(vital, 4, known.bad2);
    const from = flat[vital] ?? noPairs;
    const first = vital * bins;
    for (let i = 0; i < from.length; i += 2) counts[first + (from[i] ?? 0)] = from[i + 1] ?? 0;
    widen(vital, from[0] ?? lastBin, from[from.length - 2] ?? 0);
  };

  const addMetric = (by: 1 | -1, without: number): void => {
    const { vital, text } = readName();
    if (vital < 0) throw new RangeError(`unknown metric ${text}`);
    const isCut = (without & (1 << vital)) !== 0;
    if (!isCut && (loaded & (1 << vital)) === 0) load(vital);
    for (let field = 0; field < fields; field++) {
      const sum = signed();
      if (!isCut) addField(vital, field, by * sum);
    }
    if (bytes[at++] !== version) throw new RangeError(`no histogram of version ${version} at byte ${at - 1}`);
    addHistogram(vital, isCut ? 0 : by);
  };

  /** The inner loop of a cold start: nearly all integers are one byte, and locals are cheaper than what closures share. */
  const addHistogram = (vital: number, by: number): void => {
    const from = bytes;
    const first = vital * bins;
    let left = unsigned();
    let here = at;
    let bin = 0;
    let lowest = -1;
    for (; left > 0; left--) {
      let gap = from[here++] ?? 0;
      if (gap >= 128) {
        at = here - 1;
        gap = unsigned();
        here = at;
      }
      let zigzag = from[here++] ?? 0;
      if (zigzag >= 128) {
        at = here - 1;
        zigzag = unsigned();
        here = at;
      }
      bin += gap;
      if (bin > lastBin || here > from.length) throw new RangeError(`the histogram ends early at byte ${here}`);
      if (lowest < 0) lowest = bin;
      const count = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
      counts[first + bin] = (counts[first + bin] ?? 0) + by * count;
    }
    at = here;
    if (lowest >= 0 && by !== 0) widen(vital, lowest, bin);
  };

  /** Leaves the histogram in `pairs` as well, and says how much of it is filled. */
  const finishMetric = (vital: number, before: Observations | undefined) => {
    const field = (of: number) => sums[vital * fields + of] ?? 0;
    const known = before === undefined ? [] : before.hist;
    const hist: (readonly [number, number])[] = [];
    const first = vital * bins;
    const last = high[vital] ?? 0;
    const from = flat[vital] ?? noPairs;
    let next = 0;
    let filled = 0;
    for (let bin = low[vital] ?? 0; bin <= last; bin++) {
      const count = counts[first + bin] ?? 0;
      const isKnown = next < from.length && from[next] === bin;
      if (count !== 0) {
        const same = isKnown && from[next + 1] === count ? known[next / 2] : undefined;
        hist.push(same ?? [bin, count]);
        pairs[filled++] = bin;
        pairs[filled++] = count;
      }
      if (isKnown) next += 2;
    }
    const isEmpty = field(0) === 0 && field(1) === 0 && field(2) === 0 && hist.length === 0;
    if (isEmpty) return null;
    const after = { n: field(0), sum: field(1), sumLn: field(2) * lnStep, bad1: field(3), bad2: field(4), hist };
    return { after, flat: pairs.slice(0, filled) };
  };

  const sumOfCounts = (): Counts => {
    const sum: { [name: string]: number } = {};
    for (const { text, slot } of names.sorted) {
      const count = names.sums[slot] ?? 0;
      if (count !== 0) sum[text] = count;
    }
    return sum;
  };

  const clear = (): void => {
    for (let vital = 0; vital < vitals.length; vital++) {
      if ((loaded & (1 << vital)) === 0) continue;
      counts.fill(0, vital * bins + (low[vital] ?? 0), vital * bins + (high[vital] ?? 0) + 1);
      sums.fill(0, vital * fields, (vital + 1) * fields);
    }
    names.sums.fill(0, 0, names.sorted.length);
    loaded = 0;
    isOpen = false;
  };

  return {
    start(from) {
      // Bytes that are no cell have thrown half way.
      if (isOpen) clear();
      if (names.sorted.length > mostNames) names = newNames();
      isOpen = true;
      counted = false;
      base = from.cell;
      flat = from.flat;
      for (const text in base.counts) {
        const { slot } = nameOf(text);
        names.sums[slot] = base.counts[text] ?? 0;
      }
    },
    add(blob, by, without) {
      bytes = blob;
      at = 0;
      if (blob[at++] !== version) throw new RangeError(`no cell of version ${version}`);
      const newestAt = unsigned();
      let issued = 0;
      let seen = 0;
      let exposed = 0;
      let converted: (readonly [string, number])[] | null = null;
      for (let left = unsigned(); left > 0; left--) {
        const name = readName();
        const count = signed();
        if ((name.metric & without) === 0) {
          counted = true;
          names.sums[name.slot] = (names.sums[name.slot] ?? 0) + by * count;
        }
        if (name.conversion !== null) {
          converted ??= [];
          converted.push([name.conversion, count]);
        } else if (name.text === 'issued') issued = count;
        else if (name.text === 'seen') seen = count;
        else if (name.text === 'exposed') exposed = count;
      }
      while (at < blob.length) addMetric(by, without);
      checkEnd();
      return { newestAt, issued, seen, exposed, converted: converted ?? nothing };
    },
    finish() {
      const metrics: { [metric: string]: Observations } = {};
      const flats: (Int32Array | undefined)[] = [];
      for (const [vital, metric] of vitals.entries()) {
        const before = base.metrics[metric];
        const isTouched = (loaded & (1 << vital)) !== 0;
        const finished = isTouched ? finishMetric(vital, before) : null;
        const after = isTouched ? finished?.after : before;
        if (after !== undefined) metrics[metric] = after;
        flats.push(isTouched ? finished?.flat : flat[vital]);
      }
      const cell = { counts: counted ? sumOfCounts() : base.counts, metrics };
      clear();
      return { cell, flat: flats };
    },
  };
}
