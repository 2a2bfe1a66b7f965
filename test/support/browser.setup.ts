import type { TestProject } from 'vitest/node';
import { findBrowser } from './browser.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Executable of the browser; '' when there is none and its tests are skipped. */
    browserPath: string;
  }
}

export default async function setup(project: TestProject): Promise<void> {
  const path = await findBrowser(process.env);
  if (path === undefined) {
    if ((process.env.TG_REQUIRE ?? '').split(',').includes('browser'))
      throw new Error('TG_REQUIRE asks for a browser: set TG_BROWSER, or install @sparticuz/chromium or chromium');
    console.warn('!!! SKIPPING browser tests: no Chromium found (TG_BROWSER, @sparticuz/chromium, /usr/bin/chromium)');
  }
  project.provide('browserPath', path ?? '');
}
