import type { Reading, Wait } from './decision.ts';
import type { Progress, Rollout } from './rollout.ts';

/** What one look at the evidence came to, before anybody decides. */
export interface Looked {
  readonly readings: readonly Reading[];
  readonly streaks: Progress['streaks'];
  readonly references: Rollout['references'];
  /** Every core signal is `ok` in both arms. */
  readonly coreOk: boolean;
  /** What the evidence still lacks for the next step up. */
  readonly rampWaits: readonly Wait[];
}
