import type { Segment } from '../domain/evidence.ts';
import type { CellRow } from '../store/store.ts';
import type { CellAdder } from './cell-adder.ts';
import { createWindow, type EvidenceWindow } from './window.ts';

/** The marginals of one rollout in memory: hourly cells of every value of every dimension. */
export interface SegmentsReader
  extends Pick<EvidenceWindow, 'newestFlush' | 'take' | 'cut' | 'resum' | 'forgetBefore'> {
  /** By dimension, then value; those without strata from this epoch on are left out. */
  read(fromEpoch: number, stageOf: (epoch: number) => number): Segment[];
}

const hourMs = 3_600_000;

export function createSegments(adder: CellAdder): SegmentsReader {
  const segments = new Map<string, { dimension: string; value: string; window: EvidenceWindow }>();
  let cuts: Parameters<EvidenceWindow['cut']>[0] = [];
  let flush = 0;

  const windowOf = ({ dim, val }: CellRow): EvidenceWindow => {
    const key = `${dim}|${val}`;
    const known = segments.get(key) ?? { dimension: dim, value: val, window: createWindow(hourMs, adder) };
    segments.set(key, known);
    known.window.cut(cuts);
    return known.window;
  };

  return {
    newestFlush: () => flush,
    take(rows) {
      const news = new Map<EvidenceWindow, (typeof rows)[number][]>();
      for (const row of rows) {
        if (row.flush > flush) flush = row.flush;
        const window = windowOf(row);
        const known = news.get(window);
        if (known === undefined) news.set(window, [row]);
        else known.push(row);
      }
      for (const [window, its] of news) window.take(its);
    },
    cut(since) {
      // The hour in which a reference was taken counts: it cannot be told apart, and who leaves it out sees nothing of a
      // rollout's first hour. Segments say where an excess is, after a verdict that did leave it out.
      cuts = since.map(([metric, from]) => [metric, Math.floor(from / hourMs) * hourMs]);
      for (const { window } of segments.values()) window.cut(cuts);
    },
    resum() {
      for (const { window } of segments.values()) if (window.resum()) return true;
      return false;
    },
    forgetBefore(start) {
      for (const { window } of segments.values()) window.forgetBefore(start);
    },
    read(fromEpoch, stageOf) {
      return [...segments.values()]
        .map(({ dimension, value, window }) => ({
          dimension,
          value,
          strata: window.strata(fromEpoch, Number.NEGATIVE_INFINITY, stageOf),
        }))
        .filter(({ strata }) => strata.length > 0)
        .sort((a, b) => order(a.dimension, b.dimension) || order(a.value, b.value));
    },
  };
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
