/** Time and chance as the provider uses them; tests hand over their own. */
export interface Clock {
  /** Ms that never go back; only differences mean something. */
  monotonicMs(): number;
  /** Ms since the Unix epoch. */
  wallMs(): number;
  /** 0 <= x < 1 */
  random(): number;
  /** Runs `run` once after `ms`; the timer does not keep the process alive. Returns its cancellation. */
  after(ms: number, run: () => void): () => void;
}

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  random: () => Math.random(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
