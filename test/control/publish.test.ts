import { afterEach, describe, expect, it } from 'vitest';
import { createPublish } from '../../src/control/publish.ts';
import type { Served } from '../../src/serve/compile.ts';
import { ana, aPlanDocument, aRamping, type Control } from '../support/a-controller.ts';

let world: Control;
afterEach(() => world.close());

describe('publishing', () => {
  it('shows what is committed, under the number of the newest change', async () => {
    world = await aRamping();
    const shown: Served[] = [];
    const publish = createPublish({ store: world.store, library: world.library, show: (set) => shown.push(set) });
    await publish('production');
    expect(shown.map(({ ver }) => ver)).toEqual([await world.store.head()]);
    expect(shown[0]?.entries.get('checkout')).toMatchObject([{ treatment: 'on', control: 'off', epoch: 1 }]);
  });

  it('never lets an older reading overtake a newer one', async () => {
    world = await aRamping();
    const vers: number[] = [];
    let slow = true;
    let release = () => {};
    const parked = new Promise<void>((resolve) => {
      release = resolve;
    });
    const store = {
      ...world.store,
      flags: async (environment: string) => {
        if (slow) {
          slow = false;
          await parked;
        }
        return world.store.flags(environment);
      },
    };
    const publish = createPublish({ store, library: world.library, show: ({ ver }) => vers.push(ver) });
    const first = publish('production');
    await world.verbs.act(world.where, 'kill', ana);
    const second = publish('production');
    release();
    await Promise.all([first, second]);
    expect(vers).toEqual([...vers].sort((a, b) => a - b));
    expect(vers.at(-1)).toBe(await world.store.head());
  });

  it('goes on after a publication that failed', async () => {
    world = await aRamping();
    let broken = true;
    const store = {
      ...world.store,
      head: () => (broken ? Promise.reject(new Error('down')) : world.store.head()),
    };
    let shown = 0;
    const show = () => {
      shown += 1;
    };
    const publish = createPublish({ store, library: world.library, show });
    await expect(publish('production')).rejects.toThrow('down');
    broken = false;
    await publish('production');
    expect(shown).toBe(1);
  });

  it('serves the rollout that took a flag over, not the cancelled one before it', async () => {
    world = await aRamping();
    await world.verbs.act(world.where, 'cancel', ana);
    await world.applyPlan(aPlanDocument({}, { name: 'second', flag: 'checkout' }));
    await world.beat(1_000);
    expect(await world.phase('second')).toBe('ramping');
    const entries = world.served.get('production')?.entries.get('checkout');
    expect(entries).toMatchObject([{ rollout: (await world.rollout('second')).shortId }]);
  });
});
