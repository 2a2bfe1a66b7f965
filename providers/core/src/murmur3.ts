const c1 = 0xcc9e2d51;
const c2 = 0x1b873593;

function mix(hash: number, word: number): number {
  let k = Math.imul(word, c1);
  k = Math.imul((k << 15) | (k >>> 17), c2);
  const h = hash ^ k;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

/** The last one to three bytes, little endian in `tail`, and the avalanche. */
function finish(hash: number, tail: number, length: number): number {
  let k = Math.imul(tail, c1);
  k = Math.imul((k << 15) | (k >>> 17), c2);
  let h = hash ^ k ^ length;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * MurmurHash3 x86_32, seed 0, over the UTF-8 bytes of `text`, as an unsigned 32-bit number. Go and Java flagd hash the
 * same bytes; a lone surrogate hashes as U+FFFD, as `TextEncoder` writes it. (Austin Appleby, MurmurHash3.cpp.)
 */
export function murmur3(text: string): number {
  const length = text.length;
  const blocks = length & ~3;
  let hash = 0;
  let index = 0;
  for (; index < blocks; index += 4) {
    const a = text.charCodeAt(index);
    const b = text.charCodeAt(index + 1);
    const c = text.charCodeAt(index + 2);
    const d = text.charCodeAt(index + 3);
    if ((a | b | c | d) > 0x7f) return murmur3Utf8(text);
    hash = mix(hash, a | (b << 8) | (c << 16) | (d << 24));
  }
  let tail = 0;
  for (; index < length; index++) {
    const code = text.charCodeAt(index);
    if (code > 0x7f) return murmur3Utf8(text);
    tail |= code << ((index & 3) << 3);
  }
  return finish(hash, tail, length);
}

/** The same over any text: bytes gather in `word`, four at a time, so nothing is allocated here either. */
function murmur3Utf8(text: string): number {
  let hash = 0;
  let word = 0;
  let bytes = 0;
  for (let index = 0; index < text.length; index++) {
    const point = scalarAt(text, index);
    if (point > 0xffff) index++;
    // The UTF-8 bytes of one code point as a little-endian number: its first byte is the lowest.
    const size = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    const encoded = utf8Word(point, size);
    const shift = (bytes & 3) << 3;
    word |= encoded << shift;
    if ((bytes & 3) + size >= 4) {
      hash = mix(hash, word);
      word = shift === 0 ? 0 : encoded >>> (32 - shift);
    }
    bytes += size;
  }
  return finish(hash, word, bytes);
}

function scalarAt(text: string, index: number): number {
  const point = text.codePointAt(index) ?? 0xfffd;
  return point >= 0xd800 && point <= 0xdfff ? 0xfffd : point;
}

function utf8Word(point: number, size: number): number {
  if (size === 1) return point;
  const last = 0x80 | (point & 0x3f);
  if (size === 2) return 0xc0 | (point >> 6) | (last << 8);
  const third = 0x80 | ((point >> 6) & 0x3f);
  if (size === 3) return 0xe0 | (point >> 12) | (third << 8) | (last << 16);
  return 0xf0 | (point >> 18) | ((0x80 | ((point >> 12) & 0x3f)) << 8) | (third << 16) | (last << 24);
}
