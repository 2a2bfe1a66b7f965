/** An instant, told by both clocks. Bake and dwell count the smaller of what the two say has passed. */
export interface Now {
  /** Wall clock, epoch ms. */
  readonly wall: number;
  /** Monotonic clock of this process, ms; comparable only under the same `boot`. */
  readonly mono: number;
  /** Names the process whose monotonic clock this is. */
  readonly boot: string;
}
