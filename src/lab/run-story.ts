import type { Evidence } from '../domain/evidence.ts';
import { allocationOf, exposureOf } from '../domain/exposure.ts';
import { type Judged, judge } from '../domain/judge.ts';
import type { Now } from '../domain/now.ts';
import type { Rollout } from '../domain/rollout.ts';
import { type Book, createBook } from './book.ts';
import { alone, conversionsOf, matureLagOf, type Papers, submitted, vitalsOf } from './papers.ts';
import { createPopulation, type Harm, type Population } from './population.ts';
import { type Information, informationIn } from './power.ts';
import type { FaultStory } from './story.ts';
import { createWorld, type Minute } from './world.ts';

/** How one simulated rollout ended. `completed`: it reached its last stage and was neither killed nor held there. */
export type Ending = 'killed' | 'held' | 'completed' | 'unfinished';

export interface RunResult {
  readonly seed: number;
  readonly ending: Ending;
  /** Whether its last stage was ever served. */
  readonly reachedLast: boolean;
  /** From the first minute with the fault to the kill (or the first hold that lasted to the end), minutes. */
  readonly minutesToKill: number | null;
  readonly minutesToHold: number | null;
  /** Length of the run, minutes. */
  readonly minutes: number;
  /** `gate:errors-kill` and its sentence, of what ended or holds it. */
  readonly cause: string | null;
  readonly because: string | null;
  /** Units that were served the treatment. */
  readonly exposed: number;
  readonly harm: Harm;
  /** Percent served, whenever it changed: minute, exposure. */
  readonly path: readonly (readonly [minute: number, exposure: number])[];
  readonly information: readonly Information[];
}

/** A story ready to be told with any number of seeds. */
export interface Telling {
  readonly papers: Papers;
  readonly story: FaultStory;
  readonly population: Population;
  readonly conversions: ReadonlyMap<string, number>;
  readonly days: number;
}

/** Monday 2026-11-02 10:00 UTC. */
const startAt = 1_793_613_600_000;
const minuteMs = 60_000;
const fullLookEvery = 5;

export function tellingOf(papers: Papers, story: FaultStory, days: number, seed: number): Telling {
  const conversions = conversionsOf(papers);
  const { world, fault } = story.spec;
  // LCP is drawn whether or not somebody looks: it is what slow pages cost.
  const vitals = new Set([...vitalsOf(papers), 'LCP' as const]);
  const population = createPopulation({ world, fault, vitals, conversions: conversions.size }, seed);
  return { papers, story, population, conversions, days };
}

/** One rollout of the plan in the story's world, looked at every minute as the controller would. */
export function runStory({ papers, population, conversions, days }: Telling, seed: number): RunResult {
  const world = createWorld(population, seed, startAt);
  const book = createBook({ bucketMs: minuteMs, conversions, watched: world.watched });
  const references = Object.fromEntries(
    Object.entries(population.references).map(([metric, bins]) => [metric, { bins, since: startAt }]),
  );
  const lag = matureLagOf(papers);
  const last = papers.plan.spec.stages.length - 1;
  const sum = { errors: 0, lcpMs: 0, conversions: 0, blank: 0 };
  const path: [number, number][] = [];
  let rollout = submitted(papers, references, nowAt(0));
  let ended: { because: Judged['outcome']; minute: number } | null = null;
  let evidence: Evidence | null = null;
  let [exposed, reachedLast, metAt, minute] = [0, false, -1, 0];

  for (; minute < days * 1440 && !isOver(rollout); minute++) {
    const { state } = rollout;
    const drawn = world.minute(startAt + minute * minuteMs, allocationOf(state, papers.plan));
    bookMinute(book, rollout, drawn);
    const exposure = exposureOf(state, papers.plan);
    if (exposure > 0) {
      exposed += drawn.treatment.visits.length;
      for (const { unit } of drawn.treatment.visits) addHarm(sum, unit.harm);
      if (drawn.faulty && metAt < 0) metAt = minute;
    }
    if (path.at(-1)?.[1] !== exposure) path.push([minute, exposure]);
    const now = nowAt(minute + 1);
    const about = { epoch: state.epoch, matureLagMs: lag, references: rollout.references };
    evidence = book.evidence(now.wall, about);
    const look = minute % fullLookEvery === fullLookEvery - 1 ? ('full' as const) : ('quick' as const);
    const question = { ...papers, evidence, rollout, world: alone, look, now };
    const judged = judge({ ...question, detail: false });
    if (judged.rollout.state.stage === last) reachedLast = true;
    if (judged.outcome.transition !== null && stops(judged.rollout))
      ended = { because: judge({ ...question, detail: true }).outcome, minute: minute + 1 };
    rollout = judged.rollout;
  }
  path.push([minute, exposureOf(rollout.state, papers.plan)]);
  const ending = endingOf(rollout, last);
  const took = ended === null ? null : ended.minute - Math.max(0, metAt);
  return {
    seed,
    ending,
    reachedLast,
    minutesToKill: ending === 'killed' ? took : null,
    minutesToHold: ending === 'held' ? took : null,
    minutes: minute,
    cause: stops(rollout) ? (ended?.because.cause ?? null) : null,
    because: stops(rollout) ? (ended?.because.because ?? null) : null,
    exposed,
    harm: sum,
    path,
    information: evidence === null ? [] : informationIn(evidence, path),
  };
}

function nowAt(minute: number): Now {
  return { wall: startAt + minute * minuteMs, mono: minute * minuteMs, boot: 'simulation' };
}

function bookMinute(book: Book, { state }: Rollout, { treatment, control }: Minute): void {
  const { epoch, stage } = state;
  const arms = [
    [{ epoch, stage, arm: 'treatment' as const }, treatment],
    [{ epoch, stage, arm: 'control' as const }, control],
  ] as const;
  for (const [to, { visits }] of arms)
    for (const { at, unit, shift, network } of visits) book.visit(to, at, unit, shift, network);
}

function addHarm(sum: { -readonly [part in keyof Harm]: number }, harm: Harm): void {
  sum.errors += harm.errors;
  sum.lcpMs += harm.lcpMs;
  sum.conversions += harm.conversions;
  sum.blank += harm.blank;
}

/** Nothing more happens by itself. A completed rollout is watched on by the controller, not here. */
function isOver({ state }: Rollout): boolean {
  return ['killed', 'cancelled', 'completed'].includes(state.phase);
}

function stops({ state }: Rollout): boolean {
  return ['killed', 'cancelled', 'held'].includes(state.phase);
}

function endingOf({ state }: Rollout, last: number): Ending {
  if (state.phase === 'killed') return 'killed';
  if (state.phase === 'held' || state.phase === 'cancelled') return 'held';
  return state.stage === last ? 'completed' : 'unfinished';
}
