import type { Decision, Reading, Wait, Where } from './decision.ts';
import { formatDuration } from './duration.ts';
import { causeOf, isPreflight } from './question.ts';

/** A decision before its sentences. They are made from it alone, so that a replay makes the same ones. */
export type Unexplained = Omit<Decision, 'id' | 'why' | 'counterfactual' | 'next'>;

export interface Explanation {
  readonly why: string;
  readonly counterfactual: string;
  readonly next: string;
}

/** Plain sentences in the order people ask: what, why, since when, where, how sure, is it us; what else could have been; what now. */
export function explain(decision: Unexplained): Explanation {
  const decisive = decisiveReading(decision);
  return {
    why: sentences([
      what(decision),
      decision.actor === null ? decision.because : `By ${decision.because}`,
      decision.reason === null ? '' : `Reason given by ${decision.actor ?? 'nobody'}: ${decision.reason}`,
      // A check of the telemetry compares nobody: what it found is in its text.
      ...(decisive === null || isPreflight(decisive)
        ? []
        : [comparison(decisive), since(decisive), where(decisive), howSure(decisive)]),
      others(decision, decisive),
      isItUs(decision),
    ]),
    counterfactual: sentences([otherwise(decision, decisive)]),
    next: sentences(next(decision, decisive)),
  };
}

function what({ name, environment, exposure, action, from, to, transition }: Unexplained): string {
  const moved =
    exposure.from === exposure.to
      ? `exposure stays at ${exposure.to} %`
      : `exposure ${exposure.from} % → ${exposure.to} %`;
  const phase = from.phase === to.phase ? to.phase : `${from.phase} → ${to.phase}`;
  return `${action.replace('_', ' ')}: ${name} in ${environment}, ${moved} (${phase}${transition === null ? '' : `, ${transition}`})`;
}

/** The reading that the cause names. */
function decisiveReading({ cause, readings }: Unexplained): Reading | null {
  return readings.find((reading) => causeOf(reading) === cause) ?? null;
}

/** The reading's own text has both arms and the limit in the signal's unit; this adds what is the same for all. */
function comparison({ gate, signal, treatment, control, scale, estimate, low, high, margin }: Reading): string {
  const units = `gate ${gate} on ${signal}, ${treatment.n} units with the flag and ${control.n} without`;
  if (scale !== 'relative' || estimate === null) return units;
  const interval = low === null || high === null ? '' : ` (between ${signed(low)} and ${signed(high)})`;
  return `${units}: ${signed(estimate)}${interval} against a limit of ${signed(margin)}`;
}

function since({ since, streak, consecutive }: Reading): string {
  if (since === null) return '';
  return `Beyond the limit since ${clock(since)} UTC, ${streak} of ${consecutive} windows in a row`;
}

/** `96 % of the excess is browser safari, 18 % of the units (+570 %, at least +420 %); other values of browser pass` */
function where({ where: cells }: Reading): string {
  const leading = cells.filter(({ standsOut }) => standsOut);
  const dimensions = [...new Set((leading.length > 0 ? leading : cells).map(({ dimension }) => dimension))];
  if (dimensions.length === 0) return '';
  if (leading.length === 0) return `The excess is evenly spread over ${dimensions.join(', ')}`;
  const also = cells.filter(({ dimension, worse, standsOut }) => worse && !standsOut && dimensions.includes(dimension));
  const rest =
    also.length === 0 ? `other values of ${dimensions.join(', ')} pass` : `also worse: ${also.map(nameOf).join(', ')}`;
  return `${leading.map(carried).join('; ')}; ${rest}`;
}

const nameOf = ({ dimension, value }: Where): string => `${dimension} ${value}`;

function carried(cell: Where): string {
  const { share, part, estimate, low } = cell;
  const bound = low === null ? '' : `, at least ${signed(low)}`;
  const effect = estimate === null ? '' : ` (${signed(estimate)}${bound})`;
  return `${Math.round(100 * share)} % of the excess is ${nameOf(cell)}, ${Math.round(100 * part)} % of the units${effect}`;
}

function howSure({ logE, needed, reliability, limiting }: Reading): string {
  const trust = `reliability ${reliability.toFixed(2)}, limited by ${limiting}`;
  return needed > 0 ? `Always-valid evidence ${logE.toFixed(1)} where ${needed.toFixed(1)} decides; ${trust}` : trust;
}

/** An outage shows in both arms. */
function isItUs({ readings }: Unexplained): string {
  return readings.find(({ gate }) => gate === 'health.controlDegraded')?.text ?? '';
}

const bad: readonly Reading['verdict'][] = ['kill', 'hold', 'watch', 'unreliable', 'no_data', 'error'];

function others({ readings, from }: Unexplained, decisive: Reading | null): string {
  // Before anybody was exposed every gate reads no_data: that is no news.
  if (from.stage < 0) return '';
  const also = readings.filter((reading) => reading !== decisive && bad.includes(reading.verdict));
  return also.length === 0 ? '' : `Also: ${also.map(({ gate, verdict }) => `${gate} reads ${verdict}`).join(', ')}`;
}

function otherwise(decision: Unexplained, decisive: Reading | null): string {
  const { action, waitingFor } = decision;
  if (decision.actor !== null) return 'A person decided this; no reading would have changed it';
  if (decisive !== null && ['kill', 'hold', 'step_back', 'watch'].includes(action)) return wouldHavePassed(decisive);
  if (action === 'ramp' || action === 'complete')
    return 'Any gate that reads worse than pass, or less evidence than asked, would have kept it where it was';
  const etas = waitingFor.flatMap(({ etaMs }) => (etaMs === null ? [] : [etaMs]));
  if (waitingFor.length === 0) return '';
  if (etas.length < waitingFor.length)
    return `It moves on once ${list(waitingFor)} ${waitingFor.length > 1 ? 'are' : 'is'} there`;
  return `It would move on in ${formatDuration(Math.max(...etas))} if nothing else changes`;
}

function wouldHavePassed(reading: Reading): string {
  if (reading.verdict === 'no_data' || reading.verdict === 'unreliable')
    return `Usable evidence of ${reading.signal} from both arms would have kept it going`;
  if (reading.estimate === null) return `A clear reading of ${reading.gate} would have kept it going`;
  const limit = reading.scale === 'relative' ? `, ${signed(reading.margin)}` : '';
  return `It would have passed while the evidence that ${reading.signal} is beyond its limit${limit} stays below ${reading.needed.toFixed(1)}; it is ${reading.logE.toFixed(1)}`;
}

function next(decision: Unexplained, decisive: Reading | null): string[] {
  const { to, waitingFor, name, environment } = decision;
  const where = environment === 'production' ? '' : ` -e ${environment}`;
  const command = (verb: string) => `\`tidegate ${verb} ${name}${where} --reason …\``;
  const runbook = decisive?.runbook == null ? '' : `Runbook: ${decisive.runbook}`;
  const waits = waitingFor.length === 0 ? '' : `Waiting for ${list(waitingFor)}`;
  switch (to.phase) {
    case 'killed':
      return [runbook, `It stays off until a person rearms it: ${command('rearm')}`];
    case 'held':
      return [
        runbook,
        to.sticky
          ? `Exposure stays until a person decides: ${command('resume')}, ${command('step-back')} or ${command('kill')}`
          : `It resumes by itself when the evidence is clear again, or by ${command('resume')}`,
        waits,
      ];
    case 'cancelled':
    case 'superseded':
      return ['This rollout is over; apply the plan again to start another'];
    default:
      return [runbook, waits];
  }
}

function list(waits: readonly Wait[]): string {
  return waits.map(({ text, etaMs }) => (etaMs === null ? text : `${text} (~${formatDuration(etaMs)})`)).join('; ');
}

/** `+8 %` of a share. */
function signed(share: number): string {
  return `${share > 0 ? '+' : ''}${round(share * 100)} %`;
}

function round(number: number): number {
  return Math.round(number * 100) / 100;
}

/** `03:06` of an epoch instant, UTC. */
function clock(at: number): string {
  const minutes = Math.floor(at / 60_000) % 1440;
  return `${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`;
}

function pad(number: number): string {
  return String(number).padStart(2, '0');
}

function sentences(parts: readonly string[]): string {
  return parts
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => `${part.slice(0, 1).toUpperCase()}${part.slice(1)}${/[.!?`…]$/.test(part) ? '' : '.'}`)
    .join(' ');
}
