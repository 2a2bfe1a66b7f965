import { Command, CommanderError } from 'commander';
import { apply, plan } from './apply.ts';
import { audit, decisions } from './audit.ts';
import { demo } from './demo.ts';
import { Exit, exit } from './exit.ts';
import { explain } from './explain.ts';
import { exportFlags, importFlags } from './flags.ts';
import { freeze } from './freeze.ts';
import { gate } from './gate.ts';
import { init } from './init.ts';
import type { Io } from './io.ts';
import { lint } from './lint.ts';
import { serve } from './serve.ts';
import { simulate } from './simulate.ts';
import { list, status } from './status.ts';
import { token } from './token.ts';
import { registerVerbs } from './verbs.ts';

const commands = [
  serve,
  demo,
  init,
  lint,
  plan,
  apply,
  status,
  list,
  explain,
  decisions,
  gate,
  simulate,
  registerVerbs,
];
const upkeep = [freeze, importFlags, exportFlags, audit, token];

/** Runs one command line (without node and script) and returns its exit code. The one place that catches. */
export async function run(args: readonly string[], io: Io, version: string): Promise<number> {
  const program = new Command('tidegate')
    .description('decides how many users see a feature, from what real users experience')
    .version(version)
    .exitOverride()
    .configureOutput({ writeOut: (text) => io.stdout(text), writeErr: (text) => io.stderr(text) })
    .showHelpAfterError('(run with --help for usage)')
    .addHelpText(
      'after',
      '\nTIDEGATE_URL (http://127.0.0.1:7070) and TIDEGATE_TOKEN or TIDEGATE_TOKEN_FILE say where and who.\n\nExample:\n  $ tidegate status checkout-v2',
    );
  for (const register of [...commands, ...upkeep]) register(program, io);
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exit.ok;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exit.ok : exit.usage;
    if (error instanceof Exit) {
      if (error.message !== '') io.stderr(`tidegate: ${error.message}\n`);
      return error.code;
    }
    io.stderr(`tidegate: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return exit.internal;
  }
}
