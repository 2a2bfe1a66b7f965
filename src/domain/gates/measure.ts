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
import { controlMean, meanScales } from './mean.ts';
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
  const { source, statistic } = signal.spec;
  if (source.event === 'web_vital' && statistic.kind === 'mean')
    return measureMean(gate, signal, source.field, evidence, views);
  if (source.event === 'web_vital')
    return measureVital(gate, signal, source.field, statistic.q ?? 0.75, evidence, views, references);
  return measureProportion(gate, signal, source, evidence, views);
}

function measureVital(
  gate: Gate,
  signal: Signal,
  metric: Vital,
  q: Quantile,
  evidence: Evidence,
  views: Views,
  references: Rollout['references'],
): Measured | null {
  const reference = references[metric];
  if (reference === undefined) return null;
  const noise = noiseOf(metric, views.all, evidence);
  const pure = { metric, q, reference, noise, mix: pureMix(q, reference) };
  const question = { ...pure, mix: mixOf(metric, q, reference) };
  const parts = views.parts.map(({ weight, view }) => ({
    weight,
    view,
    scales: view === null ? null : latencyScales(view, question),
  }));
  const units = (view: View): PerArm<number> => {
    const { treatment, control } = vitalTotals(view, metric);
    return { treatment: treatment.units, control: control.units };
  };
  return {
    units: units(views.all),
    evidence: combine(latencyScales(views.all, pure), parts),
    present: latencyScales(views.present, pure),
    control: absoluteQuantile(views.all, 'control', metric, q, noise.deff),
    shown: once(() => {
      const seen = strongest(parts, gate, signal, views);
      return {
        view: seen,
        scales: latencyScales(seen, pure),
        units: units(seen),
        value: { treatment: quantileIn(seen, 'treatment', metric, q), control: quantileIn(seen, 'control', metric, q) },
      };
    }),
    effective: (margin) => effectiveMargin(margin, q, reference),
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

function measureMean(gate: Gate, signal: Signal, metric: Vital, evidence: Evidence, views: Views): Measured {
  const noise = valueVariance(metric, views.all, evidence);
  const parts = views.parts.map(({ weight, view }) => ({
    weight,
    view,
    scales: view === null ? null : meanScales(view, metric, noise),
  }));
  const units = (view: View): PerArm<number> => {
    const { treatment, control } = vitalTotals(view, metric);
    return { treatment: treatment.units, control: control.units };
  };
  return {
    units: units(views.all),
    evidence: combine(meanScales(views.all, metric, noise), parts),
    present: meanScales(views.present, metric, noise),
    control: controlMean(views.all, metric, noise),
    shown: once(() => {
      const seen = strongest(parts, gate, signal, views);
      const scales = meanScales(seen, metric, noise);
      const control = controlMean(seen, metric, noise).estimate();
      return { view: seen, scales, units: units(seen), value: { treatment: scales.absolute.estimate(), control } };
    }),
    effective: (margin) => margin,
  };
}

function measureProportion(
  gate: Gate,
  signal: Signal,
  source: ProportionSource,
  evidence: Evidence,
  views: Views,
): Measured {
  const units = (view: View): PerArm<number> => {
    const { mature, exposed } = unitsIn(view);
    return source.event === 'silence' ? mature : exposed;
  };
  const life = units(views.all);
  const sum = proportionOf(views.all, source);
  const deff = trialNoise(source, views.all, evidence);
  const parts = views.parts.map(({ weight, view }) => ({
    weight,
    view,
    scales: view === null ? null : proportionScales(view, source, deff),
  }));
  return {
    units: life,
    evidence: combine(proportionScales(views.all, source, deff), parts),
    present: proportionScales(views.present, source, deff),
    control: absoluteShare(sum.xc, sum.nc, deff),
    shown: once(() => {
      const seen = strongest(parts, gate, signal, views);
      const { xt, nt, xc, nc } = proportionOf(seen, source);
      const value = (x: number, n: number) => (n === 0 ? null : x / n);
      return {
        view: seen,
        scales: proportionScales(seen, source, deff),
        units: units(seen),
        value: { treatment: value(xt, nt), control: value(xc, nc) },
      };
    }),
    effective: (margin) => margin,
  };
}

function combine(shown: Scales, parts: readonly { weight: number; scales: Scales | null }[]): Scales {
  const on = (name: ScaleName): Scale =>
    combineParts(
      shown[name],
      parts.map(({ weight, scales }) => ({ weight, scale: scales?.[name] ?? null })),
    );
  return { absolute: on('absolute'), difference: on('difference'), relative: on('relative') };
}
