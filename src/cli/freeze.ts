import { type Command, InvalidArgumentError } from 'commander';
import { parseDuration } from '../domain/duration.ts';
import { connect } from './client.ts';
import { type CommonOptions, command, print } from './command.ts';
import { formatInstant } from './format.ts';
import type { Io } from './io.ts';

interface FreezeOptions extends CommonOptions {
  readonly reason: string;
  readonly all?: true;
  readonly until?: number;
}

export function freeze(program: Command, io: Io): void {
  const group = program.command('freeze').description('stop every increase of exposure, and no decrease');
  command(group, 'on', 'start a freeze', 'freeze on --reason "peak season" --until 4d')
    .requiredOption('--reason <text>', 'why; kept in the audit log')
    .option('--all', 'every environment')
    .option('--until <when>', 'a duration such as 4h, or an instant such as 2026-11-30T00:00:00Z', (text) =>
      instantOption(text, io.now()),
    )
    .action(async (options: FreezeOptions) => {
      const { reason, until } = options;
      const body = until === undefined ? { reason } : { reason, until: new Date(until).toISOString() };
      const result = await (await connect(io)).send('PUT', '/api/v1/freezes', { query: where(options), body });
      const end = until === undefined ? 'until `tidegate freeze off`' : `until ${formatInstant(until)}`;
      print(io, options, result, () => `${placeOf(options)} is frozen ${end}`);
    });
  command(group, 'off', 'end a freeze', 'freeze off --reason "season is over"')
    .requiredOption('--reason <text>', 'why; kept in the audit log')
    .option('--all', 'the freeze of every environment')
    .action(async (options: FreezeOptions) => {
      const request = { query: where(options), body: { reason: options.reason } };
      const result = await (await connect(io)).send('DELETE', '/api/v1/freezes', request);
      print(io, options, result, () => `${placeOf(options)} is no longer frozen; nothing rises before one fresh look`);
    });
}

function where({ all, environment }: FreezeOptions): { environment?: string } {
  return all ? {} : { environment };
}

function placeOf({ all, environment }: FreezeOptions): string {
  return all ? 'every environment' : environment;
}

function instantOption(text: string, now: number): number {
  const duration = parseDuration(text);
  const at = duration === null ? Date.parse(text) : now + duration;
  if (Number.isNaN(at)) throw new InvalidArgumentError('Write a duration such as 4h, or an ISO instant.');
  if (at <= now) throw new InvalidArgumentError('That is in the past.');
  return at;
}
