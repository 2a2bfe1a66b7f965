import { asymptoticBand } from '../../src/domain/stats/asymptotic-band.ts';
import { type Difference, differencesOf, noMoments, type Peer, withMinute } from './peer.ts';

/**
 * GrowthBook's sequential test, every minute: the one-sided asymptotic confidence sequence of the difference of means
 * at .05, tuned to N* = 5000 (its default), page views taken as independent, control as large as treatment. Kills when
 * the lower bound of any metric is worse than no difference. The score is the estimate over the half width.
 */
export const growthBook: Peer = {
  name: 'GrowthBook',
  limit: 1,
  begin() {
    let treatment = noMoments;
    let control = noMoments;
    return (minute) => {
      treatment = withMinute(treatment, minute.treatment);
      control = withMinute(control, minute.matched);
      return Math.max(...differencesOf(treatment, control).map(scoreOf));
    };
  },
};

const [alpha, nStar] = [0.05, 5000];

function scoreOf({ treatment, control }: Difference): number {
  const band = asymptoticBand(control, treatment, alpha, nStar);
  if (band === null) return 0;
  const estimate = treatment.sum / treatment.n - control.sum / control.n;
  return estimate / (estimate - band.lowerOneSided);
}
