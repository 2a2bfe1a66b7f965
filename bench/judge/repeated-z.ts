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

/**
 * z of treatment - control with the variance of both arms together, as in the textbook's test of two shares: an arm that
 * has seen no event yet would otherwise seem to have no variance. Observations are taken as independent; 0 where nothing
 * can be said.
 */
export function zOf(treatment: Moments, control: Moments): number {
  const n = treatment.n + control.n;
  if (treatment.n < 2 || control.n < 2) return 0;
  const mean = (treatment.sum + control.sum) / n;
  const variance = (treatment.sumSquares + control.sumSquares - n * mean * mean) / (n - 1);
  if (!(variance > 0)) return 0;
  const difference = treatment.sum / treatment.n - control.sum / control.n;
  return difference / Math.sqrt(variance * (1 / treatment.n + 1 / control.n));
}
