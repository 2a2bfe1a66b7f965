import type { Beacon } from '@tidegate/core';
import { isMetric, stored } from '../domain/metrics.ts';
import { type Client, clientFrom, clientText, smaller } from './client.ts';

/** The newest word of a page view on one metric. */
interface Sample {
  /** Message that said it: a value from a lower one never replaces it. */
  readonly q: number;
  /** Stored units; `err` is capped at 10, `conv:*` is 1. */
  readonly value: number;
  /** Event time, epoch ms. */
  readonly at: number;
}

/** First evaluation of one entry of the token on this page view. */
interface Trigger {
  /** Ms since navigation start. */
  readonly t: number;
  /** Event time, epoch ms. */
  readonly at: number;
}

/**
 * All that is remembered of one page view. Each part is a maximum or a minimum over its messages, so that their order
 * does not matter and a copy changes nothing.
 */
export interface PageView {
  /** Token that the page view belongs to. */
  readonly tag: string;
  /** Bit q: message q was counted. */
  readonly messages: number;
  /** Receive time of the newest message, epoch ms. */
  readonly at: number;
  readonly ended: boolean;
  readonly client: Client;
  /** By index into the token's entries. */
  readonly triggers: ReadonlyMap<number, Trigger>;
  readonly samples: ReadonlyMap<string, Sample>;
  /** `<entry>:<metric>` that came too late for the unit's share of page views; stays out for good. */
  readonly refused: ReadonlySet<string>;
}

/** Why an item of a message was dropped. */
export type Dropped = 'unknown_metric' | 'out_of_range' | 'unknown_entry';

const errorCap = 10;
export const conversionPrefix = 'conv:';
const dayMs = 24 * 3_600_000;

/** When something that happened `t` ms after navigation start happened by our clock; the page's clock is not asked. */
export const eventTime = (receivedAt: number, age: number, t: number): number =>
  Math.round(receivedAt - Math.min(Math.max(age - t, 0), dayMs));

export interface Heard {
  readonly beacon: Beacon;
  readonly receivedAt: number;
  readonly client: Client;
  readonly tag: string;
  /** Number of entries in the token. */
  readonly entries: number;
}

/** The page view after one more message. `dropped` hears of each item that is not counted. */
export function hear(
  known: PageView | undefined,
  { beacon, receivedAt, client, tag, entries }: Heard,
  declared: (conversion: string) => boolean,
  dropped: (why: Dropped) => void,
): PageView {
  const triggers = new Map(known?.triggers);
  for (const [entry, t] of beacon.x ?? []) {
    const before = triggers.get(entry);
    const at = eventTime(receivedAt, beacon.age, t);
    if (entry >= entries) dropped('unknown_entry');
    else triggers.set(entry, { t: Math.min(t, before?.t ?? t), at: Math.min(at, before?.at ?? at) });
  }
  const samples = new Map(known?.samples);
  for (const [name, raw, t] of beacon.m ?? []) {
    const value = countedValue(name, raw, declared);
    if (typeof value === 'string') dropped(value);
    else if ((samples.get(name)?.q ?? -1) <= beacon.q) {
      samples.set(name, { q: beacon.q, value, at: eventTime(receivedAt, beacon.age, t) });
    }
  }
  return {
    tag,
    messages: (known?.messages ?? 0) | (1 << beacon.q),
    at: Math.max(receivedAt, known?.at ?? receivedAt),
    ended: known?.ended === true || beacon.end === 1,
    client: known === undefined ? client : smaller(known.client, client),
    triggers,
    samples,
    refused: known?.refused ?? new Set(),
  };
}

function countedValue(name: string, raw: number, declared: (conversion: string) => boolean): number | Dropped {
  if (isMetric(name)) return stored(name, raw)?.value ?? 'out_of_range';
  if (name === 'err') return raw >= 1 && Number.isFinite(raw) ? Math.min(Math.floor(raw), errorCap) : 'out_of_range';
  if (!name.startsWith(conversionPrefix) || !declared(name.slice(conversionPrefix.length))) return 'unknown_metric';
  return raw >= 1 && Number.isFinite(raw) ? 1 : 'out_of_range';
}

type Saved = [
  tag: string,
  messages: number,
  ended: 0 | 1,
  client: string,
  triggers: [entry: number, t: number, at: number][],
  samples: [name: string, q: number, value: number, at: number][],
  refused: string[],
];

/** The row's JSON; `at` has its own column. */
export function writePageView(view: PageView): string {
  const saved: Saved = [
    view.tag,
    view.messages,
    view.ended ? 1 : 0,
    clientText(view.client),
    [...view.triggers].map(([entry, { t, at }]) => [entry, t, at]),
    [...view.samples].map(([name, { q, value, at }]) => [name, q, value, at]),
    [...view.refused],
  ];
  return JSON.stringify(saved);
}

/** Reads a row back. Only `writePageView` writes them, so this door checks nothing more than that it is JSON. */
export function readPageView(state: string, at: number): PageView {
  const [tag, messages, ended, client, triggers, samples, refused] = JSON.parse(state) as Saved;
  return {
    tag,
    messages,
    at,
    ended: ended === 1,
    client: clientFrom(client),
    triggers: new Map(triggers.map(([entry, t, triggeredAt]) => [entry, { t, at: triggeredAt }])),
    samples: new Map(samples.map(([name, q, value, sampledAt]) => [name, { q, value, at: sampledAt }])),
    refused: new Set(refused),
  };
}
