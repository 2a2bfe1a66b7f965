import { z } from 'zod';
import {
  Approval,
  choice,
  Duration,
  later,
  Name,
  Owner,
  orNull,
  type Parsed,
  parseDocument,
  Share,
  Targets,
} from './document.ts';
import { Test } from './policy-test.ts';
import { dimensions } from './signal.ts';

export type { Test } from './policy-test.ts';

/** `name@version` of a policy. */
export const PolicyPin = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}@[1-9]\d{0,8}$/, {
  error: 'name an exact policy version, "name@7"; ranges are not possible',
});

const exposurePercent = z.number().min(0).max(100);

const Gate = z
  .strictObject({
    name: Name,
    /** `name` (the newest version when the policy is pinned) or `name@version`. */
    signal: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}(?:@[1-9]\d{0,8})?$/, {
      error: 'name a signal, "js_error_rate" or "js_error_rate@2"',
    }),
    tier: choice(['watch', 'hold', 'kill']),
    owner: orNull(Owner),
    runbook: orNull(z.string().min(1).max(1000)),
    tests: z.array(Test).min(1, { error: 'a gate has at least one test' }).max(8),
    /** Of the tests. */
    when: choice(['any', 'all']).prefault('any'),
    /** Units per arm. */
    minSamples: z.int().min(0).prefault(200),
    /** Windows in breach in a row. */
    consecutive: z.int().min(1).max(1000).prefault(1),
    /** What a hold does beyond holding. */
    action: choice(['hold', 'step_back']).optional(),
    /** Windows clear in a row that end a hold which is not sticky. */
    clear: orNull(z.strictObject({ consecutive: z.int().min(1).max(10_000) })),
    /** A sticky hold ends only by a person. Default: sticky unless `clear` is given. */
    sticky: z.boolean().optional(),
    /** Exposures, percent, both included. */
    appliesTo: z
      .strictObject({
        stages: z.strictObject({ from: exposurePercent.prefault(0), to: exposurePercent.prefault(100) }).prefault({}),
      })
      .prefault({}),
    /** What happens while a `non_inferior` test stays unproven. */
    inconclusive: orNull(z.strictObject({ after: Duration, action: choice(['ask', 'hold', 'step_back', 'advance']) })),
    forecast: later('breach forecasts'),
  })
  .superRefine((gate, context) => {
    if (gate.action !== undefined && gate.tier !== 'hold')
      context.addIssue({
        code: 'custom',
        path: ['action'],
        message: `a ${gate.tier} gate has one action: ${gate.tier}`,
      });
    if (gate.tier === 'kill' && gate.sticky === false)
      context.addIssue({ code: 'custom', path: ['sticky'], message: 'a kill is always sticky' });
  })
  .transform((gate) => ({
    ...gate,
    action: gate.tier === 'hold' ? (gate.action ?? ('hold' as const)) : gate.tier,
    sticky: gate.tier === 'kill' || (gate.sticky ?? gate.clear === null),
  }));
export type Gate = z.output<typeof Gate>;

const Health = z.strictObject({
  sampleRatio: z
    .strictObject({ alpha: z.number().gt(0).max(0.1).prefault(0.0005), sticky: z.boolean().prefault(true) })
    .prefault({}),
  crossover: z.strictObject({ maxShare: Share.prefault('1%'), sticky: z.boolean().prefault(true) }).prefault({}),
  evaluatorError: z.strictObject({ consecutive: z.int().min(1).max(100).prefault(4) }).prefault({}),
  /** Both arms bad at once: an outage, not this flag. */
  controlDegraded: choice(['hold']).prefault('hold'),
  noData: z
    .strictObject({
      grace: Duration.prefault('15m'),
      thenAfter: Duration.prefault('6h'),
      thenAction: choice(['stay', 'step_back', 'kill']).prefault('step_back'),
    })
    .prefault({}),
});

const share01 = z.number().min(0).max(1);

const Governance = z.strictObject({
  approve: orNull(Approval),
  override: z
    .strictObject({
      hold: orNull(overrideRule(4 * 3_600_000, '4h')),
      kill: orNull(overrideRule(3_600_000, '1h')),
    })
    .prefault({}),
  breakGlass: orNull(
    z.strictObject({
      roles: z.array(Name).min(1),
      maxDuration: atMost(4 * 3_600_000, '4h').prefault('4h'),
      reviewWithin: Duration.prefault('24h'),
    }),
  ),
  /** Gates, or `health.<check>`, that nobody may override or loosen. */
  locked: z.array(z.string().min(1).max(80)).prefault([]),
  escalation: later('escalation'),
  backtestRequired: later('backtests'),
});

function atMost(ms: number, text: string) {
  return Duration.refine((value) => value <= ms, { error: `at most ${text}` });
}

function overrideRule(ms: number, text: string) {
  return z.strictObject({
    roles: z.array(Name).min(1),
    maxDuration: atMost(ms, text).prefault(text),
    count: z.int().min(1).max(10).prefault(1),
    distinctTeams: z.boolean().prefault(false),
  });
}

const alpha = z.number().gt(0).max(0.5);

const PolicySpec = z.strictObject({
  /** Empty lists = everywhere. Regions may end in `*`. */
  scope: z
    .strictObject({
      projects: z.array(z.string()).prefault([]),
      environments: z.array(z.string()).prefault([]),
      regions: z.array(z.string()).prefault([]),
      flagTags: later('scope by flag tags'),
    })
    .prefault({}),
  tick: z.strictObject({ interval: tick().prefault('30s'), watchInterval: tick().prefault('10s') }).prefault({}),
  errorControl: z
    .strictObject({
      method: choice(['always_valid']).prefault('always_valid'),
      /** Chance of a false kill over the whole life of a rollout. */
      killAlpha: alpha.prefault(0.001),
      holdAlpha: alpha.prefault(0.02),
    })
    .prefault({}),
  /** How much harm the next exposure may still risk, averaged over its audience (stats.md §9). */
  harmCaps: z
    .strictObject({
      /** Chance, per stage, that the truth is worse than a bound says. */
      alpha: alpha.prefault(0.05),
      /** Slow-down of a quantile; less than `slowerBy` (ms, or CLS x 1000) is negligible. */
      slower: Share.prefault('5%'),
      slowerBy: z.number().min(0).max(60_000).prefault(10),
      /** Excess of a bad rate; less than `rateShare` of all units is negligible. */
      rate: Share.prefault('20%'),
      rateShare: Share.prefault('0.05%'),
      /** Loss of conversions. */
      conversion: Share.prefault('15%'),
    })
    .prefault({}),
  reliability: z
    .strictObject({
      minimum: z
        .strictObject({ watch: share01.prefault(0.3), hold: share01.prefault(0.6), kill: share01.prefault(0.8) })
        .prefault({}),
      whenUnreliable: z
        .strictObject({
          watch: choice(['ignore', 'watch', 'hold']).prefault('ignore'),
          hold: choice(['hold']).prefault('hold'),
          kill: choice(['hold']).prefault('hold'),
        })
        .prefault({}),
      weights: later('reliability weights'),
    })
    .prefault({}),
  baseline: z
    .strictObject({
      primary: choice(['concurrent_control'], ['same_hour_last_weeks', 'pre_exposure', 'synthetic']).prefault(
        'concurrent_control',
      ),
      adaptive: later('adaptive baselines'),
    })
    .prefault({}),
  gates: z
    .array(Gate)
    .min(1, { error: 'a policy has at least one gate' })
    .max(40)
    .superRefine((gates, context) => {
      for (const [index, { name }] of gates.entries())
        if (gates.findIndex((gate) => gate.name === name) < index)
          context.addIssue({ code: 'custom', path: [index, 'name'], message: `"${name}" is used twice`, input: name });
    }),
  composites: later('composite scores'),
  health: Health.prefault({}),
  segments: z
    .strictObject({
      dimensions: z.array(choice(dimensions)).prefault([...dimensions]),
      maxCells: z.int().min(1).max(200).prefault(40),
      actions: later('acting on one segment'),
    })
    .prefault({}),
  harmBudget: later('harm budgets'),
  notify: z
    .strictObject({ watch: Targets, hold: Targets, kill: Targets, digest: Duration.prefault('15m') })
    .prefault({}),
  governance: Governance.prefault({}),
});

function tick() {
  return Duration.refine((ms) => ms >= 200 && ms <= 3_600_000, { error: 'from 0.2s to 1h' });
}

/** Gates, health checks, error budget and governance. Input: the authored form; output: defaults filled in, ms, shares. */
export const GatePolicy = z.strictObject({
  apiVersion: z.literal('tidegate.dev/v1'),
  kind: z.literal('GatePolicy'),
  metadata: z.strictObject({
    name: Name,
    version: z.int().min(1),
    owner: Owner,
    rationale: z.string().max(2000).prefault(''),
    /** A local day; a reminder, never a block. */
    reviewBy: orNull(z.iso.date({ error: 'write a date such as "2027-03-01"' })),
    /** The policy that this one inherits from (`catalogue.ts`); kept in the effective policy to say where it is from. */
    extends: orNull(PolicyPin),
  }),
  spec: PolicySpec,
});
export type GatePolicy = z.output<typeof GatePolicy>;
export type AuthoredPolicy = z.input<typeof GatePolicy>;

/** Reads the authored JSON of a policy that extends nothing, or that everything inherited is written into already. */
export function parseEffective(json: unknown): Parsed<GatePolicy> {
  return parseDocument(GatePolicy, json);
}

/** Reads the authored JSON of a policy that stands alone. One that extends another means nothing without it. */
export function parsePolicy(json: unknown): Parsed<GatePolicy> {
  const parsed = parseEffective(json);
  if (!parsed.ok || parsed.value.metadata.extends === null) return parsed;
  const message = `${parsed.value.metadata.extends} has to be read first: what it says is missing here`;
  return { ok: false, problems: [{ path: 'metadata.extends', at: ['metadata', 'extends'], key: false, message }] };
}
