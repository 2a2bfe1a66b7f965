import type { CustomTypesConfig, Pool } from 'pg';
import { createControlStore } from './control-store.ts';
import { checkAge, checkRows, type Driver } from './driver.ts';
import { migrate, readMigrations, type Schema } from './migrate.ts';
import type { Row } from './row.ts';
import { createRumStore } from './rum-store.ts';
import { raw, type Sql } from './sql.ts';
import { Conflict, type ControlStore, type RumStore, StoreUnavailable } from './store.ts';

export interface PostgresOptions {
  /** `postgres://…` */
  readonly url: string;
  /** Schema to live in, made when missing; the role's own default unless told. */
  readonly schema?: string;
  /** Monotonic clock of this process, ms. */
  readonly mono: () => number;
}

/** Opens and migrates both stores in one database, each with its own connections: beacons never queue before a kill. */
export async function openPostgres(options: PostgresOptions): Promise<{ control: ControlStore; rum: RumStore }> {
  const control = await createPostgresDriver(options);
  const rum = await createPostgresDriver(options);
  try {
    if (options.schema !== undefined) await ensureSchema(control, options.schema);
    for (const [driver, schema] of [[control, 'control'] as const, [rum, 'rum'] as const]) await bring(driver, schema);
    return { control: createControlStore(control), rum: createRumStore(rum) };
  } catch (error) {
    await Promise.all([control.close(), rum.close()]);
    throw error;
  }
}

const bring = async (driver: Driver, schema: Schema) =>
  migrate(driver, schema, await readMigrations(schema, 'postgres'));

async function ensureSchema(driver: Driver, schema: string): Promise<void> {
  const create = raw(`create schema if not exists ${schema}`);
  try {
    await driver.all(create);
  } catch (error) {
    // Of two starters the second may be told "duplicate" although it asked first whether it exists.
    if (!(error instanceof Conflict)) throw error;
  }
}

/** pg behind the port of `driver.ts`. */
export async function createPostgresDriver(options: PostgresOptions): Promise<Driver> {
  const pool = await openPool(options);
  return {
    all: (sql) => attempt(async () => (await pool.query<Row>(numbered(sql))).rows),
    batch: (steps, guard) =>
      attempt(async () => {
        const client = await pool.connect();
        try {
          // Whatever the server's default: what we answered is on its disk.
          await client.query('begin; set local synchronous_commit = on');
          checkAge(guard, options.mono);
          const answers: Row[][] = [];
          for (const step of steps) {
            const { rows, rowCount } = await client.query<Row>(numbered(step.sql));
            checkRows(step, rows, rowCount ?? 0);
            answers.push(rows);
          }
          checkAge(guard, options.mono);
          await client.query('commit');
          client.release();
          return answers;
        } catch (error) {
          const rolledBack = await client.query('rollback').then(
            () => true,
            () => false,
          );
          // A connection in an unknown state is thrown away, and its transaction with it.
          client.release(!rolledBack);
          throw error;
        }
      }),
    close: async () => {
      if (!pool.ending) await pool.end();
    },
  };
}

async function openPool({ url, schema }: PostgresOptions): Promise<Pool> {
  // Loaded here, so that those who stay on SQLite do not pay for it.
  const { default: pg } = await import('pg');
  if (schema !== undefined && !/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) {
    throw new TypeError(`schema ${JSON.stringify(schema)} should be a plain lower-case name`);
  }
  const int8 = 20;
  const overrides = new pg.TypeOverrides();
  overrides.setTypeParser(int8, Number);
  const types: CustomTypesConfig = { getTypeParser: overrides.getTypeParser.bind(overrides) };
  const pool = new pg.Pool({
    connectionString: url,
    ...(schema === undefined ? {} : { options: `-c search_path=${schema}` }),
    types,
    application_name: 'tidegate',
    max: 4,
    keepAlive: true,
    connectionTimeoutMillis: 5_000,
    lock_timeout: 5_000,
    statement_timeout: 10_000,
    // A process that is suspended inside its transaction does not hold the others up for longer than this.
    idle_in_transaction_session_timeout: 10_000,
    // When the server does not answer at all.
    query_timeout: 15_000,
  });
  // A broken connection is replaced by the pool, and the query that it was at is rejected; but without a listener of
  // its own, idle or in the middle of a batch, it would also end the process.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}

/** `?` becomes `$1`, `$2`, ... Our statements hold no other question mark. */
function numbered(sql: Sql): { text: string; values: unknown[] } {
  const parts = sql.text.split('?');
  const text = parts.reduce((before, part, index) => `${before}$${index}${part}`);
  return { text: sql.values.length === 0 ? sql.text : text, values: [...sql.values] };
}

async function attempt<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw translated(error);
  }
}

/**
 * Duplicate key, table, schema, or type (of two that create one table, the later may meet the type of its rows first);
 * serialization failure; deadlock.
 */
const conflicts = ['23505', '42P07', '42P06', '42710', '40001', '40P01'];
/** Connection lost, out of resources, cancelled or timed out, shutting down, read-only, I/O error. */
const notNow = /^(08|53|57|58|XX)|^(25006|25P03|55P03)$/;

function translated(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof Conflict || error instanceof TypeError) return error;
  // What the server says has a code of five characters, none of which begins with E as the connection's own do.
  const code =
    'code' in error && typeof error.code === 'string' && /^(?!E)[0-9A-Z]{5}$/.test(error.code) ? error.code : null;
  if (code !== null && conflicts.includes(code)) return new Conflict(error.message, { cause: error });
  if (code !== null && !notNow.test(code)) return error;
  return new StoreUnavailable(`PostgreSQL cannot take it: ${error.message}`, { cause: error });
}
