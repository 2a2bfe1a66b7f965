import type { EvidenceArm } from '../domain/evidence.ts';
import type { Vital } from '../domain/signal.ts';
import type { CellRow, IngestStat, SumRow } from '../store/store.ts';
import { addCount, addObservation, type CellSums, emptyCell } from './cell.ts';
import type { Client } from './client.ts';
import { type ArmSums, addShardCount, addToShard, addUnit } from './sums.ts';
import type { Tally } from './unit.ts';

const hourMs = 3_600_000;

/** From whom a batch heard it. Never stored. */
export interface Source {
  /** The token's unit, as text. */
  readonly visitor: string;
  /** The token's tag. */
  readonly tag: string;
  /** The /24 or /48 as text, as `networkOf` answers it. */
  readonly network: string;
  /** Receive time, epoch ms. */
  readonly at: number;
}

/** To whom something is booked. */
export interface Account {
  readonly rollout: number;
  readonly epoch: number;
  readonly arm: EvidenceArm;
  /** Null when no beacon told it. */
  readonly source: Source | null;
}

/** One entry of the books with its source, for telling networks apart: a counter, or a value of a metric. */
export interface Booking {
  readonly account: Account;
  readonly source: Source;
  /** Start of its hour, epoch ms. */
  readonly hour: number;
  readonly of: { readonly count: string } | { readonly metric: Vital; readonly value: number };
  readonly by: 1 | -1;
}

export type CellKey = Omit<CellRow, 'blob'>;
export type SumKey = Omit<SumRow, 'blob'>;

export const cellKeyText = (key: CellKey): string =>
  `${key.bucket}|${key.rollout}|${key.epoch}|${key.arm}|${key.dim}|${key.val}`;
export const sumKeyText = (key: SumKey): string => `${key.rollout}|${key.epoch}|${key.arm}`;

/** Signed differences that one batch makes to the stored sums. */
export interface Ledger {
  readonly cells: ReadonlyMap<string, { readonly key: CellKey; readonly sums: CellSums }>;
  readonly sums: ReadonlyMap<string, { readonly key: SumKey; readonly sums: ArmSums }>;
  readonly stats: ReadonlyMap<string, IngestStat>;
  /** What visitors' page views and exposed units come to, entry by entry. Kept in memory only. */
  readonly bookings: readonly Booking[];
  /** A counter in the pooled bucket of `at`, and in the hour of each dimension when the client is known. */
  count(account: Account, name: string, at: number, client: Client | null, by: 1 | -1): void;
  /** One observation of a value in stored units: pooled, per dimension, and in its unit's shard. */
  observe(account: Account, seen: Observation, by: 1 | -1): void;
  /** A unit of this shard, or one of its page views, under one name. */
  countInShard(account: Account, name: string, shard: number, by: 1 | -1): void;
  /** What one unit's page views of a metric come to. */
  tally(account: Account, metric: Vital, tally: Tally, by: 1 | -1): void;
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
  const sums = new Map<string, { key: SumKey; sums: ArmSums }>();
  const stats = new Map<string, { bucket: number; reason: string; n: number }>();
  const bookings: Booking[] = [];

  const cell = ({ rollout, epoch, arm }: Account, at: number, width: number, dim: string, val: string): CellSums => {
    const key = { bucket: Math.floor(at / width) * width, rollout, epoch, arm, dim, val };
    const text = cellKeyText(key);
    const known = cells.get(text);
    if (known !== undefined) return known.sums;
    const fresh = emptyCell();
    cells.set(text, { key, sums: fresh });
    return fresh;
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

  let lastSums: { account: Account; sums: ArmSums } | null = null;
  const armSums = (account: Account): ArmSums => {
    if (lastSums?.account === account) return lastSums.sums;
    const { rollout, epoch, arm } = account;
    const key = { rollout, epoch, arm };
    const text = sumKeyText(key);
    const entry = sums.get(text) ?? { key, sums: new Map() };
    sums.set(text, entry);
    lastSums = { account, sums: entry.sums };
    return entry.sums;
  };
  const hourOf = (at: number) => Math.floor((Math.floor(at / bucketMs) * bucketMs) / hourMs) * hourMs;

  return {
    cells,
    sums,
    stats,
    bookings,
    count(account, name, at, client, by) {
      for (const cell of everyCell(account, at, client)) addCount(cell, name, by);
      const { source } = account;
      // Without a client it is no page view and no exposure, but what the controller knows by itself.
      if (source === null || client === null) return;
      bookings.push({ account, source, hour: hourOf(at), of: { count: name }, by });
    },
    observe(account, { metric, value, at, client, shard }, by) {
      for (const cell of everyCell(account, at, client)) addObservation(cell, metric, value, by);
      addToShard(armSums(account), metric, shard, value, by);
      const { source } = account;
      if (source !== null) bookings.push({ account, source, hour: hourOf(at), of: { metric, value }, by });
    },
    countInShard(account, name, shard, by) {
      addShardCount(armSums(account), name, shard, by);
    },
    tally(account, metric, tally, by) {
      addUnit(armSums(account), metric, tally, by);
    },
    heard(account, at) {
      const pooled = cell(account, at, bucketMs, '', '');
      pooled.newestAt = Math.max(pooled.newestAt, at);
    },
    stat(at, reason) {
      const bucket = Math.floor(at / bucketMs) * bucketMs;
      const entry = stats.get(`${bucket}|${reason}`) ?? { bucket, reason, n: 0 };
      entry.n += 1;
      stats.set(`${bucket}|${reason}`, entry);
    },
  };
}
