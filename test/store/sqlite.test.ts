import { spawn } from 'node:child_process';
import { chmodSync, statSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DataDirectory, NewerSchema } from '../../src/store/driver.ts';
import { createSqliteDriver, openSqlite } from '../../src/store/sqlite.ts';
import { type RumStore, StoreUnavailable } from '../../src/store/store.ts';
import { tempFolder, tempStore } from '../support/temp-store.ts';
import { storeContract } from './contract.ts';
import { aBatch, anEntry, noon, pageViewKey } from './fixtures.ts';

describe('the store on SQLite', () => {
  storeContract(async () => {
    const folder = tempFolder();
    return {
      open: (mono) => openSqlite({ dir: folder.path, mono }),
      driver: async (mono) => createSqliteDriver(new Database(join(folder.path, 'bare.db'), { timeout: 1000 }), mono),
      remove: async () => folder.remove(),
    };
  });
});

describe('openSqlite', () => {
  const folder = { path: '', remove: () => {} };
  const open = (rumQuotaBytes?: number) =>
    openSqlite({ dir: folder.path, mono: () => 0, ...(rumQuotaBytes === undefined ? {} : { rumQuotaBytes }) });
  const openAndClose = async () => {
    const { control, rum } = await open();
    await control.close();
    await rum.close();
  };
  const edit = (file: string, ...pragmas: string[]) => {
    const db = new Database(join(folder.path, file));
    for (const pragma of pragmas) db.pragma(pragma);
    db.close();
  };
  beforeEach(() => {
    Object.assign(folder, tempFolder());
  });
  afterEach(() => folder.remove());

  it('makes its folder and files for the owner alone', async () => {
    const dir = join(folder.path, 'a', 'data');
    const { control, rum } = await openSqlite({ dir, mono: () => 0 });
    await control.commit({ audit: anEntry() });
    const mode = (path: string) => (statSync(path).mode & 0o777).toString(8);
    expect(mode(dir)).toBe('700');
    for (const file of ['control.db', 'control.db-wal', 'rum.db', 'tidegate.lock']) {
      expect(mode(join(dir, file))).toBe('600');
    }
    await control.close();
    await rum.close();
  });

  it('refuses a database that everybody can read', async () => {
    await openAndClose();
    chmodSync(join(folder.path, 'control.db'), 0o644);
    await expect(open()).rejects.toThrow('chmod 600');
  });

  it('signs its files and keeps them in WAL mode', async () => {
    await openAndClose();
    const db = new Database(join(folder.path, 'control.db'), { readonly: true });
    expect(db.pragma('application_id', { simple: true })).toBe(0x54644743);
    expect(db.pragma('user_version', { simple: true })).toBeGreaterThan(0);
    expect(db.pragma('journal_mode', { simple: true })).toBe('wal');
    db.close();
  });

  it('refuses a second process and says what to do', async () => {
    const { control, rum } = await open();
    await expect(open()).rejects.toThrow(DataDirectory);
    await expect(open()).rejects.toThrow('another tidegate is running');
    await control.close();
    await expect(open()).rejects.toThrow(DataDirectory);
    await rum.close();
    await openAndClose();
  });

  it('gets the folder back from a process that was killed', async () => {
    const hold = `const db = new (require('better-sqlite3'))(${JSON.stringify(join(folder.path, 'tidegate.lock'))});
      db.exec('begin exclusive'); console.log('held'); setInterval(() => {}, 1000);`;
    await openAndClose();
    const child = spawn(process.execPath, ['-e', hold], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    await expect(open()).rejects.toThrow(DataDirectory);
    child.kill('SIGKILL');
    await ended;
    await openAndClose();
  });

  it('refuses a file that a newer tidegate made, and lets go of the folder', async () => {
    await openAndClose();
    edit('rum.db', 'user_version = 9999');
    await expect(open()).rejects.toThrow(NewerSchema);
    edit('rum.db', 'user_version = 1');
    await openAndClose();
  });

  it('refuses a file of another program', async () => {
    edit('control.db', 'application_id = 7');
    chmodSync(join(folder.path, 'control.db'), 0o600);
    await expect(open()).rejects.toThrow('another program');
  });

  it('says StoreUnavailable when the quota is used up, writes nothing, and takes beacons again after a prune', async () => {
    const { control, rum } = await open(400_000);
    const flushes = await fill(rum);
    const [refused] = await rum.pageViews([pageViewKey(flushes * 1_000)]);
    expect(refused).toBeUndefined();
    expect(await rum.newestFlush()).toBe(flushes - 1);
    expect((await rum.stats(0)).map(({ n }) => n)).toEqual([flushes - 1]);
    await control.commit({ audit: anEntry() });
    await rum.prune({ pageViewsBefore: noon + 1, cellsBefore: 0 });
    await rum.commit(aBatch(flushes, { pageViews: [{ key: pageViewKey(1), at: noon, state: '{}' }] }));
    await control.close();
    await rum.close();
  });

  it('throws what is wrong with a statement as it is', async () => {
    const driver = createSqliteDriver(new Database(':memory:'), () => 0);
    await expect(driver.all({ text: 'select nonsense', values: [] })).rejects.toThrow('no such column');
  });

  it('needs no folder in memory', async () => {
    const store = await tempStore();
    expect(await store.control.commit({ audit: anEntry() })).toEqual({ seq: 1 });
    await store.close();
  });
});

/** Commits flush 1, 2, ... until one is refused, and returns its number. */
async function fill(rum: RumStore, flush = 1): Promise<number> {
  const pageViews = Array.from({ length: 200 }, (_, n) => ({
    key: pageViewKey(flush * 1_000 + n),
    at: noon,
    state: 'x'.repeat(100),
  }));
  const batch = aBatch(flush, { pageViews, stats: [{ bucket: noon, reason: 'accepted', n: 1 }] });
  const refusal = await rum.commit(batch).then(
    () => null,
    (error: unknown) => error,
  );
  if (refusal === null) return fill(rum, flush + 1);
  expect(refusal).toBeInstanceOf(StoreUnavailable);
  return flush;
}
