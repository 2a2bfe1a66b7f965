/** Integers in few bytes. Arithmetic instead of shifts: sums pass 2^31. */
export function pushUnsigned(bytes: number[], value: number): void {
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
}

/** Zigzag: one writer's corrections make negative counts. */
export function pushSigned(bytes: number[], value: number): void {
  pushUnsigned(bytes, value >= 0 ? 2 * value : -2 * value - 1);
}

export function pushText(bytes: number[], text: string): void {
  const encoded = new TextEncoder().encode(text);
  pushUnsigned(bytes, encoded.length);
  bytes.push(...encoded);
}

/** Reads what the functions above wrote, from the front. Every method throws RangeError when the bytes end early. */
export interface ByteReader {
  readonly at: number;
  skipTo(offset: number): void;
  byte(): number;
  unsigned(): number;
  signed(): number;
  text(): string;
}

export function byteReader(bytes: Uint8Array): ByteReader {
  let at = 0;
  const byte = (): number => {
    const value = bytes[at];
    if (value === undefined) throw new RangeError(`the cell ends early at byte ${at}`);
    at += 1;
    return value;
  };
  const unsigned = (): number => {
    let value = 0;
    for (let unit = 1; ; unit *= 128) {
      const next = byte();
      value += (next % 128) * unit;
      if (next < 128) return value;
    }
  };
  return {
    get at() {
      return at;
    },
    skipTo(offset) {
      at = offset;
    },
    byte,
    unsigned,
    signed() {
      const zigzag = unsigned();
      return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
    },
    text() {
      const length = unsigned();
      if (at + length > bytes.length) throw new RangeError(`the cell ends early at byte ${at}`);
      const text = new TextDecoder().decode(bytes.subarray(at, at + length));
      at += length;
      return text;
    },
  };
}
