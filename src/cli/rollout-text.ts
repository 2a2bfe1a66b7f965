import type { Reading, Wait } from '../domain/decision.ts';
import { formatDuration } from '../domain/duration.ts';
import { builtinSignals, findSignal } from '../domain/signal.ts';
import type { RolloutView } from '../http/views.ts';
import {
  type Colours,
  formatCount,
  formatExposure,
  formatInstant,
  paintPhase,
  type TableCell,
  table,
} from './format.ts';

/** One line of `list`. */
export function rolloutRow(view: RolloutView, colours: Colours): TableCell[] {
  const { phase } = view.state;
  return [
    view.name,
    view.environment,
    { text: phase.toUpperCase(), paint: paintPhase(phase, colours) },
    formatExposure(view.exposure),
    stageText(view),
    shortWaits(view),
  ];
}

/** Nothing is awaited any more; a person or a new plan comes next. */
export function isOver({ state }: RolloutView): boolean {
  return ['completed', 'killed', 'cancelled', 'superseded'].includes(state.phase);
}

function shortWaits(view: RolloutView): string {
  const [first, ...more] = isOver(view) ? [] : view.waitingFor;
  if (first === undefined) return '';
  return more.length === 0 ? first.text : `${first.text} (and ${more.length} more)`;
}

export const rolloutHeader = ['rollout', 'environment', 'phase', 'exposure', 'stage', 'waiting for'] as const;

function stageText({ state, stages }: RolloutView): string {
  const stage = stages[state.stage];
  return stage === undefined ? '-' : `${state.stage + 1}/${stages.length} ${stage.name}`;
}

/** Everything `status` says of one rollout. */
export function describeRollout(view: RolloutView, colours: Colours): string {
  const { state } = view;
  const phase = paintPhase(state.phase, colours)(state.phase.toUpperCase());
  const head = [
    colours.bold(view.name),
    view.environment,
    phase,
    `stage ${stageText(view)}`,
    formatExposure(view.exposure),
    view.policy,
  ].join('  ');
  const lines = [head, `  ${startedText(view)}`, `  ${track(view)}`];
  if (state.phase === 'held') lines.push(`  ${colours.yellow(heldText(view))}`);
  if (view.latch !== null) lines.push(`  ${colours.red(latchText(view.latch))}`);
  if (view.frozen) lines.push(`  ${colours.yellow('frozen: nothing rises here; lowering is always possible')}`);
  if (state.watch)
    lines.push(`  ${colours.yellow('watched closely: something looks worse, not yet beyond its margin')}`);
  if (view.readings.length > 0)
    lines.push(table([readingHeader, ...view.readings.map((r) => readingRow(r, colours))], '  '));
  if (view.waitingFor.length > 0 && !isOver(view))
    lines.push(`  waiting for: ${view.waitingFor.map(waitText).join(' · ')}`);
  if (view.lastDecision !== null)
    lines.push(`  last: ${view.lastDecision.id} ${view.lastDecision.why.split('\n')[0] ?? ''}`);
  return lines.join('\n');
}

function startedText(view: RolloutView): string {
  const plan = `${view.plan.name} revision ${view.plan.revision}, flag ${view.flag}`;
  return view.startedAt === null ? `not started (${plan})` : `started ${formatInstant(view.startedAt)} (${plan})`;
}

function heldText({ state }: RolloutView): string {
  return `held by ${state.heldBy ?? 'nobody'}${state.sticky ? ', until a person resumes it' : ''}`;
}

function latchText({ by, setAt, reason }: NonNullable<RolloutView['latch']>): string {
  return `kill latch of ${formatInstant(setAt)} by ${by}${reason === null ? '' : `: ${reason}`}; only \`tidegate rearm\` clears it`;
}

/** `1 ──── 5 ──── [25] ──── 100` */
function track({ state, stages }: RolloutView): string {
  return stages.map(({ exposure }, index) => (index === state.stage ? `[${exposure}]` : `${exposure}`)).join(' ──── ');
}

function waitText({ text, etaMs }: Wait): string {
  return etaMs === null || etaMs <= 0 ? text : `${text} (~${formatDuration(etaMs)})`;
}

const readingHeader: TableCell[] = [
  'gate',
  'tier',
  'treatment',
  'control',
  'difference (always valid)',
  'n/arm',
  'rel.',
  'verdict',
];

function readingRow(reading: Reading, colours: Colours): TableCell[] {
  return [
    reading.gate,
    reading.tier,
    formatValue(reading.signal, reading.treatment.value),
    formatValue(reading.signal, reading.control.value),
    formatEstimate(reading),
    formatCount(Math.min(reading.treatment.n, reading.control.n)),
    reading.reliability.toFixed(2),
    { text: reading.verdict, paint: paintVerdict(reading.verdict, colours) },
  ];
}

function paintVerdict(verdict: Reading['verdict'], colours: Colours): (text: string) => string {
  if (verdict === 'kill' || verdict === 'error') return colours.red;
  if (verdict === 'pass') return colours.green;
  return colours.yellow;
}

/** Times in ms, CLS plain, everything else a share. Of a declared signal only the size tells: shares end at 1. */
function unitOf(signal: string, value: number): 'ms' | 'plain' | 'share' {
  const known = findSignal(signal, builtinSignals);
  if (known?.spec.source.event === 'web_vital') return known.spec.source.field === 'CLS' ? 'plain' : 'ms';
  return known === null && value > 1 ? 'ms' : 'share';
}

function formatValue(signal: string, value: number | null): string {
  if (value === null) return '-';
  switch (unitOf(signal, value)) {
    case 'ms':
      return `${formatCount(Math.round(value))} ms`;
    case 'plain':
      return value.toFixed(3);
    case 'share':
      return `${(value * 100).toFixed(1)} %`;
  }
}

/** `+3.1 % [+0.4, +5.9]`, `-0.1 pt [-0.3, +0.1]`; relative in percent of control, shares in points. */
function formatEstimate({ scale, estimate, low, high, signal, treatment }: Reading): string {
  if (estimate === null) return '-';
  if (scale === 'absolute') return formatValue(signal, estimate);
  const share = scale === 'relative' || unitOf(signal, treatment.value ?? 0) === 'share';
  const unit = scale === 'relative' ? ' %' : share ? ' pt' : '';
  const signed = (value: number | null): string => {
    if (value === null) return '?';
    const shown = share ? value * 100 : value;
    return `${shown < 0 ? '' : '+'}${shown.toFixed(1)}`;
  };
  const interval = low === null && high === null ? '' : ` [${signed(low)}, ${signed(high)}]`;
  return `${signed(estimate)}${unit}${interval}`;
}
