import { z } from 'zod';
import { Share } from './document.ts';
import { parseShare, scaleDown, sharePattern } from './duration.ts';

const certainty = 'from 50% to below 100%';
const isCertainty = (share: number): boolean => share >= 0.5 && share < 1;
const howSure = `write lower_bound, point, or a percentage ${certainty}`;

/**
 * How sure a breach must be. `lower_bound`: the whole interval is beyond the limit, within the error budget of the
 * gate's tier; `point`: the estimate alone is. A share c, written `"50%"`: the evidence against the limit is at least
 * 1/(1 - c), so 2 at 50 %. Beside a `lower_bound` test in a gate of `when: all` it makes the two-part rule: certain
 * that it is worse at all, and more likely than not worse than the margin.
 */
const Confidence = z
  .union(
    [
      z.enum(['lower_bound', 'point'], { error: howSure }),
      z
        .string({ error: howSure })
        .regex(sharePattern, { error: howSure })
        .transform((text) => parseShare(text) ?? 0)
        .refine(isCertainty, { error: howSure }),
    ],
    { error: howSure },
  )
  .prefault('lower_bound');

/** In the signal's unit; `"0.5pt"` for shares (0.005). */
const DifferenceMargin = z.union(
  [
    z.number().min(0),
    z
      .string()
      .regex(/^\d{1,3}(?:\.\d{1,4})?\s?pt$/)
      .transform((text) => scaleDown(text.replace(/\s?pt$/, ''))),
  ],
  { error: 'write a margin in the signal\'s unit, or points such as "0.5pt"' },
);

const Absolute = z
  .strictObject({
    type: z.literal('absolute'),
    max: z.number().optional(),
    min: z.number().optional(),
    confidence: Confidence,
  })
  .transform(({ max, min, ...test }) => ({ ...test, max: max ?? null, min: min ?? null }));

const TestObject = z.discriminatedUnion(
  'type',
  [
    Absolute,
    z.strictObject({ type: z.literal('difference'), margin: DifferenceMargin, confidence: Confidence }),
    z.strictObject({ type: z.literal('relative'), margin: Share, confidence: Confidence }),
    z.strictObject({
      type: z.literal('non_inferior'),
      margin: Share,
      /** Inside a share: 0.95. */
      confidence: Share.refine(isCertainty, { error: certainty }).prefault('95%'),
    }),
  ],
  {
    error: ({ input }) =>
      isReserved(input)
        ? 'not_supported_yet: adaptive and anomaly tests; use absolute, difference, relative or non_inferior'
        : 'a test has the type absolute, difference, relative or non_inferior',
  },
);

function isReserved(input: unknown): boolean {
  if (typeof input !== 'object' || input === null || !('type' in input)) return false;
  return input.type === 'adaptive' || input.type === 'anomaly';
}

const shorthand = /^(<=?|>=?)\s?(\+)?(\d{1,9}(?:\.\d{1,6})?)\s?(%|pt)?$/;

/**
 * Keptn's criteria: `"<0.02"` (and `">0.9"`) absolute, `"<=+10%"` relative, `"<=+0.5pt"` difference. The plus sign tells
 * "this much worse than control" from an absolute limit.
 */
function parseShorthand(text: string): Exclude<Test, { type: 'non_inferior' }> | null {
  const [, operator, plus, digits, unit] = shorthand.exec(text) ?? [];
  if (operator === undefined || digits === undefined) return null;
  const upper = operator.startsWith('<');
  const number = unit === undefined ? Number(digits) : scaleDown(digits);
  const confidence = 'lower_bound';
  if (plus === undefined)
    return { type: 'absolute', confidence, max: upper ? number : null, min: upper ? null : number };
  // A margin says how much worse is tolerated: "better by at least" is not a gate.
  if (!upper) return null;
  return { type: unit === '%' ? 'relative' : 'difference', confidence, margin: number };
}

const example = 'write a test such as "<0.02", "<=+10%" or "<=+0.5pt"';

/** One test of a gate, oriented by the signal so that up is worse: a margin is how much worse is tolerated. */
export const Test = z.union([
  z.string({ error: example }).transform((text, context) => {
    const test = parseShorthand(text);
    if (test !== null) return test;
    context.addIssue({ code: 'custom', message: example, input: text });
    return z.NEVER;
  }),
  TestObject,
]);
export type Test = z.output<typeof TestObject>;
