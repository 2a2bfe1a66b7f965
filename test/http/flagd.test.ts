import { FlagdCore } from '@openfeature/flagd-core';
import { describe, expect, it } from 'vitest';
import { aRunning, aServed, plainFlag } from '../serve/a-served.ts';
import { aServer } from './a-server.ts';

const path = '/flagd/v1/production/flags.json';
const auth = { Authorization: 'Bearer server' };
const quiet = { debug() {}, info() {}, warn() {}, error() {} };

describe('the flagd export', () => {
  it('is the served set, which flagd reads, under a strong ETag', async () => {
    await using server = await aServer();
    const served = aServed({ flags: { banner: plainFlag() }, rollouts: [aRunning()] });
    server.show(served);
    const { status, headers, text, json } = await server.ask('GET', path, auth);
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('application/json');
    expect(headers.etag).toMatch(/^"[\w-]{43}"$/);
    expect(json).toEqual(served.flagSet);
    const flagd = new FlagdCore();
    flagd.setConfigurations(text);
    expect(flagd.resolveBooleanEvaluation('banner', false, {}, quiet)).toMatchObject({ value: true });
    const again = await server.ask('GET', path, { ...auth, 'If-None-Match': String(headers.etag) });
    expect([again.status, again.text]).toEqual([304, '']);
    expect((await server.ask('HEAD', path, auth)).text).toBe('');
  });

  it('puts every unit into the bucket that OFREP puts it in', async () => {
    await using server = await aServer();
    server.show(aServed({ rollouts: [aRunning()] }));
    const flagd = new FlagdCore();
    flagd.setConfigurations((await server.ask('GET', path, auth)).text);
    for (let i = 0; i < 100; i += 1) {
      const context = { targetingKey: `visitor-${i}` };
      const { json } = await server.single('new-checkout', context);
      const { value, variant } = flagd.resolveBooleanEvaluation('new-checkout', true, context, quiet);
      expect({ value: json.value, variant: json.variant }).toEqual({ value, variant });
    }
  });

  it('is for server keys of that environment, or for everybody where rules are public', async () => {
    await using server = await aServer();
    server.show(aServed());
    const status = async (headers: Record<string, string>, from = path, method = 'GET') =>
      (await server.ask(method, from, headers)).status;
    expect(await status({})).toBe(401);
    for (const key of ['client', 'admin', 'staging']) expect(await status({ 'X-API-Key': key })).toBe(403);
    expect(await status({ 'X-API-Key': 'anywhere' })).toBe(200);
    expect(await status({ 'X-API-Key': 'anywhere' }, '/flagd/v1/mars/flags.json')).toBe(404);
    expect(await status(auth, path, 'POST')).toBe(405);
    expect(await status(auth, '/flagd/v1/production')).toBe(418);
    await using everybody = await aServer({ publicRules: true });
    everybody.show(aServed());
    expect((await everybody.ask('GET', path)).status).toBe(200);
  });
});
