import { median } from '../harness.ts';
import { killAt, type LadderRun, peers } from './ladder.ts';
import type { JudgedRun, Moment } from './ours.ts';
import type { BenchWorld } from './worlds.ts';

/** The runs of one world. */
export interface WorldRuns {
  readonly name: string;
  readonly kind: BenchWorld['kind'];
  readonly ours: readonly JudgedRun[];
  readonly ladder: readonly LadderRun[];
}

/** How one method did in one world. */
export interface Standing {
  readonly method: string;
  readonly runs: number;
  readonly killed: number;
  readonly reachedFull: number;
  /** Medians over all runs: those never killed count as infinite. */
  readonly minutesToKill: number;
  readonly harmed: number;
  /** Medians over the killed runs; null without an oracle. */
  readonly timesOracle: { readonly minutes: number; readonly harmed: number } | null;
}

interface Ended {
  readonly killed: Moment | null;
  readonly reachedFull: boolean;
  readonly end: Moment;
  readonly oracle: Moment | null;
}

export const us = 'tidegate';

/** Ours, then every peer at its limit of `limits`, by index of `peers`. */
export function standingsOf({ ours, ladder }: WorldRuns, limits: readonly number[]): readonly Standing[] {
  const rivals = peers.map((peer, i) =>
    standingOf(
      peer.name,
      ladder.map(({ peaks, end, oracle }): Ended => {
        const killed = killAt(peaks[i] ?? [], limits[i] ?? peer.limit);
        return { killed, reachedFull: killed === null, end: killed ?? end, oracle };
      }),
    ),
  );
  return [standingOf(us, ours), ...rivals];
}

/** The oracle on the path that ours chose. */
export function oracleOf({ ours }: WorldRuns): Standing | null {
  if (ours.every(({ oracle }) => oracle === null)) return null;
  const ended = ours.map(({ oracle, end }) => ({
    killed: oracle,
    reachedFull: false,
    end: oracle ?? end,
    oracle,
  }));
  return standingOf('oracle, on the path of tidegate', ended);
}

function standingOf(method: string, runs: readonly Ended[]): Standing {
  const pairs = runs.flatMap(({ killed, oracle }) => (killed === null || oracle === null ? [] : [{ killed, oracle }]));
  return {
    method,
    runs: runs.length,
    killed: runs.filter(({ killed }) => killed !== null).length,
    reachedFull: runs.filter(({ reachedFull }) => reachedFull).length,
    minutesToKill: median(runs.map(({ killed }) => killed?.minute ?? Number.POSITIVE_INFINITY)),
    harmed: median(runs.map(({ end }) => end.harmed)),
    timesOracle:
      pairs.length === 0
        ? null
        : {
            minutes: median(pairs.map(({ killed, oracle }) => killed.minute / oracle.minute)),
            harmed: median(pairs.map(({ killed, oracle }) => killed.harmed / Math.max(1, oracle.harmed))),
          },
  };
}

export const publishedLimits = peers.map(({ limit }) => limit);

/** The limits at which each peer makes no more false kills, as a share of the harmless runs, than ours. */
export function fairLimits(worlds: readonly WorldRuns[]): readonly number[] {
  const harmless = worlds.filter(({ kind }) => kind === 'harmless');
  const share = falseKills(worlds, publishedLimits)[0] ?? 0;
  return peers.map((_, i) => {
    const highest = harmless
      .flatMap(({ ladder }) => ladder.map(({ peaks }) => peaks[i]?.at(-1)?.score ?? 0))
      .toSorted((a, b) => b - a);
    const allowed = Math.floor(share * highest.length);
    // Just above the highest score that must not kill any more.
    return (highest[allowed] ?? 0) * (1 + 1e-9) + 1e-12;
  });
}

/** Share of the harmless runs that were killed: ours, then the peers. */
export function falseKills(worlds: readonly WorldRuns[], limits: readonly number[]): readonly number[] {
  const harmless = worlds.filter(({ kind }) => kind === 'harmless').map((world) => standingsOf(world, limits));
  return [us, ...peers.map(({ name }) => name)].map((method) => {
    const own = harmless.flatMap((standings) => standings.filter((standing) => standing.method === method));
    const [killed, runs] = [sum(own.map((each) => each.killed)), sum(own.map((each) => each.runs))];
    return runs === 0 ? 0 : killed / runs;
  });
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

/** 95 % interval of a share (Wilson 1927). */
export function wilson(hits: number, of: number): readonly [low: number, high: number] {
  const z2 = 1.96 * 1.96;
  const middle = (hits + z2 / 2) / (of + z2);
  const half = (1.96 / (of + z2)) * Math.sqrt((hits * (of - hits)) / of + z2 / 4);
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
