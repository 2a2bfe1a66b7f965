/**
 * Verdicts, not CPU: our judge against named peers and an oracle, on the same simulated worlds.
 * `npm run bench judge -- --seeds 50 --only A/A`
 */
import { median } from './harness.ts';
import { runLadder } from './judge/ladder.ts';
import { runOurs, twoDays } from './judge/ours.ts';
import { benchPapers, percents } from './judge/papers.ts';
import { fairLimits, publishedLimits, type WorldRuns } from './judge/results.ts';
import { verdictTable, worldTable } from './judge/tables.ts';
import { reportTraces } from './judge/trace-report.ts';
import { type BenchWorld, worldsOf } from './judge/worlds.ts';

const usualSeeds = 20;

export async function report({
  seeds = String(usualSeeds),
  only = '',
}: {
  seeds?: string;
  only?: string;
}): Promise<void> {
  const runs = Number(seeds);
  if (!(Number.isInteger(runs) && runs > 0)) throw new Error(`--seeds ${seeds}: give a whole number above 0`);
  const worlds: WorldRuns[] = [];
  for (const make of worldsOf(only)) {
    const before = process.cpuUsage();
    const world = runWorld(make(), runs);
    worlds.push(world);
    const { user, system } = process.cpuUsage(before);
    console.log(worldTable(world, publishedLimits));
    console.log(`${causesOf(world)}; ${stagesOf(world)}\n`);
    console.error(`${((user + system) / 1e6).toFixed(1)} s`);
  }
  if (worlds.length > 0) reportVerdicts(worlds);
  if (only === '' || 'traces'.includes(only)) await reportTraces(process.env.TIDEGATE_TRACES ?? '');
}

function reportVerdicts(worlds: readonly WorldRuns[]): void {
  console.log('Ahead of each peer as it is published?\n');
  console.log(verdictTable(worlds, publishedLimits));
  console.log('\nAhead of each peer with its limit moved until it kills no more of the harmless runs than ours?\n');
  console.log(verdictTable(worlds, fairLimits(worlds)));
}

function runWorld(world: BenchWorld, seeds: number): WorldRuns {
  const papers = benchPapers();
  const numbers = Array.from({ length: Math.max(1, Math.round(seeds * world.share)) }, (_, i) => i + 1);
  return {
    name: world.name,
    kind: world.kind,
    ours: numbers.map((seed) => runOurs(papers, world, seed, twoDays)),
    ladder: numbers.map((seed) => runLadder(world, seed)),
  };
}

/** What ended our runs, and how often. */
function causesOf({ ours }: WorldRuns): string {
  const times = new Map<string, number>();
  for (const { cause, reachedFull } of ours) {
    const what = reachedFull ? 'at 100 %' : cause;
    times.set(what, (times.get(what) ?? 0) + 1);
  }
  return [...times].map(([cause, n]) => `${n} x ${cause}`).join(', ');
}

/** How fast ours went up: median minute at which each stage was entered, and by how many runs. */
function stagesOf({ ours }: WorldRuns): string {
  const times = percents.map((percent, stage) => ({
    percent,
    at: ours.flatMap(({ entered }) => entered[stage] ?? []),
  }));
  const said = times.slice(1).filter(({ at }) => at.length > 0);
  return said
    .map(({ percent, at }) => `${percent} % at minute ${median(at).toFixed(0)} (${at.length} runs)`)
    .join(', ');
}
