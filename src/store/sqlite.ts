import { join } from 'node:path';
import Database from 'better-sqlite3';
import { createControlStore } from './control-store.ts';
import { checkAge, checkRows, DataDirectory, type Driver, NewerSchema } from './driver.ts';
import { migrate, readMigrations, type Schema } from './migrate.ts';
import { ensurePrivateFile, ensurePrivateFolder } from './private-files.ts';
import type { Row } from './row.ts';
import { createRumStore } from './rum-store.ts';
import type { Sql } from './sql.ts';
import { Conflict, type ControlStore, type RumStore, StoreUnavailable } from './store.ts';

export interface SqliteOptions {
  /** Data directory, made when missing; or `:memory:`. */
  readonly dir: string;
  /** Monotonic clock of this process, ms. */
  readonly mono: () => number;
  /** Most that rum.db may take on disk, bytes; 2 GiB unless told. */
  readonly rumQuotaBytes?: number;
}

const defaultQuotaBytes = 2 * 1024 ** 3;
/** The write-ahead log is cut back to this after a checkpoint: it does not count towards the quota. */
const journalBytes = 16 * 1024 ** 2;
/** `TdGC`, `TdGR`: what `file` and other tools see in the header of our two files. */
const applicationId: { readonly [schema in Schema]: number } = { control: 0x54644743, rum: 0x54644752 };

/**
 * Opens and migrates both databases of one data directory, which belongs to this process until both are closed.
 * Throws `DataDirectory` when another process has it, `NewerSchema` when a newer tidegate made it.
 */
export async function openSqlite(options: SqliteOptions): Promise<{ control: ControlStore; rum: RumStore }> {
  const inMemory = options.dir === ':memory:';
  if (!inMemory) ensurePrivateFolder(options.dir);
  const release = inMemory ? () => {} : holdAlone(options.dir);
  const fileOf = (schema: Schema) => (inMemory ? ':memory:' : join(options.dir, `${schema}.db`));
  const opened: Driver[] = [];
  const open = async (schema: Schema): Promise<Driver> => {
    const driver = await openDatabase(fileOf(schema), schema, options);
    opened.push(driver);
    return driver;
  };
  // The directory is given back with the second of the two.
  const closing = (driver: Driver): Driver => ({
    ...driver,
    close: async () => {
      await driver.close();
      const at = opened.indexOf(driver);
      if (at < 0) return;
      opened.splice(at, 1);
      if (opened.length === 0) release();
    },
  });
  try {
    const control = closing(await open('control'));
    const rum = closing(await open('rum'));
    return { control: createControlStore(control), rum: createRumStore(rum) };
  } catch (error) {
    for (const driver of opened) await driver.close();
    release();
    throw error;
  }
}

async function openDatabase(file: string, schema: Schema, options: SqliteOptions): Promise<Driver> {
  if (file !== ':memory:') ensurePrivateFile(file);
  const migrations = await readMigrations(schema, 'sqlite');
  const db = new Database(file, { timeout: 1000 });
  try {
    checkHeader(db, schema, migrations.length, file);
    db.pragma('journal_mode = WAL');
    // Said aloud: better-sqlite3 is compiled to fall back to NORMAL in WAL mode. Decisions outlive a power cut.
    db.pragma(`synchronous = ${schema === 'control' ? 'FULL' : 'NORMAL'}`);
    db.pragma('foreign_keys = ON');
    db.pragma(`journal_size_limit = ${journalBytes}`);
    if (schema === 'rum') limitSize(db, options.rumQuotaBytes ?? defaultQuotaBytes);
    const driver = createSqliteDriver(db, options.mono);
    await migrate(driver, schema, migrations);
    db.pragma(`application_id = ${applicationId[schema]}`);
    db.pragma(`user_version = ${migrations.length}`);
    return driver;
  } catch (error) {
    db.close();
    throw unopened(translated(error), file);
  }
}

/** What is wrong with a database that does not open, with its name: not a database, damaged, read-only. */
const unopened = (error: unknown, file: string) =>
  error instanceof StoreUnavailable
    ? new DataDirectory(`cannot open ${file}: ${error.message}`, { cause: error })
    : error;

/** Refuses a file that is somebody else's or from the future before anything is written to it. */
function checkHeader(db: Database.Database, schema: Schema, known: number, file: string): void {
  const id = Number(db.pragma('application_id', { simple: true }));
  const version = Number(db.pragma('user_version', { simple: true }));
  if (id !== 0 && id !== applicationId[schema]) {
    throw new DataDirectory(`${file} is a database of another program: choose another TIDEGATE_DATA_DIR`);
  }
  if (version > known) {
    throw new NewerSchema(
      `${file} was made by a newer tidegate (schema ${version}, this one knows ${known}): run that version, or restore a backup made before the upgrade`,
    );
  }
}

function limitSize(db: Database.Database, quotaBytes: number): void {
  const pageBytes = Number(db.pragma('page_size', { simple: true }));
  db.pragma(`max_page_count = ${Math.max(1, Math.floor(quotaBytes / pageBytes))}`);
}

/** The returned function gives the directory back; so does the end of the process, however it ends. */
function holdAlone(dir: string): () => void {
  const file = join(dir, 'tidegate.lock');
  ensurePrivateFile(file);
  const db = new Database(file, { timeout: 0 });
  try {
    db.exec('begin exclusive');
  } catch (error) {
    db.close();
    if (!(error instanceof Database.SqliteError) || !/^SQLITE_(BUSY|LOCKED)/.test(error.code))
      throw unopened(translated(error), file);
    throw new DataDirectory(
      `another tidegate is running on ${dir}: stop it first, or give this one its own TIDEGATE_DATA_DIR (several controllers on one state need PostgreSQL: TIDEGATE_DATABASE_URL)`,
    );
  }
  return () => db.close();
}

/** better-sqlite3 behind the port of `driver.ts`. Every call runs to its end before it returns. */
export function createSqliteDriver(db: Database.Database, mono: () => number): Driver {
  const prepare = statementCache(db);
  const run = (sql: Sql): { readonly rows: Row[]; readonly changes: number } => {
    const statement = prepare(sql.text);
    if (!statement.reader) return { rows: [], changes: statement.run(...sql.values).changes };
    const rows = statement.all(...sql.values);
    return { rows, changes: rows.length };
  };
  const transaction = db.transaction<(...args: Parameters<Driver['batch']>) => Row[][]>((steps, guard) => {
    checkAge(guard, mono);
    const answers = steps.map((step) => {
      const { rows, changes } = run(step.sql);
      checkRows(step, rows, changes);
      return rows;
    });
    checkAge(guard, mono);
    return answers;
  });
  // async, so that what the synchronous database throws arrives as a rejection
  const attempt = async <T>(work: () => T): Promise<T> => {
    if (!db.open) throw new StoreUnavailable('the database is closed');
    try {
      return work();
    } catch (error) {
      throw translated(error);
    }
  };
  return {
    all: (sql) => attempt(() => run(sql).rows),
    batch: (steps, guard) => attempt(() => transaction.immediate(steps, guard)),
    close: async () => {
      db.close();
    },
  };
}

/** Slices of a list come in a hundred lengths, so texts repeat but are many: the least recently used one goes. */
function statementCache(db: Database.Database): (text: string) => Database.Statement<unknown[], Row> {
  const capacity = 256;
  const cache = new Map<string, Database.Statement<unknown[], Row>>();
  return (text) => {
    const statement = cache.get(text) ?? db.prepare<unknown[], Row>(text);
    cache.delete(text);
    cache.set(text, statement);
    const [oldest] = cache.keys();
    if (cache.size > capacity && oldest !== undefined) cache.delete(oldest);
    return statement;
  };
}

const notNow = /^SQLITE_(BUSY|LOCKED|FULL|READONLY|IOERR|CANTOPEN|CORRUPT|NOTADB|NOMEM|PROTOCOL)/;

function translated(error: unknown): unknown {
  if (!(error instanceof Database.SqliteError)) return error;
  if (/^SQLITE_CONSTRAINT_(UNIQUE|PRIMARYKEY|ROWID)$/.test(error.code)) {
    return new Conflict(error.message, { cause: error });
  }
  return notNow.test(error.code) ? new StoreUnavailable(`${error.code}: ${error.message}`, { cause: error }) : error;
}
