import { existsSync } from 'node:fs';
import { median } from '../harness.ts';
import { type ExperimentVerdicts, judgeExperiment } from './experiments.ts';
import { runOurs, twoDays } from './ours.ts';
import { benchPapers } from './papers.ts';
import { replayOf } from './replay.ts';
import { readTraces, type Traces } from './traces.ts';
import { quietPopulation } from './worlds.ts';

/** Of each latency series. */
const replaySeeds = [1, 2];

/** Replays of public telemetry, where there is some (`docs/benchmarks.md`). */
export async function reportTraces(folder: string): Promise<void> {
  if (!existsSync(folder)) {
    console.log(
      `\nTraces: skipped, for TIDEGATE_TRACES ${folder === '' ? 'is not set' : `names no folder: ${folder}`}.`,
    );
    return;
  }
  const traces = await readTraces(folder);
  reportReplays(traces);
  reportExperiments(traces);
}

function reportReplays(traces: Traces): void {
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
      `\nReplays ${name}: ${killed.length} of ${runs.length} killed, ` +
        `${slower > 0 ? `median ${minutes} min; ` : ''}` +
        `${runs.filter((run) => run.reachedFull).length} reached 100 %`,
    );
    for (const run of runs.filter((each) => (slower > 0 ? each.killed === null : !each.reachedFull)))
      console.log(`  ${run.latency}: ${run.cause} after ${run.end.minute} min`);
  }
}

function reportExperiments(traces: Traces): void {
  const verdicts = traces.experiments.map(judgeExperiment);
  const count = (said: (each: ExperimentVerdicts) => boolean) => verdicts.filter(said).length;
  console.log(
    `\nConversion in ${verdicts.length} arm pairs of real experiments, called worse at some checkpoint: by the judge ` +
      `${count(({ worse }) => worse)} (killed ${count(({ killed }) => killed)}), by a repeated z-test ` +
      `${count(({ zEver }) => zEver)} (at the end ${count(({ zAtEnd }) => zAtEnd)})`,
  );
}
