import type { Client } from '@openfeature/web-sdk';
import { OpenFeature, ProviderEvents, ProviderStatus } from '@openfeature/web-sdk';
import type { TidegateWebOptions } from '@tidegate/web-provider';
import { TidegateWebProvider } from '@tidegate/web-provider';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeController } from '../../support/fake-controller.ts';
import { FakeClock, until } from '../fake-clock.ts';
import { FakeEventSource } from './fake-event-source.ts';

let controller: FakeController;
let clock: FakeClock;
let streams: FakeEventSource[];
let domains = 0;

beforeEach(async () => {
  controller = await new FakeController().start();
  clock = new FakeClock();
  streams = [];
});

afterEach(async () => {
  await OpenFeature.clearProviders();
  await OpenFeature.clearContexts();
  await controller.stop();
});

interface Connected {
  readonly client: Client;
  readonly domain: string;
  readonly provider: TidegateWebProvider;
  readonly events: string[];
  readonly changed: (readonly string[])[];
  readonly start: Promise<void>;
}

function connect(options: Partial<TidegateWebOptions> = {}): Connected {
  domains += 1;
  const domain = `web-${domains}`;
  const [events, changed]: [string[], (readonly string[])[]] = [[], []];
  const provider = new TidegateWebProvider({
    url: controller.url,
    key: 'client-key',
    clock,
    openStream(url) {
      const stream = new FakeEventSource(url);
      streams.push(stream);
      return stream;
    },
    ...options,
  });
  const start = OpenFeature.setProviderAndWait(domain, provider, { targetingKey: 'u1' });
  start.catch(() => {});
  const client = OpenFeature.getClient(domain);
  for (const event of [ProviderEvents.Ready, ProviderEvents.Stale, ProviderEvents.Error])
    client.addHandler(event, () => events.push(event));
  client.addHandler(ProviderEvents.ConfigurationChanged, (details) => {
    events.push(ProviderEvents.ConfigurationChanged);
    changed.push(details?.flagsChanged ?? []);
  });
  return { client, domain, provider, events, changed, start };
}

async function connected(options: Partial<TidegateWebOptions> = {}): Promise<Connected> {
  const it = connect(options);
  await it.start;
  clock.advance(0);
  stream().open();
  return it;
}

function stream(): FakeEventSource {
  const newest = streams.at(-1);
  if (!newest) throw new Error('no stream was opened');
  return newest;
}

const bulkPath = '/ofrep/v1/evaluate/flags';
const on = { checkout: { value: true, variant: 'on', reason: 'SPLIT', metadata: { version: '41' } } };
const off = { checkout: { value: false, variant: 'off', reason: 'STATIC', metadata: { version: '42' } } };

describe('a connected page', () => {
  it('resolves what the controller evaluated, with the metadata of the set and never its token', async () => {
    controller.setBulkQuietly(on);
    controller.bulkMetadata = { 'tidegate.token': 'tg1.x.y' };
    const { client, events } = await connected();
    expect(client.getBooleanDetails('checkout', false)).toMatchObject({
      value: true,
      variant: 'on',
      reason: 'SPLIT',
      flagMetadata: { flagSetId: 'production', version: '41' },
    });
    expect(client.getBooleanDetails('checkout', false).flagMetadata).not.toHaveProperty(['tidegate.token']);
    expect(events).toEqual([ProviderEvents.Ready]);
    expect(controller.to(bulkPath)[0]?.headers.authorization).toBe('Bearer client-key');
    expect(stream().url).toBe(`${controller.url}/ofrep/v1/sse?t=ticket&rev=2`);
  });

  it.each([
    ['unknown', 'FLAG_NOT_FOUND'],
    ['broken', 'PARSE_ERROR'],
    ['odd', 'GENERAL'],
    ['text', 'TYPE_MISMATCH'],
  ])('answers the %s flag with %s and the code default', async (key, errorCode) => {
    controller.setBulkQuietly({
      broken: { errorCode: 'PARSE_ERROR' },
      odd: { errorCode: 'NEWER_THAN_US' },
      text: { value: 'x' },
    });
    const { client } = await connected();
    expect(client.getBooleanDetails(key, true)).toMatchObject({
      value: true,
      errorCode,
      flagMetadata: { flagSetId: 'production' },
    });
  });

  it('serves the code default of a flag without a value', async () => {
    controller.setBulkQuietly({ disabled: { reason: 'DISABLED' } });
    const { client } = await connected();
    expect(client.getBooleanDetails('disabled', true)).toMatchObject({ value: true, reason: 'DISABLED' });
  });

  it('fetches when the stream says so, and names exactly the changed keys', async () => {
    controller.setBulkQuietly({ ...on, other: { value: 1 } });
    const { client, changed } = await connected();
    controller.setBulkQuietly({ ...off, other: { value: 1 } });
    stream().announce();
    await until(() => changed.length === 1);
    expect(changed).toEqual([['checkout']]);
    expect(client.getBooleanValue('checkout', true)).toBe(false);
  });

  it('ignores events that it does not know', async () => {
    await connected();
    const before = controller.seen.length;
    stream().announce({ type: 'somethingNew' });
    stream().onmessage?.(new MessageEvent('message', { data: 'no JSON' }));
    expect(controller.seen.length).toBe(before);
  });

  it('keeps its ETag for the same context and drops it on any change of context', async () => {
    controller.setBulkQuietly(on);
    const { domain } = await connected();
    stream().announce();
    await until(() => controller.to(bulkPath).length === 2);
    expect(controller.to(bulkPath)[1]?.headers['if-none-match']).toMatch(/^"[0-9a-f]{64}"$/);
    await OpenFeature.setContext(domain, { targetingKey: 'u1', country: 'DE' });
    expect(controller.to(bulkPath)[2]?.headers['if-none-match']).toBeUndefined();
    expect(controller.to(bulkPath)[2]?.body).toBe('{"context":{"targetingKey":"u1","country":"DE"}}');
  });

  it('keeps the answer for the newest context when an older one arrives late', async () => {
    const { client, domain } = await connected();
    let release = () => {};
    controller.setBulkQuietly((context) => ({ who: { value: String(context.targetingKey) } }));
    controller.onBulk = (context) =>
      JSON.stringify(context).includes('slow') ? new Promise((resolve) => (release = resolve)) : undefined;
    const slow = OpenFeature.setContext(domain, { targetingKey: 'slow' });
    await until(() => controller.seen.some(({ body }) => body.includes('slow')));
    await Promise.resolve();
    const fast = OpenFeature.setContext(domain, { targetingKey: 'fast' });
    await until(() => client.getStringValue('who', '') === 'fast');
    release();
    await Promise.all([slow, fast]);
    expect(client.getStringValue('who', '')).toBe('fast');
    expect(client.providerStatus).toBe(ProviderStatus.READY);
  });

  it('leaves no timer and no stream behind when it is closed', async () => {
    await connected();
    await OpenFeature.clearProviders();
    expect(stream().isClosed).toBe(true);
    expect(clock.pending).toBe(0);
  });
});

describe('a broken stream', () => {
  it('is opened again, and what was announced meanwhile is fetched', async () => {
    controller.setBulkQuietly(on);
    const { client, changed, events } = await connected();
    stream().fail();
    controller.setBulkQuietly(off);
    clock.advance(0);
    expect(streams).toHaveLength(2);
    stream().open();
    await until(() => changed.length === 1);
    expect(client.getBooleanValue('checkout', true)).toBe(false);
    expect(events).toEqual([ProviderEvents.Ready, ProviderEvents.ConfigurationChanged]);
  });

  it('is asked a new URL for from the second failure on: its ticket may have run out', async () => {
    await connected();
    stream().fail();
    clock.advance(0);
    const before = controller.to(bulkPath).length;
    controller.setBulkQuietly(on);
    stream().fail();
    clock.advance(0);
    await until(() => streams.length === 3);
    expect(controller.to(bulkPath).length).toBe(before + 1);
    expect(stream().url).toContain('rev=2');
  });

  it('that fails three times makes way for polling, which still reaches the page with a kill', async () => {
    controller.setBulkQuietly(on);
    const { client, changed, events } = await connected();
    stream().fail();
    clock.advance(0);
    stream().fail();
    clock.advance(0);
    await until(() => streams.length === 3);
    const before = controller.to(bulkPath).length;
    stream().fail();
    await until(() => controller.to(bulkPath).length === before + 1, 'a poll at once');
    controller.setBulkQuietly(off);
    await until(() => {
      clock.advance(1_000);
      return changed.length === 1;
    }, 'the next poll');
    expect(client.getBooleanValue('checkout', true)).toBe(false);
    await until(() => streams.length === 4, 'another try of the stream');
    expect(events).not.toContain(ProviderEvents.Stale);
  });

  it('without any other contact makes values STALE after 30 s, and recovery is Ready, then ConfigurationChanged', async () => {
    controller.setBulkQuietly(on);
    const { client, events, changed } = await connected();
    controller.faults.set('bulk', { status: 500 });
    clock.chance = 0.5;
    stream().fail();
    await until(() => {
      clock.advance(1_000);
      return events.includes(ProviderEvents.Stale);
    }, 'STALE');
    expect(client.providerStatus).toBe(ProviderStatus.STALE);
    expect(client.getBooleanDetails('checkout', false)).toMatchObject({ value: true, reason: 'STALE' });
    controller.setBulkQuietly(off);
    controller.faults.clear();
    events.length = 0;
    await until(() => {
      clock.advance(1_000);
      return changed.length === 1;
    }, 'recovery');
    expect(events).toEqual([ProviderEvents.Ready, ProviderEvents.ConfigurationChanged]);
    expect(client.getBooleanDetails('checkout', true)).toMatchObject({ value: false, reason: 'STATIC' });
  });
});

describe('a change of context without the controller', () => {
  it('does not reject, is STALE after the SDK has said READY, and heals with ConfigurationChanged', async () => {
    controller.setBulkQuietly((context) => ({ who: { value: String(context.targetingKey) } }));
    const { client, domain, events, changed } = await connected();
    controller.faults.set('bulk', { status: 500 });
    clock.chance = 1;
    await OpenFeature.setContext(domain, { targetingKey: 'u2' });
    clock.advance(0);
    expect(client.providerStatus).toBe(ProviderStatus.STALE);
    expect(client.getStringDetails('who', '')).toMatchObject({ value: 'u1', reason: 'STALE' });
    controller.faults.clear();
    await until(() => {
      clock.advance(100);
      return changed.length === 1;
    }, 'recovery');
    expect(client.getStringDetails('who', '')).toMatchObject({ value: 'u2', reason: 'STATIC' });
    expect(client.providerStatus).toBe(ProviderStatus.READY);
    expect(events.at(-2)).toBe(ProviderEvents.Ready);
  });
});

describe('a start', () => {
  it.each([401, 403])('with a key refused by %d is FATAL', async (status) => {
    controller.faults.set('bulk', { status });
    const { client, start } = connect();
    await expect(start).rejects.toThrow(`refuses this key (${status})`);
    expect(client.providerStatus).toBe(ProviderStatus.FATAL);
    expect(clock.pending).toBe(0);
  });

  it('without the controller is ERROR, serves code defaults, and recovers without a reload', async () => {
    controller.setBulkQuietly(on);
    controller.faults.set('bulk', { status: 500 });
    const { client, start, provider, events, changed } = connect();
    await expect(start).rejects.toThrow('the controller answered 500');
    clock.advance(0);
    expect(client.providerStatus).toBe(ProviderStatus.ERROR);
    expect(provider.resolveBooleanEvaluation('checkout', false)).toMatchObject({ errorCode: 'PROVIDER_NOT_READY' });
    controller.faults.clear();
    await until(() => {
      clock.advance(1_000);
      return changed.length === 1;
    }, 'flags');
    expect(events).toEqual([ProviderEvents.Error, ProviderEvents.Ready, ProviderEvents.ConfigurationChanged]);
    expect(client.getBooleanValue('checkout', false)).toBe(true);
  });
});

describe('a later answer', () => {
  it('of 403 is ERROR with the last values, closes the stream, and heals when the key is good again', async () => {
    controller.setBulkQuietly(on);
    const { client, events } = await connected();
    controller.faults.set('bulk', { status: 403 });
    stream().announce();
    await until(() => events.includes(ProviderEvents.Error), 'ERROR');
    expect(client.getBooleanValue('checkout', false)).toBe(true);
    expect(stream().isClosed).toBe(true);
    controller.faults.clear();
    await until(() => {
      clock.advance(1_000);
      return events.at(-1) === ProviderEvents.Ready;
    }, 'Ready');
    expect(streams).toHaveLength(2);
  });

  it('of 429 is obeyed for Retry-After seconds', async () => {
    await connected();
    controller.faults.set('bulk', { status: 429, headers: { 'retry-after': '20' } });
    stream().announce();
    await until(() => controller.to(bulkPath).length === 2);
    await until(() => clock.pending === 2, 'the retry and the doubt');
    stream().announce();
    clock.advance(19_999);
    stream().announce();
    expect(controller.to(bulkPath).length).toBe(2);
    controller.faults.clear();
    clock.advance(1);
    await until(() => controller.to(bulkPath).length === 3);
  });
});
