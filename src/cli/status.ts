import type { Command } from 'commander';
import type { RolloutView } from '../http/views.ts';
import { connect, rolloutPath } from './client.ts';
import { type CommonOptions, command, print } from './command.ts';
import { coloursOf, table } from './format.ts';
import type { Io } from './io.ts';
import { describeRollout, rolloutHeader, rolloutRow } from './rollout-text.ts';

export function status(program: Command, io: Io): void {
  command(
    program,
    'status [name]',
    'phase, exposure, readings and waits of one rollout, or of all that are live',
    'status checkout-v2',
  ).action(async (name: string | undefined, options: CommonOptions) => {
    const client = await connect(io);
    const { environment } = options;
    if (name !== undefined) {
      const view = await client.get<RolloutView>(rolloutPath(name), { environment });
      print(io, options, view, () => describeRollout(view, coloursOf(io)));
      return;
    }
    const { rollouts } = await client.get<{ rollouts: readonly RolloutView[] }>('/api/v1/rollouts', { environment });
    print(io, options, { rollouts }, () =>
      rollouts.length === 0
        ? `no rollout in ${environment}`
        : rollouts.map((view) => describeRollout(view, coloursOf(io))).join('\n\n'),
    );
  });
}

interface ListOptions extends CommonOptions {
  readonly flag?: string;
  readonly all?: true;
}

export function list(program: Command, io: Io): void {
  command(program, 'list', 'rollouts of an environment, one a line', 'list --all')
    .option('--flag <key>', 'only those of this flag')
    .option('--all', 'cancelled and superseded ones too')
    .action(async (options: ListOptions) => {
      const client = await connect(io);
      const { environment, flag } = options;
      const query = { environment, flag, all: options.all ? 1 : undefined };
      const { rollouts } = await client.get<{ rollouts: readonly RolloutView[] }>('/api/v1/rollouts', query);
      const colours = coloursOf(io);
      print(io, options, { rollouts }, () =>
        rollouts.length === 0
          ? `no rollout in ${environment}`
          : table([rolloutHeader, ...rollouts.map((view) => rolloutRow(view, colours))]),
      );
    });
}
