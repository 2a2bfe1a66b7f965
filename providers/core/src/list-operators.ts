import { ruleLimits } from './limits.ts';
import { argumentList, type Operator, type Rule, type Run } from './operator.ts';
import { spend } from './steps.ts';
import { RuleFailure, truthy } from './value.ts';

/** Lists one after the other; a value that is no list counts as a list of one. */
const merge: Operator = (args, place) => {
  const list = argumentList(args, place);
  return (data, run) => {
    const merged = list(data, run).flat(1);
    if (merged.length > ruleLimits.result) throw new RuleFailure('the list grows too long');
    if (place.inElement) spend(run, merged.length);
    return merged;
  };
};

function elements(value: unknown): readonly unknown[] {
  if (!value) return [];
  if (!Array.isArray(value)) throw new RuleFailure('takes a list');
  return value;
}

/** `[list, rule]`: `run` gets the list and what the rule makes of an element. */
function perElement(look: (list: readonly unknown[], visit: (element: unknown) => unknown) => unknown): Operator {
  return (args, place) => {
    if (!Array.isArray(args) || args.length !== 2) return place.refuse('takes [list, rule]');
    const list = place.argument(args[0], 0);
    const { rule, steps } = place.body(args[1], 1);
    return (data, run) =>
      look(elements(list(data, run)), (element) => {
        spend(run, steps);
        return rule(element, run);
      });
  };
}

/** `[list, rule, start]`; the rule sees `current` and `accumulator`. Without a start the first element is it. */
const reduce: Operator = (args, place) => {
  if (!Array.isArray(args) || args.length < 2 || args.length > 3) return place.refuse('takes [list, rule, start]');
  const list = place.argument(args[0], 0);
  const { rule, steps } = place.body(args[1], 1);
  const start: Rule | undefined = args.length === 3 ? place.argument(args[2], 2) : undefined;
  const step = (accumulator: unknown, current: unknown, run: Run): unknown => {
    spend(run, steps);
    return flat(rule({ accumulator, current }, run));
  };
  return (data, run) => {
    const values = elements(list(data, run));
    if (start) return values.reduce((sum, value) => step(sum, value, run), flat(start(data, run)));
    if (values.length === 0) throw new RuleFailure('reduce takes a start or at least one element');
    return values.reduce((sum, value) => step(sum, value, run));
  };
};

/** An accumulator holds no lists in lists: it could double with each element. flagd-core refuses the same. */
function flat(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  for (const item of Object.values(value)) {
    if (typeof item === 'object' && item !== null) throw new RuleFailure('reduce takes no nested accumulator');
  }
  return value;
}

export const listOperators: { readonly [name: string]: Operator } = {
  merge,
  map: perElement((list, visit) => list.map(visit)),
  filter: perElement((list, visit) => list.filter((element) => truthy(visit(element)))),
  all: perElement((list, visit) => list.length > 0 && list.every((element) => truthy(visit(element)))),
  some: perElement((list, visit) => list.some((element) => truthy(visit(element)))),
  none: perElement((list, visit) => !list.some((element) => truthy(visit(element)))),
  reduce,
};
