import { describe, expect, it } from 'vitest';
import { createBoard, type Publication } from '../../src/serve/board.ts';
import { aLatch, aRampPlan, aRunning, aServed, plainFlag, stageOf } from './a-served.ts';

const open = plainFlag({ metadata: { clientVisible: true } });
const at = (ver: number, exposure: number, more: Parameters<typeof aServed>[0] = {}) =>
  aServed({ ver, rollouts: [aRunning({ state: { stage: stageOf[exposure] ?? 0, epoch: exposure } })], ...more });

/** What the last of several publications changed. */
function published(...sets: ReturnType<typeof aServed>[]): Publication | null {
  const board = createBoard();
  return sets.map((served) => board.publish(served)).at(-1) ?? null;
}

describe('the board', () => {
  it('holds nothing of an environment that was never published', () => {
    expect(createBoard().get('production')).toBeNull();
  });

  it('puts exactly the changed flags into the change', () => {
    const flags = { banner: plainFlag() };
    const found = published(at(57, 5, { flags }), at(58, 10, { flags }));
    expect(found?.change).toMatchObject({ ver: 58, from: 57 });
    expect(Object.keys(found?.change?.flags ?? {})).toEqual(['new-checkout']);
    expect(found?.lowers).toBe(false);
  });

  it('announces a deleted flag as a tombstone', () => {
    const found = published(aServed({ flags: { a: open, b: open } }), aServed({ ver: 58, flags: { a: open } }));
    expect(found?.change?.flags).toEqual({ b: null });
    expect(found?.lowers).toBe(true);
  });

  it('says nothing when nothing that is served changed', () => {
    expect(published(at(57, 5), at(58, 5))).toBeNull();
  });

  it('never goes back to an older version', () => {
    const board = createBoard();
    board.publish(at(58, 5));
    expect(board.publish(at(57, 25))).toBeNull();
    expect(board.get('production')?.served.ver).toBe(58);
  });

  it('knows a kill, a step back and a hold on a plain flag as lowering', () => {
    expect(published(at(57, 5), at(58, 5, { latches: [aLatch()] }))?.lowers).toBe(true);
    expect(published(at(57, 5), at(58, 1))?.lowers).toBe(true);
    expect(published(at(57, 5), at(58, 10))?.lowers).toBe(false);
  });

  it('knows what lowers one of two waves, also the one that exposes less', () => {
    const waves = [
      { name: 'eu', environment: 'production', regions: ['eu-*'] },
      { name: 'us', environment: 'production', regions: ['us-*'] },
    ];
    const plan = aRampPlan({ waves });
    const two = (ver: number, eu: number, us: number, latches: Parameters<typeof aLatch>[0][] = []) =>
      aServed({
        ver,
        rollouts: [
          aRunning({ plan, id: 'r_1', shortId: 1, wave: 'eu', state: { stage: stageOf[eu] ?? 0 } }),
          aRunning({ plan, id: 'r_2', shortId: 2, wave: 'us', state: { stage: stageOf[us] ?? 0 } }),
        ],
        latches: latches.map((latch) => aLatch(latch)),
      });
    expect(published(two(57, 25, 5), two(58, 25, 5, [{ wave: 'us' }]))?.lowers).toBe(true);
    expect(published(two(57, 25, 25), two(58, 25, 25, [{ wave: 'eu' }]))?.lowers).toBe(true);
    expect(published(two(57, 25, 5), two(58, 25, 1))?.lowers).toBe(true);
    expect(published(two(57, 5, 10), two(58, 25, 1))?.lowers).toBe(true);
    expect(published(two(57, 25, 5), two(58, 25, 10))?.lowers).toBe(false);
  });

  it('raises the client revision only for what a client key may see', () => {
    const flags = { open, closed: plainFlag() };
    const revisions = (later: typeof flags) => {
      const board = createBoard();
      board.publish(aServed({ flags }));
      board.publish(aServed({ ver: 58, flags: later }));
      const { all, client } = board.get('production')?.scopes ?? {};
      return [all?.revision, client?.revision];
    };
    expect(revisions({ ...flags, closed: plainFlag({ defaultVariant: 'off' }) })).toEqual([58, 57]);
    expect(revisions({ ...flags, open: { ...open, defaultVariant: 'off' } })).toEqual([58, 58]);
    expect(revisions({ ...flags, open: plainFlag() })).toEqual([58, 58]);
  });

  it('lets clients ask again when a stage epoch changes under the same flag: they need a new token', () => {
    const resumed = aServed({ ver: 58, rollouts: [aRunning({ state: { epoch: 4 } })] });
    const found = published(aServed({ rollouts: [aRunning()] }), resumed);
    expect(found?.touched).toEqual(['all', 'client']);
    expect(found?.change?.flags).toEqual({});
  });

  it('sends everybody to the snapshot when shared rules change', () => {
    const set = (ver: number, is: boolean) =>
      aServed({ ver, flags: { a: open }, evaluators: { beta: { '==': [{ var: 'beta' }, is] } } });
    expect(published(set(57, true), set(58, false))).toMatchObject({ change: null, touched: ['all', 'client'] });
  });

  it('compiles only what changed', () => {
    const board = createBoard();
    const flags = { a: open, b: open };
    board.publish(aServed({ flags }));
    board.publish(aServed({ ver: 58, flags: { ...flags, b: { ...open, defaultVariant: 'off' } } }));
    expect(board.get('production')?.scopes.all.compiled.changed).toEqual(['b']);
  });

  it('keeps a snapshot whose digest and count are those of its set', () => {
    const board = createBoard();
    const plan = aRampPlan({ exposureLease: { onExpiry: 'baseline', ttl: '1m' } });
    board.publish(aServed({ flags: { a: open }, rollouts: [aRunning({ plan })] }));
    const snapshot: unknown = JSON.parse(String(board.get('production')?.snapshot.bytes));
    expect(snapshot).toMatchObject({
      v: 1,
      env: 'production',
      ver: 57,
      count: 2,
      full: true,
      digest: expect.stringMatching(/^sha256-[0-9a-f]{64}$/),
      lease: { 'new-checkout': { ttl: 60, onExpiry: 'baseline' } },
    });
  });
});
