import { afterEach, describe, expect, it } from 'vitest';
import type { By } from '../../src/control/by.ts';
import { NotFound, Refused } from '../../src/control/errors.ts';
import type { Verb } from '../../src/domain/machine.ts';
import { Conflict, type ControlStore } from '../../src/store/store.ts';
import { aControl, ana, aPlanDocument, aRamping, beaconsOf, type Control, flagSetOf } from '../support/a-controller.ts';
import { minute } from '../support/a-rollout.ts';

let world: Control;
afterEach(() => world.close());

const silently: By = { ...ana, reason: null };
const bo: By = { ...ana, actor: 'bo' };

/** The code of the refusal, or what happened instead. */
async function refusalOf(doing: Promise<unknown>): Promise<string> {
  return doing.then(
    () => 'done',
    (error: unknown) => (error instanceof Refused ? error.code : String(error)),
  );
}
const act = (verb: Verb, by = ana, name = 'checkout') => world.verbs.act({ environment: 'production', name }, verb, by);
const asked = (verb: Verb, by = ana, name = 'checkout') => refusalOf(act(verb, by, name));

async function aScheduled(spec: Parameters<typeof aPlanDocument>[0] = {}, by = ana): Promise<void> {
  world = await aControl();
  await world.beat();
  await world.applyPolicy();
  await world.applyPlan(aPlanDocument(spec), { by });
}

/** Lets the n-th commits of rollouts fail as if somebody had been faster. */
function contested(times: number, meanwhile: (store: ControlStore) => Promise<void> = async () => {}) {
  const left = { times: 0, arm: () => {} };
  left.arm = () => {
    left.times = times;
  };
  const store = (real: ControlStore): ControlStore => ({
    ...real,
    commit: async (change) => {
      if (change.rollouts === undefined || left.times === 0) return real.commit(change);
      left.times -= 1;
      await meanwhile(real);
      throw new Conflict('somebody was faster');
    },
  });
  return { left, store };
}

describe('a verb is refused', () => {
  it('as not_allowed where it means nothing', async () => {
    world = await aRamping();
    expect(await asked('start')).toBe('not_allowed');
    expect(await asked('resume')).toBe('not_allowed');
    expect(await asked('rearm')).toBe('not_allowed');
  });

  it('as reason_required without a reason, except a kill', async () => {
    world = await aRamping();
    for (const verb of ['hold', 'step-back', 'skip-bake', 'promote', 'cancel'] as const)
      expect([verb, await asked(verb, silently)]).toEqual([verb, 'reason_required']);
    expect(await asked('kill', silently)).toBe('done');
    expect(await asked('rearm', silently)).toBe('reason_required');
  });

  it('as nothing_to_step_back at the first stage', async () => {
    world = await aRamping();
    expect(await asked('step-back')).toBe('nothing_to_step_back');
  });

  it('as frozen while increases are frozen, but never a lowering one', async () => {
    await aScheduled();
    await world.freezing.on(null, null, ana, world.now().wall);
    expect(await asked('start')).toBe('frozen');
    await world.freezing.off(null, ana, world.now().wall);
    expect(await asked('start')).toBe('done');
    await world.freezing.on('production', null, ana, world.now().wall);
    expect(await asked('promote')).toBe('frozen');
    expect(await asked('skip-bake')).toBe('frozen');
    expect(await asked('hold')).toBe('done');
    expect(await asked('kill')).toBe('done');
  });

  it('as latched while a kill stands', async () => {
    await aScheduled();
    await world.store.commit({
      audit: {
        at: 0,
        actor: 'bo',
        action: 'flag.kill',
        environment: 'production',
        target: 'checkout',
        reason: null,
        detail: {},
      },
      latch: {
        set: { environment: 'production', flag: 'checkout', wave: null, setAt: 0, by: 'bo', reason: null },
      },
    });
    expect(await asked('start')).toBe('latched');
  });

  it('as outside_window while the window is closed', async () => {
    await aScheduled({ windows: { timezone: 'UTC', allow: ['Tue 09:00-10:00'] } });
    expect(await asked('start')).toBe('outside_window');
  });

  it('as dependency before the wave it comes after', async () => {
    await aScheduled({
      waves: [
        { name: 'one', environment: 'production', regions: ['eu-*'] },
        { name: 'two', environment: 'production', regions: ['us-*'], after: { wave: 'one' } },
      ],
    });
    expect(await asked('start', ana, 'checkout/two')).toBe('dependency');
  });

  it('as other_live while another plan exposes the flag', async () => {
    world = await aRamping();
    await world.applyPlan(aPlanDocument({}, { name: 'other', flag: 'checkout' }));
    expect(await asked('start', ana, 'other')).toBe('other_live');
  });

  it('as own_plan when its author approves it, and not when somebody else does', async () => {
    const approval = { roles: ['release-manager'], count: 1, notAuthor: true };
    await aScheduled({ start: { trigger: 'manual', approval } });
    expect(await world.phase()).toBe('pending_approval');
    expect(await asked('approve')).toBe('own_plan');
    expect(await asked('approve', bo)).toBe('done');
    expect(await world.phase()).toBe('scheduled');
  });

  it('as waiting when an approval comes before its evidence, and lists what is missing', async () => {
    world = await aRamping({ evidence: beaconsOf });
    await expect(act('approve')).rejects.toMatchObject({
      code: 'waiting',
      waitingFor: [expect.objectContaining({ for: 'bake' })],
    });
  });

  it('as gate_breaching when the evidence of this moment speaks against it', async () => {
    let worse = 1;
    world = await aRamping({ evidence: (rollout, now) => beaconsOf(rollout, now, worse) });
    await act('hold');
    worse = 20;
    expect(await asked('resume')).toBe('gate_breaching');
    worse = 1;
    expect(await asked('resume')).toBe('done');
    worse = 20;
    expect(await asked('promote')).toBe('gate_breaching');
    expect(await asked('skip-bake')).toBe('gate_breaching');
  });

  it('as too_late after the plan has had its time', async () => {
    world = await aRamping({ evidence: beaconsOf }, aPlanDocument({ limits: { maxDuration: '1h' } }));
    await act('hold');
    world.clock.after += 120 * minute;
    expect(await asked('resume')).toBe('too_late');
  });

  it('by its name when there is no such rollout', async () => {
    world = await aControl();
    await expect(act('kill')).rejects.toBeInstanceOf(NotFound);
  });

  it('when it raises and the evidence cannot be read; a kill asks for none', async () => {
    const broken = () => Promise.reject(new Error('rum.db is gone'));
    world = await aRamping({ rum: (rum) => ({ ...rum, cellsSince: broken }) });
    await expect(act('promote')).rejects.toThrow('rum.db is gone');
    expect(await asked('kill')).toBe('done');
  });
});

describe('in a protected environment', () => {
  it('raising by hand needs a second subject, lowering does not', async () => {
    world = await aControl({ evidence: beaconsOf });
    await world.access.createEnvironment({ name: 'vault', protected: true }, ana, world.now().wall);
    await world.beat();
    await world.applyPolicy();
    await world.applyPlan(aPlanDocument(), { environment: 'vault' });
    await world.beat(1_000);
    const here = { environment: 'vault', name: 'checkout' };
    for (const verb of ['skip-bake', 'promote'] as const)
      expect(await refusalOf(world.verbs.act(here, verb, ana))).toBe('second_subject_required');
    expect(await refusalOf(world.verbs.act(here, 'kill', ana))).toBe('done');
    expect(await refusalOf(world.verbs.act(here, 'rearm', ana))).toBe('second_subject_required');
    expect(await refusalOf(world.verbs.rearmFlag('vault', 'checkout', ana))).toBe('second_subject_required');
    expect(await world.store.latches('vault')).toHaveLength(1);
  });

  it('that holds for a flag without a rollout as well', async () => {
    world = await aControl();
    await world.access.createEnvironment({ name: 'vault', protected: true }, ana, world.now().wall);
    const banner = { state: 'ENABLED', variants: { on: true, off: false }, defaultVariant: 'on' } as const;
    await world.applyFlags(flagSetOf({ banner }), 'vault', false, ana, world.now().wall);
    await world.verbs.killFlag('vault', 'banner', ana);
    expect(await refusalOf(world.verbs.rearmFlag('vault', 'banner', ana))).toBe('second_subject_required');
  });
});

describe('a verb that happens', () => {
  it('is recorded with who, why and what it changed', async () => {
    world = await aRamping({ evidence: beaconsOf });
    const { decision, rollout } = await act('promote');
    expect(decision).toMatchObject({
      action: 'ramp',
      transition: 'T10',
      cause: 'actor:ana',
      actor: 'ana',
      reason: 'because',
      exposure: { from: 10, to: 100 },
    });
    expect(decision.readings.map(({ gate }) => gate)).toContain('errors-kill');
    expect(rollout.state.phase).toBe('soaking');
  });

  it('walks a rollout through hold, resume, step back, cancel', async () => {
    world = await aRamping({ evidence: beaconsOf });
    await act('skip-bake');
    await act('step-back');
    expect((await world.rollout()).state).toMatchObject({ phase: 'held', heldBy: 'operator', sticky: true, stage: 0 });
    await act('resume');
    expect((await world.rollout()).state).toMatchObject({ phase: 'ramping', stage: 0 });
    await act('cancel');
    expect((await world.rollout()).state).toMatchObject({ phase: 'cancelled', stage: -1 });
    expect(world.served.get('production')?.flagSet.flags.checkout?.defaultVariant).toBe('off');
  });

  it('that lowers goes on over conflicts until it is in', async () => {
    const { left, store } = contested(6);
    world = await aRamping({ store });
    left.arm();
    expect(await asked('kill')).toBe('done');
    expect(await world.phase()).toBe('killed');
  });

  it('that lowers acts on the state that it finds, not on the one that it saw first', async () => {
    const { left, store } = contested(1, async (real) => {
      const [found] = await real.rollouts({ name: 'checkout' });
      if (found === undefined) throw new Error('no rollout');
      const { state } = found;
      const audit = { at: 0, actor: 'controller', action: 'rollout.ramp', environment: null, target: 'checkout' };
      await real.commit({
        audit: { ...audit, reason: null, detail: {} },
        rollouts: [
          { before: state.version, after: { ...found, state: { ...state, stage: 1, version: state.version + 1 } } },
        ],
      });
    });
    world = await aRamping({ store });
    left.arm();
    const { decision } = await act('kill');
    expect(decision.exposure).toEqual({ from: 40, to: 0 });
  });

  it('that raises is not repeated on a state that nobody saw', async () => {
    const { left, store } = contested(1, async (real) => {
      const [found] = await real.rollouts({ name: 'checkout' });
      if (found === undefined) throw new Error('no rollout');
      const { state } = found;
      const audit = { at: 0, actor: 'controller', action: 'rollout.ramp', environment: null, target: 'checkout' };
      await real.commit({
        audit: { ...audit, reason: null, detail: {} },
        rollouts: [
          { before: state.version, after: { ...found, state: { ...state, stage: 1, version: state.version + 1 } } },
        ],
      });
    });
    world = await aRamping({ store, evidence: beaconsOf });
    left.arm();
    await expect(act('skip-bake')).rejects.toBeInstanceOf(Conflict);
    expect((await world.rollout()).state.stage).toBe(1);
  });

  it('gives up on a store that never agrees', async () => {
    const { left, store } = contested(1_000);
    world = await aRamping({ store });
    left.arm();
    await expect(act('kill')).rejects.toBeInstanceOf(Conflict);
  });
});

describe('killing a flag', () => {
  const banner = { state: 'ENABLED', variants: { on: true, off: false }, defaultVariant: 'on' } as const;

  it('without a rollout latches it, and it serves its safe value until it is rearmed', async () => {
    world = await aControl();
    await world.applyFlags(flagSetOf({ banner }), 'production', false, ana, world.now().wall);
    const served = () => world.served.get('production')?.flagSet.flags.banner?.defaultVariant;
    expect(served()).toBe('on');
    const { latch, acted } = await world.verbs.killFlag('production', 'banner', silently);
    expect(latch).toMatchObject({ wave: null, by: 'ana' });
    expect(acted).toEqual([]);
    expect(served()).toBe('off');
    await world.verbs.rearmFlag('production', 'banner', ana);
    expect(await world.store.latches()).toEqual([]);
    expect(served()).toBe('on');
  });

  it('kills every wave of it', async () => {
    world = await aControl();
    await world.beat();
    await world.applyPolicy();
    const waves = [
      { name: 'eu', environment: 'production', regions: ['eu-*'] },
      { name: 'us', environment: 'production', regions: ['us-*'] },
    ];
    await world.applyPlan(aPlanDocument({ waves }));
    await world.beat(1_000);
    const { acted } = await world.verbs.killFlag('production', 'checkout', ana);
    expect(acted.map(({ rollout }) => [rollout.name, rollout.state.phase]).sort()).toEqual([
      ['checkout/eu', 'killed'],
      ['checkout/us', 'killed'],
    ]);
    expect(acted.every(({ decision }) => decision.action === 'kill')).toBe(true);
    expect((await world.verbs.rearmFlag('production', 'checkout', ana)).acted).toHaveLength(2);
    expect(await world.phase('checkout/eu')).toBe('pending_approval');
  });

  it('names what it does not know', async () => {
    world = await aControl();
    await expect(world.verbs.killFlag('production', 'nope', ana)).rejects.toThrow('there is no flag nope');
    await expect(world.verbs.killFlag('mars', 'nope', ana)).rejects.toThrow('there is no environment mars');
    await expect(world.verbs.rearmFlag('production', 'nope', ana)).rejects.toThrow('nope is not killed');
    expect(await refusalOf(world.verbs.rearmFlag('production', 'nope', silently))).toBe('reason_required');
  });

  it('is no refusal when a gate was faster', async () => {
    const { left, store } = contested(1, async (real) => {
      const [found] = await real.rollouts({ name: 'checkout' });
      if (found === undefined) throw new Error('no rollout');
      const { state } = found;
      const audit = { at: 0, actor: 'controller', action: 'rollout.kill', environment: null, target: 'checkout' };
      const killed = { ...state, phase: 'killed', stage: -1, version: state.version + 1 } as const;
      await real.commit({
        audit: { ...audit, reason: null, detail: {} },
        rollouts: [{ before: state.version, after: { ...found, state: killed } }],
      });
    });
    world = await aRamping({ store });
    left.arm();
    const { latch, acted } = await world.verbs.killFlag('production', 'checkout', ana);
    expect(latch).not.toBeNull();
    expect(acted).toEqual([]);
    expect(await world.phase()).toBe('killed');
  });
});

describe('rearming', () => {
  const waves = [
    { name: 'eu', environment: 'production', regions: ['eu-*'] },
    { name: 'us', environment: 'production', regions: ['us-*'] },
  ];
  async function oneKilledWave(): Promise<void> {
    world = await aControl();
    await world.beat();
    await world.applyPolicy();
    await world.applyPlan(aPlanDocument({ waves }));
    await world.beat(1_000);
    // The other wave is still ramping: only the latch keeps it at control until the next look kills it.
    await act('kill', ana, 'checkout/eu');
  }

  it('one wave never brings back another that only the latch keeps at control', async () => {
    await oneKilledWave();
    expect(await asked('rearm', ana, 'checkout/eu')).toBe('latched');
    await world.beat(minute);
    expect(await asked('rearm', ana, 'checkout/eu')).toBe('done');
    expect(world.served.get('production')?.entries.has('checkout')).toBe(false);
  });

  it('the flag exposes nobody either', async () => {
    await oneKilledWave();
    await world.verbs.rearmFlag('production', 'checkout', ana);
    expect(await world.phase('checkout/us')).toBe('pending_approval');
    expect(world.served.get('production')?.entries.has('checkout')).toBe(false);
  });

  it('needs a person to start it again, also when its plan asks nobody', async () => {
    world = await aRamping({ evidence: beaconsOf });
    await act('kill');
    await act('rearm');
    for (let i = 0; i < 5; i += 1) await world.beat(minute);
    expect((await world.rollout()).state).toMatchObject({ phase: 'scheduled', stage: -1 });
    expect(await asked('start')).toBe('done');
    expect((await world.rollout()).state).toMatchObject({ phase: 'ramping', stage: 0 });
  });
});
