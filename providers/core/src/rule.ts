import { contextOperators } from './context-operators.ts';
import { fractional } from './fractional.ts';
import { isForbiddenKey, isRecord, type JsonRecord } from './json.ts';
import { ruleLimits } from './limits.ts';
import { listOperators } from './list-operators.ts';
import { logicOperators } from './logic-operators.ts';
import { numberOperators } from './number-operators.ts';
import type { Operator, Place, Rule } from './operator.ts';
import { semVer } from './semver.ts';
import { textOperators } from './text-operators.ts';
import { RuleFailure } from './value.ts';

/** Every operator of flagd's `targeting.json`, and `/`, which flagd evaluates although its schema forgot it. */
const operators = new Map<string, Operator>(
  Object.entries({
    ...contextOperators,
    ...logicOperators,
    ...numberOperators,
    ...textOperators,
    ...listOperators,
    fractional,
    sem_ver: semVer,
  }),
);

/** Operators whose answer depends on who asks; everything else over plain values is the same each time. */
const readers = new Set(['var', 'missing', 'missing_some', 'fractional']);

/** A rule that does not compile; `path` leads to the culprit, e.g. `if[0].in[1]`. */
export class RuleProblem extends Error {
  readonly path: string;

  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

export interface CompiledRule {
  readonly run: Rule;
  /** Names of the shared evaluators that it contains. */
  readonly refs: readonly string[];
}

/** Where the compiler stands: what each node inherits from the one above. */
interface Spot {
  readonly isResult: boolean;
  readonly inElement: boolean;
  readonly inEvaluator: boolean;
  readonly depth: number;
}

/**
 * Compiles JsonLogic into closures, once; throws `RuleProblem`. `evaluators` are the set's `$evaluators`, put in
 * place of each `{"$ref": name}`.
 */
export function compileRule(source: unknown, flagKey: string, evaluators: JsonRecord = {}): CompiledRule {
  const refs = new Set<string>();
  const path: string[] = [];
  let nodes = 0;
  let elements = 0;
  let reads = 0;

  const refuse = (message: string): never => {
    throw new RuleProblem(path.join(''), message);
  };

  function compile(node: unknown, spot: Spot): Rule {
    nodes++;
    if (nodes > ruleLimits.nodes) refuse(`a rule has at most ${ruleLimits.nodes} parts`);
    if (spot.depth > ruleLimits.depth) refuse(`a rule is at most ${ruleLimits.depth} levels deep`);
    if (Array.isArray(node)) return compileList(node, spot);
    if (isRecord(node)) return compileOperation(node, spot);
    checkText(node);
    return () => node;
  }

  function checkText(value: unknown): void {
    if (typeof value === 'string' && value.length > ruleLimits.textLength) {
      refuse(`a text in a rule has at most ${ruleLimits.textLength} characters`);
    }
  }

  function compileList(list: readonly unknown[], spot: Spot): Rule {
    elements += list.length;
    if (elements > ruleLimits.elements) refuse(`the lists of a rule have at most ${ruleLimits.elements} values`);
    if (list.every((item) => typeof item !== 'object' || item === null)) {
      list.forEach(checkText);
      return () => list;
    }
    const below: Spot = { ...spot, isResult: false, depth: spot.depth + 1 };
    const rules = list.map((item, index) => under(`[${index}]`, () => compile(item, below)));
    return (data, run) => rules.map((rule) => rule(data, run));
  }

  function compileOperation(node: JsonRecord, spot: Spot): Rule {
    const names = Object.keys(node);
    const [name] = names;
    if (name === undefined) return () => node;
    if (names.length > 1) return refuse(`one operator at a time, not ${names.join(', ')}`);
    if (name === '$ref') return compileRef(node[name], spot);
    const operator = operators.get(name);
    if (!operator) return refuse(`there is no operator "${name}"`);
    return under(path.length === 0 ? name : `.${name}`, () => {
      const before = reads;
      // What `var` reads inside an element is part of the list, not of the context.
      if (readers.has(name) && (!spot.inElement || name === 'fractional')) reads++;
      const rule = operator(node[name], placeAt(spot));
      return reads === before && !spot.inElement ? fold(rule) : rule;
    });
  }

  /** Runs now what comes out the same each time; what fails each time is a mistake to show now, too. */
  function fold(rule: Rule): Rule {
    try {
      const value = rule(null, { root: null, atSeconds: 0, steps: ruleLimits.steps, split: false });
      return () => value;
    } catch (error) {
      return refuse(error instanceof RuleFailure ? error.message : 'fails');
    }
  }

  function compileRef(name: unknown, spot: Spot): Rule {
    if (typeof name !== 'string') return refuse('$ref takes the name of an evaluator');
    if (spot.inEvaluator) return refuse('an evaluator does not refer to another');
    refs.add(name);
    if (isForbiddenKey(name) || !Object.hasOwn(evaluators, name)) return refuse(`there is no evaluator "${name}"`);
    return under(`($ref ${name})`, () => compile(evaluators[name], { ...spot, inEvaluator: true }));
  }

  function placeAt(spot: Spot): Place {
    const below: Spot = { ...spot, isResult: false, depth: spot.depth + 1 };
    const at = (step: string | number) => (step === '' ? '' : `[${step}]`);
    return {
      flagKey,
      inElement: spot.inElement,
      isResult: spot.isResult,
      argument: (arg, step) => under(at(step), () => compile(arg, below)),
      result: (arg, step) => under(at(step), () => compile(arg, { ...below, isResult: spot.isResult })),
      body: (arg, step) => {
        const before = nodes;
        const rule = under(at(step), () => compile(arg, { ...below, inElement: true }));
        return { rule, steps: nodes - before };
      },
      refuse,
    };
  }

  function under<T>(step: string, act: () => T): T {
    path.push(step);
    const made = act();
    path.pop();
    return made;
  }

  const run = compile(source, { isResult: true, inElement: false, inEvaluator: false, depth: 0 });
  return { run, refs: [...refs] };
}
