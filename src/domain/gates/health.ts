import type { EvidenceState, Reading } from '../decision.ts';
import type { Evidence, EvidenceArm, Stratum } from '../evidence.ts';
import { allocationOf } from '../exposure.ts';
import type { RolloutPlan } from '../plan.ts';
import type { GatePolicy } from '../policy.ts';
import type { RolloutState } from '../rollout.ts';
import { sampleRatioLogE } from '../stats/sample-ratio.ts';
import { blankReading } from './blank.ts';

type HealthPolicy = GatePolicy['spec']['health'];

/** Concentration of the mixture: tuned to imbalances of some 10 % (stats.md §11). */
const kappa = 100;

/** Units and their expected split; sums are over stage epochs. */
interface SampleRatio {
  /** ln e-value against the plan's split, per way of counting. */
  readonly issued: number;
  readonly received: number;
  readonly counts: { readonly [arm in EvidenceArm]: number };
  /** Treatment's share of both arms, expected in the newest epoch with units and seen in all; null without units. */
  readonly expected: number | null;
}

/**
 * Whether units fell into the arms as the plan says: issued units tell of a faulty assignment, received ones of lost
 * beacons. Evidence of the epochs multiplies.
 */
export function sampleRatio(strata: readonly Stratum[], state: RolloutState, plan: RolloutPlan): SampleRatio {
  const epochs = new Map<number, Split>();
  for (const { epoch, stage, treatment, control } of strata) {
    const split = epochs.get(epoch) ?? { stage, issued: [0, 0], seen: [0, 0] };
    epochs.set(epoch, split);
    split.issued[0] += treatment.counts.issued ?? 0;
    split.issued[1] += control.counts.issued ?? 0;
    split.seen[0] += treatment.counts.seen ?? 0;
    split.seen[1] += control.counts.seen ?? 0;
  }
  const sum = { issued: 0, received: 0, treatment: 0, control: 0 };
  let expected: number | null = null;
  for (const { stage, issued, seen } of epochs.values()) {
    sum.treatment += issued[0];
    sum.control += issued[1];
    const share = treatmentShare(stage, state, plan);
    if (share === null) continue;
    expected = share;
    sum.issued += sampleRatioLogE(issued[0], issued[0] + issued[1], share, kappa);
    sum.received += sampleRatioLogE(seen[0], seen[0] + seen[1], share, kappa);
  }
  const counts = { treatment: sum.treatment, control: sum.control };
  return { issued: sum.issued, received: sum.received, counts, expected };
}

/** Units of one stage epoch, treatment and control. */
interface Split {
  readonly stage: number;
  readonly issued: [number, number];
  readonly seen: [number, number];
}

/** Null where one arm is empty by design. */
function treatmentShare(stage: number, state: RolloutState, plan: RolloutPlan): number | null {
  const { treatment, control, holdback } = allocationOf({ ...state, phase: 'ramping', stage }, plan);
  const share = treatment / (treatment + control + holdback);
  return share > 0 && share < 1 ? share : null;
}

/** The readings named `health.<check>`: whether the comparison can be trusted at all. */
export interface HealthInput {
  readonly evidence: Evidence;
  readonly health: HealthPolicy;
  readonly ratio: SampleRatio;
  /** Core signals of the policy and their state. */
  readonly core: readonly { readonly signal: string; readonly state: EvidenceState }[];
  /** Gates whose absolute limit control breaks too. */
  readonly controlBeyond: readonly string[];
  readonly window: number;
}

/** Two ways of counting share one alpha: each has half of it. */
function sampleRatioNeeded(health: HealthPolicy): number {
  return Math.log(2 / health.sampleRatio.alpha);
}

export function isImbalanced(ratio: SampleRatio, health: HealthPolicy): boolean {
  return Math.max(ratio.issued, ratio.received) >= sampleRatioNeeded(health);
}

export function isCrossed(evidence: Evidence, health: HealthPolicy): boolean {
  return evidence.crossover > health.crossover.maxShare;
}

export function healthReadings(input: HealthInput): Reading[] {
  return [sampleRatioReading(input), crossoverReading(input), noDataReading(input), controlReading(input)];
}

function sampleRatioReading({ health, ratio, window }: HealthInput): Reading {
  const bad = isImbalanced(ratio, health);
  const { treatment, control } = ratio.counts;
  const share = treatment + control === 0 ? null : treatment / (treatment + control);
  const only = bad && ratio.issued < sampleRatioNeeded(health) ? '; beacons are missing, not assignments' : '';
  const expected = ratio.expected === null ? '' : `, ${percent(ratio.expected)} expected in this stage`;
  return {
    ...base('sampleRatio', window, bad),
    state: bad ? 'suspect' : 'ok',
    treatment: { n: treatment, value: share },
    control: { n: control, value: share === null ? null : 1 - share },
    estimate: share,
    margin: ratio.expected ?? 0,
    logE: Math.min(50, Math.max(ratio.issued, ratio.received)),
    needed: sampleRatioNeeded(health),
    sticky: health.sampleRatio.sticky,
    verdict: bad ? 'hold' : 'pass',
    text: `${treatment} units issued with the flag, ${control} without${share === null ? '' : ` (${percent(share)} in treatment${expected})`}${only}`,
  };
}

function crossoverReading({ evidence, health, window }: HealthInput): Reading {
  const bad = isCrossed(evidence, health);
  return {
    ...base('crossover', window, bad),
    state: bad ? 'suspect' : 'ok',
    estimate: evidence.crossover,
    margin: health.crossover.maxShare,
    sticky: health.crossover.sticky,
    verdict: bad ? 'hold' : 'pass',
    text: `${percent(evidence.crossover)} of units report the other arm; limit ${percent(health.crossover.maxShare)}`,
  };
}

const complaint: { readonly [state in EvidenceState]: string } = {
  ok: 'is fine',
  no_data: 'has no data in either arm of this stage',
  partial: 'has data from one arm only',
  stale: 'is stale',
  suspect: 'is suspect',
  error: 'cannot be evaluated',
};

function noDataReading({ core, window }: HealthInput): Reading {
  const missing = core.filter(({ state }) => state !== 'ok');
  const worst = missing[0];
  return {
    ...base('noData', window, worst !== undefined),
    state: worst?.state ?? 'ok',
    verdict: worst === undefined ? 'pass' : 'no_data',
    text:
      worst === undefined
        ? 'every core signal has fresh evidence of this stage from both arms'
        : missing.map(({ signal, state }) => `${signal} ${complaint[state]}`).join('; '),
  };
}

function controlReading({ controlBeyond, window }: HealthInput): Reading {
  const bad = controlBeyond.length > 0;
  return {
    ...base('controlDegraded', window, bad),
    verdict: bad ? 'hold' : 'pass',
    text: bad
      ? `both arms are beyond the limit of ${controlBeyond.join(', ')}: an outage, not this flag`
      : 'control is within every limit',
  };
}

function base(check: string, window: number, bad: boolean): Reading {
  return blankReading({
    gate: `health.${check}`,
    tier: 'hold',
    signal: check,
    limiting: check,
    streak: bad ? 1 : 0,
    since: bad ? window : null,
  });
}

function percent(share: number): string {
  return `${Number((100 * share).toFixed(2))} %`;
}
