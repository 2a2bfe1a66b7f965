import { closeSync, mkdirSync, openSync, statSync } from 'node:fs';
import { DataDirectory } from './driver.ts';

/** Makes the folder for its owner alone; one that is there already keeps the mode its owner gave it. */
export function ensurePrivateFolder(folder: string): void {
  usable(folder, () => mkdirSync(folder, { recursive: true, mode: 0o700 }));
}

/**
 * Makes the file, empty, for its owner alone (SQLite gives its -wal and -shm the mode of the database), and refuses
 * one that everybody can read: it holds token hashes and signing keys.
 */
export function ensurePrivateFile(file: string): void {
  usable(file, () => closeSync(openSync(file, 'a', 0o600)));
  const mode = statSync(file).mode & 0o777;
  if (process.platform !== 'win32' && (mode & 0o006) !== 0) {
    throw new DataDirectory(`${file} is open to everybody (mode ${mode.toString(8)}): run \`chmod 600 ${file}\``);
  }
}

/** A file where a folder should be, a read-only disk, somebody else's folder. */
function usable(path: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new DataDirectory(`cannot use ${path}: ${why}; choose another TIDEGATE_DATA_DIR`, { cause: error });
  }
}
