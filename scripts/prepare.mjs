// Builds on `npm ci` in a clone. In a published package `dist` is already there and the compiler is not.
import { existsSync } from 'node:fs';
import { build } from './build.mjs';

const here = (path) => new URL(`../${path}`, import.meta.url);

if (existsSync(here('node_modules/typescript/package.json'))) {
  await build();
} else if (!existsSync(here('dist/cli/main.js'))) {
  console.error(
    'tidegate is not built and TypeScript is not installed: run `npm ci` with dev dependencies, then `npm run build`.',
  );
  process.exitCode = 1;
}
