import type { Arm, Beacon } from '@tidegate/core';
import type { Client } from '../../src/ingest/client.ts';
import type { Message } from '../../src/ingest/fold.ts';
import { createTokens, type Tokens, type VerifiedToken } from '../../src/ingest/token.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import type { RumStore, SigningKey } from '../../src/store/store.ts';

export const noon = Date.UTC(2026, 0, 5, 12);
export const bucketMs = 60_000;
export const rules = { bucketMs, declared: (name: string) => name === 'checkout' };

export const aKey = (over: Partial<SigningKey> = {}): SigningKey => ({
  kid: 1,
  environment: 'production',
  secret: new Uint8Array(32).fill(7),
  pepper: new Uint8Array(32).fill(9),
  createdAt: noon - 86_400_000,
  ...over,
});

export const tokens: Tokens = createTokens({ keys: [aKey()] });

export interface TokenOf {
  readonly user: string;
  readonly arm?: Arm;
  readonly rollout?: number;
  readonly epoch?: number;
  readonly at?: number;
}

export function aToken({ user, arm = 'treatment', rollout = 1, epoch = 1, at = noon }: TokenOf): string {
  const entries = [{ rollout, epoch, arm }];
  const minted = tokens.mint({ environment: 'production', targetingKey: user, entries, at });
  if (minted === null) throw new Error('no token');
  return minted.token;
}

export function verified(token: string, at = noon): VerifiedToken {
  const read = tokens.verify(token, at);
  if (typeof read === 'string') throw new Error(read);
  return read;
}

export const pageViewId = (n: number | string): string =>
  Buffer.from(`view-${String(n).padStart(7, '0')}`).toString('base64url');

const aClient = (over: Partial<Client> = {}): Client => ({
  device: 'mobile',
  browser: 'safari',
  region: 'other',
  ...over,
});

export type MessageOf = TokenOf & {
  readonly view?: number | string;
  readonly receivedAt?: number;
  readonly client?: Partial<Client>;
  readonly network?: string;
  readonly optedOut?: boolean;
} & Partial<Omit<Beacon, 'v' | 'id' | 'tok'>>;

/** One message of a page view of `user`; triggered at navigation start unless told. */
export function aMessage(of: MessageOf): Message {
  const { user, view = user, receivedAt = noon + 10_000, client = {}, network = '192.0.2', optedOut = false } = of;
  const tok = aToken(of);
  const beacon: Beacon = {
    v: 1,
    id: pageViewId(view),
    q: of.q ?? 0,
    tok,
    x: of.x ?? [[0, 0]],
    age: of.age ?? 5_000,
    m: of.m ?? [],
    ...(of.end === undefined ? {} : { end: of.end }),
  };
  const token = verified(tok, receivedAt);
  return { beacon, receivedAt, size: 300, token, client: aClient(client), network, optedOut };
}

/** A real store in memory; close it when the test is done. */
export async function aRumStore(): Promise<RumStore> {
  const { control, rum } = await openSqlite({ dir: ':memory:', mono: () => performance.now() });
  await control.close();
  return rum;
}
