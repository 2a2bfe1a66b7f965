import { bucketOf, ppm } from '@tidegate/core';
import type { Browser, Page } from 'playwright-core';
import { firstExposure } from './browser-documents.ts';

export type Arm = 'treatment' | 'control';

export interface Visit {
  readonly visitor: string;
  readonly arm: Arm;
  readonly clicked: boolean;
}

/** Visitors of one arm of the first stage: treatment fills the buckets from below, control from above. */
export function* visitorsOf(arm: Arm, seed: string): Generator<string, never> {
  const width = firstExposure * (ppm / 100);
  for (let n = 0; ; n++) {
    const bucket = bucketOf(`${seed}:visitor-${n}`);
    if (arm === 'treatment' ? bucket < width : bucket >= ppm - width) yield `visitor-${n}`;
  }
}

export interface Visiting {
  readonly browser: Browser;
  readonly shop: string;
  readonly seed: string;
  /** Asked before each visit. */
  readonly until: () => boolean;
  readonly most: number;
}

/** Browser contexts side by side: each has its own connections, cache and focus, as different people have. */
const inParallel = 5;

/** People of both arms in turn visit the shop: four in five buy, with a real click, and all leave by the link. */
export async function visitShop(visiting: Visiting): Promise<Visit[]> {
  const visits: Visit[] = [];
  const [treatment, control] = [visitorsOf('treatment', visiting.seed), visitorsOf('control', visiting.seed)];
  let begun = 0;
  await Promise.all(
    Array.from({ length: inParallel }, async () => {
      const context = await visiting.browser.newContext();
      const page = await context.newPage();
      while (begun < visiting.most && !visiting.until()) {
        const arm = begun % 2 === 0 ? 'treatment' : 'control';
        const buys = begun % 10 < 8;
        begun += 1;
        const visitor = (arm === 'treatment' ? treatment : control).next().value;
        const clicked = await visit(page, `${visiting.shop}/?visitor=${visitor}`, buys);
        visits.push({ visitor, arm, clicked });
      }
      await context.close();
    }),
  );
  return visits;
}

/** Answers whether the visitor clicked. A page that went blank offers nothing to click: people type another address. */
async function visit(page: Page, url: string, buys: boolean): Promise<boolean> {
  await page.goto(url, { waitUntil: 'commit' });
  const shown = await page.waitForFunction(() => {
    if (document.querySelector('#shop button') !== null) return 'shop';
    return document.readyState !== 'loading' && document.body.childElementCount === 0 ? 'blank' : false;
  });
  if ((await shown.jsonValue()) === 'blank') {
    await page.goto(new URL('/bye', url).href);
    return false;
  }
  if (buys) await page.click('#shop button');
  await idle(page);
  await page.click('#shop a');
  await page.waitForURL('**/bye');
  return buys;
}

/** Observers report in idle time; a visitor who looks at the page for a moment gives it to them. */
async function idle(page: Page): Promise<void> {
  await page.evaluate(
    () => new Promise<void>((resolve) => requestIdleCallback(() => setTimeout(resolve, 50), { timeout: 3_000 })),
  );
}
