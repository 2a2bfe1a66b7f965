import type { Access } from '../control/access.ts';
import type { Documents } from '../control/apply-documents.ts';
import type { createApplyFlags } from '../control/apply-flags.ts';
import type { createApplyPlan } from '../control/apply-plan.ts';
import type { Freezing } from '../control/freezing.ts';
import type { Verbs } from '../control/verbs.ts';
import type { Now } from '../domain/now.ts';
import type { Board } from '../serve/board.ts';
import type { ControlStore } from '../store/store.ts';
import type { RouteDeps } from './route.ts';
import type { ViewDeps } from './view.ts';

/** What the admin routes stand on. Each resource file takes the part it needs. */
export interface AdminDeps extends ViewDeps {
  readonly store: ControlStore;
  readonly clock: () => Now;
  readonly idempotent: RouteDeps['idempotent'];
  readonly verbs: Verbs;
  readonly documents: Documents;
  readonly applyPlan: ReturnType<typeof createApplyPlan>;
  readonly applyFlags: ReturnType<typeof createApplyFlags>;
  readonly freezing: Freezing;
  readonly access: Access;
  readonly board: Pick<Board, 'get'>;
}
