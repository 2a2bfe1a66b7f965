import type { Evidence } from '../domain/evidence.ts';
import type { Reference, Rollout, RolloutState } from '../domain/rollout.ts';
import type { Vital } from '../domain/signal.ts';
import { createBook, type To, type ViewReport } from './book.ts';
import { type PageViews, readHistory } from './stdio-columns.ts';
import type { Slot, StdioSignal } from './stdio-policy.ts';
import { referenceOf, scaleOf, storedValue } from './stdio-values.ts';

/** Page views of a driver as the evidence that beacons would have made. */
export interface StdioEvidence {
  /** What history alone has frozen. */
  readonly references: Rollout['references'];
  /** From now on the stage means this epoch. */
  enter(state: RolloutState): void;
  /** Books page views; `wallOf` tells the wall ms of a minute, and nothing happens after `now`. */
  take(views: PageViews, wallOf: (minute: number) => number, now: number): void;
  read(rollout: Rollout, now: number): Evidence;
}

interface Column {
  readonly name: string;
  readonly slot: Slot;
}

const bucketMs = 60_000;
const hourMs = 3_600_000;
/** Besides the longest maturity: who was idle for so long and comes back counts as somebody else. */
const idleMs = 24 * hourMs;

export function createEvidence(
  signals: readonly StdioSignal[],
  history: { readonly [column: string]: unknown },
): StdioEvidence {
  const columns: Column[] = signals.map(({ metric, slot }) => ({ name: metric.name, slot }));
  const past = new Map(columns.map(({ name }) => [name, readHistory(history, name)]));
  const conversions = maturities(signals);
  const book = createBook({ bucketMs, conversions });
  const rememberMs = idleMs + Math.max(0, ...conversions.values());
  let forgotAt = Number.NEGATIVE_INFINITY;
  /** By stage, where its page views go. */
  const open = new Map<number, { readonly treatment: To; readonly control: To }>();
  const scales = new Map<string, number>();

  /** Chosen once, by history or else by the first values: one metric has one unit. */
  const scaleFor = (name: string, vital: Vital, cells: Float64Array): number => {
    const known = scales.get(name);
    if (known !== undefined) return known;
    const values = presentIn(cells);
    const scale = scaleOf(vital, name, values);
    if (values.length > 0) scales.set(name, scale);
    return scale;
  };
  const references: { [vital: string]: Reference } = {};
  for (const { name, slot } of columns) {
    const values = past.get(name) ?? new Float64Array();
    if (slot.to !== 'vital' || values.length === 0) continue;
    const reference = referenceOf(slot.vital, values, scaleFor(name, slot.vital, values));
    if (reference !== null) references[slot.vital] = reference;
  }

  return {
    references,
    enter({ stage, epoch }) {
      open.set(stage, { treatment: { epoch, stage, arm: 'treatment' }, control: { epoch, stage, arm: 'control' } });
    },
    take(views, wallOf, now) {
      const filled = columns.map(({ name, slot }): Filled => {
        const cells = views.values.get(name) ?? new Float64Array(views.n).fill(Number.NaN);
        return { slot, cells, scale: slot.to === 'vital' ? scaleFor(name, slot.vital, cells) : 1 };
      });
      for (const row of inOrder(views.eventMinute)) {
        const arms = open.get(views.stage[row] ?? -1);
        if (arms === undefined) continue;
        const to = views.cohort[row] === 1 ? arms.treatment : arms.control;
        const at = Math.min(wallOf(views.eventMinute[row] ?? 0), now - 1);
        book.view(to, views.session[row] ?? '', at, reportOf(filled, row));
      }
      if (now - forgotAt < hourMs) return;
      forgotAt = now;
      book.forget(now - rememberMs);
    },
    read: ({ state, references: frozen }, now) =>
      book.evidence(now, { epoch: state.epoch, matureLagMs: 0, references: frozen }),
  };
}

/** One column of one message. */
interface Filled {
  readonly slot: Slot;
  readonly cells: Float64Array;
  readonly scale: number;
}

const none: readonly string[] = [];

function presentIn(cells: Float64Array): Float64Array {
  return cells.filter((value) => !Number.isNaN(value));
}

function reportOf(columns: readonly Filled[], row: number): ViewReport {
  const vitals: { [vital in Vital]?: number } = {};
  let conversions = none;
  let error = false;
  for (const { slot, cells, scale } of columns) {
    const value = cells[row] ?? Number.NaN;
    if (slot.to === 'vital') {
      const kept = storedValue(slot.vital, value, scale);
      if (kept !== null) vitals[slot.vital] = kept;
    } else if (value > 0) {
      if (slot.to === 'error') error = true;
      else conversions = [...conversions, slot.name];
    }
  }
  return { vitals, error, conversions, ended: false };
}

function maturities(signals: readonly StdioSignal[]): ReadonlyMap<string, number> {
  return new Map(
    signals.flatMap(({ slot, signal }) => (slot.to === 'conversion' ? [[slot.name, signal.spec.maturity]] : [])),
  );
}

/** Rows by when they happened: the book is told of a unit's first page view first. */
function inOrder(eventMinute: Float64Array): Uint32Array {
  const rows = new Uint32Array(eventMinute.length).map((_, row) => row);
  const isSorted = eventMinute.every((minute, row) => row === 0 || minute >= (eventMinute[row - 1] ?? 0));
  return isSorted ? rows : rows.sort((a, b) => (eventMinute[a] ?? 0) - (eventMinute[b] ?? 0) || a - b);
}
