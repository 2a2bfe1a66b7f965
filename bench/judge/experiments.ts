import type { Evidence, Stratum } from '../../src/domain/evidence.ts';
import { judge } from '../../src/domain/judge.ts';
import { alone } from '../../src/lab/papers.ts';
import { begun, nowAt } from './ours.ts';
import { benchPapers } from './papers.ts';
import { zOf } from './repeated-z.ts';
import type { Checkpoint, Experiment } from './traces.ts';

export interface ExperimentVerdicts {
  /** By the judge, at some checkpoint: a kill, and a reading that would kill (guards may doubt it). */
  readonly killed: boolean;
  readonly worse: boolean;
  /** By a two-sided z-test at .05: at some checkpoint, and at the last one. */
  readonly zEver: boolean;
  readonly zAtEnd: boolean;
}

/**
 * A real experiment on conversion, looked at after every checkpoint. Nobody knows which of them are truly worse, so this
 * claims nothing but how often each method says so.
 */
export function judgeExperiment({ checkpoints }: Experiment): ExperimentVerdicts {
  const papers = benchPapers('conv');
  const half = papers.plan.spec.stages.findIndex(({ exposure }) => exposure === 50);
  const first = begun(papers, {}, half);
  let rollout = first;
  const strata: Stratum[] = [];
  const verdicts = { killed: false, worse: false, zEver: false, zAtEnd: false };
  for (const [i, checkpoint] of checkpoints.entries()) {
    const now = nowAt(60 * (i + 1));
    strata.push(stratumOf(checkpoint, checkpoints[i - 1], half, now.wall - 3_600_000));
    const evidence = evidenceOf(strata, now.wall);
    const judged = judge({ ...papers, evidence, rollout, world: alone, look: 'full', detail: false, now });
    if (judged.rollout.state.phase === 'killed') verdicts.killed = true;
    if (judged.looked.readings.some(({ verdict }) => verdict === 'kill')) verdicts.worse = true;
    // Whatever it decides, the experiment went on at 50 %.
    rollout = { ...first, progress: judged.rollout.progress, references: judged.rollout.references };
    verdicts.zAtEnd = zOf(moments(checkpoint.control), moments(checkpoint.treatment)) > 1.959964;
    verdicts.zEver ||= verdicts.zAtEnd;
  }
  return verdicts;
}

const moments = ({ n, x }: { n: number; x: number }) => ({ n, sum: x, sumSquares: x });

/** What came since the checkpoint before. */
function stratumOf(now: Checkpoint, before: Checkpoint | undefined, stage: number, hour: number): Stratum {
  const since = (arm: 'treatment' | 'control') => ({
    n: Math.max(0, now[arm].n - (before?.[arm].n ?? 0)),
    x: Math.max(0, now[arm].x - (before?.[arm].x ?? 0)),
  });
  const arms = { treatment: since('treatment'), control: since('control') };
  const cell = ({ n, x }: { n: number; x: number }) => ({
    counts: { issued: n, seen: n, exposed: n, views: n, starts: n, ends: n, 'conv:conv': x },
    metrics: {},
  });
  return {
    epoch: 1,
    stage,
    hour,
    treatment: cell(arms.treatment),
    control: cell(arms.control),
    mature: {
      treatment: { issued: arms.treatment.n, seen: arms.treatment.n },
      control: { issued: arms.control.n, seen: arms.control.n },
    },
    converted: { treatment: { conv: arms.treatment }, control: { conv: arms.control } },
  };
}

function evidenceOf(strata: readonly Stratum[], asOf: number): Evidence {
  return {
    asOf,
    bucketMs: 60_000,
    strata: [...strata],
    shards: {},
    units: {},
    shardCounts: {},
    concentration: null,
    segments: [],
    newest: { treatment: asOf, control: asOf },
    ingest: { accepted: 1000, invalid: 0, duplicate: 0, late: 0 },
    crossover: 0,
  };
}
