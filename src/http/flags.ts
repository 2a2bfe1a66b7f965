import { z } from 'zod';
import { NotFound } from '../control/errors.ts';
import type { AdminDeps } from './admin.ts';
import { byOf, Document, DryRun, Environment } from './by.ts';
import { type Route, route } from './route.ts';
import type { ApplyResult } from './views.ts';

/** Plain flags as a flagd flag set, and the compiled set that is served. */
export function flagRoutes(deps: AdminDeps): readonly Route[] {
  return [
    route(deps, {
      method: 'get',
      path: '/flags',
      summary: 'declared flags of an environment, as a flagd flag set',
      needs: 'read',
      query: z.strictObject({ environment: Environment }),
      handle: ({ query }) => deps.store.flags(query.environment),
    }),
    route(deps, {
      method: 'put',
      path: '/flags',
      summary: 'replace the declared flags of an environment with a flagd flag set; rollouts stay as they are',
      needs: 'plan.apply',
      query: z.strictObject({ environment: Environment, dryRun: DryRun }),
      body: Document,
      handle: async (call): Promise<ApplyResult> => {
        const { environment, dryRun } = call.query;
        const applied = await deps.applyFlags(call.body, environment, dryRun, byOf(call), deps.now());
        return { ...applied, dryRun, rollouts: [] };
      },
    }),
    route(deps, {
      method: 'get',
      path: '/export',
      summary: 'the compiled flagd flag set that providers read',
      needs: 'read',
      query: z.strictObject({ environment: Environment }),
      handle: ({ query }) => {
        const shown = deps.board.get(query.environment);
        if (shown === null) throw new NotFound(`there is no environment ${query.environment}`);
        return Promise.resolve(shown.served.flagSet);
      },
    }),
  ];
}
