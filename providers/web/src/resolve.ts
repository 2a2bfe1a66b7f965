import type { ResolutionDetails } from '@openfeature/web-sdk';
import { ErrorCode, StandardResolutionReasons } from '@openfeature/web-sdk';
import type { Metadata } from '@tidegate/core';
import type { Answer } from './answer.ts';

export interface Wanted<T> {
  readonly name: string;
  readonly fits: (value: unknown) => value is T;
}

/** What a bulk answer says about one flag, as the SDK wants it. */
export function resolveFlag<T>(
  answer: Answer | undefined,
  isStale: boolean,
  key: string,
  fallback: T,
  wanted: Wanted<T>,
): ResolutionDetails<T> {
  const identity = identityOf(answer?.metadata);
  if (!answer) return failed(fallback, ErrorCode.PROVIDER_NOT_READY, 'no flags have been loaded yet', identity);
  const entry = answer.flags.get(key);
  if (!entry) return failed(fallback, ErrorCode.FLAG_NOT_FOUND, `flag "${key}" is not known here`, identity);

  const flagMetadata = { ...identity, ...entry.metadata };
  if (entry.errorCode !== undefined)
    return failed(fallback, codeOf(entry.errorCode), entry.errorDetails ?? '', flagMetadata);
  const reason = isStale ? StandardResolutionReasons.STALE : entry.reason;
  // Disabled flags and flags without a default variant have no value: the code default applies.
  if (entry.value === undefined) return { value: fallback, reason, flagMetadata };
  if (!wanted.fits(entry.value)) {
    const message = `flag "${key}" is a ${typeof entry.value}, asked for as ${wanted.name}`;
    return failed(fallback, ErrorCode.TYPE_MISMATCH, message, flagMetadata);
  }
  return {
    value: entry.value,
    reason,
    flagMetadata,
    ...(entry.variant === undefined ? {} : { variant: entry.variant }),
  };
}

/** Which set, and which state of it; the exposure token of the set stays inside. */
function identityOf(metadata: Metadata | undefined): { flagSetId: string; version: string } {
  return { flagSetId: String(metadata?.flagSetId ?? ''), version: String(metadata?.version ?? '0') };
}

function codeOf(code: string): ErrorCode {
  return Object.values(ErrorCode).find((known) => known === code) ?? ErrorCode.GENERAL;
}

function failed<T>(value: T, errorCode: ErrorCode, errorMessage: string, flagMetadata: Metadata): ResolutionDetails<T> {
  return { value, reason: StandardResolutionReasons.ERROR, errorCode, errorMessage, flagMetadata: { ...flagMetadata } };
}
