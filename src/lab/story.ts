import { z } from 'zod';
import { choice, Duration, Name, orNull, type Parsed, parseDocument, Share } from '../domain/document.ts';
import { vitals } from '../domain/signal.ts';

export const browsers = ['chrome', 'safari', 'firefox', 'edge', 'other'] as const;
export const devices = ['mobile', 'desktop', 'tablet'] as const;

/** The visitors, before anything is wrong with the treatment. */
const World = z
  .strictObject({
    /** Units a second over the whole audience, mean of a day; 3 unless the story says otherwise. */
    rate: z.number().gt(0).max(1000).prefault(3),
    /** How far the rate swings around its mean in a day. */
    dailyRate: Share.prefault('50%'),
    /** Page views a unit, mean; geometric. */
    pageViews: z.number().min(1).max(10).prefault(3),
    lcp: z
      .strictObject({
        median: Duration.prefault('2s'),
        /** `heavy`: a Pareto tail of index 1.5 from the 90th percentile on. */
        tail: choice(['lognormal', 'heavy']).prefault('lognormal'),
        /** How far the median swings in a day. */
        daily: Share.prefault('8%'),
      })
      .prefault({}),
    /** Page views with an uncaught error, all of them in a share of the units. */
    errors: z.strictObject({ share: Share.prefault('1%'), ofUnits: Share.prefault('10%') }).prefault({}),
    /** Units that convert, and how long that takes, mean. */
    conversion: z.strictObject({ share: Share.prefault('5%'), lag: Duration.prefault('8m') }).prefault({}),
    /** Units that are issued an exposure and never heard of. */
    silent: Share.prefault('2%'),
  })
  .prefault({});

/** When the fault is there: from the first exposure on unless told otherwise. */
const when = {
  from: orNull(
    z.strictObject({
      /** Percent: only once so much is served. */
      exposure: orNull(z.number().gt(0).max(100)),
      /** Since the first exposure. */
      after: orNull(Duration),
    }),
  ),
  until: orNull(Duration),
};

/** Whom the fault meets; everybody unless told otherwise. */
const whom = {
  only: orNull(
    z.union(
      [
        z.strictObject({ browser: choice(browsers) }),
        z.strictObject({ device: choice(devices) }),
        z.strictObject({ share: Share }),
      ],
      { error: 'write {browser: safari}, {device: mobile} or {share: 15%}' },
    ),
  ),
};

const times = z.number().gt(0).max(1000);

const Fault = z.discriminatedUnion(
  'kind',
  [
    z.strictObject({ kind: z.literal('none') }),
    z.strictObject({
      kind: z.literal('slow'),
      by: Share,
      metric: choice(vitals).prefault('LCP'),
      ...whom,
      ...when,
    }),
    z.strictObject({ kind: z.literal('faster'), by: Share, metric: choice(vitals).prefault('LCP'), ...whom, ...when }),
    z.strictObject({ kind: z.literal('errors'), times, ...whom, ...when }),
    /** The slowest page views become so many times slower. */
    z.strictObject({ kind: z.literal('tail'), share: Share.prefault('5%'), times, ...whom, ...when }),
    z.strictObject({ kind: z.literal('conversion_loss'), by: Share, ...whom, ...when }),
    /** The page dies before it can report anything. */
    z.strictObject({ kind: z.literal('white_screen'), share: Share.prefault('100%'), ...whom, ...when }),
    /** Nothing is wrong but the telemetry. */
    z.strictObject({ kind: z.literal('beacon_loss'), share: Share, ...whom, ...when }),
    /** Both arms: pages are slower, and page views fail. */
    z.strictObject({ kind: z.literal('outage'), errors: Share.prefault('30%'), times: times.prefault(2), ...when }),
    /** Both arms: devices that are so many times slower become more (or fewer). */
    z.strictObject({
      kind: z.literal('mix_drift'),
      times: times.prefault(1.8),
      fromShare: Share.prefault('20%'),
      toShare: Share.prefault('60%'),
      over: Duration.prefault('12h'),
    }),
    /** Somebody collects tokens of the treatment and reports errors and slow pages with them, from few networks. */
    z.strictObject({
      kind: z.literal('poison'),
      tokens: z.int().min(1).max(100_000),
      networks: z.int().min(1).max(1000).prefault(1),
      over: Duration.prefault('1h'),
      ...when,
    }),
  ],
  {
    error:
      'use one of none, slow, faster, errors, tail, conversion_loss, white_screen, beacon_loss, outage, mix_drift, poison',
  },
);

const expectations = ['killed', 'held', 'completed', 'not_completed', 'not_killed'] as const;
export type Expectation = (typeof expectations)[number];

/** What may go wrong with a rollout, and how it has to end. Input: the authored form; output: shares and ms. */
export const FaultStory = z.strictObject({
  apiVersion: z.literal('tidegate.dev/v1'),
  kind: z.literal('FaultStory'),
  metadata: z.strictObject({ name: Name, description: z.string().max(500).prefault('') }),
  spec: z.strictObject({
    world: World,
    fault: Fault.prefault({ kind: 'none' }),
    /** `held`: held or killed by its last day. `completed`: reached its last stage. */
    expect: choice(expectations),
    /** Of a kill: counted from the first unit that met the fault. */
    within: orNull(Duration),
    /** Share of the seeds that have to end so. */
    atLeast: Share.prefault('95%'),
  }),
});
export type FaultStory = z.output<typeof FaultStory>;
export type WorldSpec = FaultStory['spec']['world'];
export type Fault = FaultStory['spec']['fault'];

/** Reads the authored JSON of a story. */
export function parseStory(json: unknown): Parsed<FaultStory> {
  return parseDocument(FaultStory, json);
}
