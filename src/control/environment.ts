import type { ControlStore } from '../store/store.ts';
import { NotFound } from './errors.ts';

/** Throws `NotFound` for an environment that nobody has made: a typo must not look like an empty or a frozen place. */
export async function requireEnvironment(store: Pick<ControlStore, 'environments'>, name: string): Promise<void> {
  const known = await store.environments();
  if (!known.some((environment) => environment.name === name)) throw new NotFound(`there is no environment ${name}`);
}
