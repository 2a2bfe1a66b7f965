import type { EvidenceArm } from '../domain/evidence.ts';
import { binOf } from '../domain/histogram.ts';
import { metrics } from '../domain/metrics.ts';
import type { Vital } from '../domain/signal.ts';
import { type Client, clientFrom, clientText } from './client.ts';

/** A unit's page views that count, of one metric: how many, how many beyond each threshold, and the sum of their bins. */
export interface Tally {
  readonly n: number;
  readonly bad1: number;
  readonly bad2: number;
  readonly bins: number;
}

/** What is remembered of one unit in one arm of one stage epoch. Only the values of its page views are ever corrected. */
interface Membership {
  /** First time it was given a token, epoch ms; null = only its beacons tell. */
  readonly issuedAt: number | null;
  /** Start of its first page view with an accepted message, epoch ms. */
  readonly seenAt: number | null;
  readonly exposed: { readonly at: number; readonly client: Client } | null;
  readonly erred: boolean;
  readonly converted: ReadonlySet<string>;
  readonly views: ReadonlyMap<Vital, Tally>;
}

/** Nobody changes arms within an epoch; a unit that does all the same is counted in both, and as crossed. */
export type Unit = { readonly [arm in EvidenceArm]: Membership | null };

/** Page views of one unit, epoch and metric that enter statistics: one visitor cannot outweigh a hundred. */
const viewCap = 20;

const stranger: Membership = {
  issuedAt: null,
  seenAt: null,
  exposed: null,
  erred: false,
  converted: new Set(),
  views: new Map(),
};

export const nobody: Unit = { treatment: null, control: null };

const change = (unit: Unit, arm: EvidenceArm, to: Partial<Membership>): Unit => ({
  ...unit,
  [arm]: { ...(unit[arm] ?? stranger), ...to },
});

// Each answers the very same object when nothing is new: then there is no row to write and no sum to move.

export function issue(unit: Unit, arm: EvidenceArm, at: number): Unit {
  const { issuedAt } = unit[arm] ?? stranger;
  return issuedAt !== null && issuedAt <= at ? unit : change(unit, arm, { issuedAt: at });
}

export function see(unit: Unit, arm: EvidenceArm, at: number): Unit {
  const { seenAt } = unit[arm] ?? stranger;
  return seenAt !== null && seenAt <= at ? unit : change(unit, arm, { seenAt: at });
}

/** The earliest exposure stays; a tie goes to the same client whoever is heard first. */
export function expose(unit: Unit, arm: EvidenceArm, at: number, client: Client): Unit {
  const { exposed } = unit[arm] ?? stranger;
  if (exposed === null || at < exposed.at) return change(unit, arm, { exposed: { at, client } });
  const wins = at === exposed.at && clientText(client) < clientText(exposed.client);
  return wins ? change(unit, arm, { exposed: { at, client } }) : unit;
}

export const err = (unit: Unit, arm: EvidenceArm): Unit =>
  unit[arm]?.erred === true ? unit : change(unit, arm, { erred: true });

export function convert(unit: Unit, arm: EvidenceArm, name: string): Unit {
  const { converted } = unit[arm] ?? stranger;
  return converted.has(name) ? unit : change(unit, arm, { converted: new Set(converted).add(name) });
}

const nothing: Tally = { n: 0, bad1: 0, bad2: 0, bins: 0 };

function tallied({ n, bad1, bad2, bins }: Tally, metric: Vital, value: number, by: 1 | -1): Tally {
  const of = metrics[metric];
  return {
    n: n + by,
    bad1: value > of.bad1 ? bad1 + by : bad1,
    bad2: value > of.bad2 ? bad2 + by : bad2,
    bins: bins + by * binOf(value),
  };
}

/** Takes one of the unit's page views, with its value in stored units, for this metric; null when they are used up. */
export function admit(unit: Unit, arm: EvidenceArm, metric: Vital, value: number): Unit | null {
  const { views } = unit[arm] ?? stranger;
  const used = views.get(metric) ?? nothing;
  if (used.n >= viewCap) return null;
  return change(unit, arm, { views: new Map(views).set(metric, tallied(used, metric, value, 1)) });
}

/** A page view that was admitted has another value now. */
export function correct(unit: Unit, arm: EvidenceArm, metric: Vital, from: number, to: number): Unit {
  if (from === to) return unit;
  const { views } = unit[arm] ?? stranger;
  const left = tallied(views.get(metric) ?? nothing, metric, from, -1);
  return change(unit, arm, { views: new Map(views).set(metric, tallied(left, metric, to, 1)) });
}

/** One unit counted under one name. `client` is null where the dimensions are not known. */
export interface UnitCount {
  readonly at: number;
  readonly name: string;
  readonly client: Client | null;
}

/**
 * Every counter that the unit stands in, by its time. Its beacons prove that it was issued a token, so `seen` is never
 * more than `issued`, even when the controller died before it wrote the issue down.
 */
export function countsOf(unit: Unit, arm: EvidenceArm): UnitCount[] {
  const member = unit[arm];
  if (member === null) return [];
  const counts: UnitCount[] = [];
  const issuedAt = member.issuedAt ?? member.seenAt;
  if (issuedAt !== null) {
    counts.push({ at: issuedAt, name: 'issued', client: null });
    if (member.seenAt !== null) counts.push({ at: issuedAt, name: 'seen', client: null });
    if (arm === 'treatment' && unit.control !== null) counts.push({ at: issuedAt, name: 'crossed', client: null });
  }
  if (member.exposed === null) return counts;
  const names = ['exposed'];
  if (member.erred) names.push('err');
  for (const name of member.converted) names.push(name);
  for (const metric of member.views.keys()) names.push(`u:${metric}`);
  for (const name of names) counts.push({ ...member.exposed, name });
  return counts;
}

const noViews: Membership['views'] = new Map();

/** What the unit's page views add up to, per metric. */
export const talliesOf = (unit: Unit, arm: EvidenceArm): Membership['views'] => unit[arm]?.views ?? noViews;

type SavedMember = [
  issuedAt: number | null,
  seenAt: number | null,
  exposed: [at: number, client: string] | null,
  erred: 0 | 1,
  converted: string[],
  views: [metric: Vital, n: number, bad1: number, bad2: number, bins: number][],
];

/** The row's JSON. */
export function writeUnit(unit: Unit): string {
  const save = (member: Membership | null): SavedMember | null =>
    member && [
      member.issuedAt,
      member.seenAt,
      member.exposed && [member.exposed.at, clientText(member.exposed.client)],
      member.erred ? 1 : 0,
      [...member.converted],
      [...member.views].map(([metric, { n, bad1, bad2, bins }]) => [metric, n, bad1, bad2, bins]),
    ];
  return JSON.stringify([save(unit.treatment), save(unit.control)]);
}

/** Reads a row back; only `writeUnit` writes them. */
export function readUnit(state: string): Unit {
  const load = (saved: SavedMember | null): Membership | null => {
    if (saved === null) return null;
    const [issuedAt, seenAt, exposed, erred, converted, views] = saved;
    return {
      issuedAt,
      seenAt,
      exposed: exposed && { at: exposed[0], client: clientFrom(exposed[1]) },
      erred: erred === 1,
      converted: new Set(converted),
      views: new Map(views.map(([metric, n, bad1, bad2, bins]) => [metric, { n, bad1, bad2, bins }])),
    };
  };
  const [treatment, control] = JSON.parse(state) as [SavedMember | null, SavedMember | null];
  return { treatment: load(treatment), control: load(control) };
}
