import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { eligible, isMetric, metrics, stored } from '../../src/domain/metrics.ts';
import { clusterSums } from '../../src/domain/stats/cluster.ts';
import { addCell, type CellSums, cellOf, emptyCell } from '../../src/ingest/cell.ts';
import { fold, type Issue, type Message } from '../../src/ingest/fold.ts';
import {
  type ArmSums,
  addSums,
  decodeSums,
  encodeSums,
  shardsOf,
  sumsNamed,
  unitSumsOf,
} from '../../src/ingest/sums.ts';
import { readUnit, type Unit, writeUnit } from '../../src/ingest/unit.ts';
import { type PageView, readPageView, writePageView } from '../../src/ingest/view.ts';
import { aMessage, type MessageOf, noon, rules, tokens, verified } from '../support/beacons.ts';

const minute = 60_000;

/** Folds batch after batch as the committer does, rows going through their JSON in between. */
function folded(batches: readonly (readonly Message[])[], issues: readonly Issue[] = []) {
  const views = new Map<string, [state: string, at: number]>();
  const units = new Map<string, string>();
  const cells = new Map<string, CellSums>();
  const arms = new Map<string, ArmSums>();
  const stats = new Map<string, number>();
  const known = {
    pageView: (key: string): PageView | undefined => {
      const row = views.get(key);
      return row && readPageView(...row);
    },
    unit: (key: string): Unit | undefined => {
      const row = units.get(key);
      return row === undefined ? undefined : readUnit(row);
    },
  };
  for (const [index, batch] of batches.entries()) {
    const { pageViews, units: changed, sums } = fold(batch, index === 0 ? issues : [], known, rules);
    for (const [key, { view }] of pageViews) views.set(key, [writePageView(view), view.at]);
    for (const [key, { unit }] of changed) units.set(key, writeUnit(unit));
    for (const [key, { sums: by }] of sums.cells) {
      const cell = cells.get(key) ?? emptyCell();
      addCell(cell, by, 1);
      cells.set(key, cell);
    }
    for (const [key, { sums: by }] of sums.sums) {
      const of = arms.get(key) ?? new Map();
      addSums(of, by, 1);
      arms.set(key, decodeSums(encodeSums(of)));
    }
    for (const { reason, n } of sums.stats.values()) stats.set(reason, (stats.get(reason) ?? 0) + n);
  }
  const filled = [...cells].map(([key, cell]) => [key, cell.newestAt, cellOf(cell)] as const);
  return {
    /** Everything that is stored, in order of key, without cells that hold nothing. */
    rollups: {
      cells: filled
        .filter(
          ([, newestAt, { counts, metrics }]) =>
            newestAt > 0 || Object.keys(counts).length + Object.keys(metrics).length > 0,
        )
        .sort(([a], [b]) => (a < b ? -1 : 1)),
      sums: [...arms].map(([key, sums]) => [key, encodeSums(sums)] as const).sort(([a], [b]) => (a < b ? -1 : 1)),
    },
    cell: (arm: 'treatment' | 'control', at = noon, dim = '', val = '') => {
      const bucket = dim === '' ? Math.floor(at / minute) * minute : Math.floor(at / 3_600_000) * 3_600_000;
      const cell = cells.get(`${bucket}|1|1|${arm}|${dim}|${val}`);
      return cellOf(cell ?? emptyCell());
    },
    sums: (kind: 'shards' | 'units' | 'counts', arm: 'treatment' | 'control' = 'treatment') =>
      new Map(sumsNamed(arms.get(`1|1|${arm}`) ?? new Map(), kind)),
    stats: Object.fromEntries(stats),
  };
}
const told = (...messages: readonly MessageOf[]) => folded([messages.map(aMessage)]);

/** Sums over units per metric, counted plainly from what was sent: each page view's last word, one unit after the other. */
function recount(messages: readonly Message[]) {
  const views = new Map<string, { user: string; t: number; last: Map<string, { q: number; raw: number }> }>();
  for (const { beacon } of messages) {
    const view = views.get(beacon.id) ?? { user: beacon.tok, t: Number.POSITIVE_INFINITY, last: new Map() };
    views.set(beacon.id, view);
    for (const [, t] of beacon.x ?? []) view.t = Math.min(view.t, t);
    for (const [name, raw] of beacon.m ?? []) {
      if (beacon.q >= (view.last.get(name)?.q ?? 0)) view.last.set(name, { q: beacon.q, raw });
    }
  }
  const units = new Map<string, Map<string, { n: number; bad1: number; bad2: number; bins: number }>>();
  for (const { user, t, last } of views.values()) {
    for (const [name, { raw }] of last) {
      const read = isMetric(name) && eligible(name, t) && Number.isFinite(t) ? stored(name, raw) : null;
      if (!isMetric(name) || read === null) continue;
      const of = units.get(name) ?? new Map();
      const unit = of.get(user) ?? { n: 0, bad1: 0, bad2: 0, bins: 0 };
      unit.n += 1;
      unit.bad1 += read.value > metrics[name].bad1 ? 1 : 0;
      unit.bad2 += read.value > metrics[name].bad2 ? 1 : 0;
      unit.bins += read.bin;
      units.set(name, of.set(user, unit));
    }
  }
  return new Map(
    [...units].map(([name, of]) => {
      const clustered = (y: 'bad1' | 'bad2' | 'bins') =>
        clusterSums([...of.values()].map((unit) => ({ n: unit.n, y: unit[y] })));
      const only = ({ y, yy, yn }: ReturnType<typeof clustered>) => ({ y, yy, yn });
      const { k, n, nn } = clustered('bins');
      const sums = { bad1: only(clustered('bad1')), bad2: only(clustered('bad2')), bins: only(clustered('bins')) };
      return [name, { k, n, nn, ...sums }] as const;
    }),
  );
}
const shard = (user: string) => (verified(aMessage({ user }).beacon.tok).entries[0]?.unit.at(-1) ?? 0) & 63;
const unitSums = ({ sums }: ReturnType<typeof folded>) =>
  new Map([...sums('units')].map(([name, of]) => [name, unitSumsOf(of)]));

describe('fold', () => {
  it('books a page view, its unit and its observations in the arm of the token', () => {
    const { cell, stats } = told({
      user: 'a',
      m: [
        ['LCP', 2112.7, 2113],
        ['CLS', 0.104, 4000],
      ],
      end: 1,
    });
    const { counts, metrics } = cell('treatment');
    expect(counts).toEqual({ issued: 1, seen: 1, exposed: 1, views: 1, starts: 1, ends: 1, 'u:LCP': 1, 'u:CLS': 1 });
    expect(metrics.LCP).toMatchObject({ n: 1, sum: 2113, bad1: 0 });
    expect(metrics.CLS).toMatchObject({ n: 1, sum: 104, bad1: 1, bad2: 0 });
    expect(cell('control').counts).toEqual({});
    expect(stats).toEqual({ accepted: 1 });
  });

  it('adds the holdback to control, and keeps nothing of the rest', () => {
    const { cell, rollups } = told({ user: 'a', arm: 'holdback' }, { user: 'b', arm: 'rest' });
    expect(cell('control').counts).toMatchObject({ exposed: 1, seen: 1 });
    expect(rollups.cells.filter(([key]) => key.includes('rest'))).toEqual([]);
  });

  it('counts coverage but nothing else of a page that never evaluated the flag', () => {
    const { cell } = told({ user: 'a', x: [], m: [['LCP', 900, 900]] });
    expect(cell('treatment')).toEqual({ counts: { issued: 1, seen: 1 }, metrics: {} });
  });

  it('takes load metrics only when the flag was evaluated early enough', () => {
    const m = [
      ['TTFB', 100, 100],
      ['FCP', 700, 700],
      ['LCP', 900, 900],
      ['INP', 80, 4000],
    ] as const;
    const metricsAt = (t: number) => Object.keys(told({ user: 'a', x: [[0, t]], m }).cell('treatment').metrics);
    expect(metricsAt(0)).toEqual(['LCP', 'INP', 'FCP', 'TTFB']);
    expect(metricsAt(1000)).toEqual(['LCP', 'INP', 'FCP']);
    expect(metricsAt(1001)).toEqual(['INP']);
  });

  it('books marginals per hour, and observations in the shard of their unit', () => {
    const { cell, sums } = told({ user: 'a', m: [['LCP', 3000, 3000]], client: { browser: 'firefox' } });
    for (const [dim, val] of [
      ['device', 'mobile'],
      ['browser', 'firefox'],
      ['region', 'other'],
    ] as const) {
      expect(cell('treatment', noon, dim, val).metrics.LCP).toMatchObject({ n: 1, sum: 3000 });
    }
    const filled = shardsOf(sums('shards').get('LCP') ?? new Float64Array()).filter(({ n }) => n > 0);
    expect(filled).toMatchObject([{ n: 1, sum: 3000, sumSq: 9_000_000, bad1: 1, bad2: 0 }]);
  });

  it('tells event time from our clock and the age of the page alone', () => {
    const of = { user: 'a', x: [[0, 1000]], m: [['LCP', 900, 61_000]], age: 120_000, receivedAt: noon } as const;
    const { cell } = told(of);
    expect(cell('treatment', noon - 119_000).counts).toMatchObject({ exposed: 1, views: 1 });
    expect(cell('treatment', noon - 59_000).metrics.LCP).toMatchObject({ n: 1 });
  });

  it('does not believe in ages beyond a day or in things that happen after they are sent', () => {
    const old = told({ user: 'a', age: 1e13, receivedAt: noon });
    expect(old.cell('treatment', noon - 86_400_000).counts).toMatchObject({ views: 1 });
    const future = told({ user: 'a', x: [[0, 1e13]], age: 5_000, receivedAt: noon });
    expect(future.cell('treatment', noon).counts).toMatchObject({ views: 1 });
  });

  it('counts a copy once', () => {
    const once = aMessage({ user: 'a', m: [['LCP', 900, 900]] });
    const { rollups, stats } = folded([[once, once], [once]]);
    expect(rollups).toEqual(folded([[once]]).rollups);
    expect(stats).toMatchObject({ accepted: 1, duplicate: 2 });
  });

  it('lets the last word of a page view win, by message and not by arrival', () => {
    const first = aMessage({ user: 'a', q: 0, m: [['INP', 100, 900]] });
    const second = aMessage({ user: 'a', q: 1, m: [['INP', 600, 3000]], receivedAt: noon + 70_000, age: 8_000 });
    const { cell, rollups } = folded([[first], [second]]);
    expect(cell('treatment', noon).metrics.INP).toBeUndefined();
    expect(cell('treatment', noon + minute).metrics.INP).toMatchObject({ n: 1, sum: 600, bad2: 1 });
    expect(folded([[second], [first]]).rollups).toEqual(rollups);
  });

  it('counts page views, errors and conversions of one unit as one unit', () => {
    const { cell } = told(
      { user: 'a', view: 1, m: [['err', 1, 3000]] },
      {
        user: 'a',
        view: 2,
        m: [
          ['err', 99, 3000],
          ['conv:checkout', 1, 3000],
        ],
      },
      { user: 'b' },
    );
    expect(cell('treatment').counts).toMatchObject({ exposed: 2, views: 3, err: 1, 'conv:checkout': 1 });
  });

  it('books a unit where it was first exposed, also when that is learnt late', () => {
    const later = aMessage({ user: 'a', view: 1, m: [['err', 1, 0]], receivedAt: noon + 3 * minute });
    const earlier = aMessage({ user: 'a', view: 2, receivedAt: noon + minute });
    const { cell, rollups } = folded([[later], [earlier]]);
    expect(cell('treatment', noon + minute - 5_000).counts).toMatchObject({ exposed: 1, err: 1 });
    expect(cell('treatment', noon + 3 * minute - 5_000).counts).toEqual({ views: 1, starts: 1, errViews: 1 });
    expect(folded([[earlier], [later]]).rollups).toEqual(rollups);
  });

  it('books seen where the unit was issued, so that silence compares like with like', () => {
    const message = aMessage({ user: 'a', x: [], receivedAt: noon + 5 * minute });
    const { unit } = verified(message.beacon.tok, message.receivedAt).entries[0] ?? { unit: new Uint8Array(8) };
    const issue: Issue = { rollout: 1, epoch: 1, arm: 'treatment', unit, at: noon + 4 * minute };
    const silent: Issue = { ...issue, unit: tokens.storedUnit(1, new Uint8Array(8)) };
    const { cell } = folded([[message]], [issue, silent, issue]);
    expect(cell('treatment', noon + 4 * minute).counts).toEqual({ issued: 2, seen: 1 });
  });

  it('counts a unit that was given both arms in both, and as crossed', () => {
    const { cell } = told({ user: 'a', view: 1 }, { user: 'a', view: 2, arm: 'control' });
    expect(cell('treatment').counts).toMatchObject({ exposed: 1, crossed: 1 });
    expect(cell('control').counts).toMatchObject({ exposed: 1 });
  });

  it('lets 20 page views of a unit into the statistics of a metric, and all into coverage', () => {
    const views = Array.from({ length: 30 }, (_, view) => ({ user: 'a', view, m: [['LCP', 900, 900]] as const }));
    const { cell, stats } = told(...views, { user: 'b', view: 99, m: [['LCP', 900, 900]] });
    expect(cell('treatment').metrics.LCP?.n).toBe(21);
    expect(cell('treatment').counts).toMatchObject({ views: 31, exposed: 2, 'u:LCP': 2 });
    expect(stats).toMatchObject({ accepted: 31, capped: 10 });
  });

  it('keeps a refused page view out when its value is corrected', () => {
    const views = Array.from({ length: 21 }, (_, view) => aMessage({ user: 'a', view, m: [['INP', 100, 900]] }));
    const again = views.map((_, view) => aMessage({ user: 'a', view, q: 1, m: [['INP', 900, 950]] }));
    const { cell, stats } = folded([views, again]);
    expect(cell('treatment').metrics.INP).toMatchObject({ n: 20, sum: 18_000 });
    expect(stats).toMatchObject({ capped: 1 });
  });

  it('keeps the sums over units as a plain recount has them, when values are corrected across thresholds', () => {
    const sent = Array.from({ length: 60 }, (_, i) => {
      const lcp = 1_000 + ((i * 997) % 4_000);
      return aMessage({ user: `u${(i % 30) % 7}`, view: i % 30, q: i < 30 ? 0 : 1, m: [['LCP', lcp, 900]] });
    });
    const corrected = folded([sent.slice(30), sent.slice(0, 45), sent]);
    expect(unitSums(corrected)).toEqual(recount(sent));
    expect(unitSums(corrected).get('LCP')).toMatchObject({ k: 7, n: 30 });
  });

  it('sums over a unit no more page views than count', () => {
    const views = Array.from({ length: 25 }, (_, view) => aMessage({ user: 'a', view, m: [['INP', 300, 900]] }));
    expect(unitSums(folded([views])).get('INP')).toMatchObject({ k: 1, n: 20, nn: 400, bad1: { y: 20, yy: 400 } });
  });

  it('counts page views with an error, each once, wherever page views are counted', () => {
    const { cell } = told(
      { user: 'a', view: 1, m: [['err', 1, 3000]] },
      { user: 'a', view: 1, q: 1, m: [['err', 3, 3000]] },
      { user: 'a', view: 2, m: [['err', 1, 3000]] },
      { user: 'b' },
    );
    expect(cell('treatment').counts).toMatchObject({ views: 3, errViews: 2, err: 1 });
    expect(cell('treatment', noon, 'browser', 'safari').counts).toMatchObject({ views: 3, errViews: 2 });
  });

  it('counts each unit in its shard under every name that a gate may trim', () => {
    const bought = [
      ['err', 1, 900],
      ['conv:checkout', 1, 900],
    ] as const;
    const users = Array.from({ length: 40 }, (_, i) => ({ user: `u${i}`, ...(i < 10 ? { m: bought } : {}) }));
    const { sums } = told(...users, ...users.map((user) => ({ ...user, view: `again ${user.user}` })));
    const counts = [...sums('counts')].map(([name, shards]) => [name, shards.reduce((sum, n) => sum + n, 0)]);
    expect(Object.fromEntries(counts)).toMatchObject({
      issued: 40,
      seen: 40,
      exposed: 40,
      err: 10,
      'conv:checkout': 10,
    });
    for (const [index, n] of (sums('counts').get('err') ?? []).entries()) {
      expect(n).toBe(users.slice(0, 10).filter(({ user }) => shard(user) === index).length);
    }
  });

  it('counts each page view once in the shard of its unit, whatever is corrected, copied or late', () => {
    const users = Array.from({ length: 40 }, (_, i) => `u${i}`);
    const first = users.flatMap((user, i) => [
      aMessage({ user, view: `${user} a`, m: [['LCP', 900, 900]] }),
      aMessage({ user, view: `${user} b`, ...(i < 10 ? { m: [['err', 1, 900]] } : {}) }),
    ]);
    const second = users.flatMap((user, i) => [
      aMessage({ user, view: `${user} b`, q: 1, m: [['err', 3, 950]], ...(i < 20 ? { end: 1 } : {}) }),
      aMessage({ user, view: `${user} c`, q: 1 }),
    ]);
    const counts = (batches: readonly (readonly Message[])[]) => {
      const { sums, cell } = folded(batches);
      const byShard = sums('counts');
      for (const name of ['views', 'errViews', 'starts', 'ends'])
        expect(byShard.get(name)?.reduce((sum, n) => sum + n, 0)).toBe(cell('treatment').counts[name]);
      return byShard;
    };
    const counted = counts([first, second, first]);
    expect(counts([second, [...first, ...second]])).toEqual(counted);
    const shards = users.map(shard);
    const inShard = (index: number, first = users.length) =>
      shards.slice(0, first).filter((own) => own === index).length;
    for (let index = 0; index < 64; index++) {
      const of = (name: string) => counted.get(name)?.[index];
      expect(of('views')).toBe(3 * inShard(index));
      expect(of('errViews')).toBe(inShard(index));
      expect(of('starts')).toBe(2 * inShard(index));
      expect(of('ends')).toBe(inShard(index, 20));
    }
  });

  it('drops and counts values that it does not know or believe, and keeps the rest of the message', () => {
    const { cell, stats } = told({
      user: 'a',
      x: [
        [0, 0],
        [1, 0],
      ],
      m: [
        ['TTI', 3000, 1],
        ['__proto__', 1, 1],
        ['conv:undeclared', 1, 1],
        ['LCP', -1, 1],
        ['INP', Number.NaN, 1],
        ['CLS', 10.5, 1],
        ['FCP', Number.POSITIVE_INFINITY, 1],
        ['err', 0, 1],
        ['TTFB', 120, 1],
      ],
    });
    expect(Object.keys(cell('treatment').metrics)).toEqual(['TTFB']);
    expect(stats).toEqual({ accepted: 1, unknown_metric: 3, out_of_range: 5, unknown_entry: 1 });
  });

  it('counts forged, expired and opted-out messages, and nothing of what they say', () => {
    const good = aMessage({ user: 'a' });
    const bad = [
      { ...good, token: 'invalid' as const },
      { ...good, token: 'expired' as const },
    ];
    const { rollups, stats } = folded([[...bad, { ...good, optedOut: true }]]);
    expect(rollups).toEqual({ cells: [], sums: [] });
    expect(stats).toEqual({ invalid: 1, expired: 1, opted_out: 1 });
  });

  it('does not attribute a page view to a second token', () => {
    const { cell, stats } = told({ user: 'a', view: 1 }, { user: 'b', view: 1, q: 1, arm: 'control' });
    expect(cell('control').counts).toEqual({});
    expect(stats).toEqual({ accepted: 1, cross_token: 1 });
  });

  it('closes a page view an hour after its last message', () => {
    const late = aMessage({ user: 'a', q: 1, m: [['INP', 900, 900]], receivedAt: noon + 3_620_000 });
    const { cell, stats } = folded([[aMessage({ user: 'a' })], [late]]);
    expect(cell('treatment').metrics).toEqual({});
    expect(stats).toEqual({ accepted: 1, late_update: 1 });
  });

  it('counts and flags what comes more than 15 minutes late', () => {
    const { stats, cell } = told({
      user: 'a',
      age: 16 * minute,
      m: [['INP', 90, 30_000]],
      receivedAt: noon + 20 * minute,
    });
    expect(stats).toEqual({ accepted: 1, late: 1 });
    expect(cell('treatment', noon + 4 * minute).metrics.INP).toMatchObject({ n: 1 });
  });

  it('comes to the same bits in any order, in any batches, with any copies', () => {
    const name = fc.constantFrom('LCP', 'INP', 'CLS', 'TTFB', 'err', 'conv:checkout');
    const message = fc
      .record({
        user: fc.constantFrom('a', 'b', 'c'),
        view: fc.nat(3),
        q: fc.nat(3),
        age: fc.nat(120_000),
        receivedAt: fc.nat(240_000).map((ms) => noon + ms),
        x: fc.array(fc.tuple(fc.constant(0), fc.nat(1500)), { maxLength: 2 }),
        m: fc.array(fc.tuple(name, fc.integer({ min: 0, max: 9 }), fc.nat(60_000)), { maxLength: 3 }),
        browser: fc.constantFrom('safari' as const, 'chrome' as const),
        end: fc.constantFrom(undefined, 1 as const),
      })
      .map(({ browser, end, user, view, ...of }) =>
        aMessage({ ...of, user, view: `${user}${view}`, client: { browser }, ...(end === undefined ? {} : { end }) }),
      );
    const sent = fc.uniqueArray(message, { selector: ({ beacon }) => `${beacon.id}${beacon.q}`, maxLength: 16 });
    const deliveries = sent.chain((messages) =>
      fc.record({
        messages: fc.constant(messages),
        delivered: fc
          .tuple(fc.shuffledSubarray(messages, { minLength: messages.length }), fc.shuffledSubarray(messages))
          .map(([all, copies]) => [...all, ...copies]),
        split: fc.nat(16),
      }),
    );
    fc.assert(
      fc.property(deliveries, ({ messages, delivered, split }) => {
        const batches = [delivered.slice(0, split), delivered.slice(split)];
        const parts = folded(batches);
        expect(parts.rollups).toEqual(folded([messages]).rollups);
        expect(unitSums(parts)).toEqual(recount(messages));
      }),
      { numRuns: 200 },
    );
  }, 20_000);
});
