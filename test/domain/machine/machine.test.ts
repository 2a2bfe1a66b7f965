import { beforeAll, describe, expect, it } from 'vitest';
import { transitions } from '../../../src/domain/machine.ts';
import { type Edge, events, explore } from './explore.ts';
import { invariants } from './invariants.ts';
import { mutants } from './mutants.ts';

const laws = Object.entries(invariants);

function quickRise({ event, exposure }: Edge): boolean {
  return event.kind === 'tick' && event.quick && exposure.to > exposure.from;
}

describe('the state machine, in every reachable state under every event', () => {
  const edges: Edge[] = [];
  let states = 0;

  beforeAll(() => {
    ({ states } = explore((edge) => {
      edges.push(edge);
      return false;
    }));
  });

  it('has more than a handful of states', () => {
    expect(states).toBeGreaterThan(60);
    expect(edges.length).toBe(states * events.length);
  });

  it.each(laws)('%s', (_name, invariant) => {
    expect(edges.flatMap((edge) => invariant(edge) ?? []).slice(0, 3)).toEqual([]);
  });

  it('raises only on a full look', () => {
    expect(edges.filter(quickRise)).toEqual([]);
  });

  it('reaches every phase that a rollout of this release can be in', () => {
    expect([...new Set(edges.map(({ after }) => after.state.phase))].sort()).toEqual([
      'cancelled',
      'completed',
      'draft',
      'held',
      'killed',
      'pending_approval',
      'ramping',
      'scheduled',
      'soaking',
    ]);
  });

  it('opens an epoch with every change of exposure and counts every change', () => {
    const changed = edges.filter(({ before, after }) => before !== after);
    expect(changed.filter(({ before, after }) => after.state.version <= before.state.version)).toEqual([]);
    const moved = changed.filter(({ exposure }) => exposure.from !== exposure.to);
    expect(moved.filter(({ after }) => after.state.epoch === 0)).toEqual([]);
  });
});

describe('a planted bug is seen', () => {
  it.each(mutants)('$name', ({ machine, breaks }) => {
    const seen: string[] = [];
    explore((edge) => {
      const law = laws.find(([name, invariant]) => name.startsWith(`${breaks} `) && invariant(edge) !== null);
      if (law !== undefined || (breaks === 'quick' && quickRise(edge))) seen.push(breaks);
      return seen.length > 0;
    }, machine);
    expect(seen).toEqual([breaks]);
  });
});

describe('the table', () => {
  it('asks a reason of everything that a person may later be asked about', () => {
    const asked = transitions.filter(({ reason }) => reason).map(({ event }) => event);
    expect(asked).toEqual(['reject', 'skip-bake', 'promote', 'hold', 'step-back', 'resume', 'rearm', 'cancel']);
  });

  it('never lets a freeze guard what lowers', () => {
    const lowering = transitions.filter(({ direction }) => direction === 'lower');
    expect(lowering.filter(({ guards }) => guards.includes('not_frozen'))).toEqual([]);
  });

  it('has one meaning for each event, phase and id', () => {
    const keys = transitions.flatMap(({ id, event, from }) => from.map((phase) => `${id} ${event} ${phase}`));
    expect(new Set(keys).size).toBe(keys.length);
  });
});
