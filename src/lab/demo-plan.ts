import type { AuthoredPlan } from '../domain/plan.ts';
import type { AuthoredPolicy } from '../domain/policy.ts';
import type { AuthoredSignal } from '../domain/signal.ts';

const owner = 'demo';
const runbook = 'https://runbooks.example/checkout';

/** The demo's pages live for two seconds, so silence need not wait twenty. */
export const demoSignal: AuthoredSignal = {
  apiVersion: 'tidegate.dev/v1',
  kind: 'Signal',
  metadata: {
    name: 'beacon_silence',
    version: 2,
    owner,
    description: 'Units that were issued an exposure and were never heard of',
  },
  spec: {
    class: 'health',
    domain: 'traffic',
    source: { type: 'rum', event: 'silence', field: 'units' },
    statistic: { kind: 'proportion' },
    analysisUnit: 'user',
    direction: 'lower_is_better',
    freshness: { expectedLag: '6s', staleAfter: '1m' },
  },
};

export const demoPolicy: AuthoredPolicy = {
  apiVersion: 'tidegate.dev/v1',
  kind: 'GatePolicy',
  metadata: { name: 'demo', version: 1, owner, rationale: 'What the new checkout may cost, in a demo' },
  spec: {
    tick: { interval: '2s', watchInterval: '1s' },
    // A demo risks more per step than a shop would: its stages last seconds.
    harmCaps: { slower: '10%', rate: '50%', rateShare: '2%' },
    health: { noData: { grace: '30s', thenAfter: '10m', thenAction: 'step_back' } },
    gates: [
      {
        name: 'errors-kill',
        signal: 'js_error_rate',
        tier: 'kill',
        minSamples: 100,
        consecutive: 1,
        owner,
        runbook,
        tests: [{ type: 'relative', margin: '100%', confidence: 'lower_bound' }],
      },
      {
        name: 'silence-kill',
        signal: 'beacon_silence',
        tier: 'kill',
        minSamples: 100,
        consecutive: 1,
        owner,
        runbook,
        tests: [{ type: 'difference', margin: 0.05, confidence: 'lower_bound' }],
      },
      {
        name: 'lcp-kill',
        signal: 'lcp_p75',
        tier: 'kill',
        minSamples: 100,
        consecutive: 1,
        owner,
        runbook,
        tests: [{ type: 'relative', margin: '15%', confidence: 'lower_bound' }],
      },
      {
        name: 'inp-hold',
        signal: 'inp_p75',
        tier: 'hold',
        minSamples: 200,
        consecutive: 2,
        clear: { consecutive: 5 },
        owner,
        runbook,
        tests: [{ type: 'relative', margin: '20%', confidence: 'lower_bound' }],
      },
    ],
  },
};

/** Days of a rollout in a minute and a half. */
export const demoPlan: AuthoredPlan = {
  apiVersion: 'tidegate.dev/v1',
  kind: 'RolloutPlan',
  metadata: { name: 'checkout-v2', flag: 'checkout-v2', owner },
  spec: {
    policy: 'demo@1',
    comparison: { control: { ratio: 4 }, holdback: { percent: 2 } },
    stages: [
      { name: 'first', exposure: 10, bake: '10s', minSamples: 100, maxDwell: '10m' },
      { name: 'quarter', exposure: 25, bake: '10s', minSamples: 200, maxDwell: '10m' },
      { name: 'half', exposure: 50, bake: '15s', minSamples: 400, maxDwell: '20m' },
      { name: 'full', exposure: 100 },
    ],
    soak: { bake: '30s' },
  },
};
