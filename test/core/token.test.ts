import {
  decodeToken,
  encodeToken,
  entriesThatFit,
  type TokenEntry,
  type TokenPayload,
  tokenLimits,
} from '@tidegate/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const bytes = (length: number, fill = 7) => new Uint8Array(length).fill(fill);
const mac = (signed: string) => bytes(32, signed.length & 0xff);
const aPayload = (entries: readonly TokenEntry[] = []): TokenPayload => ({
  kid: 3,
  issuedMinute: 29_900_000,
  nonce: bytes(6),
  unit: bytes(8, 200),
  entries,
});

const uint32 = fc.oneof(fc.nat(300), fc.nat(0xffffffff));
const anyEntry: fc.Arbitrary<TokenEntry> = fc
  .record({
    rollout: uint32,
    epoch: uint32,
    arm: fc.constantFrom('rest', 'treatment', 'control', 'holdback'),
    unit: fc.option(fc.uint8Array({ minLength: 8, maxLength: 8 }), { nil: undefined }),
  })
  .map(({ unit, ...entry }) => ({ ...entry, ...(unit && { unit }) }));
const anyPayload: fc.Arbitrary<TokenPayload> = fc.record({
  kid: fc.nat(255),
  issuedMinute: uint32,
  nonce: fc.uint8Array({ minLength: 6, maxLength: 6 }),
  unit: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  entries: fc.array(anyEntry, { maxLength: 40 }).map((entries) => entries.slice(0, entriesThatFit(entries))),
});

describe('exposure tokens', () => {
  it('have the layout they have always had', () => {
    const entries: TokenEntry[] = [
      { rollout: 1, epoch: 300, arm: 'treatment' },
      { rollout: 2, epoch: 0, arm: 'control', unit: bytes(8, 9) },
    ];
    const token = encodeToken(aPayload(entries), () => bytes(16, 255));
    expect(token).toBe('tg1.AQMByDzgBwcHBwcHyMjIyMjIyMgBrAIBAgAGCQkJCQkJCQk._____________________w');
    const hex = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('hex');
    expect(hex).toBe(
      `0103${(29_900_000).toString(16).padStart(8, '0')}${'07'.repeat(6)}${'c8'.repeat(8)}01ac0201020006${'09'.repeat(8)}`,
    );
  });

  it('come back as they went, and sign what stands before the last dot', () => {
    fc.assert(
      fc.property(anyPayload, (payload) => {
        const token = encodeToken(payload, mac);
        const decoded = decodeToken(token);
        expect(token.length).toBeLessThanOrEqual(tokenLimits.characters);
        expect(decoded?.payload).toEqual(payload);
        expect(token.startsWith(`${decoded?.signed}.`)).toBe(true);
        expect(decoded?.mac).toEqual(mac(decoded?.signed ?? '').slice(0, 16));
      }),
    );
  });

  it('hold 32 short entries, and say how many long ones fit', () => {
    const short = Array.from({ length: 40 }, (): TokenEntry => ({ rollout: 5, epoch: 9, arm: 'rest' }));
    expect(entriesThatFit(short)).toBe(32);
    const long = short.map((entry) => ({ ...entry, rollout: 0xffffffff, unit: bytes(8) }));
    expect(entriesThatFit(long)).toBeLessThan(32);
    expect(() => encodeToken(aPayload(long), mac)).toThrow(RangeError);
  });

  it('refuse fields out of their range', () => {
    expect(() => encodeToken({ ...aPayload(), kid: 256 }, mac)).toThrow(RangeError);
    expect(() => encodeToken({ ...aPayload(), issuedMinute: -1 }, mac)).toThrow(RangeError);
    expect(() => encodeToken({ ...aPayload(), nonce: bytes(5) }, mac)).toThrow(RangeError);
    expect(() => encodeToken(aPayload([{ rollout: 1.5, epoch: 0, arm: 'rest' }]), mac)).toThrow(RangeError);
    expect(() => encodeToken(aPayload(), () => bytes(8))).toThrow(RangeError);
  });

  it('read no garbage, and throw at none', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `tg1.${text}`),
          fc.base64String().map((text) => `tg1.${text}.${'A'.repeat(22)}`),
        ),
        (text) => {
          const decoded = decodeToken(text);
          if (decoded) expect(encodeToken(decoded.payload, () => decoded.mac)).toBe(text);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('have one spelling: any changed character is another token or none', () => {
    const token = encodeToken(aPayload([{ rollout: 1, epoch: 2, arm: 'treatment' }]), mac);
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.constantFrom(...'AZaz09-_.= \u00e9'), (at, character) => {
        const changed = token.slice(0, at) + character + token.slice(at + 1);
        const decoded = decodeToken(changed);
        if (decoded) expect(encodeToken(decoded.payload, () => decoded.mac)).toBe(changed);
      }),
    );
  });

  it('read nothing cut short, too long, of another version, or with reserved bits', () => {
    const token = encodeToken(aPayload([{ rollout: 1, epoch: 2, arm: 'treatment', unit: bytes(8) }]), mac);
    for (let length = 0; length < token.length; length++) expect(decodeToken(token.slice(0, length))).toBeNull();
    const raw = (payload: readonly number[]) => `tg1.${Buffer.from(payload).toString('base64url')}.${'A'.repeat(22)}`;
    const head = [1, ...new Array<number>(19).fill(0)];
    expect(decodeToken(raw(head))).not.toBeNull();
    expect(decodeToken(raw([2, ...head.slice(1)]))).toBeNull();
    expect(decodeToken(raw([...head, 1, 1, 8]))).toBeNull();
    expect(decodeToken(raw([...head, 0x81, 0x00, 1, 1]))).toBeNull();
    expect(decodeToken(raw([...head, 0xff, 0xff, 0xff, 0xff, 0x1f, 1, 1]))).toBeNull();
    expect(decodeToken(raw([...head, ...new Array<number>(33 * 3).fill(1)]))).toBeNull();
    expect(decodeToken(`${token}${'A'.repeat(300)}`)).toBeNull();
  });
});
