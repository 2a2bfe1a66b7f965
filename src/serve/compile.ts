import { createHash } from 'node:crypto';
import { compileFlagSet, evaluate, type Flag, type FlagSet, type Lease, parseFlagSet } from '@tidegate/core';
import { allocationOf } from '../domain/exposure.ts';
import type { RolloutPlan } from '../domain/plan.ts';
import type { Latch, Rollout } from '../domain/rollout.ts';
import { attributionOf, cohorts, type Part, targetingOf } from './targeting.ts';

export interface Running {
  readonly rollout: Rollout;
  readonly plan: RolloutPlan;
}

/** One rollout of a flag that has arms: what a served variant says of the unit's arm, and where the evidence goes. */
export interface ServedEntry {
  /** `shortId` of the rollout. */
  readonly rollout: number;
  readonly epoch: number;
  readonly treatment: string;
  readonly control: string;
  /** Context attribute that is bucketed. */
  readonly unitKey: string;
  /** Units of this rollout that see the treatment, ppm. */
  readonly exposurePpm: number;
}

/** Everything that one environment serves at one version: the answer to every surface is read off this. */
export interface Served {
  readonly environment: string;
  readonly ver: number;
  /** Plain flagd; what daemons, providers and the evaluator read. */
  readonly flagSet: FlagSet;
  /** Rollouts with arms per flag, earlier wave first. */
  readonly entries: ReadonlyMap<string, readonly ServedEntry[]>;
  /**
   * For flags of which several waves have arms: a flag of the same key whose variant is the index of the entry that covers a
   * context. Two waves serve the same variant names, so the answer alone does not tell whose unit it was.
   */
  readonly attribution: FlagSet;
  /** Flags that a client key may see. */
  readonly clientVisible: ReadonlySet<string>;
  readonly leases: ReadonlyMap<string, Lease>;
}

/** The environment cannot be served as it stands; what is served now stays. */
export class Unpublishable extends Error {
  override name = 'Unpublishable';
  readonly problems: readonly string[];
  constructor(environment: string, problems: readonly string[]) {
    super(`${environment} cannot be published: ${problems.join('; ')}`);
    this.problems = problems;
  }
}

interface CompiledFlag {
  readonly flag: Flag;
  readonly entries: readonly ServedEntry[];
  readonly attribution: Flag | null;
  readonly lease: Lease | null;
}

/**
 * Turns declared flags and rollouts into the one flag set that everybody reads (wire.md §3.5). Pure: the same input is
 * the same set, byte for byte. Throws `Unpublishable` rather than return a set that a provider would refuse.
 */
export function compileEnvironment(input: {
  readonly environment: string;
  readonly declared: FlagSet;
  readonly rollouts: readonly Running[];
  readonly latches: readonly Latch[];
  readonly ver: number;
}): Served {
  const { environment, declared } = input;
  const latches = input.latches.filter((latch) => latch.environment === environment);
  const byFlag = groupByFlag(input.rollouts.filter(({ rollout }) => rollout.environment === environment));
  const problems: string[] = [];

  // Maps until the end: a key such as "__proto__" must stay a key, for the self-check to refuse.
  const flags = new Map<string, Flag>();
  const attribution = new Map<string, Flag>();
  const entries = new Map<string, readonly ServedEntry[]>();
  const leases = new Map<string, Lease>();
  const clientVisible = new Set<string>();

  for (const key of [...new Set([...Object.keys(declared.flags), ...byFlag.keys()])].sort()) {
    const own = Object.hasOwn(declared.flags, key) ? declared.flags[key] : undefined;
    const runnings = byFlag.get(key) ?? [];
    if (own?.metadata?.clientVisible === true || runnings.some(({ plan }) => plan.spec.clientVisible))
      clientVisible.add(key);
    const ofFlag = latches.filter((latch) => latch.flag === key);
    if (runnings.length === 0) {
      if (own !== undefined) flags.set(key, ofFlag.some((latch) => latch.wave === null) ? safe(own) : own);
      continue;
    }
    const base = own ?? onOff(runnings);
    const lacking = missingVariations(key, base, runnings);
    problems.push(...lacking);
    if (base === null || lacking.length > 0) continue;
    const compiled = compileFlag(base, runnings, ofFlag);
    flags.set(key, compiled.flag);
    if (compiled.entries.length > 0) entries.set(key, compiled.entries);
    if (compiled.attribution !== null) attribution.set(key, compiled.attribution);
    if (compiled.lease !== null) leases.set(key, compiled.lease);
  }

  const shared = declared.$evaluators === undefined ? {} : { $evaluators: declared.$evaluators };
  const flagSet: FlagSet = {
    flags: Object.fromEntries(flags),
    ...shared,
    metadata: { ...declared.metadata, flagSetId: environment, version: String(input.ver) },
  };
  problems.push(...selfCheck(flagSet, byFlag));
  if (problems.length > 0) throw new Unpublishable(environment, problems);
  return {
    environment,
    ver: input.ver,
    flagSet,
    entries,
    attribution: { flags: Object.fromEntries(attribution), ...shared },
    clientVisible,
    leases,
  };
}

/** Rollouts per flag in the order in which they claim a context: earlier wave, then earlier made. */
function groupByFlag(runnings: readonly Running[]): Map<string, Running[]> {
  const waveIndex = ({ rollout, plan }: Running) => plan.spec.waves.findIndex((wave) => wave.name === rollout.wave);
  const ordered = runnings
    .filter(({ rollout }) => rollout.state.phase !== 'superseded')
    .sort(
      (a, b) =>
        waveIndex(a) - waveIndex(b) ||
        a.rollout.createdAt - b.rollout.createdAt ||
        a.rollout.shortId - b.rollout.shortId,
    );
  const byFlag = new Map<string, Running[]>();
  for (const running of ordered) {
    const known = byFlag.get(running.rollout.flag);
    if (known === undefined) byFlag.set(running.rollout.flag, [running]);
    else known.push(running);
  }
  return byFlag;
}

/** A plan may bring its own flag when its variations are the usual two. */
function onOff(runnings: readonly Running[]): Flag | null {
  const usual = runnings.every(({ plan }) => {
    const { treatment, control } = plan.spec.variations;
    return treatment === 'on' && control === 'off';
  });
  return usual ? { state: 'ENABLED', variants: { on: true, off: false }, defaultVariant: 'off' } : null;
}

function missingVariations(key: string, base: Flag | null, runnings: readonly Running[]): string[] {
  const wanted = new Set(
    runnings.flatMap(({ plan }) => [plan.spec.variations.treatment, plan.spec.variations.control]),
  );
  if (base === null)
    return [`flag "${key}" is not declared, and only on/off can be made up for ${[...wanted].join(', ')}`];
  return [...wanted]
    .filter((name) => !Object.hasOwn(base.variants, name))
    .map((name) => `flag "${key}" has no variant "${name}"`);
}

function compileFlag(base: Flag, runnings: readonly Running[], latches: readonly Latch[]): CompiledFlag {
  const whole = latches.some((latch) => latch.wave === null);
  const parts = runnings.map(({ rollout, plan }): Part => {
    const blocked =
      whole ||
      rollout.state.phase === 'killed' ||
      latches.some((latch) => latch.wave !== null && latch.wave === rollout.wave);
    const share = allocationOf(rollout.state, plan);
    const exposed = !blocked && share.treatment > 0;
    return { rollout, plan, blocked, share, exposed, compared: exposed || (!blocked && share.labelled > 0) };
  });
  const exposed = parts.filter((part) => part.exposed);
  const compared = parts.filter((part) => part.compared);
  const [lead] = [...exposed, ...compared, ...parts];
  if (lead === undefined) return { flag: base, entries: [], attribution: null, lease: null };
  const { targeting: _dropped, defaultVariant: _replaced, metadata, ...kept } = base;
  const body = {
    ...kept,
    variants: { ...base.variants, ...cohorts(base, compared) },
    defaultVariant: lead.plan.spec.variations.control,
    ...(compared.length > 0 ? { targeting: targetingOf(parts) } : {}),
  };
  const { tier } = lead.plan.metadata.labels;
  const facts = {
    ...metadata,
    rolloutId: lead.rollout.id,
    stage: lead.rollout.state.stage,
    exposurePpm: Math.max(0, ...exposed.map((part) => part.share.treatment)),
    bucketing: lead.rollout.bucketing,
    ...(tier === undefined ? {} : { tier }),
  };
  return {
    // The digest of the content is the flag's version: it changes with the flag and with nothing else, on any replica.
    flag: { ...body, metadata: { ...facts, version: digestOf({ ...body, metadata: facts }) } },
    entries: compared.map(entryOf),
    attribution: compared.length > 1 ? attributionOf(parts) : null,
    lease: leaseOf(exposed),
  };
}

const entryOf = ({ rollout, plan, share }: Part): ServedEntry => ({
  rollout: rollout.shortId,
  epoch: rollout.state.epoch,
  treatment: plan.spec.variations.treatment,
  control: plan.spec.variations.control,
  unitKey: plan.spec.unit.key,
  exposurePpm: share.treatment,
});

/** The strictest lease of the live rollouts; a completed one has none left. */
function leaseOf(exposed: readonly Part[]): Lease | null {
  const leases = exposed
    .filter(({ rollout }) => rollout.state.phase !== 'completed')
    .map(({ plan }) => plan.spec.exposureLease)
    .sort((a, b) => Number(b.onExpiry === 'baseline') - Number(a.onExpiry === 'baseline') || a.ttl - b.ttl);
  const [strictest] = leases;
  return strictest === undefined ? null : { ttl: strictest.ttl / 1_000, onExpiry: strictest.onExpiry };
}

/** A latched flag without a rollout: its named safe variant, else plain `false`, else the caller's own default. */
export function safe(flag: Flag): Flag {
  const { targeting: _targeting, defaultVariant: _default, ...kept } = flag;
  const named = flag.metadata?.safeVariant;
  const variant =
    typeof named === 'string' && Object.hasOwn(flag.variants, named)
      ? named
      : Object.keys(flag.variants).find((name) => flag.variants[name] === false);
  return variant === undefined ? kept : { ...kept, defaultVariant: variant };
}

const digestOf = (value: unknown) => createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 12);

/** Reads the set back with the evaluator that providers ship, under its limits, before anybody else has to. */
function selfCheck(flagSet: FlagSet, byFlag: ReadonlyMap<string, readonly Running[]>): string[] {
  const parsed = parseFlagSet(flagSet, { compiled: true });
  if (!parsed.ok) return parsed.problems.map((problem) => `${problem.path}: ${problem.message}`);
  const compiled = compileFlagSet(flagSet);
  return [...byFlag].flatMap(([key, runnings]) => {
    const contexts = [{}, ...runnings.map(({ plan }) => ({ [plan.spec.unit.key]: 'self-check' }))];
    const failed = contexts
      .map((context) => evaluate(compiled, key, context, 0))
      .find((result) => result.errorCode !== undefined);
    return failed === undefined ? [] : [`flag "${key}": ${failed.errorMessage ?? failed.errorCode}`];
  });
}
