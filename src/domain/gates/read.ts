import type { EvidenceState, Reading } from '../decision.ts';
import type { Evidence, Stratum } from '../evidence.ts';
import { exposureOf } from '../exposure.ts';
import type { Looked } from '../looked.ts';
import type { Now } from '../now.ts';
import type { RolloutPlan } from '../plan.ts';
import type { Gate, GatePolicy } from '../policy.ts';
import type { Rollout, Streak } from '../rollout.ts';
import { findSignal, type Signal } from '../signal.ts';
import { concentrationOf } from './concentration.ts';
import { healthReadings, isCrossed, isImbalanced, sampleRatio } from './health.ts';
import { measure } from './measure.ts';
import { rampWaits } from './ramp.ts';
import { doubted, type Examined, errorReading, examine, located, readingOf } from './reading.ts';
import { frozenReferences } from './references.ts';
import { segmentsOf, type Wheres } from './segments.ts';
import { presenceOf } from './state.ts';
import { type GateEvidence, testGate } from './tests.ts';
import { combineTiers } from './tiers.ts';
import { type Views, viewsOf } from './views.ts';

export interface ReadInput {
  readonly evidence: Evidence;
  readonly policy: GatePolicy;
  readonly signals: readonly Signal[];
  readonly plan: RolloutPlan;
  readonly rollout: Rollout;
  /** A quick look reads kill gates and health alone. */
  readonly look: 'full' | 'quick';
  /** False leaves numbers and sentences out of what is read; verdicts are the same. */
  readonly detail: boolean;
  readonly now: Now;
}

/** What the evidence says of every gate that applies at the present exposure, of the comparison itself, and of a rise. */
export function readGates(input: ReadInput): Looked {
  const { evidence, policy, plan, rollout } = input;
  const { spec } = policy;
  const views = viewsOf(evidence.strata, rollout.state.epoch, stagesBelowFull(plan));
  const ratio = sampleRatio(evidence.strata, rollout.state, plan);
  const suspect = isImbalanced(ratio, spec.health) || isCrossed(evidence, spec.health);
  const known = spec.gates.map((gate) => ({ gate, signal: findSignal(gate.signal, input.signals) }));
  const declared = known.flatMap(({ gate, signal }) => (signal === null ? [] : [{ gate, signal }]));

  const exposure = exposureOf(rollout.state, plan);
  const applies = ({ gate }: { gate: Gate }): boolean =>
    gate.appliesTo.stages.from <= exposure &&
    exposure <= gate.appliesTo.stages.to &&
    (input.look === 'full' || gate.tier === 'kill');
  const examined = known
    .filter(applies)
    .map(({ gate, signal }) => attempt(gate, () => examine(gate, signal, { evidence, views, rollout, suspect, spec })));
  const heard = examined.flatMap((each) =>
    'text' in each || !each.enough || each.tests?.logE == null ? [] : [{ gate: each.gate, logE: each.tests.logE }],
  );
  const tiers = combineTiers(spec, heard);

  const window = Math.floor(evidence.asOf / evidence.bucketMs) * evidence.bucketMs;
  const streaks: { [gate: string]: Streak } = { ...rollout.progress.streaks };
  const readings = examined.map((each): Reading => {
    if ('text' in each) return each;
    const { reading, streak } = readingOf(each, tiers, spec, streaks[each.gate.name], window, input);
    streaks[each.gate.name] = streak;
    return scrutinized(reading, each, input, views);
  });

  const presences = new Map(
    examined.flatMap((each): [Signal, EvidenceState][] => ('text' in each ? [] : [[each.signal, each.presence.state]])),
  );
  const stateOfSignal = (signal: Signal): EvidenceState =>
    presenceOf(signal, evidence, views, rollout.references, 0, suspect, rollout.progress.stageEnteredAt).state;
  const core = coreSignals(declared).map((signal) => ({
    signal: signal.metadata.name,
    state: presences.get(signal) ?? stateOfSignal(signal),
  }));
  const controlBeyond = examined.flatMap((each) =>
    'text' in each || each.gate.tier !== 'kill' || each.tests?.controlToo !== true ? [] : [each.gate.name],
  );
  const health = healthReadings({ evidence, health: spec.health, ratio, core, controlBeyond, window });
  return {
    readings: [...readings, ...health],
    streaks,
    references: frozenReferences(evidence, rollout.references, declared),
    coreOk: core.every(({ state }) => state === 'ok'),
    rampWaits:
      input.look === 'quick'
        ? []
        : rampWaits({
            evidence,
            views,
            references: rollout.references,
            signals: unique(declared.filter(({ gate }) => gate.tier !== 'watch' && applies({ gate }))),
            minSamples: plan.spec.stages[rollout.state.stage]?.minSamples ?? 0,
            nextExposure: rollout.state.phase === 'completed' ? null : nextExposureOf(rollout, plan),
            caps: spec.harmCaps,
            detail: input.detail,
          }),
  };
}

/** Whether the breach could be one sender's work, and where it comes from. */
function scrutinized(reading: Reading, { gate, signal, measured }: Examined, input: ReadInput, views: Views): Reading {
  const { evidence, policy, rollout, plan } = input;
  const { references } = rollout;
  const { spec } = policy;
  if (measured === null) return reading;
  const fromEpoch = (): number => measured.shown().view.strata[0]?.epoch ?? 0;
  const wheres = (): Wheres =>
    segmentsOf({ evidence, signal, references, limits: spec.segments, all: views.all, fromEpoch: fromEpoch() });
  const seen = evidence.segments.length === 0 ? reading : located(reading, wheres());
  if (reading.verdict !== 'kill' || evidence.concentration === null) return seen;
  const readOn = (strata: readonly Stratum[]): Pick<GateEvidence, 'logE' | 'pointBreach'> => {
    const on = measure(gate, signal, evidence, viewsOf(strata, rollout.state.epoch, stagesBelowFull(plan)), references);
    return on === null
      ? { logE: null, pointBreach: false }
      : testGate(gate, signal, on, Math.log(1 / spec.errorControl.holdAlpha));
  };
  return doubted(seen, concentrationOf({ evidence, gate, signal, references, view: measured.shown().view, readOn }));
}

function stagesBelowFull(plan: RolloutPlan): number {
  return plan.spec.stages.filter(({ exposure }) => exposure < 100).length;
}

/** One gate that throws reads `error`, which blocks a rise; the others still read. */
function attempt(gate: Gate, examineIt: () => Examined): Examined | Reading {
  try {
    return examineIt();
  } catch (error) {
    return errorReading(gate, error instanceof Error ? error.message : String(error));
  }
}

function nextExposureOf(rollout: Rollout, plan: RolloutPlan): number | null {
  return plan.spec.stages[rollout.state.stage + 1]?.exposure ?? null;
}

function unique(declared: readonly { signal: Signal }[]): Signal[] {
  return [...new Set(declared.map(({ signal }) => signal))];
}

function coreSignals(declared: readonly { signal: Signal }[]): Signal[] {
  return unique(declared).filter((signal) => signal.spec.class === 'core');
}
