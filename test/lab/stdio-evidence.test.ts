import { describe, expect, it } from 'vitest';
import { newRollout } from '../../src/domain/initial.ts';
import { readPageViews } from '../../src/lab/stdio-columns.ts';
import { createEvidence } from '../../src/lab/stdio-evidence.ts';
import { documentsOf } from '../../src/lab/stdio-policy.ts';
import { parseMessage } from '../../src/lab/stdio-protocol.ts';
import { at, hour, minute, monday } from '../support/a-rollout.ts';

const metrics = [
  { name: 'err', kind: 'rate' },
  { name: 'conv', kind: 'proportion', maturityMinutes: 120 },
];

/** Evidence of one session that views a page in each of these hours. */
function visitsIn(hours: readonly number[]) {
  const message = parseMessage(JSON.stringify({ type: 'start', plan: { stages: [1], metrics } }));
  if (message.type !== 'start') return expect.fail();
  const { plan, signals } = documentsOf(message.plan);
  const made = { id: 'r', shortId: 1, revision: 1, environment: 'stdio', wave: null, author: 'driver' };
  const rollout = newRollout({ ...made, plan, policy: plan.spec.policy, now: at() });
  const state = { ...rollout.state, stage: 0, epoch: 1 };
  const evidence = createEvidence(signals, {});
  evidence.enter(state);
  // Somebody else comes every hour, so that there is always something to take.
  const last = Math.max(...hours);
  for (let t = 0; t <= last; t++) {
    const session = hours.includes(t) ? ['other', 'idle'] : ['other'];
    const views = readPageViews({ session, cohort: session.map(() => 1) }, [], { t, stage: 0 });
    evidence.take(views, () => monday + t * hour, monday + t * hour + minute);
  }
  const { strata } = evidence.read({ ...rollout, state }, monday + last * hour + minute);
  return strata.reduce((sum, { treatment }) => sum + (treatment.counts.exposed ?? 0), 0);
}

describe('the evidence of a driver', () => {
  it('knows a session again within a day and the longest maturity', () => {
    expect(visitsIn([0, 25])).toBe(2);
  });

  it('has forgotten a session that was idle for longer, and counts it as another', () => {
    expect(visitsIn([0, 28])).toBe(3);
  });

  it('forgets nobody who keeps coming', () => {
    expect(visitsIn([0, 20, 40, 60])).toBe(2);
  });
});
