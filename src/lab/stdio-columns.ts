import { Malformed } from './stdio-protocol.ts';

/** Page views of one message, column by column. NaN: the page view has no value of the metric. */
export interface PageViews {
  readonly n: number;
  readonly session: readonly (string | number)[];
  /** 1 = treatment. */
  readonly cohort: Float64Array;
  readonly stage: Float64Array;
  readonly eventMinute: Float64Array;
  readonly values: ReadonlyMap<string, Float64Array>;
}

/** What a cell stands for when its column is missing, or when it is null. */
interface Defaults {
  readonly t: number;
  readonly stage: number;
}

/** Reads the columns of `samples`. Throws `Malformed` that names the column, and the row where it is one row's fault. */
export function readPageViews(
  samples: { readonly [column: string]: unknown },
  metrics: readonly string[],
  { t, stage }: Defaults,
): PageViews {
  const needed = ['session', 'cohort', 'stage', 'eventMinute', ...metrics];
  const lengths = needed.flatMap((name) => (samples[name] == null ? [] : [lengthOf(samples, name)]));
  const n = Math.max(0, ...lengths);
  const column = (name: string, missing: number): Float64Array => {
    const cells = new Float64Array(n).fill(missing);
    if (samples[name] == null) return cells;
    const rows = rowsOf(samples, name, n);
    for (let row = 0; row < n; row++) {
      const cell = rows[row];
      // Told apart here: messages hold a hundred thousand cells, and nearly all of them are plain numbers.
      if (typeof cell === 'number') cells[row] = Number.isFinite(cell) ? cell : missing;
      else cells[row] = numberOf(cell, `samples.${name}[${row}]`, missing);
    }
    return cells;
  };
  return {
    n,
    session: sessionsOf(samples, n),
    cohort: cohortsOf(column('cohort', Number.NaN)),
    stage: column('stage', stage),
    eventMinute: column('eventMinute', t),
    values: new Map(metrics.map((name) => [name, column(name, Number.NaN)])),
  };
}

/** A column of numbers by itself, without the missing ones: history. */
export function readHistory(history: { readonly [column: string]: unknown }, name: string): Float64Array {
  const rows = history[name];
  if (rows == null) return new Float64Array();
  if (!Array.isArray(rows)) throw new Malformed(`history.${name}: must be an array`);
  const cells = Float64Array.from(rows, (cell: unknown, row) => numberOf(cell, `history.${name}[${row}]`, Number.NaN));
  return cells.filter((value) => !Number.isNaN(value));
}

function lengthOf(samples: { readonly [column: string]: unknown }, name: string): number {
  const rows = samples[name];
  if (!Array.isArray(rows)) throw new Malformed(`samples.${name}: must be an array with one entry a page view`);
  return rows.length;
}

function rowsOf(samples: { readonly [column: string]: unknown }, name: string, n: number): readonly unknown[] {
  const rows = samples[name];
  if (Array.isArray(rows) && rows.length === n) return rows;
  const length = lengthOf(samples, name);
  throw new Malformed(`samples.${name}: ${length} entries, other columns have ${n}; columns are parallel`);
}

function numberOf(cell: unknown, where: string, missing: number): number {
  if (typeof cell === 'number') return Number.isFinite(cell) ? cell : missing;
  if (cell === null) return missing;
  if (typeof cell === 'boolean') return cell ? 1 : 0;
  throw new Malformed(`${where}: ${JSON.stringify(cell)} is no number; write null where a value is missing`);
}

function cohortsOf(cohort: Float64Array): Float64Array {
  const row = cohort.findIndex((arm) => arm !== 0 && arm !== 1);
  if (row >= 0) throw new Malformed(`samples.cohort[${row}]: must be 0 (control) or 1 (treatment)`);
  return cohort;
}

function sessionsOf(samples: { readonly [column: string]: unknown }, n: number): readonly (string | number)[] {
  if (n === 0) return [];
  if (samples.session == null) throw new Malformed('samples.session: is missing; it says which unit a page view is of');
  return rowsOf(samples, 'session', n).map((cell, row) => {
    if (typeof cell === 'string' || (typeof cell === 'number' && Number.isSafeInteger(cell))) return cell;
    throw new Malformed(`samples.session[${row}]: must be text or a whole number`);
  });
}
