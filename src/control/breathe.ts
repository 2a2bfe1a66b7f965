/** Asked between pieces of work: comes back at once, or after the event loop has turned. */
export type Breathe = () => Promise<void>;

/** With what a piece of work takes after that, no slice blocks requests for 10 ms. */
const sliceMs = 4;

/** Lets the event loop turn once work has gone on for a slice. `mono`: ms; `turn` comes back after I/O had its chance. */
export function createBreathe(mono: () => number, turn: () => Promise<unknown>): Breathe {
  let since = mono();
  return async () => {
    if (mono() - since < sliceMs) return;
    await turn();
    since = mono();
  };
}
