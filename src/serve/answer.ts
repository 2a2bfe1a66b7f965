import {
  type Arm,
  type Context,
  type Evaluation,
  entriesThatFit,
  entryMetadataKey,
  evaluate,
  tokenMetadataKey,
} from '@tidegate/core';
import type { Outcome, Scope, Shown } from './board.ts';
import type { ServedEntry } from './compile.ts';

/** What a page is told of one rollout: an entry of its exposure token. */
export interface TokenEntry {
  /** `shortId` of the rollout. */
  readonly rollout: number;
  readonly epoch: number;
  readonly arm: Arm;
  /** Value of the bucketed attribute when that is not the targeting key. */
  readonly bucketUnit?: string;
}

export interface TokenRequest {
  readonly environment: string;
  readonly targetingKey: string;
  /** As many as one token holds; their order is what `tidegate.x` counts in. */
  readonly entries: readonly TokenEntry[];
  /** Epoch ms. */
  readonly at: number;
}

/**
 * The arm that a served variant stands for. Treatment counts only when the hash gave it: a pinned unit sees the
 * treatment and is never evidence.
 */
function armOf(entry: ServedEntry, { variant, reason }: Evaluation): Arm {
  // In a preflight: served control, counted as the arm that it will be.
  if (variant === `${entry.control}@aa`) return 'treatment';
  if (variant === `${entry.control}@control`) return 'control';
  if (variant === `${entry.control}@holdback`) return 'holdback';
  return variant === entry.treatment && reason === 'SPLIT' ? 'treatment' : 'rest';
}

interface FlagAnswer {
  readonly result: Evaluation;
  readonly outcome: Outcome;
  /** What a token would say of the flag; absent when no rollout covers this context. */
  readonly entry: TokenEntry | undefined;
}

function flagAnswer(shown: Shown, scope: Scope, key: string, context: Context, atSeconds: number): FlagAnswer {
  const result = evaluate(scope.compiled, key, context, atSeconds);
  const entries = shown.served.entries.get(key);
  if (entries === undefined || result.errorCode !== undefined) {
    return { result, outcome: outcomeOf(scope, key, result), entry: undefined };
  }
  const entry = entryFor(shown, entries, key, context, atSeconds);
  const arm = entry === undefined ? 'rest' : armOf(entry, result);
  return {
    result,
    outcome: outcomeOf(scope, key, result, arm),
    entry: entry === undefined ? undefined : tokenEntry(entry, arm, context),
  };
}

const withIndex = ({ open }: Outcome, index: number) => `${open},"${entryMetadataKey}":${index}}}`;

/** OFREP's answer for one flag, a failure included. */
export function singleAnswer(
  shown: Shown,
  scope: Scope,
  key: string,
  context: Context,
  atSeconds: number,
): { readonly result: Evaluation; readonly json: string } {
  const { result, outcome } = flagAnswer(shown, scope, key, context, atSeconds);
  const { errorCode, errorMessage } = result;
  // Of a flag that is not there is nothing to tell, the set's version included.
  const json =
    errorCode === 'FLAG_NOT_FOUND' ? JSON.stringify({ key, errorCode, errorDetails: errorMessage }) : outcome.whole;
  return { result, json };
}

/**
 * The answer's JSON. Value and metadata follow from flag, variant and reason, and the evaluator hands out one frozen
 * object for each, so it is serialised once per scope and outcome; errors, whose text may quote the context, are not kept.
 */
function outcomeOf(scope: Scope, key: string, result: Evaluation, cohort?: Arm): Outcome {
  const known = scope.outcomes.get(result);
  if (known !== undefined && known.cohort === cohort) return known;
  const metadata = cohort === undefined ? result.metadata : { ...result.metadata, cohort };
  const { reason, value, variant, errorCode, errorMessage: errorDetails } = result;
  const body = errorCode === undefined ? { key, reason, value, variant } : { key, errorCode, errorDetails };
  const whole = JSON.stringify({ ...body, metadata });
  const made = { cohort, whole, open: whole.slice(0, -2) };
  if (errorCode === undefined) scope.outcomes.set(result, made);
  return made;
}

/** The rollout that covers a context: with several waves on one flag, the one whose rule gave the answer. */
function entryFor(
  shown: Shown,
  entries: readonly ServedEntry[],
  key: string,
  context: Context,
  atSeconds: number,
): ServedEntry | undefined {
  if (entries.length < 2) return entries[0];
  const { value } = evaluate(shown.attribution, key, context, atSeconds);
  return typeof value === 'number' ? entries[value] : undefined;
}

function tokenEntry(entry: ServedEntry, arm: Arm, context: Context): TokenEntry {
  const bare = { rollout: entry.rollout, epoch: entry.epoch, arm };
  if (entry.unitKey === 'targetingKey') return bare;
  const unit = attributeAt(context, entry.unitKey);
  return typeof unit === 'string' || Number.isSafeInteger(unit) ? { ...bare, bucketUnit: String(unit) } : bare;
}

/** The entry as a token spends bytes on it: an own unit is a hash of 8. */
const hashOfUnit = new Uint8Array(8);
const sized = ({ bucketUnit, ...entry }: TokenEntry) =>
  bucketUnit === undefined ? entry : { ...entry, unit: hashOfUnit };

/** Value at a dotted path of own properties, as `{"var": path}` reads it. */
function attributeAt(context: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, step) => {
    if (typeof value !== 'object' || value === null) return undefined;
    return Object.getOwnPropertyDescriptor(value, step)?.value;
  }, context);
}

/**
 * OFREP's bulk answer: a function of context, scope, revision and the two epochs alone, because its ETag is a hash of
 * these bytes. `token` is asked at most once, with the entries in the order of `tidegate.x`.
 */
export function bulkAnswer(
  shown: Shown,
  scope: Scope,
  context: Context,
  about: {
    readonly atSeconds: number;
    readonly streamUri: string;
    readonly inactivitySec: number;
    /** Null: this answer carries no token. */
    readonly token: ((entries: readonly TokenEntry[]) => string | null) | null;
  },
): string {
  const answers = scope.keys.map((key) => flagAnswer(shown, scope, key, context, about.atSeconds));
  const entries = answers.flatMap(({ entry }) => (entry === undefined ? [] : [entry]));
  // A token holds so many entries and no more; flags beyond that are served, but not measured.
  const fitting = about.token === null ? 0 : entriesThatFit(entries.map(sized));
  let index = 0;
  const flags = answers.map(({ outcome, entry }) => {
    if (entry === undefined || index >= fitting) return outcome.whole;
    index += 1;
    return withIndex(outcome, index - 1);
  });
  const token = about.token !== null && fitting > 0 ? about.token(entries.slice(0, fitting)) : null;
  const metadata = {
    flagSetId: shown.served.environment,
    version: String(scope.revision),
    ...(token === null ? {} : { [tokenMetadataKey]: token }),
  };
  const eventStreams = [
    { type: 'sse', endpoint: { requestUri: about.streamUri }, inactivityDelaySec: about.inactivitySec },
  ];
  return `{"flags":[${flags.join(',')}],"metadata":${JSON.stringify(metadata)},"eventStreams":${JSON.stringify(eventStreams)}}`;
}
