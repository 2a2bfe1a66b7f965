import { vitals } from '../../src/domain/signal.ts';
import type { Moments } from '../../src/domain/stats/asymptotic-band.ts';
import { binValues } from '../../src/lab/bin-values.ts';
import type { Counted } from './counted.ts';

/** One minute as every peer sees it. */
export interface PeerMinute {
  readonly treatment: Counted;
  /** Everybody else. */
  readonly control: Counted;
  /** As large a part of control as treatment is. */
  readonly matched: Counted;
}

/** What is known before the rollout. */
export interface History {
  /** p75 of LCP, as a bin. */
  readonly p75: number;
  /** Page views with an error, share. */
  readonly errors: number;
}

/** A method that looks every minute and answers how far it is from killing. */
export interface Peer {
  readonly name: string;
  /** Kills at this score: its published configuration. */
  readonly limit: number;
  /** A fresh rollout: takes its minutes in order, answers the score of all of them so far. */
  begin(history: History): (minute: PeerMinute) => number;
}

/** Sums of the three metrics of one arm: page views' LCP in ms, page views with an error, matured units that converted. */
export interface ArmMoments {
  readonly lcp: Moments;
  readonly errors: Moments;
  readonly conversion: Moments;
}

const nothing: Moments = { n: 0, sum: 0, sumSquares: 0 };
export const noMoments: ArmMoments = { lcp: nothing, errors: nothing, conversion: nothing };

export function withMinute(before: ArmMoments, minute: Counted): ArmMoments {
  const { units, converted } = minute.matured;
  return {
    lcp: sumOf(before.lcp, lcpOf(minute.lcp)),
    errors: sumOf(before.errors, eventsOf(minute.errViews, minute.views)),
    conversion: sumOf(before.conversion, eventsOf(converted, units)),
  };
}

function sumOf(a: Moments, b: Moments): Moments {
  return { n: a.n + b.n, sum: a.sum + b.sum, sumSquares: a.sumSquares + b.sumSquares };
}

const eventsOf = (events: number, n: number): Moments => ({ n, sum: events, sumSquares: events });

const values = binValues[vitals.indexOf('LCP')]?.value ?? new Float64Array();

function lcpOf(bins: Int32Array): Moments {
  let n = 0;
  let sum = 0;
  let sumSquares = 0;
  for (let bin = 0; bin < bins.length; bin++) {
    const count = bins[bin] ?? 0;
    if (count === 0) continue;
    const value = values[bin] ?? 0;
    n += count;
    sum += count * value;
    sumSquares += count * value * value;
  }
  return { n, sum, sumSquares };
}

/** Treatment minus control, the sign such that above 0 is worse. */
export interface Difference {
  readonly treatment: Moments;
  readonly control: Moments;
}

/** The three comparisons; where lower is worse the arms change places. */
export function differencesOf(treatment: ArmMoments, control: ArmMoments): readonly Difference[] {
  return [
    { treatment: treatment.lcp, control: control.lcp },
    { treatment: treatment.errors, control: control.errors },
    { treatment: control.conversion, control: treatment.conversion },
  ];
}

/** Lower empirical p75 of a minute's page views, as a bin; null without any. */
export function p75Of(bins: Int32Array): number | null {
  let n = 0;
  for (const count of bins) n += count;
  const rank = Math.floor(0.75 * (n - 1));
  let seen = 0;
  for (let bin = 0; bin < bins.length; bin++) {
    seen += bins[bin] ?? 0;
    if (n > 0 && seen > rank) return bin;
  }
  return null;
}
