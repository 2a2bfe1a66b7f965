import { slots } from '../../src/domain/exposure.ts';
import { createCounter } from './counted.ts';
import { growthBook } from './growthbook.ts';
import { mannWhitney } from './mann-whitney.ts';
import { msprt } from './msprt.ts';
import { nFailures } from './n-failures.ts';
import { createOracle, poolTotals } from './oracle.ts';
import type { Moment } from './ours.ts';
import { type History, type Peer, p75Of } from './peer.ts';
import { repeatedZ } from './repeated-z.ts';
import { type BenchWorld, startAt } from './worlds.ts';

export const peers: readonly Peer[] = [repeatedZ, nFailures, mannWhitney, growthBook, msprt];

/** The peers do not ramp by themselves: percent, and minutes there. After the last one they serve 100 %. */
const ladder = [
  { percent: 1, minutes: 30 },
  { percent: 5, minutes: 60 },
  { percent: 25, minutes: 120 },
  { percent: 50, minutes: 240 },
] as const;

/** A score that no earlier one reached: whatever the limit, these are the moments at which it is first passed. */
export interface Peak extends Moment {
  readonly score: number;
}

export interface LadderRun {
  /** By index of `peers`. */
  readonly peaks: readonly (readonly Peak[])[];
  /** Units exposed by the time 100 % is reached. */
  readonly end: Moment;
  readonly oracle: Moment | null;
}

/** One rollout up the ladder, judged by every peer at once: none of them changes what the others see. */
export function runLadder({ population, oracle: sees, open }: BenchWorld, seed: number): LadderRun {
  const world = open(seed);
  const history = historyOf(population.plain);
  const judges = peers.map((peer) => ({ see: peer.begin(history), peaks: [] as Peak[] }));
  const oracle = createOracle(population, sees);
  const count = { treatment: createCounter(), control: createCounter(), matched: createCounter() };
  let [minute, exposed] = [0, 0];
  let foreseen: Moment | null = null;
  for (const { percent, minutes } of ladder)
    for (let left = minutes; left > 0; left--) {
      const at = startAt + minute * 60_000;
      const share = percent / 100;
      const drawn = world.minute(at, {
        treatment: slots * share,
        control: slots * (1 - share),
        labelled: 0,
        holdback: 0,
      });
      minute += 1;
      exposed += drawn.treatment.visits.length;
      const others = drawn.control.visits;
      const seen = {
        treatment: count.treatment(drawn.treatment.visits),
        control: count.control(others),
        matched: count.matched(others.slice(0, Math.round((others.length * share) / (1 - share)))),
      };
      for (const { see, peaks } of judges) {
        const score = see(seen);
        if (score > (peaks.at(-1)?.score ?? 0)) peaks.push({ minute, harmed: exposed, score });
      }
      const stratum = `${percent} ${Math.floor(at / 3_600_000)}`;
      if (oracle !== null && foreseen === null && drawn.faulty && oracle(stratum, seen.treatment, seen.control))
        foreseen = { minute, harmed: exposed };
    }
  return { peaks: judges.map(({ peaks }) => peaks), end: { minute, harmed: exposed }, oracle: foreseen };
}

function historyOf(plain: BenchWorld['population']['plain']): History {
  const { lcp, errViews, views } = poolTotals(plain);
  return { p75: p75Of(lcp) ?? 0, errors: errViews / views };
}

/** When a peer with this limit kills; null = it reaches 100 %. */
export function killAt(peaks: readonly Peak[], limit: number): Moment | null {
  return peaks.find(({ score }) => score >= limit) ?? null;
}
