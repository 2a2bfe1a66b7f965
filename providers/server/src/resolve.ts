import type { EvaluationContext, FlagMetadata, ResolutionDetails } from '@openfeature/server-sdk';
import { ErrorCode, StandardResolutionReasons } from '@openfeature/server-sdk';
import type { Evaluation, FlagValue } from '@tidegate/core';
import { evaluate } from '@tidegate/core';
import type { Held } from './reducer.ts';

/** What the flags in force are, at the moment of one resolution. */
export interface View {
  readonly held: Held | undefined;
  readonly environment: string | undefined;
  readonly isStale: boolean;
  /** Flags that fall back to control because their exposure lease ran out. */
  readonly expired: ReadonlySet<string>;
  readonly atSeconds: number;
}

export interface Wanted<T> {
  readonly name: string;
  readonly fits: (value: unknown) => value is T;
}

/** Resolves one flag without waiting for anything. */
export function resolveFlag<T>(
  view: View,
  key: string,
  fallback: T,
  context: EvaluationContext,
  wanted: Wanted<T>,
): ResolutionDetails<T> {
  const { held } = view;
  if (!held) {
    return failed(fallback, ErrorCode.PROVIDER_NOT_READY, 'no flags have been loaded yet', {
      flagSetId: view.environment ?? '',
      version: '0',
    });
  }
  const evaluation = evaluate(held.compiled, key, context, view.atSeconds);
  const metadata: FlagMetadata = { flagSetId: held.env, version: String(held.ver), ...evaluation.metadata };
  if (evaluation.errorCode !== undefined)
    return failed(fallback, ErrorCode[evaluation.errorCode], evaluation.errorMessage ?? '', metadata);

  const served = view.expired.has(key) ? baselineOf(held, key) : evaluation;
  const flagMetadata = view.expired.has(key) ? { ...metadata, lease: 'expired' } : metadata;
  const reason = view.isStale ? StandardResolutionReasons.STALE : evaluation.reason;
  // Disabled flags and flags without a default variant have no value: the code default applies.
  if (served.value === undefined) return { value: fallback, reason, flagMetadata };
  if (!wanted.fits(served.value)) {
    const message = `flag "${key}" is a ${typeof served.value}, asked for as ${wanted.name}`;
    return failed(fallback, ErrorCode.TYPE_MISMATCH, message, flagMetadata);
  }
  return {
    value: served.value,
    reason,
    flagMetadata,
    ...(served.variant === undefined ? {} : { variant: served.variant }),
  };
}

/** The control variation, which a compiled rollout names as its default variant. */
function baselineOf(held: Held, key: string): Pick<Evaluation, 'value' | 'variant'> {
  const flag = Object.hasOwn(held.flagSet.flags, key) ? held.flagSet.flags[key] : undefined;
  const variant = flag?.defaultVariant;
  if (!flag || flag.state === 'DISABLED' || variant === undefined || variant === null) return {};
  const value: FlagValue | undefined = flag.variants[variant];
  return value === undefined ? {} : { value, variant };
}

export function failed<T>(
  value: T,
  errorCode: ErrorCode,
  errorMessage: string,
  flagMetadata: FlagMetadata,
): ResolutionDetails<T> {
  return { value, reason: StandardResolutionReasons.ERROR, errorCode, errorMessage, flagMetadata };
}
