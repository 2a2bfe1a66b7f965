import { murmur3 } from './murmur3.ts';

/** Sum of the weights of every compiled rollout: a weight is parts per million, a boundary a fixed threshold. */
export const ppm = 1_000_000;

/** flagd refuses a sum of weights above this. */
export const maxWeight = 2_147_483_647;

/**
 * `floor(hash * total / 2^32)`, 0..total-1, for a 32-bit hash and a total up to 2^31-1. The product does not fit into
 * a double, so the hash goes in as two halves of 16 bits; every step is exact.
 */
export function bucketOfHash(hash: number, total: number): number {
  const high = (hash >>> 16) * total;
  const low = (hash & 0xffff) * total;
  return Math.floor((high + Math.floor(low / 65_536)) / 65_536);
}

/** Bucket of a hash input, `fractional` v2 (`murmur3-utf8/v2`); parts per million unless told otherwise. */
export function bucketOf(input: string, total: number = ppm): number {
  return bucketOfHash(murmur3(input), total);
}
