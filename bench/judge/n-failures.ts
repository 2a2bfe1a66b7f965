import { lnGamma } from '../../src/domain/histogram.ts';
import { type Peer, p75Of } from './peer.ts';

/**
 * Thresholds on the treatment alone, every minute: p75 of LCP above 1.25 x history, or errors above 2 x history; five
 * failing minutes in all are a rollback (as Flagger's `threshold: 5` at `interval: 1m` counts them).
 */
export const nFailures: Peer = {
  name: 'N failures',
  limit: 5,
  begin(history) {
    let failures = 0;
    return ({ treatment }) => {
      const p75 = p75Of(treatment.lcp);
      const isSlow = p75 !== null && (p75 - history.p75) * lnGamma > Math.log(1.25);
      const isFailing = treatment.views > 0 && treatment.errViews / treatment.views > 2 * history.errors;
      if (isSlow || isFailing) failures += 1;
      return failures;
    };
  },
};
