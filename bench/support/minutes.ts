import { lastBin } from '../../src/domain/histogram.ts';
import type { Vital } from '../../src/domain/signal.ts';
import { addCount, addObservation, type CellSums, emptyCell, encodeCell } from '../../src/ingest/cell.ts';
import { type ArmSums, addShardCount, addToShard, addUnit, encodeSums } from '../../src/ingest/sums.ts';

/** The vitals that the bench's rollouts are judged by; its other three signals are counters. */
export const measured = ['LCP', 'INP', 'CLS'] as const;
export const counters = [
  'conv:checkout',
  'err',
  'exposed',
  'issued',
  'seen',
  'u:CLS',
  'u:INP',
  'u:LCP',
  'views',
] as const;

/** One minute of one arm, packed as it is stored, and dense as a merge of everything would hold it. */
export interface Minute {
  readonly blob: Uint8Array;
  readonly dense: Dense;
}

/** Counters, then n, sum, lnSteps, bad1, bad2 of each vital; a histogram of all bins for each vital. */
export interface Dense {
  readonly sums: Float64Array;
  readonly bins: readonly Int32Array[];
}

export type Chance = () => number;

/** Mulberry32: the same minutes in every run. */
export function seeded(seed: number): Chance {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const normal = (chance: Chance) => Math.sqrt(-2 * Math.log(1 - chance())) * Math.cos(2 * Math.PI * chance());

/** Log-normal, as page loads are: median and sigma of the logarithm, in stored units. */
const shapes: { readonly [vital in (typeof measured)[number]]: readonly [median: number, sigma: number] } = {
  LCP: [1_900, 0.55],
  INP: [110, 0.7],
  CLS: [40, 1],
};

const drawn = (vital: (typeof measured)[number], chance: Chance) => {
  const [median, sigma] = shapes[vital];
  return Math.round(median * Math.exp(sigma * normal(chance)));
};

export function minuteOf(views: number, newestAt: number, chance: Chance): Minute {
  const cell = emptyCell();
  cell.newestAt = newestAt;
  const units = Math.round(views * 0.6);
  const share = (of: number) => Math.round(units * of + chance());
  const counts = [share(0.05), share(0.01), units, units + 2, units, units - 1, share(0.8), units, views];
  for (const [index, name] of counters.entries()) addCount(cell, name, counts[index] ?? 0);
  for (const vital of measured)
    for (let view = 0; view < views; view++) addObservation(cell, vital, drawn(vital, chance), 1);
  return { blob: encodeCell(cell), dense: denseOf(cell) };
}

export const emptyDense = (): Dense => ({
  sums: new Float64Array(counters.length + 5 * measured.length),
  bins: measured.map(() => new Int32Array(lastBin + 1)),
});

function denseOf({ counts, metrics }: CellSums): Dense {
  const dense = emptyDense();
  const sums = [
    ...counters.map((name) => counts.get(name) ?? 0),
    ...measured.flatMap((vital: Vital) => {
      const of = metrics.get(vital);
      return [of?.n ?? 0, of?.sum ?? 0, of?.lnSteps ?? 0, of?.bad1 ?? 0, of?.bad2 ?? 0];
    }),
  ];
  dense.sums.set(sums);
  for (const [index, vital] of measured.entries()) dense.bins[index]?.set(metrics.get(vital)?.bins ?? []);
  return dense;
}

/** What an arm's units add up to after an hour, packed as it is stored. */
export function armSums(views: number, chance: Chance): Uint8Array {
  const of: ArmSums = new Map();
  for (let unit = 0; unit < views / 2; unit++) {
    const shard = Math.floor(chance() * 64);
    for (const counter of ['issued', 'seen', 'exposed']) addShardCount(of, counter, shard, 1);
    if (chance() < 0.01) addShardCount(of, 'err', shard, 1);
    if (chance() < 0.05) addShardCount(of, 'conv:checkout', shard, 1);
    for (const vital of measured) {
      for (let view = 0; view < 2; view++) addToShard(of, vital, shard, drawn(vital, chance), 1);
      addUnit(of, vital, { n: 2, bad1: 1, bad2: 0, bins: 700 }, 1);
    }
  }
  return encodeSums(of);
}
