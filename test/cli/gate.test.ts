import { describe, expect, it } from 'vitest';
import type { RolloutView } from '../../src/http/views.ts';
import { aDecision, aProblem, aView, nothing, tidegate } from './a-world.ts';

const wait = (text: string, what: RolloutView['waitingFor'][number]['for']) => ({ for: what, text, etaMs: null });

/** Runs the gate against looks in a row; the last one repeats. */
async function gate(looks: readonly (RolloutView | 'down')[], args: readonly string[] = []) {
  let look = 0;
  return tidegate(['gate', 'checkout', ...args], {
    controller: () => {
      const view = looks[Math.min(look++, looks.length - 1)] ?? 'down';
      return view === 'down' ? nothing() : { body: view };
    },
  });
}

describe('gate', () => {
  it('ends with 0 when the phase is reached', async () => {
    const ran = await gate([aView(), aView(), aView({ state: { phase: 'completed', stage: 2 }, exposure: 100 })]);
    expect(ran).toMatchObject({ code: 0, out: 'checkout is completed at 100 %\n', slept: 10_000 });
  });

  it('is content with a later phase', async () => {
    expect((await gate([aView({ state: { phase: 'soaking' } })], ['--until', 'ramping'])).code).toBe(0);
  });

  it('is content with the stage that was asked for', async () => {
    const first = aView({ state: { stage: 0 } });
    const ran = await gate([first, aView({ state: { stage: 1 } })], ['--min-stage', 'early']);
    expect(ran).toMatchObject({ code: 0, slept: 5000 });
  });

  it('ends with 10 when held, with the reason', async () => {
    const lastDecision = aDecision({ why: 'LCP p75 is 12 % slower\nmore' });
    const ran = await gate([aView({ state: { phase: 'held' }, lastDecision })], ['--min-stage', 'early']);
    expect(ran).toMatchObject({ code: 10, out: 'checkout is held: LCP p75 is 12 % slower\n' });
  });

  it('ends with 11 when killed', async () => {
    expect((await gate([aView({ state: { phase: 'killed', stage: -1 } })])).code).toBe(11);
    const latch = { environment: 'production', flag: 'checkout', wave: null, setAt: 0, by: 'ann', reason: null };
    expect((await gate([aView({ state: { phase: 'draft' }, latch })])).code).toBe(11);
  });

  it('ends with 12 on a timeout, which never passes', async () => {
    const ran = await gate([aView({ waitingFor: [wait('bake 2 h', 'bake')] })], ['--timeout', '12s']);
    expect(ran).toMatchObject({ code: 12, slept: 12_000 });
    expect(ran.out).toBe('checkout is not there after 12 s: ramping at 5 %; waits for bake 2 h\n');
  });

  it.each(['cancelled', 'superseded', 'draft'] as const)('ends with 12 when %s', async (phase) => {
    expect((await gate([aView({ state: { phase, stage: -1 } })])).code).toBe(12);
  });

  it('ends with 13 when it awaits approval', async () => {
    expect((await gate([aView({ state: { phase: 'pending_approval', stage: -1 } })])).code).toBe(13);
    expect((await gate([aView({ waitingFor: [wait('approval', 'approval')] })])).code).toBe(13);
  });

  it('keeps waiting while an approval is not the only thing missing', async () => {
    const waitingFor = [wait('approval', 'approval'), wait('bake', 'bake')];
    expect((await gate([aView({ waitingFor })], ['--timeout', '10s'])).code).toBe(12);
  });

  it('ends with 30 when the controller stays away, and survives its restart', async () => {
    expect((await gate(['down'])).code).toBe(30);
    expect((await gate(['down', 'down', aView({ state: { phase: 'completed' } })])).code).toBe(0);
  });

  it('ends with 1 for a rollout that does not exist, 64 for a stage that does not', async () => {
    const ran = await tidegate(['gate', 'x'], { controller: () => aProblem(404, 'not_found', 'no rollout x') });
    expect(ran).toMatchObject({ code: 1, err: 'tidegate: no rollout x\n' });
    expect((await gate([aView()], ['--min-stage', 'later'])).code).toBe(64);
  });

  it('prints JSON', async () => {
    const ran = await gate([aView({ state: { phase: 'held' } })], ['--json']);
    expect(JSON.parse(ran.out)).toMatchObject({ code: 10, rollout: { name: 'checkout' } });
  });
});
