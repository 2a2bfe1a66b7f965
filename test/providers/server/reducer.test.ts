import type { Flag, FlagSet, Snapshot, SnapshotChange } from '@tidegate/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Applied, Held } from '../../../providers/server/src/reducer.ts';
import { applyChange, applySnapshot, digestOf } from '../../../providers/server/src/reducer.ts';

function aFlag(variant = 'off'): Flag {
  return { state: 'ENABLED', variants: { on: true, off: false }, defaultVariant: variant };
}

function aSnapshot(ver: number, flags: Record<string, Flag>, also: Partial<Snapshot> = {}): Snapshot {
  const flagSet: FlagSet = { flags, metadata: { flagSetId: 'production', version: String(ver) } };
  const count = Object.keys(flags).length;
  return { v: 1, env: 'production', ver, count, digest: digestOf(flagSet), full: false, flagSet, ...also };
}

function offered(held: Held | undefined, snapshot: Snapshot): Applied {
  return applySnapshot(held, snapshot, 'controller', undefined);
}

function holding(ver: number, flags: Record<string, Flag>): Held {
  const applied = offered(undefined, aSnapshot(ver, flags));
  if (applied.is !== 'applied') throw new Error('a first snapshot is applied');
  return applied.held;
}

const four = { a: aFlag(), b: aFlag(), c: aFlag(), d: aFlag() };

describe('a snapshot', () => {
  it('replaces what is held when it is newer, and names what differs', () => {
    const applied = offered(holding(5, four), aSnapshot(6, { ...four, b: aFlag('on'), e: aFlag() }));
    expect(applied).toMatchObject({ is: 'applied', changed: ['b', 'e'], held: { ver: 6 } });
  });

  it.each([4, 5])('of version %d changes nothing when 5 is held', (ver) => {
    expect(offered(holding(5, four), aSnapshot(ver, {})).is).toBe('current');
  });

  it.each([
    ['empty', {}],
    ['more than half smaller', { a: aFlag() }],
  ])('that is %s is refused, unless the controller vouches for it', (_, flags) => {
    expect(offered(holding(5, four), aSnapshot(6, flags)).is).toBe('refused');
    expect(offered(holding(5, four), aSnapshot(6, flags, { full: true })).is).toBe('applied');
  });

  it('that is half as large is believed', () => {
    expect(offered(holding(5, four), aSnapshot(6, { a: aFlag(), b: aFlag() })).is).toBe('applied');
  });

  it.each([{ count: 3 }, { digest: 'sha256-00' }])('with a wrong %o is refused even when it says full', (wrong) => {
    expect(offered(holding(5, four), aSnapshot(6, four, { full: true, ...wrong })).is).toBe('refused');
  });

  it('of another environment is refused, but replaces a file of another environment', () => {
    const staging = aSnapshot(2, { a: aFlag() }, { env: 'staging' });
    const held = holding(5, four);
    expect(offered(held, staging).is).toBe('refused');
    expect(offered({ ...held, origin: 'file' }, staging)).toMatchObject({
      is: 'applied',
      held: { env: 'staging', ver: 2 },
    });
  });

  it('with other evaluators changes each flag that refers to one', () => {
    const withRef = { ...aFlag(), targeting: { if: [{ $ref: 'staff' }, 'on', null] } };
    const before = aSnapshot(1, { a: aFlag(), b: withRef });
    const flagSet = { ...before.flagSet, $evaluators: { staff: { '==': [1, 1] } } };
    const applied = offered(holding(1, before.flagSet.flags), {
      ...before,
      ver: 2,
      flagSet,
      digest: digestOf(flagSet),
    });
    expect(applied).toMatchObject({ is: 'applied', changed: ['b'] });
  });
});

describe('a change', () => {
  it('replaces, adds and deletes what it carries, and moves the version of the set', () => {
    const applied = applyChange(holding(5, four), { ver: 6, from: 5, flags: { a: aFlag('on'), b: null, e: aFlag() } });
    expect(applied).toMatchObject({ is: 'applied', changed: ['a', 'b', 'e'] });
    if (applied.is !== 'applied') return;
    expect(Object.keys(applied.held.flagSet.flags)).toEqual(['a', 'c', 'd', 'e']);
    expect(applied.held.flagSet.metadata).toEqual({ flagSetId: 'production', version: '6' });
  });

  it('takes the lease of a deleted flag with it', () => {
    const leased = applyChange(holding(5, four), {
      ver: 6,
      from: 5,
      flags: {},
      lease: { a: { ttl: 1, onExpiry: 'baseline' }, b: { ttl: 1, onExpiry: 'baseline' } },
    });
    if (leased.is !== 'applied') throw new Error('applied');
    const applied = applyChange(leased.held, { ver: 7, from: 6, flags: { a: null }, lease: { b: null } });
    expect(applied).toMatchObject({ is: 'applied', held: { lease: {} } });
  });

  it.each([
    [6, 4, 'behind'],
    [8, 7, 'behind'],
    [5, 4, 'current'],
    [4, 5, 'current'],
  ])('to %d from %d, with 5 held, is %s', (ver, from, is) => {
    expect(applyChange(holding(5, four), { ver, from, flags: {} }).is).toBe(is);
  });

  it('named like a part of every object is a flag like any other', () => {
    const flags: Record<string, Flag> = JSON.parse(`{"__proto__":${JSON.stringify(aFlag())}}`);
    const applied = applyChange(holding(5, four), { ver: 6, from: 5, flags });
    expect(applied).toMatchObject({ is: 'applied', changed: ['__proto__'] });
  });
});

/** A history of the controller, delivered in any order, with repetitions and losses. */
describe('any delivery of a history', () => {
  const key = fc.constantFrom('a', 'b', 'c', 'd', 'e');
  const step = fc.record({ key, kind: fc.constantFrom('on', 'off', 'gone') });

  it('never lowers the version, and holds exactly what the controller had at that version', () => {
    fc.assert(
      fc.property(
        fc.array(step, { minLength: 1, maxLength: 12 }),
        fc.array(fc.record({ pick: fc.nat(), whole: fc.boolean() }), { maxLength: 40 }),
        (steps, deliveries) => {
          const history: { flags: Record<string, Flag>; change: SnapshotChange }[] = [];
          let flags: Record<string, Flag> = {};
          steps.forEach(({ key, kind }, index) => {
            const flag = kind === 'gone' ? null : aFlag(kind);
            flags = { ...flags };
            if (flag) flags[key] = flag;
            else delete flags[key];
            history.push({ flags, change: { ver: index + 1, from: index, flags: { [key]: flag } } });
          });
          let held = holding(0, {});
          for (const { pick, whole } of deliveries) {
            const at = history[pick % history.length];
            if (!at) continue;
            const before = held.ver;
            const applied = whole
              ? offered(held, aSnapshot(at.change.ver, at.flags, { full: true }))
              : applyChange(held, at.change);
            if (applied.is === 'applied') held = applied.held;
            expect(held.ver).toBeGreaterThanOrEqual(before);
            expect(held.flagSet.flags).toEqual(held.ver === 0 ? {} : history[held.ver - 1]?.flags);
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
