import type { Decision, Reading, Wait } from '../domain/decision.ts';
import type { DiffLine } from '../domain/diff.ts';
import type { Latch, Rollout, RolloutState } from '../domain/rollout.ts';

export type { DiffLine } from '../domain/diff.ts';

/** What the admin API says of a rollout; the CLI, the page and scripts read nothing else. */
export interface RolloutView {
  readonly name: string;
  readonly id: string;
  readonly environment: string;
  readonly flag: string;
  readonly plan: Rollout['plan'];
  readonly policy: string;
  readonly state: RolloutState;
  /** Percent of the audience served the treatment now. */
  readonly exposure: number;
  readonly stages: readonly { readonly name: string; readonly exposure: number }[];
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly stageEnteredAt: number;
  readonly latch: Latch | null;
  /** A freeze blocks increases here. */
  readonly frozen: boolean;
  /** Readings and waits of the newest look; empty before the first. */
  readonly readings: readonly Reading[];
  readonly waitingFor: readonly Wait[];
  readonly lookedAt: number | null;
  readonly lastDecision: Decision | null;
}

/** Answer of every declarative write (plans, policies, signals, flags). */
export interface ApplyResult {
  readonly change: 'none' | 'create' | 'update';
  readonly name: string;
  /** Plan revision, policy or signal version, or the audit sequence for flags. */
  readonly version: number;
  readonly diff: readonly DiffLine[];
  readonly dryRun: boolean;
  readonly rollouts: readonly RolloutView[];
  readonly warnings: readonly string[];
}

export interface VerbResult {
  readonly rollout: RolloutView;
  readonly decision: Decision;
}

/** RFC 9457. `code` is stable and for machines: `latched`, `frozen`, `hold_first`, `conflict`, `not_found`, ... */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly errors?: readonly { readonly path: string; readonly message: string }[];
}
