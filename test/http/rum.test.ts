import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { createCors } from '../../src/http/cors.ts';
import { createRumHandler, type RumDeps } from '../../src/http/rum.ts';
import { createIngest } from '../../src/ingest/flush.ts';
import type { Message } from '../../src/ingest/fold.ts';
import { aRumStore, aToken, noon, pageViewId, rules, tokens } from '../support/beacons.ts';

const closers: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Answer {
  readonly status: number;
  readonly headers: { readonly [name: string]: string | string[] | undefined };
  readonly body: string;
}

async function aDoor(over: Partial<RumDeps> = {}) {
  const heard: Message[] = [];
  const answered: number[] = [];
  const handle = createRumHandler({
    ingest: {
      async accept(message) {
        heard.push(message);
        return 'stored';
      },
    },
    tokens,
    cors: createCors(['https://shop.example']),
    trusted: () => false,
    regionHeader: null,
    regions: [],
    now: () => noon,
    answered: (status) => answered.push(status),
    ...over,
  });
  const server: Server = createServer((req, res) => {
    if (!handle(req, res)) res.writeHead(404).end();
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  closers.push(() => new Promise((closed) => server.close(closed).closeAllConnections()));
  const { port } = server.address() as AddressInfo;
  const post = (body: string | Buffer, headers: { [name: string]: string } = {}, method = 'POST', path = '/v1/rum') =>
    new Promise<Answer>((resolve, reject) => {
      const req = request({ port, path, method, headers: { 'content-type': 'text/plain;charset=UTF-8', ...headers } });
      req.on('response', (res) => {
        let text = '';
        res.setEncoding('utf8').on('data', (chunk) => {
          text += chunk;
        });
        res.on('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, body: text }));
      });
      req.on('error', reject).end(body);
    });
  return { post, heard, answered, port };
}

const beacon = (over: object = {}) =>
  JSON.stringify({ v: 1, id: pageViewId(1), q: 0, tok: aToken({ user: 'a' }), x: [[0, 0]], age: 5000, ...over });

describe('POST /v1/rum', () => {
  it('answers 204 without a body, and without a cookie, once the message is stored', async () => {
    const { post, heard, answered } = await aDoor();
    const { status, headers, body } = await post(beacon());
    expect([status, body, headers['set-cookie']]).toEqual([204, '', undefined]);
    expect(heard).toMatchObject([{ receivedAt: noon, token: { environment: 'production' }, optedOut: false }]);
    expect(answered).toEqual([204]);
  });

  it('answers only after the commit', async () => {
    const store = await aRumStore();
    closers.push(() => store.close());
    const ingest = createIngest({ ...rules, store, tokens, failed: () => {} });
    const { post } = await aDoor({ ingest });
    await post(beacon());
    expect(await store.stats(0)).toMatchObject([{ reason: 'accepted', n: 1 }]);
  });

  it('says the same of a forged and of a good token', async () => {
    const { post, heard } = await aDoor();
    const good = await post(beacon());
    const forged = await post(beacon({ tok: `${aToken({ user: 'a' }).slice(0, -4)}AAAA` }));
    const { date: _, ...sameHeaders } = good.headers;
    expect(forged).toMatchObject({ status: 204, headers: sameHeaders, body: '' });
    expect(heard.map(({ token }) => (typeof token === 'string' ? token : 'good'))).toEqual(['good', 'invalid']);
  });

  it('reads the late message of a page view that began while its token was young', async () => {
    const { post, heard } = await aDoor({ now: () => noon + 20 * 3_600_000 });
    await post(beacon({ age: 19 * 3_600_000 }));
    await post(beacon({ age: 3_600_000 }));
    expect(heard.map(({ token }) => (typeof token === 'string' ? token : 'good'))).toEqual(['good', 'expired']);
  });

  it('answers 400 with a reason to what is no beacon', async () => {
    const { post } = await aDoor();
    expect(await post('{}')).toMatchObject({ status: 400, body: expect.stringContaining('v is 1') });
    expect(await post('')).toMatchObject({ status: 400 });
  });

  it('answers 413 to a large body, declared or streamed', async () => {
    const { post, port } = await aDoor();
    expect(await post('x'.repeat(16_385))).toMatchObject({ status: 413 });
    const chunked = await new Promise<string>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.write(
        'POST /v1/rum HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n',
      );
      socket.write(`5000\r\n${'x'.repeat(0x5000)}\r\n`);
      let text = '';
      socket.on('data', (data) => {
        text += data;
      });
      socket.on('error', () => {});
      socket.on('close', () => resolve(text));
    });
    expect(chunked).toMatch(/^HTTP\/1.1 413 /);
  });

  it('answers 415 to another type and to compressed bodies', async () => {
    const { post } = await aDoor();
    expect(await post(beacon(), { 'content-type': 'text/html' })).toMatchObject({ status: 415 });
    expect(await post(beacon(), { 'content-encoding': 'gzip' })).toMatchObject({ status: 415 });
  });

  it('answers 429 with Retry-After to a network that floods', async () => {
    const { post, heard } = await aDoor({ limit: { messages: 2, windowMs: 10_000 } });
    const answers = [await post(beacon()), await post(beacon()), await post(beacon())];
    expect(answers.map(({ status }) => status)).toEqual([204, 204, 429]);
    expect(answers[2]?.headers['retry-after']).toBe('10');
    expect(heard).toHaveLength(2);
  });

  it('counts visitors behind a trusted proxy apart', async () => {
    const { post } = await aDoor({ limit: { messages: 1, windowMs: 10_000 }, trusted: (hop) => hop === '127.0.0.1' });
    const from = async (hops: string) => (await post(beacon(), { 'x-forwarded-for': hops })).status;
    expect(await from('198.51.100.1')).toBe(204);
    expect(await from('203.0.113.1')).toBe(204);
    expect(await from('6.6.6.6, 203.0.113.2')).toBe(429);
  });

  it('answers 503 with Retry-After when the queue is full', async () => {
    const { post } = await aDoor({ ingest: { accept: async () => 'full' } });
    expect(await post(beacon())).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
  });

  it('answers 500 when something of ours breaks', async () => {
    const { post } = await aDoor({ ingest: { accept: () => Promise.reject(new Error('bug')) } });
    expect(await post(beacon())).toMatchObject({ status: 500 });
  });

  it('believes the region of a trusted proxy only', async () => {
    const region = { regionHeader: 'x-region', regions: ['eu'] };
    const trusting = await aDoor({ ...region, trusted: () => true });
    await trusting.post(beacon(), { 'x-region': 'EU' });
    expect(trusting.heard[0]?.client.region).toBe('eu');
    const direct = await aDoor(region);
    await direct.post(beacon(), { 'x-region': 'EU' });
    expect(direct.heard[0]?.client.region).toBe('other');
  });

  it.each([{ dnt: '1' }, { 'sec-gpc': '1' }])('marks what comes in spite of %o', async (headers) => {
    const { post, heard } = await aDoor();
    expect(await post(beacon(), headers)).toMatchObject({ status: 204 });
    expect(heard).toMatchObject([{ optedOut: true }]);
  });

  it('lets listed origins read the answer, never with credentials', async () => {
    const { post } = await aDoor();
    const listed = await post(beacon(), { origin: 'https://shop.example' });
    expect(listed.headers['access-control-allow-origin']).toBe('https://shop.example');
    expect(listed.headers['access-control-allow-credentials']).toBeUndefined();
    const other = await post(beacon(), { origin: 'https://evil.example' });
    expect(other.headers['access-control-allow-origin']).toBeUndefined();
  });

  it('answers preflights, and 405 to other methods', async () => {
    const { post, heard } = await aDoor();
    const preflight = await post('', { origin: 'https://shop.example' }, 'OPTIONS');
    expect(preflight.status).toBe(204);
    expect(preflight.headers['access-control-allow-methods']).toContain('POST');
    expect(await post('', {}, 'PUT')).toMatchObject({ status: 405, headers: { allow: 'POST, OPTIONS' } });
    expect(heard).toEqual([]);
  });

  it('leaves other paths to others', async () => {
    const { post } = await aDoor();
    expect(await post(beacon(), {}, 'POST', '/v1/rummage')).toMatchObject({ status: 404 });
    expect(await post(beacon(), {}, 'POST', '/v1/rum?v=1')).toMatchObject({ status: 204 });
  });
});
