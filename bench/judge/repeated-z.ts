import type { Moments } from '../../src/domain/stats/asymptotic-band.ts';
import { differencesOf, noMoments, type Peer, withMinute } from './peer.ts';

/**
 * A two-sided z-test at .05 of each mean against everybody else, over all page views so far, every minute: what a
 * dashboard with a significance star amounts to. Kills when any metric is significantly worse.
 */
export const repeatedZ: Peer = {
  name: 'repeated z',
  limit: 1.959964,
  begin() {
    let treatment = noMoments;
    let control = noMoments;
    return (minute) => {
      treatment = withMinute(treatment, minute.treatment);
      control = withMinute(control, minute.control);
      return Math.max(...differencesOf(treatment, control).map((arms) => zOf(arms.treatment, arms.control)));
    };
  },
};

/** Welch's z of treatment - control, observations taken as independent; 0 where nothing can be said. */
export function zOf(treatment: Moments, control: Moments): number {
  if (treatment.n < 2 || control.n < 2) return 0;
  const variance = varianceOfMean(treatment) + varianceOfMean(control);
  if (!(variance > 0)) return 0;
  return (treatment.sum / treatment.n - control.sum / control.n) / Math.sqrt(variance);
}

function varianceOfMean({ n, sum, sumSquares }: Moments): number {
  return (sumSquares - (sum * sum) / n) / (n - 1) / n;
}
