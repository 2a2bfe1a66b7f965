import { describe, expect, it } from 'vitest';
import type { Concentration } from '../../../src/domain/evidence.ts';
import { withoutHeaviest } from '../../../src/domain/gates/without-network.ts';
import { monday } from '../../support/a-rollout.ts';
import { aStratum } from './an-evidence.ts';

const nobody: Concentration = { tokens: 0, networks: 0, heaviest: null };
const stratum = aStratum({
  treatment: { units: 100, errors: 8, vitals: { LCP: [900, 900, 3000] } },
  control: { units: 400 },
});
const { LCP } = stratum.treatment.metrics;

/** The treatment without a network that has this cell. */
function treatmentWithout(counts: { [name: string]: number }, metrics = {}) {
  const parts = [{ epoch: 1, hour: monday, cell: { counts, metrics } }];
  const [left] = withoutHeaviest([stratum], { ...nobody, heaviest: { share: 0.1, parts } }, nobody);
  return left?.treatment ?? expect.fail();
}

describe('strata without the heaviest network', () => {
  it('have what it reported less, and all that was issued, which no network is known of', () => {
    const { issued, seen, exposed, err } = treatmentWithout({ exposed: 30, err: 5 }).counts;
    expect({ issued, seen, exposed, err }).toEqual({ issued: 100, seen: 100, exposed: 70, err: 3 });
  });

  it('never have less than nothing', () => {
    expect(treatmentWithout({ err: 9 }).counts.err).toBe(0);
  });

  it('never have more than everybody, when the network owes what it reported before it was forgotten', () => {
    const owing = { n: -1, sum: -900, sumLn: -7, bad1: -1, bad2: 0, hist: LCP?.hist.map(([bin]) => [bin, -1]) };
    const left = treatmentWithout({ err: -2, exposed: 0 }, { LCP: owing });
    expect(left.counts.err).toBe(8);
    expect(left.metrics.LCP).toMatchObject({ n: 3, bad1: LCP?.bad1, hist: LCP?.hist });
  });
});
