/** `npm run bench [name ...]`: runs every benchmark of this folder, or the named ones, and prints one table. */
import { readdir } from 'node:fs/promises';
import { basename } from 'node:path';
import { type Bench, measure, type Standing } from './harness.ts';

const helpers = new Set(['run.ts', 'harness.ts']);
const asked = process.argv.slice(2);

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
  const { bench }: { bench: Bench } = await import(`./${file}`);
  console.error(`${bench.name} ...`);
  const { contests, tearDown } = await bench.setUp();
  try {
    for (const contest of contests) table.push(...(await measure(contest)).map((standing) => row(bench, standing)));
  } finally {
    await tearDown?.();
  }
}
print(table);

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
