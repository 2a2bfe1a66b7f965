/**
 * Verdicts, not CPU: our judge against named peers and an oracle, on the same simulated worlds.
 * `npm run bench judge -- --seeds 50 --only A/A`
 */
import { existsSync } from 'node:fs';
import { median } from './harness.ts';
import { type ExperimentVerdicts, judgeExperiment } from './judge/experiments.ts';
import { runLadder } from './judge/ladder.ts';
import { runOurs } from './judge/ours.ts';
import { benchPapers, percents } from './judge/papers.ts';
import { replayOf } from './judge/replay.ts';
import { fairLimits, publishedLimits, type WorldRuns } from './judge/results.ts';
import { verdictTable, worldTable } from './judge/tables.ts';
import { readTraces } from './judge/traces.ts';
import { type BenchWorld, quietPopulation, worldsOf } from './judge/worlds.ts';

const usualSeeds = 20;
/** Of each latency series. */
const replaySeeds = [1, 2];
const twoDays = 2 * 24 * 60;

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
  await reportTraces(process.env.TIDEGATE_TRACES ?? '', only);
}

function reportVerdicts(worlds: readonly WorldRuns[]): void {
  console.log('Ahead of each peer as it is published?\n');
  console.log(verdictTable(worlds, publishedLimits));
  console.log('\nAhead of each peer with its limit moved until it kills no more of the harmless runs than ours?\n');
  console.log(verdictTable(worlds, fairLimits(worlds)));
}

/** Replays of public telemetry, where there is some (`docs/benchmarks.md`). */
async function reportTraces(folder: string, only: string): Promise<void> {
  if (only !== '' && !'traces'.includes(only)) return;
  if (!existsSync(folder)) {
    console.log(
      `\nTraces: skipped, for TIDEGATE_TRACES ${folder === '' ? 'is not set' : `names no folder: ${folder}`}.`,
    );
    return;
  }
  const traces = await readTraces(folder);
  const papers = benchPapers();
  const base = quietPopulation();
  for (const { name, slower } of [
    { name: 'without effect (none may be killed)', slower: 0 },
    { name: '+15 % LCP (all must be killed)', slower: 0.15 },
  ]) {
    const runs = traces.latencies.flatMap((latency, i) => {
      const replay = replayOf(traces, latency, base, slower);
      return replaySeeds.map((seed) => ({
        latency: latency.name,
        ...runOurs(papers, replay, 100 * i + seed, twoDays),
      }));
    });
    const killed = runs.filter((run) => run.killed !== null);
    const minutes = median(runs.map((run) => run.killed?.minute ?? Number.POSITIVE_INFINITY));
    console.log(
      `\nReplays ${name}: ${killed.length} of ${runs.length} killed, median ${minutes} min; ` +
        `${runs.filter((run) => run.reachedFull).length} reached 100 %`,
    );
    for (const run of runs.filter((each) => (each.killed !== null) !== slower > 0))
      console.log(`  ${run.latency}: ${run.cause} after ${run.end.minute} min`);
  }
  const verdicts = traces.experiments.map(judgeExperiment);
  const count = (said: (each: ExperimentVerdicts) => boolean) => verdicts.filter(said).length;
  console.log(
    `\nConversion in ${verdicts.length} arm pairs of real experiments, called worse at some checkpoint: by the judge ` +
      `${count(({ worse }) => worse)} (killed ${count(({ killed }) => killed)}), by a repeated z-test ` +
      `${count(({ zEver }) => zEver)} (at the end ${count(({ zAtEnd }) => zAtEnd)})`,
  );
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
