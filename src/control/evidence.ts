import type { Decision } from '../domain/decision.ts';
import type { Evidence, Stratum } from '../domain/evidence.ts';
import type { Now } from '../domain/now.ts';
import type { Rollout } from '../domain/rollout.ts';
import type { Concentrations } from '../ingest/concentration.ts';
import type { RumStore } from '../store/store.ts';
import { createUnitSums, type UnitSumsReader } from './unit-sums.ts';
import { createWindow, type EvidenceWindow } from './window.ts';

export interface EvidenceDeps {
  readonly rum: Pick<RumStore, 'cellsSince' | 'sumsSince' | 'stats'>;
  /** Who beacons come from, in the memory of ingest; left out where they are nobody's. */
  readonly concentrations?: Pick<Concentrations, 'of' | 'forget'>;
  /** Width of a bucket, ms. */
  readonly bucketMs: number;
}

/** How long pooled cells count, in the store and in memory, ms. */
export const cellsKeptMs = 7 * 24 * 3_600_000;

export interface EvidenceReader {
  /**
   * What the judge reads of a rollout: its epochs from `evidenceFrom` on. `stagesOfEpoch` tells which stage each earlier
   * epoch belonged to (`stagesOf`); the present one is taken from the rollout. `matureLagMs`: how long a page may take to
   * send its first beacon.
   */
  read(
    rollout: Rollout,
    stagesOfEpoch: ReadonlyMap<number, number>,
    matureLagMs: number,
    now: Pick<Now, 'wall'>,
  ): Promise<Evidence>;
  /** Drops what is remembered of a rollout that is not looked at any more. */
  forget(rollout: Pick<Rollout, 'shortId'>): void;
}

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

/** Reads evidence. What it read before stays in memory: a look asks only for the cells that changed since the last. */
export function createEvidenceReader({ rum, bucketMs, concentrations }: EvidenceDeps): EvidenceReader {
  const windows = new Map<number, EvidenceWindow>();
  const sums = new Map<number, UnitSumsReader>();

  const windowOf = async ({ shortId, references }: Rollout, wall: number): Promise<EvidenceWindow> => {
    const known = windows.get(shortId) ?? createWindow(bucketMs);
    windows.set(shortId, known);
    const rows = await rum.cellsSince(shortId, known.newestFlush(), false);
    known.take(rows);
    known.forgetBefore(wall - cellsKeptMs);
    known.cut(Object.entries(references).map(([metric, { since }]) => [metric, since]));
    return known;
  };

  const unitSumsOf = async ({ shortId }: Rollout): Promise<UnitSumsReader> => {
    const known = sums.get(shortId) ?? createUnitSums();
    sums.set(shortId, known);
    known.take(await rum.sumsSince(shortId, known.newestFlush()));
    return known;
  };

  return {
    async read(rollout, stagesOfEpoch, matureLagMs, now) {
      const window = await windowOf(rollout, now.wall);
      const [unitSums, stats] = await Promise.all([
        unitSumsOf(rollout),
        rum.stats(Math.floor((now.wall - statsMs) / bucketMs) * bucketMs),
      ]);
      const { shortId, evidenceFrom } = rollout;
      const { epoch, stage } = rollout.state;
      const stageOf = (of: number) => (of === epoch ? stage : (stagesOfEpoch.get(of) ?? -1));
      const strata = window.strata(evidenceFrom, now.wall - matureLagMs).map((stratum): Stratum => {
        return { ...stratum, stage: stageOf(stratum.epoch) };
      });
      const sent = (reason: string) => stats.reduce((sum, stat) => (stat.reason === reason ? sum + stat.n : sum), 0);
      return {
        asOf: now.wall,
        bucketMs,
        strata,
        ...unitSums.read(evidenceFrom),
        concentration: concentrations === undefined ? null : concentrations.of(shortId, evidenceFrom, now.wall),
        segments: [],
        newest: window.newest(epoch),
        ingest: {
          accepted: sent('accepted'),
          invalid: sent('invalid'),
          duplicate: sent('duplicate'),
          late: sent('late'),
        },
        crossover: crossoverOf(strata),
      };
    },
    forget({ shortId }) {
      windows.delete(shortId);
      sums.delete(shortId);
      if (concentrations !== undefined) concentrations.forget(shortId);
    },
  };
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
