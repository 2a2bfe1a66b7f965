import type { Beacon } from '@tidegate/core';
import { type EvidenceArm, evidenceArm } from '../domain/evidence.ts';
import { eligible, isMetric } from '../domain/metrics.ts';
import type { Vital } from '../domain/signal.ts';
import type { PageViewKey } from '../store/store.ts';
import type { Client } from './client.ts';
import { type Account, createLedger, type Ledger, type Source } from './ledger.ts';
import { shardOf } from './sums.ts';
import type { VerifiedToken } from './token.ts';
import {
  admit,
  convert,
  correct,
  countsOf,
  err,
  expose,
  issue,
  nobody,
  see,
  talliesOf,
  type Unit,
  type UnitCount,
} from './unit.ts';
import { conversionPrefix, eventTime, hear, type PageView } from './view.ts';

/** A well-formed beacon, and what the door found out about it. */
export interface Message {
  readonly beacon: Beacon;
  /** Epoch ms. */
  readonly receivedAt: number;
  /** Bytes of the body; what the queue is bounded by. */
  readonly size: number;
  readonly token: VerifiedToken | 'invalid' | 'expired';
  readonly client: Client;
  /** Where it came from, as `networkOf` answers it; forgotten with the batch. */
  readonly network: string;
  /** The browser sent DNT or Sec-GPC: counted, and nothing else. */
  readonly optedOut: boolean;
}

/** A unit was given a token that lists the rollout. */
export interface Issue extends UnitKey {
  readonly arm: EvidenceArm;
  readonly at: number;
}

export interface UnitKey {
  readonly rollout: number;
  readonly epoch: number;
  /** As stored. */
  readonly unit: Uint8Array;
}

/** What the store remembers of the rows that `needs` names. */
export interface Known {
  readonly pageView: (key: string) => PageView | undefined;
  readonly unit: (key: string) => Unit | undefined;
}

export interface Rules {
  /** Width of a bucket, ms. */
  readonly bucketMs: number;
  /** Whether a conversion of this name is declared by a signal; others are dropped, or a page could fill the disk. */
  readonly declared: (conversion: string) => boolean;
}

/** What one batch changes: page views and units as whole new values, sums as differences. */
export interface Folded {
  readonly pageViews: ReadonlyMap<string, { readonly key: PageViewKey; readonly view: PageView }>;
  readonly units: ReadonlyMap<string, { readonly key: UnitKey; readonly unit: Unit }>;
  readonly sums: Pick<Ledger, 'cells' | 'sums' | 'stats' | 'bookings'>;
}

/**
 * Without a message for so long a page view is closed: what still comes is counted as `late_update`, and changes
 * nothing. Its row stays longer, until no valid token could bring a copy of its messages any more.
 */
const pageViewOpenMs = 3_600_000;
const lateMs = 15 * 60_000;

export const unitKeyText = ({ rollout, epoch, unit }: UnitKey): string =>
  `${rollout}.${epoch}.${Buffer.from(unit).toString('latin1')}`;
export const pageViewKeyText = (key: PageViewKey): string => Buffer.from(key).toString('latin1');

function pageViewKey(issuedMinute: number, id: string): PageViewKey {
  const key = Buffer.allocUnsafe(16);
  key.writeUInt32BE(issuedMinute, 0);
  key.write(id, 4, 'base64url');
  return key;
}

/** The rows that a batch reads before it can be folded. */
export function needs(messages: readonly Message[], issues: readonly Issue[]) {
  const pageViews = new Map<string, PageViewKey>();
  const units = new Map<string, UnitKey>();
  for (const { beacon, token, optedOut } of messages) {
    if (typeof token === 'string' || optedOut) continue;
    const key = pageViewKey(token.payload.issuedMinute, beacon.id);
    pageViews.set(pageViewKeyText(key), key);
    for (const entry of token.entries) {
      if (evidenceArm[entry.arm] !== null) units.set(unitKeyText(entry), entry);
    }
  }
  for (const { rollout, epoch, unit } of issues) {
    const key = { rollout, epoch, unit };
    units.set(unitKeyText(key), key);
  }
  return { pageViews, units };
}

/**
 * Turns a batch into changes. Three passes: what each message says, what that changes of each page view, what that
 * changes of each unit. The sums move by the difference between before and after, so a copy, a correction and any order
 * of delivery come to the same numbers; only which 20 page views of a unit count depends on who came first.
 */
export function fold(messages: readonly Message[], issues: readonly Issue[], known: Known, rules: Rules): Folded {
  const sums = createLedger(rules.bucketMs);
  const pageViews = new Map<string, { key: PageViewKey; view: PageView; token: VerifiedToken; source: Source }>();
  const units = new Map<string, { key: UnitKey; unit: Unit; source: Source | null }>();

  const unitOf = (key: UnitKey) => {
    const text = unitKeyText(key);
    const touched = units.get(text);
    if (touched !== undefined) return touched;
    const { rollout, epoch, unit } = key;
    const fresh = { key: { rollout, epoch, unit }, unit: known.unit(text) ?? nobody, source: null };
    units.set(text, fresh);
    return fresh;
  };

  for (const { arm, at, ...key } of issues) {
    const entry = unitOf(key);
    entry.unit = issue(entry.unit, arm, at);
  }

  const take = (message: Message): string => {
    const { beacon, receivedAt, token, client } = message;
    if (message.optedOut) return 'opted_out';
    if (typeof token === 'string') return token;
    const key = pageViewKey(token.payload.issuedMinute, beacon.id);
    const text = pageViewKeyText(key);
    const before = pageViews.get(text)?.view ?? known.pageView(text);
    if (before !== undefined && before.tag !== token.tag) return 'cross_token';
    if (before !== undefined && (before.messages & (1 << beacon.q)) !== 0) return 'duplicate';
    if (before !== undefined && receivedAt - before.at > pageViewOpenMs) return 'late_update';
    const heard = { beacon, receivedAt, client, tag: token.tag, entries: token.entries.length };
    const view = hear(before, heard, rules.declared, (why) => sums.stat(receivedAt, why));
    const visitor = Buffer.from(token.payload.unit).toString('latin1');
    const source = { visitor, tag: token.tag, network: message.network, at: receivedAt };
    pageViews.set(text, { key, view, token, source });
    const beganAt = eventTime(receivedAt, beacon.age, 0);
    for (const entry of token.entries) {
      const arm = evidenceArm[entry.arm];
      if (arm === null) continue;
      const touched = unitOf(entry);
      touched.unit = see(touched.unit, arm, beganAt);
      touched.source = source;
      sums.heard({ rollout: entry.rollout, epoch: entry.epoch, arm, source }, receivedAt);
    }
    if (isLate(beacon)) sums.stat(receivedAt, 'late');
    return 'accepted';
  };
  for (const message of messages) sums.stat(message.receivedAt, take(message));

  for (const [text, touched] of pageViews) {
    const before = known.pageView(text);
    const refused = new Set(touched.view.refused);
    for (const [index, trigger] of touched.view.triggers) {
      const entry = touched.token.entries[index];
      const arm = entry === undefined ? null : evidenceArm[entry.arm];
      if (entry === undefined || arm === null) continue;
      const account = { rollout: entry.rollout, epoch: entry.epoch, arm, source: touched.source };
      const owner = unitOf(entry);
      owner.unit = expose(owner.unit, arm, trigger.at, touched.view.client);
      for (const [name, { value }] of touched.view.samples) {
        if (name === 'err') owner.unit = err(owner.unit, arm);
        if (name.startsWith(conversionPrefix)) owner.unit = convert(owner.unit, arm, name);
        if (!isMetric(name) || !eligible(name, trigger.t)) continue;
        const counted = countedValue(before, index, name);
        if (counted !== null) {
          owner.unit = correct(owner.unit, arm, name, counted, value);
          continue;
        }
        const slot = `${index}:${name}`;
        const admitted = refused.has(slot) ? null : admit(owner.unit, arm, name, value);
        if (admitted !== null) owner.unit = admitted;
        else if (!refused.has(slot)) {
          refused.add(slot);
          sums.stat(touched.view.at, 'capped');
        }
      }
      const shard = shardOf(entry.unit);
      const after = { ...touched.view, refused };
      bookView(sums, account, shard, index, before, -1);
      bookView(sums, account, shard, index, after, 1);
    }
    touched.view = { ...touched.view, refused };
  }

  for (const [text, { key, unit, source }] of units) {
    const before = known.unit(text) ?? nobody;
    if (unit === before) {
      units.delete(text);
      continue;
    }
    for (const arm of ['treatment', 'control'] as const) {
      moveUnit(sums, { rollout: key.rollout, epoch: key.epoch, arm, source }, shardOf(key.unit), before, unit);
    }
  }
  return { pageViews, units, sums };
}

/** The page view's value of the metric, if it is in the statistics of this entry. */
function countedValue(view: PageView | undefined, index: number, metric: Vital): number | null {
  const trigger = view?.triggers.get(index);
  const sample = view?.samples.get(metric);
  if (view === undefined || trigger === undefined || sample === undefined) return null;
  return view.refused.has(`${index}:${metric}`) || !eligible(metric, trigger.t) ? null : sample.value;
}

/** Takes back what the unit came to in the account's arm, and books what it comes to now. */
function moveUnit(sums: Ledger, account: Account, shard: number, before: Unit, after: Unit): void {
  const { arm } = account;
  const book = ({ name, at, client }: UnitCount, by: 1 | -1) => {
    sums.count(account, name, at, client, by);
    if (perShard(name)) sums.countInShard(account, name, shard, by);
  };
  const had = countsOf(before, arm);
  const has = countsOf(after, arm);
  const same = (a: UnitCount) => (b: UnitCount) => a.name === b.name && a.at === b.at && a.client === b.client;
  // Mostly one name of many is new: what would only be taken back and booked again stays where it is.
  for (const count of had) if (!has.some(same(count))) book(count, -1);
  for (const count of has) if (!had.some(same(count))) book(count, 1);
  const tallies = talliesOf(after, arm);
  for (const [metric, tally] of talliesOf(before, arm)) {
    if (tallies.get(metric) !== tally) sums.tally(account, metric, tally, -1);
  }
  for (const [metric, tally] of tallies) {
    if (talliesOf(before, arm).get(metric) !== tally) sums.tally(account, metric, tally, 1);
  }
}

const unitCounters = new Set(['issued', 'seen', 'exposed', 'err']);
const perShard = (name: string): boolean => unitCounters.has(name) || name.startsWith(conversionPrefix);

/** Books (or takes back) all that a page view adds to one entry of its token. */
function bookView(
  sums: Ledger,
  account: Account,
  shard: number,
  index: number,
  view: PageView | undefined,
  by: 1 | -1,
): void {
  const trigger = view?.triggers.get(index);
  if (view === undefined || trigger === undefined) return;
  const { client } = view;
  const book = (name: string): void => {
    sums.count(account, name, trigger.at, client, by);
    sums.countInShard(account, name, shard, by);
  };
  book('views');
  if ((view.messages & 1) !== 0) book('starts');
  if (view.ended) book('ends');
  if (view.samples.has('err')) book('errViews');
  for (const [metric, { value, at }] of view.samples) {
    if (!isMetric(metric) || countedValue(view, index, metric) === null) continue;
    sums.observe(account, { metric, value, at, client, shard }, by);
  }
}

/** Even the newest thing that the message tells happened more than 15 minutes before it was sent. */
function isLate({ age, x = [], m = [] }: Beacon): boolean {
  if (x.length + m.length === 0) return false;
  const newest = Math.max(...x.map(([, t]) => t), ...m.map(([, , t]) => t));
  return age - newest > lateMs;
}
