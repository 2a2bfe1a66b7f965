import type { Papers } from '../../src/lab/papers.ts';
import { documentsOf } from '../../src/lab/stdio-policy.ts';
import { maturityMinutes } from './counted.ts';

const metric = { q: null, rampMargin: null, maturityMinutes: null };

export const percents = [1, 5, 25, 50, 100] as const;

const metrics = [
  { ...metric, name: 'lcp', kind: 'quantile', q: 0.75, per: 'pageview', worse: 'higher', killMargin: 0.05 },
  { ...metric, name: 'err', kind: 'rate', per: 'pageview', worse: 'higher', killMargin: 0.1 },
  { ...metric, name: 'conv', kind: 'proportion', per: 'unit', worse: 'lower', killMargin: 0.05, maturityMinutes },
] as const;

/**
 * The plan and the policy that the product makes of them: the same that `tidegate simulate --stdio` judges by. `only`:
 * with this metric alone.
 */
export function benchPapers(only: string | null = null): Papers {
  const { plan, policy, signals } = documentsOf({
    stages: { percents: [...percents], factor: 1 },
    minDwellMinutes: 10,
    alphaKill: 0.01,
    alphaRamp: 0.05,
    metrics: metrics.filter(({ name }) => only === null || name === only),
  });
  return { plan, policy, signals: signals.map(({ signal }) => signal) };
}
