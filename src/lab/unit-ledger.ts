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

/** Sums over the units of one metric and arm: exact ones by telescoping, and those of 64 shards. */
export interface UnitLedger {
  /** A unit had `before` and now has `more` on top; `before.n` = 0 for a new one (stats.md §4). */
  add(shard: number, before: UnitTotals | null, more: UnitTotals): void;
  sums(): UnitSums;
  /** The shards as they are now; made when they are read. */
  shards(): () => Shards;
}

interface Moments {
  y: number;
  yy: number;
  yn: number;
}

export function createUnitLedger(): UnitLedger {
  const shards = new Float64Array(shardCount * shardFields);
  const bad1 = noMoments();
  const bad2 = noMoments();
  const bins = noMoments();
  let k = 0;
  let n = 0;
  let nn = 0;
  return {
    add(shard, before, more) {
      const had = before?.n ?? 0;
      if (had === 0) k += 1;
      n += more.n;
      nn += more.n * (2 * had + more.n);
      grow(bad1, had, more.n, before?.bad1 ?? 0, more.bad1);
      grow(bad2, had, more.n, before?.bad2 ?? 0, more.bad2);
      grow(bins, had, more.n, before?.bins ?? 0, more.bins);
      const at = shard * shardFields;
      bump(shards, at, more.n);
      bump(shards, at + 1, more.sum);
      bump(shards, at + 2, more.sumSq);
      bump(shards, at + 3, more.bad1);
      bump(shards, at + 4, more.bad2);
      bump(shards, at + 5, more.bins);
    },
    sums: () => ({ k, n, nn, bad1: { ...bad1 }, bad2: { ...bad2 }, bins: { ...bins } }),
    shards() {
      const now = shards.slice();
      return () => shardsOf(now);
    },
  };
}

const noMoments = (): Moments & Clustered => ({ y: 0, yy: 0, yn: 0 });

/** Adds `more` to a unit's Y and `views` to its N. */
function grow(moments: Moments, had: number, views: number, before: number, more: number): void {
  moments.y += more;
  moments.yy += more * (2 * before + more);
  moments.yn += before * views + more * (had + views);
}

function bump(sums: Float64Array, at: number, by: number): void {
  sums[at] = (sums[at] ?? 0) + by;
}

function shardsOf(sums: Float64Array): Shards {
  const shards: Shard[] = [];
  for (let at = 0; at < sums.length; at += shardFields) {
    const [n = 0, sum = 0, sumSq = 0, bad1 = 0, bad2 = 0, sumBin = 0] = sums.subarray(at, at + shardFields);
    shards.push({ n, sum, sumSq, bad1, bad2, sumBin });
  }
  return shards;
}
