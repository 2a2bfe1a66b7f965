import type { Inherited } from '../domain/catalogue.ts';
import { classifyChange } from '../domain/classify.ts';
import { type DiffLine, diff } from '../domain/diff.ts';
import type { DocumentProblem } from '../domain/document.ts';
import { type Known, lint } from '../domain/lint.ts';
import type { RolloutPlan } from '../domain/plan.ts';
import type { GatePolicy } from '../domain/policy.ts';
import { parseSignal, type Signal } from '../domain/signal.ts';
import type { ControlStore, DocumentKind } from '../store/store.ts';
import { type By, once } from './by.ts';
import { digestOf } from './change.ts';
import { Invalid, Refused } from './errors.ts';
import type { Library } from './library.ts';

/** What a declarative write came to. `version` is the one in force afterwards. */
export interface Applied {
  readonly change: 'none' | 'create' | 'update';
  readonly name: string;
  readonly version: number;
  readonly diff: readonly DiffLine[];
  readonly warnings: readonly string[];
}

export interface DocumentDeps {
  readonly store: Pick<ControlStore, 'commit' | 'document' | 'documents' | 'environments'>;
  readonly library: Library;
}

export interface Documents {
  /** Versions are immutable: the same version with other content is refused. */
  applyPolicy(document: unknown, dryRun: boolean, by: By, wall: number): Promise<Applied>;
  applySignal(document: unknown, dryRun: boolean, by: By, wall: number): Promise<Applied>;
  /** What applying this policy asks for, against the newest stored version of its name. */
  permissionFor(policy: unknown): Promise<'policy.tighten' | 'policy.loosen'>;
}

export const invalid = (what: string, problems: readonly DocumentProblem[]) =>
  new Invalid(
    `${what} is not valid: ${problems.map(({ path, message }) => `${path}: ${message}`).join('; ')}`,
    problems,
  );

/** Lint errors stop the write; warnings are handed back. */
export async function lintOrThrow(
  deps: DocumentDeps,
  document: RolloutPlan | GatePolicy | Signal,
  about: { readonly environment: string; readonly author: string; readonly inherited?: Inherited | null },
): Promise<readonly string[]> {
  const [environments, signals, pinned, policies] = await Promise.all([
    deps.store.environments(),
    deps.library.signals(document.kind === 'GatePolicy' ? document.spec.gates.map(({ signal }) => signal) : []),
    document.kind === 'RolloutPlan' ? deps.library.policy(document.spec.policy) : null,
    deps.store.documents('policy'),
  ]);
  const newest = await Promise.all(
    // One that an older release stored and this one cannot read is nobody's business here, unless a plan pins it.
    policies.map(({ name, version }) => deps.library.policy(`${name}@${version}`).catch(() => null)),
  );
  const { inherited } = about;
  const known: Known = {
    policies: [pinned, ...newest].flatMap((policy) => policy ?? []),
    signals,
    complete: true,
    environment: about.environment,
    protectedEnvironments: environments.filter((environment) => environment.protected).map(({ name }) => name),
    author: about.author,
    ...(inherited ? { inherited: new Map([[inherited.source.ref, inherited]]) } : {}),
  };
  const findings = lint([document], known);
  const errors = findings.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) {
    throw new Invalid(
      errors.map(({ id, path, message }) => `${id} ${path}: ${message}`).join('; '),
      errors.map(({ id, path, message }) => ({ path, message: `${id}: ${message}` })),
    );
  }
  return findings.map(({ id, path, message }) => `${id} ${path}: ${message}`);
}

export function createDocuments(deps: DocumentDeps): Documents {
  async function write(
    kind: DocumentKind,
    authored: unknown,
    about: { readonly name: string; readonly version: number },
    warnings: readonly string[],
    dryRun: boolean,
    by: By,
    wall: number,
    effective: unknown = null,
  ): Promise<Applied> {
    const { name, version } = about;
    const digest = digestOf(authored);
    const [same, newest] = await Promise.all([
      deps.store.document(kind, name, version),
      deps.store.document(kind, name),
    ]);
    if (same?.digest === digest) return { change: 'none', name, version, diff: [], warnings };
    const changes = diff((same ?? newest)?.document, authored);
    if (same !== null) {
      throw new Refused(
        'immutable',
        `${kind} ${name}@${version} is stored with other content (${changes.map(({ path }) => path).join(', ')}): raise metadata.version`,
      );
    }
    const applied: Applied = { change: newest === null ? 'create' : 'update', name, version, diff: changes, warnings };
    if (dryRun) return applied;
    await deps.store.commit({
      audit: {
        at: wall,
        actor: by.actor,
        action: `${kind}.apply`,
        environment: null,
        target: `${name}@${version}`,
        reason: by.reason,
        detail: {
          digest,
          ...(effective === null ? {} : { effective: digestOf(effective) }),
          diff: changes.slice(0, 50),
        },
      },
      documents: [
        { kind, name, version, document: authored, digest },
        ...(effective === null
          ? []
          : [
              {
                kind: 'effective_policy' as const,
                name,
                version,
                document: effective,
                digest: digestOf(effective),
              },
            ]),
      ],
      ...once(by, { ...applied, dryRun, rollouts: [] }),
    });
    deps.library.forget();
    return applied;
  }

  return {
    async permissionFor(document) {
      const materialised = await deps.library.materialise(document);
      if (!materialised.ok) return 'policy.loosen';
      const { policy } = materialised.value;
      const newest = await deps.store.document('policy', policy.metadata.name);
      if (newest === null) return 'policy.loosen';
      // One that an older release stored and this one cannot read is no measure of what is tighter.
      const before = await deps.library.policy(`${newest.name}@${newest.version}`).catch(() => null);
      const changes = before === null ? [] : classifyChange(before, policy);
      const isTighter = changes.length > 0 && changes.every(({ slant }) => slant === 'tighten');
      return isTighter ? 'policy.tighten' : 'policy.loosen';
    },
    async applyPolicy(document, dryRun, by, wall) {
      const materialised = await deps.library.materialise(document);
      if (!materialised.ok) throw invalid('the policy', materialised.problems);
      const { policy, json, inherited } = materialised.value;
      const warnings = await lintOrThrow(deps, policy, { environment: 'production', author: by.actor, inherited });
      const effective = inherited === null ? null : json;
      return write('policy', document, policy.metadata, warnings, dryRun, by, wall, effective);
    },
    async applySignal(document, dryRun, by, wall) {
      const parsed = parseSignal(document);
      if (!parsed.ok) throw invalid('the signal', parsed.problems);
      const warnings = await lintOrThrow(deps, parsed.value, { environment: 'production', author: by.actor });
      return write('signal', document, parsed.value.metadata, warnings, dryRun, by, wall);
    },
  };
}
