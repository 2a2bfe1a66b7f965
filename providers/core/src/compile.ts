import type { Evaluation, Flag, FlagSet, Metadata } from './flag.ts';
import { isRecord, sameJson } from './json.ts';
import type { Rule } from './operator.ts';
import { compileRule, RuleProblem } from './rule.ts';

/** What a rule came to: nothing to run, closures, or the reason why it does not compile. */
export type CompiledTargeting =
  | { readonly kind: 'static' }
  | { readonly kind: 'rule'; readonly run: Rule; readonly refs: readonly string[] }
  | { readonly kind: 'broken'; readonly message: string; readonly refs: readonly string[] };

/** One flag, with every answer it can give made ahead. */
export interface CompiledFlag {
  readonly source: Flag;
  readonly targeting: CompiledTargeting;
  readonly metadata: Metadata;
  /** Answer without a rule. */
  readonly untargeted: Evaluation;
  /** Answer when the rule says nothing. */
  readonly otherwise: Evaluation;
  /** Answers by variant name, when the rule names one. */
  readonly matched: ReadonlyMap<string, Evaluation>;
  readonly split: ReadonlyMap<string, Evaluation>;
}

/** A flag set ready to answer. Immutable: a new set is compiled from the old one, and swapped in whole. */
export interface CompiledFlagSet {
  readonly source: FlagSet;
  readonly keys: readonly string[];
  readonly flags: ReadonlyMap<string, CompiledFlag>;
  readonly metadata: Metadata;
  /** Keys that appeared, went, or changed against `previous`, `$evaluators` included; every key without one. */
  readonly changed: readonly string[];
}

/**
 * Compiles a flag set, taking over from `previous` what did not change: a ramp step compiles one flag. A rule that
 * does not compile breaks its own flag only (PARSE_ERROR).
 */
export function compileFlagSet(source: FlagSet, previous?: CompiledFlagSet): CompiledFlagSet {
  const metadata = Object.freeze({ ...source.metadata });
  const sameMetadata = previous !== undefined && sameJson(metadata, previous.metadata);
  const sameEvaluator = evaluatorComparison(source, previous?.source);
  const flags = new Map<string, CompiledFlag>();
  const changed: string[] = [];
  for (const [key, flag] of Object.entries(source.flags)) {
    const before = previous?.flags.get(key);
    const kept = before && sameJson(before.source, flag) && refsOf(before.targeting).every(sameEvaluator);
    if (kept && sameMetadata) {
      flags.set(key, before);
      continue;
    }
    if (!kept) changed.push(key);
    const targeting = kept ? before.targeting : compileTargeting(key, flag, source);
    flags.set(key, withAnswers(key, flag, targeting, metadata));
  }
  for (const key of previous?.keys ?? []) if (!flags.has(key)) changed.push(key);
  return { source, keys: [...flags.keys()], flags, metadata, changed };
}

function refsOf(targeting: CompiledTargeting): readonly string[] {
  return targeting.kind === 'static' ? [] : targeting.refs;
}

function evaluatorComparison(source: FlagSet, previous: FlagSet | undefined): (name: string) => boolean {
  const now = source.$evaluators ?? {};
  const before = previous?.$evaluators ?? {};
  return (name) =>
    Object.hasOwn(now, name) === Object.hasOwn(before, name) &&
    (!Object.hasOwn(now, name) || sameJson(now[name], before[name]));
}

function compileTargeting(key: string, flag: Flag, set: FlagSet): CompiledTargeting {
  const { targeting } = flag;
  if (targeting === undefined || targeting === null) return { kind: 'static' };
  if (!isRecord(targeting)) return { kind: 'broken', message: `Rule of flag "${key}" is not an object`, refs: [] };
  if (Object.keys(targeting).length === 0) return { kind: 'static' };
  try {
    const { run, refs } = compileRule(targeting, key, set.$evaluators);
    return { kind: 'rule', run, refs };
  } catch (error) {
    if (!(error instanceof RuleProblem)) throw error;
    const place = error.path === '' ? '' : ` at ${error.path}`;
    // Any evaluator may be the missing piece, so a broken flag is looked at again when one of them changes.
    const refs = Object.keys(set.$evaluators ?? {});
    return { kind: 'broken', message: `Rule of flag "${key}" does not compile${place}: ${error.message}`, refs };
  }
}

function withAnswers(key: string, flag: Flag, targeting: CompiledTargeting, setMetadata: Metadata): CompiledFlag {
  const metadata: Metadata = Object.freeze({ ...setMetadata, ...flag.metadata });
  const matched = new Map<string, Evaluation>();
  const split = new Map<string, Evaluation>();
  for (const [variant, value] of Object.entries(flag.variants)) {
    matched.set(variant, Object.freeze({ reason: 'TARGETING_MATCH', value, variant, metadata }));
    split.set(variant, Object.freeze({ reason: 'SPLIT', value, variant, metadata }));
  }
  const answer = (reason: 'STATIC' | 'DEFAULT'): Evaluation => {
    const variant = flag.defaultVariant;
    if (variant === undefined || variant === null) return Object.freeze({ reason: 'DEFAULT', metadata });
    const value = matched.get(variant)?.value;
    if (value === undefined) return noSuchVariant(key, variant, metadata);
    return Object.freeze({ reason, value, variant, metadata });
  };
  const untargeted = untargetedAnswer(flag, targeting, metadata) ?? answer('STATIC');
  return { source: flag, targeting, metadata, untargeted, otherwise: answer('DEFAULT'), matched, split };
}

function untargetedAnswer(flag: Flag, targeting: CompiledTargeting, metadata: Metadata): Evaluation | null {
  if (flag.state === 'DISABLED') return Object.freeze({ reason: 'DISABLED', metadata });
  if (targeting.kind !== 'broken') return null;
  return Object.freeze({ reason: 'ERROR', errorCode: 'PARSE_ERROR', errorMessage: targeting.message, metadata });
}

export function noSuchVariant(key: string, variant: string, metadata: Metadata): Evaluation {
  const shown = variant.length > 64 ? `${variant.slice(0, 64)}…` : variant;
  return Object.freeze({
    reason: 'ERROR',
    errorCode: 'GENERAL',
    errorMessage: `Flag "${key}" has no variant "${shown}"`,
    metadata,
  });
}
