import { describe, expect, it } from 'vitest';
import { kept, retain, startCalendar } from '../../src/control/calendar.ts';
import type { RolloutState } from '../../src/domain/rollout.ts';
import { aBatch, aCell, aDecision, anEntry, aRollout, aState, someSums } from '../store/fixtures.ts';
import { monday } from '../support/a-rollout.ts';
import { tempStore } from '../support/temp-store.ts';

const evidence = { forget: () => {} };

/** A house with one rollout in this state, of which beacons have told; its newest decision is a week old but for `young` ms. */
async function telemetryOf(state: Partial<RolloutState>, young = 0): Promise<{ kept: boolean; forgotten: number[] }> {
  const { control, rum, close } = await tempStore();
  const rollout = aRollout({ state: aState(state) });
  const at = monday - kept.ended + young;
  await control.commit({
    audit: anEntry({ at }),
    rollouts: [{ before: null, after: rollout }],
    decision: aDecision({ at }),
  });
  const unit = { rollout: rollout.shortId, epoch: 1, unit: new Uint8Array(8), state: '{}' };
  const marginal = aCell({ bucket: monday, dim: 'device', val: 'phone' });
  await rum.commit(aBatch(1, { units: [unit], cells: [aCell({ bucket: monday }), marginal], sums: [someSums()] }));
  const forgotten: number[] = [];
  const forget = ({ shortId }: { readonly shortId: number }) => forgotten.push(shortId);
  await retain({ control, rum, evidence: { forget }, now: () => monday });
  const left = [
    await rum.units([unit]),
    await rum.cellsSince(1, 0, false),
    await rum.cellsSince(1, 0, true),
    await rum.sumsSince(1, 0),
  ].map((rows) => rows.length);
  await close();
  expect(new Set(left).size).toBe(1);
  return { kept: left[0] === 1, forgotten };
}

describe('telemetry of a rollout', () => {
  const gone = { kept: false, forgotten: [1] };
  const there = { kept: true, forgotten: [] };

  it('goes at once when it is cancelled or superseded', async () => {
    expect(await telemetryOf({ phase: 'cancelled', stage: -1 }, 1_000)).toEqual(gone);
    expect(await telemetryOf({ phase: 'superseded', stage: -1 }, 1_000)).toEqual(gone);
  });

  it('goes a week after a kill, and not before', async () => {
    expect(await telemetryOf({ phase: 'killed', stage: -1 })).toEqual(gone);
    expect(await telemetryOf({ phase: 'killed', stage: -1 }, 1)).toEqual(there);
  });

  it('goes a week after nothing is compared with a completed one any more', async () => {
    expect(await telemetryOf({ phase: 'completed' })).toEqual(gone);
    expect(await telemetryOf({ phase: 'completed' }, 1)).toEqual(there);
    expect(await telemetryOf({ phase: 'completed', sentinel: true })).toEqual(there);
  });

  it('stays while it runs, however long', async () => {
    expect(await telemetryOf({ phase: 'ramping' })).toEqual(there);
    expect(await telemetryOf({ phase: 'held', stage: 0 })).toEqual(there);
    expect(await telemetryOf({ phase: 'pending_approval', stage: -1 })).toEqual(there);
  });
});

describe('the calendar', () => {
  it('forgets idempotent answers after two days, and not before', async () => {
    const { control, rum, close } = await tempStore();
    const audit = { at: 0, actor: 'ana', action: 'x', environment: null, target: 'x', reason: null, detail: {} };
    for (const [key, at] of [
      ['old', monday - kept.idempotentAnswers - 1],
      ['young', monday - kept.idempotentAnswers],
    ] as const)
      await control.commit({ audit, idempotency: { key, subject: 'ana', request: 'r', status: 200, body: '', at } });
    expect(await retain({ control, rum, evidence, now: () => monday })).toBe(1);
    expect(await control.idempotent('old', 'ana')).toBeNull();
    expect(await control.idempotent('young', 'ana')).not.toBeNull();
    await close();
  });

  it('can be stopped', async () => {
    const { control, rum, close } = await tempStore();
    const stop = startCalendar({ control, rum, evidence, now: () => monday, report: () => {} });
    await expect(stop()).resolves.toBeUndefined();
    await close();
  });
});
