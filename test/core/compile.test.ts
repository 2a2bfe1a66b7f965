import { compileFlagSet, evaluate, type Flag, type FlagSet, type Json } from '@tidegate/core';
import { describe, expect, it } from 'vitest';

const aFlag = (targeting: Json): Flag => ({
  state: 'ENABLED',
  variants: { on: true, off: false },
  defaultVariant: 'off',
  targeting,
});
const set: FlagSet = {
  flags: { a: aFlag({ var: 'x' }), b: aFlag({ $ref: 'eu' }), c: aFlag({ $ref: 'us' }) },
  $evaluators: { eu: { if: [{ var: 'eu' }, 'on'] }, us: { if: [{ var: 'us' }, 'on'] } },
  metadata: { flagSetId: 'prod', version: '1' },
};
const copy = (value: FlagSet): FlagSet => structuredClone(value);

describe('compileFlagSet', () => {
  it('compiles everything the first time', () => {
    const compiled = compileFlagSet(set);
    expect(compiled.keys).toEqual(['a', 'b', 'c']);
    expect(compiled.changed).toEqual(['a', 'b', 'c']);
  });

  it('takes over flags that are structurally the same', () => {
    const before = compileFlagSet(set);
    const after = compileFlagSet(copy(set), before);
    expect(after.changed).toEqual([]);
    for (const key of after.keys) expect(after.flags.get(key)).toBe(before.flags.get(key));
  });

  it('compiles only the flag that changed', () => {
    const before = compileFlagSet(set);
    const after = compileFlagSet({ ...copy(set), flags: { ...copy(set).flags, a: aFlag({ var: 'y' }) } }, before);
    expect(after.changed).toEqual(['a']);
    expect(after.flags.get('b')).toBe(before.flags.get('b'));
    expect(evaluate(after, 'a', { y: 'on' }, 0).variant).toBe('on');
  });

  it('compiles the flags whose evaluator changed', () => {
    const before = compileFlagSet(set);
    const $evaluators = { ...set.$evaluators, eu: { if: [{ var: 'europe' }, 'on'] } };
    const after = compileFlagSet({ ...copy(set), $evaluators }, before);
    expect(after.changed).toEqual(['b']);
    expect(evaluate(after, 'b', { europe: true }, 0).variant).toBe('on');
    expect(after.flags.get('c')).toBe(before.flags.get('c'));
  });

  it('mends a broken flag when the evaluator it lacked arrives', () => {
    const before = compileFlagSet({ flags: set.flags, $evaluators: { eu: { if: [true, 'on'] } } });
    expect(evaluate(before, 'c', {}, 0).errorCode).toBe('PARSE_ERROR');
    const after = compileFlagSet(set, before);
    expect(evaluate(after, 'c', { us: true }, 0).variant).toBe('on');
  });

  it('shows new metadata of the set without compiling a rule again', () => {
    const before = compileFlagSet(set);
    const after = compileFlagSet({ ...copy(set), metadata: { flagSetId: 'prod', version: '2' } }, before);
    expect(after.changed).toEqual([]);
    expect(after.flags.get('a')?.targeting).toBe(before.flags.get('a')?.targeting);
    expect(evaluate(after, 'a', {}, 0).metadata).toEqual({ flagSetId: 'prod', version: '2' });
  });

  it('names flags that are gone', () => {
    const after = compileFlagSet({ flags: { a: aFlag({ var: 'x' }) } }, compileFlagSet(set));
    expect(after.changed).toEqual(['b', 'c']);
    expect(evaluate(after, 'b', {}, 0).errorCode).toBe('FLAG_NOT_FOUND');
  });
});
