import type { IncomingMessage } from 'node:http';
import { isPreset, matches, parseToken } from '../control/token.ts';
import type { Role, TokenRecord } from '../store/store.ts';

/** Who is asking. `environment: null` = every environment. */
export interface Principal {
  /** Token id, `public` for browsers that need none. */
  readonly id: string;
  readonly role: Role;
  readonly subject: string;
  readonly environment: string | null;
}

/** Whether somebody may act, or look, in this environment. Null: in all of them at once. */
export function covers(principal: Pick<Principal, 'environment'>, environment: string | null): boolean {
  return principal.environment === null || principal.environment === environment;
}

export interface Auth {
  /** Null: no token, or one that is unknown, wrong, expired or revoked. */
  authenticate(req: Pick<IncomingMessage, 'headers'>): Principal | null;
  /** False once the token is revoked, expired or unknown. */
  isLive(id: string): boolean;
  /** Takes over the store's tokens, after a start and after each change. */
  load(records: readonly TokenRecord[]): void;
}

const bearer = /^Bearer +(\S+)$/i;
const recentLimit = 1_000;

/** Bearer tokens (and `X-API-Key`, which OFREP clients send), checked against the records in memory. */
export function createAuth(now: () => number): Auth {
  let byId = new Map<string, TokenRecord>();
  let presets: readonly TokenRecord[] = [];
  // A verified header is remembered so that a busy client costs one Map look-up; every load starts afresh.
  const recent = new Map<string, TokenRecord>();

  const find = (text: string): TokenRecord | null => {
    const known = recent.get(text);
    if (known !== undefined) return known;
    const parsed = parseToken(text);
    const record = parsed === null ? presets.find((preset) => matches(preset, text)) : byId.get(parsed.id);
    if (!matches(record, parsed?.secret ?? text)) return null;
    if (recent.size >= recentLimit) recent.clear();
    recent.set(text, record);
    return record;
  };

  return {
    authenticate(req) {
      const key = req.headers['x-api-key'];
      const text = bearer.exec(req.headers.authorization ?? '')?.[1] ?? (typeof key === 'string' ? key : undefined);
      if (text === undefined || text.length > 256) return null;
      const record = find(text);
      if (record === null || record.revokedAt !== null || record.expiresAt <= now()) return null;
      return { id: record.id, role: record.role, subject: record.subject, environment: record.environment };
    },
    isLive(id) {
      const record = byId.get(id);
      return record !== undefined && record.revokedAt === null && record.expiresAt > now();
    },
    load(records) {
      byId = new Map(records.map((record) => [record.id, record]));
      presets = records.filter(isPreset);
      recent.clear();
    },
  };
}

const publicPrincipal: Principal = { id: 'public', role: 'sdk-client', subject: 'public', environment: null };

/** As `auth`, and where browsers need no key, a caller without one is a client. A wrong key stays wrong. */
export function withPublic(auth: Auth): Pick<Auth, 'authenticate' | 'isLive'> {
  return {
    authenticate(req) {
      const keyless = req.headers.authorization === undefined && req.headers['x-api-key'] === undefined;
      return keyless ? publicPrincipal : auth.authenticate(req);
    },
    isLive: (id) => id === publicPrincipal.id || auth.isLive(id),
  };
}
