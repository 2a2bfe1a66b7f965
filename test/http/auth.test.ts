import { describe, expect, it } from 'vitest';
import { makeToken, presetToken } from '../../src/control/token.ts';
import { covers, createAuth, withPublic } from '../../src/http/auth.ts';

const about = { subject: 'shop', environment: 'production', createdAt: 0, expiresAt: 1_000 };
const client = makeToken('sdk-client', about);
const headers = (authorization: string) => ({ headers: { authorization } });

function anAuth(...records: Parameters<ReturnType<typeof createAuth>['load']>[0]) {
  const clock = { now: 0 };
  const auth = createAuth(() => clock.now);
  auth.load(records);
  return { auth, clock };
}

describe('a caller', () => {
  it('is who the token says, by either header', () => {
    const { auth } = anAuth(client.record);
    const principal = { id: client.record.id, role: 'sdk-client', subject: 'shop', environment: 'production' };
    expect(auth.authenticate(headers(`Bearer ${client.text}`))).toEqual(principal);
    expect(auth.authenticate(headers(`bearer  ${client.text}`))).toEqual(principal);
    expect(auth.authenticate({ headers: { 'x-api-key': client.text } })).toEqual(principal);
  });

  it('is nobody with no token, another scheme, a wrong secret, or far too long a one', () => {
    const { auth } = anAuth(client.record);
    const stranger = makeToken('admin', about).text;
    for (const value of ['', 'Bearer', `Basic ${client.text}`, `Bearer ${stranger}`, `Bearer ${'x'.repeat(300)}`])
      expect(auth.authenticate(headers(value))).toBeNull();
    expect(auth.authenticate({ headers: {} })).toBeNull();
  });

  it('is nobody once the token expired, also when it was seen before', () => {
    const { auth, clock } = anAuth(client.record);
    expect(auth.authenticate(headers(`Bearer ${client.text}`))).not.toBeNull();
    clock.now = 1_000;
    expect(auth.authenticate(headers(`Bearer ${client.text}`))).toBeNull();
    expect(auth.isLive(client.record.id)).toBe(false);
  });

  it('is nobody once the token is revoked, also when it was seen before', () => {
    const { auth } = anAuth(client.record);
    expect(auth.authenticate(headers(`Bearer ${client.text}`))).not.toBeNull();
    auth.load([{ ...client.record, revokedAt: 1 }]);
    expect(auth.authenticate(headers(`Bearer ${client.text}`))).toBeNull();
  });

  it('may hold any of several preset tokens, and no revoked one', () => {
    const old = presetToken('the-old-preset-of-2025-xx', 0, 0);
    const young = presetToken('the-new-preset-of-2026-xx', 1, 0);
    const { auth } = anAuth({ ...old, revokedAt: 1 }, young);
    expect(auth.authenticate(headers('Bearer the-new-preset-of-2026-xx'))?.id).toBe('preset01');
    expect(auth.authenticate(headers('Bearer the-old-preset-of-2025-xx'))).toBeNull();
    expect(auth.authenticate(headers('Bearer the-newest-preset-of-all'))).toBeNull();
  });

  it('is remembered for a thousand tokens at most', () => {
    const many = Array.from({ length: 1_100 }, () => makeToken('sdk-client', about));
    const { auth } = anAuth(...many.map(({ record }) => record));
    for (const { text } of [...many, ...many]) expect(auth.authenticate(headers(`Bearer ${text}`))).not.toBeNull();
  });
});

describe('public evaluation', () => {
  it('takes a caller without a key for a browser, and leaves a wrong key wrong', () => {
    const { auth } = anAuth(client.record);
    const door = withPublic(auth);
    expect(door.authenticate({ headers: {} })).toMatchObject({ id: 'public', role: 'sdk-client' });
    expect(door.authenticate(headers('Bearer wrong'))).toBeNull();
    expect(door.authenticate({ headers: { 'x-api-key': 'wrong' } })).toBeNull();
    expect(door.authenticate(headers(`Bearer ${client.text}`))?.id).toBe(client.record.id);
    expect(door.isLive('public')).toBe(true);
    expect(auth.isLive('public')).toBe(false);
  });
});

describe('an environment', () => {
  it('is covered by its own tokens and by those for all', () => {
    expect(covers({ environment: null }, 'staging')).toBe(true);
    expect(covers({ environment: 'staging' }, 'staging')).toBe(true);
    expect(covers({ environment: 'staging' }, 'production')).toBe(false);
  });

  it('stands for itself: all of them at once takes a token for all', () => {
    expect(covers({ environment: null }, null)).toBe(true);
    expect(covers({ environment: 'staging' }, null)).toBe(false);
  });
});
