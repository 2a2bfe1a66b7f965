/** JsonLogic's view of values, as json-logic-engine (what flagd-core runs on) has it. */

/** Ends one evaluation in GENERAL: the rule asks for something that this context cannot answer. */
export class RuleFailure extends Error {}

/** Empty lists and empty plain objects are false, like `''`, 0, null; `'0'` is true. */
export function truthy(value: unknown): boolean {
  if (!value) return false;
  if (typeof value !== 'object') return true;
  if (Array.isArray(value)) return value.length > 0;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return true;
  for (const key in value) if (Object.hasOwn(value, key)) return true;
  return false;
}

/** null is 0, true 1, text what it spells; objects and text that spells no number fail. */
export function numberOf(value: unknown): number {
  if (typeof value === 'object' && value !== null)
    throw new RuleFailure('an object or list stands where a number is due');
  const number = Number(value);
  if (Number.isNaN(number)) throw new RuleFailure('a value that is no number stands where a number is due');
  return number;
}

function isTextOrNull(value: unknown): value is string | null {
  return typeof value === 'string' || value === null;
}

export function looselyEqual(a: unknown, b: unknown): boolean {
  if (isTextOrNull(a) && isTextOrNull(b)) return a === b;
  return numberOf(a) === numberOf(b);
}

/** Two texts compare as texts, anything else as numbers; null beside text that is no number is simply not ordered. */
export function ordered(
  texts: (a: string, b: string) => boolean,
  numbers: (a: number, b: number) => boolean,
): (a: unknown, b: unknown) => boolean {
  return (a, b) => {
    if (typeof a === 'number' && typeof b === 'number') return numbers(numberOf(a), numberOf(b));
    if (typeof a === 'string' && typeof b === 'string') return texts(a, b);
    if (isTextOrNull(a) && isTextOrNull(b)) return numbers(Number(a), Number(b));
    return numbers(numberOf(a), numberOf(b));
  };
}

/** Indexing through this guard is faster than `Reflect.get`, and this is the hottest line of all. */
function hasProperties(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null;
}

/** Own properties only, so `constructor` and `__proto__` are missing like any other name; undefined = not there. */
export function propertyOf(value: unknown, key: string): unknown {
  if (!hasProperties(value)) return undefined;
  const found = value[key];
  if (found === undefined || typeof found === 'function' || !Object.hasOwn(value, key)) return undefined;
  return found;
}

export function lookUp(value: unknown, path: readonly string[]): unknown {
  let found = value;
  for (const key of path) {
    found = propertyOf(found, key);
    if (found === undefined) return undefined;
  }
  return found;
}
