import type { EvidenceState } from '../decision.ts';
import type { Evidence, EvidenceArm } from '../evidence.ts';
import { type Reliability, reliabilityOf } from '../reliability.ts';
import type { Rollout } from '../rollout.ts';
import type { Signal } from '../signal.ts';
import { isConcentrated } from './concentration.ts';
import { coveredBy, unitsIn, vitalTotals } from './sums.ts';
import type { View } from './view.ts';
import type { Views } from './views.ts';

/** What is known about a signal's evidence in the present stage epoch, before its numbers are looked at. */
export interface Presence {
  readonly state: EvidenceState;
  readonly reliability: Reliability;
}

/** Units per arm below which a coverage is noise. */
const measurableUnits = 50;
/** Messages below which a share of bad ones is noise. */
const measurableMessages = 100;

/** State and reliability of one signal. `suspect`: sample ratio or crossover are beyond their limits. */
export function presenceOf(
  signal: Signal,
  evidence: Evidence,
  views: Views,
  references: Rollout['references'],
  minSamples: number,
  suspect: boolean,
  stageEnteredAt: number,
): Presence {
  const { treatment: treated, control: untreated } = observed(views.present, signal);
  const { expectedLag, staleAfter } = patienceOf(signal, views, evidence.asOf - stageEnteredAt);
  const ageMs = ageOf(signal, evidence);
  const { accepted, invalid, duplicate } = evidence.ingest;
  const messages = accepted + invalid + duplicate;
  const share = (part: number): number => (messages < measurableMessages ? 0 : part / messages);
  const reliability = reliabilityOf({
    coverage: coverageOf(signal, views, references),
    target: signal.spec.sampling.minCoverage,
    ageMs,
    expectedLagMs: expectedLag,
    staleAfterMs: staleAfter,
    information: minSamples === 0 ? 1 : Math.min(treated, untreated) / minSamples,
    invalidShare: share(invalid),
    duplicateShare: share(duplicate),
    concentrated: isConcentrated(signal, evidence),
  });
  const dirty = reliability.components.hygiene === 0;
  return { state: stateOf(treated, untreated, ageMs > staleAfter, suspect || dirty), reliability };
}

/** Gaps of this many times the usual one are chance (less than one in a hundred), and of this many are a fault. */
const usualGaps = 5;
const oddGaps = 10;
/** However rare visits are, an hour without any is not fresh, ms. */
const longestGapMs = 6 * 60_000;

/**
 * How long an arm may be silent. At one unit a minute a minute without one is nothing, so what the signal declares is
 * only the least: the arm's own pace in this stage tells what is usual.
 */
function patienceOf(
  { spec }: Signal,
  { present }: Views,
  stageMs: number,
): { expectedLag: number; staleAfter: number } {
  const { treatment, control } = unitsIn(present).seen;
  const gapMs = Math.min(longestGapMs, stageMs / (1 + Math.min(treatment, control)));
  const { expectedLag, staleAfter } = spec.freshness;
  return { expectedLag: Math.max(expectedLag, usualGaps * gapMs), staleAfter: Math.max(staleAfter, oddGaps * gapMs) };
}

function stateOf(treated: number, untreated: number, stale: boolean, suspect: boolean): EvidenceState {
  if (treated === 0 && untreated === 0) return 'no_data';
  if (treated === 0 || untreated === 0) return 'partial';
  if (stale) return 'stale';
  return suspect ? 'suspect' : 'ok';
}

/** Observations or units of the signal per arm. */
function observed(view: View, { spec: { source } }: Signal): PerArm {
  const { exposed, starts, mature } = unitsIn(view);
  switch (source.event) {
    case 'web_vital': {
      const { treatment, control } = vitalTotals(view, source.field);
      return { treatment: treatment.n, control: control.n };
    }
    case 'silence':
      return mature;
    case 'end':
      return starts;
    default:
      return exposed;
  }
}

/**
 * Time since either arm was last heard of, the later of the two. Silence is about units that are never heard of: there
 * it is enough that somebody was, for then the way in is open.
 */
function ageOf({ spec: { source } }: Signal, { asOf, newest }: Evidence): number {
  const ages = [newest.treatment, newest.control].map((at) => (at === null ? Number.POSITIVE_INFINITY : asOf - at));
  return source.event === 'silence' ? Math.min(...ages) : Math.max(...ages);
}

/**
 * Share of the issued units that the signal knows: those heard of, times those among the exposed that have the metric.
 * In the present epoch; in the rollout's life while that is too young; full while that is too.
 */
function coverageOf(signal: Signal, views: Views, references: Rollout['references']): PerArm {
  const { source } = signal.spec;
  if (source.event === 'silence') return full;
  const heard = shareOf(views, (view) => {
    const { mature, matureSeen } = unitsIn(view);
    return {
      treatment: { whole: mature.treatment, part: matureSeen.treatment },
      control: { whole: mature.control, part: matureSeen.control },
    };
  });
  if (source.event !== 'web_vital') return heard;
  // The reference has used up the metric of earlier buckets, not their exposures: its own hour cannot tell.
  const since = references[source.field]?.since ?? Number.NEGATIVE_INFINITY;
  const having = shareOf(views, (view) => coveredBy(view, source.field, since));
  return { treatment: heard.treatment * having.treatment, control: heard.control * having.control };
}

type PerArm = { readonly [arm in EvidenceArm]: number };
type Part = { readonly [arm in EvidenceArm]: { readonly whole: number; readonly part: number } };
const full: PerArm = { treatment: 1, control: 1 };

/** Part of the whole per arm, 0..1, in the first of the views that has enough units in both. */
function shareOf({ present, all }: Views, count: (view: View) => Part): PerArm {
  for (const view of [present, all]) {
    const { treatment, control } = count(view);
    if (Math.min(treatment.whole, control.whole) < measurableUnits) continue;
    return {
      treatment: Math.min(1, treatment.part / treatment.whole),
      control: Math.min(1, control.part / control.whole),
    };
  }
  return full;
}
