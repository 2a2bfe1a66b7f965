import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addTo,
  binOf,
  decodeHistogram,
  edgeOf,
  encodeHistogram,
  estimateOf,
  type HistogramBuilder,
  histogramOf,
  lastBin,
  merge,
  quantile,
  quantileBin,
  tail,
  total,
} from '../../src/domain/histogram.ts';
import { eligible, stored } from '../../src/domain/metrics.ts';

const of = (values: readonly number[]) => {
  const builder: HistogramBuilder = new Map();
  for (const value of values) addTo(builder, binOf(value), 1);
  return histogramOf(builder);
};
const values = fc.array(fc.integer({ min: 0, max: 120_000 }), { maxLength: 60 });
const cells = fc
  .uniqueArray(fc.tuple(fc.nat(lastBin), fc.integer({ min: -(2 ** 40), max: 2 ** 40 })), { selector: ([bin]) => bin })
  .map((entries) => histogramOf(new Map(entries)));

describe('bins', () => {
  it('hold each value between their edges', () => {
    fc.assert(
      fc.property(fc.double({ min: 1.000001, max: 1e6, noNaN: true }), (value) => {
        const bin = binOf(value);
        expect(value).toBeLessThanOrEqual(edgeOf(bin));
        expect(value).toBeGreaterThan(edgeOf(bin - 1));
      }),
    );
  });

  it('put every edge into its own bin, whatever the logarithm says', () => {
    for (let bin = 0; bin < lastBin; bin++) expect(binOf(edgeOf(bin))).toBe(bin);
  });

  it('estimate within 1 %', () => {
    fc.assert(
      fc.property(fc.double({ min: 1, max: 1e6, noNaN: true }), (value) => {
        expect(Math.abs(estimateOf(binOf(value)) - value) / value).toBeLessThanOrEqual(0.01 + 1e-9);
      }),
    );
  });

  it('take everything up to 1 into bin 0 and everything huge into the last', () => {
    expect([binOf(0), binOf(0.5), binOf(1), binOf(1e12)]).toEqual([0, 0, 0, lastBin]);
  });
});

describe('histograms', () => {
  it('merge to the same value however the observations were split', () => {
    fc.assert(
      fc.property(values, values, values, (a, b, c) => {
        expect(merge([of(c), merge([of(b), of(a)])])).toEqual(of([...a, ...b, ...c]));
      }),
    );
  });

  it('give identical bytes after an observation was added and removed', () => {
    fc.assert(
      fc.property(values, fc.nat(120_000), (before, value) => {
        const builder = new Map(of(before).map(([bin, count]): [number, number] => [bin, count]));
        addTo(builder, binOf(value), 1);
        addTo(builder, binOf(value), -1);
        expect(encodeHistogram(histogramOf(builder))).toEqual(encodeHistogram(of(before)));
      }),
    );
  });

  it('come back from their bytes, negative counts included, and say where they end', () => {
    fc.assert(
      fc.property(cells, (histogram) => {
        const bytes = encodeHistogram(histogram);
        expect(decodeHistogram(Uint8Array.from([7, 7, ...bytes, 9]), 2)).toEqual({ histogram, end: bytes.length + 2 });
      }),
    );
  });

  it('refuse bytes of another version, and bytes that stop early', () => {
    expect(() => decodeHistogram(Uint8Array.from([2, 0]), 0)).toThrow(/version 1/);
    expect(() => decodeHistogram(Uint8Array.from([1, 1, 5]), 0)).toThrow(/ends early/);
    expect(() => decodeHistogram(Uint8Array.from([]), 0)).toThrow(RangeError);
  });

  it('keep a thousand page views under 450 bytes', () => {
    const spread = Array.from({ length: 1000 }, (_, i) => 300 * 1.004 ** i);
    expect(encodeHistogram(of(spread)).length).toBeLessThan(450);
  });

  it('answer quantiles and tails', () => {
    const histogram = of(Array.from({ length: 101 }, (_, i) => 1000 + 10 * i));
    expect(Math.abs((quantile(histogram, 0.75) ?? 0) / 1750 - 1)).toBeLessThan(0.0101);
    expect(tail(histogram, quantileBin(histogram, 0.75) ?? 0) / total(histogram)).toBeCloseTo(0.25, 1);
    expect(quantile([], 0.75)).toBeNull();
  });
});

describe('a web vital', () => {
  it('is rounded, capped in sums and kept in its bin', () => {
    expect(stored('LCP', 45_000.4)).toEqual({ value: 45_000, winsorised: 30_000, bin: binOf(45_000) });
    expect(stored('CLS', 0.0421)).toEqual({ value: 42, winsorised: 42, bin: binOf(42) });
  });

  it('is refused outside its range', () => {
    expect([stored('LCP', -1), stored('INP', 60_001), stored('CLS', 10.1), stored('TTFB', Number.NaN)]).toEqual([
      null,
      null,
      null,
      null,
    ]);
  });

  it('counts only where the flag was decided before it could matter', () => {
    expect([eligible('LCP', 1000), eligible('LCP', 1001), eligible('TTFB', 0), eligible('TTFB', 1)]).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect(eligible('INP', 90_000)).toBe(true);
  });
});
