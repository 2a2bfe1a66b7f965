import type { Shard, Shards, UnitSums } from '../domain/evidence.ts';
import { binOf } from '../domain/histogram.ts';
import { metrics } from '../domain/metrics.ts';
import type { Vital } from '../domain/signal.ts';
import { byteReader, pushSigned, pushText, pushUnsigned } from './bytes.ts';
import type { Tally } from './unit.ts';

/**
 * What is added up of one (rollout, epoch, arm) beside its cells, by name:
 * - `shards:<metric>`: 64 shards x 6 sums of page views, in the order of `Shard`
 * - `units:<metric>`: 12 sums over units, in the order of `UnitSums`
 * - `counts:<counter>`: units, or their page views, per shard
 *
 * All are integers below 2^53, so that they add and subtract exactly in any order; one writer's may be negative.
 */
export type ArmSums = Map<string, Float64Array>;

const shardCount = 64;
const shardFields = 6;
const unitFields = 12;

export function shardOf(unit: Uint8Array): number {
  return (unit[unit.length - 1] ?? 0) % shardCount;
}

function sumsOf(of: ArmSums, name: string, length: number): Float64Array {
  const known = of.get(name);
  if (known !== undefined) return known;
  const fresh = new Float64Array(length);
  of.set(name, fresh);
  return fresh;
}

function add(to: Float64Array, at: number, by: number): void {
  to[at] = (to[at] ?? 0) + by;
}

/** One page view's value in stored units, in the shard of its unit. */
export function addToShard(of: ArmSums, metric: Vital, shard: number, value: number, by: 1 | -1): void {
  const { winsor, bad1, bad2 } = metrics[metric];
  const sums = sumsOf(of, `shards:${metric}`, shardCount * shardFields);
  const capped = Math.min(value, winsor);
  const at = shard * shardFields;
  add(sums, at, by);
  add(sums, at + 1, by * capped);
  add(sums, at + 2, by * capped * capped);
  if (value > bad1) add(sums, at + 3, by);
  if (value > bad2) add(sums, at + 4, by);
  add(sums, at + 5, by * binOf(value));
}

/** All that one unit adds to a metric's sums over units (stats.md §4). */
export function addUnit(of: ArmSums, metric: Vital, { n, bad1, bad2, bins }: Tally, by: 1 | -1): void {
  const sums = sumsOf(of, `units:${metric}`, unitFields);
  add(sums, 0, by);
  add(sums, 1, by * n);
  add(sums, 2, by * n * n);
  for (const [index, y] of [bad1, bad2, bins].entries()) {
    add(sums, 3 + 3 * index, by * y);
    add(sums, 4 + 3 * index, by * y * y);
    add(sums, 5 + 3 * index, by * y * n);
  }
}

export function addShardCount(of: ArmSums, counter: string, shard: number, by: 1 | -1): void {
  add(sumsOf(of, `counts:${counter}`, shardCount), shard, by);
}

export function addSums(to: ArmSums, from: ArmSums, by: 1 | -1): void {
  for (const [name, sums] of from) {
    const into = sumsOf(to, name, sums.length);
    for (let at = 0; at < sums.length; at++) into[at] = (into[at] ?? 0) + by * (sums[at] ?? 0);
  }
}

const isZero = (sums: Float64Array): boolean => sums.every((sum) => sum === 0);

/** Whether adding this would change nothing. */
export const addsNothing = (of: ArmSums): boolean => [...of.values()].every(isZero);

/** What is kept under `<kind>:<name>`, in order of name; nothing that is zero throughout. */
export function sumsNamed(of: ArmSums, kind: 'shards' | 'units' | 'counts'): [name: string, sums: Float64Array][] {
  return [...of]
    .filter(([name, sums]) => name.startsWith(`${kind}:`) && !isZero(sums))
    .map(([name, sums]): [string, Float64Array] => [name.slice(kind.length + 1), sums])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

export function shardsOf(sums: Float64Array): Shards {
  const shards: Shard[] = [];
  for (let at = 0; at < sums.length; at += shardFields) {
    const [n = 0, sum = 0, sumSq = 0, bad1 = 0, bad2 = 0, sumBin = 0] = sums.subarray(at, at + shardFields);
    shards.push({ n, sum, sumSq, bad1, bad2, sumBin });
  }
  return shards;
}

export function unitSumsOf(sums: Float64Array): UnitSums {
  const [k = 0, n = 0, nn = 0] = sums;
  const clustered = (at: number) => ({ y: sums[at] ?? 0, yy: sums[at + 1] ?? 0, yn: sums[at + 2] ?? 0 });
  return { k, n, nn, bad1: clustered(3), bad2: clustered(6), bins: clustered(9) };
}

const version = 1;

/** One row's blob: version, then name, length and values of each. The same sums are the same bytes. */
export function encodeSums(of: ArmSums): Uint8Array {
  const bytes: number[] = [version];
  for (const [name, sums] of [...of].sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (isZero(sums)) continue;
    pushText(bytes, name);
    pushUnsigned(bytes, sums.length);
    for (const sum of sums) pushSigned(bytes, sum);
  }
  return Uint8Array.from(bytes);
}

/** Throws RangeError on bytes that `encodeSums` did not write. */
export function decodeSums(blob: Uint8Array): ArmSums {
  const reader = byteReader(blob);
  if (reader.byte() !== version) throw new RangeError(`no sums of version ${version}`);
  const of: ArmSums = new Map();
  while (reader.at < blob.length) {
    const name = reader.text();
    const sums = sumsOf(of, name, reader.unsigned());
    for (let at = 0; at < sums.length; at++) sums[at] = reader.signed();
  }
  return of;
}
