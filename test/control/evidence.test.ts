import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createEvidenceReader, stagesOf } from '../../src/control/evidence.ts';
import type { Rollout } from '../../src/domain/rollout.ts';
import { addCount, emptyCell, encodeCell } from '../../src/ingest/cell.ts';
import { createIngest, type Ingest } from '../../src/ingest/flush.ts';
import type { CellRow, RumStore } from '../../src/store/store.ts';
import { aRollout as rolloutOf } from '../support/a-rollout.ts';
import { aMessage, aRumStore, bucketMs, type MessageOf, noon, rules, tokens } from '../support/beacons.ts';

const minute = 60_000;
const hour = 60 * minute;
let store: RumStore;
let ingest: Ingest;
beforeEach(async () => {
  store = await aRumStore();
  ingest = createIngest({ ...rules, store, tokens, failed: () => {} });
});
afterEach(async () => {
  await ingest.close();
  await store.close();
});

const send = (...messages: readonly MessageOf[]) =>
  Promise.all(messages.map((message) => ingest.accept(aMessage(message))));

function aRollout(
  of: { epoch?: number; stage?: number; evidenceFrom?: number; references?: Rollout['references'] } = {},
): Rollout {
  const { epoch = 1, stage = 0, evidenceFrom = 0, references = {} } = of;
  return rolloutOf({
    shortId: 1,
    state: { stage, epoch },
    progress: { stageEnteredAt: noon, lastTick: null },
    evidenceFrom,
    references,
  });
}
const reader = (rum: Pick<RumStore, 'cellsSince' | 'sumsSince' | 'stats'> = store) =>
  createEvidenceReader({ rum, bucketMs });
const at = (wall: number) => ({ wall });
const none = new Map<number, number>();

describe('read', () => {
  it('is empty before anything was reported', async () => {
    expect(await reader().read(aRollout(), none, 0, at(noon))).toEqual({
      asOf: noon,
      bucketMs,
      strata: [],
      shards: {},
      units: {},
      shardCounts: {},
      concentration: null,
      segments: [],
      newest: { treatment: null, control: null },
      ingest: { accepted: 0, invalid: 0, duplicate: 0, late: 0 },
      crossover: 0,
    });
  });

  it('keeps strata of epoch and hour, oldest first, with their stage', async () => {
    await send(
      { user: 'a', receivedAt: noon + 5_000 },
      { user: 'b', receivedAt: noon + hour + 5_000, arm: 'control' },
      { user: 'c', receivedAt: noon + hour + 5_000, epoch: 2 },
    );
    const { strata } = await reader().read(aRollout({ epoch: 2, stage: 1 }), new Map([[1, 0]]), 0, at(noon + 2 * hour));
    expect(strata.map(({ epoch, stage, hour }) => [epoch, stage, hour])).toEqual([
      [1, 0, noon],
      [1, 0, noon + hour],
      [2, 1, noon + hour],
    ]);
    expect(strata[1]?.control.counts).toMatchObject({ exposed: 1 });
    expect(strata[1]?.treatment.counts).toEqual({});
  });

  it('asks only for what is new, and comes to the same as a reader that starts afresh', async () => {
    const asked: number[] = [];
    const reading = reader({
      ...store,
      cellsSince: (rollout, flush, marginals) => {
        asked.push(flush);
        return store.cellsSince(rollout, flush, marginals);
      },
    });
    await send({ user: 'a', m: [['INP', 100, 900]] });
    await reading.read(aRollout(), none, 0, at(noon + minute));
    await send(
      { user: 'a', q: 1, m: [['INP', 600, 950]] },
      { user: 'b', receivedAt: noon + 3 * minute, m: [['INP', 90, 0]] },
    );
    const grown = await reading.read(aRollout(), none, 0, at(noon + 4 * minute));
    expect(asked).toEqual([0, 1]);
    expect(grown).toEqual(await reader().read(aRollout(), none, 0, at(noon + 4 * minute)));
    expect(grown.strata[0]?.treatment.metrics.INP).toMatchObject({ n: 2, sum: 690 });
  });

  it('adds shards of all epochs', async () => {
    await send({ user: 'a', m: [['LCP', 1000, 900]] }, { user: 'a', view: 'x', epoch: 2, m: [['LCP', 2000, 900]] });
    const { shards } = await reader().read(aRollout({ epoch: 2 }), none, 0, at(noon + minute));
    expect(shards.LCP?.treatment).toHaveLength(64);
    expect(shards.LCP?.treatment.reduce((sum, shard) => sum + shard.sum, 0)).toBe(3000);
    expect(shards.LCP?.control).toEqual([]);
  });

  it('leaves out what its reference was taken from', async () => {
    const load = [['LCP', 1000, 0]] as const;
    await send({ user: 'a', m: [...load, ['INP', 90, 0]] }, { user: 'b', m: load, receivedAt: noon + 10 * minute });
    const reading = reader();
    const before = await reading.read(aRollout(), none, 0, at(noon + hour));
    expect(before.strata[0]?.treatment.metrics.LCP?.n).toBe(2);
    const references = { LCP: { bins: [1, 2, 3, 4, 5], since: noon + 5 * minute } };
    const after = await reading.read(aRollout({ references }), none, 0, at(noon + hour));
    expect(after.strata[0]?.treatment.metrics).toMatchObject({ LCP: { n: 1 }, INP: { n: 1 } });
    expect(after.strata[0]?.treatment.counts).toMatchObject({ exposed: 2, 'u:LCP': 1, 'u:INP': 1 });
    expect(after).toEqual(await reader().read(aRollout({ references }), none, 0, at(noon + hour)));
  });

  it('calls a bucket mature when pages have had the time to report', async () => {
    ingest.issued(1, 1, 'treatment', new Uint8Array(8).fill(1), noon);
    ingest.issued(1, 1, 'treatment', new Uint8Array(8).fill(2), noon + minute);
    await ingest.flushNow();
    const reading = reader();
    const matureAt = async (now: number) => (await reading.read(aRollout(), none, 20_000, at(now))).strata[0]?.mature;
    expect(await matureAt(noon + minute + 19_999)).toMatchObject({ treatment: { issued: 0, seen: 0 } });
    expect(await matureAt(noon + minute + 20_000)).toMatchObject({ treatment: { issued: 1, seen: 0 } });
    expect(await matureAt(noon + hour)).toEqual({ treatment: { issued: 2, seen: 0 }, control: { issued: 0, seen: 0 } });
  });

  it('knows when each arm of the present epoch was last heard of', async () => {
    await send(
      { user: 'a', receivedAt: noon + 1_234 },
      { user: 'b', arm: 'control', epoch: 2, receivedAt: noon + 5_678 },
    );
    const newest = async (epoch: number) => (await reader().read(aRollout({ epoch }), none, 0, at(noon + hour))).newest;
    expect(await newest(1)).toEqual({ treatment: noon + 1_234, control: null });
    expect(await newest(2)).toEqual({ treatment: null, control: noon + 5_678 });
  });

  it('tells how the messages of the last 15 minutes fared', async () => {
    const invalid = { ...aMessage({ user: 'x', receivedAt: noon + 20 * minute }), token: 'invalid' as const };
    await send({ user: 'old' });
    await send({ user: 'a', receivedAt: noon + 20 * minute });
    await send({ user: 'a', receivedAt: noon + 20 * minute });
    await ingest.accept(invalid);
    const { ingest: stats } = await reader().read(aRollout(), none, 0, at(noon + 21 * minute));
    expect(stats).toEqual({ accepted: 1, invalid: 1, duplicate: 1, late: 0 });
  });

  it('shows the share of units that were given both arms', async () => {
    await send(
      { user: 'a', view: 1 },
      { user: 'a', view: 2, arm: 'control' },
      { user: 'b' },
      { user: 'c', arm: 'control' },
    );
    expect((await reader().read(aRollout(), none, 0, at(noon + hour))).crossover).toBeCloseTo(1 / 3);
  });

  it('leaves out epochs from before the process that is judged, in cells, shards and crossover', async () => {
    await send(
      { user: 'a', view: 1, m: [['LCP', 1000, 900]] },
      { user: 'a', view: 2, arm: 'control' },
      { user: 'b', view: 3, epoch: 3, m: [['LCP', 2000, 900]] },
      { user: 'c', view: 4, epoch: 4, m: [['LCP', 4000, 900]] },
    );
    const rollout = aRollout({ epoch: 4, stage: 1, evidenceFrom: 3 });
    const { strata, shards, crossover } = await reader().read(rollout, new Map([[3, 0]]), 0, at(noon + hour));
    expect(strata.map(({ epoch, stage }) => [epoch, stage])).toEqual([
      [3, 0],
      [4, 1],
    ]);
    expect(shards.LCP?.treatment.reduce((sum, shard) => sum + shard.sum, 0)).toBe(6000);
    expect(crossover).toBe(0);
  });

  it('forgets cells when the store does, bucket by bucket', async () => {
    const reading = reader();
    const week = 7 * 24 * hour;
    await send(
      { user: 'a', m: [['INP', 100, 900]] },
      { user: 'b', receivedAt: noon + 10 * minute, m: [['INP', 90, 0]] },
      { user: 'c', receivedAt: noon + hour + 5_000 },
    );
    const exposedAt = async (now: number, by = reading) =>
      (await by.read(aRollout(), none, 0, at(now))).strata.map(({ treatment }) => treatment.counts.exposed);
    expect(await exposedAt(noon + week)).toEqual([2, 1]);
    expect(await exposedAt(noon + week + minute)).toEqual([1, 1]);
    const aged = await reading.read(aRollout(), none, 0, at(noon + week + minute));
    expect(aged).toEqual(await reader().read(aRollout(), none, 0, at(noon + week + minute)));
    expect(await exposedAt(noon + week + 11 * minute)).toEqual([1]);
    expect(await exposedAt(noon + 2 * week)).toEqual([]);
  });

  it('reads the marginals only when it is asked for segments, and only what is new of them', async () => {
    const asked: [number, boolean][] = [];
    const reading = reader({
      ...store,
      cellsSince: (rollout, flush, marginals, most) => {
        asked.push([flush, marginals]);
        return store.cellsSince(rollout, flush, marginals, most);
      },
    });
    await send(
      { user: 'a', m: [['INP', 100, 900]] },
      { user: 'b', arm: 'control', client: { device: 'desktop' }, m: [['INP', 90, 0]] },
    );
    const plain = await reading.read(aRollout(), none, 0, at(noon + minute));
    expect(plain.segments).toEqual([]);
    const { segments } = await reading.read(aRollout(), none, 0, at(noon + minute), { segments: true });
    await send({ user: 'c', receivedAt: noon + 2 * hour + minute, client: { device: 'desktop' } });
    const grown = await reading.read(aRollout(), none, 0, at(noon + 3 * hour), { segments: true });
    expect(asked).toEqual([
      [0, false],
      [1, false],
      [0, true],
      [1, false],
      [1, true],
    ]);
    expect(segments.map(({ dimension, value }) => `${dimension} ${value}`)).toEqual([
      'browser safari',
      'device desktop',
      'device mobile',
      'region other',
    ]);
    const desktop = grown.segments[1]?.strata;
    expect(desktop?.map(({ hour: start, stage }) => [start, stage])).toEqual([
      [noon, 0],
      [noon + 2 * hour, 0],
    ]);
    expect(desktop?.[0]).toBe(segments[1]?.strata[0]);
    expect(desktop?.[0]).toMatchObject({
      treatment: { counts: {} },
      control: { counts: { exposed: 1 }, metrics: { INP: { n: 1, sum: 90 } } },
      mature: { control: { issued: 0, seen: 0 } },
      converted: { treatment: {}, control: {} },
    });
    const afresh = await reader().read(aRollout(), none, 0, at(noon + 3 * hour), { segments: true });
    expect(grown).toEqual(afresh);
  });

  it('counts in a segment the hour in which a reference was taken, and none before', async () => {
    await send(
      { user: 'a', m: [['INP', 100, 900]] },
      { user: 'b', receivedAt: noon + hour + minute, m: [['INP', 90, 0]] },
    );
    const references = { INP: { bins: [1, 2, 3, 4, 5], since: noon + hour + 30 * minute } };
    const asked = { segments: true };
    const { segments, strata } = await reader().read(aRollout({ references }), none, 0, at(noon + 2 * hour), asked);
    expect(strata.map(({ treatment }) => treatment.metrics.INP?.n)).toEqual([undefined, undefined]);
    expect(segments[0]?.strata.map(({ treatment }) => treatment.metrics.INP?.n)).toEqual([undefined, 1]);
  });

  it('keeps a unit out of a conversion until the conversion is mature', async () => {
    await send({ user: 'a', m: [['conv:checkout', 1, 900]] }, { user: 'b' });
    const maturities = new Map([['checkout', 10 * minute]]);
    const convertedAt = async (now: number) =>
      (await reader().read(aRollout(), none, 0, at(now), { maturities })).strata[0]?.converted.treatment.checkout;
    expect(await convertedAt(noon + 11 * minute - 1)).toEqual({ n: 0, x: 0 });
    expect(await convertedAt(noon + 11 * minute)).toEqual({ n: 2, x: 1 });
  });

  it('reads a long history in pieces, with a breath after each, and comes to the same', async () => {
    const rows = Array.from({ length: 1_000 }, (_, i): CellRow & { flush: number } => {
      const cell = emptyCell();
      addCount(cell, 'exposed', i);
      const key = { rollout: 1, epoch: 1, bucket: noon + i * minute, arm: 'treatment', dim: '', val: '' } as const;
      return { ...key, blob: encodeCell(cell), flush: i + 1 };
    });
    for (const { flush, ...cell } of rows)
      await store.commit({ flush, pageViews: [], units: [], cells: [cell], sums: [], stats: [] });
    const sizes: number[] = [];
    let breaths = 0;
    const rum: typeof store = {
      ...store,
      cellsSince: async (...about) => {
        const found = await store.cellsSince(...about);
        sizes.push(found.length);
        return found;
      },
    };
    const breathe = async () => {
      breaths += 1;
    };
    const reading = createEvidenceReader({ rum, bucketMs, breathe });
    const { strata } = await reading.read(aRollout(), none, 0, at(noon + 24 * hour));
    expect(strata.reduce((sum, { treatment }) => sum + (treatment.counts.exposed ?? 0), 0)).toBe((1_000 * 999) / 2);
    expect(sizes).toEqual([400, 400, 200]);
    expect(breaths).toBe(3);
  });

  it('starts again for a rollout that was forgotten', async () => {
    const reading = reader();
    await send({ user: 'a' });
    const before = await reading.read(aRollout(), none, 0, at(noon + hour));
    reading.forget(aRollout());
    expect(await reading.read(aRollout(), none, 0, at(noon + hour))).toEqual(before);
  });
});

describe('stagesOf', () => {
  it('reads the stage of every epoch from the decisions', () => {
    const state = aRollout().state;
    const decisions = [{ from: { ...state, epoch: 1, stage: 0 }, to: { ...state, epoch: 2, stage: 1 } }];
    expect([...stagesOf(decisions)]).toEqual([
      [1, 0],
      [2, 1],
    ]);
  });
});
