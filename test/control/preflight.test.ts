import { compileFlagSet, evaluate } from '@tidegate/core';
import { afterEach, describe, expect, it } from 'vitest';
import { noEvidence } from '../../src/control/look.ts';
import type { Evidence } from '../../src/domain/evidence.ts';
import type { Now } from '../../src/domain/now.ts';
import type { Rollout } from '../../src/domain/rollout.ts';
import { aStratum } from '../domain/gates/an-evidence.ts';
import { ana, aPlanDocument, aRamping, type Control } from '../support/a-controller.ts';
import { minute } from '../support/a-rollout.ts';

let world: Control;
afterEach(() => world.close());

const plan = aPlanDocument({ preflight: { mode: 'checks', duration: '10m' } });

/** Fresh beacons of both arms in the present epoch. */
function beacons({ state }: Rollout, now: Now): Evidence {
  const visits = { units: 2000, errors: 20 };
  const stratum = aStratum({ epoch: state.epoch, stage: state.stage, treatment: visits, control: visits });
  const newest = { treatment: now.wall, control: now.wall };
  return { ...noEvidence(now), strata: [stratum], newest };
}

function variants(): ReadonlySet<string | undefined> {
  const served = world.served.get('production');
  if (served === undefined) throw new Error('nothing is served');
  const compiled = compileFlagSet(served.flagSet);
  const ask = (targetingKey: string) => evaluate(compiled, 'checkout', { targetingKey }, 0).variant;
  return new Set(Array.from({ length: 300 }, (_, i) => ask(`u${i}`)));
}

describe('a plan with a preflight', () => {
  it('exposes nobody until its checks have held for their time, then its first stage', async () => {
    world = await aRamping({ evidence: beacons }, plan);
    expect((await world.rollout()).state).toMatchObject({ phase: 'preflight', stage: -1, epoch: 1 });
    expect(variants()).toEqual(new Set(['off', 'off@aa', 'off@control']));
    for (let i = 0; i < 9; i += 1) await world.beat(minute);
    expect(await world.phase()).toBe('preflight');
    await world.beat(minute);
    await world.beat(minute);
    const begun = await world.rollout();
    expect(begun).toMatchObject({ state: { phase: 'ramping', stage: 0, epoch: 2 }, evidenceFrom: 2 });
    expect(variants()).toEqual(new Set(['on', 'off', 'off@control']));
    const decisions = await world.store.decisions({ limit: 5 });
    expect(decisions.map(({ transition }) => transition)).toEqual(expect.arrayContaining(['T4', 'T5']));
  });

  it('is held without beacons, says which check failed, and begins anew once it is resumed', async () => {
    world = await aRamping({}, plan);
    for (let i = 0; i < 12; i += 1) await world.beat(minute);
    expect((await world.rollout()).state).toMatchObject({
      phase: 'held',
      heldBy: 'preflight',
      sticky: true,
      stage: -1,
    });
    const [decision] = await world.store.decisions({ limit: 1 });
    expect(decision).toMatchObject({ transition: 'T6', cause: 'preflight:flag_evaluated' });
    expect(decision?.why).toContain('0 units named treatment');
    expect(decision?.why).not.toContain('with the flag');
    expect(decision?.counterfactual).toBe('A clear reading of preflight.flag_evaluated would have kept it going.');
    expect(variants()).toEqual(new Set(['off']));
    await world.verbs.act(world.where, 'resume', ana);
    expect(await world.phase()).toBe('scheduled');
    await world.beat(minute);
    expect((await world.rollout()).state).toMatchObject({ phase: 'preflight', epoch: 3 });
  });

  it('stays at 0 % when a person starts it, and ramps only where there is no preflight to pass', async () => {
    const started = async (mode: 'checks' | 'skip') => {
      world = await aRamping({}, aPlanDocument({ start: { trigger: 'manual' }, preflight: { mode } }));
      expect(await world.phase()).toBe('scheduled');
      const { decision, rollout } = await world.verbs.act(world.where, 'start', ana);
      return { action: decision.action, to: decision.exposure.to, phase: rollout.state.phase };
    };
    expect(await started('checks')).toEqual({ action: 'stay', to: 0, phase: 'preflight' });
    await world.close();
    expect(await started('skip')).toEqual({ action: 'ramp', to: 10, phase: 'ramping' });
  });
});
