import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import type { Io } from './io.ts';
import { startError } from './start-error.ts';

export function serve(program: Command, io: Io): void {
  program
    .command('serve')
    .description('run the controller; settings come from TIDEGATE_* variables')
    .addHelpText('after', '\nExample:\n  $ TIDEGATE_PORT=7070 TIDEGATE_DATA_DIR=./data tidegate serve')
    .action(async () => {
      const controller = await start(io);
      io.stdout(`tidegate listens on ${controller.url}\n`);
      if (controller.adminToken !== null) {
        io.stderr(
          `\nAdmin token, shown this once:\n  ${controller.adminToken}\nKeep it safe: export TIDEGATE_TOKEN=…\n\n`,
        );
      }
      await untilStopped();
      await controller.close();
    });
}

async function start(io: Io) {
  try {
    // Loaded here: the other commands are quicker without express and the database drivers.
    const { startController } = await import('../controller.ts');
    return await startController({ config: readConfig(io.env) });
  } catch (error) {
    throw startError(error, 'something listens there already; set TIDEGATE_PORT');
  }
}

/** Resolves at the first SIGINT or SIGTERM; a second one ends the process the hard way. */
export function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}
