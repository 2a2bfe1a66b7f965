import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { command, print } from './command.ts';
import { read, write } from './documents.ts';
import { Exit, exit } from './exit.ts';
import type { Io } from './io.ts';

const starter = fileURLToPath(new URL('../../examples/plans/starter/', import.meta.url));
const schemas = fileURLToPath(new URL('../../schema/', import.meta.url));
const files = ['policy.yaml', 'plan.yaml', 'flags.json'] as const;

export function init(program: Command, io: Io): void {
  command(program, 'init <folder>', 'write a starter policy, a plan and a flag set', 'init rollouts').action(
    async (folder: string, options: { readonly json?: true }) => {
      if (folder.trim() === '') throw new Exit(exit.usage, 'name the folder to write into; . is this one');
      if (await isFile(io, folder)) throw new Exit(exit.usage, `${folder} is a file; name a folder`);
      const targets = files.map((name) => join(folder, name));
      for (const target of targets)
        if (await exists(io, target)) throw new Exit(exit.usage, `${target} is already there; nothing was written`);
      for (const name of files) {
        const text = new TextDecoder().decode(await read(io, join(starter, name)));
        await write(io, join(folder, name), withSchemas(text, folder));
      }
      print(io, options, { files: targets }, () =>
        [
          ...targets.map((target) => `wrote ${target}`),
          '',
          'Next:',
          `  tidegate lint ${folder}`,
          `  tidegate import ${join(folder, 'flags.json')}`,
          `  tidegate apply ${folder}`,
        ].join('\n'),
      );
    },
  );
}

async function isFile(io: Io, path: string): Promise<boolean> {
  return (await exists(io, path)) && (await io.size(path)) !== null;
}

async function exists(io: Io, path: string): Promise<boolean> {
  try {
    await io.size(path);
    return true;
  } catch {
    return false;
  }
}

/** Editors look for the schema beside this installation. */
function withSchemas(text: string, folder: string): string {
  const path = relative(resolve(folder), schemas).replaceAll('\\', '/');
  return text.replace(/(\$schema=)\S*\/schema\//, `$1${path}/`);
}
