import { describe, expect, it } from 'vitest';
import { createUndo } from '../src/undo.ts';

describe('undoing', () => {
  it('takes back the newest step first, and each only once', async () => {
    const undone: string[] = [];
    const undo = createUndo();
    for (const step of ['store', 'server', 'heartbeat']) undo.add(async () => undone.push(step));
    await undo.run();
    await undo.run();
    expect(undone).toEqual(['heartbeat', 'server', 'store']);
  });

  it('goes on past a step that fails, and tells of the first failure', async () => {
    const undone: string[] = [];
    const undo = createUndo();
    undo.add(() => undone.push('store'));
    undo.add(() => Promise.reject(new Error('second')));
    undo.add(() => {
      throw new Error('first');
    });
    await expect(undo.run()).rejects.toThrow('first');
    expect(undone).toEqual(['store']);
  });
});
