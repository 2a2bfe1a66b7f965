/**
 * Largest integer in [from, to] at which a claim holds that gets harder as it grows; null when it holds nowhere. The
 * answer always holds itself, even where the claim is not quite monotone, so a bound made of it is valid.
 */
export function largestWhere(holds: (at: number) => boolean, from: number, to: number): number | null {
  if (!holds(from)) return null;
  if (holds(to)) return to;
  let low = from;
  let high = to;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/** The mirror: smallest integer in [from, to] at which a claim holds that gets easier as it grows. */
export function smallestWhere(holds: (at: number) => boolean, from: number, to: number): number | null {
  const mirrored = largestWhere((at) => holds(-at), -to, -from);
  return mirrored === null ? null : -mirrored;
}
