import type { Now } from './now.ts';
import type { Progress } from './rollout.ts';

const dayMs = 86_400_000;

/** What a rollout has counted before anybody looked. */
export function noProgress(now: Now): Progress {
  return {
    stageEnteredAt: now.wall,
    bakedMs: 0,
    dwellMs: 0,
    phaseMs: 0,
    lastTick: null,
    blindSince: null,
    inconclusiveSince: null,
    errors: 0,
    streaks: {},
    rises: [],
  };
}

/** A new stage epoch counts from zero; only the newest look and the rises of the day outlive the old one. */
export function newEpoch(progress: Progress, now: Now, risenBy: number): Progress {
  const rises = risesOfDay(progress, now.wall);
  return {
    ...noProgress(now),
    lastTick: progress.lastTick,
    rises: risenBy > 0 ? [...rises, [now.wall, risenBy]] : rises,
  };
}

/** Rises that `maxIncreasePerDay` still counts. */
export function risesOfDay(progress: Progress, wall: number): Progress['rises'] {
  return progress.rises.filter(([at]) => at > wall - dayMs);
}

/**
 * Time since the last look that both clocks agree on, ms. Another boot's monotonic clock tells nothing, so downtime
 * does not count; a wall clock that was set back makes the step 0, one that was set forward adds nothing.
 */
function elapsedMs(progress: Progress, now: Now): number {
  const last = progress.lastTick;
  if (last === null || last.boot !== now.boot) return 0;
  return Math.max(0, Math.min(now.wall - last.wall, now.mono - last.mono));
}

/** Counts one look. Bake needs usable core evidence; dwell stands still while only a window or a freeze is waited for. */
export function advance(progress: Progress, now: Now, coreOk: boolean, paused: boolean): Progress {
  const step = elapsedMs(progress, now);
  return {
    ...progress,
    bakedMs: progress.bakedMs + (coreOk ? step : 0),
    dwellMs: progress.dwellMs + (paused ? 0 : step),
    phaseMs: (progress.phaseMs ?? 0) + step,
    lastTick: { wall: now.wall, mono: now.mono, boot: now.boot },
    blindSince: coreOk ? null : (progress.blindSince ?? now.wall),
    rises: risesOfDay(progress, now.wall),
  };
}
