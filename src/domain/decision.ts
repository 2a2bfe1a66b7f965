import type { HeldBy, RolloutState } from './rollout.ts';

export type Tier = 'watch' | 'hold' | 'kill';
/** State of a signal's evidence in one arm. Only `ok` in both arms may raise. */
export type EvidenceState = 'ok' | 'no_data' | 'partial' | 'stale' | 'suspect' | 'error';
export type Verdict = 'pass' | 'watch' | 'hold' | 'kill' | 'inconclusive' | 'no_data' | 'unreliable' | 'error';
export type Action = 'ramp' | 'stay' | 'watch' | 'hold' | 'step_back' | 'exclude_segment' | 'kill' | 'complete';

/** One value of a dimension that a gate's excess comes from, of cells large enough to be shown. */
export interface Where {
  readonly dimension: string;
  readonly value: string;
  /** Bad events (page views above the reference, or good ones missing) beyond what alike arms would have. */
  readonly excess: number;
  /** Of the dimension's excess, 0..1: shares of the values that are worse at all sum to 1, those not shown included. */
  readonly share: number;
  /** Of the dimension's units, 0..1: what the share would be if the excess were evenly spread. */
  readonly part: number;
  /** As in the reading, of this value alone. */
  readonly treatment: { readonly n: number; readonly value: number | null };
  readonly control: { readonly n: number; readonly value: number | null };
  /** Relative to control, up is worse, with its always-valid 95 % interval. */
  readonly estimate: number | null;
  readonly low: number | null;
  readonly high: number | null;
  /** Certainly worse by itself: at most a tenth of the values so called are not. */
  readonly worse: boolean;
  /** Worse, and clearly more so than the rest of its dimension. */
  readonly standsOut: boolean;
}

/** What one gate (or health check, named `health.<check>`) says now. Numbers are null where undefined, never NaN. */
export interface Reading {
  readonly gate: string;
  readonly tier: Tier;
  readonly signal: string;
  readonly state: EvidenceState;
  /** `n` in units; `value` in the signal's unit (ms, or a share 0..1). */
  readonly treatment: { readonly n: number; readonly value: number | null };
  readonly control: { readonly n: number; readonly value: number | null };
  /** Treatment against control, oriented as the test is; with its always-valid interval. */
  readonly estimate: number | null;
  readonly low: number | null;
  readonly high: number | null;
  readonly scale: 'absolute' | 'difference' | 'relative';
  /** The limit of the deciding test, same scale as `estimate`; relative margins as shares (0.08 = 8 %). */
  readonly margin: number;
  /** Natural log of the gate's combined e-value, capped at 50; the gate breaches at ln(1/alpha). */
  readonly logE: number;
  /** ln(1/alpha) of the gate's tier, with the gate's share of the budget. */
  readonly needed: number;
  /** 0..1, the minimum of its components; `limiting` names the worst. */
  readonly reliability: number;
  readonly limiting: string;
  /** Windows in breach in a row, this one included, and how many it takes. */
  readonly streak: number;
  readonly consecutive: number;
  /** First window of the present breach, epoch ms. */
  readonly since: number | null;
  readonly verdict: Verdict;
  /** What a breach of this gate does beyond its tier. */
  readonly action: 'hold' | 'step_back' | 'kill' | 'watch';
  readonly sticky: boolean;
  readonly runbook: string | null;
  /** Where the excess comes from, largest share first; empty where nobody asked, or no cell is large enough. */
  readonly where: readonly Where[];
  /** One plain sentence with the numbers, e.g. `js errors 7.4 % with the flag, 1.1 % without`. */
  readonly text: string;
}

/** One unmet condition for the next step up. `etaMs` null = nobody can tell. */
export interface Wait {
  readonly for:
    | 'bake'
    | 'samples'
    | 'gate'
    | 'approval'
    | 'window'
    | 'freeze'
    | 'dependency'
    | 'pace'
    | 'evidence'
    | 'start'
    | 'tick'
    | 'clear';
  readonly text: string;
  readonly etaMs: number | null;
}

/** What the readings come to, before it is applied. `transition` is a row id of `machine.ts`, null when nothing moves. */
export interface Outcome {
  readonly action: Action;
  readonly transition: string | null;
  /** `gate:errors-kill`, `health:sampleRatio`, `actor:mkaya`, `timer:bake`, ... */
  readonly cause: string;
  /** The sentence people read first, with its numbers. */
  readonly because: string;
  /** How the rollout is held, where the transition holds it. */
  readonly hold?: { readonly by: HeldBy; readonly sticky: boolean };
  readonly waitingFor: readonly Wait[];
}

/** Append-only record of one decision, human or automatic. */
export interface Decision {
  /** `D-<audit seq>`, given by the store at commit. */
  readonly id: string;
  /** Rollout id, and what people call it. */
  readonly rollout: string;
  readonly name: string;
  readonly environment: string;
  readonly flag: string;
  readonly at: number;
  readonly action: Action;
  readonly transition: string | null;
  readonly cause: string;
  readonly because: string;
  readonly from: RolloutState;
  readonly to: RolloutState;
  /** Percent served before and after. */
  readonly exposure: { readonly from: number; readonly to: number };
  readonly readings: readonly Reading[];
  readonly waitingFor: readonly Wait[];
  /** `sha256-<hex>` of the canonical JSON of the evidence; null for a person's act. */
  readonly evidence: string | null;
  readonly plan: string;
  readonly policy: string;
  readonly code: string;
  readonly actor: string | null;
  readonly reason: string | null;
  /** Explanation in plain sentences, made from this record alone. */
  readonly why: string;
  readonly counterfactual: string;
  readonly next: string;
}
