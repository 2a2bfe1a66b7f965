import type { Json } from './flag.ts';

/** Nesting that values outside rules (variants, stored documents) may have. */
const valueDepth = 64;

export type JsonRecord = { readonly [key: string]: unknown };

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Keys that mean something to JavaScript's prototypes: refused wherever a document names its own keys. */
export function isForbiddenKey(key: string): boolean {
  return key === '__proto__' || key === 'constructor' || key === 'prototype';
}

/** Plain JSON without forbidden keys, NaN or infinities, nested at most 64 deep. */
export function isJson(value: unknown, depth = valueDepth): value is Json {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value);
    case 'object':
      if (value === null) return true;
      if (depth === 0) return false;
      if (Array.isArray(value)) return value.every((item) => isJson(item, depth - 1));
      return Object.entries(value).every(([key, item]) => !isForbiddenKey(key) && isJson(item, depth - 1));
    default:
      return false;
  }
}

/** Structural equality; what is nested deeper than any rule may be counts as different. */
export function sameJson(a: unknown, b: unknown, depth = 4 * valueDepth): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || depth === 0) return false;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, index) => sameJson(item, b[index], depth - 1));
  }
  if (!isRecord(a) || !isRecord(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key], depth - 1));
}
