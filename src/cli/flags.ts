import type { FlagSet } from '@tidegate/core';
import type { Command } from 'commander';
import type { ApplyResult } from '../http/views.ts';
import { describeResult } from './apply.ts';
import { connect } from './client.ts';
import { type CommonOptions, command, print } from './command.ts';
import { read, write } from './documents.ts';
import { Exit, exit } from './exit.ts';
import { coloursOf } from './format.ts';
import type { Io } from './io.ts';
import { formatMistake, parseYaml } from './yaml.ts';

interface ImportOptions extends CommonOptions {
  readonly dryRun?: true;
  readonly idempotencyKey?: string;
}

export function importFlags(program: Command, io: Io): void {
  command(
    program,
    'import <file>',
    'declare the plain flags of an environment from a flagd flag set; rollouts stay as they are',
    'import flags.json',
  )
    .option('--dry-run', 'show what would change and change nothing')
    .option('--idempotency-key <key>', 'makes repeats of this very call answer as the first did')
    .action(async (file: string, options: ImportOptions) => {
      const body = await readFlagSet(io, file);
      const client = await connect(io);
      const result = await client.send<ApplyResult>('PUT', '/api/v1/flags', {
        query: { environment: options.environment, dryRun: options.dryRun ? 1 : undefined },
        body,
        ...(options.idempotencyKey === undefined ? {} : { idempotencyKey: options.idempotencyKey }),
      });
      print(io, options, result, () => describeResult('flags of', result, coloursOf(io)));
    });
}

async function readFlagSet(io: Io, file: string): Promise<unknown> {
  const source = parseYaml(file, await read(io, file));
  if (source.mistakes.length > 0) throw new Exit(exit.invalid, source.mistakes.map(formatMistake).join('').trimEnd());
  const [only, ...more] = source.documents;
  if (only === undefined || more.length > 0) throw new Exit(exit.invalid, `${file} must hold exactly one flag set`);
  if (typeof only.json === 'object' && only.json !== null && 'flags' in only.json) return only.json;
  const mistake = source.mistake(only.locate([], false), 'a flag set has `flags`, a map from flag key to flag');
  throw new Exit(exit.invalid, formatMistake(mistake).trimEnd());
}

interface ExportOptions extends CommonOptions {
  readonly output?: string;
}

export function exportFlags(program: Command, io: Io): void {
  command(
    program,
    'export',
    'the flagd flag set that is served now, rollouts compiled into it',
    'export -o flags.production.json',
  )
    .option('-o, --output <file>', 'write to a new file instead of stdout')
    .action(async (options: ExportOptions) => {
      const client = await connect(io);
      const set = await client.get<FlagSet>('/api/v1/export', { environment: options.environment });
      const text = `${JSON.stringify(set, null, 2)}\n`;
      if (options.output === undefined) io.stdout(text);
      else await write(io, options.output, text);
    });
}
