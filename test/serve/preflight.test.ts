import { compileFlagSet, evaluate } from '@tidegate/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bulkAnswer, type TokenEntry } from '../../src/serve/answer.ts';
import { createBoard, type Shown } from '../../src/serve/board.ts';
import type { Running } from '../../src/serve/compile.ts';
import { aRampPlan, aRunning, aServed, plainFlag } from './a-served.ts';

const checking = { phase: 'preflight', stage: -1 } as const;
const flags = { 'new-checkout': plainFlag({ targeting: { if: [true, 'on'] } }) };

function shownOf(rollouts: readonly Running[]): Shown {
  const board = createBoard();
  board.publish(aServed({ flags, rollouts, evaluators: { staff: { in: [{ var: 'targetingKey' }, ['u1', 'u2']] } } }));
  const shown = board.get('production');
  if (shown === null) throw new Error('nothing is shown');
  return shown;
}

/** Entries that a token for this context would have. */
function entriesFor(shown: Shown, context: Record<string, string>): readonly TokenEntry[] {
  let seen: readonly TokenEntry[] = [];
  bulkAnswer(shown, shown.scopes.all, context, {
    atSeconds: 0,
    streamUri: '',
    inactivitySec: 1,
    token: (entries) => {
      seen = entries;
      return null;
    },
  });
  return seen;
}

const unit = fc.integer({ min: 0, max: 100_000 }).map((n) => `u${n}`);
const rules = fc.record({
  exposure: fc.integer({ min: 1, max: 100 }),
  holdback: fc.boolean(),
  include: fc.subarray(['DE', 'FR', 'US'], { minLength: 1 }),
  treatment: fc.subarray(['u1', 'u2', 'u3', 'segment:staff']),
  control: fc.subarray(['u3', 'u4', 'segment:staff']),
  mode: fc.constantFrom('checks' as const, 'aa' as const),
});
const plans = rules.map(({ exposure, holdback, include, treatment, control, mode }) =>
  aRampPlan({
    preflight: { mode },
    stages: [{ name: 'only', exposure }],
    comparison: holdback ? { holdback: { percent: 1 } } : {},
    audience: { include: [{ attribute: 'country', in: include }], always: { treatment, control } },
  }),
);

describe('a rollout in a preflight', () => {
  it('serves nobody the treatment, whatever the rules, and names who would be in which arm', () => {
    fc.assert(
      fc.property(
        plans,
        fc.oneof(unit, fc.constantFrom('u1', 'u2', 'u3', 'u4')),
        fc.constantFrom('DE', 'US', 'IT'),
        (plan, targetingKey, country) => {
          const context = { targetingKey, country };
          const before = shownOf([aRunning({ plan, state: checking })]);
          const after = shownOf([aRunning({ plan, state: { phase: 'soaking', stage: 0 } })]);
          const served = evaluate(before.scopes.all.compiled, 'new-checkout', context, 0);
          expect(served.value).toBe(false);
          // The label is the arm of the first stage, in what the token says and in what is served.
          const [named] = entriesFor(before, context);
          expect(named?.arm).toBe(entriesFor(after, context)[0]?.arm);
          expect(served.variant === 'off@aa').toBe(named?.arm === 'treatment');
        },
      ),
      { numRuns: 300 },
    );
  });

  it('is exported as control under other names', () => {
    const { flagSet, entries, leases } = aServed({ rollouts: [aRunning({ state: checking })] });
    expect(flagSet.flags['new-checkout']).toMatchObject({
      variants: { on: true, off: false, 'off@aa': false, 'off@control': false },
      targeting: {
        if: [
          { '!!': [{ var: 'targetingKey' }] },
          { fractional: [expect.anything(), ['off@aa', 10_000], ['off', 950_000], ['off@control', 40_000]] },
          null,
        ],
      },
      metadata: { exposurePpm: 0, stage: -1 },
    });
    expect(entries.get('new-checkout')).toMatchObject([{ epoch: 3, exposurePpm: 0 }]);
    expect(leases.size).toBe(0);
  });

  it('names nobody once it is held or killed', () => {
    for (const phase of ['held', 'killed', 'scheduled'] as const) {
      const { flagSet, entries } = aServed({ rollouts: [aRunning({ state: { phase, stage: -1 } })] });
      expect(entries.size).toBe(0);
      expect(evaluate(compileFlagSet(flagSet), 'new-checkout', { targetingKey: 'u1' }, 0).variant).toBe('off');
    }
  });
});
