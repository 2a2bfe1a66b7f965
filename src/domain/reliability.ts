/** What a signal's evidence is trusted on (stats.md §13). Shares are 0..1, times ms. */
export interface ReliabilityInput {
  /** Units with the signal / units issued, per arm. */
  readonly coverage: { readonly treatment: number; readonly control: number };
  /** Coverage that is expected of the signal. */
  readonly target: number;
  readonly ageMs: number;
  readonly expectedLagMs: number;
  readonly staleAfterMs: number;
  /** Information at hand / information needed. */
  readonly information: number;
  /** Shares of all recent messages. */
  readonly invalidShare: number;
  readonly duplicateShare: number;
  /** One network has too much of an arm. */
  readonly concentrated: boolean;
}

type ReliabilityComponent = 'coverage' | 'balance' | 'freshness' | 'sufficiency' | 'hygiene';

export interface Reliability {
  readonly components: { readonly [name in ReliabilityComponent]: number };
  /** The smallest component: one at zero makes the score zero, where an average would let volume hide staleness. */
  readonly score: number;
  readonly limiting: ReliabilityComponent;
  /**
   * The score without sufficiency: whether the evidence deserves trust at all. Too little of it is no fault, it is
   * what `minSamples` waits for, and an exact test that has crossed its threshold needs no more.
   */
  readonly trust: number;
}

const invalidLimit = 0.01;
const duplicateLimit = 0.05;

export function reliabilityOf(input: ReliabilityInput): Reliability {
  const { treatment, control } = input.coverage;
  const least = Math.min(treatment, control);
  const most = Math.max(treatment, control);
  const components = {
    coverage: Math.min(1, input.target === 0 ? 1 : least / input.target),
    balance: most === 0 ? 0 : least / most,
    freshness: freshness(input),
    sufficiency: Math.min(1, input.information),
    hygiene: input.concentrated || input.invalidShare >= invalidLimit || input.duplicateShare >= duplicateLimit ? 0 : 1,
  };
  const { sufficiency, ...trusted } = components;
  const trust = Math.min(...Object.values(trusted));
  const score = Math.min(trust, sufficiency);
  return { components, score, limiting: limitingOf(components, score), trust };
}

/** Smooth companions of a score, all 0..1. */
export interface ReliabilityTrend {
  /** Without the cut at `staleAfter`. */
  readonly freshness: number;
  /** (coverage balance)^1/2 freshness^1/2: whether what arrives deserves trust, however much it is. */
  readonly integrity: number;
  /** (coverage balance)^0.4 freshness^0.3 sufficiency^0.3. */
  readonly reliability: number;
}

/**
 * Geometric composites for a trend line (stats.md §13): they move before the minimum does and are zero when a factor is.
 * Volume softens staleness in them, so no verdict may use them.
 */
export function reliabilityTrendOf(input: ReliabilityInput): ReliabilityTrend {
  const { coverage, balance, sufficiency } = reliabilityOf(input).components;
  const freshness = decayOf(input);
  const reach = coverage * balance;
  return {
    freshness,
    integrity: Math.sqrt(reach * freshness),
    reliability: reach ** 0.4 * (freshness * sufficiency) ** 0.3,
  };
}

function freshness(input: ReliabilityInput): number {
  return input.ageMs > input.staleAfterMs ? 0 : decayOf(input);
}

/** Halves with every half-life beyond the expected lag: three of them up to `staleAfter`. */
function decayOf({ ageMs, expectedLagMs, staleAfterMs }: ReliabilityInput): number {
  const halfLife = (staleAfterMs - expectedLagMs) / 3;
  return 0.5 ** (Math.max(0, ageMs - expectedLagMs) / halfLife);
}

function limitingOf(components: Reliability['components'], score: number): ReliabilityComponent {
  if (components.coverage === score) return 'coverage';
  if (components.balance === score) return 'balance';
  if (components.freshness === score) return 'freshness';
  if (components.hygiene === score) return 'hygiene';
  return 'sufficiency';
}
