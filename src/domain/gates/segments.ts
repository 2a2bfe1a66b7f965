import type { Where } from '../decision.ts';
import type { Evidence, EvidenceArm, Segment, Stratum } from '../evidence.ts';
import type { GatePolicy } from '../policy.ts';
import type { Rollout } from '../rollout.ts';
import type { Signal, Vital } from '../signal.ts';
import { rejectByEvidence } from '../stats/e-bh.ts';
import { noiseOf, worstDesignEffect } from './clusters.ts';
import { binOfQuantile, latencyScales, pureMix, type Quantile, quantileIn } from './latency.ts';
import { proportionScales } from './proportion.ts';
import { interval, oriented, type Scale } from './scale.ts';
import { exceedances, exceeding, type ProportionSource, proportionOf, unitsIn, vitalTotals } from './sums.ts';
import { type View, viewOf } from './view.ts';

type PerArm<T> = { readonly [arm in EvidenceArm]: T };

export interface WhereInput {
  readonly evidence: Evidence;
  readonly signal: Signal;
  readonly references: Rollout['references'];
  readonly limits: Pick<GatePolicy['spec']['segments'], 'dimensions' | 'maxCells'>;
  /** Everything, for what all cells have in common: how strongly page views of one unit resemble each other. */
  readonly all: View;
  /** Where the comparison that is shown begins: strata of earlier epochs are left out. */
  readonly fromEpoch: number;
}

export interface Wheres {
  /** Cells with an excess, largest share first. Attribution after a verdict, not a test. */
  readonly where: readonly Where[];
  /** Those that are worse by themselves: a test, e-BH over the cells of all dimensions (stats.md §14). */
  readonly worse: readonly Where[];
}

/** Fewer events in both arms together say nothing of a cell. */
const minimumEvents = 3;
/** Share of the cells called worse that need not be. */
const falseDiscoveries = 0.1;
/** Standard errors by which the effect of a cell differs from its dimension's rest when it stands out. */
const standingOut = 3;
/** ln(1/alpha) of the interval that is shown: 95 %. */
const shownAt = Math.log(20);

/**
 * Where a signal's excess comes from. Cells in which an arm is below the signal's `minCell`, or with too few events, are
 * neither shown nor tested; the shares of the others still count them, or a large cell would pass for all there is.
 */
export function segmentsOf({ evidence, signal, references, limits, all, fromEpoch }: WhereInput): Wheres {
  const question = questionOf(signal, references, all, evidence);
  if (question === null) return { where: [], worse: [] };
  const asked = evidence.segments.filter(({ dimension }) =>
    [limits.dimensions, signal.spec.dimensions].every((allowed) => allowed.some((each) => each === dimension)),
  );
  const cells = asked.map((segment) => cellOf(segment, question, fromEpoch, evidence.asOf));
  const { minCell } = signal.spec.privacy;
  const tested = cells
    .filter(
      ({ units, score }) => Math.min(units.treatment, units.control) >= minCell && eventsOf(score) >= minimumEvents,
    )
    .toSorted((a, b) => sizeOf(b) - sizeOf(a))
    .slice(0, limits.maxCells);
  const worse = new Set(
    rejectByEvidence(
      tested.map(({ scale }) => scale.above(0)),
      falseDiscoveries,
    ),
  );
  const where = tested
    .map((cell, i) => ({ cell, worse: worse.has(i) }))
    .filter(({ cell }) => cell.score.u > 0)
    .map((each) => whereOf(each.cell, cells, each.worse))
    .toSorted((a, b) => b.share - a.share);
  return { where, worse: where.filter((each) => each.worse) };
}

/** Excess of the treatment's events over their expectation if the arms were alike, oriented: up is worse. */
interface Score {
  readonly u: number;
  /** Its variance if the arms were alike, observations taken as independent. */
  readonly v: number;
  readonly events: PerArm<number>;
  /** Observations of both arms. */
  readonly n: number;
}

const eventsOf = ({ events }: Score): number => events.treatment + events.control;

/** How one signal is read in a cell. */
interface Question {
  /** Silence and conversions need units that have had their time; ms since the end of their hour. Null: no wait. */
  readonly ripeAfterMs: number | null;
  ripe(stratum: Stratum): Stratum;
  units(view: View): PerArm<number>;
  value(view: View, arm: EvidenceArm): number | null;
  score(view: View): Score;
  deff(view: View): number;
  /** Treatment relative to control, oriented. */
  scale(view: View, deff: number): Scale;
}

interface Cell {
  readonly dimension: string;
  readonly value: string;
  readonly units: PerArm<number>;
  readonly values: () => PerArm<number | null>;
  readonly score: Score;
  readonly deff: number;
  readonly scale: Scale;
}

function cellOf({ dimension, value, strata }: Segment, question: Question, fromEpoch: number, asOf: number): Cell {
  const { ripeAfterMs } = question;
  const view = viewOf(
    strata
      .filter(({ epoch, hour }) => epoch >= fromEpoch && (ripeAfterMs === null || hour + oneHour + ripeAfterMs <= asOf))
      .map((stratum) => question.ripe(stratum)),
  );
  const deff = question.deff(view);
  return {
    dimension,
    value,
    units: question.units(view),
    values: () => ({ treatment: question.value(view, 'treatment'), control: question.value(view, 'control') }),
    score: question.score(view),
    deff,
    scale: question.scale(view, deff),
  };
}

const oneHour = 3_600_000;
const sizeOf = ({ units }: Cell): number => units.treatment + units.control;

function whereOf(cell: Cell, cells: readonly Cell[], worse: boolean): Where {
  const { dimension, value, units, score, scale } = cell;
  const same = cells.filter((other) => other.dimension === dimension);
  const values = cell.values();
  const excess = same.reduce((sum, other) => sum + Math.max(0, other.score.u), 0);
  const size = same.reduce((sum, other) => sum + sizeOf(other), 0);
  const rest = same.filter((other) => other !== cell);
  return {
    dimension,
    value,
    excess: score.u,
    share: score.u / excess,
    part: sizeOf(cell) / size,
    treatment: { n: units.treatment, value: values.treatment },
    control: { n: units.control, value: values.control },
    estimate: scale.estimate(),
    ...interval(scale, shownAt),
    worse,
    standsOut: worse && differsFrom(cell, rest),
  };
}

/**
 * Whether a cell's effect is clearly larger than that of its dimension's rest: U/V estimates the log odds ratio of either
 * (Peto's one-step estimate, Yusuf et al. 1985), with variance 1/V, times the design effect.
 */
function differsFrom({ score, deff }: Cell, rest: readonly Cell[]): boolean {
  const others = sumScores(rest.map((each) => each.score));
  if (score.v === 0 || others.v === 0) return false;
  const variance = (1 / score.v + 1 / others.v) * deff * unlikeness(sumScores([score, others]));
  return score.u / score.v - others.u / others.v >= standingOut * Math.sqrt(variance);
}

/**
 * V is the score's variance if the arms are alike, but cells are compared because they are not: events that fall more
 * evenly on a small and a large arm vary more. By how much, from all cells of the dimension together; at least 1.
 */
function unlikeness({ v, events, n }: Score): number {
  const x = events.treatment + events.control;
  return Math.max(1, (((events.treatment * events.control) / x) * (1 - x / n)) / v);
}

function sumScores(scores: readonly Score[]): Score {
  const sum = (of: (score: Score) => number): number => scores.reduce((total, score) => total + of(score), 0);
  return {
    u: sum(({ u }) => u),
    v: sum(({ v }) => v),
    events: { treatment: sum(({ events }) => events.treatment), control: sum(({ events }) => events.control) },
    n: sum(({ n }) => n),
  };
}

function questionOf(signal: Signal, references: Rollout['references'], all: View, evidence: Evidence): Question | null {
  const { source } = signal.spec;
  if (source.event !== 'web_vital') return proportionQuestion(signal, source, all);
  const reference = references[source.field];
  if (reference === undefined) return null;
  const { direction, statistic } = signal.spec;
  return vitalQuestion(source.field, statistic.q ?? 0.75, reference, direction, all, evidence);
}

type Direction = Signal['spec']['direction'];
const signOf = (direction: Direction): 1 | -1 => (direction === 'lower_is_better' ? 1 : -1);

function vitalQuestion(
  metric: Vital,
  q: Quantile,
  reference: Rollout['references'][string],
  direction: Direction,
  all: View,
  evidence: Evidence,
): Question {
  const bin = binOfQuantile(q, reference);
  const crowd = (view: View): Crowd => {
    const { treatment, control } = vitalTotals(view, metric);
    return { views: treatment.n + control.n, units: treatment.units + control.units };
  };
  const pooled = { deff: noiseOf(metric, all, evidence).deff, crowd: crowd(all) };
  return {
    ripeAfterMs: null,
    ripe: (stratum) => stratum,
    units: (view) => {
      const { treatment, control } = vitalTotals(view, metric);
      return { treatment: treatment.units, control: control.units };
    },
    value: (view, arm) => quantileIn(view, arm, metric, q),
    score: (view) => {
      const [u = 0, v = 0] = view.sum(exceedances(metric, bin, 0));
      const above = (arm: EvidenceArm): number => view.sum(exceeding(metric, bin, arm))[0] ?? 0;
      return {
        u: signOf(direction) * u,
        v,
        events: { treatment: above('treatment'), control: above('control') },
        n: crowd(view).views,
      };
    },
    deff: (view) => ownDesignEffect(crowd(view), pooled),
    scale: (view, deff) => {
      const noise = { deff, lnVariance: null };
      const mix = pureMix(q, reference);
      return oriented(latencyScales(view, { metric, q, reference, mix, noise }).relative, direction);
    },
  };
}

/** Page views and the units they belong to. */
interface Crowd {
  readonly views: number;
  readonly units: number;
}

/** Fewer units than this cannot say how their page views cluster. */
const unitsForOwn = 50;

/**
 * A cell keeps no clusters of its own. What carries over from all of them is how alike the page views of one unit are
 * (rho of Kish 1965, deff = 1 + (m - 1) rho); how many there are of a unit, m, is the cell's own from 50 units on.
 */
function ownDesignEffect({ views, units }: Crowd, pooled: { readonly deff: number; readonly crowd: Crowd }): number {
  const usual = pooled.crowd.views / pooled.crowd.units;
  if (units < unitsForOwn || !(usual > 1)) return pooled.deff;
  return Math.max(1, 1 + ((views / units - 1) * (pooled.deff - 1)) / (usual - 1));
}

const halfAnHour = 1_800_000;

function proportionQuestion(signal: Signal, source: ProportionSource, all: View): Question {
  const { direction, freshness } = signal.spec;
  const units = (view: View): PerArm<number> => {
    const { mature, exposed } = unitsIn(view);
    return source.event === 'silence' ? mature : exposed;
  };
  const worst = (view: View): number => {
    const { nt, nc } = proportionOf(view, source);
    const { treatment, control } = units(view);
    return worstDesignEffect(nt + nc, treatment + control);
  };
  const waits = { silence: freshness.expectedLag, conversion: halfAnHour, error: null, end: null } as const;
  return {
    ripeAfterMs: waits[source.event],
    ripe: (stratum) => (waits[source.event] === null ? stratum : ripened(stratum, source)),
    units,
    value: (view, arm) => {
      const { xt, nt, xc, nc } = proportionOf(view, source);
      const [x, n] = arm === 'treatment' ? [xt, nt] : [xc, nc];
      return n === 0 ? null : x / n;
    },
    score: (view) => {
      // Sums of xt nc / n and xc nt / n. Their difference is the score; weighed by the arms' parts they are its
      // hypergeometric variance, exactly where all strata are split alike.
      const { xt, nt, xc, nc, sums } = proportionOf(view, source);
      const [, , , , treatment = 0, control = 0] = sums;
      const n = Math.max(1, nt + nc);
      const v = ((treatment * nt + control * nc) / n) * (1 - (xt + xc) / n);
      return { u: signOf(direction) * (treatment - control), v, events: { treatment: xt, control: xc }, n: nt + nc };
    },
    // One trial per unit, or page views as alike within a unit as can be.
    deff: (view) => {
      if (signal.spec.analysisUnit !== 'pageview') return 1;
      const { treatment, control } = units(view);
      return worst(treatment + control < unitsForOwn ? all : view);
    },
    scale: (view, deff) => oriented(proportionScales(view, source, deff).relative, direction),
  };
}

/**
 * Segments keep no counters of units that have had their time. All units of an hour that ended long enough ago have; and
 * whatever came later, both arms had the same time for it.
 */
function ripened(stratum: Stratum, source: ProportionSource): Stratum {
  const count = (arm: EvidenceArm, name: string): number => stratum[arm].counts[name] ?? 0;
  const mature = (arm: EvidenceArm) => ({ issued: count(arm, 'issued'), seen: count(arm, 'seen') });
  const converted = (arm: EvidenceArm) => ({
    [source.field]: { n: count(arm, 'exposed'), x: count(arm, `conv:${source.field}`) },
  });
  return {
    ...stratum,
    mature: { treatment: mature('treatment'), control: mature('control') },
    converted: { treatment: converted('treatment'), control: converted('control') },
  };
}
