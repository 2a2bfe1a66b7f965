import { describe, expect, it } from 'vitest';
import { createControlStore } from '../../src/store/control-store.ts';
import { aRollout } from './fixtures.ts';

describe('a rollout that an earlier version stored', () => {
  const { progress, references, evidenceFrom: _notKeptThen, ...body } = aRollout();
  const reading = (stored: object) =>
    createControlStore({
      all: async () => [
        { body: JSON.stringify(stored), progress: JSON.stringify(progress), refs: JSON.stringify(references) },
      ],
      batch: async () => [],
      close: async () => {},
    }).rollout(body.id);

  it('is judged on all of its evidence', async () => {
    expect(await reading(body)).toEqual({ ...aRollout(), evidenceFrom: 0 });
    expect(await reading({ ...body, evidenceFrom: 4 })).toEqual(aRollout({ evidenceFrom: 4 }));
  });
});
