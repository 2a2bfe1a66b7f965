import type { Evidence } from '../evidence.ts';
import { merge, quantileBin } from '../histogram.ts';
import type { Gate } from '../policy.ts';
import type { Reference, Rollout } from '../rollout.ts';
import { quantiles, type Signal, type Vital } from '../signal.ts';

/** Control page views from which the reference of a metric is frozen. */
export function referenceSize(metric: Vital, gates: readonly { gate: Gate; signal: Signal }[]): number {
  const smallest = Math.min(
    ...gates.filter(({ signal }) => signal.spec.source.field === metric).map(({ gate }) => gate.minSamples),
  );
  return Math.min(200, Math.max(20, smallest));
}

export function controlViews(evidence: Evidence, metric: Vital): number {
  return evidence.strata.reduce((sum, { control }) => sum + (control.metrics[metric]?.n ?? 0), 0);
}

/**
 * Freezes the reference bins of metrics that have none yet, once control has enough page views. Frozen ones never
 * change: a threshold chosen from the data it tests is no null hypothesis. For the same reason the page views that made
 * it are left out of the evidence, which counts from the end of the newest bucket on.
 */
export function frozenReferences(
  evidence: Evidence,
  known: Rollout['references'],
  gates: readonly { gate: Gate; signal: Signal }[],
): Rollout['references'] {
  const references: { [metric: string]: Reference } = { ...known };
  for (const { signal } of gates) {
    const { source } = signal.spec;
    if (source.event !== 'web_vital' || references[source.field] !== undefined) continue;
    if (controlViews(evidence, source.field) < referenceSize(source.field, gates)) continue;
    const hist = merge(evidence.strata.map(({ control }) => control.metrics[source.field]?.hist ?? []));
    const since = (Math.floor(evidence.asOf / evidence.bucketMs) + 1) * evidence.bucketMs;
    references[source.field] = { bins: quantiles.map((q) => quantileBin(hist, q) ?? 0), since };
  }
  return references;
}
