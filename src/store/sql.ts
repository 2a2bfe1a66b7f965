export type SqlValue = string | number | null | Uint8Array;

/** One statement, or a piece of one: `?` where a value goes, values in order. */
export interface Sql {
  readonly text: string;
  readonly values: readonly SqlValue[];
}

/** `` sql`select … where id = ${id}` ``. A `Sql` among the values is spliced in as text. */
export function sql(texts: TemplateStringsArray, ...values: readonly (SqlValue | Sql)[]): Sql {
  const pieces = texts.flatMap((text, index): Sql[] => {
    const value = values[index];
    return value === undefined ? [raw(text)] : [raw(text), isSql(value) ? value : { text: '?', values: [value] }];
  });
  return { text: pieces.map((piece) => piece.text).join(''), values: pieces.flatMap((piece) => piece.values) };
}

/** Text of our own making, as it stands. Never a value that came from outside. */
export const raw = (text: string): Sql => ({ text, values: [] });

export function join(pieces: readonly Sql[], separator: string): Sql {
  return {
    text: pieces.map((piece) => piece.text).join(separator),
    values: pieces.flatMap((piece) => piece.values),
  };
}

/** ` where a and b`, or nothing when there is no condition. */
export function where(conditions: readonly Sql[]): Sql {
  return conditions.length === 0 ? raw('') : sql` where ${join(conditions, ' and ')}`;
}

/** `values (?, ?), (?, ?)` */
export function values(rows: readonly (readonly SqlValue[])[]): Sql {
  const row = `(${(rows[0] ?? []).map(() => '?').join(', ')})`;
  return { text: `values ${rows.map(() => row).join(', ')}`, values: rows.flat() };
}

/**
 * Slices of at most 100 rows: one statement each. Far fewer round trips than single rows, and below the parameter
 * limits (32,766 in SQLite, 65,535 in PostgreSQL) for any table of ours.
 */
export function slices<T>(rows: readonly T[]): readonly (readonly T[])[] {
  const size = 100;
  return Array.from({ length: Math.ceil(rows.length / size) }, (_, n) => rows.slice(n * size, (n + 1) * size));
}

function isSql(value: SqlValue | Sql): value is Sql {
  return typeof value === 'object' && value !== null && !(value instanceof Uint8Array);
}
