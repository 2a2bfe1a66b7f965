import type { Command } from 'commander';
import type { Decision } from '../domain/decision.ts';
import type { AuditRecord } from '../store/store.ts';
import { connect } from './client.ts';
import { type CommonOptions, command, countOption, print } from './command.ts';
import { describeDecision } from './explain.ts';
import { coloursOf, formatInstant, table } from './format.ts';
import type { Io } from './io.ts';

interface LimitOptions extends CommonOptions {
  readonly limit: number;
}

export function audit(program: Command, io: Io): void {
  command(program, 'audit', 'who changed what, when and why, newest first', 'audit --limit 200 --json')
    .option('--limit <n>', 'records', countOption, 50)
    .option('--all', 'every environment')
    .action(async (options: LimitOptions & { readonly all?: true }) => {
      const { limit } = options;
      const query = options.all ? { limit } : { environment: options.environment, limit };
      const answer = await (await connect(io)).get<{ records: readonly AuditRecord[] }>('/api/v1/audit', query);
      print(io, options, answer, () =>
        table([
          ['seq', 'at', 'actor', 'action', 'target', 'reason'],
          ...answer.records.map(({ seq, at, actor, action, target, reason }) => [
            String(seq),
            formatInstant(at),
            actor,
            action,
            target,
            reason ?? '',
          ]),
        ]),
      );
    });
}

export function decisions(program: Command, io: Io): void {
  command(
    program,
    'decisions <name>',
    'decisions of a rollout with their reasons, newest first',
    'decisions checkout-v2',
  )
    .option('--limit <n>', 'decisions', countOption, 10)
    .action(async (rollout: string, options: LimitOptions) => {
      const { environment, limit } = options;
      const client = await connect(io);
      const answer = await client.get<{ decisions: readonly Decision[] }>('/api/v1/decisions', {
        rollout,
        environment,
        limit,
      });
      const colours = coloursOf(io);
      print(io, options, answer, () =>
        answer.decisions.length === 0
          ? `nothing was decided on ${rollout} yet`
          : answer.decisions.map((decision) => describeDecision(decision, colours)).join('\n\n'),
      );
    });
}
