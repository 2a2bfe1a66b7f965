/**
 * How a benchmark is written and measured.
 *
 * A bench file exports `bench: Bench`, and `bench/run.ts` finds it by its file name:
 *
 * ```ts
 * import type { Bench } from './harness.ts';
 *
 * export const bench: Bench = {
 *   name: 'OFREP single',
 *   async setUp() {
 *     const server = await start();
 *     return {
 *       contests: [
 *         {
 *           name: 'POST /ofrep/v1/evaluate/flags/{key}',
 *           times: 2_000,                                   // calls per round, some 50 ms of CPU or more
 *           contenders: [
 *             { name: 'tidegate', run: (times) => request(server, times) },   // the first is what we build ...
 *             { name: 'bare node:http', run: (times) => request(bare, times) },       // ... the others its rivals
 *           ],
 *         },
 *       ],
 *       tearDown: () => server.close(),
 *     };
 *   },
 * };
 * ```
 *
 * `run(times)` does the work that often, synchronously or not. It should use its results (return a checksum), so that
 * no compiler removes the work. Rounds of all contenders are interleaved, so that a noisy neighbour hits each of them;
 * what counts is the median of a contender's CPU time per call (user + system, of this process). A contender whose
 * work happens in another process hands it out itself: `run` may return `{ cpuMicros }` instead.
 */
export interface Bench {
  readonly name: string;
  setUp(): Promise<BenchRun> | BenchRun;
}

export interface BenchRun {
  readonly contests: readonly Contest[];
  tearDown?(): Promise<void> | void;
}

export interface Contest {
  readonly name: string;
  /** Calls per round. */
  readonly times: number;
  /** Ours first. */
  readonly contenders: readonly [Contender, Contender, ...Contender[]];
}

/** A checksum, nothing, or CPU time in microseconds measured elsewhere. */
export type RunResult = number | undefined | { readonly cpuMicros: number };

export interface Contender {
  readonly name: string;
  run(times: number): RunResult | Promise<RunResult>;
}

export interface Standing {
  readonly contest: string;
  readonly contender: string;
  /** Median CPU time of one call, microseconds. */
  readonly micros: number;
  /** `micros` of this contender over that of the first: above 1, ours is the cheaper one. */
  readonly ratio: number;
}

const rounds = 11;

export async function measure(contest: Contest): Promise<readonly Standing[]> {
  const samples = contest.contenders.map((): number[] => []);
  // The first round warms up and is thrown away.
  for (let round = 0; round <= rounds; round++) {
    for (const [index, contender] of contest.contenders.entries()) {
      const micros = await cpuOf(contender, contest.times);
      if (round > 0) samples[index]?.push(micros / contest.times);
    }
  }
  const medians = samples.map(median);
  const ours = medians[0] ?? 0;
  return contest.contenders.map((contender, index) => {
    const micros = medians[index] ?? 0;
    return { contest: contest.name, contender: contender.name, micros, ratio: micros / ours };
  });
}

async function cpuOf(contender: Contender, times: number): Promise<number> {
  const before = process.cpuUsage();
  const result = await contender.run(times);
  const { user, system } = process.cpuUsage(before);
  return typeof result === 'object' ? result.cpuMicros : user + system;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1] ?? 0;
  const high = sorted[Math.floor(middle)] ?? low;
  return (low + high) / 2;
}
