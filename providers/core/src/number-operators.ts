import { argumentList, type Operator } from './operator.ts';
import { numberOf, RuleFailure } from './value.ts';

function checked(value: number): number {
  if (Number.isNaN(value)) throw new RuleFailure('the result is no number');
  return value;
}

function arithmetic(compute: (numbers: readonly number[]) => number): Operator {
  return (args, place) => {
    const list = argumentList(args, place);
    return (data, run) => checked(compute(list(data, run).map(numberOf)));
  };
}

function atLeast(count: number, numbers: readonly number[]): readonly number[] {
  if (numbers.length < count) throw new RuleFailure(`takes at least ${count} numbers`);
  return numbers;
}

function divide(a: number, b: number): number {
  if (b === 0) throw new RuleFailure('division by zero');
  return a / b;
}

/** The largest or smallest of a list; unlike arithmetic it coerces nothing. */
function extreme(better: (a: number, b: number) => boolean): Operator {
  return (args, place) => {
    const list = argumentList(args, place);
    return (data, run) => {
      let best: number | undefined;
      for (const value of list(data, run)) {
        if (typeof value !== 'number') throw new RuleFailure('takes numbers only');
        if (best === undefined || better(value, best)) best = value;
      }
      if (best === undefined) throw new RuleFailure('takes at least one number');
      return best;
    };
  };
}

export const numberOperators: { readonly [name: string]: Operator } = {
  '+': arithmetic((numbers) => numbers.reduce((sum, value) => sum + value, 0)),
  '*': arithmetic((numbers) => numbers.reduce((product, value) => product * value, 1)),
  '-': arithmetic((numbers) => {
    const [first = 0, ...rest] = atLeast(1, numbers);
    return rest.length === 0 ? -first : rest.reduce((left, value) => left - value, first);
  }),
  '/': arithmetic((numbers) => {
    const [first = 1, ...rest] = atLeast(1, numbers);
    return rest.length === 0 ? divide(1, first) : rest.reduce(divide, first);
  }),
  '%': arithmetic((numbers) => atLeast(2, numbers).reduce((left, value) => left % value)),
  max: extreme((a, b) => a > b),
  min: extreme((a, b) => a < b),
};
