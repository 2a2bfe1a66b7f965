import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@openfeature/server-sdk';
import { OpenFeature, ProviderEvents, ProviderStatus } from '@openfeature/server-sdk';
import type { Flag } from '@tidegate/core';
import type { TidegateOptions } from '@tidegate/server-provider';
import { TidegateProvider } from '@tidegate/server-provider';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeController } from '../../support/fake-controller.ts';
import { FakeClock, until } from '../fake-clock.ts';

function aSwitch(defaultVariant: 'on' | 'off', targeting?: Flag['targeting']): Flag {
  return {
    state: 'ENABLED',
    variants: { on: true, off: false },
    defaultVariant,
    ...(targeting === undefined ? {} : { targeting }),
  };
}

/** A rollout at 100 %, and the same flag killed. */
const ramped = aSwitch('off', { if: [true, 'on', null] });
const killed = aSwitch('off');

let controller: FakeController;
let clock: FakeClock;
let folder: string;
let domains = 0;

beforeEach(async () => {
  controller = await new FakeController().start();
  clock = new FakeClock();
  folder = await mkdtemp(join(tmpdir(), 'tidegate-provider-'));
});

afterEach(async () => {
  await OpenFeature.clearProviders();
  await controller.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Connected {
  readonly client: Client;
  readonly provider: TidegateProvider;
  readonly events: string[];
  readonly warnings: string[];
  readonly changed: (readonly string[])[];
  readonly start: Promise<void>;
}

function connect(options: Partial<TidegateOptions> = {}): Connected {
  domains += 1;
  const domain = `test-${domains}`;
  const [events, warnings, changed]: [string[], string[], (readonly string[])[]] = [[], [], []];
  const provider = new TidegateProvider({
    url: controller.url,
    key: 'tg_srv_AbCd1234_se_cret_0a1b2c',
    clock,
    warn: (message) => warnings.push(message),
    ...options,
  });
  const client = OpenFeature.getClient(domain);
  for (const event of [ProviderEvents.Ready, ProviderEvents.Stale, ProviderEvents.Error])
    client.addHandler(event, () => events.push(event));
  client.addHandler(ProviderEvents.ConfigurationChanged, (details) => {
    events.push(ProviderEvents.ConfigurationChanged);
    changed.push(details?.flagsChanged ?? []);
  });
  const start = OpenFeature.setProviderAndWait(domain, provider);
  start.catch(() => {});
  return { client, provider, events, warnings, changed, start };
}

/** Connected, with the stream open and confirmed by a document. */
async function connected(options: Partial<TidegateOptions> = {}): Promise<Connected> {
  const it = connect(options);
  await it.start;
  clock.advance(0);
  await until(() => controller.openStreams === 1, 'an open stream');
  await until(() => controller.to('/v1/snapshot').length >= 2, 'the fetch after the stream opened');
  await idle();
  return it;
}

/** No request is under way: what is left are the timers of tick, poll and silence. */
function idle(): Promise<void> {
  return until(() => clock.pending === 3, 'an idle provider');
}

describe('a connected provider', () => {
  it('evaluates in process, with the reason and the metadata of the set', async () => {
    controller.setQuietly({ checkout: ramped });
    const { client } = await connected();
    expect(await client.getBooleanDetails('checkout', false, { targetingKey: 'u1' })).toMatchObject({
      value: true,
      variant: 'on',
      reason: 'TARGETING_MATCH',
      flagMetadata: { flagSetId: 'production', version: '2' },
    });
  });

  it('announces itself and its bucketing with its key', async () => {
    await connected();
    for (const path of ['/v1/snapshot', '/v1/stream']) {
      expect(controller.to(path)[0]?.headers).toMatchObject({
        authorization: 'Bearer tg_srv_AbCd1234_se_cret_0a1b2c',
        'tidegate-provider': '0.1.0; bucketing=v2',
      });
    }
  });

  it('is READY once, not twice', async () => {
    const { events, client } = await connected();
    expect(client.providerStatus).toBe(ProviderStatus.READY);
    expect(events).toEqual([ProviderEvents.Ready]);
  });

  it('kills by what is inside a change event, without another request', async () => {
    controller.setQuietly({ checkout: ramped });
    const { client, changed } = await connected();
    const requests = controller.seen.length;
    controller.set({ checkout: killed });
    await until(() => changed.length === 1);
    expect(changed).toEqual([['checkout']]);
    expect(await client.getBooleanDetails('checkout', true)).toMatchObject({ value: false, reason: 'STATIC' });
    expect(controller.seen.length).toBe(requests);
  });

  it('forgets a flag at its tombstone', async () => {
    controller.setQuietly({ a: killed, b: killed });
    const { client, changed } = await connected();
    controller.set({ a: null });
    await until(() => changed.length === 1);
    expect(await client.getBooleanDetails('a', true)).toMatchObject({
      value: true,
      errorCode: 'FLAG_NOT_FOUND',
      flagMetadata: { flagSetId: 'production', version: '3' },
    });
  });

  it('fetches the document when a change builds on one that it missed', async () => {
    controller.setQuietly({ checkout: ramped });
    const { client, changed } = await connected();
    controller.setQuietly({ checkout: killed });
    controller.set({ other: killed });
    await until(() => changed.length === 1);
    expect(changed[0]).toEqual(['checkout', 'other']);
    expect(await client.getBooleanValue('checkout', true)).toBe(false);
  });

  it('learns of a lost change from the next heartbeat', async () => {
    controller.setQuietly({ checkout: ramped });
    const { client, changed } = await connected();
    controller.setQuietly({ checkout: killed });
    controller.heartbeat();
    await until(() => changed.length === 1);
    expect(await client.getBooleanValue('checkout', true)).toBe(false);
  });

  it('polls beside a healthy stream, and is told that nothing changed by a 304', async () => {
    await connected();
    const before = controller.to('/v1/snapshot').length;
    clock.advance(55_000);
    await until(() => controller.to('/v1/snapshot').length > before);
    const last = controller.to('/v1/snapshot').at(-1);
    expect(last?.headers['if-none-match']).toMatch(/^"[0-9a-f]{64}"$/);
  });

  it('answers a flag of another type with TYPE_MISMATCH and the code default', async () => {
    controller.setQuietly({ checkout: ramped });
    const { client } = await connected();
    expect(await client.getStringDetails('checkout', 'mine')).toMatchObject({
      value: 'mine',
      errorCode: 'TYPE_MISMATCH',
    });
  });

  it('resolves every type', async () => {
    const flag = (value: Flag['variants'][string]): Flag => ({
      state: 'ENABLED',
      variants: { it: value },
      defaultVariant: 'it',
    });
    controller.setQuietly({ text: flag('x'), count: flag(3), thing: flag({ a: [1] }) });
    const { client } = await connected();
    expect(await client.getStringValue('text', '')).toBe('x');
    expect(await client.getNumberValue('count', 0)).toBe(3);
    expect(await client.getObjectValue('thing', {})).toEqual({ a: [1] });
  });

  it('serves the code default of a disabled flag', async () => {
    controller.setQuietly({ off: { state: 'DISABLED', variants: { on: true }, defaultVariant: 'on' } });
    const { client } = await connected();
    expect(await client.getBooleanDetails('off', false)).toMatchObject({ value: false, reason: 'DISABLED' });
  });

  it('hands tracked events to onTrack and survives what it throws', async () => {
    const tracked: unknown[] = [];
    const { client } = await connected({
      onTrack(event) {
        tracked.push(event.name);
        throw new Error('full');
      },
    });
    expect(() => client.track('bought', { targetingKey: 'u1' }, { value: 3 })).not.toThrow();
    expect(tracked).toEqual(['bought']);
  });

  it('leaves no timer behind when it is closed', async () => {
    await connected();
    await OpenFeature.clearProviders();
    await until(() => controller.openStreams === 0);
    await until(() => clock.pending === 0, 'no timers');
  });
});

describe('a cut stream', () => {
  it("is nobody's business for 5 s, then STALE, with the last values and metadata", async () => {
    controller.setQuietly({ checkout: ramped });
    const { client, events } = await connected();
    await controller.stop();
    await until(() => clock.pending > 0);
    clock.advance(4_000);
    expect(events).toEqual([ProviderEvents.Ready]);
    clock.chance = 1;
    await until(() => {
      clock.advance(1_000);
      return events.includes(ProviderEvents.Stale);
    }, 'STALE');
    expect(client.providerStatus).toBe(ProviderStatus.STALE);
    expect(await client.getBooleanDetails('checkout', false)).toMatchObject({
      value: true,
      reason: 'STALE',
      flagMetadata: { flagSetId: 'production', version: '2' },
    });
    await controller.start();
  });

  it('reopened in time, brings a change that nobody announced, without a status event', async () => {
    controller.setQuietly({ checkout: ramped });
    const { client, events, changed } = await connected();
    controller.cutStreams();
    controller.setQuietly({ checkout: killed });
    await until(() => {
      clock.advance(100);
      return changed.length === 1;
    }, 'the missed change');
    expect(await client.getBooleanValue('checkout', true)).toBe(false);
    expect(events).toEqual([ProviderEvents.Ready, ProviderEvents.ConfigurationChanged]);
  });

  it('reopened later, is Ready first and then ConfigurationChanged with exactly the changed keys', async () => {
    controller.setQuietly({ checkout: ramped, other: killed });
    const { client, events, changed } = await connected();
    controller.faults.set('stream', { status: 500 });
    controller.faults.set('snapshot', { status: 500 });
    controller.cutStreams();
    await until(() => {
      clock.advance(1_000);
      return events.includes(ProviderEvents.Stale);
    }, 'STALE');
    controller.setQuietly({ checkout: killed });
    controller.faults.clear();
    events.length = 0;
    await until(() => {
      clock.advance(1_000);
      return changed.length > 0 && events.includes(ProviderEvents.Ready);
    }, 'recovery');
    expect(changed).toEqual([['checkout']]);
    expect(client.providerStatus).toBe(ProviderStatus.READY);
    expect(await client.getBooleanDetails('checkout', true)).toMatchObject({ value: false, reason: 'STATIC' });
  });

  it('with nothing changed meanwhile is Ready by a 304, without ConfigurationChanged', async () => {
    const { events } = await connected();
    controller.faults.set('stream', { status: 502 });
    controller.cutStreams();
    await until(() => {
      clock.advance(1_000);
      return events.includes(ProviderEvents.Stale);
    }, 'STALE');
    controller.faults.clear();
    await until(() => {
      clock.advance(500);
      return events.length === 3;
    }, 'recovery');
    expect(events).toEqual([ProviderEvents.Ready, ProviderEvents.Stale, ProviderEvents.Ready]);
  });

  it('that is open but silent for 25 s is given up: STALE at once, then a new connection', async () => {
    const { events, changed } = await connected();
    clock.advance(24_000);
    controller.set({ checkout: killed });
    await until(() => changed.length === 1);
    clock.advance(24_000);
    expect(events).not.toContain(ProviderEvents.Stale);
    clock.advance(1_000);
    await until(() => events.includes(ProviderEvents.Stale), 'STALE');
    await until(() => {
      clock.advance(10);
      return controller.to('/v1/stream').length === 2;
    }, 'a second stream');
  });
});

describe('a provider without contact', () => {
  it('is in ERROR after errorAfterMs, still resolves, and recovers by itself', async () => {
    controller.setQuietly({ checkout: ramped });
    const { client, events } = await connected({ errorAfterMs: 20_000 });
    await controller.stop();
    await until(() => {
      clock.advance(2_000);
      return events.includes(ProviderEvents.Error);
    }, 'ERROR');
    expect(client.providerStatus).toBe(ProviderStatus.ERROR);
    expect(await client.getBooleanDetails('checkout', false)).toMatchObject({ value: true, reason: 'STALE' });
    await controller.start();
    await until(() => {
      clock.advance(500);
      return events.at(-1) === ProviderEvents.Ready;
    }, 'Ready');
    expect(await client.getBooleanDetails('checkout', false)).toMatchObject({ reason: 'TARGETING_MATCH' });
  });

  it('resolves 100,000 times without one exception', async () => {
    controller.setQuietly({ checkout: ramped });
    const { provider } = await connected();
    await controller.stop();
    clock.advance(10_000);
    const results = await Promise.all(
      Array.from({ length: 100_000 }, (_, i) =>
        provider.resolveBooleanEvaluation('checkout', false, { targetingKey: `u${i}` }).then(({ value }) => value),
      ),
    );
    expect(results.every((value) => value)).toBe(true);
    await controller.start();
  });

  it('serves control for a flag whose exposure lease says baseline, and takes it back at the first contact', async () => {
    controller.setQuietly(
      { leased: ramped, staying: ramped },
      { leased: { ttl: 60, onExpiry: 'baseline' }, staying: { ttl: 60, onExpiry: 'stay' } },
    );
    const { client, changed } = await connected();
    await controller.stop();
    clock.advance(58_000);
    expect(await client.getBooleanValue('leased', false)).toBe(true);
    clock.advance(3_000);
    expect(await client.getBooleanDetails('leased', true)).toMatchObject({
      value: false,
      variant: 'off',
      reason: 'STALE',
      flagMetadata: { lease: 'expired' },
    });
    expect(await client.getBooleanValue('staying', false)).toBe(true);
    expect(changed).toEqual([['leased']]);
    await controller.start();
    await until(() => {
      clock.advance(500);
      return changed.length === 2;
    }, 'contact');
    expect(await client.getBooleanValue('leased', false)).toBe(true);
  });
});

describe('a start', () => {
  it('with a refused key is FATAL and names the key without its secret', async () => {
    controller.faults.set('snapshot', { status: 401 });
    const { client, start } = connect();
    await expect(start).rejects.toThrow('refuses key tg_srv_AbCd1234… (401)');
    expect(client.providerStatus).toBe(ProviderStatus.FATAL);
    expect(clock.pending).toBe(0);
  });

  it('without controller and file is ERROR with PROVIDER_NOT_READY answers, and recovers without a restart', async () => {
    controller.setQuietly({ checkout: ramped });
    await controller.stop();
    const { client, start, events, changed, provider } = connect();
    await expect(start).rejects.toThrow('no flags');
    clock.advance(0);
    expect(client.providerStatus).toBe(ProviderStatus.ERROR);
    expect(await provider.resolveBooleanEvaluation('checkout', false, {})).toMatchObject({
      value: false,
      errorCode: 'PROVIDER_NOT_READY',
    });
    await controller.start();
    await until(() => {
      clock.advance(500);
      return changed.length === 1;
    }, 'flags');
    expect(events).toEqual([ProviderEvents.Error, ProviderEvents.Ready, ProviderEvents.ConfigurationChanged]);
    expect(await client.getBooleanValue('checkout', false)).toBe(true);
  });

  it('waits for a silent controller no longer than initTimeoutMs', async () => {
    controller.silent.add('snapshot');
    const { start } = connect({ initTimeoutMs: 3_000 });
    await until(() => controller.seen.length === 1);
    clock.advance(3_000);
    await expect(start).rejects.toThrow('no answer within 3000 ms');
  });

  it('with a file serves it STALE within a second, then becomes READY when the controller answers', async () => {
    controller.setQuietly({ checkout: ramped });
    const snapshotFile = join(folder, 'flags.json');
    await connected({ snapshotFile });
    await untilSaved(snapshotFile);
    await OpenFeature.clearProviders();
    controller.silent.add('snapshot');
    controller.seen.length = 0;

    const { client, start, events } = connect({ snapshotFile });
    await until(() => controller.seen.length === 1);
    clock.advance(1_000);
    await start;
    clock.advance(0);
    expect(client.providerStatus).toBe(ProviderStatus.STALE);
    expect(await client.getBooleanDetails('checkout', false)).toMatchObject({ value: true, reason: 'STALE' });
    controller.silent.clear();
    await until(() => {
      clock.advance(1_000);
      return events.at(-1) === ProviderEvents.Ready && events.length === 3;
    }, 'Ready');
  });

  it('refuses a document of another environment than it is configured for', async () => {
    const { start, warnings } = connect({ environment: 'staging' });
    await expect(start).rejects.toThrow('it is for environment "production"');
    expect(warnings).toHaveLength(1);
  });
});

describe('a later refusal of the key', () => {
  it('is ERROR with the last values, stops the stream, polls on, and heals when the key is good again', async () => {
    controller.setQuietly({ checkout: ramped });
    const { client, events } = await connected();
    controller.faults.set('stream', { status: 403 });
    controller.faults.set('snapshot', { status: 403 });
    controller.cutStreams();
    await until(() => {
      clock.advance(100);
      return events.includes(ProviderEvents.Error);
    }, 'ERROR');
    expect(client.providerStatus).toBe(ProviderStatus.ERROR);
    expect(await client.getBooleanValue('checkout', false)).toBe(true);
    const streams = controller.to('/v1/stream').length;
    const polls = controller.to('/v1/snapshot').length;
    clock.advance(61_000);
    await until(() => controller.to('/v1/snapshot').length > polls, 'a poll');
    expect(controller.to('/v1/stream').length).toBe(streams);
    controller.faults.clear();
    await until(() => {
      clock.advance(1_000);
      return events.at(-1) === ProviderEvents.Ready;
    }, 'Ready');
  });
});

describe('429 and 503', () => {
  it.each([429, 503])('%d keeps the snapshot quiet for Retry-After seconds', async (status) => {
    const { changed } = await connected();
    controller.faults.set('snapshot', { status, headers: { 'retry-after': '120' } });
    const before = controller.to('/v1/snapshot').length;
    controller.send('head', { ver: 50 });
    await until(() => controller.to('/v1/snapshot').length === before + 1);
    await idle();
    for (const ver of [2, 3]) {
      clock.advance(20_000);
      controller.send('head', { ver: 50 });
      // Behind it on the same stream: once this has arrived, the head has been heard.
      controller.send('change', { ver, from: ver - 1, flags: { marker: ver === 2 ? ramped : killed } });
      await until(() => changed.length === ver - 1);
    }
    expect(controller.to('/v1/snapshot').length).toBe(before + 1);
    controller.faults.clear();
    await until(() => {
      clock.advance(5_000);
      return controller.to('/v1/snapshot').length > before + 1;
    }, 'the next request');
    expect(clock.monotonicMs()).toBeGreaterThanOrEqual(1_000_000 + 120_000);
  });
});

describe('the snapshot file', () => {
  it('is written for its owner only, and again after a change', async () => {
    controller.setQuietly({ checkout: ramped });
    const snapshotFile = join(folder, 'flags.json');
    const { changed } = await connected({ snapshotFile });
    await untilSaved(snapshotFile, 2);
    expect((await stat(snapshotFile)).mode & 0o777).toBe(0o600);
    controller.set({ checkout: killed });
    await until(() => changed.length === 1);
    await untilSaved(snapshotFile, 3);
  });

  it('cut off at any byte is ignored with one warning and never an exception', async () => {
    controller.setQuietly({ checkout: ramped });
    const whole = join(folder, 'whole.json');
    await connected({ snapshotFile: whole });
    await untilSaved(whole);
    await OpenFeature.clearProviders();
    await controller.stop();
    const bytes = await readFile(whole);
    const part = join(folder, 'part.json');
    for (let length = 0; length < bytes.length; length += 1) {
      await writeFile(part, bytes.subarray(0, length));
      const warnings: string[] = [];
      const provider = new TidegateProvider({
        url: controller.url,
        key: 'k',
        snapshotFile: part,
        clock,
        fetch: () => Promise.reject(new Error('down')),
        warn: (message) => warnings.push(message),
      });
      await expect(provider.initialize()).rejects.toThrow('no flags: down');
      expect(warnings, `cut at byte ${length}`).toHaveLength(1);
      await provider.onClose();
    }
    await controller.start();
  });

  it('of another environment is ignored with one warning', async () => {
    controller.setQuietly({ checkout: ramped });
    const snapshotFile = join(folder, 'flags.json');
    await connected({ snapshotFile });
    await untilSaved(snapshotFile);
    await OpenFeature.clearProviders();
    await controller.stop();
    const { start, warnings } = connect({ snapshotFile, environment: 'staging' });
    await expect(start).rejects.toThrow('no flags');
    expect(warnings).toEqual([expect.stringContaining('is ignored: it is for environment "production"')]);
    await controller.start();
  });

  it('that cannot be written is a warning, not a failure', async () => {
    controller.setQuietly({ checkout: ramped });
    const { warnings, client } = await connected({ snapshotFile: join(folder, 'no', 'such', 'folder') });
    await until(() => warnings.length > 0);
    expect(warnings[0]).toContain('cannot be written');
    expect(await client.getBooleanValue('checkout', false)).toBe(true);
  });
});

async function untilSaved(path: string, ver = 0): Promise<void> {
  const deadline = performance.now() + 5_000;
  for (;;) {
    const text = await readFile(path, 'utf8').catch(() => '');
    if (text !== '' && (JSON.parse(text) as { snapshot: { ver: number } }).snapshot.ver >= ver) return;
    if (performance.now() > deadline) throw new Error(`${path} was not written`);
  }
}
