/** MurmurHash3 x86_32 written a second time, from the reference in C, on BigInt and TextEncoder: slow and obvious. */
const mask = 0xffffffffn;
const mul = (a: bigint, b: bigint) => (a * b) & mask;
const rotl = (x: bigint, by: bigint) => ((x << by) | (x >> (32n - by))) & mask;
const scramble = (k: bigint) => mul(rotl(mul(k, 0xcc9e2d51n), 15n), 0x1b873593n);

export function murmur3Slow(text: string): number {
  const bytes = [...new TextEncoder().encode(text)].map(BigInt);
  const word = (at: number) => [0, 1, 2, 3].reduce((sum, i) => sum | ((bytes[at + i] ?? 0n) << BigInt(8 * i)), 0n);
  const blocks = Math.floor(bytes.length / 4);
  let h = 0n;
  for (let block = 0; block < blocks; block++) h = (rotl(h ^ scramble(word(block * 4)), 13n) * 5n + 0xe6546b64n) & mask;
  if (bytes.length % 4 !== 0) h ^= scramble(word(blocks * 4));
  h ^= BigInt(bytes.length);
  h = mul(h ^ (h >> 16n), 0x85ebca6bn);
  h = mul(h ^ (h >> 13n), 0xc2b2ae35n);
  return Number(h ^ (h >> 16n));
}

export function bucketSlow(hash: number, total: number): number {
  return Number((BigInt(hash) * BigInt(total)) >> 32n);
}
