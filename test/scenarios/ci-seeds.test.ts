import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { stringify } from 'yaml';
import { processIo } from '../../src/cli/io.ts';
import { run } from '../../src/cli/program.ts';
import { tempFolder } from '../support/temp-store.ts';
import { act, bulkOf, newToken, rolloutOf, until } from './support/process-api.ts';
import { aPlan, aPolicy } from './support/process-documents.ts';
import { aWorld, type World } from './support/process-world.ts';

// A real controller on a busy machine: what is waited for has deadlines of its own.
vi.setConfig({ testTimeout: 20_000, hookTimeout: 20_000 });

let world: World;
let folder: ReturnType<typeof tempFolder>;
let env: NodeJS.ProcessEnv;

beforeEach(async () => {
  world = await aWorld();
  folder = tempFolder();
  env = { TIDEGATE_URL: world.admin.url, TIDEGATE_TOKEN: await newToken(world.admin, 'ci') };
  await file('rollouts-policy.yaml', stringify(aPolicy({ interval: '1s' })));
  await file('rollouts-plan.yaml', stringify(aPlan()));
});
afterEach(async () => {
  await world.close();
  folder.remove();
});

const pathOf = (name: string) => join(folder.path, name);
const file = (name: string, text: string) => writeFile(pathOf(name), text);

/** One command line of the real CLI, against the running controller. */
async function tidegate(...args: readonly string[]) {
  let [out, err] = ['', ''];
  const io = {
    ...processIo(env),
    colour: false,
    stdout: (text: string) => {
      out += text;
    },
    stderr: (text: string) => {
      err += text;
    },
  };
  const code = await run(args, io, '0.0.0');
  return { code, out, err };
}

const apply = () => tidegate('apply', pathOf('rollouts-policy.yaml'), pathOf('rollouts-plan.yaml'));
const started = () => until('the first stage', async () => (await rolloutOf(world.admin)).exposure === 50);

describe('seeding from CI', () => {
  it('creates the first time and says "no changes" the second', async () => {
    const first = await apply();
    expect(first).toMatchObject({ code: 0, err: '' });
    expect(first.out).toContain('policy web: created (version 1)');
    expect(first.out).toContain('plan checkout: created (version 1)');
    await started();
    const second = await apply();
    expect(second.code).toBe(0);
    expect(second.out).toMatch(/no changes\n$/);
    expect(await rolloutOf(world.admin)).toMatchObject({ exposure: 50, state: { phase: 'ramping' } });
  });

  it('shows what would change, and ends with 2, without changing it', async () => {
    await apply();
    await started();
    await file('rollouts-plan.yaml', stringify(aPlan({ soak: { bake: '3h' } })));
    await act(world.admin, 'hold', 'a change comes');
    const planned = await tidegate('plan', pathOf('rollouts-plan.yaml'));
    expect(planned.code).toBe(2);
    expect(planned.out).toContain('spec.soak');
    expect((await tidegate('plan', pathOf('rollouts-policy.yaml'))).code).toBe(0);
    const stored = await world.admin.call('GET', '/api/v1/plans/checkout');
    expect(stored.json).toMatchObject({ version: 1 });
  });

  it('is refused with 20 while the rollout is live and the plan is another', async () => {
    await apply();
    await started();
    await file('rollouts-plan.yaml', stringify(aPlan({ soak: { bake: '3h' } })));
    const changed = await apply();
    expect(changed.code).toBe(20);
    expect(changed.err).toContain('hold');
  });

  it('is refused with 20 when the flag was killed, and the kill stands', async () => {
    await apply();
    await started();
    expect((await tidegate('kill', 'checkout', '--reason', 'smoke test fails')).code).toBe(0);
    const again = await apply();
    expect(again.code).toBe(20);
    expect(again.err).toContain('killed');
    await file('rollouts-plan.yaml', stringify(aPlan({ soak: { bake: '3h' } })));
    expect((await apply()).code).toBe(20);
    expect(await rolloutOf(world.admin)).toMatchObject({ exposure: 0, state: { phase: 'killed' } });
  });

  it('answers a mistake with its file, line and column, and 4, and sends nothing', async () => {
    const text = stringify(aPlan()).replace('exposure: 50', 'exposures: 50');
    await file('rollouts-plan.yaml', text);
    const line = text.split('\n').findIndex((one) => one.includes('exposures')) + 1;
    const column = (text.split('\n')[line - 1] ?? '').indexOf('exposures') + 1;
    const wrong = await apply();
    expect(wrong.code).toBe(4);
    expect(wrong.err).toContain(`${pathOf('rollouts-plan.yaml')}:${line}:${column}: `);
    expect(wrong.err).toMatch(/\n +\^/);
    expect((await world.admin.call('GET', '/api/v1/plans')).json).toEqual({ plans: [] });
  });
});

describe('gate in a pipeline', () => {
  it('ends with 0 when it is far enough, 10 when held, 11 when killed', async () => {
    await apply();
    await started();
    expect((await tidegate('gate', 'checkout', '--until', 'ramping')).code).toBe(0);
    await act(world.admin, 'hold', 'a look');
    expect((await tidegate('gate', 'checkout')).code).toBe(10);
    await act(world.admin, 'kill', 'payments fail');
    const killed = await tidegate('gate', 'checkout');
    expect(killed.code).toBe(11);
    expect(killed.out).toContain('payments fail');
  });

  it('ends with 12 when it is not there in time: a timeout never passes', async () => {
    await apply();
    await started();
    const late = await tidegate('gate', 'checkout', '--timeout', '1s', '--interval', '1s');
    expect(late.code).toBe(12);
  });

  it('ends with 30 when nobody listens', async () => {
    env = { ...env, TIDEGATE_URL: 'http://127.0.0.1:9' };
    expect((await tidegate('gate', 'checkout', '--interval', '1s')).code).toBe(30);
  }, 15_000);
});

const plain = {
  flags: {
    greeting: { state: 'ENABLED', variants: { en: 'Hello', de: 'Hallo' }, defaultVariant: 'en' },
    'dark-mode': {
      state: 'ENABLED',
      variants: { on: true, off: false },
      defaultVariant: 'off',
      targeting: { if: [{ '==': [{ var: 'plan' }, 'pro'] }, 'on', null] },
      metadata: { clientVisible: true },
    },
  },
};

describe('import and export', () => {
  beforeEach(async () => {
    await apply();
    await started();
    await file('flags.json', JSON.stringify(plain));
  });

  it('a flagd set and rollouts live side by side', async () => {
    const imported = await tidegate('import', pathOf('flags.json'));
    expect(imported).toMatchObject({ code: 0 });
    const visitor = world.admin.as(null);
    expect((await bulkOf(visitor, 'u1', 'dark-mode')).flag.value).toBe(false);
    expect((await bulkOf(visitor, 'u1', 'checkout')).flag.metadata).toMatchObject({ exposurePpm: 500_000 });
    expect((await tidegate('import', pathOf('flags.json'))).out).toContain('no changes');
    expect((await rolloutOf(world.admin)).exposure).toBe(50);
  });

  it('an export comes in again as no change', async () => {
    await tidegate('import', pathOf('flags.json'));
    expect((await tidegate('export', '-o', pathOf('exported.json'))).code).toBe(0);
    const exported: unknown = JSON.parse(await readFile(pathOf('exported.json'), 'utf8'));
    expect(exported).toMatchObject({ flags: { greeting: {}, 'dark-mode': {}, checkout: {} } });
    const again = await tidegate('import', pathOf('exported.json'));
    expect(again).toMatchObject({ code: 0 });
    expect(again.out).toContain('no changes');
    // Not even when the rollout has moved on since the export: it is not the file's to set.
    await act(world.admin, 'kill', 'payments fail');
    expect((await tidegate('import', pathOf('exported.json'))).out).toContain('no changes');
    expect((await rolloutOf(world.admin)).exposure).toBe(0);
    expect((await bulkOf(world.admin.as(null), 'u1')).flag.value).toBe(false);
  });

  it('an export of a killed plain flag does not make the kill its declaration', async () => {
    await tidegate('import', pathOf('flags.json'));
    const pro = async () => {
      const body = { context: { targetingKey: 'u1', plan: 'pro' } };
      return (await world.admin.as(null).call('POST', '/ofrep/v1/evaluate/flags', { body })).text;
    };
    const isOn = /"key":"dark-mode","reason":"[A-Z_]+","value":true/;
    expect(await pro()).toMatch(isOn);
    await tidegate('kill', 'dark-mode', '--flag');
    expect(await pro()).not.toMatch(isOn);
    await tidegate('export', '-o', pathOf('exported.json'));
    expect((await tidegate('import', pathOf('exported.json'))).out).toContain('no changes');
    await act(world.admin, 'rearm', 'fixed', {}, '/api/v1/flags/dark-mode');
    expect(await pro()).toMatch(isOn);
  });

  it('the export is what flagd daemons are served', async () => {
    const key = await newToken(world.admin, 'sdk-server');
    const served = await world.admin.as(key).call('GET', '/flagd/v1/production/flags.json');
    expect(JSON.parse((await tidegate('export')).out)).toEqual(served.json);
  });
});
