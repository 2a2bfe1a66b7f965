import type { Visit } from '../../src/lab/world.ts';
import { type MinuteTotals, totalsOf } from '../../src/lab/world.ts';

/** Conversions count once a unit has had so long for them. */
export const maturityMinutes = 30;

/** One minute of one arm, as numbers. */
export interface Counted extends MinuteTotals {
  /** Units that came `maturityMinutes` ago, and those of them that had converted since. */
  readonly matured: { readonly units: number; readonly converted: number };
}

/** Counts the minutes of one arm, in order. */
export function createCounter(): (visits: readonly Visit[]) => Counted {
  const waiting: Counted['matured'][] = [];
  return (visits) => {
    waiting.push(trialsOf(visits));
    const matured = waiting.length > maturityMinutes ? waiting.shift() : undefined;
    return { ...totalsOf({ visits }), matured: matured ?? { units: 0, converted: 0 } };
  };
}

function trialsOf(visits: readonly Visit[]): Counted['matured'] {
  let units = 0;
  let converted = 0;
  for (const { unit } of visits) {
    if (unit.silent) continue;
    units += 1;
    if (unit.conversions.some(({ lagMs }) => lagMs <= maturityMinutes * 60_000)) converted += 1;
  }
  return { units, converted };
}
