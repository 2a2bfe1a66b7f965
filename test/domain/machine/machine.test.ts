import { beforeAll, describe, expect, it } from 'vitest';
import { transitions } from '../../../src/domain/machine.ts';
import { checked, type Edge, events, explore, unchecked } from './explore.ts';
import { type Invariant, invariants, law } from './invariants.ts';
import { mutants } from './mutants.ts';

const laws = Object.entries(invariants);
/** And what is not among the twelve. */
const own: readonly (readonly [name: string, law: Invariant])[] = [
  [
    'raises only on a full look',
    law(({ event, exposure }) => event.kind === 'tick' && event.quick && exposure.to > exposure.from),
  ],
  [
    'opens an epoch with every change of exposure and counts every change',
    law(({ before, after, exposure }) => {
      if (before === after) return false;
      return after.state.version <= before.state.version || (exposure.from !== exposure.to && after.state.epoch === 0);
    }),
  ],
];
const all = [...laws, ...own];

describe.each([
  { name: 'with a preflight', plan: checked },
  { name: 'without one', plan: unchecked },
])('the state machine $name, in every reachable state under every event', ({ plan }) => {
  const broken = new Map<string, string>();
  const phases = new Set<string>();
  let [states, edges] = [0, 0];

  beforeAll(() => {
    const look = (edge: Edge): boolean => {
      edges += 1;
      phases.add(edge.after.state.phase);
      for (const [name, law] of all) {
        const complaint = broken.has(name) ? null : law(edge);
        if (complaint !== null) broken.set(name, complaint);
      }
      return false;
    };
    ({ states } = explore(look, plan));
  });

  it('has more than a handful of states', () => {
    expect(states).toBeGreaterThan(60);
    expect(edges).toBe(states * events.length);
  });

  it.each(all)('%s', (name) => {
    expect(broken.get(name)).toBeUndefined();
  });

  it('reaches every phase that a rollout of this release can be in', () => {
    expect([...phases].sort()).toEqual([
      'cancelled',
      'completed',
      'draft',
      'held',
      'killed',
      'pending_approval',
      ...(plan === checked ? ['preflight'] : []),
      'ramping',
      'scheduled',
      'soaking',
    ]);
  });
});

describe('a planted bug is seen', () => {
  it.each(mutants)('$name', ({ machine, breaks }) => {
    const meant = all.filter(([name]) => name.startsWith(`${breaks} `));
    let seen: string | null = null;
    const look = (edge: Edge): boolean => {
      seen = meant.find(([, law]) => law(edge) !== null)?.[0] ?? null;
      return seen !== null;
    };
    explore(look, checked, machine);
    expect(seen).toMatch(breaks);
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
