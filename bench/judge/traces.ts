/**
 * Replays of public telemetry, where a folder of it is at hand (`TIDEGATE_TRACES`; `docs/benchmarks.md` says what is in
 * it). Read here and nowhere else.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** One series of values at equal steps. */
export interface Series {
  readonly name: string;
  readonly stepMinutes: number;
  readonly values: readonly number[];
}

export interface Traces {
  /** Visits, half-hourly: the taxi rides of New York in the Numenta Anomaly Benchmark. */
  readonly volume: Series;
  /** Hourly latency of production services with incidents in them: the Microsoft cloud monitoring dataset. */
  readonly latencies: readonly Series[];
  /** LCP of page loads, ms, with how many had it: the RUM Archive. */
  readonly lcp: readonly (readonly [ms: number, count: number])[];
  /** Share of page views that report an LCP: www.aem.live. */
  readonly lcpPresence: number;
  readonly experiments: readonly Experiment[];
}

/** Conversions of one real experiment, cumulative. */
export interface Experiment {
  readonly name: string;
  readonly checkpoints: readonly Checkpoint[];
}

export interface Checkpoint {
  readonly days: number;
  readonly control: { readonly n: number; readonly x: number };
  readonly treatment: { readonly n: number; readonly x: number };
}

export async function readTraces(folder: string): Promise<Traces> {
  const latencyFolder = join(folder, 'ms-cloud', 'middle-tier-api-dependency-latency');
  const latencies = (await readdir(latencyFolder)).filter((file) => file.endsWith('.csv')).sort();
  const taxi = await readCsv(join(folder, 'nab', 'realKnownCause', 'nyc_taxi.csv'));
  const pageViews = await readCsv(join(folder, 'aem-live', 'pageviews.csv'));
  const histograms: unknown = JSON.parse(
    await readFile(join(folder, 'rum-archive', 'LCP_visibilitystate_devicetype.json'), 'utf8'),
  );
  const series = await Promise.all(
    latencies.map(async (file) => ({
      name: file.replace('.csv', ''),
      stepMinutes: 60,
      values: (await readCsv(join(latencyFolder, file))).map(({ Value }) => Number(Value)),
    })),
  );
  return {
    volume: { name: 'nyc_taxi', stepMinutes: 30, values: taxi.map(({ value }) => Number(value)) },
    // A service that is mostly silent has no usual latency to be slower than.
    latencies: series.filter(({ values }) => values.filter((value) => value > 0).length > values.length / 2),
    lcp: visibleLcp(histograms),
    lcpPresence: pageViews.filter(({ lcp_ms }) => lcp_ms !== '').length / pageViews.length,
    experiments: experimentsOf(await readCsv(join(folder, 'asos', 'experiments.csv'))),
  };
}

type Row = { readonly [column: string]: string };

/** None of the files has a quote in it. */
async function readCsv(file: string): Promise<readonly Row[]> {
  const [head = '', ...lines] = (await readFile(file, 'utf8')).trim().split('\n');
  const columns = head.split(',');
  return lines.map((line) => {
    const cells = line.split(',');
    return Object.fromEntries(columns.map((column, i) => [column, cells[i] ?? '']));
  });
}

/** Of loads that were visible; those in a background tab measure patience. */
function visibleLcp(histograms: unknown): Traces['lcp'] {
  if (!Array.isArray(histograms)) throw new Error('rum-archive: the LCP histograms are no list');
  const list: unknown[] = histograms;
  return list.flatMap((entry) => {
    const isVisible = isRecord(entry) && entry.visibilitystate === 'visible' && Array.isArray(entry.histogram);
    if (!isVisible) return [];
    const bars: unknown[] = Array.isArray(entry.histogram) ? entry.histogram : [];
    return bars.map((bar): [number, number] => (Array.isArray(bar) ? [Number(bar[0]), Number(bar[1])] : [0, 0]));
  });
}

function isRecord(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null;
}

/** Metric 1 is the binary one. */
function experimentsOf(rows: readonly Row[]): readonly Experiment[] {
  const found = new Map<string, Checkpoint[]>();
  for (const row of rows) {
    if (row.metric_id !== '1') continue;
    const name = `${row.experiment_id}/${row.variant_id}`;
    const arm = (n: number, mean: number) => ({ n, x: Math.round(n * mean) });
    found.set(name, [
      ...(found.get(name) ?? []),
      {
        days: Number(row.time_since_start),
        control: arm(Number(row.count_c), Number(row.mean_c)),
        treatment: arm(Number(row.count_t), Number(row.mean_t)),
      },
    ]);
  }
  return [...found].map(([name, checkpoints]) => ({
    name,
    checkpoints: checkpoints.toSorted((a, b) => a.days - b.days),
  }));
}
