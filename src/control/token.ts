import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Role, TokenRecord } from '../store/store.ts';

/** `tg_<kind>_<8 base62 id>_<43 base64url secret>_<6 hex crc>`: the CRC lets a typo be told from a stranger. */
const kinds = {
  adm: 'admin',
  opr: 'operator',
  apr: 'approver',
  vwr: 'viewer',
  ci: 'ci',
  ing: 'ingest',
  srv: 'sdk-server',
  cli: 'sdk-client',
} as const satisfies Record<string, Role>;

const shape = /^tg_(adm|opr|apr|vwr|ci|ing|srv|cli)_([0-9A-Za-z]{8})_([\w-]{43})_([0-9a-f]{6})$/;
const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

const presetId = /^preset\d\d$/;
/** A token of the operator's own making (`TIDEGATE_ADMIN_TOKEN`), which does not tell its id. */
export const isPreset = ({ id }: Pick<TokenRecord, 'id'>) => presetId.test(id);

const crcOf = (text: string) => crc32(text).toString(16).padStart(8, '0').slice(2);
const hashSecret = (secret: string) => createHash('sha256').update(secret).digest('hex');

/** A new token and the record to keep of it; the text is shown once and never stored. */
export function makeToken(
  role: Role,
  about: Pick<TokenRecord, 'subject' | 'environment' | 'createdAt' | 'expiresAt'>,
): { text: string; record: TokenRecord } {
  const kind = Object.entries(kinds).find(([, of]) => of === role)?.[0] ?? 'vwr';
  const id = Array.from(randomBytes(8), (byte) => base62[byte % 62]).join('');
  const secret = randomBytes(32).toString('base64url');
  const body = `tg_${kind}_${id}_${secret}`;
  return {
    text: `${body}_${crcOf(body)}`,
    record: { id, role, secretHash: hashSecret(secret), revokedAt: null, ...about },
  };
}

/** Record of a token that the operator presets: any text that `readConfig` lets through. `before` counts earlier ones. */
export function presetToken(text: string, before: number, createdAt: number): TokenRecord {
  const parsed = parseToken(text);
  return {
    id: parsed?.id ?? `preset${String(before).padStart(2, '0')}`,
    role: 'admin',
    subject: 'admin',
    environment: null,
    secretHash: hashSecret(parsed?.secret ?? text),
    createdAt,
    expiresAt: Number.MAX_SAFE_INTEGER,
    revokedAt: null,
  };
}

export function parseToken(text: string): { id: string; secret: string } | null {
  const parts = shape.exec(text);
  const [, , id, secret, crc] = parts ?? [];
  if (id === undefined || secret === undefined || crc !== crcOf(text.slice(0, -7))) return null;
  return { id, secret };
}

/** Constant time in the secret; an unknown id costs the same as a wrong secret. */
export function matches(record: TokenRecord | undefined, secret: string): record is TokenRecord {
  const given = Buffer.from(hashSecret(secret), 'hex');
  const kept = record === undefined ? Buffer.alloc(32) : Buffer.from(record.secretHash, 'hex');
  return timingSafeEqual(given, kept) && record !== undefined;
}
