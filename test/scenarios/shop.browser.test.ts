import { setTimeout as sleep } from 'node:timers/promises';
import type { Browser } from 'playwright-core';
import { chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Decision } from '../../src/domain/decision.ts';
import type { RolloutView } from '../../src/http/views.ts';
import type { Breakage } from '../../src/lab/breakage.ts';
import { launchOptions } from '../support/browser.ts';
import { shopDocuments } from './support/browser-documents.ts';
import { type Stored, storedIn } from './support/browser-evidence.ts';
import { aHouse, buildShop, openShop } from './support/browser-house.ts';
import { type Visit, visitShop } from './support/browser-visits.ts';

const browserPath = inject('browserPath');
const vitals = ['LCP', 'FCP', 'CLS', 'INP'] as const;

/** What a rollout came to while real pages were visited. */
interface Story {
  readonly visits: readonly Visit[];
  readonly rollout: RolloutView;
  readonly decisions: readonly Decision[];
  readonly stored: Stored;
}

describe.skipIf(browserPath === '')('the shop, visited in a real browser', () => {
  let browser: Browser;
  let built: Awaited<ReturnType<typeof buildShop>>;

  beforeAll(async () => {
    built = await buildShop();
    browser = await chromium.launch(launchOptions(browserPath));
  });

  afterAll(async () => {
    await browser?.close();
    await built?.remove();
  });

  /** Visits until `over` says so, or `most` times; then waits for as long as the last visits may take to be judged. */
  async function visited(
    broken: Breakage,
    over: (rollout: RolloutView) => boolean,
    most: number,
    patienceMs = 5_000,
  ): Promise<Story> {
    await using house = await aHouse(shopDocuments);
    await using shop = await openShop(built.folder, house.url, broken);
    let [rollout, isWatched] = [await house.rollout(), true];
    const watch = async () => {
      while (isWatched) {
        await sleep(200);
        rollout = await house.rollout();
      }
    };
    const watching = watch();
    const visits = await visitShop({
      browser,
      shop: shop.url,
      seed: rollout.name,
      until: () => over(rollout),
      most,
    });
    const deadline = performance.now() + patienceMs;
    while (!over(rollout) && performance.now() < deadline) await sleep(100);
    isWatched = false;
    await watching;
    const decisions = await house.decisions();
    await house.stop();
    return { visits, rollout, decisions, stored: await storedIn(house.dataDir) };
  }

  const isKilled = ({ state }: RolloutView) => state.phase === 'killed';
  const ofArm = ({ visits }: Story, arm: Visit['arm']) => visits.filter((visit) => visit.arm === arm).length;
  /** Rises after the start. */
  const rises = ({ decisions }: Story) =>
    decisions.filter(({ action, exposure }) => action === 'ramp' && exposure.from > 0);

  describe('with a healthy new checkout', () => {
    let story: Story;

    beforeAll(async () => {
      story = await visited('none', ({ state }) => state.stage > 0, 600);
    }, 240_000);

    it('hears LCP, FCP, CLS and INP of tens of visits in each arm', () => {
      for (const arm of ['treatment', 'control'] as const) {
        expect(ofArm(story, arm)).toBeGreaterThanOrEqual(40);
        for (const vital of vitals) expect([vital, story.stored.observed(arm, vital) >= 40]).toEqual([vital, true]);
      }
    });

    it('hears TTFB of every visit, and compares it in none: the flag was resolved after it', () => {
      const { pageViews, observed } = story.stored;
      const sent = pageViews.filter(({ samples }) => samples.has('TTFB'));
      expect(sent.length).toBeGreaterThanOrEqual(0.95 * story.visits.length);
      expect([observed('treatment', 'TTFB'), observed('control', 'TTFB')]).toEqual([0, 0]);
    });

    it('hears the INP of at least nine in ten visits that clicked and then navigated away', () => {
      const clicked = story.visits.filter((visit) => visit.clicked);
      const heard = story.stored.pageViews.filter(
        ({ samples, ended }) => ended && samples.has('conv:checkout') && samples.has('INP'),
      );
      expect(clicked.length).toBeGreaterThanOrEqual(60);
      expect(heard.length / clicked.length).toBeGreaterThanOrEqual(0.9);
    });

    it('ramps to the next stage', () => {
      expect(story.rollout).toMatchObject({ state: { phase: 'ramping', stage: 1 }, exposure: 8 });
      expect(rises(story).map(({ exposure }) => exposure)).toEqual([{ from: 5, to: 8 }]);
    });
  });

  it('kills a new checkout that really is 800 ms slower, and says that it is the LCP', async () => {
    const story = await visited('slow', isKilled, 400);
    const kill = story.decisions.at(-1);
    expect(kill).toMatchObject({ action: 'kill', cause: 'gate:lcp-kill', exposure: { from: 5, to: 0 } });
    expect(kill?.why).toMatch(/LCP|lcp/);
    expect(rises(story)).toEqual([]);
  });

  it('kills a new checkout that really throws, and says that it is the errors', async () => {
    const story = await visited('errors', isKilled, 400);
    const kill = story.decisions.at(-1);
    expect(kill).toMatchObject({ action: 'kill', cause: 'gate:errors-kill', exposure: { from: 5, to: 0 } });
    expect(kill?.why).toMatch(/error/);
    expect(rises(story)).toEqual([]);
  });

  it('kills a new checkout that goes blank and reports nothing at all, by its silence', async () => {
    const story = await visited('white', isKilled, 110, 30_000);
    expect(ofArm(story, 'treatment')).toBeGreaterThanOrEqual(20);
    expect(story.stored.pageViews.length).toBeLessThanOrEqual(ofArm(story, 'control'));
    const kill = story.decisions.at(-1);
    expect(kill).toMatchObject({ action: 'kill', cause: 'gate:silence-kill', exposure: { from: 5, to: 0 } });
    expect(rises(story)).toEqual([]);
  });
});
