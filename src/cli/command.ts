import { type Command, InvalidArgumentError } from 'commander';
import { parseDuration } from '../domain/duration.ts';
import type { Io } from './io.ts';

export interface CommonOptions {
  readonly json?: true;
  readonly environment: string;
}

/** A subcommand with `--json`, `-e` and an example in its help. */
export function command(parent: Command, usage: string, about: string, example: string): Command {
  return parent
    .command(usage)
    .description(about)
    .option('--json', 'print JSON for machines')
    .option('-e, --environment <name>', 'environment', 'production')
    .addHelpText('after', `\nExample:\n  $ tidegate ${example}`);
}

/** Prints JSON when asked to, otherwise the text for people. */
export function print(io: Io, options: Pick<CommonOptions, 'json'>, value: unknown, text: () => string): void {
  if (options.json) io.stdout(`${JSON.stringify(value, null, 2)}\n`);
  else io.stdout(withNewline(text()));
}

function withNewline(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}

/** An option such as `30m`, in ms. */
export function durationOption(text: string): number {
  const ms = parseDuration(text);
  if (ms === null) throw new InvalidArgumentError('Write a duration such as 30s, 20m, 4h or 7d.');
  return ms;
}

export function countOption(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError('Write a number from 1.');
  return Number(text);
}
