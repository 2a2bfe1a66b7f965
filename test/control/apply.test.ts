import { afterEach, describe, expect, it } from 'vitest';
import { Invalid, NotFound, Refused } from '../../src/control/errors.ts';
import { createLibrary } from '../../src/control/library.ts';
import {
  aControl,
  ana,
  aPlanDocument,
  aPolicyDocument,
  aRamping,
  beaconsOf,
  type Control,
  flagSetOf,
} from '../support/a-controller.ts';
import { minute } from '../support/a-rollout.ts';

let world: Control;
afterEach(() => world.close());

async function aHouse(): Promise<void> {
  world = await aControl();
  await world.beat();
  await world.applyPolicy();
}
const refusalOf = (doing: Promise<unknown>) =>
  doing.then(
    () => 'done',
    (error: unknown) => (error instanceof Refused ? error.code : String(error)),
  );
const longer = aPlanDocument({ soak: { bake: '20m' } });
const act = (verb: 'hold' | 'kill' | 'rearm' | 'cancel' | 'promote') => world.verbs.act(world.where, verb, ana);

/** A rollout that healthy beacons have led to the end; `meanwhile` happens while it ramps. */
async function aCompleted(plan = aPlanDocument(), name = 'checkout', meanwhile = async (): Promise<unknown> => null) {
  world = await aRamping({ evidence: beaconsOf }, plan);
  await meanwhile();
  for (let i = 0; i < 60 && (await world.phase(name)) !== 'completed'; i += 1) await world.beat(minute);
}

describe('applying a plan', () => {
  it('stores revision 1 and makes a scheduled rollout, in one batch', async () => {
    await aHouse();
    const head = await world.store.head();
    const applied = await world.applyPlan(aPlanDocument());
    expect(applied).toMatchObject({ change: 'create', name: 'checkout', version: 1 });
    expect(await world.store.head()).toBe(head + 1);
    expect(await world.rollout()).toMatchObject({
      name: 'checkout',
      plan: { name: 'checkout', revision: 1 },
      policy: 'web@1',
      author: 'ana',
      state: { phase: 'scheduled', stage: -1 },
    });
    expect(world.served.get('production')?.flagSet.flags.checkout?.defaultVariant).toBe('off');
  });

  it('waits for approval where the plan asks for one', async () => {
    await aHouse();
    await world.applyPlan(aPlanDocument({ start: { approval: { roles: ['release-manager'], count: 1 } } }));
    expect(await world.phase()).toBe('pending_approval');
  });

  it('changes nothing the second time, whatever the order of the keys, also while it runs', async () => {
    world = await aRamping();
    const head = await world.store.head();
    const reordered = Object.fromEntries(Object.entries(aPlanDocument()).reverse());
    expect(await world.applyPlan(reordered)).toMatchObject({ change: 'none', version: 1, diff: [] });
    expect(await world.store.head()).toBe(head);
    expect(await world.phase()).toBe('ramping');
  });

  it('puts a newer revision in the place of one that was never exposed', async () => {
    await aHouse();
    await world.applyPlan(aPlanDocument());
    const old = await world.rollout();
    const applied = await world.applyPlan(longer);
    expect(applied).toMatchObject({ change: 'update', version: 2 });
    expect(applied.diff.map(({ path }) => path)).toEqual(['spec.soak.bake']);
    expect(applied.rollouts).toHaveLength(1);
    expect((await world.store.rollout(old.id))?.state.phase).toBe('superseded');
    expect(await world.rollout()).toMatchObject({ plan: { revision: 2 }, state: { phase: 'scheduled' } });
    expect((await world.rollout()).shortId).not.toBe(old.shortId);
  });

  it('goes on from a hold with the new revision, held and no higher than before', async () => {
    world = await aRamping();
    await act('hold');
    const old = await world.rollout();
    await world.applyPlan(
      aPlanDocument({
        stages: [
          { name: 'tiny', exposure: 5, bake: '10m', maxDwell: '1d' },
          { name: 'half', exposure: 20, bake: '10m', maxDwell: '1d' },
          { name: 'full', exposure: 100 },
        ],
      }),
    );
    const now = await world.rollout();
    expect(now.id).toBe(old.id);
    expect(now).toMatchObject({
      plan: { revision: 2 },
      state: { phase: 'held', heldBy: 'operator', sticky: true, stage: 0 },
    });
    expect(now.state.epoch).toBe(old.state.epoch + 1);
    expect(world.served.get('production')?.flagSet.flags.checkout?.metadata?.exposurePpm).toBe(50_000);
  });

  it('asks to hold a live rollout first, and leaves it alone', async () => {
    world = await aRamping();
    const head = await world.store.head();
    expect(await refusalOf(world.applyPlan(longer))).toBe('hold_first');
    expect(await world.store.head()).toBe(head);
    expect((await world.store.document('plan', 'checkout'))?.version).toBe(1);
  });

  it('leaves a completed rollout serving, and says how to begin again', async () => {
    await aCompleted();
    const head = await world.store.head();
    for (const dryRun of [true, false])
      await expect(world.applyPlan(longer, { dryRun })).rejects.toMatchObject({
        code: 'completed',
        message: expect.stringContaining('kill it, rearm it, then apply'),
      });
    expect(await world.store.head()).toBe(head);
    expect(await refusalOf(world.applyPlan(aPlanDocument()))).toBe('done');
    expect(await world.phase()).toBe('completed');

    await act('kill');
    await act('rearm');
    await world.applyPlan(longer);
    expect(await world.rollout()).toMatchObject({ plan: { revision: 2 }, state: { phase: 'scheduled', stage: -1 } });
  });

  it('goes on with the other waves of a plan and says which one keeps its revision', async () => {
    const one = { name: 'one', environment: 'production', regions: ['eu-*'] };
    const two = {
      name: 'two',
      environment: 'production',
      regions: ['us-*'],
      after: { wave: 'one', phase: 'completed' },
    };
    await aCompleted(aPlanDocument({ waves: [one, two] }), 'checkout/one');
    const applied = await world.applyPlan(aPlanDocument({ waves: [one, two], soak: { bake: '20m' } }));
    expect(applied.rollouts.map(({ name }) => name)).toEqual(['checkout/two']);
    expect(applied.warnings).toContain('checkout/one is completed and goes on serving revision 1');
    expect(await world.rollout('checkout/one')).toMatchObject({ plan: { revision: 1 }, state: { phase: 'completed' } });
    expect(await world.rollout('checkout/two')).toMatchObject({ plan: { revision: 2 }, state: { phase: 'scheduled' } });
  });

  it('refuses a second plan on a flag that a completed one serves, and keeps one that waits waiting', async () => {
    await aCompleted(aPlanDocument(), 'checkout', () =>
      world.applyPlan(aPlanDocument({ start: { trigger: 'manual' } }, { name: 'waiting', flag: 'checkout' })),
    );
    expect(await refusalOf(world.verbs.act({ ...world.where, name: 'waiting' }, 'start', ana))).toBe('other_live');
    const second = aPlanDocument({}, { name: 'second', flag: 'checkout' });
    await expect(world.applyPlan(second)).rejects.toMatchObject({
      code: 'other_live',
      message: expect.stringContaining('checkout is completed and goes on serving the flag checkout in production'),
    });
    for (const verb of ['kill', 'rearm', 'cancel'] as const) await act(verb);
    expect(await refusalOf(world.applyPlan(second))).toBe('done');
  });

  it('never un-kills: neither new content nor the same', async () => {
    world = await aRamping();
    await act('kill');
    for (const document of [longer, aPlanDocument()]) {
      expect(await refusalOf(world.applyPlan(document))).toBe('latched');
      expect(await refusalOf(world.applyPlan(document, { dryRun: true }))).toBe('latched');
    }
    expect(await world.phase()).toBe('killed');
    expect(world.served.get('production')?.entries.has('checkout')).toBe(false);
  });

  it('is refused while the flag is latched, also before it ever had a rollout', async () => {
    await aHouse();
    const checkout = { state: 'ENABLED', variants: { on: true, off: false }, defaultVariant: 'on' } as const;
    await world.applyFlags(flagSetOf({ checkout }), 'production', false, ana, world.now().wall);
    await world.verbs.killFlag('production', 'checkout', ana);
    expect(await refusalOf(world.applyPlan(aPlanDocument()))).toBe('latched');
  });

  it('does not move a live rollout to another seed, to another flag, or below its stages', async () => {
    world = await aRamping();
    await act('hold');
    expect(await refusalOf(world.applyPlan(aPlanDocument({ unit: { seed: 'other' } })))).toBe('seed_changed');
    expect(await refusalOf(world.applyPlan(aPlanDocument({}, { flag: 'another' })))).toBe('flag_changed');
    const stages = [
      { name: 'half', exposure: 50, bake: '10m', maxDwell: '1d' },
      { name: 'full', exposure: 100 },
    ];
    expect(await refusalOf(world.applyPlan(aPlanDocument({ stages })))).toBe('no_such_stage');
  });

  it('writes nothing on a dry run, and says what it would do', async () => {
    await aHouse();
    const head = await world.store.head();
    const dry = await world.applyPlan(aPlanDocument(), { dryRun: true });
    expect(dry).toMatchObject({ change: 'create', version: 1 });
    expect(await world.store.head()).toBe(head);
    expect(await world.store.rollouts({})).toEqual([]);
  });

  it('needs its policy, by exact version', async () => {
    world = await aControl();
    await expect(world.applyPlan(aPlanDocument())).rejects.toBeInstanceOf(Invalid);
    await world.applyPolicy();
    await expect(world.applyPlan(aPlanDocument({ policy: 'web@2' }))).rejects.toThrow('web@2');
  });

  it('may pin a policy version that is not the newest', async () => {
    await aHouse();
    await world.applyPolicy(aPolicyDocument({ tick: { interval: '1m' } }, 2));
    expect(await refusalOf(world.applyPlan(aPlanDocument()))).toBe('done');
    expect((await world.rollout()).policy).toBe('web@1');
  });

  it('makes a rollout for each wave, in its environment, under its name', async () => {
    await aHouse();
    await world.access.createEnvironment({ name: 'eu', protected: false }, ana, world.now().wall);
    const waves = [
      { name: 'one', environment: 'eu' },
      { name: 'two', environment: 'production', after: { wave: 'one' } },
    ];
    const applied = await world.applyPlan(aPlanDocument({ waves }));
    expect(applied.rollouts.map(({ name, environment }) => `${name} in ${environment}`)).toEqual([
      'checkout/one in eu',
      'checkout/two in production',
    ]);
    expect(new Set(applied.rollouts.map(({ shortId }) => shortId)).size).toBe(2);
    expect(world.served.get('eu')?.flagSet.flags.checkout).toBeDefined();
  });

  it('adds the wave that is new and leaves the others to be held first', async () => {
    await aHouse();
    const one = { name: 'one', environment: 'production', regions: ['eu-*'] };
    const two = { name: 'two', environment: 'production', regions: ['us-*'] };
    await world.applyPlan(aPlanDocument({ waves: [one] }));
    await world.beat(1_000);
    expect(await refusalOf(world.applyPlan(aPlanDocument({ waves: [one, two] })))).toBe('hold_first');
    expect(await world.store.rollouts({ name: 'checkout/two' })).toEqual([]);
  });

  it('names an environment that it does not know', async () => {
    await aHouse();
    await expect(world.applyPlan(aPlanDocument(), { environment: 'mars' })).rejects.toBeInstanceOf(NotFound);
  });

  it('is refused before anything is written when the result could not be served', async () => {
    await aHouse();
    const head = await world.store.head();
    const variations = { treatment: 'blue', control: 'red' };
    await expect(world.applyPlan(aPlanDocument({ variations }))).rejects.toThrow('flag "checkout" is not declared');
    const unknown = aPlanDocument({ audience: { include: [{ segment: 'nobody-declared' }] } });
    await expect(world.applyPlan(unknown)).rejects.toBeInstanceOf(Invalid);
    expect(await world.store.head()).toBe(head);
    expect(await world.store.document('plan', 'checkout')).toBeNull();
  });

  it('refuses what does not parse, with the place of every problem', async () => {
    await aHouse();
    await expect(world.applyPlan({ ...aPlanDocument(), kind: 'Plan' })).rejects.toMatchObject({
      problems: expect.arrayContaining([expect.objectContaining({ path: expect.stringContaining('kind') })]),
    });
  });

  it('starts again from nothing after completion or cancellation', async () => {
    world = await aRamping();
    await act('cancel');
    expect((await world.applyPlan(longer)).change).toBe('update');
    expect((await world.rollout()).state).toMatchObject({ phase: 'scheduled', stage: -1, epoch: 0 });
    expect(world.served.get('production')?.entries.has('checkout')).toBe(false);
  });
});

describe('applying a policy or a signal', () => {
  const signal = (version: number, staleAfter = '5m') => ({
    apiVersion: 'tidegate.dev/v1',
    kind: 'Signal',
    metadata: { name: 'bought', version, owner: 'shop' },
    spec: {
      class: 'core',
      domain: 'business',
      source: { type: 'rum', event: 'conversion', field: 'buy' },
      statistic: { kind: 'proportion' },
      analysisUnit: 'user',
      direction: 'higher_is_better',
      freshness: { expectedLag: '20s', staleAfter },
    },
  });

  it('keeps every version as it was written', async () => {
    await aHouse();
    expect(await world.applyPolicy()).toMatchObject({ change: 'none', version: 1 });
    const edited = aPolicyDocument({ tick: { interval: '1m' } });
    await expect(world.applyPolicy(edited)).rejects.toMatchObject({ code: 'immutable' });
    await expect(world.applyPolicy(edited)).rejects.toThrow('spec.tick');
    expect((await world.store.document('policy', 'web', 1))?.document).toEqual(aPolicyDocument());
  });

  it('stores a new version beside the old one', async () => {
    await aHouse();
    const newer = await world.applyPolicy(aPolicyDocument({ tick: { interval: '1m' } }, 2));
    expect(newer).toMatchObject({ change: 'update', version: 2 });
    expect(newer.diff.length).toBeGreaterThan(0);
    expect(await world.store.document('policy', 'web', 1)).not.toBeNull();
  });

  const shop = (spec: object, version = 1, parent = 'web@1') => ({
    apiVersion: 'tidegate.dev/v1',
    kind: 'GatePolicy',
    metadata: { name: 'shop', version, owner: 'shop', extends: parent },
    spec,
  });
  const locking = aPolicyDocument({ governance: { locked: ['errors-kill'] } });
  const putPolicy = (document: unknown) => world.documents.applyPolicy(document, false, ana, world.now().wall);

  it('stores what a policy says itself, and beside it what it comes to', async () => {
    await aHouse();
    const authored = shop({ tick: { interval: '1m' } });
    expect(await putPolicy(authored)).toMatchObject({ change: 'create', name: 'shop', version: 1 });
    expect((await world.store.document('policy', 'shop', 1))?.document).toEqual(authored);
    const effective = await world.store.document('effective_policy', 'shop', 1);
    expect(effective?.document).toMatchObject({
      spec: { tick: { interval: '1m' }, gates: aPolicyDocument().spec.gates },
    });
    const [entry] = await world.store.audit({ limit: 1 });
    expect(entry).toMatchObject({ action: 'policy.apply', detail: { effective: effective?.digest } });
    expect(await putPolicy(authored)).toMatchObject({ change: 'none' });
  });

  it('judges by the effective policy that was stored, whatever its parts say', async () => {
    await aHouse();
    await putPolicy(shop({ tick: { interval: '1m' } }));
    await world.applyPlan(aPlanDocument({ policy: 'shop@1' }));
    const { policy } = await world.library.papers(await world.rollout());
    expect(policy.spec.tick.interval).toBe(minute);
    expect(policy.spec.gates.map(({ name }) => name)).toEqual(['errors-kill']);
    const only = {
      document: (...[kind, ...rest]: Parameters<typeof world.store.document>) =>
        kind === 'policy' ? Promise.resolve(null) : world.store.document(kind, ...rest),
      documents: world.store.documents,
    };
    expect(await createLibrary(only).policy('shop@1')).toEqual(policy);
  });

  it('refuses a policy that loosens what the one above has locked, or that extends what is not there', async () => {
    world = await aControl();
    await world.applyPolicy(locking);
    const later = { gates: [{ name: 'errors-kill', consecutive: 5 }] };
    await expect(putPolicy(shop(later))).rejects.toThrow(
      /^G12 spec\.gates\.0: .* from 1 to 5, and web@1 locks errors-kill/,
    );
    await expect(putPolicy(shop({}, 1, 'web@2'))).rejects.toThrow('there is no policy web@2');
    expect(await world.store.document('policy', 'shop')).toBeNull();
    expect(await world.store.document('effective_policy', 'shop')).toBeNull();
  });

  it('writes nothing on a dry run', async () => {
    world = await aControl();
    const head = await world.store.head();
    const dry = await world.documents.applyPolicy(aPolicyDocument(), true, ana, world.now().wall);
    expect(dry.change).toBe('create');
    expect(await world.store.head()).toBe(head);
  });

  it('refuses a policy whose gate watches an unknown signal, until that is declared', async () => {
    world = await aControl();
    const gate = {
      name: 'bought',
      signal: 'bought',
      tier: 'hold' as const,
      owner: 'shop',
      runbook: 'https://run.example/b',
      tests: [{ type: 'relative' as const, margin: '10%' }],
    };
    const policy = aPolicyDocument({ gates: [gate] });
    await expect(world.applyPolicy(policy)).rejects.toBeInstanceOf(Invalid);
    await world.documents.applySignal(signal(1), false, ana, world.now().wall);
    expect(await world.applyPolicy(policy)).toMatchObject({ change: 'create' });
  });

  it('a gate keeps the signal version that it pins after a newer one came', async () => {
    world = await aControl();
    const gate = {
      name: 'bought',
      signal: 'bought@1',
      tier: 'hold' as const,
      owner: 'shop',
      runbook: 'https://run.example/b',
      tests: [{ type: 'relative' as const, margin: '10%' }],
    };
    await world.beat();
    await world.documents.applySignal(signal(1), false, ana, world.now().wall);
    await world.documents.applySignal(signal(2, '10m'), false, ana, world.now().wall);
    await world.applyPolicy(aPolicyDocument({ gates: [gate] }));
    await world.applyPlan(aPlanDocument());
    await world.beat(1_000);
    await world.beat(60_000);
    const readings = world.ticker.seen((await world.rollout()).id)?.readings ?? [];
    expect(readings.find((reading) => reading.gate === 'bought')?.verdict).not.toBe('error');
    expect((await world.library.signals(['bought@1'])).map(({ metadata }) => metadata.version)).toContain(1);
    expect(await world.library.signals(['bought@7'])).toEqual(await world.library.signals());
  });
});

describe('applying flags', () => {
  const red = { state: 'ENABLED', variants: { red: 'r', blue: 'b' }, defaultVariant: 'red' } as const;
  const plain = { state: 'ENABLED', variants: { on: true, off: false }, defaultVariant: 'on' } as const;
  const put = (flags: Record<string, unknown>, dryRun = false, environment = 'production') =>
    world.applyFlags({ flags }, environment, dryRun, ana, world.now().wall);
  const coloured = aPlanDocument({ variations: { treatment: 'blue', control: 'red' } });

  it('replaces the set, says what changed, and publishes it', async () => {
    await aHouse();
    expect(await put({ banner: plain, old: plain })).toMatchObject({ change: 'create', name: 'production' });
    const second = await put({ banner: { ...plain, defaultVariant: 'off' } });
    expect(second.change).toBe('update');
    const touched = new Set(second.diff.map(({ path }) => path.split('.').slice(0, 2).join('.')));
    expect([...touched].sort()).toEqual(['flags.banner', 'flags.old']);
    expect(second.version).toBe(await world.store.head());
    expect(Object.keys(world.served.get('production')?.flagSet.flags ?? {})).toEqual(['banner']);
  });

  it('changes nothing the second time', async () => {
    await aHouse();
    await put({ banner: plain });
    const head = await world.store.head();
    expect(await put({ banner: plain })).toMatchObject({ change: 'none', diff: [], version: head });
    expect(await world.store.head()).toBe(head);
  });

  it('warns of flags that no browser will see', async () => {
    await aHouse();
    expect((await put({ banner: plain })).warnings).toEqual([expect.stringContaining('1 of 1 flags are hidden')]);
    const shown = { ...plain, metadata: { clientVisible: true } };
    expect((await put({ banner: shown })).warnings).toEqual([]);
  });

  it('writes nothing on a dry run, for a bad set, or in an unknown environment', async () => {
    await aHouse();
    const head = await world.store.head();
    expect((await put({ banner: plain }, true)).change).toBe('create');
    await expect(put({ banner: { ...plain, defaultVariant: 'maybe' } })).rejects.toBeInstanceOf(Invalid);
    await expect(put({ banner: plain }, false, 'mars')).rejects.toBeInstanceOf(NotFound);
    expect(await world.store.head()).toBe(head);
  });

  it('is refused when a rollout needs the flag that goes, also a killed one', async () => {
    await aHouse();
    await put({ checkout: red, banner: plain });
    await world.applyPlan(coloured);
    await world.beat(1_000);
    await expect(put({ banner: plain })).rejects.toMatchObject({ code: 'flag_in_use' });
    await expect(put({ banner: plain })).rejects.toThrow('removed: checkout');
    await expect(put({ checkout: plain })).rejects.toMatchObject({ code: 'flag_in_use' });
    await act('kill');
    await expect(put({ banner: plain })).rejects.toMatchObject({ code: 'flag_in_use' });
  });

  it('may take a flag away after its rollout was cancelled, and the rest is still served', async () => {
    await aHouse();
    await put({ checkout: red, banner: plain });
    await world.applyPlan(coloured);
    await world.beat(1_000);
    await act('cancel');
    expect(world.served.get('production')?.flagSet.flags.checkout?.defaultVariant).toBe('red');
    await put({ banner: plain });
    expect(Object.keys(world.served.get('production')?.flagSet.flags ?? {})).toEqual(['banner']);
    await put({ checkout: plain, banner: plain });
    expect(world.served.get('production')?.flagSet.flags.checkout?.defaultVariant).toBe('on');
  });

  it('leaves rollouts alone', async () => {
    world = await aRamping();
    const before = await world.rollout();
    await put({ banner: plain });
    expect(await world.rollout()).toEqual(before);
    expect(world.served.get('production')?.entries.has('checkout')).toBe(true);
  });
});
