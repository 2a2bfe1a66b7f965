import type { Evidence, EvidenceArm } from '../domain/evidence.ts';
import { byteReader } from '../ingest/bytes.ts';
import { type ArmSums, addSums, shardsOf, sumsNamed, unitSumsOf } from '../ingest/sums.ts';
import type { SumRow } from '../store/store.ts';

type StampedRow = SumRow & { readonly writer: string; readonly flush: number };
type Kind = 'shards' | 'units' | 'counts';

/** Sums of one rollout in memory: over units, and over shards of units. */
export interface UnitSumsReader {
  /** Stamp of the newest row that was taken in; 0 before the first. */
  newestFlush(): number;
  /** Takes in rows; a row replaces the one of the same epoch, arm and writer. */
  take(rows: readonly StampedRow[]): void;
  /** Sums over epochs, from one on, and over writers, as of now: what is asked for is made the first time. */
  read(fromEpoch: number): Pick<Evidence, 'shards' | 'units' | 'shardCounts'>;
}

export function createUnitSums(): UnitSumsReader {
  const rows = new Map<string, StampedRow>();
  let flush = 0;

  return {
    newestFlush: () => flush,
    take(news) {
      for (const row of news) {
        flush = Math.max(flush, row.flush);
        const name = `${row.epoch}|${row.arm}|${row.writer}`;
        const before = rows.get(name);
        // Of two reads that overlap, the older may answer last.
        if (before === undefined || before.flush <= row.flush) rows.set(name, row);
      }
    },
    read(fromEpoch) {
      const counted = [...rows.values()].filter((row) => row.epoch >= fromEpoch);
      const shards = once(() => byName(counted, 'shards', (sums) => (sums === undefined ? [] : shardsOf(sums))));
      const units = once(() => byName(counted, 'units', (sums) => unitSumsOf(sums ?? new Float64Array())));
      const shardCounts = once(() => byName(counted, 'counts', (sums) => [...(sums ?? new Float64Array(64))]));
      return {
        get shards() {
          return shards();
        },
        get units() {
          return units();
        },
        get shardCounts() {
          return shardCounts();
        },
      };
    },
  };
}

function once<T extends object>(make: () => T): () => T {
  let made: T | null = null;
  return () => {
    made ??= make();
    return made;
  };
}

/** Every name that either arm has, in order, with both arms. */
function byName<T>(
  rows: readonly StampedRow[],
  kind: Kind,
  read: (sums: Float64Array | undefined) => T,
): { readonly [name: string]: { readonly [arm in EvidenceArm]: T } } {
  const sumsOf = (arm: EvidenceArm) => {
    const total: ArmSums = new Map();
    for (const row of rows) if (row.arm === arm) addSums(total, sumsOfKind(row, kind), 1);
    return new Map(sumsNamed(total, kind));
  };
  const [treatment, control] = [sumsOf('treatment'), sumsOf('control')];
  const names = [...new Set([...treatment.keys(), ...control.keys()])].sort();
  return Object.fromEntries(
    names.map((name) => [name, { treatment: read(treatment.get(name)), control: read(control.get(name)) }]),
  );
}

/** Rows of closed epochs do not change: they are decoded once. */
const decoded = new WeakMap<StampedRow, Map<Kind, ArmSums>>();

function sumsOfKind(row: StampedRow, kind: Kind): ArmSums {
  const known = decoded.get(row) ?? new Map<Kind, ArmSums>();
  decoded.set(row, known);
  const sums = known.get(kind) ?? decodeKind(row.blob, kind);
  known.set(kind, sums);
  return sums;
}

/** Of `decodeSums`, one kind: the shards are nearly all of a blob, and hardly anybody asks for them. */
function decodeKind(blob: Uint8Array, kind: Kind): ArmSums {
  const reader = byteReader(blob);
  if (reader.byte() !== 1) throw new RangeError('no sums of version 1');
  const of: ArmSums = new Map();
  while (reader.at < blob.length) {
    const name = reader.text();
    const length = reader.unsigned();
    if (!name.startsWith(`${kind}:`)) {
      reader.skipTo(behind(blob, reader.at, length));
      continue;
    }
    const sums = new Float64Array(length);
    for (let at = 0; at < length; at++) sums[at] = reader.signed();
    of.set(name, sums);
  }
  return of;
}

/** Where so many integers end: the last byte of each is below 128. */
function behind(blob: Uint8Array, from: number, integers: number): number {
  let at = from;
  for (let left = integers; left > 0 && at < blob.length; at++) if ((blob[at] ?? 0) < 128) left--;
  return at;
}
