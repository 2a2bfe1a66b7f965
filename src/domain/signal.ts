import { z } from 'zod';
import { choice, Duration, Name, Owner, type Parsed, parseDocument } from './document.ts';
import { metrics } from './metrics.ts';

/** Web vitals that beacons carry; the keys of `Cell.metrics`. CLS is stored x 1000 and read plain. */
export const vitals = ['LCP', 'INP', 'CLS', 'FCP', 'TTFB'] as const;
export type Vital = (typeof vitals)[number];

/** Dimensions of which evidence keeps marginals. */
export const dimensions = ['region', 'browser', 'device'] as const;

/** Quantiles that have a frozen reference bin (`Reference.bins`), in that order. */
export const quantiles = [0.5, 0.75, 0.9, 0.95, 0.99] as const;

/**
 * Where a signal is read in the evidence (`evidence.ts`). The vocabulary is closed:
 *
 * | event | field | statistic | events of trials |
 * |---|---|---|---|
 * | `web_vital` | `LCP`, `INP`, `CLS`, `FCP`, `TTFB` | quantile | `metrics[field]`, clustered by unit |
 * | `web_vital` | the same | mean | `sum / n` of `metrics[field]`: of winsorised values (`metrics.ts`) |
 * | `error` | `units` | proportion | `err` of `exposed` |
 * | `error` | `views` | rate, proportion | `errViews` of `views`, clustered by unit |
 * | `silence` | `units` | proportion | `issued - seen` of `issued`, over the mature counters |
 * | `end` | `views` | proportion | `ends` of `starts` |
 * | `conversion` | name of the conversion | proportion | `converted[field]`: units older than `maturity` |
 */
const Source = z.discriminatedUnion(
  'event',
  [
    z.strictObject({ type: rumType(), event: z.literal('web_vital'), field: z.enum(vitals) }),
    z.strictObject({ type: rumType(), event: z.literal('error'), field: choice(['units', 'views']) }),
    z.strictObject({ type: rumType(), event: z.literal('silence'), field: z.literal('units') }),
    z.strictObject({ type: rumType(), event: z.literal('end'), field: z.literal('views') }),
    z.strictObject({
      type: rumType(),
      event: z.literal('conversion'),
      field: z.string().regex(/^[a-z0-9_-]{1,32}$/, { error: 'a conversion name is a-z, 0-9, "_" or "-"' }),
    }),
  ],
  { error: 'use one of the events web_vital, error, silence, end, conversion' },
);
export type SignalSource = z.output<typeof Source>;

function rumType() {
  return choice(['rum'], ['server', 'derived', 'synthetic', 'external']);
}

const Statistic = z.strictObject({
  kind: choice(['proportion', 'rate', 'mean', 'quantile'], ['ratio']),
  /** Of a quantile only. */
  q: z.literal(quantiles, { error: `use one of ${quantiles.join(', ')}` }).optional(),
});

/** How a source can be read, the usual way first, and what one observation of it is. */
function readingOf(source: SignalSource): {
  readonly kinds: readonly z.output<typeof Statistic>['kind'][];
  readonly unit: 'user' | 'pageview';
} {
  switch (source.event) {
    case 'web_vital':
      return { kinds: ['quantile', 'mean'], unit: 'pageview' };
    case 'error':
      return source.field === 'units'
        ? { kinds: ['proportion'], unit: 'user' }
        : { kinds: ['rate', 'proportion'], unit: 'pageview' };
    case 'end':
      return { kinds: ['proportion'], unit: 'pageview' };
    case 'silence':
    case 'conversion':
      return { kinds: ['proportion'], unit: 'user' };
  }
}

const halfAnHour = 30 * 60_000;

const SignalSpec = z
  .strictObject({
    /** A surrogate may never kill; bake counts only while every core signal has usable evidence. */
    class: choice(['core', 'surrogate', 'health']),
    domain: choice(['experience', 'errors', 'latency', 'business', 'satisfaction', 'traffic']),
    source: Source,
    statistic: Statistic,
    /**
     * What one observation is. Inference is clustered by the assignment unit in every case. Beacons carry no session of
     * their own, so a `session` is the assignment unit within one stage epoch, which is what `user` says too: it is read
     * as `user`. Whoever wants sessions compared assigns by session (`unit.key` of the plan).
     */
    analysisUnit: choice(['user', 'session', 'pageview']).transform((unit) => (unit === 'session' ? 'user' : unit)),
    direction: choice(['lower_is_better', 'higher_is_better']),
    /**
     * Ms from a unit's first exposure until it counts, with the value it has then; 0 for all but conversions. Default:
     * 30 minutes.
     */
    maturity: Duration.optional(),
    /** Says what is so: values are winsorised as they are stored, each vital at its own limit (`metrics.ts`). */
    cap: z.number().gt(0).optional(),
    freshness: z
      .strictObject({ expectedLag: Duration.prefault('20s'), staleAfter: Duration.prefault('5m') })
      .prefault({}),
    sampling: z
      .strictObject({
        rate: z.number().gt(0).max(1).prefault(1),
        /** Beacons seen / exposures issued, 0..1. */
        minCoverage: z.number().min(0).max(1).prefault(0.6),
      })
      .prefault({}),
    dimensions: z.array(choice(dimensions)).prefault([...dimensions]),
    privacy: z
      .strictObject({
        /** No smaller cell is shown or tested, units. */
        minCell: z.int().min(1).prefault(50),
      })
      .prefault({}),
  })
  .superRefine((spec, context) => {
    const { source, statistic, analysisUnit, maturity, cap, freshness } = spec;
    const complain = (path: string[], message: string): void => context.addIssue({ code: 'custom', path, message });
    const { kinds, unit } = readingOf(source);
    if (!kinds.includes(statistic.kind))
      complain(['statistic', 'kind'], `${source.event} ${source.field} is read as a ${kinds.join(' or a ')}`);
    if ((statistic.kind === 'quantile') !== (statistic.q !== undefined))
      complain(['statistic', 'q'], 'a quantile, and nothing else, needs `q`, for example 0.75');
    if (analysisUnit !== unit) complain(['analysisUnit'], `one observation of this event is a ${unit}`);
    if (maturity !== undefined && source.event !== 'conversion')
      complain(['maturity'], 'only a conversion waits for its units to mature; leave it out');
    if (cap !== undefined && cap !== limitOf(source)) complain(['cap'], capMessage(source));
    if (freshness.staleAfter <= freshness.expectedLag)
      complain(['freshness', 'staleAfter'], 'must be longer than `expectedLag`, or evidence is born stale');
  })
  .transform(({ maturity, cap: _, ...spec }) => ({
    ...spec,
    maturity: spec.source.event === 'conversion' ? (maturity ?? halfAnHour) : 0,
  }));

/** The winsorising limit of a vital, as people write its values: ms, or plain CLS. */
function limitOf(source: SignalSource): number | null {
  return source.event === 'web_vital' ? metrics[source.field].winsor / metrics[source.field].scale : null;
}

function capMessage(source: SignalSource): string {
  if (source.event !== 'web_vital') return 'only the values of web vitals have a limit; leave it out';
  const limit = `${limitOf(source)} ${metrics[source.field].unit}`.trim();
  return `not_supported_yet: own limits; ${source.field} is stored with the limit ${limit}, so leave \`cap\` out`;
}

/** A measured quantity. Input: the authored form; output: the same with defaults filled in and durations in ms. */
export const Signal = z.strictObject({
  apiVersion: z.literal('tidegate.dev/v1'),
  kind: z.literal('Signal'),
  metadata: z.strictObject({
    name: Name,
    version: z.int().min(1),
    owner: Owner,
    description: z.string().max(500).prefault(''),
  }),
  spec: SignalSpec,
});
export type Signal = z.output<typeof Signal>;
export type AuthoredSignal = z.input<typeof Signal>;

/** Reads the authored JSON of a signal. */
export function parseSignal(json: unknown): Parsed<Signal> {
  return parseDocument(Signal, json);
}

function builtin(name: string, description: string, spec: AuthoredSignal['spec']): Signal {
  const metadata = { name, version: 1, owner: 'tidegate', description };
  return Signal.parse({ apiVersion: 'tidegate.dev/v1', kind: 'Signal', metadata, spec });
}

function vitalP75(vital: Vital, kind: Pick<AuthoredSignal['spec'], 'class' | 'domain'>, description: string): Signal {
  return builtin(`${vital.toLowerCase()}_p75`, description, {
    ...kind,
    source: { type: 'rum', event: 'web_vital', field: vital },
    statistic: { kind: 'quantile', q: 0.75 },
    analysisUnit: 'pageview',
    direction: 'lower_is_better',
  });
}

/** Signals that exist without being declared. A document of the same name and a higher version replaces them. */
export const builtinSignals: readonly Signal[] = [
  builtin('js_error_rate', 'Units with at least one uncaught error', {
    class: 'core',
    domain: 'errors',
    source: { type: 'rum', event: 'error', field: 'units' },
    statistic: { kind: 'proportion' },
    analysisUnit: 'user',
    direction: 'lower_is_better',
  }),
  builtin('beacon_silence', 'Units that were issued an exposure and were never heard of', {
    class: 'health',
    domain: 'traffic',
    source: { type: 'rum', event: 'silence', field: 'units' },
    statistic: { kind: 'proportion' },
    analysisUnit: 'user',
    direction: 'lower_is_better',
  }),
  vitalP75('LCP', { class: 'core', domain: 'experience' }, 'Largest Contentful Paint, ms'),
  vitalP75('INP', { class: 'core', domain: 'experience' }, 'Interaction to Next Paint, ms'),
  vitalP75('CLS', { class: 'core', domain: 'experience' }, 'Cumulative Layout Shift'),
  vitalP75('FCP', { class: 'surrogate', domain: 'experience' }, 'First Contentful Paint, ms'),
  vitalP75('TTFB', { class: 'surrogate', domain: 'latency' }, 'Time to First Byte, ms'),
  builtin('end_rate', 'Page views that reported their end, of those that reported their start', {
    class: 'health',
    domain: 'traffic',
    source: { type: 'rum', event: 'end', field: 'views' },
    statistic: { kind: 'proportion' },
    analysisUnit: 'pageview',
    direction: 'higher_is_better',
  }),
];

/** `js_error_rate` (newest version) or `js_error_rate@2` among the known signals; null when there is none. */
export function findSignal(reference: string, known: readonly Signal[]): Signal | null {
  const [name, version] = reference.split('@');
  const named = known.filter((signal) => signal.metadata.name === name);
  const wanted =
    version === undefined
      ? named.toSorted((a, b) => b.metadata.version - a.metadata.version)
      : named.filter((signal) => signal.metadata.version === Number(version));
  return wanted[0] ?? null;
}
