import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

const Locked = z.object({
  integrity: z.string().optional(),
  resolved: z.string().optional(),
  link: z.boolean().optional(),
  optionalDependencies: z.record(z.string(), z.string()).optional(),
});
const Lock = z.object({ packages: z.record(z.string(), Locked) });
const Manifest = z.object({
  version: z.string(),
  dependencies: z.record(z.string(), z.string()).default({}),
  peerDependencies: z.record(z.string(), z.string()).default({}),
});

const read = async (path: string) => JSON.parse(await readFile(new URL(`../${path}`, import.meta.url), 'utf8'));
const manifest = async (path: string) => Manifest.parse(await read(path));
const locked = Object.entries(Lock.parse(await read('package-lock.json')).packages);

describe('the lockfile', () => {
  it('names every platform package, so that npm ci works on every platform', () => {
    const known = locked.map(([path]) => path);
    const missing = locked.flatMap(([, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter((name) => !known.some((path) => path.endsWith(`node_modules/${name}`))),
    );
    expect(missing).toEqual([]);
  });

  it('pins each package by its hash, from the registry alone', () => {
    const fetched = locked.filter(([path, { link }]) => path.includes('node_modules/') && link !== true);
    expect(fetched.filter(([, { integrity }]) => integrity === undefined).map(([path]) => path)).toEqual([]);
    const foreign = fetched.filter(
      ([, { resolved }]) => resolved !== undefined && !resolved.startsWith('https://registry.npmjs.org/'),
    );
    expect(foreign).toEqual([]);
  });
});

describe('what users install', () => {
  it('is this list and no more', async () => {
    expect(Object.keys((await manifest('package.json')).dependencies)).toEqual([
      '@tidegate/core',
      'better-sqlite3',
      'commander',
      'express',
      'node-cron',
      'pg',
      'picocolors',
      'pino',
      'yaml',
      'zod',
    ]);
    expect((await manifest('providers/core/package.json')).dependencies).toEqual({});
    expect(Object.keys((await manifest('providers/server/package.json')).dependencies)).toEqual([
      '@tidegate/core',
      'eventsource-parser',
    ]);
    expect(Object.keys((await manifest('providers/web/package.json')).dependencies)).toEqual([
      '@tidegate/core',
      'web-vitals',
    ]);
  });

  it('has one version throughout', async () => {
    const { version } = await manifest('package.json');
    for (const name of ['core', 'server', 'web'])
      expect((await manifest(`providers/${name}/package.json`)).version).toBe(version);
    const source = await readFile(new URL('../src/version.ts', import.meta.url), 'utf8');
    expect(source).toContain(`'${version}'`);
  });
});
