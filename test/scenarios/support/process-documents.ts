import type { AuthoredPlan } from '../../../src/domain/plan.ts';
import type { AuthoredPolicy } from '../../../src/domain/policy.ts';

const owner = 'web-team';

/** One gate that kills on errors, looked at as often as data comes. */
export function aPolicy({ minSamples = 100, interval = '1m' } = {}): AuthoredPolicy {
  return {
    apiVersion: 'tidegate.dev/v1',
    kind: 'GatePolicy',
    metadata: { name: 'web', version: 1, owner, rationale: 'Errors kill.' },
    spec: {
      tick: { interval, watchInterval: interval },
      gates: [
        {
          name: 'errors-kill',
          signal: 'js_error_rate',
          tier: 'kill',
          minSamples,
          owner,
          runbook: 'https://runbooks.example/web/errors',
          tests: [{ type: 'relative', margin: '100%', confidence: 'lower_bound' }],
        },
      ],
    },
  };
}

/** Half, then everybody; nothing in it ramps within a test unless the test says so. */
export function aPlan(
  over: Partial<AuthoredPlan['spec']> & { readonly name?: string; readonly flag?: string } = {},
): AuthoredPlan {
  const { name = 'checkout', flag = name, ...spec } = over;
  return {
    apiVersion: 'tidegate.dev/v1',
    kind: 'RolloutPlan',
    metadata: { name, flag, owner },
    spec: {
      policy: 'web@1',
      comparison: { control: { ratio: 'matched' }, holdback: { percent: 1 } },
      stages: [
        { name: 'half', exposure: 50, bake: '1d', minSamples: 200, maxDwell: '30d' },
        { name: 'full', exposure: 100 },
      ],
      ...spec,
    },
  };
}
