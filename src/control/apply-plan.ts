import { randomBytes } from 'node:crypto';
import { applyVerb, isRefused } from '../domain/apply.ts';
import { diff } from '../domain/diff.ts';
import { newRollout, planChange, rebase, supersede } from '../domain/initial.ts';
import type { Now } from '../domain/now.ts';
import { parsePlan, type RolloutPlan } from '../domain/plan.ts';
import type { Latch, Rollout } from '../domain/rollout.ts';
import { compileEnvironment, Unpublishable } from '../serve/compile.ts';
import type { ControlStore } from '../store/store.ts';
import { type Applied, type DocumentDeps, invalid, lintOrThrow } from './apply-documents.ts';
import { type By, once } from './by.ts';
import { digestOf } from './change.ts';
import { Invalid, NotFound, Refused } from './errors.ts';
import { runningOf } from './serving.ts';

export interface PlanDeps extends DocumentDeps {
  readonly store: DocumentDeps['store'] & Pick<ControlStore, 'flags' | 'rollouts' | 'latches' | 'nextShortId'>;
  readonly publish: (environment: string) => Promise<void>;
}

export interface AppliedPlan extends Applied {
  readonly rollouts: readonly Rollout[];
}

interface Target {
  readonly environment: string;
  readonly wave: string | null;
  readonly existing: Rollout | null;
}

interface RolloutChange {
  /** Version that was seen; null makes a rollout. */
  readonly before: number | null;
  readonly after: Rollout;
}

/** A parsed plan as it would be stored. */
interface Revision {
  readonly plan: RolloutPlan;
  readonly revision: number;
  /** The newest stored revision has this very content. */
  readonly isStored: boolean;
}

/**
 * Applies a plan: a new revision when its content is new, a rollout per wave. Never un-kills, never raises, never takes
 * back what an operator did; a live rollout must be held first. The same plan twice changes nothing.
 */
export function createApplyPlan(deps: PlanDeps) {
  return async (authored: unknown, environment: string, dryRun: boolean, by: By, now: Now): Promise<AppliedPlan> => {
    const parsed = parsePlan(authored);
    if (!parsed.ok) throw invalid('the plan', parsed.problems);
    const plan = parsed.value;
    const warnings = await lintOrThrow(deps, plan, { environment, author: by.actor });
    const { name } = plan.metadata;
    const newest = await deps.store.document('plan', name);
    const digest = digestOf(authored);
    const isStored = newest?.digest === digest;
    const revision = isStored ? newest.version : (newest?.version ?? 0) + 1;
    const targets = await targetsOf(deps, plan, environment);
    const changes = await changesOf(deps, { plan, revision, isStored }, targets, by, now);
    const kept = targets.flatMap(({ existing }) =>
      existing?.state.phase === 'completed' && existing.plan.revision !== revision
        ? `${existing.name} is completed and goes on serving revision ${existing.plan.revision}`
        : [],
    );
    await refuseUnservable(deps, changes, plan, targets);

    const isNothing = isStored && changes.length === 0;
    const applied: AppliedPlan = {
      change: isNothing ? 'none' : newest === null ? 'create' : 'update',
      name,
      version: revision,
      diff: isStored ? [] : diff(newest?.document, authored),
      warnings: [...warnings, ...kept],
      rollouts: isNothing
        ? targets.flatMap(({ existing }) => existing ?? [])
        : changes.map(({ after }) => after).filter(({ state }) => state.phase !== 'superseded'),
    };
    if (dryRun || isNothing) return applied;
    await deps.store.commit({
      audit: {
        at: now.wall,
        actor: by.actor,
        action: 'plan.apply',
        environment,
        target: `${name}@${revision}`,
        reason: by.reason,
        detail: {
          digest,
          policy: plan.spec.policy,
          rollouts: changes.map(({ before, after }) => ({ name: after.name, phase: after.state.phase, before })),
        },
      },
      rollouts: changes,
      ...(isStored ? {} : { documents: [{ kind: 'plan', name, version: revision, document: authored, digest }] }),
      ...once(by, { ...applied, dryRun: false, rollouts: [] }),
    });
    for (const where of new Set(targets.map((target) => target.environment))) await deps.publish(where);
    return applied;
  };
}

/**
 * What the plan changes at its targets; throws `Refused` when it may not change one of them. A completed wave keeps what
 * it serves while others of its plan go on; where everything is completed, there is nothing left that a revision governs.
 */
async function changesOf(
  deps: PlanDeps,
  { plan, revision, isStored }: Revision,
  targets: readonly Target[],
  by: By,
  now: Now,
): Promise<readonly RolloutChange[]> {
  const [latches, shortId] = await Promise.all([deps.store.latches(), deps.store.nextShortId()]);
  const policy = plan.spec.policy;
  const isOver = targets.every(({ existing }) => existing?.state.phase === 'completed');
  const changes: RolloutChange[] = [];
  let made = 0;
  for (const { environment, wave, existing } of targets) {
    const oldPlan = existing === null ? null : await deps.library.plan(existing.plan);
    const here = latches.filter((latch) => latch.environment === environment);
    const answer = planChange(existing, here, plan, oldPlan, wave);
    const runsAlready = isStored && existing?.plan.revision === revision;
    if (runsAlready && (typeof answer === 'string' || answer.code !== 'latched')) continue;
    if (typeof answer !== 'string' && answer.code === 'completed' && !isOver) continue;
    if (typeof answer !== 'string') throw new Refused(answer.code, answer.message, answer.waitingFor ?? []);
    if (answer === 'rebase' && existing !== null && oldPlan !== null) {
      if (existing.flag !== plan.metadata.flag)
        throw new Refused('flag_changed', `${existing.name} is live on the flag ${existing.flag}; cancel it first`);
      const after = rebase(existing, oldPlan, plan, { revision, policy, author: by.actor, now });
      changes.push({ before: existing.state.version, after });
      continue;
    }
    await refuseUnreachable(deps, plan, environment);
    if (existing !== null) changes.push({ before: existing.state.version, after: supersede(existing) });
    const id = newId();
    const about = { id, shortId: shortId + made, plan, revision, policy, environment, wave, author: by.actor, now };
    changes.push({ before: null, after: await submitted(deps, newRollout(about), plan, by, latches, now) });
    made += 1;
  }
  return changes;
}

/** A completed rollout serves whoever it covers for good: another plan on its flag would wait, or reach nobody. */
async function refuseUnreachable(deps: PlanDeps, plan: RolloutPlan, environment: string): Promise<void> {
  const { name, flag } = plan.metadata;
  const ofFlag = await deps.store.rollouts({ environment, flag, current: true });
  const other = ofFlag.find(({ state, plan }) => state.phase === 'completed' && plan.name !== name);
  if (other === undefined) return;
  throw new Refused(
    'other_live',
    `${other.name} is completed and goes on serving the flag ${flag} in ${environment}, so ${name} would reach nobody. If it is to end: kill it, rearm it, cancel it, then apply the plan`,
  );
}

function newId(): string {
  const number = BigInt(`0x${randomBytes(8).toString('hex')}`);
  return `r_${number.toString(36).padStart(10, '0').slice(-10)}`;
}

async function targetsOf(deps: PlanDeps, plan: RolloutPlan, environment: string): Promise<readonly Target[]> {
  const known = new Set((await deps.store.environments()).map(({ name }) => name));
  const { name } = plan.metadata;
  const wanted =
    plan.spec.waves.length === 0
      ? [{ environment, wave: null, name }]
      : plan.spec.waves.map((wave) => ({
          environment: wave.environment,
          wave: wave.name,
          name: `${name}/${wave.name}`,
        }));
  return Promise.all(
    wanted.map(async ({ environment, wave, name }) => {
      if (!known.has(environment)) throw new NotFound(`there is no environment ${environment}; create it first`);
      const [newest] = await deps.store.rollouts({ environment, name });
      return { environment, wave, existing: newest?.state.phase === 'superseded' ? null : (newest ?? null) };
    }),
  );
}

/** A new rollout is submitted in the same step; when nobody has to approve it, it is scheduled. */
async function submitted(
  deps: PlanDeps,
  fresh: Rollout,
  plan: RolloutPlan,
  by: By,
  latches: readonly Latch[],
  now: Now,
): Promise<Rollout> {
  const policy = await deps.library.policy(plan.spec.policy);
  if (policy === null)
    throw new Invalid(`policy ${plan.spec.policy} is not stored`, [
      { path: 'spec.policy', message: 'apply the policy first' },
    ]);
  const world = { freezes: [], latches, dependencies: 'met', otherLive: false } as const;
  const after = applyVerb(fresh, plan, policy, 'submit', { actor: by.actor, reason: by.reason }, null, world, now);
  if (isRefused(after)) throw new Refused(after.code, after.message);
  return after;
}

/**
 * What would be served must compile before it is committed: a kill later on must never meet a set that does not. Every
 * rollout of the plan is tried exposed, because one at 0 compiles whatever its audience says.
 */
async function refuseUnservable(
  deps: PlanDeps,
  changes: readonly RolloutChange[],
  plan: RolloutPlan,
  targets: readonly Target[],
): Promise<void> {
  for (const environment of new Set(targets.map((target) => target.environment))) {
    const here = changes.filter(({ after }) => after.environment === environment);
    const exposed = here.flatMap(({ after }) =>
      after.state.phase === 'superseded'
        ? []
        : [{ plan, rollout: { ...after, state: { ...after.state, phase: 'ramping', stage: 0 } } as const }],
    );
    const [declared, stored] = await Promise.all([
      deps.store.flags(environment),
      deps.store.rollouts({ environment, flag: plan.metadata.flag }),
    ]);
    const others = stored.filter(({ id }) => here.every(({ after }) => after.id !== id));
    const rollouts = [...(await runningOf(deps.library, declared, others)), ...exposed];
    try {
      compileEnvironment({ environment, declared, rollouts, latches: [], ver: 0 });
    } catch (error) {
      if (!(error instanceof Unpublishable)) throw error;
      throw new Invalid(
        error.message,
        error.problems.map((message) => ({ path: 'spec', message })),
      );
    }
  }
}
