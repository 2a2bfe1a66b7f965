import { createHash, randomBytes } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import type { Snapshot } from '@tidegate/core';
import { isFields, parseJson, parseSnapshot } from './parse.ts';
import type { Held } from './reducer.ts';
import { countOf, digestOf } from './reducer.ts';

export type FileRead =
  | { readonly is: 'read'; readonly snapshot: Snapshot; readonly savedAtMs: number }
  | { readonly is: 'absent' }
  | { readonly is: 'unusable'; readonly because: string };

/** Reads what an earlier process saved. A half-written, damaged or unreadable file is `unusable`, never an exception. */
export async function readSnapshotFile(path: string): Promise<FileRead> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => error);
  if (typeof text !== 'string') {
    if (isFields(text) && text.code === 'ENOENT') return { is: 'absent' };
    return { is: 'unusable', because: text instanceof Error ? text.message : String(text) };
  }
  const file = parseJson(text);
  if (!isFields(file) || typeof file.savedAtMs !== 'number') return unusable('it is not a snapshot file');
  if (file.checksum !== checksumOf(file.snapshot)) return unusable('its checksum does not match');
  const snapshot = parseSnapshot(file.snapshot);
  return snapshot ? { is: 'read', snapshot, savedAtMs: file.savedAtMs } : unusable('it has an unknown form');
}

/**
 * Replaces the file in one step: a reader, or the next start after a crash at any moment, sees the old content or the
 * new, never a part. Mode 0600, since targeting rules may name people.
 */
export async function writeSnapshotFile(path: string, held: Held, savedAtMs: number): Promise<void> {
  const { env, ver, flagSet, lease } = held;
  const snapshot: Snapshot = {
    v: 1,
    env,
    ver,
    count: countOf(flagSet),
    digest: digestOf(flagSet),
    full: true,
    flagSet,
    lease,
  };
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(JSON.stringify({ checksum: checksumOf(snapshot), savedAtMs, snapshot }));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function checksumOf(value: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(value) ?? '')
    .digest('hex');
}

function unusable(because: string): FileRead {
  return { is: 'unusable', because };
}
