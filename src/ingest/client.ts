import type { IncomingHttpHeaders } from 'node:http';

const devices = ['desktop', 'mobile', 'tablet', 'other'] as const;
const browsers = ['chrome', 'safari', 'firefox', 'edge', 'other'] as const;
type Device = (typeof devices)[number];
type Browser = (typeof browsers)[number];

/** The dimensions of which evidence keeps marginals. Nothing else of a visitor is kept. */
export interface Client {
  readonly device: Device;
  readonly browser: Browser;
  /** One of the configured regions, or `other`. */
  readonly region: string;
}

export const clientText = (client: Client): string => `${client.device}/${client.browser}/${client.region}`;

/** Reads what `clientText` wrote. */
export function clientFrom(saved: string): Client {
  const [device, browser, ...region] = saved.split('/');
  return {
    device: devices.find((known) => known === device) ?? 'other',
    browser: browsers.find((known) => known === browser) ?? 'other',
    region: region.join('/'),
  };
}

/** Of two clients that claim one page view, always the same one, whoever is heard first. */
export const smaller = (a: Client, b: Client): Client => (clientText(b) < clientText(a) ? b : a);

/** Client hints first, for they are not frozen; the User-Agent where there are none. Unknown is `other`. */
export function clientOf(headers: IncomingHttpHeaders, region: string): Client {
  const agent = (headers['user-agent'] ?? '').slice(0, 512);
  return { device: deviceOf(agent, text(headers['sec-ch-ua-mobile'])), browser: browserOf(agent, headers), region };
}

const text = (header: string | string[] | undefined): string =>
  typeof header === 'string' ? header.slice(0, 512) : '';

function deviceOf(agent: string, mobileHint: string): Device {
  if (/iPad|Tablet|PlayBook|Silk(?!.*Mobile)|Android(?!.*Mobile)/i.test(agent)) return 'tablet';
  if (mobileHint === '?1' || /Mobi|iPhone|iPod/i.test(agent)) return 'mobile';
  return mobileHint === '?0' || /Windows NT|Macintosh|X11|CrOS/i.test(agent) ? 'desktop' : 'other';
}

/** Order matters: nearly every browser claims to be Safari, and every Chromium one to be Chrome. */
function browserOf(agent: string, headers: IncomingHttpHeaders): Browser {
  const brands = text(headers['sec-ch-ua']);
  if (/"Microsoft Edge"/.test(brands) || /\b(?:Edg|EdgA|EdgiOS|Edge)\//.test(agent)) return 'edge';
  if (/\b(?:OPR|SamsungBrowser|YaBrowser|Vivaldi)\//.test(agent)) return 'other';
  if (/\b(?:Firefox|FxiOS)\//.test(agent)) return 'firefox';
  if (/"(?:Google Chrome|Chromium)"/.test(brands) || /\b(?:Chrome|HeadlessChrome|CriOS|Chromium)\//.test(agent)) {
    return 'chrome';
  }
  return /\bVersion\/.*\bSafari\//.test(agent) ? 'safari' : 'other';
}

/** What the trusted header says, if that region is one of the configured. */
export function regionOf(header: string | string[] | undefined, regions: readonly string[]): string {
  const named = text(header).trim().toLowerCase();
  return regions.find((region) => region.toLowerCase() === named) ?? 'other';
}
