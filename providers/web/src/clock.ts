/** Time and chance as the provider uses them; tests hand over their own. */
export interface Clock {
  /** 0 <= x < 1 */
  random(): number;
  /** Runs `run` once after `ms`. Returns its cancellation. */
  after(ms: number, run: () => void): () => void;
}

export const systemClock: Clock = {
  random: () => Math.random(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};

/** Full jitter: any moment up to the doubled limit, so that a crowd does not come back at once. */
export function backoffMs(attempt: number, random: number): number {
  return random * Math.min(60_000, 1_000 * 2 ** attempt);
}
