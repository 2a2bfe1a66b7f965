import { access, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { schemaFiles } from '../../scripts/schemas.ts';
import { type Io, processIo } from '../../src/cli/io.ts';
import { run } from '../../src/cli/program.ts';

const root = new URL('../../', import.meta.url);
let folder = '';
let out = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tidegate-init-'));
  out = '';
});
afterEach(() => rm(folder, { recursive: true }));

/** The real file system, a captured terminal. */
function io(): Io {
  const keep = (text: string) => {
    out += text;
  };
  return { ...processIo({}), stdout: keep, stderr: keep };
}

describe('init', () => {
  it('writes a starter that lints clean', async () => {
    expect(await run(['init', join(folder, 'rollouts')], io(), '0')).toBe(0);
    expect(await readdir(join(folder, 'rollouts'))).toEqual(['flags.json', 'plan.yaml', 'policy.yaml']);
    out = '';
    expect(await run(['lint', join(folder, 'rollouts')], io(), '0')).toBe(0);
    expect(out).toBe('2 documents, 0 errors, 0 warnings\n');
  });

  it('points editors at the schemas of this installation', async () => {
    await run(['init', folder], io(), '0');
    const text = await readFile(join(folder, 'plan.yaml'), 'utf8');
    const [, path = ''] = /^# yaml-language-server: \$schema=(\S+)$/m.exec(text) ?? [];
    await expect(access(resolve(folder, path))).resolves.toBeUndefined();
  });

  it('never overwrites', async () => {
    await run(['init', folder], io(), '0');
    expect(await run(['init', folder], io(), '0')).toBe(64);
    expect(out).toContain('is already there; nothing was written');
  });
});

describe('init', () => {
  it('wants a folder: not a file, and not nothing', async () => {
    const file = join(folder, 'notes.txt');
    await writeFile(file, 'mine');
    expect(await run(['init', file], io(), '0')).toBe(64);
    expect(await run(['init', join(file, 'deeper')], io(), '0')).toBe(64);
    expect(await run(['init', ''], io(), '0')).toBe(64);
    expect(out).toBe(
      [
        `tidegate: ${file} is a file; name a folder`,
        `tidegate: cannot write ${join(file, 'deeper', 'policy.yaml')}: ENOTDIR: not a directory, mkdir '${join(file, 'deeper')}'`,
        'tidegate: name the folder to write into; . is this one',
        '',
      ].join('\n'),
    );
  });
});

describe('lint of a folder', () => {
  it('names a link that leads nowhere and reads the rest', async () => {
    await run(['init', folder], io(), '0');
    await symlink(join(folder, 'gone'), join(folder, 'dangling.yaml'));
    out = '';
    expect(await run(['lint', folder], io(), '0')).toBe(4);
    expect(out).toContain(`dangling.yaml:1:1: cannot read ${join(folder, 'dangling.yaml')}: ENOENT`);
    expect(out).toContain('2 documents, 1 error, 0 warnings');
  });
});

describe('what is shipped', () => {
  it.each(['starter', 'checkout'])('the example %s lints clean', async (name) => {
    expect(await run(['lint', `${root.pathname}examples/plans/${name}`], io(), '0')).toBe(0);
    expect(out).toContain(' 0 errors, 0 warnings');
  });

  it('the schema files are those of the code: run scripts/schemas.ts', async () => {
    for (const [name, text] of schemaFiles())
      expect(await readFile(new URL(`schema/${name}`, root), 'utf8'), name).toBe(text);
  });
});
