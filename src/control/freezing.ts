import type { Freeze } from '../domain/rollout.ts';
import type { ControlStore } from '../store/store.ts';
import { type By, once } from './by.ts';
import { requireEnvironment } from './environment.ts';
import { Invalid, NotFound } from './errors.ts';

export interface Freezing {
  /**
   * `environment: null` = everywhere. Blocks every increase and no decrease, from this moment. Throws `NotFound` for an
   * environment that does not exist: whoever mistypes it must not believe that something is frozen.
   */
  on(environment: string | null, until: number | null, by: By, wall: number): Promise<Freeze>;
  /** Nothing advances before one fresh tick has looked. */
  off(environment: string | null, by: By, wall: number): Promise<void>;
}

export function createFreezing(store: Pick<ControlStore, 'commit' | 'freezes' | 'environments'>): Freezing {
  const auditOf = (action: string, environment: string | null, by: By, wall: number) => ({
    at: wall,
    actor: by.actor,
    action,
    environment,
    target: environment ?? 'everywhere',
    reason: by.reason,
    detail: {},
  });
  return {
    async on(environment, until, by, wall) {
      if (by.reason === null) throw new Invalid('a freeze needs a reason', [{ path: 'reason', message: 'is missing' }]);
      if (until !== null && until <= wall)
        throw new Invalid('the freeze would be over already', [{ path: 'until', message: 'lies in the past' }]);
      if (environment !== null) await requireEnvironment(store, environment);
      const freeze: Freeze = { environment, reason: by.reason, by: by.actor, from: wall, until };
      await store.commit({
        audit: auditOf('freeze.on', environment, by, wall),
        freeze: { on: freeze },
        ...once(by, { freeze }),
      });
      return freeze;
    },
    async off(environment, by, wall) {
      const known = await store.freezes();
      if (!known.some((freeze) => freeze.environment === environment)) {
        if (environment !== null) await requireEnvironment(store, environment);
        throw new NotFound(`${environment ?? 'everywhere'} is not frozen`);
      }
      await store.commit({
        audit: auditOf('freeze.off', environment, by, wall),
        freeze: { off: { environment } },
        ...once(by, {}),
      });
    },
  };
}
