/** Random rules and contexts for the comparison with flagd-core: plausible more often than not, ASCII throughout. */

import type { EvaluationContext } from '@openfeature/core';
import type { Json } from '@tidegate/core';
import fc from 'fast-check';

export const variantNames = ['on', 'off', 'red', '1', '2', 'true', 'false'] as const;

const paths = [
  'targetingKey',
  'country',
  'age',
  'beta',
  'version',
  'user.plan',
  'user.seats',
  'tags',
  'scores',
  'people',
  'none',
  '$flagd.flagKey',
  'weight',
] as const;
const texts = [
  'DE',
  'FR',
  '',
  '0',
  '7',
  '10',
  ' 3 ',
  'gold',
  'a',
  'team-a',
  '1.2.3',
  'x@y.org',
  ...variantNames,
] as const;
const versions = [
  '1.2.3',
  'v1.2.4',
  '2.0.0-rc.1',
  '2.0.0-rc.10',
  '2.0.0-beta',
  '1',
  '1.2',
  '1.2.3+build',
  'x.y',
  '01.2.3',
  '2.0.0.0',
] as const;

const oneOf = (values: readonly string[]) => fc.constantFrom(...values);
const number = fc.oneof(fc.integer({ min: -20, max: 120 }), fc.constantFrom(0, 0.5, 1, 1e9));
const literal: fc.Arbitrary<Json> = fc.oneof(
  { weight: 4, arbitrary: oneOf(texts) },
  { weight: 3, arbitrary: number },
  { weight: 1, arbitrary: fc.constantFrom(true, false, null) },
);
const variant = fc.oneof(
  { weight: 8, arbitrary: oneOf(variantNames) },
  { weight: 1, arbitrary: fc.constantFrom(true, 1, 'nobody', null) },
);
const weight = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 100 }) },
  { weight: 1, arbitrary: fc.constantFrom<Json>(-5, 1_000_000, 2_147_483_647, 0.5, '3', null) },
);

const variable = fc.oneof(
  { weight: 6, arbitrary: oneOf(paths).map((path): Json => ({ var: path })) },
  { weight: 1, arbitrary: fc.tuple(oneOf(paths), literal).map(([path, or]): Json => ({ var: [path, or] })) },
);

type Rules = {
  condition: Json;
  value: Json;
  text: Json;
  amount: Json;
  list: Json;
  body: Json;
  split: Json;
  rule: Json;
};

const op = (name: string, ...args: fc.Arbitrary<Json>[]) => fc.tuple(...args).map((list): Json => ({ [name]: list }));
const many = (name: string, arg: fc.Arbitrary<Json>, minLength = 1, maxLength = 3) =>
  fc.array(arg, { minLength, maxLength }).map((list): Json => ({ [name]: list }));

/** Rules as people write them, to about five levels, plus some that make little sense. */
export const { rule: anyRule } = fc.letrec<Rules>((tie) => {
  const condition = tie('condition');
  const value = tie('value');
  const text = tie('text');
  const amount = tie('amount');
  const list = tie('list');
  const comparators = ['==', '!=', '===', '!==', '<', '<=', '>', '>='];
  const entry = fc.oneof(
    { weight: 10, arbitrary: fc.tuple(variant, weight).map((pair): Json => pair) },
    { weight: 1, arbitrary: variant.map((name): Json => [name]) },
    { weight: 1, arbitrary: fc.tuple(text, amount).map((pair): Json => pair) },
  );
  return {
    body: fc.oneof(
      fc.constantFrom<Json>(
        { var: '' },
        { '>': [{ var: '' }, 3] },
        { '==': [{ var: '' }, 'a'] },
        { var: 'name' },
        { '!': [{ var: '' }] },
      ),
      fc.constantFrom<Json>({ in: ['a', { var: '' }] }, { cat: [{ var: '' }, '!'] }, true, { '+': [{ var: '' }, 1] }),
    ),
    split: fc.oneof(
      fc.array(entry, { minLength: 1, maxLength: 4 }).map((entries): Json => ({ fractional: entries })),
      fc
        .tuple(text, fc.array(entry, { minLength: 1, maxLength: 4 }))
        .map(([input, entries]): Json => ({ fractional: [input, ...entries] })),
    ),
    list: fc.oneof(
      { maxDepth: 5, depthSize: 'small' },
      fc.constantFrom<Json>({ var: 'tags' }, { var: 'scores' }, { var: 'people' }),
      fc.array(literal, { maxLength: 10 }).map((items): Json => items),
      many('merge', list, 1, 2),
      op('map', list, tie('body')),
      op('filter', list, tie('body')),
      fc.array(oneOf(paths), { maxLength: 3 }).map((keys): Json => ({ missing: keys })),
      fc
        .tuple(fc.integer({ min: 0, max: 2 }), fc.array(oneOf(paths), { maxLength: 3 }))
        .map((pair): Json => ({ missing_some: pair })),
    ),
    text: fc.oneof(
      { maxDepth: 5, depthSize: 'small' },
      oneOf(texts),
      variable,
      many('cat', value, 2, 3),
      op('substr', text, fc.integer({ min: -3, max: 3 })),
      op('substr', text, fc.integer({ min: -3, max: 3 }), fc.integer({ min: -3, max: 3 })),
    ),
    amount: fc.oneof(
      { maxDepth: 5, depthSize: 'small' },
      number,
      fc.constantFrom<Json>({ var: 'age' }, { var: 'weight' }, { var: 'user.seats' }, { var: 'country' }),
      many('+', amount),
      many('-', amount, 1, 2),
      many('*', amount),
      op('/', amount, amount),
      op('%', amount, amount),
      many('max', amount),
      many('min', amount),
      fc.constant<Json>({ reduce: [{ var: 'scores' }, { '+': [{ var: 'current' }, { var: 'accumulator' }] }, 0] }),
      fc.constant<Json>({ max: { var: 'scores' } }),
    ),
    condition: fc.oneof(
      { maxDepth: 5, depthSize: 'small' },
      variable,
      ...comparators.map((name) => op(name, amount, amount)),
      ...comparators.map((name) => op(name, text, text)),
      op('==', value, value),
      op('<', amount, amount, amount),
      op('<=', amount, amount, amount),
      op('in', text, list),
      op('in', text, text),
      many('and', condition),
      many('or', condition),
      op('!', condition),
      condition.map((inner): Json => ({ '!!': inner })),
      op('starts_with', text, text),
      op('ends_with', text, text),
      op('all', list, tie('body')),
      op('some', list, tie('body')),
      op('none', list, tie('body')),
      fc
        .tuple(
          fc.oneof(oneOf(versions), fc.constant<Json>({ var: 'version' })),
          fc.constantFrom('=', '!=', '<', '<=', '>', '>=', '^', '~', '??'),
          oneOf(versions),
        )
        .map((args): Json => ({ sem_ver: args })),
    ),
    value: fc.oneof(
      { maxDepth: 5, depthSize: 'small' },
      literal,
      variable,
      text,
      amount,
      condition,
      list,
      tie('split'),
    ),
    rule: fc.oneof(
      {
        weight: 6,
        arbitrary: op('if', condition, fc.oneof(variant, tie('split')), fc.oneof(variant, tie('split'), tie('rule'))),
      },
      { weight: 2, arbitrary: op('if', condition, variant, condition, variant, variant) },
      { weight: 1, arbitrary: op('if', condition, variant) },
      { weight: 3, arbitrary: tie('split') },
      { weight: 1, arbitrary: op('or', condition, tie('split')) },
      { weight: 1, arbitrary: op('and', condition, tie('split')) },
      { weight: 3, arbitrary: fc.oneof(text, amount, condition).filter((rule) => typeof rule === 'object') },
    ),
  };
});

const some = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 4 });

/** A context in which each attribute may be absent; values of odd types are rare but there. */
export const anyContext: fc.Arbitrary<EvaluationContext> = fc
  .record({
    targetingKey: some(fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 24 })),
    country: some(oneOf(['DE', 'FR', 'US', ''])),
    age: some(fc.oneof(fc.integer({ min: 0, max: 99 }), fc.constantFrom('33', 'old', null, true))),
    beta: some(fc.boolean()),
    version: some(oneOf(versions)),
    weight: some(fc.integer({ min: -3, max: 50 })),
    user: some(fc.record({ plan: oneOf(['gold', 'a', '']), seats: fc.integer({ min: 0, max: 9 }) })),
    tags: some(fc.array(oneOf(['a', 'b', 'DE', '']), { maxLength: 3 })),
    scores: some(fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 4 })),
    people: some(fc.array(fc.record({ name: oneOf(['a', 'ann', '']) }), { maxLength: 3 })),
  })
  // Through JSON, as contexts come: absent instead of undefined, and ordinary prototypes.
  .map((context) => JSON.parse(JSON.stringify(context)));
