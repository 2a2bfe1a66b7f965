import { stdin, stdout } from 'node:process';
import type { Command } from 'commander';
import { runStdio } from '../lab/stdio.ts';
import { Exit, exit } from './exit.ts';

export function simulate(program: Command): void {
  program
    .command('simulate')
    .description('put the judge to the test in a simulated world')
    .requiredOption('--stdio', 'another program is the world: JSON lines in, one decision a line out')
    .addHelpText('after', '\nExample:\n  $ node examples/simulate-stdio/drive.mjs --slower 2')
    .action(async () => {
      if ((await runStdio(stdin, stdout)) !== exit.ok) throw new Exit(exit.invalid);
    });
}
