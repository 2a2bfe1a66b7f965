import type { Evidence } from '../domain/evidence.ts';
import { type Judged, judge } from '../domain/judge.ts';
import type { Now } from '../domain/now.ts';
import type { Rollout } from '../domain/rollout.ts';
import { findSignal } from '../domain/signal.ts';
import type { ControlStore } from '../store/store.ts';
import { type EvidenceReader, stagesOf } from './evidence.ts';
import type { Library, Papers } from './library.ts';
import { type WorldStore, worldOf } from './world.ts';

export interface LookDeps {
  readonly store: WorldStore;
  readonly stages: StagesOfEpoch;
  readonly library: Library;
  readonly evidence: Pick<EvidenceReader, 'read'>;
}

/** One look at one rollout: what was read, and what the judge made of it. Nothing is changed. */
export interface Look {
  readonly papers: Papers;
  readonly evidence: Evidence;
  /** Verdicts alone: what most looks are for. */
  readonly judged: Judged;
  /** The same with its numbers and sentences, made when somebody asks: they cost ten times the verdicts. */
  told(): Judged;
}

/** Which stage each epoch of a rollout belonged to. */
export type StagesOfEpoch = (rollout: Rollout) => Promise<ReadonlyMap<number, number>>;

/** Read once from the rollout's decisions, then kept up to date by what passes through. */
export function createStages(store: Pick<ControlStore, 'decisions'>): StagesOfEpoch {
  const known = new Map<string, Map<number, number>>();
  return async ({ id, state }) => {
    const stages = known.get(id) ?? new Map(stagesOf(await store.decisions({ rollout: id, limit: 500 })));
    stages.set(state.epoch, state.stage);
    known.set(id, stages);
    return stages;
  };
}

/** Silence counts units only once they may be expected to have spoken. */
function matureLagOf({ policy, signals }: Papers): number {
  const watched = policy.spec.gates.map((gate) => findSignal(gate.signal, signals));
  const lags = watched.map((signal) =>
    signal?.spec.source.event === 'silence' ? signal.spec.freshness.expectedLag : 0,
  );
  return Math.max(0, ...lags);
}

/** How long the units of each conversion need before they count, ms: of two signals that disagree, the longer. */
function maturitiesOf({ policy, signals }: Papers): ReadonlyMap<string, number> {
  const maturities = new Map<string, number>();
  for (const { signal: reference } of policy.spec.gates) {
    const signal = findSignal(reference, signals);
    if (signal?.spec.source.event !== 'conversion') continue;
    const { field } = signal.spec.source;
    maturities.set(field, Math.max(signal.spec.maturity, maturities.get(field) ?? 0));
  }
  return maturities;
}

/** What the judge is given when nothing can be read: it finds no data, so it lowers or holds and never raises. */
export function noEvidence(now: Now): Evidence {
  return {
    asOf: now.wall,
    bucketMs: 60_000,
    strata: [],
    shards: {},
    units: {},
    shardCounts: {},
    concentration: null,
    segments: [],
    newest: { treatment: null, control: null },
    ingest: { accepted: 0, invalid: 0, duplicate: 0, late: 0 },
    crossover: 0,
  };
}

/** Gathers, then judges. `quick` looks may lower or hold, never raise. `segments`: also says where. */
export async function lookAt(
  deps: LookDeps,
  rollout: Rollout,
  kind: 'full' | 'quick',
  now: Now,
  segments = false,
): Promise<Look> {
  const papers = await deps.library.papers(rollout);
  const [world, evidence] = await Promise.all([
    worldOf(deps.store, rollout, papers.plan, now.wall),
    deps
      .stages(rollout)
      .then((stages) =>
        deps.evidence.read(rollout, stages, matureLagOf(papers), now, { maturities: maturitiesOf(papers), segments }),
      ),
  ]);
  const question = { ...papers, evidence, rollout, world, look: kind, now };
  let told: Judged | null = null;
  return {
    papers,
    evidence,
    judged: judge({ ...question, detail: false }),
    told() {
      told ??= judge({ ...question, detail: true });
      return told;
    },
  };
}
