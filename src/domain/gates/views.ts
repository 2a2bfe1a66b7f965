import type { Stratum } from '../evidence.ts';
import { type View, viewOf } from './view.ts';

/** The strata that one look compares: all of them, and those since each stage began. */
export interface Views {
  readonly all: View;
  /** Those of the present stage epoch. */
  readonly present: View;
  /** Shares sum to 1 and are fixed by the plan; `view: null` = that stage has not begun. */
  readonly parts: readonly ViewPart[];
}

export interface ViewPart {
  readonly weight: number;
  readonly view: View | null;
}

/** A regression mostly begins with the exposure: a late one costs ln(stages / (1 - share)) more, which it soon makes up. */
const wholeShare = 0.75;

/**
 * Three quarters of the evidence's budget go to all data, the rest is spread over "everything since stage j began": a regression
 * that starts late is not diluted by clean early stages (stats.md §8). `stages` counts those below 100 %.
 */
export function viewsOf(strata: readonly Stratum[], epoch: number, stages: number): Views {
  const all = viewOf(strata);
  const present = viewOf(strata.filter((stratum) => stratum.epoch === epoch));
  if (stages === 0) return { all, present, parts: [{ weight: 1, view: all }] };
  const parts: { weight: number; view: View | null }[] = [{ weight: wholeShare, view: all }];
  for (let stage = 0; stage < stages; stage++) {
    const since = sinceStage(strata, stage);
    const length = since?.length ?? 0;
    // Equal suffixes are one e-value with the sum of their shares.
    const same = parts.find(({ view }) => (view?.strata.length ?? 0) === length);
    if (same !== undefined) same.weight += (1 - wholeShare) / stages;
    else parts.push({ weight: (1 - wholeShare) / stages, view: since === null ? null : viewOf(since) });
  }
  return { all, present, parts };
}

function sinceStage(strata: readonly Stratum[], stage: number): readonly Stratum[] | null {
  let first = Number.POSITIVE_INFINITY;
  for (const stratum of strata) if (stratum.stage >= stage && stratum.epoch < first) first = stratum.epoch;
  return first === Number.POSITIVE_INFINITY ? null : strata.filter(({ epoch }) => epoch >= first);
}
