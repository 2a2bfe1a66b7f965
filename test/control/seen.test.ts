import { afterEach, expect, it } from 'vitest';
import { aControl, aPlanDocument, aPolicyDocument, beaconsOf, type Control } from '../support/a-controller.ts';
import { minute } from '../support/a-rollout.ts';

let world: Control;
afterEach(() => world.close());

const hold = {
  name: 'errors-hold',
  signal: 'js_error_rate',
  tier: 'hold',
  clear: { consecutive: 2 },
  owner: 'sre',
  runbook: 'https://run.example/e',
  tests: [{ type: 'relative', margin: '100%', confidence: 'lower_bound' }],
} as const;

it('goes on telling, after a quick look, what the last full one said of hold gates and of what is waited for', async () => {
  world = await aControl({ evidence: beaconsOf });
  await world.beat();
  const policy = aPolicyDocument();
  await world.applyPolicy({ ...policy, spec: { gates: [...policy.spec.gates, hold] } });
  await world.applyPlan(aPlanDocument());
  await world.beat(1_000);
  await world.beat(minute);
  const { id } = await world.rollout();
  const full = world.ticker.seen(id);
  world.clock.flush += 1;
  await world.beat(1_000);
  const quick = world.ticker.seen(id);
  expect(quick?.at).toBe(world.now().wall);
  expect(quick?.readings.map(({ gate }) => gate)).toEqual(full?.readings.map(({ gate }) => gate));
  expect(quick?.readings.map(({ gate }) => gate)).toContain('errors-hold');
  expect(quick?.waitingFor).toEqual(full?.waitingFor);
});
