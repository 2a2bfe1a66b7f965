import { compileEnvironment, type Served } from '../serve/compile.ts';
import type { ControlStore } from '../store/store.ts';
import type { Library } from './library.ts';
import { runningOf } from './serving.ts';

export interface PublishDeps {
  readonly store: Pick<ControlStore, 'head' | 'flags' | 'rollouts' | 'latches'>;
  readonly library: Pick<Library, 'plan'>;
  /** Swaps the set in memory and tells the streams. */
  readonly show: (served: Served) => void;
}

/**
 * Compiles an environment from what is committed and shows it. One at a time per environment: an older reading never
 * overtakes a newer one.
 */
export function createPublish(deps: PublishDeps): (environment: string) => Promise<void> {
  const queues = new Map<string, Promise<void>>();

  async function publish(environment: string): Promise<void> {
    // The head is read first: what is read after it can only be newer, and then the next publication brings its number.
    const ver = await deps.store.head();
    const [declared, rollouts, latches] = await Promise.all([
      deps.store.flags(environment),
      deps.store.rollouts({ environment }),
      deps.store.latches(environment),
    ]);
    const running = await runningOf(deps.library, declared, rollouts);
    deps.show(compileEnvironment({ environment, declared, rollouts: running, latches, ver }));
  }

  return (environment) => {
    const next = (queues.get(environment) ?? Promise.resolve()).catch(() => {}).then(() => publish(environment));
    queues.set(environment, next);
    return next;
  };
}
