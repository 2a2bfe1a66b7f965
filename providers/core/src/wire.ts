import type { FlagSet } from './flag.ts';

/** Which experience a unit had. `rest` and `holdback` are served control; only `rest` is never compared. */
export type Arm = 'rest' | 'treatment' | 'control' | 'holdback';

/** Limits of one beacon, shared by the sender and the door that checks it. */
export const beaconLimits = {
  bodyBytes: 16_384,
  messagesPerPageView: 4,
  exposures: 32,
  samples: 50,
} as const;

/** `[index into the token's entries, ms since navigation start of the first evaluation]`. */
export type BeaconExposure = readonly [entry: number, atMs: number];
/** `[metric, value, ms since navigation start when it happened]`; ms for times, plain CLS, counts for the rest. */
export type BeaconSample = readonly [metric: string, value: number, atMs: number];

/** One message of one page view to `POST /v1/rum`. */
export interface Beacon {
  readonly v: 1;
  /** 96 random bits, base64url (16 characters), one per page view. */
  readonly id: string;
  /** Message number 0..3. */
  readonly q: number;
  /** Exposure token, the first that this page view received. */
  readonly tok: string;
  readonly x?: readonly BeaconExposure[];
  readonly nav?: string;
  /** 1 = visible at load. */
  readonly vis?: 0 | 1;
  /** Ms since navigation start when the message was sent. */
  readonly age: number;
  readonly m?: readonly BeaconSample[];
  /** 1 on a message sent when the page was hidden. */
  readonly end?: 1;
}

/** Metadata keys through which an OFREP bulk answer carries the token to a page. */
export const tokenMetadataKey = 'tidegate.token';
export const entryMetadataKey = 'tidegate.x';

/** What a provider cut off for `ttl` seconds does with one flag; see `exposureLease` of a plan. */
export interface Lease {
  readonly ttl: number;
  readonly onExpiry: 'stay' | 'baseline';
}

/** Body of `GET /v1/snapshot`, and of the first load of every server provider. */
export interface Snapshot {
  readonly v: 1;
  readonly env: string;
  readonly ver: number;
  readonly count: number;
  /** `sha256-<hex>` over the JSON text of `flagSet`. */
  readonly digest: string;
  /** True when the controller vouches that a shrunk set is meant. */
  readonly full: boolean;
  readonly flagSet: FlagSet;
  readonly lease?: { readonly [flag: string]: Lease };
}

/** Data of a `change` event on `GET /v1/stream`; `flags[key] === null` is a tombstone. */
export interface SnapshotChange {
  readonly ver: number;
  /** The version this change builds on; a provider that holds an older one fetches the snapshot. */
  readonly from: number;
  readonly flags: { readonly [key: string]: FlagSet['flags'][string] | null };
  readonly lease?: { readonly [flag: string]: Lease | null };
}

/** Data of the `head` event: sent first on every stream, then every 10 s as the heartbeat. */
export interface StreamHead {
  readonly ver: number;
}
