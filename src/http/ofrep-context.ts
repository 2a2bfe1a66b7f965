import type { Context } from '@tidegate/core';
import { jsonDepth } from './raw.ts';

export type ContextRead =
  | { readonly ok: true; readonly context: Context }
  | { readonly ok: false; readonly errorCode: 'PARSE_ERROR' | 'INVALID_CONTEXT'; readonly errorDetails: string };

const maxBodyDepth = 20;
const maxAttributes = 64;
const maxContextDepth = 5;

const isObject = (value: unknown): value is Context =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Reads the evaluation context out of an OFREP body. No context, and a context without a targeting key, is an anonymous
 * visitor; flags that bucket on the key then fall to their default.
 */
export function readContext(bytes: Buffer): ContextRead {
  const depth = jsonDepth(bytes);
  if (depth > maxBodyDepth) return unusable('PARSE_ERROR', `nested deeper than ${maxBodyDepth}`);
  const body = parse(bytes);
  if (!isObject(body)) return unusable('PARSE_ERROR', 'the body is not a JSON object');
  const context = body.context === undefined ? {} : body.context;
  if (!isObject(context)) return unusable('INVALID_CONTEXT', 'context is not an object');
  const { targetingKey } = context;
  if (targetingKey !== undefined && typeof targetingKey !== 'string') {
    return unusable('INVALID_CONTEXT', 'targetingKey is not a string');
  }
  if (Object.keys(context).length > maxAttributes) {
    return unusable('INVALID_CONTEXT', `more than ${maxAttributes} attributes`);
  }
  // The context is one level inside the body, so a shallow body needs no second look.
  if (depth > maxContextDepth + 1 && depthOf(context) > maxContextDepth) {
    return unusable('INVALID_CONTEXT', `attributes nested deeper than ${maxContextDepth}`);
  }
  return { ok: true, context };
}

const unusable = (errorCode: 'PARSE_ERROR' | 'INVALID_CONTEXT', errorDetails: string): ContextRead => ({
  ok: false,
  errorCode,
  errorDetails,
});

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}

const depthOf = (value: unknown): number =>
  typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0;
