import { randomBytes } from 'node:crypto';
import type { Role } from '../domain/permissions.ts';
import type { ControlStore, Environment, SigningKey, TokenRecord } from '../store/store.ts';
import { type By, once } from './by.ts';
import { requireEnvironment } from './environment.ts';
import { NotFound, Refused } from './errors.ts';
import { isPreset, makeToken, matches, parseToken, presetToken } from './token.ts';

const dayMs = 86_400_000;
/** Longest and usual life of a token, days. */
export const tokenDays = { most: 365, usual: 90, ci: 30 } as const;

export interface AccessDeps {
  readonly store: Pick<ControlStore, 'commit' | 'tokens' | 'environments' | 'signingKeys'>;
  /** Tells the door of the new records. */
  readonly changed: () => Promise<void>;
  /** Begins to serve a new environment. */
  readonly publish: (environment: string) => Promise<void>;
}

export interface Access {
  createToken(
    wanted: {
      readonly role: Role;
      readonly subject: string;
      readonly environment: string | null;
      readonly days: number | null;
    },
    by: By,
    wall: number,
  ): Promise<{ readonly token: string; readonly record: Omit<TokenRecord, 'secretHash'> }>;
  revokeToken(id: string, by: By, wall: number): Promise<void>;
  createEnvironment(
    environment: { readonly name: string; readonly protected: boolean },
    by: By,
    wall: number,
  ): Promise<Environment>;
}

const withoutHash = ({ secretHash: _, ...record }: TokenRecord) => record;

export function createAccess(deps: AccessDeps): Access {
  return {
    async createToken({ role, subject, environment, days }, by, wall) {
      if (environment !== null) await requireEnvironment(deps.store, environment);
      const life = days ?? (role === 'ci' ? tokenDays.ci : tokenDays.usual);
      const made = makeToken(role, { subject, environment, createdAt: wall, expiresAt: wall + life * dayMs });
      const record = withoutHash(made.record);
      await deps.store.commit({
        audit: {
          at: wall,
          actor: by.actor,
          action: 'token.create',
          environment,
          target: record.id,
          reason: by.reason,
          detail: { role, subject },
        },
        token: made.record,
        // A repeat is told which token it made, not the secret: that is shown once.
        ...once(by, { token: null, record }),
      });
      await deps.changed();
      return { token: made.text, record };
    },

    async revokeToken(id, by, wall) {
      const found = (await deps.store.tokens()).find((token) => token.id === id);
      if (found === undefined) throw new NotFound(`there is no token ${id}`);
      // Told again even so: the first time may have been cut short between the store and the door.
      if (found.revokedAt !== null) return deps.changed();
      await deps.store.commit({
        audit: {
          at: wall,
          actor: by.actor,
          action: 'token.revoke',
          environment: found.environment,
          target: id,
          reason: by.reason,
          detail: { subject: found.subject },
        },
        revokeToken: { id, at: wall },
        ...once(by, {}),
      });
      await deps.changed();
    },

    async createEnvironment(wanted, by, wall) {
      const known = await deps.store.environments();
      if (known.some(({ name }) => name === wanted.name))
        throw new Refused('exists', `the environment ${wanted.name} is there already`);
      const environment = { ...wanted, createdAt: wall };
      await deps.store.commit({
        audit: {
          at: wall,
          actor: by.actor,
          action: 'environment.create',
          environment: wanted.name,
          target: wanted.name,
          reason: by.reason,
          detail: { protected: wanted.protected },
        },
        environment,
        signingKey: newSigningKey(wanted.name, await deps.store.signingKeys(), wall),
        ...once(by, environment),
      });
      await deps.changed();
      await deps.publish(environment.name);
      return environment;
    },
  };
}

/** `kid` is one byte on the wire and names the environment too. */
function newSigningKey(environment: string, known: readonly SigningKey[], wall: number): SigningKey {
  const kid = Math.max(0, ...known.map((key) => key.kid)) + 1;
  if (kid > 255) throw new Refused('too_many_keys', 'there is no key id left for another environment');
  return { kid, environment, secret: randomBytes(32), pepper: randomBytes(32), createdAt: wall };
}

/** Whether somebody can do everything with this token now; one for a single environment cannot. */
const isLiveAdmin = (token: TokenRecord, wall: number) =>
  token.role === 'admin' && token.environment === null && token.revokedAt === null && token.expiresAt > wall;

const startAudit = (action: string, target: string, reason: string, wall: number) => ({
  at: wall,
  actor: 'controller',
  action,
  environment: null,
  target,
  reason,
  detail: {},
});

/** What a start needs: an environment (`production`, on the first one) with its signing key, and the preset token. */
export async function firstStart(store: AccessDeps['store'], preset: string | null, wall: number): Promise<void> {
  const [environments, keys] = await Promise.all([store.environments(), store.signingKeys()]);
  if (environments.length === 0) {
    const production: Environment = { name: 'production', protected: false, createdAt: wall };
    await store.commit({
      audit: startAudit('environment.create', 'production', 'first start', wall),
      environment: production,
      signingKey: newSigningKey('production', keys, wall),
    });
  }
  if (preset !== null) await takePreset(store, preset, wall);
}

/** Throws `Refused` for a preset token that opens nothing any more, and for one beside another preset. */
async function takePreset(store: AccessDeps['store'], preset: string, wall: number): Promise<void> {
  const tokens = await store.tokens();
  const known = tokens.find((token) => matches(token, parseToken(preset)?.secret ?? preset));
  const other = tokens.find((token) => isPreset(token) && token.revokedAt === null);
  if (known !== undefined && isLiveAdmin(known, wall)) return;
  if (known !== undefined)
    throw new Refused(
      'preset_token',
      'TIDEGATE_ADMIN_TOKEN was revoked, has expired or is no admin of everything: preset another one, or unset it',
    );
  if (other !== undefined)
    throw new Refused(
      'preset_token',
      `TIDEGATE_ADMIN_TOKEN differs from the one that was preset before: unset it and start, revoke ${other.id}, then preset the new one`,
    );
  const record = presetToken(preset, tokens.filter(isPreset).length, wall);
  await store.commit({ audit: startAudit('token.create', record.id, 'preset', wall), token: record });
}

/**
 * Makes an admin token when none works any more, or nobody could ever get in again. Returns its text, to be shown once;
 * null when there is a live one. For when nothing can keep the start from showing it.
 */
export async function ensureAdmin(store: AccessDeps['store'], wall: number): Promise<string | null> {
  const tokens = await store.tokens();
  if (tokens.some((token) => isLiveAdmin(token, wall))) return null;
  const made = makeToken('admin', {
    subject: 'admin',
    environment: null,
    createdAt: wall,
    expiresAt: wall + tokenDays.usual * dayMs,
  });
  const reason = tokens.length === 0 ? 'first start' : 'no admin token was live';
  await store.commit({ audit: startAudit('token.create', made.record.id, reason, wall), token: made.record });
  return made.text;
}
