import type { Response } from 'express';
import { z } from 'zod';
import { Invalid, NotFound, Refused } from '../control/errors.ts';
import { Conflict, StoreUnavailable } from '../store/store.ts';
import type { Problem } from './views.ts';

/** Nobody, or nobody we know: 401. */
export class Unauthenticated extends Error {
  override name = 'Unauthenticated';
}

/** Somebody, but without this permission: 403. */
export class Forbidden extends Error {
  override name = 'Forbidden';
}

/** The request itself is unusable (media type, size, headers). */
export class BadRequest extends Error {
  override name = 'BadRequest';
  readonly status: 400 | 412 | 413 | 415 | 422;
  readonly code: string;
  constructor(status: 400 | 412 | 413 | 415 | 422, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const problem = (status: number, code: string, title: string, detail: string, errors?: Problem['errors']): Problem => ({
  type: `https://tidegate.dev/problems/${code}`,
  title,
  status,
  detail,
  code,
  ...(errors !== undefined && errors.length > 0 ? { errors } : {}),
});

/** express and body-parser mark their own errors with a status. */
const Marked = z.object({ status: z.number().int().min(400).max(499), message: z.string() });

/** The only place that knows which error is which status. An unknown error becomes a 500 that says nothing about us. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Unauthenticated) return problem(401, 'unauthenticated', 'Who are you?', error.message);
  if (error instanceof Forbidden) return problem(403, 'forbidden', 'Not yours to do', error.message);
  if (error instanceof NotFound) return problem(404, 'not_found', 'Not found', error.message);
  if (error instanceof Conflict)
    return problem(
      409,
      'conflict',
      'Somebody else was first',
      'It has changed since it was read: read it again and repeat.',
    );
  if (error instanceof Refused) {
    return problem(
      409,
      error.code,
      'Refused',
      error.message,
      error.waitingFor.map((wait) => ({ path: '', message: wait.text })),
    );
  }
  if (error instanceof Invalid) return problem(422, 'invalid', 'Not valid', error.message, error.problems);
  if (error instanceof z.ZodError) {
    const errors = error.issues.map((issue) => ({ path: issue.path.join('.'), message: issue.message }));
    return problem(
      422,
      'invalid',
      'Not valid',
      errors.map((e) => (e.path === '' ? e.message : `${e.path}: ${e.message}`)).join('; '),
      errors,
    );
  }
  if (error instanceof BadRequest) return problem(error.status, error.code, 'Unusable request', error.message);
  if (error instanceof StoreUnavailable) {
    return problem(
      503,
      'store_unavailable',
      'The database takes no writes now',
      'Nothing was changed. See /readyz; try again.',
    );
  }
  const marked = Marked.safeParse(error);
  if (marked.success) return problem(marked.data.status, 'bad_request', 'Unusable request', marked.data.message);
  return problem(500, 'internal', 'Something broke here', 'The error is in the controller log.');
}

export function sendProblem(res: Response, found: Problem): void {
  if (found.status === 503) res.setHeader('Retry-After', '2');
  if (found.status === 401) res.setHeader('WWW-Authenticate', 'Bearer');
  res.status(found.status).type('application/problem+json').send(JSON.stringify(found));
}
