/** Uniform numbers in [0, 1), the same every run (Numerical Recipes' 32-bit generator; good enough to shuffle with). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
