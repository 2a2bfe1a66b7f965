import type { Decision } from '../domain/decision.ts';
import type { Evidence, Stratum } from '../domain/evidence.ts';
import type { Now } from '../domain/now.ts';
import type { Rollout } from '../domain/rollout.ts';
import type { Concentrations } from '../ingest/concentration.ts';
import type { IngestStat, RumStore } from '../store/store.ts';
import type { Breathe } from './breathe.ts';
import { createCellAdder } from './cell-adder.ts';
import { createSegments, type SegmentsReader } from './segments.ts';
import { createUnitSums, type UnitSumsReader } from './unit-sums.ts';
import { createWindow, type EvidenceWindow } from './window.ts';

export interface EvidenceDeps {
  readonly rum: Pick<RumStore, 'cellsSince' | 'sumsSince' | 'stats'>;
  /** Who beacons come from, in the memory of ingest; left out where they are nobody's. */
  readonly concentrations?: Pick<Concentrations, 'of' | 'forget'>;
  /** Width of a bucket, ms. */
  readonly bucketMs: number;
  /** Called between pieces of work; left out where nothing else waits for the event loop. */
  readonly breathe?: Breathe;
}

/** How long pooled cells count, in the store and in memory, ms. */
export const cellsKeptMs = 7 * 24 * 3_600_000;

/** What only some looks need, or only some rollouts have. */
export interface Asked {
  /** Ms that the units of each conversion need; 30 minutes for those that are not listed. */
  readonly maturities?: ReadonlyMap<string, number>;
  /** Read the marginals as well. */
  readonly segments?: boolean;
}

export interface EvidenceReader {
  /**
   * What the judge reads of a rollout: its epochs from `evidenceFrom` on. `stagesOfEpoch` tells which stage each earlier
   * epoch belonged to (`stagesOf`); the present one is taken from the rollout. `matureLagMs`: how long a page may take to
   * send its first beacon. Strata in which nothing changed since the last look are the same objects.
   */
  read(
    rollout: Rollout,
    stagesOfEpoch: ReadonlyMap<number, number>,
    matureLagMs: number,
    now: Pick<Now, 'wall'>,
    asked?: Asked,
  ): Promise<Evidence>;
  /** Drops what is remembered of a rollout that is not looked at any more. */
  forget(rollout: Pick<Rollout, 'shortId'>): void;
}

/** Cells that are read at once: a millisecond or two. */
const cellsAtOnce = 400;
const statsMs = 15 * 60_000;

/** Stage of every epoch that the rollout's decisions mention. */
export function stagesOf(decisions: readonly Pick<Decision, 'from' | 'to'>[]): ReadonlyMap<number, number> {
  return new Map(
    decisions.flatMap(({ from, to }): [number, number][] => [
      [from.epoch, from.stage],
      [to.epoch, to.stage],
    ]),
  );
}

/** What is remembered of one rollout. */
interface Known {
  readonly window: EvidenceWindow;
  readonly segments: SegmentsReader;
  readonly sums: UnitSumsReader;
}

/** Reads evidence. What it read before stays in memory: a look asks only for the cells that changed since the last. */
export function createEvidenceReader({
  rum,
  bucketMs,
  concentrations,
  breathe = async () => {},
}: EvidenceDeps): EvidenceReader {
  const adder = createCellAdder();
  const rollouts = new Map<number, Known>();
  const heard = new WeakMap<object, Promise<Evidence['ingest']>>();

  const knownOf = ({ shortId }: Rollout): Known => {
    const known = rollouts.get(shortId) ?? {
      window: createWindow(bucketMs, adder),
      segments: createSegments(adder),
      sums: createUnitSums(),
    };
    rollouts.set(shortId, known);
    return known;
  };

  const refresh = async (of: Known['window' | 'segments'], rollout: Rollout, wall: number): Promise<void> => {
    const { shortId, references } = rollout;
    // Cut first: what is taken in after that is summed up once.
    of.cut(Object.entries(references).map(([metric, { since }]) => [metric, since]));
    while (of.resum()) await breathe();
    await takeAll(of, shortId);
    of.forgetBefore(wall - cellsKeptMs);
  };

  const takeAll = async (of: Known['window' | 'segments'], shortId: number): Promise<void> => {
    const rows = await rum.cellsSince(shortId, of.newestFlush(), 'read' in of, cellsAtOnce);
    of.take(rows);
    await breathe();
    if (rows.length >= cellsAtOnce) await takeAll(of, shortId);
  };

  /** The same for every rollout that is looked at in one instant. */
  const ingestAt = (now: Pick<Now, 'wall'>): Promise<Evidence['ingest']> => {
    const known = heard.get(now) ?? rum.stats(Math.floor((now.wall - statsMs) / bucketMs) * bucketMs).then(fatesOf);
    heard.set(now, known);
    return known;
  };

  return {
    async read(rollout, stagesOfEpoch, matureLagMs, now, { maturities = new Map(), segments = false } = {}) {
      const known = knownOf(rollout);
      const { shortId, evidenceFrom } = rollout;
      const { epoch, stage } = rollout.state;
      await refresh(known.window, rollout, now.wall);
      if (segments) await refresh(known.segments, rollout, now.wall);
      known.sums.take(await rum.sumsSince(shortId, known.sums.newestFlush()));
      const ingest = await ingestAt(now);
      const stageOf = (of: number) => (of === epoch ? stage : (stagesOfEpoch.get(of) ?? -1));
      const maturity = { asOf: now.wall, maturities };
      const strata = known.window.strata(evidenceFrom, now.wall - matureLagMs, stageOf, maturity);
      const sums = known.sums.read(evidenceFrom);
      return {
        asOf: now.wall,
        bucketMs,
        strata,
        // Made when somebody asks: most looks do without most of them.
        get shards() {
          return sums.shards;
        },
        get units() {
          return sums.units;
        },
        get shardCounts() {
          return sums.shardCounts;
        },
        concentration: concentrations === undefined ? null : concentrations.of(shortId, evidenceFrom, now.wall),
        segments: segments ? known.segments.read(evidenceFrom, stageOf) : [],
        newest: known.window.newest(epoch),
        ingest,
        crossover: crossoverOf(strata),
      };
    },
    forget({ shortId }) {
      rollouts.delete(shortId);
      if (concentrations !== undefined) concentrations.forget(shortId);
    },
  };
}

function fatesOf(stats: readonly IngestStat[]): Evidence['ingest'] {
  const sent = (reason: string) => stats.reduce((sum, stat) => (stat.reason === reason ? sum + stat.n : sum), 0);
  return { accepted: sent('accepted'), invalid: sent('invalid'), duplicate: sent('duplicate'), late: sent('late') };
}

/** Units that were given both arms in one epoch, as a share of all. */
function crossoverOf(strata: readonly Stratum[]): number {
  let crossed = 0;
  let issued = 0;
  for (const { treatment, control } of strata) {
    crossed += treatment.counts.crossed ?? 0;
    issued += (treatment.counts.issued ?? 0) + (control.counts.issued ?? 0);
  }
  return issued > crossed ? crossed / (issued - crossed) : 0;
}
