import { compileFlagSet, evaluate } from '@tidegate/core';
import { describe, expect, it } from 'vitest';
import { aLatch, aRampPlan, aRunning, aServed, plainFlag, stageOf } from '../serve/a-served.ts';
import { aServer } from './a-server.ts';

const open = plainFlag({ metadata: { clientVisible: true } });
const at = (ver: number, exposure: number) =>
  aServed({ ver, flags: { open }, rollouts: [aRunning({ state: { stage: stageOf[exposure] ?? 0 } })] });
const killed = (ver: number) => aServed({ ver, flags: { open }, rollouts: [aRunning()], latches: [aLatch()] });
const streamOf = ({ json }: { json: Record<string, unknown> }): string => {
  const uri = /"requestUri":"([^"]+)"/.exec(JSON.stringify(json))?.[1];
  if (uri === undefined) throw new Error('no stream in the answer');
  return uri;
};

describe('OFREP single evaluation', () => {
  it('answers value, variant, reason and metadata', async () => {
    await using server = await aServer();
    server.show(at(57, 100));
    const { status, headers, json } = await server.single('new-checkout', { targetingKey: 'u1' });
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('application/json');
    expect(json).toEqual({
      key: 'new-checkout',
      reason: 'SPLIT',
      value: true,
      variant: 'on',
      metadata: {
        flagSetId: 'production',
        version: expect.any(String),
        rolloutId: 'r_8f3a000000',
        stage: 4,
        exposurePpm: 1_000_000,
        bucketing: 'murmur3-utf8/v2',
        cohort: 'treatment',
      },
    });
  });

  it('leaves the value out where the caller’s default applies, and never says null', async () => {
    await using server = await aServer();
    const { defaultVariant: _none, ...noDefault } = plainFlag({ targeting: { if: [false, 'on', null] } });
    server.show(aServed({ flags: { noDefault, off: plainFlag({ state: 'DISABLED' }) } }));
    const fallback = await server.single('noDefault', {});
    expect(fallback.status).toBe(200);
    expect(fallback.json).toEqual({ key: 'noDefault', reason: 'DEFAULT', metadata: expect.anything() });
    const disabled = await server.single('off', {});
    expect(disabled.status).toBe(200);
    expect(disabled.json).toEqual({ key: 'off', reason: 'DISABLED', metadata: expect.anything() });
  });

  it('reads percent-encoded keys', async () => {
    await using server = await aServer();
    server.show(aServed({ flags: { 'team/größe': plainFlag() } }));
    expect((await server.single(encodeURIComponent('team/größe'), {})).json).toMatchObject({
      key: 'team/größe',
      value: true,
    });
    expect((await server.single('%E0%A4%A', {})).status).toBe(404);
  });

  it('answers 404 for a flag that is not there, 400 for one that fails', async () => {
    await using server = await aServer();
    server.show(aServed({ flags: { odd: plainFlag({ targeting: { var: 'choice' } }) } }));
    const missing = await server.single('nobody', {});
    expect(missing.status).toBe(404);
    expect(missing.json).toEqual({ key: 'nobody', errorCode: 'FLAG_NOT_FOUND', errorDetails: expect.any(String) });
    const failing = await server.single('odd', { choice: 'purple' });
    expect(failing.status).toBe(400);
    expect(failing.json).toMatchObject({ key: 'odd', errorCode: 'GENERAL', errorDetails: expect.any(String) });
    for (const name of ['__proto__', 'constructor', 'toString'])
      expect((await server.single(name, {})).status).toBe(404);
  });

  it('tells what is wrong with a body or a context', async () => {
    await using server = await aServer();
    server.show(at(57, 5));
    const send = async (body: string) => {
      const headers = { 'Content-Type': 'application/json; charset=utf-8', Authorization: 'Bearer server' };
      const { status, json } = await server.ask('POST', '/ofrep/v1/evaluate/flags/open', headers, body);
      return `${status} ${String(json.errorCode)} ${String(json.key)}`;
    };
    const deep = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;
    const wide = JSON.stringify(Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`a${i}`, i])));
    for (const body of ['', '{', '[]', '"text"', 'null', `{"context":${deep(30)}}`]) {
      expect(await send(body)).toBe('400 PARSE_ERROR open');
    }
    for (const context of ['null', '[]', '"text"', '7', '{"targetingKey":7}', '{"targetingKey":null}', wide, deep(6)]) {
      expect(await send(`{"context":${context}}`)).toBe('400 INVALID_CONTEXT open');
    }
    for (const body of ['{}', '{"context":{}}', `{"context":${deep(5)}}`]) expect(await send(body)).toMatch(/^200/);
  });

  it('refuses other types with 415 and more than 64 KiB with 413, declared or streamed', async () => {
    await using server = await aServer();
    server.show(at(57, 5));
    const headers = { Authorization: 'Bearer server' };
    const path = '/ofrep/v1/evaluate/flags/open';
    expect((await server.ask('POST', path, { ...headers, 'Content-Type': 'text/plain' }, '{}')).status).toBe(415);
    const big = JSON.stringify({ context: { pad: 'x'.repeat(65_536) } });
    const declared = await server.ask('POST', path, { ...headers, 'Content-Type': 'application/json' }, big);
    expect([declared.status, declared.headers.connection]).toEqual([413, 'close']);
    const streamed = await fetch(`${server.base}${path}`, {
      method: 'POST',
      headers: { ...headers, 'Content-Type': 'application/json' },
      body: new Blob([big]).stream(),
      duplex: 'half',
    } as RequestInit);
    expect(streamed.status).toBe(413);
  });

  it('asks who is there: 401 without a key, 403 for a key that may not', async () => {
    await using server = await aServer();
    server.show(at(57, 5));
    const nobody = await server.single('open', {}, { Authorization: '' });
    expect([nobody.status, nobody.json]).toEqual([401, { errorDetails: expect.any(String) }]);
    for (const key of ['client', 'admin']) {
      const refused = await server.single('open', {}, { Authorization: `Bearer ${key}` });
      expect([refused.status, refused.json]).toEqual([403, { errorDetails: expect.any(String) }]);
    }
    expect((await server.single('open', {}, { Authorization: '', 'X-API-Key': 'server' })).status).toBe(200);
  });

  it('lets a key for every environment name one', async () => {
    await using server = await aServer();
    server.show(at(57, 5));
    const headers = { 'Content-Type': 'application/json', Authorization: 'Bearer anywhere' };
    const ask = (query: string) => server.ask('POST', `/ofrep/v1/evaluate/flags/open${query}`, headers, '{}');
    expect((await ask('')).status).toBe(200);
    const unknown = await ask('?environment=mars');
    expect([unknown.status, unknown.headers['retry-after']]).toEqual([503, '2']);
  });

  it('answers 405 and 404 for what OFREP does not have, and leaves other paths alone', async () => {
    await using server = await aServer();
    const got = await server.ask('GET', '/ofrep/v1/evaluate/flags/open');
    expect([got.status, got.headers.allow]).toEqual([405, 'POST, OPTIONS']);
    expect((await server.ask('POST', '/ofrep/v1/sse')).status).toBe(405);
    expect((await server.ask('POST', '/ofrep/v1/other')).status).toBe(404);
    expect((await server.ask('GET', '/elsewhere')).status).toBe(418);
  });

  it('answers its own failure in a shape that official clients read, and says nothing of it', async () => {
    await using server = await aServer({ breakBoard: true });
    const { status, json } = await server.single('open', {});
    expect([status, json]).toEqual([
      500,
      { key: 'open', errorCode: 'GENERAL', errorDetails: 'something broke in the controller' },
    ]);
    expect(server.failures).toHaveLength(1);
    expect((await server.bulk({})).json).toEqual({
      errorCode: 'GENERAL',
      errorDetails: 'something broke in the controller',
    });
  });
});

describe('OFREP bulk evaluation', () => {
  it('shows a client key the visible flags in a stable order, and a server key everything', async () => {
    await using server = await aServer();
    server.show(aServed({ flags: { z: open, secret: plainFlag(), a: open }, rollouts: [aRunning()] }));
    const keysFor = async (key: string) => {
      const { json } = await server.bulk({ targetingKey: 'u1' }, { 'X-API-Key': key });
      return Array.isArray(json.flags) ? json.flags.map((flag: { key: string }) => flag.key) : [];
    };
    expect(await keysFor('client')).toEqual(['a', 'new-checkout', 'z']);
    expect(await keysFor('server')).toEqual(['a', 'new-checkout', 'secret', 'z']);
  });

  it('is a function of context, scope and revision: the same bytes, the same ETag', async () => {
    await using server = await aServer();
    server.show(at(57, 25));
    const [a, b] = [await server.bulk({ targetingKey: 'u1' }), await server.bulk({ targetingKey: 'u1' })];
    expect(b.text).toBe(a.text);
    expect(a.headers.etag).toMatch(/^"[\w-]{43}"$/);
    expect(a.headers['cache-control']).toBe('private, no-cache');
    expect(b.headers.etag).toBe(a.headers.etag);
    const other = await server.bulk({ targetingKey: 'u1', country: 'DE' });
    expect(other.text).toBe(a.text);
  });

  it('changes nothing for a client when only hidden flags change', async () => {
    await using server = await aServer();
    server.show(aServed({ flags: { open, hidden: plainFlag() } }));
    const before = await server.bulk({});
    server.show(aServed({ ver: 58, flags: { open, hidden: plainFlag({ defaultVariant: 'off' }) } }));
    expect((await server.bulk({})).headers.etag).toBe(before.headers.etag);
  });

  it('answers 304 with an empty body to lists, *, weak and unquoted tags, and 200 to others', async () => {
    await using server = await aServer();
    server.show(at(57, 25));
    const etag = String((await server.bulk({})).headers.etag);
    for (const header of [etag, `W/${etag}`, `"x", ${etag}`, '*', etag.slice(1, -1)]) {
      const { status, text, headers } = await server.bulk({}, { 'If-None-Match': header });
      expect([status, text, headers.etag]).toEqual([304, '', etag]);
    }
    expect((await server.bulk({}, { 'If-None-Match': '"x", W/"y"' })).status).toBe(200);
  });

  it('lists a failing flag as a failure among the others', async () => {
    await using server = await aServer();
    server.show(aServed({ flags: { odd: plainFlag({ targeting: { var: 'choice' } }), open } }));
    const { status, json } = await server.bulk({ choice: 'purple' }, { 'X-API-Key': 'server' });
    expect(status).toBe(200);
    expect(json.flags).toMatchObject([
      { key: 'odd', errorCode: 'GENERAL' },
      { key: 'open', value: true },
    ]);
  });

  it('answers 400 without a key of a flag', async () => {
    await using server = await aServer();
    server.show(at(57, 5));
    expect(await server.bulk('text')).toMatchObject({ status: 400, json: { errorCode: 'INVALID_CONTEXT' } });
    expect((await server.bulk('text')).json).not.toHaveProperty('key');
  });

  it('serves browsers without a key where evaluation is public, in bulk only', async () => {
    await using server = await aServer({ anonymous: true });
    server.show(aServed({ flags: { open, hidden: plainFlag() } }));
    const { status, json } = await server.bulk({}, { 'X-API-Key': '' });
    expect(status).toBe(200);
    expect(json.flags).toMatchObject([{ key: 'open' }]);
    expect((await server.single('open', {}, { Authorization: '' })).status).toBe(403);
  });
});

describe('CORS of OFREP', () => {
  it('answers a preflight without a key', async () => {
    await using server = await aServer();
    const { status, headers } = await server.ask('OPTIONS', '/ofrep/v1/evaluate/flags', {
      Origin: 'https://shop.example',
    });
    expect(status).toBe(204);
    expect(headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-headers': 'Content-Type, If-None-Match, Authorization, X-API-Key',
      'access-control-max-age': '7200',
      vary: 'Origin',
    });
    expect(headers).not.toHaveProperty('access-control-allow-credentials');
  });

  it('exposes ETag and Retry-After on answers and on errors, to listed origins only', async () => {
    await using server = await aServer({ origins: ['https://shop.example'] });
    server.show(at(57, 5));
    for (const key of ['client', 'wrong']) {
      const { headers } = await server.bulk({}, { 'X-API-Key': key, Origin: 'https://shop.example' });
      expect(headers['access-control-allow-origin']).toBe('https://shop.example');
      expect(headers['access-control-expose-headers']).toBe('ETag, Retry-After');
    }
    const { headers } = await server.bulk({}, { Origin: 'https://evil.example' });
    expect(headers).not.toHaveProperty('access-control-allow-origin');
    expect(headers.vary).toBe('Origin');
  });
});

describe('the exposure token in a bulk answer', () => {
  const mintToken = ({ targetingKey, entries }: { targetingKey: string; entries: readonly unknown[] }) =>
    `tg1.${targetingKey}.${entries.length}`;

  it('lists every rollout that covers the visitor, with the arm that was served', async () => {
    await using server = await aServer({ mintToken });
    const pinned = aRampPlan({ audience: { always: { treatment: ['qa-1'] } } }, 'search');
    server.show(aServed({ flags: { open }, rollouts: [aRunning(), aRunning({ plan: pinned, shortId: 12 })] }));
    const { flagSet } = server.board.get('production')?.served ?? aServed();
    const compiled = compileFlagSet(flagSet);
    for (const targetingKey of ['qa-1', ...Array.from({ length: 60 }, (_, i) => `u${i}`)]) {
      const { json } = await server.bulk({ targetingKey });
      expect(json.metadata).toMatchObject({ 'tidegate.token': `tg1.${targetingKey}.2` });
      expect(json.flags).toMatchObject([
        { key: 'new-checkout', metadata: { 'tidegate.x': 0 } },
        { key: 'open' },
        { key: 'search', metadata: { 'tidegate.x': 1 } },
      ]);
      const { variant } = evaluate(compiled, 'new-checkout', { targetingKey }, 0);
      const arm = variant === 'on' ? 'treatment' : variant === 'off@control' ? 'control' : 'rest';
      expect(server.issued.at(-1)?.entries[0]).toEqual({ rollout: 11, epoch: 3, arm });
      expect(json.flags).toMatchObject([{ metadata: { cohort: arm } }, {}, {}]);
    }
    // A pinned unit sees the treatment and is not evidence of it.
    expect(server.issued[0]?.entries[1]).toEqual({ rollout: 12, epoch: 3, arm: 'rest' });
    expect(new Set(server.issued.map(({ entries }) => entries[0]?.arm))).toEqual(
      new Set(['treatment', 'control', 'rest']),
    );
  });

  it('is counted as issued on a 304 too', async () => {
    await using server = await aServer({ mintToken });
    server.show(at(57, 25));
    const { headers } = await server.bulk({ targetingKey: 'u1' });
    await server.bulk({ targetingKey: 'u1' }, { 'If-None-Match': String(headers.etag) });
    expect(server.issued).toHaveLength(2);
  });

  it('is not given to servers, to anonymous visitors, or after a kill', async () => {
    await using server = await aServer({ mintToken });
    server.show(at(57, 25));
    const answers = [await server.bulk({ targetingKey: 'u1' }, { 'X-API-Key': 'server' }), await server.bulk({})];
    server.show(killed(58));
    answers.push(await server.bulk({ targetingKey: 'u1' }));
    for (const { text } of answers) {
      expect(text).not.toContain('tidegate.token');
      expect(text).not.toContain('tidegate.x');
    }
    expect(server.issued).toEqual([]);
  });

  it('carries the own unit of a rollout that buckets on something else', async () => {
    await using server = await aServer({ mintToken });
    server.show(aServed({ rollouts: [aRunning({ plan: aRampPlan({ unit: { key: 'org.id', seed: 's' } }) })] }));
    await server.bulk({ targetingKey: 'u1', org: { id: 'acme' } });
    expect(server.issued[0]?.entries[0]).toMatchObject({ rollout: 11, bucketUnit: 'acme' });
  });

  it('holds 32 rollouts; the others are served without being measured', async () => {
    await using server = await aServer({ mintToken });
    const rollouts = Array.from({ length: 40 }, (_, i) =>
      aRunning({ plan: aRampPlan({}, `flag-${String(i).padStart(2, '0')}`), shortId: i + 1, id: `r_${i}` }),
    );
    server.show(aServed({ rollouts }));
    const { json, text } = await server.bulk({ targetingKey: 'u1' });
    expect(server.issued[0]?.entries).toHaveLength(32);
    expect(json.flags).toHaveLength(40);
    expect(text.match(/tidegate\.x/g)).toHaveLength(32);
  });

  it('names the rollout of the wave that covers the visitor', async () => {
    await using server = await aServer({ mintToken });
    const plan = aRampPlan({
      waves: [
        { name: 'eu', environment: 'production', regions: ['eu-*'] },
        { name: 'us', environment: 'production', regions: ['us-*'] },
      ],
    });
    server.show(
      aServed({ rollouts: [aRunning({ plan, wave: 'eu', shortId: 21 }), aRunning({ plan, wave: 'us', shortId: 22 })] }),
    );
    for (const [region, rollout] of [
      ['eu-west', 21],
      ['us-east', 22],
    ] as const) {
      await server.bulk({ targetingKey: 'u1', region });
      expect(server.issued.at(-1)?.entries).toMatchObject([{ rollout }]);
    }
    const asia = await server.bulk({ targetingKey: 'u1', region: 'asia' });
    expect(asia.text).not.toContain('tidegate.token');
    expect(asia.json.flags).toMatchObject([{ value: false, metadata: { cohort: 'rest' } }]);
  });
});

describe('the OFREP event stream', () => {
  it('is announced relative to the origin, with a ticket and the revision of the answer', async () => {
    await using server = await aServer();
    server.show(at(57, 5));
    const { json } = await server.bulk({});
    expect(json.eventStreams).toEqual([
      {
        type: 'sse',
        endpoint: { requestUri: expect.stringMatching(/^\/ofrep\/v1\/sse\?t=[\w-]+\.[\w-]+&rev=57$/) },
        inactivityDelaySec: 120,
      },
    ]);
  });

  it('gets another ticket, and so another ETag, every ten minutes', async () => {
    await using server = await aServer();
    server.show(at(57, 5));
    const before = await server.bulk({});
    server.clock.now += 600_000;
    expect((await server.bulk({})).headers.etag).not.toBe(before.headers.etag);
  });

  it('says nothing to a reader that is up to date, and tells it of a change', async () => {
    await using server = await aServer();
    server.show(at(57, 5));
    const stream = await server.read(streamOf(await server.bulk({})), { Origin: 'https://shop.example' });
    expect(stream.status).toBe(200);
    expect(stream.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'access-control-allow-origin': '*',
    });
    expect(await stream.until('retry: 500\n\n')).toBe('retry: 500\n\n');
    server.show(killed(58));
    const text = await stream.until('refetch');
    expect(text).toBe(
      'retry: 500\n\nid: 58\ndata: {"type":"refetchEvaluation","etag":"\\"rev-58\\"","lastModified":1800000000}\n\n',
    );
    stream.close();
  });

  it('covers the window between the bulk answer and the opening', async () => {
    await using server = await aServer();
    server.show(at(57, 5));
    const uri = streamOf(await server.bulk({}));
    server.show(killed(58));
    const stream = await server.read(uri);
    expect(await stream.until('refetchEvaluation')).toContain('id: 58\n');
    stream.close();
  });

  it('covers the window while the stream was down; Last-Event-ID wins over the URL', async () => {
    await using server = await aServer();
    server.show(at(57, 5));
    const uri = streamOf(await server.bulk({}));
    server.show(killed(58));
    const behind = await server.read(uri, { 'Last-Event-ID': '57' });
    expect(await behind.until('refetchEvaluation')).toContain('id: 58\n');
    const current = await server.read(uri, { 'Last-Event-ID': '58' });
    server.hub.send('ofrep/client/production', { id: 59, from: 58, bytes: Buffer.from('data: end\n\n') }, 'now');
    expect(await current.until('data: end')).not.toContain('refetchEvaluation');
    behind.close();
    current.close();
  });

  it('brings a kill while a step up is still being spread', async () => {
    await using server = await aServer();
    server.show(at(57, 5));
    const uri = streamOf(await server.bulk({}));
    const streams = await Promise.all(Array.from({ length: 20 }, () => server.read(uri)));
    server.show(at(58, 10));
    const started = performance.now();
    server.show(killed(59));
    const texts = await Promise.all(streams.map((stream) => stream.until('id: 59')));
    expect(performance.now() - started).toBeLessThan(500);
    expect(texts.filter((text) => !text.includes('id: 58')).length).toBeGreaterThan(15);
    for (const stream of streams) stream.close();
  });

  it('is closed to tickets that are old, changed, or of a revoked key', async () => {
    await using server = await aServer();
    server.show(at(57, 5));
    const uri = streamOf(await server.bulk({}));
    const status = async (path: string) => (await server.ask('GET', path)).status;
    expect(await status(uri.replace('t=', 't=x'))).toBe(401);
    expect(await status('/ofrep/v1/sse?rev=57')).toBe(401);
    server.clock.now += 1_200_000;
    expect(await status(uri)).toBe(401);
    const fresh = streamOf(await server.bulk({}));
    server.dead.add('client');
    expect(await status(fresh)).toBe(401);
  });

  it('says how long to stay away when there is no room', async () => {
    await using server = await aServer({ limits: { perKey: 1, streams: 2 } });
    server.show(at(57, 5));
    const uri = streamOf(await server.bulk({}));
    const first = await server.read(uri);
    const full = await server.ask('GET', uri);
    expect([full.status, full.headers['retry-after']]).toEqual([429, expect.stringMatching(/^[1-5]$/)]);
    const other = await server.read(streamOf(await server.bulk({}, { 'X-API-Key': 'server' })));
    const busy = await server.ask('GET', streamOf(await server.bulk({}, { 'X-API-Key': 'anywhere' })));
    expect([busy.status, busy.headers['retry-after']]).toEqual([503, expect.stringMatching(/^[1-5]$/)]);
    first.close();
    other.close();
  });

  it('ends on shutdown', async () => {
    await using server = await aServer();
    server.show(at(57, 5));
    const stream = await server.read(streamOf(await server.bulk({})));
    server.hub.close();
    await stream.ended;
  });
});
