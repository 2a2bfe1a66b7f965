import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonical } from '../../../src/domain/canonical.ts';
import { diff } from '../../../src/domain/diff.ts';
import { parsePlan } from '../../../src/domain/plan.ts';
import { authoredPlan } from './a-document.ts';

describe('a diff', () => {
  it('names each field that differs', () => {
    const before = { spec: { policy: 'web@1', stages: [{ exposure: 1 }, { exposure: 5 }] } };
    const after = { spec: { policy: 'web@1', stages: [{ exposure: 1 }, { exposure: 10, bake: '1h' }] } };
    expect(diff(before, after)).toEqual([
      { path: 'spec.stages.1.exposure', before: 5, after: 10 },
      { path: 'spec.stages.1.bake', before: undefined, after: '1h' },
    ]);
  });

  it('lists every field of a new document, and of one that goes', () => {
    expect(diff(undefined, { a: { b: 1 }, c: [] })).toEqual([
      { path: 'a.b', before: undefined, after: 1 },
      { path: 'c', before: undefined, after: [] },
    ]);
    expect(diff({ a: 1 }, undefined)).toEqual([{ path: 'a', before: 1, after: undefined }]);
  });

  it('replaces a list by a map in one line', () => {
    expect(diff({ a: [1] }, { a: { 0: 1 } })).toEqual([{ path: 'a', before: [1], after: { 0: 1 } }]);
  });

  it('is empty for exactly the documents with one canonical form', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        expect(diff(a, a)).toEqual([]);
        expect(diff(a, b).length === 0).toBe(canonical(a) === canonical(b));
      }),
      { numRuns: 200 },
    );
  });
});

describe('canonical JSON', () => {
  it('sorts keys by code unit and writes numbers as RFC 8785 does', () => {
    const value = {
      '€': 1,
      '\r': 2,
      '\ufb33': 3,
      '1': 4,
      '😀': 5,
      ö: 6,
      n: [1e30, 4.5, 2e-3, -0, 1e-27],
      u: undefined,
    };
    expect(canonical(value)).toBe('{"\\r":2,"1":4,"n":[1e+30,4.5,0.002,0,1e-27],"ö":6,"€":1,"😀":5,"\ufb33":3}');
  });

  it.each([[Number.NaN], [Number.POSITIVE_INFINITY], ['\ud800'], [() => 1], [1n]])('refuses %s', (value) => {
    expect(() => canonical({ value })).toThrow(TypeError);
  });

  it('does not depend on the order of keys, and survives storage', () => {
    const plan = authoredPlan();
    const reordered = Object.fromEntries(Object.entries(plan).toReversed());
    expect(canonical(reordered)).toBe(canonical(plan));
    expect(parsePlan(JSON.parse(canonical(plan)))).toEqual(parsePlan(plan));
  });
});
