import { ruleLimits } from './limits.ts';
import type { Run } from './operator.ts';
import { RuleFailure } from './value.ts';

/**
 * Takes steps from the evaluation's budget. Only what runs per element has to pay: everything else in a rule runs at
 * most once, and the size of a rule is bounded.
 */
export function spend(run: Run, steps: number): void {
  run.steps -= steps;
  if (run.steps < 0) throw new RuleFailure(`takes more than ${ruleLimits.steps} steps`);
}
