#!/usr/bin/env node
process.env.TZ = 'UTC';

import { readFile } from 'node:fs/promises';
import { processIo } from './io.ts';
import { run } from './program.ts';

// `tidegate list | head` closes our output early: that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

const manifest: unknown = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
const version =
  typeof manifest === 'object' && manifest !== null && 'version' in manifest ? String(manifest.version) : 'unknown';
process.exitCode = await run(process.argv.slice(2), processIo(process.env), version);
