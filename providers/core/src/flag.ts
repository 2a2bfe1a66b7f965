/** Any JSON value; what contexts are made of and object flags evaluate to. */
export type Json = boolean | number | string | null | readonly Json[] | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };
export type FlagValue = boolean | number | string | JsonObject;

/** flagd metadata: primitive values only. */
export type Metadata = { readonly [key: string]: boolean | number | string };

/** One flag of a flagd flag set (open-feature/flagd-schemas `flags.json`). */
export interface Flag {
  readonly state: 'ENABLED' | 'DISABLED';
  /** At least one, all of one type. */
  readonly variants: { readonly [name: string]: FlagValue };
  /** Absent or null: the caller's code default. */
  readonly defaultVariant?: string | null;
  /** JsonLogic as flagd reads it; absent or `{}` means static. */
  readonly targeting?: Json;
  readonly metadata?: Metadata;
}

export interface FlagSet {
  readonly flags: { readonly [key: string]: Flag };
  readonly $evaluators?: { readonly [name: string]: Json };
  /** `flagSetId` and `version` are always present in what tidegate serves. */
  readonly metadata?: Metadata;
}

/** Evaluation context: `targetingKey` and whatever else the application knows. */
export type Context = { readonly [key: string]: unknown };

export type Reason = 'STATIC' | 'DEFAULT' | 'TARGETING_MATCH' | 'SPLIT' | 'DISABLED' | 'ERROR';
export type ErrorCode = 'FLAG_NOT_FOUND' | 'PARSE_ERROR' | 'TARGETING_KEY_MISSING' | 'INVALID_CONTEXT' | 'GENERAL';

/**
 * What one evaluation comes to. `value` and `variant` are absent where the caller's code default applies
 * (disabled flags, flags without a default variant, errors).
 */
export interface Evaluation {
  readonly reason: Reason;
  readonly value?: FlagValue;
  readonly variant?: string;
  readonly errorCode?: ErrorCode;
  readonly errorMessage?: string;
  /** Flag metadata over set metadata. */
  readonly metadata: Metadata;
}
