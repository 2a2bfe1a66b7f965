import type { Operator, Rule } from './operator.ts';
import { looselyEqual, ordered, truthy } from './value.ts';

const nothing: Rule = () => null;

/** `[condition, then, condition, then, ..., else]`. */
const choose: Operator = (args, place) => {
  if (!Array.isArray(args)) return place.refuse('takes a list [condition, then, else]');
  const rules = args.map((arg, index) =>
    index % 2 === 0 && index < args.length - 1 ? place.argument(arg, index) : place.result(arg, index),
  );
  const [condition, onTrue, onFalse = nothing] = rules;
  if (!condition) return nothing;
  if (!onTrue) return condition;
  if (rules.length <= 3) {
    return (data, run) => (truthy(condition(data, run)) ? onTrue(data, run) : onFalse(data, run));
  }
  const hasElse = rules.length % 2 === 1;
  return (data, run) => {
    for (let index = 0; index + 1 < rules.length; index += 2) {
      if (truthy(rules[index]?.(data, run))) return rules[index + 1]?.(data, run);
    }
    return hasElse ? rules.at(-1)?.(data, run) : null;
  };
};

const and: Operator = (args, place) => {
  if (!Array.isArray(args)) return place.refuse('takes a list');
  const rules = args.map((arg, index) =>
    index === args.length - 1 ? place.result(arg, index) : place.argument(arg, index),
  );
  return (data, run) => {
    let value: unknown = null;
    for (const rule of rules) {
      value = rule(data, run);
      if (!truthy(value)) return value;
    }
    return value;
  };
};

const or: Operator = (args, place) => {
  if (!Array.isArray(args)) return place.refuse('takes a list');
  const rules = args.map((arg, index) => place.result(arg, index));
  return (data, run) => {
    let value: unknown = null;
    for (const rule of rules) {
      // A `fractional` that came out false (a variant named false) is passed over: what follows decides.
      run.split = false;
      value = rule(data, run);
      if (truthy(value)) return value;
    }
    return value;
  };
};

const not: Operator = (args, place) => {
  const rule = place.argument(Array.isArray(args) ? (args[0] ?? null) : args, 0);
  return (data, run) => !truthy(rule(data, run));
};

const isTrue: Operator = (args, place) => {
  const rule = place.argument(Array.isArray(args) ? (args[0] ?? null) : args, 0);
  return (data, run) => truthy(rule(data, run));
};

/** Two or more arguments; each neighbouring pair has to hold. */
function comparison(holds: (a: unknown, b: unknown) => boolean): Operator {
  return (args, place) => {
    if (!Array.isArray(args) || args.length < 2) return place.refuse('takes a list of at least two');
    const rules = args.map((arg, index) => place.argument(arg, index));
    const [left, right] = rules;
    if (left && right && rules.length === 2) return (data, run) => holds(left(data, run), right(data, run));
    return (data, run) => {
      let before = rules[0]?.(data, run);
      for (let index = 1; index < rules.length; index++) {
        const value = rules[index]?.(data, run);
        if (!holds(before, value)) return false;
        before = value;
      }
      return true;
    };
  };
}

export const logicOperators: { readonly [name: string]: Operator } = {
  if: choose,
  and,
  or,
  '!': not,
  '!!': isTrue,
  '==': comparison(looselyEqual),
  '!=': comparison((a, b) => !looselyEqual(a, b)),
  '===': comparison((a, b) => a === b),
  '!==': comparison((a, b) => a !== b),
  '<': comparison(
    ordered(
      (a, b) => a < b,
      (a, b) => a < b,
    ),
  ),
  '<=': comparison(
    ordered(
      (a, b) => a <= b,
      (a, b) => a <= b,
    ),
  ),
  '>': comparison(
    ordered(
      (a, b) => a > b,
      (a, b) => a > b,
    ),
  ),
  '>=': comparison(
    ordered(
      (a, b) => a >= b,
      (a, b) => a >= b,
    ),
  ),
};
