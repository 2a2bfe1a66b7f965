import type { Stratum } from '../evidence.ts';

/** The strata that one look compares: all of them, and those since each stage began. */
export interface Views {
  readonly all: readonly Stratum[];
  /** Those of the present stage epoch. */
  readonly present: readonly Stratum[];
  /** Shares sum to 1 and are fixed by the plan; `strata: null` = that stage has not begun. */
  readonly parts: readonly { readonly weight: number; readonly strata: readonly Stratum[] | null }[];
}

/**
 * Half of the evidence's budget goes to all data, half is spread over "everything since stage j began": a regression
 * that starts late is not diluted by clean early stages (stats.md §8). `stages` counts those below 100 %.
 */
export function viewsOf(strata: readonly Stratum[], epoch: number, stages: number): Views {
  const present = strata.filter((stratum) => stratum.epoch === epoch);
  if (stages === 0) return { all: strata, present, parts: [{ weight: 1, strata }] };
  const parts: { weight: number; strata: readonly Stratum[] | null }[] = [{ weight: 0.5, strata }];
  for (let stage = 0; stage < stages; stage++) {
    const since = sinceStage(strata, stage);
    // Equal suffixes are one e-value with the sum of their shares.
    const same = parts.find((part) => (part.strata?.length ?? 0) === (since?.length ?? 0));
    if (same === undefined) parts.push({ weight: 0.5 / stages, strata: since });
    else same.weight += 0.5 / stages;
  }
  return { all: strata, present, parts };
}

function sinceStage(strata: readonly Stratum[], stage: number): readonly Stratum[] | null {
  const epochs = strata.filter((stratum) => stratum.stage >= stage).map(({ epoch }) => epoch);
  if (epochs.length === 0) return null;
  const first = Math.min(...epochs);
  return strata.filter(({ epoch }) => epoch >= first);
}
