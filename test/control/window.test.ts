import { describe, expect, it } from 'vitest';
import { createWindow } from '../../src/control/window.ts';
import {
  addCell,
  addCount,
  addObservation,
  type CellSums,
  cellOf,
  emptyCell,
  encodeCell,
} from '../../src/ingest/cell.ts';
import type { CellRow } from '../../src/store/store.ts';
import { noon } from '../support/beacons.ts';

const minute = 60_000;
const hour = 60 * minute;

function aCell({ lcp = [] as readonly number[], counts = {} as { readonly [name: string]: number }, at = noon } = {}) {
  const cell = emptyCell();
  cell.newestAt = at;
  for (const value of lcp) addObservation(cell, 'LCP', value, 1);
  for (const [name, n] of Object.entries(counts)) addCount(cell, name, n);
  return cell;
}

const aRow = (cell: CellSums, about: Partial<CellRow & { flush: number }> = {}) => ({
  bucket: noon,
  rollout: 1,
  epoch: 1,
  arm: 'treatment' as const,
  dim: '',
  val: '',
  flush: 1,
  blob: encodeCell(cell),
  ...about,
});

const strataOf = (
  window: ReturnType<typeof createWindow>,
  asOf = noon + 48 * hour,
  maturities = new Map<string, number>(),
) => window.strata(0, asOf, () => 0, { asOf, maturities });

describe('the sum of an hour', () => {
  it('is what adding cell by cell comes to, replaced rows and negative counts included', () => {
    const window = createWindow(minute);
    const sum = emptyCell();
    for (let i = 0; i < 60; i += 1) {
      const cell = aCell({ lcp: [900 + 37 * i, 2600, 5000 + i], counts: { exposed: i + 1, 'u:LCP': 3, views: -i } });
      const first = aRow(aCell({ lcp: [70_000], counts: { exposed: 9, 'conv:gone': 2 } }), {
        bucket: noon + i * minute,
      });
      window.take(i % 2 === 0 ? [first] : []);
      window.take([{ ...first, blob: encodeCell(cell), flush: 2 }]);
      addCell(sum, cell, 1);
    }
    expect(strataOf(window)[0]?.treatment).toEqual(cellOf(sum));
  });

  it('forgets nothing and doubles nothing when reads overlap', () => {
    const window = createWindow(minute);
    const [old, young] = [aCell({ counts: { exposed: 1 } }), aCell({ counts: { exposed: 5 } })];
    window.take([aRow(young, { flush: 2 })]);
    window.take([aRow(old, { flush: 1 })]);
    window.take([aRow(young, { flush: 2 })]);
    expect(strataOf(window)[0]?.treatment.counts).toEqual({ exposed: 5 });
  });

  it('complains of bytes that are no cell, and is as before after that', () => {
    const window = createWindow(minute);
    window.take([aRow(aCell({ lcp: [900], counts: { exposed: 1 } }))]);
    const before = strataOf(window)[0]?.treatment;
    const blob = encodeCell(aCell({ lcp: [900, 1200, 1500] }));
    const cut = aRow(emptyCell(), { bucket: noon + minute, blob: blob.subarray(0, blob.length - 2) });
    expect(() => window.take([cut])).toThrow(RangeError);
    expect(() => window.take([{ ...cut, blob: Uint8Array.of(9) }])).toThrow('no cell of version 1');
    window.take([aRow(aCell({ counts: { exposed: 2 } }), { bucket: noon + 2 * minute })]);
    expect(strataOf(window)[0]?.treatment).toEqual({ ...before, counts: { exposed: 3 } });
  });

  it('is summed up again, hour by hour, when a reference is set', () => {
    const window = createWindow(minute);
    for (const bucket of [noon, noon + minute, noon + hour])
      window.take([aRow(aCell({ lcp: [900], counts: { exposed: 1, 'u:LCP': 1 } }), { bucket })]);
    window.cut([['LCP', noon + minute]]);
    expect([window.resum(), window.resum(), window.resum()]).toEqual([true, true, false]);
    const [first, second] = strataOf(window);
    expect(first?.treatment.metrics.LCP?.n).toBe(1);
    expect(first?.treatment.counts).toEqual({ exposed: 2, 'u:LCP': 1 });
    expect(second?.treatment.metrics.LCP?.n).toBe(1);
  });
});

describe('strata', () => {
  const aDay = () => {
    const window = createWindow(minute);
    const rows = Array.from({ length: 24 }, (_, h) =>
      (['treatment', 'control'] as const).map((arm) =>
        aRow(aCell({ lcp: [1000 + h], counts: { exposed: 2, issued: 3, seen: 2, 'conv:buy': 1 } }), {
          bucket: noon + h * hour,
          arm,
        }),
      ),
    );
    window.take(rows.flat());
    return window;
  };

  it('are the same objects from look to look while nothing changes', () => {
    const window = aDay();
    const before = strataOf(window);
    const after = strataOf(window, noon + 49 * hour);
    expect(before).toHaveLength(24);
    expect(after.every((stratum, i) => stratum === before[i])).toBe(true);
  });

  it('are replaced one by one: a late beacon touches its own alone', () => {
    const window = aDay();
    const before = strataOf(window);
    window.take([aRow(aCell({ lcp: [2000] }), { bucket: noon + 5 * hour + minute, flush: 2 })]);
    const after = strataOf(window);
    expect(after.flatMap((stratum, i) => (stratum === before[i] ? [] : [i]))).toEqual([5]);
    expect(after[5]?.control).toBe(before[5]?.control);
    expect(after[5]?.treatment.metrics.LCP?.n).toBe(2);
  });

  it('are replaced when their stage, their mature counters or their conversions become others, and only then', () => {
    const window = createWindow(minute);
    window.take([aRow(aCell({ counts: { exposed: 2, issued: 3, 'conv:buy': 1 } }))]);
    const look = (asOf: number, stage = 0) =>
      window.strata(0, asOf - 20_000, () => stage, { asOf, maturities: new Map([['buy', 10 * minute]]) })[0];
    const young = look(noon + minute);
    expect(look(noon + minute + 19_999)).toBe(young);
    const mature = look(noon + minute + 20_000);
    expect(mature).not.toBe(young);
    expect(look(noon + 11 * minute - 1)).toBe(mature);
    const ripe = look(noon + 11 * minute);
    expect(ripe).not.toBe(mature);
    expect(look(noon + 9 * hour)).toBe(ripe);
    expect(look(noon + 9 * hour, 1)).not.toBe(ripe);
    expect(look(noon + 9 * hour, 1)?.treatment).toBe(ripe?.treatment);
  });

  it('count a unit as a trial of a conversion from its maturity on, in neither number before', () => {
    const window = createWindow(minute);
    const counts = { exposed: 10, 'conv:buy': 4, 'conv:visit': 7 };
    window.take([
      aRow(aCell({ counts })),
      aRow(aCell({ counts: { exposed: 5, 'conv:buy': 1 } }), { bucket: noon + minute }),
    ]);
    const at = (asOf: number) => strataOf(window, asOf, new Map([['buy', 10 * minute]]))[0]?.converted.treatment;
    expect(at(noon + 11 * minute - 1)).toEqual({ buy: { n: 0, x: 0 }, visit: { n: 0, x: 0 } });
    expect(at(noon + 11 * minute)).toEqual({ buy: { n: 10, x: 4 }, visit: { n: 0, x: 0 } });
    expect(at(noon + 12 * minute)).toEqual({ buy: { n: 15, x: 5 }, visit: { n: 0, x: 0 } });
    expect(at(noon + 32 * minute)).toEqual({ buy: { n: 15, x: 5 }, visit: { n: 15, x: 7 } });
  });

  it('have trials of a declared conversion in both arms, even where nobody converted', () => {
    const window = createWindow(minute);
    window.take([aRow(aCell({ counts: { exposed: 10 } }))]);
    expect(strataOf(window, noon + hour, new Map([['buy', minute]]))[0]?.converted).toEqual({
      treatment: { buy: { n: 10, x: 0 } },
      control: { buy: { n: 0, x: 0 } },
    });
  });
});
