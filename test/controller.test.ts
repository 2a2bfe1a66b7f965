import { pino } from 'pino';
import request from 'supertest';
import { afterEach, describe, expect, it } from 'vitest';
import { readConfig } from '../src/config.ts';
import { startController } from '../src/controller.ts';
import { aController, adminToken, aPlanDocument, type RunningController } from './support/a-controller.ts';
import { tempFolder } from './support/temp-store.ts';

let house: RunningController;
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});
async function aHouse(): Promise<void> {
  house = await aController();
  closing.push(house.close);
}

describe('the controller', () => {
  it('makes an admin token on its first start, tells it once, and keeps it over a restart', async () => {
    const folder = tempFolder();
    const start = () =>
      startController({
        config: readConfig({ TIDEGATE_PORT: '0', TIDEGATE_DATA_DIR: folder.path }),
        log: pino({ level: 'silent' }),
        beatMs: 1_000_000,
      });
    const first = await start();
    expect(first.adminToken).toMatch(/^tg_adm_/);
    await first.close();
    const second = await start();
    closing.push(async () => {
      await second.close();
      folder.remove();
    });
    expect(second.adminToken).toBeNull();
    const { status } = await request(second.url)
      .get('/api/v1/rollouts')
      .auth(String(first.adminToken), { type: 'bearer' });
    expect(status).toBe(200);
  });

  it('refuses a revoked token at the very next call, on every surface', async () => {
    await aHouse();
    const operator = await house.token('operator');
    const server = await house.token('sdk-server', 'production');
    expect((await house.as(operator).get('/rollouts')).status).toBe(200);
    expect((await house.api.get('/v1/snapshot').auth(server, { type: 'bearer' })).status).toBe(200);
    for (const token of [operator, server]) await house.admin.delete(`/tokens/${token.split('_')[2]}`).expect(200);
    expect((await house.as(operator).get('/rollouts')).status).toBe(401);
    expect((await house.api.get('/v1/snapshot').auth(server, { type: 'bearer' })).status).toBe(401);
  });

  it('serves a new environment at once', async () => {
    await aHouse();
    await house.admin.post('/environments', { name: 'staging' }).expect(201);
    const server = await house.token('sdk-server', 'staging');
    expect((await house.api.get('/v1/snapshot').auth(server, { type: 'bearer' })).status).toBe(200);
    expect((await house.admin.get('/export?environment=staging')).body.flags).toEqual({});
    expect((await house.admin.get('/export?environment=mars')).status).toBe(404);
  });

  it('shows a kill in the exported set as soon as it has answered', async () => {
    await aHouse();
    await house.aPlan();
    await house.admin.post('/rollouts/checkout/start').expect(200);
    const targeting = async () => (await house.admin.get('/export')).body.flags.checkout.targeting;
    expect(await targeting()).toBeDefined();
    await house.admin.post('/rollouts/checkout/kill').expect(200);
    expect(await targeting()).toBeUndefined();
  });

  it('refuses a plan of a killed flag over HTTP with the code that the CLI turns into 20', async () => {
    await aHouse();
    await house.aPlan();
    await house.admin.post('/rollouts/checkout/kill').expect(200);
    const { status, body } = await house.admin.put('/plans/checkout', aPlanDocument());
    expect([status, body.code]).toEqual([409, 'latched']);
  });

  it('answers a path that it does not know, without a token, with a sign-in page or 401, never with details', async () => {
    await aHouse();
    expect((await house.api.get('/api/v1/anything')).status).toBe(401);
    const { status, headers } = await house.api.get('/anything');
    expect(status).toBe(404);
    expect(headers['x-powered-by']).toBeUndefined();
    expect((await house.api.get('/healthz')).status).toBe(200);
    expect((await house.api.get('/readyz')).status).toBe(200);
    expect(adminToken.length).toBeGreaterThanOrEqual(24);
  });
});
