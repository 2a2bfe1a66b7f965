import { setImmediate } from 'node:timers/promises';
import type { Driver, Step } from './driver.ts';
import { bytes, integer, type Row, text, word } from './row.ts';
import { join, raw, type Sql, slices, sql, values, where } from './sql.ts';
import type { CellRow, IngestStat, RumBatch, RumStore, SumRow } from './store.ts';

/**
 * rum.db, or its tables in PostgreSQL. Cells, sums and stats are rows of one `writer`, which keeps its name across
 * restarts. A second process under the same name gets a `Conflict` instead of overwriting what the first has counted.
 */
export function createRumStore(driver: Driver, writer = 'main'): RumStore {
  return {
    async newestFlush() {
      const [row] = await driver.all(sql`select flush from rum_writer where writer = ${writer}`);
      return row === undefined ? 0 : integer(row, 'flush');
    },
    async pageViews(keys) {
      const rows = await inSlices(driver, keys, (slice) => {
        const list = join(
          slice.map((key) => sql`${key}`),
          ', ',
        );
        return sql`select key, at, state from rum_page_view where key in (${list})`;
      });
      return rows.map((row) => ({ key: bytes(row, 'key'), at: integer(row, 'at'), state: text(row, 'state') }));
    },
    async units(keys) {
      const rows = await inSlices(
        driver,
        keys,
        (slice) => sql`select rollout, epoch, unit, state from rum_unit
          where ${anyOf(slice, (key) => sql`(rollout = ${key.rollout} and epoch = ${key.epoch} and unit = ${key.unit})`)}`,
      );
      return rows.map((row) => ({
        rollout: integer(row, 'rollout'),
        epoch: integer(row, 'epoch'),
        unit: bytes(row, 'unit'),
        state: text(row, 'state'),
      }));
    },
    async cells(keys) {
      const rows = await inSlices(
        driver,
        keys,
        (slice) =>
          sql`select ${cellColumns} from rum_cell where writer = ${writer} and (${anyOf(
            slice,
            (key) => sql`(rollout = ${key.rollout} and epoch = ${key.epoch} and bucket = ${key.bucket}
            and arm = ${key.arm} and dim = ${key.dim} and val = ${key.val})`,
          )})`,
      );
      return rows.map(cellOf);
    },
    async sums(keys) {
      const rows = await inSlices(
        driver,
        keys,
        (slice) =>
          sql`select rollout, epoch, arm, blob from rum_sum where writer = ${writer} and (${anyOf(
            slice,
            (key) => sql`(rollout = ${key.rollout} and epoch = ${key.epoch} and arm = ${key.arm})`,
          )})`,
      );
      return rows.map(sumOf);
    },
    async commit(batch) {
      await driver.batch(stepsOf(batch, writer));
    },

    async cellsSince(rollout, flush, marginals, most) {
      const which = sql`rollout = ${rollout} and ${marginals ? sql`dim <> ''` : sql`dim = ''`}`;
      const select = sql`select ${cellColumns}, flush from rum_cell where ${which}`;
      const since = sql`${select} and flush > ${flush}`;
      if (most === undefined) return (await driver.all(sql`${since} order by ${cellOrder}`)).map(stampedCellOf);
      const rows = (await driver.all(sql`${since} order by flush, ${cellOrder} limit ${most}`)).map(stampedCellOf);
      const last = rows.length < most ? undefined : rows.at(-1);
      if (last === undefined) return rows;
      const whole = await driver.all(sql`${select} and flush = ${last.flush} order by ${cellOrder}`);
      return [...rows.filter((row) => row.flush < last.flush), ...whole.map(stampedCellOf)];
    },
    async sumsSince(rollout, flush) {
      const rows = await driver.all(sql`select rollout, epoch, arm, blob, writer, flush from rum_sum
        where rollout = ${rollout} and flush > ${flush} order by epoch, arm, writer`);
      return rows.map((row) => ({ ...sumOf(row), writer: text(row, 'writer'), flush: integer(row, 'flush') }));
    },
    async stats(fromBucket) {
      const rows = await driver.all(sql`select bucket, reason, cast(sum(n) as bigint) as n from rum_stat
        where bucket >= ${fromBucket} group by bucket, reason order by bucket, reason`);
      return rows.map((row) => ({
        bucket: integer(row, 'bucket'),
        reason: text(row, 'reason'),
        n: integer(row, 'n'),
      }));
    },
    async prune({ pageViewsBefore, cellsBefore }) {
      const views = await deleteSliced(driver, 'rum_page_view', ['key'], sql`at < ${pageViewsBefore}`);
      const cells = await deleteSliced(driver, 'rum_cell', cellKey, sql`bucket < ${cellsBefore} and dim = ''`);
      const stats = await deleteSliced(driver, 'rum_stat', statKey, sql`bucket < ${cellsBefore}`);
      return views + cells + stats;
    },
    async dropRollout(rollout) {
      const its = sql`rollout = ${rollout}`;
      await deleteSliced(driver, 'rum_unit', unitKey, its);
      await deleteSliced(driver, 'rum_cell', cellKey, its);
      await deleteSliced(driver, 'rum_sum', sumKey, its);
    },
    close: () => driver.close(),
  };
}

const cellKey = ['rollout', 'epoch', 'bucket', 'arm', 'dim', 'val', 'writer'];
const unitKey = ['rollout', 'epoch', 'unit'];
const sumKey = ['rollout', 'epoch', 'arm', 'writer'];
const statKey = ['bucket', 'reason', 'writer'];
const cellColumns = raw('rollout, epoch, bucket, arm, dim, val, blob');
const cellOrder = raw('bucket, epoch, arm, dim, val');

function stepsOf(batch: RumBatch, writer: string): Step[] {
  const { flush } = batch;
  return [
    {
      sql: sql`insert into rum_writer (writer, flush) values (${writer}, ${flush})
        on conflict (writer) do update set flush = excluded.flush where rum_writer.flush < excluded.flush`,
      expectRows: 1,
    },
    ...slices(batch.pageViews).map((rows) => ({
      sql: sql`insert into rum_page_view (key, at, state) ${values(rows.map((row) => [row.key, row.at, row.state]))}
        on conflict (key) do update set at = excluded.at, state = excluded.state`,
    })),
    ...slices(batch.units).map((rows) => ({
      sql: sql`insert into rum_unit (rollout, epoch, unit, state)
        ${values(rows.map((row) => [row.rollout, row.epoch, row.unit, row.state]))}
        on conflict (rollout, epoch, unit) do update set state = excluded.state`,
    })),
    ...slices(batch.cells).map((rows) => ({ sql: cellUpsert(rows, writer, flush) })),
    ...slices(batch.sums).map((rows) => ({
      sql: sql`insert into rum_sum (rollout, epoch, arm, writer, flush, blob)
        ${values(rows.map((row) => [row.rollout, row.epoch, row.arm, writer, flush, row.blob]))}
        on conflict (rollout, epoch, arm, writer) do update set flush = excluded.flush, blob = excluded.blob`,
    })),
    ...slices(summed(batch.stats)).map((rows) => ({
      sql: sql`insert into rum_stat (bucket, reason, writer, n)
        ${values(rows.map((row) => [row.bucket, row.reason, writer, row.n]))}
        on conflict (bucket, reason, writer) do update set n = rum_stat.n + excluded.n`,
    })),
  ];
}

function cellUpsert(rows: readonly CellRow[], writer: string, flush: number): Sql {
  const lines = rows.map((row) => [
    row.rollout,
    row.epoch,
    row.bucket,
    row.arm,
    row.dim,
    row.val,
    writer,
    flush,
    row.blob,
  ]);
  return sql`insert into rum_cell (rollout, epoch, bucket, arm, dim, val, writer, flush, blob) ${values(lines)}
    on conflict (rollout, epoch, bucket, arm, dim, val, writer)
    do update set flush = excluded.flush, blob = excluded.blob`;
}

/** A key may come once per statement, so what is added is added up first. */
function summed(stats: readonly IngestStat[]): IngestStat[] {
  const totals = new Map<string, IngestStat>();
  for (const stat of stats) {
    const key = `${stat.bucket} ${stat.reason}`;
    totals.set(key, { ...stat, n: stat.n + (totals.get(key)?.n ?? 0) });
  }
  return [...totals.values()];
}

function stampedCellOf(row: Row): CellRow & { readonly flush: number } {
  return {
    rollout: integer(row, 'rollout'),
    epoch: integer(row, 'epoch'),
    bucket: integer(row, 'bucket'),
    arm: word(row, 'arm', ['rest', 'treatment', 'control']),
    dim: text(row, 'dim'),
    val: text(row, 'val'),
    blob: bytes(row, 'blob'),
    flush: integer(row, 'flush'),
  };
}

function cellOf(row: Row): CellRow {
  return {
    rollout: integer(row, 'rollout'),
    epoch: integer(row, 'epoch'),
    bucket: integer(row, 'bucket'),
    arm: word(row, 'arm', ['rest', 'treatment', 'control']),
    dim: text(row, 'dim'),
    val: text(row, 'val'),
    blob: bytes(row, 'blob'),
  };
}

function sumOf(row: Row): SumRow {
  return {
    rollout: integer(row, 'rollout'),
    epoch: integer(row, 'epoch'),
    arm: word(row, 'arm', ['treatment', 'control']),
    blob: bytes(row, 'blob'),
  };
}

async function inSlices<K>(driver: Driver, keys: readonly K[], query: (slice: readonly K[]) => Sql): Promise<Row[]> {
  const rows: Row[] = [];
  for (const slice of slices(keys)) rows.push(...(await driver.all(query(slice))));
  return rows;
}

function anyOf<K>(keys: readonly K[], condition: (key: K) => Sql): Sql {
  return join(keys.map(condition), ' or ');
}

/** Deletes a few hundred rows at a time and lets other work in between: on SQLite each statement blocks the process. */
async function deleteSliced(driver: Driver, table: string, key: readonly string[], which: Sql): Promise<number> {
  const most = 500;
  const columns = raw(key.join(', '));
  const slice = sql`delete from ${raw(table)} where (${columns}) in
    (select ${columns} from ${raw(table)}${where([which])} limit ${most}) returning 1 as gone`;
  const deleteFrom = async (sofar: number): Promise<number> => {
    const gone = (await driver.all(slice)).length;
    if (gone < most) return sofar + gone;
    await setImmediate();
    return deleteFrom(sofar + gone);
  };
  return deleteFrom(0);
}
