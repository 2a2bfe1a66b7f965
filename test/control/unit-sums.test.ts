import { describe, expect, it } from 'vitest';
import { createUnitSums } from '../../src/control/unit-sums.ts';
import type { EvidenceArm } from '../../src/domain/evidence.ts';
import { type ArmSums, addShardCount, addToShard, addUnit, encodeSums } from '../../src/ingest/sums.ts';

interface RowOf {
  readonly flush: number;
  readonly epoch?: number;
  readonly arm?: EvidenceArm;
  readonly writer?: string;
  /** LCP of one unit's page views, and the exposed units of shard 5. */
  readonly lcp: number;
  readonly exposed: number;
}

function aRow({ flush, epoch = 1, arm = 'treatment', writer = 'main', lcp, exposed }: RowOf) {
  const sums: ArmSums = new Map();
  addToShard(sums, 'LCP', 5, lcp, 1);
  addUnit(sums, 'LCP', { n: 2, bad1: 1, bad2: 0, bins: 9 }, 1);
  for (let unit = 0; unit < Math.abs(exposed); unit++) addShardCount(sums, 'exposed', 5, exposed < 0 ? -1 : 1);
  return { rollout: 1, epoch, arm, writer, flush, blob: encodeSums(sums) };
}
const read = (rows: readonly ReturnType<typeof aRow>[], from = 0) => {
  const sums = createUnitSums();
  sums.take(rows);
  return sums.read(from);
};

describe('sums over units in memory', () => {
  it('are empty before anything was reported', () => {
    expect(createUnitSums().read(0)).toEqual({ shards: {}, units: {}, shardCounts: {} });
    expect(createUnitSums().newestFlush()).toBe(0);
  });

  it('hold both arms of every name that one of them has', () => {
    const { shards, units, shardCounts } = read([aRow({ flush: 1, lcp: 900, exposed: 3 })]);
    const zero = { y: 0, yy: 0, yn: 0 };
    expect(units.LCP?.treatment).toEqual({
      k: 1,
      n: 2,
      nn: 4,
      bad1: { y: 1, yy: 1, yn: 2 },
      bad2: zero,
      bins: { y: 9, yy: 81, yn: 18 },
    });
    expect(units.LCP?.control).toEqual({ k: 0, n: 0, nn: 0, bad1: zero, bad2: zero, bins: zero });
    expect(shards.LCP?.treatment[5]).toMatchObject({ n: 1, sum: 900 });
    expect(shards.LCP?.control).toEqual([]);
    expect(shardCounts.exposed?.treatment[5]).toBe(3);
    expect(shardCounts.exposed?.control).toEqual(new Array(64).fill(0));
  });

  it('add up epochs and writers, also where one writer took back what another had booked', () => {
    const { units, shardCounts } = read([
      aRow({ flush: 1, lcp: 900, exposed: 3 }),
      aRow({ flush: 7, lcp: 900, exposed: -2, writer: 'other' }),
      aRow({ flush: 2, lcp: 900, exposed: 4, epoch: 2 }),
    ]);
    expect(units.LCP?.treatment).toMatchObject({ k: 3, n: 6, bins: { y: 27, yy: 243 } });
    expect(shardCounts.exposed?.treatment[5]).toBe(5);
  });

  it('take a row in the place of the one before, and never an older one', () => {
    const sums = createUnitSums();
    const [old, young] = [aRow({ flush: 1, lcp: 900, exposed: 3 }), aRow({ flush: 4, lcp: 1_200, exposed: 8 })];
    for (const row of [old, young, young, old]) sums.take([row]);
    expect(sums.read(0)).toEqual(read([young]));
    expect(sums.newestFlush()).toBe(4);
  });

  it('leave out epochs from before the process that is judged, and take them in again when asked', () => {
    const sums = createUnitSums();
    const [first, second] = [
      aRow({ flush: 1, lcp: 900, exposed: 3 }),
      aRow({ flush: 2, lcp: 900, exposed: 4, epoch: 2 }),
    ];
    sums.take([first]);
    expect(sums.read(2).units).toEqual({});
    sums.take([second]);
    expect(sums.read(2)).toEqual(read([second]));
    expect(sums.read(0)).toEqual(read([first, second]));
  });
});
