import { join } from 'node:path';
import { stdin, stdout } from 'node:process';
import { type Command, InvalidArgumentError } from 'commander';
import { junitOf } from '../lab/junit.ts';
import { asGiven, type Papers } from '../lab/papers.ts';
import { exposurePicture, minutesPicture } from '../lab/picture.ts';
import { reportOf, type StoryReport } from '../lab/report.ts';
import { type RunResult, runStory, tellingOf } from '../lab/run-story.ts';
import { runStdio } from '../lab/stdio.ts';
import type { FaultStory } from '../lab/story.ts';
import { causeOf } from './client.ts';
import { countOption, print } from './command.ts';
import { Exit, exit } from './exit.ts';
import type { Io } from './io.ts';
import { loadPapers, loadStories } from './simulate-files.ts';
import { describeStories } from './simulate-text.ts';

interface SimulateOptions {
  readonly plan?: string;
  readonly policy?: string;
  readonly faults?: string;
  readonly story?: readonly string[];
  readonly seeds: number;
  readonly seed: number;
  readonly days: number;
  readonly out?: string;
  readonly junit?: string;
  readonly json?: true;
  readonly stdio?: true;
}

const examples = `
Examples:
  $ tidegate simulate rollouts/checkout-v2.yaml
  $ tidegate simulate plan.yaml --faults ci/faults --seeds 200 --junit simulate.xml
  $ tidegate simulate plan.yaml --story slow-100 --seeds 40 --out pictures/
  $ node examples/simulate-stdio/drive.mjs --slower 2

The policy and signals of a plan are looked for beside it. Without --faults, the stories that come with tidegate are
told. Approvals, windows and manual starts are taken as given at once. Rollouts are looked at every minute for the first
two hours of a stage and while a kill gate sees a breach, else every fifth: a kill is then at most 4 minutes late. Exit
code 3: a story ended otherwise than it expects; 4: a file is wrong.`;

export function simulate(program: Command, io: Io): void {
  program
    .command('simulate [plan]')
    .description('try a plan and its policy on simulated traffic with injected faults, without a controller')
    .option('--plan <file>', 'the plan, instead of the first argument')
    .option('--policy <file>', 'the policy, instead of the one beside the plan')
    .option('--faults <path>', 'file or folder of fault stories')
    .option('--story <name...>', 'tell only these stories')
    .option('--seeds <n>', 'runs of each story', countOption, 20)
    .option('--seed <n>', 'the first seed; the same numbers give the same report', countOption, 1)
    .option('--days <n>', 'longest run, simulated days', daysOption, 2)
    .option('--out <folder>', 'write pictures (SVG): exposure over time, minutes to kill')
    .option('--junit <file>', 'write JUnit XML for CI')
    .option('--json', 'print JSON for machines')
    .option('--stdio', 'another program is the world: JSON lines in, one decision a line out')
    .addHelpText('after', examples)
    .action((plan: string | undefined, options: SimulateOptions) => run(io, { ...options, ...named(plan) }));
}

const named = (plan: string | undefined) => (plan === undefined ? {} : { plan });

function daysOption(text: string): number {
  const days = Number(text);
  if (!(days > 0 && days <= 60)) throw new InvalidArgumentError('Write a number of days above 0, at most 60.');
  return days;
}

async function run(io: Io, options: SimulateOptions): Promise<void> {
  if (options.stdio) {
    if ((await runStdio(stdin, stdout)) !== exit.ok) throw new Exit(exit.invalid);
    return;
  }
  if (options.plan === undefined) throw new Exit(exit.usage, 'name a plan: tidegate simulate plan.yaml');
  const loaded = await loadPapers(io, options.plan, options.policy ?? null);
  const stories = chosen(await loadStories(io, options.faults ?? null), options.story ?? []);
  const { plan, given } = asGiven(loaded.plan);
  const told = tell(io, { ...loaded, plan }, stories, options);
  const reports = told.map(({ report }) => report);
  await writeResults(io, told, options);
  print(
    io,
    options,
    { plan: plan.metadata.name, days: options.days, seed: options.seed, given, stories: reports },
    () => describeStories(io, reports, { plan, given, days: options.days }),
  );
  const failed = reports.filter(({ ok }) => !ok);
  if (failed.length > 0)
    throw new Exit(exit.unexpected, `${failed.length} of ${reports.length} stories ended otherwise than they expect`);
}

function chosen(stories: readonly FaultStory[], names: readonly string[]): readonly FaultStory[] {
  if (names.length === 0) return stories;
  const known = stories.map(({ metadata }) => metadata.name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new Exit(exit.usage, `there is no story "${unknown}"; there are ${known.join(', ')}`);
  return stories.filter(({ metadata }) => names.includes(metadata.name));
}

interface Told {
  readonly report: StoryReport;
  readonly runs: readonly RunResult[];
}

function tell(io: Io, papers: Papers, stories: readonly FaultStory[], options: SimulateOptions): Told[] {
  const { seeds, seed, days } = options;
  const bar = progressBar(io, stories.length * seeds);
  const told = stories.map((story): Told => {
    const telling = tellingOf(papers, story, days, seed);
    const runs = Array.from({ length: seeds }, (_, i) => {
      const result = runStory(telling, seed + i);
      bar.step(story.metadata.name);
      return result;
    });
    return { runs, report: reportOf(story, runs, papers.policy.spec.errorControl.killAlpha) };
  });
  bar.end();
  return told;
}

const barWidth = 30;

/** For people who watch; nothing is drawn into files and pipes. */
function progressBar(io: Pick<Io, 'stderr' | 'watched'>, total: number) {
  let done = 0;
  return {
    step(what: string): void {
      done += 1;
      if (!io.watched) return;
      const filled = Math.round((barWidth * done) / total);
      const bar = `${'█'.repeat(filled)}${'░'.repeat(barWidth - filled)}`;
      io.stderr(`\r\u001b[2K${bar} ${done}/${total} ${what}`);
    },
    end: () => (io.watched ? io.stderr('\r\u001b[2K') : undefined),
  };
}

async function writeResults(io: Io, told: readonly Told[], { out, junit }: SimulateOptions): Promise<void> {
  if (out !== undefined)
    for (const { report, runs } of told) {
      await write(io, join(out, `${report.story}-exposure.svg`), exposurePicture(report.story, runs));
      await write(io, join(out, `${report.story}-minutes.svg`), minutesPicture(report.story, runs));
    }
  if (junit !== undefined)
    await write(
      io,
      junit,
      junitOf(
        'tidegate simulate',
        told.map(({ report }) => report),
      ),
    );
}

async function write(io: Io, path: string, text: string): Promise<void> {
  try {
    await io.replaceFile(path, text);
  } catch (error) {
    throw new Exit(exit.usage, `cannot write ${path}: ${causeOf(error)}`);
  }
}
