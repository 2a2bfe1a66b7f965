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
  Targets,
} from './document.ts';
import { Windows } from './plan-windows.ts';

const FlagKey = z.string().regex(/^[^\s\p{C}]{1,128}$/u, { error: 'a flag key is 1 to 128 characters without spaces' });
const PolicyPin = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}@[1-9]\d{0,8}$/, {
  error: 'pin an exact policy version, "name@7"; ranges are not possible',
});

/** `segment` is the entry of that name in `$evaluators` of the environment's flag set. */
const Condition = z.union([
  z.strictObject({
    attribute: z.string().min(1).max(128),
    in: z.array(z.union([z.string(), z.number(), z.boolean()])).min(1, { error: 'an empty list matches nobody' }),
  }),
  z.strictObject({ segment: Name }),
]);
export type Condition = z.output<typeof Condition>;

/** Served outside the hash while the rollout is exposed, never evidence: unit keys, or `segment:<name>`. */
const Pinned = z.array(z.string().min(1).max(256)).max(1000).prefault([]);

const Audience = z.strictObject({
  /** All must hold; empty = everybody. */
  include: z.array(Condition).prefault([]),
  /** Any removes. */
  exclude: z.array(Condition).prefault([]),
  always: z.strictObject({ treatment: Pinned, control: Pinned }).prefault({}),
});

/** `all` as a number: exposures have 3 decimals, so this outgrows every remainder and stays finite. */
const unboundedRatio = 1e9;

const Comparison = z.strictObject({
  control: z
    .strictObject({
      /** Control units per treatment unit. */
      ratio: z
        .union([z.number().min(1).max(10_000), z.enum(['matched', 'all'])], {
          error: 'write a number from 1, "matched" or "all"',
        })
        .prefault(4)
        .transform((ratio) => (ratio === 'matched' ? 1 : ratio === 'all' ? unboundedRatio : ratio)),
    })
    .prefault({}),
  /** Stays on control at exposure 100; null = nobody. */
  holdback: orNull(
    z.strictObject({
      /** Percent of the audience, up to 3 decimals. */
      percent: z.number().gt(0).max(50).multipleOf(0.001),
      for: Duration.prefault('14d'),
    }),
  ),
});

const Wave = z.strictObject({
  name: Name,
  environment: Name,
  /** `region` of the evaluation context; a trailing `*` matches any rest. Empty = every region. */
  regions: z
    .array(z.string().regex(/^[A-Za-z0-9_-]+\*?$|^\*$/, { error: 'a region, or a prefix such as "eu-*"' }))
    .prefault([]),
  after: orNull(
    z.strictObject({
      wave: Name,
      phase: choice(['ramping', 'soaking', 'completed']).prefault('completed'),
      bake: Duration.prefault('0s'),
    }),
  ),
  template: later('wave templates'),
});

const Start = z
  .strictObject({
    /** `at` without a time: as soon as approved. `after`: each wave when its own `after` is met. */
    trigger: choice(['manual', 'at', 'after'], ['deploy', 'evaluation']).prefault('at'),
    /** Epoch ms inside; null = at once. */
    at: orNull(
      z.iso
        .datetime({ offset: true, error: 'write an instant such as "2026-11-02T09:00:00Z"' })
        .transform((text) => instant(text)),
    ),
    /** null = nobody is asked. */
    approval: orNull(Approval),
    requires: later('flags that must be completed first'),
  })
  .refine((start) => start.at === null || start.trigger === 'at', { path: ['at'], error: '`at` needs `trigger: at`' });

/** Epoch ms of a checked RFC 3339 instant, by the civil-day count of Howard Hinnant (the domain has no Date). */
function instant(text: string): number {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0] = text.slice(0, 16).split(/[-T:]/).map(Number);
  const seconds = /^\d{4}-\d\d-\d\dT\d\d:\d\d:(\d\d(?:\.\d+)?)/.exec(text)?.[1] ?? '0';
  const [, sign, hours = '0', minutes = '0'] = /([+-])(\d\d):?(\d\d)$/.exec(text) ?? [];
  const offset = (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes));
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const yearOfEra = y - era * 400;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  const daysSinceEpoch = era * 146_097 + dayOfEra - 719_468;
  return ((daysSinceEpoch * 24 + hour) * 60 + minute - offset) * 60_000 + Math.round(Number(seconds) * 1000);
}

/** What must be true of the way from an evaluation to the evidence before anybody is exposed; `preflight.ts` asks it. */
export const preflightChecks = [
  'flag_evaluated',
  'exposures_received',
  'beacons_joined',
  'signals_fresh',
  'arms_balanced',
] as const;
export type PreflightCheck = (typeof preflightChecks)[number];

const Preflight = z.strictObject({
  /** `checks`: the telemetry works. `aa`: and no gate tells two arms apart that are served the same. */
  mode: choice(['checks', 'aa', 'skip']),
  /** Least time at exposure 0. What has not come true by its end holds the rollout. */
  duration: Duration.prefault('30m'),
  /** Of every core signal, 0..1. */
  minReliability: z.number().min(0).max(1).prefault(0.6),
  checks: z
    .array(choice(preflightChecks, ['power']))
    .min(1, { error: 'name at least one check, or write `mode: skip`' })
    .prefault([...preflightChecks]),
  drill: later('fire drills'),
});

const Stage = z.strictObject({
  name: Name,
  /** Percent of the audience served the treatment, 0 < exposure <= 100, up to 3 decimals. */
  exposure: z.number().multipleOf(0.001, { error: 'exposure has at most 3 decimals' }),
  /** Least time with usable evidence of both arms; 0 = none given. */
  bake: Duration.prefault('0s'),
  /** Units per arm, within the stage epoch. */
  minSamples: z.int().min(0).prefault(0),
  /** Null = waits for ever. */
  maxDwell: orNull(Duration),
  approval: orNull(Approval),
});
export type Stage = z.output<typeof Stage>;

const PlanSpec = z
  .strictObject({
    variations: z
      .strictObject({ treatment: z.string().min(1).prefault('on'), control: z.string().min(1).prefault('off') })
      .refine(({ treatment, control }) => treatment !== control, {
        path: ['control'],
        error: 'treatment and control are the same variant',
      })
      .prefault({}),
    unit: z
      .strictObject({
        /** Context attribute that is bucketed. */
        key: z.string().min(1).max(128).prefault('targetingKey'),
        /** Same seed, same order of units. Default: the plan's name. */
        seed: z.string().min(1).max(128).optional(),
        layer: later('mutually exclusive layers'),
      })
      .prefault({}),
    /** `name@version`. */
    policy: PolicyPin,
    audience: Audience.prefault({}),
    comparison: Comparison.prefault({}),
    /** Empty = one wave in the environment that is given on apply. */
    waves: z.array(Wave).max(20).prefault([]),
    start: Start.prefault({}),
    preflight: Preflight.prefault({ mode: 'skip' }),
    stages: z.array(Stage).min(1, { error: 'a plan has at least one stage' }).max(50),
    pace: z
      .strictObject({
        /** Percentage points in any 24 hours; null = no cap. */
        maxIncreasePerDay: orNull(z.number().gt(0).max(100)),
        adaptive: later('adaptive pace'),
      })
      .prefault({}),
    windows: Windows.prefault({}),
    onHold: z
      .strictObject({
        escalateAfter: orNull(Duration),
        /** Null = a hold never expires. */
        expireAfter: orNull(Duration),
        onExpire: choice(['baseline', 'stay']).prefault('baseline'),
      })
      .prefault({}),
    exposureLease: z
      .strictObject({ onExpiry: choice(['stay', 'baseline']).prefault('stay'), ttl: Duration.prefault('15m') })
      .prefault({}),
    limits: z.strictObject({ maxDuration: orNull(Duration) }).prefault({}),
    soak: z
      .strictObject({
        bake: Duration.prefault('0s'),
        /** Null = nobody watches after completion. */
        sentinel: orNull(z.strictObject({ for: Duration })),
      })
      .prefault({}),
    completion: z
      .strictObject({ notify: Targets, report: later('reports'), cleanup: later('flag expiry') })
      .prefault({}),
    /** False hides the flag from browsers: it is left out of OFREP answers to client keys. */
    clientVisible: z.boolean().prefault(true),
  })
  .superRefine((spec, context) => {
    unique(spec.stages, 'stages', context);
    unique(spec.waves, 'waves', context);
    if (spec.start.trigger === 'after' && spec.waves.every((wave) => wave.after === null))
      context.addIssue({
        code: 'custom',
        path: ['start', 'trigger'],
        message: '`after` needs a wave that says after what',
      });
  });

function unique(named: readonly { readonly name: string }[], key: string, context: z.core.$RefinementCtx): void {
  for (const [index, { name }] of named.entries())
    if (named.findIndex((other) => other.name === name) < index)
      context.addIssue({ code: 'custom', path: [key, index, 'name'], message: `"${name}" is used twice`, input: name });
}

/**
 * How one flag is to be exposed, as people write it; never contains runtime facts. The schema's input is the authored
 * form, which is what is stored, compared, digested and exported. Its output, the type `RolloutPlan`, keeps the names
 * and fills in every default: durations are ms, margins shares, a field without a default is null.
 */
export const RolloutPlan = z
  .strictObject({
    apiVersion: z.literal('tidegate.dev/v1'),
    kind: z.literal('RolloutPlan'),
    metadata: z.strictObject({
      name: Name,
      flag: FlagKey,
      project: orNull(Name),
      owner: Owner,
      labels: z.record(z.string().min(1).max(64), z.string().max(256)).prefault({}),
      change: orNull(
        z.strictObject({
          commit: z.string().optional(),
          pullRequest: z.string().optional(),
          ticket: z.string().optional(),
        }),
      ),
    }),
    spec: PlanSpec,
  })
  .transform((plan) => ({
    ...plan,
    spec: { ...plan.spec, unit: { key: plan.spec.unit.key, seed: plan.spec.unit.seed ?? plan.metadata.name } },
  }));
export type RolloutPlan = z.output<typeof RolloutPlan>;
export type AuthoredPlan = z.input<typeof RolloutPlan>;

/** Reads the authored JSON of a plan. */
export function parsePlan(json: unknown): Parsed<RolloutPlan> {
  return parseDocument(RolloutPlan, json);
}
