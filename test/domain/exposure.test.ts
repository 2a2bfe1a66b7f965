import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Allocation, allocationOf, exposureOf, slots } from '../../src/domain/exposure.ts';
import { phases } from '../../src/domain/rollout.ts';
import { aPlan, aRollout } from '../support/a-rollout.ts';

type Arm = 'treatment' | 'control' | 'rest';

function armOf({ treatment, control, holdback }: Allocation, slot: number): Arm {
  if (slot < treatment) return 'treatment';
  return slot >= slots - control - holdback ? 'control' : 'rest';
}

const nobody: Allocation = { treatment: 0, labelled: 0, control: 0, holdback: 0 };

const percents = fc
  .uniqueArray(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 8 })
  .map((thousandths) => thousandths.sort((a, b) => a - b).map((each) => each / 1000));
const ratio = fc.oneof(
  fc.constantFrom('matched' as const, 'all' as const),
  fc.double({ min: 1, max: 50, noNaN: true }),
);
const holdback = fc.option(fc.integer({ min: 1, max: 20_000 }).map((each) => ({ percent: each / 1000 })));

const plans = fc.record({ percents, ratio, holdback }).map(({ percents, ratio, holdback }) =>
  aPlan({
    stages: percents.map((exposure, i) => ({ name: `s${i}`, exposure })),
    comparison: { control: { ratio }, ...(holdback === null ? {} : { holdback }) },
  }),
);
const ramps = plans.map((plan) =>
  plan.spec.stages.map((_, stage) => allocationOf(aRollout({ of: plan, state: { stage } }).state, plan)),
);

describe('exposure', () => {
  it('is that of the stage while ramping, soaking or held', () => {
    for (const phase of ['ramping', 'soaking', 'held'] as const)
      expect(exposureOf(aRollout({ state: { phase, stage: 2 } }).state, aPlan())).toBe(25);
  });

  it('is that of the last stage once completed, and nothing in every other phase', () => {
    for (const phase of phases.filter((p) => !['ramping', 'soaking', 'held', 'completed'].includes(p)))
      expect(exposureOf(aRollout({ state: { phase, stage: 2 } }).state, aPlan())).toBe(0);
    expect(exposureOf(aRollout({ state: { phase: 'completed', stage: 3 } }).state, aPlan())).toBe(100);
  });

  it('is nothing under a kill latch, whatever the state says', () => {
    const { state } = aRollout({ state: { stage: 2 } });
    expect(exposureOf(state, aPlan(), true)).toBe(0);
    expect(allocationOf(state, aPlan(), true)).toEqual(nobody);
  });

  it('gives control the ratio that the plan asks, up to what is left', () => {
    const plan = aPlan();
    const at = (stage: number) => allocationOf(aRollout({ state: { stage } }).state, plan);
    expect(at(0)).toEqual({ ...nobody, treatment: 10_000, control: 40_000 });
    expect(at(1)).toEqual({ ...nobody, treatment: 50_000, control: 200_000 });
    expect(at(2)).toEqual({ ...nobody, treatment: 250_000, control: 750_000 });
  });

  it('keeps the holdback on control at 100 % for as long as the sentinel compares with it', () => {
    const plan = aPlan({ comparison: { holdback: { percent: 1 } } });
    const full = { ...nobody, treatment: 990_000, holdback: 10_000 };
    const soaking = aRollout({ state: { phase: 'soaking', stage: 3 } }).state;
    expect(allocationOf(soaking, plan)).toEqual(full);
    expect(allocationOf({ ...soaking, phase: 'completed', sentinel: true }, plan)).toEqual(full);
    expect(allocationOf({ ...soaking, phase: 'completed' }, plan).treatment).toBe(slots);
  });

  it('is nothing in a preflight, which names the arms of the first stage', () => {
    const checking = aRollout({ state: { phase: 'preflight', stage: -1 } }).state;
    expect(exposureOf(checking, aPlan())).toBe(0);
    expect(allocationOf(checking, aPlan())).toEqual({ ...nobody, labelled: 10_000, control: 40_000 });
    expect(allocationOf(checking, aPlan(), true)).toEqual(nobody);
    expect(allocationOf({ ...checking, phase: 'held', heldBy: 'preflight' }, aPlan())).toEqual(nobody);
  });

  it('names in a preflight exactly whom the first stage compares', () => {
    fc.assert(
      fc.property(plans, (plan) => {
        const { state } = aRollout({ of: plan, state: { phase: 'preflight', stage: -1 } });
        const first = allocationOf({ ...state, phase: 'ramping', stage: 0 }, plan);
        const { treatment, labelled, ...others } = allocationOf(state, plan);
        expect({ treatment, labelled }).toEqual({ treatment: 0, labelled: first.treatment });
        expect(others).toEqual({ control: first.control, holdback: first.holdback });
      }),
    );
  });

  it('never takes more slots than there are', () => {
    fc.assert(
      fc.property(ramps, (ramp) => {
        for (const { treatment, control, holdback } of ramp) {
          expect([treatment, control, holdback].every((n) => Number.isInteger(n) && n >= 0)).toBe(true);
          expect(treatment + control + holdback).toBeLessThanOrEqual(slots);
        }
      }),
    );
  });

  it('never takes anybody out of treatment while it rises', () => {
    fc.assert(
      fc.property(ramps, (ramp) => {
        for (const [i, allocation] of ramp.entries())
          expect(allocation.treatment).toBeGreaterThanOrEqual(ramp[i - 1]?.treatment ?? 0);
      }),
    );
  });

  it('moves a unit between arms at most once, from control to treatment', () => {
    fc.assert(
      fc.property(ramps, fc.integer({ min: 0, max: slots - 1 }), (ramp, slot) => {
        const arms = ramp.map((allocation) => armOf(allocation, slot)).filter((arm) => arm !== 'rest');
        const moves = arms.filter((arm, i) => i > 0 && arm !== arms[i - 1]);
        expect(moves.length).toBeLessThanOrEqual(1);
        expect(moves.every((arm) => arm === 'treatment')).toBe(true);
      }),
    );
  });
});
