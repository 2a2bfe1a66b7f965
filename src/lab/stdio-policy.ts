import type { Parsed } from '../domain/document.ts';
import { type AuthoredPlan, parsePlan, type RolloutPlan } from '../domain/plan.ts';
import { type AuthoredPolicy, type GatePolicy, parsePolicy } from '../domain/policy.ts';
import { type AuthoredSignal, parseSignal, quantiles, type Signal, type Vital, vitals } from '../domain/signal.ts';
import { Malformed, type StdioMetric, type StdioPlan } from './stdio-protocol.ts';

/** The numbers of the policy that a plan of the driver becomes. */
const tuned = {
  /**
   * Besides proof that the treatment is worse at all, a kill asks for evidence of 2 against the kill margin: a harmless
   * change of a few percent, proven beyond doubt after days, is no reason to kill.
   */
  marginConfidence: '50%',
  /** Units per arm: counts are exact from the first event on, a quantile is asymptotic. */
  minSamples: { quantile: 10, rate: 0, proportion: 0 },
  /** Units per arm and stage before a ramp: three page views each are the 75 without which a quantile has no bound. */
  stageUnits: 25,
  /** A watch costs little and a driver asks for none: never stricter than a kill. */
  holdAlphaAtLeast: 0.02,
  /** Kill margins where the plan gives none: half of what should be found quickly. */
  killMargin: { quantile: 0.05, rate: 0.1, proportion: 0.05 },
  /**
   * Harm that the next exposure may still risk, averaged over its audience (bound x next exposure), and the tightest
   * that a plan's `rampMargin` makes of it: tighter bounds of rare events take longer than any rollout lasts.
   */
  harmCap: {
    quantile: { usual: 0.05, tightest: 0.02 },
    rate: { usual: 0.2, tightest: 0.1 },
    proportion: { usual: 0.15, tightest: 0.1 },
  },
  /** Minutes. At one unit a second and 1 % a minute without treatment is common, half an hour without it is a fault. */
  expectedLag: 5,
  staleAfter: 30,
  /** Minutes until a conversion counts as not happened, where the plan does not say. */
  maturity: 30,
} as const;

/** Where the values of a metric go in the evidence. */
export type Slot =
  | { readonly to: 'vital'; readonly vital: Vital }
  | { readonly to: 'error' }
  | { readonly to: 'conversion'; readonly name: string };

/** One metric of the driver, as the judge knows it. */
export interface StdioSignal {
  readonly metric: StdioMetric;
  readonly slot: Slot;
  readonly signal: Signal;
}

export interface Documents {
  readonly plan: RolloutPlan;
  readonly policy: GatePolicy;
  readonly signals: readonly StdioSignal[];
}

const owner = 'stdio';
const apiVersion = 'tidegate.dev/v1';

/** A driver's plan as documents of the product: what people write, read by the same parsers. Throws `Malformed`. */
export function documentsOf(given: StdioPlan): Documents {
  const signals = signalsOf(given.metrics);
  return {
    plan: planOf(given),
    policy: accept(parsePolicy(policyOf(given, signals))),
    signals,
  };
}

function planOf({ stages, minDwellMinutes }: StdioPlan): RolloutPlan {
  const authored: AuthoredPlan = {
    apiVersion,
    kind: 'RolloutPlan',
    metadata: { name: 'stdio', flag: 'stdio', owner },
    spec: {
      policy: 'stdio@1',
      comparison: { control: { ratio: 'all' } },
      stages: stages.percents.map((exposure, i) => ({
        name: `stage-${i}`,
        exposure,
        bake: minutes(minDwellMinutes),
        minSamples: tuned.stageUnits,
      })),
    },
  };
  return accept(parsePlan(authored));
}

function policyOf({ alphaKill, alphaRamp, metrics }: StdioPlan, signals: readonly StdioSignal[]): AuthoredPolicy {
  return {
    apiVersion,
    kind: 'GatePolicy',
    metadata: { name: 'stdio', version: 1, owner },
    spec: {
      errorControl: { killAlpha: alphaKill, holdAlpha: Math.max(tuned.holdAlphaAtLeast, alphaKill) },
      harmCaps: {
        alpha: alphaRamp,
        slower: percent(capOf('quantile', metrics)),
        rate: percent(capOf('rate', metrics)),
        conversion: percent(capOf('proportion', metrics)),
      },
      gates: signals.map(({ metric, signal }) => ({
        name: `${signal.metadata.name}-kill`,
        signal: signal.metadata.name,
        tier: 'kill',
        owner,
        when: 'all',
        tests: [
          { type: 'relative', margin: '0%' },
          {
            type: 'relative',
            margin: percent(metric.killMargin ?? tuned.killMargin[metric.kind]),
            confidence: tuned.marginConfidence,
          },
        ],
        minSamples: tuned.minSamples[metric.kind],
      })),
      // What the driver exposes is its own affair: a hold says so, and never steps back by itself.
      health: { noData: { thenAction: 'stay' } },
    },
  };
}

function capOf(kind: StdioMetric['kind'], metrics: readonly StdioMetric[]): number {
  const { usual, tightest } = tuned.harmCap[kind];
  const given = metrics.flatMap((metric) => (metric.kind === kind ? [metric.rampMargin ?? usual] : []));
  return Math.max(tightest, Math.min(usual, ...given));
}

/** Quantiles take the web vital of their own name, or the next free one; the first bad share or rate is that of errors. */
function signalsOf(given: readonly StdioMetric[]): StdioSignal[] {
  const named = given.map((metric) => (metric.kind === 'quantile' ? vitalOf(metric) : null));
  const free = freeInOrder.filter((vital) => !named.includes(vital));
  const errors = given.findIndex(({ kind, worse }) => kind !== 'quantile' && worse === 'higher');
  return given.map((metric, i) => {
    if (given.findIndex(({ name }) => slug(name) === slug(metric.name)) < i)
      throw new Malformed(`plan.metrics.${i}.name: "${metric.name}" is used twice`);
    if (metric.kind !== 'quantile') return i === errors ? errorRate(metric) : conversion(metric);
    const vital = named[i] ?? free.shift();
    if (vital === undefined)
      throw new Malformed(`plan.metrics.${i}: at most ${vitals.length} quantile metrics; leave one out`);
    return quantileOf(metric, vital);
  });
}

const freeInOrder: readonly Vital[] = ['INP', 'FCP', 'TTFB', 'CLS', 'LCP'];

function vitalOf({ name }: StdioMetric): Vital | null {
  return vitals.find((vital) => vital === name.toUpperCase()) ?? null;
}

function quantileOf(metric: StdioMetric, vital: Vital): StdioSignal {
  const wanted = metric.q ?? 0.75;
  const q = quantiles.toSorted((a, b) => Math.abs(a - wanted) - Math.abs(b - wanted))[0] ?? 0.75;
  const signal = signalOf(metric, {
    domain: 'experience',
    source: { type: 'rum', event: 'web_vital', field: vital },
    statistic: { kind: 'quantile', q },
    analysisUnit: 'pageview',
  });
  return { metric, slot: { to: 'vital', vital }, signal };
}

function errorRate(metric: StdioMetric): StdioSignal {
  // A rate is of page views whatever it is reported per: they tell sooner, and their clustering is measured.
  const countsUnits = metric.kind === 'proportion' && metric.per === 'unit';
  const perUnit: Said = {
    domain: 'errors',
    source: { type: 'rum', event: 'error', field: 'units' },
    statistic: { kind: 'proportion' },
    analysisUnit: 'user',
  };
  const perView: Said = {
    domain: 'errors',
    source: { type: 'rum', event: 'error', field: 'views' },
    statistic: { kind: 'rate' },
    analysisUnit: 'pageview',
  };
  return { metric, slot: { to: 'error' }, signal: signalOf(metric, countsUnits ? perUnit : perView) };
}

/** Anything else that happens or does not: a unit has it once, whenever one of its page views does. */
function conversion(metric: StdioMetric): StdioSignal {
  const name = slug(metric.name).toLowerCase().replaceAll('.', '-').slice(0, 32);
  const signal = signalOf(metric, {
    domain: 'business',
    source: { type: 'rum', event: 'conversion', field: name },
    statistic: { kind: 'proportion' },
    analysisUnit: 'user',
    maturity: minutes(metric.maturityMinutes ?? tuned.maturity),
  });
  return { metric, slot: { to: 'conversion', name }, signal };
}

/** What differs between the kinds of metric. */
type Said = Pick<AuthoredSignal['spec'], 'domain' | 'source' | 'statistic' | 'analysisUnit' | 'maturity'>;

function signalOf({ name, worse }: StdioMetric, spec: Said): Signal {
  const authored: AuthoredSignal = {
    apiVersion,
    kind: 'Signal',
    metadata: { name: slug(name), version: 1, owner },
    spec: {
      ...spec,
      class: 'core',
      direction: worse === 'higher' ? 'lower_is_better' : 'higher_is_better',
      freshness: { expectedLag: minutes(tuned.expectedLag), staleAfter: minutes(tuned.staleAfter) },
    },
  };
  return accept(parseSignal(authored));
}

/** A name as documents allow it. */
function slug(name: string): string {
  return name
    .replace(/[^A-Za-z0-9._-]/g, '-')
    .replace(/^[._-]+/, 'm-')
    .slice(0, 50);
}

function percent(share: number): string {
  return `${Number((100 * share).toFixed(4))}%`;
}

function minutes(count: number): string {
  return `${Number(count.toFixed(3))}m`;
}

/** Our own documents are valid by construction, except where the driver's numbers are not. */
function accept<T>(parsed: Parsed<T>): T {
  if (parsed.ok) return parsed.value;
  throw new Malformed(`plan: ${parsed.problems.map(({ path, message }) => `${path}: ${message}`).join('; ')}`);
}
