import type { Row } from './row.ts';
import type { Sql } from './sql.ts';
import { Conflict } from './store.ts';

/** One statement of a batch. Another number of rows changed (or returned) than `expectRows` is a `Conflict`. */
export interface Step {
  readonly sql: Sql;
  readonly expectRows?: number;
  /** Throws `Conflict` when what the statement returned must stop the batch. */
  readonly check?: (rows: readonly Row[]) => void;
}

/** Refuses to commit later than `notAfterMono`, ms of this process's monotonic clock. */
export interface Guard {
  readonly notAfterMono: number;
}

/**
 * All that the store asks of a database. There is no interactive transaction: SQLite's are synchronous and
 * PostgreSQL's are not, so a change is one batch whose guards decide.
 */
export interface Driver {
  all(sql: Sql): Promise<Row[]>;
  /**
   * All statements or none, in order; the rows each returned. Throws `Conflict` when a guard, an expected row count or
   * a unique key says no, `StoreUnavailable` when the database cannot take it; nothing is written then.
   */
  batch(steps: readonly Step[], guard?: Guard): Promise<Row[][]>;
  close(): Promise<void>;
}

/** The database was made by a newer tidegate. */
export class NewerSchema extends Error {
  override name = 'NewerSchema';
}

/** The data directory belongs to another process, or is not safe to use. */
export class DataDirectory extends Error {
  override name = 'DataDirectory';
}

export function checkAge(guard: Guard | undefined, mono: () => number): void {
  if (guard === undefined) return;
  const late = mono() - guard.notAfterMono;
  if (late > 0) throw new Conflict(`the decision is ${Math.ceil(late)} ms too old to be committed; judge again`);
}

/** `count` rows were changed or returned. */
export function checkRows(step: Step, rows: readonly Row[], count: number): void {
  if (step.expectRows !== undefined && step.expectRows !== count) {
    throw new Conflict(`changed ${count} rows instead of ${step.expectRows}: somebody else was first`);
  }
  step.check?.(rows);
}
