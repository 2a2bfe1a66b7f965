/** What a tick of 1,000 rollouts reads of its evidence, against merging all of it each time. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { createBreathe } from '../src/control/breathe.ts';
import { createEvidenceReader, type EvidenceReader } from '../src/control/evidence.ts';
import type { Evidence } from '../src/domain/evidence.ts';
import { judge } from '../src/domain/judge.ts';
import { type AuthoredPolicy, parsePolicy } from '../src/domain/policy.ts';
import { builtinSignals, parseSignal } from '../src/domain/signal.ts';
import { openSqlite } from '../src/store/sqlite.ts';
import type { CellRow, RumStore, SumRow } from '../src/store/store.ts';
import { aPlan, aRollout, at, aWorld, hour, minute, monday } from '../test/support/a-rollout.ts';
import type { Bench, Contender, RunResult } from './harness.ts';
import { armSums, type Dense, emptyDense, type Minute, minuteOf, seeded } from './support/minutes.ts';

const rollouts = Array.from({ length: 1_000 }, (_, index) => index + 1);
const arms = ['treatment', 'control'] as const;
const minutes = 60;
const viewsAMinute = 40;
/** From the middle of an hour on: two strata, as a tick mostly finds them. */
const start = monday + hour / 2;
const maturities = new Map([['checkout', 30 * minute]]);
const lagMs = 20_000;

interface World {
  readonly rum: RumStore;
  readonly pool: readonly Minute[];
  readonly sums: readonly Uint8Array[];
  /** Minutes that are stored. */
  length: number;
}

const plan = aPlan();
const rolloutOf = (shortId: number) => ({
  ...aRollout({ shortId, of: plan, id: `r_${shortId}` }),
  references: Object.fromEntries(
    [
      ['LCP', 400],
      ['INP', 260],
      ['CLS', 220],
    ].map(([metric, bin]) => [
      metric,
      { bins: [0, 20, 40, 60, 80].map((more) => Number(bin) - 30 + more), since: start },
    ]),
  ),
});
const live = rollouts.map(rolloutOf);

const pick = <T>(of: readonly T[], index: number): T => {
  const found = of[index % of.length];
  if (found === undefined) throw new Error('nothing to pick from');
  return found;
};
const minuteAt = ({ pool }: World, shortId: number, arm: number, at: number) =>
  pick(pool, shortId * 7_919 + arm * 131 + at * 17);

/** One more minute of every rollout, in a batch of its own. */
async function addMinute(world: World): Promise<void> {
  const { rum, length } = world;
  const cells: CellRow[] = [];
  const sums: SumRow[] = [];
  for (const rollout of rollouts) {
    for (const [index, arm] of arms.entries()) {
      const { blob } = minuteAt(world, rollout, index, length);
      cells.push({ rollout, epoch: 1, bucket: start + length * minute, arm, dim: '', val: '', blob });
      sums.push({ rollout, epoch: 1, arm, blob: pick(world.sums, rollout + index + length) });
    }
  }
  await rum.commit({ flush: length + 1, pageViews: [], units: [], cells, sums, stats: [] });
  world.length += 1;
}

/** Longest time that the event loop did not turn in. */
const slices = { warm: 0, cold: 0 };

async function readAll(reader: EvidenceReader, world: World, visit: (evidence: Evidence, index: number) => void) {
  const now = { wall: start + world.length * minute };
  for (const [index, rollout] of live.entries())
    visit(await reader.read(rollout, new Map(), lagMs, now, { maturities }), index);
}

/** `breathe` that also keeps the longest slice it has seen, by the monotonic clock. */
function measured(kind: 'warm' | 'cold') {
  let since = performance.now();
  const note = () => {
    slices[kind] = Math.max(slices[kind], performance.now() - since);
  };
  const breathe = createBreathe(
    () => performance.now(),
    async () => {
      note();
      await setImmediate();
      since = performance.now();
    },
  );
  return { breathe, note, begin: () => (since = performance.now()) };
}

const cpuOf = async (work: () => Promise<void>): Promise<RunResult> => {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return { cpuMicros: user + system };
};

function warm(world: World, each: (evidence: Evidence, index: number) => number): Contender {
  const slice = measured('warm');
  const reader = createEvidenceReader({ rum: world.rum, bucketMs: minute, breathe: slice.breathe });
  let strata = 0;
  return {
    name: 'tidegate',
    async run() {
      await addMinute(world);
      await setImmediate();
      slice.begin();
      // The first round takes in everything: it is thrown away, and so is its slice.
      const isFirst = strata === 0;
      const result = await cpuOf(() =>
        readAll(reader, world, (evidence, index) => {
          strata += each(evidence, index);
        }),
      );
      slice.note();
      if (isFirst) slices.warm = 0;
      return result;
    },
  };
}

function cold(world: World): Contender {
  return {
    name: 'tidegate',
    async run() {
      const slice = measured('cold');
      const reader = createEvidenceReader({ rum: world.rum, bucketMs: minute, breathe: slice.breathe });
      await setImmediate();
      slice.begin();
      const result = await cpuOf(() => readAll(reader, world, ({ strata }) => strata.length));
      slice.note();
      return result;
    },
  };
}

/** Everything in memory, nothing packed, nothing remembered: both arms of all rollouts, summed up at every tick. */
function merging(world: World): Contender {
  const copy = ({ sums, bins }: Dense): Dense => ({ sums: sums.slice(), bins: bins.map((each) => each.slice()) });
  const held = rollouts.map((shortId) =>
    arms.map((_, arm) => Array.from({ length: minutes }, (__, at) => copy(minuteAt(world, shortId, arm, at).dense))),
  );
  return {
    name: 'full dense merge in memory',
    run() {
      let check = 0;
      for (const rollout of held) {
        for (const arm of rollout) {
          const total = emptyDense();
          for (const { sums, bins } of arm) {
            for (let i = 0; i < sums.length; i++) total.sums[i] = (total.sums[i] ?? 0) + (sums[i] ?? 0);
            for (let vital = 0; vital < bins.length; vital++) addBins(total.bins[vital], bins[vital]);
          }
          check += total.sums[2] ?? 0;
        }
      }
      return check;
    },
  };
}

function addBins(to: Int32Array | undefined, from: Int32Array | undefined): void {
  if (to === undefined || from === undefined) return;
  for (let bin = 0; bin < to.length; bin++) to[bin] = (to[bin] ?? 0) + (from[bin] ?? 0);
}

/** Six signals in gates of all tiers. */
function papers() {
  const test = { type: 'relative', margin: '10%', confidence: 'lower_bound' } as const;
  const gates: AuthoredPolicy['spec']['gates'] = [
    'lcp_p75',
    'inp_p75',
    'cls_p75',
    'js_error_rate',
    'beacon_silence',
    'checkout',
  ].map((signal) => ({ name: signal.replaceAll('_', '-'), signal, tier: 'hold', owner: 'sre', tests: [test] }));
  const metadata = { name: 'web', version: 1, owner: 'sre' };
  const policy = parsePolicy({ apiVersion: 'tidegate.dev/v1', kind: 'GatePolicy', metadata, spec: { gates } });
  const signal = parseSignal({
    apiVersion: 'tidegate.dev/v1',
    kind: 'Signal',
    metadata: { name: 'checkout', version: 1, owner: 'shop' },
    spec: {
      class: 'surrogate',
      domain: 'business',
      source: { type: 'rum', event: 'conversion', field: 'checkout' },
      statistic: { kind: 'proportion' },
      analysisUnit: 'user',
      direction: 'higher_is_better',
    },
  });
  if (!policy.ok) throw new Error(JSON.stringify(policy.problems));
  if (!signal.ok) throw new Error(JSON.stringify(signal.problems));
  return { plan, policy: policy.value, signals: [...builtinSignals, signal.value], world: aWorld() };
}

export const bench: Bench = {
  name: 'tick',
  async setUp() {
    const dir = await mkdtemp(join(tmpdir(), 'tidegate-bench-'));
    const { control, rum } = await openSqlite({ dir, mono: () => performance.now() });
    const chance = seeded(7);
    const world: World = {
      rum,
      pool: Array.from({ length: 3_001 }, () => minuteOf(viewsAMinute, start, chance)),
      sums: Array.from({ length: 101 }, () => armSums(viewsAMinute * minutes, chance)),
      length: 0,
    };
    while (world.length < minutes) await addMinute(world);
    const merge = merging(world);
    const about = papers();
    const judged = (evidence: Evidence, index: number): number => {
      const rollout = pick(live, index);
      const now = at(evidence.asOf - monday);
      return judge({ ...about, evidence, rollout, look: 'full', detail: false, now }).readings.length;
    };
    return {
      contests: [
        { name: 'evidence of 1,000 rollouts, cold', times: 1, contenders: [cold(world), merge] },
        {
          name: 'evidence of 1,000 rollouts, warm',
          times: 1,
          contenders: [warm(world, ({ strata }) => strata.length), merge],
        },
        { name: 'the same and the judge, warm', times: 1, contenders: [warm(world, judged), merge] },
      ],
      async tearDown() {
        console.error(`longest slice: cold ${slices.cold.toFixed(1)} ms, warm ${slices.warm.toFixed(1)} ms`);
        await Promise.all([control.close(), rum.close()]);
        await rm(dir, { recursive: true, force: true });
      },
    };
  },
};
