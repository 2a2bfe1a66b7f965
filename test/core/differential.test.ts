import type { EvaluationContext } from '@openfeature/core';
import { FlagdCore } from '@openfeature/flagd-core';
import { type Context, compileFlagSet, evaluate, type Flag, type FlagSet, type Json } from '@tidegate/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anyContext, anyRule, variantNames } from './random-rules.ts';

/**
 * flagd-core runs a rule in two ways: compiled (its default, `new Function`) and interpreted. They do not always
 * agree with each other; where they do, ours has to agree with them, and where they do not, with one of them.
 *
 * Deliberate differences, none of which the generator writes:
 * - text that is not ASCII: flagd-core hashes UTF-16 code units, we hash UTF-8 bytes as Go and Java flagd do;
 * - `var` and `missing` see own properties only: `constructor`, `__proto__`, `name.length` are missing;
 * - a `$ref` to an unknown evaluator, several operators in one object, and operators that are not in flagd's schema
 *   (`try`, `throw`, `val`, `length`, `??`, ...) do not compile: PARSE_ERROR;
 * - no path escapes (`a\.b`) and no climbing out of an element (`../x`): json-logic-engine's own additions;
 * - `starts_with`, `ends_with`, `sem_ver` and `fractional` work inside `map` and its kin, where flagd-core fails;
 * - `{"var": ""}` at the top is the context without `$flagd`;
 * - a targeting key that is not a string does not bucket;
 * - a part over plain values that fails each time (`1 % 0`) is a PARSE_ERROR of the rule; flagd-core finds only most of
 *   these, so rules that do not compile here are left out, and the error code is not compared;
 * - `cat` of one missing value is empty text, where flagd-core fails;
 * - limits: depth, nodes, list lengths, steps;
 * - the reason SPLIT, which flagd-core calls TARGETING_MATCH;
 * - a broken set is refused flag by flag, where flagd-core refuses the whole.
 */
const silent = { error() {}, warn() {}, info() {}, debug() {} };
const compiledOracle = new FlagdCore(undefined, silent);
const interpretedOracle = new FlagdCore(undefined, silent, { disableDynamicCodeGeneration: true });

const flagOf = (targeting: Json): Flag => ({
  state: 'ENABLED',
  variants: Object.fromEntries(variantNames.map((name, index) => [name, `value ${index}`])),
  defaultVariant: 'off',
  targeting,
});

type Outcome = { reason: string; value?: unknown; variant?: string };

function ask(oracle: FlagdCore, context: EvaluationContext): Outcome {
  const { reason, value, variant } = oracle.resolveStringEvaluation('flag', 'code default', { ...context });
  return {
    reason: String(reason),
    ...(value !== 'code default' && { value }),
    ...(variant !== undefined && { variant }),
  };
}

function askOurs(set: ReturnType<typeof compileFlagSet>, context: Context): Outcome {
  const { reason, value, variant } = evaluate(set, 'flag', context, Math.floor(Date.now() / 1000));
  return {
    reason: reason === 'SPLIT' ? 'TARGETING_MATCH' : reason,
    ...(value !== undefined && { value }),
    ...(variant !== undefined && { variant }),
  };
}

const same = (a: Outcome, b: Outcome) => JSON.stringify(a) === JSON.stringify(b);

describe('against flagd-core', () => {
  it('gives the same value, variant and reason for random rules and contexts', { timeout: 60_000 }, () => {
    const seen = { cases: 0, uncompiled: 0, disagreements: 0, matches: 0, defaults: 0, errors: 0 };
    fc.assert(
      fc.property(anyRule, fc.array(anyContext, { minLength: 8, maxLength: 8 }), (targeting, contexts) => {
        const flagSet: FlagSet = { flags: { flag: flagOf(targeting) } };
        const text = JSON.stringify(flagSet);
        compiledOracle.setConfigurations(text);
        interpretedOracle.setConfigurations(text);
        const set = compileFlagSet(flagSet);
        if (evaluate(set, 'flag', {}, 0).errorCode === 'PARSE_ERROR') {
          seen.uncompiled += contexts.length;
          return;
        }
        for (const context of contexts) {
          const ours = askOurs(set, context);
          const compiled = ask(compiledOracle, context);
          const interpreted = ask(interpretedOracle, context);
          seen.cases++;
          if (ours.reason === 'TARGETING_MATCH') seen.matches++;
          else if (ours.reason === 'ERROR') seen.errors++;
          else seen.defaults++;
          if (same(compiled, interpreted)) expect(ours, JSON.stringify({ targeting, context })).toEqual(compiled);
          else {
            seen.disagreements++;
            const agrees = same(ours, compiled) || same(ours, interpreted);
            if (!agrees) expect(ours, JSON.stringify({ targeting, context, interpreted })).toEqual(compiled);
          }
        }
      }),
      { numRuns: 3_200, seed: 20_261_101 },
    );
    expect(seen.cases).toBeGreaterThanOrEqual(20_000);
    expect(seen.uncompiled).toBeLessThan(seen.cases * 0.1);
    // The comparison means something only while the oracle agrees with itself and rules come to something.
    expect(seen.disagreements).toBeLessThan(seen.cases * 0.1);
    expect(seen.matches).toBeGreaterThan(seen.cases * 0.3);
  });
});
