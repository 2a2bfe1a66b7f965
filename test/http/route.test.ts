import { request as httpRequest } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { allowed, roles } from '../../src/domain/permissions.ts';
import { route } from '../../src/http/route.ts';
import { StoreUnavailable } from '../../src/store/store.ts';
import { ana, aPlanDocument, aPolicyDocument, aRamping, beaconsOf, type Control } from '../support/a-controller.ts';
import { type Api, anApi } from './an-api.ts';

let world: Control;
let api: Api;
let admin: string;
/** So many copies of one request are let in only when none has found an answer to the first of them. */
let copies = 0;
const waiting: (() => void)[] = [];
function allCopiesAsked(): Promise<void> {
  if (copies === 0) return Promise.resolve();
  copies -= 1;
  const asked = new Promise<void>((resolve) => waiting.push(resolve));
  if (copies === 0) for (const resolve of waiting.splice(0)) resolve();
  return asked;
}
beforeEach(async () => {
  copies = 0;
  world = await aRamping({
    evidence: beaconsOf,
    store: (store) => ({
      ...store,
      idempotent: async (key, subject) => {
        const found = await store.idempotent(key, subject);
        await allCopiesAsked();
        return found;
      },
    }),
  });
  await world.access.createEnvironment({ name: 'staging', protected: false }, ana, world.now().wall);
  api = await anApi(world, (deps) => [
    route(deps, {
      method: 'get',
      path: '/breaks/{how}',
      summary: 'breaks',
      needs: 'read',
      params: z.object({ how: z.string() }),
      handle: ({ params }) =>
        Promise.reject(
          params.how === 'store'
            ? new StoreUnavailable('SQLITE_FULL: disk full at /secret/path')
            : new Error('password=hunter2 at /secret/path'),
        ),
    }),
  ]);
  admin = await api.token('admin');
});
afterEach(() => api.close());

const pathOf = (path: string) =>
  path
    .replace('/tokens/{id}', '/tokens/nobody00')
    .replace('/decisions/{id}', '/decisions/D-999999')
    .replace('{name}', 'nothing')
    .replace('{key}', 'nothing')
    .replace('{how}', 'loudly');

describe('who may', () => {
  it('is what the table of roles says, on every route', async () => {
    const tokens = await Promise.all(roles.map(async (role) => ({ role, token: await api.token(role) })));
    const wrong: string[] = [];
    for (const one of api.routes) {
      for (const { role, token } of tokens) {
        const answer = await api.as(token).send(one.method, pathOf(one.path), one.method === 'get' ? undefined : {});
        const expected = allowed(role, one.needs, one.verb) === 'no';
        if ((answer.status === 403) !== expected || answer.status === 401)
          wrong.push(`${role} ${one.method} ${one.path}: ${answer.status}`);
      }
    }
    expect(wrong).toEqual([]);
  }, 20_000);

  it('covers every route of the API', () => {
    const verbs = [
      'start',
      'approve',
      'hold',
      'resume',
      'step-back',
      'skip-bake',
      'promote',
      'kill',
      'rearm',
      'cancel',
    ];
    for (const verb of verbs) expect(api.routes.map(({ path }) => path)).toContain(`/rollouts/{name}/${verb}`);
    const needs = new Set(api.routes.map((one) => one.needs));
    for (const permission of ['access.manage', 'env.freeze', 'env.unfreeze', 'plan.apply', 'policy.loosen'] as const)
      expect(needs).toContain(permission);
  });

  it('says which permission is missing', async () => {
    const viewer = await api.token('viewer');
    const { status, body } = await api.as(viewer).send('post', '/rollouts/checkout/kill', {});
    expect(status).toBe(403);
    expect(body).toMatchObject({ code: 'forbidden', detail: expect.stringContaining('rollout.lower') });
  });

  it('a policy that only tightens asks for policy.tighten, and any other for policy.loosen', async () => {
    const as = async (role: 'ci' | 'approver' | 'operator') => api.as(await api.token(role));
    const [ci, approver, operator] = [await as('ci'), await as('approver'), await as('operator')];
    const { gates } = aPolicyDocument().spec;
    const margin = (percent: number, version: number, more: object = {}) => {
      const tests = [{ type: 'relative' as const, margin: `${percent}%`, confidence: 'lower_bound' as const }];
      return aPolicyDocument({ gates: gates.map((gate) => ({ ...gate, tests })), ...more }, version);
    };
    const put = (client: typeof ci, policy: object) => client.send('put', '/policies/web', policy);
    const tighter = await put(operator, margin(50, 2));
    expect(tighter.status).toBe(403);
    const looser = await put(operator, margin(150, 2));
    expect(looser.status).toBe(403);
    expect(looser.body.detail).toContain('policy.loosen is not among the permissions of the role operator');
    expect((await put(ci, margin(150, 2))).status).toBe(200);
    expect((await put(approver, margin(50, 3))).status).toBe(200);
    // One field tighter and another looser, nothing at all, and a policy that nobody has seen yet.
    expect((await put(ci, margin(40, 4, { tick: { interval: '2m' } }))).status).toBe(200);
    expect((await put(ci, margin(40, 5, { tick: { interval: '2m' } }))).status).toBe(200);
    const fresh = { ...margin(10, 1), metadata: { ...margin(10, 1).metadata, name: 'strict' } };
    expect((await ci.send('put', '/policies/strict', fresh)).status).toBe(200);
  });

  it('a CI token kills and holds, and lowers in no other way', async () => {
    const ci = api.as(await api.token('ci'));
    expect((await ci.send('post', '/rollouts/checkout/cancel', { reason: 'x' })).status).toBe(403);
    expect((await ci.send('post', '/rollouts/checkout/step-back', { reason: 'x' })).status).toBe(403);
    expect((await ci.send('post', '/rollouts/checkout/hold', { reason: 'x' })).status).toBe(200);
    expect((await ci.send('post', '/rollouts/checkout/kill', {})).status).toBe(200);
  });
});

describe('a caller who is nobody', () => {
  it('gets 401 on every route, known or not', async () => {
    for (const path of ['/rollouts', '/nothing', '/tokens']) {
      const { status, headers, body } = await api.http.get(`/api/v1${path}`);
      expect(status).toBe(401);
      expect(headers['www-authenticate']).toBe('Bearer');
      expect(body.code).toBe('unauthenticated');
    }
    expect((await api.as(`${admin.slice(0, -6)}000000`).send('get', '/rollouts')).status).toBe(401);
  });

  it('is told so before the body is read', async () => {
    const status = await new Promise<number>((resolve, reject) => {
      const asked = httpRequest(`${api.url}/api/v1/plans/x`, {
        method: 'PUT',
        headers: { 'Content-Type': 'application/json', 'Content-Length': '200000' },
      });
      // Nothing of the announced body is ever sent.
      asked.on('response', (answer) => {
        answer.resume();
        asked.destroy();
        resolve(answer.statusCode ?? 0);
      });
      asked.on('error', reject);
      asked.flushHeaders();
    });
    expect(status).toBe(401);
  });

  it('may send its token as X-API-Key too', async () => {
    const { status } = await api.http.get('/api/v1/rollouts').set('X-API-Key', admin);
    expect(status).toBe(200);
  });
});

describe('a token for one environment', () => {
  let staging: ReturnType<Api['as']>;
  beforeEach(async () => {
    staging = api.as(await api.token('admin', 'staging'));
  });
  const banner = { state: 'ENABLED', variants: { on: true, off: false }, defaultVariant: 'on' };

  it('may not name another one, on any route', async () => {
    for (const one of api.routes) {
      const body = one.method === 'get' ? undefined : {};
      const answer = await staging.send(one.method, `${pathOf(one.path)}?environment=production`, body);
      expect([one.path, [400, 403, 404, 422].includes(answer.status)]).toEqual([one.path, true]);
    }
    expect(await world.phase()).toBe('ramping');
  });

  it('means its own when it names none', async () => {
    expect((await staging.send('post', '/rollouts/checkout/kill', {})).status).toBe(404);
    expect((await staging.send('put', '/flags', { flags: { banner } })).status).toBe(200);
    expect((await world.store.flags('staging')).flags.banner).toBeDefined();
    expect((await world.store.flags('production')).flags.banner).toBeUndefined();
    await staging.send('put', '/freezes', { reason: 'peak' }).expect(200);
    expect(await world.store.freezes()).toMatchObject([{ environment: 'staging' }]);
  });

  it('sees only that environment in every list', async () => {
    const { body: all } = await staging.send('get', '/rollouts').expect(200);
    expect(all.rollouts).toEqual([]);
    expect((await staging.send('get', '/decisions').expect(200)).body.decisions).toEqual([]);
    await world.freezing.on('production', null, ana, world.now().wall);
    await world.freezing.on(null, null, ana, world.now().wall);
    expect((await staging.send('get', '/freezes')).body.freezes).toMatchObject([{ environment: null }]);
    const { body: environments } = await staging.send('get', '/environments');
    expect(environments.environments.map(({ name }: { name: string }) => name)).toEqual(['staging']);
    const { body: tokens } = await staging.send('get', '/tokens');
    expect(new Set(tokens.tokens.map(({ environment }: { environment: string }) => environment))).toEqual(
      new Set(['staging']),
    );
    const { body: audit } = await staging.send('get', '/audit');
    expect(new Set(audit.records.map(({ environment }: { environment: string }) => environment))).toEqual(
      new Set(['staging']),
    );
  });

  it('sees no decision of another one, not even by its number', async () => {
    const [decision] = await world.store.decisions({ limit: 1 });
    expect((await staging.send('get', `/decisions/${decision?.id}`)).status).toBe(404);
    expect((await api.as(admin).send('get', `/decisions/${decision?.id}`)).body.id).toBe(decision?.id);
  });

  it('applies no plan whose waves reach further', async () => {
    const waves = [
      { name: 'one', environment: 'staging' },
      { name: 'two', environment: 'production' },
    ];
    const plan = aPlanDocument({ waves }, { name: 'wide', flag: 'wide' });
    const { status, body } = await staging.send('put', '/plans/wide', plan);
    expect([status, body.detail]).toEqual([403, expect.stringContaining('wave two is in production')]);
    expect(await world.store.document('plan', 'wide')).toBeNull();
  });

  it('makes and revokes tokens of its own environment only, and no environments', async () => {
    const wanted = { role: 'viewer', subject: 'x' };
    expect((await staging.send('post', '/tokens', wanted)).status).toBe(403);
    expect((await staging.send('post', '/tokens', { ...wanted, environment: 'production' })).status).toBe(403);
    expect((await staging.send('post', '/tokens', { ...wanted, environment: 'staging' })).status).toBe(201);
    const foreign = (await world.store.tokens()).find(({ environment }) => environment === null);
    expect((await staging.send('delete', `/tokens/${foreign?.id}`)).status).toBe(404);
    expect((await staging.send('post', '/environments', { name: 'mine' })).status).toBe(403);
  });
});

describe('a request that cannot be used', () => {
  it('is a problem document, whatever is wrong with it', async () => {
    const client = api.as(admin);
    const answers = [
      await api.http.get('/api/v1/rollouts'),
      await client.send('get', '/nothing'),
      await client.send('get', '/rollouts/nothing'),
      await client.send('get', '/rollouts?colour=red'),
      await client.send('get', '/rollouts?environment=a&environment=b'),
      await client.send('get', '/rollouts/%E0%A4%A'),
      await client.send('post', '/rollouts/checkout/hold', {}),
      await client.send('post', '/rollouts/checkout/hold', { reason: 'x', force: true }),
      await client.send('put', '/plans/checkout', { kind: 'nonsense' }),
      await client.send('post', '/rollouts/checkout/kill', {}).set('Idempotency-Key', 'a b'),
      await client.send('post', '/rollouts/checkout/kill').type('text/plain').send('kill it'),
      await client.send('post', '/rollouts/checkout/kill').type('application/json').send('{"reason": '),
      await client.send('put', '/flags', { flags: 'x'.repeat(300_000) }),
      await client.send('get', '/breaks/loudly'),
      await client.send('get', '/breaks/store'),
    ];
    expect(answers.map(({ status }) => status)).toEqual([
      401, 404, 404, 422, 422, 400, 409, 422, 422, 400, 415, 400, 413, 500, 503,
    ]);
    for (const { headers, body, status } of answers) {
      expect(headers['content-type']).toBe('application/problem+json; charset=utf-8');
      expect(body).toMatchObject({ status, type: expect.stringContaining(body.code), title: expect.any(String) });
    }
  });

  it('names the field that is wrong', async () => {
    const { body } = await api.as(admin).send('post', '/rollouts/checkout/hold', { reason: '' });
    expect(body.errors).toEqual([expect.objectContaining({ path: 'reason' })]);
  });

  it('says nothing of the inside when something breaks, and reports it', async () => {
    const loud = await api.as(admin).send('get', '/breaks/loudly');
    expect(loud.text).not.toMatch(/hunter2|secret/);
    expect(api.reported).toHaveLength(1);
    const full = await api.as(admin).send('get', '/breaks/store');
    expect(full.text).not.toMatch(/SQLITE|secret/);
    expect(full.headers['retry-after']).toBe('2');
  });

  it('carries the code of a refusal and what it waits for', async () => {
    const { status, body } = await api.as(admin).send('post', '/rollouts/checkout/approve', {});
    expect(status).toBe(403);
    const approver = api.as(await api.token('approver'));
    const waiting = await approver.send('post', '/rollouts/checkout/approve', {});
    expect([waiting.status, waiting.body.code, waiting.body.errors.length > 0]).toEqual([409, 'waiting', true]);
    expect(body.code).toBe('forbidden');
  });
});

describe('an answer', () => {
  it('is never kept by a cache', async () => {
    expect((await api.as(admin).send('get', '/rollouts')).headers['cache-control']).toBe('no-store');
  });

  it('shows a rollout with its stages, exposure, readings and last decision', async () => {
    await world.beat(60_000);
    const { body } = await api.as(admin).send('get', '/rollouts/checkout').expect(200);
    expect(body).toMatchObject({
      name: 'checkout',
      exposure: 10,
      frozen: false,
      latch: null,
      stages: [{ exposure: 10 }, { exposure: 40 }, { exposure: 100 }],
      readings: expect.arrayContaining([expect.objectContaining({ gate: 'errors-kill' })]),
      lastDecision: expect.objectContaining({ action: 'ramp' }),
    });
    expect(body.lookedAt).toBe(world.now().wall);
  });

  it('of a verb is the decision and the rollout after it', async () => {
    const { body } = await api.as(admin).send('post', '/rollouts/checkout/kill', { reason: 'smoke' }).expect(200);
    expect(body).toMatchObject({
      decision: { action: 'kill', reason: 'smoke', actor: 'admin-anywhere' },
      rollout: { exposure: 0, state: { phase: 'killed' }, latch: { by: 'admin-anywhere' } },
    });
  });

  it('of a plan is its diff and its rollouts; the path must name the document', async () => {
    const client = api.as(admin);
    const plan = aPlanDocument({}, { name: 'second', flag: 'second' });
    const dry = await client.send('put', '/plans/second?dryRun=1', plan).expect(200);
    expect(dry.body).toMatchObject({ change: 'create', dryRun: true, rollouts: [] });
    const wet = await client.send('put', '/plans/second', plan).expect(200);
    expect(wet.body).toMatchObject({ change: 'create', version: 1, rollouts: [{ name: 'second' }] });
    expect((await client.send('put', '/plans/third', plan)).body.code).toBe('invalid');
    expect((await client.send('get', '/plans/second')).body.document).toEqual(plan);
    expect((await client.send('get', '/plans/second?version=2')).status).toBe(404);
    expect((await client.send('get', '/plans')).body.plans).toHaveLength(2);
  });

  it('of a policy tells an immutable version from a new one', async () => {
    const client = api.as(admin);
    const edited = aPolicyDocument({ tick: { interval: '1m' } });
    expect((await client.send('put', '/policies/web', edited)).body.code).toBe('immutable');
    expect((await client.send('put', '/policies/web', aPolicyDocument({}, 2))).body.version).toBe(2);
  });
});

describe('an Idempotency-Key', () => {
  const kill = (key: string, body: object = {}) =>
    api.as(admin).send('post', '/rollouts/checkout/kill', body).set('Idempotency-Key', key);

  it('makes a repeat answer with the first decision and the present state', async () => {
    const first = await api
      .as(admin)
      .send('post', '/rollouts/checkout/hold', { reason: 'x' })
      .set('Idempotency-Key', 'k1');
    await api.as(admin).send('post', '/rollouts/checkout/resume', { reason: 'fine' }).expect(200);
    const head = await world.store.head();
    const repeat = await api
      .as(admin)
      .send('post', '/rollouts/checkout/hold', { reason: 'x' })
      .set('Idempotency-Key', 'k1');
    expect(first.headers['idempotency-replayed']).toBeUndefined();
    expect(repeat.headers['idempotency-replayed']).toBe('true');
    expect(repeat.body.decision).toEqual(first.body.decision);
    // The hold is not in force any more, and the answer does not claim so.
    expect(repeat.body.rollout.state.phase).toBe('ramping');
    expect(await world.store.head()).toBe(head);
  });

  it('of another request is refused', async () => {
    await kill('k2').expect(200);
    const other = await kill('k2', { reason: 'another' });
    expect([other.status, other.body.code]).toEqual([422, 'idempotency_key_reused']);
  });

  it('belongs to its subject alone', async () => {
    await kill('k3').expect(200);
    const operator = api.as(await api.token('operator'));
    const other = await operator.send('post', '/rollouts/checkout/kill', {}).set('Idempotency-Key', 'k3');
    // No repeat of somebody else's request: an answer of its own, which is that it is killed.
    expect([other.status, other.headers['idempotency-replayed']]).toEqual([200, undefined]);
  });

  it('lets one of five copies at once through, and all of them answer the same', async () => {
    const head = await world.store.head();
    copies = 5;
    const answers = await Promise.all(Array.from({ length: 5 }, () => kill('k4')));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect(new Set(answers.map(({ body }) => body.decision.id)).size).toBe(1);
    expect(answers.filter(({ headers }) => headers['idempotency-replayed'] === undefined)).toHaveLength(1);
    expect(await world.store.head()).toBe(head + 1);
  });

  it('works for holds that meet each other as well', async () => {
    const hold = () =>
      api.as(admin).send('post', '/rollouts/checkout/hold', { reason: 'x' }).set('Idempotency-Key', 'k5');
    copies = 3;
    const answers = await Promise.all([hold(), hold(), hold()]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(new Set(answers.map(({ body }) => body.decision.id)).size).toBe(1);
  });

  it('never gives a token away twice', async () => {
    const make = () =>
      api.as(admin).send('post', '/tokens', { role: 'viewer', subject: 'x' }).set('Idempotency-Key', 'k6');
    const first = await make();
    const second = await make();
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(first.body.token).toMatch(/^tg_vwr_/);
    expect(second.body.token).toBeNull();
    expect(second.body.record.id).toBe(first.body.record.id);
  });

  it('covers the kill of a flag', async () => {
    const killFlag = () => api.as(admin).send('post', '/flags/checkout/kill', {}).set('Idempotency-Key', 'k7');
    const first = await killFlag().expect(200);
    const head = await world.store.head();
    const second = await killFlag().expect(200);
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect(second.body).toEqual(first.body);
    expect(await world.store.head()).toBe(head);
  });
});

describe('freezes and flags', () => {
  it('a freeze is made, listed, shown on the rollout and ended', async () => {
    const client = api.as(admin);
    expect((await client.send('put', '/freezes', {})).status).toBe(422);
    await client.send('put', '/freezes?environment=production', { reason: 'peak season' }).expect(200);
    expect((await client.send('get', '/freezes')).body.freezes).toMatchObject([{ reason: 'peak season' }]);
    expect((await client.send('get', '/rollouts/checkout')).body.frozen).toBe(true);
    await client.send('delete', '/freezes?environment=production', {}).expect(200);
    expect((await client.send('delete', '/freezes?environment=production', {})).status).toBe(404);
  });

  it('a flag without a rollout is killed and rearmed by its key', async () => {
    const client = api.as(admin);
    const banner = { state: 'ENABLED', variants: { on: true, off: false }, defaultVariant: 'on' };
    await client.send('put', '/flags', { flags: { banner } }).expect(200);
    const killed = await client.send('post', '/flags/banner/kill', {}).expect(200);
    expect(killed.body).toMatchObject({ flag: 'banner', latch: { wave: null }, rollouts: [] });
    expect((await client.send('post', '/flags/banner/rearm', {})).body.code).toBe('reason_required');
    const rearmed = await client.send('post', '/flags/banner/rearm', { reason: 'fixed' }).expect(200);
    expect(rearmed.body.latch).toBeNull();
    expect((await client.send('get', '/flags')).body.flags.banner).toEqual(banner);
  });
});
