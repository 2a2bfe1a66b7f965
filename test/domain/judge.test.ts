import { describe, expect, it } from 'vitest';
import type { Evidence } from '../../src/domain/evidence.ts';
import { judge } from '../../src/domain/judge.ts';
import { settle } from '../../src/domain/settle.ts';
import {
  aBlindLook,
  aFreeze,
  aLook,
  aPlan,
  aPolicy,
  aReading,
  aRollout,
  at,
  aVerdict,
  aWorld,
  hour,
  minute,
} from '../support/a-rollout.ts';

const plan = aPlan();
const policy = aPolicy();
const base = { plan, policy, world: aWorld(), look: 'full' as const };
const nothing: Evidence = {
  asOf: at().wall,
  bucketMs: 60_000,
  strata: [],
  shards: {},
  units: {},
  shardCounts: {},
  concentration: null,
  segments: [],
  newest: { treatment: null, control: null },
  ingest: { accepted: 0, invalid: 0, duplicate: 0, late: 0 },
  crossover: 0,
};

describe('the judge', () => {
  it('never raises without evidence, however long it looks', () => {
    let rollout = aRollout();
    for (let i = 1; i <= 40; i += 1) {
      const judged = judge({ ...base, evidence: nothing, signals: [], rollout, now: at(i * 5 * minute) });
      rollout = judged.rollout;
      expect(rollout.state.stage).toBe(0);
    }
    expect(rollout.state.phase).toBe('held');
  });

  it('reads an unknown signal as an error, and holds once errors last', () => {
    const judged = judge({ ...base, evidence: nothing, signals: [], rollout: aRollout(), now: at(minute) });
    expect(judged.readings.filter(({ verdict }) => verdict === 'error')).toHaveLength(3);
    expect(judged.rollout.progress.errors).toBe(1);
  });

  it('turns a look that throws into errors of every gate', () => {
    const broken = { ...nothing, ingest: JSON.parse('null') };
    const judged = judge({
      ...base,
      evidence: broken,
      signals: JSON.parse('null'),
      rollout: aRollout(),
      now: at(minute),
    });
    expect(judged.readings.every(({ verdict }) => verdict === 'error')).toBe(true);
    expect(judged.outcome.action).toBe('stay');
  });
});

describe('settling a look', () => {
  it('bakes only while core evidence is there', () => {
    const seen = settle({ ...base, rollout: aRollout(), now: at(10 * minute) }, aLook());
    expect(seen.rollout.progress.bakedMs).toBe(10 * minute);
    const blind = settle({ ...base, rollout: aRollout(), now: at(10 * minute) }, aBlindLook());
    expect(blind.rollout.progress).toMatchObject({ bakedMs: 0, blindSince: at(10 * minute).wall });
  });

  it('does not take a quick look for proof that missing evidence is back', () => {
    const rollout = aRollout({
      progress: { blindSince: at(-minute).wall, errors: 2, inconclusiveSince: at(-hour).wall },
    });
    const { progress } = settle({ ...base, look: 'quick', rollout, now: at() }, aLook()).rollout;
    expect(progress).toMatchObject({ blindSince: at(-minute).wall, errors: 2, inconclusiveSince: at(-hour).wall });
    const full = settle({ ...base, rollout, now: at() }, aLook()).rollout.progress;
    expect(full).toMatchObject({ blindSince: null, errors: 0, inconclusiveSince: null });
  });

  it('never raises on the first look after a restart, and does so on the next', () => {
    const rollout = aRollout({ progress: { bakedMs: hour } });
    const first = settle({ ...base, rollout, now: at(minute, 'b2') }, aLook());
    expect(first.outcome.waitingFor).toMatchObject([{ for: 'tick' }]);
    const second = settle({ ...base, rollout: first.rollout, now: at(2 * minute, 'b2') }, aLook());
    expect(second.outcome.transition).toBe('T7');
  });

  it('runs one tick after downtime, not the ticks that were missed', () => {
    const rollout = aRollout({ progress: { bakedMs: 50 * minute } });
    const after = settle({ ...base, rollout, now: at(48 * hour) }, aLook()).rollout;
    expect(after.state.stage).toBe(1);
    expect(after.progress.bakedMs).toBe(0);
  });

  it('stops the dwell while a freeze is the only thing missing', () => {
    const rollout = aRollout({ progress: { bakedMs: 2 * hour } });
    const world = aWorld({ freezes: [aFreeze] });
    const paused = settle({ ...base, world, rollout, now: at(hour) }, aLook());
    expect(paused.rollout.progress.dwellMs).toBe(0);
    const waiting = settle({ ...base, world, rollout: aRollout(), now: at(minute) }, aLook());
    expect(waiting.rollout.progress.dwellMs).toBe(minute);
  });

  it('holds after as many failed evaluations in a row as the policy allows', () => {
    const looked = aLook(aVerdict('error'));
    let rollout = aRollout();
    for (let i = 1; i <= 4; i += 1) rollout = settle({ ...base, rollout, now: at(i * 1000) }, looked).rollout;
    expect(rollout.state).toMatchObject({ phase: 'held', heldBy: 'error', sticky: false });
  });

  it('remembers since when a proof has been open', () => {
    const proof = { type: 'non_inferior' as const, margin: '10%' };
    const gate = { name: 'conversion', signal: 'c', tier: 'hold' as const, owner: 'shop', tests: [proof] };
    const asking = aPolicy({ gates: [{ ...gate, inconclusive: { after: '2h', action: 'ask' } }] });
    const looked = aLook(aReading({ gate: 'conversion', verdict: 'inconclusive' }));
    const { rollout } = settle({ ...base, policy: asking, rollout: aRollout(), now: at(minute) }, looked);
    expect(rollout.progress.inconclusiveSince).toBe(at(minute).wall);
  });
});
