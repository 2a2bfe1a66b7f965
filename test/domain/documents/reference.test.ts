import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { parsePlan, RolloutPlan } from '../../../src/domain/plan.ts';
import { GatePolicy, parsePolicy } from '../../../src/domain/policy.ts';
import { builtinSignals, findSignal, parseSignal, Signal } from '../../../src/domain/signal.ts';

const plan = `
apiVersion: tidegate.dev/v1
kind: RolloutPlan
metadata:
  {name: checkout-v2, flag: checkout-v2, project: storefront, owner: team-checkout, labels: {tier: revenue},
  change: {commit: 9f3c1e2, pullRequest: "https://git.example/storefront/pull/4182", ticket: SHOP-991}}
spec:
  variations: {treatment: "on", control: "off"}
  unit: {key: targetingKey, seed: checkout-v2-2026-11}
  policy: web-revenue@7
  audience: {include: [{attribute: country, in: [DE, FR, US]}], exclude: [{segment: enterprise-contract-freeze}],
    always: {treatment: ["segment:employees"], control: ["segment:holdout-global"]}}
  comparison: {control: {ratio: 4}, holdback: {percent: 1, for: 14d}}
  waves:
    - {name: staging, environment: staging}
    - {name: eu-canary, environment: production, regions: [eu-west], after: {wave: staging, phase: completed}}
    - {name: world, environment: production, regions: ["eu-*", "us-*"], after: {wave: eu-canary, phase: soaking, bake: 4h}}
  start:
    trigger: manual
    approval: {roles: [release-manager], count: 1, notAuthor: true}
  stages:
    - {name: canary,  exposure: 1,  bake: 20m, minSamples: 1000,  maxDwell: 6h}
    - {name: half,    exposure: 50, bake: 12h, minSamples: 40000, maxDwell: 48h, approval: {roles: [release-manager, product-owner], count: 1}}
    - {name: full,    exposure: 100}
  pace: {maxIncreasePerDay: 50}
  windows:
    {timezone: Europe/Berlin, allow: ["Mon-Thu 09:00-16:00", "Fri 09:00-12:00"],
    freeze: [{from: 2026-11-26, to: 2026-11-30, reason: "peak season"}]}
  onHold: {escalateAfter: 30m, expireAfter: 7d, onExpire: baseline}
  exposureLease: {onExpiry: stay, ttl: 15m}
  limits: {maxDuration: 14d}
  soak: {bake: 24h, sentinel: {for: 14d}}
  completion: {notify: ["webhook:checkout-rollouts"]}
`;

const policy = `
apiVersion: tidegate.dev/v1
kind: GatePolicy
metadata: {name: web-revenue, version: 7, owner: sre-web, reviewBy: 2027-03-01, rationale: "Checkout"}
spec:
  scope: {projects: [storefront], environments: [production], regions: ["eu-*", "us-*"]}
  tick: {interval: 30s, watchInterval: 10s}
  errorControl: {method: always_valid, killAlpha: 0.001, holdAlpha: 0.02}
  reliability: {minimum: {watch: 0.3, hold: 0.6, kill: 0.8}, whenUnreliable: {watch: ignore, hold: hold, kill: hold}}
  baseline: {primary: concurrent_control}
  gates:
    - {name: errors-kill, signal: js_error_rate, tier: kill, minSamples: 200, consecutive: 1, owner: sre-web-oncall,
       tests: [{type: absolute, max: 0.06, confidence: lower_bound}, {type: relative, margin: 50%, confidence: lower_bound}],
       runbook: "https://runbooks.example/checkout/errors-kill"}
    - {name: errors-hold, signal: js_error_rate, tier: hold, action: hold, minSamples: 500, consecutive: 2, owner: team-checkout,
       tests: ["<0.02", "<=+10%", "<=+0.5pt"],
       clear: {consecutive: 10}, sticky: false, runbook: "https://runbooks.example/checkout/errors-hold"}
    - {name: conversion-advance, signal: checkout_conversion, tier: hold, minSamples: 20000, owner: team-checkout,
       tests: [{type: non_inferior, margin: 10%, confidence: 95%}],
       appliesTo: {stages: {from: 25}},
       inconclusive: {after: 24h, action: ask},
       runbook: "https://runbooks.example/checkout/conversion"}
  health: {sampleRatio: {alpha: 0.0005, sticky: true}, crossover: {maxShare: 1%, sticky: true}, evaluatorError: {consecutive: 4},
    controlDegraded: hold, noData: {grace: 15m, thenAfter: 6h, thenAction: step_back}}
  segments: {dimensions: [region, browser, device], maxCells: 40}
  notify: {watch: ["webhook:chat"], hold: ["webhook:chat"], kill: ["webhook:pager", "webhook:chat"], digest: 15m}
  governance:
    approve: {roles: [sre-lead, product-owner], count: 2, distinctTeams: true, notAuthor: true}
    override: {hold: {roles: [release-manager], maxDuration: 4h}, kill: {roles: [sre-lead], maxDuration: 1h, count: 2, distinctTeams: true}}
    breakGlass: {roles: [incident-commander], maxDuration: 4h, reviewWithin: 24h}
    locked: [errors-kill, health.sampleRatio]
`;

const minimal = {
  apiVersion: 'tidegate.dev/v1',
  kind: 'RolloutPlan',
  metadata: { name: 'checkout', flag: 'checkout', owner: 'shop' },
  spec: { policy: 'web@1', stages: [{ name: 'canary', exposure: 1, bake: '20m' }] },
};

describe('a plan', () => {
  it('accepts every core field of the reference', () => {
    const parsed = parsePlan(parse(plan));
    expect(parsed).toMatchObject({
      ok: true,
      value: {
        spec: {
          stages: [{ bake: 1_200_000, maxDwell: 21_600_000 }, {}, { bake: 0, maxDwell: null }],
          windows: { allow: [{ days: [1, 2, 3, 4], from: 540, to: 960 }, { days: [5] }] },
          comparison: { holdback: { percent: 1, for: 1_209_600_000 } },
        },
      },
    });
  });

  it('fills in what a short plan leaves out', () => {
    expect(parsePlan(minimal)).toEqual({
      ok: true,
      value: {
        apiVersion: 'tidegate.dev/v1',
        kind: 'RolloutPlan',
        metadata: { name: 'checkout', flag: 'checkout', project: null, owner: 'shop', labels: {}, change: null },
        spec: {
          variations: { treatment: 'on', control: 'off' },
          unit: { key: 'targetingKey', seed: 'checkout' },
          policy: 'web@1',
          audience: { include: [], exclude: [], always: { treatment: [], control: [] } },
          comparison: { control: { ratio: 4 }, holdback: null },
          waves: [],
          start: { trigger: 'at', at: null, approval: null },
          preflight: {
            mode: 'skip',
            duration: 1_800_000,
            minReliability: 0.6,
            checks: ['flag_evaluated', 'exposures_received', 'beacons_joined', 'signals_fresh', 'arms_balanced'],
          },
          stages: [{ name: 'canary', exposure: 1, bake: 1_200_000, minSamples: 0, maxDwell: null, approval: null }],
          pace: { maxIncreasePerDay: null },
          windows: { timezone: 'UTC', allow: [], freeze: [] },
          onHold: { escalateAfter: null, expireAfter: null, onExpire: 'baseline' },
          exposureLease: { onExpiry: 'stay', ttl: 900_000 },
          limits: { maxDuration: null },
          soak: { bake: 0, sentinel: null },
          completion: { notify: [] },
          clientVisible: true,
        },
      },
    });
  });

  it.each([
    [{ preflight: { mode: 'checks', checks: ['power'] } }, 'spec.preflight.checks.0'],
    [{ preflight: { mode: 'skip', drill: {} } }, 'spec.preflight.drill'],
    [{ start: { trigger: 'deploy' } }, 'spec.start.trigger'],
    [{ start: { requires: [] } }, 'spec.start.requires'],
    [{ unit: { layer: 'checkout' } }, 'spec.unit.layer'],
    [{ pace: { adaptive: {} } }, 'spec.pace.adaptive'],
    [{ completion: { report: {} } }, 'spec.completion.report'],
  ])('refuses %j as not supported yet', (extra, path) => {
    const parsed = parsePlan({ ...minimal, spec: { ...minimal.spec, ...extra } });
    expect(parsed).toMatchObject({
      ok: false,
      problems: [{ path, message: expect.stringMatching(/^not_supported_yet/) }],
    });
  });

  it.each([
    [{ stages: [{ name: 'a', exposure: 1, bakes: '1m' }] }, 'spec.stages.0.bakes', 'unknown key "bakes"'],
    [{ stages: [{ name: 'a', exposure: 1, bake: '20 min' }] }, 'spec.stages.0.bake', 'write a duration such as'],
    [{ stages: [{ exposure: 1 }] }, 'spec.stages.0.name', 'name is missing'],
    [
      {
        stages: [
          { name: 'a', exposure: 1 },
          { name: 'a', exposure: 2 },
        ],
      },
      'spec.stages.1.name',
      '"a" is used twice',
    ],
    [{ policy: 'web@^7' }, 'spec.policy', 'pin an exact policy version'],
    [{ start: { trigger: 'manual', at: '2026-11-02T09:00:00Z' } }, 'spec.start.at', 'needs `trigger: at`'],
    [{ windows: { timezone: 'Europe/Atlantis' } }, 'spec.windows.timezone', 'not an IANA time zone'],
    [{ windows: { allow: ['Mo 9-5'] } }, 'spec.windows.allow.0', 'write an opening such as'],
    [{ audience: { include: [{ attribute: 'country', in: [] }] } }, 'spec.audience.include.0.in', 'an empty list'],
    [{ variations: { control: 'on' } }, 'spec.variations.control', 'the same variant'],
    [{ start: { trigger: 'after' } }, 'spec.start.trigger', '`after` needs a wave'],
  ])('says where and what is wrong with %j', (extra, path, message) => {
    const parsed = parsePlan({ ...minimal, spec: { ...minimal.spec, ...extra } });
    expect(parsed).toMatchObject({ ok: false, problems: [{ path, message: expect.stringContaining(message) }] });
  });

  it.each([
    '2026-11-02T09:00:00Z',
    '2026-11-02T09:00:00.250+01:00',
    '2024-02-29T23:59:59-05:30',
    '1970-01-01T00:00:00Z',
    '2100-03-01T00:00:00Z',
  ])('reads the instant %s', (at) => {
    const parsed = parsePlan({ ...minimal, spec: { ...minimal.spec, start: { at } } });
    expect(parsed).toMatchObject({ ok: true, value: { spec: { start: { at: Date.parse(at) } } } });
  });
});

describe('a policy', () => {
  it('accepts every core field of the reference', () => {
    const parsed = parsePolicy(parse(policy));
    expect(parsed).toMatchObject({
      ok: true,
      value: {
        spec: {
          gates: [
            { action: 'kill', sticky: true, tests: [{ max: 0.06, min: null }, { margin: 0.5 }] },
            {
              action: 'hold',
              sticky: false,
              tests: [
                { type: 'absolute', max: 0.02 },
                { type: 'relative', margin: 0.1 },
                { type: 'difference', margin: 0.005 },
              ],
            },
            { tests: [{ type: 'non_inferior', margin: 0.1, confidence: 0.95 }], inconclusive: { after: 86_400_000 } },
          ],
        },
      },
    });
  });

  it.each([
    ['spec.composites', { spec: { composites: [] } }],
    ['spec.harmBudget', { spec: { harmBudget: [] } }],
    ['spec.governance.escalation', { spec: { governance: { escalation: [] } } }],
    ['spec.baseline.primary', { spec: { baseline: { primary: 'synthetic' } } }],
    [
      'spec.gates.0.tests.0.type',
      { spec: { gates: [{ name: 'a', signal: 's', tier: 'hold', tests: [{ type: 'anomaly' }] }] } },
    ],
  ])('refuses %s as not supported yet', (path, extra) => {
    const gates = [{ name: 'g', signal: 'js_error_rate', tier: 'hold', tests: ['<0.02'] }];
    const base = {
      apiVersion: 'tidegate.dev/v1',
      kind: 'GatePolicy',
      metadata: { name: 'web', version: 1, owner: 'o' },
    };
    const parsed = parsePolicy({ ...base, ...extra, spec: { gates, ...('spec' in extra ? extra.spec : {}) } });
    expect(parsed).toMatchObject({
      ok: false,
      problems: [{ path, message: expect.stringMatching(/^not_supported_yet/) }],
    });
  });

  it.each(['<=-10%', '<=+', 'fast', '<+10%%', '=0.2'])('refuses the shorthand %s', (test) => {
    const gates = [{ name: 'g', signal: 'js_error_rate', tier: 'hold', tests: [test] }];
    const parsed = parsePolicy({
      apiVersion: 'tidegate.dev/v1',
      kind: 'GatePolicy',
      metadata: { name: 'web', version: 1, owner: 'o' },
      spec: { gates },
    });
    expect(parsed).toMatchObject({ ok: false, problems: [{ path: 'spec.gates.0.tests.0' }] });
  });
});

describe('the confidence of a test', () => {
  const confidenceOf = (confidence: unknown) => {
    const tests = [{ type: 'relative', margin: '5%', confidence }];
    const gates = [{ name: 'g', signal: 'js_error_rate', tier: 'kill', tests }];
    return parsePolicy({
      apiVersion: 'tidegate.dev/v1',
      kind: 'GatePolicy',
      metadata: { name: 'web', version: 1, owner: 'o' },
      spec: { gates },
    });
  };

  it.each([
    ['lower_bound', 'lower_bound'],
    ['point', 'point'],
    [undefined, 'lower_bound'],
    ['50%', 0.5],
    ['99.9%', 0.999],
  ])('%s is read as %s', (written, confidence) => {
    expect(confidenceOf(written)).toMatchObject({
      ok: true,
      value: { spec: { gates: [{ tests: [{ confidence }] }] } },
    });
  });

  it.each(['49%', '100%', 'sure', 0.5, null])('is never %s', (written) => {
    const message = 'write lower_bound, point, or a percentage from 50% to below 100%';
    const path = 'spec.gates.0.tests.0.confidence';
    expect(confidenceOf(written)).toMatchObject({ ok: false, problems: [{ path, message }] });
  });
});

describe('a signal', () => {
  it('is built in for errors, silence, the five vitals and the end rate', () => {
    expect(builtinSignals.map((signal) => `${signal.metadata.name}@${signal.metadata.version}`)).toEqual([
      'js_error_rate@1',
      'beacon_silence@1',
      'lcp_p75@1',
      'inp_p75@1',
      'cls_p75@1',
      'fcp_p75@1',
      'ttfb_p75@1',
      'end_rate@1',
    ]);
  });

  it('is found by name, newest first, or by exact version', () => {
    const [first] = builtinSignals;
    if (first === undefined) throw new Error('no signal');
    const second = { ...first, metadata: { ...first.metadata, version: 2 } };
    expect(findSignal('js_error_rate', [first, second])).toBe(second);
    expect(findSignal('js_error_rate@1', [first, second])).toBe(first);
    expect(findSignal('js_error_rate@3', [first, second])).toBeNull();
  });

  const written = (spec: object) =>
    parseSignal({
      apiVersion: 'tidegate.dev/v1',
      kind: 'Signal',
      metadata: { name: 'own', version: 1, owner: 'o' },
      spec: { class: 'core', domain: 'errors', direction: 'lower_is_better', ...spec },
    });
  const vital = (statistic: object, more: object = {}) =>
    written({
      source: { type: 'rum', event: 'web_vital', field: 'LCP' },
      statistic,
      analysisUnit: 'pageview',
      ...more,
    });
  const share = (event: string, field: string, more: object = {}) =>
    written({
      source: { type: 'rum', event, field },
      statistic: { kind: 'proportion' },
      analysisUnit: 'user',
      ...more,
    });
  const views = (kind: string) => share('error', 'views', { statistic: { kind }, analysisUnit: 'pageview' });

  it('lets a conversion mature for half an hour, or as long as it says', () => {
    const waits = (maturity: number) => ({ ok: true, value: { spec: { maturity } } });
    expect(share('conversion', 'order')).toMatchObject(waits(1_800_000));
    expect(share('conversion', 'order', { maturity: '2h' })).toMatchObject(waits(7_200_000));
    expect(share('error', 'units')).toMatchObject(waits(0));
  });

  it('counts page views with an error as a rate or a proportion', () => {
    expect(views('rate')).toMatchObject({ ok: true, value: { spec: { statistic: { kind: 'rate' } } } });
    expect(views('proportion')).toMatchObject({ ok: true });
  });

  it('reads a web vital as a quantile or as a mean', () => {
    expect(vital({ kind: 'quantile', q: 0.9 })).toMatchObject({ ok: true });
    expect(vital({ kind: 'mean' })).toMatchObject({ ok: true, value: { spec: { statistic: { kind: 'mean' } } } });
  });

  it('reads a session as the assignment unit', () => {
    expect(share('error', 'units', { analysisUnit: 'session' })).toMatchObject({
      ok: true,
      value: { spec: { analysisUnit: 'user' } },
    });
  });

  it('takes a cap that says what the stored limit is', () => {
    expect(vital({ kind: 'mean' }, { cap: 30_000 })).toMatchObject({ ok: true });
    const cls = { source: { type: 'rum', event: 'web_vital', field: 'CLS' }, cap: 2 };
    expect(vital({ kind: 'mean' }, cls)).toMatchObject({ ok: true });
  });

  it.each([
    [
      'a server source',
      share('error', 'units', { source: { type: 'server', event: 'error', field: 'units' } }),
      'source.type',
      'not_supported_yet',
    ],
    [
      'a derived source',
      share('error', 'units', { source: { type: 'derived', event: 'error', field: 'units' } }),
      'source.type',
      'not_supported_yet',
    ],
    ['a ratio', vital({ kind: 'ratio' }), 'statistic.kind', 'not_supported_yet: "ratio"'],
    ['a rate of a vital', vital({ kind: 'rate' }), 'statistic.kind', 'LCP is read as a quantile or a mean'],
    ['a mean of errors', views('mean'), 'statistic.kind', 'error views is read as a rate or a proportion'],
    ['a mean with q', vital({ kind: 'mean', q: 0.5 }), 'statistic.q', 'a quantile, and nothing else, needs `q`'],
    ['an event nobody sends', share('error', 'count'), 'source.field', 'use one of units, views'],
    ['a maturing error', share('error', 'units', { maturity: '30m' }), 'maturity', 'only a conversion waits'],
    ['sessions of a vital', vital({ kind: 'mean' }, { analysisUnit: 'session' }), 'analysisUnit', 'is a pageview'],
    ['an own limit', vital({ kind: 'mean' }, { cap: 60_000 }), 'cap', 'LCP is stored with the limit 30000 ms'],
    ['a limit of errors', share('error', 'units', { cap: 60_000 }), 'cap', 'only the values of web vitals'],
  ])('refuses %s', (_, parsed, path, message) => {
    expect(parsed).toMatchObject({
      ok: false,
      problems: [{ path: `spec.${path}`, message: expect.stringContaining(message) }],
    });
  });
});

it('every schema has a JSON Schema of its authored form', () => {
  for (const schema of [RolloutPlan, GatePolicy, Signal])
    expect(z.toJSONSchema(schema, { io: 'input' })).toMatchObject({ additionalProperties: false });
});
