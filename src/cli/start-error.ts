import { BadSetting } from '../config.ts';
import { Refused } from '../control/errors.ts';
import { DataDirectory, NewerSchema } from '../store/driver.ts';
import { StoreUnavailable } from '../store/store.ts';
import { Exit, exit } from './exit.ts';

/** The operating system's codes, and the five characters that PostgreSQL answers with. */
const outside = /^(E[A-Z]+\d*|[0-9A-Z]{5})$/;

/**
 * What kept the controller from starting, as one sentence and an exit code: 4 when a setting has to change, 78 when
 * something around it has to. An error that we do not know stays as it is: it is a bug, and its stack helps.
 * `ports` says how to choose another port.
 */
export function startError(error: unknown, ports: string): unknown {
  if (error instanceof BadSetting || error instanceof Refused) return new Exit(exit.invalid, error.message);
  if (error instanceof NewerSchema || error instanceof DataDirectory) return new Exit(exit.unusable, error.message);
  if (error instanceof StoreUnavailable) return new Exit(exit.unusable, messageOf(error));
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'EADDRINUSE') return new Exit(exit.unusable, `${messageOf(error)}: ${ports}`);
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN' || code === 'EADDRNOTAVAIL')
    return new Exit(exit.invalid, `TIDEGATE_HOST is no address of this machine: ${messageOf(error)}`);
  return outside.test(code) ? new Exit(exit.unusable, messageOf(error)) : error;
}

/** A host with two addresses fails twice, and the error that says so has no message of its own. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const inner = error.cause instanceof AggregateError ? error.cause.errors : [];
  const texts = inner.map((one: unknown) => messageOf(one));
  return [error.message.replace(/: $/, ''), ...new Set(texts)].filter((text) => text !== '').join(': ');
}
