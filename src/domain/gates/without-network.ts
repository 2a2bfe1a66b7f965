import type { Cell, Concentration, EvidenceArm, Observations, Stratum } from '../evidence.ts';
import { type Histogram, merge, total } from '../histogram.ts';

/** The strata without what each arm's heaviest network reported: new objects, so that nothing remembered is mixed up. */
export function withoutHeaviest(
  strata: readonly Stratum[],
  treatment: Concentration,
  control: Concentration,
): Stratum[] {
  const partOf = ({ heaviest }: Concentration, { epoch, hour }: Stratum): Cell | null =>
    heaviest?.parts.find((part) => part.epoch === epoch && part.hour === hour)?.cell ?? null;
  return strata.map((stratum) => {
    const less = (arm: EvidenceArm, part: Cell | null) => ({
      cell: part === null ? stratum[arm] : lessCell(stratum[arm], part),
      converted: part === null ? stratum.converted[arm] : lessTrials(stratum, arm, part),
    });
    const [t, c] = [less('treatment', partOf(treatment, stratum)), less('control', partOf(control, stratum))];
    return {
      ...stratum,
      treatment: t.cell,
      control: c.cell,
      converted: { treatment: t.converted, control: c.converted },
    };
  });
}

/**
 * Never below zero, nor above the whole: a network is remembered as it was, the strata have since lost what made the
 * reference; and one that was forgotten for a while may owe what it reported before and corrected since.
 */
const less = (whole: number, part: number): number => Math.max(0, whole - Math.max(0, part));

function lessCell({ counts, metrics: observed }: Cell, part: Cell): Cell {
  return {
    counts: Object.fromEntries(Object.entries(counts).map(([name, n]) => [name, less(n, part.counts[name] ?? 0)])),
    metrics: Object.fromEntries(
      Object.entries(observed).map(([metric, whole]) => {
        const own = part.metrics[metric];
        return [metric, own === undefined ? whole : lessObservations(whole, own)];
      }),
    ),
  };
}

function lessObservations(whole: Observations, part: Observations): Observations {
  const minus: Histogram = part.hist.map(([bin, count]) => [bin, -Math.max(0, count)]);
  const hist = merge([whole.hist, minus]).filter(([, count]) => count > 0);
  return {
    n: total(hist),
    sum: less(whole.sum, part.sum),
    sumLn: less(whole.sumLn, part.sumLn),
    bad1: less(whole.bad1, part.bad1),
    bad2: less(whole.bad2, part.bad2),
    hist,
  };
}

/** Of units that have had their time, the same share as of all of them: a network keeps no age of its units. */
function lessTrials(stratum: Stratum, arm: EvidenceArm, part: Cell): Stratum['converted'][EvidenceArm] {
  const { counts } = stratum[arm];
  const left = (name: string): number => {
    const whole = counts[name] ?? 0;
    return whole === 0 ? 1 : less(whole, part.counts[name] ?? 0) / whole;
  };
  return Object.fromEntries(
    Object.entries(stratum.converted[arm]).map(([name, { n, x }]) => {
      const trials = n * left('exposed');
      return [name, { n: trials, x: Math.min(trials, x * left(`conv:${name}`)) }];
    }),
  );
}
