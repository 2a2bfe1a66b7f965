import { canonical } from './canonical.ts';

/** One field that differs. A side that lacks the field is `undefined` (left out in JSON). */
export interface DiffLine {
  /** `spec.stages.1.exposure` */
  readonly path: string;
  readonly before: unknown;
  readonly after: unknown;
}

/** Fields in which two authored documents differ, in the order of `after`; `before` undefined lists every field. */
export function diff(before: unknown, after: unknown): DiffLine[] {
  return [...compare(before, after, '')];
}

function* compare(before: unknown, after: unknown, path: string): Generator<DiffLine> {
  const old = members(before);
  const fresh = members(after);
  if (old !== null && fresh !== null && (old.size > 0 || fresh.size > 0) && comparable(before, after)) {
    for (const key of new Set([...fresh.keys(), ...old.keys()]))
      yield* compare(old.get(key), fresh.get(key), path === '' ? key : `${path}.${key}`);
    return;
  }
  if (!same(before, after)) yield { path, before, after };
}

/** The fields of a container; of an absent one, none; null for a plain value. */
function members(value: unknown): ReadonlyMap<string, unknown> | null {
  if (value === undefined) return new Map();
  if (typeof value !== 'object' || value === null) return null;
  return new Map(Object.entries(value).filter(([, member]) => member !== undefined));
}

function comparable(before: unknown, after: unknown): boolean {
  return before === undefined || after === undefined || Array.isArray(before) === Array.isArray(after);
}

function same(before: unknown, after: unknown): boolean {
  if (before === undefined || after === undefined) return before === after;
  return canonical(before) === canonical(after);
}
