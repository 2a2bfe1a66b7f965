/** Our evaluator against flagd-core: alone, behind the OpenFeature client, and taking in a changed flag set. */
import { FlagdCore } from '@openfeature/flagd-core';
import {
  type Client,
  type EvaluationContext,
  type JsonValue,
  OpenFeature,
  type Provider,
  type ResolutionDetails,
} from '@openfeature/server-sdk';
import { type CompiledFlagSet, compileFlagSet, evaluate, type Flag, type FlagSet, ppm } from '@tidegate/core';
import type { Bench, Contest } from './harness.ts';

const silent = { error() {}, warn() {}, info() {}, debug() {} };

/** A rollout as it is compiled: an allow list, an audience, and a salted split of 10 %. */
const rollout = (name: string, treatment = 100_000): Flag => ({
  state: 'ENABLED',
  variants: { on: true, off: false, 'off@control': false },
  defaultVariant: 'off',
  targeting: {
    if: [
      { in: [{ var: 'targetingKey' }, ['qa-1', 'qa-2']] },
      'on',
      { and: [{ in: [{ var: 'country' }, ['DE', 'FR', 'NL']] }, { '!!': [{ var: 'targetingKey' }] }] },
      {
        fractional: [
          { cat: [`${name}-2026-11`, ':', { var: 'targetingKey' }] },
          ['on', treatment],
          ['off', ppm - 2 * treatment],
          ['off@control', treatment],
        ],
      },
      null,
    ],
  },
  metadata: { rolloutId: name, stage: 2, exposurePpm: treatment },
});

const segment: Flag = {
  state: 'ENABLED',
  variants: { new: 'v2', old: 'v1' },
  defaultVariant: 'old',
  targeting: {
    if: [
      { and: [{ sem_ver: [{ var: 'version' }, '>=', '2.1.0'] }, { ends_with: [{ var: 'email' }, '@example.org'] }] },
      'new',
      'old',
    ],
  },
};
const plain: Flag = { state: 'ENABLED', variants: { on: true, off: false }, defaultVariant: 'on' };

const flagSet: FlagSet = { flags: { checkout: rollout('checkout'), segment, plain } };
const contexts: readonly EvaluationContext[] = Array.from({ length: 256 }, (_, index) => ({
  targetingKey: `user-${index * 7919}`,
  country: index % 3 === 0 ? 'US' : 'DE',
  version: `2.${index % 4}.0`,
  email: index % 2 === 0 ? 'ann@example.org' : 'bob@example.com',
  plan: 'gold',
}));

const manyFlags = (changed?: number): FlagSet => ({
  flags: Object.fromEntries(
    Array.from({ length: 500 }, (_, index) => [
      `flag-${index}`,
      rollout(`flag-${index}`, index === changed ? 200_000 : 100_000),
    ]),
  ),
});

function oracleWith(set: FlagSet): FlagdCore {
  const oracle = new FlagdCore(undefined, silent);
  oracle.setConfigurations(JSON.stringify(set));
  return oracle;
}

/** The same few lines around either evaluator, so that the client is what they share. */
function providerOf(
  name: string,
  resolve: (key: string, context: EvaluationContext) => ResolutionDetails<boolean>,
): Provider {
  const other = async <T>(_key: string, value: T): Promise<ResolutionDetails<T>> => ({ value });
  return {
    metadata: { name },
    runsOn: 'server',
    resolveBooleanEvaluation: async (key, _value, context) => resolve(key, context),
    resolveStringEvaluation: other<string>,
    resolveNumberEvaluation: other<number>,
    resolveObjectEvaluation: <T extends JsonValue>(key: string, value: T) => other<T>(key, value),
  };
}

async function clientOf(provider: Provider): Promise<Client> {
  const domain = `bench-${provider.metadata.name}`;
  await OpenFeature.setProviderAndWait(domain, provider);
  return OpenFeature.getClient(domain);
}

const contextAt = (index: number): EvaluationContext => contexts[index & 255] ?? {};

function raw(name: string, key: string, set: CompiledFlagSet, oracle: FlagdCore, times = 100_000): Contest {
  const kind = typeof Object.values(flagSet.flags[key]?.variants ?? {})[0];
  return {
    name,
    times,
    contenders: [
      {
        name: 'tidegate',
        run(count) {
          let hits = 0;
          for (let index = 0; index < count; index++) {
            if (evaluate(set, key, contextAt(index), 1_800_000_000).value !== undefined) hits++;
          }
          return hits;
        },
      },
      {
        name: 'flagd-core',
        run(count) {
          let hits = 0;
          for (let index = 0; index < count; index++) {
            const context = contextAt(index);
            const answer =
              kind === 'boolean'
                ? oracle.resolveBooleanEvaluation(key, false, context)
                : oracle.resolveStringEvaluation(key, '', context);
            if (answer.variant !== undefined) hits++;
          }
          return hits;
        },
      },
    ],
  };
}

function throughClient(ours: Client, theirs: Client): Contest {
  const runWith = (client: Client) => async (count: number) => {
    let hits = 0;
    for (let index = 0; index < count; index++) {
      if (await client.getBooleanValue('checkout', false, contextAt(index))) hits++;
    }
    return hits;
  };
  return {
    name: 'rollout, through the OpenFeature client',
    times: 5_000,
    contenders: [
      { name: 'tidegate', run: runWith(ours) },
      { name: 'flagd-core', run: runWith(theirs) },
    ],
  };
}

/** One flag of 500 moves one step; both get the whole set, as text, as a poll would bring it. */
function update(): Contest {
  const texts = [JSON.stringify(manyFlags(7)), JSON.stringify(manyFlags())];
  const textAt = (index: number) => texts[index & 1] ?? '';
  const oracle = oracleWith(manyFlags());
  let set = compileFlagSet(manyFlags());
  return {
    name: 'one flag of 500 changes, whole set as text',
    times: 2,
    contenders: [
      {
        name: 'tidegate',
        run(count) {
          let changed = 0;
          for (let index = 0; index < count; index++) {
            set = compileFlagSet(JSON.parse(textAt(index)), set);
            changed += set.changed.length;
          }
          return changed;
        },
      },
      {
        name: 'flagd-core',
        run(count) {
          let changed = 0;
          for (let index = 0; index < count; index++) changed += oracle.setConfigurations(textAt(index)).length;
          return changed;
        },
      },
    ],
  };
}

export const bench: Bench = {
  name: 'evaluator',
  async setUp() {
    const set = compileFlagSet(flagSet);
    const oracle = oracleWith(flagSet);
    const ours = await clientOf(
      providerOf('tidegate', (key, context) => {
        const { value, variant, reason, metadata } = evaluate(set, key, context, Math.floor(Date.now() / 1000));
        return { value: value === true, reason, flagMetadata: metadata, ...(variant !== undefined && { variant }) };
      }),
    );
    const theirs = await clientOf(
      providerOf('flagd-core', (key, context) => oracle.resolveBooleanEvaluation(key, false, context)),
    );
    return {
      contests: [
        raw('rollout (lists, audience, split), raw', 'checkout', set, oracle),
        raw('segment (sem_ver, ends_with), raw', 'segment', set, oracle),
        raw('no rule, raw', 'plain', set, oracle),
        throughClient(ours, theirs),
        update(),
      ],
      tearDown: () => OpenFeature.close(),
    };
  },
};
