import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { bundle } from './bundle.ts';

const kilobytes = (code: string) => gzipSync(code).length / 1024;

describe('the bundle of the web provider', () => {
  let code = '';
  beforeAll(async () => {
    code = await bundle('../../../providers/web/src/index.ts', ['@openfeature/web-sdk', '@openfeature/core']);
  }, 60_000);

  it('with core and web-vitals, without the SDK, is at most 10 KB of gzip', () => {
    expect(kilobytes(code)).toBeGreaterThan(2);
    expect(kilobytes(code)).toBeLessThanOrEqual(10);
  });

  it('makes no code out of text', () => {
    expect(code).not.toMatch(/\beval\s*\(/);
    expect(code).not.toMatch(/new\s+Function\b|\bFunction\s*\(/);
  });

  it('carries neither the evaluator nor storage, cookies or console output', () => {
    expect(code).not.toMatch(/fractional|sem_ver/);
    expect(code).not.toMatch(/localStorage|sessionStorage|document\.cookie|indexedDB|console\./);
  });
});

it('a page with the SDK pays at most 20 KB of gzip', { timeout: 60_000 }, async () => {
  expect(kilobytes(await bundle('../../../providers/web/src/index.ts'))).toBeLessThanOrEqual(20);
});
