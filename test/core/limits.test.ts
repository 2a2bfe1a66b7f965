import { compileFlagSet, evaluate, type Flag, type Json, ruleLimits } from '@tidegate/core';
import { describe, expect, it } from 'vitest';

const aFlag = (targeting: Json): Flag => ({
  state: 'ENABLED',
  variants: { on: true },
  defaultVariant: 'on',
  targeting,
});
const nest = (levels: number): Json => {
  let rule: Json = { var: 'x' };
  for (let level = 0; level < levels; level++) rule = { '!': [rule] };
  return rule;
};
const ask = (targeting: Json, context = {}, $evaluators: { [name: string]: Json } = {}) =>
  evaluate(compileFlagSet({ flags: { flag: aFlag(targeting) }, $evaluators }), 'flag', context, 0);

describe('limits of a rule', () => {
  it('break the flag that goes beyond them, and no other', () => {
    const set = compileFlagSet({ flags: { deep: aFlag(nest(ruleLimits.depth + 1)), fine: aFlag(nest(3)) } });
    expect(evaluate(set, 'deep', {}, 0)).toMatchObject({ reason: 'ERROR', errorCode: 'PARSE_ERROR' });
    expect(evaluate(set, 'fine', {}, 0).errorCode).not.toBe('PARSE_ERROR');
  });

  it('allow the depth they name', () => {
    expect(ask(nest(ruleLimits.depth - 1)).errorCode).not.toBe('PARSE_ERROR');
    expect(ask(nest(100_000))).toMatchObject({ errorCode: 'PARSE_ERROR' });
  });

  it('count every part, also of evaluators', () => {
    const wide = (parts: number): Json => ({ or: Array.from({ length: parts }, () => ({ var: 'x' })) });
    expect(ask(wide(ruleLimits.nodes - 2)).errorCode).toBeUndefined();
    expect(ask(wide(ruleLimits.nodes))).toMatchObject({ errorCode: 'PARSE_ERROR' });
    const rule: Json = { or: Array.from({ length: 10 }, () => ({ $ref: 'wide' })) };
    expect(ask(rule, {}, { wide: wide(600) })).toMatchObject({ errorCode: 'PARSE_ERROR' });
  });

  it('take long lists of plain values, to a point', () => {
    const list = (length: number): Json => ({ in: [{ var: 'x' }, Array.from({ length }, (_, index) => index)] });
    expect(ask({ if: [list(10_000), 'on', null] }, { x: 9_999 }).variant).toBe('on');
    expect(ask(list(ruleLimits.elements + 1))).toMatchObject({ errorCode: 'PARSE_ERROR' });
  });

  it('refuse a text longer than any a rule needs', () => {
    expect(ask({ '==': [{ var: 'x' }, 'y'.repeat(ruleLimits.textLength + 1)] })).toMatchObject({
      errorCode: 'PARSE_ERROR',
    });
  });

  it.each(['method', 'log', 'throw', 'try', 'val', 'constructor', '__proto__', 'toString', ''])(
    'know no operator "%s"',
    (name) => {
      const rule: Json = JSON.parse(`{${JSON.stringify(name)}: ["on"]}`);
      expect(ask(rule)).toMatchObject({ errorCode: 'PARSE_ERROR' });
    },
  );

  it('say where a rule does not compile', () => {
    const answer = ask({ if: [{ in: [{ nope: 1 }, []] }, 'on', 'on'] });
    expect(answer.errorMessage).toContain('if[0].in[0]');
    expect(answer.errorMessage).toContain('nope');
    expect(ask({ if: [{ var: 'x' }, { '%': [1, 0] }, 'on'] }).errorMessage).toContain('if[1].%');
  });
});

describe('the step budget', () => {
  const list = Array.from({ length: 300 }, (_, index) => index);

  it('is enough for a list as people have them', () => {
    expect(ask({ if: [{ some: [{ var: 'list' }, { '==': [{ var: '' }, 299] }] }, 'on', null] }, { list }).variant).toBe(
      'on',
    );
  });

  it('ends lists within lists before they cost anything', () => {
    const rule: Json = {
      map: [{ var: 'list' }, { map: [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], { '+': [{ var: '' }, 1] }] }],
    };
    const start = performance.now();
    expect(ask(rule, { list })).toMatchObject({ reason: 'ERROR', errorCode: 'GENERAL' });
    expect(performance.now() - start).toBeLessThan(500);
  });

  it('ends what doubles with each element', () => {
    const text: Json = { reduce: [{ var: 'list' }, { cat: [{ var: 'accumulator' }, { var: 'accumulator' }] }, 'ab'] };
    const many: Json = {
      reduce: [{ var: 'list' }, { merge: [{ var: 'accumulator' }, { var: 'accumulator' }] }, [1, 2]],
    };
    expect(ask(text, { list })).toMatchObject({ reason: 'ERROR', errorCode: 'GENERAL' });
    expect(ask(many, { list })).toMatchObject({ reason: 'ERROR', errorCode: 'GENERAL' });
  });

  it('bounds what a rule builds outside lists, too', () => {
    expect(ask({ cat: [{ var: 'x' }, 'y'] }, { x: 'x'.repeat(ruleLimits.result) })).toMatchObject({
      errorCode: 'GENERAL',
    });
    expect(ask({ merge: [{ var: 'x' }, 1] }, { x: new Array(ruleLimits.result).fill(0) })).toMatchObject({
      errorCode: 'GENERAL',
    });
  });
});
