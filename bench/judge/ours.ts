import { allocationOf } from '../../src/domain/exposure.ts';
import { newRollout } from '../../src/domain/initial.ts';
import { judge } from '../../src/domain/judge.ts';
import type { Now } from '../../src/domain/now.ts';
import type { Rollout } from '../../src/domain/rollout.ts';
import { createBook } from '../../src/lab/book.ts';
import { alone, conversionsOf, matureLagOf, type Papers } from '../../src/lab/papers.ts';
import type { Population } from '../../src/lab/population.ts';
import type { Minute } from '../../src/lab/world.ts';
import { createCounter } from './counted.ts';
import { createOracle } from './oracle.ts';
import { type BenchWorld, startAt } from './worlds.ts';

/** When something happened: minutes after the start, and units exposed until then. */
export interface Moment {
  readonly minute: number;
  readonly harmed: number;
}

export interface JudgedRun {
  readonly killed: Moment | null;
  readonly reachedFull: boolean;
  /** Neither killed nor at 100 % when the run ended. */
  readonly stopped: boolean;
  /** Gate or guard that ended it, or what it waits for. */
  readonly cause: string;
  /** Minute at which each stage was entered, by index, as far as it came. */
  readonly entered: readonly number[];
  /** Minutes until the rollout ended, or was left to a person, and units exposed until then. */
  readonly end: Moment;
  /** When the oracle would have killed, on the same minutes; null where it never did, or has nothing to kill for. */
  readonly oracle: Moment | null;
}

export const twoDays = 2 * 24 * 60;
const minuteMs = 60_000;
const fullLookEvery = 5;

export function nowAt(minute: number): Now {
  return { wall: startAt + minute * minuteMs, mono: minute * minuteMs, boot: 'bench' };
}

/** A rollout that enters a stage this minute, with a day of history behind it. */
export function begun({ plan, policy }: Papers, history: Population['references'], stage = 0): Rollout {
  const references = Object.fromEntries(
    Object.entries(history).map(([metric, bins]) => [metric, { bins, since: startAt }]),
  );
  const rollout = newRollout({
    id: 'r_bench00000',
    shortId: 1,
    plan,
    revision: 1,
    policy: `${policy.metadata.name}@${policy.metadata.version}`,
    environment: 'bench',
    wave: null,
    author: 'bench',
    now: nowAt(0),
  });
  return {
    ...rollout,
    startedAt: startAt,
    references,
    state: { ...rollout.state, phase: 'ramping', stage, epoch: 1, version: 2 },
  };
}

/**
 * The product's judge on the evidence of one simulated rollout: a look a minute, a full one every fifth, until it kills,
 * reaches 100 %, or `limit` minutes have passed. The oracle sees the same minutes; where it is the slower one, the
 * exposure stays as it was at the kill until it has decided too.
 */
export function runOurs(
  papers: Papers,
  { population, oracle: sees, open }: Pick<BenchWorld, 'population' | 'oracle' | 'open'>,
  seed: number,
  limit: number,
): JudgedRun {
  const { plan } = papers;
  const world = open(seed);
  const book = createBook({ bucketMs: minuteMs, conversions: conversionsOf(papers) });
  const matureLagMs = matureLagOf(papers);
  const oracle = createOracle(population, sees);
  const count = { treatment: createCounter(), control: createCounter() };
  const last = plan.spec.stages.length - 1;
  let rollout = begun(papers, population.references);
  /** What is served: after a kill, what was. */
  let served = rollout.state;
  let exposed = 0;
  let ended: Moment | null = null;
  let foreseen: Moment | null = null;
  let cause = '';
  const entered = [0];

  for (let minute = 1; minute <= limit; minute++) {
    const state = served;
    const at = startAt + (minute - 1) * minuteMs;
    const drawn = world.minute(at, allocationOf(state, plan));
    exposed += drawn.treatment.visits.length;
    if (oracle !== null && foreseen === null) {
      const [treatment, control] = [count.treatment(drawn.treatment.visits), count.control(drawn.control.visits)];
      const stratum = `${state.epoch} ${Math.floor(at / 3_600_000)}`;
      if (drawn.faulty && oracle(stratum, treatment, control)) foreseen = { minute, harmed: exposed };
    }
    if (ended === null) {
      bookMinute(state, drawn);
      const now = nowAt(minute);
      const evidence = book.evidence(now.wall, { epoch: state.epoch, matureLagMs, references: rollout.references });
      const look = minute % fullLookEvery === 0 ? ('full' as const) : ('quick' as const);
      const judged = judge({ ...papers, evidence, rollout, world: alone, look, detail: false, now });
      // What is held by itself goes on by itself: the exposure stays, and the looks go on.
      if (judged.outcome.transition !== null) cause = judged.outcome.cause;
      rollout = judged.rollout;
      entered[rollout.state.stage] ??= minute;
      if (isOver(rollout, last)) ended = { minute, harmed: exposed };
      if (rollout.state.phase !== 'killed') served = rollout.state;
    }
    const waitsForOracle = oracle !== null && foreseen === null && rollout.state.phase === 'killed';
    if (ended !== null && !waitsForOracle) break;
  }
  const end = ended ?? { minute: limit, harmed: exposed };
  const isKilled = rollout.state.phase === 'killed';
  const reachedFull = rollout.state.stage === last && !isKilled;
  return {
    killed: isKilled ? end : null,
    reachedFull,
    stopped: !isKilled && !reachedFull,
    cause: isKilled ? cause : `${rollout.state.phase} ${cause}`,
    entered,
    end,
    oracle: foreseen,
  };

  function bookMinute({ epoch, stage }: Rollout['state'], { treatment, control }: Minute): void {
    for (const { at, unit, shift } of treatment.visits) book.visit({ epoch, stage, arm: 'treatment' }, at, unit, shift);
    for (const { at, unit, shift } of control.visits) book.visit({ epoch, stage, arm: 'control' }, at, unit, shift);
  }
}

/** Killed, at 100 %, or held until a person comes. */
function isOver({ state }: Rollout, last: number): boolean {
  return state.phase === 'killed' || state.stage === last || (state.phase === 'held' && state.sticky);
}
