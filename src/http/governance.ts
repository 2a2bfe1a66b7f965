import { z } from 'zod';
import { tokenDays } from '../control/access.ts';
import { NotFound } from '../control/errors.ts';
import { roles } from '../domain/permissions.ts';
import type { AdminDeps } from './admin.ts';
import { covers } from './auth.ts';
import { AuditTarget, byOf, Environment, Limit, Name, Reason, Subject } from './by.ts';
import { Forbidden } from './problems.ts';
import { type Route, route } from './route.ts';

const Where = z.strictObject({ environment: Environment.removeDefault().optional() });

/** Tokens, environments, freezes and the audit log. */
export function governanceRoutes(deps: AdminDeps): readonly Route[] {
  return [
    route(deps, {
      method: 'get',
      path: '/tokens',
      summary: 'tokens without their secrets',
      needs: 'access.manage',
      handle: async ({ principal }) => ({
        tokens: (await deps.store.tokens())
          .filter(({ environment }) => covers(principal, environment))
          .map(({ secretHash: _, ...record }) => record),
      }),
    }),
    route(deps, {
      method: 'post',
      path: '/tokens',
      summary: 'make a token; its text is in this answer and nowhere else',
      needs: 'access.manage',
      status: 201,
      body: z.strictObject({
        role: z.enum(roles),
        subject: Subject,
        environment: Name.optional(),
        expiresInDays: z.number().int().min(1).max(tokenDays.most).optional(),
      }),
      handle: (call) => {
        const { role, subject, environment, expiresInDays } = call.body;
        if (!covers(call.principal, environment ?? null))
          throw new Forbidden(`this token may only make tokens for ${call.principal.environment}`);
        return deps.access.createToken(
          { role, subject, environment: environment ?? null, days: expiresInDays ?? null },
          byOf(call),
          deps.now(),
        );
      },
    }),
    route(deps, {
      method: 'delete',
      path: '/tokens/{id}',
      summary: 'revoke a token',
      needs: 'access.manage',
      params: z.object({ id: z.string().regex(/^[0-9A-Za-z]{8}$/) }),
      handle: async (call) => {
        const found = (await deps.store.tokens()).find(({ id }) => id === call.params.id);
        if (found === undefined || !covers(call.principal, found.environment))
          throw new NotFound(`there is no token ${call.params.id}`);
        await deps.access.revokeToken(call.params.id, byOf(call), deps.now());
        return { revoked: call.params.id };
      },
    }),
    route(deps, {
      method: 'get',
      path: '/environments',
      summary: 'environments',
      needs: 'read',
      handle: async ({ principal }) => ({
        environments: (await deps.store.environments()).filter(({ name }) => covers(principal, name)),
      }),
    }),
    route(deps, {
      method: 'post',
      path: '/environments',
      summary: 'make an environment',
      needs: 'access.manage',
      status: 201,
      body: z.strictObject({ name: Name, protected: z.boolean().default(false) }),
      handle: (call) => {
        if (!covers(call.principal, null)) throw new Forbidden('a token for one environment makes no others');
        return deps.access.createEnvironment(call.body, byOf(call), deps.now());
      },
    }),
    route(deps, {
      method: 'get',
      path: '/freezes',
      summary: 'freezes that stand',
      needs: 'read',
      query: Where,
      handle: async ({ query }) => ({
        freezes: (await deps.store.freezes()).filter(
          ({ environment }) =>
            query.environment === undefined || (environment ?? query.environment) === query.environment,
        ),
      }),
    }),
    route(deps, {
      method: 'put',
      path: '/freezes',
      summary: 'block every increase, in one environment or everywhere',
      needs: 'env.freeze',
      query: Where,
      body: z.strictObject({ reason: Reason, until: z.iso.datetime({ offset: true }).optional() }),
      handle: async (call) => {
        const until = call.body.until === undefined ? null : Date.parse(call.body.until);
        return {
          freeze: await deps.freezing.on(
            call.query.environment ?? null,
            until,
            byOf(call, call.body.reason),
            deps.now(),
          ),
        };
      },
    }),
    route(deps, {
      method: 'delete',
      path: '/freezes',
      summary: 'end a freeze',
      needs: 'env.unfreeze',
      query: Where,
      body: z.strictObject({ reason: Reason }),
      handle: async (call) => {
        await deps.freezing.off(call.query.environment ?? null, byOf(call, call.body.reason), deps.now());
        return {};
      },
    }),
    route(deps, {
      method: 'get',
      path: '/audit',
      summary: 'audit records, newest first',
      needs: 'read',
      query: z.strictObject({
        environment: Environment.removeDefault().optional(),
        target: AuditTarget.optional(),
        before: z.coerce.number().int().min(1).optional(),
        limit: Limit,
      }),
      handle: async ({ query }) => {
        const records = await deps.store.audit({
          limit: query.limit,
          ...(query.environment === undefined ? {} : { environment: query.environment }),
          ...(query.target === undefined ? {} : { target: query.target }),
          ...(query.before === undefined ? {} : { before: query.before }),
        });
        return { records };
      },
    }),
  ];
}
