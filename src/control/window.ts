import type { Cell, EvidenceArm, Stratum } from '../domain/evidence.ts';
import { isMetric } from '../domain/metrics.ts';
import { addCell, type CellSums, cellOf, decodeCell, emptyCell } from '../ingest/cell.ts';
import type { CellRow } from '../store/store.ts';

type StampedRow = CellRow & { readonly flush: number };
type Cuts = readonly (readonly [metric: string, since: number])[];

/** The pooled cells of one rollout in memory, summed up by hour. */
export interface EvidenceWindow {
  /** Stamp of the newest cell that was taken in; 0 before the first. */
  newestFlush(): number;
  /** Takes in rows; a row replaces the one of the same bucket, epoch and arm. */
  take(rows: readonly StampedRow[]): void;
  /** Leaves out observations of each metric in buckets before its `since`. */
  cut(cuts: Cuts): void;
  /** Drops buckets that start before an instant: the store drops them too, some time within the hour. */
  forgetBefore(start: number): void;
  /** Hours, oldest first, then epochs, from one epoch on. Buckets that ended by `matureBefore` are mature. */
  strata(fromEpoch: number, matureBefore: number): Omit<Stratum, 'stage'>[];
  /** Receive time of the newest message of an epoch, per arm. */
  newest(epoch: number): { readonly [arm in EvidenceArm]: number | null };
}

interface Bucket {
  readonly start: number;
  /** As stored: decoding it again costs less than keeping thousands of histograms. */
  readonly blob: Uint8Array;
  readonly issued: number;
  readonly seen: number;
}

interface ArmHour {
  readonly buckets: Map<number, Bucket>;
  sums: CellSums;
  /** The sums as evidence, until a bucket changes. */
  cell: Cell | null;
}

type Hour = { readonly epoch: number; readonly hour: number } & { readonly [arm in EvidenceArm]: ArmHour };

const hourMs = 3_600_000;
const newArmHour = (): ArmHour => ({ buckets: new Map(), sums: emptyCell(), cell: null });

export function createWindow(bucketMs: number): EvidenceWindow {
  const hours = new Map<string, Hour>();
  const newest = new Map<string, number>();
  let since: ReadonlyMap<string, number> = new Map();
  let flush = 0;

  /** The part of a bucket that counts, after the cuts. */
  const counted = (start: number, blob: Uint8Array): CellSums => {
    const cell = decodeCell(blob);
    for (const [metric, from] of since) {
      if (start >= from || !isMetric(metric)) continue;
      cell.metrics.delete(metric);
      cell.counts.delete(`u:${metric}`);
    }
    return cell;
  };

  const hourOf = (epoch: number, start: number): Hour => {
    const hour = Math.floor(start / hourMs) * hourMs;
    const key = `${hour}|${epoch}`;
    const known = hours.get(key) ?? { epoch, hour, treatment: newArmHour(), control: newArmHour() };
    hours.set(key, known);
    return known;
  };

  const mature = (of: ArmHour, before: number) => {
    let issued = 0;
    let seen = 0;
    for (const bucket of of.buckets.values()) {
      if (bucket.start + bucketMs > before) continue;
      issued += bucket.issued;
      seen += bucket.seen;
    }
    return { issued, seen };
  };

  const cellOfArm = (of: ArmHour): Cell => {
    of.cell ??= cellOf(of.sums);
    return of.cell;
  };

  return {
    newestFlush: () => flush,
    take(rows) {
      for (const row of rows) {
        flush = Math.max(flush, row.flush);
        if (row.arm === 'rest' || row.dim !== '') continue;
        const of = hourOf(row.epoch, row.bucket)[row.arm];
        const before = of.buckets.get(row.bucket);
        if (before !== undefined) addCell(of.sums, counted(row.bucket, before.blob), -1);
        const cell = counted(row.bucket, row.blob);
        addCell(of.sums, cell, 1);
        of.cell = null;
        of.buckets.set(row.bucket, {
          start: row.bucket,
          blob: row.blob,
          issued: cell.counts.get('issued') ?? 0,
          seen: cell.counts.get('seen') ?? 0,
        });
        const key = `${row.epoch}|${row.arm}`;
        newest.set(key, Math.max(cell.newestAt, newest.get(key) ?? 0));
      }
    },
    cut(cuts) {
      if (cuts.length === since.size && cuts.every(([metric, from]) => since.get(metric) === from)) return;
      since = new Map(cuts);
      // A reference is set once in a rollout's life: summing everything again then is cheaper than keeping it apart.
      for (const hour of hours.values()) {
        for (const of of [hour.treatment, hour.control]) {
          of.sums = emptyCell();
          of.cell = null;
          for (const { start, blob } of of.buckets.values()) addCell(of.sums, counted(start, blob), 1);
        }
      }
    },
    forgetBefore(start) {
      for (const [key, hour] of hours) {
        if (hour.hour >= start) continue;
        for (const of of [hour.treatment, hour.control]) {
          for (const bucket of of.buckets.values()) {
            if (bucket.start >= start) continue;
            addCell(of.sums, counted(bucket.start, bucket.blob), -1);
            of.cell = null;
            of.buckets.delete(bucket.start);
          }
        }
        if (hour.treatment.buckets.size + hour.control.buckets.size === 0) hours.delete(key);
      }
    },
    strata(fromEpoch, matureBefore) {
      return [...hours.values()]
        .filter(({ epoch }) => epoch >= fromEpoch)
        .sort((a, b) => a.hour - b.hour || a.epoch - b.epoch)
        .map(({ epoch, hour, treatment, control }) => ({
          epoch,
          hour,
          treatment: cellOfArm(treatment),
          control: cellOfArm(control),
          mature: { treatment: mature(treatment, matureBefore), control: mature(control, matureBefore) },
          converted: { treatment: {}, control: {} },
        }));
    },
    newest(epoch) {
      const of = (arm: EvidenceArm) => newest.get(`${epoch}|${arm}`) || null;
      return { treatment: of('treatment'), control: of('control') };
    },
  };
}
