import { isIP } from 'node:net';
import { z } from 'zod';

/** The only reader of the environment. Every setting has a safe default; a bad value names itself and what it may be. */
export class BadSetting extends Error {
  override name = 'BadSetting';
}

const most = { regions: 8 } as const;

/** A comma-separated list. */
const list = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== ''),
  );

/** `10.0.0.1`, `10.0.0.0/8`, `fd00::/8`. */
function isAddressOrRange(entry: string): boolean {
  const [address = '', bits, ...rest] = entry.split('/');
  const widest = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1;
  return rest.length === 0 && widest > 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= widest));
}

function isOrigin(entry: string): boolean {
  return URL.canParse(entry) && new URL(entry).origin === entry;
}

const Settings = z.object({
  TIDEGATE_PORT: z.coerce.number({ error: 'must be a port number' }).int().min(0).max(65_535).default(7070),
  TIDEGATE_HOST: z.string().default('127.0.0.1'),
  TIDEGATE_DATA_DIR: z.string().default('./data'),
  TIDEGATE_DATABASE_URL: z
    .string()
    .regex(/^postgres(ql)?:\/\//, 'must start with postgres://')
    .optional(),
  TIDEGATE_ADMIN_TOKEN: z
    .string()
    .regex(/^[\x21-\x7e]{24,256}$/, 'must have 24 to 256 visible ASCII characters')
    .optional(),
  TIDEGATE_PUBLIC_EVALUATION: z.stringbool({ error: 'must be true or false' }).default(false),
  TIDEGATE_TRUSTED_PROXIES: list.refine((entries) => entries.every(isAddressOrRange), {
    error: 'must list addresses or ranges such as 10.0.0.0/8',
  }),
  TIDEGATE_ALLOWED_ORIGINS: list.refine((entries) => entries.every(isOrigin), {
    error: 'must list origins such as https://shop.example',
  }),
  TIDEGATE_REGION_HEADER: z
    .string()
    .toLowerCase()
    .regex(/^[a-z0-9-]+$/, 'must be the name of a header')
    .optional(),
  TIDEGATE_REGIONS: list.refine((entries) => entries.length <= most.regions, {
    error: `must list at most ${most.regions} regions`,
  }),
  TIDEGATE_LOG_LEVEL: z.enum(['silent', 'error', 'warn', 'info', 'debug']).default('info'),
});

export interface Config {
  readonly port: number;
  readonly host: string;
  readonly dataDir: string;
  /** Unset: SQLite in `dataDir`. */
  readonly databaseUrl: string | null;
  /** Presets the first admin token; otherwise one is made and shown once. */
  readonly adminToken: string | null;
  /** Browsers need no key for OFREP and RUM. */
  readonly publicEvaluation: boolean;
  /** Addresses or CIDR ranges whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[];
  /** Origins that may call OFREP and RUM from a page; empty = any. Credentials are never allowed. */
  readonly allowedOrigins: readonly string[];
  /** Header in which a trusted proxy names the visitor's region, and the regions that are kept apart (at most 8). */
  readonly regionHeader: string | null;
  readonly regions: readonly string[];
  readonly logLevel: 'silent' | 'error' | 'warn' | 'info' | 'debug';
}

/** Reads the controller's settings; throws `BadSetting` with one line per bad variable. */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  // An empty variable is what a compose file makes of one that is not set.
  const parsed = Settings.safeParse(Object.fromEntries(Object.entries(env).filter(([, value]) => value !== '')));
  if (!parsed.success) {
    throw new BadSetting(parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('\n'));
  }
  const s = parsed.data;
  return {
    port: s.TIDEGATE_PORT,
    host: s.TIDEGATE_HOST,
    dataDir: s.TIDEGATE_DATA_DIR,
    databaseUrl: s.TIDEGATE_DATABASE_URL ?? null,
    adminToken: s.TIDEGATE_ADMIN_TOKEN ?? null,
    publicEvaluation: s.TIDEGATE_PUBLIC_EVALUATION,
    trustedProxies: s.TIDEGATE_TRUSTED_PROXIES,
    allowedOrigins: s.TIDEGATE_ALLOWED_ORIGINS,
    regionHeader: s.TIDEGATE_REGION_HEADER ?? null,
    regions: s.TIDEGATE_REGIONS,
    logLevel: s.TIDEGATE_LOG_LEVEL,
  };
}

/** Where the CLI finds its controller and its token; the token never travels in argv. */
export function cliConfig(env: NodeJS.ProcessEnv): {
  readonly url: string;
  readonly token: string | null;
  readonly tokenFile: string | null;
} {
  return {
    url: (env.TIDEGATE_URL ?? 'http://127.0.0.1:7070').replace(/\/+$/, ''),
    token: env.TIDEGATE_TOKEN ?? null,
    tokenFile: env.TIDEGATE_TOKEN_FILE ?? null,
  };
}
