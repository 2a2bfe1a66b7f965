import type { Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Beacon, BeaconSample } from '@tidegate/core';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { chromium } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { launchOptions } from '../../support/browser.ts';
import { FakeController } from '../../support/fake-controller.ts';
import { bundle } from './bundle.ts';

const browserPath = inject('browserPath');

const html = `<!doctype html><html lang="en"><head><title>shop</title><script type="module" src="/app.js"></script></head>
<body><h1>checkout loading</h1><button id="buy">Buy</button><button id="break">Break</button><button id="consent">Yes</button></body></html>`;

const on = { checkout: { value: true, variant: 'on', reason: 'SPLIT', metadata: { 'tidegate.x': 0 } } };
const off = { checkout: { value: false, variant: 'off', reason: 'STATIC', metadata: { 'tidegate.x': 0 } } };

describe.skipIf(browserPath === '')('the web provider in a real browser', () => {
  let browser: Browser;
  let shop: Server;
  let shopUrl = '';
  let context: BrowserContext;
  let controller: FakeController;
  /** A strict policy: own scripts only, and nothing but the controller to talk to. */
  let policy = '';

  beforeAll(async () => {
    const code = await bundle('./page.ts');
    shop = createServer((request, response) => {
      const isScript = request.url === '/app.js';
      response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
      response.setHeader('content-security-policy', policy);
      response.end(isScript ? code : request.url?.startsWith('/next') ? '<!doctype html><title>next</title>' : html);
    });
    await new Promise<void>((resolve) => shop.listen(0, '127.0.0.1', resolve));
    shopUrl = `http://127.0.0.1:${(shop.address() as AddressInfo).port}`;
    browser = await chromium.launch(launchOptions(browserPath));
  });

  afterAll(async () => {
    await browser?.close();
    shop?.closeAllConnections();
    shop?.close();
  });

  beforeEach(async () => {
    controller = await new FakeController().start();
    controller.bulkMetadata = { 'tidegate.token': 'tg1.first.mac' };
    controller.setBulkQuietly(on);
    policy = `default-src 'none'; script-src 'self'; connect-src ${controller.url}; require-trusted-types-for 'script'`;
    context = await browser.newContext();
  });

  afterEach(async () => {
    await context.close();
    await controller.stop();
  });

  async function visit(query = 'rum=on'): Promise<Page> {
    const page = await context.newPage();
    await page.goto(`${shopUrl}/?controller=${encodeURIComponent(controller.url)}&${query}`);
    await page.waitForFunction(() => document.querySelector('h1')?.textContent !== 'checkout loading');
    return page;
  }

  function title(page: Page): Promise<string | null> {
    return page.textContent('h1');
  }

  async function shows(page: Page, text: string): Promise<void> {
    await page.waitForFunction((wanted) => document.querySelector('h1')?.textContent === wanted, text);
  }

  function logOf(page: Page): Promise<string[]> {
    return page.evaluate(() => (window as unknown as { tidegate: { log: string[] } }).tidegate.log);
  }

  /** Observers report in idle time; a visitor who reads for a moment gives it to them. */
  async function idle(page: Page): Promise<void> {
    await page.evaluate(
      () => new Promise<void>((resolve) => requestIdleCallback(() => setTimeout(resolve, 50), { timeout: 3_000 })),
    );
  }

  async function leave(page: Page): Promise<void> {
    await idle(page);
    await page.goto(`${shopUrl}/next`);
  }

  async function beacons(atLeast: number): Promise<Beacon[]> {
    await expect.poll(() => controller.beacons.length, { timeout: 10_000 }).toBeGreaterThanOrEqual(atLeast);
    return controller.beacons.map((body) => JSON.parse(body) as Beacon);
  }

  /** The last value per metric, as the receiver sees a page view. */
  function samplesOf(messages: readonly Beacon[]): Map<string, BeaconSample> {
    return new Map(messages.flatMap(({ m }) => m ?? []).map((sample) => [sample[0], sample]));
  }

  it('resolves flags from the controller across origins', async () => {
    expect(await title(await visit())).toBe('checkout new');
  });

  it('swaps the value when a kill is announced', async () => {
    const page = await visit();
    await expect.poll(() => controller.openEventSources).toBe(1);
    controller.setBulk(off);
    await shows(page, 'checkout old');
    expect(await logOf(page)).toEqual(['PROVIDER_READY', 'PROVIDER_CONFIGURATION_CHANGED']);
  });

  it('fetches what it missed when a cut stream opens again', async () => {
    const page = await visit();
    await expect.poll(() => controller.openEventSources).toBe(1);
    controller.cutStreams();
    controller.setBulkQuietly(off);
    await shows(page, 'checkout old');
    expect(controller.to('/ofrep/v1/sse').length).toBeGreaterThanOrEqual(2);
  });

  it('is told that nothing changed by a 304: the ETag crosses origins', async () => {
    const page = await visit();
    await expect.poll(() => controller.openEventSources).toBe(1);
    controller.cutStreams();
    await expect.poll(() => controller.to('/ofrep/v1/evaluate/flags').length).toBeGreaterThanOrEqual(2);
    expect(controller.to('/ofrep/v1/evaluate/flags').at(-1)?.headers['if-none-match']).toMatch(/^"[0-9a-f]{64}"$/);
    expect(await title(page)).toBe('checkout new');
  });

  it('reports all five vitals, the conversion and the exposure of a visit that clicked and left', async () => {
    const page = await visit();
    await page.click('#buy');
    await leave(page);
    const messages = await beacons(1);
    const samples = samplesOf(messages);
    expect([...samples.keys()].sort()).toEqual(['CLS', 'FCP', 'INP', 'LCP', 'TTFB', 'conv:bought']);
    expect(samples.get('INP')?.[1]).toBeGreaterThanOrEqual(56);
    for (const name of ['LCP', 'FCP', 'TTFB']) expect(samples.get(name)?.[1]).toBeGreaterThan(0);
    const last = messages.at(-1);
    expect(last).toMatchObject({ v: 1, tok: 'tg1.first.mac', nav: 'navigate', vis: 1, end: 1 });
    expect(last?.id).toMatch(/^[A-Za-z0-9_-]{16}$/);
    expect(last?.x).toEqual([[0, expect.any(Number)]]);
    for (const [, , atMs] of samples.values()) expect(atMs).toBeLessThanOrEqual(last?.age ?? 0);
  });

  it('sends text/plain without credentials in sight: no preflight, no cookie', async () => {
    const page = await visit();
    await leave(page);
    await beacons(1);
    const [beacon] = controller.to('/v1/rum');
    expect(beacon?.headers['content-type']).toBe('text/plain;charset=UTF-8');
    expect(beacon?.headers.cookie).toBeUndefined();
    expect(await context.cookies()).toEqual([]);
  });

  it('sends the start message three seconds after the first exposure, for pages that die before they can report', async () => {
    await visit();
    const [start] = await beacons(1);
    expect(start).toMatchObject({ q: 0, x: [[0, expect.any(Number)]] });
    expect(start?.end).toBeUndefined();
    expect(start?.age).toBeGreaterThanOrEqual(3_000);
    expect(start?.age).toBeLessThan(5_000);
  });

  it('counts uncaught errors and rejections, says when the first one was, and nothing of their text', async () => {
    const page = await visit();
    await page.click('#break');
    await page.evaluate(() => void Promise.reject(new Error('secret')));
    await idle(page);
    await leave(page);
    const messages = await beacons(1);
    expect(samplesOf(messages).get('err')?.[1]).toBe(2);
    expect(controller.beacons.join()).not.toMatch(/secret|purpose/);
  });

  it('keeps the first token of a page view, and reports under no other', async () => {
    const page = await visit();
    await expect.poll(() => controller.openEventSources).toBe(1);
    controller.bulkMetadata = { 'tidegate.token': 'tg1.second.mac' };
    controller.setBulk({ ...off, later: { value: true, metadata: { 'tidegate.x': 1 } } });
    await shows(page, 'checkout old');
    await page.evaluate(() => {
      const { tidegate } = window as unknown as {
        tidegate: { provider: { resolveBooleanEvaluation(key: string, fallback: boolean): unknown } };
      };
      tidegate.provider.resolveBooleanEvaluation('later', false);
    });
    await leave(page);
    const messages = await beacons(1);
    expect(new Set(messages.map(({ tok }) => tok))).toEqual(new Set(['tg1.first.mac']));
    expect(messages.at(-1)?.x).toEqual([[0, expect.any(Number)]]);
  });

  it('sends nothing without consent, and everything from consent on', async () => {
    const page = await visit('rum=off');
    await page.click('#buy');
    await leave(page);
    expect(controller.beacons).toEqual([]);
    const again = await visit('rum=off');
    await again.click('#consent');
    await idle(again);
    await leave(again);
    const samples = samplesOf(await beacons(1));
    expect([...samples.keys()]).toEqual(expect.arrayContaining(['LCP', 'FCP', 'TTFB']));
  });

  it.each(['doNotTrack', 'globalPrivacyControl'])('sends nothing to somebody with %s', async (signal) => {
    await context.addInitScript((name) => {
      Object.defineProperty(navigator, name, { value: name === 'doNotTrack' ? '1' : true });
    }, signal);
    const page = await visit();
    await page.click('#buy');
    await leave(page);
    expect(controller.to('/v1/rum')).toEqual([]);
  });

  it('begins a new page view, with the newest token, when the page comes back from the back-forward cache', async () => {
    const page = await visit();
    await page.evaluate(() => {
      window.dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }));
      window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
    });
    await leave(page);
    const messages = await beacons(2);
    const [before, after] = [messages[0], messages.at(-1)];
    expect(after?.id).not.toBe(before?.id);
    expect(after).toMatchObject({ q: 0, nav: 'back-forward-cache', tok: 'tg1.first.mac', x: [] });
    expect(after?.age).toBeLessThan(3_000);
  });

  it('falls back to a keepalive request when the beacon is refused', async () => {
    await context.addInitScript(() => {
      navigator.sendBeacon = () => false;
    });
    const page = await visit();
    await leave(page);
    expect((await beacons(1)).at(-1)).toMatchObject({ end: 1 });
  });

  it('lives under a strict policy with trusted types, and prints nothing', async () => {
    const printed: string[] = [];
    context.on('console', (message) => printed.push(message.text()));
    const page = await visit();
    await page.click('#buy');
    await beacons(1);
    const violations = await page.evaluate(
      () => (window as unknown as { tidegate: { violations: string[] } }).tidegate.violations,
    );
    expect(violations).toEqual([]);
    expect(printed.filter((text) => !text.includes('favicon'))).toEqual([]);
  });
});
