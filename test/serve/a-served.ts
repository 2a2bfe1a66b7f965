import type { Flag, FlagSet } from '@tidegate/core';
import type { RolloutPlan } from '../../src/domain/plan.ts';
import type { Latch, Rollout, RolloutState } from '../../src/domain/rollout.ts';
import { compileEnvironment, type Running, type Served } from '../../src/serve/compile.ts';
import { aPlan } from '../domain/documents/a-document.ts';
import { aRollout } from '../support/a-rollout.ts';

type Spec = Parameters<typeof aPlan>[0];

/** Stages 1, 5, 10, 25 and 100 percent without a holdback, in production. */
export const aRampPlan = (spec: Spec = {}, flag = 'new-checkout', labels: Record<string, string> = {}): RolloutPlan =>
  aPlan(
    {
      unit: { seed: 'checkout-2026-11' },
      comparison: { control: { ratio: 4 } },
      stages: [1, 5, 10, 25, 100].map((exposure) => ({
        name: `at-${exposure}`,
        exposure,
        ...(exposure < 100 ? { bake: '1h', maxDwell: '1d' } : {}),
      })),
      ...spec,
    },
    { name: flag, flag, labels },
  );

export const stageOf: Record<number, number> = { 1: 0, 5: 1, 10: 2, 25: 3, 100: 4 };

export function aRunning(
  about: { plan?: RolloutPlan; state?: Partial<RolloutState> } & Partial<Omit<Rollout, 'plan' | 'state'>> = {},
): Running {
  const { plan = aRampPlan(), state, ...rest } = about;
  return {
    plan,
    rollout: aRollout({
      of: plan,
      id: 'r_8f3a000000',
      shortId: 11,
      policy: plan.spec.policy,
      createdAt: 0,
      startedAt: 0,
      author: 'ana',
      state: { stage: 2, epoch: 3, version: 7, ...state },
      progress: { stageEnteredAt: 0, lastTick: null },
      ...rest,
    }),
  };
}

export const aLatch = (latch: Partial<Latch> = {}): Latch => ({
  environment: 'production',
  flag: 'new-checkout',
  wave: null,
  setAt: 0,
  by: 'ana',
  reason: null,
  ...latch,
});

export const plainFlag = (flag: Partial<Flag> = {}): Flag => ({
  state: 'ENABLED',
  variants: { on: true, off: false },
  defaultVariant: 'on',
  ...flag,
});

export function aServed(
  about: {
    ver?: number;
    flags?: FlagSet['flags'];
    evaluators?: FlagSet['$evaluators'];
    rollouts?: readonly Running[];
    latches?: readonly Latch[];
  } = {},
): Served {
  return compileEnvironment({
    environment: 'production',
    declared: {
      flags: about.flags ?? {},
      ...(about.evaluators === undefined ? {} : { $evaluators: about.evaluators }),
    },
    rollouts: about.rollouts ?? [],
    latches: about.latches ?? [],
    ver: about.ver ?? 57,
  });
}
