import { describe, expect, it } from 'vitest';
import { type Answer, aDecision, aProblem, aReading, aView, type Call, tidegate } from './a-world.ts';

const answering = (body: unknown) => (): Answer => ({ body });

describe('status', () => {
  it('shows readings as an aligned table', async () => {
    const readings = [
      aReading(),
      aReading({
        gate: 'errors-kill',
        tier: 'kill',
        signal: 'js_error_rate',
        treatment: { n: 41_022, value: 0.009 },
        control: { n: 41_500, value: 0.01 },
        scale: 'difference',
        estimate: -0.001,
        low: -0.003,
        high: 0.001,
      }),
    ];
    const waitingFor = [{ for: 'bake' as const, text: 'bake', etaMs: 7_680_000 }];
    const { out } = await tidegate(['status', 'checkout'], { controller: answering(aView({ readings, waitingFor })) });
    expect(out.split('\n')).toEqual([
      'checkout  production  RAMPING  stage 2/3 early  5 %  web@1',
      '  started 2027-01-15 08:00:00Z (checkout revision 3, flag checkout)',
      '  1 ──── [5] ──── 100',
      '  gate         tier  treatment  control   difference (always valid)  n/arm   rel.  verdict',
      '  lcp-hold     hold  2 310 ms   2 240 ms  +3.1 % [+0.4, +5.9]        40 187  0.91  pass',
      '  errors-kill  kill  0.9 %      1.0 %     -0.1 pt [-0.3, +0.1]       41 022  0.91  pass',
      '  waiting for: bake (~2 h 8 min)',
      '',
    ]);
  });

  it('says who holds it, that it is latched and that it is frozen', async () => {
    const latch = { environment: 'production', flag: 'checkout', wave: null, setAt: 0, by: 'ann', reason: 'broken' };
    const view = aView({ state: { phase: 'held', heldBy: 'gate', sticky: true }, latch, frozen: true });
    const { out } = await tidegate(['status', 'checkout'], { controller: answering(view) });
    expect(out).toContain('held by gate, until a person resumes it');
    expect(out).toContain('kill latch of 1970-01-01 00:00:00Z by ann: broken');
    expect(out).toContain('frozen: nothing rises here');
  });

  it('is coloured for people only', async () => {
    const world = { controller: answering(aView()) };
    expect((await tidegate(['status', 'checkout'], world)).out).not.toContain('\u001b[');
    expect((await tidegate(['status', 'checkout'], { ...world, colour: true })).out).toContain('\u001b[');
  });

  it('asks for a name with a slash in one segment', async () => {
    const { calls } = await tidegate(['status', 'checkout/eu', '-e', 'staging'], { controller: answering(aView()) });
    expect(calls[0]?.path).toBe('/api/v1/rollouts/checkout%2Feu?environment=staging');
  });

  it('without a name shows all', async () => {
    const both = { rollouts: [aView(), aView({ name: 'other' })] };
    expect((await tidegate(['status'], { controller: answering(both) })).out).toMatch(/checkout .*\n[\s\S]*\n\nother /);
    expect((await tidegate(['status'], { controller: answering({ rollouts: [] }) })).out).toBe(
      'no rollout in production\n',
    );
  });
});

describe('list', () => {
  it('prints one rollout a line', async () => {
    const ran = await tidegate(['list', '--all', '--flag', 'checkout'], {
      controller: answering({ rollouts: [aView()] }),
    });
    expect(ran.calls[0]?.path).toBe('/api/v1/rollouts?environment=production&flag=checkout&all=1');
    expect(ran.out).toBe(
      'rollout   environment  phase    exposure  stage      waiting for\ncheckout  production   RAMPING  5 %       2/3 early\n',
    );
  });
});

describe('explain', () => {
  it('tells why, what else could have been, and what to do', async () => {
    const view = aView({ state: { phase: 'killed', stage: -1 }, exposure: 0, lastDecision: aDecision() });
    const { out } = await tidegate(['explain', 'checkout'], { controller: answering(view) });
    expect(out).toContain('checkout in production is killed at 0 %');
    expect(out).toContain('D-7  2027-01-15 08:00:00Z  kill  5 % -> 0 %  (gate:errors-kill)');
    expect(out).toContain('It would have passed below 6 %.\ntidegate rearm checkout');
  });

  it('names waits only while something is awaited', async () => {
    const waitingFor = [
      { for: 'bake' as const, text: '20 min of bake', etaMs: null },
      { for: 'samples' as const, text: '500 units', etaMs: null },
    ];
    const killed = aView({ state: { phase: 'killed', stage: -1 }, waitingFor });
    expect((await tidegate(['explain', 'checkout'], { controller: answering(killed) })).out).not.toContain(
      'waiting for',
    );
    expect((await tidegate(['status', 'checkout'], { controller: answering(killed) })).out).not.toContain(
      'waiting for',
    );
    const live = { rollouts: [aView({ waitingFor })] };
    expect((await tidegate(['list'], { controller: answering(live) })).out).toContain('20 min of bake (and 1 more)');
  });

  it('takes a decision by its id', async () => {
    const ran = await tidegate(['explain', 'D-7', '--json'], { controller: answering(aDecision()) });
    expect(ran.calls[0]?.path).toBe('/api/v1/decisions/D-7');
    expect(JSON.parse(ran.out)).toMatchObject({ id: 'D-7' });
  });
});

describe('a verb', () => {
  const done = answering({ rollout: aView({ state: { phase: 'killed' }, exposure: 0 }), decision: aDecision() });

  it.each(['start', 'approve', 'reject', 'hold', 'resume', 'step-back', 'skip-bake', 'kill', 'rearm', 'cancel'])(
    '%s is one POST with its reason and a key',
    async (verb) => {
      const ran = await tidegate([verb, 'checkout', '--reason', 'because'], { controller: done });
      expect(ran.code).toBe(0);
      expect(ran.calls).toMatchObject([
        {
          method: 'POST',
          path: `/api/v1/rollouts/checkout/${verb}?environment=production`,
          body: { reason: 'because' },
        },
      ]);
      expect(ran.calls[0]?.headers.get('idempotency-key')).toBe('key-1');
    },
  );

  it.each(['reject', 'hold', 'resume', 'step-back', 'skip-bake', 'rearm', 'cancel'])(
    '%s needs a reason',
    async (verb) => {
      expect(await tidegate([verb, 'checkout'], { controller: done })).toMatchObject({ code: 64, calls: [] });
    },
  );

  it('promote needs to be told that it is for everybody', async () => {
    expect((await tidegate(['promote', 'checkout', '--reason', 'r'], { controller: done })).code).toBe(64);
    const ran = await tidegate(['promote', 'checkout', '--full', '--reason', 'r'], { controller: done });
    expect(ran.calls[0]?.path).toContain('/promote?');
  });

  it('kill does not wait for a reason, and says what it did', async () => {
    const ran = await tidegate(['kill', 'checkout'], { controller: done });
    expect(ran.calls[0]?.body).toEqual({});
    expect(ran.out).toContain('KILLED  0 %  (was 5 %, is 0 %)');
  });

  it('kill and rearm address a flag too', async () => {
    const result = { flag: 'checkout', environment: 'production', latch: null, rollouts: [aView()] };
    const ran = await tidegate(['rearm', 'checkout', '--flag', '--reason', 'null cart', '--fix', 'SHOP-2'], {
      controller: answering(result),
    });
    expect(ran.calls).toMatchObject([
      { path: '/api/v1/flags/checkout/rearm?environment=production', body: { reason: 'null cart (fix: SHOP-2)' } },
    ]);
    expect(ran.out).toContain('flag checkout in production is not latched');
  });
});

describe('an answer that is a problem', () => {
  it.each([
    [400, 'bad_request', 4],
    [422, 'invalid', 4],
    [401, 'unauthenticated', 20],
    [403, 'forbidden', 20],
    [409, 'latched', 20],
    [409, 'refused', 20],
    [409, 'frozen', 20],
    [409, 'hold_first', 20],
    [409, 'conflict', 21],
    [412, 'conflict', 21],
    [404, 'not_found', 1],
    [500, 'internal', 1],
    [503, 'store_unavailable', 30],
  ])('%i %s ends with exit code %i', async (status, code, exit) => {
    const ran = await tidegate(['kill', 'checkout'], { controller: () => aProblem(status, code, 'this is why') });
    expect(ran.code).toBe(exit);
    expect(ran.err).toContain('tidegate: this is why');
  });

  it('lists the fields that are wrong', async () => {
    const body = {
      status: 422,
      detail: 'Not valid',
      code: 'invalid',
      errors: [
        { path: 'spec.policy', message: 'no such policy' },
        { path: '', message: 'bake' },
      ],
    };
    const ran = await tidegate(['kill', 'checkout'], { controller: () => ({ status: 422, body }) });
    expect(ran.err).toContain('\n  spec.policy: no such policy\n  bake');
  });

  it('names the missing token', async () => {
    const ran = await tidegate(['list'], {
      env: { TIDEGATE_TOKEN: undefined },
      controller: () => aProblem(401, 'unauthenticated', 'who are you?'),
    });
    expect(ran.err).toContain('set TIDEGATE_TOKEN');
  });
});

describe('the connection', () => {
  it('ends with 30 when nobody answers, or somebody else does', async () => {
    const ran = await tidegate(['list']);
    expect(ran).toMatchObject({ code: 30 });
    expect(ran.err).toContain('cannot reach the controller at http://127.0.0.1:7070: connect ECONNREFUSED');
    expect((await tidegate(['list'], { controller: () => ({ body: '<html>' }) })).code).toBe(30);
  });

  it('takes its token from a file', async () => {
    const env = { TIDEGATE_TOKEN: undefined, TIDEGATE_TOKEN_FILE: 'secret' };
    const world = { env, files: { secret: 'tg_file\n' }, controller: answering({ rollouts: [] }) };
    expect((await tidegate(['list'], world)).calls[0]?.headers.get('authorization')).toBe('Bearer tg_file');
    expect((await tidegate(['list'], { env })).code).toBe(64);
  });
});

describe('a token that no header can carry', () => {
  it.each(['tg_adm_secret\n', 'tg_adm_secret\r\nX-Evil: 1', 'tg adm secret', 'tg_adm_secrét'])(
    '%j is not sent, and not shown',
    async (token) => {
      const ran = await tidegate(['list'], { env: { TIDEGATE_TOKEN: token } });
      expect([ran.code, ran.calls]).toEqual([64, []]);
      expect(ran.err).toContain('TIDEGATE_TOKEN holds no token');
      expect(ran.err + ran.out).not.toMatch(/secr/);
    },
  );

  it('is named by its file when it comes from one', async () => {
    const env = { TIDEGATE_TOKEN: undefined, TIDEGATE_TOKEN_FILE: 'token.txt' };
    const ran = await tidegate(['list'], { env, files: { 'token.txt': 'two\nlines' } });
    expect([ran.code, ran.err]).toEqual([64, expect.stringContaining('the token file token.txt holds no token')]);
  });
});

describe('freeze', () => {
  it('covers an environment, or all of them, until a time', async () => {
    const world = { controller: answering({}), now: 1_800_000_000_000 };
    const here = await tidegate(['freeze', 'on', '--reason', 'peak', '--until', '4h'], world);
    expect(here.calls).toMatchObject([
      {
        method: 'PUT',
        path: '/api/v1/freezes?environment=production',
        body: { reason: 'peak', until: '2027-01-15T12:00:00.000Z' },
      },
    ]);
    const all = await tidegate(['freeze', 'off', '--all', '--reason', 'over'], world);
    expect(all.calls).toMatchObject([{ method: 'DELETE', path: '/api/v1/freezes', body: { reason: 'over' } }]);
  });

  it('does not end in the past', async () => {
    expect((await tidegate(['freeze', 'on', '--reason', 'r', '--until', '2020-01-01T00:00:00Z'])).code).toBe(64);
    expect((await tidegate(['freeze', 'on', '--reason', 'r', '--until', 'tomorrow'])).code).toBe(64);
  });
});

describe('token', () => {
  const record = {
    id: '4fKx02bQ',
    role: 'ci',
    subject: 'pipeline',
    environment: 'production',
    createdAt: 0,
    expiresAt: 1_800_000_000_000,
    revokedAt: null,
  };

  it('prints the secret alone on stdout', async () => {
    const args = ['token', 'create', '--role', 'ci', '--subject', 'pipeline', '--expires-in', '90d'];
    const ran = await tidegate(args, { controller: answering({ token: 'tg_secret', record }) });
    expect(ran.out).toBe('tg_secret\n');
    expect(ran.err).toContain('shown once');
    expect(ran.calls[0]?.body).toEqual({
      role: 'ci',
      subject: 'pipeline',
      environment: 'production',
      expiresInDays: 90,
    });
  });

  it('knows its roles', async () => {
    expect((await tidegate(['token', 'create', '--role', 'god', '--subject', 'x'])).code).toBe(64);
  });

  it('may last for ever', async () => {
    const tokens = [{ ...record, expiresAt: Number.MAX_SAFE_INTEGER }];
    expect((await tidegate(['token', 'list'], { controller: answering({ tokens }) })).out).toMatch(/never +valid/);
  });

  it('lists and revokes', async () => {
    const listed = await tidegate(['token', 'list'], { controller: answering({ tokens: [record] }) });
    expect(listed.out).toContain('4fKx02bQ  ci    pipeline  production   2027-01-15 08:00:00Z  valid');
    const revoked = await tidegate(['token', 'revoke', '4fKx02bQ'], { controller: answering({}) });
    expect(revoked.calls).toMatchObject([{ method: 'DELETE', path: '/api/v1/tokens/4fKx02bQ' }]);
  });
});

describe('import and export', () => {
  const set = { flags: { banner: { state: 'ENABLED', variants: { on: true }, defaultVariant: 'on' } } };
  const result = {
    change: 'update',
    name: 'production',
    version: 9,
    diff: [],
    dryRun: false,
    rollouts: [],
    warnings: [],
  };

  it('sends the flag set of a file', async () => {
    const ran = await tidegate(['import', 'flags.json', '--idempotency-key', 'k'], {
      files: { 'flags.json': JSON.stringify(set) },
      controller: answering(result),
    });
    expect(ran.calls).toMatchObject([{ method: 'PUT', path: '/api/v1/flags?environment=production', body: set }]);
    expect(ran.calls[0]?.headers.get('idempotency-key')).toBe('k');
    expect(ran.out).toBe('flags of production: changed (version 9)\n');
  });

  it('refuses what is no flag set, at its place', async () => {
    const ran = await tidegate(['import', 'f.yaml'], { files: { 'f.yaml': 'flag: {}\n' } });
    expect(ran).toMatchObject({ code: 4, calls: [] });
    expect(ran.err).toContain('f.yaml:1:1: a flag set has `flags`');
    expect((await tidegate(['import', 'f.yaml'], { files: { 'f.yaml': 'flags: {\n' } })).code).toBe(4);
  });

  it('writes what is served', async () => {
    const world = { controller: answering(set) };
    expect(JSON.parse((await tidegate(['export'], world)).out)).toEqual(set);
    const ran = await tidegate(['export', '-o', 'out.json'], world);
    expect(ran.out).toBe('');
    expect(ran.files['out.json']).toBe(`${JSON.stringify(set, null, 2)}\n`);
  });
});

describe('audit and decisions', () => {
  it('list who did what, and why it was decided', async () => {
    const records = [
      {
        seq: 7,
        at: 0,
        actor: 'ann',
        action: 'rollout.kill',
        environment: 'production',
        target: 'checkout',
        reason: 'slow',
        detail: {},
      },
    ];
    const audit = await tidegate(['audit', '--all', '--limit', '5'], { controller: answering({ records }) });
    expect(audit.calls[0]?.path).toBe('/api/v1/audit?limit=5');
    expect(audit.out).toContain('7    1970-01-01 00:00:00Z  ann    rollout.kill  checkout  slow');
    const decided = await tidegate(['decisions', 'checkout'], { controller: answering({ decisions: [aDecision()] }) });
    expect(decided.calls[0]?.path).toBe('/api/v1/decisions?rollout=checkout&environment=production&limit=10');
    expect(decided.out).toContain('js errors 7.4 %');
    expect((await tidegate(['audit', '--limit', '0'])).code).toBe(64);
  });
});

describe('usage', () => {
  it.each([[['kill']], [['fly']], [['gate', 'x', '--timeout', 'soon']], [[]]])('%j ends with 64', async (args) => {
    expect((await tidegate(args)).code).toBe(64);
  });

  it.each([
    'init',
    'lint',
    'plan',
    'apply',
    'status',
    'list',
    'explain',
    'decisions',
    'gate',
    'start',
    'approve',
    'reject',
    'hold',
    'resume',
    'step-back',
    'skip-bake',
    'kill',
    'rearm',
    'cancel',
    'promote',
    'import',
    'export',
    'audit',
  ])('%s explains itself with an example', async (name) => {
    const ran = await tidegate([name, '--help']);
    expect(ran.code).toBe(0);
    expect(ran.out).toContain(`Example:\n  $ tidegate ${name}`);
    expect(ran.out).toContain('--json');
  });

  it('calls a bug of ours an internal error', async () => {
    const ran = await tidegate(['status', 'checkout'], { controller: () => ({ body: { state: null } }) });
    expect(ran.code).toBe(1);
  });
});

it('prints JSON everywhere it prints', async () => {
  const bodies: [string[], unknown][] = [
    [['status', 'checkout'], aView()],
    [['list'], { rollouts: [] }],
    [['explain', 'checkout'], aView()],
    [['decisions', 'checkout'], { decisions: [] }],
    [['kill', 'checkout'], { rollout: aView(), decision: aDecision() }],
    [['freeze', 'on', '--reason', 'r'], {}],
    [['audit'], { records: [] }],
    [['token', 'list'], { tokens: [] }],
    [['export'], { flags: {} }],
  ];
  for (const [args, body] of bodies) {
    const ran = await tidegate([...args, '--json'], { controller: (_: Call) => ({ body }) });
    expect(ran.code, args.join(' ')).toBe(0);
    expect(() => JSON.parse(ran.out), args.join(' ')).not.toThrow();
  }
});
