import { type AuthoredDocument, lineageOf, type Materialised, materialise, readAuthored } from '../domain/catalogue.ts';
import type { Parsed } from '../domain/document.ts';
import { parsePlan, type RolloutPlan } from '../domain/plan.ts';
import { type GatePolicy, parseEffective } from '../domain/policy.ts';
import type { Rollout } from '../domain/rollout.ts';
import { builtinSignals, findSignal, parseSignal, type Signal } from '../domain/signal.ts';
import type { ControlStore, DocumentKind } from '../store/store.ts';

/** The documents a rollout runs on. */
export interface Papers {
  readonly plan: RolloutPlan;
  readonly policy: GatePolicy;
  readonly signals: readonly Signal[];
}

export interface Library {
  papers(rollout: Pick<Rollout, 'plan' | 'policy'>): Promise<Papers>;
  plan(ref: Rollout['plan']): Promise<RolloutPlan>;
  /** `name@version`, with everything it inherits; null when there is none. */
  policy(ref: string): Promise<GatePolicy | null>;
  /** A policy that is not stored yet, together with the stored ones that it extends. */
  materialise(authored: unknown): Promise<Parsed<Materialised>>;
  /** Built-in signals, the newest version of each declared one, and those that `pinned` names as `name@version`. */
  signals(pinned?: readonly string[]): Promise<readonly Signal[]>;
  /** Forget what may have a newer version now. */
  forget(): void;
}

/** Versions are immutable, so a parsed one is kept for good; only the list of signals is read again after `forget`. */
export function createLibrary(store: Pick<ControlStore, 'document' | 'documents'>): Library {
  const plans = new Map<string, RolloutPlan>();
  const policies = new Map<string, GatePolicy>();
  const signals = new Map<string, Signal>();
  let newestSignals: Promise<readonly Signal[]> | null = null;

  const stored = async (kind: DocumentKind, name: string, version: number) =>
    (await store.document(kind, name, version))?.document ?? null;

  /** `name@version`. */
  const pinnedAt = (kind: DocumentKind, ref: string) => {
    const at = ref.lastIndexOf('@');
    return at < 0 ? Promise.resolve(null) : stored(kind, ref.slice(0, at), Number(ref.slice(at + 1)));
  };

  async function signalOf(ref: string): Promise<Signal | null> {
    const known = signals.get(ref);
    if (known !== undefined) return known;
    const parsed = parseSignal(await pinnedAt('signal', ref));
    if (!parsed.ok) return null;
    signals.set(ref, parsed.value);
    return parsed.value;
  }

  const library: Library = {
    async plan({ name, revision }) {
      const key = `${name}@${revision}`;
      const known = plans.get(key);
      if (known !== undefined) return known;
      const parsed = parsePlan(await stored('plan', name, revision));
      if (!parsed.ok) throw new Error(`stored plan ${key} does not parse: ${parsed.problems[0]?.message}`);
      plans.set(key, parsed.value);
      return parsed.value;
    },
    async policy(ref) {
      const known = policies.get(ref);
      if (known !== undefined) return known;
      const document = (await pinnedAt('effective_policy', ref)) ?? (await pinnedAt('policy', ref));
      if (document === null) return null;
      const parsed = parseEffective(document);
      if (!parsed.ok) throw new Error(`stored policy ${ref} does not parse: ${parsed.problems[0]?.message}`);
      policies.set(ref, parsed.value);
      return parsed.value;
    },
    async materialise(json) {
      const authored = readAuthored(json);
      if (!authored.ok) return authored;
      const above = new Map<string, AuthoredDocument>();
      let next = authored.value.extends;
      while (next !== null && !above.has(next)) {
        const found = readAuthored(await pinnedAt('policy', next));
        if (!found.ok) break;
        above.set(next, found.value);
        next = found.value.extends;
      }
      const lineage = lineageOf(authored.value, (ref) => above.get(ref) ?? null);
      return lineage.ok ? materialise(authored.value, lineage.value) : lineage;
    },
    async signals(pinned = []) {
      newestSignals ??= store.documents('signal').then((found) => {
        const declared = found.flatMap(({ document }) => {
          const parsed = parseSignal(document);
          return parsed.ok ? [parsed.value] : [];
        });
        return [...builtinSignals, ...declared];
      });
      const newest = await newestSignals.catch((error: unknown) => {
        library.forget();
        throw error;
      });
      const older = await Promise.all(
        pinned.filter((ref) => findSignal(ref, newest) === null).map((ref) => signalOf(ref)),
      );
      return [...newest, ...older.flatMap((signal) => signal ?? [])];
    },
    async papers(rollout) {
      const [plan, policy] = await Promise.all([library.plan(rollout.plan), library.policy(rollout.policy)]);
      if (policy === null) throw new Error(`policy ${rollout.policy} is not stored`);
      return { plan, policy, signals: await library.signals(policy.spec.gates.map(({ signal }) => signal)) };
    },
    forget() {
      newestSignals = null;
    },
  };
  return library;
}
