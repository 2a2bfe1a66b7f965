import { FlagdCore } from '@openfeature/flagd-core';
import { OpenFeature } from '@openfeature/server-sdk';
import { compileFlagSet, evaluate, parseFlagSet } from '@tidegate/core';
import { TidegateProvider } from '@tidegate/server-provider';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { tempFolder } from '../support/temp-store.ts';
import {
  type Api,
  act,
  api,
  bulkOf,
  codeIn,
  newToken,
  ok,
  rolloutOf,
  seed,
  until,
  viewIn,
} from './support/process-api.ts';
import { type Child, portOf, presetToken, startChild } from './support/process-child.ts';
import { aPlan, aPolicy } from './support/process-documents.ts';
import { startProxy, type TcpProxy } from './support/process-proxy.ts';

const users = Array.from({ length: 200 }, (_, n) => `user-${n}`);
const plan = aPlan({ audience: { always: { treatment: ['pinned'] } } });
const onceKey = { 'Idempotency-Key': 'incident-17' };

let folder: ReturnType<typeof tempFolder>;
let child: Child;
let proxy: TcpProxy;
let admin: Api;
let serverKey: string;
/** Somebody whom the hash gave the treatment. */
let treated: string;
/** ms from the kill's answer until the provider says control, per connection. */
const heldAfterMs = { open: Number.NaN, cut: Number.NaN };
/** Values while nobody listens. */
const whileDown: boolean[] = [];

const valueIn = (domain: string, targetingKey = treated) =>
  OpenFeature.getClient(domain).getBooleanValue('checkout', true, { targetingKey });

async function connect(domain: string, url: string): Promise<void> {
  const provider = new TidegateProvider({ url, key: serverKey, warn: () => {} });
  await OpenFeature.setProviderAndWait(domain, provider);
}

async function msUntilControl(domain: string, since: number): Promise<number> {
  await until(`control through ${domain}`, async () => !(await valueIn(domain)));
  return performance.now() - since;
}

beforeAll(async () => {
  folder = tempFolder();
  child = await startChild(folder.path);
  admin = api(child.url, presetToken);
  proxy = await startProxy(portOf(child.url));
  serverKey = await newToken(admin, 'sdk-server');
  await seed(admin, [aPolicy(), plan]);
  await until('the first stage', async () => (await rolloutOf(admin)).exposure === 50);
  for (const user of users) {
    const { flag } = await bulkOf(admin.as(null), user);
    if (flag.value === true) treated = user;
  }
  await connect('open', child.url);
  await connect('cut', proxy.url);
  expect([await valueIn('open'), await valueIn('cut')]).toEqual([true, true]);

  proxy.cut();
  const killed = await act(admin, 'kill', 'payments fail', onceKey);
  const answeredAt = performance.now();
  expect(killed.status).toBe(200);
  [heldAfterMs.open, heldAfterMs.cut] = await Promise.all([
    msUntilControl('open', answeredAt),
    msUntilControl('cut', answeredAt),
  ]);

  await child.kill9();
  for (let n = 0; n < 10_000; n += 1) whileDown.push(await valueIn(n % 2 === 0 ? 'open' : 'cut'));
  child = await startChild(folder.path, portOf(child.url));
}, 60_000);

afterAll(async () => {
  await OpenFeature.close();
  await proxy.close();
  await child.stop();
  folder.remove();
});

describe('a kill that was answered 200, then kill -9', () => {
  it('had reached a connected provider within a second', () => {
    expect(heldAfterMs.open).toBeLessThan(1_000);
  });

  it('had reached a provider whose stream was cut at that moment within a second', () => {
    expect(heldAfterMs.cut).toBeLessThan(1_000);
  });

  it('is still in force in providers while nobody listens, and no resolution throws', () => {
    expect(whileDown).toHaveLength(10_000);
    expect(whileDown).not.toContain(true);
  });

  it('is in force after the restart, for everybody and the pinned', async () => {
    expect(await rolloutOf(admin)).toMatchObject({ exposure: 0, state: { phase: 'killed' } });
    expect((await bulkOf(admin.as(null), 'pinned')).flag.value).toBe(false);
  });

  it('is in force on OFREP, one flag and all', async () => {
    for (const targetingKey of [treated, 'pinned', ...users.slice(0, 20)]) {
      const path = '/ofrep/v1/evaluate/flags/checkout';
      const single = await ok(admin.as(serverKey).call('POST', path, { body: { context: { targetingKey } } }));
      expect(single).toMatchObject({ key: 'checkout', value: false });
      expect((await bulkOf(admin.as(null), targetingKey)).flag).toMatchObject({ value: false, variant: 'off' });
    }
  });

  it('is in force in the snapshot that providers fetch', async () => {
    const snapshot = await ok(admin.as(serverKey).call('GET', '/v1/snapshot'));
    const parsed = parseFlagSet(z.object({ flagSet: z.unknown() }).parse(snapshot).flagSet, { compiled: true });
    if (!parsed.ok) throw new Error('not a flag set');
    const compiled = compileFlagSet(parsed.flagSet);
    const values = [...users, 'pinned'].map((user) => evaluate(compiled, 'checkout', { targetingKey: user }, 0).value);
    expect(new Set(values)).toEqual(new Set([false]));
  });

  it('is in force in the flagd export, as flagd reads it', async () => {
    const { text } = await admin.as(serverKey).call('GET', '/flagd/v1/production/flags.json');
    const flagd = new FlagdCore();
    flagd.setConfigurations(text);
    const values = [...users, 'pinned'].map(
      (user) => flagd.resolveBooleanEvaluation('checkout', true, { targetingKey: user }, console).value,
    );
    expect(new Set(values)).toEqual(new Set([false]));
  });

  it('stays in force in the providers once they are connected again', async () => {
    for (const domain of ['open', 'cut']) {
      const client = OpenFeature.getClient(domain);
      await until(`${domain} is connected again`, () => client.providerStatus === 'READY', 20_000);
      expect(await Promise.all(users.map((user) => valueIn(domain, user)))).not.toContain(true);
    }
  }, 45_000);

  it('answers the same request again with what happened and how things stand', async () => {
    const again = await act(admin, 'kill', 'payments fail', onceKey);
    expect(again.status).toBe(200);
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(viewIn(again)).toMatchObject({ exposure: 0, state: { phase: 'killed' } });
  });

  it('is not ended by the same plan, nor by a resume', async () => {
    const applied = await admin.call('PUT', '/api/v1/plans/checkout', { body: plan });
    expect([applied.status, codeIn(applied)]).toEqual([409, 'latched']);
    expect((await act(admin, 'resume', 'looks fine')).status).toBe(409);
    expect((await rolloutOf(admin)).exposure).toBe(0);
  });
});

describe('a kill whose process dies in the moment of the answer', () => {
  it('is in force after the restart, of a rollout and of a plain flag alike', async () => {
    const own = tempFolder();
    let running = await startChild(own.path);
    const owner = api(running.url, presetToken);
    const restart = async () => {
      await running.kill9();
      running = await startChild(own.path, portOf(running.url));
    };
    const banner = {
      state: 'ENABLED',
      variants: { on: true, off: false },
      defaultVariant: 'on',
      metadata: { clientVisible: true },
    };
    await ok(owner.call('PUT', '/api/v1/flags', { body: { flags: { banner } } }));
    await seed(owner, [aPolicy(), plan]);
    await until('the first stage', async () => (await rolloutOf(owner)).exposure === 50);
    const visitor = owner.as(null);
    expect((await bulkOf(visitor, 'pinned')).flag.value).toBe(true);
    expect((await bulkOf(visitor, 'pinned', 'banner')).flag.value).toBe(true);

    expect((await act(owner, 'kill')).status).toBe(200);
    await restart();
    expect((await bulkOf(visitor, 'pinned')).flag.value).toBe(false);

    expect((await act(owner, 'kill', undefined, {}, '/api/v1/flags/banner')).status).toBe(200);
    await restart();
    expect((await bulkOf(visitor, 'pinned')).flag.value).toBe(false);
    expect((await bulkOf(visitor, 'pinned', 'banner')).flag.value).toBe(false);
    await running.kill9();
    own.remove();
  }, 60_000);
});
