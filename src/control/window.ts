import type { EvidenceArm, Stratum, Trials } from '../domain/evidence.ts';
import { isMetric } from '../domain/metrics.ts';
import type { CellRow } from '../store/store.ts';
import { bitOf, type CellAdder, type CellSum, createCellAdder, noSum, type Tallies } from './cell-adder.ts';

type StampedRow = CellRow & { readonly flush: number };
type Cuts = readonly (readonly [metric: string, since: number])[];
type PerArm<T> = { readonly [arm in EvidenceArm]: T };

/** How long the units of each conversion need, ms, and since when they have had it. */
export interface Maturity {
  readonly asOf: number;
  readonly maturities: ReadonlyMap<string, number>;
}

/** Cells of one rollout in memory, summed up by hour. */
export interface EvidenceWindow {
  /** Stamp of the newest cell that was taken in; 0 before the first. */
  newestFlush(): number;
  /** Takes in rows; a row replaces the one of the same bucket, epoch and arm. */
  take(rows: readonly StampedRow[]): void;
  /** Leaves out observations of each metric in buckets before its `since`. */
  cut(cuts: Cuts): void;
  /** Sums up an hour that a cut has changed; false when none was left. `strata` would do them all at once. */
  resum(): boolean;
  /** Drops buckets that start before an instant: the store drops them too, some time within the hour. */
  forgetBefore(start: number): void;
  /**
   * Hours, oldest first, then epochs, from one epoch on. Buckets that ended by `matureBefore` are mature. A stratum is
   * the same object as the last time unless something in it changed: the judge remembers what it made of it.
   */
  strata(
    fromEpoch: number,
    matureBefore: number,
    stageOf?: (epoch: number) => number,
    maturity?: Maturity,
  ): readonly Stratum[];
  /** Receive time of the newest message of an epoch, per arm. */
  newest(epoch: number): PerArm<number | null>;
}

interface Bucket {
  readonly start: number;
  readonly flush: number;
  /** As stored: decoding it again costs less than keeping thousands of histograms. */
  readonly blob: Uint8Array;
  readonly tallies: Tallies;
}

interface ArmHour {
  readonly buckets: Map<number, Bucket>;
  sum: CellSum;
  /** A cut has changed what counts: `sum` is to be summed up again. */
  isStale: boolean;
}

/** New rows of one hour of one arm. */
interface News {
  readonly of: ArmHour;
  readonly epoch: number;
  readonly arm: EvidenceArm;
  readonly rows: readonly StampedRow[];
}

interface Hour extends PerArm<ArmHour> {
  readonly epoch: number;
  readonly hour: number;
  stratum: Stratum | null;
  /** Nothing can change in `stratum` but by new rows: for which names of conversions. */
  settled: string | null;
}

const hourMs = 3_600_000;
/** Of a conversion that no signal declares, ms. */
const usualMaturity = 30 * 60_000;
const neverMature: Maturity = { asOf: Number.NEGATIVE_INFINITY, maturities: new Map() };
const arms = ['treatment', 'control'] as const;
const newArmHour = (): ArmHour => ({ buckets: new Map(), sum: noSum, isStale: false });

export function createWindow(bucketMs: number, adder: CellAdder = createCellAdder()): EvidenceWindow {
  const hours = new Map<string, Hour>();
  const newest = new Map<number, { [arm in EvidenceArm]: number }>();
  const conversions = new Set<string>();
  let since: ReadonlyMap<string, number> = new Map();
  let flush = 0;
  let ordered: readonly Hour[] | null = null;
  let latest: Hour | null = null;
  let stale: Hour[] = [];

  /** Metrics that do not count in a bucket. */
  const cutFrom = (start: number): number => {
    let cut = 0;
    for (const [metric, from] of since) if (start < from && isMetric(metric)) cut |= bitOf(metric);
    return cut;
  };

  const hourOf = (epoch: number, start: number): Hour => {
    const hour = Math.floor(start / hourMs) * hourMs;
    if (latest !== null && latest.hour === hour && latest.epoch === epoch) return latest;
    const key = `${hour}|${epoch}`;
    const known = hours.get(key);
    latest = known ?? { epoch, hour, treatment: newArmHour(), control: newArmHour(), stratum: null, settled: null };
    if (known === undefined) {
      hours.set(key, latest);
      ordered = null;
    }
    return latest;
  };

  const inOrder = (): readonly Hour[] => {
    ordered ??= [...hours.values()].sort((a, b) => a.hour - b.hour || a.epoch - b.epoch);
    return ordered;
  };

  const freshen = (of: ArmHour): void => {
    if (!of.isStale) return;
    adder.start(noSum);
    for (const { start, blob } of of.buckets.values()) adder.add(blob, 1, cutFrom(start));
    of.sum = adder.finish();
    of.isStale = false;
  };

  const hear = (epoch: number, arm: EvidenceArm, at: number): void => {
    const known = newest.get(epoch) ?? { treatment: 0, control: 0 };
    newest.set(epoch, known);
    if (at > known[arm]) known[arm] = at;
  };

  const takeInto = ({ of, epoch, arm, rows }: News): void => {
    freshen(of);
    adder.start(of.sum);
    let heardAt = 0;
    for (const { bucket: start, blob, flush: stamp } of rows) {
      const before = of.buckets.get(start);
      // Of two reads that overlap, the older may answer last.
      if (before !== undefined && before.flush >= stamp) continue;
      const cut = cutFrom(start);
      if (before !== undefined) adder.add(before.blob, -1, cut);
      const tallies = adder.add(blob, 1, cut);
      of.buckets.set(start, { start, flush: stamp, blob, tallies });
      if (tallies.newestAt > heardAt) heardAt = tallies.newestAt;
      for (const [name] of tallies.converted) conversions.add(name);
    }
    of.sum = adder.finish();
    hear(epoch, arm, heardAt);
  };

  const strataOf = (hour: Hour, stage: number, names: readonly string[], cuts: readonly number[]): Stratum => {
    for (const arm of arms) freshen(hour[arm]);
    const { treatment, control, stratum: before } = hour;
    const trials = { treatment: trialsOf(treatment, names, cuts), control: trialsOf(control, names, cuts) };
    const after: Stratum = {
      epoch: hour.epoch,
      stage,
      hour: hour.hour,
      treatment: treatment.sum.cell,
      control: control.sum.cell,
      mature: { treatment: trials.treatment.mature, control: trials.control.mature },
      converted: { treatment: trials.treatment.converted, control: trials.control.converted },
    };
    hour.stratum = before !== null && isSame(before, after, names) ? before : after;
    return hour.stratum;
  };

  const trialsOf = (of: ArmHour, names: readonly string[], cuts: readonly number[]) => {
    const [matureBefore = 0] = cuts;
    const mature = { issued: 0, seen: 0 };
    const trials = names.map(() => ({ n: 0, x: 0 }));
    for (const { start, tallies } of of.buckets.values()) {
      const end = start + bucketMs;
      if (end <= matureBefore) {
        mature.issued += tallies.issued;
        mature.seen += tallies.seen;
      }
      for (const [index, each] of trials.entries()) {
        if (end > (cuts[index + 1] ?? 0)) continue;
        each.n += tallies.exposed;
        for (const [name, units] of tallies.converted) if (name === names[index]) each.x += units;
      }
    }
    const converted: { [name: string]: Trials } = {};
    for (const [index, each] of trials.entries()) converted[names[index] ?? ''] = each;
    return { mature, converted };
  };

  return {
    newestFlush: () => flush,
    take(rows) {
      const news = new Map<ArmHour, News & { readonly rows: StampedRow[] }>();
      for (const row of rows) {
        if (row.flush > flush) flush = row.flush;
        if (row.arm === 'rest') continue;
        const hour = hourOf(row.epoch, row.bucket);
        hour.settled = null;
        const of = hour[row.arm];
        const known = news.get(of);
        if (known === undefined) news.set(of, { of, epoch: row.epoch, arm: row.arm, rows: [row] });
        else known.rows.push(row);
      }
      for (const its of news.values()) takeInto(its);
    },
    cut(cuts) {
      if (cuts.length === since.size && cuts.every(([metric, from]) => since.get(metric) === from)) return;
      since = new Map(cuts);
      // A reference is set once in a rollout's life: summing everything again then is cheaper than keeping it apart.
      for (const hour of hours.values()) {
        hour.settled = null;
        for (const arm of arms) hour[arm].isStale = true;
      }
      stale = [...hours.values()];
    },
    resum() {
      const hour = stale.pop();
      if (hour === undefined) return false;
      for (const arm of arms) freshen(hour[arm]);
      return true;
    },
    forgetBefore(start) {
      for (const hour of inOrder()) {
        if (hour.hour >= start) break;
        for (const arm of arms) forgetIn(hour, hour[arm], start);
        if (hour.treatment.buckets.size + hour.control.buckets.size > 0) continue;
        hours.delete(`${hour.hour}|${hour.epoch}`);
        ordered = null;
        latest = null;
      }
    },
    strata(fromEpoch, matureBefore, stageOf = () => -1, { asOf, maturities } = neverMature) {
      const names = asOf === neverMature.asOf ? [] : [...new Set([...maturities.keys(), ...conversions])].sort();
      const cuts = [matureBefore, ...names.map((name) => asOf - (maturities.get(name) ?? usualMaturity))];
      const settledBefore = Math.min(...cuts);
      const all = names.join();
      const strata: Stratum[] = [];
      for (const hour of inOrder()) {
        if (hour.epoch < fromEpoch) continue;
        const stage = stageOf(hour.epoch);
        const known = hour.stratum;
        const isSettled = hour.hour + hourMs + bucketMs <= settledBefore;
        if (isSettled && hour.settled === all && known !== null && known.stage === stage) {
          strata.push(known);
          continue;
        }
        strata.push(strataOf(hour, stage, names, cuts));
        hour.settled = isSettled ? all : null;
      }
      return strata;
    },
    newest(epoch) {
      const known = newest.get(epoch);
      return { treatment: known?.treatment || null, control: known?.control || null };
    },
  };

  function forgetIn(hour: Hour, of: ArmHour, start: number): void {
    const gone = [...of.buckets.values()].filter((bucket) => bucket.start < start);
    if (gone.length === 0) return;
    freshen(of);
    hour.settled = null;
    adder.start(of.sum);
    for (const bucket of gone) {
      adder.add(bucket.blob, -1, cutFrom(bucket.start));
      of.buckets.delete(bucket.start);
    }
    of.sum = adder.finish();
  }
}

function isSame(before: Stratum, after: Stratum, names: readonly string[]): boolean {
  if (before.stage !== after.stage) return false;
  return arms.every((arm) => {
    const [was, is] = [before.mature[arm], after.mature[arm]];
    if (before[arm] !== after[arm] || was.issued !== is.issued || was.seen !== is.seen) return false;
    const [converted, now] = [before.converted[arm], after.converted[arm]];
    if (Object.keys(converted).length !== names.length) return false;
    return names.every((name) => converted[name]?.n === now[name]?.n && converted[name]?.x === now[name]?.x);
  });
}
