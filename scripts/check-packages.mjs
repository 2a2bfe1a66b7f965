// publint and are-the-types-wrong over everything that is published.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const packages = [
  { path: '.', profile: ['--profile', 'esm-only'] },
  { path: 'providers/core', profile: [] },
  { path: 'providers/server', profile: [] },
  { path: 'providers/web', profile: [] },
];

for (const { path, profile } of packages) {
  for (const [tool, args] of [
    ['publint', ['run', path, '--strict']],
    ['attw', ['--pack', path, ...profile]],
  ]) {
    const { status } = spawnSync('npx', ['--no-install', tool, ...args], { cwd: root, stdio: 'inherit' });
    if (status !== 0) {
      console.error(`${tool} found something in ${path}`);
      process.exitCode = 1;
    }
  }
}
