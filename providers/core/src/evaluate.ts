import { type CompiledFlag, type CompiledFlagSet, noSuchVariant } from './compile.ts';
import type { Context, Evaluation } from './flag.ts';
import { ruleLimits } from './limits.ts';
import type { Rule, Run } from './operator.ts';

/**
 * Answers one flag for one context. Pure, synchronous and total: it never throws, whatever the context holds; what
 * goes wrong is an `errorCode`. The answer is frozen and shared between calls.
 *
 * @param atSeconds unix time in seconds, what `$flagd.timestamp` reads
 */
export function evaluate(set: CompiledFlagSet, key: string, context: Context, atSeconds: number): Evaluation {
  const flag = set.flags.get(key);
  if (!flag) {
    return {
      reason: 'ERROR',
      errorCode: 'FLAG_NOT_FOUND',
      errorMessage: `There is no flag "${key}"`,
      metadata: set.metadata,
    };
  }
  if (flag.source.state === 'DISABLED' || flag.targeting.kind !== 'rule') return flag.untargeted;
  return target(key, flag, flag.targeting.run, context, atSeconds);
}

function target(key: string, flag: CompiledFlag, rule: Rule, context: Context, atSeconds: number): Evaluation {
  const run: Run = { root: context, atSeconds, steps: ruleLimits.steps, split: false };
  try {
    const result = rule(context, run);
    if (result === null || result === undefined) return flag.otherwise;
    const variant = typeof result === 'string' ? result : String(result);
    return (run.split ? flag.split : flag.matched).get(variant) ?? noSuchVariant(key, variant, flag.metadata);
  } catch (error) {
    return {
      reason: 'ERROR',
      errorCode: 'GENERAL',
      errorMessage: `Rule of flag "${key}" failed: ${error instanceof Error ? error.message : 'unknown error'}`,
      metadata: flag.metadata,
    };
  }
}
