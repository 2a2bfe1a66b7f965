import { describe, expect, it } from 'vitest';
import { formatMistake, parseYaml } from '../../src/cli/yaml.ts';
import { tidegate } from './a-world.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

const plan = `apiVersion: tidegate.dev/v1
kind: RolloutPlan
metadata: {name: checkout, flag: checkout, owner: shop}
spec:
  policy: web@1
  comparison: {holdback: {percent: 1}}
  stages:
    - {name: early, exposure: 20, bake: 1h, maxDwell: 1d}
    - {name: full, exposure: 100}
`;

async function lintOf(text: string): Promise<string[]> {
  const { out } = await tidegate(['lint', 'plan.yaml'], { files: { 'plan.yaml': text } });
  return out.split('\n');
}

describe('a mistake in a file', () => {
  it('is shown with file, line, column, the line and a caret', async () => {
    const lines = await lintOf(plan.replace('bake: 1h', 'bake: 1 hour'));
    expect(lines.slice(0, 3)).toEqual([
      'plan.yaml:8:41: write a duration such as "30s", "20m", "4h" or "7d"',
      '      - {name: early, exposure: 20, bake: 1 hour, maxDwell: 1d}',
      `${' '.repeat(42)}^`,
    ]);
  });

  it('points at the key when the key is unknown', async () => {
    const [first, , caret] = await lintOf(plan.replace('maxDwell', 'maxDwel'));
    expect(first).toBe('plan.yaml:8:45: unknown key "maxDwel"');
    expect(caret?.indexOf('^')).toBe(46);
  });

  it('points at the enclosing entry when something is missing', async () => {
    expect((await lintOf(plan.replace('owner: shop', '')))[0]).toBe('plan.yaml:3:1: owner is missing');
    expect((await lintOf(plan.replace('name: full, ', '')))[0]).toBe('plan.yaml:9:7: name is missing');
  });

  it('points into block style too', async () => {
    const text = plan.replace(
      'comparison: {holdback: {percent: 1}}',
      'comparison:\n    holdback:\n      percent: lots',
    );
    expect((await lintOf(text))[0]).toMatch(/^plan\.yaml:8:16: /);
  });

  it('of the syntax is shown as well', async () => {
    expect((await lintOf('a: [1, 2\nb: 3\n'))[0]).toMatch(/^plan\.yaml:\d+:\d+: /);
    expect((await lintOf(`${plan}spec: {}\n`))[0]).toMatch(/^plan\.yaml:10:1: Map keys must be unique/);
  });

  it('keeps tabs in the margin of the caret', () => {
    const text = formatMistake({ file: 'f', line: 1, column: 3, message: 'm', source: '\ta: b' });
    expect(text).toBe('f:1:3: m\n  \ta: b\n  \t ^\n');
  });
});

describe('a very long line', () => {
  const at = (column: number) =>
    formatMistake({ file: 'f', line: 1, column, message: 'm', source: `${'a'.repeat(9_999)}X${'b'.repeat(10_000)}` });

  it('is shown in part, with the caret under the column', () => {
    const [, text = '', caret = ''] = at(10_000).split('\n');
    expect(text.length).toBeLessThan(126);
    expect(text).toMatch(/^ {2}…a+Xb+…$/);
    expect(text[caret.indexOf('^')]).toBe('X');
  });

  it('is shown from its beginning or to its end when the column is there', () => {
    expect(at(1)).toBe(`f:1:1: m\n  ${'a'.repeat(120)}…\n  ^\n`);
    expect(at(20_000)).toBe(`f:1:20000: m\n  …${'b'.repeat(120)}\n  ${' '.repeat(120)}^\n`);
  });

  it('is short in JSON too', async () => {
    const files = { 'plan.yaml': `{"kind": "${'x'.repeat(50_000)}"}` };
    const { out } = await tidegate(['lint', 'plan.yaml', '--json'], { files });
    expect(out.length).toBeLessThan(1_000);
  });
});

describe('lint findings', () => {
  it('stand at their place in the file', async () => {
    const ran = await tidegate(['lint', 'plan.yaml'], { files: { 'plan.yaml': plan.replace(', bake: 1h', '') } });
    expect(ran.code).toBe(4);
    expect(ran.out).toContain('plan.yaml:8:7: error P04: stage early has no `bake`');
  });
});

describe('a file', () => {
  it('may hold several documents, each with positions of its own', () => {
    const { documents } = parseYaml('f', bytes('a: 1\n---\nb: 2\n'));
    expect(documents.map(({ json }) => json)).toEqual([{ a: 1 }, { b: 2 }]);
    expect(documents[1]?.locate(['b'], false)).toEqual({ line: 3, column: 4 });
  });

  it('may be JSON', () => {
    const { documents, mistakes } = parseYaml('f', bytes('{"a": {"b": [1, 2]}}'));
    expect(mistakes).toEqual([]);
    expect(documents[0]?.locate(['a', 'b', 1], false)).toEqual({ line: 1, column: 17 });
  });

  it('may use a few anchors, and mistakes behind them are found', () => {
    const { documents } = parseYaml('f', bytes('base: &b {x: 1}\nuse: *b\n'));
    expect(documents[0]?.json).toEqual({ base: { x: 1 }, use: { x: 1 } });
    expect(documents[0]?.locate(['use', 'x'], false)).toEqual({ line: 1, column: 14 });
  });

  it('is refused as an alias bomb', () => {
    const levels = Array.from({ length: 9 }, (_, i) => {
      const before = String.fromCharCode(96 + i);
      return i === 0
        ? 'a: &a [x, x]'
        : `${String.fromCharCode(97 + i)}: &${String.fromCharCode(97 + i)} [${Array(9).fill(`*${before}`).join(', ')}]`;
    });
    const { documents, mistakes } = parseYaml('f', bytes(levels.join('\n')));
    expect(documents).toEqual([]);
    expect(mistakes[0]?.message).toContain('aliases');
  });

  it('is refused above 256 KiB, and when it is not text', () => {
    expect(parseYaml('f', new Uint8Array(256 * 1024 + 1)).mistakes[0]?.message).toContain('larger than 256 KiB');
    expect(parseYaml('f', new Uint8Array([0xff, 0xfe, 0x00])).mistakes[0]?.message).toContain('not UTF-8');
  });

  it('may be empty', () => {
    expect(parseYaml('f', bytes('# nothing\n'))).toMatchObject({ documents: [], mistakes: [] });
  });

  it('with a custom tag is refused', () => {
    expect(parseYaml('f', bytes('a: !!js/function "x"\n')).mistakes[0]?.message).toContain('tag');
  });
});
