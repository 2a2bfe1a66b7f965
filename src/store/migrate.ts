import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { type Driver, NewerSchema } from './driver.ts';
import { text } from './row.ts';
import { raw, type Sql, sql } from './sql.ts';
import { Conflict } from './store.ts';

export type Dialect = 'sqlite' | 'postgres';
export type Schema = 'control' | 'rum';

/** One file of `migrations/`. */
export interface Migration {
  /** `0001_control`, `0002_control_sessions`, ...: the file name without dialect and ending. */
  readonly name: string;
  readonly checksum: string;
  readonly statements: readonly Sql[];
}

// Two levels below the package root both in src/ and in dist/.
const folder = new URL('../../migrations/', import.meta.url);
const fileName = /^(\d{4}_(control|rum)(?:_[a-z0-9_]+)?)(?:\.(sqlite|postgres))?\.sql$/;

/** The migrations of one schema as this dialect reads them, oldest first. */
export async function readMigrations(schema: Schema, dialect: Dialect): Promise<Migration[]> {
  const files = (await readdir(folder))
    .sort()
    .flatMap((file) => [fileName.exec(file) ?? []])
    .filter(([, , of, only]) => of === schema && (only === undefined || only === dialect));
  return Promise.all(
    files.map(async ([file = '', name = '']) => {
      const content = (await readFile(new URL(file, folder), 'utf8')).replaceAll('\r\n', '\n');
      return { name, checksum: createHash('sha256').update(content).digest('hex'), statements: split(content) };
    }),
  );
}

/**
 * Brings a schema up to date. A migration's own row is inserted first, in the transaction of its statements, so of two
 * starters one runs it and the other finds it done. Throws `NewerSchema` when the database has migrations that this
 * program does not know.
 */
export async function migrate(driver: Driver, schema: Schema, migrations: readonly Migration[]): Promise<void> {
  await ensureTable(driver);
  const applied = await appliedOf(driver, schema);
  const known = new Set(migrations.map((migration) => migration.name));
  const unknown = [...applied.keys()].filter((name) => !known.has(name));
  if (unknown.length > 0) {
    throw new NewerSchema(
      `the database was made by a newer tidegate (it has ${unknown.join(', ')}): run that version, or restore a backup made before the upgrade`,
    );
  }
  for (const migration of migrations) {
    const checksum = applied.get(migration.name) ?? (await run(driver, schema, migration));
    if (checksum !== migration.checksum) {
      throw new Error(`migration ${migration.name} was edited after it ran here: put the file back as it was`);
    }
  }
}

/** Returns the checksum that stands in the database afterwards. */
async function run(driver: Driver, schema: Schema, migration: Migration): Promise<string> {
  const own = sql`insert into migration (name, checksum) values (${migration.name}, ${migration.checksum})`;
  try {
    await driver.batch([{ sql: own, expectRows: 1 }, ...migration.statements.map((statement) => ({ sql: statement }))]);
    return migration.checksum;
  } catch (error) {
    const theirs = error instanceof Conflict ? (await appliedOf(driver, schema)).get(migration.name) : undefined;
    if (theirs === undefined) throw error;
    return theirs;
  }
}

async function ensureTable(driver: Driver): Promise<void> {
  const create = raw('create table if not exists migration (name text primary key, checksum text not null)');
  try {
    await driver.batch([{ sql: create }]);
  } catch (error) {
    // PostgreSQL checks existence before it takes the name: of two starters the second may be told "duplicate".
    if (!(error instanceof Conflict)) throw error;
    await driver.batch([{ sql: create }]);
  }
}

async function appliedOf(driver: Driver, schema: Schema): Promise<Map<string, string>> {
  const rows = await driver.all(sql`select name, checksum from migration`);
  return new Map(
    rows
      .map((row) => [text(row, 'name'), text(row, 'checksum')] as const)
      // Schemas share one table where they share one database.
      .filter(([name]) => name.split('_')[1] === schema),
  );
}

/** A statement ends with a semicolon at the end of a line; comment lines are left out. */
function split(content: string): Sql[] {
  return content
    .replace(/^\s*--.*$/gm, '')
    .split(/;[ \t]*$/m)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '')
    .map(raw);
}
