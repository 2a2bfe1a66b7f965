import { encodeToken } from '@tidegate/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createTokens } from '../../src/ingest/token.ts';
import { aKey, noon } from '../support/beacons.ts';

const hour = 3_600_000;
const keys = [aKey()];
const tokens = createTokens({ keys });
const request = {
  environment: 'production',
  targetingKey: 'user-1',
  entries: [{ rollout: 7, epoch: 2, arm: 'treatment' as const }],
  at: noon,
};
const mint = (over: Partial<Parameters<typeof tokens.mint>[0]> = {}, by = tokens) => {
  const minted = by.mint({ ...request, ...over });
  if (minted === null) throw new Error('not minted');
  return minted;
};

describe('exposure tokens', () => {
  it('read back what they were minted with', () => {
    const read = tokens.verify(mint().token, noon);
    expect(read).toMatchObject({ environment: 'production', entries: [{ rollout: 7, epoch: 2, arm: 'treatment' }] });
  });

  it('are the same bytes for ten minutes, so that an ETag holds', () => {
    expect(mint({ at: noon + 599_999 }).token).toBe(mint().token);
    expect(mint({ at: noon + 600_000 }).token).not.toBe(mint().token);
  });

  it('differ between users, arms and epochs', () => {
    const different = [
      mint({ targetingKey: 'user-2' }),
      mint({ entries: [{ rollout: 7, epoch: 2, arm: 'control' }] }),
      mint({ entries: [{ rollout: 7, epoch: 3, arm: 'treatment' }] }),
    ];
    expect(new Set([mint(), ...different].map(({ token }) => token)).size).toBe(4);
  });

  it('carry an own unit for a rollout that buckets on something else', () => {
    const { token, unit, units } = mint({
      entries: [
        { rollout: 7, epoch: 2, arm: 'treatment' },
        { rollout: 8, epoch: 1, arm: 'control', bucketUnit: 'team-a' },
      ],
    });
    expect(units[0]).toEqual(unit);
    expect(units[1]).not.toEqual(unit);
    const read = tokens.verify(token, noon);
    if (typeof read === 'string') throw new Error(read);
    expect(read.entries[1]?.unit).toEqual(tokens.storedUnit(8, units[1] ?? new Uint8Array()));
  });

  it('hide which rollouts share a visitor', () => {
    const { unit } = mint();
    expect(tokens.storedUnit(7, unit)).not.toEqual(tokens.storedUnit(8, unit));
  });

  it('are not minted for an unknown environment, an empty list or one that does not fit', () => {
    expect(tokens.mint({ ...request, environment: 'staging' })).toBeNull();
    expect(tokens.mint({ ...request, entries: [] })).toBeNull();
    const entries = Array.from({ length: 33 }, (_, rollout) => ({ rollout, epoch: 1, arm: 'control' as const }));
    expect(tokens.mint({ ...request, entries })).toBeNull();
  });

  it('keep the unit when the key is rotated', () => {
    const rotated = createTokens({
      keys: [
        ...keys,
        aKey({ kid: 2, secret: new Uint8Array(32).fill(1), pepper: new Uint8Array(32), createdAt: noon }),
      ],
    });
    expect(mint({}, rotated).unit).toEqual(mint().unit);
    expect(rotated.verify(mint({}, rotated).token, noon)).toMatchObject({ payload: { kid: 2 } });
    expect(rotated.verify(mint().token, noon)).toMatchObject({ payload: { kid: 1 } });
  });

  it('are expired 12 h after they were minted, and 36 h for the late messages of older page views', () => {
    const { token } = mint();
    expect(tokens.verify(token, noon + 12 * hour)).toMatchObject({ environment: 'production' });
    expect(tokens.verify(token, noon + 12 * hour + 1)).toBe('expired');
    expect(tokens.verify(token, noon + 36 * hour, noon + hour)).toMatchObject({ environment: 'production' });
    expect(tokens.verify(token, noon + 36 * hour + 1, noon + hour)).toBe('expired');
  });

  it('are invalid before their time', () => {
    expect(tokens.verify(mint().token, noon - 6 * 60_000)).toBe('invalid');
  });

  it('are invalid when signed with another key', () => {
    const forger = createTokens({ keys: [aKey({ secret: new Uint8Array(32).fill(8) })] });
    expect(tokens.verify(mint({}, forger).token, noon)).toBe('invalid');
    expect(tokens.verify(mint({}, createTokens({ keys: [aKey({ kid: 9 })] })).token, noon)).toBe('invalid');
  });

  it('are invalid with somebody else’s signature over another arm', () => {
    const read = tokens.verify(mint().token, noon);
    if (typeof read === 'string') throw new Error(read);
    const entries = [{ rollout: 7, epoch: 2, arm: 'control' as const }];
    const mac = Buffer.from(read.tag, 'base64url');
    expect(
      tokens.verify(
        encodeToken({ ...read.payload, entries }, () => mac),
        noon,
      ),
    ).toBe('invalid');
  });

  it('count none of 10,000 forgeries', () => {
    const { token } = mint();
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.';
    const edit = fc.tuple(fc.nat(token.length - 1), fc.constantFrom(...letters));
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        const characters = [...token];
        for (const [at, letter] of edits) characters[at] = letter;
        const forged = characters.join('');
        return forged === token || tokens.verify(forged, noon) === 'invalid';
      }),
      { numRuns: 10_000 },
    );
  });

  it('never throw, whatever the text', () => {
    fc.assert(fc.property(fc.string(), (text) => tokens.verify(`tg1.${text}`, noon) === 'invalid'));
  });
});
