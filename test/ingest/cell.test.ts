import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { binOf } from '../../src/domain/histogram.ts';
import { addCell, addCount, addObservation, cellOf, decodeCell, emptyCell, encodeCell } from '../../src/ingest/cell.ts';

const aCell = (values: readonly number[]) => {
  const cell = emptyCell();
  for (const value of values) addObservation(cell, 'LCP', value, 1);
  return cell;
};
/** A thousand page loads, log-normal like the public LCP shape: median 1.4 s. */
const loads = Array.from({ length: 1_000 }, (_, i) => {
  const z = Math.sqrt(-2 * Math.log((i + 0.5) / 1_000)) * Math.cos((i * 2_654_435_761) % 6.283);
  return Math.round(1_400 * Math.exp(0.7 * z));
});
const value = fc.nat(120_000);

describe('a packed cell', () => {
  it('is read back as it was written', () => {
    const cell = aCell(loads);
    addCount(cell, 'exposed', 12);
    addCount(cell, 'conv:checkout', -3);
    cell.newestAt = Date.UTC(2026, 0, 1);
    const read = decodeCell(encodeCell(cell));
    expect(cellOf(read)).toEqual(cellOf(cell));
    expect(read.newestAt).toBe(cell.newestAt);
  });

  it('holds a thousand samples of one metric in 450 bytes', () => {
    expect(encodeCell(aCell(loads)).length).toBeLessThanOrEqual(450);
  });

  it('is the same bytes in whatever order it was filled', () => {
    fc.assert(
      fc.property(fc.array(value, { maxLength: 60 }), (values) => {
        expect(encodeCell(aCell([...values].reverse()))).toEqual(encodeCell(aCell(values)));
      }),
    );
  });

  it('is the same bytes after adding and taking back', () => {
    fc.assert(
      fc.property(fc.array(value), fc.array(value), (kept, withdrawn) => {
        const cell = aCell([...kept, ...withdrawn]);
        for (const back of withdrawn) addObservation(cell, 'LCP', back, -1);
        expect(encodeCell(cell)).toEqual(encodeCell(aCell(kept)));
      }),
    );
  });

  it('can be negative for one writer and right after merging', () => {
    const correction = emptyCell();
    addObservation(correction, 'LCP', 2_000, -1);
    addObservation(correction, 'LCP', 3_000, 1);
    const sum = aCell([2_000]);
    addCell(sum, decodeCell(encodeCell(correction)), 1);
    expect(cellOf(sum)).toEqual(cellOf(aCell([3_000])));
  });

  it('counts values over the thresholds and caps sums, not histograms', () => {
    const { LCP } = cellOf(aCell([2_500, 2_501, 4_001, 60_000])).metrics;
    expect(LCP).toMatchObject({ n: 4, bad1: 3, bad2: 2, sum: 2_500 + 2_501 + 4_001 + 30_000 });
    expect(LCP?.hist.at(-1)?.[0]).toBe(binOf(60_000));
  });

  it('refuses bytes that are none', () => {
    expect(() => decodeCell(Uint8Array.of(9))).toThrow(RangeError);
    const whole = encodeCell(aCell([100]));
    expect(() => decodeCell(whole.subarray(0, whole.length - 1))).toThrow(RangeError);
    expect(() => decodeCell(Uint8Array.of(1, 0, 0, 3, 70, 73, 68))).toThrow(RangeError);
  });
});
