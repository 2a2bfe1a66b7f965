import { applyVerb, isRefused } from '../domain/apply.ts';
import type { Action, Decision, Outcome } from '../domain/decision.ts';
import { exposureOf } from '../domain/exposure.ts';
import type { Looked } from '../domain/looked.ts';
import { isExposed, may, permissionOf, transitionOf, type Verb } from '../domain/machine.ts';
import type { Now } from '../domain/now.ts';
import type { Latch, Rollout } from '../domain/rollout.ts';
import { Conflict, type ControlStore } from '../store/store.ts';
import { type By, once } from './by.ts';
import type { ChangeRollout } from './change.ts';
import { requireEnvironment } from './environment.ts';
import { NotFound, Refused } from './errors.ts';
import { type Look, type LookDeps, lookAt } from './look.ts';
import { type WorldStore, worldOf } from './world.ts';

export interface VerbDeps extends LookDeps {
  readonly store: WorldStore & Pick<ControlStore, 'commit' | 'environments' | 'flags' | 'idempotent'>;
  readonly change: ChangeRollout;
  readonly publish: (environment: string) => Promise<void>;
  /** A fresh instant for every try. */
  readonly now: () => Now;
}

export interface Where {
  readonly environment: string;
  readonly name: string;
}

export interface Acted {
  readonly rollout: Rollout;
  readonly decision: Decision;
}

export interface FlagActed {
  readonly latch: Latch | null;
  readonly acted: readonly Acted[];
}

export interface Verbs {
  /**
   * Throws `NotFound`, `Refused`, or `Conflict` when the rollout kept moving. Killing what is killed changes nothing and
   * is answered with the decision that killed it.
   */
  act(where: Where, verb: Verb, by: By): Promise<Acted>;
  /** Kills every wave of a flag, and latches it whether or not a rollout exists. */
  killFlag(environment: string, flag: string, by: By): Promise<FlagActed>;
  /** Clears the latch; killed rollouts go back to waiting for approval at stage -1. */
  rearmFlag(environment: string, flag: string, by: By): Promise<FlagActed>;
}

const actionOf: { readonly [verb in Verb]: Action } = {
  submit: 'stay',
  approve: 'stay',
  reject: 'hold',
  // A preflight exposes nobody; a start that does is a ramp, as its exposure tells.
  start: 'stay',
  hold: 'hold',
  resume: 'stay',
  'step-back': 'step_back',
  'skip-bake': 'ramp',
  promote: 'ramp',
  kill: 'kill',
  rearm: 'stay',
  cancel: 'step_back',
};

const tries = 8;
/** Verbs whose guards read the evidence. */
const looksFirst: readonly Verb[] = ['approve', 'resume', 'skip-bake', 'promote'];

export function createVerbs(deps: VerbDeps): Verbs {
  async function newest({ environment, name }: Where): Promise<Rollout> {
    const found = (await deps.store.rollouts({ environment, name })).find(({ state }) => state.phase !== 'superseded');
    if (found === undefined) throw new NotFound(`there is no rollout ${name} in ${environment}`);
    return found;
  }

  /** Raising by hand in a protected environment needs two subjects, which this release cannot record yet. */
  async function refuseLoneRaise(environment: string, verb: Verb): Promise<void> {
    if (permissionOf(verb) !== 'rollout.raise') return;
    const known = (await deps.store.environments()).find(({ name }) => name === environment);
    if (known?.protected) {
      throw new Refused(
        'second_subject_required',
        `${environment} is protected: ${verb} needs a second subject, which is not_supported_yet`,
      );
    }
  }

  /**
   * The decision by which a rollout is killed; null when it is not. Null also when a copy of this very request did it:
   * the machine's refusal then lets the route answer with that copy's answer.
   */
  async function standingKill({ id, state }: Rollout, { idempotency }: By): Promise<Decision | null> {
    if (state.phase !== 'killed') return null;
    if (idempotency !== null && (await deps.store.idempotent(idempotency.key, idempotency.subject)) !== null)
      return null;
    const decisions = await deps.store.decisions({ rollout: id, limit: 50 });
    return decisions.find(({ from, to }) => from.phase !== 'killed' && to.phase === 'killed') ?? null;
  }

  /**
   * Killing what is killed moves nothing, and still sets a latch of its own: a rearm that is under way has not seen it
   * and fails, and what a gate killed in one wave is now off in all of them.
   */
  async function latchAgain({ environment, flag, name }: Rollout, by: By, now: Now): Promise<void> {
    const { actor, reason } = by;
    await deps.store.commit({
      audit: {
        at: now.wall,
        actor,
        action: 'rollout.kill',
        environment,
        target: name,
        reason,
        detail: { again: true },
      },
      latch: { set: { environment, flag, wave: null, setAt: now.wall, by: actor, reason } },
      ...once(by, {}),
    });
    await deps.publish(environment);
  }

  async function attempt(rollout: Rollout, verb: Verb, by: By, latches: readonly Latch[]): Promise<Acted> {
    const standing = verb === 'kill' ? await standingKill(rollout, by) : null;
    const now = deps.now();
    if (standing !== null) {
      await latchAgain(rollout, by, now);
      return { rollout, decision: standing };
    }
    const { plan, policy } = await deps.library.papers(rollout);
    const look =
      looksFirst.includes(verb) && rollout.state.stage >= 0 ? await lookAt(deps, rollout, 'full', now) : null;
    const looked: Looked | null = look?.told().looked ?? null;
    const world = await worldOf(deps.store, rollout, plan, now.wall);
    if (verb === 'rearm') await refuseRearmOfOne(rollout);
    const after = applyVerb(
      look === null ? rollout : counted(rollout, look),
      plan,
      policy,
      verb,
      { actor: by.actor, reason: by.reason },
      looked,
      world,
      now,
    );
    if (isRefused(after)) throw new Refused(after.code, after.message, after.waitingFor ?? []);
    const exposure = { from: exposureOf(rollout.state, plan), to: exposureOf(after.state, plan) };
    const outcome: Outcome = {
      action: exposure.to > exposure.from ? 'ramp' : actionOf[verb],
      transition: transitionOf(verb, rollout.state)?.id ?? null,
      cause: `actor:${by.actor}`,
      because: `${by.actor}: ${verb}`,
      waitingFor: look?.told().outcome.waitingFor ?? [],
    };
    const decision = await deps.change(
      {
        before: rollout,
        after,
        plan,
        outcome,
        readings: look?.told().readings ?? [],
        evidence: null,
        actor: by.actor,
        reason: by.reason,
        maxAgeMs: policy.spec.tick.interval,
        idempotency: once(by, {}).idempotency ?? null,
        latches,
      },
      now,
    );
    return { rollout: after, decision };
  }

  /**
   * The tick may be committing at this moment. Whoever lowers reads again and goes on until it is in; whoever raises
   * meant the state that they saw, so that one step is never taken twice.
   */
  async function persist(where: Where, verb: Verb, by: By, latches: readonly Latch[] = []): Promise<Acted> {
    const seen = await newest(where);
    for (let rollout = seen, left = tries; ; left -= 1) {
      try {
        return await attempt(rollout, verb, by, latches);
      } catch (error) {
        if (!(error instanceof Conflict) || left === 0) throw error;
        rollout = await newest(where);
        const moved = rollout.id !== seen.id || rollout.state.version !== seen.state.version;
        if (moved && transitionOf(verb, seen.state)?.direction === 'raise') throw error;
      }
    }
  }

  const ofFlag = (environment: string, flag: string) => deps.store.rollouts({ environment, flag, current: true });

  /** A rearm clears the latch of the whole flag: it must not be what still keeps another wave at control. */
  async function refuseRearmOfOne({ id, environment, flag }: Rollout): Promise<void> {
    const others = (await ofFlag(environment, flag)).filter((other) => other.id !== id && isExposed(other.state));
    const latched = (await deps.store.latches(environment)).some((latch) => latch.flag === flag && latch.wave === null);
    if (latched && others.length > 0)
      throw new Refused(
        'latched',
        `${flag} was killed in every wave, and ${others.map(({ name }) => name).join(', ')} would be served again; rearm the flag instead`,
      );
  }

  /** Kills what is not killed yet. The latch stands by then, so a gate that was faster is no refusal. */
  async function killAll(
    environment: string,
    flag: string,
    by: By,
    latches: readonly Latch[],
  ): Promise<readonly Acted[]> {
    const acted: Acted[] = [];
    for (const rollout of await ofFlag(environment, flag)) {
      if (!may('kill', rollout.state)) continue;
      try {
        acted.push(await persist(rollout, 'kill', { ...by, idempotency: null }, latches));
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
      }
    }
    return acted;
  }

  return {
    async act(where, verb, by) {
      await refuseLoneRaise(where.environment, verb);
      // Read before anything else: a rearm clears what stood when it was asked for, and no later kill.
      const latches = verb === 'rearm' ? await deps.store.latches(where.environment) : [];
      return persist(where, verb, by, latches);
    },

    async killFlag(environment, flag, by) {
      const now = deps.now();
      await requireEnvironment(deps.store, environment);
      const rollouts = await ofFlag(environment, flag);
      const declared = (await deps.store.flags(environment)).flags;
      // A rollout that has ended proves that the flag exists as well as one that runs.
      const ever = await deps.store.rollouts({ environment, flag });
      if (ever.length === 0 && !Object.hasOwn(declared, flag))
        throw new NotFound(`there is no flag ${flag} in ${environment}`);
      // The latch first: from here on nothing can expose the flag, whatever happens to the rollouts below.
      const latch: Latch = { environment, flag, wave: null, setAt: now.wall, by: by.actor, reason: by.reason };
      await deps.store.commit({
        audit: {
          at: now.wall,
          actor: by.actor,
          action: 'flag.kill',
          environment,
          target: flag,
          reason: by.reason,
          detail: { rollouts: rollouts.map(({ name }) => name) },
        },
        latch: { set: latch },
        ...once(by, { flag, environment }),
      });
      await deps.publish(environment);
      return { latch, acted: await killAll(environment, flag, by, [latch]) };
    },

    async rearmFlag(environment, flag, by) {
      await refuseLoneRaise(environment, 'rearm');
      if (by.reason === null) throw new Refused('reason_required', 'say why: rearm needs a reason');
      const now = deps.now();
      const latches = (await deps.store.latches(environment)).filter((latch) => latch.flag === flag);
      const isKilled = ({ state }: Rollout) => state.phase === 'killed';
      if (latches.length === 0 && !(await ofFlag(environment, flag)).some(isKilled))
        throw new NotFound(`${flag} is not killed in ${environment}`);
      // What only the latch keeps at control is killed for good first: clearing it must expose nobody.
      if (latches.some(({ wave }) => wave === null)) await killAll(environment, flag, by, latches);
      const acted: Acted[] = [];
      for (const { name } of (await ofFlag(environment, flag)).filter(isKilled))
        acted.push(await persist({ environment, name }, 'rearm', { ...by, idempotency: null }, latches));
      await deps.store.commit({
        audit: {
          at: now.wall,
          actor: by.actor,
          action: 'flag.rearm',
          environment,
          target: flag,
          reason: by.reason,
          detail: {},
        },
        latch: { clear: { environment, flag, seen: latches } },
        ...once(by, { flag, environment }),
      });
      await deps.publish(environment);
      return { latch: null, acted };
    },
  };
}

/** What the look froze (reference buckets) stays with the rollout; its state is still the one that was read. */
const counted = (rollout: Rollout, look: Look): Rollout => ({ ...rollout, references: look.judged.looked.references });
