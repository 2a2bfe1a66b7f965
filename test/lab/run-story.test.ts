import { describe, expect, it } from 'vitest';
import { builtinSignals } from '../../src/domain/signal.ts';
import { escapeXml, junitOf } from '../../src/lab/junit.ts';
import { asGiven } from '../../src/lab/papers.ts';
import { exposurePicture, minutesPicture } from '../../src/lab/picture.ts';
import { powerOf } from '../../src/lab/power.ts';
import { interval, reportOf } from '../../src/lab/report.ts';
import { type RunResult, runStory, tellingOf } from '../../src/lab/run-story.ts';
import { type FaultStory, parseStory } from '../../src/lab/story.ts';
import { aPlan, aPolicy } from '../support/a-rollout.ts';

const plan = aPlan({
  comparison: { holdback: { percent: 5 } },
  stages: [
    { name: 'some', exposure: 10, bake: '10m', minSamples: 100 },
    { name: 'half', exposure: 50, bake: '10m', minSamples: 100 },
    { name: 'full', exposure: 100 },
  ],
});
const owned = { owner: 'sre', runbook: 'https://run.example/x' };
const policy = aPolicy({
  gates: [
    { name: 'errors-kill', signal: 'js_error_rate', tier: 'kill', tests: ['<=+50%'], ...owned },
    { name: 'lcp-kill', signal: 'lcp_p75', tier: 'kill', tests: ['<=+10%'], ...owned },
  ],
});
const papers = { plan, policy, signals: builtinSignals };

function aStory(spec: object): FaultStory {
  const story = parseStory({
    apiVersion: 'tidegate.dev/v1',
    kind: 'FaultStory',
    metadata: { name: 'a-story' },
    spec: { expect: 'killed', ...spec },
  });
  if (!story.ok) throw new Error(JSON.stringify(story.problems));
  return story.value;
}

function runsOf(spec: object, seeds: number, days = 0.25): RunResult[] {
  const telling = tellingOf(papers, aStory(spec), days, 1);
  return Array.from({ length: seeds }, (_, i) => runStory(telling, i + 1));
}

const slow = { fault: { kind: 'slow', by: '100%' } };

describe('a simulated rollout', { timeout: 30_000 }, () => {
  it('is killed when pages take twice as long', () => {
    const runs = runsOf(slow, 3);
    expect(runs.map(({ ending, cause }) => [ending, cause])).toEqual(runs.map(() => ['killed', 'gate:lcp-kill']));
    expect(runs.every(({ minutesToKill, reachedLast }) => minutesToKill !== null && !reachedLast)).toBe(true);
    expect(runs.every(({ harm, exposed }) => harm.lcpMs > 1000 * exposed)).toBe(true);
  });

  it('is never killed in 20 runs without a fault, and goes up', () => {
    const runs = runsOf({}, 20, 0.1);
    expect(runs.filter(({ ending }) => ending === 'killed')).toEqual([]);
    expect(runs.some(({ path }) => path.some(([, exposure]) => exposure > 10))).toBe(true);
    expect(runs.every(({ harm }) => harm.lcpMs === 0 && harm.errors === 0)).toBe(true);
  });

  it('repeats byte for byte', () => {
    expect(JSON.stringify(runsOf(slow, 1))).toBe(JSON.stringify(runsOf(slow, 1)));
  });

  it('counts the minutes to a kill from the fault, not from the start', () => {
    const [run] = runsOf({ fault: { ...slow.fault, from: { after: '1h' } } }, 1);
    expect(run?.ending).toBe('killed');
    expect((run?.minutes ?? 0) - (run?.minutesToKill ?? 0)).toBeGreaterThanOrEqual(60);
  });
});

describe('a plan to simulate', () => {
  it('has its approvals, windows and start taken as given, and says so', () => {
    const asking = aPlan({
      start: { trigger: 'manual', approval: { roles: ['lead'] } },
      windows: { allow: ['Mon-Fri 09:00-10:00'] },
    });
    const { plan: asked, given } = asGiven(asking);
    expect(given).toEqual(['its start', 'its approvals', 'its windows']);
    expect(asked.spec.start).toMatchObject({ trigger: 'at', approval: null });
    expect(asGiven(plan).given).toEqual([]);
  });
});

const run = (of: Partial<RunResult>): RunResult => ({
  seed: 1,
  ending: 'killed',
  reachedLast: false,
  minutesToKill: 30,
  minutesToHold: null,
  minutes: 40,
  cause: 'gate:errors-kill',
  because: 'errors 7 % <with> the flag & 1 % without',
  exposed: 100,
  harm: { errors: 1, lcpMs: 2, conversions: 0, blank: 0 },
  path: [
    [0, 0],
    [5, 1],
    [40, 0],
  ],
  information: [],
  ...of,
});

describe('the report', () => {
  const completed = run({ ending: 'completed', reachedLast: true, minutesToKill: null, cause: null, because: null });

  it.each([
    ['killed', 1],
    ['not_killed', 2],
    ['completed', 1],
    ['held', 2],
    ['not_completed', 2],
  ])('counts the runs that end as %s', (expected, n) => {
    const held = run({ ending: 'held', minutesToKill: null });
    expect(reportOf(aStory({ expect: expected }), [run({}), completed, held], 0.01).asExpected).toBe(n);
  });

  it('is not content with a kill that comes too late', () => {
    const story = aStory({ within: '20m' });
    expect(reportOf(story, [run({ minutesToKill: 21 }), run({ minutesToKill: 20 })], 0.01)).toMatchObject({
      asExpected: 1,
      ok: false,
      minutesToKill: { median: 20, p90: 20 },
    });
  });

  it('has exact intervals of shares', () => {
    expect(interval(0, 100)).toMatchObject({ low: 0 });
    expect(interval(0, 100).high).toBeCloseTo(0.0362, 4);
    expect(interval(5, 100).low).toBeCloseTo(0.0164, 4);
    expect(interval(5, 100).high).toBeCloseTo(0.1128, 4);
    expect(interval(3, 3)).toMatchObject({ high: 1 });
  });

  it('says how long an effect takes to see: four times as long for half of it', () => {
    const information = [{ exposure: 5, hours: 2, lcp: 4000, units: { treatment: 500, control: 2000 }, erred: 50 }];
    const [small, large] = powerOf(information, { LCP: [0.02, 0.04], errors: [] }, 0.01);
    expect((small?.hours ?? 0) / (large?.hours ?? 1)).toBeGreaterThan(3.5);
    expect((small?.hours ?? 0) / (large?.hours ?? 1)).toBeLessThan(6);
  });

  it('is JUnit XML that says what was expected', () => {
    const reports = [reportOf(aStory({ expect: 'completed' }), [run({})], 0.01), reportOf(aStory({}), [run({})], 0.01)];
    const xml = junitOf('a "suite"', reports);
    expect(xml).toContain('<testsuite name="a &quot;suite&quot;" tests="2" failures="1" errors="0">');
    expect(xml).toContain('message="expected completed in at least 95 % of 1 runs, was so in 0 %"');
    expect(xml).toContain('errors 7 % &lt;with&gt; the flag &amp; 1 % without');
    expect(tagsLeftOpen(xml)).toEqual([]);
  });

  it('replaces what XML cannot hold', () => {
    expect(escapeXml('a\u0000b\u001bc')).toBe('a\u{fffd}b\u{fffd}c');
  });

  it('is drawn as well-formed SVG, whatever there is to draw', () => {
    for (const runs of [[run({}), completed], [completed], []])
      for (const picture of [exposurePicture('a <b>', runs), minutesPicture('a <b>', runs)]) {
        expect(picture).toContain('prefers-color-scheme: dark');
        expect(picture).not.toMatch(/NaN|Infinity|undefined/);
        expect(tagsLeftOpen(picture)).toEqual([]);
      }
  });
});

/** Names of elements that are opened and not closed, or closed in the wrong order. */
function tagsLeftOpen(xml: string): string[] {
  const open: string[] = [];
  for (const [, closing, name = '', self] of xml.matchAll(/<(\/?)([a-zA-Z][\w-]*)(?:\s[^<>]*?)?(\/?)>/g)) {
    if (closing === '/') {
      if (open.pop() !== name) return [name];
    } else if (self !== '/') open.push(name);
  }
  return open;
}
