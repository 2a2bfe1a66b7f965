import { afterEach, describe, expect, it } from 'vitest';
import { addCount, emptyCell, encodeCell } from '../../src/ingest/cell.ts';
import type { CellRow, RumStore } from '../../src/store/store.ts';
import { ana, aPlanDocument, aRamping, type Control } from '../support/a-controller.ts';
import { minute, monday } from '../support/a-rollout.ts';

let world: Control;
let reported: (CellRow & { readonly flush: number })[] = [];
afterEach(() => world.close());

/** Beacons of one epoch in one minute: so many units in each arm, and errors in treatment. */
function report(epoch: number, units: { treatment: number; control: number }, errors = 0): void {
  const bucket = monday + Math.floor(world.clock.after / minute) * minute;
  world.clock.flush += 1;
  for (const arm of ['treatment', 'control'] as const) {
    const cell = emptyCell();
    cell.newestAt = world.now().wall;
    for (const count of ['issued', 'seen', 'exposed', 'views', 'starts', 'ends']) addCount(cell, count, units[arm]);
    if (arm === 'treatment' && errors > 0) addCount(cell, 'err', errors);
    const blob = encodeCell(cell);
    reported.push({ bucket, rollout: 1, epoch, arm, dim: '', val: '', blob, flush: world.clock.flush });
  }
}

const rum = (store: RumStore): RumStore => ({
  ...store,
  cellsSince: async (_rollout, flush) => reported.filter((row) => row.flush > flush),
});
const epochNow = async () => (await world.rollout()).state.epoch;
const sampleRatio = async () =>
  world.ticker.seen((await world.rollout()).id)?.readings.find(({ gate }) => gate === 'health.sampleRatio')?.verdict;
const second = 1_000;
const alike = { treatment: 20_000, control: 20_000 };

describe('a rollout that starts again', () => {
  it('is not killed on the evidence of the run that was killed', async () => {
    reported = [];
    world = await aRamping({ rum });
    report(await epochNow(), alike, 4_000);
    await world.beat(second);
    expect(await world.phase()).toBe('killed');

    await world.verbs.act(world.where, 'rearm', ana);
    await world.beat(minute);
    await world.verbs.act(world.where, 'start', ana);
    await world.beat(minute);
    expect((await world.rollout()).state).toMatchObject({ phase: 'ramping', stage: 0 });

    report(await epochNow(), alike, 4_000);
    await world.beat(second);
    expect(await world.phase()).toBe('killed');
  });

  it('counts units by the split of its new revision, not those of the one before', async () => {
    reported = [];
    world = await aRamping({ rum });
    report(await epochNow(), alike);
    await world.beat(minute);
    expect(await sampleRatio()).toBe('pass');

    await world.verbs.act(world.where, 'hold', ana);
    await world.applyPlan(
      aPlanDocument({ comparison: { control: { ratio: 4 }, holdback: { percent: 1, for: '1d' } } }),
    );
    report(await epochNow(), { treatment: 5_000, control: 20_000 });
    await world.beat(minute);
    expect(await sampleRatio()).toBe('pass');
  });
});
