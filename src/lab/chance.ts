import { lgamma } from '../domain/stats/special.ts';

/** Everything random in a simulation: the same seed, the same numbers on every machine that rounds alike. */
export interface Chance {
  /** Uniform in [0, 1). */
  next(): number;
  normal(): number;
  /** Whole number in [0, below). */
  below(below: number): number;
  poisson(mean: number): number;
  /** Trials up to and with the first success, each with chance `p`; at least 1. */
  geometric(p: number): number;
  exponential(mean: number): number;
}

/** sfc32 of Chris Doty-Humphrey (PractRand): 128 bits of state, so that runs of neighbouring seeds share nothing. */
export function createChance(...seeds: readonly number[]): Chance {
  let [a, b, c, d] = stateOf(seeds);
  const next = (): number => {
    const sum = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    c |= 0;
    return (sum >>> 0) / 4_294_967_296;
  };
  for (let i = 0; i < 12; i++) next();
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  return {
    next,
    normal,
    below: (below) => Math.floor(next() * below),
    poisson: (mean) => (mean < 30 ? poissonBySearch(mean, next()) : poissonByRejection(mean, next)),
    geometric: (p) => 1 + Math.floor(Math.log(1 - next()) / Math.log(1 - p)),
    exponential: (mean) => -mean * Math.log(1 - next()),
  };
}

/** Spreads seeds over the whole state (the finaliser of MurmurHash3). */
function stateOf(seeds: readonly number[]): [number, number, number, number] {
  let hash = 0x9e3779b9;
  const mixed = (): number => {
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
    return hash | 0;
  };
  for (const seed of seeds) hash = (mixed() + Math.imul(Math.floor(seed) + 1, 0x9e3779b1)) | 0;
  const state = () => {
    hash = (hash + 0x6d2b79f5) | 0;
    return mixed();
  };
  return [state(), state(), state(), 1];
}

function poissonBySearch(mean: number, draw: number): number {
  let k = 0;
  let chance = Math.exp(-mean);
  let below = chance;
  while (draw >= below && k < 1000) {
    k += 1;
    chance *= mean / k;
    below += chance;
  }
  return k;
}

/** PTRS of Hörmann, "The transformed rejection method for generating Poisson random variables", 1993; means from 10. */
function poissonByRejection(mean: number, next: () => number): number {
  const b = 0.931 + 2.53 * Math.sqrt(mean);
  const a = -0.059 + 0.02483 * b;
  const inverseAlpha = 1.1239 + 1.1328 / (b - 3.4);
  const vr = 0.9277 - 3.6224 / (b - 2);
  for (;;) {
    const u = next() - 0.5;
    const v = next();
    const us = 0.5 - Math.abs(u);
    const k = Math.floor(((2 * a) / us + b) * u + mean + 0.43);
    if (us >= 0.07 && v <= vr) return k;
    if (k < 0 || (us < 0.013 && v > us)) continue;
    const left = Math.log((v * inverseAlpha) / (a / (us * us) + b));
    if (left <= k * Math.log(mean) - mean - lgamma(k + 1)) return k;
  }
}
