import type { StoryReport } from './report.ts';

/** JUnit XML, one test case a story: the form that CI systems read. */
export function junitOf(suite: string, reports: readonly StoryReport[]): string {
  const failures = reports.filter(({ ok }) => !ok).length;
  const cases = reports.map((report) => {
    const name = `name="${escapeXml(report.story)}" classname="${escapeXml(suite)}"`;
    const out = `    <system-out>${escapeXml(sentenceOf(report))}</system-out>`;
    if (report.ok) return `  <testcase ${name}>\n${out}\n  </testcase>`;
    const failure = `    <failure message="${escapeXml(shortfallOf(report))}">${escapeXml(causesText(report))}</failure>`;
    return `  <testcase ${name}>\n${failure}\n${out}\n  </testcase>`;
  });
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuite name="${escapeXml(suite)}" tests="${reports.length}" failures="${failures}" errors="0">`,
    ...cases,
    '</testsuite>',
    '',
  ].join('\n');
}

/** `expected killed in at least 95 % of 200 runs, was so in 88 %`. */
export function shortfallOf({ expect, atLeast, asExpected, seeds }: StoryReport): string {
  const least = Number((100 * atLeast).toFixed(2));
  return `expected ${expect} in at least ${least} % of ${seeds} runs, was so in ${Number(((100 * asExpected) / seeds).toFixed(1))} %`;
}

function sentenceOf({ endings, seeds, minutesToKill }: StoryReport): string {
  const took = minutesToKill === null ? '' : `; minutes to kill ${minutesToKill.median} (p90 ${minutesToKill.p90})`;
  return `${seeds} runs: ${endings.killed} killed, ${endings.held} held, ${endings.completed} completed, ${endings.unfinished} unfinished${took}`;
}

function causesText({ causes }: StoryReport): string {
  return causes.map(({ cause, runs, because }) => `${runs} x ${cause}: ${because}`).join('\n');
}

/** For text and attributes; characters that XML 1.0 cannot hold are replaced. */
export function escapeXml(text: string): string {
  return text
    .replace(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, '\u{fffd}')
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;');
}
