import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { aLatch, aRampPlan, aRunning, aServed, plainFlag, stageOf } from '../serve/a-served.ts';
import { aServer } from './a-server.ts';

const auth = { Authorization: 'Bearer server' };
const at = (ver: number, exposure: number, latches = [] as ReturnType<typeof aLatch>[]) =>
  aServed({
    ver,
    flags: { banner: plainFlag() },
    rollouts: [
      aRunning({
        plan: aRampPlan({ exposureLease: { onExpiry: 'baseline', ttl: '15m' } }),
        state: { stage: stageOf[exposure] ?? 0 },
      }),
    ],
    latches,
  });

describe('GET /v1/snapshot', () => {
  it('gives a server key the whole set, its digest and its leases', async () => {
    await using server = await aServer();
    server.show(at(57, 5));
    const { status, headers, json } = await server.ask('GET', '/v1/snapshot', auth);
    expect(status).toBe(200);
    expect(headers['cache-control']).toBe('private, no-cache');
    const digest = createHash('sha256').update(JSON.stringify(json.flagSet)).digest('hex');
    expect(json).toMatchObject({
      v: 1,
      env: 'production',
      ver: 57,
      count: 2,
      digest: `sha256-${digest}`,
      full: true,
      lease: { 'new-checkout': { ttl: 900, onExpiry: 'baseline' } },
    });
  });

  it('answers 304 while nothing changed, and the new set after', async () => {
    await using server = await aServer();
    server.show(at(57, 5));
    const etag = String((await server.ask('GET', '/v1/snapshot', auth)).headers.etag);
    const again = await server.ask('GET', '/v1/snapshot', { ...auth, 'If-None-Match': etag });
    expect([again.status, again.text]).toEqual([304, '']);
    server.show(at(58, 10));
    const after = await server.ask('GET', '/v1/snapshot', { ...auth, 'If-None-Match': etag });
    expect([after.status, after.json.ver]).toEqual([200, 58]);
  });

  it('gives rules to nobody else', async () => {
    await using server = await aServer({ anonymous: true });
    server.show(at(57, 5));
    for (const path of ['/v1/snapshot', '/v1/stream']) {
      expect((await server.ask('GET', path)).status).toBe(403);
      for (const key of ['client', 'admin'])
        expect((await server.ask('GET', path, { 'X-API-Key': key })).status).toBe(403);
      expect((await server.ask('POST', path, auth)).status).toBe(405);
      expect((await server.ask('GET', path, { 'X-API-Key': 'staging' })).status).toBe(503);
    }
    await using closed = await aServer();
    expect((await closed.ask('GET', '/v1/snapshot')).status).toBe(401);
  });

  it('answers 500 without a word of the reason when something breaks', async () => {
    await using server = await aServer({ breakBoard: true });
    const { status, text } = await server.ask('GET', '/v1/snapshot', auth);
    expect([status, text]).toEqual([500, '{"errorDetails":"something broke in the controller"}']);
    expect(server.failures).toHaveLength(1);
  });
});

describe('GET /v1/stream', () => {
  it('says the head first', async () => {
    await using server = await aServer();
    server.show(at(57, 5));
    const stream = await server.read('/v1/stream', auth);
    expect(stream.headers).toMatchObject({ 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' });
    expect(await stream.until('"ver"')).toBe('retry: 500\n\nevent: head\ndata: {"ver":57}\n\n');
    stream.close();
  });

  it('carries the changed flags themselves, and a lease that went as a tombstone', async () => {
    await using server = await aServer();
    server.show(at(57, 5));
    const stream = await server.read('/v1/stream', auth);
    await stream.until('head');
    server.show(at(58, 5, [aLatch()]));
    const data = /id: 58\nevent: change\ndata: (.*)\n\n/.exec(await stream.until('event: change'))?.[1];
    expect(JSON.parse(String(data))).toMatchObject({
      ver: 58,
      from: 57,
      flags: { 'new-checkout': { state: 'ENABLED', defaultVariant: 'off' } },
      lease: { 'new-checkout': null },
    });
    expect(data).not.toContain('targeting');
    stream.close();
  });

  it('replays what was missed, after the head', async () => {
    await using server = await aServer();
    for (const [ver, exposure] of [
      [57, 1],
      [58, 5],
      [60, 10],
    ] as const)
      server.show(at(ver, exposure));
    const stream = await server.read('/v1/stream', { ...auth, 'Last-Event-ID': '57' });
    const text = await stream.until('"ver":60,');
    expect(text.match(/event: \w+|id: \d+/g)).toEqual([
      'event: head',
      'id: 58',
      'event: change',
      'id: 60',
      'event: change',
    ]);
    stream.close();
  });

  it('says the head alone when the ring does not reach back', async () => {
    await using server = await aServer({ limits: { ring: 1 } });
    for (const [ver, exposure] of [
      [57, 1],
      [58, 5],
      [60, 10],
    ] as const)
      server.show(at(ver, exposure));
    const stream = await server.read('/v1/stream', { ...auth, 'Last-Event-ID': '57' });
    expect(await stream.until('head')).toBe('retry: 500\n\nevent: head\ndata: {"ver":60}\n\n');
    stream.close();
  });

  it('beats with the head', async () => {
    await using server = await aServer({ limits: { heartbeatMs: 20 } });
    server.show(at(57, 5));
    const stream = await server.read('/v1/stream', auth);
    await stream.until('event: head\ndata: {"ver":57}\n\nevent: head\ndata: {"ver":57}\n\n');
    server.show(at(58, 10));
    await stream.until('event: head\ndata: {"ver":58}\n\n');
    stream.close();
  });

  it('drops a client that does not read, and goes on with the others', async () => {
    await using server = await aServer();
    server.show(at(57, 5));
    const socket = connect(Number(new URL(server.base).port), '127.0.0.1');
    socket.on('error', () => {});
    socket.pause();
    socket.write('GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer server\r\n\r\n');
    const stream = await server.read('/v1/stream', auth);
    await stream.until('head');
    await expect.poll(() => server.hub.size, { interval: 5 }).toBe(2);
    const bytes = Buffer.from(`data: ${'x'.repeat(60_000)}\n\n`);
    let id = 100;
    await expect
      .poll(
        () => {
          server.hub.send('sync/production', { id, from: id - 1, bytes }, 'now');
          id += 1;
          return server.hub.size;
        },
        { interval: 5, timeout: 5_000 },
      )
      .toBe(1);
    server.show(at(100_000, 10));
    await stream.until('"ver":100000');
    stream.close();
    socket.destroy();
  });
});
