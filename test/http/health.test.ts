import { createServer } from 'node:http';
import request from 'supertest';
import { describe, expect, it } from 'vitest';
import { healthHandler } from '../../src/http/health.ts';

const world = { now: 100_000, lastBeatAt: 99_500, store: (): Promise<unknown> => Promise.resolve(1) };
const handler = healthHandler({
  store: () => world.store(),
  lastBeatAt: () => world.lastBeatAt,
  beatMs: 1_000,
  now: () => world.now,
});
const app = request(
  createServer((req, res) => {
    if (!handler(req, res)) res.writeHead(418).end();
  }),
);

describe('health', () => {
  it('is fine while the process answers, whatever else is wrong', async () => {
    expect((await app.get('/healthz')).body).toEqual({ status: 'ok' });
  });

  it('is ready while the store answers and the heart beats', async () => {
    const { status, body } = await app.get('/readyz');
    expect([status, body]).toEqual([200, { status: 'ready', reasons: [] }]);
  });

  it('names every reason why it is not', async () => {
    world.now += 60_000;
    world.store = () => Promise.reject(new Error('locked'));
    const { status, body } = await app.get('/readyz');
    expect([status, body.reasons]).toEqual([503, ['store_unavailable', 'heartbeat_late']]);
  });

  it('leaves every other path alone', async () => {
    expect((await app.get('/health')).status).toBe(418);
  });
});
