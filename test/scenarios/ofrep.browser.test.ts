import { createServer, type Server } from 'node:http';
import type { Browser, Page } from 'playwright-core';
import { chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { listen } from '../../src/lab/shop.ts';
import { bundle } from '../providers/web/bundle.ts';
import { launchOptions } from '../support/browser.ts';
import { shopDocuments } from './support/browser-documents.ts';
import { aHouse, type House } from './support/browser-house.ts';
import { aStreamProxy, type StreamProxy } from './support/browser-proxy.ts';
import { visitorsOf } from './support/browser-visits.ts';

const browserPath = inject('browserPath');
const html =
  '<!doctype html><html lang="en"><head><title>page</title><script type="module" src="/app.js"></script></head><body><h1></h1></body></html>';

describe.skipIf(browserPath === '')('the official OFREP web provider in a real browser', () => {
  let browser: Browser;
  let server: Server;
  let url = '';

  beforeAll(async () => {
    const code = await bundle('../../scenarios/support/browser-ofrep-page.ts');
    server = createServer((request, response) => {
      const isScript = request.url === '/app.js';
      response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
      response.end(isScript ? code : html);
    });
    url = `http://127.0.0.1:${await listen(server, 0)}`;
    browser = await chromium.launch(launchOptions(browserPath));
  });

  afterAll(async () => {
    await browser?.close();
    server?.closeAllConnections();
    server?.close();
  });

  /** A page of somebody who is served the new checkout. */
  async function openPage(proxy: StreamProxy): Promise<Page> {
    const page = await browser.newPage();
    const visitor = visitorsOf('treatment', 'checkout-v2').next().value;
    await page.goto(`${url}/?controller=${encodeURIComponent(proxy.url)}&visitor=${visitor}`);
    await expect.poll(() => page.textContent('h1'), { timeout: 10_000 }).toBe('new');
    await expect.poll(() => proxy.streams(), { timeout: 10_000 }).toBe(1);
    return page;
  }

  /** Kills by the API, past the proxy; answers the wall time of the 200. */
  async function kill(house: House): Promise<number> {
    await house.api('POST', '/rollouts/checkout-v2/kill', { reason: 'it is enough' });
    return Date.now();
  }

  /** Ms from `since` until the page showed the safe value. */
  async function msUntilOld(page: Page, since: number): Promise<number> {
    await page.waitForFunction(() => document.querySelector('h1')?.textContent === 'old', undefined, {
      timeout: 10_000,
    });
    return Number(await page.getAttribute('h1', 'data-changed-at')) - since;
  }

  it('follows a kill within a second', async () => {
    await using house = await aHouse(shopDocuments);
    await using proxy = await aStreamProxy(house.url);
    const page = await openPage(proxy);
    expect(await msUntilOld(page, await kill(house))).toBeLessThan(1_000);
    await page.close();
  });

  it('follows a kill within a second when its stream was cut at that moment', async () => {
    await using house = await aHouse(shopDocuments);
    await using proxy = await aStreamProxy(house.url);
    const page = await openPage(proxy);
    proxy.cut();
    expect(await msUntilOld(page, await kill(house))).toBeLessThan(1_000);
    expect(proxy.streams()).toBeGreaterThanOrEqual(2);
    await page.close();
  });

  it('follows a kill that happened between its first answer and the opening of its stream', async () => {
    await using house = await aHouse(shopDocuments);
    await using proxy = await aStreamProxy(house.url);
    proxy.hold();
    const page = await openPage(proxy);
    const killedAt = await kill(house);
    expect(await page.textContent('h1')).toBe('new');
    proxy.release();
    expect(await msUntilOld(page, killedAt)).toBeLessThan(1_000);
    await page.close();
  });
});
