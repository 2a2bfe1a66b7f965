import { readFileSync } from 'node:fs';
import { FlagdCore } from '@openfeature/flagd-core';
import { bucketOf, bucketOfHash, compileFlagSet, evaluate, type FlagSet, murmur3, ppm } from '@tidegate/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bucketSlow, murmur3Slow } from './murmur3-bigint.ts';

interface Vectors {
  readonly hashes: readonly { readonly input: string; readonly hash: number; readonly ppm: number }[];
  readonly buckets: readonly { readonly hash: number; readonly total: number; readonly bucket: number }[];
}

const vectors: Vectors = JSON.parse(readFileSync(new URL('./vectors/bucketing.json', import.meta.url), 'utf8'));

describe('murmur3-utf8/v2', () => {
  it.each(vectors.hashes)('hashes $input as it always has', ({ input, hash, ppm: bucket }) => {
    expect(murmur3(input)).toBe(hash);
    expect(bucketOf(input)).toBe(bucket);
  });

  it.each(vectors.buckets)('puts hash $hash of $total into bucket $bucket', ({ hash, total, bucket }) => {
    expect(bucketOfHash(hash, total)).toBe(bucket);
  });

  it('agrees with the published hashes of MurmurHash3', () => {
    expect(murmur3('hello')).toBe(0x248bfa47);
    expect(murmur3('hello, world')).toBe(0x149bbb7f);
    expect(murmur3('The quick brown fox jumps over the lazy dog')).toBe(0x2e4ff723);
  });

  it('hashes the UTF-8 bytes of any text, as a second implementation does', () => {
    const anyText = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string(),
      fc.array(fc.nat(0xffff)).map((units) => String.fromCharCode(...units)),
    );
    fc.assert(
      fc.property(anyText, (text) => {
        expect(murmur3(text)).toBe(murmur3Slow(text));
      }),
      { numRuns: 2_000 },
    );
  });

  it('computes the bucket exactly for every sum of weights that flagd takes', () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), fc.integer({ min: 1, max: 2_147_483_647 }), (hash, total) => {
        expect(bucketOfHash(hash, total)).toBe(bucketSlow(hash, total));
      }),
      { numRuns: 2_000 },
    );
  });
});

/** The layout that a rollout compiles to: treatment first, control last. */
const ramp = (treatment: number, control = treatment): FlagSet => ({
  flags: {
    'new-checkout': {
      state: 'ENABLED',
      variants: { on: true, off: false, 'off@control': false },
      defaultVariant: 'off',
      targeting: {
        fractional: [
          { cat: ['checkout-2026-11', ':', { var: 'targetingKey' }] },
          ['on', treatment],
          ['off', ppm - treatment - control],
          ['off@control', control],
        ],
      },
    },
  },
});

const units = Array.from({ length: 5_000 }, (_, index) => `user-${index}`);
const variantsAt = (treatment: number, control?: number) => {
  const set = compileFlagSet(ramp(treatment, control));
  return units.map((targetingKey) => evaluate(set, 'new-checkout', { targetingKey }, 0).variant);
};

describe('a ramp', () => {
  it('keeps everybody who is in, at every higher exposure', () => {
    const steps = [10_000, 50_000, 250_000, 400_000, 500_000].map((share) => variantsAt(share));
    for (const [index, now] of steps.entries()) {
      const next = steps[index + 1];
      now.forEach((variant, unit) => {
        if (variant === 'on' && next) expect(next[unit]).toBe('on');
      });
    }
  });

  it('moves nobody from control to treatment while there is a rest', () => {
    const before = variantsAt(100_000, 100_000);
    const after = variantsAt(500_000, 500_000);
    expect(before.filter((variant, unit) => variant === 'off@control' && after[unit] === 'on')).toEqual([]);
  });

  it('exposes the share it is asked to', () => {
    const exposed = variantsAt(250_000).filter((variant) => variant === 'on').length;
    expect(Math.abs(exposed / units.length - 0.25)).toBeLessThan(0.02);
  });

  it('puts a unit where flagd-core puts it', () => {
    const silent = { error() {}, warn() {}, info() {}, debug() {} };
    const oracle = new FlagdCore(undefined, silent);
    oracle.setConfigurations(JSON.stringify(ramp(250_000)));
    const ours = variantsAt(250_000);
    units.slice(0, 1_000).forEach((targetingKey, unit) => {
      expect(oracle.resolveBooleanEvaluation('new-checkout', false, { targetingKey }).variant).toBe(ours[unit]);
    });
  });
});
