import { createHash } from 'node:crypto';
import {
  type Arm,
  type CompiledFlagSet,
  compileFlagSet,
  type Evaluation,
  type Flag,
  type Snapshot,
  type SnapshotChange,
} from '@tidegate/core';
import type { Served, ServedEntry } from './compile.ts';

/** What one kind of key may see of an environment. */
export interface Scope {
  /** Highest version that touched anything in it, deletions included. */
  readonly revision: number;
  /** Sorted, so that an answer is the same bytes every time. */
  readonly keys: readonly string[];
  readonly compiled: CompiledFlagSet;
  /** Serialised outcomes, made on first use and thrown away with the scope. */
  readonly outcomes: Map<Evaluation, Outcome>;
}

/** One outcome of one flag as OFREP says it. */
export interface Outcome {
  readonly cohort: Arm | undefined;
  readonly whole: string;
  /** Without the braces that close metadata and answer, so that metadata can be added. */
  readonly open: string;
}

export type ScopeName = 'all' | 'client';

/** A body that is the same for every reader, with its strong ETag. */
export interface Fixed {
  readonly bytes: Buffer;
  readonly etag: string;
}

/** One environment as it is served now. Replaced as a whole, so a request never sees half of a change. */
export interface Shown {
  readonly served: Served;
  readonly scopes: { readonly [name in ScopeName]: Scope };
  readonly attribution: CompiledFlagSet;
  readonly snapshot: Fixed;
  readonly flagd: Fixed;
}

/** What a publication changed for whom. */
export interface Publication {
  readonly shown: Shown;
  /** Null: the change does not fit into an event (shared rules moved), readers fetch the snapshot. */
  readonly change: SnapshotChange | null;
  /** Scopes whose answers may differ now. */
  readonly touched: readonly ScopeName[];
  /** Somebody who saw a treatment must see control: it cannot wait. */
  readonly lowers: boolean;
}

export interface Board {
  /** Null: nothing that anybody is served changed, or something newer stands here already. */
  publish(served: Served): Publication | null;
  get(environment: string): Shown | null;
}

export function createBoard(): Board {
  const environments = new Map<string, Shown>();
  return {
    publish(served) {
      const before = environments.get(served.environment) ?? null;
      if (before === null) {
        const shown = show(served, null, ['all', 'client']);
        environments.set(served.environment, shown);
        return { shown, change: null, touched: [], lowers: false };
      }
      if (served.ver < before.served.ver) return null;
      const difference = compare(before.served, served);
      if (difference === null) return null;
      const shown = show(served, before, difference.touched);
      environments.set(served.environment, shown);
      return { shown, ...difference };
    },
    get: (environment) => environments.get(environment) ?? null,
  };
}

function show(served: Served, before: Shown | null, touched: readonly ScopeName[]): Shown {
  const { environment, ver, flagSet } = served;
  const text = JSON.stringify(flagSet);
  const snapshot: Snapshot = {
    v: 1,
    env: environment,
    ver,
    count: Object.keys(flagSet.flags).length,
    digest: `sha256-${sha256(text, 'hex')}`,
    // What is published was compiled from committed state and read back; when it shrank, somebody shrank it.
    full: true,
    flagSet,
    ...(served.leases.size > 0 ? { lease: Object.fromEntries(served.leases) } : {}),
  };
  return {
    served,
    scopes: {
      all: scopeOf('all', served, before, touched),
      client: scopeOf('client', served, before, touched),
    },
    attribution: compileFlagSet(served.attribution, before?.attribution),
    snapshot: fixed(JSON.stringify(snapshot)),
    flagd: fixed(text),
  };
}

function scopeOf(name: ScopeName, served: Served, before: Shown | null, touched: readonly ScopeName[]): Scope {
  const old = before?.scopes[name];
  if (old !== undefined && !touched.includes(name)) return old;
  const flags = Object.entries(served.flagSet.flags).filter(([key]) => name === 'all' || served.clientVisible.has(key));
  // The version a client sees is its scope's: that of the whole environment would tell it of flags it may not see.
  const metadata = { ...served.flagSet.metadata, version: String(served.ver) };
  return {
    revision: served.ver,
    keys: flags.map(([key]) => key).sort(),
    compiled: compileFlagSet({ ...served.flagSet, flags: Object.fromEntries(flags), metadata }, old?.compiled),
    outcomes: new Map(),
  };
}

function compare(before: Served, after: Served): Pick<Publication, 'change' | 'touched' | 'lowers'> | null {
  const old = before.flagSet.flags;
  const now = after.flagSet.flags;
  const shared = !same(sharedOf(before), sharedOf(after));
  const keys = [...new Set([...Object.keys(old), ...Object.keys(now)])];
  const changed = keys.filter((key) => !same(old[key], now[key]));
  const leases = [...new Set([...before.leases.keys(), ...after.leases.keys()])].filter(
    (key) => !same(before.leases.get(key), after.leases.get(key)),
  );
  // A new stage epoch under the same flag: pages need a new token, or they go on reporting to the old one.
  const entries = keys.filter((key) => !same(before.entries.get(key), after.entries.get(key)));
  const visibility = keys.filter((key) => before.clientVisible.has(key) !== after.clientVisible.has(key));
  const attribution = !same(before.attribution, after.attribution);
  if (!shared && !attribution && [changed, leases, entries, visibility].every((list) => list.length === 0)) return null;
  const clientSaw = [...changed, ...entries, ...visibility].some(
    (key) => before.clientVisible.has(key) || after.clientVisible.has(key),
  );
  return {
    change: shared
      ? null
      : {
          ver: after.ver,
          from: before.ver,
          flags: Object.fromEntries(changed.map((key) => [key, now[key] ?? null])),
          ...(leases.length > 0
            ? { lease: Object.fromEntries(leases.map((key) => [key, after.leases.get(key) ?? null])) }
            : {}),
        },
    touched: shared || clientSaw ? ['all', 'client'] : ['all'],
    lowers:
      changed.some((key) => lowers(old[key], now[key])) ||
      entries.some((key) => waveLowers(before.entries.get(key) ?? [], after.entries.get(key) ?? [])),
  };
}

const sharedOf = ({ flagSet }: Served) => ({
  rules: flagSet.$evaluators,
  metadata: { ...flagSet.metadata, version: '' },
});

function lowers(before: Flag | undefined, after: Flag | undefined): boolean {
  if (before === undefined) return false;
  if (after === undefined || (after.targeting === undefined && before.targeting !== undefined)) return true;
  if (after.state === 'DISABLED' && before.state === 'ENABLED') return true;
  const exposure = (flag: Flag) => Number(flag.metadata?.exposurePpm ?? 0);
  return exposure(after) < exposure(before);
}

/** The flag's own exposure is the highest of its waves, so it stays where it was when a lower one is killed. */
function waveLowers(before: readonly ServedEntry[], after: readonly ServedEntry[]): boolean {
  const exposure = new Map(after.map(({ rollout, exposurePpm }) => [rollout, exposurePpm]));
  return before.some(({ rollout, exposurePpm }) => (exposure.get(rollout) ?? 0) < exposurePpm);
}

/** Both sides come from the same compiler, which writes keys in one order: equal text is equal content. */
const same = (a: unknown, b: unknown) => a === b || JSON.stringify(a) === JSON.stringify(b);

const sha256 = (text: string, encoding: 'hex' | 'base64url') => createHash('sha256').update(text).digest(encoding);

const fixed = (text: string): Fixed => ({ bytes: Buffer.from(text), etag: `"${sha256(text, 'base64url')}"` });
