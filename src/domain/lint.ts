import { ownPlace } from './catalogue.ts';
import { lintPlan } from './lint-plan.ts';
import { lintPolicy } from './lint-policy.ts';
import type { Known, LintFinding, Report } from './lint-report.ts';
import type { RolloutPlan } from './plan.ts';
import type { GatePolicy } from './policy.ts';
import { builtinSignals, type Signal } from './signal.ts';

export type { Known, LintFinding } from './lint-report.ts';

/** Knowledge of a lint run away from the controller. */
export const offline: Known = {
  policies: [],
  signals: [],
  complete: false,
  environment: 'production',
  protectedEnvironments: [],
};

/** Every finding over all documents; each may refer to the others and to what is known. */
export function lint(documents: readonly (RolloutPlan | GatePolicy | Signal)[], known: Known): LintFinding[] {
  const findings: LintFinding[] = [];
  const policies = [...documents.filter((document) => document.kind === 'GatePolicy'), ...known.policies];
  const signals = [...documents.filter((document) => document.kind === 'Signal'), ...known.signals, ...builtinSignals];
  for (const document of documents) {
    const name = `${document.kind}/${document.metadata.name}`;
    const place = placeIn(document, known);
    const report: Report = (id, severity, found, message) => {
      const at = place(found);
      findings.push({ id, severity, document: name, path: at.join('.'), at, message });
    };
    if (document.kind === 'RolloutPlan') lintPlan(document, policies, known, report);
    if (document.kind === 'GatePolicy') lintPolicy(document, signals, known, report);
  }
  return findings;
}

/** What a policy inherits is complained about where it says from whom. */
function placeIn(
  document: RolloutPlan | GatePolicy | Signal,
  known: Known,
): (at: LintFinding['at']) => LintFinding['at'] {
  const { name } = document.metadata;
  const inherited =
    document.kind === 'GatePolicy' ? known.inherited?.get(`${name}@${document.metadata.version}`) : null;
  if (document.kind !== 'GatePolicy' || !inherited) return (at) => at;
  const gates = document.spec.gates.map((gate) => gate.name);
  return (at) => ownPlace(at, gates, inherited.source) ?? ['metadata', 'extends'];
}
