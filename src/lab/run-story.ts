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
import { createWorld, type Drawn } from './world.ts';

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
/** Minutes between full looks, and between any looks once a stage is older than `closelyFor` minutes. */
const fullLookEvery = 5;
const closelyFor = 120;

export function tellingOf(papers: Papers, story: FaultStory, days: number, seed: number): Telling {
  const conversions = conversionsOf(papers);
  const { world, fault } = story.spec;
  // LCP is drawn whether or not somebody looks: it is what slow pages cost.
  const vitals = new Set([...vitalsOf(papers), 'LCP' as const]);
  const population = createPopulation({ world, fault, vitals, conversions: conversions.size }, seed);
  return { papers, story, population, conversions, days };
}

/**
 * One rollout of the plan in the story's world. The first two hours of each stage are looked at every minute, and so is
 * whatever a kill gate sees a breach in; the rest every fifth minute, so that a kill may come up to 4 minutes later than
 * a controller's that looks every minute.
 */
export function runStory({ papers, population, conversions, days }: Telling, seed: number): RunResult {
  const world = createWorld(population, seed, startAt);
  const book = createBook({ bucketMs: minuteMs, conversions, watched: world.watched });
  const references = Object.fromEntries(
    Object.entries(population.references).map(([metric, bins]) => [metric, { bins, since: startAt }]),
  );
  const lag = matureLagOf(papers);
  const last = papers.plan.spec.stages.length - 1;
  const killGates = papers.policy.spec.gates.filter(({ tier }) => tier === 'kill').map(({ name }) => name);
  const sum = { errors: 0, lcpMs: 0, conversions: 0, blank: 0 };
  const path: [number, number][] = [];
  let rollout = submitted(papers, references, nowAt(0));
  let ended: { because: Judged['outcome']; minute: number } | null = null;
  let evidence: Evidence | null = null;
  let [exposed, reachedLast, metAt, minute] = [0, false, -1, 0];
  let [epoch, epochAt] = [-1, 0];

  for (; minute < days * 1440 && !isOver(rollout); minute++) {
    const { state } = rollout;
    const at = startAt + minute * minuteMs;
    const drawn = world.draw(at, allocationOf(state, papers.plan));
    bookMinute(book, rollout, population, at, drawn);
    const exposure = exposureOf(state, papers.plan);
    if (exposure > 0) {
      exposed += drawn.treatment.n;
      addHarm(sum, population, drawn);
      if (drawn.faulty && metAt < 0) metAt = minute;
    }
    if (path.at(-1)?.[1] !== exposure) path.push([minute, exposure]);
    if (state.epoch !== epoch) [epoch, epochAt] = [state.epoch, minute];
    const isFull = minute % fullLookEvery === fullLookEvery - 1;
    if (!isFull && minute - epochAt >= closelyFor && !inBreach(rollout, killGates)) continue;
    const now = nowAt(minute + 1);
    const about = { epoch: state.epoch, matureLagMs: lag, references: rollout.references };
    evidence = book.evidence(now.wall, about);
    const look = isFull ? ('full' as const) : ('quick' as const);
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

function bookMinute(
  book: Book,
  { state: { epoch, stage } }: Rollout,
  { roster }: Population,
  at: number,
  { treatment, control }: Drawn,
): void {
  book.visitAll({ epoch, stage, arm: 'treatment' }, at, roster, treatment);
  book.visitAll({ epoch, stage, arm: 'control' }, at, roster, control);
}

/** A gate that wants several windows in a row gets them one after the other. */
function inBreach({ progress: { streaks } }: Rollout, gates: readonly string[]): boolean {
  return gates.some((gate) => (streaks[gate]?.breach ?? 0) > 0);
}

type Sum = { -readonly [part in keyof Harm]: number };

function addHarm(sum: Sum, { plain, everybody }: Population, { treatment: { n, who } }: Drawn): void {
  for (let i = 0; i < n; i++) {
    const index = who[i] ?? 0;
    // Units without the fault are harmed by nothing.
    const unit = index < plain.length ? undefined : everybody[index];
    if (unit === undefined) continue;
    sum.errors += unit.harm.errors;
    sum.lcpMs += unit.harm.lcpMs;
    sum.conversions += unit.harm.conversions;
    sum.blank += unit.harm.blank;
  }
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
