import type { Concentration, Evidence, EvidenceArm, Shards } from '../domain/evidence.ts';
import { lastBin } from '../domain/histogram.ts';
import { metrics, stored } from '../domain/metrics.ts';
import type { Rollout } from '../domain/rollout.ts';
import { type Vital, vitals } from '../domain/signal.ts';
import { lnStep } from '../ingest/cell.ts';
import { binValues } from './bin-values.ts';
import {
  addBin,
  awaitBeacon,
  awaitConversion,
  awaitTrial,
  awaitUnit,
  cellOf,
  count,
  countersOf,
  endSilence,
  evidenceArms,
  type Hour,
  type HourArm,
  type HourMetric,
  metricOf,
  newArm,
  newHour,
  ripen,
  stratumOf,
} from './book-hour.ts';
import { type Roster, rosterOf, rowHead, type UnitOutcome, viewCap } from './roster.ts';
import { bump, createUnitLedger, noTotals, shardCount, type UnitLedger, type UnitTotals } from './unit-ledger.ts';

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

/** Visits of one arm in columns: who of a roster came, and when. Only the first `n` of each column count. */
export interface Crowd {
  readonly n: number;
  /** Index into the roster. */
  readonly who: readonly number[];
  /** Ms since `from`. */
  readonly after: readonly number[];
  /** Bins by which metrics that sway are moved. */
  readonly shift: readonly number[];
  /** Where the beacons come from; read only where somebody watches. */
  readonly network: readonly number[];
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
  /** The same for everybody in a crowd. */
  visitAll(to: To, from: number, roster: Roster, crowd: Crowd): void;
  /** Forgets units of which nothing was heard since `before`, epoch ms: one that comes back is another. */
  forget(before: number): void;
  /**
   * Evidence so far. `asOf` never goes back. What did not change since the last call is the same object. `shards` and
   * `shardCounts` are made when they are first read, which has to be before more is booked.
   */
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
  /** Whole minutes since the epoch: of what was heard last. There are millions of units, and this is a small integer. */
  lastMinute: number;
  converted: ReadonlySet<number>;
  /** By metric; none of which nothing was seen. */
  readonly totals: (UnitTotals | undefined)[];
}

/** One for all: most units never convert. */
const noConversion: ReadonlySet<number> = new Set();
/** Copied: an array that grows takes more room than it needs. */
const unseen: readonly (UnitTotals | undefined)[] = vitals.map(() => undefined);

const minuteMs = 60_000;
const hourMs = 3_600_000;
const ingestMs = 15 * 60_000;
const dayMs = 24 * hourMs;
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
  const counterCount = counters.names.length;
  const hours: Hour[] = [];
  /** In the order in which they began, for what has to find one again. */
  const begun: Hour[] = [];
  const ledger = createUnitLedger(2 * vitals.length);
  /** By counter, arm and shard. */
  const shardCounts = new Float64Array(counters.names.length * 2 * shardCount);
  const units = new Map<number, PerArm<Map<number | string, Unit>>>();
  const since: number[] = vitals.map(() => Number.NEGATIVE_INFINITY);
  /** By bucket: conversions to come, each as one number (`awaitDue`). */
  const due = new Map<number, number[]>();
  const messages: { readonly start: number; n: number }[] = [];
  const networks: { readonly [arm in EvidenceArm]: Map<number, Network | null> } = {
    treatment: new Map(),
    control: new Map(),
  };
  const tokens = { treatment: 0, control: 0 };
  /** Minus infinity before anything is heard. */
  const newest = { epoch: -1, treatment: Number.NEGATIVE_INFINITY, control: Number.NEGATIVE_INFINITY };
  const everIssued = { crossed: 0, issued: 0 };
  let visits = 0;
  /** Goes up when something is booked. */
  let version = 0;
  let firstAt = Number.POSITIVE_INFINITY;
  let last: Hour | null = null;

  const bucketOf = (at: number): number => Math.floor(at / bucketMs) * bucketMs;

  /** The hour of the bucket, not of the instant: then every bucket is in one hour, whatever its width. */
  function hourOf({ epoch, stage }: To, bucket: number): Hour {
    const hour = Math.floor(bucket / hourMs) * hourMs;
    if (last !== null && last.hour === hour && last.epoch === epoch) return last;
    last = hours.find((known) => known.hour === hour && known.epoch === epoch) ?? null;
    if (last !== null) return last;
    last = newHour({ epoch, stage, hour, index: begun.length }, counters);
    begun.push(last);
    const after = hours.findIndex((known) => known.hour > hour || (known.hour === hour && known.epoch > epoch));
    hours.splice(after < 0 ? hours.length : after, 0, last);
    return last;
  }

  /** Counts something of a unit, or of its page views, in the unit's shard. */
  function tally(to: HourArm, side: number, name: number, shard: number, by: number): void {
    count(to, name, by);
    bump(shardCounts, (side * shardCount + shard) * counterCount + name, by);
  }

  function add(hour: Hour, arm: EvidenceArm, name: number, shard: number): void {
    tally(hour[arm], sideOf(arm), name, shard, 1);
  }

  function heard({ epoch, arm }: To, at: number, n: number): void {
    if (epoch > newest.epoch) {
      newest.epoch = epoch;
      newest.treatment = Number.NEGATIVE_INFINITY;
      newest.control = Number.NEGATIVE_INFINITY;
    }
    if (epoch === newest.epoch) {
      if (arm === 'treatment') newest.treatment = Math.max(at, newest.treatment);
      else newest.control = Math.max(at, newest.control);
    }
    const start = bucketOf(at);
    const open = messages.at(-1);
    if (open?.start === start) open.n += n;
    else messages.push({ start, n });
  }

  function issued(to: To, shard: number, at: number): void {
    firstAt = Math.min(firstAt, at);
    everIssued.issued += 1;
    const bucket = bucketOf(at);
    const hour = hourOf(to, bucket);
    add(hour, to.arm, c.issued, shard);
    awaitBeacon(hour[to.arm], bucket);
  }

  function seen(to: To, shard: number, issuedAt: number): void {
    const bucket = bucketOf(issuedAt);
    const hour = hourOf(to, bucket);
    add(hour, to.arm, c.seen, shard);
    endSilence(hour[to.arm], bucket);
  }

  function membersOf(epoch: number): PerArm<Map<number | string, Unit>> {
    const known = units.get(epoch);
    if (known !== undefined) return known;
    const fresh = { treatment: new Map<number | string, Unit>(), control: new Map<number | string, Unit>() };
    units.set(epoch, fresh);
    return fresh;
  }

  function memberOf(to: To, unit: number | string, at: number): Unit {
    const members = membersOf(to.epoch);
    const known = members[to.arm].get(unit);
    if (known !== undefined) return known;
    const shard = shardOf(unit);
    const fresh: Unit = {
      shard,
      issuedAt: at,
      seen: false,
      exposedAt: null,
      erred: false,
      lastMinute: Math.floor(at / minuteMs),
      converted: noConversion,
      totals: unseen.slice(),
    };
    members[to.arm].set(unit, fresh);
    issued(to, shard, at);
    const other = members[to.arm === 'treatment' ? 'control' : 'treatment'].get(unit);
    if (other !== undefined) {
      const treatedAt = to.arm === 'treatment' ? at : other.issuedAt;
      everIssued.crossed += 1;
      count(hourOf(to, bucketOf(treatedAt)).treatment, c.crossed, 1);
    }
    return fresh;
  }

  /** One observation of an integer value, at its own time. */
  function observe(to: To, unit: Unit, metric: number, value: number, at: number): void {
    const vital = vitals[metric];
    if (vital === undefined || at < (since[metric] ?? 0)) return;
    const { scale, winsor, bad1, bad2 } = metrics[vital];
    const kept = stored(vital, value / scale);
    const before = unit.totals[metric] ?? nothing;
    if (kept === null || before.n >= viewCap) return;
    const seenNow: UnitTotals = {
      n: 1,
      sum: kept.winsorised,
      sumSq: kept.winsorised * kept.winsorised,
      bad1: kept.value > bad1 ? 1 : 0,
      bad2: kept.value > bad2 ? 1 : 0,
      bins: kept.bin,
    };
    const arm = hourOf(to, bucketOf(at))[to.arm];
    const sums = metricOf(arm, metric);
    addBin(sums, kept.bin);
    addTotals(sums, seenNow, Math.round(Math.log(Math.max(1, Math.min(kept.value, winsor))) / lnStep));
    arm.cell = null;
    const exposedAt = unit.exposedAt ?? at;
    if (before.n === 0 && exposedAt >= (since[metric] ?? 0))
      count(hourOf(to, bucketOf(exposedAt))[to.arm], counters.units[metric] ?? 0, 1);
    ledger.add(slotOf(metric, to.arm), unit.shard, before, seenNow);
    unit.totals[metric] = before.n === 0 ? seenNow : sumOf(before, seenNow);
  }

  function bookView(to: To, unit: Unit, at: number, report: ViewReport): void {
    if (!unit.seen) seen(to, unit.shard, unit.issuedAt);
    unit.seen = true;
    unit.lastMinute = Math.max(unit.lastMinute, Math.floor(at / minuteMs));
    heard(to, at, 1);
    if (unit.exposedAt === null) {
      unit.exposedAt = at;
      const hour = hourOf(to, bucketOf(at));
      add(hour, to.arm, c.exposed, unit.shard);
      awaitTrial(hour[to.arm], bucketOf(at));
      tokens[to.arm] += 1;
    }
    const now = hourOf(to, bucketOf(at));
    add(now, to.arm, c.views, unit.shard);
    add(now, to.arm, c.starts, unit.shard);
    if (report.ended) add(now, to.arm, c.ends, unit.shard);
    if (report.error) add(now, to.arm, c.errViews, unit.shard);
    const exposed = hourOf(to, bucketOf(unit.exposedAt));
    if (report.error && !unit.erred) {
      unit.erred = true;
      add(exposed, to.arm, c.err, unit.shard);
    }
    for (const name of report.conversions) {
      const conversion = names.indexOf(name);
      if (conversion < 0 || unit.converted.has(conversion)) continue;
      unit.converted = new Set([...unit.converted, conversion]);
      add(exposed, to.arm, counters.converted[conversion] ?? 0, unit.shard);
      if (at - unit.exposedAt <= (maturity[conversion] ?? 0))
        awaitConversion(exposed[to.arm], bucketOf(unit.exposedAt), conversion);
    }
    for (let metric = 0; metric < vitals.length; metric++) {
      const vital = vitals[metric];
      const value = vital === undefined ? undefined : report.vitals[vital];
      if (value !== undefined) observe(to, unit, metric, value, at);
    }
  }

  const more = noTotals();

  /** Adds the page views of a whole unit to an hour, and answers what they add up to in `more`. */
  function addBins(sums: HourMetric, metric: number, { rows }: Roster, from: number, to: number, shift: number): void {
    const table = binValues[metric]?.rows;
    if (table === undefined) return;
    let sum = 0;
    let sumSq = 0;
    let over1 = 0;
    let over2 = 0;
    let binSum = 0;
    let steps = 0;
    for (let i = from; i < to; i++) {
      const bin = Math.min(lastBin, Math.max(0, (rows[i] ?? 0) + shift));
      const row = 4 * bin;
      const value = table[row] ?? 0;
      addBin(sums, bin);
      sum += value;
      sumSq += value * value;
      steps += table[row + 1] ?? 0;
      over1 += table[row + 2] ?? 0;
      over2 += table[row + 3] ?? 0;
      binSum += bin;
    }
    more.n = to - from;
    more.sum = sum;
    more.sumSq = sumSq;
    more.bad1 = over1;
    more.bad2 = over2;
    more.bins = binSum;
    addTotals(sums, more, steps);
  }

  /** Written for speed: `visitAll` spends its time here. */
  function bookVisit(to: To, at: number, roster: Roster, unit: number, shift: number, network: number | null): void {
    const bucket = bucketOf(at);
    const hour = hourOf(to, bucket);
    const side = sideOf(to.arm);
    const arm = side === 0 ? hour.treatment : hour.control;
    const shard = visits++ % shardCount;
    if (at < firstAt) firstAt = at;
    everIssued.issued += 1;
    arm.cell = null;
    const { counts } = arm;
    const own = (side * shardCount + shard) * counterCount;
    bump(counts, c.issued, 1);
    bump(shardCounts, own + c.issued, 1);
    const { rows } = roster;
    const row = roster.rowAt[unit] ?? 0;
    if (rows[row] === 1) {
      awaitBeacon(arm, bucket);
      return;
    }
    const views = rows[row + 1] ?? 0;
    const errViews = rows[row + 2] ?? 0;
    const ends = rows[row + 3] ?? 0;
    awaitUnit(arm, bucket);
    heard(to, at, views);
    if (side === 0) tokens.treatment += 1;
    else tokens.control += 1;
    bump(counts, c.seen, 1);
    bump(counts, c.exposed, 1);
    bump(counts, c.views, views);
    bump(counts, c.starts, views);
    bump(counts, c.ends, ends);
    bump(shardCounts, own + c.seen, 1);
    bump(shardCounts, own + c.exposed, 1);
    bump(shardCounts, own + c.views, views);
    bump(shardCounts, own + c.starts, views);
    bump(shardCounts, own + c.ends, ends);
    if (errViews > 0) {
      bump(counts, c.errViews, errViews);
      bump(counts, c.err, 1);
      bump(shardCounts, own + c.errViews, errViews);
      bump(shardCounts, own + c.err, 1);
    }
    let i = row + rowHead;
    for (let left = rows[row + 5] ?? 0; left > 0; left--) {
      const metric = (rows[i] ?? 0) >> 1;
      const from = i + 2;
      const until = from + (rows[i + 1] ?? 0);
      if (at >= (since[metric] ?? 0)) {
        bump(counts, counters.units[metric] ?? 0, 1);
        addBins(metricOf(arm, metric), metric, roster, from, until, (rows[i] ?? 0) & 1 ? shift : 0);
        ledger.add(2 * metric + side, shard, nothing, more);
      }
      i = until;
    }
    for (let left = rows[row + 4] ?? 0, from = roster.conversionAt[unit] ?? 0; left > 0; left--, from++)
      awaitDue(hour, side, bucket, at, roster.conversion[from] ?? 0, roster.lagMs[from] ?? 0, shard);
    if (network !== null && watched !== null) bookNetwork(to, hour, roster, unit, shift, network);
  }

  /** A conversion that is to come, as one number: `bookDue` takes it apart. */
  function awaitDue(
    hour: Hour,
    side: number,
    bucket: number,
    at: number,
    conversion: number,
    lagMs: number,
    shard: number,
  ): void {
    if (lagMs <= (maturity[conversion] ?? 0))
      awaitConversion(side === 0 ? hour.treatment : hour.control, bucket, conversion);
    const then = bucketOf(at + lagMs);
    const waiting = due.get(then) ?? [];
    waiting.push(((hour.index * 2 + side) * names.length + conversion) * shardCount + shard);
    due.set(then, waiting);
  }

  function bookNetwork(
    { arm }: To,
    { epoch, hour }: Hour,
    roster: Roster,
    unit: number,
    shift: number,
    network: number,
  ): void {
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
    const { rows } = roster;
    const row = roster.rowAt[unit] ?? 0;
    const [views = 0, errViews = 0, ends = 0, conversions = 0, metrics = 0] = rows.subarray(row + 1, row + rowHead);
    for (const name of [c.issued, c.seen, c.exposed]) count(part.arm, name, 1);
    if (errViews > 0) count(part.arm, c.err, 1);
    count(part.arm, c.views, views);
    count(part.arm, c.errViews, errViews);
    count(part.arm, c.starts, views);
    count(part.arm, c.ends, ends);
    const first = roster.conversionAt[unit] ?? 0;
    for (const conversion of roster.conversion.subarray(first, first + conversions))
      count(part.arm, counters.converted[conversion] ?? 0, 1);
    for (let left = metrics, i = row + rowHead; left > 0; left--) {
      const [kind = 0, n = 0] = rows.subarray(i, i + 2);
      const metric = kind >> 1;
      count(part.arm, counters.units[metric] ?? 0, 1);
      addBins(metricOf(part.arm, metric), metric, roster, i + 2, i + 2 + n, kind & 1 ? shift : 0);
      i += 2 + n;
    }
  }

  /** Conversions of visits happen when their time has come. */
  function bookDue(asOf: number): void {
    for (const [start, waiting] of due) {
      if (start + bucketMs > asOf) continue;
      for (const one of waiting) {
        const [conversion, arm] = [
          Math.floor(one / shardCount) % names.length,
          Math.floor(one / shardCount / names.length),
        ];
        const hour = begun[arm >> 1];
        if (hour === undefined) continue;
        const side = arm & 1;
        tally(
          side === 0 ? hour.treatment : hour.control,
          side,
          counters.converted[conversion] ?? 0,
          one % shardCount,
          1,
        );
      }
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
    for (const arm of evidenceArms) ledger.clear(slotOf(metric, arm));
    for (const members of units.values())
      for (const arm of evidenceArms) for (const { totals } of members[arm].values()) totals[metric] = undefined;
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
      version += 1;
      memberOf(to, unit, at);
    },
    view(to, unit, at, report) {
      version += 1;
      bookView(to, memberOf(to, unit, at), at, report);
    },
    visit(to, at, outcome, shift, network) {
      version += 1;
      bookVisit(to, at, rosterOfOne(outcome), 0, shift, network ?? null);
    },
    visitAll(to, from, roster, { n, who, after, shift, network }) {
      version += 1;
      for (let i = 0; i < n; i++)
        bookVisit(to, from + (after[i] ?? 0), roster, who[i] ?? 0, shift[i] ?? 0, network[i] ?? null);
    },
    forget(before) {
      const minute = Math.floor(before / minuteMs);
      for (const members of units.values())
        for (const arm of evidenceArms)
          for (const [name, { lastMinute }] of members[arm]) if (lastMinute < minute) members[arm].delete(name);
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
      const stamp = version;
      const inTime = (): void => {
        if (version !== stamp) throw new Error('read the shards of evidence before more is booked');
      };
      const shards = once(inTime, () => shardsOf(ledger));
      const counted = once(inTime, () => shardCountsOf(shardCounts, counters.names));
      return {
        asOf,
        bucketMs,
        strata: hours.map((hour) => stratumOf(hour, counters, names)),
        get shards() {
          return shards();
        },
        units: unitsOf(ledger),
        get shardCounts() {
          return counted();
        },
        concentration:
          watched === null
            ? null
            : { treatment: concentrationOf('treatment', asOf), control: concentrationOf('control', asOf) },
        segments: [],
        newest: { treatment: heardAt(newest.treatment, isNow), control: heardAt(newest.control, isNow) },
        ingest: {
          accepted: messages.reduce((sum, { n }) => sum + n, 0),
          invalid: 0,
          duplicate: 0,
          late: 0,
        },
        crossover: crossoverOf(everIssued),
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

function sumOf(before: UnitTotals, more: UnitTotals): UnitTotals {
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

const heardAt = (at: number, isNow: boolean): number | null => (isNow && Number.isFinite(at) ? at : null);

type PerArm<T> = { readonly [arm in EvidenceArm]: T };

const sideOf = (arm: EvidenceArm): number => (arm === 'treatment' ? 0 : 1);
const slotOf = (metric: number, arm: EvidenceArm): number => 2 * metric + sideOf(arm);
const nothing = noTotals();

const rosters = new WeakMap<UnitOutcome, Roster>();

/** Few outcomes make many visits. */
function rosterOfOne(outcome: UnitOutcome): Roster {
  const known = rosters.get(outcome) ?? rosterOf([outcome]);
  rosters.set(outcome, known);
  return known;
}

const byName = vitals.map((vital, metric) => ({ vital, metric })).sort((a, b) => (a.vital < b.vital ? -1 : 1));

/** In order of name, metrics without data left out. */
function unitsOf(ledger: UnitLedger): Evidence['units'] {
  const found: { [metric: string]: Evidence['units'][string] } = {};
  for (const { vital, metric } of byName) {
    const [treatment, control] = [slotOf(metric, 'treatment'), slotOf(metric, 'control')];
    if (ledger.isEmpty(treatment) && ledger.isEmpty(control)) continue;
    found[vital] = { treatment: ledger.sums(treatment), control: ledger.sums(control) };
  }
  return found;
}

/** Few looks read the shards, and their objects cost more than the rest of the evidence: made when they are read. */
function once<T>(check: () => void, make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => {
    if (made === null) check();
    made ??= { value: make() };
    return made.value;
  };
}

function shardsOf(ledger: UnitLedger): Evidence['shards'] {
  const found: { [metric: string]: PerArm<Shards> } = {};
  for (const { vital, metric } of byName) {
    const [treatment, control] = [slotOf(metric, 'treatment'), slotOf(metric, 'control')];
    if (ledger.isEmpty(treatment) && ledger.isEmpty(control)) continue;
    found[vital] = { treatment: ledger.shards(treatment), control: ledger.shards(control) };
  }
  return found;
}

/** Counters that were never counted by shard are left out. Columns: arm, shard, counter. */
function shardCountsOf(counts: Float64Array, names: readonly string[]): Evidence['shardCounts'] {
  const found: { [name: string]: PerArm<readonly number[]> } = {};
  for (const [at, name] of names.entries()) {
    if (isZero(counts, at, names.length)) continue;
    const [treatment, control] = [columnOf(counts, at, names.length, 0), columnOf(counts, at, names.length, 1)];
    found[name] = { treatment, control };
  }
  return found;
}

function columnOf(counts: Float64Array, counter: number, width: number, side: number): number[] {
  const column: number[] = [];
  for (let shard = 0; shard < shardCount; shard++)
    column.push(counts[(side * shardCount + shard) * width + counter] ?? 0);
  return column;
}

function isZero(counts: Float64Array, from: number, step: number): boolean {
  for (let at = from; at < counts.length; at += step) if (counts[at] !== 0) return false;
  return true;
}

/** Units that were given both arms in one epoch, as a share of all; as the evidence reader counts them. */
function crossoverOf({ crossed, issued }: { readonly crossed: number; readonly issued: number }): number {
  return issued > crossed ? crossed / (issued - crossed) : 0;
}
