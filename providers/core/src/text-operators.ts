import { ruleLimits } from './limits.ts';
import { argumentList, type Operator, type Place, type Rule } from './operator.ts';
import { spend } from './steps.ts';
import { RuleFailure } from './value.ts';

function partOf(value: unknown): string {
  return value === null || value === undefined ? '' : String(value);
}

/** Joins without glue; missing parts are left out (so guard a unit with `!!` before it goes into a hash input). */
const cat: Operator = (args, place) => {
  const join = (text: string): string => {
    if (text.length > ruleLimits.result) throw new RuleFailure('the text grows too long');
    return text;
  };
  if (Array.isArray(args) && args.length > 0 && !place.inElement) {
    const rules = args.map((arg, index) => place.argument(arg, index));
    return (data, run) => {
      let text = '';
      for (const rule of rules) {
        const value = rule(data, run);
        text += typeof value === 'string' ? value : partOf(value);
      }
      return join(text);
    };
  }
  const list = argumentList(args, place);
  return (data, run) => {
    const text = join(list(data, run).map(partOf).join(''));
    if (place.inElement) spend(run, text.length >> 5);
    return text;
  };
};

/** `[text, from, length]`; a negative `from` counts from the end, a negative length leaves that many off. */
const substr: Operator = (args, place) => {
  const list = argumentList(args, place);
  return (data, run) => {
    const [text, from, length] = list(data, run);
    if (typeof text !== 'string') throw new RuleFailure('substr takes a text');
    const at = integer(from);
    const start = at < 0 ? Math.max(0, text.length + at) : at;
    if (length === undefined) return text.slice(start);
    const count = integer(length);
    return text.slice(start, Math.max(start, count < 0 ? text.length + count : start + count));
  };
};

function integer(value: unknown): number {
  const number = Math.trunc(Number(value));
  return Number.isNaN(number) ? 0 : number;
}

function startsOrEnds(test: (text: string, part: string) => boolean): Operator {
  return (args, place) => {
    const list = argumentList(args, place);
    return (data, run) => {
      const [text, part, ...more] = list(data, run);
      if (typeof text !== 'string' || typeof part !== 'string' || more.length > 0) return null;
      return test(text, part);
    };
  };
}

/** From this length on a fixed list is worth a Set. */
const worthASet = 8;

/** `[needle, list or text]`. */
const contains: Operator = (args, place) => {
  if (Array.isArray(args) && args.length === 2) return containsPair(args[0], args[1], place);
  const list = argumentList(args, place);
  return (data, run) => {
    const [item, whole] = list(data, run);
    return includes(whole, item);
  };
};

function containsPair(needle: unknown, haystack: unknown, place: Place): Rule {
  const item = place.argument(needle, 0);
  const whole = place.argument(haystack, 1);
  if (Array.isArray(haystack) && haystack.length >= worthASet && haystack.every(isPlain)) {
    const fixed = new Set<unknown>(haystack);
    return (data, run) => fixed.has(item(data, run));
  }
  return (data, run) => includes(whole(data, run), item(data, run));
}

function isPlain(value: unknown): boolean {
  return typeof value !== 'object' || value === null;
}

function includes(whole: unknown, item: unknown): boolean {
  if (!whole) return false;
  if (typeof whole === 'string') return whole.includes(String(item));
  if (Array.isArray(whole)) return whole.includes(item);
  throw new RuleFailure('in takes a list or a text');
}

export const textOperators: { readonly [name: string]: Operator } = {
  cat,
  substr,
  in: contains,
  starts_with: startsOrEnds((text, part) => text.startsWith(part)),
  ends_with: startsOrEnds((text, part) => text.endsWith(part)),
};
