import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { binOf } from '../../src/domain/histogram.ts';
import { clusterSums } from '../../src/domain/stats/cluster.ts';
import { addCell, cellOf, decodeCell, emptyCell } from '../../src/ingest/cell.ts';
import { createIngest, type Ingest, type IngestLimits } from '../../src/ingest/flush.ts';
import type { Message } from '../../src/ingest/fold.ts';
import { decodeSums, shardsOf, sumsNamed, unitSumsOf } from '../../src/ingest/sums.ts';
import { type RumStore, StoreUnavailable } from '../../src/store/store.ts';
import { aMessage, aRumStore, noon, rules, tokens } from '../support/beacons.ts';

let store: RumStore;
let failures: unknown[];
beforeEach(async () => {
  store = await aRumStore();
  failures = [];
});
afterEach(() => store.close());

const anIngest = (over: Partial<RumStore> = {}, limits: Partial<IngestLimits> = {}): Ingest =>
  createIngest({ ...rules, store: { ...store, ...over }, tokens, limits, failed: (error) => failures.push(error) });

async function totals(rollout = 1) {
  const sum = { treatment: emptyCell(), control: emptyCell(), rest: emptyCell() };
  for (const row of await store.cellsSince(rollout, 0, false)) addCell(sum[row.arm], decodeCell(row.blob), 1);
  return { treatment: cellOf(sum.treatment), control: cellOf(sum.control) };
}
const statsOf = async () => Object.fromEntries((await store.stats(0)).map(({ reason, n }) => [reason, n]));

/** The same random order each time; `test` code may not be flaky. */
function shuffled<T>(items: readonly T[], seed: number): T[] {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state / 2 ** 32;
  };
  return items
    .map((item) => [next(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item);
}

/** Sums over units of the LCP of these messages, counted one unit after the other. */
function recount(messages: readonly Message[]) {
  const units = new Map<string, { n: number; bad1: number; bad2: number; bins: number }>();
  for (const { beacon } of messages) {
    const value = beacon.m?.[0]?.[1] ?? 0;
    const of = units.get(beacon.tok) ?? { n: 0, bad1: 0, bad2: 0, bins: 0 };
    of.n += 1;
    of.bad1 += value > 2_500 ? 1 : 0;
    of.bad2 += value > 4_000 ? 1 : 0;
    of.bins += binOf(value);
    units.set(beacon.tok, of);
  }
  const all = [...units.values()];
  const clustered = (y: 'bad1' | 'bad2' | 'bins') => clusterSums(all.map((of) => ({ n: of.n, y: of[y] })));
  const { k, n, nn } = clustered('bins');
  const [bad1, bad2, bins] = (['bad1', 'bad2', 'bins'] as const).map((name) => {
    const { y, yy, yn } = clustered(name);
    return { y, yy, yn };
  });
  return { k, n, nn, bad1, bad2, bins };
}

describe('ingest', () => {
  it('answers stored when the message is in the database', async () => {
    const ingest = anIngest();
    expect(await ingest.accept(aMessage({ user: 'a' }))).toBe('stored');
    expect((await totals()).treatment.counts).toMatchObject({ exposed: 1 });
    expect(ingest.lastFlush()).toBe(1);
    await ingest.close();
  });

  it('commits many messages at once', async () => {
    const ingest = anIngest();
    const messages = Array.from({ length: 500 }, (_, i) => aMessage({ user: `u${i}` }));
    await Promise.all(messages.map((message) => ingest.accept(message)));
    expect(ingest.lastFlush()).toBe(1);
    await ingest.close();
  });

  it('counts 10,000 beacons once each, with a fifth of them sent twice, shuffled, across two crashes', async () => {
    const beacons = Array.from({ length: 10_000 }, (_, i) => {
      const user = `u${i % 4_000}`;
      const arm = i % 2 === 0 ? 'treatment' : 'control';
      return aMessage({
        user,
        arm,
        view: i,
        m: [['LCP', 800 + (i % 3_000), 900]],
        receivedAt: noon + 10_000 + (i % 90_000),
      });
    });
    let waiting: Message[] = shuffled([...beacons, ...beacons.slice(0, 2_000)], 42);
    let answered = 0;
    for (const crashAfter of [5, 4, Number.POSITIVE_INFINITY]) {
      let commits = 0;
      // The process dies in its n-th commit: even crashes after the database has it, odd ones before.
      const ingest = anIngest({
        async commit(batch) {
          commits += 1;
          if (commits > crashAfter) throw new Error('dead');
          if (commits < crashAfter || crashAfter % 2 === 0) await store.commit(batch);
          if (commits === crashAfter) throw new Error('kill -9');
        },
      });
      const unanswered: Message[] = [];
      // Clients wait for their answers before they send more, or the queue would say that it is full.
      for (let at = 0; at < waiting.length; at += 1_000) {
        const slice = waiting.slice(at, at + 1_000);
        const answers = await Promise.all(slice.map((message) => ingest.accept(message)));
        for (const [i, message] of slice.entries()) if (answers[i] !== 'stored') unanswered.push(message);
      }
      answered += waiting.length - unanswered.length;
      waiting = shuffled(unanswered, 7);
    }
    expect(answered).toBe(12_000);
    expect(failures.length).toBeGreaterThan(0);

    const { treatment, control } = await totals();
    const expected = (odd: number) =>
      beacons.filter((_, i) => i % 2 === odd).reduce((sum, { beacon }) => sum + (beacon.m?.[0]?.[1] ?? 0), 0);
    expect(treatment.counts).toMatchObject({ views: 5_000, exposed: 2_000, issued: 2_000, seen: 2_000 });
    expect(control.counts).toMatchObject({ views: 5_000, exposed: 2_000 });
    expect(treatment.metrics.LCP).toMatchObject({ n: 5_000, sum: expected(0) });
    expect(control.metrics.LCP).toMatchObject({ n: 5_000, sum: expected(1) });
    expect((await statsOf()).accepted).toBe(10_000);
    const sums = (await store.sumsSince(1, 0)).map(({ arm, blob }) => [arm, decodeSums(blob)] as const);
    expect(sums.map(([arm]) => arm)).toEqual(['control', 'treatment']);
    for (const [arm, of] of sums) {
      const shards = sumsNamed(of, 'shards').flatMap(([, shards]) => shardsOf(shards));
      expect(shards.reduce((sum, { n }) => sum + n, 0)).toBe(5_000);
      const own = beacons.filter((_, i) => i % 2 === (arm === 'treatment' ? 0 : 1));
      expect(sumsNamed(of, 'units').map(([, units]) => unitSumsOf(units))).toEqual([recount(own)]);
    }
  }, 60_000);

  it('corrects what an earlier process counted', async () => {
    const before = anIngest();
    await before.accept(aMessage({ user: 'a', m: [['INP', 100, 900]] }));
    await before.close();
    const after = anIngest();
    await after.accept(aMessage({ user: 'a', q: 1, m: [['INP', 700, 950]], end: 1 }));
    expect(after.lastFlush()).toBe(2);
    await after.close();
    const { treatment } = await totals();
    expect(treatment.metrics.INP).toMatchObject({ n: 1, sum: 700 });
    expect(treatment.counts).toMatchObject({ exposed: 1, views: 1, starts: 1, ends: 1 });
  });

  it('counts nothing of a failed batch, and goes on with the next', async () => {
    let broken = false;
    const ingest = anIngest({
      async commit(batch) {
        if (broken) throw new StoreUnavailable('quota');
        await store.commit(batch);
      },
    });
    await ingest.accept(aMessage({ user: 'a', m: [['LCP', 900, 900]] }));
    broken = true;
    expect(await ingest.accept(aMessage({ user: 'b', m: [['LCP', 900, 900]] }))).toBe('full');
    expect(failures).toHaveLength(1);
    broken = false;
    expect(await ingest.accept(aMessage({ user: 'c', m: [['LCP', 900, 900]] }))).toBe('stored');
    expect((await totals()).treatment.metrics.LCP?.n).toBe(2);
    await ingest.close();
  });

  it('says full when too many messages or bytes wait', async () => {
    const byCount = anIngest({}, { queueMessages: 3, commitMs: 5 });
    const answers = Array.from({ length: 5 }, (_, i) => byCount.accept(aMessage({ user: `u${i}` })));
    expect(await Promise.all(answers)).toEqual(['stored', 'stored', 'stored', 'full', 'full']);
    expect(await byCount.accept(aMessage({ user: 'later' }))).toBe('stored');
    await byCount.close();
    const byBytes = anIngest({}, { queueBytes: 500 });
    const both = [byBytes.accept(aMessage({ user: 'x' })), byBytes.accept(aMessage({ user: 'y' }))];
    expect(await Promise.all(both)).toEqual(['stored', 'full']);
    await byBytes.close();
  });

  it('commits what waits when it is closed, and takes no more', async () => {
    const ingest = anIngest({}, { commitMs: 60_000 });
    const waiting = ingest.accept(aMessage({ user: 'a' }));
    await ingest.close();
    expect(await waiting).toBe('stored');
    expect(await ingest.accept(aMessage({ user: 'b' }))).toBe('full');
  });

  it('counts an issued unit once, however often it evaluates and however often we restart', async () => {
    const unit = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    for (const hour of [0, 1]) {
      const ingest = anIngest();
      for (let i = 0; i < 100; i++) ingest.issued(1, 1, 'control', unit, noon + hour * 3_600_000 + i);
      await ingest.close();
    }
    const rows = await store.cellsSince(1, 0, false);
    expect((await totals()).control.counts).toEqual({ issued: 1 });
    expect(rows.map(({ bucket }) => bucket)).toEqual([noon]);
  });

  it('keeps issued units over a batch that failed', async () => {
    let broken = true;
    const ingest = anIngest({
      async commit(batch) {
        if (broken) throw new StoreUnavailable('disk');
        await store.commit(batch);
      },
    });
    ingest.issued(1, 1, 'treatment', new Uint8Array(8), noon);
    await ingest.flushNow();
    expect(failures).toHaveLength(1);
    broken = false;
    await ingest.flushNow();
    expect((await totals()).treatment.counts).toEqual({ issued: 1 });
    await ingest.close();
  });

  it('meets the beacon of a unit with what was issued to it', async () => {
    const minted = tokens.mint({
      environment: 'production',
      targetingKey: 'a',
      entries: [{ rollout: 1, epoch: 1, arm: 'treatment' }],
      at: noon,
    });
    const ingest = anIngest();
    for (const unit of minted?.units ?? []) ingest.issued(1, 1, 'treatment', unit, noon);
    ingest.issued(1, 1, 'treatment', new Uint8Array(8), noon);
    await ingest.accept(aMessage({ user: 'a', x: [] }));
    expect((await totals()).treatment.counts).toEqual({ issued: 2, seen: 1 });
    await ingest.close();
  });

  it('knows whom committed beacons came from, and nothing of those that were not committed', async () => {
    let broken = true;
    const ingest = anIngest({
      async commit(batch) {
        if (broken) throw new StoreUnavailable('disk');
        await store.commit(batch);
      },
    });
    const heard = () => ingest.concentrations.of(1, 0, noon + 20_000)?.treatment;
    await ingest.accept(aMessage({ user: 'a', network: '192.0.2' }));
    expect(heard()).toMatchObject({ tokens: 0, networks: 0 });
    broken = false;
    await ingest.accept(aMessage({ user: 'a', network: '192.0.2' }));
    await ingest.accept(aMessage({ user: 'b', network: '198.51.100' }));
    expect(heard()).toMatchObject({ tokens: 2, networks: 2, heaviest: { share: 0.5 } });
    await ingest.close();
    expect(anIngest().concentrations.of(1, 0, noon + 20_000)?.treatment).toMatchObject({ tokens: 0, networks: 0 });
  });

  it('tells its listeners which rollouts have news, and survives one that throws', async () => {
    const ingest = anIngest();
    const heard: number[][] = [];
    const off = ingest.onFlush(({ flush, rollouts }) => heard.push([flush, ...rollouts]));
    await ingest.accept(aMessage({ user: 'a', rollout: 4 }));
    off();
    ingest.onFlush(() => {
      throw new Error('listener');
    });
    expect(await ingest.accept(aMessage({ user: 'b', rollout: 4 }))).toBe('stored');
    expect(heard).toEqual([[1, 4]]);
    expect(failures).toHaveLength(1);
    await ingest.close();
  });
});
