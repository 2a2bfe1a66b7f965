import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { aController, adminToken, type RunningController } from '../support/a-controller.ts';

let house: RunningController;
beforeEach(async () => {
  house = await aController();
});
afterEach(() => house.close());

describe('a path that is not served', () => {
  it.each([
    ['get', '/nope'],
    ['post', '/v1/rum/'],
    ['delete', '/'],
    ['get', '/api/v2/rollouts'],
  ] as const)('%s %s is a problem document', async (method, path) => {
    const { status, headers, body } = await house.api[method](path);
    expect(status).toBe(404);
    expect(headers['content-type']).toBe('application/problem+json; charset=utf-8');
    expect(body).toMatchObject({ code: 'not_found', detail: `there is no ${method.toUpperCase()} ${path}` });
  });
});

describe('a request to the page that cannot be used', () => {
  it('is a problem document too, without a stack', async () => {
    const { status, headers, text } = await house.api
      .post('/login')
      .type('form')
      .send(`token=${'x'.repeat(5_000)}`);
    expect(status).toBe(413);
    expect(headers['content-type']).toContain('application/problem+json');
    expect(text).not.toMatch(/node_modules|\bat /);
  });
});

describe('the admin API', () => {
  const nested = (depth: number) => `{"reason": ${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
  const send = (text: string, type = 'application/json') =>
    house.api.post('/api/v1/rollouts/x/hold').auth(adminToken, { type: 'bearer' }).set('Content-Type', type).send(text);

  it('reads JSON down to a depth of 64', async () => {
    expect((await send(nested(64))).status).toBe(422);
    for (const depth of [65, 100_000]) {
      const { status, body } = await send(nested(depth));
      expect([status, body.code]).toEqual([400, 'too_deep']);
    }
  });

  it('reads UTF-8 only: the depth of other encodings is unknown', async () => {
    expect((await send('{}', 'application/json; charset=utf-16le')).status).toBe(415);
  });

  it('says of an environment that nobody has made that it is not there', async () => {
    for (const path of ['/rollouts', '/decisions']) {
      const { status, body } = await house.admin.get(`${path}?environment=nope`);
      expect([status, body.detail]).toEqual([404, 'there is no environment nope']);
    }
    expect((await house.admin.put('/freezes?environment=nope', { reason: 'peak' })).status).toBe(404);
  });

  it('takes no NUL, which PostgreSQL could not store', async () => {
    const wanted = { role: 'viewer', subject: 'a\0b' };
    const { status, body } = await house.admin.post('/tokens', wanted);
    expect([status, body.errors[0].path]).toEqual([422, 'subject']);
    expect((await house.admin.post('/tokens', { ...wanted, subject: 'a\nb' })).status).toBe(422);
    expect((await house.admin.put('/freezes', { reason: 'a\0b' })).status).toBe(422);
    expect((await house.admin.post('/flags/a%00b/kill')).status).toBe(422);
    expect((await house.admin.get('/audit?target=a%00b')).status).toBe(422);
  });

  it('names no field when the whole body is wrong', async () => {
    const { status, body } = await house.admin.put('/freezes', [] as unknown as object);
    expect(status).toBe(422);
    expect(body.detail).toMatch(/^Invalid input/);
  });
});
