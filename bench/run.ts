/**
 * `npm run bench [name ...]`: runs every benchmark of this folder, or the named ones, and prints one table. One that
 * measures something other than CPU exports `report(options)` in place of `bench`, and prints its own.
 */
import { readdir } from 'node:fs/promises';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { type Bench, measure, type Standing } from './harness.ts';

const helpers = new Set(['run.ts', 'harness.ts']);
const { positionals: asked, values: options } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: 'string' }, only: { type: 'string' } },
});

const files = (await readdir(import.meta.dirname))
  .filter((file) => file.endsWith('.ts') && !helpers.has(file))
  .filter((file) => asked.length === 0 || asked.includes(basename(file, '.ts')))
  .sort();
if (files.length === 0) {
  console.error(`There is no benchmark named ${asked.join(', ')}.`);
  process.exitCode = 2;
}

const table: string[][] = [['benchmark', 'what', 'who', 'CPU us/call', 'x ours']];
for (const file of files) {
  const { bench, report }: Module = await import(`./${file}`);
  await report?.(options);
  if (bench === undefined) continue;
  console.error(`${bench.name} ...`);
  const { contests, tearDown } = await bench.setUp();
  try {
    for (const contest of contests) table.push(...(await measure(contest)).map((standing) => row(bench, standing)));
  } finally {
    await tearDown?.();
  }
}
if (table.length > 1) print(table);

interface Module {
  readonly bench?: Bench;
  readonly report?: (options: { seeds?: string; only?: string }) => Promise<void>;
}

function row(bench: Bench, { contest, contender, micros, ratio }: Standing): string[] {
  return [bench.name, contest, contender, micros.toFixed(micros < 10 ? 3 : 1), ratio.toFixed(2)];
}

function print(rows: readonly string[][]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)));
  const isNumber = (column: number) => column >= 3;
  for (const [index, cells] of rows.entries()) {
    const line = cells.map((cell, column) =>
      isNumber(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
    );
    console.log(line.join('  '));
    if (index === 0) console.log(widths.map((width) => '-'.repeat(width)).join('  '));
  }
}
