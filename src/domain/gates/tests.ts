import type { Gate, Test } from '../policy.ts';
import type { Signal } from '../signal.ts';
import { average } from '../stats/combine.ts';
import type { Measured } from './measure.ts';
import { oriented, type Scale, type ScaleName } from './scale.ts';

/** What one limit of one test says. */
interface Checked {
  readonly scale: ScaleName;
  /** As the policy says it: a tolerated worsening, or for `absolute` the limit itself. */
  readonly margin: number;
  readonly confidence: Confidence;
  /** ln e-value that the treatment is worse than allowed. */
  readonly logE: number;
  /** Whether that is enough for a test that asks for less than the tier's own certainty. */
  readonly met: boolean;
  /** Estimate and interval are read here, up is worse except on the absolute scale. */
  shown(): Scale;
  /** An absolute limit that control breaks too: an outage, not this flag. */
  readonly controlToo: boolean;
}

type Confidence = Exclude<Test, { type: 'non_inferior' }>['confidence'];

/** A `non_inferior` test: what is to be proven, and how far the proof is. */
interface Proof {
  readonly margin: number;
  readonly logE: number;
  readonly needed: number;
}

export interface GateEvidence {
  /** Combined ln e-value of the strict tests; null when the gate has none. */
  readonly logE: number | null;
  /** Tests that ask for less than the tier's certainty breach, and there are no others. */
  readonly pointBreach: boolean;
  /** The test whose numbers are shown; null for a gate that only asks for proof. */
  readonly deciding: Checked | null;
  readonly unproven: Proof | null;
  readonly controlToo: boolean;
}

/** Whether a gate can breach on evidence, and so takes a share of its tier's error budget. */
export function isStrict(gate: Gate): boolean {
  return gate.tests.some((test) => test.type !== 'non_inferior' && test.confidence === 'lower_bound');
}

/** Runs a gate's tests. `controlNeeded` = ln(1/alpha) from which control is known to break an absolute limit too. */
export function testGate(gate: Gate, signal: Signal, measured: Measured, controlNeeded: number): GateEvidence {
  const checked = gate.tests.flatMap((test) => check(test, signal, measured, controlNeeded));
  const strict = checked.filter(({ confidence }) => confidence === 'lower_bound');
  const lenient = checked.filter(({ confidence }) => confidence !== 'lower_bound');
  const all = gate.when === 'all';
  const met = all ? lenient.every((test) => test.met) : lenient.some((test) => test.met);
  return {
    logE: strict.length === 0 ? null : all ? weakest(strict, lenient) : average(equalShares(strict)),
    pointBreach: lenient.length > 0 && met && (strict.length === 0 || !all),
    // Of tests that must all be met, the one with least evidence is what a breach hangs on.
    deciding: decidingOf(all ? checked : strict.length > 0 ? strict : lenient, all),
    unproven: unprovenOf(gate.tests, signal, measured),
    controlToo: checked.some(({ controlToo }) => controlToo),
  };
}

/**
 * The minimum is valid for the union of the nulls. A lenient test beside strict ones is the two-part rule of stats.md §9:
 * until it is met the evidence against its own margin counts, and never in favour of a breach.
 */
function weakest(strict: readonly Checked[], lenient: readonly Checked[]): number {
  return Math.min(
    ...strict.map(({ logE }) => logE),
    ...lenient.filter(({ met }) => !met).map(({ logE }) => Math.min(0, logE)),
  );
}

function equalShares(checked: readonly Checked[]) {
  return checked.map(({ logE }) => ({ weight: 1 / checked.length, logE }));
}

function decidingOf(checked: readonly Checked[], all: boolean): Checked | null {
  const sorted = checked.toSorted((a, b) => (all ? a.logE - b.logE : b.logE - a.logE));
  return sorted[0] ?? null;
}

/** `point`: the estimate alone is beyond; a share: evidence of at least 1 / (1 - share); `lower_bound` asks the tier. */
function isMet(confidence: Confidence, logE: number, beyond: () => boolean): boolean {
  if (confidence === 'lower_bound') return false;
  return confidence === 'point' ? beyond() : logE >= Math.log(1 / (1 - confidence));
}

function check(test: Test, signal: Signal, measured: Measured, controlNeeded: number): Checked[] {
  if (test.type === 'non_inferior') return [];
  if (test.type === 'absolute') return checkAbsolute(test, measured, controlNeeded);
  const { direction } = signal.spec;
  const { confidence, margin, type: scale } = test;
  const shown = () => oriented(measured.shown().scales[scale], direction);
  const logE = oriented(measured.evidence[scale], direction).above(margin);
  const met = isMet(confidence, logE, () => (shown().estimate() ?? Number.NEGATIVE_INFINITY) > margin);
  return [{ scale, margin, confidence, logE, met, shown, controlToo: false }];
}

function checkAbsolute(
  test: Extract<Test, { type: 'absolute' }>,
  measured: Measured,
  controlNeeded: number,
): Checked[] {
  const { absolute } = measured.evidence;
  const value = () => measured.shown().value.treatment;
  const sides = [
    { limit: test.max, side: 'above', beyond: (limit: number) => (value() ?? limit) > limit },
    { limit: test.min, side: 'below', beyond: (limit: number) => (value() ?? limit) < limit },
  ] as const;
  return sides.flatMap(({ limit, side, beyond }) => {
    if (limit === null) return [];
    const controlToo = measured.control[side](limit) >= controlNeeded;
    const logE = controlToo ? Math.min(0, absolute[side](limit)) : absolute[side](limit);
    return [
      {
        scale: 'absolute' as const,
        margin: limit,
        confidence: test.confidence,
        logE,
        met: !controlToo && isMet(test.confidence, logE, () => beyond(limit)),
        shown: () => measured.shown().scales.absolute,
        controlToo: controlToo && beyond(limit),
      },
    ];
  });
}

/** The least proven of the `non_inferior` tests, on evidence of the present stage alone; null when all are proven. */
function unprovenOf(tests: readonly Test[], signal: Signal, measured: Measured): Proof | null {
  const present = oriented(measured.present.relative, signal.spec.direction);
  const open = tests.flatMap((test) => {
    if (test.type !== 'non_inferior') return [];
    const needed = Math.log(1 / (1 - test.confidence));
    const logE = present.below(test.margin);
    return logE >= needed ? [] : [{ margin: test.margin, logE, needed }];
  });
  return open.toSorted((a, b) => a.logE - a.needed - (b.logE - b.needed))[0] ?? null;
}
