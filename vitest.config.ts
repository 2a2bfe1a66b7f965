import { defineConfig } from 'vitest/config';

const resolve = { conditions: ['tidegate:source', 'node', 'module', 'default'] };
const ssr = { resolve: { conditions: resolve.conditions, externalConditions: resolve.conditions } };

export default defineConfig({
  resolve,
  ssr,
  test: {
    reporters: ['default', './test/support/summary-reporter.ts'],
    // Half of a test's time is spent waiting for sockets: two workers suit two cores, one would idle.
    maxWorkers: 2,
    projects: [
      {
        resolve,
        ssr,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/**/*.pg.test.ts', 'test/**/*.browser.test.ts'],
          // Nothing here waits; but laws are tried on hundreds of worlds, and machines are shared.
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        resolve,
        ssr,
        test: {
          name: 'pg',
          include: ['test/**/*.pg.test.ts'],
          globalSetup: ['test/support/postgres.setup.ts'],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        resolve,
        ssr,
        test: {
          name: 'browser',
          include: ['test/**/*.browser.test.ts'],
          globalSetup: ['test/support/browser.setup.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // After the others: a page that competes for the CPU is a slow page, and here slowness is the signal.
          sequence: { groupOrder: 1 },
          maxWorkers: 2,
        },
      },
    ],
  },
});
