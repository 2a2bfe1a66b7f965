import { describe, expect, it } from 'vitest';
import type { EvidenceArm, Stratum } from '../../src/domain/evidence.ts';
import { binOf } from '../../src/domain/histogram.ts';
import { vitals } from '../../src/domain/signal.ts';
import { clusterSums } from '../../src/domain/stats/cluster.ts';
import { valueOfBin } from '../../src/lab/bin-values.ts';
import { type About, createBook, type ViewReport } from '../../src/lab/book.ts';
import { createChance } from '../../src/lab/chance.ts';
import { rosterOf, type UnitOutcome } from '../../src/lab/roster.ts';
import { hour, minute, monday } from '../support/a-rollout.ts';

const lcp = vitals.indexOf('LCP');
const nobody: ViewReport = { vitals: {}, error: false, conversions: [], ended: false };
const about: About = { epoch: 1, matureLagMs: 20_000, references: {} };
const treatment = { epoch: 1, stage: 0, arm: 'treatment' as const };
const control = { epoch: 1, stage: 0, arm: 'control' as const };

const aBook = () => createBook({ bucketMs: minute, conversions: new Map([['order', 30 * minute]]) });

function outcome(of: Partial<UnitOutcome>): UnitOutcome {
  return { silent: false, views: 1, errViews: 0, ends: 1, metrics: [], conversions: [], ...of };
}

function only(strata: readonly Stratum[]): Stratum {
  const [first] = strata;
  if (first === undefined || strata.length !== 1) throw new Error(`${strata.length} strata`);
  return first;
}

describe('a book', () => {
  it('counts a unit in the hour of its first exposure, and its page views in their own', () => {
    const book = aBook();
    book.issue(treatment, 7, monday + 59 * minute);
    book.view(treatment, 7, monday + 59 * minute, { ...nobody, vitals: { LCP: 2000 } });
    book.view(treatment, 7, monday + 61 * minute, {
      ...nobody,
      vitals: { LCP: 3000 },
      error: true,
      conversions: ['order'],
    });
    const [first, second] = book.evidence(monday + 3 * hour, about).strata;
    expect(first?.treatment.counts).toEqual({
      'conv:order': 1,
      err: 1,
      exposed: 1,
      issued: 1,
      seen: 1,
      starts: 1,
      'u:LCP': 1,
      views: 1,
    });
    expect(second?.treatment.counts).toEqual({ errViews: 1, starts: 1, views: 1 });
    expect(second?.treatment.metrics.LCP).toMatchObject({ n: 1, sum: 3000, bad1: 1, bad2: 0 });
    expect(first?.converted.treatment.order).toEqual({ n: 1, x: 1 });
  });

  it('has the same sums whether a unit comes page view by page view or at once', () => {
    const [bit, whole] = [aBook(), aBook()];
    const chance = createChance(3);
    for (let unit = 0; unit < 200; unit++) {
      const at = monday + unit * 1000;
      const bins = Array.from({ length: chance.geometric(0.2) }, () => 300 + chance.below(150));
      for (const [i, bin] of bins.entries())
        bit.view(treatment, unit, at, { ...nobody, ended: true, error: i === 0, vitals: { LCP: valueOfBin(bin) } });
      const metrics = [{ metric: lcp, bins, sways: true }];
      whole.visit(treatment, at, outcome({ views: bins.length, ends: bins.length, errViews: 1, metrics }), 0);
    }
    const asOf = monday + 2 * hour;
    const [a, b] = [bit.evidence(asOf, about), whole.evidence(asOf, about)];
    expect(JSON.parse(JSON.stringify(b))).toEqual(JSON.parse(JSON.stringify(a)));
  });

  it('has all page views, and all with an error, in the shards of their units', () => {
    const book = aBook();
    book.visit(treatment, monday, outcome({ views: 7, errViews: 2 }), 0);
    book.visit(treatment, monday, outcome({ views: 3 }), 0);
    const { shardCounts, strata } = book.evidence(monday + hour, about);
    expect(only(strata).treatment.counts).toMatchObject({ views: 10, errViews: 2, exposed: 2, err: 1 });
    expect(shardCounts.views?.treatment.slice(0, 3)).toEqual([7, 3, 0]);
    expect(shardCounts.errViews?.treatment.slice(0, 3)).toEqual([2, 0, 0]);
  });

  it('forgets units that were idle, and counts one that comes back as another', () => {
    const book = aBook();
    const view = (unit: string, at: number) => book.view(treatment, unit, at, { ...nobody, vitals: { LCP: 900 } });
    view('idle', monday);
    view('busy', monday);
    view('busy', monday + 2 * hour);
    book.forget(monday + 2 * hour);
    view('idle', monday + 2 * hour);
    view('busy', monday + 2 * hour);
    const { strata, units } = book.evidence(monday + 3 * hour, about);
    expect(strata.map(({ treatment: { counts } }) => [counts.exposed, counts.views])).toEqual([
      [2, 2],
      [1, 3],
    ]);
    // 3 page views of the busy one, 1 and 1 of the other.
    expect(units.LCP?.treatment).toMatchObject({ k: 3, n: 5, nn: 11 });
  });

  it('books a crowd as it books its visits one by one', () => {
    const [single, bulk] = [aBook(), aBook()];
    const chance = createChance(8);
    const units = Array.from({ length: 40 }, (_, i) => {
      const bins = Array.from({ length: i % 4 }, () => 300 + chance.below(150));
      const conversions = i % 7 === 0 ? [{ conversion: 0, lagMs: i * minute }] : [];
      const metrics = [{ metric: lcp, bins, sways: i % 2 === 0 }];
      return outcome({ silent: i % 9 === 0, views: 3, errViews: i % 3, ends: 2, metrics, conversions });
    });
    const column = (below: number) => Array.from({ length: 500 }, () => chance.below(below));
    const crowd = { n: 450, who: column(40), after: column(90 * minute), shift: column(3), network: column(1) };
    bulk.visitAll(control, monday, rosterOf(units), crowd);
    for (let i = 0; i < crowd.n; i++)
      single.visit(
        control,
        monday + (crowd.after[i] ?? 0),
        units[crowd.who[i] ?? 0] ?? outcome({}),
        crowd.shift[i] ?? 0,
      );
    const [a, b] = [single, bulk].map((book) => JSON.stringify(book.evidence(monday + 2 * hour, about)));
    expect(b).toBe(a);
  });

  it('counts page views in the shards of their units', () => {
    const book = aBook();
    for (let unit = 0; unit < 64; unit++) book.visit(control, monday, outcome({ views: 3, errViews: unit % 2 }), 0);
    const { shardCounts } = book.evidence(monday + minute, about);
    expect(shardCounts.views?.control).toEqual(Array.from({ length: 64 }, () => 3));
    expect(shardCounts.errViews?.control).toEqual(Array.from({ length: 64 }, (_, shard) => shard % 2));
  });

  it('will not read shards that have moved on since', () => {
    const book = aBook();
    book.visit(control, monday, outcome({}), 0);
    const [read, unread] = [book.evidence(monday, about), book.evidence(monday, about)];
    expect(read.shardCounts.exposed?.control[0]).toBe(1);
    book.visit(control, monday, outcome({}), 0);
    expect(read.shardCounts.exposed?.control[1]).toBe(0);
    expect(() => unread.shardCounts).toThrow('before more is booked');
  });

  it('has unit sums that equal a recount unit by unit', () => {
    const book = aBook();
    const chance = createChance(5);
    const units = new Map<number, number[]>();
    for (let view = 0; view < 900; view++) {
      const unit = chance.below(150);
      const value = 500 + chance.below(6000);
      const seen = units.get(unit) ?? [];
      units.set(unit, seen);
      if (seen.length < 20) seen.push(value);
      book.view(control, unit, monday + view * 100, { ...nobody, vitals: { LCP: value } });
    }
    const found = book.evidence(monday + hour, about).units.LCP?.control;
    const recount = (y: (value: number) => number) =>
      clusterSums([...units.values()].map((seen) => ({ n: seen.length, y: seen.reduce((sum, v) => sum + y(v), 0) })));
    const { k, n, nn, ...slow } = recount((value) => (value > 2500 ? 1 : 0));
    expect(found).toMatchObject({ k, n, nn, bad1: slow });
    const { y, yy, yn } = recount(binOf);
    expect(found?.bins).toEqual({ y, yy, yn });
  });

  it('admits 20 page views of a unit and metric', () => {
    const book = aBook();
    for (let view = 0; view < 25; view++) book.view(control, 'a', monday + view, { ...nobody, vitals: { INP: 90 } });
    const { counts, metrics } = only(book.evidence(monday + minute, about).strata).control;
    expect(counts.views).toBe(25);
    expect(metrics.INP?.n).toBe(20);
  });

  it('waits for silence, and for conversions until they are mature', () => {
    const book = aBook();
    book.visit(treatment, monday, outcome({ silent: true }), 0);
    book.visit(treatment, monday, outcome({ conversions: [{ conversion: 0, lagMs: 10 * minute }] }), 0);
    book.visit(treatment, monday, outcome({ conversions: [{ conversion: 0, lagMs: 40 * minute }] }), 0);
    const at = (ms: number) => only(book.evidence(monday + ms, about).strata);
    expect(at(minute).mature.treatment).toEqual({ issued: 0, seen: 0 });
    expect(at(2 * minute).mature.treatment).toEqual({ issued: 3, seen: 2 });
    expect(at(12 * minute).treatment.counts['conv:order']).toBe(1);
    expect(at(30 * minute).converted.treatment.order).toEqual({ n: 0, x: 0 });
    expect(at(31 * minute).converted.treatment.order).toEqual({ n: 2, x: 1 });
    expect(at(50 * minute).treatment.counts['conv:order']).toBe(2);
    expect(at(50 * minute).converted.treatment.order).toEqual({ n: 2, x: 1 });
  });

  it('hands out the same stratum until something in it changes', () => {
    const book = aBook();
    const visit = (at: number, arm: EvidenceArm) => book.visit({ ...treatment, arm }, at, outcome({}), 0);
    visit(monday, 'treatment');
    visit(monday + hour, 'control');
    const before = book.evidence(monday + 3 * hour, about).strata;
    visit(monday + hour, 'treatment');
    const after = book.evidence(monday + 3 * hour + minute, about).strata;
    expect(after[0]).toBe(before[0]);
    expect(after[1]).not.toBe(before[1]);
    expect(after[1]?.control).toBe(before[1]?.control);
  });

  it('leaves out what a reference was made of', () => {
    const book = aBook();
    const slow = (at: number) => book.view(control, at, at, { ...nobody, vitals: { LCP: 9000 } });
    slow(monday);
    const references = { LCP: { bins: [400, 420, 440, 450, 470], since: monday + minute } };
    expect(book.evidence(monday + minute, { ...about, references }).units).toEqual({});
    slow(monday + 2 * minute);
    const { strata, units } = book.evidence(monday + 3 * minute, { ...about, references });
    expect(only(strata).control.metrics.LCP?.n).toBe(1);
    expect(units.LCP?.control.k).toBe(1);
  });

  it('tells what a watched network alone reported', () => {
    const book = createBook({ bucketMs: minute, conversions: new Map(), watched: new Set([99]) });
    for (let unit = 0; unit < 30; unit++) book.visit(treatment, monday, outcome({}), 0, unit);
    for (let unit = 0; unit < 10; unit++) book.visit(treatment, monday, outcome({ errViews: 1 }), 0, 99);
    const of = book.evidence(monday + minute, about).concentration?.treatment;
    expect(of).toMatchObject({ tokens: 40, networks: 31, heaviest: { share: 0.25 } });
    expect(of?.heaviest?.parts[0]?.cell.counts.err).toBe(10);
  });
});
