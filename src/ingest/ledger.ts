import type { EvidenceArm, Shard, Shards } from '../domain/evidence.ts';
import { binOf } from '../domain/histogram.ts';
import { metrics } from '../domain/metrics.ts';
import type { Vital } from '../domain/signal.ts';
import type { CellRow, IngestStat, ShardRow } from '../store/store.ts';
import { addCount, addObservation, type CellSums, emptyCell } from './cell.ts';
import type { Client } from './client.ts';

const shardCount = 64;
const hourMs = 3_600_000;

/** To whom something is booked. */
export interface Account {
  readonly rollout: number;
  readonly epoch: number;
  readonly arm: EvidenceArm;
}

export type CellKey = Omit<CellRow, 'blob'>;
export type ShardKey = Omit<ShardRow, 'shards'>;
/** 64 shards x 6 sums in the order of `Shard`. */
export type ShardSums = Float64Array;
const shardFields = 6;

export const cellKeyText = (key: CellKey): string =>
  `${key.bucket}|${key.rollout}|${key.epoch}|${key.arm}|${key.dim}|${key.val}`;
export const shardKeyText = (key: ShardKey): string => `${key.rollout}|${key.epoch}|${key.arm}|${key.metric}`;

/** Signed differences that one batch makes to the stored sums. */
export interface Ledger {
  readonly cells: ReadonlyMap<string, { readonly key: CellKey; readonly sums: CellSums }>;
  readonly shards: ReadonlyMap<string, { readonly key: ShardKey; readonly sums: ShardSums }>;
  readonly stats: ReadonlyMap<string, IngestStat>;
  /** A counter in the pooled bucket of `at`, and in the hour of each dimension when the client is known. */
  count(account: Account, name: string, at: number, client: Client | null, by: 1 | -1): void;
  /** One observation of a value in stored units: pooled, per dimension, and in its unit's shard. */
  observe(account: Account, seen: Observation, by: 1 | -1): void;
  /** A message of this arm was received, whatever it says. */
  heard(account: Account, at: number): void;
  stat(at: number, reason: string): void;
}

interface Observation {
  readonly metric: Vital;
  readonly value: number;
  readonly at: number;
  readonly client: Client;
  readonly shard: number;
}

export function createLedger(bucketMs: number): Ledger {
  const cells = new Map<string, { key: CellKey; sums: CellSums }>();
  const shards = new Map<string, { key: ShardKey; sums: ShardSums }>();
  const stats = new Map<string, { bucket: number; reason: string; n: number }>();

  const cell = ({ rollout, epoch, arm }: Account, at: number, width: number, dim: string, val: string): CellSums => {
    const key = { bucket: Math.floor(at / width) * width, rollout, epoch, arm, dim, val };
    const text = cellKeyText(key);
    const known = cells.get(text);
    if (known !== undefined) return known.sums;
    const sums = emptyCell();
    cells.set(text, { key, sums });
    return sums;
  };
  // What is booked in a row mostly goes to the same four cells: finding them costs more than adding to them.
  let last: { account: Account; client: Client | null; bucket: number; cells: readonly CellSums[] } | null = null;
  const everyCell = (account: Account, at: number, client: Client | null): readonly CellSums[] => {
    const bucket = Math.floor(at / bucketMs);
    if (last?.account === account && last.client === client && last.bucket === bucket) return last.cells;
    // The bucket's hour, not the instant's: then every bucket is in one hour, whatever its width.
    const start = bucket * bucketMs;
    const pooled = cell(account, start, bucketMs, '', '');
    const found =
      client === null
        ? [pooled]
        : [
            pooled,
            cell(account, start, hourMs, 'device', client.device),
            cell(account, start, hourMs, 'browser', client.browser),
            cell(account, start, hourMs, 'region', client.region),
          ];
    last = { account, client, bucket, cells: found };
    return found;
  };

  return {
    cells,
    shards,
    stats,
    count(account, name, at, client, by) {
      for (const sums of everyCell(account, at, client)) addCount(sums, name, by);
    },
    observe(account, { metric, value, at, client, shard }, by) {
      for (const sums of everyCell(account, at, client)) addObservation(sums, metric, value, by);
      const { rollout, epoch, arm } = account;
      const key = { rollout, epoch, arm, metric };
      const text = shardKeyText(key);
      const entry = shards.get(text) ?? { key, sums: new Float64Array(shardCount * shardFields) };
      shards.set(text, entry);
      addToShard(entry.sums, shard, metric, value, by);
    },
    heard(account, at) {
      const sums = cell(account, at, bucketMs, '', '');
      sums.newestAt = Math.max(sums.newestAt, at);
    },
    stat(at, reason) {
      const bucket = Math.floor(at / bucketMs) * bucketMs;
      const entry = stats.get(`${bucket}|${reason}`) ?? { bucket, reason, n: 0 };
      entry.n += 1;
      stats.set(`${bucket}|${reason}`, entry);
    },
  };
}

function addToShard(sums: ShardSums, shard: number, metric: Vital, value: number, by: 1 | -1): void {
  const { winsor, bad1, bad2 } = metrics[metric];
  const capped = Math.min(value, winsor);
  const observed = [1, capped, capped * capped, value > bad1 ? 1 : 0, value > bad2 ? 1 : 0, binOf(value)];
  for (const [field, amount] of observed.entries()) {
    const at = shard * shardFields + field;
    sums[at] = (sums[at] ?? 0) + by * amount;
  }
}

export const emptyShards = (): ShardSums => new Float64Array(shardCount * shardFields);

export function addShards(to: ShardSums, sums: ShardSums): void {
  for (let at = 0; at < to.length; at++) to[at] = (to[at] ?? 0) + (sums[at] ?? 0);
}

export function shardsOf(sums: ShardSums): Shards {
  const shards: Shard[] = [];
  for (let at = 0; at < sums.length; at += shardFields) {
    const [n = 0, sum = 0, sumSq = 0, bad1 = 0, bad2 = 0, sumBin = 0] = sums.subarray(at, at + shardFields);
    shards.push({ n, sum, sumSq, bad1, bad2, sumBin });
  }
  return shards;
}

export const sumsOfShards = (shards: Shards): ShardSums =>
  Float64Array.from(shards.flatMap(({ n, sum, sumSq, bad1, bad2, sumBin }) => [n, sum, sumSq, bad1, bad2, sumBin]));
