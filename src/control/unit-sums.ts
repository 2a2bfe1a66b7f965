import type { Evidence, EvidenceArm } from '../domain/evidence.ts';
import { type ArmSums, addSums, decodeSums, shardsOf, sumsNamed, unitSumsOf } from '../ingest/sums.ts';
import type { SumRow } from '../store/store.ts';

type StampedRow = SumRow & { readonly writer: string; readonly flush: number };

/** Sums of one rollout in memory: over units, and over shards of units. */
export interface UnitSumsReader {
  /** Stamp of the newest row that was taken in; 0 before the first. */
  newestFlush(): number;
  /** Takes in rows; a row replaces the one of the same epoch, arm and writer. */
  take(rows: readonly StampedRow[]): void;
  /** Sums over epochs, from one on, and over writers. */
  read(fromEpoch: number): Pick<Evidence, 'shards' | 'units' | 'shardCounts'>;
}

export function createUnitSums(): UnitSumsReader {
  const rows = new Map<string, StampedRow>();
  let totals: { from: number } & { readonly [arm in EvidenceArm]: ArmSums } = {
    from: 0,
    treatment: new Map(),
    control: new Map(),
  };
  let flush = 0;

  const add = (row: StampedRow, by: 1 | -1): void => {
    if (row.epoch >= totals.from) addSums(totals[row.arm], decodeSums(row.blob), by);
  };

  return {
    newestFlush: () => flush,
    take(news) {
      for (const row of news) {
        flush = Math.max(flush, row.flush);
        const name = `${row.epoch}|${row.arm}|${row.writer}`;
        const before = rows.get(name);
        // Of two reads that overlap, the older may answer last.
        if (before !== undefined && before.flush > row.flush) continue;
        if (before !== undefined) add(before, -1);
        add(row, 1);
        rows.set(name, row);
      }
    },
    read(fromEpoch) {
      if (fromEpoch !== totals.from) {
        totals = { from: fromEpoch, treatment: new Map(), control: new Map() };
        for (const row of rows.values()) add(row, 1);
      }
      return {
        shards: byName(totals, 'shards', (sums) => (sums === undefined ? [] : shardsOf(sums))),
        units: byName(totals, 'units', (sums) => unitSumsOf(sums ?? new Float64Array())),
        shardCounts: byName(totals, 'counts', (sums) => [...(sums ?? new Float64Array(64))]),
      };
    },
  };
}

/** Every name that either arm has, in order, with both arms. */
function byName<T>(
  { treatment, control }: { readonly [arm in EvidenceArm]: ArmSums },
  kind: 'shards' | 'units' | 'counts',
  read: (sums: Float64Array | undefined) => T,
): { readonly [name: string]: { readonly [arm in EvidenceArm]: T } } {
  const [ofTreatment, ofControl] = [new Map(sumsNamed(treatment, kind)), new Map(sumsNamed(control, kind))];
  const names = [...new Set([...ofTreatment.keys(), ...ofControl.keys()])].sort();
  return Object.fromEntries(
    names.map((name) => [name, { treatment: read(ofTreatment.get(name)), control: read(ofControl.get(name)) }]),
  );
}
