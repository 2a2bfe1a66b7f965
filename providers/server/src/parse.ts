import type { Flag, FlagSet, Lease, Snapshot, SnapshotChange, StreamHead } from '@tidegate/core';

/**
 * The door: what the controller or a file says becomes a type here, or `undefined`. Flags are checked for shape only;
 * `compileFlagSet` judges their rules.
 */
type Fields = { readonly [key: string]: unknown };

export function parseSnapshot(value: unknown): Snapshot | undefined {
  if (!isFields(value) || value.v !== 1) return undefined;
  const { env, ver, count, digest, full, flagSet } = value;
  if (typeof env !== 'string' || !isVersion(ver) || !isVersion(count) || typeof digest !== 'string') return undefined;
  if (typeof full !== 'boolean' || !isFlagSet(flagSet)) return undefined;
  const lease = value.lease ?? {};
  if (!isRecordOf(lease, isLease)) return undefined;
  return { v: 1, env, ver, count, digest, full, flagSet, lease };
}

export function parseChange(value: unknown): SnapshotChange | undefined {
  if (!isFields(value)) return undefined;
  const { ver, from, flags } = value;
  if (!isVersion(ver) || !isVersion(from)) return undefined;
  if (!isRecordOf(flags, (flag): flag is Flag | null => flag === null || isFlag(flag))) return undefined;
  const lease = value.lease ?? {};
  if (!isRecordOf(lease, (entry): entry is Lease | null => entry === null || isLease(entry))) return undefined;
  return { ver, from, flags, lease };
}

export function parseHead(value: unknown): StreamHead | undefined {
  if (!isFields(value) || !isVersion(value.ver)) return undefined;
  return { ver: value.ver };
}

/** `undefined` for text that is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isFlagSet(value: unknown): value is FlagSet {
  if (!isFields(value) || !isRecordOf(value.flags, isFlag)) return false;
  const { $evaluators, metadata } = value;
  return ($evaluators === undefined || isFields($evaluators)) && (metadata === undefined || isMetadata(metadata));
}

function isFlag(value: unknown): value is Flag {
  if (!isFields(value)) return false;
  const { state, variants, defaultVariant, metadata } = value;
  if (state !== 'ENABLED' && state !== 'DISABLED') return false;
  if (!isFields(variants) || Object.keys(variants).length === 0) return false;
  if (defaultVariant !== undefined && defaultVariant !== null && typeof defaultVariant !== 'string') return false;
  return metadata === undefined || isMetadata(metadata);
}

function isMetadata(value: unknown): boolean {
  return isRecordOf(value, (entry): entry is boolean | number | string =>
    ['boolean', 'number', 'string'].includes(typeof entry),
  );
}

function isLease(value: unknown): value is Lease {
  if (!isFields(value)) return false;
  const { ttl, onExpiry } = value;
  return typeof ttl === 'number' && ttl > 0 && (onExpiry === 'stay' || onExpiry === 'baseline');
}

function isVersion(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isRecordOf<T>(
  value: unknown,
  isEntry: (entry: unknown) => entry is T,
): value is { readonly [key: string]: T } {
  return isFields(value) && Object.values(value).every(isEntry);
}
