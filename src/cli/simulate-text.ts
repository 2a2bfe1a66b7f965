import type { RolloutPlan } from '../domain/plan.ts';
import { shortfallOf } from '../lab/junit.ts';
import type { Power } from '../lab/power.ts';
import type { StoryReport } from '../lab/report.ts';
import { coloursOf, formatCount, formatExposure, table } from './format.ts';
import type { Io } from './io.ts';

interface Simulated {
  readonly plan: RolloutPlan;
  readonly given: readonly string[];
  readonly days: number;
}

/** The report for people: a table of the stories, what went otherwise than expected, and what the traffic can tell. */
export function describeStories(io: Io, reports: readonly StoryReport[], { plan, given, days }: Simulated): string {
  const colours = coloursOf(io);
  const head = [
    'story',
    'killed',
    'held',
    '100 %',
    'running',
    'minutes to kill',
    'exposed',
    'harm a run',
    'expects',
    '',
  ];
  const last = plan.spec.stages.at(-1)?.exposure ?? 100;
  head[3] = formatExposure(last);
  const rows = reports.map((report) => [
    report.story,
    sharePercent(report.endings.killed, report.seeds),
    sharePercent(report.endings.held, report.seeds),
    sharePercent(report.endings.completed, report.seeds),
    sharePercent(report.endings.unfinished, report.seeds),
    report.minutesToKill === null ? '–' : `${report.minutesToKill.median} (p90 ${report.minutesToKill.p90})`,
    formatCount(Math.round(report.exposed)),
    harmText(report),
    report.expect,
    report.ok ? { text: 'ok', paint: colours.green } : { text: 'NOT SO', paint: colours.red },
  ]);
  const lines = [
    `${plan.metadata.name}: ${reports[0]?.seeds ?? 0} runs a story, at most ${days} days each${givenText(given)}`,
    table([head, ...rows]),
  ];
  for (const report of reports) if (!report.ok) lines.push(complaint(report));
  for (const report of reports) {
    const { share, low, high } = report.killed;
    if (report.expect !== 'completed' && report.expect !== 'not_killed') continue;
    lines.push(`${report.story}: false kills ${percent(share)} (95 % sure: ${percent(low)} to ${percent(high)})`);
  }
  lines.push('A stage older than two hours is looked at every fifth minute: kills there are at most 4 minutes late.');
  const quiet = reports.find(({ expect }) => expect === 'completed') ?? reports[0];
  if (quiet !== undefined && quiet.power.length > 0)
    lines.push(`What the traffic of ${quiet.story} can tell:`, ...powerLines(quiet.power));
  return `${lines.join('\n')}\n`;
}

function givenText(given: readonly string[]): string {
  return given.length === 0 ? '' : `; taken as given: ${given.join(', ')}`;
}

function complaint(report: StoryReport): string {
  const [first] = report.causes;
  const cause = first === undefined ? '' : `\n  ${first.runs} of ${report.seeds} ${first.cause}: ${first.because}`;
  return `${report.story}: ${shortfallOf(report)}${cause}`;
}

/** `at 5 %: would need ~41 h to see LCP 1.5 % slower`; impossible ones are left out. */
function powerLines(power: readonly Power[]): string[] {
  const exposures = [...new Set(power.map(({ exposure }) => exposure))];
  return exposures.flatMap((exposure) => {
    const told = power.filter((each) => each.exposure === exposure && Number.isFinite(each.hours));
    if (told.length === 0) return [];
    const parts = told.map(({ signal, effect, hours }) => {
      const what = signal === 'LCP' ? `LCP ${percent(effect)} slower` : `${percent(effect)} more units with errors`;
      return `~${hoursText(hours)} to see ${what}`;
    });
    return [`  at ${formatExposure(exposure)}: would need ${parts.join(', ')}`];
  });
}

function hoursText(hours: number): string {
  if (hours < 1) return `${Math.max(1, Math.round(60 * hours))} min`;
  return hours < 10 ? `${Number(hours.toFixed(1))} h` : `${formatCount(Math.round(hours))} h`;
}

function harmText({ harm }: StoryReport): string {
  const parts: string[] = [];
  if (Math.abs(harm.errors) >= 0.5) parts.push(`${formatCount(Math.round(harm.errors))} errors`);
  if (Math.abs(harm.lcpMs) >= 1000) parts.push(`${formatCount(Math.round(harm.lcpMs / 1000))} s of LCP`);
  if (Math.abs(harm.conversions) >= 0.5) parts.push(`${formatCount(Math.round(harm.conversions))} conversions`);
  if (harm.blank >= 0.5) parts.push(`${formatCount(Math.round(harm.blank))} blank pages`);
  return parts.length === 0 ? '–' : parts.join(', ');
}

function sharePercent(n: number, of: number): string {
  return percent(of === 0 ? 0 : n / of);
}

function percent(share: number): string {
  return `${Number((100 * share).toFixed(1))} %`;
}
