import { compileFlagSet, parseFlagSet } from '@tidegate/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const flag = { state: 'ENABLED', variants: { on: true, off: false }, defaultVariant: 'off' };
const withFlag = (changes: object) => ({ flags: { checkout: { ...flag, ...changes } } });
const problemsOf = (json: unknown, options = {}) => {
  const parsed = parseFlagSet(json, options);
  return parsed.ok ? [] : parsed.problems.map(({ path }) => path);
};

describe('parseFlagSet', () => {
  it('reads flags as an object or as a list with keys', () => {
    const object = parseFlagSet({ flags: { checkout: flag }, metadata: { version: '1' } });
    const list = parseFlagSet({ flags: [{ key: 'checkout', ...flag }], metadata: { version: '1' } });
    expect(object).toEqual({ ok: true, flagSet: { flags: { checkout: flag }, metadata: { version: '1' } } });
    expect(list).toEqual(object);
  });

  it('drops what is not part of a flag', () => {
    const parsed = parseFlagSet({
      $schema: 'https://flagd.dev/schema/v0/flags.json',
      ...withFlag({ description: 'x' }),
    });
    expect(parsed).toEqual({ ok: true, flagSet: { flags: { checkout: flag } } });
  });

  it.each<[string, unknown, string]>([
    ['no object', [], ''],
    ['no flags', {}, 'flags'],
    ['a list without keys', { flags: [flag] }, 'flags[0].key'],
    [
      'a key that occurs twice',
      {
        flags: [
          { key: 'a', ...flag },
          { key: 'a', ...flag },
        ],
      },
      'flags[1].key',
    ],
    ['an unknown state', withFlag({ state: 'on' }), 'flags.checkout.state'],
    ['no variants', withFlag({ variants: {} }), 'flags.checkout.variants'],
    ['variants of two types', withFlag({ variants: { on: true, off: 'no' } }), 'flags.checkout.variants.off'],
    ['a variant that is null', withFlag({ variants: { off: null } }), 'flags.checkout.variants.off'],
    ['a variant that is a list', withFlag({ variants: { off: [] } }), 'flags.checkout.variants.off'],
    ['a number beyond the safe range', withFlag({ variants: { off: 2 ** 53 } }), 'flags.checkout.variants.off'],
    ['a default that is no variant', withFlag({ defaultVariant: 'blue' }), 'flags.checkout.defaultVariant'],
    ['a default that is no name', withFlag({ defaultVariant: 1 }), 'flags.checkout.defaultVariant'],
    ['metadata that is not primitive', withFlag({ metadata: { a: {} } }), 'flags.checkout.metadata.a'],
    ['metadata of the set that is null', { flags: {}, metadata: { a: null } }, 'metadata.a'],
    ['a rule that is a list', withFlag({ targeting: [] }), 'flags.checkout.targeting'],
    [
      'an operator that is none',
      withFlag({ targeting: { if: [{ nope: [] }, 'on', 'off'] } }),
      'flags.checkout.targeting.if[0]',
    ],
    ['a reference to nothing', withFlag({ targeting: { $ref: 'x' } }), 'flags.checkout.targeting'],
    ['an evaluator that is no rule', { flags: {}, $evaluators: { x: 'on' } }, '$evaluators.x'],
    ['an evaluator that does not compile', { flags: {}, $evaluators: { x: { nope: 1 } } }, '$evaluators.x'],
    ['an empty key', { flags: { '': flag } }, 'flags.'],
  ])('refuses %s', (_, json, path) => {
    expect(problemsOf(json)).toEqual([path]);
  });

  it('finds all problems at once', () => {
    expect(
      problemsOf({ flags: { a: { ...flag, state: 1 }, b: { ...flag, defaultVariant: 'x' } }, metadata: 1 }),
    ).toEqual(['metadata', 'flags.a.state', 'flags.b.defaultVariant']);
  });

  it('keeps @ for cohorts', () => {
    const json = withFlag({ variants: { on: true, off: false, 'off@control': false } });
    expect(problemsOf(json)).toEqual(['flags.checkout.variants.off@control']);
    expect(problemsOf(json, { compiled: true })).toEqual([]);
  });

  it.each(['__proto__', 'constructor', 'prototype'])('refuses %s as a name, wherever it stands', (name) => {
    const json = (text: string) => JSON.parse(text.replaceAll('NAME', name));
    const rest = '"state":"ENABLED","variants":{"on":true}';
    expect(problemsOf(json(`{"flags":{"NAME":{${rest}}}}`))).toHaveLength(1);
    expect(problemsOf(json(`{"flags":[{"key":"NAME",${rest}}]}`))).toHaveLength(1);
    expect(problemsOf(json('{"flags":{"a":{"state":"ENABLED","variants":{"on":true,"NAME":true}}}}'))).toHaveLength(1);
    expect(
      problemsOf(json('{"flags":{"a":{"state":"ENABLED","variants":{"on":{"deep":[{"NAME":1}]}}}}}')),
    ).toHaveLength(1);
    expect(problemsOf(json(`{"flags":{"a":{${rest},"metadata":{"NAME":1}}}}`))).toHaveLength(1);
    expect(problemsOf(json(`{"flags":{"a":{${rest},"targeting":{"NAME":[]}}}}`))).toHaveLength(1);
    expect(problemsOf(json('{"flags":{},"$evaluators":{"NAME":{"var":"x"}}}'))).toHaveLength(1);
  });

  it('never throws, and what it accepts compiles', () => {
    const part = fc.jsonValue({ maxDepth: 3 });
    const almostAFlag = fc.record(
      {
        state: fc.constantFrom('ENABLED', 'DISABLED', 1),
        variants: fc.oneof(part, fc.constant({ on: true })),
        defaultVariant: fc.constantFrom('on', null, 3),
        targeting: part,
        metadata: part,
      },
      { requiredKeys: [] },
    );
    const anything = fc.oneof(
      fc.anything(),
      fc.record(
        {
          flags: fc.oneof(fc.dictionary(fc.string(), almostAFlag), fc.array(almostAFlag)),
          $evaluators: part,
          metadata: part,
        },
        { requiredKeys: [] },
      ),
    );
    fc.assert(
      fc.property(anything, (json) => {
        const parsed = parseFlagSet(json);
        if (parsed.ok) compileFlagSet(parsed.flagSet);
        else expect(parsed.problems.length).toBeGreaterThan(0);
      }),
      { numRuns: 1_000 },
    );
  });
});
