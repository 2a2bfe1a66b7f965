/** A row as the drivers hand it over. The store wrote it itself, so a wrong type here is a broken database. */
export interface Row {
  readonly [column: string]: unknown;
}

export function text(row: Row, column: string): string {
  const value = row[column];
  return typeof value === 'string' ? value : wrong(column, 'text', value);
}

export function textOrNull(row: Row, column: string): string | null {
  return row[column] === null ? null : text(row, column);
}

export function integer(row: Row, column: string): number {
  const value = row[column];
  return Number.isSafeInteger(value) ? Number(value) : wrong(column, 'an integer', value);
}

export function integerOrNull(row: Row, column: string): number | null {
  return row[column] === null ? null : integer(row, column);
}

export function bytes(row: Row, column: string): Uint8Array {
  const value = row[column];
  return value instanceof Uint8Array
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : wrong(column, 'bytes', value);
}

/** JSON that this store wrote from a `T`; the one place where the store takes a row at its word. */
export function json<T>(row: Row, column: string): T {
  return JSON.parse(text(row, column)) as T;
}

/** One of a few words that this store wrote, such as a role or an arm. */
export function word<T extends string>(row: Row, column: string, words: readonly T[]): T {
  const value = row[column];
  return words.find((known) => known === value) ?? wrong(column, words.join(', '), value);
}

function wrong(column: string, wanted: string, value: unknown): never {
  throw new TypeError(`column ${column} should hold ${wanted}, not ${typeof value}`);
}
