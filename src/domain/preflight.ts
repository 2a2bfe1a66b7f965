import type { Reading } from './decision.ts';
import type { Evidence, EvidenceArm, Stratum } from './evidence.ts';
import { allocationOf } from './exposure.ts';
import { blankReading } from './gates/blank.ts';
import type { Looked } from './looked.ts';
import type { PreflightCheck, RolloutPlan } from './plan.ts';
import type { GatePolicy } from './policy.ts';
import { isHealth } from './question.ts';
import { type Reliability, reliabilityOf } from './reliability.ts';
import type { Rollout } from './rollout.ts';
import { findSignal, type Signal } from './signal.ts';
import { sampleRatioLogE } from './stats/sample-ratio.ts';

export interface PreflightInput {
  readonly evidence: Evidence;
  readonly policy: GatePolicy;
  readonly signals: readonly Signal[];
  readonly plan: RolloutPlan;
  readonly rollout: Rollout;
}

/** One thing that must be true, and what was found. */
interface Found {
  readonly ok: boolean;
  readonly text: string;
  /** Units that it is about. */
  readonly units?: PerArm;
}

type PerArm = { readonly [arm in EvidenceArm]: number };

/** Mature units per arm below which a share of them is noise: then one that is heard of is enough. */
const measurableUnits = 50;
/** As in the sample ratio of a rollout (stats.md §11). */
const kappa = 100;
/** Messages below which a share of bad ones is noise. */
const measurableMessages = 100;

/**
 * What a look says in a preflight: the checks that the plan names, the reliability, and with `aa` whether the gates find
 * both arms alike. Gates and health speak in `aa` only: with `checks`, the arms are there to be counted, not compared.
 */
export function preflightLook(input: PreflightInput, looked: Looked): Looked {
  const { mode, checks } = input.plan.spec.preflight;
  const strata = input.evidence.strata.filter(({ epoch }) => epoch === input.rollout.state.epoch);
  const asked = { ...input, strata, looked };
  const own = [
    ...checks.map((name) => readingOf(name, finders[name](asked))),
    reliabilityReading(asked),
    ...(mode === 'aa' ? [readingOf('arms_alike', alike(looked))] : []),
  ];
  return { ...looked, readings: mode === 'aa' ? [...own, ...looked.readings] : own };
}

interface Asked extends PreflightInput {
  /** Of the present epoch. */
  readonly strata: readonly Stratum[];
  readonly looked: Looked;
}

const finders: { readonly [name in PreflightCheck]: (asked: Asked) => Found } = {
  flag_evaluated: ({ strata }) => someUnits(sums(strata, 'issued'), 'were given the flag'),
  exposures_received: ({ strata }) => someUnits(sums(strata, 'exposed'), 'reported that their page asked for the flag'),
  beacons_joined: joined,
  signals_fresh: ({ looked }) => ({
    ok: looked.coreOk,
    text: looked.readings.find(({ gate }) => gate === 'health.noData')?.text ?? 'core signals of both arms',
  }),
  arms_balanced: balanced,
};

function sums(strata: readonly Stratum[], count: string): PerArm {
  const of = (arm: EvidenceArm) => strata.reduce((sum, stratum) => sum + (stratum[arm].counts[count] ?? 0), 0);
  return { treatment: of('treatment'), control: of('control') };
}

function someUnits(units: PerArm, did: string): Found {
  const text = `${units.treatment} units named treatment and ${units.control} of control ${did}`;
  return { ok: Math.min(units.treatment, units.control) > 0, text, units };
}

/** Units that a beacon came from, of those that were issued long enough ago. */
function joins({ strata }: Asked): { readonly issued: PerArm; readonly share: PerArm } {
  const of = (arm: EvidenceArm, what: 'issued' | 'seen') =>
    strata.reduce((sum, { mature }) => sum + mature[arm][what], 0);
  const issued = { treatment: of('treatment', 'issued'), control: of('control', 'issued') };
  const share = (arm: EvidenceArm) => (issued[arm] === 0 ? 0 : Math.min(1, of(arm, 'seen') / issued[arm]));
  return { issued, share: { treatment: share('treatment'), control: share('control') } };
}

/** The core signals that gates watch; all that they watch, where none of them is core. */
function coreSignals({ policy, signals }: PreflightInput): readonly Signal[] {
  const named = [...new Set(policy.spec.gates.flatMap((gate) => findSignal(gate.signal, signals) ?? []))];
  const core = named.filter(({ spec }) => spec.class === 'core');
  return core.length > 0 ? core : named;
}

/** Share of the issued units that must be heard of: what the most demanding core signal expects. */
function coverageAsked(input: PreflightInput): number {
  return Math.max(0, ...coreSignals(input).map(({ spec }) => spec.sampling.minCoverage));
}

function joined(asked: Asked): Found {
  const { issued, share } = joins(asked);
  const least = Math.min(share.treatment, share.control);
  const target = coverageAsked(asked);
  const isMeasurable = Math.min(issued.treatment, issued.control) >= measurableUnits;
  return {
    ok: least > 0 && (!isMeasurable || least >= target),
    text: `beacons came from ${percent(share.treatment)} of the units named treatment and ${percent(share.control)} of control, at least ${percent(target)} is asked`,
    units: issued,
  };
}

/** Issued units tell of a faulty assignment, received ones of beacons that are lost in one arm only. */
function balanced({ strata, rollout, plan, policy }: Asked): Found {
  const { labelled, control, holdback } = allocationOf({ ...rollout.state, phase: 'preflight' }, plan);
  const expected = labelled / (labelled + control + holdback);
  const { alpha } = policy.spec.health.sampleRatio;
  const issued = sums(strata, 'issued');
  const total = issued.treatment + issued.control;
  // Without a second arm nothing is balanced, and a share of 1 is no chance that could be tested.
  const isPossible = expected > 0 && expected < 1;
  const logE = ({ treatment, control: others }: PerArm) =>
    sampleRatioLogE(treatment, treatment + others, expected, kappa);
  const isEven = isPossible && Math.max(logE(issued), logE(sums(strata, 'seen'))) < Math.log(2 / alpha);
  const share = total === 0 ? '' : ` (${percent(issued.treatment / total)}, ${percent(expected)} expected)`;
  return {
    ok: isEven && total > 0,
    text: `${issued.treatment} units named treatment and ${issued.control} of control${share}`,
    units: issued,
  };
}

/** Both arms were served the same: whatever stops a rollout here would stop it later for nothing. */
function alike({ readings }: Looked): Found {
  const stops = readings.filter(({ verdict }) => verdict === 'kill' || verdict === 'hold' || verdict === 'error');
  const [first] = stops;
  if (first === undefined) return { ok: true, text: `none of ${readings.length} gates tells the arms apart` };
  const what = isHealth(first) ? first.gate : `gate ${first.gate}`;
  return { ok: false, text: `${what} reads ${first.verdict} where both arms are served control: ${first.text}` };
}

/** The worst of the core signals, on what it is trusted for: coverage, balance, freshness, hygiene. */
function reliabilityReading(asked: Asked): Reading {
  const { minReliability } = asked.plan.spec.preflight;
  const each = coreSignals(asked).map((signal) => reliabilityIn(signal, asked));
  const worst = each.toSorted((a, b) => a.trust - b.trust)[0];
  const trust = worst?.trust ?? 0;
  const limiting = worst?.limiting ?? 'no known signal';
  const text = `reliability ${trust.toFixed(2)} (limited by ${limiting}), at least ${minReliability} is asked`;
  return { ...readingOf('reliability', { ok: trust >= minReliability, text }), reliability: trust, limiting };
}

function reliabilityIn({ spec }: Signal, asked: Asked): Reliability {
  const { issued, share } = joins(asked);
  const { accepted, invalid, duplicate } = asked.evidence.ingest;
  const messages = accepted + invalid + duplicate;
  const shareOf = (part: number) => (messages < measurableMessages ? 0 : part / messages);
  const isMeasurable = Math.min(issued.treatment, issued.control) >= measurableUnits;
  const known = Math.min(share.treatment, share.control) > 0 ? 1 : 0;
  const { newest, asOf } = asked.evidence;
  const ages = [newest.treatment, newest.control].map((at) => (at === null ? Number.POSITIVE_INFINITY : asOf - at));
  return reliabilityOf({
    coverage: isMeasurable ? share : { treatment: known, control: known },
    target: spec.sampling.minCoverage,
    ageMs: Math.max(...ages),
    expectedLagMs: spec.freshness.expectedLag,
    staleAfterMs: spec.freshness.staleAfter,
    // Where beacons come from matters to a kill, and here is nothing to kill.
    concentrated: false,
    information: 1,
    invalidShare: shareOf(invalid),
    duplicateShare: shareOf(duplicate),
  });
}

function readingOf(name: PreflightCheck | 'reliability' | 'arms_alike', { ok, text, units }: Found): Reading {
  return blankReading({
    gate: `preflight.${name}`,
    tier: 'hold',
    signal: name,
    limiting: name,
    state: ok ? 'ok' : 'suspect',
    treatment: { n: units?.treatment ?? 0, value: null },
    control: { n: units?.control ?? 0, value: null },
    reliability: ok ? 1 : 0,
    verdict: ok ? 'pass' : 'hold',
    sticky: true,
    text,
  });
}

function percent(share: number): string {
  return `${Number((100 * share).toFixed(2))} %`;
}
