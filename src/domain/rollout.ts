export const phases = [
  'draft',
  'pending_approval',
  'scheduled',
  'preflight',
  'ramping',
  'soaking',
  'held',
  'completed',
  'killed',
  'cancelled',
  'superseded',
] as const;
export type Phase = (typeof phases)[number];

export type HeldBy = 'gate' | 'operator' | 'health' | 'no_data' | 'error' | 'dependency' | 'deadline' | 'preflight';

/** Everything that governs exposure. Changes only through `apply`, saved only through `control/change`. */
export interface RolloutState {
  readonly phase: Phase;
  /** Index into the plan's stages; -1 = not exposed. */
  readonly stage: number;
  readonly heldBy: HeldBy | null;
  /** A sticky hold ends only by a person, a kill, or expiry to zero. */
  readonly sticky: boolean;
  readonly resumeTo: 'preflight' | 'ramping' | 'soaking' | null;
  /** Elevated monitoring: faster ticks, no ramp. */
  readonly watch: boolean;
  readonly approved: {
    readonly stage: number;
    readonly digest: string;
    readonly by: string;
    /** Who approved before, where the plan asks for more than one. It counts once all of them are in. */
    readonly with?: readonly string[];
    readonly until: number;
  } | null;
  /** After completion: gates keep watching against the holdback. */
  readonly sentinel: boolean;
  /** Excluded segments; always empty in this release. */
  readonly excluded: readonly string[];
  /** Stage epoch: rises with every change of exposure and every manual resume. Evidence belongs to one. */
  readonly epoch: number;
  /** Optimistic guard: rises with every committed change of this state. */
  readonly version: number;
}

/** Streaks of one gate over distinct windows. */
export interface Streak {
  /** Start of the newest window that was counted, epoch ms. */
  readonly window: number;
  /** Consecutive windows in breach. */
  readonly breach: number;
  /** Consecutive windows clear. */
  readonly clear: number;
  /** First window of the present breach, epoch ms, or null. */
  readonly since: number | null;
}

/** What the ticks have counted in the present stage epoch. Saved every tick without touching `state.version`. */
export interface Progress {
  /** Wall ms at which the stage epoch began. */
  readonly stageEnteredAt: number;
  /** Time with usable evidence of both arms, ms: min(wall, monotonic) of each tick's step. */
  readonly bakedMs: number;
  /** Time in the stage that counts towards `maxDwell`, ms. */
  readonly dwellMs: number;
  /** Time in the present phase, ms, by the slower clock: what expires a hold and ends the watch after completion. */
  readonly phaseMs?: number;
  /** Newest tick, by both clocks; null before the first. */
  readonly lastTick: { readonly wall: number; readonly mono: number; readonly boot: string } | null;
  /** Wall ms since which core evidence has been missing; null while it is there. */
  readonly blindSince: number | null;
  /** Wall ms since which a `non_inferior` gate has been inconclusive; null otherwise. */
  readonly inconclusiveSince: number | null;
  /** Ticks in a row whose evaluation threw. */
  readonly errors: number;
  readonly streaks: { readonly [gate: string]: Streak };
  /** Exposure rises of the last 24 h as `[wall ms, percentage points]`, for `maxIncreasePerDay`. */
  readonly rises: readonly (readonly [at: number, points: number])[];
}

/** One plan revision running in one environment, for one wave. */
export interface Rollout {
  /** `r_` and 10 base36 characters. */
  readonly id: string;
  /** Small number that exposure tokens carry in place of the id. */
  readonly shortId: number;
  /** `<plan>` or `<plan>/<wave>`: what people type. Unique among non-superseded rollouts of an environment. */
  readonly name: string;
  readonly environment: string;
  readonly flag: string;
  readonly wave: string | null;
  readonly plan: { readonly name: string; readonly revision: number };
  /** `name@version`. */
  readonly policy: string;
  readonly seed: string;
  /** Hash that buckets units; frozen when the rollout is made. */
  readonly bucketing: 'murmur3-utf8/v2';
  readonly createdAt: number;
  readonly startedAt: number | null;
  /** Subject who applied the plan. */
  readonly author: string;
  readonly state: RolloutState;
  readonly progress: Progress;
  /**
   * First stage epoch whose evidence counts. A restart after a kill and a new revision of the plan begin a new process
   * with an error budget of its own (stats.md §8): what condemned the old one is no evidence against the new one. Ramps
   * and step-backs do not move it.
   */
  readonly evidenceFrom: number;
  /**
   * Frozen reference buckets per quantile metric (stats.md §2): set once, from control observations that are then left
   * out of the evidence they judge, and never re-estimated. A new process keeps them: a threshold that was chosen before
   * its first observation is as good a null hypothesis as a fresh one, which would cost it the observations it is made of.
   */
  readonly references: { readonly [metric: string]: Reference };
}

export interface Reference {
  /** Histogram bin of the control's q-quantile for q = .5, .75, .9, .95, .99. */
  readonly bins: readonly number[];
  /** Evidence of the metric counts from this bucket start on, epoch ms. */
  readonly since: number;
}

/** A kill latch: while it stands, nothing exposes the flag there. `wave: null` = every wave. Only `rearm` clears it. */
export interface Latch {
  readonly environment: string;
  readonly flag: string;
  readonly wave: string | null;
  readonly setAt: number;
  readonly by: string;
  readonly reason: string | null;
}

/** Blocks every increase and no decrease. `environment: null` = everywhere. */
export interface Freeze {
  readonly environment: string | null;
  readonly reason: string;
  readonly by: string;
  readonly from: number;
  readonly until: number | null;
}
