import { describe, expect, it } from 'vitest';
import { exposurePicture, minutesPicture } from '../../src/lab/picture.ts';
import type { RunResult } from '../../src/lab/run-story.ts';

/** Killed at 1 % after so many minutes. */
function killedAfter(minutes: number): RunResult {
  return {
    seed: minutes,
    ending: 'killed',
    reachedLast: false,
    minutesToKill: minutes,
    minutesToHold: null,
    minutes,
    cause: 'gate:lcp-kill',
    because: 'slow',
    exposed: 100,
    harm: { errors: 0, lcpMs: 0, conversions: 0, blank: 0 },
    path: [
      [0, 1],
      [minutes, 0],
    ],
    information: [],
  };
}

const completed: RunResult = {
  ...killedAfter(300),
  ending: 'completed',
  reachedLast: true,
  minutesToKill: null,
  path: [
    [0, 1],
    [100, 50],
    [200, 100],
    [300, 100],
  ],
};

const kills = Array.from({ length: 20 }, (_, i) => killedAfter(10 + i));
const linesIn = (picture: string): number => picture.split('<path class="run ').length - 1;

describe('the picture of exposures', () => {
  it('draws six runs of many, and counts them all', () => {
    const picture = exposurePicture('slow', [...kills, completed]);
    expect(linesIn(picture)).toBe(6);
    expect(picture).toContain('slow: exposure of 21 runs (6 are drawn)');
    expect(picture).toContain('> 20 killed');
    expect(picture).toContain('> 1 completed');
  });

  it('draws the shortest and the longest run of an ending', () => {
    const picture = exposurePicture('slow', kills);
    const ends = [...picture.matchAll(/<path class="run killed" d="M[^H]*H([\d.]+)V/g)].map(([, x]) => Number(x));
    // An hour is 640 px wide, from 60 on.
    expect(ends[0]).toBeCloseTo(60 + (640 * 10) / 60, 1);
    expect(ends.at(-1)).toBeCloseTo(60 + (640 * 29) / 60, 1);
  });

  it('draws all of six runs and says nothing of a choice', () => {
    const picture = exposurePicture('slow', kills.slice(0, 6));
    expect(linesIn(picture)).toBe(6);
    expect(picture).not.toContain('are drawn');
  });

  it('tells endings apart by shape, not by colour alone', () => {
    const picture = exposurePicture('slow', [killedAfter(10), completed]);
    expect(picture.split('●')).toHaveLength(3);
    expect(picture.split('▲')).toHaveLength(3);
  });

  it('names both axes with their units, on a ground of its own', () => {
    const picture = exposurePicture('slow', kills);
    for (const said of ['hours since the start', 'exposure, % of units', 'class="ground"'])
      expect(picture).toContain(said);
  });
});

describe('the picture of minutes to a kill', () => {
  it('marks the median that the report tells: the lower of two in the middle', () => {
    const picture = minutesPicture('slow', [40, 10, 30, 20].map(killedAfter));
    expect(picture).toContain('median 20 min');
    expect(picture).toContain('minutes to kill, 4 of 4 runs');
  });

  it('has room for kills that all took equally long', () => {
    for (const minutes of [0, 15, 240]) {
      const picture = minutesPicture('slow', [killedAfter(minutes)]);
      expect(picture).not.toMatch(/NaN|Infinity/);
      const bar = /<rect class="mark" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"/.exec(picture);
      expect(Number(bar?.[1])).toBeGreaterThanOrEqual(60);
      expect(Number(bar?.[1]) + Number(bar?.[2])).toBeLessThanOrEqual(700);
    }
  });

  it('labels its axis so that no two labels touch, however narrow or wide the span is', () => {
    for (const spans of [
      [70, 250],
      [0, 2800],
    ]) {
      const picture = minutesPicture('slow', spans.map(killedAfter));
      const at = [...picture.matchAll(/<text x="([\d.]+)" y="292" text-anchor="middle">\d+</g)].map(([, x]) =>
        Number(x),
      );
      expect(at.length).toBeGreaterThanOrEqual(5);
      expect(at.every((x, i) => i === 0 || x - (at[i - 1] ?? 0) >= 44)).toBe(true);
    }
  });

  it('says so when no run was killed', () => {
    expect(minutesPicture('slow', [completed])).toContain('no run was killed');
  });
});
