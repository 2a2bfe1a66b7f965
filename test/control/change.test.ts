import { afterEach, describe, expect, it } from 'vitest';
import type { Move } from '../../src/control/change.ts';
import { noEvidence } from '../../src/control/look.ts';
import { Conflict } from '../../src/store/store.ts';
import { aControl, ana, aPlanDocument, aRamping, beaconsOf, type Control } from '../support/a-controller.ts';
import { minute } from '../support/a-rollout.ts';

let world: Control;
afterEach(() => world.close());

const tickMs = 30_000;

/** A raise to the next stage, as a tick would ask for it. */
async function aRaise(about: Partial<Move> = {}): Promise<Move> {
  const before = await world.rollout();
  const plan = await world.library.plan(before.plan);
  const { state } = before;
  return {
    before,
    after: {
      ...before,
      state: { ...state, stage: state.stage + 1, epoch: state.epoch + 1, version: state.version + 1 },
    },
    plan,
    outcome: { action: 'ramp', transition: 'T7', cause: 'timer:bake', because: 'baked', waitingFor: [] },
    readings: [],
    evidence: noEvidence(world.now()),
    actor: null,
    reason: null,
    maxAgeMs: tickMs,
    ...about,
  };
}

describe('a change', () => {
  it('commits decision, state, evidence and audit record under one number', async () => {
    world = await aRamping();
    const head = await world.store.head();
    const decision = await world.change(await aRaise(), world.now());
    expect(decision.id).toBe(`D-${head + 1}`);
    expect(await world.store.head()).toBe(head + 1);
    expect((await world.rollout()).state.stage).toBe(1);
    const [stored] = await world.store.decisions({ id: decision.id, limit: 1 });
    expect(stored).toEqual(decision);
    expect(stored).toMatchObject({ exposure: { from: 10, to: 40 }, plan: 'checkout@1', policy: 'web@1', code: 'test' });
    expect(await world.store.evidence(String(decision.evidence))).toEqual(noEvidence(world.now()));
    const [record] = await world.store.audit({ limit: 1 });
    expect(record).toMatchObject({
      seq: head + 1,
      action: 'rollout.ramp',
      actor: 'controller',
      target: 'checkout',
      detail: { cause: 'timer:bake', transition: 'T7', exposure: { from: 10, to: 40 }, evidence: decision.evidence },
    });
  });

  it('is published after the commit', async () => {
    world = await aRamping();
    world.published.length = 0;
    await world.change(await aRaise(), world.now());
    expect(world.published).toEqual(['production']);
    expect(world.served.get('production')?.ver).toBe(await world.store.head());
    expect(world.served.get('production')?.flagSet.flags.checkout?.metadata?.exposurePpm).toBe(400_000);
  });

  it('writes and publishes nothing when the rollout has moved on', async () => {
    world = await aRamping();
    const raise = await aRaise();
    await world.verbs.act(world.where, 'hold', ana);
    const head = await world.store.head();
    world.published.length = 0;
    await expect(world.change(raise, world.now())).rejects.toBeInstanceOf(Conflict);
    expect(await world.store.head()).toBe(head);
    expect(world.published).toEqual([]);
    expect((await world.store.decisions({ limit: 1 }))[0]).toMatchObject({ action: 'hold' });
  });

  it('refuses a raise that is older than one tick by the time it is committed', async () => {
    world = await aRamping();
    const raise = await aRaise();
    const read = world.now();
    world.clock.after += tickMs + 1;
    await expect(world.change(raise, read)).rejects.toBeInstanceOf(Conflict);
    expect((await world.rollout()).state.stage).toBe(0);
  });

  it('measures that age on the clock that runs on, not on the wall', async () => {
    world = await aRamping();
    const raise = await aRaise();
    const read = world.now();
    world.clock.mono = read.mono + tickMs + 1;
    await expect(world.change(raise, read)).rejects.toBeInstanceOf(Conflict);
    world.clock.mono = read.mono + tickMs - 1;
    await expect(world.change(raise, read)).resolves.toMatchObject({ action: 'ramp' });
  });

  it('lets whatever lowers through, however old it is', async () => {
    world = await aRamping();
    const before = await world.rollout();
    const read = world.now();
    world.clock.after += 100 * tickMs;
    const killed = { ...before.state, phase: 'killed', stage: -1, version: before.state.version + 1 } as const;
    const kill = await aRaise({
      after: { ...before, state: killed },
      outcome: { action: 'kill', transition: 'T11', cause: 'gate:x', because: 'js errors 7 %', waitingFor: [] },
    });
    await expect(world.change(kill, read)).resolves.toMatchObject({ exposure: { from: 10, to: 0 } });
  });
});

describe('a latch', () => {
  const waves = [
    { name: 'eu', environment: 'production', regions: ['eu-*'] },
    { name: 'us', environment: 'production', regions: ['us-*'] },
  ];

  it('of a gate covers its wave alone, and says why', async () => {
    let worse = 1;
    world = await aControl({
      evidence: (rollout, now) => beaconsOf(rollout, now, rollout.wave === 'eu' ? worse : 1),
    });
    await world.beat();
    await world.applyPolicy();
    await world.applyPlan(aPlanDocument({ waves }));
    await world.beat(1_000);
    worse = 20;
    await world.beat(minute);
    expect(await world.phase('checkout/eu')).toBe('killed');
    expect(await world.phase('checkout/us')).toBe('ramping');
    const [latch] = await world.store.latches();
    expect(latch).toMatchObject({ flag: 'checkout', wave: 'eu', by: 'controller' });
    expect(latch?.reason).toContain('JS errors');
  });

  it('of a person covers the flag in the whole environment, from the same batch on', async () => {
    world = await aControl();
    await world.beat();
    await world.applyPolicy();
    await world.applyPlan(aPlanDocument({ waves }));
    await world.beat(1_000);
    const head = await world.store.head();
    await world.verbs.act({ environment: 'production', name: 'checkout/eu' }, 'kill', ana);
    expect(await world.store.head()).toBe(head + 1);
    expect(await world.store.latches()).toMatchObject([{ flag: 'checkout', wave: null, by: 'ana', reason: 'because' }]);
    expect(world.served.get('production')?.entries.has('checkout')).toBe(false);
    await world.beat(minute);
    expect(await world.phase('checkout/us')).toBe('killed');
  });

  it('is cleared by rearm, and then nobody is exposed', async () => {
    world = await aRamping();
    await world.verbs.act(world.where, 'kill', ana);
    await world.verbs.act(world.where, 'rearm', ana);
    expect(await world.store.latches()).toEqual([]);
    expect((await world.rollout()).state).toMatchObject({ phase: 'pending_approval', stage: -1 });
    expect(world.served.get('production')?.entries.has('checkout')).toBe(false);
  });
});
