import type { Clustered, Shard, Shards, UnitSums } from '../domain/evidence.ts';

/** What page views of one unit add up to, of one metric. */
export interface UnitTotals {
  n: number;
  /** Of winsorised values in the stored unit, and of their squares. */
  sum: number;
  sumSq: number;
  bad1: number;
  bad2: number;
  bins: number;
}

export const noTotals = (): UnitTotals => ({ n: 0, sum: 0, sumSq: 0, bad1: 0, bad2: 0, bins: 0 });

export const shardCount = 64;
const shardFields = 6;
const shardSize = shardCount * shardFields;
/** k, n, nn, then y, yy, yn of each of bad1, bad2, bins. */
const unitFields = 12;

/** Sums over units, exact by telescoping, and those of 64 shards; one slot per metric and arm. */
export interface UnitLedger {
  /** A unit had `before` and now has `more` on top; `before.n` = 0 for a new one (stats.md §4). */
  add(slot: number, shard: number, before: UnitTotals, more: UnitTotals): void;
  isEmpty(slot: number): boolean;
  clear(slot: number): void;
  sums(slot: number): UnitSums;
  /** None of a slot without page views. */
  shards(slot: number): Shards;
}

export function createUnitLedger(slots: number): UnitLedger {
  const shards = new Float64Array(slots * shardSize);
  const units = new Float64Array(slots * unitFields);

  /** Adds `more` to a unit's Y and `views` to its N. */
  function grow(at: number, had: number, views: number, before: number, more: number): void {
    bump(units, at, more);
    bump(units, at + 1, more * (2 * before + more));
    bump(units, at + 2, before * views + more * (had + views));
  }

  function clustered(at: number): Clustered {
    return { y: units[at] ?? 0, yy: units[at + 1] ?? 0, yn: units[at + 2] ?? 0 };
  }

  return {
    add(slot, shard, before, more) {
      const unit = slot * unitFields;
      if (before.n === 0) bump(units, unit, 1);
      bump(units, unit + 1, more.n);
      bump(units, unit + 2, more.n * (2 * before.n + more.n));
      grow(unit + 3, before.n, more.n, before.bad1, more.bad1);
      grow(unit + 6, before.n, more.n, before.bad2, more.bad2);
      grow(unit + 9, before.n, more.n, before.bins, more.bins);
      const at = slot * shardSize + shard * shardFields;
      bump(shards, at, more.n);
      bump(shards, at + 1, more.sum);
      bump(shards, at + 2, more.sumSq);
      bump(shards, at + 3, more.bad1);
      bump(shards, at + 4, more.bad2);
      bump(shards, at + 5, more.bins);
    },
    isEmpty: (slot) => units[slot * unitFields] === 0,
    clear(slot) {
      units.fill(0, slot * unitFields, (slot + 1) * unitFields);
      shards.fill(0, slot * shardSize, (slot + 1) * shardSize);
    },
    sums(slot) {
      const at = slot * unitFields;
      return {
        k: units[at] ?? 0,
        n: units[at + 1] ?? 0,
        nn: units[at + 2] ?? 0,
        bad1: clustered(at + 3),
        bad2: clustered(at + 6),
        bins: clustered(at + 9),
      };
    },
    shards: (slot) => shardsOf(shards.subarray(slot * shardSize, (slot + 1) * shardSize)),
  };
}

export function bump(sums: Float64Array, at: number, by: number): void {
  sums[at] = (sums[at] ?? 0) + by;
}

function shardsOf(sums: Float64Array): Shards {
  const shards: Shard[] = [];
  if (sums.every((sum) => sum === 0)) return shards;
  for (let at = 0; at < sums.length; at += shardFields) {
    shards.push({
      n: sums[at] ?? 0,
      sum: sums[at + 1] ?? 0,
      sumSq: sums[at + 2] ?? 0,
      bad1: sums[at + 3] ?? 0,
      bad2: sums[at + 4] ?? 0,
      sumBin: sums[at + 5] ?? 0,
    });
  }
  return shards;
}
