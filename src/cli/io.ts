import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** Everything a command touches; tests hand over an object literal. */
export interface Io {
  stdout(text: string): void;
  stderr(text: string): void;
  readonly env: NodeJS.ProcessEnv;
  /** Colours are for people, not for pipes. */
  readonly colour: boolean;
  /** Somebody watches stderr: progress may be drawn. */
  readonly watched: boolean;
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** Bytes of a file; throws as node:fs does. */
  readFile(path: string): Promise<Uint8Array>;
  writeFile(path: string, text: string): Promise<void>;
  /** As `writeFile`, for results that every run makes anew. */
  replaceFile(path: string, text: string): Promise<void>;
  /** Size of a file in bytes, or null for a folder. Throws when there is neither. */
  size(path: string): Promise<number | null>;
  /** Files and folders of a folder, as paths, sorted. */
  list(path: string): Promise<string[]>;
  sleep(ms: number): Promise<void>;
  /** Epoch ms. */
  now(): number;
  newKey(): string;
}

/** The real world. */
export function processIo(env: NodeJS.ProcessEnv): Io {
  return {
    stdout: (text) => process.stdout.write(text),
    stderr: (text) => process.stderr.write(text),
    env,
    colour: process.stdout.isTTY === true && env.NO_COLOR === undefined,
    watched: process.stderr.isTTY === true,
    fetch: (url, init) => fetch(url, init),
    readFile: (path) => readFile(path),
    async writeFile(path, text) {
      await mkdir(join(path, '..'), { recursive: true });
      // An existing file is somebody's work: never overwritten.
      await writeFile(path, text, { flag: 'wx' });
    },
    async replaceFile(path, text) {
      await mkdir(join(path, '..'), { recursive: true });
      await writeFile(path, text);
    },
    async size(path) {
      const found = await stat(path);
      return found.isDirectory() ? null : found.size;
    },
    async list(path) {
      return (await readdir(path)).toSorted().map((name) => join(path, name));
    },
    sleep: async (ms) => {
      await delay(ms);
    },
    now: () => Date.now(),
    newKey: () => randomUUID(),
  };
}
