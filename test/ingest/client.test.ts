import { describe, expect, it } from 'vitest';
import { clientFrom, clientOf, clientText, regionOf } from '../../src/ingest/client.ts';

const webkit = 'AppleWebKit/537.36 (KHTML, like Gecko)';

describe('clientOf', () => {
  it.each([
    ['desktop', 'chrome', `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${webkit} Chrome/143.0.0.0 Safari/537.36`],
    ['desktop', 'edge', `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${webkit} Chrome/143.0 Safari/537.36 Edg/143.0`],
    ['desktop', 'firefox', 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0'],
    ['desktop', 'safari', 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605 Version/18.0 Safari/605'],
    ['mobile', 'safari', 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) AppleWebKit/605 Version/18.0 Mobile/15E Safari/604'],
    ['mobile', 'chrome', 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) AppleWebKit/605 CriOS/143.0 Mobile/15E Safari/604'],
    ['mobile', 'chrome', `Mozilla/5.0 (Linux; Android 15; K) ${webkit} Chrome/143.0.0.0 Mobile Safari/537.36`],
    ['tablet', 'chrome', `Mozilla/5.0 (Linux; Android 15; K) ${webkit} Chrome/143.0.0.0 Safari/537.36`],
    ['tablet', 'safari', 'Mozilla/5.0 (iPad; CPU OS 17_0) AppleWebKit/605 Version/17.0 Mobile/15E Safari/604'],
    [
      'mobile',
      'other',
      `Mozilla/5.0 (Linux; Android 15) ${webkit} SamsungBrowser/28.0 Chrome/130.0 Mobile Safari/537.36`,
    ],
    ['other', 'other', 'curl/8.9'],
    ['other', 'other', ''],
  ])('tells %s %s from its User-Agent', (device, browser, agent) => {
    expect(clientOf({ 'user-agent': agent }, 'other')).toEqual({ device, browser, region: 'other' });
  });

  it('believes client hints before a frozen User-Agent', () => {
    const headers = { 'sec-ch-ua-mobile': '?1', 'sec-ch-ua': '"Microsoft Edge";v="143", "Chromium";v="143"' };
    expect(clientOf(headers, 'other')).toMatchObject({ device: 'mobile', browser: 'edge' });
  });

  it('keeps regions to the configured ones', () => {
    expect(regionOf('EU', ['eu', 'us'])).toBe('eu');
    expect(regionOf('mars', ['eu', 'us'])).toBe('other');
    expect(regionOf(undefined, ['eu'])).toBe('other');
  });

  it('is read back as it was written', () => {
    const client = { device: 'mobile', browser: 'safari', region: 'eu/west' } as const;
    expect(clientFrom(clientText(client))).toEqual(client);
  });
});
