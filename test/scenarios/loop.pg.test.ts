import { afterAll, describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import type { Breakage } from '../../src/lab/breakage.ts';
import { demoPlan, demoPolicy } from '../../src/lab/demo-plan.ts';
import { startVisitors } from '../../src/lab/visitors.ts';
import { createPostgresDriver } from '../../src/store/postgres.ts';
import { raw } from '../../src/store/sql.ts';
import { bulkOf, ok, rolloutOf, seed, until } from './support/process-api.ts';
import { seeded } from './support/process-random.ts';
import { aWorld } from './support/process-world.ts';

const url = inject('pgUrl');
const Step = z.object({
  action: z.string(),
  evidence: z.string().nullable(),
  exposure: z.object({ from: z.number(), to: z.number() }),
});
const schema = `loop_${process.pid}`;

/** Errors alone, and a ramp that may risk a lot: what is shown here is the loop, not the judge. */
const policy = {
  ...demoPolicy,
  spec: {
    ...demoPolicy.spec,
    harmCaps: { rate: '100%', rateShare: '5%' },
    gates: demoPolicy.spec.gates.filter(({ name }) => name === 'errors-kill'),
  },
};

const plan = {
  ...demoPlan,
  spec: {
    ...demoPlan.spec,
    comparison: { control: { ratio: 1 }, holdback: { percent: 2 } },
    stages: [
      { name: 'first', exposure: 40, bake: '2s', minSamples: 100, maxDwell: '10m' },
      { name: 'half', exposure: 50, bake: '10m', minSamples: 100, maxDwell: '20m' },
      { name: 'full', exposure: 100 },
    ],
  },
};

afterAll(async () => {
  if (url === '') return;
  const driver = await createPostgresDriver({ url, mono: () => 0 });
  await driver.all(raw(`drop schema if exists ${schema} cascade`));
  await driver.close();
});

describe.skipIf(url === '')('the loop on PostgreSQL', () => {
  it('ramps a healthy flag on what visitors report, and kills it when its visits throw', async () => {
    const world = await aWorld({ schema, bucketMs: 1_000, beatMs: 200, env: { TIDEGATE_DATABASE_URL: url } });
    let broken: Breakage = 'none';
    const visitors = startVisitors({
      controller: world.controller.url,
      flag: 'checkout-v2',
      perSecond: 120,
      broken: () => broken,
      random: seeded(20_260_105),
      stayMs: 500,
    });
    try {
      await seed(world.admin, [policy, plan]);
      const now = () => rolloutOf(world.admin, 'checkout-v2');
      await until('the first stage', async () => (await now()).exposure === 40);
      await until('a ramp', async () => (await now()).exposure === 50, 60_000);
      broken = 'errors';
      const killed = await until(
        'a kill',
        async () => {
          const view = await now();
          return view.state.phase === 'killed' && view;
        },
        30_000,
      );
      expect(killed).toMatchObject({ exposure: 0, lastDecision: { action: 'kill', cause: 'gate:errors-kill' } });
      expect(killed.lastDecision?.why).toContain('JS errors');
      expect((await bulkOf(world.admin.as(null), 'anybody', 'checkout-v2')).flag.value).toBe(false);
      const { decisions } = z
        .object({ decisions: z.array(Step) })
        .parse(await ok(world.admin.call('GET', '/api/v1/decisions?rollout=checkout-v2')));
      const steps = decisions.filter(({ exposure }) => exposure.from !== exposure.to);
      expect(steps.map(({ action, exposure }) => [action, exposure.from, exposure.to])).toEqual([
        ['kill', 50, 0],
        ['ramp', 40, 50],
        ['ramp', 0, 40],
      ]);
      expect(steps[0]?.evidence).toMatch(/^sha256-/);
      expect(visitors.failures()).toBe(0);
    } finally {
      await visitors.stop();
      await world.close();
    }
  }, 120_000);
});
