import { createHash } from 'node:crypto';
import { canonical } from '../domain/canonical.ts';
import type { Decision, Outcome, Reading } from '../domain/decision.ts';
import type { Evidence } from '../domain/evidence.ts';
import { explain } from '../domain/explain.ts';
import { exposureOf } from '../domain/exposure.ts';
import { transitions } from '../domain/machine.ts';
import type { Now } from '../domain/now.ts';
import type { RolloutPlan } from '../domain/plan.ts';
import type { Latch, Rollout } from '../domain/rollout.ts';
import type { Change, ControlStore, IdempotentAnswer } from '../store/store.ts';

/** A rollout before and after, and why: from a tick, a person, or a kill gate alike. */
export interface Move {
  readonly before: Rollout;
  readonly after: Rollout;
  readonly plan: RolloutPlan;
  readonly outcome: Outcome;
  readonly readings: readonly Reading[];
  /** What the judge read; null for a person's act. */
  readonly evidence: Evidence | null;
  /** Subject of a person or service; null when the controller acts. */
  readonly actor: string | null;
  readonly reason: string | null;
  /** A raise is refused when it is committed later than this after it was read, ms. */
  readonly maxAgeMs: number;
  readonly idempotency?: Omit<IdempotentAnswer, 'seq'> | null;
  /** Latches of the flag that a person's act is about: a rearm clears these, a kill that carries one out sets none. */
  readonly latches?: readonly Latch[];
}

export interface ChangeDeps {
  readonly store: Pick<ControlStore, 'commit'>;
  /** Swaps what is served and tells the providers; runs after the commit, never before. */
  readonly publish: (environment: string) => Promise<void>;
  /** Version of the code that judged. */
  readonly code: string;
}

export type ChangeRollout = (move: Move, now: Now) => Promise<Decision>;

export const digestOf = (value: unknown) => `sha256-${createHash('sha256').update(canonical(value)).digest('hex')}`;

/**
 * The only door through which a rollout changes. Decision, state, evidence, latch and audit record are one batch; a
 * raise is refused by the store when its evidence is older than one tick by then. Throws `Conflict` when the rollout
 * moved since it was read: read again, judge again.
 */
export function createChange(deps: ChangeDeps): ChangeRollout {
  return async (move, now) => {
    const { before, after, outcome } = move;
    const exposure = { from: exposureOf(before.state, move.plan), to: exposureOf(after.state, move.plan) };
    const evidence = move.evidence === null ? null : { digest: digestOf(move.evidence), body: move.evidence };
    const record: Omit<Decision, 'id' | 'why' | 'counterfactual' | 'next'> = {
      rollout: before.id,
      name: before.name,
      environment: before.environment,
      flag: before.flag,
      at: now.wall,
      action: outcome.action,
      transition: outcome.transition,
      cause: outcome.cause,
      because: outcome.because,
      from: before.state,
      to: after.state,
      exposure,
      readings: move.readings,
      waitingFor: outcome.waitingFor,
      evidence: evidence?.digest ?? null,
      plan: `${after.plan.name}@${after.plan.revision}`,
      policy: after.policy,
      code: deps.code,
      actor: move.actor,
      reason: move.reason,
    };
    const decision = { ...record, ...explain(record) };
    const change: Change = {
      audit: {
        at: now.wall,
        actor: move.actor ?? 'controller',
        action: `rollout.${outcome.action}`,
        environment: before.environment,
        target: before.name,
        reason: move.reason,
        detail: {
          cause: outcome.cause,
          transition: outcome.transition,
          from: before.state,
          to: after.state,
          exposure,
          evidence: record.evidence,
        },
      },
      rollouts: [{ before: before.state.version, after }],
      decision,
      ...(evidence === null ? {} : { evidence }),
      ...latchOf(move, now),
      ...(move.idempotency ? { idempotency: move.idempotency } : {}),
      ...(exposure.to > exposure.from ? { raise: { notAfterMono: now.mono + move.maxAgeMs } } : {}),
    };
    const { seq } = await deps.store.commit(change);
    await deps.publish(before.environment);
    return { ...decision, id: `D-${seq}` };
  };
}

/**
 * A gate's kill latches its own wave, a person's kill the flag in the whole environment; rearm clears either. Who carries
 * out a standing latch sets none: whose it is and why stays as it was.
 */
function latchOf({ before, outcome, actor, reason, latches = [] }: Move, now: Now): Pick<Change, 'latch'> {
  const { environment, flag } = before;
  const row = transitions.find(({ id, event }) => id === outcome.transition && (event === 'tick') === (actor === null));
  switch (row?.latch ?? null) {
    case null:
      return {};
    case 'clear':
      return { latch: { clear: { environment, flag, seen: latches } } };
    case 'set': {
      if (latches.some((latch) => latch.wave === null)) return {};
      const wave = actor === null ? before.wave : null;
      const why = actor === null ? outcome.because : reason;
      return { latch: { set: { environment, flag, wave, setAt: now.wall, by: actor ?? 'controller', reason: why } } };
    }
  }
}
