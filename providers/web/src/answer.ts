import type { FlagValue, Metadata } from '@tidegate/core';

/** What a bulk answer says about one flag. */
export interface Entry {
  /** Absent: the caller's code default applies. */
  readonly value?: FlagValue;
  readonly variant?: string;
  readonly reason: string;
  readonly errorCode?: string;
  readonly errorDetails?: string;
  readonly metadata: Metadata;
}

/** An OFREP bulk answer after the door. */
export interface Answer {
  readonly flags: ReadonlyMap<string, Entry>;
  readonly metadata: Metadata;
  /** Where changes are announced: absolute, or relative to the controller. */
  readonly streamUri: string | undefined;
  /** How long a hidden page keeps its stream. */
  readonly sleepAfterMs: number;
}

type Fields = { readonly [key: string]: unknown };

const defaultSleepAfterMs = 120_000;

/** Unknown fields are left alone, a flag without a key is skipped; `undefined` when it is no bulk answer at all. */
export function parseAnswer(value: unknown): Answer | undefined {
  if (!isFields(value) || !Array.isArray(value.flags)) return undefined;
  const flags = new Map<string, Entry>();
  for (const flag of value.flags) {
    if (isFields(flag) && typeof flag.key === 'string') flags.set(flag.key, entryOf(flag));
  }
  const streams: unknown[] = Array.isArray(value.eventStreams) ? value.eventStreams : [];
  const stream = streams.find((candidate) => isFields(candidate) && candidate.type === 'sse');
  const { url, endpoint, inactivityDelaySec } = isFields(stream) ? stream : {};
  const requestUri = isFields(endpoint) ? endpoint.requestUri : undefined;
  return {
    flags,
    metadata: primitivesOf(value.metadata),
    streamUri: text(requestUri) ?? text(url),
    sleepAfterMs: typeof inactivityDelaySec === 'number' ? inactivityDelaySec * 1000 : defaultSleepAfterMs,
  };
}

/** True for the one event that OFREP defines. */
export function asksToRefetch(data: unknown): boolean {
  try {
    const event: unknown = JSON.parse(String(data));
    return isFields(event) && event.type === 'refetchEvaluation';
  } catch {
    return false;
  }
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function entryOf(flag: Fields): Entry {
  const { value, variant, reason, errorCode, errorDetails } = flag;
  return {
    reason: text(reason) ?? 'UNKNOWN',
    metadata: primitivesOf(flag.metadata),
    ...(isFlagValue(value) ? { value } : {}),
    ...(typeof variant === 'string' ? { variant } : {}),
    ...(typeof errorCode === 'string' ? { errorCode } : {}),
    ...(typeof errorDetails === 'string' ? { errorDetails } : {}),
  };
}

function isFlagValue(value: unknown): value is FlagValue {
  return ['boolean', 'number', 'string'].includes(typeof value) || (typeof value === 'object' && value !== null);
}

function primitivesOf(value: unknown): Metadata {
  const isPrimitive = (entry: [string, unknown]): entry is [string, boolean | number | string] =>
    ['boolean', 'number', 'string'].includes(typeof entry[1]);
  return isFields(value) ? Object.fromEntries(Object.entries(value).filter(isPrimitive)) : {};
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
