import { afterEach, describe, expect, it } from 'vitest';
import type { Now } from '../../src/domain/now.ts';
import type { Rollout } from '../../src/domain/rollout.ts';
import { Conflict, StoreUnavailable } from '../../src/store/store.ts';
import {
  aControl,
  ana,
  aPlanDocument,
  aPolicyDocument,
  aRamping,
  beaconsOf,
  type Control,
} from '../support/a-controller.ts';
import { hour, minute } from '../support/a-rollout.ts';

const second = 1_000;
const day = 24 * hour;
let world: Control;
afterEach(() => world.close());

describe('the first look after a start', () => {
  it('never raises, neither what was looked at before nor what never was', async () => {
    world = await aControl();
    await world.applyPolicy();
    await world.applyPlan(aPlanDocument());
    await world.beat();
    expect(await world.phase()).toBe('scheduled');
  });

  it('is quick for what another process left ramping, even when it is baked', async () => {
    world = await aRamping({ evidence: beaconsOf });
    await world.beat(9.9 * minute);
    world.clock.boot = 'b2';
    world.ticker = world.aTicker();
    await world.beat(5 * minute);
    expect((await world.rollout()).state).toMatchObject({ phase: 'ramping', stage: 0 });
    await world.beat(minute);
    expect((await world.rollout()).state.stage).toBe(1);
  });

  it('may lower', async () => {
    let worse = 1;
    world = await aRamping({ evidence: (rollout, now) => beaconsOf(rollout, now, worse) });
    worse = 20;
    world.clock.boot = 'b2';
    world.ticker = world.aTicker();
    await world.beat(second);
    expect(await world.phase()).toBe('killed');
  });
});

describe('a beat', () => {
  it('starts a new plan at its next look', async () => {
    world = await aRamping();
    expect((await world.rollout()).state).toMatchObject({ phase: 'ramping', stage: 0, epoch: 1 });
  });

  it('ramps stage by stage on healthy evidence, soaks and completes', async () => {
    world = await aRamping({ evidence: beaconsOf });
    const stages: string[] = [];
    for (let i = 0; i < 60 && (await world.phase()) !== 'completed'; i += 1) {
      await world.beat(minute);
      const { phase, stage } = (await world.rollout()).state;
      if (stages.at(-1) !== `${phase} ${stage}`) stages.push(`${phase} ${stage}`);
    }
    expect(stages).toEqual(['ramping 0', 'ramping 1', 'soaking 2', 'completed 2']);
  });

  it('takes one step after a long sleep, however many looks were missed', async () => {
    world = await aRamping({ evidence: beaconsOf });
    await world.beat(minute);
    await world.beat(20 * day);
    expect((await world.rollout()).state.stage).toBe(1);
    await world.beat(second);
    expect((await world.rollout()).state.stage).toBe(1);
  });

  it('looks fully once an interval, and quickly when beacons arrived', async () => {
    let reads = 0;
    world = await aRamping({
      evidence: (rollout, now) => {
        reads += 1;
        return beaconsOf(rollout, now);
      },
    });
    reads = 0;
    await world.beat(second);
    await world.beat(second);
    expect(reads).toBe(0);
    world.clock.flush += 1;
    await world.beat(second);
    expect(reads).toBe(1);
    await world.beat(second);
    expect(reads).toBe(1);
    await world.beat(30 * second);
    expect(reads).toBe(2);
  });

  it('kills on a quick look, between two full ones', async () => {
    let worse = 1;
    world = await aRamping({ evidence: (rollout, now) => beaconsOf(rollout, now, worse) });
    worse = 20;
    world.clock.flush += 1;
    await world.beat(second);
    expect(await world.phase()).toBe('killed');
    const [decision] = await world.store.decisions({ limit: 1 });
    expect(decision).toMatchObject({ action: 'kill', cause: 'gate:errors-kill', actor: null });
  });

  it('looks at a completed rollout for as long as its sentinel is on', async () => {
    let worse = 1;
    world = await aRamping({ evidence: (rollout, now) => beaconsOf(rollout, now, worse) });
    for (let i = 0; i < 60 && (await world.phase()) !== 'completed'; i += 1) await world.beat(minute);
    expect((await world.rollout()).state.sentinel).toBe(true);
    worse = 20;
    await world.beat(minute);
    expect((await world.rollout()).state).toMatchObject({ phase: 'killed', stage: -1 });
  });

  it('keeps what it counted across beats without moving the version', async () => {
    world = await aRamping({ evidence: beaconsOf });
    await world.beat(minute);
    const { version } = (await world.rollout()).state;
    await world.beat(minute);
    await world.beat(minute);
    const after = await world.rollout();
    expect(after.state.version).toBe(version);
    expect(after.progress.bakedMs).toBeGreaterThanOrEqual(minute);
  });

  it('forgets the evidence of what it does not look at any more', async () => {
    world = await aRamping({ evidence: beaconsOf });
    await world.beat(minute);
    expect(world.forgotten).toEqual([]);
    await world.verbs.act(world.where, 'kill', ana);
    await world.beat(minute);
    await world.beat(minute);
    expect(world.forgotten).toEqual([1]);
  });

  it('tells people what the newest look said', async () => {
    world = await aRamping({ evidence: beaconsOf });
    await world.beat(minute);
    const seen = world.ticker.seen((await world.rollout()).id);
    expect(seen?.at).toBe(world.now().wall);
    expect(seen?.readings.map(({ gate }) => gate)).toContain('errors-kill');
    expect(seen?.waitingFor.map((wait) => wait.for)).toContain('bake');
    expect(world.ticker.seen('r_0000000000')).toBeNull();
  });
});

describe('segments', () => {
  const counting = (asked: boolean[], worse: () => number) => ({
    asked: (segments: boolean) => asked.push(segments),
    evidence: (rollout: Rollout, now: Now) => beaconsOf(rollout, now, worse()),
  });

  it('are asked for on a full look, once in five minutes', async () => {
    const asked: boolean[] = [];
    world = await aRamping(counting(asked, () => 1));
    await world.beat(minute);
    asked.length = 0;
    for (let i = 0; i < 7; i += 1) {
      await world.beat(minute);
      world.clock.flush += 1;
      await world.beat(second);
    }
    const full = asked.filter((_, i) => i % 2 === 0);
    expect(asked).toHaveLength(14);
    expect(full.filter(Boolean)).toHaveLength(1);
    expect(asked.filter((_, i) => i % 2 === 1)).toEqual(Array(7).fill(false));
  });

  it('are in the evidence of every kill, also of one that a quick look finds', async () => {
    const asked: boolean[] = [];
    let worse = 1;
    world = await aRamping(counting(asked, () => worse));
    worse = 20;
    asked.length = 0;
    world.clock.flush += 1;
    await world.beat(second);
    expect(await world.phase()).toBe('killed');
    expect(asked).toEqual([false, true]);
  });

  it('never make a decision milder: of two that differ the more careful one is committed', async () => {
    let worse = 1;
    let explaining = false;
    world = await aRamping({
      asked: (segments) => {
        explaining = segments;
      },
      evidence: (rollout, now) => beaconsOf(rollout, now, explaining ? 1 : worse),
    });
    worse = 20;
    world.clock.flush += 1;
    await world.beat(second);
    expect(await world.phase()).toBe('killed');
  });

  it('that cannot be read do not keep a kill from happening', async () => {
    let worse = 1;
    world = await aRamping({
      asked: (segments) => {
        if (segments && worse > 1) throw new Error('no marginals');
      },
      evidence: (rollout, now) => beaconsOf(rollout, now, worse),
    });
    worse = 20;
    world.clock.flush += 1;
    await world.beat(second);
    expect(await world.phase()).toBe('killed');
    expect(world.reported.map(({ error }) => String(error))).toEqual(['Error: no marginals']);
  });
});

it('lets the event loop turn after every rollout', async () => {
  let breaths = 0;
  world = await aControl({
    breathe: async () => {
      breaths += 1;
    },
  });
  await world.applyPolicy();
  await world.applyPlan(aPlanDocument());
  await world.applyPlan(aPlanDocument({}, { name: 'other', flag: 'other' }));
  await world.beat();
  expect(breaths).toBe(2);
});

describe('without data', () => {
  it('exposure never rises in 100 days', async () => {
    world = await aRamping();
    let highest = 0;
    for (let i = 0; i < 400; i += 1) {
      world.clock.flush += 1;
      await world.beat(6 * hour);
      const { phase, stage } = (await world.rollout()).state;
      highest = Math.max(highest, stage);
      expect(phase).toBe(i < 3 ? phase : 'held');
    }
    expect(highest).toBe(0);
  });

  it('a rollout whose evidence cannot be read ends up held, and every failure is reported', async () => {
    const broken = () => Promise.reject(new Error('rum.db is gone'));
    world = await aRamping({ rum: (rum) => ({ ...rum, cellsSince: broken }) });
    for (let i = 0; i < 20; i += 1) await world.beat(minute);
    expect((await world.rollout()).state).toMatchObject({ phase: 'held', heldBy: 'no_data', stage: 0 });
    expect(world.reported.length).toBeGreaterThan(10);
    expect(String(world.reported[0]?.error)).toContain('rum.db is gone');
  });

  it('a rollout whose shards cannot be read is not ramped on the cells alone', async () => {
    world = await aRamping({ rum: (rum) => ({ ...rum, sumsSince: () => Promise.reject(new Error('no shards')) }) });
    for (let i = 0; i < 20; i += 1) await world.beat(minute);
    expect(await world.phase()).toBe('held');
  });
});

describe('a beat that meets trouble', () => {
  it('goes on to the other rollouts when one fails', async () => {
    world = await aControl({
      evidence: (rollout, now) => {
        if (rollout.name === 'broken') throw new Error('boom');
        return beaconsOf(rollout, now, 20);
      },
    });
    await world.beat();
    await world.applyPolicy();
    await world.applyPlan(aPlanDocument());
    await world.applyPlan(aPlanDocument({}, { name: 'broken', flag: 'broken' }));
    for (let i = 0; i < 3; i += 1) await world.beat(minute);
    expect(await world.phase()).toBe('killed');
    expect(new Set(world.reported.map(({ rollout }) => rollout))).toEqual(new Set(['broken']));
  });

  it('swallows a conflict, and the next beat decides about the new state', async () => {
    let refusals = 0;
    let worse = 1;
    world = await aRamping({
      evidence: (rollout, now) => beaconsOf(rollout, now, worse),
      store: (store) => ({
        ...store,
        commit: (change) => {
          if (refusals === 0) return store.commit(change);
          refusals -= 1;
          return Promise.reject(new Conflict('a person was faster'));
        },
      }),
    });
    worse = 20;
    refusals = 1;
    await world.beat(30 * second);
    expect(await world.phase()).toBe('ramping');
    // No new beacons, no full look due: the kill that met a conflict is tried again all the same.
    await world.beat(second);
    expect(await world.phase()).toBe('killed');
    expect(world.reported).toEqual([]);
  });

  it.each([
    ['a quick look', second],
    ['a full look', 30 * second],
  ])('tries again at the next beat when the commit of what %s found fails, once a beat', async (_, afterMs) => {
    let refusals = 0;
    let tried = 0;
    let worse = 1;
    world = await aRamping({
      evidence: (rollout, now) => beaconsOf(rollout, now, worse),
      store: (store) => ({
        ...store,
        commit: (change) => {
          tried += 1;
          if (refusals === 0) return store.commit(change);
          refusals -= 1;
          return Promise.reject(new StoreUnavailable('disk full'));
        },
      }),
    });
    worse = 20;
    refusals = 2;
    tried = 0;
    world.clock.flush += 1;
    await world.beat(afterMs);
    expect(tried).toBe(1);
    await world.beat(second);
    expect(tried).toBe(2);
    expect(await world.phase()).toBe('ramping');
    await world.beat(second);
    expect(await world.phase()).toBe('killed');
    expect(world.reported.map(({ error }) => String(error))).toEqual(Array(2).fill('StoreUnavailable: disk full'));
  });

  it('reads all gates again when a full look could not be committed', async () => {
    let refusals = 0;
    world = await aRamping({
      evidence: beaconsOf,
      store: (store) => ({
        ...store,
        commit: (change) => {
          if (refusals === 0) return store.commit(change);
          refusals -= 1;
          return Promise.reject(new StoreUnavailable('disk full'));
        },
      }),
    });
    for (let i = 0; i < 9; i += 1) await world.beat(minute);
    refusals = 100;
    for (let i = 0; i < 3; i += 1) await world.beat(minute);
    expect((await world.rollout()).state.stage).toBe(0);
    refusals = 0;
    // A second later, where a quick look would not raise.
    await world.beat(second);
    expect((await world.rollout()).state.stage).toBe(1);
  });

  it('does not start while another is under way', async () => {
    let reads = 0;
    let release = () => {};
    const parked = new Promise<void>((resolve) => {
      release = resolve;
    });
    world = await aRamping({
      store: (store) => ({
        ...store,
        freezes: async () => {
          reads += 1;
          if (reads > 1) await parked;
          return store.freezes();
        },
      }),
    });
    expect(reads).toBe(1);
    world.clock.after += minute;
    const first = world.ticker.beat(world.now());
    await world.ticker.beat(world.now());
    release();
    await first;
    expect(reads).toBe(2);
  });

  it('says when it last came to its end', async () => {
    let broken = false;
    world = await aControl({
      store: (store) => ({
        ...store,
        rollouts: (filter) => (broken ? Promise.reject(new Error('down')) : store.rollouts(filter)),
      }),
    });
    expect(world.ticker.lastBeatAt()).toBe(0);
    await world.beat();
    const at = world.ticker.lastBeatAt();
    expect(at).toBe(world.now().wall);
    broken = true;
    await expect(world.beat(minute)).rejects.toThrow('down');
    expect(world.ticker.lastBeatAt()).toBe(at);
    broken = false;
    await world.beat(minute);
    expect(world.ticker.lastBeatAt()).toBe(world.now().wall);
  });
});

describe('what stands around a rollout', () => {
  it('a freeze keeps a baked stage where it is, and never keeps a kill from happening', async () => {
    let worse = 1;
    world = await aRamping({ evidence: (rollout, now) => beaconsOf(rollout, now, worse) });
    await world.freezing.on(null, null, ana, world.now().wall);
    for (let i = 0; i < 15; i += 1) await world.beat(minute);
    expect((await world.rollout()).state).toMatchObject({ phase: 'ramping', stage: 0 });
    worse = 20;
    await world.beat(minute);
    expect(await world.phase()).toBe('killed');
  });

  it('a latch on the flag kills its rollout on the next look, and stays whose it was', async () => {
    world = await aRamping();
    const latch = { environment: 'production', flag: 'checkout', wave: null, setAt: 1, by: 'bo', reason: 'smoke' };
    const audit = { at: 1, actor: 'bo', action: 'flag.kill', environment: 'production', target: 'x', detail: {} };
    await world.store.commit({ audit: { ...audit, reason: null }, latch: { set: latch } });
    await world.beat(30 * second);
    expect(await world.phase()).toBe('killed');
    expect(await world.store.latches('production')).toEqual([latch]);
  });

  it('a wave waits for the completion of the one before it, and for its bake after that', async () => {
    world = await aControl({ evidence: beaconsOf });
    await world.access.createEnvironment({ name: 'eu', protected: false }, ana, world.now().wall);
    await world.beat();
    await world.applyPolicy(aPolicyDocument());
    await world.applyPlan(
      aPlanDocument({
        waves: [
          { name: 'one', environment: 'production' },
          { name: 'two', environment: 'eu', after: { wave: 'one', phase: 'completed', bake: '1h' } },
        ],
      }),
    );
    for (let i = 0; i < 60 && (await world.phase('checkout/one')) !== 'completed'; i += 1) await world.beat(minute);
    await world.beat(50 * minute);
    expect(await world.phase('checkout/two', 'eu')).toBe('scheduled');
    await world.beat(15 * minute);
    await world.beat(minute);
    expect(await world.phase('checkout/two', 'eu')).toBe('ramping');
  });

  it('a wave is held when the one before it is killed', async () => {
    world = await aControl();
    await world.access.createEnvironment({ name: 'eu', protected: false }, ana, world.now().wall);
    await world.beat();
    await world.applyPolicy();
    await world.applyPlan(
      aPlanDocument({
        waves: [
          { name: 'one', environment: 'production' },
          { name: 'two', environment: 'eu', after: { wave: 'one', phase: 'ramping' } },
        ],
      }),
    );
    await world.beat(second);
    await world.beat(minute);
    expect(await world.phase('checkout/two', 'eu')).toBe('ramping');
    await world.verbs.act({ environment: 'production', name: 'checkout/one' }, 'kill', ana);
    await world.beat(minute);
    expect((await world.rollout('checkout/two', 'eu')).state).toMatchObject({ phase: 'held', heldBy: 'dependency' });
  });
});
