import { expect, it } from 'vitest';
import { createBreathe } from '../../src/control/breathe.ts';

it('turns the event loop once a slice has run, and counts the next slice from there', async () => {
  let mono = 100;
  const turns: number[] = [];
  const breathe = createBreathe(
    () => mono,
    async () => {
      turns.push(mono);
      mono += 50;
    },
  );
  for (const after of [0, 3, 0.75, 0.5, 1, 2.75, 0.5]) {
    mono += after;
    await breathe();
  }
  expect(turns).toEqual([104.25, 158.5]);
});
