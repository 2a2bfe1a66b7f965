import type { AuthoredPlan } from '../../../src/domain/plan.ts';
import type { AuthoredPolicy } from '../../../src/domain/policy.ts';
import type { AuthoredSignal } from '../../../src/domain/signal.ts';
import type { Documents } from './browser-house.ts';

const owner = 'shop';
const gate = { owner, runbook: 'https://runbooks.example/shop', minSamples: 20, consecutive: 1 } as const;

/** The shop's visits take seconds: a unit that was not heard of for six is silent. */
const silence: AuthoredSignal = {
  apiVersion: 'tidegate.dev/v1',
  kind: 'Signal',
  metadata: { name: 'beacon_silence', version: 2, owner },
  spec: {
    class: 'health',
    domain: 'traffic',
    source: { type: 'rum', event: 'silence', field: 'units' },
    statistic: { kind: 'proportion' },
    analysisUnit: 'user',
    direction: 'lower_is_better',
    freshness: { expectedLag: '6s', staleAfter: '2m' },
  },
};

/** Declares what the shop tracks; nothing is gated on it. */
const conversion: AuthoredSignal = {
  apiVersion: 'tidegate.dev/v1',
  kind: 'Signal',
  metadata: { name: 'checkout_conversion', version: 1, owner },
  spec: {
    class: 'core',
    domain: 'business',
    source: { type: 'rum', event: 'conversion', field: 'checkout' },
    statistic: { kind: 'proportion' },
    analysisUnit: 'user',
    direction: 'higher_is_better',
  },
};

const policy: AuthoredPolicy = {
  apiVersion: 'tidegate.dev/v1',
  kind: 'GatePolicy',
  metadata: { name: 'shop', version: 1, owner },
  spec: {
    tick: { interval: '1s', watchInterval: '1s' },
    gates: [
      {
        ...gate,
        name: 'errors-kill',
        signal: 'js_error_rate',
        tier: 'kill',
        tests: [{ type: 'relative', margin: '100%', confidence: 'lower_bound' }],
      },
      {
        ...gate,
        name: 'silence-kill',
        signal: 'beacon_silence',
        tier: 'kill',
        tests: [{ type: 'difference', margin: 0.05, confidence: 'lower_bound' }],
      },
      {
        ...gate,
        name: 'lcp-kill',
        signal: 'lcp_p75',
        tier: 'kill',
        tests: [{ type: 'relative', margin: '30%', confidence: 'lower_bound' }],
      },
      {
        ...gate,
        name: 'inp-watch',
        signal: 'inp_p75',
        tier: 'watch',
        tests: [{ type: 'relative', margin: '100%', confidence: 'lower_bound' }],
      },
    ],
  },
};

const plan: AuthoredPlan = {
  apiVersion: 'tidegate.dev/v1',
  kind: 'RolloutPlan',
  metadata: { name: 'checkout-v2', flag: 'checkout-v2', owner },
  spec: {
    policy: 'shop@1',
    comparison: { control: { ratio: 'matched' }, holdback: { percent: 1 } },
    stages: [
      { name: 'few', exposure: 5, bake: '2s', minSamples: 15 },
      { name: 'some', exposure: 8, bake: '2s', minSamples: 15 },
      { name: 'all', exposure: 100 },
    ],
  },
};

/** Exposure of the first stage, percent: that of control is the same. */
export const firstExposure = 5;

/** A rollout of the new checkout at 5 %, judged on some tens of visits per arm. */
export const shopDocuments: Documents = { signals: [silence, conversion], policy, plan };
