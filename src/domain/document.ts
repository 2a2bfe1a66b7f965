import { z } from 'zod';
import { durationPattern, parseDuration, parseShare, sharePattern } from './duration.ts';

/** One thing wrong with a document. `at` is `path` in steps, so that a YAML reader finds the line and column. */
export interface DocumentProblem {
  /** `spec.stages.1.bake`; empty for the document itself. */
  readonly path: string;
  readonly at: readonly (string | number)[];
  /** The key itself is wrong (unknown), not its value. */
  readonly key: boolean;
  readonly message: string;
}

export type JsonMap = { readonly [key: string]: unknown };

export function isMap(value: unknown): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field that the format reserves and this release refuses; the message starts with `not_supported_yet`. */
export function later(what: string) {
  return z.never({ error: `not_supported_yet: ${what}` }).optional();
}

/** An enum of which some members are reserved for later. */
export function choice<const T extends readonly [string, ...string[]]>(now: T, reserved: readonly string[] = []) {
  return z.enum(now, {
    error: ({ input }) =>
      typeof input === 'string' && reserved.includes(input)
        ? `not_supported_yet: "${input}"; use ${now.join(', ')}`
        : `use one of ${now.join(', ')}`,
  });
}

/** Name of a document, stage, wave or gate: no slash, because a rollout is called `<plan>/<wave>`. */
export const Name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, {
  error: 'a name is 1 to 63 letters, digits, ".", "_" or "-", starting with a letter or digit',
});

export const Owner = z.string().min(1, { error: 'name the owning team or person' }).max(128);

/** A duration as text; inside, milliseconds. */
export const Duration = z
  .string({ error: 'write a duration such as "30s", "20m", "4h" or "7d"' })
  .regex(durationPattern, { error: 'write a duration such as "30s", "20m", "4h" or "7d"' })
  .transform((text) => parseDuration(text) ?? 0);

/** A percentage as text; inside, a share (0.08). */
export const Share = z
  .string({ error: 'write a percentage such as "8%"' })
  .regex(sharePattern, { error: 'write a percentage such as "8%"' })
  .transform((text) => parseShare(text) ?? 0);

/** A field that may be left out; inside, null then. */
export function orNull<T extends z.ZodType>(schema: T) {
  return schema.optional().transform((value) => value ?? null);
}

export const Approval = z.strictObject({
  /** Groups of which the approvers must be members. */
  roles: z.array(Name).min(1, { error: 'name at least one role that may approve' }),
  count: z.int().min(1).max(10).prefault(1),
  /** Approvers of distinct teams. */
  distinctTeams: z.boolean().prefault(false),
  /** The author of the plan does not count. */
  notAuthor: z.boolean().prefault(true),
});
export type Approval = z.output<typeof Approval>;

export const Targets = z
  .array(z.string().regex(/^webhook:[A-Za-z0-9._-]+$/, { error: 'write a target as "webhook:<name>"' }))
  .prefault([]);

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problems: readonly DocumentProblem[] };

/** The inside type of an authored document, or everything that is wrong with it. */
export function parseDocument<S extends z.ZodType>(schema: S, json: unknown): Parsed<z.output<S>> {
  const parsed = schema.safeParse(json, { reportInput: true });
  return parsed.success ? { ok: true, value: parsed.data } : { ok: false, problems: problemsOf(parsed.error) };
}

/** Every problem of a failed parse: unknown keys one by one, unions by the member that the author seems to have meant. */
function problemsOf(error: z.ZodError): DocumentProblem[] {
  return error.issues.flatMap((issue) => flatten(issue, []));
}

type Issue = z.core.$ZodIssue;

function flatten(issue: Issue, above: readonly (string | number)[]): DocumentProblem[] {
  const at = [...above, ...issue.path.filter((step) => typeof step !== 'symbol')];
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => problem([...at, key], `unknown key "${key}"`, true));
  if (issue.code === 'invalid_union') {
    const meant = issue.errors.find((issues) => issues.some((inner) => inner.path.length > 0 || isContent(inner)));
    if (meant !== undefined) return meant.flatMap((inner) => flatten(inner, at));
  }
  return [problem(at, missing(issue) ? `${at.at(-1) ?? 'document'} is missing` : issue.message, false)];
}

/** The value had the type that this member of the union asks for, and something else was wrong with it. */
function isContent(issue: Issue): boolean {
  return issue.code !== 'invalid_type' && issue.code !== 'invalid_union' && issue.code !== 'invalid_value';
}

function missing(issue: Issue): boolean {
  return (issue.code === 'invalid_type' || issue.code === 'invalid_value') && issue.input === undefined;
}

/** `key`: the key itself is wrong, not its value. */
export function problem(at: DocumentProblem['at'], message: string, key = false): DocumentProblem {
  return { path: at.join('.'), at, key, message };
}
