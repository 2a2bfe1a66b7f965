import { bestRho } from '../../src/domain/stats/best-rho.ts';
import { logMixTwoSided } from '../../src/domain/stats/normal-mixture.ts';
import { differencesOf, noMoments, type Peer, withMinute } from './peer.ts';
import { zOf } from './repeated-z.ts';

const alpha = 0.05;
/** Precision of the mixture, per page view of either arm: tightest after 5000 of them. */
const rho = bestRho(5000, alpha);

/**
 * The mixture sequential probability ratio test of Johari, Koomen, Pekelis and Walsh (2017), every minute: a two-sided
 * normal mixture on each mean with the variance of independent page views, at .05, control as large as treatment.
 * Kills when a metric that is worse has ln(mixture) >= ln(1/alpha): the score.
 */
export const msprt: Peer = {
  name: 'mSPRT',
  limit: Math.log(1 / alpha),
  begin() {
    let treatment = noMoments;
    let control = noMoments;
    return (minute) => {
      treatment = withMinute(treatment, minute.treatment);
      control = withMinute(control, minute.matched);
      const scores = differencesOf(treatment, control).map((arms) => {
        const z = zOf(arms.treatment, arms.control);
        const n = arms.treatment.n + arms.control.n;
        return z <= 0 ? 0 : logMixTwoSided(z * Math.sqrt(n), n, rho);
      });
      return Math.max(...scores);
    };
  },
};
