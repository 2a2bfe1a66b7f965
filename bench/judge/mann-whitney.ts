import { estimateOf } from '../../src/domain/histogram.ts';
import { type Peer, p75Of } from './peer.ts';

/** Of the estimated shift: the 98 % interval has to lie beyond it. */
const tolerance = 0.25;

/**
 * Kayenta's judge, once an hour: a Mann-Whitney test on the per-minute p75 of LCP and on the per-minute error rate of
 * treatment against a control of the same size, over all minutes so far. A metric fails when the 98 % interval of the
 * Hodges-Lehmann shift lies above 25 % of the shift's estimate (`MannWhitneyClassifier`, tolerance 0.25, conf.level 0.98).
 */
export const mannWhitney: Peer = {
  name: 'Mann-Whitney',
  limit: 2.326348,
  begin() {
    const series = { p75: [[], []] as [number[], number[]], errors: [[], []] as [number[], number[]] };
    let minute = 0;
    return ({ treatment, matched }) => {
      for (const [arm, { lcp, views, errViews }] of [treatment, matched].entries()) {
        const p75 = p75Of(lcp);
        if (p75 !== null) series.p75[arm]?.push(estimateOf(p75));
        if (views > 0) series.errors[arm]?.push(errViews / views);
      }
      minute += 1;
      return minute % 60 === 0 ? Math.max(scoreOf(...series.p75), scoreOf(...series.errors)) : 0;
    };
  },
};

/**
 * How many standard deviations of U the pairs at or below the tolerated shift are short of half: above the normal
 * quantile exactly when the interval's lower end is above that shift.
 */
function scoreOf(treatment: readonly number[], control: readonly number[]): number {
  const pairs = treatment.length * control.length;
  if (treatment.length < 2 || control.length < 2) return 0;
  const shifts = Float64Array.from({ length: pairs });
  for (let i = 0, at = 0; i < treatment.length; i++)
    for (let j = 0; j < control.length; j++) shifts[at++] = (treatment[i] ?? 0) - (control[j] ?? 0);
  shifts.sort();
  const estimate = ((shifts[Math.ceil(pairs / 2) - 1] ?? 0) + (shifts[Math.floor(pairs / 2)] ?? 0)) / 2;
  if (estimate <= 0) return 0;
  let below = 0;
  while (below < pairs && (shifts[below] ?? 0) <= tolerance * estimate) below += 1;
  return (pairs / 2 - below) / Math.sqrt((pairs * (treatment.length + control.length + 1)) / 12);
}
