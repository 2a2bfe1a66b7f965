import type { Harm } from './population.ts';
import { type Power, powerOf } from './power.ts';
import type { Ending, RunResult } from './run-story.ts';
import type { Expectation, FaultStory } from './story.ts';

/** What one story came to over its seeds. */
export interface StoryReport {
  readonly story: string;
  readonly description: string;
  readonly seeds: number;
  readonly endings: { readonly [ending in Ending]: number };
  /** Runs in which the last stage was ever served. */
  readonly reachedLast: number;
  /** Share of runs killed, with its exact 95 % interval (Clopper & Pearson 1934). */
  readonly killed: { readonly share: number; readonly low: number; readonly high: number };
  /** From the first minute with the fault, over the runs that were killed; null where none was. */
  readonly minutesToKill: { readonly median: number; readonly p90: number } | null;
  /** Means over runs. */
  readonly exposed: number;
  readonly harm: Harm;
  readonly power: readonly Power[];
  /** What killed or holds, and in how many runs; the most frequent first. */
  readonly causes: readonly { readonly cause: string; readonly runs: number; readonly because: string }[];
  readonly expect: Expectation;
  readonly atLeast: number;
  /** Runs that ended as expected. */
  readonly asExpected: number;
  readonly ok: boolean;
}

export function reportOf(story: FaultStory, runs: readonly RunResult[], alpha: number): StoryReport {
  const { expect, atLeast, within } = story.spec;
  const count = (ending: Ending) => runs.filter((run) => run.ending === ending).length;
  const asExpected = runs.filter((run) => isAsExpected(run, expect, within)).length;
  const endings = {
    killed: count('killed'),
    held: count('held'),
    completed: count('completed'),
    unfinished: count('unfinished'),
  };
  return {
    story: story.metadata.name,
    description: story.metadata.description,
    seeds: runs.length,
    endings,
    reachedLast: runs.filter((run) => run.reachedLast).length,
    killed: { share: endings.killed / runs.length, ...interval(endings.killed, runs.length) },
    minutesToKill: spreadOf(runs.flatMap(({ minutesToKill }) => minutesToKill ?? [])),
    exposed: mean(runs.map(({ exposed }) => exposed)),
    harm: {
      errors: mean(runs.map(({ harm }) => harm.errors)),
      lcpMs: mean(runs.map(({ harm }) => harm.lcpMs)),
      conversions: mean(runs.map(({ harm }) => harm.conversions)),
      blank: mean(runs.map(({ harm }) => harm.blank)),
    },
    power: powerOf(
      runs.flatMap(({ information }) => information),
      { LCP: [0.015, 0.05, 0.1], errors: [0.2, 1] },
      alpha,
    ),
    causes: causesOf(runs),
    expect,
    atLeast,
    asExpected,
    ok: asExpected >= atLeast * runs.length - 1e-9,
  };
}

function isAsExpected(run: RunResult, expect: Expectation, within: number | null): boolean {
  switch (expect) {
    case 'killed':
      return run.ending === 'killed' && (within === null || (run.minutesToKill ?? 0) * 60_000 <= within);
    case 'held':
      return run.ending === 'held' || run.ending === 'killed';
    case 'completed':
      return run.ending === 'completed';
    case 'not_completed':
      return !run.reachedLast;
    case 'not_killed':
      return run.ending !== 'killed';
  }
}

function causesOf(runs: readonly RunResult[]): StoryReport['causes'] {
  const found = new Map<string, { runs: number; because: string }>();
  for (const { ending, cause, because } of runs) {
    if (cause === null) continue;
    const name = `${ending} by ${cause}`;
    const known = found.get(name);
    found.set(name, { runs: (known?.runs ?? 0) + 1, because: known?.because ?? because ?? '' });
  }
  return [...found].map(([cause, rest]) => ({ cause, ...rest })).toSorted((a, b) => b.runs - a.runs);
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Lower empirical quantiles, as histograms have them. */
function spreadOf(minutes: readonly number[]): { median: number; p90: number } | null {
  const sorted = minutes.toSorted((a, b) => a - b);
  const at = (q: number) => sorted[Math.floor(q * (sorted.length - 1))] ?? 0;
  return sorted.length === 0 ? null : { median: at(0.5), p90: at(0.9) };
}

/** Clopper & Pearson: shares at which so many, or so few, runs would still be seen with 2.5 %. */
export function interval(x: number, n: number): { low: number; high: number } {
  const atMost = (p: number, k: number) => {
    let chance = (1 - p) ** n;
    let sum = chance;
    for (let i = 1; i <= k; i++) {
      chance *= ((n - i + 1) / i) * (p / (1 - p));
      sum += chance;
    }
    return sum;
  };
  const solve = (isBelow: (p: number) => boolean) => {
    let [low, high] = [0, 1];
    for (let step = 0; step < 50; step++) {
      const middle = (low + high) / 2;
      if (isBelow(middle)) low = middle;
      else high = middle;
    }
    return low;
  };
  return {
    low: x === 0 ? 0 : solve((p) => 1 - atMost(p, x - 1) < 0.025),
    high: x === n ? 1 : solve((p) => atMost(p, x) > 0.025),
  };
}
