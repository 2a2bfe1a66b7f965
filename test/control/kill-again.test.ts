import { afterEach, describe, expect, it } from 'vitest';
import { aControl, ana, aRamping, beaconsOf, type Control } from '../support/a-controller.ts';

let world: Control;
afterEach(() => world.close());
const ben = { ...ana, actor: 'ben', reason: null };

describe('a kill of what is killed', () => {
  it('is answered with the decision that killed it, and latches the flag anew', async () => {
    world = await aRamping();
    const first = await world.verbs.act(world.where, 'kill', ana);
    const head = await world.store.head();
    const second = await world.verbs.act(world.where, 'kill', ben);
    expect(second.decision).toEqual(first.decision);
    expect(second.rollout.state.phase).toBe('killed');
    expect(await world.store.head()).toBe(head + 1);
    expect(await world.store.latches('production')).toMatchObject([{ flag: 'checkout', wave: null, by: 'ben' }]);
  });

  it('names the gate when a gate was faster', async () => {
    let worse = 1;
    world = await aRamping({ evidence: (rollout, now) => beaconsOf(rollout, now, worse) });
    worse = 10;
    await world.beat(60_000);
    const { decision } = await world.verbs.act(world.where, 'kill', ben);
    expect(decision).toMatchObject({ action: 'kill', cause: 'gate:errors-kill', actor: null });
  });

  it('is refused where it was cancelled: that is no kill', async () => {
    world = await aRamping();
    await world.verbs.act(world.where, 'cancel', ana);
    await expect(world.verbs.act(world.where, 'kill', ben)).rejects.toMatchObject({ code: 'not_allowed' });
  });
});

describe('killing a flag', () => {
  it('latches it also when its only rollout was cancelled', async () => {
    world = await aRamping();
    await world.verbs.act(world.where, 'cancel', ana);
    const { latch } = await world.verbs.killFlag('production', 'checkout', ana);
    expect(latch).toMatchObject({ flag: 'checkout', wave: null, by: 'ana' });
    expect(await world.store.latches('production')).toMatchObject([{ flag: 'checkout' }]);
  });

  it('still needs a flag that was ever there', async () => {
    world = await aControl();
    await expect(world.verbs.killFlag('production', 'nope', ana)).rejects.toThrow('there is no flag nope');
  });
});
