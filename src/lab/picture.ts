import { escapeXml } from './junit.ts';
import type { RunResult } from './run-story.ts';

const width = 720;
const height = 300;
const margin = { left: 56, right: 16, top: 40, bottom: 44 };
const plotWidth = width - margin.left - margin.right;
const plotHeight = height - margin.top - margin.bottom;

/** One colour scheme follows the reader's: the picture has no background of its own. */
const style = `<style>
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 14px; font-weight: 600 }
  .axis { stroke: #8c959f; stroke-width: 1; fill: none }
  .grid { stroke: #8c959f; stroke-opacity: .25 }
  .killed { stroke: #cf222e; fill: #cf222e } .held { stroke: #9a6700; fill: #9a6700 }
  .completed { stroke: #1a7f37; fill: #1a7f37 } .unfinished { stroke: #0969da; fill: #0969da }
  .run { fill: none; stroke-width: 1.2 } .bar { stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .killed { stroke: #ff7b72; fill: #ff7b72 } .held { stroke: #d29922; fill: #d29922 }
    .completed { stroke: #3fb950; fill: #3fb950 } .unfinished { stroke: #58a6ff; fill: #58a6ff }
  }
</style>`;

const endings = ['completed', 'unfinished', 'held', 'killed'] as const;

interface Axis {
  readonly label: string;
  readonly ticks: readonly { readonly at: number; readonly text: string }[];
}

/** Exposure over time, one line a run, on a square-root scale: the first percents are where harm is stopped. */
export function exposurePicture(story: string, runs: readonly RunResult[]): string {
  const hours = Math.max(1, ...runs.map(({ minutes }) => minutes / 60));
  const x = (minute: number) => margin.left + (plotWidth * minute) / 60 / hours;
  const y = (exposure: number) => margin.top + plotHeight * (1 - Math.sqrt(exposure / 100));
  const opacity = Math.max(0.08, Math.min(0.9, 12 / Math.max(1, runs.length)));
  const lines = runs.map(({ path, ending }) => {
    const points = path.map(([minute, exposure], i) =>
      i === 0
        ? `M${x(minute).toFixed(1)} ${y(exposure).toFixed(1)}`
        : `H${x(minute).toFixed(1)}V${y(exposure).toFixed(1)}`,
    );
    return `<path class="run ${ending}" stroke-opacity="${opacity.toFixed(2)}" d="${points.join('')}"/>`;
  });
  const ends = runs.flatMap(({ ending, path }) => {
    const [minute, exposure] = path.findLast(([, at]) => at > 0) ?? [0, 0];
    const until = path.at(-1)?.[0] ?? minute;
    return ending === 'killed'
      ? [`<circle class="killed" r="2.5" cx="${x(until).toFixed(1)}" cy="${y(exposure).toFixed(1)}"/>`]
      : [];
  });
  const legend = endings
    .map((ending) => ({ ending, n: runs.filter((run) => run.ending === ending).length }))
    .filter(({ n }) => n > 0)
    .map(
      ({ ending, n }, i) =>
        `<text x="${margin.left + plotWidth - 110 * i}" y="20" text-anchor="end"><tspan class="${ending}" stroke="none">●</tspan> ${n} ${ending}</text>`,
    );
  return svg(`${story}: exposure of ${runs.length} runs`, [
    axes(
      { label: 'hours', ticks: ticksTo(hours).map((at) => ({ at: x(at * 60), text: String(at) })) },
      { label: '% exposed', ticks: [0, 1, 5, 25, 50, 100].map((at) => ({ at: y(at), text: String(at) })) },
    ),
    ...lines,
    ...ends,
    ...legend,
  ]);
}

/** How long the kills took, from the first minute with the fault; bars on a logarithmic scale of minutes. */
export function minutesPicture(story: string, runs: readonly RunResult[]): string {
  const minutes = runs.flatMap(({ minutesToKill }) => minutesToKill ?? []);
  const most = Math.max(10, ...minutes);
  const bars = 30;
  const scale = (at: number) => Math.log(1 + at) / Math.log(1 + most);
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
          `<rect class="bar killed" x="${(margin.left + bar * each + 1).toFixed(1)}" y="${y(n).toFixed(1)}" width="${(each - 2).toFixed(1)}" height="${(margin.top + plotHeight - y(n)).toFixed(1)}"><title>${n} runs</title></rect>`,
        ],
  );
  const marks = [0, 5, 15, 30, 60, 120, 240, 480, 960, 1920].filter((at) => at <= most);
  return svg(`${story}: minutes to kill, ${minutes.length} of ${runs.length} runs`, [
    axes(
      {
        label: 'minutes since the fault',
        ticks: marks.map((at) => ({ at: margin.left + plotWidth * scale(at), text: String(at) })),
      },
      { label: 'runs', ticks: ticksTo(top).map((at) => ({ at: y(at), text: String(at) })) },
    ),
    ...shown,
    ...(minutes.length === 0
      ? [`<text x="${width / 2}" y="${height / 2}" text-anchor="middle">no run was killed</text>`]
      : []),
  ]);
}

function svg(title: string, parts: readonly string[]): string {
  const name = escapeXml(title);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${name}">
${style}
<text class="title" x="${margin.left}" y="20">${name}</text>
${parts.join('\n')}
</svg>
`;
}

function axes(x: Axis, y: Axis): string {
  const bottom = margin.top + plotHeight;
  const right = margin.left + plotWidth;
  const below = x.ticks.map(
    ({ at, text }) => `<text x="${at.toFixed(1)}" y="${bottom + 16}" text-anchor="middle">${text}</text>`,
  );
  const beside = y.ticks.map(
    ({ at, text }) =>
      `<path class="grid" d="M${margin.left} ${at.toFixed(1)}H${right}"/><text x="${margin.left - 8}" y="${(at + 4).toFixed(1)}" text-anchor="end">${text}</text>`,
  );
  return [
    ...beside,
    `<path class="axis" d="M${margin.left} ${margin.top}V${bottom}H${right}"/>`,
    ...below,
    `<text x="${margin.left + plotWidth / 2}" y="${height - 8}" text-anchor="middle">${escapeXml(x.label)}</text>`,
    `<text transform="translate(14 ${margin.top + plotHeight / 2}) rotate(-90)" text-anchor="middle">${escapeXml(y.label)}</text>`,
  ].join('\n');
}

/** Four to eight round numbers from 0 to `most`. */
function ticksTo(most: number): number[] {
  const rough = most / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(1, [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough) ?? rough);
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, i) => Number((i * step).toFixed(6)));
}
