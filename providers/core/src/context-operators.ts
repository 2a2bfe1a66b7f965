import { argumentList, type Operator, type Place, type Rule, type Run } from './operator.ts';
import { lookUp, propertyOf, RuleFailure } from './value.ts';

type Reader = (data: unknown, run: Run) => unknown;

/** Compiles a dotted path into a reader; undefined = not there. `$flagd` shadows a property of that name. */
function reader(path: string, place: Place): Reader {
  const keys = path.split('.');
  if (keys[0] === '$flagd' && !place.inElement) return flagdReader(keys, place.flagKey);
  const [key] = keys;
  if (key !== undefined && keys.length === 1) return (data) => propertyOf(data, key);
  return (data) => lookUp(data, keys);
}

function flagdReader(keys: readonly string[], flagKey: string): Reader {
  switch (keys.slice(1).join('.')) {
    case 'flagKey':
      return () => flagKey;
    case 'timestamp':
      return (_data, run) => run.atSeconds;
    case '':
      return (_data, run) => ({ flagKey, timestamp: run.atSeconds });
    default:
      return () => undefined;
  }
}

function isPath(key: unknown): key is string | number {
  return (typeof key === 'string' && key !== '') || typeof key === 'number';
}

/** `path` or `[path, fallback]`; no path means everything in sight. What is null stays null. */
const variable: Operator = (args, place) => {
  const [key, fallback]: readonly unknown[] = Array.isArray(args) ? args : [args];
  const otherwise = fallback === undefined ? undefined : place.argument(fallback, 1);
  const read = readerOfArgument(key, place);
  if (!otherwise) {
    return (data, run) => {
      const value = read(data, run);
      return value === undefined ? null : value;
    };
  }
  return (data, run) => {
    const value = read(data, run);
    return value === undefined ? otherwise(data, run) : value;
  };
};

function readerOfArgument(key: unknown, place: Place): Reader {
  if (key === undefined || key === null || key === '') return (data) => data;
  if (isPath(key)) return reader(String(key), place);
  const dynamic = place.argument(key, 0);
  return (data, run) => {
    const found = dynamic(data, run);
    if (found === null || found === '') return data;
    if (!isPath(found)) throw new RuleFailure('var takes a path');
    return reader(String(found), place)(data, run);
  };
}

function missingOf(keys: readonly unknown[], place: Place): Reader {
  return (data, run) => keys.filter((key) => reader(String(key), place)(data, run) === undefined);
}

/** Those of the paths that the context lacks. */
const missing: Operator = (args, place) => {
  if (Array.isArray(args) && args.every(isPath)) {
    const readers = args.map((path) => ({ path, read: reader(String(path), place) }));
    return (data, run) => readers.filter(({ read }) => read(data, run) === undefined).map(({ path }) => path);
  }
  const list = argumentList(args, place);
  return (data, run) => missingOf(list(data, run), place)(data, run);
};

/** `[need, paths]`: an empty list when at least `need` of the paths are there, else those that are not. */
const missingSome: Operator = (args, place) => {
  if (!Array.isArray(args) || args.length !== 2) return place.refuse('takes [how many, paths]');
  const need: Rule = place.argument(args[0], 0);
  const paths: Rule = place.argument(args[1], 1);
  return (data, run) => {
    const keys = paths(data, run);
    const count = need(data, run);
    if (!Array.isArray(keys) || typeof count !== 'number')
      throw new RuleFailure('missing_some takes [how many, paths]');
    const absent = missingOf(keys, place)(data, run);
    return Array.isArray(absent) && keys.length - absent.length >= count ? [] : absent;
  };
};

export const contextOperators: { readonly [name: string]: Operator } = {
  var: variable,
  missing,
  missing_some: missingSome,
};
