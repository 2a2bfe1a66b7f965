import type { Inherited } from './catalogue.ts';
import type { GatePolicy } from './policy.ts';
import type { Signal } from './signal.ts';

/** A document that parses and yet cannot work, or works worse than its author thinks. */
export interface LintFinding {
  /** Rule of rollout.md §6.1 (P..) or §7.3 (G..). */
  readonly id: string;
  /** Errors stop `apply`; warnings are shown. */
  readonly severity: 'error' | 'warning';
  /** `RolloutPlan/checkout-v2` */
  readonly document: string;
  /** `spec.stages.1.bake` */
  readonly path: string;
  readonly at: readonly (string | number)[];
  /** What is wrong, and what to do. */
  readonly message: string;
}

/** What the rules may rely on besides the documents themselves. */
export interface Known {
  /** Policies and signals that are already stored; built-in signals need no mention. */
  readonly policies: readonly GatePolicy[];
  readonly signals: readonly Signal[];
  /** `name@version` of a policy that extends another -> what it has from it. */
  readonly inherited?: ReadonlyMap<string, Inherited>;
  /** Policies that are here, and of which an ancestor is not: nothing can be said about them, but that they exist. */
  readonly unresolved?: readonly string[];
  /** False = linted away from the controller, so a document that is not here may still be there: a warning then. */
  readonly complete: boolean;
  /** Where a plan without waves runs. */
  readonly environment: string;
  readonly protectedEnvironments: readonly string[];
  /** Subjects by approval role; absent = nobody can tell, and P14 is silent. */
  readonly members?: { readonly [role: string]: readonly string[] };
  /** Subject who applies; for P14. */
  readonly author?: string;
}

/** Adds a finding of the document at hand. */
export type Report = (
  id: string,
  severity: LintFinding['severity'],
  at: readonly (string | number)[],
  message: string,
) => void;
