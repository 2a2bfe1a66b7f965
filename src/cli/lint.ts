import type { Command } from 'commander';
import { type CommonOptions, command, print } from './command.ts';
import { type Loaded, load } from './documents.ts';
import { Exit, exit } from './exit.ts';
import { coloursOf } from './format.ts';
import type { Io } from './io.ts';
import { excerptOf, formatMistake, type Mistake } from './yaml.ts';

export function lint(program: Command, io: Io): void {
  command(
    program,
    'lint <paths...>',
    'check plans, policies and signals, without a controller',
    'lint rollouts/',
  ).action(async (paths: string[], options: CommonOptions) => {
    const loaded = await load(io, paths, options.environment);
    print(io, options, { mistakes: loaded.mistakes.map(shortened), findings: loaded.findings.map(shortened) }, () =>
      describe(io, loaded),
    );
    if (!isSound(loaded)) throw new Exit(exit.invalid);
  });
}

const shortened = <M extends Mistake>(mistake: M): M => ({ ...mistake, source: excerptOf(mistake).text });

/** No mistake and no lint error; warnings pass. */
function isSound({ mistakes, findings }: Loaded): boolean {
  return mistakes.length === 0 && findings.every(({ severity }) => severity === 'warning');
}

/** Every mistake and finding at its place, then a count. */
function describe(io: Io, loaded: Loaded): string {
  const errors = loaded.mistakes.length + loaded.findings.filter(({ severity }) => severity === 'error').length;
  const warnings = loaded.findings.length - (errors - loaded.mistakes.length);
  const sum = `${plural(loaded.documents.length, 'document')}, ${plural(errors, 'error')}, ${plural(warnings, 'warning')}`;
  return `${complaints(io, loaded)}${sum}\n`;
}

function complaints(io: Io, { mistakes, findings }: Loaded): string {
  const colours = coloursOf(io);
  const shown = findings.map((finding) => {
    const label = finding.severity === 'error' ? colours.red('error') : colours.yellow('warning');
    return formatMistake({ ...finding, message: `${label} ${finding.id}: ${finding.message}` });
  });
  return [...mistakes.map(formatMistake), ...shown].join('');
}

function plural(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}

/** Documents that may be sent; otherwise says what is wrong with them and ends with exit code 4, nothing sent. */
export async function loadSound(io: Io, paths: readonly string[], environment: string): Promise<Loaded> {
  const loaded = await load(io, paths, environment);
  io.stderr(complaints(io, loaded));
  if (!isSound(loaded)) throw new Exit(exit.invalid, 'nothing was sent');
  for (const file of loaded.flagSets) io.stderr(`${file} is a flag set; apply it with \`tidegate import ${file}\`\n`);
  return loaded;
}
