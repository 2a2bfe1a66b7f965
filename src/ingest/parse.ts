import { isUtf8 } from 'node:buffer';
import { type Beacon, type BeaconExposure, type BeaconSample, beaconLimits } from '@tidegate/core';

/** A beacon, or why it is none. `type` is the content type, `size` the number of bytes, `shape` everything else. */
export type Parsed =
  | { readonly ok: true; readonly beacon: Beacon }
  | { readonly ok: false; readonly why: 'type' | 'size' | 'shape'; readonly detail: string };

const pageViewId = /^[A-Za-z0-9_-]{16}$/;
const contentType = /^(?:text\/plain|application\/json)\s*(?:;|$)/i;
const tokenLength = 1024;
const nameLength = 64;

const shape = (detail: string): Parsed => ({ ok: false, why: 'shape', detail });

/** Whether a message of this content type is read at all: what `sendBeacon` sends for a string, or JSON. */
export const isBeaconType = (type: string | undefined): boolean => type !== undefined && contentType.test(type);

/**
 * Reads one message. Written by hand because it runs once per beacon; it looks at the fields it knows and at nothing
 * else. Values out of a metric's range are no business of the shape: `fold` drops and counts them.
 */
export function parseBeacon(bytes: Uint8Array, type: string | undefined): Parsed {
  if (!isBeaconType(type)) return { ok: false, why: 'type', detail: 'send text/plain or application/json' };
  if (bytes.length > beaconLimits.bodyBytes) {
    return { ok: false, why: 'size', detail: `at most ${beaconLimits.bodyBytes} bytes` };
  }
  if (!isUtf8(bytes)) return shape('not UTF-8');
  const body = jsonOf(bytes);
  if (!isRecord(body)) return shape('not a JSON object');
  const { v, id, q, tok, x = [], nav, vis, age, m = [], end } = body;
  if (v !== 1) return shape('v is 1');
  if (typeof id !== 'string' || !pageViewId.test(id)) return shape('id is 16 base64url characters');
  if (!isIndex(q, beaconLimits.messagesPerPageView)) return shape('q is 0 to 3');
  if (typeof tok !== 'string' || tok === '' || tok.length > tokenLength) return shape('tok is an exposure token');
  if (!isTime(age)) return shape('age is ms since navigation start');
  if (nav !== undefined && (typeof nav !== 'string' || nav.length > nameLength)) return shape('nav is a short text');
  if (vis !== undefined && vis !== 0 && vis !== 1) return shape('vis is 0 or 1');
  if (end !== undefined && end !== 1) return shape('end is 1 or absent');
  const exposures = listOf(x, beaconLimits.exposures, exposureOf);
  if (exposures === null) return shape(`x is at most ${beaconLimits.exposures} pairs of entry and ms`);
  const samples = listOf(m, beaconLimits.samples, sampleOf);
  if (samples === null) return shape(`m is at most ${beaconLimits.samples} triples of name, value and ms`);
  return {
    ok: true,
    beacon: {
      v,
      id,
      q,
      tok,
      age,
      x: exposures,
      m: samples,
      ...(nav === undefined ? {} : { nav }),
      ...(vis === undefined ? {} : { vis }),
      ...(end === undefined ? {} : { end }),
    },
  };
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch {
    return undefined;
  }
}

const isRecord = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isTime = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value >= 0;

const isIndex = (value: unknown, below: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < below;

/** Null when it is no list, is too long, or holds something else. */
function listOf<T>(value: unknown, most: number, read: (item: unknown) => T | null): T[] | null {
  if (!Array.isArray(value) || value.length > most) return null;
  const list: T[] = [];
  for (const item of value) {
    const one = read(item);
    if (one === null) return null;
    list.push(one);
  }
  return list;
}

function exposureOf(item: unknown): BeaconExposure | null {
  if (!Array.isArray(item) || item.length !== 2) return null;
  const [entry, at]: readonly unknown[] = item;
  return isIndex(entry, beaconLimits.exposures) && isTime(at) ? [entry, at] : null;
}

function sampleOf(item: unknown): BeaconSample | null {
  if (!Array.isArray(item) || item.length !== 3) return null;
  const [name, value, at]: readonly unknown[] = item;
  if (typeof name !== 'string' || name.length > nameLength || !isTime(at)) return null;
  // JSON.stringify writes NaN as null: one broken value does not cost the whole message.
  if (value === null) return [name, Number.NaN, at];
  return typeof value === 'number' ? [name, value, at] : null;
}
