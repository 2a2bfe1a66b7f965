import type { TestProject } from 'vitest/node';
import { findPostgres, type RunningPostgres, startPostgres } from './postgres.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** URL of a real PostgreSQL for this run, '' when there is none to be had. Take one schema per test. */
    pgUrl: string;
  }
}

const running: RunningPostgres[] = [];

export async function setup(project: TestProject): Promise<void> {
  const bin = findPostgres();
  if (bin === null) {
    const required = (process.env.TG_REQUIRE ?? '').split(',').includes('pg');
    if (required) throw new Error('TG_REQUIRE asks for PostgreSQL, but no binaries were found (see TG_PG_BIN)');
    console.error(
      '\n!!! SKIPPING PostgreSQL tests: no binaries found. Run npm ci with optional packages, or set TG_PG_BIN\n',
    );
    project.provide('pgUrl', '');
    return;
  }
  const server = await startPostgres(bin);
  running.push(server);
  project.provide('pgUrl', server.url);
}

export async function teardown(): Promise<void> {
  await Promise.all(running.map((server) => server.stop()));
}
