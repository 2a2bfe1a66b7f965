import { createHash } from 'node:crypto';
import express, { type Request, type RequestHandler, type Response, Router } from 'express';
import { z } from 'zod';
import { NotFound } from '../control/errors.ts';
import type { Verb } from '../domain/machine.ts';
import type { Permission } from '../domain/permissions.ts';
import { allowed } from '../domain/permissions.ts';
import type { IdempotentAnswer } from '../store/store.ts';
import { type Auth, covers, type Principal } from './auth.ts';
import { BadRequest, Forbidden, problemOf, sendProblem, Unauthenticated } from './problems.ts';
import { jsonDepth } from './raw.ts';

export type Method = 'get' | 'post' | 'put' | 'delete';

/** What a handler is told of the call. */
export interface Call<Params, Query, Body> {
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  readonly principal: Principal;
  /** To be committed with the change, so that a repeated call finds it; null when the caller sent no key. */
  readonly idempotency: Omit<IdempotentAnswer, 'seq'> | null;
}

/** One route as data: `mount` serves it, and documentation can be folded from the same array. */
export interface Route {
  readonly method: Method;
  /** OpenAPI spelling: `/rollouts/{name}`. */
  readonly path: string;
  readonly summary: string;
  readonly needs: Permission;
  /** Where a role may do some verbs of a permission and not others. */
  readonly verb?: Verb;
  readonly status: number;
  handle(req: Request, principal: Principal): Promise<{ readonly reply: unknown; readonly replayed: boolean }>;
}

interface Definition<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, R> {
  readonly method: Method;
  readonly path: string;
  readonly summary: string;
  readonly needs: Permission;
  readonly verb?: Verb;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  readonly status?: number;
  handle(call: Call<z.infer<P>, z.infer<Q>, z.infer<B>>): Promise<R>;
  /** Answers a repeated `Idempotency-Key`: the first result together with the present state. */
  replay?(call: Call<z.infer<P>, z.infer<Q>, z.infer<B>>, first: IdempotentAnswer): Promise<R>;
}

const None = z.strictObject({});
const keyShape = /^[\x21-\x7e]{1,128}$/;

export interface RouteDeps {
  readonly auth: Pick<Auth, 'authenticate'>;
  readonly idempotent: (key: string, subject: string) => Promise<IdempotentAnswer | null>;
  readonly now: () => number;
  readonly report: (error: unknown, req: Request) => void;
}

/** Turns a definition into a `Route`: input is parsed here, once, and nowhere further in. */
export function route<
  P extends z.ZodType = typeof None,
  Q extends z.ZodType = typeof None,
  B extends z.ZodType = typeof None,
  R = unknown,
>(deps: Pick<RouteDeps, 'idempotent' | 'now'>, definition: Definition<P, Q, B, R>): Route {
  const { params = None, query = None, body = None } = definition;
  return {
    method: definition.method,
    path: definition.path,
    summary: definition.summary,
    needs: definition.needs,
    ...(definition.verb === undefined ? {} : { verb: definition.verb }),
    status: definition.status ?? 200,
    async handle(req, principal) {
      const key = idempotencyKey(req);
      const request = digestOf(req);
      const asked = query.parse({ ...ownEnvironment(query, principal), ...req.query }) as z.infer<Q>;
      refuseForeign(asked, principal);
      const call = {
        params: params.parse(req.params) as z.infer<P>,
        query: asked,
        body: body.parse(req.body ?? {}) as z.infer<B>,
        principal,
        idempotency:
          key === null || definition.method === 'get'
            ? null
            : { key, subject: principal.subject, request, status: definition.status ?? 200, body: '', at: deps.now() },
      };
      const replay = async (first: IdempotentAnswer) => {
        if (first.request !== request)
          throw new BadRequest(422, 'idempotency_key_reused', 'this Idempotency-Key was used for another request');
        return { reply: (await definition.replay?.(call, first)) ?? JSON.parse(first.body || '{}'), replayed: true };
      };
      const first = call.idempotency === null ? null : await deps.idempotent(call.idempotency.key, principal.subject);
      if (first !== null) return replay(first);
      try {
        return { reply: await definition.handle(call), replayed: false };
      } catch (error) {
        // Two copies of one request at once: the loser, whatever stopped it, answers as a repeat of the winner.
        const won = call.idempotency === null ? null : await deps.idempotent(call.idempotency.key, principal.subject);
        if (won !== null) return replay(won);
        throw error;
      }
    },
  };
}

function idempotencyKey(req: Request): string | null {
  const key = req.get('idempotency-key');
  if (key === undefined) return null;
  if (!keyShape.test(key))
    throw new BadRequest(400, 'bad_idempotency_key', 'Idempotency-Key is 1 to 128 visible ASCII characters');
  return key;
}

const digestOf = (req: Request) =>
  createHash('sha256')
    .update(`${req.method} ${req.originalUrl}\n${JSON.stringify(req.body ?? null)}`)
    .digest('hex');

/** A token for one environment means that one when the caller names none. */
function ownEnvironment(query: z.ZodType, { environment }: Principal): { readonly environment?: string } {
  const isAsked = query instanceof z.ZodObject && 'environment' in query.shape;
  return environment === null || !isAsked ? {} : { environment };
}

const Asked = z.object({ environment: z.string() });

function refuseForeign(query: unknown, principal: Principal): void {
  const asked = Asked.safeParse(query);
  if (asked.success && !covers(principal, asked.data.environment))
    throw new Forbidden(`this token is for the environment ${principal.environment}`);
}

/** Serves the routes under `/api/v1`, each behind its permission. */
export function mount(routes: readonly Route[], deps: RouteDeps): Router {
  const router = Router();
  // Nobody's body is read before we know whose it is.
  router.use((req, _res, next) => {
    if (deps.auth.authenticate(req) === null)
      throw new Unauthenticated('send a valid token: Authorization: Bearer tg_...');
    next();
  });
  router.use(jsonOnly, express.json({ limit: '256kb', strict: true, verify: refuseDeep }));
  for (const one of routes) {
    const handler: RequestHandler = (req, res, next) => {
      answer(one, req, res, deps).catch(next);
    };
    router[one.method](one.path.replaceAll(/\{(\w+)\}/g, ':$1'), handler);
  }
  router.use((req) => {
    throw new NotFound(`there is no ${req.method} ${req.baseUrl}${req.path}`);
  });
  router.use(((error, req, res, _next) => {
    const found = problemOf(error);
    if (found.status >= 500) deps.report(error, req);
    sendProblem(res, found);
  }) as express.ErrorRequestHandler);
  return router;
}

async function answer(one: Route, req: Request, res: Response, deps: RouteDeps): Promise<void> {
  const principal = deps.auth.authenticate(req);
  if (principal === null) throw new Unauthenticated('send a valid token: Authorization: Bearer tg_...');
  refuseUnless(principal, one.needs, one.verb);
  const { reply, replayed } = await one.handle(req, principal);
  if (replayed) res.setHeader('Idempotency-Replayed', 'true');
  res.setHeader('Cache-Control', 'no-store');
  res.status(one.status).json(reply);
}

export function refuseUnless({ role }: Principal, permission: Permission, verb?: Verb): void {
  if (allowed(role, permission, verb) === 'no')
    throw new Forbidden(`${permission} is not among the permissions of the role ${role}`);
}

const maxDepth = 64;

/** Everything behind this walks the body recursively. The scan reads UTF-8, which is what JSON is. */
function refuseDeep(_req: unknown, _res: unknown, body: Buffer, encoding: string): void {
  if (encoding !== 'utf-8') throw new BadRequest(415, 'unsupported_media_type', 'send JSON in UTF-8');
  if (jsonDepth(body) > maxDepth) throw new BadRequest(400, 'too_deep', `the JSON is nested deeper than ${maxDepth}`);
}

const jsonOnly: RequestHandler = (req, _res, next) => {
  const length = req.headers['content-length'];
  const hasBody = (length !== undefined && length !== '0') || req.headers['transfer-encoding'] !== undefined;
  if (hasBody && !req.is('application/json'))
    throw new BadRequest(415, 'unsupported_media_type', 'send application/json');
  next();
};
