// Compiles every project and bundles the demo shop. `node scripts/build.mjs` does what `npm run build` does.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

function run(command, args) {
  const { status } = spawnSync(process.execPath, [command, ...args], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

export async function build() {
  run('node_modules/typescript/bin/tsc', ['-b']);
  for (const name of ['core', 'server', 'web']) {
    writeFileSync(`${root}/providers/${name}/dist/cjs/package.json`, '{ "type": "commonjs" }\n');
  }
  run('node_modules/vite/bin/vite.js', ['build', '--config', 'examples/shop/vite.config.ts', '--logLevel', 'warn']);
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await build();
