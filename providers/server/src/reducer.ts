import { createHash } from 'node:crypto';
import type { Flag, FlagSet, Lease, Snapshot, SnapshotChange } from '@tidegate/core';
import { compileFlagSet } from '@tidegate/core';

/** The flag set in force. Immutable: a change makes a new one, and one pointer is swapped. */
export interface Held {
  readonly env: string;
  readonly ver: number;
  readonly flagSet: FlagSet;
  readonly lease: { readonly [flag: string]: Lease };
  readonly compiled: ReturnType<typeof compileFlagSet>;
  readonly origin: 'controller' | 'file';
}

export type Applied =
  | { readonly is: 'applied'; readonly held: Held; readonly changed: readonly string[] }
  /** Nothing newer than what is held. */
  | { readonly is: 'current' }
  /** A change in between was missed; fetch the snapshot. */
  | { readonly is: 'behind' }
  /** Not trustworthy; what is held stays. */
  | { readonly is: 'refused'; readonly because: string };

/** `sha256-<hex>` over the JSON text of a flag set, as the controller announces it. */
export function digestOf(flagSet: FlagSet): string {
  return `sha256-${createHash('sha256').update(JSON.stringify(flagSet)).digest('hex')}`;
}

/**
 * Takes a whole document. Only a greater `ver` replaces what is held, and an empty or more than half smaller set only
 * when the controller vouches for it (`full`) - otherwise a half-restored controller would switch every flag off.
 */
export function applySnapshot(
  held: Held | undefined,
  snapshot: Snapshot,
  origin: Held['origin'],
  environment: string | undefined,
): Applied {
  if (environment !== undefined && snapshot.env !== environment)
    return refused(`it is for environment "${snapshot.env}", this provider is configured for "${environment}"`);
  if (held?.origin === 'controller' && held.env !== snapshot.env)
    return refused(`it is for environment "${snapshot.env}", the flags in force are for "${held.env}"`);

  // A file of another environment says nothing about this one: neither its versions nor its size.
  const previous = held?.env === snapshot.env ? held : undefined;
  if (previous && snapshot.ver <= previous.ver) return { is: 'current' };

  const count = countOf(snapshot.flagSet);
  if (count !== snapshot.count) return refused(`it announces ${snapshot.count} flags and carries ${count}`);
  if (digestOf(snapshot.flagSet) !== snapshot.digest) return refused('its digest does not match its flags');
  if (previous && !snapshot.full && isShrunk(countOf(previous.flagSet), count))
    return refused(`it shrinks ${countOf(previous.flagSet)} flags to ${count} without saying that this is meant`);

  return compiledAs(previous, {
    env: snapshot.env,
    ver: snapshot.ver,
    flagSet: snapshot.flagSet,
    lease: snapshot.lease ?? {},
    origin,
  });
}

/** Takes the changed flags of one stream event; `null` deletes. */
export function applyChange(held: Held, change: SnapshotChange): Applied {
  if (change.ver <= held.ver) return { is: 'current' };
  if (change.from !== held.ver) return { is: 'behind' };
  return compiledAs(held, {
    env: held.env,
    ver: change.ver,
    flagSet: {
      ...held.flagSet,
      flags: withoutNulls({ ...held.flagSet.flags, ...change.flags }),
      metadata: { ...held.flagSet.metadata, version: String(change.ver) },
    },
    lease: withoutNulls<Lease>({ ...held.lease, ...leaseOfDeleted(change), ...change.lease }),
    origin: 'controller',
  });
}

function compiledAs(previous: Held | undefined, next: Omit<Held, 'compiled'>): Applied {
  try {
    const compiled = compileFlagSet(next.flagSet, previous?.compiled);
    return { is: 'applied', held: { ...next, compiled }, changed: changedKeys(previous?.flagSet, next.flagSet) };
  } catch (error) {
    return refused(`it does not compile: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Keys that are new, gone, or differ in any way; with changed `$evaluators` also each flag that refers to one. */
function changedKeys(before: FlagSet | undefined, after: FlagSet): string[] {
  const old: { readonly [key: string]: Flag } = before?.flags ?? {};
  const evaluatorsChanged = JSON.stringify(before?.$evaluators) !== JSON.stringify(after.$evaluators);
  const keys = new Set([...Object.keys(old), ...Object.keys(after.flags)]);
  return [...keys].filter((key) => {
    const oldText = JSON.stringify(Object.hasOwn(old, key) ? old[key] : undefined);
    const newText = JSON.stringify(Object.hasOwn(after.flags, key) ? after.flags[key] : undefined);
    return oldText !== newText || (evaluatorsChanged && newText.includes('"$ref"'));
  });
}

function leaseOfDeleted(change: SnapshotChange): { [flag: string]: null } {
  const deleted = Object.keys(change.flags).filter((key) => change.flags[key] === null);
  return Object.fromEntries(deleted.map((key) => [key, null]));
}

function withoutNulls<T>(entries: { readonly [key: string]: T | null }): { readonly [key: string]: T } {
  return Object.fromEntries(Object.entries(entries).flatMap(([key, value]) => (value === null ? [] : [[key, value]])));
}

function isShrunk(before: number, after: number): boolean {
  return before > 0 && (after === 0 || after * 2 < before);
}

export function countOf(flagSet: FlagSet): number {
  return Object.keys(flagSet.flags).length;
}

function refused(because: string): Applied {
  return { is: 'refused', because };
}
