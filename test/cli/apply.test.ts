import { describe, expect, it } from 'vitest';
import type { ApplyResult } from '../../src/http/views.ts';
import { authoredPlan, authoredPolicy } from '../domain/documents/a-document.ts';
import { type Answer, aProblem, type Call, tidegate } from './a-world.ts';

const files = {
  'rollouts/plan.json': JSON.stringify(authoredPlan()),
  'rollouts/sub/policy.yml': JSON.stringify(authoredPolicy()),
  'rollouts/flags.json': '{"flags": {}}',
  'rollouts/.hidden.yaml': 'nonsense: [',
  'rollouts/notes.md': '# notes',
};

function answering(change: ApplyResult['change']): (call: Call) => Answer {
  return ({ path }) => {
    const name = path.split('/').at(-1)?.split('?')[0] ?? '';
    const diff = change === 'none' ? [] : [{ path: 'spec.stages.0.exposure', before: 10, after: 20 }];
    const dryRun = path.includes('dryRun=1');
    return { body: { change, name, version: 3, diff, dryRun, rollouts: [], warnings: [] } satisfies ApplyResult };
  };
}

describe('apply', () => {
  it('sends policies before plans, as they were written, each under a key of its own', async () => {
    const ran = await tidegate(['apply', 'rollouts', '--idempotency-key', 'sha'], {
      files,
      controller: answering('update'),
    });
    expect(ran.code).toBe(0);
    expect(ran.calls.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'PUT /api/v1/policies/web',
      'PUT /api/v1/plans/checkout?environment=production',
    ]);
    expect(ran.calls.map(({ headers }) => headers.get('idempotency-key'))).toEqual([
      'sha/policy/web@1',
      'sha/plan/checkout',
    ]);
    expect(ran.calls[1]?.body).toEqual(authoredPlan());
    expect(ran.calls[0]?.headers.get('authorization')).toBe('Bearer tg_test');
  });

  it('prints each field that changed', async () => {
    const ran = await tidegate(['apply', 'rollouts'], { files, controller: answering('update') });
    expect(ran.out).toContain('plan checkout: changed (version 3)\n  ~ spec.stages.0.exposure: 10 -> 20\n');
  });

  it('says no changes the second time', async () => {
    const ran = await tidegate(['apply', 'rollouts'], { files, controller: answering('none') });
    expect(ran.code).toBe(0);
    expect(ran.out).toMatch(/no changes\n$/);
  });

  it('leaves flag sets in a folder to import, and says so', async () => {
    const ran = await tidegate(['apply', 'rollouts'], { files, controller: answering('none') });
    expect(ran.err).toContain('tidegate import rollouts/flags.json');
  });

  it('sends nothing when any file has a mistake', async () => {
    const broken = { ...files, 'rollouts/z.yaml': 'kind: Rollout' };
    const ran = await tidegate(['apply', 'rollouts'], { files: broken, controller: answering('update') });
    expect(ran).toMatchObject({ code: 4, calls: [] });
    expect(ran.err).toContain('rollouts/z.yaml:1:7: `kind` must be one of RolloutPlan, GatePolicy, Signal');
  });

  it('sends nothing when lint finds an error, and goes on with a warning', async () => {
    const { bake: _, ...unbaked } = { name: 'early', exposure: 20, bake: '1h', maxDwell: '1d', minSamples: 500 };
    const stages = [unbaked, { name: 'full', exposure: 100 }];
    const bad = { ...files, 'rollouts/plan.json': JSON.stringify(authoredPlan({ stages })) };
    expect(await tidegate(['apply', 'rollouts'], { files: bad, controller: answering('update') })).toMatchObject({
      code: 4,
      calls: [],
    });
    const alone = { 'plan.json': JSON.stringify(authoredPlan()) };
    const ran = await tidegate(['apply', 'plan.json'], { files: alone, controller: answering('update') });
    expect(ran.code).toBe(0);
    expect(ran.err).toContain('warning P07');
  });

  it('refuses the same document twice', async () => {
    const twice = { ...files, 'rollouts/copy.json': JSON.stringify(authoredPlan()) };
    const ran = await tidegate(['apply', 'rollouts'], { files: twice, controller: answering('update') });
    expect(ran).toMatchObject({ code: 4, calls: [] });
    expect(ran.err).toContain('plan checkout is declared twice');
  });

  it('ends with 20 on a killed flag, and keeps what was said before', async () => {
    const ran = await tidegate(['apply', 'rollouts'], {
      files,
      controller: (call) =>
        call.path.includes('/plans/')
          ? aProblem(409, 'latched', 'checkout was killed; rearm it first')
          : answering('create')(call),
    });
    expect(ran.code).toBe(20);
    expect(ran.out).toContain('policy web: created');
    expect(ran.err).toContain('checkout was killed; rearm it first');
  });

  it('prints JSON, also when a later document is refused', async () => {
    const ran = await tidegate(['apply', 'rollouts', '--json'], {
      files,
      controller: (call) =>
        call.path.includes('/plans/') ? aProblem(409, 'hold_first', 'hold it') : answering('none')(call),
    });
    expect(ran.code).toBe(20);
    expect(JSON.parse(ran.out)).toMatchObject({ results: [{ name: 'web', change: 'none' }] });
  });

  it('needs files that exist', async () => {
    expect((await tidegate(['apply', 'nowhere'])).code).toBe(64);
    expect((await tidegate(['apply', 'empty'], { files: { 'empty/readme.md': '' } })).code).toBe(64);
  });
});

describe.each(['lint', 'plan', 'apply'])('%s', (name) => {
  it('of nothing is a mistake in the command, not a success', async () => {
    const files = { 'empty.yaml': '# nothing yet\n', 'folder/empty.yaml': '', 'flags/f.json': '{"flags": {}}' };
    for (const path of ['empty.yaml', 'folder', 'flags']) {
      const ran = await tidegate([name, path], { files });
      expect([path, ran.code, ran.calls]).toEqual([path, 64, []]);
      expect(ran.err).toContain(path);
    }
  });
});

describe('plan', () => {
  it('changes nothing and ends with 2 when something would change', async () => {
    const ran = await tidegate(['plan', 'rollouts/sub/policy.yml'], { files, controller: answering('update') });
    expect(ran.code).toBe(2);
    expect(ran.calls[0]?.path).toBe('/api/v1/policies/web?dryRun=1');
    expect(ran.out).toContain('would change');
  });

  it('ends with 0 when nothing would', async () => {
    expect((await tidegate(['plan', 'rollouts'], { files, controller: answering('none') })).code).toBe(0);
  });

  it('compares a plan here when its policy exists only in these files', async () => {
    const ran = await tidegate(['plan', 'rollouts', '--json'], {
      files,
      controller: (call) => (call.method === 'GET' ? aProblem(404, 'not_found', 'no plan') : answering('create')(call)),
    });
    expect(ran.code).toBe(2);
    expect(ran.calls.map(({ method }) => method)).toEqual(['PUT', 'GET']);
    const { results } = JSON.parse(ran.out);
    expect(results[1]).toMatchObject({ change: 'create', version: 1, dryRun: true });
    expect(results[1].warnings[0]).toContain('web@1');
  });

  it('compares with the stored plan', async () => {
    const stored = { name: 'checkout', version: 4, document: authoredPlan({ policy: 'web@1' }), digest: '' };
    const ran = await tidegate(['plan', 'rollouts', '--json'], {
      files,
      controller: (call) => (call.method === 'GET' ? { body: stored } : answering('create')(call)),
    });
    expect(JSON.parse(ran.out).results[1]).toMatchObject({ change: 'none', version: 4, diff: [] });
  });
});

describe('policies that extend others', () => {
  const shop = (spec: object) =>
    JSON.stringify({
      apiVersion: 'tidegate.dev/v1',
      kind: 'GatePolicy',
      metadata: { name: 'shop', version: 1, owner: 'shop', extends: 'web@1' },
      spec,
    });
  const together = { 'p/a.json': shop({ tick: { interval: '1m' } }), 'p/b.json': JSON.stringify(authoredPolicy()) };

  it('are sent after those, as they were written', async () => {
    const ran = await tidegate(['apply', 'p'], { files: together, controller: answering('update') });
    expect(ran.calls.map(({ path }) => path)).toEqual(['/api/v1/policies/web', '/api/v1/policies/shop']);
    expect(ran.calls[1]?.body).toEqual(JSON.parse(shop({ tick: { interval: '1m' } })));
  });

  it('are linted as what they come to', async () => {
    const locked = authoredPolicy({ governance: { locked: ['errors'] } });
    const files = {
      'p/shop.yaml': shop({ gates: [{ name: 'errors', consecutive: 4 }] }),
      'p/web.json': JSON.stringify(locked),
      'p/plan.json': JSON.stringify(authoredPlan({ policy: 'shop@1' })),
    };
    const ran = await tidegate(['lint', 'p'], { files });
    expect(ran.code).toBe(4);
    expect(ran.out).toContain('error G12: gates.errors.consecutive goes from 1 to 4, and web@1 locks errors');
    expect(ran.out).toMatch(/p\/shop\.yaml:1:\d+: /);
    expect(ran.out).toContain('3 documents, 1 error, 0 warnings');
  });

  it('are left to the controller when those are elsewhere', async () => {
    const files = { 'p/a.json': shop({}), 'p/plan.json': JSON.stringify(authoredPlan({ policy: 'shop@1' })) };
    const linted = await tidegate(['lint', 'p'], { files });
    expect(linted.code).toBe(0);
    expect(linted.out).toContain('warning G12: web@1 is not among these files');
    expect(linted.out).toContain('2 documents, 0 errors, 1 warning');
    const ran = await tidegate(['apply', 'p'], { files, controller: answering('update') });
    expect(ran.calls.map(({ path }) => path.split('?')[0])).toEqual([
      '/api/v1/policies/shop',
      '/api/v1/plans/checkout',
    ]);
  });

  it('are compared here when those exist only in these files', async () => {
    const ran = await tidegate(['plan', 'p', '--json'], {
      files: together,
      controller: (call) => (call.method === 'GET' ? aProblem(404, 'not_found', 'none') : answering('create')(call)),
    });
    expect(JSON.parse(ran.out).results[1]).toMatchObject({
      name: 'shop',
      warnings: [expect.stringContaining('web@1')],
    });
  });
});
