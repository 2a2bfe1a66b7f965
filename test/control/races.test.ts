import { afterEach, describe, expect, it } from 'vitest';
import { Refused } from '../../src/control/errors.ts';
import type { Latch } from '../../src/domain/rollout.ts';
import { type Change, Conflict, type ControlStore } from '../../src/store/store.ts';
import { aControl, ana, aPlanDocument, aRamping, beaconsOf, type Control } from '../support/a-controller.ts';
import { minute } from '../support/a-rollout.ts';

let world: Control;
afterEach(() => world.close());

const bo = { ...ana, actor: 'bo', reason: 'again' };

/** The first half of bo's kill of the flag: its latch stands, its rollouts are not killed yet. */
async function latchByBo(): Promise<Latch> {
  const at = world.now().wall;
  const about = { environment: 'production', reason: bo.reason };
  const latch: Latch = { ...about, flag: 'checkout', wave: null, setAt: at, by: bo.actor };
  const audit = { ...about, at, actor: bo.actor, action: 'flag.kill', target: 'checkout', detail: {} };
  await world.store.commit({ audit, latch: { set: latch } });
  return latch;
}

/** Lets something happen between what is read and the commit that it leads to. */
function meanwhile() {
  const next: { kind: (change: Change) => boolean; happen: () => Promise<unknown> }[] = [];
  const store = (real: ControlStore): ControlStore => ({
    ...real,
    commit: async (change) => {
      const [first] = next;
      if (first?.kind(change)) {
        next.shift();
        await first.happen();
      }
      return real.commit(change);
    },
  });
  return {
    store,
    ahead: (kind: (change: Change) => boolean, happen: () => Promise<unknown>) => next.push({ kind, happen }),
  };
}
const clears = ({ latch }: Change) => latch !== undefined && 'clear' in latch;

describe('a rearm of', () => {
  it.each([
    ['a rollout', () => world.verbs.act(world.where, 'rearm', ana)],
    ['a flag', () => world.verbs.rearmFlag('production', 'checkout', ana)],
  ])('%s leaves a kill that was answered meanwhile as it is', async (_, rearm) => {
    const { store, ahead } = meanwhile();
    world = await aRamping({ store });
    await world.verbs.act(world.where, 'kill', ana);
    ahead(clears, () => world.verbs.killFlag('production', 'checkout', bo));
    await expect(rearm()).rejects.toBeInstanceOf(Conflict);
    expect(await world.store.latches('production')).toMatchObject([{ by: 'bo', reason: 'again' }]);
    expect(await world.phase()).toBe('killed');
  });

  it('the flag never takes a kill that was answered meanwhile for its own', async () => {
    const { store, ahead } = meanwhile();
    world = await aControl({ store });
    await world.beat();
    await world.applyPolicy();
    await world.applyPlan(
      aPlanDocument({
        waves: [
          { name: 'eu', environment: 'production', regions: ['eu-*'] },
          { name: 'us', environment: 'production', regions: ['us-*'] },
        ],
      }),
    );
    await world.beat(1_000);
    await world.verbs.act({ environment: 'production', name: 'checkout/eu' }, 'kill', ana);
    // The rearm kills the other wave first, and it is then that somebody else latches the flag anew.
    ahead(({ decision }) => decision?.action === 'kill', latchByBo);
    await expect(world.verbs.rearmFlag('production', 'checkout', ana)).rejects.toBeInstanceOf(Conflict);
    expect(await world.store.latches('production')).toMatchObject([{ by: 'bo', reason: 'again' }]);
  });
});

describe('a raise', () => {
  it.each([
    ['a kill', latchByBo],
    ['a freeze', () => world.freezing.on('production', null, bo, world.now().wall)],
  ])('%s that was answered meanwhile outlasts a raise by hand', async (_, happen) => {
    const { store, ahead } = meanwhile();
    world = await aRamping({ store, evidence: beaconsOf });
    ahead(({ raise }) => raise !== undefined, happen);
    await expect(world.verbs.act(world.where, 'skip-bake', ana)).rejects.toSatisfy(
      (error) => error instanceof Conflict || error instanceof Refused,
    );
    expect((await world.rollout()).state.stage).toBe(0);
  });

  it('a freeze that was answered meanwhile outlasts the raise of a tick', async () => {
    const { store, ahead } = meanwhile();
    world = await aRamping({ store, evidence: beaconsOf });
    ahead(
      ({ raise }) => raise !== undefined,
      () => world.freezing.on(null, null, bo, world.now().wall),
    );
    for (let i = 0; i < 15; i += 1) await world.beat(minute);
    expect((await world.rollout()).state.stage).toBe(0);
    await world.freezing.off(null, bo, world.now().wall);
    for (let i = 0; i < 3; i += 1) await world.beat(minute);
    expect((await world.rollout()).state.stage).toBe(1);
  });
});
