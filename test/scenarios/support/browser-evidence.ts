import { join } from 'node:path';
import Database from 'better-sqlite3';
import { createWindow } from '../../../src/control/window.ts';
import type { EvidenceArm, Stratum } from '../../../src/domain/evidence.ts';
import type { Vital } from '../../../src/domain/signal.ts';
import { type PageView, readPageView } from '../../../src/ingest/view.ts';
import { openSqlite } from '../../../src/store/sqlite.ts';

/** What a stopped controller has stored of its first rollout. */
export interface Stored {
  readonly pageViews: readonly PageView[];
  /** Page views with the metric, in the evidence of one arm. */
  observed(arm: EvidenceArm, metric: Vital): number;
}

/** Reads the databases of a controller that has been stopped. */
export async function storedIn(dir: string): Promise<Stored> {
  const store = await openSqlite({ dir, mono: () => 0 });
  const [rollout] = await store.control.rollouts({ current: true });
  const window = createWindow(1_000);
  window.take(await store.rum.cellsSince(rollout?.shortId ?? 0, 0, false));
  const strata: readonly Omit<Stratum, 'stage'>[] = window.strata(0, Number.POSITIVE_INFINITY);
  await Promise.all([store.control.close(), store.rum.close()]);
  return {
    pageViews: pageViewsOf(join(dir, 'rum.db')),
    observed: (arm, metric) => strata.reduce((sum, stratum) => sum + (stratum[arm].metrics[metric]?.n ?? 0), 0),
  };
}

function pageViewsOf(file: string): PageView[] {
  const database = new Database(file, { readonly: true });
  const rows = database.prepare<[], { state: string; at: number }>('select state, at from rum_page_view').all();
  database.close();
  return rows.map(({ state, at }) => readPageView(state, at));
}
