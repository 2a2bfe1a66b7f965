import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Io, processIo } from '../../src/cli/io.ts';
import { run } from '../../src/cli/program.ts';
import { startError } from '../../src/cli/start-error.ts';
import { ensureAdmin } from '../../src/control/access.ts';
import { openSqlite } from '../../src/store/sqlite.ts';
import { tempFolder } from '../support/temp-store.ts';

let folder: ReturnType<typeof tempFolder>;
let dataDir: string;
let said = '';
const taken = createServer();
let port = 0;
beforeEach(async () => {
  said = '';
  folder = tempFolder();
  dataDir = join(folder.path, 'data');
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  port = (taken.address() as AddressInfo).port;
});
afterEach(async () => {
  await new Promise((resolve) => taken.close(resolve));
  folder.remove();
});

/** The code of `tidegate serve`, which here never gets to listen. */
async function serve(env: NodeJS.ProcessEnv = {}): Promise<number> {
  const keep = (text: string) => {
    said += text;
  };
  const settings = { TIDEGATE_PORT: String(port), TIDEGATE_DATA_DIR: dataDir, TIDEGATE_LOG_LEVEL: 'silent', ...env };
  const io: Io = { ...processIo(settings), stdout: keep, stderr: keep };
  return run(['serve'], io, '0');
}

/** One sentence, said by us. */
const expectSentence = (text: string) => {
  expect(said).toMatch(/^tidegate: [^\n]+\n$/);
  expect(said).toContain(text);
};

describe('serve that cannot listen', () => {
  it('says which port is taken, and lets go of the store', async () => {
    expect(await serve()).toBe(78);
    expectSentence(`address already in use 127.0.0.1:${port}: something listens there already; set TIDEGATE_PORT`);
    const { control, rum } = await openSqlite({ dir: dataDir, mono: () => 0 });
    await Promise.all([control.close(), rum.close()]);
  });

  it('makes no admin token that nobody would ever see', async () => {
    await serve();
    const { control, rum } = await openSqlite({ dir: dataDir, mono: () => 0 });
    expect(await control.tokens()).toEqual([]);
    expect(await ensureAdmin(control, 1)).toMatch(/^tg_adm_/);
    await Promise.all([control.close(), rum.close()]);
  });

  it('ends at once as a process', async () => {
    const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
    const child = spawn(process.execPath, ['--conditions=tidegate:source', '--import', 'tsx', main, 'serve'], {
      stdio: 'ignore',
      env: { PATH: process.env.PATH, TIDEGATE_PORT: String(port), TIDEGATE_DATA_DIR: dataDir },
    });
    expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(78);
  }, 30_000);

  it('calls a host that is none a bad setting', async () => {
    expect(await serve({ TIDEGATE_HOST: 'nohost.invalid' })).toBe(4);
    expectSentence('TIDEGATE_HOST is no address of this machine');
    // Without a network a resolver takes its time.
  }, 30_000);
});

describe('serve without what it needs', () => {
  it('names the file that is no database', async () => {
    mkdirSync(dataDir, { mode: 0o700 });
    const file = join(dataDir, 'control.db');
    writeFileSync(file, 'something else, and long enough to have a header of its own', { mode: 0o600 });
    expect(await serve()).toBe(78);
    expectSentence(`cannot open ${file}: SQLITE_NOTADB`);
  });

  it('names the data directory that is a file, or lies under one', async () => {
    writeFileSync(dataDir, '');
    expect(await serve()).toBe(78);
    expectSentence(`cannot use ${dataDir}: EEXIST`);
    said = '';
    expect(await serve({ TIDEGATE_DATA_DIR: join(dataDir, 'deeper') })).toBe(78);
    expectSentence('ENOTDIR');
  });

  it('says that PostgreSQL is not there, without its password', async () => {
    expect(await serve({ TIDEGATE_DATABASE_URL: 'postgres://tide:hunter2@127.0.0.1:1/tidegate' })).toBe(78);
    expectSentence('PostgreSQL cannot take it: connect ECONNREFUSED');
    expect(said).not.toContain('hunter2');
  });

  it('refuses another preset token than before', async () => {
    const preset = 'a-preset-token-of-some-length';
    await serve({ TIDEGATE_ADMIN_TOKEN: preset });
    said = '';
    expect(await serve({ TIDEGATE_ADMIN_TOKEN: `${preset}-other` })).toBe(4);
    expectSentence('TIDEGATE_ADMIN_TOKEN differs');
    expect(said).not.toContain(preset);
  });
});

describe('an error at the start', () => {
  it('that we do not know keeps its stack: it is a bug', () => {
    const bug = new TypeError('x is not a function');
    expect(startError(bug, '')).toBe(bug);
    const argument = Object.assign(new TypeError('bad'), { code: 'ERR_INVALID_ARG_TYPE' });
    expect(startError(argument, '')).toBe(argument);
  });

  it('is one sentence when the system or the database says it', () => {
    const denied = Object.assign(new Error('listen EACCES: permission denied 0.0.0.0:80'), { code: 'EACCES' });
    expect(startError(denied, '')).toMatchObject({ code: 78, message: denied.message });
    const password = Object.assign(new Error('password authentication failed'), { code: '28P01' });
    expect(startError(password, '')).toMatchObject({ code: 78, message: password.message });
  });
});

describe('demo that cannot start', () => {
  const demo = async (...args: string[]) => {
    const before = process.env.TMPDIR;
    process.env.TMPDIR = folder.path;
    const keep = (text: string) => {
      said += text;
    };
    try {
      return await run(['demo', ...args], { ...processIo({}), stdout: keep, stderr: keep }, '0');
    } finally {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
    }
  };

  it('leaves nothing behind when the port of the shop is taken', async () => {
    expect(await demo('--port', '0', '--shop-port', String(port))).toBe(78);
    expectSentence('choose --port and --shop-port');
    expect(readdirSync(folder.path)).toEqual([]);
  });

  it('nor when its own is', async () => {
    expect(await demo('--port', String(port))).toBe(78);
    expect(readdirSync(folder.path)).toEqual([]);
  });

  it('knows which ports there are', async () => {
    expect(await demo('--port', '99999')).toBe(64);
    expect(said).toContain('Write a port number, at most 65535.');
  });
});
