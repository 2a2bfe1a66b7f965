import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { aPlan, aPolicy } from './support/process-documents.ts';
import { aHouse, type House, type Visits } from './support/process-house.ts';

const minute = 60_000;
const patience = 30_000;
const steps = {
  stages: [
    { name: 'first', exposure: 10, bake: '5m', minSamples: 200, maxDwell: '30d' },
    { name: 'second', exposure: 30, bake: '5m', minSamples: 200, maxDwell: '30d' },
    { name: 'full', exposure: 100 },
  ],
};
let house: House;
beforeEach(async () => {
  house = await aHouse(aPolicy(), aPlan(steps));
});
afterEach(async () => {
  await house.close();
});

/** Minutes go by, the same visits in each; answers the exposures that were seen. */
async function live(minutes: number, visits: Visits | null): Promise<number[]> {
  const seen = new Set<number>();
  for (let n = 0; n < minutes; n += 1) {
    house.pass(minute);
    if (visits !== null) await house.visits(visits);
    await house.beat();
    seen.add(await house.exposure());
  }
  return [...seen].sort((a, b) => a - b);
}

/** Visits of both arms until it is at the second stage. */
async function toSecondStage(): Promise<number> {
  await house.start();
  const { epoch } = (await house.rollout()).state;
  for (let n = 0; n < 60 && (await house.rollout()).state.stage < 1; n += 1)
    await live(1, { treatment: 60, control: 60 });
  expect((await house.rollout()).state).toMatchObject({ phase: 'ramping', stage: 1 });
  return epoch;
}

describe('exposure', () => {
  it(
    'rises when both arms of the present stage report and are alike',
    async () => {
      await toSecondStage();
      expect(await house.exposure()).toBe(30);
      expect(house.failures).toEqual([]);
    },
    patience,
  );

  it(
    'never rises without any data, in many hours',
    async () => {
      await house.start();
      expect(Math.max(...(await live(400, null)))).toBe(10);
    },
    patience,
  );

  it(
    'never rises on data of the treatment alone',
    async () => {
      await house.start();
      expect(Math.max(...(await live(40, { treatment: 60 })))).toBe(10);
    },
    patience,
  );

  it(
    'never rises on data of the control alone',
    async () => {
      await house.start();
      expect(Math.max(...(await live(40, { control: 60 })))).toBe(10);
    },
    patience,
  );

  it(
    'never rises on data of the stage before, however much of it still comes in',
    async () => {
      const epoch = await toSecondStage();
      expect((await house.rollout()).state.epoch).toBeGreaterThan(epoch);
      expect(Math.max(...(await live(40, { treatment: 60, control: 60, epoch })))).toBe(30);
    },
    patience,
  );

  it(
    'never rises again when the data stop after a stage that went well',
    async () => {
      await toSecondStage();
      expect(Math.max(...(await live(400, null)))).toBe(30);
    },
    patience,
  );

  it(
    'falls to nothing within a look when the treatment throws',
    async () => {
      await house.start();
      await live(3, { treatment: 60, control: 60 });
      await live(5, { treatment: 100, control: 100, broken: 0.6 });
      expect(await house.exposure()).toBe(0);
      expect((await house.rollout()).state.phase).toBe('killed');
    },
    patience,
  );
});
