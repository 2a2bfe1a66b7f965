import { z } from 'zod';
import { requireEnvironment } from '../control/environment.ts';
import { NotFound } from '../control/errors.ts';
import { permissionOf, verbs } from '../domain/machine.ts';
import type { AdminDeps } from './admin.ts';
import { covers } from './auth.ts';
import { byOf, Environment, FlagKey, Limit, Reason, RolloutName } from './by.ts';
import { type Route, route } from './route.ts';
import { viewsOf } from './view.ts';
import type { RolloutView, VerbResult } from './views.ts';

/** Verbs of the API; submitting is part of applying a plan. */
const spoken = verbs.filter((verb) => verb !== 'submit');

export function rolloutRoutes(deps: AdminDeps): readonly Route[] {
  const one = async (environment: string, name: string): Promise<RolloutView> => {
    const [newest] = await deps.store.rollouts({ environment, name });
    if (newest === undefined) throw new NotFound(`there is no rollout ${name} in ${environment}`);
    const [view] = await viewsOf(deps, [newest]);
    if (view === undefined) throw new NotFound(`there is no rollout ${name} in ${environment}`);
    return view;
  };

  const verbRoute = (verb: (typeof spoken)[number]) =>
    route(deps, {
      method: 'post',
      path: `/rollouts/{name}/${verb}`,
      summary: `${verb} a rollout`,
      needs: permissionOf(verb),
      verb,
      params: z.object({ name: RolloutName }),
      query: z.strictObject({ environment: Environment }),
      body: z.strictObject({ reason: Reason }),
      handle: async (call): Promise<VerbResult> => {
        const where = { environment: call.query.environment, name: call.params.name };
        const { decision } = await deps.verbs.act(where, verb, byOf(call, call.body.reason));
        return { rollout: await one(where.environment, where.name), decision };
      },
      // The first answer again, and beside it how things stand now: an old hold must not claim to be in force.
      replay: async (call, first): Promise<VerbResult> => {
        const rollout = await one(call.query.environment, call.params.name);
        const [own] = await deps.store.decisions({ id: `D-${first.seq}`, limit: 1 });
        // A kill of what was killed already has no decision of its own.
        const decision = own ?? rollout.lastDecision;
        if (decision === null) throw new NotFound(`decision D-${first.seq} is gone`);
        return { rollout, decision };
      },
    });

  const flagRoute = (verb: 'kill' | 'rearm') =>
    route(deps, {
      method: 'post',
      path: `/flags/{key}/${verb}`,
      summary: `${verb} a flag with all its rollouts`,
      needs: permissionOf(verb),
      verb,
      params: z.object({ key: FlagKey }),
      query: z.strictObject({ environment: Environment }),
      body: z.strictObject({ reason: Reason }),
      handle: async (call) => {
        const { environment } = call.query;
        const act = verb === 'kill' ? deps.verbs.killFlag : deps.verbs.rearmFlag;
        await act(environment, call.params.key, byOf(call, call.body.reason));
        return flagNow(environment, call.params.key);
      },
      replay: (call) => flagNow(call.query.environment, call.params.key),
    });

  const flagNow = async (environment: string, flag: string) => ({
    flag,
    environment,
    latch: (await deps.store.latches(environment)).find((latch) => latch.flag === flag && latch.wave === null) ?? null,
    rollouts: await viewsOf(deps, await deps.store.rollouts({ environment, flag, current: true })),
  });

  return [
    route(deps, {
      method: 'get',
      path: '/rollouts',
      summary: 'rollouts, newest first',
      needs: 'read',
      query: z.strictObject({
        environment: Environment.removeDefault().optional(),
        flag: FlagKey.optional(),
        all: z.string().optional(),
      }),
      handle: async ({ query }) => {
        if (query.environment !== undefined) await requireEnvironment(deps.store, query.environment);
        const found = await deps.store.rollouts({
          ...(query.environment === undefined ? {} : { environment: query.environment }),
          ...(query.flag === undefined ? {} : { flag: query.flag }),
          current: query.all === undefined,
        });
        return { rollouts: await viewsOf(deps, found) };
      },
    }),
    route(deps, {
      method: 'get',
      path: '/rollouts/{name}',
      summary: 'one rollout',
      needs: 'read',
      params: z.object({ name: RolloutName }),
      query: z.strictObject({ environment: Environment }),
      handle: ({ params, query }) => one(query.environment, params.name),
    }),
    ...spoken.map(verbRoute),
    flagRoute('kill'),
    flagRoute('rearm'),
    route(deps, {
      method: 'get',
      path: '/decisions',
      summary: 'decisions, newest first',
      needs: 'read',
      query: z.strictObject({ rollout: RolloutName.optional(), environment: Environment, limit: Limit }),
      handle: async ({ query }) => {
        if (query.rollout === undefined) {
          await requireEnvironment(deps.store, query.environment);
          const all = await deps.store.decisions({ limit: 500 });
          return {
            decisions: all.filter(({ environment }) => environment === query.environment).slice(0, query.limit),
          };
        }
        const { id } = await one(query.environment, query.rollout);
        return { decisions: await deps.store.decisions({ rollout: id, limit: query.limit }) };
      },
    }),
    route(deps, {
      method: 'get',
      path: '/decisions/{id}',
      summary: 'one decision',
      needs: 'read',
      params: z.object({ id: z.string().regex(/^D-\d{1,15}$/) }),
      query: z.strictObject({ environment: Environment.removeDefault().optional() }),
      handle: async ({ params, principal }) => {
        const [decision] = await deps.store.decisions({ id: params.id, limit: 1 });
        if (decision === undefined || !covers(principal, decision.environment))
          throw new NotFound(`there is no decision ${params.id}`);
        return decision;
      },
    }),
  ];
}
