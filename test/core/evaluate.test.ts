import { type Context, compileFlagSet, evaluate, type Flag, type FlagSet, type Json } from '@tidegate/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const now = 1_800_000_000;
const aFlag = (flag: Partial<Flag>): Flag => ({
  state: 'ENABLED',
  variants: { on: true, off: false },
  defaultVariant: 'off',
  ...flag,
});
const ask = (targeting: Json, context: Context = {}, set: Partial<FlagSet> = {}) =>
  evaluate(compileFlagSet({ ...set, flags: { flag: aFlag({ targeting }) } }), 'flag', context, now);
/** What a condition comes to, told by the variant it chooses. */
const holds = (condition: Json, context: Context = {}) => ask({ if: [condition, 'on', 'off'] }, context).value;

describe('evaluate', () => {
  it('is STATIC without a rule', () => {
    const set = compileFlagSet({ flags: { flag: aFlag({}), empty: aFlag({ targeting: {} }) } });
    expect(evaluate(set, 'flag', {}, now)).toEqual({ reason: 'STATIC', value: false, variant: 'off', metadata: {} });
    expect(evaluate(set, 'empty', {}, now).reason).toBe('STATIC');
  });

  it('is DEFAULT when the rule says nothing', () => {
    expect(ask({ if: [false, 'on', null] })).toMatchObject({ reason: 'DEFAULT', variant: 'off', value: false });
  });

  it('leaves the value to the caller when there is no default variant', () => {
    const set = compileFlagSet({
      flags: {
        a: { ...aFlag({}), defaultVariant: null },
        b: { ...aFlag({ targeting: { var: 'x' } }), defaultVariant: null },
      },
    });
    expect(evaluate(set, 'a', {}, now)).toEqual({ reason: 'DEFAULT', metadata: {} });
    expect(evaluate(set, 'b', {}, now)).toEqual({ reason: 'DEFAULT', metadata: {} });
  });

  it('gives a disabled flag no value', () => {
    const set = compileFlagSet({ flags: { flag: aFlag({ state: 'DISABLED', targeting: { var: 'x' } }) } });
    expect(evaluate(set, 'flag', { x: 'on' }, now)).toEqual({ reason: 'DISABLED', metadata: {} });
  });

  it('says FLAG_NOT_FOUND with the metadata of the set', () => {
    const set = compileFlagSet({ flags: {}, metadata: { flagSetId: 'prod' } });
    for (const key of ['nothing', '__proto__', 'constructor', '']) {
      expect(evaluate(set, key, {}, now)).toMatchObject({
        errorCode: 'FLAG_NOT_FOUND',
        metadata: { flagSetId: 'prod' },
      });
    }
  });

  it('is TARGETING_MATCH when the rule names a variant, of whatever type', () => {
    expect(ask({ if: [true, 'on'] })).toMatchObject({ reason: 'TARGETING_MATCH', variant: 'on', value: true });
    const flag = aFlag({ variants: { true: 'yes', '1': 'one' }, defaultVariant: null, targeting: { var: 'x' } });
    const set = compileFlagSet({ flags: { flag } });
    expect(evaluate(set, 'flag', { x: true }, now).value).toBe('yes');
    expect(evaluate(set, 'flag', { x: 1 }, now).value).toBe('one');
  });

  it('is GENERAL when the rule names no variant of the flag', () => {
    for (const name of ['nobody', 'constructor', '__proto__', 'toString']) {
      expect(ask({ cat: [{ var: 'x' }] }, { x: name })).toMatchObject({ reason: 'ERROR', errorCode: 'GENERAL' });
    }
  });

  it('is SPLIT when the variant came out of fractional, wherever it stands', () => {
    const split: Json = { fractional: [['on', 1]] };
    const context = { targetingKey: 'u' };
    expect(ask(split, context).reason).toBe('SPLIT');
    expect(ask({ if: [true, split, 'off'] }, context).reason).toBe('SPLIT');
    expect(ask({ or: [false, split] }, context).reason).toBe('SPLIT');
    expect(ask({ and: [true, split] }, context).reason).toBe('SPLIT');
    expect(ask({ $ref: 'x' }, context, { $evaluators: { x: split } }).reason).toBe('SPLIT');
  });

  it('is TARGETING_MATCH when fractional was only part of a condition', () => {
    const context = { targetingKey: 'u' };
    expect(ask({ if: [{ '==': [{ fractional: [['on', 1]] }, 'on'] }, 'on', 'off'] }, context).reason).toBe(
      'TARGETING_MATCH',
    );
    expect(ask({ or: [{ fractional: [[false, 1]] }, 'on'] }, context).reason).toBe('TARGETING_MATCH');
  });

  it('is DEFAULT when fractional finds no unit to put into a bucket', () => {
    for (const targetingKey of [undefined, '', 7, null, {}]) {
      expect(ask({ fractional: [['on', 1]] }, { targetingKey }).reason).toBe('DEFAULT');
    }
  });

  it('merges the metadata of the flag over that of the set', () => {
    const set = compileFlagSet({
      flags: { flag: aFlag({ metadata: { version: '41', tier: 'kill' } }) },
      metadata: { flagSetId: 'prod', version: '57' },
    });
    expect(evaluate(set, 'flag', {}, now).metadata).toEqual({ flagSetId: 'prod', version: '41', tier: 'kill' });
  });

  it('hands out frozen answers, so that one caller cannot change those of another', () => {
    const answer = ask({ if: [true, 'on'] });
    expect(Object.isFrozen(answer)).toBe(true);
    expect(Object.isFrozen(answer.metadata)).toBe(true);
  });
});

describe('rules', () => {
  it('know the flag and the time, whatever the context claims', () => {
    const context = { $flagd: { flagKey: 'other', timestamp: 1 } };
    expect(holds({ '==': [{ var: '$flagd.flagKey' }, 'flag'] }, context)).toBe(true);
    expect(holds({ '==': [{ var: '$flagd.timestamp' }, now] }, context)).toBe(true);
    expect(holds({ missing: ['$flagd.timestamp', '$flagd.flagKey'] })).toBe(false);
  });

  it('fall back to the default of var only for what is not there', () => {
    expect(holds({ '===': [{ var: ['a.b', 'x'] }, 'x'] }, { a: {} })).toBe(true);
    expect(holds({ '===': [{ var: ['a.b', 'x'] }, null] }, { a: { b: null } })).toBe(true);
  });

  it('read a computed path', () => {
    expect(holds({ var: { cat: ['be', 'ta'] } }, { beta: true })).toBe(true);
  });

  it('compare text with text, and everything else as numbers', () => {
    expect(holds({ '<': ['10', '9'] })).toBe(true);
    expect(holds({ '<': ['10', 9] })).toBe(false);
    expect(holds({ '<': [1, { var: 'age' }, 9] }, { age: 5 })).toBe(true);
    expect(holds({ '==': [null, ''] })).toBe(false);
    expect(ask({ if: [{ '>': [{ var: 'x' }, 1] }, 'on'] }, { x: 'many' })).toMatchObject({ errorCode: 'GENERAL' });
  });

  it('find a member of a long list as in a short one', () => {
    const long = Array.from({ length: 500 }, (_, index) => `user-${index}`);
    expect(holds({ in: [{ var: 'id' }, long] }, { id: 'user-499' })).toBe(true);
    expect(holds({ in: [{ var: 'id' }, long] }, { id: 'user-500' })).toBe(false);
    expect(holds({ in: [{ var: 'id' }, ['a', 'b']] }, { id: 'b' })).toBe(true);
  });

  it('choose along a chain of conditions', () => {
    const chain: Json = { if: [{ var: 'a' }, 'on', { var: 'b' }, 'off', 'on'] };
    expect(ask(chain, { b: true }).variant).toBe('off');
    expect(ask(chain, {}).variant).toBe('on');
    expect(ask({ if: [{ var: 'a' }, 'on', { var: 'b' }, 'off'] }, {}).reason).toBe('DEFAULT');
  });

  it('use the text operators inside lists, too', () => {
    const rule: Json = { some: [{ var: 'mails' }, { ends_with: [{ var: '' }, '@x.org'] }] };
    expect(holds(rule, { mails: ['a@y.org', 'b@x.org'] })).toBe(true);
    expect(holds(rule, { mails: [] })).toBe(false);
  });

  it.each([
    ['1.2.3', '=', 'v1.2.3+build', true],
    ['1.10.0', '>', '1.9.9', true],
    ['2.0.0-rc.10', '>', '2.0.0-rc.2', true],
    ['2.0.0-rc', '<', '2.0.0', true],
    ['1.5', '^', '1.9.0', true],
    ['1.5.1', '~', '1.5.9', true],
    [2, '>=', '1.9.9', true],
    ['1.2.3', '!=', '1.2.3', false],
    ['1.2.3.4', '=', '1.2.3', false],
    ['1.2.3', '??', '1.2.3', false],
    ['1.2.3', 'constructor', '1.2.3', false],
  ])('sem_ver: %s %s %s is %s', (left, relation, right, expected) => {
    expect(holds({ sem_ver: [{ var: 'v' }, relation, right] }, { v: left })).toBe(expected);
  });

  it('put evaluators in the place of their references', () => {
    const set = { $evaluators: { eu: { in: [{ var: 'country' }, ['DE', 'FR']] } } };
    expect(ask({ if: [{ $ref: 'eu' }, 'on', 'off'] }, { country: 'FR' }, set).variant).toBe('on');
    expect(ask({ if: [{ $ref: 'us' }, 'on', 'off'] }, {}, set)).toMatchObject({ errorCode: 'PARSE_ERROR' });
    expect(ask({ $ref: 'a' }, {}, { $evaluators: { a: { $ref: 'b' }, b: 'on' } })).toMatchObject({
      errorCode: 'PARSE_ERROR',
    });
    expect(ask({ $ref: 'constructor' }, {}, set)).toMatchObject({ errorCode: 'PARSE_ERROR' });
  });

  it('see own properties of the context only', () => {
    for (const path of [
      'constructor',
      '__proto__',
      'toString',
      'constructor.name',
      'a.constructor',
      'a.__proto__.b',
      'list.map',
    ]) {
      const rule: Json = { if: [{ '===': [{ var: path }, null] }, 'on', 'off'] };
      expect(ask(rule, { a: {}, list: [] }).variant, path).toBe('on');
      expect(holds({ '!!': [{ missing: [path] }] }, { a: {}, list: [] }), path).toBe(true);
    }
  });
});

describe('totality', () => {
  const operators = [
    'if',
    'and',
    'or',
    '!',
    '!!',
    '==',
    '<',
    '===',
    'in',
    'cat',
    'substr',
    '+',
    '-',
    '*',
    '/',
    '%',
    'min',
    'max',
    'merge',
    'missing',
    'missing_some',
    'fractional',
    'sem_ver',
    'starts_with',
    'ends_with',
    'map',
    'filter',
    'reduce',
    'all',
    'some',
    'none',
    'var',
    '$ref',
    'method',
    '__proto__',
    'constructor',
  ];
  const { nonsense } = fc.letrec<{ nonsense: Json }>((tie) => ({
    nonsense: fc.oneof(
      { maxDepth: 6, depthSize: 'medium' },
      fc.constantFrom<Json>(null, '', 'on', 'a.b', '__proto__', 0, -1, 1e308, true, { var: '' }, { var: 'a' }, {}),
      fc.array(tie('nonsense'), { maxLength: 4 }),
      fc
        .tuple(fc.constantFrom(...operators), tie('nonsense'))
        .map(([name, args]) => JSON.parse(`{${JSON.stringify(name)}:${JSON.stringify(args)}}`)),
    ),
  }));

  it('answers any rule for any context, and never throws', () => {
    fc.assert(
      fc.property(
        nonsense,
        fc.array(fc.dictionary(fc.constantFrom('a', 'b', 'targetingKey', '__proto__'), fc.anything()), {
          minLength: 3,
          maxLength: 3,
        }),
        (targeting, contexts) => {
          const set = compileFlagSet({ flags: { flag: aFlag({ targeting }) } });
          for (const context of contexts) {
            expect(['STATIC', 'DEFAULT', 'TARGETING_MATCH', 'SPLIT', 'ERROR']).toContain(
              evaluate(set, 'flag', context, now).reason,
            );
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('answers when the context throws', () => {
    const context = {
      get targetingKey(): string {
        throw new Error('no');
      },
    };
    expect(ask({ fractional: [['on', 1]] }, context)).toMatchObject({ reason: 'ERROR', errorCode: 'GENERAL' });
  });
});
