import { type Command, Option } from 'commander';
import { formatDuration } from '../domain/duration.ts';
import type { RolloutView } from '../http/views.ts';
import { connect, rolloutPath } from './client.ts';
import { type CommonOptions, command, durationOption, print } from './command.ts';
import { Exit, exit } from './exit.ts';
import { formatExposure } from './format.ts';
import type { Io } from './io.ts';

/** Phases a pipeline can wait for, in the order in which a rollout goes through them. */
const ladder = ['scheduled', 'preflight', 'ramping', 'soaking', 'completed'] as const;
type Goal = (typeof ladder)[number];

interface GateOptions extends CommonOptions {
  readonly until: Goal;
  readonly timeout: number;
  readonly interval: number;
  readonly minStage?: string;
}

export function gate(program: Command, io: Io): void {
  command(
    program,
    'gate <name>',
    'wait in a pipeline until a rollout is far enough: 0 reached, 10 held, 11 killed, 12 timed out, 13 awaits approval',
    'gate checkout-v2 --until completed --timeout 30m --min-stage early',
  )
    .addOption(new Option('--until <phase>', 'phase to wait for').choices(ladder).default('completed'))
    .option('--min-stage <stage>', 'this stage, or a later one, is far enough')
    .addOption(
      new Option('--timeout <duration>', 'give up after; a timeout never passes')
        .argParser(durationOption)
        .default(30 * 60_000, '30m'),
    )
    .addOption(
      new Option('--interval <duration>', 'time between two looks').argParser(durationOption).default(5_000, '5s'),
    )
    .action(async (name: string, options: GateOptions) => {
      const { outcome, view } = await wait(io, name, options);
      print(io, options, { code: outcome.code, message: outcome.text, rollout: view }, () => outcome.text);
      if (outcome.code !== exit.ok) throw new Exit(outcome.code);
    });
}

export interface GateOutcome {
  readonly code: number;
  readonly text: string;
}

/** Looks in a row that may fail before the controller counts as unreachable: a restart is no verdict. */
const toleratedFailures = 3;

async function wait(
  io: Io,
  name: string,
  options: GateOptions,
): Promise<{ outcome: GateOutcome; view: RolloutView | null }> {
  const client = await connect(io);
  const deadline = io.now() + options.timeout;
  let failures = 0;
  let view: RolloutView | null = null;
  while (true) {
    try {
      view = await client.get<RolloutView>(rolloutPath(name), { environment: options.environment });
      failures = 0;
      const outcome = gateOutcome(view, options);
      if (outcome !== null) return { outcome, view };
    } catch (error) {
      failures += 1;
      if (!(error instanceof Exit) || error.code !== exit.unreachable || failures >= toleratedFailures) throw error;
    }
    const left = deadline - io.now();
    if (left <= 0) return { outcome: timedOut(name, options.timeout, view), view };
    await io.sleep(Math.min(options.interval, left));
  }
}

function timedOut(name: string, timeout: number, view: RolloutView | null): GateOutcome {
  const where = view === null ? 'never seen' : `${view.state.phase} at ${formatExposure(view.exposure)}`;
  const waits = (view?.waitingFor ?? []).map(({ text }) => `; waits for ${text}`).join('');
  return { code: exit.inconclusive, text: `${name} is not there after ${formatDuration(timeout)}: ${where}${waits}` };
}

/** What a look at the rollout means for the pipeline; null = look again. */
function gateOutcome(view: RolloutView, goal: Pick<GateOptions, 'until' | 'minStage'>): GateOutcome | null {
  const { name, state } = view;
  const why = view.lastDecision === null ? '' : `: ${view.lastDecision.why.split('\n')[0] ?? ''}`;
  const stage = goal.minStage === undefined ? null : stageIndex(view, goal.minStage);
  if (state.phase === 'killed' || view.latch !== null) return { code: exit.killed, text: `${name} is killed${why}` };
  if (state.phase === 'held') return { code: exit.held, text: `${name} is held${why}` };
  if (state.phase === 'cancelled' || state.phase === 'superseded' || state.phase === 'draft')
    return { code: exit.inconclusive, text: `${name} is ${state.phase} and goes nowhere by itself${why}` };
  if (state.phase === 'pending_approval')
    return { code: exit.awaitingApproval, text: `${name} awaits approval to start` };
  const reached = ladder.indexOf(state.phase) >= ladder.indexOf(goal.until) || (stage !== null && state.stage >= stage);
  if (reached) return { code: exit.ok, text: `${name} is ${state.phase} at ${formatExposure(view.exposure)}` };
  const waits = view.waitingFor.filter((wait) => wait.for !== 'tick');
  // While evidence is still gathering, nobody can usefully approve: keep waiting.
  if (waits.length > 0 && waits.every((wait) => wait.for === 'approval'))
    return {
      code: exit.awaitingApproval,
      text: `${name} awaits approval: ${waits.map(({ text }) => text).join(', ')}`,
    };
  return null;
}

function stageIndex({ name, stages }: RolloutView, wanted: string): number {
  const index = stages.findIndex((stage) => stage.name === wanted);
  if (index >= 0) return index;
  const known = stages.map((stage) => stage.name).join(', ');
  throw new Exit(exit.usage, `${name} has no stage "${wanted}"; it has ${known}`);
}
