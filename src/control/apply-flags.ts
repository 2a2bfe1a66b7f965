import { type FlagSet, parseFlagSet } from '@tidegate/core';
import { z } from 'zod';
import { canonical } from '../domain/canonical.ts';
import { diff } from '../domain/diff.ts';
import type { Latch } from '../domain/rollout.ts';
import { compileEnvironment, safe, Unpublishable } from '../serve/compile.ts';
import type { ControlStore } from '../store/store.ts';
import type { Applied } from './apply-documents.ts';
import { type By, once } from './by.ts';
import { Invalid, NotFound, Refused } from './errors.ts';
import type { Library } from './library.ts';
import { runningOf } from './serving.ts';

export interface FlagDeps {
  readonly store: Pick<ControlStore, 'commit' | 'environments' | 'flags' | 'rollouts' | 'latches' | 'head'>;
  readonly library: Pick<Library, 'plan'>;
  readonly publish: (environment: string) => Promise<void>;
}

/**
 * Replaces the plain flags of an environment with a flagd flag set; rollouts stay as they are. What was exported from
 * here comes in again as no change.
 */
export function createApplyFlags(deps: FlagDeps) {
  return async (json: unknown, environment: string, dryRun: boolean, by: By, wall: number): Promise<Applied> => {
    if (!(await deps.store.environments()).some(({ name }) => name === environment))
      throw new NotFound(`there is no environment ${environment}`);
    const present = await deps.store.flags(environment);
    const { declared, ours } = asDeclared(json, present, await deps.store.latches(environment));
    const parsed = parseFlagSet(declared);
    if (!parsed.ok)
      throw new Invalid(
        `the flag set is not valid: ${parsed.problems.map(({ path, message }) => `${path}: ${message}`).join('; ')}`,
        parsed.problems,
      );
    const set = parsed.flagSet;
    const changes = diff(bare(present), bare(set));
    const hidden = Object.entries(set.flags).filter(([, flag]) => flag.metadata?.clientVisible !== true).length;
    const warnings = [
      ...(hidden === 0
        ? []
        : [
            `${hidden} of ${Object.keys(set.flags).length} flags are hidden from browsers: metadata.clientVisible: true shows one`,
          ]),
      ...(ours.length === 0 ? [] : [`left to their rollouts or kills, as exported: ${ours.join(', ')}`]),
    ];
    const change = changes.length === 0 ? 'none' : Object.keys(present.flags).length === 0 ? 'create' : 'update';
    const version = await deps.store.head();
    const applied: Applied = { change, name: environment, version, diff: changes, warnings };
    const removed = Object.keys(present.flags).filter((key) => !Object.hasOwn(set.flags, key));
    await refuseUnservable(deps, environment, set, removed);
    if (dryRun || change === 'none') return applied;
    const { seq } = await deps.store.commit({
      audit: {
        at: wall,
        actor: by.actor,
        action: 'flags.replace',
        environment,
        target: environment,
        reason: by.reason,
        detail: { changed: changes.slice(0, 100).map(({ path }) => path) },
      },
      flags: {
        environment,
        put: set.flags,
        remove: removed,
        evaluators: set.$evaluators ?? {},
        metadata: set.metadata ?? {},
      },
      ...once(by, { ...applied, dryRun, rollouts: [] }),
    });
    await deps.publish(environment);
    return { ...applied, version: seq };
  };
}

const bare = ({ flags, $evaluators, metadata }: FlagSet) => ({
  flags,
  $evaluators: $evaluators ?? {},
  metadata: metadata ?? {},
});

const Exported = z.looseObject({
  flags: z.record(z.string(), z.unknown()),
  metadata: z.record(z.string(), z.unknown()).optional(),
});
const Compiled = z.looseObject({ metadata: z.looseObject({ rolloutId: z.string() }) });

/**
 * Undoes what serving adds: the set's stamp, flags compiled from a rollout, flags that a kill made safe. Those flags keep
 * their declaration, whatever state of the rollout the file remembers. Anything else is left for the parser to judge.
 */
function asDeclared(
  json: unknown,
  present: FlagSet,
  latches: readonly Latch[],
): { readonly declared: unknown; readonly ours: readonly string[] } {
  const exported = Exported.safeParse(json);
  if (!exported.success) return { declared: json, ours: [] };
  const own = (key: string) => (Object.hasOwn(present.flags, key) ? present.flags[key] : undefined);
  const madeSafe = (key: string, flag: unknown) => {
    const before = own(key);
    const isLatched = latches.some((latch) => latch.flag === key && latch.wave === null);
    return before !== undefined && isLatched && canonical(flag) === canonical(safe(before));
  };
  const isOurs = (key: string, flag: unknown) => Compiled.safeParse(flag).success || madeSafe(key, flag);
  const { flags, metadata, ...rest } = exported.data;
  const ours = Object.keys(flags).filter((key) => isOurs(key, flags[key]));
  const isStamped = metadata !== undefined && ('flagSetId' in metadata || 'version' in metadata);
  if (ours.length === 0 && !isStamped) return { declared: json, ours };
  const kept = Object.entries(flags).flatMap(([key, flag]) => {
    const entry = ours.includes(key) ? own(key) : flag;
    return entry === undefined ? [] : [[key, entry] as const];
  });
  const { flagSetId: _, version: __, ...about } = metadata ?? {};
  const declared = { ...rest, flags: Object.fromEntries(kept), ...(metadata === undefined ? {} : { metadata: about }) };
  return { declared, ours };
}

/** A rollout needs its flag's variants: what is imported must still serve everything that runs. */
async function refuseUnservable(
  deps: FlagDeps,
  environment: string,
  declared: FlagSet,
  removed: readonly string[],
): Promise<void> {
  const [rollouts, latches] = await Promise.all([
    deps.store.rollouts({ environment }),
    deps.store.latches(environment),
  ]);
  const running = await runningOf(deps.library, declared, rollouts);
  try {
    compileEnvironment({ environment, declared, rollouts: running, latches, ver: 0 });
  } catch (error) {
    if (!(error instanceof Unpublishable)) throw error;
    throw new Refused('flag_in_use', `${error.message}${removed.length > 0 ? `; removed: ${removed.join(', ')}` : ''}`);
  }
}
