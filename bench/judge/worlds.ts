import { createPopulation, type Population } from '../../src/lab/population.ts';
import { type Fault, parseStory } from '../../src/lab/story.ts';
import { createWorld, type World } from '../../src/lab/world.ts';

/** Monday 2026-11-02 10:00 UTC: the first minute of every run. */
export const startAt = 1_793_613_600_000;

/** What the oracle of a world may count; what it knows of it is in `oracle.ts`. Null: nothing in it can be killed for. */
export type OracleSees = 'log mean' | 'slowest 1 %' | 'units with errors' | 'conversions' | null;

export interface BenchWorld {
  readonly name: string;
  /** A harmless change must not be killed, a harmful one must be, a fault of the telemetry must not reach 100 %. */
  readonly kind: 'harmless' | 'harmful' | 'telemetry';
  readonly population: Population;
  /** Who comes, drawn anew for each seed. */
  open(seed: number): Pick<World, 'minute'>;
  readonly oracle: OracleSees;
  /** Share of the seeds that it is worth: a hundred units a second cost a hundred times as much. */
  readonly share: number;
}

interface Sketch {
  readonly name: string;
  readonly kind: BenchWorld['kind'];
  /** Units a second. */
  readonly rate: number;
  readonly fault?: { readonly kind: Fault['kind']; readonly [setting: string]: unknown };
  readonly tail?: 'heavy';
  readonly oracle?: OracleSees;
  readonly share?: number;
}

const none = { kind: 'none' as const };
const slow = (by: string, more = {}) => ({ kind: 'slow' as const, by, ...more });

const sketches: readonly Sketch[] = [
  { name: 'A/A, 1/s', kind: 'harmless', rate: 1 },
  { name: 'A/A, 10/s', kind: 'harmless', rate: 10 },
  { name: 'A/A, 100/s', kind: 'harmless', rate: 100, share: 0.2 },
  { name: 'A/A, heavy tail, 3/s', kind: 'harmless', rate: 3, tail: 'heavy' },
  { name: 'A/A, mix drifts, 3/s', kind: 'harmless', rate: 3, fault: { kind: 'mix_drift' } },
  {
    name: 'A/A, outage in both arms, 3/s',
    kind: 'harmless',
    rate: 3,
    fault: { kind: 'outage', from: { after: '2h' }, until: '3h' },
  },
  { name: '10 % faster, 3/s', kind: 'harmless', rate: 3, fault: { kind: 'faster', by: '10%' } },
  { name: 'LCP +2 % in a 5 % margin, 3/s', kind: 'harmless', rate: 3, fault: slow('2%'), share: 0.5 },
  { name: 'LCP +10 %, 3/s', kind: 'harmful', rate: 3, fault: slow('10%'), oracle: 'log mean' },
  { name: 'LCP +25 %, 3/s', kind: 'harmful', rate: 3, fault: slow('25%'), oracle: 'log mean' },
  { name: 'LCP x 2, 1/s', kind: 'harmful', rate: 1, fault: slow('100%'), oracle: 'log mean' },
  {
    name: 'errors x 2, 3/s',
    kind: 'harmful',
    rate: 3,
    fault: { kind: 'errors', times: 2 },
    oracle: 'units with errors',
  },
  {
    name: 'errors x 10, 1/s',
    kind: 'harmful',
    rate: 1,
    fault: { kind: 'errors', times: 10 },
    oracle: 'units with errors',
  },
  {
    name: 'slowest 5 % x 4, 10/s',
    kind: 'harmful',
    rate: 10,
    fault: { kind: 'tail', times: 4 },
    oracle: 'slowest 1 %',
  },
  {
    name: '15 % of units x 1.6, 10/s',
    kind: 'harmful',
    rate: 10,
    fault: slow('60%', { only: { share: '15%' } }),
    oracle: 'log mean',
  },
  {
    name: 'LCP x 1.3 from 25 % on, 3/s',
    kind: 'harmful',
    rate: 3,
    fault: slow('30%', { from: { exposure: 25 } }),
    oracle: 'log mean',
  },
  {
    name: 'conversion -25 %, 10/s',
    kind: 'harmful',
    rate: 10,
    fault: { kind: 'conversion_loss', by: '25%' },
    oracle: 'conversions',
  },
  { name: '15 % of beacons lost, 3/s', kind: 'telemetry', rate: 3, fault: { kind: 'beacon_loss', share: '15%' } },
  { name: 'treatment silent, 3/s', kind: 'telemetry', rate: 3, fault: { kind: 'white_screen' } },
];

/** Every world whose name contains `only`, made when it is its turn: populations are large. */
export function worldsOf(only: string): readonly (() => BenchWorld)[] {
  return sketches
    .filter(({ name }) => name.toLowerCase().includes(only.toLowerCase()))
    .map((sketch) => () => make(sketch));
}

/** Visitors of whom nothing changes, at 3 units a second. */
export const quietPopulation = (): Population => make({ name: 'quiet', kind: 'harmless', rate: 3 }).population;

function make({ name, kind, rate, tail, fault = none, oracle = null, share = 1 }: Sketch): BenchWorld {
  const parsed = parseStory({
    apiVersion: 'tidegate.dev/v1',
    kind: 'FaultStory',
    metadata: { name: 'bench' },
    spec: { world: { rate, ...(tail && { lcp: { tail } }) }, fault, expect: 'killed' },
  });
  if (!parsed.ok) throw new Error(`${name}: ${JSON.stringify(parsed.problems)}`);
  const { world, fault: read } = parsed.value.spec;
  const population = createPopulation({ world, fault: read, vitals: new Set(['LCP']), conversions: 1 }, 1);
  return { name, kind, population, open: (seed) => createWorld(population, seed, startAt), oracle, share };
}
