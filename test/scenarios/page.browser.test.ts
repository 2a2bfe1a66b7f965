import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { chromium } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { startVisitors } from '../../src/lab/visitors.ts';
import { launchOptions } from '../support/browser.ts';
import { shopDocuments } from './support/browser-documents.ts';
import { aHouse, type House } from './support/browser-house.ts';

const browserPath = inject('browserPath');
const results = fileURLToPath(new URL('../../test-results/', import.meta.url));
/** A phone and a desk. */
const widths = [360, 1280] as const;

describe.skipIf(browserPath === '')('the page at / in a real browser', () => {
  let browser: Browser;
  let house: House;
  let context: BrowserContext;
  let page: Page;
  let violations: string[];

  beforeAll(async () => {
    mkdirSync(results, { recursive: true });
    browser = await chromium.launch(launchOptions(browserPath));
  });

  afterAll(() => browser?.close());

  beforeEach(async () => {
    house = await aHouse(shopDocuments);
    context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    violations = [];
    await context.exposeBinding('violated', (_, directive: string) => violations.push(directive));
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', ({ violatedDirective }) => {
        (window as unknown as { violated(directive: string): void }).violated(violatedDirective);
      });
    });
    page = await context.newPage();
  });

  afterEach(async () => {
    await context?.close();
    await house?.[Symbol.asyncDispose]();
  });

  async function signIn(token = house.adminToken): Promise<void> {
    await page.goto(house.url);
    await page.getByLabel('Token').fill(token);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.waitForLoadState();
  }

  async function picture(name: string): Promise<void> {
    for (const width of widths) {
      await page.setViewportSize({ width, height: 900 });
      await page.screenshot({ path: `${results}page-${name}-${width}.png`, fullPage: true });
    }
  }

  /** Pixels by which the document is wider than the screen. */
  function overflow(): Promise<number> {
    return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  }

  it('asks for a token, and refuses one that it does not know', async () => {
    await signIn('tg_nobody');
    expect(await page.getByRole('alert').textContent()).toBe('That token is not valid here.');
    await picture('sign-in');
    await signIn();
    expect(await page.getByRole('heading', { name: 'Rollouts' }).count()).toBe(1);
    expect(violations).toEqual([]);
  });

  it('lists a rollout with its readings and its decisions, also on a phone', async () => {
    const visitors = startVisitors({
      controller: house.url,
      flag: 'checkout-v2',
      perSecond: 200,
      broken: () => 'none',
      random: Math.random,
      stayMs: 300,
    });
    await expect
      .poll(async () => (await house.rollout()).readings.find(({ gate }) => gate === 'errors-kill')?.treatment.n ?? 0, {
        timeout: 30_000,
      })
      .toBeGreaterThanOrEqual(20);
    await visitors.stop();
    await signIn();
    const rollout = page.locator('section.rollout');
    await expect.poll(() => rollout.textContent()).toMatch(/checkout-v2.*RAMPING.*5 %/s);
    for (const gate of ['errors-kill', 'silence-kill', 'lcp-kill', 'inp-watch'])
      expect(await rollout.getByRole('row', { name: new RegExp(gate) }).count()).toBe(1);
    const decisions = page.getByRole('table').last();
    expect(await decisions.textContent()).toContain('0 % → 5 %');
    await picture('ramping');
    for (const width of widths) {
      await page.setViewportSize({ width, height: 900 });
      expect([width, await overflow()]).toEqual([width, 0]);
    }
    expect(violations).toEqual([]);
  });

  it('kills in two interactions, and says who killed', async () => {
    await signIn();
    await page.getByText('Kill…').click();
    await picture('kill-form');
    await page.getByRole('button', { name: 'Kill checkout-v2 now' }).click();
    await expect.poll(() => page.locator('section.rollout').textContent()).toMatch(/KILLED.*0 %/s);
    expect((await house.rollout()).state.phase).toBe('killed');
    const [, kill] = await house.decisions();
    expect(kill).toMatchObject({ action: 'kill', reason: 'killed from the page', exposure: { from: 5, to: 0 } });
    expect(await page.getByRole('table').last().textContent()).toContain(`By ${kill?.actor}: kill.`);
    expect(await page.getByText('Kill…').count()).toBe(0);
    await picture('killed');
    expect(violations).toEqual([]);
  });

  it('keeps itself fresh, and leaves an opened kill form alone', async () => {
    await signIn();
    await house.api('POST', '/rollouts/checkout-v2/hold', { reason: 'let us look' });
    await expect.poll(() => page.locator('section.rollout').textContent(), { timeout: 10_000 }).toMatch(/HELD/);
    await page.getByText('Kill…').click();
    await page.getByLabel('Reason').fill('slow on phones');
    await house.api('POST', '/rollouts/checkout-v2/resume', { reason: 'looked' });
    await page.waitForTimeout(2_500);
    expect(await page.getByLabel('Reason').inputValue()).toBe('slow on phones');
    expect(violations).toEqual([]);
  });

  it('is watched by a policy that is really in force', async () => {
    await signIn();
    await page.evaluate(() => document.body.setAttribute('style', 'color: red'));
    await expect.poll(() => violations).toEqual(['style-src-attr']);
  });
});
