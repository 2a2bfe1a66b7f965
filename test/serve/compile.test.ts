import { FlagdCore } from '@openfeature/flagd-core';
import { bucketOf, type Context, compileFlagSet, evaluate } from '@tidegate/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Unpublishable } from '../../src/serve/compile.ts';
import { aLatch, aRampPlan, aRunning, aServed, plainFlag, stageOf } from './a-served.ts';

const user = (targetingKey: string, rest: Context = {}): Context => ({ targetingKey, ...rest });
const ask = (served: ReturnType<typeof aServed>, context: Context, key = 'new-checkout') =>
  evaluate(compileFlagSet(served.flagSet), key, context, 0);
const quiet = { debug() {}, info() {}, warn() {}, error() {} };

describe('a rollout as a flag set', () => {
  it('has the layout of the wire reference, byte for byte', () => {
    const plan = aRampPlan(
      {
        audience: {
          include: [{ attribute: 'country', in: ['DE', 'FR'] }],
          always: { treatment: ['qa-1'] },
        },
      },
      'new-checkout',
      { tier: 'revenue' },
    );
    const { flagSet } = aServed({ rollouts: [aRunning({ plan })] });
    expect(flagSet.flags['new-checkout']).toEqual({
      state: 'ENABLED',
      variants: { on: true, off: false, 'off@control': false },
      defaultVariant: 'off',
      targeting: {
        if: [
          { in: [{ var: 'targetingKey' }, ['qa-1']] },
          'on',
          { and: [{ in: [{ var: 'country' }, ['DE', 'FR']] }, { '!!': [{ var: 'targetingKey' }] }] },
          {
            fractional: [
              { cat: ['checkout-2026-11', ':', { var: 'targetingKey' }] },
              ['on', 100_000],
              ['off', 500_000],
              ['off@control', 400_000],
            ],
          },
          null,
        ],
      },
      metadata: {
        rolloutId: 'r_8f3a000000',
        stage: 2,
        exposurePpm: 100_000,
        bucketing: 'murmur3-utf8/v2',
        tier: 'revenue',
        version: expect.stringMatching(/^[0-9a-f]{12}$/),
      },
    });
    expect(flagSet.metadata).toEqual({ flagSetId: 'production', version: '57' });
  });

  it('keeps plain flags beside it exactly as declared', () => {
    const banner = plainFlag({
      targeting: { if: [{ in: ['a', { var: 'x' }] }, 'off', null] },
      metadata: { team: 'web' },
    });
    expect(aServed({ flags: { banner }, rollouts: [aRunning()] }).flagSet.flags.banner).toEqual(banner);
  });

  it('takes the values of a declared flag, and replaces its rule and default', () => {
    const declared = plainFlag({
      variants: { new: 'v2', old: 'v1' },
      defaultVariant: 'new',
      targeting: { if: [true, 'new'] },
    });
    const plan = aRampPlan({ variations: { treatment: 'new', control: 'old' } });
    const served = aServed({ flags: { 'new-checkout': declared }, rollouts: [aRunning({ plan })] });
    expect(served.flagSet.flags['new-checkout']?.variants).toEqual({ new: 'v2', old: 'v1', 'old@control': 'v1' });
    expect(ask(served, {})).toMatchObject({ value: 'v1', reason: 'DEFAULT' });
  });

  it('names the holdback last when everybody else is exposed', () => {
    const plan = aRampPlan({ comparison: { holdback: { percent: 1 } } });
    const { targeting } =
      aServed({ rollouts: [aRunning({ plan, state: { stage: 4 } })] }).flagSet.flags['new-checkout'] ?? {};
    expect(JSON.stringify(targeting)).toContain('["on",990000],["off@holdback",10000]');
  });

  it('serves control outside the audience, and to visitors without a unit', () => {
    const plan = aRampPlan({ audience: { exclude: [{ attribute: 'plan', in: ['enterprise'] }] } });
    const served = aServed({ rollouts: [aRunning({ plan, state: { stage: 4 } })] });
    expect(ask(served, user('u1'))).toMatchObject({ value: true, reason: 'SPLIT' });
    expect(ask(served, user('u1', { plan: 'enterprise' }))).toMatchObject({ value: false, reason: 'DEFAULT' });
    expect(ask(served, {})).toMatchObject({ value: false, reason: 'DEFAULT' });
    expect(ask(served, user(''))).toMatchObject({ value: false, reason: 'DEFAULT' });
  });

  it('reads segments from the shared rules, for the audience and for pinned units', () => {
    const plan = aRampPlan({
      audience: { include: [{ segment: 'beta' }], always: { treatment: ['segment:staff'], control: ['u9'] } },
    });
    const evaluators = {
      beta: { '==': [{ var: 'beta' }, true] },
      staff: { ends_with: [{ var: 'email' }, '@shop.example'] },
    };
    const served = aServed({ evaluators, rollouts: [aRunning({ plan, state: { stage: 4 } })] });
    expect(ask(served, user('u1', { beta: true }))).toMatchObject({ value: true, reason: 'SPLIT' });
    expect(ask(served, user('u1'))).toMatchObject({ value: false });
    expect(ask(served, user('u1', { email: 'a@shop.example' }))).toMatchObject({
      value: true,
      reason: 'TARGETING_MATCH',
    });
    expect(ask(served, user('u9', { email: 'a@shop.example' }))).toMatchObject({ value: false, variant: 'off' });
  });

  it('buckets on another attribute when the plan says so', () => {
    const plan = aRampPlan({ unit: { key: 'org.id', seed: 's' } });
    const served = aServed({ rollouts: [aRunning({ plan, state: { stage: 4 } })] });
    expect(ask(served, user('u1', { org: { id: 'acme' } }))).toMatchObject({ value: true });
    expect(ask(served, user('u1'))).toMatchObject({ value: false });
    expect(served.entries.get('new-checkout')?.[0]?.unitKey).toBe('org.id');
  });
});

describe('a kill', () => {
  const plan = aRampPlan({ audience: { always: { treatment: ['qa-1'] } } });
  it('drops every rule, the pinned units included, and serves control as a static flag', () => {
    for (const served of [
      aServed({ rollouts: [aRunning({ plan })], latches: [aLatch()] }),
      aServed({ rollouts: [aRunning({ plan, state: { phase: 'killed' } })] }),
    ]) {
      const flag = served.flagSet.flags['new-checkout'];
      expect(flag?.targeting).toBeUndefined();
      expect(flag?.defaultVariant).toBe('off');
      expect(ask(served, user('qa-1'))).toMatchObject({ value: false, variant: 'off', reason: 'STATIC' });
      expect(served.entries.size).toBe(0);
      expect(served.leases.size).toBe(0);
    }
  });

  it('on a plain flag serves the safe variant, else false, else what the caller says', () => {
    const latches = [aLatch({ flag: 'banner' })];
    const texts = { variants: { loud: 'LOUD', calm: 'calm' }, defaultVariant: 'loud' };
    const named = aServed({ latches, flags: { banner: plainFlag({ ...texts, metadata: { safeVariant: 'calm' } }) } });
    expect(ask(named, {}, 'banner')).toMatchObject({ value: 'calm', reason: 'STATIC' });
    const boolean = aServed({ latches, flags: { banner: plainFlag({ targeting: { if: [true, 'on'] } }) } });
    expect(ask(boolean, {}, 'banner')).toMatchObject({ value: false, reason: 'STATIC' });
    const neither = aServed({ latches, flags: { banner: plainFlag(texts) } });
    expect(ask(neither, {}, 'banner').value).toBeUndefined();
  });

  it('of another environment changes nothing here', () => {
    const served = aServed({ rollouts: [aRunning({ plan })], latches: [aLatch({ environment: 'staging' })] });
    expect(ask(served, user('qa-1'))).toMatchObject({ value: true });
  });
});

describe('several waves of one flag', () => {
  const waves = [
    { name: 'eu', environment: 'production', regions: ['eu-west', 'eu-n*'] },
    { name: 'world', environment: 'production', regions: ['eu-*', 'us-*'] },
  ];
  const plan = aRampPlan({ waves });
  const eu = (state = {}) => aRunning({ plan, wave: 'eu', shortId: 21, state: { stage: 4, ...state } });
  const world = (state = {}) => aRunning({ plan, wave: 'world', shortId: 22, state: { stage: 0, ...state } });

  it('gives an overlap to the earlier wave', () => {
    const served = aServed({ rollouts: [world({ stage: 4 }), eu({ stage: 0 })] });
    const exposedIn = (region: string) =>
      Array.from({ length: 300 }, (_, i) => ask(served, user(`u${i}`, { region }))).filter(
        ({ value }) => value === true,
      ).length;
    expect(exposedIn('eu-west')).toBeLessThan(15);
    expect(exposedIn('eu-north')).toBeLessThan(15);
    expect(exposedIn('eu-south')).toBe(300);
    expect(exposedIn('us-east')).toBe(300);
    expect(exposedIn('asia')).toBe(0);
  });

  it('keeps what a killed wave covers away from the later one', () => {
    const served = aServed({ rollouts: [eu(), world({ stage: 4 })], latches: [aLatch({ wave: 'eu' })] });
    expect(ask(served, user('u1', { region: 'eu-west' }))).toMatchObject({ value: false });
    expect(ask(served, user('u1', { region: 'us-east' }))).toMatchObject({ value: true });
    expect(served.entries.get('new-checkout')?.map(({ rollout }) => rollout)).toEqual([22]);
  });

  it('says which wave covers a context', () => {
    const { attribution } = aServed({ rollouts: [eu(), world()] });
    const which = (context: Context) => evaluate(compileFlagSet(attribution), 'new-checkout', context, 0).value;
    expect(which(user('u1', { region: 'eu-west' }))).toBe(0);
    expect(which(user('u1', { region: 'us-east' }))).toBe(1);
    expect(which(user('u1', { region: 'asia' }))).toBe(-1);
  });
});

describe('what cannot be published', () => {
  it('is a plan with variations of its own and no declared flag', () => {
    const plan = aRampPlan({ variations: { treatment: 'new', control: 'old' } });
    expect(() => aServed({ rollouts: [aRunning({ plan })] })).toThrow(Unpublishable);
  });
  it('is a declared flag without the plan’s variants', () => {
    const declared = plainFlag({ variants: { a: true, b: false }, defaultVariant: 'a' });
    expect(() => aServed({ flags: { 'new-checkout': declared }, rollouts: [aRunning()] })).toThrow(
      /has no variant "on"/,
    );
  });
  it('is an audience that names an unknown segment', () => {
    const plan = aRampPlan({ audience: { include: [{ segment: 'nobody-wrote-it' }] } });
    expect(() => aServed({ rollouts: [aRunning({ plan })] })).toThrow(Unpublishable);
  });
  it('is a plain flag that a provider would refuse', () => {
    expect(() => aServed({ flags: { banner: plainFlag({ defaultVariant: 'gone' }) } })).toThrow(/defaultVariant/);
  });
});

describe('who may see what', () => {
  it('shows browsers the flags of visible plans, and plain flags that say so', () => {
    const served = aServed({
      flags: { open: plainFlag({ metadata: { clientVisible: true } }), closed: plainFlag() },
      rollouts: [aRunning(), aRunning({ plan: aRampPlan({ clientVisible: false }, 'pricing'), shortId: 12 })],
    });
    expect([...served.clientVisible].sort()).toEqual(['new-checkout', 'open']);
  });
  it('leases live rollouts in seconds, and completed ones not', () => {
    const plan = aRampPlan({ exposureLease: { onExpiry: 'baseline', ttl: '15m' } });
    expect(aServed({ rollouts: [aRunning({ plan })] }).leases.get('new-checkout')).toEqual({
      ttl: 900,
      onExpiry: 'baseline',
    });
    expect(aServed({ rollouts: [aRunning({ plan, state: { phase: 'completed', stage: 4 } })] }).leases.size).toBe(0);
  });
});

describe('laws of compilation', () => {
  const exposures = [1, 5, 10, 25, 100] as const;
  const unit = fc.string({ minLength: 1, maxLength: 24, unit: 'binary' });
  const at = (exposure: number, plan = aRampPlan()) =>
    aServed({ rollouts: [aRunning({ plan, state: { stage: stageOf[exposure] ?? 0 } })] });
  const sets = new Map(exposures.map((exposure) => [exposure, compileFlagSet(at(exposure).flagSet)]));
  const variantAt = (exposure: (typeof exposures)[number], key: string) => {
    const set = sets.get(exposure);
    return set === undefined ? undefined : evaluate(set, 'new-checkout', user(key), 0).variant;
  };

  it('nobody who is in at one exposure leaves at a higher one', () => {
    fc.assert(
      fc.property(unit, (key) => {
        const inAt = exposures.map((exposure) => variantAt(exposure, key) === 'on');
        expect(inAt).toEqual([...inAt].sort((a, b) => Number(a) - Number(b)));
      }),
      { numRuns: 500 },
    );
  });

  it('a unit leaves control only for treatment', () => {
    fc.assert(
      fc.property(unit, fc.nat(3), (key, step) => {
        const [before = 1, after = 5] = exposures.slice(step, step + 2);
        if (variantAt(before, key) === 'off@control') expect(['off@control', 'on']).toContain(variantAt(after, key));
      }),
      { numRuns: 500 },
    );
  });

  it('the same input is the same set, whatever the order of its parts', () => {
    const other = aRunning({ plan: aRampPlan({}, 'search'), shortId: 12 });
    const a = aServed({ flags: { x: plainFlag(), b: plainFlag() }, rollouts: [aRunning(), other] });
    const b = aServed({ flags: { b: plainFlag(), x: plainFlag() }, rollouts: [other, aRunning()] });
    expect(JSON.stringify(b.flagSet)).toBe(JSON.stringify(a.flagSet));
  });

  it('a hold changes nothing that is served', () => {
    const held = aServed({
      rollouts: [aRunning({ state: { phase: 'held', heldBy: 'gate', resumeTo: 'ramping', version: 8 } })],
    });
    expect(held.flagSet).toEqual(aServed({ rollouts: [aRunning()] }).flagSet);
  });

  it('weights are parts of a million, whatever the plan', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 99_999 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 50_000 }),
        (exposure, ratio, holdback) => {
          const plan = aRampPlan({
            comparison: { control: { ratio }, holdback: { percent: holdback / 1_000 } },
            stages: [
              { name: 'only', exposure: exposure / 1_000, bake: '1h', maxDwell: '1d' },
              { name: 'full', exposure: 100 },
            ],
          });
          for (const stage of [0, 1]) {
            const text = JSON.stringify(aServed({ rollouts: [aRunning({ plan, state: { stage } })] }).flagSet);
            const weights = [...text.matchAll(/\["[^"]+",(\d+)\]/g)].map((match) => Number(match[1]));
            expect(weights.reduce((sum, weight) => sum + weight, 0)).toBe(1_000_000);
            expect(text).toMatch(/\}\]?,?\["on",/);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it('flagd reads the same bucket out of the exported set, for ASCII keys', () => {
    const set = at(10).flagSet;
    const core = compileFlagSet(set);
    const flagd = new FlagdCore();
    flagd.setConfigurations(JSON.stringify(set));
    for (let i = 0; i < 2_000; i += 1) {
      const key = `user-${i}`;
      const ours = evaluate(core, 'new-checkout', user(key), 0);
      expect(flagd.resolveBooleanEvaluation('new-checkout', true, { targetingKey: key }, quiet)).toMatchObject({
        value: ours.value,
        variant: ours.variant,
      });
      expect(ours.variant === 'on').toBe(bucketOf(`checkout-2026-11:${key}`) < 100_000);
    }
  });
});
