import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { aController, adminToken, aPlanDocument, type RunningController } from '../support/a-controller.ts';

let house: RunningController;
beforeAll(async () => {
  house = await aController();
  await house.aPlan();
  await house.aPlan(aPlanDocument({}, { name: 'second', flag: 'second' }));
  await house.admin.post('/rollouts/second/start').expect(200);
  await house.admin.post('/rollouts/second/hold', { reason: '<script>alert("x")</script>' }).expect(200);
});
afterAll(() => house.close());

const signIn = (token: string) => house.api.post('/login').type('form').send({ token });

/** The cookie of a fresh session, as a browser would send it back. */
async function sessionOf(token: string): Promise<string> {
  const { status, headers } = await signIn(token);
  if (status !== 303) throw new Error(`sign-in answered ${status}`);
  return String(headers['set-cookie']).split(';')[0] ?? '';
}
const pageOf = async (token: string) => house.api.get('/').set('Cookie', await sessionOf(token));

describe('somebody without a session', () => {
  it('gets 401 and a form to sign in with, and nothing of what runs', async () => {
    const { status, text, headers } = await house.api.get('/');
    expect(status).toBe(401);
    expect(headers['content-type']).toContain('text/html');
    expect(text).toContain('action="/login"');
    expect(text).not.toContain('checkout');
  });

  it('does not get one for a wrong token, or for one that may not look', async () => {
    for (const token of ['', 'nonsense', `${adminToken}x`, await house.token('sdk-client')]) {
      const { status, headers, text } = await signIn(token);
      expect(status).toBe(401);
      expect(headers['set-cookie']).toBeUndefined();
      expect(text).toContain('role="alert"');
    }
  });

  it('stays one with a cookie that nobody set', async () => {
    for (const cookie of ['tidegate_session=%E0%A4%A', 'tidegate_session=', 'tidegate_session=tg_adm_x', 'other=1'])
      expect((await house.api.get('/').set('Cookie', cookie)).status).toBe(401);
  });

  it('may not kill', async () => {
    const { status } = await house.api.post('/kill').type('form').send({ name: 'second', environment: 'production' });
    expect([401, 403]).toContain(status);
    expect((await house.admin.get('/rollouts/second')).body.state.phase).toBe('held');
  });
});

describe('signing in', () => {
  it('sets a cookie that scripts cannot read and other sites cannot send', async () => {
    const { status, headers } = await signIn(adminToken);
    expect([status, headers.location]).toEqual([303, '/']);
    expect(String(headers['set-cookie'])).toMatch(/HttpOnly/);
    expect(String(headers['set-cookie'])).toMatch(/SameSite=Strict/);
  });

  it('opens the page, and signing out closes it', async () => {
    const cookie = await sessionOf(adminToken);
    const open = await house.api.get('/').set('Cookie', cookie);
    expect(open.status).toBe(200);
    expect(open.text).toContain('checkout');
    const out = await house.api.post('/logout').set('Cookie', cookie);
    expect([out.status, String(out.headers['set-cookie'])]).toEqual([
      303,
      expect.stringContaining('Expires=Thu, 01 Jan 1970'),
    ]);
  });

  it('ends with the token', async () => {
    const token = await house.token('operator');
    const cookie = await sessionOf(token);
    const id = token.split('_')[2];
    await house.admin.delete(`/tokens/${id}`).expect(200);
    expect((await house.api.get('/').set('Cookie', cookie)).status).toBe(401);
  });
});

describe('the page', () => {
  it('forbids foreign scripts, styles and frames, and is never cached', async () => {
    const { headers } = await pageOf(adminToken);
    expect(headers['content-security-policy']).toContain("default-src 'none'");
    expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
    expect(headers['content-security-policy']).not.toContain('unsafe');
    expect(headers['cache-control']).toBe('no-store');
    expect((await house.api.get('/page.css')).status).toBe(200);
    expect((await house.api.get('/page.js')).status).toBe(200);
  });

  it('escapes what people typed', async () => {
    const { text } = await pageOf(adminToken);
    expect(text).not.toContain('<script>alert');
    expect(text).toContain('&#60;script&#62;');
  });

  it('shows phase, exposure and last decisions', async () => {
    const { text } = await pageOf(adminToken);
    expect(text).toContain('HELD');
    expect(text).toContain('SCHEDULED');
    expect(text).toMatch(/10 %/);
  });

  it('has a kill button for an operator and none for a viewer', async () => {
    expect((await pageOf(await house.token('operator'))).text).toContain('action="/kill"');
    expect((await pageOf(await house.token('viewer'))).text).not.toContain('action="/kill"');
  });

  it('shows only the environment of the token', async () => {
    await house.admin.post('/environments', { name: 'quiet' }).expect(201);
    const { text } = await pageOf(await house.token('operator', 'quiet'));
    expect(text).not.toContain('checkout');
  });
});

describe('the kill button', () => {
  const press = async (token: string, about: Record<string, string>, headers: Record<string, string> = {}) =>
    house.api
      .post('/kill')
      .set({ Cookie: await sessionOf(token), ...headers })
      .type('form')
      .send({ environment: 'production', ...about });

  it('does nothing when another site pressed it', async () => {
    for (const site of ['cross-site', 'same-site']) {
      const { status } = await press(adminToken, { name: 'second' }, { 'Sec-Fetch-Site': site });
      expect(status).toBe(403);
    }
    expect((await house.admin.get('/rollouts/second')).body.state.phase).toBe('held');
  });

  it('does nothing for a viewer, or in an environment that the token is not for', async () => {
    expect((await press(await house.token('viewer'), { name: 'second' })).status).toBe(403);
    await house.admin.post('/environments', { name: 'elsewhere' });
    expect((await press(await house.token('operator', 'elsewhere'), { name: 'second' })).status).toBe(403);
    expect((await house.admin.get('/rollouts/second')).body.state.phase).toBe('held');
  });

  it('says what is missing or unknown', async () => {
    expect((await press(adminToken, {})).status).toBe(400);
    const unknown = await press(adminToken, { name: '<b>nothing</b>' });
    expect(unknown.status).toBe(404);
    expect(unknown.text).not.toContain('<b>nothing');
  });

  it('kills, with who pressed it and why', async () => {
    const operator = await house.token('operator', undefined, 'mkaya');
    const pressed = await press(
      operator,
      { name: 'second', reason: 'white screens' },
      { 'Sec-Fetch-Site': 'same-origin' },
    );
    expect([pressed.status, pressed.headers.location]).toEqual([303, '/']);
    const { body } = await house.admin.get('/rollouts/second');
    expect(body).toMatchObject({
      exposure: 0,
      state: { phase: 'killed' },
      lastDecision: { actor: 'mkaya', reason: 'white screens' },
    });
    expect((await pageOf(adminToken)).text).toContain('KILLED');
  });
});
