import { z } from 'zod';
import { type DocumentProblem, parseDocument } from '../domain/document.ts';
import { parseShare } from '../domain/duration.ts';

/** A message that cannot be used. Its text says where and what; the session goes on as if it had not come. */
export class Malformed extends Error {
  override name = 'Malformed';
}

const Text = z.union([z.string(), z.number()]).transform(String);

/** A share as a number (0.05) or as text ("5%"). */
const Share = z.union([z.number(), z.string().transform((text, context) => parseShare(text) ?? fail(text, context))], {
  error: 'write a share such as 0.05 or "5%"',
});

function fail(input: string, context: z.RefinementCtx): never {
  context.addIssue({ code: 'custom', message: 'write a share such as 0.05 or "5%"', input });
  return z.NEVER;
}

const Alpha = Share.refine((alpha) => alpha > 0 && alpha <= 0.5, { error: 'an error rate is above 0 and at most 0.5' });

const units = ['session', 'unit', 'user'];
const pageviews = ['pageview', 'page_view', 'page', 'view'];

const Metric = z
  .object({
    name: z.string().min(1).max(200),
    kind: z.enum(['quantile', 'rate', 'proportion'], { error: 'use one of quantile, rate, proportion' }),
    q: z
      .number()
      .gt(0)
      .lt(100)
      .nullish()
      .transform((q) => (q == null ? null : q < 1 ? q : q / 100)),
    per: z
      .string()
      .nullish()
      .transform((per) => per?.toLowerCase() ?? null)
      .refine((per) => per === null || units.includes(per) || pageviews.includes(per), {
        error: `use one of ${[...units, ...pageviews].join(', ')}`,
      })
      .transform((per): 'unit' | 'pageview' | null =>
        per === null ? null : units.includes(per) ? 'unit' : 'pageview',
      ),
    worse: z.enum(['higher', 'lower'], { error: 'use higher or lower' }).nullish(),
    killMargin: Share.refine((margin) => margin >= 0, { error: 'a margin is at least 0' }).nullish(),
    rampMargin: Share.refine((margin) => margin > 0, { error: 'a margin is above 0' }).nullish(),
    maturityMinutes: z.number().min(0).max(10_000).nullish(),
  })
  .transform((metric) => ({
    ...metric,
    worse: metric.worse ?? (metric.kind === 'proportion' ? ('lower' as const) : ('higher' as const)),
    killMargin: metric.killMargin ?? null,
    rampMargin: metric.rampMargin ?? null,
    maturityMinutes: metric.maturityMinutes ?? null,
  }));
/** A metric as the driver declares it: margins as shares, `q` in 0..1, null for what was left out. */
export type StdioMetric = z.output<typeof Metric>;

const Stage = z.union([z.number(), z.object({ exposure: z.number() }).transform(({ exposure }) => exposure)], {
  error: 'a stage is an exposure, or an object with one',
});

/** Exposures as percent with 3 decimals: where no number is above 1, they are fractions. */
const Stages = z
  .array(Stage)
  .min(1, { error: 'a plan has at least one stage' })
  .max(50)
  .transform((stages) => {
    const factor = Math.max(...stages) <= 1 ? 100 : 1;
    return { percents: stages.map((stage) => Number((stage * factor).toFixed(3))), factor };
  })
  .refine(({ percents }) => percents.every((percent) => percent > 0 && percent <= 100), {
    error: 'an exposure is above 0 and at most 100 %',
  });

/** Arrays of a message are as long as the traffic: their cells are checked where they are read (`stdio-columns.ts`). */
const Columns = z.record(z.string(), z.unknown());

const Start = z
  .object({
    type: z.literal('start'),
    protocol: z.literal('gate-judge/1', { error: 'this program speaks "gate-judge/1"' }).optional(),
    run: Text.nullish(),
    plan: z.object({
      stages: Stages,
      minDwellMinutes: z.number().min(0).max(100_000).prefault(0),
      alphaKill: Alpha.prefault(0.01),
      alphaRamp: Alpha.prefault(0.05),
      metrics: z.array(Metric).min(1, { error: 'a plan has at least one metric' }).max(20),
    }),
    history: Columns.nullish(),
  })
  .transform(({ run, history, ...start }) => ({ ...start, run: run ?? '', history: history ?? {} }));
export type Start = z.output<typeof Start>;
export type StdioPlan = Start['plan'];

const Minute = z
  .object({
    type: z.literal('minute'),
    t: z.number(),
    stage: z.int({ error: 'a stage is its index in the plan, from 0' }).min(0),
    dwell: z.number().nullish(),
    exposure: z.number().nullish(),
    samples: Columns.nullish(),
  })
  .transform(({ dwell, exposure, samples, ...minute }) => ({
    ...minute,
    dwell: dwell ?? null,
    exposure: exposure ?? null,
    samples: samples ?? {},
  }));
export type Minute = z.output<typeof Minute>;

const End = z.object({ type: z.literal('end') });

const Message = z.discriminatedUnion('type', [Start, Minute, End], {
  error: 'a message is an object with the type start, minute or end',
});
export type Message = z.output<typeof Message>;

/** Python and others write numbers that are none into JSON: they mean that a value is missing. */
const noNumber = /([:,[]\s*)(?:-?Infinity|NaN)(?=\s*[,\]}])/g;

/** One line of input. Throws `Malformed`. */
export function parseMessage(line: string): Message {
  const parsed = parseDocument(Message, readJson(line));
  if (!parsed.ok) throw new Malformed(parsed.problems.slice(0, 3).map(textOf).join('; '));
  return parsed.value;
}

function textOf({ path, message }: DocumentProblem): string {
  return path === '' ? message : `${path}: ${message}`;
}

function readJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    const repaired = line.replace(noNumber, '$1null');
    if (repaired !== line) return readJson(repaired);
    throw new Malformed(`this line is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export interface Answer {
  readonly action: 'ramp' | 'hold' | 'watch' | 'kill';
  readonly reason: string;
}

export type Reply =
  | { readonly type: 'ready' }
  | Answer
  | { readonly type: 'bye' }
  | { readonly type: 'error'; readonly line: number; readonly message: string };
