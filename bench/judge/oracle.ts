import { lastBin } from '../../src/domain/histogram.ts';
import type { Population, Prototype } from '../../src/lab/population.ts';
import { type MinuteTotals, totalsOf } from '../../src/lab/world.ts';
import type { Counted } from './counted.ts';
import type { OracleSees } from './worlds.ts';

/** ln(1/alpha) of Wald's test. */
const enough = Math.log(100);

/** One arm of a stratum: observations, and the sum of what is compared. */
interface Cell {
  n: number;
  sum: number;
}

/** Log-likelihood ratio of "the effect is there, and of its true size" against "there is none". */
type Weigh = (treatment: Cell, control: Cell) => number;

interface Known {
  readonly read: (of: Counted) => Cell;
  readonly weigh: Weigh;
}

/** Takes the minutes in which the fault is there; true once Wald's test (1945) would kill at alpha .01. */
export type Oracle = (stratum: string, treatment: Counted, control: Counted) => boolean;

/**
 * An oracle that knows how large the effect is on what it counts, how much that varies (clustered in units), and when
 * it begins; the level without it is as unknown to it as to everybody, so it compares within the hours of a stage.
 * - `log mean`: the difference of the mean log LCP of page views. It does not know whom the effect meets.
 * - `slowest 1 %`: the share of page views beyond control's p99, so it does know that the tail is meant.
 * - `units with errors`, `conversions` (matured): the ratio of the shares.
 */
export function createOracle(population: Population, sees: OracleSees): Oracle | null {
  if (sees === null) return null;
  const { read, weigh } = knownOf(population, sees);
  const sums = { closed: 0, stratum: '', treatment: { n: 0, sum: 0 }, control: { n: 0, sum: 0 } };
  return (stratum, treatment, control) => {
    if (stratum !== sums.stratum) {
      sums.closed += weigh(sums.treatment, sums.control);
      Object.assign(sums, { stratum, treatment: { n: 0, sum: 0 }, control: { n: 0, sum: 0 } });
    }
    add(sums.treatment, read(treatment));
    add(sums.control, read(control));
    return sums.closed + weigh(sums.treatment, sums.control) >= enough;
  };
}

function knownOf(population: Population, sees: NonNullable<OracleSees>): Known {
  const plain = poolTotals(population.plain);
  const changed = poolTotals(population.changed);
  switch (sees) {
    case 'log mean':
      return {
        read: ({ unitSums: { n, y } }) => ({ n, sum: y }),
        weigh: byMean(meanBin(changed) - meanBin(plain), (perView(plain) + perView(changed)) / 2),
      };
    case 'slowest 1 %': {
      const edge = edgeAt(plain.lcp, 0.99);
      const read = ({ lcp }: MinuteTotals): Cell => ({ n: count(lcp, -1), sum: count(lcp, edge) });
      const ratio = shareOf(read(changed)) / shareOf(read(plain));
      return { read, weigh: byRatio(ratio, deffOf(population.changed, edge)) };
    }
    case 'units with errors': {
      const read = ({ units, erredUnits }: MinuteTotals): Cell => ({ n: units, sum: erredUnits });
      return { read, weigh: byRatio(shareOf(read(changed)) / shareOf(read(plain)), 1) };
    }
    case 'conversions': {
      const read = ({ matured }: Counted): Cell => ({ n: matured.units, sum: matured.converted });
      return { read, weigh: byRatio(changed.converted / plain.converted, 1) };
    }
  }
}

/** Normal, with the variance of one observation known. */
function byMean(effect: number, variance: number): Weigh {
  return (treatment, control) => {
    if (treatment.n === 0 || control.n === 0) return 0;
    const weight = (treatment.n * control.n) / (treatment.n + control.n);
    const difference = treatment.sum / treatment.n - control.sum / control.n;
    return (weight * (effect * difference - (effect * effect) / 2)) / variance;
  };
}

/** Binomial given the events of both arms, tempered by a design effect. */
function byRatio(ratio: number, deff: number): Weigh {
  return (treatment, control) => {
    const n = treatment.n + control.n;
    if (treatment.n === 0 || control.n === 0) return 0;
    const events = treatment.sum + control.sum;
    return (treatment.sum * Math.log(ratio) - events * Math.log((treatment.n * ratio + control.n) / n)) / deff;
  };
}

function add(to: Cell, { n, sum }: Cell): void {
  to.n += n;
  to.sum += sum;
}

const shareOf = ({ n, sum }: Cell): number => sum / n;

export function poolTotals(units: readonly Prototype[]): MinuteTotals {
  return totalsOf({ visits: units.map((unit) => ({ at: 0, unit, shift: 0, network: 0 })) });
}

const meanBin = ({ unitSums: { y, n } }: MinuteTotals): number => y / n;

/** Clustered variance of the mean bin, times its page views (Deng, Knoblich, Lu, KDD 2018). */
function perView({ unitSums: { n, nn, y, yy, yn } }: MinuteTotals): number {
  const r = y / n;
  return (yy - 2 * r * yn + r * r * nn) / n;
}

function edgeAt(lcp: Int32Array, q: number): number {
  const n = count(lcp, -1);
  let edge = lastBin;
  while (edge > 0 && count(lcp, edge - 1) <= (1 - q) * n) edge -= 1;
  return edge;
}

function count(lcp: Int32Array, above: number): number {
  let sum = 0;
  for (let bin = above + 1; bin < lcp.length; bin++) sum += lcp[bin] ?? 0;
  return sum;
}

/** How much more the share of page views beyond an edge varies than were they independent. */
function deffOf(units: readonly Prototype[], edge: number): number {
  const [plain, beyond] = [poolTotals(units), { yy: 0, yn: 0, y: 0 }];
  for (const { silent, metrics } of units) {
    if (silent) continue;
    for (const { bins } of metrics) {
      const y = bins.filter((bin) => bin > edge).length;
      beyond.y += y;
      beyond.yy += y * y;
      beyond.yn += y * bins.length;
    }
  }
  const { n, nn } = plain.unitSums;
  const r = beyond.y / n;
  return Math.max(1, (beyond.yy - 2 * r * beyond.yn + r * r * nn) / n / (r * (1 - r)));
}
