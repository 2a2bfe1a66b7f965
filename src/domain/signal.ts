import { z } from 'zod';
import { choice, Duration, later, Name, Owner, type Parsed, parseDocument } from './document.ts';

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
 * | `web_vital` | `LCP`, `INP`, `CLS`, `FCP`, `TTFB` | quantile | `metrics[field]`, clustered by its shards |
 * | `error` | `units` | proportion | `err` of `exposed` |
 * | `silence` | `units` | proportion | `issued - seen` of `issued`, over the mature counters |
 * | `end` | `views` | proportion | `ends` of `starts` |
 * | `conversion` | name of the conversion | proportion | `conv:<field>` of `exposed` |
 */
const Source = z.discriminatedUnion(
  'event',
  [
    z.strictObject({ type: rumType(), event: z.literal('web_vital'), field: z.enum(vitals) }),
    z.strictObject({ type: rumType(), event: z.literal('error'), field: z.literal('units') }),
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
  kind: choice(['proportion', 'quantile'], ['mean', 'rate', 'ratio']),
  /** Of a quantile only. */
  q: z.literal(quantiles, { error: `use one of ${quantiles.join(', ')}` }).optional(),
});

const SignalSpec = z
  .strictObject({
    /** A surrogate may never kill; bake counts only while every core signal has usable evidence. */
    class: choice(['core', 'surrogate', 'health']),
    domain: choice(['experience', 'errors', 'latency', 'business', 'satisfaction', 'traffic']),
    source: Source,
    statistic: Statistic,
    /** What one observation is. Inference is clustered by the assignment unit (`user`) in every case. */
    analysisUnit: choice(['user', 'pageview'], ['session']),
    direction: choice(['lower_is_better', 'higher_is_better']),
    cap: later('own winsorising limits; each metric has one'),
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
    const vital = spec.source.event === 'web_vital';
    const complain = (path: string[], message: string): void => context.addIssue({ code: 'custom', path, message });
    if (vital !== (spec.statistic.kind === 'quantile'))
      complain(
        ['statistic', 'kind'],
        vital ? 'a web vital is read as a quantile' : 'this event is read as a proportion',
      );
    if ((spec.statistic.kind === 'quantile') !== (spec.statistic.q !== undefined))
      complain(['statistic', 'q'], 'a quantile, and nothing else, needs `q`, for example 0.75');
    const unit = vital || spec.source.event === 'end' ? 'pageview' : 'user';
    if (spec.analysisUnit !== unit) complain(['analysisUnit'], `one observation of this event is a ${unit}`);
    if (spec.freshness.staleAfter <= spec.freshness.expectedLag)
      complain(['freshness', 'staleAfter'], 'must be longer than `expectedLag`, or evidence is born stale');
  });

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
