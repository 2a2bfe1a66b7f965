import { describe, expect, inject, it } from 'vitest';
import { createPostgresDriver, openPostgres } from '../../src/store/postgres.ts';
import { raw, sql } from '../../src/store/sql.ts';
import { StoreUnavailable } from '../../src/store/store.ts';
import { storeContract } from './contract.ts';
import { anEntry } from './fixtures.ts';

const url = inject('pgUrl');
const numbers = { next: 0 };
const newSchema = () => `t${process.pid}_${numbers.next++}`;
const mono = () => 0;

async function drop(...schemas: string[]): Promise<void> {
  const driver = await createPostgresDriver({ url, mono });
  for (const schema of schemas) await driver.all(raw(`drop schema if exists ${schema} cascade`));
  await driver.close();
}

describe.skipIf(url === '')('the store on PostgreSQL', () => {
  storeContract(async () => {
    const [schema, bare] = [newSchema(), newSchema()];
    const maker = await createPostgresDriver({ url, mono });
    await maker.all(raw(`create schema ${bare}`));
    await maker.close();
    return {
      open: (clock) => openPostgres({ url, schema, mono: clock }),
      driver: (clock) => createPostgresDriver({ url, schema: bare, mono: clock }),
      remove: () => drop(schema, bare),
    };
  });
});

describe.skipIf(url === '')('openPostgres', () => {
  it('lets two processes start on one empty database, and numbers their changes densely', async () => {
    const schema = newSchema();
    const both = await Promise.all([openPostgres({ url, schema, mono }), openPostgres({ url, schema, mono })]);
    const commits = both.flatMap(({ control }) =>
      Array.from({ length: 20 }, () => control.commit({ audit: anEntry() })),
    );
    const seqs = (await Promise.all(commits)).map(({ seq }) => seq);
    expect(seqs.sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, n) => n + 1));
    await Promise.all(both.flatMap(({ control, rum }) => [control.close(), rum.close()]));
    await drop(schema);
  });

  it('says StoreUnavailable when nobody listens', async () => {
    const nowhere = openPostgres({ url: 'postgres://nobody@127.0.0.1:1/none', mono });
    await expect(nowhere).rejects.toThrow(StoreUnavailable);
  });

  it('says StoreUnavailable when the server cuts the connection, and goes on with a new one', async () => {
    const driver = await createPostgresDriver({ url, mono });
    const cut = driver.batch([{ sql: sql`select pg_terminate_backend(pg_backend_pid())` }]);
    await expect(cut).rejects.toThrow(StoreUnavailable);
    expect(await driver.all(sql`select 1 as one`)).toEqual([{ one: 1 }]);
    await driver.close();
  });

  it('takes only a plain name for a schema', async () => {
    const hostile = openPostgres({ url, schema: 'x; drop schema public', mono });
    await expect(hostile).rejects.toThrow('plain lower-case name');
  });

  it('throws what is wrong with a statement as it is', async () => {
    const driver = await createPostgresDriver({ url, mono });
    await expect(driver.all(raw('select nonsense'))).rejects.toThrow('does not exist');
    await driver.close();
  });
});
