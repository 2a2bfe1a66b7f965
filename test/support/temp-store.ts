import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqlite } from '../../src/store/sqlite.ts';
import type { ControlStore, RumStore } from '../../src/store/store.ts';

export interface TempStore {
  readonly control: ControlStore;
  readonly rum: RumStore;
  close(): Promise<void>;
}

/** Real SQLite in memory. Hand a clock over when the test is about the age of a raise. */
export async function tempStore(mono: () => number = () => 0): Promise<TempStore> {
  const { control, rum } = await openSqlite({ dir: ':memory:', mono });
  return {
    control,
    rum,
    close: async () => {
      await Promise.all([control.close(), rum.close()]);
    },
  };
}

/** A folder of its own for what must survive a reopen; `remove` it afterwards. */
export function tempFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'tidegate-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
