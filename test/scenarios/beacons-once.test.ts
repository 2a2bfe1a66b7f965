import { Agent, request } from 'node:http';
import type { Beacon, BeaconSample } from '@tidegate/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEvidenceReader, stagesOf } from '../../src/control/evidence.ts';
import type { Evidence, EvidenceArm, UnitSums } from '../../src/domain/evidence.ts';
import { binOf } from '../../src/domain/histogram.ts';
import { clusterSums } from '../../src/domain/stats/cluster.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { pageViewId } from '../support/beacons.ts';
import { tempFolder } from '../support/temp-store.ts';
import { api, bulkOf, rolloutOf, seed, until } from './support/process-api.ts';
import { type Child, portOf, presetToken, startChild } from './support/process-child.ts';
import { aPlan, aPolicy } from './support/process-documents.ts';
import { seeded } from './support/process-random.ts';

const units = 1_250;
const viewsPerUnit = 4;
const messages = units * viewsPerUnit * 2;

/** What a unit's arm is, by what it was served, and the token that says so. */
interface Visitor {
  readonly arm: EvidenceArm;
  readonly unit: number;
  readonly token: string;
}

function shuffle<T>(list: T[], random: () => number): T[] {
  for (let left = list.length - 1; left > 0; left -= 1) {
    const at = Math.floor(random() * (left + 1));
    const [a, b] = [list[left], list[at]];
    if (a !== undefined && b !== undefined) [list[left], list[at]] = [b, a];
  }
  return list;
}

/** Two messages of a page view: the second corrects LCP, and may bring an error and an end. */
function messagesOf(visitor: Visitor, view: number): Beacon[] {
  const first = 1_000 + (view % 3_000);
  const about = { v: 1, id: pageViewId(view), tok: visitor.token, x: [[0, 60]], nav: 'navigate', vis: 1 } as const;
  const late: BeaconSample[] = [['LCP', first + 500, first + 500]];
  if (view % 7 === 0) late.push(['err', 1, 2_000]);
  return [
    { ...about, q: 0, age: 5_000, m: [['LCP', first, first]] },
    { ...about, q: 1, age: 9_000, m: late, ...(view % 5 === 0 ? {} : { end: 1 as const }) },
  ];
}

/** What one arm's evidence must come to, counted from what was sent and nothing else. */
function count(visitors: readonly Visitor[], arm: EvidenceArm) {
  const own = visitors.filter((visitor) => visitor.arm === arm);
  const views = own.flatMap(({ unit }) => Array.from({ length: viewsPerUnit }, (_, n) => unit * viewsPerUnit + n));
  const erred = own.filter(({ unit }) =>
    Array.from({ length: viewsPerUnit }, (_, n) => unit * viewsPerUnit + n).some((view) => view % 7 === 0),
  );
  return {
    issued: own.length,
    seen: own.length,
    exposed: own.length,
    err: erred.length,
    views: views.length,
    errViews: views.filter((view) => view % 7 === 0).length,
    starts: views.length,
    ends: views.filter((view) => view % 5 !== 0).length,
    lcp: { n: views.length, sum: views.reduce((sum, view) => sum + 1_500 + (view % 3_000), 0) },
  };
}

/** Sums over the units of one arm, of the LCP that each page view said last, counted from what was sent. */
function countUnits(visitors: readonly Visitor[], arm: EvidenceArm): UnitSums {
  const values = visitors
    .filter((visitor) => visitor.arm === arm)
    .map(({ unit }) => Array.from({ length: viewsPerUnit }, (_, n) => 1_500 + ((unit * viewsPerUnit + n) % 3_000)));
  const clustered = (of: (value: number) => number) =>
    clusterSums(values.map((own) => ({ n: own.length, y: own.reduce((sum, value) => sum + of(value), 0) })));
  const only = ({ y, yy, yn }: ReturnType<typeof clustered>) => ({ y, yy, yn });
  const { k, n, nn } = clustered(() => 0);
  return {
    k,
    n,
    nn,
    bad1: only(clustered((value) => (value > 2_500 ? 1 : 0))),
    bad2: only(clustered((value) => (value > 4_000 ? 1 : 0))),
    bins: only(clustered(binOf)),
  };
}

function evidenceOf(evidence: Evidence, arm: EvidenceArm) {
  const sum = (name: string) => evidence.strata.reduce((all, stratum) => all + (stratum[arm].counts[name] ?? 0), 0);
  const lcp = (field: 'n' | 'sum') =>
    evidence.strata.reduce((all, stratum) => all + (stratum[arm].metrics.LCP?.[field] ?? 0), 0);
  return {
    issued: sum('issued'),
    seen: sum('seen'),
    exposed: sum('exposed'),
    err: sum('err'),
    views: sum('views'),
    errViews: sum('errViews'),
    starts: sum('starts'),
    ends: sum('ends'),
    lcp: { n: lcp('n'), sum: lcp('sum') },
  };
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

/** The status, or null when the connection broke before there was one. */
async function post(url: string, beacon: Beacon, sender: number): Promise<number | null> {
  const body = JSON.stringify(beacon);
  return new Promise((resolve) => {
    const req = request(
      `${url}/v1/rum`,
      {
        method: 'POST',
        agent,
        headers: {
          'Content-Type': 'text/plain;charset=UTF-8',
          'Content-Length': Buffer.byteLength(body),
          'X-Forwarded-For': `10.${(sender >> 8) & 255}.${sender & 255}.7`,
        },
      },
      (res) => {
        res.resume();
        res.on('end', () => resolve(res.statusCode ?? null)).on('error', () => resolve(null));
      },
    );
    req.on('error', () => resolve(null));
    req.end(body);
  });
}

let folder: ReturnType<typeof tempFolder>;
let child: Child;
const visitors: Visitor[] = [];
const tally = { sent: 0, counted: 0, unanswered: 0, refused: 0, restarts: 0 };
let evidence: Evidence;

beforeAll(async () => {
  folder = tempFolder();
  child = await startChild(folder.path);
  const { url } = child;
  const admin = api(url, presetToken);
  await seed(admin, [aPolicy(), aPlan()]);
  await until('the first stage', async () => (await rolloutOf(admin)).exposure === 50);
  for (let unit = 0; unit < units; unit += 50) {
    const some = Array.from({ length: 50 }, (_, n) => unit + n);
    visitors.push(
      ...(await Promise.all(
        some.map(async (one): Promise<Visitor> => {
          const { flag, token } = await bulkOf(admin.as(null), `visitor-${one}`);
          if (typeof token !== 'string') throw new Error('no token');
          return { arm: flag.value === true ? 'treatment' : 'control', unit: one, token };
        }),
      )),
    );
  }

  const random = seeded(20_260_105);
  const all = visitors.flatMap((visitor) =>
    Array.from({ length: viewsPerUnit }, (_, n) => messagesOf(visitor, visitor.unit * viewsPerUnit + n)).flat(),
  );
  const queue = shuffle([...all, ...all.filter(() => random() < 0.2)], random);
  const crashes = [0.3, 0.7].map((share) => Math.floor(queue.length * (1 - share)));
  let back: Promise<void> | null = null;

  async function crash(): Promise<void> {
    tally.restarts += 1;
    await child.kill9();
    child = await startChild(folder.path, portOf(url));
  }

  async function sender(): Promise<void> {
    for (let beacon = queue.pop(); beacon !== undefined; beacon = queue.pop()) {
      // While messages of the others are under way, without a warning.
      if (crashes[0] !== undefined && queue.length <= crashes[0]) {
        crashes.shift();
        back = crash();
      }
      tally.sent += 1;
      const status = await post(url, beacon, tally.sent);
      if (status !== null && status < 300) {
        tally.counted += 1;
        continue;
      }
      tally[status === null ? 'unanswered' : 'refused'] += 1;
      queue.push(beacon);
      await back;
    }
  }
  await Promise.all(Array.from({ length: 48 }, sender));
  agent.destroy();
  // The last start was told of no unit that it did not see itself: everything is read from the disk.
  await child.kill9();

  const { control, rum } = await openSqlite({ dir: folder.path, mono: () => 0 });
  const [rollout] = await control.rollouts({ environment: 'production' });
  if (rollout === undefined) throw new Error('no rollout');
  const stages = stagesOf(await control.decisions({ rollout: rollout.id, limit: 500 }));
  evidence = await createEvidenceReader({ rum, bucketMs: 60_000 }).read(rollout, stages, 0, { wall: Date.now() });
  await Promise.all([control.close(), rum.close()]);
}, 60_000);

afterAll(async () => {
  await child.kill9();
  folder.remove();
});

describe(`${messages} beacons, a fifth of them twice and all shuffled, across two kill -9`, () => {
  it('met the crashes with messages under way, and was answered 2xx in the end', () => {
    expect(tally.restarts).toBe(2);
    expect(tally.unanswered).toBeGreaterThan(0);
    expect(tally.counted).toBeGreaterThan(messages * 1.15);
    expect(tally.refused).toBe(0);
  });

  it('are each counted exactly once in the treatment', () => {
    expect(evidenceOf(evidence, 'treatment')).toEqual(count(visitors, 'treatment'));
  });

  it('are each counted exactly once in the control', () => {
    expect(evidenceOf(evidence, 'control')).toEqual(count(visitors, 'control'));
  });

  it('are each once in the shards from which variances are estimated', () => {
    for (const arm of ['treatment', 'control'] as const) {
      const shards = evidence.shards.LCP?.[arm] ?? [];
      const { n, sum } = count(visitors, arm).lcp;
      expect(shards).toHaveLength(64);
      expect(shards.reduce((all, shard) => all + shard.n, 0)).toBe(n);
      expect(shards.reduce((all, shard) => all + shard.sum, 0)).toBe(sum);
    }
  });

  it('are summed over units as a plain recount sums them, corrections included', () => {
    for (const arm of ['treatment', 'control'] as const) {
      expect(evidence.units.LCP?.[arm]).toEqual(countUnits(visitors, arm));
    }
  });

  it('count each unit and each page view in one shard', () => {
    for (const arm of ['treatment', 'control'] as const) {
      const expected = count(visitors, arm);
      for (const name of ['issued', 'seen', 'exposed', 'err', 'views', 'errViews', 'starts', 'ends'] as const) {
        const shards = evidence.shardCounts[name]?.[arm] ?? [];
        expect(shards).toHaveLength(64);
        expect(shards.reduce((all, n) => all + n, 0)).toBe(expected[name]);
      }
    }
  });
});
