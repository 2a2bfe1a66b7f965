import { FlagdCore } from '@openfeature/flagd-core';
import { OpenFeature } from '@openfeature/server-sdk';
import { compileFlagSet, evaluate, parseFlagSet } from '@tidegate/core';
import { TidegateProvider } from '@tidegate/server-provider';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { act, bulkOf, newToken, ok, rolloutOf, seed, until } from './support/process-api.ts';
import { aPlan, aPolicy } from './support/process-documents.ts';
import { aWorld, type World } from './support/process-world.ts';

const ascii = Array.from({ length: 3_000 }, (_, n) => `user-${n.toString(36)}`);
/** flagd-core hashes UTF-16 units where flagd hashes bytes, so only our own are asked about these. */
const others = ['Zoë', '日本語', '😀-1', 'ß', 'naïve user', ...Array.from({ length: 45 }, (_, n) => `Łódź-${n}`)];
/** Those who are asked about over HTTP as well. */
const some = [...ascii.slice(0, 150), ...others];

let world: World;
let serverKey: string;
/** Variant per unit at 5 % and at 25 %, from each who answers. */
const seen: { [exposure: number]: { [who: string]: ReadonlyMap<string, string | undefined> } } = {};

async function ask(): Promise<(typeof seen)[number]> {
  const { admin } = world;
  const snapshot = z.object({ flagSet: z.unknown() }).parse(await ok(admin.as(serverKey).call('GET', '/v1/snapshot')));
  const parsed = parseFlagSet(snapshot.flagSet, { compiled: true });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const compiled = compileFlagSet(parsed.flagSet);
  const flagd = new FlagdCore();
  flagd.setConfigurations((await admin.as(serverKey).call('GET', '/flagd/v1/production/flags.json')).text);
  const client = OpenFeature.getClient('buckets');
  const variants = async (units: readonly string[], of: (unit: string) => unknown) =>
    new Map(await Promise.all(units.map(async (unit) => [unit, String(await of(unit))] as const)));

  return {
    core: await variants(
      [...ascii, ...others],
      (targetingKey) => evaluate(compiled, 'checkout', { targetingKey }, 0).variant,
    ),
    flagd: await variants(
      ascii,
      (targetingKey) => flagd.resolveBooleanEvaluation('checkout', false, { targetingKey }, console).variant,
    ),
    provider: await variants(
      [...ascii, ...others],
      async (targetingKey) => (await client.getBooleanDetails('checkout', false, { targetingKey })).variant,
    ),
    bulk: await variants(some, async (unit) => (await bulkOf(admin.as(null), unit)).flag.variant),
    single: await variants(some, async (targetingKey) => {
      const path = '/ofrep/v1/evaluate/flags/checkout';
      const answer = await ok(admin.as(serverKey).call('POST', path, { body: { context: { targetingKey } } }));
      return z.object({ variant: z.string() }).parse(answer).variant;
    }),
  };
}

beforeAll(async () => {
  world = await aWorld();
  const { admin } = world;
  serverKey = await newToken(admin, 'sdk-server');
  const stages = [
    { name: 'early', exposure: 5, bake: '1d', minSamples: 200, maxDwell: '30d' },
    { name: 'quarter', exposure: 25, bake: '1d', minSamples: 200, maxDwell: '30d' },
    { name: 'half', exposure: 50 },
  ];
  await seed(admin, [aPolicy(), aPlan({ stages, comparison: { control: { ratio: 2 } } })]);
  await until('5 %', async () => (await rolloutOf(admin)).exposure === 5);
  const provider = new TidegateProvider({ url: admin.url, key: serverKey });
  await OpenFeature.setProviderAndWait('buckets', provider);
  const inForce = async (exposure: number) => {
    const client = OpenFeature.getClient('buckets');
    const ppm = async () =>
      (await client.getBooleanDetails('checkout', false, { targetingKey: 'x' })).flagMetadata.exposurePpm;
    await until(`${exposure} % in the provider`, async () => (await ppm()) === exposure * 10_000);
  };
  await inForce(5);
  seen[5] = await ask();
  const skipped = await act(admin, 'skip-bake', 'the test does not wait a day');
  expect(skipped.status).toBe(200);
  await inForce(25);
  seen[25] = await ask();
}, 60_000);

afterAll(async () => {
  await OpenFeature.close();
  await world.close();
});

const shareOf = (exposure: number, who: string) => {
  const all = [...(seen[exposure]?.[who]?.values() ?? [])];
  return all.filter((variant) => variant === 'on').length / all.length;
};

describe.each([5, 25])('at %i %%', (exposure) => {
  it.each(['flagd', 'provider', 'bulk', 'single'])('a unit is in the same bucket for core and for %s', (who) => {
    const core = seen[exposure]?.core;
    const other = seen[exposure]?.[who] ?? new Map();
    expect(other.size).toBeGreaterThan(0);
    expect(new Map([...other.keys()].map((unit) => [unit, core?.get(unit)]))).toEqual(other);
  });

  it('as many units are in as it says, and control is there to compare with', () => {
    expect(shareOf(exposure, 'core')).toBeGreaterThan(exposure / 100 - 0.025);
    expect(shareOf(exposure, 'core')).toBeLessThan(exposure / 100 + 0.025);
    expect(new Set(seen[exposure]?.core?.values())).toContain('off@control');
  });
});

describe('from 5 % to 25 %', () => {
  it('nobody who is in leaves', () => {
    const inAt5 = [...(seen[5]?.core ?? [])].filter(([, variant]) => variant === 'on');
    expect(inAt5.length).toBeGreaterThan(50);
    expect(inAt5.filter(([unit]) => seen[25]?.core?.get(unit) !== 'on')).toEqual([]);
  });
});
