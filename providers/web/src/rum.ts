import type { Beacon, BeaconSample } from '@tidegate/core';
import { beaconLimits } from '@tidegate/core';
import type { Metric } from 'web-vitals';
import { onCLS, onFCP, onINP, onLCP, onTTFB } from 'web-vitals';

/** Real-user monitoring of one page. Everything stays in memory; no method throws. */
export interface Rum {
  /** Starts observing and sending, once; for pages that ask for consent first. */
  enable(): void;
  /** The exposure token of an answer; the first one of a page view is the one it reports with. */
  token(token: string): void;
  /** A flag was evaluated; `entry` is its index in `token`. */
  exposed(entry: number, token: string): void;
  /** A conversion. */
  track(name: string): void;
  close(): void;
}

interface PageView {
  readonly id: string;
  /** `performance.now()` when it began: 0, or the restore from the back-forward cache. */
  readonly originMs: number;
  readonly visible: 0 | 1;
  nav: string;
  token: string | undefined;
  /** Messages sent. */
  sent: number;
  hasEnded: boolean;
  isStartDue: boolean;
  errors: number;
  firstErrorAtMs: number;
  /** Token entry -> ms of its first evaluation. */
  readonly exposures: Map<number, number>;
  /** The last value per metric: INP and CLS are reported again and again. */
  readonly samples: Map<string, BeaconSample>;
  /** What the next message has to carry: metric names, and `x` for a new exposure. */
  readonly unsent: Set<string>;
}

const afterLoadMs = 5_000;
const latestStartMs = 10_000;
const afterExposureMs = 3_000;
const errorCap = 10;
/** Characters of a metric's name that the controller reads. */
const longestName = 64;
const newExposure = 'x';

/** Beacons for `${url}/v1/rum`. Sends nothing when the visitor says so by Do Not Track or Global Privacy Control. */
export function createRum(url: string): Rum {
  let view = newPageView(0, '');
  let latestToken: string | undefined;
  let isOn = false;
  let startAtMs = Number.POSITIVE_INFINITY;
  let startTimer: ReturnType<typeof setTimeout> | undefined;
  const cleanups: (() => void)[] = [];

  function sinceOrigin(): number {
    return Math.max(0, Math.round(performance.now() - view.originMs));
  }

  function note(name: string, value: number, atMs: number): void {
    if (!view.samples.has(name) && view.samples.size >= beaconLimits.samples) return;
    view.samples.set(name, [name, value, atMs]);
    view.unsent.add(name);
  }

  const onMetric = quietly((metric: Metric) => {
    if (!isOn) return;
    view.nav = metric.navigationType;
    // Load times happen when they say; the others when they are reported.
    const isLoadTime = metric.name === 'LCP' || metric.name === 'FCP' || metric.name === 'TTFB';
    const value = round(metric.value, metric.name === 'CLS' ? 4 : 1);
    note(metric.name, value, isLoadTime ? Math.min(Math.round(value), sinceOrigin()) : sinceOrigin());
  });

  const onError = quietly(() => {
    if (view.errors >= errorCap) return;
    view.errors += 1;
    if (view.errors === 1) view.firstErrorAtMs = sinceOrigin();
    note('err', view.errors, view.firstErrorAtMs);
  });

  function startBy(atMs: number): void {
    if (!isOn || view.sent > 0 || atMs >= startAtMs) return;
    startAtMs = atMs;
    clearTimeout(startTimer);
    startTimer = setTimeout(quietly(start), Math.max(0, atMs - performance.now()));
  }

  function start(): void {
    view.isStartDue = true;
    if (view.sent === 0) send(false);
  }

  function onHidden(): void {
    if (view.unsent.size > 0 || !view.hasEnded) send(true);
  }

  function send(isEnd: boolean): void {
    if (!isOn || view.token === undefined || view.sent >= beaconLimits.messagesPerPageView) return;
    const samples = [...view.samples.values()].filter(([name]) => view.unsent.has(name));
    const beacon: Beacon = {
      v: 1,
      id: view.id,
      q: view.sent,
      tok: view.token,
      // All of them each time: a lost start message must not cost the page view its arm.
      x: [...view.exposures],
      nav: view.nav,
      vis: view.visible,
      age: sinceOrigin(),
      m: samples,
      ...(isEnd ? { end: 1 } : {}),
    };
    view.sent += 1;
    view.hasEnded ||= isEnd;
    view.unsent.clear();
    post(`${url}/v1/rum`, JSON.stringify(beacon));
  }

  /** A page that comes back from the back-forward cache is a new page view of the same document. */
  const onPageShow = quietly((event: PageTransitionEvent) => {
    if (!event.persisted) return;
    view = newPageView(event.timeStamp, 'back-forward-cache');
    view.token = latestToken;
    startAtMs = Number.POSITIVE_INFINITY;
    startBy(event.timeStamp + afterLoadMs);
  });

  function listen<K extends keyof WindowEventMap>(type: K, run: (event: WindowEventMap[K]) => void, capture = false) {
    window.addEventListener(type, run, capture);
    cleanups.push(() => window.removeEventListener(type, run, capture));
  }

  function enable(): void {
    if (isOn || typeof document === 'undefined' || refusesTracking()) return;
    isOn = true;
    if (view.nav === '') view.nav = navigationType();
    // Before web-vitals adds its own, so that what it reports about a restored page meets the new page view.
    listen('pageshow', onPageShow, true);
    for (const observe of [onTTFB, onFCP, onLCP, onCLS, onINP]) observe(onMetric, { reportAllChanges: true });
    listen('error', (event) => {
      if (event instanceof ErrorEvent) onError();
    });
    listen('unhandledrejection', onError);
    // At the window, in the bubble phase: after web-vitals, which listens at the document and reports its last values.
    const flush = quietly(onHidden);
    const onVisibility = () => {
      if (document.visibilityState === 'hidden') flush();
    };
    window.addEventListener('visibilitychange', onVisibility);
    cleanups.push(() => window.removeEventListener('visibilitychange', onVisibility));
    listen('pagehide', flush);
    // After a late consent the observers still need a moment for what is buffered.
    startBy(Math.max(latestStartMs, performance.now() + afterExposureMs));
    if (document.readyState === 'complete') startBy(performance.now() + afterLoadMs);
    else listen('load', () => startBy(performance.now() + afterLoadMs));
    if (view.exposures.size > 0) startBy(performance.now() + afterExposureMs);
  }

  return {
    enable: quietly(enable),
    token: quietly((token: string) => {
      latestToken = token;
      if (view.token !== undefined) return;
      view.token = token;
      if (view.isStartDue) start();
    }),
    exposed: quietly((entry: number, token: string) => {
      // Entries are counted in the token that came with them; under a newer one they mean something else.
      if (token !== view.token || view.exposures.has(entry) || view.exposures.size >= beaconLimits.exposures) return;
      view.exposures.set(entry, sinceOrigin());
      view.unsent.add(newExposure);
      startBy(performance.now() + afterExposureMs);
    }),
    track: quietly((name: string) => {
      const metric = `conv:${name}`;
      // A longer name would cost the whole message.
      if (metric.length > longestName || view.samples.has(metric)) return;
      note(metric, 1, sinceOrigin());
    }),
    close() {
      isOn = false;
      clearTimeout(startTimer);
      for (const cleanup of cleanups.splice(0)) cleanup();
    },
  };
}

function newPageView(originMs: number, nav: string): PageView {
  const isHidden = typeof document !== 'undefined' && document.visibilityState === 'hidden';
  return {
    id: randomId(),
    originMs,
    visible: isHidden ? 0 : 1,
    nav,
    token: undefined,
    sent: 0,
    hasEnded: false,
    isStartDue: false,
    errors: 0,
    firstErrorAtMs: 0,
    exposures: new Map(),
    samples: new Map(),
    unsent: new Set(),
  };
}

/** `sendBeacon` survives the page; it refuses when too much is on its way, then a keepalive request is tried once. */
function post(url: string, body: string): void {
  if (navigator.sendBeacon?.(url, body)) return;
  fetch(url, { method: 'POST', body, keepalive: true, credentials: 'omit' }).catch(() => {});
}

function refusesTracking(): boolean {
  return (
    navigator.doNotTrack === '1' || ('globalPrivacyControl' in navigator && navigator.globalPrivacyControl === true)
  );
}

function navigationType(): string {
  const [entry] = performance.getEntriesByType('navigation');
  return entry instanceof PerformanceNavigationTiming ? entry.type.replace('_', '-') : 'navigate';
}

/** 96 bits, base64url. */
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_');
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** Code in somebody's page never throws. */
function quietly<A extends readonly unknown[]>(run: (...args: A) => void): (...args: A) => void {
  return (...args) => {
    try {
      run(...args);
    } catch {
      // A lost sample is better than a broken page.
    }
  };
}
