import type { Flag, FlagSet, FlagValue, Json, Metadata } from './flag.ts';
import { isForbiddenKey, isJson, isRecord, type JsonRecord } from './json.ts';
import { compileRule, RuleProblem } from './rule.ts';

export interface ParseProblem {
  /** Dotted path into the document, e.g. `flags.checkout.variants.on`; empty for the document itself. */
  readonly path: string;
  readonly message: string;
}

export type ParsedFlagSet =
  | { readonly ok: true; readonly flagSet: FlagSet }
  | { readonly ok: false; readonly problems: readonly ParseProblem[] };

export interface ParseOptions {
  /** The set comes from a controller: variant names may carry a cohort (`off@control`). */
  readonly compiled?: boolean;
}

type Report = (path: string, message: string) => void;

/**
 * The door for flag sets: checks an unknown value and copies out what a flag set has. `flags` may be an object, or a
 * list of flags with `key`. Finds all problems of a document, not just the first. Never throws.
 */
export function parseFlagSet(json: unknown, options: ParseOptions = {}): ParsedFlagSet {
  const problems: ParseProblem[] = [];
  const report: Report = (path, message) => {
    problems.push({ path, message });
  };
  if (!isRecord(json)) return { ok: false, problems: [{ path: '', message: 'a flag set is an object' }] };
  const evaluators = parseEvaluators(json.$evaluators, report);
  const metadata = parseMetadata(json.metadata, 'metadata', report);
  const flags: [string, Flag][] = [];
  for (const [key, flag] of flagEntries(json.flags, report)) {
    const parsed = parseFlag(key, flag, evaluators ?? {}, options, report);
    if (parsed) flags.push([key, parsed]);
  }
  if (problems.length > 0) return { ok: false, problems };
  const flagSet: FlagSet = {
    flags: Object.fromEntries(flags),
    ...(evaluators && { $evaluators: evaluators }),
    ...(metadata && { metadata }),
  };
  return { ok: true, flagSet };
}

function flagEntries(flags: unknown, report: Report): readonly (readonly [string, unknown])[] {
  if (Array.isArray(flags)) {
    const seen = new Set<string>();
    return flags.flatMap((flag: unknown, index) => {
      const key = isRecord(flag) ? flag.key : undefined;
      if (typeof key !== 'string') {
        report(`flags[${index}].key`, 'a flag in a list needs a key');
        return [];
      }
      if (seen.has(key)) report(`flags[${index}].key`, `the key "${key}" occurs twice`);
      seen.add(key);
      return goodName(key, `flags[${index}].key`, report) ? [[key, flag] as const] : [];
    });
  }
  if (isRecord(flags)) return Object.entries(flags).filter(([key]) => goodName(key, `flags.${key}`, report));
  report('flags', 'flags is an object, or a list of flags with keys');
  return [];
}

function goodName(name: string, path: string, report: Report): boolean {
  if (name === '') report(path, 'a name is not empty');
  else if (isForbiddenKey(name)) report(path, `"${name}" is not a name`);
  else return true;
  return false;
}

function parseFlag(
  key: string,
  flag: unknown,
  evaluators: JsonRecord,
  options: ParseOptions,
  report: Report,
): Flag | null {
  const path = `flags.${key}`;
  if (!isRecord(flag)) {
    report(path, 'a flag is an object');
    return null;
  }
  const { state, defaultVariant, targeting } = flag;
  if (state !== 'ENABLED' && state !== 'DISABLED') report(`${path}.state`, 'state is ENABLED or DISABLED');
  const variants = parseVariants(flag.variants, `${path}.variants`, options, report);
  const metadata = parseMetadata(flag.metadata, `${path}.metadata`, report);
  const rule = parseTargeting(key, targeting, evaluators, report);
  // As written: a variant with a bad value is named all the same, and one complaint about it is enough.
  const names = variants && isRecord(flag.variants) ? Object.keys(flag.variants) : null;
  const isNull = defaultVariant === null;
  const isName = typeof defaultVariant === 'string' && (!names || names.includes(defaultVariant));
  if (defaultVariant !== undefined && !isNull && !isName) {
    report(`${path}.defaultVariant`, `defaultVariant names a variant${names ? `: ${names.join(', ')}` : ''}`);
  }
  if (!variants || (state !== 'ENABLED' && state !== 'DISABLED')) return null;
  return {
    state,
    variants,
    ...((isNull || isName) && { defaultVariant }),
    ...(rule !== undefined && { targeting: rule }),
    ...(metadata && { metadata }),
  };
}

function isFlagValue(value: unknown): value is FlagValue {
  if (typeof value === 'object') return isRecord(value) && isJson(value);
  if (typeof value === 'number')
    return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
  return typeof value === 'boolean' || typeof value === 'string';
}

function parseVariants(
  variants: unknown,
  path: string,
  options: ParseOptions,
  report: Report,
): Flag['variants'] | null {
  if (!isRecord(variants) || Object.keys(variants).length === 0) {
    report(path, 'a flag has at least one variant');
    return null;
  }
  const parsed: [string, FlagValue][] = [];
  for (const [name, value] of Object.entries(variants)) {
    const at = `${path}.${name}`;
    if (!goodName(name, at, report)) continue;
    if (name.includes('@') && !options.compiled) report(at, '@ is kept for the cohorts of rollouts');
    if (isFlagValue(value)) parsed.push([name, value]);
    else report(at, 'a value is a boolean, a string, a number within the safe range, or an object of plain JSON');
  }
  const [first] = parsed;
  const other = first && parsed.find(([, value]) => typeof value !== typeof first[1]);
  if (first && other) {
    report(
      `${path}.${other[0]}`,
      `variants are of one type: "${first[0]}" is a ${typeof first[1]}, this a ${typeof other[1]}`,
    );
  }
  return Object.fromEntries(parsed);
}

function parseMetadata(metadata: unknown, path: string, report: Report): Metadata | undefined {
  if (metadata === undefined) return undefined;
  if (!isRecord(metadata)) {
    report(path, 'metadata is an object');
    return undefined;
  }
  const parsed: [string, boolean | number | string][] = [];
  for (const [name, value] of Object.entries(metadata)) {
    const at = `${path}.${name}`;
    if (!goodName(name, at, report)) continue;
    if (typeof value === 'boolean' || typeof value === 'string') parsed.push([name, value]);
    else if (typeof value === 'number' && Number.isFinite(value)) parsed.push([name, value]);
    else report(at, 'metadata values are booleans, numbers or strings');
  }
  return Object.fromEntries(parsed);
}

function parseEvaluators(evaluators: unknown, report: Report): { readonly [name: string]: Json } | undefined {
  if (evaluators === undefined) return undefined;
  if (!isRecord(evaluators)) {
    report('$evaluators', '$evaluators is an object');
    return undefined;
  }
  const parsed: [string, Json][] = [];
  for (const [name, rule] of Object.entries(evaluators)) {
    const path = `$evaluators.${name}`;
    if (!goodName(name, path, report)) continue;
    const checked = isRecord(rule) ? checkRule(rule, '', {}, path, report) : undefined;
    if (checked !== undefined) parsed.push([name, checked]);
    else if (!isRecord(rule)) report(path, 'an evaluator is a rule');
  }
  return Object.fromEntries(parsed);
}

function parseTargeting(key: string, targeting: unknown, evaluators: JsonRecord, report: Report): Json | undefined {
  if (targeting === undefined || targeting === null) return undefined;
  const path = `flags.${key}.targeting`;
  if (isRecord(targeting)) return checkRule(targeting, key, evaluators, path, report);
  report(path, 'targeting is a rule, or {}');
  return undefined;
}

/** The rule as JSON when it compiles within the limits; otherwise reports where it does not. */
function checkRule(
  rule: JsonRecord,
  key: string,
  evaluators: JsonRecord,
  path: string,
  report: Report,
): Json | undefined {
  try {
    compileRule(rule, key, evaluators);
  } catch (error) {
    if (!(error instanceof RuleProblem)) throw error;
    report(error.path === '' ? path : `${path}.${error.path}`, error.message);
    return undefined;
  }
  // Twice: an operator and its list are two levels of JSON for one of the rule.
  if (isJson(rule, 160)) return rule;
  report(path, 'a rule is plain JSON');
  return undefined;
}
