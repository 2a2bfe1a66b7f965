import type { Action, Reading, Wait } from '../domain/decision.ts';
import type { Now } from '../domain/now.ts';
import type { Rollout } from '../domain/rollout.ts';
import { Conflict, type ControlStore } from '../store/store.ts';
import type { Breathe } from './breathe.ts';
import type { ChangeRollout } from './change.ts';
import type { EvidenceReader } from './evidence.ts';
import { type Look, type LookDeps, lookAt, noEvidence } from './look.ts';
import type { WorldStore } from './world.ts';

/** What the newest look at a rollout said; for people, never for decisions. */
export interface Seen {
  readonly at: number;
  readonly readings: readonly Reading[];
  readonly waitingFor: readonly Wait[];
}

export interface TickDeps extends LookDeps {
  readonly store: WorldStore & Pick<ControlStore, 'saveProgress'>;
  readonly evidence: Pick<EvidenceReader, 'read' | 'forget'>;
  readonly change: ChangeRollout;
  /** Number of the newest committed group of beacons: new data means a quick look. */
  readonly newestFlush: () => number;
  readonly report: (error: unknown, rollout: Rollout) => void;
  /** Called between rollouts; left out where nothing else waits for the event loop. */
  readonly breathe?: Breathe;
}

export interface Ticker {
  /** One heartbeat: looks at every rollout that is due. A beat that finds the last one still running does nothing. */
  beat(now: Now): Promise<void>;
  seen(rolloutId: string): Seen | null;
  /** Wall ms of the newest finished beat; 0 before the first. */
  lastBeatAt(): number;
}

/** A quick look reads kill gates and health alone: what else is known, and what is waited for, is still so. */
function refreshed(full: Seen, quick: Seen): Seen {
  const again = new Map(quick.readings.map((reading) => [reading.gate, reading]));
  // Whether to watch is asked of full looks only.
  const isNews = (reading: Reading, newer: Reading) => reading.verdict !== 'watch' || newer.verdict !== 'pass';
  const readings = full.readings.map((reading) => {
    const newer = again.get(reading.gate);
    return newer !== undefined && isNews(reading, newer) ? newer : reading;
  });
  return { ...full, at: quick.at, readings };
}

function put(due: Map<string, number>, id: string, value: number | undefined): void {
  if (value === undefined) due.delete(id);
  else due.set(id, value);
}

/** Marginals are many cells, and where an excess is does not change from minute to minute. */
const segmentsEveryMs = 5 * 60_000;

/** How much an action takes back: of two judgements of one look the more careful one counts. */
const caution: { readonly [action in Action]: number } = {
  ramp: 0,
  complete: 0,
  stay: 1,
  watch: 2,
  exclude_segment: 3,
  hold: 4,
  step_back: 5,
  kill: 6,
};

const lowers = ({ judged: { outcome, rollout } }: Look, before: Rollout): boolean =>
  rollout.state.version !== before.state.version && caution[outcome.action] >= caution.hold;

const watched: readonly string[] = ['pending_approval', 'scheduled', 'preflight', 'ramping', 'soaking', 'held'];
const exposed: readonly string[] = ['ramping', 'soaking', 'held', 'completed'];

const isWatched = ({ state }: Rollout) =>
  watched.includes(state.phase) || (state.phase === 'completed' && state.sentinel);

/**
 * Level-based: each beat looks at the state as it is, so a beat may run twice, or not at all for an hour, and nothing is
 * made up. The first beat after a start looks quickly at everything: it may lower, it never raises.
 */
export function createTicker(deps: TickDeps): Ticker {
  /** Newest look, and newest full one: a quick look completes it. */
  const full = new Map<string, { readonly epoch: number; readonly told: () => Seen }>();
  const seen = new Map<string, { readonly epoch: number; readonly told: () => Seen }>();
  // Due times of full looks, on the monotonic clock. After a start they begin anew, with a quick look.
  const lastFull = new Map<string, number>();
  const lastSegments = new Map<string, number>();
  const judgedFlush = new Map<string, number>();
  const { breathe = async () => {} } = deps;
  let remembered: readonly Rollout[] = [];
  let beating = false;
  let lastBeatAt = 0;

  async function lookKind(rollout: Rollout, now: Now): Promise<'full' | 'quick' | null> {
    const last = lastFull.get(rollout.id);
    if (last === undefined) {
      lastFull.set(rollout.id, now.mono);
      const isNew = lastBeatAt > 0 && rollout.progress.lastTick === null;
      return isNew ? 'full' : 'quick';
    }
    const { policy } = await deps.library.papers(rollout);
    const { interval, watchInterval } = policy.spec.tick;
    if (now.mono - last >= (rollout.state.watch ? watchInterval : interval)) {
      lastFull.set(rollout.id, now.mono);
      return 'full';
    }
    const isNew = deps.newestFlush() > (judgedFlush.get(rollout.id) ?? -1);
    return isNew && exposed.includes(rollout.state.phase) ? 'quick' : null;
  }

  async function visit(rollout: Rollout, now: Now): Promise<void> {
    const before = { full: lastFull.get(rollout.id), flush: judgedFlush.get(rollout.id) };
    const kind = await lookKind(rollout, now);
    if (kind === null) return;
    judgedFlush.set(rollout.id, deps.newestFlush());
    try {
      await look(rollout, kind, now);
    } catch (error) {
      // What was seen is not decided yet, and a kill cannot wait for new beacons: the next beat looks again.
      put(lastFull, rollout.id, before.full);
      put(judgedFlush, rollout.id, before.flush);
      throw error;
    }
  }

  /** The same look with the segments in hand: who is told of a kill is told where. It never makes a decision milder. */
  async function explained(found: Look, rollout: Rollout, kind: 'full' | 'quick', now: Now): Promise<Look> {
    const again = await lookAt(deps, rollout, kind, now, true).catch((error: unknown) => {
      deps.report(error, rollout);
      return found;
    });
    return caution[again.judged.outcome.action] < caution[found.judged.outcome.action] ? found : again;
  }

  /** For people, who ask far less often than the ticker looks. */
  function remember({ id, state }: Rollout, look: Look, kind: 'full' | 'quick', { wall }: Now): void {
    const newest = (): Seen => {
      const { readings, outcome } = look.told();
      return { at: wall, readings, waitingFor: outcome.waitingFor };
    };
    const before = full.get(id);
    const completes = kind === 'quick' && before?.epoch === state.epoch;
    const told = completes ? () => refreshed(before.told(), newest()) : newest;
    if (kind === 'full') full.set(id, { epoch: state.epoch, told });
    seen.set(id, { epoch: state.epoch, told });
  }

  /** What was seen last is still told; the evidence behind it is let go. */
  function forget(rollout: Rollout): void {
    deps.evidence.forget(rollout);
    full.delete(rollout.id);
    const last = seen.get(rollout.id)?.told();
    if (last !== undefined) seen.set(rollout.id, { epoch: rollout.state.epoch, told: () => last });
  }

  async function look(rollout: Rollout, kind: 'full' | 'quick', now: Now): Promise<void> {
    // What cannot be read is no data, and no data is judged like any other: a live rollout ends up held.
    const read: LookDeps['evidence']['read'] = (...about) =>
      deps.evidence.read(...about).catch((error: unknown) => {
        deps.report(error, rollout);
        return noEvidence(now);
      });
    const segments =
      kind === 'full' && now.mono - (lastSegments.get(rollout.id) ?? -segmentsEveryMs) >= segmentsEveryMs;
    if (segments) lastSegments.set(rollout.id, now.mono);
    const found = await lookAt({ ...deps, evidence: { read } }, rollout, kind, now, segments);
    // A rise is looked at again too: one segment that is surely worse keeps it where it is.
    const explains = (lowers(found, rollout) || found.judged.outcome.action === 'ramp') && !segments;
    const final = explains ? await explained(found, rollout, kind, now) : found;
    remember(rollout, final, kind, now);
    const { papers, evidence, judged } = final;
    const { rollout: after } = judged;
    if (after.state.version === rollout.state.version) {
      await deps.store.saveProgress(rollout.id, rollout.state.version, after.progress, after.references);
      return;
    }
    const { plan, policy } = papers;
    const told = final.told();
    await deps.change(
      {
        before: rollout,
        after: told.rollout,
        plan,
        outcome: told.outcome,
        readings: told.readings,
        evidence,
        actor: null,
        reason: null,
        maxAgeMs: policy.spec.tick.interval,
      },
      now,
    );
  }

  return {
    async beat(now) {
      if (beating) return;
      beating = true;
      try {
        const rollouts = (await deps.store.rollouts({ current: true })).filter(isWatched);
        for (const rollout of rollouts) {
          await visit(rollout, now).catch((error: unknown) => {
            // A person was faster: the next beat looks at what they made of it. Anything else is reported.
            if (!(error instanceof Conflict)) deps.report(error, rollout);
          });
          await breathe();
        }
        for (const before of remembered) if (rollouts.every(({ id }) => id !== before.id)) forget(before);
        remembered = rollouts;
        lastBeatAt = now.wall;
      } finally {
        beating = false;
      }
    },
    seen: (id) => seen.get(id)?.told() ?? null,
    lastBeatAt: () => lastBeatAt,
  };
}
