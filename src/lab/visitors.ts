import { Agent, request } from 'node:http';
import { type Beacon, type BeaconSample, entryMetadataKey, tokenMetadataKey } from '@tidegate/core';
import { z } from 'zod';
import type { Breakage } from './breakage.ts';

/** Part of an OFREP bulk answer that a visiting page reads. */
const Bulk = z.object({
  flags: z.array(
    z.object({
      key: z.string(),
      variant: z.string().optional(),
      value: z.unknown(),
      metadata: z.record(z.string(), z.unknown()).optional(),
    }),
  ),
  metadata: z.record(z.string(), z.unknown()).optional(),
});

const browsers = [
  {
    share: 0.55,
    slower: 1,
    ua: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36',
  },
  {
    share: 0.3,
    slower: 1.1,
    ua: 'Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Mobile/15E148 Safari/604.1',
  },
  { share: 0.15, slower: 1.25, ua: 'Mozilla/5.0 (X11; Linux x86_64; rv:148.0) Gecko/20100101 Firefox/148.0' },
] as const;

export interface VisitorsOptions {
  readonly controller: string;
  readonly flag: string;
  /** New visitors a second. */
  readonly perSecond: number;
  /** Asked at each visit. */
  readonly broken: () => Breakage;
  /** Uniform numbers in [0, 1). */
  readonly random: () => number;
  /** How long a visitor stays on a page, ms. */
  readonly stayMs: number;
}

export interface Visitors {
  readonly visits: () => number;
  /** Requests that failed or were answered 5xx. */
  readonly failures: () => number;
  stop(): Promise<void>;
}

/**
 * People who shop, as the controller meets them: over HTTP only. Each asks for its flags, sees a page of lognormal
 * slowness, and reports what a real page would: FCP and LCP for most, INP for those who clicked, CLS outside Safari.
 */
export function startVisitors(options: VisitorsOptions): Visitors {
  const { random } = options;
  // Idle connections end here before they end there, or a request meets a socket that the server is closing.
  const agent = new Agent({ keepAlive: true, maxSockets: 256, timeout: 4_000 });
  const running = new Set<Promise<void>>();
  let visits = 0;
  let failures = 0;
  let owed = 0;

  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const lognormal = (median: number, sigma: number) => median * Math.exp(sigma * normal());

  const post = (path: string, body: unknown, headers: Record<string, string>) =>
    new Promise<string>((resolve, reject) => {
      const bytes = JSON.stringify(body);
      const req = request(
        `${options.controller}${path}`,
        { method: 'POST', agent, headers: { 'Content-Length': Buffer.byteLength(bytes), ...headers } },
        (res) => {
          const chunks: Buffer[] = [];
          res.on('data', (chunk: Buffer) => chunks.push(chunk));
          res.on('end', () =>
            res.statusCode !== undefined && res.statusCode < 500
              ? resolve(Buffer.concat(chunks).toString())
              : reject(new Error(`${res.statusCode}`)),
          );
        },
      );
      req.on('error', reject);
      req.end(bytes);
    });

  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

  function browserOf() {
    const draw = random();
    const [chrome, safari, firefox] = browsers;
    if (draw < chrome.share) return chrome;
    return draw < chrome.share + safari.share ? safari : firefox;
  }

  /** One page view: what happened on it, as samples, and whether the page lived to tell. */
  function live(
    treated: boolean,
    slower: number,
    safari: boolean,
  ): { readonly early: BeaconSample[]; readonly late: BeaconSample[]; readonly silent: boolean } {
    const broken = treated ? options.broken() : 'none';
    const ttfb = lognormal(180, 0.4);
    const fcp = ttfb + lognormal(500 * slower, 0.35) + (broken === 'slow' ? 800 : 0);
    const lcp = fcp + lognormal(600 * slower, 0.45);
    const throws = random() < (broken === 'errors' ? 0.25 : 0.05) || (broken === 'safari' && safari);
    const early: BeaconSample[] = [['TTFB', ttfb, ttfb]];
    if (random() < 0.93) early.push(['FCP', fcp, fcp], ['LCP', lcp, lcp]);
    if (throws) early.push(['err', 1, lcp]);
    const late: BeaconSample[] = [];
    if (random() < 0.5) late.push(['INP', lognormal(110 * slower, 0.6), lcp + 900]);
    if (!safari) late.push(['CLS', Math.min(5, lognormal(0.03, 0.9)), lcp + 950]);
    if (!throws && random() < 0.06) late.push(['conv:checkout', 1, lcp + 1_000]);
    return { early, late, silent: broken === 'white' || random() < 0.02 };
  }

  async function visit(): Promise<void> {
    visits += 1;
    const browser = browserOf();
    const network = {
      'X-Forwarded-For': `${1 + Math.floor(random() * 200)}.${Math.floor(random() * 256)}.${Math.floor(random() * 256)}.7`,
    };
    const json = { 'Content-Type': 'application/json', 'User-Agent': browser.ua, ...network };
    const context = { targetingKey: `visitor-${Math.floor(random() * 2 ** 48).toString(36)}` };
    const bulk = Bulk.parse(JSON.parse(await post('/ofrep/v1/evaluate/flags', { context }, json)));
    const flag = bulk.flags.find(({ key }) => key === options.flag);
    const tok = bulk.metadata?.[tokenMetadataKey];
    const entry = flag?.metadata?.[entryMetadataKey];
    if (flag === undefined || typeof tok !== 'string' || typeof entry !== 'number') return;

    const seen = live(flag.value === true, browser.slower, browser === browsers[1]);
    if (seen.silent) return;
    const id = Buffer.from(Array.from({ length: 12 }, () => Math.floor(random() * 256))).toString('base64url');
    const about = { v: 1, id, tok, x: [[entry, 60]], nav: 'navigate', vis: 1 } as const;
    const text = { ...json, 'Content-Type': 'text/plain;charset=UTF-8' };
    const stay = options.stayMs * (0.5 + random());
    await pause(stay / 2);
    await post('/v1/rum', { ...about, q: 0, age: 5_000, m: seen.early } satisfies Beacon, text);
    await pause(stay / 2);
    await post('/v1/rum', { ...about, q: 1, age: 9_000, m: seen.late, end: 1 } satisfies Beacon, text);
  }

  const beatMs = 50;
  const timer = setInterval(() => {
    owed += (options.perSecond * beatMs) / 1_000;
    for (; owed >= 1; owed -= 1) {
      // A visitor who finds the shop closed goes home; the demo counts them.
      const one = visit().catch(() => {
        failures += 1;
      });
      running.add(one);
      void one.finally(() => running.delete(one));
    }
  }, beatMs);

  return {
    visits: () => visits,
    failures: () => failures,
    async stop() {
      clearInterval(timer);
      await Promise.all(running);
      agent.destroy();
    },
  };
}
