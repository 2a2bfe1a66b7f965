import picocolors from 'picocolors';
import type { Phase } from '../domain/rollout.ts';
import type { Io } from './io.ts';

export type Colours = ReturnType<typeof picocolors.createColors>;

export function coloursOf(io: Pick<Io, 'colour'>): Colours {
  return picocolors.createColors(io.colour);
}

/** One cell: plain text, or text with a colour that does not count towards the width. */
export type TableCell = string | { readonly text: string; readonly paint: (text: string) => string };

/** Columns as wide as their widest cell, two spaces between. */
export function table(rows: readonly (readonly TableCell[])[], indent = ''): string {
  const width = (column: number) => Math.max(...rows.map((row) => textOf(row[column]).length));
  const widths = (rows[0] ?? []).map((_, column) => width(column));
  return rows
    .map((row) => {
      const cells = row.map((cell, column) => {
        const padded = column === row.length - 1 ? textOf(cell) : textOf(cell).padEnd(widths[column] ?? 0);
        return typeof cell === 'string' ? padded : cell.paint(padded);
      });
      return `${indent}${cells.join('  ')}`.trimEnd();
    })
    .join('\n');
}

function textOf(cell: TableCell | undefined): string {
  if (cell === undefined) return '';
  return typeof cell === 'string' ? cell : cell.text;
}

/** The last instant that ECMAScript can name; what lies beyond is meant as "never". */
const lastInstant = 8.64e15;

/** Epoch ms -> `2026-11-02 10:02:13Z`. */
export function formatInstant(at: number): string {
  if (at > lastInstant) return 'never';
  return `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')}Z`;
}

/** 41022 -> `41 022`. */
export function formatCount(n: number): string {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ' ');
}

/** 25 -> `25 %`, 0.125 -> `0.125 %`. */
export function formatExposure(percent: number): string {
  return `${Number(percent.toFixed(3))} %`;
}

export function paintPhase(phase: Phase, colours: Colours): (text: string) => string {
  switch (phase) {
    case 'killed':
      return (text) => colours.red(colours.bold(text));
    case 'held':
      return colours.yellow;
    case 'ramping':
    case 'soaking':
      return colours.cyan;
    case 'completed':
      return colours.green;
    default:
      return colours.dim;
  }
}
