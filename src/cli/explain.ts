import type { Command } from 'commander';
import type { Decision } from '../domain/decision.ts';
import type { RolloutView } from '../http/views.ts';
import { connect, rolloutPath } from './client.ts';
import { type CommonOptions, command, print } from './command.ts';
import { type Colours, coloursOf, formatExposure, formatInstant } from './format.ts';
import type { Io } from './io.ts';
import { isOver } from './rollout-text.ts';

export function explain(program: Command, io: Io): void {
  command(
    program,
    'explain <rollout-or-decision>',
    'why a rollout is where it is, or why a decision was taken, with the numbers',
    'explain D-1042',
  ).action(async (name: string, options: CommonOptions) => {
    const client = await connect(io);
    const colours = coloursOf(io);
    if (/^D-\d+$/.test(name)) {
      const decision = await client.get<Decision>(`/api/v1/decisions/${name}`);
      print(io, options, decision, () => describeDecision(decision, colours));
      return;
    }
    const view = await client.get<RolloutView>(rolloutPath(name), { environment: options.environment });
    const { lastDecision, waitingFor, readings } = view;
    print(io, options, { lastDecision, waitingFor, readings }, () => {
      const now = [
        `${colours.bold(view.name)} in ${view.environment} is ${view.state.phase} at ${formatExposure(view.exposure)}`,
        ...(isOver(view) ? [] : waitingFor.map(({ text }) => `  waiting for: ${text}`)),
      ];
      const before =
        lastDecision === null ? ['', 'Nothing was decided yet.'] : ['', describeDecision(lastDecision, colours)];
      return [...now, ...before].join('\n');
    });
  });
}

/** Text of one decision, from its record alone. */
export function describeDecision(decision: Decision, colours: Colours): string {
  const { from, to } = decision.exposure;
  const moved = from === to ? `stays at ${formatExposure(to)}` : `${formatExposure(from)} -> ${formatExposure(to)}`;
  const lines = [
    `${colours.bold(decision.id)}  ${formatInstant(decision.at)}  ${decision.action}  ${moved}  (${decision.cause})`,
    decision.why,
    ...decision.readings.map(({ gate, verdict, text }) => `  ${gate}: ${verdict}, ${text}`),
    decision.counterfactual,
    decision.next,
  ];
  return lines.filter((line) => line !== '').join('\n');
}
