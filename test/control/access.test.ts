import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ensureAdmin, firstStart } from '../../src/control/access.ts';
import { NotFound, Refused } from '../../src/control/errors.ts';
import { makeToken, parseToken } from '../../src/control/token.ts';
import { createAuth } from '../../src/http/auth.ts';
import { aControl, ana, type Control } from '../support/a-controller.ts';
import { hour, monday } from '../support/a-rollout.ts';
import { type TempStore, tempStore } from '../support/temp-store.ts';

const day = 24 * hour;
const preset = 'a-preset-token-of-some-length';
let store: TempStore;
let world: Control;
beforeEach(async () => {
  store = await tempStore();
  world = await aControl();
});
afterEach(async () => {
  await store.close();
  await world.close();
});

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
async function authOf(from: TempStore['control'], now = () => monday) {
  const auth = createAuth(now);
  auth.load(await from.tokens());
  return auth;
}

/** As the controller starts; the text of an admin token if it made one. */
async function start(from: TempStore['control'], preset: string | null, wall: number): Promise<string | null> {
  await firstStart(from, preset, wall);
  return ensureAdmin(from, wall);
}

describe('the first start', () => {
  it('makes production, a signing key and one admin token, and tells it once', async () => {
    const text = await start(store.control, null, monday);
    expect(await store.control.environments()).toEqual([{ name: 'production', protected: false, createdAt: monday }]);
    expect(await store.control.signingKeys()).toMatchObject([{ kid: 1, environment: 'production' }]);
    expect(await store.control.tokens()).toMatchObject([{ role: 'admin', environment: null, revokedAt: null }]);
    const auth = await authOf(store.control);
    expect(auth.authenticate(bearer(String(text)))).toMatchObject({ role: 'admin', subject: 'admin' });
  });

  it('happens once', async () => {
    await start(store.control, null, monday);
    const head = await store.control.head();
    expect(await start(store.control, null, monday + day)).toBeNull();
    expect(await store.control.head()).toBe(head);
  });

  it('makes another admin token when none is live any more, or nobody could get in again', async () => {
    const first = String(await start(store.control, null, monday));
    expect(await start(store.control, null, monday + 90 * day - 1)).toBeNull();
    const second = String(await start(store.control, null, monday + 90 * day));
    const auth = await authOf(store.control, () => monday + 90 * day);
    expect(auth.authenticate(bearer(first))).toBeNull();
    expect(auth.authenticate(bearer(second))?.role).toBe('admin');
    const audit = { at: 1, actor: 'ana', action: 'token.revoke', environment: null, reason: null, detail: {} };
    const id = String(parseToken(second)?.id);
    await store.control.commit({ audit: { ...audit, target: id }, revokeToken: { id, at: 1 } });
    expect(await start(store.control, null, monday + 90 * day)).toMatch(/^tg_adm_/);
    expect((await store.control.audit({ limit: 1 }))[0]?.reason).toBe('no admin token was live');
  });

  it('does not take the admin of one environment for an admin of all', async () => {
    const first = String(await start(store.control, null, monday));
    const about = { subject: 'x', environment: 'production', createdAt: monday, expiresAt: monday + 365 * day };
    const audit = { at: 1, actor: 'ana', action: 'token', environment: null, target: 'x', reason: null, detail: {} };
    await store.control.commit({ audit, token: makeToken('admin', about).record });
    await store.control.commit({ audit, revokeToken: { id: String(parseToken(first)?.id), at: 1 } });
    expect(await start(store.control, null, monday + 1)).not.toBeNull();
  });

  it('does not take a preset token that has expired, or that is no admin', async () => {
    const expired = String(await start(store.control, null, monday));
    await expect(start(store.control, expired, monday + 90 * day)).rejects.toBeInstanceOf(Refused);
    const about = { subject: 'x', environment: null, createdAt: monday, expiresAt: monday + day };
    const viewer = makeToken('viewer', about);
    const audit = { at: 1, actor: 'ana', action: 'token', environment: null, target: 'x', reason: null, detail: {} };
    await store.control.commit({ audit, token: viewer.record });
    await expect(start(store.control, viewer.text, monday)).rejects.toBeInstanceOf(Refused);
  });

  it('takes a preset token in place of one that was lost or has expired', async () => {
    await start(store.control, null, monday);
    expect(await start(store.control, preset, monday + 100 * day)).toBeNull();
    const auth = await authOf(store.control, () => monday + 1_000 * day);
    expect(auth.authenticate(bearer(preset))?.role).toBe('admin');
  });

  it('takes the preset token instead of making one', async () => {
    expect(await start(store.control, preset, monday)).toBeNull();
    expect(await start(store.control, preset, monday + day)).toBeNull();
    expect(await store.control.tokens()).toHaveLength(1);
    expect((await authOf(store.control)).authenticate(bearer(preset))?.role).toBe('admin');
    expect((await authOf(store.control)).authenticate(bearer(`${preset}x`))).toBeNull();
  });

  it('takes a preset token that was made by tidegate', async () => {
    const { text } = makeToken('admin', { subject: 'x', environment: null, createdAt: 0, expiresAt: 0 });
    await start(store.control, text, monday);
    expect((await authOf(store.control)).authenticate(bearer(text))?.role).toBe('admin');
  });

  it('does not leave an earlier preset token behind unseen: it is revoked first', async () => {
    await start(store.control, preset, monday);
    const other = `${preset}-rotated`;
    await expect(start(store.control, other, monday)).rejects.toThrow('revoke preset00');
    const audit = { at: 1, actor: 'ana', action: 'token.revoke', environment: null, target: 'preset00', detail: {} };
    await store.control.commit({ audit: { ...audit, reason: null }, revokeToken: { id: 'preset00', at: 1 } });
    await expect(start(store.control, preset, monday)).rejects.toBeInstanceOf(Refused);
    expect(await start(store.control, other, monday)).toBeNull();
    const auth = await authOf(store.control);
    expect(auth.authenticate(bearer(other))?.id).toBe('preset01');
    expect(auth.authenticate(bearer(preset))).toBeNull();
  });
});

describe('a token', () => {
  const wanted = { role: 'operator', subject: 'mkaya', environment: null, days: null } as const;

  it('is never stored as text, neither in its record nor in the audit log nor in the answer to a repeat', async () => {
    const idempotency = { key: 'k', subject: 'ana', request: 'r', status: 201, body: '', at: 0 };
    const { token } = await world.access.createToken(wanted, { ...ana, idempotency }, monday);
    const secret = String(parseToken(token)?.secret);
    const everything = JSON.stringify([
      await world.store.tokens(),
      await world.store.audit({ limit: 100 }),
      await world.store.idempotent('k', 'ana'),
    ]);
    expect(everything).not.toContain(secret);
    expect(everything).toContain('"subject":"mkaya"');
  });

  it('expires after its days: 90 unless told, 30 for CI', async () => {
    const life = async (about: object) => {
      const { record } = await world.access.createToken({ ...wanted, ...about }, ana, monday);
      return (record.expiresAt - monday) / day;
    };
    expect(await life({})).toBe(90);
    expect(await life({ role: 'ci' })).toBe(30);
    expect(await life({ days: 1 })).toBe(1);
  });

  it('works until it expires, to the millisecond', async () => {
    const { token } = await world.access.createToken({ ...wanted, days: 1 }, ana, monday);
    let now = monday + day - 1;
    const auth = await authOf(world.store, () => now);
    expect(auth.authenticate(bearer(token))?.subject).toBe('mkaya');
    now += 1;
    expect(auth.authenticate(bearer(token))).toBeNull();
  });

  it('stops working as soon as its revocation is loaded', async () => {
    const { token, record } = await world.access.createToken(wanted, ana, monday);
    const auth = await authOf(world.store);
    expect(auth.authenticate(bearer(token))).not.toBeNull();
    await world.access.revokeToken(record.id, ana, monday);
    auth.load(await world.store.tokens());
    expect(auth.authenticate(bearer(token))).toBeNull();
    expect(auth.isLive(record.id)).toBe(false);
  });

  it('is told to the door again when it was revoked before', async () => {
    const { record } = await world.access.createToken(wanted, ana, monday);
    await world.access.revokeToken(record.id, ana, monday);
    const head = await world.store.head();
    await expect(world.access.revokeToken(record.id, ana, monday)).resolves.toBeUndefined();
    expect(await world.store.head()).toBe(head);
    await expect(world.access.revokeToken('nobody00', ana, monday)).rejects.toBeInstanceOf(NotFound);
  });

  it('is for an environment that exists', async () => {
    const nowhere = { ...wanted, environment: 'mars' };
    await expect(world.access.createToken(nowhere, ana, monday)).rejects.toThrow('there is no environment mars');
  });

  it('with a typo is nobody: its checksum tells before the store is asked', () => {
    const { text } = makeToken('viewer', { subject: 'x', environment: null, createdAt: 0, expiresAt: 0 });
    expect(parseToken(text)).not.toBeNull();
    expect(parseToken(`${text.slice(0, 20)}${text[20] === 'a' ? 'b' : 'a'}${text.slice(21)}`)).toBeNull();
    expect(parseToken('')).toBeNull();
  });
});

describe('an environment', () => {
  it('comes with a signing key of its own and is served from then on', async () => {
    await world.access.createEnvironment({ name: 'eu', protected: true }, ana, monday);
    expect(await world.store.environments()).toContainEqual({ name: 'eu', protected: true, createdAt: monday });
    const keys = await world.store.signingKeys();
    expect(keys.map(({ kid, environment }) => `${kid} ${environment}`)).toEqual(['1 production', '2 eu']);
    expect(world.served.get('eu')?.flagSet.flags).toEqual({});
  });

  it('is not made twice', async () => {
    await expect(
      world.access.createEnvironment({ name: 'production', protected: false }, ana, monday),
    ).rejects.toMatchObject({ code: 'exists' });
  });
});

describe('a freeze', () => {
  it('needs a reason and an end that is still to come', async () => {
    await expect(world.freezing.on(null, null, { ...ana, reason: null }, monday)).rejects.toThrow('needs a reason');
    await expect(world.freezing.on(null, monday, ana, monday)).rejects.toThrow('would be over already');
    await world.freezing.on('production', monday + 1, ana, monday);
    expect(await world.store.freezes()).toMatchObject([{ environment: 'production', by: 'ana', reason: 'because' }]);
  });

  it('is of an environment that exists: a typo freezes nothing', async () => {
    await expect(world.freezing.on('prodution', null, ana, monday)).rejects.toBeInstanceOf(NotFound);
    await expect(world.freezing.off('prodution', ana, monday)).rejects.toThrow('there is no environment prodution');
    expect(await world.store.freezes()).toEqual([]);
  });

  it('ends where it was made, and nowhere else', async () => {
    await world.freezing.on(null, null, ana, monday);
    await expect(world.freezing.off('production', ana, monday)).rejects.toThrow('production is not frozen');
    await world.freezing.off(null, ana, monday);
    expect(await world.store.freezes()).toEqual([]);
  });
});
