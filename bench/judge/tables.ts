import { falseKills, oracleOf, type Standing, standingsOf, us, type WorldRuns, wilson } from './results.ts';

type Rows = readonly (readonly string[])[];

/** Columns as wide as they need, the first `texts` of them to the left; the first row is the head. */
function tableOf(rows: Rows, texts: number): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)));
  const lines = rows.map((cells) =>
    widths
      .map((width, column) =>
        column < texts ? (cells[column] ?? '').padEnd(width) : (cells[column] ?? '').padStart(width),
      )
      .join('  ')
      .trimEnd(),
  );
  return [lines[0], widths.map((width) => '-'.repeat(width)).join('  '), ...lines.slice(1)].join('\n');
}

const head = [
  'world',
  'method',
  'runs',
  'killed',
  '95 %',
  'at 100 %',
  'min to kill',
  'units harmed',
  'x oracle: min',
  'units',
];

/** One world: every method, and the oracle where there is one. */
export function worldTable(world: WorldRuns, limits: readonly number[]): string {
  const oracle = oracleOf(world);
  const standings = [...standingsOf(world, limits), ...(oracle === null ? [] : [oracle])];
  return tableOf([head, ...standings.map((each, i) => rowOf(i === 0 ? world.name : '', each))], 2);
}

function rowOf(name: string, { method, runs, killed, reachedFull, minutesToKill, harmed, timesOracle }: Standing) {
  const [low, high] = wilson(killed, runs);
  return [
    name,
    method,
    String(runs),
    (killed / runs).toFixed(2),
    `${low.toFixed(2)}-${high.toFixed(2)}`,
    (reachedFull / runs).toFixed(2),
    minutes(minutesToKill),
    harmed.toFixed(0),
    timesOracle?.minutes.toFixed(2) ?? '',
    timesOracle?.harmed.toFixed(2) ?? '',
  ];
}

const minutes = (count: number): string => (Number.isFinite(count) ? count.toFixed(0) : 'never');

/**
 * Whether ours is ahead of each peer in each harmful world: fewer false kills over all harmless worlds at kills that are
 * no later, or earlier kills at no more false kills. What is not so carries its numbers.
 */
export function verdictTable(worlds: readonly WorldRuns[], limits: readonly number[]): string {
  const [ownFalse = 0, ...theirFalse] = falseKills(worlds, limits);
  const rows = worlds
    .filter(({ kind }) => kind !== 'harmless')
    .map((world) => {
      const [own, ...others] = standingsOf(world, limits);
      if (own === undefined) return [];
      const cells = others.map((other, i) =>
        world.kind === 'telemetry'
          ? stopVerdict(own, other)
          : verdict({ falseKills: ownFalse, of: own }, { falseKills: theirFalse[i] ?? 0, of: other }),
      );
      return [world.name, ...cells];
    });
  const names = worlds[0] === undefined ? [] : standingsOf(worlds[0], limits).map(({ method }) => method);
  const shares = [`false kills (${us} ${percent(ownFalse)})`, ...theirFalse.map(percent)];
  return tableOf([['world', ...names.slice(1)], ...rows, shares], 1);
}

interface Contestant {
  readonly falseKills: number;
  readonly of: Standing;
}

function verdict(own: Contestant, other: Contestant): string {
  const [ours, theirs] = [own.of.minutesToKill, other.of.minutesToKill];
  const isAhead =
    (own.falseKills < other.falseKills && ours <= theirs) || (own.falseKills <= other.falseKills && ours < theirs);
  if (isAhead) return 'ahead';
  const units = `${own.of.harmed.toFixed(0)}:${other.of.harmed.toFixed(0)} units`;
  return `NO ${minutes(ours)}:${minutes(theirs)} min, ${units}`;
}

/** Broken telemetry need not be killed, but it must not reach everybody. */
function stopVerdict(own: Standing, other: Standing): string {
  const [ours, theirs] = [own.reachedFull / own.runs, other.reachedFull / other.runs];
  return ours < theirs || ours === 0 ? 'ahead' : `NO: ${percent(ours)} vs ${percent(theirs)} at 100 %`;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
