import type { Concentration, Evidence, EvidenceArm, Shards, UnitSums } from '../domain/evidence.ts';
import { lastBin } from '../domain/histogram.ts';
import { isMetric, metrics, stored } from '../domain/metrics.ts';
import type { Rollout } from '../domain/rollout.ts';
import { type Vital, vitals } from '../domain/signal.ts';
import { binValues, lnStep } from './bin-values.ts';
import {
  awaitConversion,
  awaitSilence,
  awaitTrial,
  cellOf,
  count,
  countersOf,
  evidenceArms,
  type Hour,
  type HourArm,
  metricOf,
  newArm,
  newHour,
  ripen,
  stratumOf,
} from './book-hour.ts';
import { createUnitLedger, noTotals, shardCount, type UnitLedger, type UnitTotals } from './unit-ledger.ts';

/** To whom something is booked. */
export interface To {
  readonly epoch: number;
  readonly stage: number;
  readonly arm: EvidenceArm;
}

/** What one page view reported. Values are as ingest stores them: integers, CLS x 1000. */
export interface ViewReport {
  readonly vitals: { readonly [vital in Vital]?: number };
  readonly error: boolean;
  readonly conversions: readonly string[];
  readonly ended: boolean;
}

/** Page views of one unit with one metric, as bins; at most 20 of them count. */
export interface UnitMetric {
  /** Index into `vitals`. */
  readonly metric: number;
  readonly bins: readonly number[];
  /** Follows the `shift` of its visit. */
  readonly sways: boolean;
}

/** All that one simulated unit does after it was exposed. */
export interface UnitOutcome {
  /** Issued, and never heard of. */
  readonly silent: boolean;
  readonly views: number;
  readonly errViews: number;
  readonly ends: number;
  readonly metrics: readonly UnitMetric[];
  /** Index into the book's conversions, and how long after the exposure, ms. */
  readonly conversions: readonly { readonly conversion: number; readonly lagMs: number }[];
}

/** What the reader knows of the rollout. */
export interface About {
  /** The present stage epoch. */
  readonly epoch: number;
  /** How long a page may take to send its first beacon, ms. */
  readonly matureLagMs: number;
  /** Metrics whose reference is made of page views booked so far begin anew behind it. */
  readonly references: Rollout['references'];
}

/** Evidence of one rollout in memory, kept as ingest and the evidence reader keep it, for simulations and replays. */
export interface Book {
  /** The unit was given a token. */
  issue(to: To, unit: number | string, at: number): void;
  /** A page view of a unit; units come in the order of their first exposure. */
  view(to: To, unit: number | string, at: number, report: ViewReport): void;
  /**
   * A whole unit at once, which nobody hears of again: needs no memory of it. `shift` moves the bins of metrics that
   * sway, `network` is where its beacons come from.
   */
  visit(to: To, at: number, outcome: UnitOutcome, shift: number, network?: number): void;
  /** Evidence so far. `asOf` never goes back. What did not change since the last call is the same object. */
  evidence(asOf: number, about: About): Evidence;
}

export interface BookOptions {
  readonly bucketMs: number;
  /** Name -> how long after its first exposure a unit's conversion counts, ms. */
  readonly conversions: ReadonlyMap<string, number>;
  /** Networks of which it is kept what they alone reported; null = beacons cannot be forged. */
  readonly watched?: ReadonlySet<number> | null;
}

/** What is remembered of one unit in one arm and epoch. */
interface Unit {
  readonly shard: number;
  readonly issuedAt: number;
  seen: boolean;
  exposedAt: number | null;
  erred: boolean;
  readonly converted: Set<number>;
  readonly totals: (UnitTotals | null)[];
}

const hourMs = 3_600_000;
const ingestMs = 15 * 60_000;
const dayMs = 24 * hourMs;
/** Page views of one unit, epoch and metric that enter statistics, as in `ingest/unit.ts`. */
export const viewCap = 20;
/** More tokens or networks than this make no difference to anybody. */
const distinctCap = 500;

interface Network {
  /** By start of the hour and epoch. */
  readonly parts: Map<string, { readonly epoch: number; readonly hour: number; readonly arm: HourArm }>;
}

export function createBook({ bucketMs, conversions, watched = null }: BookOptions): Book {
  const names = [...conversions.keys()];
  const maturity = [...conversions.values()];
  const counters = countersOf(names);
  const c = counters.at;
  const hours: Hour[] = [];
  const ledgers: { readonly [arm in EvidenceArm]: (UnitLedger | null)[] } = { treatment: [], control: [] };
  /** By index of the counter. */
  const shardCounts: (PerArm<Float64Array> | undefined)[] = [];
  const units = new Map<string, Map<number | string, Unit>>();
  const since: number[] = vitals.map(() => Number.NEGATIVE_INFINITY);
  const due = new Map<number, { hour: Hour; arm: EvidenceArm; conversion: number; shard: number }[]>();
  const messages: { readonly start: number; n: number }[] = [];
  const networks: { readonly [arm in EvidenceArm]: Map<number, Network | null> } = {
    treatment: new Map(),
    control: new Map(),
  };
  const tokens = { treatment: 0, control: 0 };
  const newest: { epoch: number } & { [arm in EvidenceArm]: number | null } = {
    epoch: -1,
    treatment: null,
    control: null,
  };
  let visits = 0;
  let firstAt = Number.POSITIVE_INFINITY;
  let last: Hour | null = null;

  const bucketOf = (at: number): number => Math.floor(at / bucketMs) * bucketMs;

  /** The hour of the bucket, not of the instant: then every bucket is in one hour, whatever its width. */
  function hourOf({ epoch, stage }: To, bucket: number): Hour {
    const hour = Math.floor(bucket / hourMs) * hourMs;
    if (last !== null && last.hour === hour && last.epoch === epoch) return last;
    last = hours.find((known) => known.hour === hour && known.epoch === epoch) ?? null;
    if (last !== null) return last;
    last = newHour({ epoch, stage, hour }, counters);
    const after = hours.findIndex((known) => known.hour > hour || (known.hour === hour && known.epoch > epoch));
    hours.splice(after < 0 ? hours.length : after, 0, last);
    return last;
  }

  function add(hour: Hour, arm: EvidenceArm, name: number, shard: number | null, by = 1): void {
    count(hour[arm], name, by);
    if (shard === null) return;
    const known = shardCounts[name] ?? {
      treatment: new Float64Array(shardCount),
      control: new Float64Array(shardCount),
    };
    shardCounts[name] = known;
    const sums = known[arm];
    sums[shard] = (sums[shard] ?? 0) + 1;
  }

  function ledgerOf(arm: EvidenceArm, metric: number): UnitLedger {
    const known = ledgers[arm][metric];
    if (known != null) return known;
    const fresh = createUnitLedger();
    ledgers[arm][metric] = fresh;
    return fresh;
  }

  function heard({ epoch, arm }: To, at: number, n: number): void {
    if (epoch > newest.epoch) {
      newest.epoch = epoch;
      newest.treatment = null;
      newest.control = null;
    }
    if (epoch === newest.epoch) newest[arm] = Math.max(at, newest[arm] ?? at);
    const start = bucketOf(at);
    const open = messages.at(-1);
    if (open?.start === start) open.n += n;
    else messages.push({ start, n });
  }

  function issued(to: To, shard: number, at: number): void {
    firstAt = Math.min(firstAt, at);
    const bucket = bucketOf(at);
    const hour = hourOf(to, bucket);
    add(hour, to.arm, c.issued, shard);
    awaitSilence(hour[to.arm], bucket, 'issued', 1);
  }

  function seen(to: To, shard: number, issuedAt: number): void {
    const bucket = bucketOf(issuedAt);
    const hour = hourOf(to, bucket);
    add(hour, to.arm, c.seen, shard);
    awaitSilence(hour[to.arm], bucket, 'seen', 1);
  }

  function membersOf({ epoch, arm }: { readonly epoch: number; readonly arm: EvidenceArm }) {
    const key = `${epoch}|${arm}`;
    const known = units.get(key) ?? new Map<number | string, Unit>();
    units.set(key, known);
    return known;
  }

  function memberOf(to: To, unit: number | string, at: number): Unit {
    const members = membersOf(to);
    const known = members.get(unit);
    if (known !== undefined) return known;
    const shard = shardOf(unit);
    const fresh: Unit = {
      shard,
      issuedAt: at,
      seen: false,
      exposedAt: null,
      erred: false,
      converted: new Set(),
      totals: vitals.map(() => null),
    };
    members.set(unit, fresh);
    issued(to, shard, at);
    const other = membersOf({ epoch: to.epoch, arm: to.arm === 'treatment' ? 'control' : 'treatment' }).get(unit);
    if (other !== undefined) {
      const treatedAt = to.arm === 'treatment' ? at : other.issuedAt;
      add(hourOf({ ...to, arm: 'treatment' }, bucketOf(treatedAt)), 'treatment', c.crossed, null);
    }
    return fresh;
  }

  /** One observation of an integer value, at its own time. */
  function observe(to: To, unit: Unit, metric: number, value: number, at: number): void {
    const vital = vitals[metric];
    if (vital === undefined || at < (since[metric] ?? 0)) return;
    const { scale, winsor, bad1, bad2 } = metrics[vital];
    const kept = stored(vital, value / scale);
    const before = unit.totals[metric] ?? null;
    if (kept === null || (before?.n ?? 0) >= viewCap) return;
    const more: UnitTotals = {
      n: 1,
      sum: kept.winsorised,
      sumSq: kept.winsorised * kept.winsorised,
      bad1: kept.value > bad1 ? 1 : 0,
      bad2: kept.value > bad2 ? 1 : 0,
      bins: kept.bin,
    };
    const sums = metricOf(hourOf(to, bucketOf(at))[to.arm], metric);
    sums.bins[kept.bin] = (sums.bins[kept.bin] ?? 0) + 1;
    addTotals(sums, more, Math.round(Math.log(Math.max(1, Math.min(kept.value, winsor))) / lnStep));
    hourOf(to, bucketOf(at))[to.arm].cell = null;
    const exposedAt = unit.exposedAt ?? at;
    if (before === null && exposedAt >= (since[metric] ?? 0))
      add(hourOf(to, bucketOf(exposedAt)), to.arm, counters.units[metric] ?? 0, null);
    ledgerOf(to.arm, metric).add(unit.shard, before, more);
    unit.totals[metric] = sumOf(before, more);
  }

  function bookView(to: To, unit: Unit, at: number, report: ViewReport): void {
    if (!unit.seen) seen(to, unit.shard, unit.issuedAt);
    unit.seen = true;
    heard(to, at, 1);
    if (unit.exposedAt === null) {
      unit.exposedAt = at;
      const hour = hourOf(to, bucketOf(at));
      add(hour, to.arm, c.exposed, unit.shard);
      awaitTrial(hour[to.arm], bucketOf(at));
      tokens[to.arm] += 1;
    }
    const now = hourOf(to, bucketOf(at));
    add(now, to.arm, c.views, null);
    add(now, to.arm, c.starts, null);
    if (report.ended) add(now, to.arm, c.ends, null);
    if (report.error) add(now, to.arm, c.errViews, null);
    const exposed = hourOf(to, bucketOf(unit.exposedAt));
    if (report.error && !unit.erred) {
      unit.erred = true;
      add(exposed, to.arm, c.err, unit.shard);
    }
    for (const name of report.conversions) {
      const conversion = names.indexOf(name);
      if (conversion < 0 || unit.converted.has(conversion)) continue;
      unit.converted.add(conversion);
      add(exposed, to.arm, counters.converted[conversion] ?? 0, unit.shard);
      if (at - unit.exposedAt <= (maturity[conversion] ?? 0))
        awaitConversion(exposed[to.arm], bucketOf(unit.exposedAt), conversion);
    }
    for (const [name, value] of Object.entries(report.vitals))
      if (isMetric(name) && value !== undefined) observe(to, unit, vitals.indexOf(name), value, at);
  }

  const more = noTotals();

  /** Adds the page views of a whole unit to an hour, and answers what they add up to in `more`. */
  function addBins(to: HourArm, { metric, bins, sways }: UnitMetric, shift: number): void {
    const sums = metricOf(to, metric);
    const table = binValues[metric];
    if (table === undefined) return;
    more.n = Math.min(bins.length, viewCap);
    more.sum = 0;
    more.sumSq = 0;
    more.bad1 = 0;
    more.bad2 = 0;
    more.bins = 0;
    let lnSteps = 0;
    for (let i = 0; i < more.n; i++) {
      const bin = Math.min(lastBin, Math.max(0, (bins[i] ?? 0) + (sways ? shift : 0)));
      const value = table.value[bin] ?? 0;
      sums.bins[bin] = (sums.bins[bin] ?? 0) + 1;
      more.sum += value;
      more.sumSq += value * value;
      more.bad1 += table.bad1[bin] ?? 0;
      more.bad2 += table.bad2[bin] ?? 0;
      more.bins += bin;
      lnSteps += table.lnSteps[bin] ?? 0;
    }
    addTotals(sums, more, lnSteps);
  }

  function bookVisit(to: To, at: number, outcome: UnitOutcome, shift: number, network: number | null): void {
    const bucket = bucketOf(at);
    const shard = visits++ % shardCount;
    issued(to, shard, at);
    if (outcome.silent) return;
    seen(to, shard, at);
    heard(to, at, outcome.views);
    const hour = hourOf(to, bucket);
    const arm = hour[to.arm];
    add(hour, to.arm, c.views, shard, outcome.views);
    add(hour, to.arm, c.errViews, shard, outcome.errViews);
    bookMessages(arm, outcome);
    add(hour, to.arm, c.exposed, shard);
    if (outcome.errViews > 0) add(hour, to.arm, c.err, shard);
    awaitTrial(arm, bucket);
    tokens[to.arm] += 1;
    for (const seenMetric of outcome.metrics) {
      if (at < (since[seenMetric.metric] ?? 0)) continue;
      count(arm, counters.units[seenMetric.metric] ?? 0, 1);
      addBins(arm, seenMetric, shift);
      ledgerOf(to.arm, seenMetric.metric).add(shard, null, more);
    }
    for (const { conversion, lagMs } of outcome.conversions) {
      if (lagMs <= (maturity[conversion] ?? 0)) awaitConversion(arm, bucket, conversion);
      const then = bucketOf(at + lagMs);
      const waiting = due.get(then) ?? [];
      waiting.push({ hour, arm: to.arm, conversion, shard });
      due.set(then, waiting);
    }
    if (network !== null && watched !== null) bookNetwork(to, hour, outcome, shift, network);
  }

  function bookMessages(arm: HourArm, { views, ends }: UnitOutcome): void {
    count(arm, c.starts, views);
    count(arm, c.ends, ends);
  }

  function bookNetwork({ arm }: To, { epoch, hour }: Hour, outcome: UnitOutcome, shift: number, network: number): void {
    const known = networks[arm].get(network);
    if (watched?.has(network) !== true) {
      if (known === undefined && networks[arm].size < distinctCap) networks[arm].set(network, null);
      return;
    }
    const of: Network = known ?? { parts: new Map() };
    networks[arm].set(network, of);
    const key = `${hour}|${epoch}`;
    const part = of.parts.get(key) ?? { epoch, hour, arm: newArm(counters) };
    of.parts.set(key, part);
    for (const name of [c.issued, c.seen, c.exposed]) count(part.arm, name, 1);
    if (outcome.errViews > 0) count(part.arm, c.err, 1);
    count(part.arm, c.views, outcome.views);
    count(part.arm, c.errViews, outcome.errViews);
    bookMessages(part.arm, outcome);
    for (const { conversion } of outcome.conversions) count(part.arm, counters.converted[conversion] ?? 0, 1);
    for (const seenMetric of outcome.metrics) {
      count(part.arm, counters.units[seenMetric.metric] ?? 0, 1);
      addBins(part.arm, seenMetric, shift);
    }
  }

  /** Conversions of visits happen when their time has come. */
  function bookDue(asOf: number): void {
    for (const [start, waiting] of due) {
      if (start + bucketMs > asOf) continue;
      for (const { hour, arm, conversion, shard } of waiting)
        add(hour, arm, counters.converted[conversion] ?? 0, shard);
      due.delete(start);
    }
  }

  function cut(metric: number, from: number): void {
    since[metric] = from;
    for (const { treatment, control } of hours)
      for (const arm of [treatment, control]) {
        arm.metrics[metric] = null;
        arm.counts[counters.units[metric] ?? 0] = 0;
        arm.cell = null;
      }
    for (const arm of evidenceArms) ledgers[arm][metric] = null;
    for (const members of units.values()) for (const unit of members.values()) unit.totals[metric] = null;
  }

  function concentrationOf(arm: EvidenceArm, asOf: number): Concentration {
    const recent = hours.filter(({ hour }) => hour > asOf - dayMs);
    const all = recent.reduce((sum, hour) => sum + (hour[arm].counts[c.views] ?? 0), 0);
    const heaviest = [...networks[arm].values()]
      .flatMap((network) =>
        network === null ? [] : [[...network.parts.values()].filter(({ hour }) => hour > asOf - dayMs)],
      )
      .map((parts) => ({ parts, views: parts.reduce((sum, part) => sum + (part.arm.counts[c.views] ?? 0), 0) }))
      .toSorted((a, b) => b.views - a.views)[0];
    return {
      tokens: Math.min(distinctCap, tokens[arm]),
      networks: networks[arm].size,
      heaviest:
        heaviest === undefined || all === 0
          ? null
          : {
              share: heaviest.views / all,
              parts: heaviest.parts.map((part) => ({
                epoch: part.epoch,
                hour: part.hour,
                cell: cellOf(part.arm, counters),
              })),
            },
    };
  }

  return {
    issue(to, unit, at) {
      memberOf(to, unit, at);
    },
    view(to, unit, at, report) {
      bookView(to, memberOf(to, unit, at), at, report);
    },
    visit(to, at, outcome, shift, network) {
      bookVisit(to, at, outcome, shift, network ?? null);
    },
    evidence(asOf, about) {
      for (const [metric, vital] of vitals.entries()) {
        const from = about.references[vital]?.since;
        if (from !== undefined && from > Math.max(firstAt, since[metric] ?? 0)) cut(metric, from);
      }
      bookDue(asOf);
      const ripeBefore = maturity.map((ms) => asOf - ms);
      for (const hour of hours)
        for (const arm of evidenceArms)
          if (ripen(hour[arm], bucketMs, asOf - about.matureLagMs, ripeBefore)) hour.stratum = null;
      while ((messages[0]?.start ?? asOf) < asOf - ingestMs) messages.shift();
      const isNow = about.epoch === newest.epoch;
      return {
        asOf,
        bucketMs,
        strata: hours.map((hour) => stratumOf(hour, counters, names)),
        shards: shardsOf(ledgers),
        units: unitsOf(ledgers),
        shardCounts: shardCountsOf(shardCounts, counters.names),
        concentration:
          watched === null
            ? null
            : { treatment: concentrationOf('treatment', asOf), control: concentrationOf('control', asOf) },
        segments: [],
        newest: { treatment: isNow ? newest.treatment : null, control: isNow ? newest.control : null },
        ingest: {
          accepted: messages.reduce((sum, { n }) => sum + n, 0),
          invalid: 0,
          duplicate: 0,
          late: 0,
        },
        crossover: crossoverOf(hours, c),
      };
    },
  };
}

function addTotals(
  to: { n: number; sum: number; lnSteps: number; bad1: number; bad2: number; observations: unknown },
  more: UnitTotals,
  lnSteps: number,
): void {
  to.n += more.n;
  to.sum += more.sum;
  to.lnSteps += lnSteps;
  to.bad1 += more.bad1;
  to.bad2 += more.bad2;
  to.observations = null;
}

function sumOf(before: UnitTotals | null, more: UnitTotals): UnitTotals {
  if (before === null) return { ...more };
  return {
    n: before.n + more.n,
    sum: before.sum + more.sum,
    sumSq: before.sumSq + more.sumSq,
    bad1: before.bad1 + more.bad1,
    bad2: before.bad2 + more.bad2,
    bins: before.bins + more.bins,
  };
}

/** FNV-1a of a name, so that the same unit is always in the same shard. */
function shardOf(unit: number | string): number {
  if (typeof unit === 'number') return ((unit % shardCount) + shardCount) % shardCount;
  let hash = 0x811c9dc5;
  for (let i = 0; i < unit.length; i++) hash = Math.imul(hash ^ unit.charCodeAt(i), 0x01000193);
  return (hash >>> 0) % shardCount;
}

type Ledgers = { readonly [arm in EvidenceArm]: readonly (UnitLedger | null | undefined)[] };
type PerArm<T> = { readonly [arm in EvidenceArm]: T };

/** In order of name, metrics without data left out. */
function perMetric<T>(ledgers: Ledgers, read: (of: PerArm<UnitLedger | null>) => T): { [metric: string]: T } {
  const found: { [metric: string]: T } = {};
  for (const vital of vitals.toSorted()) {
    const at = vitals.indexOf(vital);
    const [treatment, control] = [ledgers.treatment[at] ?? null, ledgers.control[at] ?? null];
    if (treatment !== null || control !== null) found[vital] = read({ treatment, control });
  }
  return found;
}

const noUnits: UnitSums = createUnitLedger().sums();

const unitsOf = (ledgers: Ledgers): Evidence['units'] =>
  perMetric(ledgers, ({ treatment, control }) => ({
    treatment: treatment?.sums() ?? noUnits,
    control: control?.sums() ?? noUnits,
  }));

/** Few looks read the shards, and 64 objects a metric cost more than the rest of the evidence: made when they are read. */
const shardsOf = (ledgers: Ledgers): Evidence['shards'] =>
  perMetric(ledgers, ({ treatment, control }) => {
    const [treated, untreated] = [treatment?.shards(), control?.shards()];
    return onRead((arm): Shards => (arm === 'treatment' ? treated : untreated)?.() ?? []);
  });

/** Both arms, each made at the first reading. */
function onRead<T>(make: (arm: EvidenceArm) => T): PerArm<T> {
  const made: { [arm in EvidenceArm]?: { readonly value: T } } = {};
  const read = (arm: EvidenceArm): T => {
    const known = made[arm] ?? { value: make(arm) };
    made[arm] = known;
    return known.value;
  };
  return {
    get treatment() {
      return read('treatment');
    },
    get control() {
      return read('control');
    },
  };
}

function shardCountsOf(
  counts: readonly (PerArm<Float64Array> | undefined)[],
  names: readonly string[],
): Evidence['shardCounts'] {
  const found: { [name: string]: PerArm<readonly number[]> } = {};
  for (let at = 0; at < names.length; at++) {
    const known = counts[at];
    const name = names[at];
    if (known === undefined || name === undefined) continue;
    const now = { treatment: known.treatment.slice(), control: known.control.slice() };
    found[name] = onRead((arm) => Array.from(now[arm]));
  }
  return found;
}

/** Units that were given both arms in one epoch, as a share of all; as the evidence reader counts them. */
function crossoverOf(hours: readonly Hour[], c: { readonly crossed: number; readonly issued: number }): number {
  let crossed = 0;
  let all = 0;
  for (const { treatment, control } of hours) {
    crossed += treatment.counts[c.crossed] ?? 0;
    all += (treatment.counts[c.issued] ?? 0) + (control.counts[c.issued] ?? 0);
  }
  return all > crossed ? crossed / (all - crossed) : 0;
}
