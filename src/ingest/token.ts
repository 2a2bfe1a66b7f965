import { createHmac, timingSafeEqual } from 'node:crypto';
import { type Arm, decodeToken, encodeToken, entriesThatFit, type TokenPayload } from '@tidegate/core';
import type { SigningKey } from '../store/store.ts';
import { bounded } from './bounded.ts';

/** One rollout that a page was told about. */
interface MintEntry {
  /** `Rollout.shortId`. */
  readonly rollout: number;
  readonly epoch: number;
  readonly arm: Arm;
  /** What this rollout buckets on, if that is not the targetingKey. */
  readonly bucketUnit?: string;
}

export interface MintRequest {
  readonly environment: string;
  readonly targetingKey: string;
  /** Their order is what `tidegate.x` counts in. */
  readonly entries: readonly MintEntry[];
  /** Epoch ms. */
  readonly at: number;
}

export interface Minted {
  readonly token: string;
  /** The targetingKey as the token carries it. */
  readonly unit: Uint8Array;
  /** Per entry, the unit that it counts: its own, or `unit`. What `Ingest.issued` wants. */
  readonly units: readonly Uint8Array[];
}

/** One entry of a verified token, with its unit as it is stored. */
interface VerifiedEntry {
  readonly rollout: number;
  readonly epoch: number;
  readonly arm: Arm;
  readonly unit: Uint8Array;
}

export interface VerifiedToken {
  readonly payload: TokenPayload;
  readonly environment: string;
  /** Tells this token from every other. */
  readonly tag: string;
  readonly entries: readonly VerifiedEntry[];
}

export interface Tokens {
  /** Null when the environment has no key or the list is empty or does not fit (`entriesThatFit`). The same bytes for 10 minutes. */
  mint(request: MintRequest): Minted | null;
  /**
   * `at` is the receive time and `beganAt` the start of the page view, epoch ms: a token opens page views for 12 h, and
   * the late messages of those are read for 24 h more.
   */
  verify(token: string, at: number, beganAt?: number): VerifiedToken | 'invalid' | 'expired';
  /** The unit as it is stored of one rollout: unlinkable between rollouts without the pepper. */
  storedUnit(rollout: number, unit: Uint8Array): Uint8Array;
}

const minute = 60_000;
const hour = 60 * minute;
const epochMinutes = 10;
const rememberedTokens = 20_000;

const hmac = (key: Uint8Array, ...parts: readonly (string | Uint8Array)[]): Buffer => {
  const mac = createHmac('sha256', key);
  for (const part of parts) mac.update(part);
  return mac.digest();
};

/** Signs and verifies exposure tokens (rum.md §3). The controller makes new ones when a key is added. */
export function createTokens({ keys }: { readonly keys: readonly SigningKey[] }): Tokens {
  const byKid = new Map(keys.map((key) => [key.kid, key]));
  const oldestFirst = [...keys].sort((a, b) => a.createdAt - b.createdAt || a.kid - b.kid);
  // Peppers come from the oldest key, or a rotation would give every visitor a new unit in the middle of a stage.
  const pepperOf = (environment: string) => oldestFirst.find((key) => key.environment === environment)?.pepper;
  const signerOf = (environment: string, at: number) =>
    oldestFirst.findLast((key) => key.environment === environment && key.createdAt <= at) ??
    oldestFirst.find((key) => key.environment === environment);
  const rolloutPeppers = bounded<number, Buffer>(1_000);
  const verified = bounded<string, VerifiedToken>(rememberedTokens);
  const macOf = (key: SigningKey) => (signed: string) => hmac(key.secret, signed).subarray(0, 16);

  const storedUnit = (rollout: number, unit: Uint8Array): Uint8Array => {
    const known = rolloutPeppers.get(rollout);
    const pepper = known ?? hmac(oldestFirst[0]?.pepper ?? new Uint8Array(32), `rollout ${rollout}`);
    if (known === undefined) rolloutPeppers.set(rollout, pepper);
    return hmac(pepper, unit).subarray(0, 8);
  };

  const read = (token: string): VerifiedToken | null => {
    const known = verified.get(token);
    if (known !== undefined) return known;
    const decoded = decodeToken(token);
    const key = decoded === null ? undefined : byKid.get(decoded.payload.kid);
    if (decoded === null || key === undefined) return null;
    if (!timingSafeEqual(macOf(key)(decoded.signed), decoded.mac)) return null;
    const { payload } = decoded;
    const fresh: VerifiedToken = {
      payload,
      environment: key.environment,
      tag: Buffer.from(decoded.mac).toString('base64url'),
      entries: payload.entries.map(({ rollout, epoch, arm, unit }) => ({
        rollout,
        epoch,
        arm,
        unit: storedUnit(rollout, unit ?? payload.unit),
      })),
    };
    verified.set(token, fresh);
    return fresh;
  };

  return {
    storedUnit,
    mint({ environment, targetingKey, entries, at }) {
      const pepper = pepperOf(environment);
      const key = signerOf(environment, at);
      if (pepper === undefined || key === undefined || entries.length === 0) return null;
      const unit = hmac(pepper, targetingKey).subarray(0, 8);
      const units = entries.map(({ bucketUnit }) =>
        bucketUnit === undefined ? unit : hmac(pepper, bucketUnit).subarray(0, 8),
      );
      const issuedMinute = Math.floor(at / minute / epochMinutes) * epochMinutes;
      const list = JSON.stringify([
        issuedMinute,
        entries.map((e) => [e.rollout, e.epoch, e.arm, e.bucketUnit ?? null]),
      ]);
      const payload: TokenPayload = {
        kid: key.kid,
        issuedMinute,
        nonce: hmac(key.secret, 'nonce', unit, list).subarray(0, 6),
        unit,
        entries: entries.map(({ rollout, epoch, arm, bucketUnit }, i) => {
          const own = bucketUnit === undefined ? undefined : units[i];
          return { rollout, epoch, arm, ...(own === undefined ? {} : { unit: own }) };
        }),
      };
      if (entriesThatFit(payload.entries) < entries.length) return null;
      return { token: encodeToken(payload, macOf(key)), unit, units };
    },
    verify(token, at, beganAt = at) {
      const known = read(token);
      if (known === null) return 'invalid';
      const issuedAt = known.payload.issuedMinute * minute;
      if (issuedAt > at + 5 * minute) return 'invalid';
      if (beganAt - issuedAt > 12 * hour || at - issuedAt > 36 * hour) return 'expired';
      return known;
    },
  };
}
