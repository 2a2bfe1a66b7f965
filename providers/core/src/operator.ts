/** The contract between the rule compiler and the operators. */

/** What one evaluation carries through the closures of a rule. */
export interface Run {
  /** The context as the application passed it, never copied. */
  readonly root: unknown;
  readonly atSeconds: number;
  /** Steps left, see `ruleLimits.steps`. */
  steps: number;
  /** True when the result so far came out of a `fractional`. */
  split: boolean;
}

/** A compiled rule. `data` is the context, or the element inside `map` and its kin. Throws `RuleFailure`. */
export type Rule = (data: unknown, run: Run) => unknown;

/** Where an operator stands in its rule, and how it compiles what hangs below it. */
export interface Place {
  readonly flagKey: string;
  /** Inside `map` and its kin: `var` reads the element. */
  readonly inElement: boolean;
  /** Its result is the rule's result: a `fractional` here makes the reason SPLIT. */
  readonly isResult: boolean;
  /** Compiles an argument whose value the operator uses. */
  argument(source: unknown, step: string | number): Rule;
  /** Compiles an argument that the operator hands through as its own result. */
  result(source: unknown, step: string | number): Rule;
  /** Compiles what runs once per element, and says what one run costs in steps. */
  body(source: unknown, step: string | number): { readonly rule: Rule; readonly steps: number };
  /** The rule does not compile. */
  refuse(message: string): never;
}

/** Compiles `{name: args}`. */
export type Operator = (args: unknown, place: Place) => Rule;

/** The arguments of an operator as one list: `[a, b]`, a rule that yields a list, or a single value. */
export function argumentList(args: unknown, place: Place): (data: unknown, run: Run) => readonly unknown[] {
  if (!Array.isArray(args)) {
    const rule = place.argument(args, '');
    return (data, run) => {
      const value = rule(data, run);
      return Array.isArray(value) ? value : [value];
    };
  }
  const rules = args.map((arg, index) => place.argument(arg, index));
  const [first, second, third] = rules;
  if (first && !second) return (data, run) => [first(data, run)];
  if (first && second && !third) return (data, run) => [first(data, run), second(data, run)];
  return (data, run) => rules.map((rule) => rule(data, run));
}
