import { type AuthoredPlan, parsePlan, type RolloutPlan } from '../../../src/domain/plan.ts';
import { type AuthoredPolicy, type GatePolicy, parsePolicy } from '../../../src/domain/policy.ts';

type PlanSpec = AuthoredPlan['spec'];
type PolicySpec = AuthoredPolicy['spec'];

/** A plan that lints clean with `aPolicy()`; a test names only what it is about. */
export function authoredPlan(
  spec: Partial<PlanSpec> = {},
  metadata: Partial<AuthoredPlan['metadata']> = {},
): AuthoredPlan {
  return {
    apiVersion: 'tidegate.dev/v1',
    kind: 'RolloutPlan',
    metadata: { name: 'checkout', flag: 'checkout', owner: 'shop', ...metadata },
    spec: {
      policy: 'web@1',
      comparison: { holdback: { percent: 1 } },
      stages: [
        { name: 'early', exposure: 20, bake: '1h', maxDwell: '1d', minSamples: 500 },
        { name: 'full', exposure: 100 },
      ],
      ...spec,
    },
  };
}

export function aPlan(spec: Partial<PlanSpec> = {}, metadata: Partial<AuthoredPlan['metadata']> = {}): RolloutPlan {
  const parsed = parsePlan(authoredPlan(spec, metadata));
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.value;
}

type AuthoredGate = PolicySpec['gates'][number];

export function aGate(gate: Partial<AuthoredGate> = {}): AuthoredGate {
  return {
    name: 'errors',
    signal: 'js_error_rate',
    tier: 'kill',
    tests: ['<=+50%'],
    owner: 'shop',
    runbook: 'https://runbooks.example/errors',
    ...gate,
  };
}

export function authoredPolicy(spec: Partial<PolicySpec> = {}, version = 1): AuthoredPolicy {
  return {
    apiVersion: 'tidegate.dev/v1',
    kind: 'GatePolicy',
    metadata: { name: 'web', version, owner: 'shop' },
    spec: { gates: [aGate()], ...spec },
  };
}

export function aPolicy(spec: Partial<PolicySpec> = {}, version = 1): GatePolicy {
  const parsed = parsePolicy(authoredPolicy(spec, version));
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.value;
}
