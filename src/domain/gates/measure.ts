import type { Evidence, EvidenceArm } from '../evidence.ts';
import type { Gate } from '../policy.ts';
import type { Rollout } from '../rollout.ts';
import type { Signal, Vital } from '../signal.ts';
import { noiseOf, trialNoise, valueVariance } from './clusters.ts';
import {
  absoluteQuantile,
  effectiveMargin,
  latencyScales,
  mixOf,
  pureMix,
  type Quantile,
  quantileIn,
} from './latency.ts';
import { armMean, meanScales } from './mean.ts';
import { absoluteShare, proportionScales } from './proportion.ts';
import { combineParts, oriented, type Scale, type ScaleName, type Scales } from './scale.ts';
import { type ProportionSource, proportionOf, unitsIn, vitalTotals } from './sums.ts';
import type { View } from './view.ts';
import type { Views } from './views.ts';

type PerArm<T> = { readonly [arm in EvidenceArm]: T };

/** One signal, as one look sees it. */
export interface Measured {
  /** Assignment units over the rollout's life: what minimum samples ask for. */
  readonly units: PerArm<number>;
  /** What kills and holds: over the rollout's life, late stages weighed in. */
  readonly evidence: Scales;
  /** What a rise needs: this number alone, in the present stage epoch alone. */
  readonly present: Scales;
  /** Control's value by itself. */
  readonly control: Scale;
  shown(): Shown;
  /** A relative margin as it is tested: quantiles move it to the next bin edge. */
  effective(margin: number): number;
}

/**
 * What people see, of this number alone: over the rollout's life, or the stages since the one from which on the evidence
 * of a worsening is strongest. A regression that starts late would look harmless beside the clean stages before it.
 */
export interface Shown {
  readonly view: View;
  readonly scales: Scales;
  readonly units: PerArm<number>;
  readonly value: PerArm<number | null>;
}

/** Null while the reference of a web vital is still being collected: nothing can be compared before. */
export function measure(
  gate: Gate,
  signal: Signal,
  evidence: Evidence,
  views: Views,
  references: Rollout['references'],
): Measured | null {
  const lens = lensOf(signal, evidence, views, references);
  return lens === null ? null : seenThrough(lens, gate, signal, views);
}

function lensOf(
  { spec: { source, statistic } }: Signal,
  evidence: Evidence,
  views: Views,
  references: Rollout['references'],
): Lens | null {
  if (source.event !== 'web_vital') return proportionLens(source, evidence, views);
  if (statistic.kind === 'mean') return meanLens(source.field, evidence, views);
  return quantileLens(source.field, statistic.q ?? 0.75, evidence, views, references);
}

/** How one kind of signal is read in any view. */
interface Lens {
  /** What kills and holds. */
  scales(view: View): Scales;
  /** This number alone. */
  plain(view: View): Scales;
  units(view: View): PerArm<number>;
  value(view: View): PerArm<number | null>;
  readonly control: Scale;
  effective(margin: number): number;
}

function seenThrough(lens: Lens, gate: Gate, signal: Signal, views: Views): Measured {
  const parts = views.parts.map(({ weight, view }) => ({
    weight,
    view,
    scales: view === null ? null : lens.scales(view),
  }));
  return {
    units: lens.units(views.all),
    evidence: combine(lens.plain(views.all), parts),
    present: lens.plain(views.present),
    control: lens.control,
    shown: once(() => {
      const view = strongest(parts, gate, signal, views);
      return { view, scales: lens.plain(view), units: lens.units(view), value: lens.value(view) };
    }),
    effective: lens.effective,
  };
}

/** Only quantiles move a margin to the next bin edge. */
const asDeclared = (margin: number): number => margin;

/** Units with at least one observation of a metric. */
function unitsWith(metric: Vital, view: View): PerArm<number> {
  const { treatment, control } = vitalTotals(view, metric);
  return { treatment: treatment.units, control: control.units };
}

function quantileLens(
  metric: Vital,
  q: Quantile,
  evidence: Evidence,
  views: Views,
  references: Rollout['references'],
): Lens | null {
  const reference = references[metric];
  if (reference === undefined) return null;
  const noise = noiseOf(metric, views.all, evidence);
  const pure = { metric, q, reference, noise, mix: pureMix(q, reference) };
  const question = { ...pure, mix: mixOf(metric, q, reference) };
  return {
    scales: (view) => latencyScales(view, question),
    plain: (view) => latencyScales(view, pure),
    units: (view) => unitsWith(metric, view),
    value: (view) => ({
      treatment: quantileIn(view, 'treatment', metric, q),
      control: quantileIn(view, 'control', metric, q),
    }),
    control: absoluteQuantile(views.all, 'control', metric, q, noise.deff),
    effective: (margin) => effectiveMargin(margin, q, reference),
  };
}

function meanLens(metric: Vital, evidence: Evidence, views: Views): Lens {
  const noise = valueVariance(metric, views.all, evidence);
  const scales = (view: View): Scales => meanScales(view, metric, noise);
  return {
    scales,
    plain: scales,
    units: (view) => unitsWith(metric, view),
    value: (view) => ({
      treatment: armMean(view, 'treatment', metric, noise).estimate(),
      control: armMean(view, 'control', metric, noise).estimate(),
    }),
    control: armMean(views.all, 'control', metric, noise),
    effective: asDeclared,
  };
}

function proportionLens(source: ProportionSource, evidence: Evidence, views: Views): Lens {
  const deff = trialNoise(source, views.all, evidence);
  const scales = (view: View): Scales => proportionScales(view, source, deff);
  const { xc, nc } = proportionOf(views.all, source);
  return {
    scales,
    plain: scales,
    units: (view) => (source.event === 'silence' ? unitsIn(view).mature : unitsIn(view).exposed),
    value: (view) => {
      const of = proportionOf(view, source);
      const share = (x: number, n: number) => (n === 0 ? null : x / n);
      return { treatment: share(of.xt, of.nt), control: share(of.xc, of.nc) };
    },
    control: absoluteShare(xc, nc, deff),
    effective: asDeclared,
  };
}

/** Numbers for people cost more than the verdict, and most looks need none. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

interface Part {
  readonly weight: number;
  readonly view: View | null;
  readonly scales: Scales | null;
}

/** The view in which the gate's own tests have the most evidence; all of it when no view speaks for a worsening. */
function strongest(parts: readonly Part[], gate: Gate, signal: Signal, views: Views): View {
  const said = parts.flatMap(({ view, scales }) =>
    view === null || scales === null ? [] : [{ view, logE: mostIn(scales, gate, signal) }],
  );
  const top = said.toSorted((a, b) => b.logE - a.logE)[0];
  return top === undefined || top.logE <= 0 ? views.all : top.view;
}

function mostIn(scales: Scales, gate: Gate, signal: Signal): number {
  const { direction } = signal.spec;
  const each = gate.tests.flatMap((test): number[] => {
    if (test.type === 'non_inferior') return [];
    if (test.type !== 'absolute') return [oriented(scales[test.type], direction).above(test.margin)];
    const above = test.max === null ? [] : [scales.absolute.above(test.max)];
    return test.min === null ? above : [...above, scales.absolute.below(test.min)];
  });
  const most = Math.max(0, ...each);
  return most > 0 ? most : oriented(scales.relative, direction).above(0);
}

function combine(shown: Scales, parts: readonly { weight: number; scales: Scales | null }[]): Scales {
  const on = (name: ScaleName): Scale =>
    combineParts(
      shown[name],
      parts.map(({ weight, scales }) => ({ weight, scale: scales?.[name] ?? null })),
    );
  return { absolute: on('absolute'), difference: on('difference'), relative: on('relative') };
}
