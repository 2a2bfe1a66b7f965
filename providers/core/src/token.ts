import { fromBase64Url, toBase64Url } from './base64url.ts';
import type { Arm } from './wire.ts';

/**
 * Exposure tokens: what a page was served, signed by the controller that served it, sent back with each beacon.
 * This file is the wire format only; keys and HMAC are the controller's.
 *
 *     payload = 1 | kid(1) | issued minute(4) | nonce(6) | unit(8) | entries
 *     entry   = rollout varint | stage epoch varint | arm(1) | unit(8) when bit 2 of arm is set
 *     token   = "tg1." b64url(payload) "." b64url(first 16 bytes of the MAC over "tg1." b64url(payload))
 *
 * Whole numbers are big endian, varints unsigned LEB128 up to 32 bits.
 */
export interface TokenPayload {
  /** Key id, 0..255; names the environment's key that signs. */
  readonly kid: number;
  /** Unix time in minutes, start of the 10-minute epoch. */
  readonly issuedMinute: number;
  /** 6 bytes. */
  readonly nonce: Uint8Array;
  /** 8 bytes: the pseudonym of the targeting key. */
  readonly unit: Uint8Array;
  readonly entries: readonly TokenEntry[];
}

export interface TokenEntry {
  /** Short id of the rollout, 32 bits. */
  readonly rollout: number;
  /** Stage epoch, 32 bits. */
  readonly epoch: number;
  readonly arm: Arm;
  /** 8 bytes, when the rollout buckets on something else than the targeting key. */
  readonly unit?: Uint8Array;
}

export interface DecodedToken {
  readonly payload: TokenPayload;
  /** The text that the MAC covers. */
  readonly signed: string;
  /** 16 bytes; compare them in constant time. */
  readonly mac: Uint8Array;
}

/** A token fits a header and a metadata value: 32 entries and 300 characters, whichever ends first. */
export const tokenLimits = { entries: 32, characters: 300 } as const;

const prefix = 'tg1.';
const version = 1;
const headBytes = 20;
const unitBytes = 8;
const nonceBytes = 6;
const macBytes = 16;
const macCharacters = 22;
const ownUnitBit = 4;
const arms = ['rest', 'treatment', 'control', 'holdback'] as const satisfies readonly Arm[];
/** The longest payload whose base64url, with prefix, dot and MAC, stays within `tokenLimits.characters`. */
const payloadBytes = Math.floor(((tokenLimits.characters - prefix.length - 1 - macCharacters) * 3) / 4);

/** How many entries, from the front, one token holds. */
export function entriesThatFit(entries: readonly TokenEntry[]): number {
  let bytes = headBytes;
  for (const [index, entry] of entries.entries()) {
    bytes += varintBytes(entry.rollout) + varintBytes(entry.epoch) + 1 + (entry.unit ? unitBytes : 0);
    if (index >= tokenLimits.entries || bytes > payloadBytes) return index;
  }
  return entries.length;
}

/**
 * Writes a token. `mac` signs the text before the last dot; 16 bytes of it are kept.
 *
 * @throws RangeError when a field is out of its range or the entries do not fit (ask `entriesThatFit` first)
 */
export function encodeToken(payload: TokenPayload, mac: (signed: string) => Uint8Array): string {
  if (entriesThatFit(payload.entries) < payload.entries.length)
    throw new RangeError('the entries do not fit one token');
  const bytes: number[] = [version, whole(payload.kid, 0xff)];
  const minute = whole(payload.issuedMinute, 0xffff_ffff);
  bytes.push(minute >>> 24, (minute >>> 16) & 0xff, (minute >>> 8) & 0xff, minute & 0xff);
  bytes.push(...sized(payload.nonce, nonceBytes), ...sized(payload.unit, unitBytes));
  for (const entry of payload.entries) {
    pushVarint(bytes, whole(entry.rollout, 0xffff_ffff));
    pushVarint(bytes, whole(entry.epoch, 0xffff_ffff));
    bytes.push(arms.indexOf(entry.arm) | (entry.unit ? ownUnitBit : 0));
    if (entry.unit) bytes.push(...sized(entry.unit, unitBytes));
  }
  const signed = prefix + toBase64Url(Uint8Array.from(bytes));
  const signature = mac(signed);
  if (signature.length < macBytes) throw new RangeError(`a MAC has at least ${macBytes} bytes`);
  return `${signed}.${toBase64Url(signature.subarray(0, macBytes))}`;
}

/** Reads a token, or null: never throws, whatever the text. The MAC is not checked here. */
export function decodeToken(token: string): DecodedToken | null {
  if (typeof token !== 'string' || token.length > tokenLimits.characters || !token.startsWith(prefix)) return null;
  const dot = token.length - macCharacters - 1;
  if (dot <= prefix.length || token[dot] !== '.') return null;
  const bytes = fromBase64Url(token.slice(prefix.length, dot));
  const mac = fromBase64Url(token.slice(dot + 1));
  const payload = bytes && readPayload(bytes);
  if (!payload || mac?.length !== macBytes) return null;
  return { payload, signed: token.slice(0, dot), mac };
}

function readPayload(bytes: Uint8Array): TokenPayload | null {
  if (bytes.length < headBytes || bytes[0] !== version) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries = readEntries(bytes);
  if (!entries) return null;
  return {
    kid: view.getUint8(1),
    issuedMinute: view.getUint32(2),
    nonce: bytes.slice(6, 6 + nonceBytes),
    unit: bytes.slice(12, 12 + unitBytes),
    entries,
  };
}

function readEntries(bytes: Uint8Array): readonly TokenEntry[] | null {
  const entries: TokenEntry[] = [];
  let at = headBytes;
  while (at < bytes.length) {
    const rollout = readVarint(bytes, at);
    const epoch = rollout && readVarint(bytes, rollout.next);
    if (!epoch || entries.length === tokenLimits.entries) return null;
    const flags = bytes[epoch.next];
    const arm = arms[(flags ?? 0) & 3];
    if (flags === undefined || flags > 7 || !arm) return null;
    at = epoch.next + 1;
    if ((flags & ownUnitBit) === 0) {
      entries.push({ rollout: rollout.value, epoch: epoch.value, arm });
      continue;
    }
    const unit = bytes.slice(at, at + unitBytes);
    if (unit.length < unitBytes) return null;
    entries.push({ rollout: rollout.value, epoch: epoch.value, arm, unit });
    at += unitBytes;
  }
  return entries;
}

function whole(value: number, max: number): number {
  if (!Number.isInteger(value) || value < 0 || value > max) throw new RangeError(`${value} is not within 0..${max}`);
  return value;
}

function sized(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length !== length) throw new RangeError(`${length} bytes are due, not ${bytes.length}`);
  return bytes;
}

function varintBytes(value: number): number {
  return value < 2 ** 7 ? 1 : value < 2 ** 14 ? 2 : value < 2 ** 21 ? 3 : value < 2 ** 28 ? 4 : 5;
}

function pushVarint(bytes: number[], value: number): void {
  let rest = value;
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
}

/** Only the shortest spelling of a number is one: a token has a single form. */
function readVarint(bytes: Uint8Array, from: number): { readonly value: number; readonly next: number } | null {
  let value = 0;
  for (let size = 0; size < 5; size++) {
    const byte = bytes[from + size];
    if (byte === undefined) return null;
    value += (byte & 0x7f) * 2 ** (7 * size);
    if (byte > 0x7f) continue;
    if ((byte === 0 && size > 0) || value > 0xffff_ffff) return null;
    return { value, next: from + size + 1 };
  }
  return null;
}
