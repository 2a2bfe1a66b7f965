/** Sparse histogram: bin -> count, bins ascending. Counts may be negative in one writer's row, never in a merged cell. */
export type Histogram = readonly (readonly [bin: number, count: number])[];

/** What ingest adds to, observation by observation: bin -> signed count. */
export type HistogramBuilder = Map<number, number>;

/**
 * Growth of the bin edges: bin i holds (gamma^(i-1), gamma^i], and its estimate is within 1 % of every value in it
 * (DDSketch: Masson, Rim, Lee, VLDB 2019), with edges that never move, so that differences of tails are exact.
 */
const gamma = 1.01 / 0.99;
export const lnGamma = Math.log(gamma);

/** Edges of 1 .. 1.2 million: multiplication rounds alike on every machine, `Math.log` does not. */
const edges = Float64Array.from({ length: 701 });
for (let bin = 0, edge = 1; bin < edges.length; bin++, edge *= gamma) edges[bin] = edge;
export const lastBin = edges.length - 1;

/** Upper edge of a bin, in the metric's stored unit. Infinite from the last bin on, which holds everything larger. */
export function edgeOf(bin: number): number {
  if (bin < 0) return 0;
  return bin >= lastBin ? Number.POSITIVE_INFINITY : (edges[bin] ?? Number.POSITIVE_INFINITY);
}

/** Bin of a finite value in the metric's stored unit; values up to 1 are bin 0. */
export function binOf(value: number): number {
  if (value <= 1) return 0;
  // The logarithm is only a guess: engines differ in its last bits, and arms must not.
  let bin = Math.min(lastBin, Math.max(0, Math.ceil(Math.log(value) / lnGamma)));
  while (value > edgeOf(bin)) bin++;
  while (bin > 0 && value <= edgeOf(bin - 1)) bin--;
  return bin;
}

/** The value that a bin stands for. */
export function estimateOf(bin: number): number {
  return (2 * (edges[Math.min(bin, lastBin)] ?? 0)) / (gamma + 1);
}

/** Adds `count` (or removes, if negative) in place. */
export function addTo(builder: HistogramBuilder, bin: number, count: number): void {
  const sum = (builder.get(bin) ?? 0) + count;
  if (sum === 0) builder.delete(bin);
  else builder.set(bin, sum);
}

/** The builder as a value: bins ascending, none of them empty. */
export function histogramOf(builder: ReadonlyMap<number, number>): Histogram {
  return [...builder].filter(([, count]) => count !== 0).sort(([a], [b]) => a - b);
}

/** Sum of histograms, in any order and grouping. */
export function merge(histograms: Iterable<Histogram>): Histogram {
  const sum: HistogramBuilder = new Map();
  for (const histogram of histograms) for (const [bin, count] of histogram) addTo(sum, bin, count);
  return histogramOf(sum);
}

/** Number of observations. */
export function total(histogram: Histogram): number {
  return histogram.reduce((sum, [, count]) => sum + count, 0);
}

/** Observations in bins above `bin`. */
export function tail(histogram: Histogram, bin: number): number {
  return histogram.reduce((sum, [at, count]) => (at > bin ? sum + count : sum), 0);
}

/** Bin of the lower empirical q-quantile (rank floor(q (n - 1))); null when there is nothing. */
export function quantileBin(histogram: Histogram, q: number): number | null {
  const rank = Math.floor(q * (total(histogram) - 1));
  let seen = 0;
  for (const [bin, count] of histogram) {
    seen += count;
    if (seen > rank) return bin;
  }
  return null;
}

/** The lower empirical q-quantile in the metric's stored unit, within 1 %; null when there is nothing. */
export function quantile(histogram: Histogram, q: number): number | null {
  const bin = quantileBin(histogram, q);
  return bin === null ? null : estimateOf(bin);
}

const version = 1;

/**
 * Bytes of a histogram: version, number of bins, then per bin the gap to the one before as varint and the count as
 * zigzag varint, for one writer's corrections can be negative. Adding and removing gives identical bytes.
 */
export function encodeHistogram(histogram: Histogram): Uint8Array {
  const bytes: number[] = [version];
  const cells = histogram.filter(([, count]) => count !== 0);
  pushVarint(bytes, cells.length);
  let before = 0;
  for (const [bin, count] of cells) {
    pushVarint(bytes, bin - before);
    pushVarint(bytes, count >= 0 ? 2 * count : -2 * count - 1);
    before = bin;
  }
  return Uint8Array.from(bytes);
}

/** Reads one histogram at `offset`; `end` is the offset behind it. Throws RangeError on bytes that are none. */
export function decodeHistogram(bytes: Uint8Array, offset: number): { histogram: Histogram; end: number } {
  if (bytes[offset] !== version) throw new RangeError(`no histogram of version ${version} at byte ${offset}`);
  const length = readVarint(bytes, offset + 1);
  const histogram: [number, number][] = [];
  let at = length.end;
  let bin = 0;
  for (let i = 0; i < length.value; i++) {
    const gap = readVarint(bytes, at);
    const zigzag = readVarint(bytes, gap.end);
    bin += gap.value;
    histogram.push([bin, zigzag.value % 2 === 0 ? zigzag.value / 2 : -(zigzag.value + 1) / 2]);
    at = zigzag.end;
  }
  return { histogram, end: at };
}

/** Arithmetic instead of shifts: counts may pass 2^31. */
function pushVarint(bytes: number[], value: number): void {
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
}

function readVarint(bytes: Uint8Array, offset: number): { value: number; end: number } {
  let value = 0;
  let unit = 1;
  for (let at = offset; at < offset + 8; at++) {
    const byte = bytes[at];
    if (byte === undefined) break;
    value += (byte % 128) * unit;
    if (byte < 128) return { value, end: at + 1 };
    unit *= 128;
  }
  throw new RangeError(`the histogram ends early at byte ${offset}`);
}
