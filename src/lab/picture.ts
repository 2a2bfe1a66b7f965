import { escapeXml } from './junit.ts';
import type { Ending, RunResult } from './run-story.ts';

const width = 720;
const height = 320;
const margin = { left: 60, right: 20, top: 60, bottom: 46 };
const plotWidth = width - margin.left - margin.right;
const plotHeight = height - margin.top - margin.bottom;
const bottom = margin.top + plotHeight;
const right = margin.left + plotWidth;

/**
 * Colours follow the reader's scheme, and so does the background: a page may be dark where its reader's system is light,
 * and text without a background of its own would vanish.
 */
const style = `<style>
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .ground { fill: #ffffff; stroke: #d1d9e0 }
  .axis { stroke: #59636e; stroke-width: 1; fill: none }
  .grid { stroke: #8c959f; stroke-opacity: .3 }
  .median { stroke: #1f2328; stroke-width: 1.5; stroke-dasharray: 5 4 }
  .killed { --ending: #cf222e } .held { --ending: #9a6700 } .completed { --ending: #1a7f37 } .unfinished { --ending: #0969da }
  .run { fill: none; stroke: var(--ending); stroke-width: 1.6 } .mark { fill: var(--ending) }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .ground { fill: #0d1117; stroke: #3d444d }
    .axis { stroke: #9198a1 }
    .median { stroke: #e6edf3 }
    .killed { --ending: #ff7b72 } .held { --ending: #d29922 } .completed { --ending: #3fb950 } .unfinished { --ending: #58a6ff }
  }
</style>`;

/** What each ending looks like where its line ends: nobody has to tell red from green. */
const marks: { readonly [ending in Ending]: string } = { completed: '▲', unfinished: '◆', held: '■', killed: '●' };
const endings = ['completed', 'unfinished', 'held', 'killed'] as const;

interface Axis {
  readonly label: string;
  readonly ticks: readonly { readonly at: number; readonly text: string }[];
}

/** More lines than this hide each other. */
const shownRuns = 6;
/** Between lines of the same exposure, px. */
const apart = 1.8;

/**
 * Exposure over time, on a square-root scale: the first percents are where harm is stopped. Of many runs six are drawn,
 * from the shortest to the longest of each ending; all are counted.
 */
export function exposurePicture(story: string, runs: readonly RunResult[]): string {
  const hours = Math.max(1, ...runs.map(({ minutes }) => minutes / 60));
  const x = (minute: number) => margin.left + (plotWidth * minute) / 60 / hours;
  const y = (exposure: number) => margin.top + plotHeight * (1 - Math.sqrt(exposure / 100));
  const drawn = spread(runs);
  const lines = drawn.map(({ path, ending }, line) => {
    const aside = (line - (drawn.length - 1) / 2) * apart;
    const at = (exposure: number) => (y(exposure) - (exposure === 0 ? 0 : aside)).toFixed(1);
    const points = path.map(([minute, exposure], i) =>
      i === 0 ? `M${x(minute).toFixed(1)} ${at(exposure)}` : `H${x(minute).toFixed(1)}V${at(exposure)}`,
    );
    const [, last] = path.findLast(([, exposure]) => exposure > 0) ?? [0, 0];
    const until = path.at(-1)?.[0] ?? 0;
    return `<path class="run ${ending}" d="${points.join('')}"/>
<text class="${ending}" x="${x(until).toFixed(1)}" y="${at(last)}" text-anchor="middle" dominant-baseline="central"><tspan class="mark">${marks[ending]}</tspan></text>`;
  });
  const counted = endings
    .map((ending) => ({ ending, n: runs.filter((run) => run.ending === ending).length }))
    .filter(({ n }) => n > 0)
    .map(
      ({ ending, n }) => `<tspan class="${ending}"><tspan class="mark">${marks[ending]}</tspan></tspan> ${n} ${ending}`,
    );
  const of = drawn.length < runs.length ? ` (${drawn.length} are drawn)` : '';
  return svg(`${story}: exposure of ${runs.length} runs${of}`, [
    `<text x="${margin.left}" y="44">${counted.join(' &#160; ')}</text>`,
    axes(
      { label: 'hours since the start', ticks: ticksTo(hours).map((at) => ({ at: x(at * 60), text: String(at) })) },
      {
        label: 'exposure, % of units',
        ticks: [0, 1, 5, 25, 50, 100].map((at) => ({ at: y(at), text: String(at) })),
      },
    ),
    ...lines,
  ]);
}

/** At most six runs, evenly from those of all endings, each ending from its shortest run to its longest. */
function spread(runs: readonly RunResult[]): readonly RunResult[] {
  const inOrder = runs.toSorted(
    (a, b) => endings.indexOf(a.ending) - endings.indexOf(b.ending) || a.minutes - b.minutes,
  );
  if (inOrder.length <= shownRuns) return inOrder;
  const step = (inOrder.length - 1) / (shownRuns - 1);
  return Array.from({ length: shownRuns }, (_, i) => inOrder[Math.round(i * step)]).flatMap((run) => run ?? []);
}

const bars = 30;
const steps = [0, 1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 360, 480, 720, 960, 1440, 1920, 2880];
/** Between labels of an axis, px: as wide as the longest and some air. */
const room = 44;

/** How long the kills took, from the first minute with the fault; bars on a logarithmic scale of minutes. */
export function minutesPicture(story: string, runs: readonly RunResult[]): string {
  const minutes = runs.flatMap(({ minutesToKill }) => minutesToKill ?? []).toSorted((a, b) => a - b);
  const most = Math.max(10, ...minutes);
  const least = steps.findLast((at) => at < (minutes[0] ?? 0)) ?? 0;
  const scale = (at: number) => Math.log((1 + at) / (1 + least)) / Math.log((1 + most) / (1 + least));
  const x = (at: number) => margin.left + plotWidth * scale(at);
  const counts = Array.from(
    { length: bars },
    (_, bar) => minutes.filter((at) => Math.min(bars - 1, Math.floor(scale(at) * bars)) === bar).length,
  );
  const top = Math.max(1, ...counts);
  const y = (count: number) => margin.top + plotHeight * (1 - count / top);
  const each = plotWidth / bars;
  const shown = counts.flatMap((n, bar) =>
    n === 0
      ? []
      : [
          `<rect class="mark" x="${(margin.left + bar * each + 1).toFixed(1)}" y="${y(n).toFixed(1)}" width="${(each - 2).toFixed(1)}" height="${(bottom - y(n)).toFixed(1)}"><title>${n} runs</title></rect>`,
        ],
  );
  // The lower of two in the middle, as the report has it.
  const median = minutes[Math.floor((minutes.length - 1) / 2)];
  const middle =
    median === undefined
      ? [`<text x="${width / 2}" y="${margin.top + plotHeight / 2}" text-anchor="middle">no run was killed</text>`]
      : [
          `<path class="median" d="M${x(median).toFixed(1)} ${margin.top - 6}V${bottom}"/>`,
          `<text x="${x(median).toFixed(1)}" y="44" text-anchor="${scale(median) > 0.8 ? 'end' : 'middle'}">median ${median} min</text>`,
        ];
  const labelled: number[] = [];
  for (const at of steps) {
    const before = labelled.at(-1);
    if (least <= at && at <= most && (before === undefined || x(at) - x(before) >= room)) labelled.push(at);
  }
  return svg(`${story}: minutes to kill, ${minutes.length} of ${runs.length} runs`, [
    axes(
      {
        label: 'minutes since the fault, logarithmic',
        ticks: labelled.map((at) => ({ at: x(at), text: String(at) })),
      },
      { label: 'runs', ticks: ticksTo(top).map((at) => ({ at: y(at), text: String(at) })) },
    ),
    `<g class="killed">${shown.join('\n')}</g>`,
    ...middle,
  ]);
}

function svg(title: string, parts: readonly string[]): string {
  const name = escapeXml(title);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${name}">
${style}
<rect class="ground" x=".5" y=".5" width="${width - 1}" height="${height - 1}" rx="6"/>
<text class="title" x="${margin.left}" y="24">${name}</text>
${parts.join('\n')}
</svg>
`;
}

function axes(x: Axis, y: Axis): string {
  const below = x.ticks.map(
    ({ at, text }) => `<text x="${at.toFixed(1)}" y="${bottom + 18}" text-anchor="middle">${text}</text>`,
  );
  const beside = y.ticks.map(
    ({ at, text }) =>
      `<path class="grid" d="M${margin.left} ${at.toFixed(1)}H${right}"/><text x="${margin.left - 8}" y="${(at + 4).toFixed(1)}" text-anchor="end">${text}</text>`,
  );
  return [
    ...beside,
    `<path class="axis" d="M${margin.left} ${margin.top}V${bottom}H${right}"/>`,
    ...below,
    `<text x="${margin.left + plotWidth / 2}" y="${height - 10}" text-anchor="middle">${escapeXml(x.label)}</text>`,
    `<text transform="translate(18 ${margin.top + plotHeight / 2}) rotate(-90)" text-anchor="middle">${escapeXml(y.label)}</text>`,
  ].join('\n');
}

/** Four to eight round numbers from 0 to `most`. */
function ticksTo(most: number): number[] {
  const rough = most / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough) ?? rough);
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => Number((i * step).toFixed(6)));
}
