import type { EvidenceState, Reading, Tier, Verdict } from '../decision.ts';
import type { Evidence } from '../evidence.ts';
import type { Gate, GatePolicy } from '../policy.ts';
import type { Rollout, Streak } from '../rollout.ts';
import type { Signal } from '../signal.ts';
import { blankReading } from './blank.ts';
import { type Measured, measure } from './measure.ts';
import { controlViews, referenceSize } from './references.ts';
import { interval, oriented } from './scale.ts';
import type { Wheres } from './segments.ts';
import { type Presence, presenceOf } from './state.ts';
import { nextStreak, type WindowSays } from './streaks.ts';
import { type GateEvidence, testGate } from './tests.ts';
import { amountText, comparisonText, differenceText } from './text.ts';
import { alphaOf, neededOf, type TierEvidence } from './tiers.ts';
import type { Views } from './views.ts';

/** One gate with everything that was read for it; null numbers while its signal has no reference yet. */
export interface Examined {
  readonly gate: Gate;
  readonly signal: Signal;
  readonly presence: Presence;
  readonly measured: Measured | null;
  readonly tests: GateEvidence | null;
  readonly enough: boolean;
  /** What to say instead of numbers. */
  readonly collecting: string;
}

interface Context {
  readonly evidence: Evidence;
  readonly views: Views;
  readonly rollout: Rollout;
  readonly suspect: boolean;
  readonly spec: GatePolicy['spec'];
}

/** Reads a gate's signal and runs its tests. Throws when the signal is unknown or cannot be evaluated. */
export function examine(gate: Gate, signal: Signal | null, context: Context): Examined {
  const { evidence, views, rollout, suspect, spec } = context;
  if (signal === null) throw new Error(`unknown signal "${gate.signal}"`);
  const presence = presenceOf(
    signal,
    evidence,
    views,
    rollout.references,
    gate.minSamples,
    suspect,
    rollout.progress.stageEnteredAt,
  );
  const measured = measure(gate, signal, evidence, views, rollout.references);
  const tests = measured === null ? null : testGate(gate, signal, measured, Math.log(1 / spec.errorControl.holdAlpha));
  const enough = measured !== null && Math.min(measured.units.treatment, measured.units.control) >= gate.minSamples;
  return { gate, signal, presence, measured, tests, enough, collecting: collectingText(gate, signal, evidence) };
}

function collectingText(gate: Gate, signal: Signal, evidence: Evidence): string {
  const { source } = signal.spec;
  if (source.event !== 'web_vital') return '';
  const size = referenceSize(source.field, [{ gate, signal }]);
  return `${source.field} has no reference yet: ${controlViews(evidence, source.field)} of ${size} page views of control`;
}

type Says = 'breach' | 'unproven' | 'worse' | 'fine';

/** What the numbers say, whether or not they can be trusted. */
function saysOf({ signal, measured, tests, enough }: Examined, logE: number, needed: number, watchFrom: number): Says {
  if (!enough || measured === null || tests === null) return 'fine';
  if (tests.pointBreach || (tests.logE !== null && logE >= needed)) return 'breach';
  if (tests.unproven !== null) return 'unproven';
  // Some worsening is certain, less than the margin (stats.md §9).
  const compared = tests.deciding !== null && tests.deciding.scale !== 'absolute';
  const worse =
    compared &&
    watchFrom < Number.POSITIVE_INFINITY &&
    oriented(measured.evidence.relative, signal.spec.direction).above(0) >= watchFrom;
  return worse ? 'worse' : 'fine';
}

/** The reading of one gate, and its streak after this window. */
export function readingOf(
  examined: Examined,
  tiers: TierEvidence,
  spec: GatePolicy['spec'],
  before: Streak | undefined,
  window: number,
  { look, detail }: { readonly look: 'full' | 'quick'; readonly detail: boolean },
): { reading: Reading; streak: Streak } {
  const { gate, presence, measured, tests } = examined;
  const needed = neededOf(spec, gate.tier);
  const logE = tiers.get(gate.name) ?? tests?.logE ?? 0;
  // Whether to watch is for full looks to say: it changes what is done next by minutes.
  const watchFrom = look === 'full' ? Math.log(1 / spec.errorControl.holdAlpha) : Number.POSITIVE_INFINITY;
  const says = saysOf(examined, logE, needed, watchFrom);
  const floor = spec.reliability.minimum[gate.tier];
  const trusted = presence.reliability.trust >= floor;
  const streak = nextStreak(before, window, windowSays(examined, says, trusted));
  const verdict = verdictOf(examined, says, trusted, streak, spec);
  const deciding = tests?.deciding ?? null;
  const numbers = measured === null || !detail ? unsaid(measured) : told(measured, deciding, spec, gate.tier);
  const reading: Reading = {
    gate: gate.name,
    tier: gate.tier,
    signal: gate.signal,
    state: presence.state,
    ...numbers,
    scale: deciding?.scale ?? 'relative',
    margin: deciding?.margin ?? tests?.unproven?.margin ?? 0,
    logE: Math.min(50, Math.max(-50, logE)),
    needed,
    reliability: presence.reliability.score,
    limiting: presence.reliability.limiting,
    streak: streak.breach,
    consecutive: gate.consecutive,
    since: streak.since,
    verdict,
    action: gate.action,
    sticky: gate.sticky,
    runbook: gate.runbook,
    where: [],
    text: detail ? textOf(examined, says, verdict, streak, numbers.low) : `${gate.name} reads ${verdict}`,
  };
  return { reading, streak };
}

/** A kill that one sender could have made up is a hold. */
export function doubted(reading: Reading, why: string | null): Reading {
  if (why === null || reading.verdict !== 'kill') return reading;
  return { ...reading, verdict: 'hold', text: `${reading.text}; ${why}` };
}

/** Where the excess comes from. A segment that is surely worse deserves attention although all together pass. */
export function located(reading: Reading, { where, worse }: Wheres): Reading {
  const [worst] = worse;
  const told = { ...reading, where };
  if (worst === undefined || reading.verdict !== 'pass') return told;
  return { ...told, verdict: 'watch', text: `${reading.text}; worse in ${worst.dimension} ${worst.value}` };
}

type Numbers = Pick<Reading, 'treatment' | 'control' | 'estimate' | 'low' | 'high'>;

function unsaid(measured: Measured | null): Numbers {
  const { treatment, control } = measured?.units ?? { treatment: 0, control: 0 };
  const nothing = { estimate: null, low: null, high: null };
  return { treatment: { n: treatment, value: null }, control: { n: control, value: null }, ...nothing };
}

function told(measured: Measured, deciding: GateEvidence['deciding'], spec: GatePolicy['spec'], tier: Tier): Numbers {
  const { units, value } = measured.shown();
  const scale = deciding?.shown() ?? null;
  const bounds = scale === null ? { low: null, high: null } : interval(scale, Math.log(1 / alphaOf(spec, tier)));
  return {
    treatment: { n: units.treatment, value: value.treatment },
    control: { n: units.control, value: value.control },
    estimate: scale?.estimate() ?? null,
    ...bounds,
  };
}

const missing: readonly EvidenceState[] = ['no_data', 'partial'];

/** A window clears only what was looked at with enough evidence that can be trusted. */
function windowSays({ presence, enough }: Examined, says: Says, trusted: boolean): WindowSays {
  if (says === 'breach') return 'breach';
  return enough && trusted && !missing.includes(presence.state) && says === 'fine' ? 'clear' : 'unclear';
}

/** rollout.md §7.1, in its order. A breach comes before missing data: what was proven stays proven. */
function verdictOf(
  examined: Examined,
  says: Says,
  trusted: boolean,
  streak: Streak,
  spec: GatePolicy['spec'],
): Verdict {
  const { gate, presence, enough } = examined;
  if (says === 'breach') {
    if (streak.breach < gate.consecutive) return 'watch';
    if (trusted) return gate.tier;
    const instead = spec.reliability.whenUnreliable[gate.tier];
    return instead === 'ignore' ? 'unreliable' : instead;
  }
  if (missing.includes(presence.state)) return 'no_data';
  if (!trusted || presence.state === 'stale') return 'unreliable';
  if (!enough || says === 'unproven') return 'inconclusive';
  return says === 'worse' ? 'watch' : 'pass';
}

function textOf(
  { gate, signal, measured, tests, presence, enough, collecting }: Examined,
  says: Says,
  verdict: Verdict,
  streak: Streak,
  low: number | null,
): string {
  if (measured === null) return collecting;
  const { treatment, control } = measured.shown().value;
  const numbers = `${comparisonText(signal, treatment, control)}${differenceText(signal, treatment, control)}`;
  const parts = [numbers, limitText(gate, signal, measured, tests)];
  if (!enough)
    parts.push(`${measured.units.treatment} and ${measured.units.control} of ${gate.minSamples} units per arm`);
  // The interval is of the quantile alone; the evidence of a p75 gate hears the other quantiles and the mean too.
  const deciding = tests?.deciding ?? null;
  if (
    says === 'breach' &&
    deciding?.scale === 'relative' &&
    deciding.confidence === 'lower_bound' &&
    low !== null &&
    low < deciding.margin
  )
    parts.push(`the whole distribution of ${gate.signal} is worse, not this number alone`);
  if (says === 'breach' && streak.breach < gate.consecutive)
    parts.push(`window ${streak.breach} of ${gate.consecutive}`);
  if (says === 'unproven') parts.push('not proven yet');
  if (says === 'worse' && verdict === 'watch') parts.push('certainly worse, by less than the limit');
  if (verdict === 'unreliable' || (says === 'breach' && verdict !== gate.tier && streak.breach >= gate.consecutive))
    parts.push(`evidence is not reliable (${presence.reliability.limiting})`);
  if (verdict === 'no_data')
    parts.push(presence.state === 'partial' ? 'data from one arm only' : 'no data in this stage');
  return parts.join('; ');
}

function limitText(gate: Gate, signal: Signal, measured: Measured, tests: GateEvidence | null): string {
  const deciding = tests?.deciding ?? null;
  if (deciding === null) {
    const margin = gate.tests.find((test) => test.type === 'non_inferior')?.margin ?? 0;
    return `to be proven within ${amountText(signal, 'relative', margin)}`;
  }
  const limit = `limit ${amountText(signal, deciding.scale, deciding.margin)}`;
  const effective = deciding.scale === 'relative' ? measured.effective(deciding.margin) : deciding.margin;
  if (Math.abs(effective - deciding.margin) < 0.0005) return limit;
  return `${limit}, tested at ${amountText(signal, 'relative', effective)}`;
}

/** A gate that cannot be evaluated: blocks a rise, and holds once it lasts. */
export function errorReading(gate: Gate, message: string): Reading {
  const { tier, signal, consecutive, action, sticky, runbook } = gate;
  return blankReading({
    gate: gate.name,
    tier,
    signal,
    limiting: 'evaluator',
    state: 'error',
    scale: 'relative',
    reliability: 0,
    consecutive,
    verdict: 'error',
    action,
    sticky,
    runbook,
    text: `the evaluation failed: ${message}`,
  });
}
