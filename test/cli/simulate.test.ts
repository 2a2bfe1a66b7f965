import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { exit } from '../../src/cli/exit.ts';
import { parseStory } from '../../src/lab/story.ts';
import { tidegate } from './a-world.ts';

const example = (path: string) => fileURLToPath(new URL(`../../examples/${path}`, import.meta.url));
const text = (path: string) => readFileSync(example(path), 'utf8');

const story = (name: string, spec: string) =>
  `apiVersion: tidegate.dev/v1\nkind: FaultStory\nmetadata: {name: ${name}}\nspec:\n  world: {rate: 20}\n${spec}`;

const files = {
  'ci/plan.yaml': text('plans/quick/plan.yaml'),
  'ci/policy.yaml': text('plans/quick/policy.yaml'),
  'ci/signals.yaml': text('plans/quick/signals.yaml'),
  'ci/faults/slow.yaml': story('slow', '  fault: {kind: slow, by: 100%}\n  expect: killed\n'),
  'ci/faults/quiet.yaml': story('quiet', '  expect: not_killed\n'),
};
const short = ['--seeds', '2', '--days', '0.1'];

describe('tidegate simulate', { timeout: 30_000 }, () => {
  it('tells the stories of a folder, and is content when they end as they expect', async () => {
    const { code, out, err } = await tidegate(['simulate', 'ci/plan.yaml', '--faults', 'ci/faults', ...short], {
      files,
    });
    expect(err).toBe('');
    expect(code).toBe(exit.ok);
    expect(out).toMatch(/^slow +100 % /m);
    expect(out).toContain('quiet: false kills 0 %');
    expect(out).toMatch(/at 1 %: would need ~.+ to see LCP 1\.5 % slower/);
  });

  it('ends with code 3 when a story ends otherwise, and says how', async () => {
    const wrong = {
      ...files,
      'ci/faults/slow.yaml': story('slow', '  fault: {kind: slow, by: 100%}\n  expect: completed\n'),
    };
    const asked = ['simulate', 'ci/plan.yaml', '--faults', 'ci/faults', '--story', 'slow', ...short];
    const {
      code,
      out,
      files: written,
    } = await tidegate([...asked, '--junit', 'out/junit.xml', '--out', 'out'], {
      files: wrong,
    });
    expect(code).toBe(3);
    expect(out).toContain('slow: expected completed in at least 95 % of 2 runs, was so in 0 %');
    expect(written['out/junit.xml']).toContain('failures="1"');
    expect(written['out/slow-exposure.svg']).toContain('<svg');
    expect(written['out/slow-minutes.svg']).toContain('2 of 2 runs');
  });

  it('prints JSON that repeats', async () => {
    const asked = [
      'simulate',
      'ci/plan.yaml',
      '--faults',
      'ci/faults/slow.yaml',
      '--json',
      '--seeds',
      '1',
      '--days',
      '0.1',
    ];
    const [a, b] = [await tidegate(asked, { files }), await tidegate(asked, { files })];
    expect(a.out).toBe(b.out);
    expect(JSON.parse(a.out)).toMatchObject({ plan: 'quick-look', stories: [{ story: 'slow', ok: true }] });
  });

  it('says where a story is wrong', async () => {
    const wrong = {
      ...files,
      'ci/faults/slow.yaml': story('slow', '  fault: {kind: slow, byy: 100%}\n  expect: dead\n'),
    };
    const { code, err } = await tidegate(['simulate', 'ci/plan.yaml', '--faults', 'ci/faults'], { files: wrong });
    expect(code).toBe(exit.invalid);
    expect(err).toMatch(/ci\/faults\/slow\.yaml:6:\d+: unknown key "byy"/);
    expect(err).toMatch(/ci\/faults\/slow\.yaml:7:\d+: /);
  });

  it('names the policy that is missing', async () => {
    const { code, err } = await tidegate(['simulate', 'ci/plan.yaml', '--faults', 'ci/faults'], {
      files: { 'ci/plan.yaml': files['ci/plan.yaml'], 'ci/faults/quiet.yaml': files['ci/faults/quiet.yaml'] },
    });
    expect(code).toBe(exit.usage);
    expect(err).toContain('the plan pins web-quick@1');
  });

  it('knows no other story', async () => {
    const { code, err } = await tidegate(['simulate', 'ci/plan.yaml', '--faults', 'ci/faults', '--story', 'fast'], {
      files,
    });
    expect(code).toBe(exit.usage);
    expect(err).toContain('there is no story "fast"; there are quiet, slow');
  });
});

describe('the story library', () => {
  const names = readdirSync(example('faults'));

  it.each(names)('%s is a story of its own name', (file) => {
    const parsed = parseStory(parse(text(`faults/${file}`)));
    expect(parsed).toMatchObject({ ok: true, value: { metadata: { name: file.replace('.yaml', '') } } });
  });

  it('tells of every fault that there is', () => {
    const kinds = names.map((file) =>
      String(/kind: ([a-z_]+)/.exec(text(`faults/${file}`).split('fault:')[1] ?? '')?.[1]),
    );
    const all = 'none slow faster errors tail conversion_loss white_screen beacon_loss outage mix_drift poison';
    expect(new Set(kinds)).toEqual(new Set(all.split(' ')));
  });
});
