import type { EvidenceArm, Observations, Stratum } from '../evidence.ts';
import { type SignalSource, type Vital, vitals } from '../signal.ts';
import { addCounts, countSize } from '../stats/counts.ts';
import { addExceedances, scoreSize } from '../stats/exceedance.ts';
import { latencyArm } from '../stats/latency.ts';
import { swapArms, type Table } from '../stats/table.ts';
import { type Summand, summandOf, type View } from './view.ts';

/** What the judge adds up over strata, one summand a question. Their sums are read by the functions beside them. */

type PerArm<T> = { readonly [arm in EvidenceArm]: T };

const named = (what: string) => Object.fromEntries(vitals.map((metric) => [metric, `${what} ${metric}`]));
const exceedName = named('exceed');
const totalsName = named('totals');

/** Exceedances of a frozen bin: treatment above `bin + shift`, control above `bin`. A score (`stats/exceedance.ts`). */
export function exceedances(metric: Vital, bin: number, shift: number): Summand {
  return summandOf(exceedName[metric] ?? metric, bin * 4096 + shift, () => ({
    size: scoreSize,
    add(sums, { treatment, control }) {
      const t = treatment.metrics[metric];
      const c = control.metrics[metric];
      if (t === undefined || c === undefined) return;
      addExceedances(sums, latencyArm(t).above(bin + shift), t.n, latencyArm(c).above(bin), c.n);
    },
  }));
}

/** Page views of one arm above a bin. */
export function exceeding(metric: Vital, bin: number, arm: EvidenceArm): Summand {
  return summandOf(`above ${metric} ${arm}`, bin, () => ({
    size: 1,
    add(sums, stratum) {
      const observations = stratum[arm].metrics[metric];
      if (observations !== undefined) sums[0] = (sums[0] ?? 0) + latencyArm(observations).above(bin);
    },
  }));
}

/** Weighted differences of means within strata, with what their variance needs; see `differenceOf`. */
function addDifference(sums: number[], at: number, nt: number, meanT: number, nc: number, meanC: number): void {
  if (nt === 0 || nc === 0) return;
  const weight = (nt * nc) / (nt + nc);
  sums[at] = (sums[at] ?? 0) + weight;
  sums[at + 1] = (sums[at + 1] ?? 0) + weight * (meanT - meanC);
  sums[at + 2] = (sums[at + 2] ?? 0) + (weight * weight) / nt;
  sums[at + 3] = (sums[at + 3] ?? 0) + (weight * weight) / nc;
}

/**
 * Difference of means, treatment - control, weighted over strata by nt nc / n; the variances are per observation,
 * clusters included. Equals stats.md §6 (`se^2 = d_L / W`) when both arms vary alike; where they do not (shares at a
 * margin), one pooled variance would understate the smaller arm's. Null without a stratum that has both.
 */
export function differenceOf(
  sums: number[],
  at: number,
  varianceT: number,
  varianceC: number,
): { estimate: number; variance: number } | null {
  const [weights = 0, total = 0, perT = 0, perC = 0] = [sums[at], sums[at + 1], sums[at + 2], sums[at + 3]];
  if (weights === 0) return null;
  return { estimate: total / weights, variance: (perT * varianceT + perC * varianceC) / (weights * weights) };
}

/** Of ln(value), by `differenceOf` at 0. */
export function logMeans(metric: Vital): Summand {
  return summandOf(`ln ${metric}`, 0, () => ({
    size: 4,
    add(sums, { treatment, control }) {
      const t = treatment.metrics[metric];
      const c = control.metrics[metric];
      if (t === undefined || c === undefined) return;
      addDifference(sums, 0, t.n, t.sumLn / t.n, c.n, c.sumLn / c.n);
    },
  }));
}

/** Sums that compare means of winsorised values; see `meanBeyond`. */
export function means(metric: Vital): Summand {
  return summandOf(`mean ${metric}`, 0, () => ({
    size: 5,
    add(sums, { treatment, control }) {
      const t = treatment.metrics[metric];
      const c = control.metrics[metric];
      if (t === undefined || c === undefined || t.n === 0 || c.n === 0) return;
      const weight = (t.n * c.n) / (t.n + c.n);
      sums[0] = (sums[0] ?? 0) + weight;
      sums[1] = (sums[1] ?? 0) + (weight * t.sum) / t.n;
      sums[2] = (sums[2] ?? 0) + (weight * c.sum) / c.n;
      sums[3] = (sums[3] ?? 0) + (weight * weight) / t.n;
      sums[4] = (sums[4] ?? 0) + (weight * weight) / c.n;
    },
  }));
}

/** Page views of one arm with a metric: their number, their units, and sums of their bins. */
export interface VitalTotals {
  readonly n: number;
  readonly units: number;
  readonly bins: number;
  readonly squares: number;
}

export function vitalTotals(view: View, metric: Vital): PerArm<VitalTotals> {
  const sums = view.sum(vitalSummand(metric));
  const of = (at: number): VitalTotals => {
    const [n = 0, units = 0, bins = 0, squares = 0] = [sums[at], sums[at + 1], sums[at + 2], sums[at + 3]];
    return { n, units, bins, squares };
  };
  return { treatment: of(0), control: of(4) };
}

function vitalSummand(metric: Vital): Summand {
  const units = `u:${metric}`;
  return summandOf(totalsName[metric] ?? metric, 0, () => ({
    size: 8,
    add(sums, { treatment, control }) {
      addVital(sums, 0, treatment.metrics[metric], treatment.counts[units]);
      addVital(sums, 4, control.metrics[metric], control.counts[units]);
    },
  }));
}

function addVital(sums: number[], at: number, of: Observations | undefined, units: number | undefined): void {
  if (of === undefined) return;
  let bins = 0;
  let squares = 0;
  for (const [bin, count] of of.hist) {
    bins += count * bin;
    squares += count * bin * bin;
  }
  sums[at] = (sums[at] ?? 0) + of.n;
  // Never more than its observations, some of which the reference has used up.
  sums[at + 1] = (sums[at + 1] ?? 0) + Math.min(of.n, units ?? 0);
  sums[at + 2] = (sums[at + 2] ?? 0) + bins;
  sums[at + 3] = (sums[at + 3] ?? 0) + squares;
}

export type ProportionSource = Exclude<SignalSource, { event: 'web_vital' }>;

function trialsOf(stratum: Stratum, arm: EvidenceArm, source: ProportionSource): { x: number; n: number } {
  const { counts } = stratum[arm];
  switch (source.event) {
    case 'error':
      return source.field === 'views'
        ? { x: counts.errViews ?? 0, n: counts.views ?? 0 }
        : { x: counts.err ?? 0, n: counts.exposed ?? 0 };
    case 'silence':
      return { x: stratum.mature[arm].issued - stratum.mature[arm].seen, n: stratum.mature[arm].issued };
    case 'end':
      return { x: Math.min(counts.ends ?? 0, counts.starts ?? 0), n: counts.starts ?? 0 };
    case 'conversion':
      return stratum.converted[arm][source.field] ?? { x: 0, n: 0 };
  }
}

function tableOf(stratum: Stratum, source: ProportionSource): Table {
  const treatment = trialsOf(stratum, 'treatment', source);
  const control = trialsOf(stratum, 'control', source);
  return { xt: treatment.x, nt: treatment.n, xc: control.x, nc: control.n };
}

const nameOf = (source: ProportionSource): string => `${source.event} ${source.field}`;

/** Events and trials of a signal, with the stratified sums that its estimates are made of. */
export interface Proportion extends Table {
  /** Ratio of shares over strata (Mantel & Haenszel 1959), which a ramp's growing arm cannot bend; null without control events. */
  readonly ratio: number | null;
  /** For `differenceOf`, at 6. */
  readonly sums: number[];
}

export function proportionOf(view: View, source: ProportionSource): Proportion {
  const sums = view.sum(proportionSummand(source));
  const [xt = 0, nt = 0, xc = 0, nc = 0, treatment = 0, control = 0] = sums;
  return { xt, nt, xc, nc, ratio: control === 0 ? null : treatment / control, sums };
}

function proportionSummand(source: ProportionSource): Summand {
  return summandOf(`share ${nameOf(source)}`, 0, () => ({
    size: 10,
    add(sums, stratum) {
      const { xt, nt, xc, nc } = tableOf(stratum, source);
      sums[0] = (sums[0] ?? 0) + xt;
      sums[1] = (sums[1] ?? 0) + nt;
      sums[2] = (sums[2] ?? 0) + xc;
      sums[3] = (sums[3] ?? 0) + nc;
      if (nt === 0 || nc === 0) return;
      sums[4] = (sums[4] ?? 0) + (xt * nc) / (nt + nc);
      sums[5] = (sums[5] ?? 0) + (xc * nt) / (nt + nc);
      addDifference(sums, 6, nt, xt / nt, nc, xc / nc);
    },
  }));
}

/** What the events are compared by: as they are, with the arms swapped, or the trials that lack the event. */
export type Side = 'as is' | 'swapped' | 'lacking' | 'lacking, swapped';

/** Evidence of a ratio of shares (`stats/counts.ts`). */
export function countsBeyond(source: ProportionSource, ratio: number, side: Side): Summand {
  return summandOf(`count ${nameOf(source)} ${side}`, ratio, () => ({
    size: countSize,
    add: (sums, stratum) => addCounts(sums, seenFrom(tableOf(stratum, source), side), ratio),
  }));
}

function seenFrom(table: Table, side: Side): Table {
  const { xt, nt, xc, nc } = table;
  const of = side.startsWith('lacking') ? { xt: nt - xt, nt, xc: nc - xc, nc } : table;
  return side.endsWith('swapped') ? swapArms(of) : of;
}

const unitCounts = ['exposed', 'issued', 'seen', 'starts', 'mature', 'matureSeen'] as const;
type UnitCounts = { readonly [name in (typeof unitCounts)[number]]: PerArm<number> };

/** Unit counters of a view. */
export function unitsIn(view: View): UnitCounts {
  const sums = view.sum(unitSummand);
  const of = (at: number): PerArm<number> => ({ treatment: sums[at] ?? 0, control: sums[at + 1] ?? 0 });
  return { exposed: of(0), issued: of(2), seen: of(4), starts: of(6), mature: of(8), matureSeen: of(10) };
}

const unitSummand: Summand = {
  size: 2 * unitCounts.length,
  add(sums, stratum) {
    for (const [offset, arm] of [[0, 'treatment'] as const, [1, 'control'] as const]) {
      const { counts } = stratum[arm];
      const { issued, seen } = stratum.mature[arm];
      sums[offset] = (sums[offset] ?? 0) + (counts.exposed ?? 0);
      sums[2 + offset] = (sums[2 + offset] ?? 0) + (counts.issued ?? 0);
      sums[4 + offset] = (sums[4 + offset] ?? 0) + (counts.seen ?? 0);
      sums[6 + offset] = (sums[6 + offset] ?? 0) + (counts.starts ?? 0);
      sums[8 + offset] = (sums[8 + offset] ?? 0) + issued;
      sums[10 + offset] = (sums[10 + offset] ?? 0) + seen;
    }
  },
};

/** Units of a view with the metric, of those whose hour is not earlier than `since`. */
export function coveredBy(view: View, metric: Vital, since: number): PerArm<{ whole: number; part: number }> {
  const units = `u:${metric}`;
  const summand = summandOf(`covered ${metric}`, since, () => ({
    size: 4,
    add(into, { hour, treatment, control }) {
      if (hour < since) return;
      into[0] = (into[0] ?? 0) + (treatment.counts.exposed ?? 0);
      into[1] = (into[1] ?? 0) + (treatment.counts[units] ?? 0);
      into[2] = (into[2] ?? 0) + (control.counts.exposed ?? 0);
      into[3] = (into[3] ?? 0) + (control.counts[units] ?? 0);
    },
  }));
  const sums = view.sum(summand);
  const [wholeT = 0, partT = 0, wholeC = 0, partC = 0] = sums;
  return { treatment: { whole: wholeT, part: partT }, control: { whole: wholeC, part: partC } };
}
