import cron from 'node-cron';
import type { Rollout } from '../domain/rollout.ts';
import type { ControlStore, RumStore } from '../store/store.ts';
import { cellsKeptMs, type EvidenceReader } from './evidence.ts';

const hourMs = 3_600_000;
/** How long things are kept, ms. A message is recognised as a copy for two days. */
export const kept = {
  pageViews: 48 * hourMs,
  cells: cellsKeptMs,
  idempotentAnswers: 48 * hourMs,
  /** Telemetry of a rollout that was killed, or is completed and compared with nothing any more: for people to look at. */
  ended: 7 * 24 * hourMs,
} as const;

export interface CalendarDeps {
  readonly control: Pick<ControlStore, 'forgetIdempotent' | 'rollouts' | 'decisions'>;
  readonly rum: Pick<RumStore, 'prune' | 'dropRollout'>;
  readonly evidence: Pick<EvidenceReader, 'forget'>;
  readonly now: () => number;
  readonly report: (error: unknown) => void;
}

type Retention = Omit<CalendarDeps, 'report'>;

/** Forgets what has been kept long enough; returns how many rows were too old, those of ended rollouts left out. */
export async function retain(deps: Retention): Promise<number> {
  const { control, rum, now } = deps;
  const wall = now();
  const [answers, rows] = await Promise.all([
    control.forgetIdempotent(wall - kept.idempotentAnswers),
    rum.prune({ pageViewsBefore: wall - kept.pageViews, cellsBefore: wall - kept.cells }),
  ]);
  await dropEnded(deps, wall);
  return answers + rows;
}

/** Every hour again, because pages that are still open go on reporting on a rollout that is over. */
async function dropEnded({ control, rum, evidence }: Retention, wall: number): Promise<void> {
  for (const rollout of await control.rollouts({})) {
    if (!(await isForgettable(control, rollout, wall))) continue;
    await rum.dropRollout(rollout.shortId);
    evidence.forget(rollout);
  }
}

async function isForgettable(
  control: Pick<ControlStore, 'decisions'>,
  { id, state, progress }: Rollout,
  wall: number,
): Promise<boolean> {
  if (state.phase === 'cancelled' || state.phase === 'superseded') return true;
  const hasEnded = state.phase === 'killed' || (state.phase === 'completed' && !state.sentinel);
  if (!hasEnded) return false;
  // Neither completion nor the end of the sentinel opens a stage epoch: only the newest decision tells when it was.
  const [newest] = await control.decisions({ rollout: id, limit: 1 });
  return wall - (newest?.at ?? progress.stageEnteredAt) >= kept.ended;
}

/**
 * Calendar work only, always in UTC. The gates never hang on it: a calendar loses hours when clocks change, the
 * heartbeat does not.
 */
export function startCalendar(deps: CalendarDeps): () => Promise<void> {
  const task = cron.schedule('17 * * * *', () => retain(deps).then(() => {}, deps.report), {
    timezone: 'UTC',
    noOverlap: true,
    name: 'retention',
  });
  return async () => {
    await task.stop();
  };
}
