import { describe, expect, it } from 'vitest';
import type { By } from '../../src/control/by.ts';
import { aPlan, aPolicy } from './support/process-documents.ts';
import { aHouse } from './support/process-house.ts';

const where = { environment: 'production', name: 'checkout' };
const by: By = { actor: 'oncall', role: 'operator', reason: 'payments fail', idempotency: null };

const stages = [
  { name: 'first', exposure: 10, bake: '2m', minSamples: 30, maxDwell: '30d' },
  { name: 'second', exposure: 30, bake: '2m', minSamples: 30, maxDwell: '30d' },
  { name: 'full', exposure: 100 },
];

/** So many minutes of healthy visits; the last of them is not looked at yet. */
async function after(minutes: number) {
  const house = await aHouse(aPolicy({ minSamples: 30 }), aPlan({ stages }));
  await house.start();
  for (let n = 1; n <= minutes; n += 1) {
    house.pass(60_000);
    const units = n === 1 ? 40 : 1;
    await house.visits({ treatment: units, control: units, errors: 0 });
    if (n < minutes) await house.beat();
  }
  return house;
}

/** Minutes after which the next look ramps. */
async function minutesToRamp(): Promise<number> {
  for (let minutes = 2; minutes < 20; minutes += 1) {
    const house = await after(minutes);
    await house.beat();
    const exposure = await house.exposure();
    await house.close();
    if (exposure === 30) return minutes;
  }
  throw new Error('it never ramps');
}

/** Lets so many promise jobs go by: the store is synchronous, so these are all the places where the two can meet. */
async function jobs(n: number): Promise<void> {
  for (let left = n; left > 0; left -= 1) await null;
}

describe('a kill while the tick is committing a ramp', () => {
  it('wins in each of 50 races, and is told in the audit log once', async () => {
    const minutes = await minutesToRamp();
    const raced = { before: 0, after: 0, conflicts: 0 };
    for (let race = 0; race < 50; race += 1) {
      const house = await after(minutes);
      const tick = house.beat();
      await jobs(2 * race);
      const acted = await house.verbs.act(where, 'kill', by);
      await Promise.all([tick, house.beat()]);
      raced[acted.decision.exposure.from === 10 ? 'before' : 'after'] += 1;

      expect(acted.rollout.state.phase).toBe('killed');
      expect((await house.rollout()).state).toMatchObject({ phase: 'killed', stage: -1 });
      expect(await house.exposure()).toBe(0);
      const kills = (await house.control.audit({ limit: 100 })).filter(({ action }) => action === 'rollout.kill');
      expect(kills).toHaveLength(1);
      house.pass(3_600_000);
      await house.beat();
      expect(await house.exposure()).toBe(0);
      expect(house.failures).toEqual([]);
      raced.conflicts += house.conflicts();
      await house.close();
    }
    // Both orders were met, or the races prove nothing.
    expect(raced.before).toBeGreaterThan(0);
    expect(raced.after).toBeGreaterThan(0);
    expect(raced.conflicts).toBeGreaterThan(0);
  }, 30_000);
});
