import type { Evidence, EvidenceArm, Stratum } from '../evidence.ts';
import type { Gate } from '../policy.ts';
import type { Rollout } from '../rollout.ts';
import type { Signal, Vital } from '../signal.ts';
import { sumTables } from '../stats/table.ts';
import { noiseOf, worstDesignEffect } from './clusters.ts';
import {
  absoluteQuantile,
  effectiveMargin,
  latencyScales,
  latencyStrata,
  mixOf,
  pureMix,
  type Quantile,
  quantileIn,
} from './latency.ts';
import { absoluteShare, type ProportionSource, proportionScales, tablesOf } from './proportion.ts';
import { combineParts, oriented, type Scale, type ScaleName, type Scales } from './scale.ts';
import type { Views } from './views.ts';

type PerArm<T> = { readonly [arm in EvidenceArm]: T };

/** One signal, as one look sees it. */
export interface Measured {
  /** Assignment units over the rollout's life: what minimum samples ask for. */
  readonly units: PerArm<number>;
  /** What kills and holds: over the rollout's life, late stages weighed in. */
  readonly evidence: Scales;
  /**
   * What people see, of this number alone: the rollout's life, or the stages since the one from which on the evidence of
   * a worsening is strongest. A regression that starts late would look harmless beside the clean stages before it.
   */
  readonly shown: Scales;
  readonly shownUnits: PerArm<number>;
  readonly value: PerArm<number | null>;
  /** What a rise needs: this number alone, in the present stage epoch alone. */
  readonly present: Scales;
  /** Control's value by itself. */
  readonly control: Scale;
  /** A relative margin as it is tested: quantiles move it to the next bin edge. */
  effective(margin: number): number;
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
  if (source.event === 'web_vital')
    return measureVital(gate, signal, source.field, statistic.q ?? 0.75, evidence, views, references);
  return measureProportion(gate, signal, source, views);
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
  const noise = noiseOf(metric, views.all, evidence.shards[metric]);
  const mix = mixOf(metric, q, reference);
  // The other views are made of the same strata: their tails are added up once.
  const tails = new Map(latencyStrata(views.all, metric).map((stratum, i) => [views.all[i], stratum]));
  const of = (strata: readonly Stratum[]) => strata.flatMap((stratum) => tails.get(stratum) ?? []);
  const pure = { metric, q, reference, noise, mix: pureMix(q, reference) };
  const parts = views.parts.map(({ weight, strata }) => ({
    weight,
    strata,
    scales: strata === null ? null : latencyScales(of(strata), { ...pure, mix }),
  }));
  const seen = strongest(parts, gate, signal, views);
  const shown = latencyScales(of(seen), pure);
  const units = (strata: readonly Stratum[]) => ({
    treatment: unitsOf(strata, metric, 'treatment'),
    control: unitsOf(strata, metric, 'control'),
  });
  return {
    units: units(views.all),
    shownUnits: units(seen),
    value: { treatment: quantileIn(seen, 'treatment', metric, q), control: quantileIn(seen, 'control', metric, q) },
    evidence: combine(shown, parts),
    shown,
    present: latencyScales(of(views.present), pure),
    control: absoluteQuantile(
      of(views.all).map(({ control }) => control),
      metric,
      q,
      noise.deff,
    ),
    effective: (margin) => effectiveMargin(margin, q, reference),
  };
}

interface Part {
  readonly weight: number;
  readonly strata: readonly Stratum[] | null;
  readonly scales: Scales | null;
}

/** The view in which the gate's own tests have the most evidence; all of it when no view speaks for a worsening. */
function strongest(parts: readonly Part[], gate: Gate, signal: Signal, views: Views): readonly Stratum[] {
  const said = parts.flatMap(({ strata, scales }) =>
    strata === null || scales === null ? [] : [{ strata, logE: mostIn(scales, gate, signal) }],
  );
  const top = said.toSorted((a, b) => b.logE - a.logE)[0];
  return top === undefined || top.logE <= 0 ? views.all : top.strata;
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

/** Units with the metric; never more than its observations, some of which the reference has used up. */
function unitsOf(strata: readonly Stratum[], metric: Vital, arm: EvidenceArm): number {
  return strata.reduce(
    (sum, stratum) => sum + Math.min(stratum[arm].metrics[metric]?.n ?? 0, stratum[arm].counts[`u:${metric}`] ?? 0),
    0,
  );
}

function measureProportion(gate: Gate, signal: Signal, source: ProportionSource, views: Views): Measured {
  const unitsIn = (strata: readonly Stratum[], arm: EvidenceArm): number =>
    strata.reduce(
      (sum, stratum) =>
        sum + (source.event === 'silence' ? stratum.mature[arm].issued : (stratum[arm].counts.exposed ?? 0)),
      0,
    );
  const units = (strata: readonly Stratum[]) => ({
    treatment: unitsIn(strata, 'treatment'),
    control: unitsIn(strata, 'control'),
  });
  const life = units(views.all);
  const sum = sumTables(tablesOf(views.all, source));
  // Everything but the end rate has one trial per unit.
  const deff = source.event === 'end' ? worstDesignEffect(sum.nt + sum.nc, life.treatment + life.control) : 1;
  const parts = views.parts.map(({ weight, strata }) => ({
    weight,
    strata,
    scales: strata === null ? null : proportionScales(tablesOf(strata, source), deff),
  }));
  const seen = strongest(parts, gate, signal, views);
  const seenTables = tablesOf(seen, source);
  const seenSum = sumTables(seenTables);
  const shown = proportionScales(seenTables, deff);
  return {
    units: life,
    shownUnits: units(seen),
    value: {
      treatment: shown.absolute.estimate,
      control: absoluteShare(seenSum.xc, seenSum.nc, deff).estimate,
    },
    evidence: combine(shown, parts),
    shown,
    present: proportionScales(tablesOf(views.present, source), deff),
    control: absoluteShare(sum.xc, sum.nc, deff),
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
