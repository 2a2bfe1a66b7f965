import type { Freeze, Latch, Rollout } from './rollout.ts';

/** What a decision must know beyond its own rollout. Freezes and latches may be those of everywhere. */
export interface World {
  readonly freezes: readonly Freeze[];
  readonly latches: readonly Latch[];
  /** State of the waves that this one comes after. */
  readonly dependencies: 'met' | 'unmet' | 'killed';
  /** Another plan exposes this flag here, or has completed on it: whoever it covers would never see this one. */
  readonly otherLive: boolean;
}

/** The freeze that blocks increases here, if one does. */
export function freezeOn(rollout: Rollout, world: Pick<World, 'freezes'>, wall: number): Freeze | null {
  return (
    world.freezes.find(
      (freeze) =>
        (freeze.environment === null || freeze.environment === rollout.environment) &&
        freeze.from <= wall &&
        (freeze.until === null || wall < freeze.until),
    ) ?? null
  );
}

/** The kill latch that covers this flag here, if one stands. */
export function latchOn(
  rollout: Pick<Rollout, 'environment' | 'flag' | 'wave'>,
  latches: readonly Latch[],
): Latch | null {
  return (
    latches.find(
      (latch) =>
        latch.environment === rollout.environment &&
        latch.flag === rollout.flag &&
        (latch.wave === null || latch.wave === rollout.wave),
    ) ?? null
  );
}
