import type { RumBatch, RumStore } from '../store/store.ts';
import { bounded } from './bounded.ts';
import { addCell, type CellSums, changesNothing, decodeCell, emptyCell, encodeCell } from './cell.ts';
import {
  type Folded,
  fold,
  type Issue,
  type Message,
  needs,
  pageViewKeyText,
  type Rules,
  unitKeyText,
} from './fold.ts';
import { type Booking, type CellKey, cellKeyText, type SumKey, sumKeyText } from './ledger.ts';
import { type ArmSums, addSums, addsNothing, decodeSums, encodeSums } from './sums.ts';
import { readUnit, type Unit, writeUnit } from './unit.ts';
import { type PageView, readPageView, writePageView } from './view.ts';

export type CommitterStore = Pick<RumStore, 'newestFlush' | 'pageViews' | 'units' | 'cells' | 'sums' | 'commit'>;

/** Rollouts whose sums a batch changed, its number, and what it booked. */
export interface Committed {
  readonly flush: number;
  readonly rollouts: ReadonlySet<number>;
  readonly bookings: readonly Booking[];
}

export interface Committer {
  /** Folds and commits one batch; throws what the store throws, and then nothing of it is counted. One at a time. */
  commit(messages: readonly Message[], issues: readonly Issue[]): Promise<Committed>;
  /** Number of the newest batch that is known to be committed; 0 before the first. */
  lastFlush(): number;
}

const rememberedPageViews = 40_000;
const rememberedUnits = 80_000;
const rememberedCells = 1_000;
const rememberedSums = 200;

type Cell = Folded['sums']['cells'] extends ReadonlyMap<string, infer C> ? C : never;
type Sums = Folded['sums']['sums'] extends ReadonlyMap<string, infer S> ? S : never;

/**
 * Reads what a batch needs, folds, writes. Everything in memory is a cache of committed rows, so a start after `kill -9`
 * and a start after a month are the same start.
 */
export function createCommitter(store: CommitterStore, rules: Rules): Committer {
  const pageViews = bounded<string, PageView>(rememberedPageViews);
  const units = bounded<string, Unit>(rememberedUnits);
  const cells = bounded<string, CellSums>(rememberedCells);
  const sums = bounded<string, ArmSums>(rememberedSums);
  let flush: number | null = null;

  /** The rows of this batch, held apart from the bounded caches: those may forget while the batch is being folded. */
  const recall = async (messages: readonly Message[], issues: readonly Issue[]) => {
    const wanted = needs(messages, issues);
    const knownViews = new Map<string, PageView>();
    const knownUnits = new Map<string, Unit>();
    const views = missing(wanted.pageViews, pageViews, knownViews);
    const owners = missing(wanted.units, units, knownUnits);
    if (views.length > 0) {
      for (const row of await store.pageViews(views)) {
        knownViews.set(pageViewKeyText(row.key), readPageView(row.state, row.at));
      }
    }
    if (owners.length > 0) {
      for (const row of await store.units(owners)) knownUnits.set(unitKeyText(row), readUnit(row.state));
    }
    return {
      pageView: (key: string) => knownViews.get(key),
      unit: (key: string) => knownUnits.get(key),
    };
  };

  const sumCells = async (changed: readonly (readonly [string, Cell])[]) => {
    const known = new Map<string, CellSums>();
    const unknown = missing(new Map<string, CellKey>(changed.map(([text, { key }]) => [text, key])), cells, known);
    if (unknown.length > 0) {
      for (const { blob, ...key } of await store.cells(unknown)) known.set(cellKeyText(key), decodeCell(blob));
    }
    return changed.map(([text, { key, sums }]) => {
      const whole = known.get(text) ?? emptyCell();
      addCell(whole, sums, 1);
      return { text, key, whole };
    });
  };

  const sumArms = async (changed: readonly (readonly [string, Sums])[]) => {
    const known = new Map<string, ArmSums>();
    const unknown = missing(new Map<string, SumKey>(changed.map(([text, { key }]) => [text, key])), sums, known);
    if (unknown.length > 0) {
      for (const { blob, ...key } of await store.sums(unknown)) known.set(sumKeyText(key), decodeSums(blob));
    }
    return changed.map(([text, { key, sums: by }]) => {
      const whole = known.get(text) ?? new Map();
      addSums(whole, by, 1);
      return { text, key, whole };
    });
  };

  return {
    lastFlush: () => flush ?? 0,
    async commit(messages, issues) {
      const before = flush ?? (await store.newestFlush());
      const folded = fold(messages, issues, await recall(messages, issues), rules);
      const changedCells = [...folded.sums.cells].filter(([, { sums }]) => !changesNothing(sums));
      const changedSums = [...folded.sums.sums].filter(([, of]) => !addsNothing(of.sums));
      try {
        const wholeCells = await sumCells(changedCells);
        const wholeSums = await sumArms(changedSums);
        const batch: RumBatch = {
          flush: before + 1,
          pageViews: [...folded.pageViews.values()].map(({ key, view }) => ({
            key,
            at: view.at,
            state: writePageView(view),
          })),
          units: [...folded.units.values()].map(({ key, unit }) => ({ ...key, state: writeUnit(unit) })),
          cells: wholeCells.map(({ key, whole }) => ({ ...key, blob: encodeCell(whole) })),
          sums: wholeSums.map(({ key, whole }) => ({ ...key, blob: encodeSums(whole) })),
          stats: [...folded.sums.stats.values()],
        };
        await store.commit(batch);
        for (const [text, { view }] of folded.pageViews) pageViews.set(text, view);
        for (const [text, { unit }] of folded.units) units.set(text, unit);
        for (const { text, whole } of wholeCells) cells.set(text, whole);
        for (const { text, whole } of wholeSums) sums.set(text, whole);
        flush = batch.flush;
        const rollouts = new Set(changedCells.map(([, { key }]) => key.rollout));
        return { flush, rollouts, bookings: folded.sums.bookings };
      } catch (error) {
        // Sums were added to in place, and a commit that failed may have happened after all: believe the store alone.
        for (const [text] of changedCells) cells.delete(text);
        for (const [text] of changedSums) sums.delete(text);
        for (const text of folded.pageViews.keys()) pageViews.delete(text);
        for (const text of folded.units.keys()) units.delete(text);
        flush = null;
        throw error;
      }
    },
  };
}

/** Moves what the cache has into `known`, and answers the keys that it has not. */
function missing<K, V>(
  wanted: ReadonlyMap<string, K>,
  cache: { get(key: string): V | undefined },
  known: Map<string, V>,
): K[] {
  const unknown: K[] = [];
  for (const [text, key] of wanted) {
    const hit = cache.get(text);
    if (hit === undefined) unknown.push(key);
    else known.set(text, hit);
  }
  return unknown;
}
