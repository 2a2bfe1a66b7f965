import { z } from 'zod';
import { Invalid, NotFound } from '../control/errors.ts';
import { parsePlan } from '../domain/plan.ts';
import type { DeclaredKind } from '../store/store.ts';
import type { AdminDeps } from './admin.ts';
import { covers, type Principal } from './auth.ts';
import { byOf, Document, DryRun, Environment, Name } from './by.ts';
import { Forbidden } from './problems.ts';
import { type Route, refuseUnless, route } from './route.ts';
import { viewsOf } from './view.ts';
import type { ApplyResult } from './views.ts';

const plural: { readonly [kind in DeclaredKind]: string } = { plan: 'plans', policy: 'policies', signal: 'signals' };

/** Plans, policies and signals: what people declare. */
export function documentRoutes(deps: AdminDeps): readonly Route[] {
  const reading = (kind: DeclaredKind): readonly Route[] => [
    route(deps, {
      method: 'get',
      path: `/${plural[kind]}`,
      summary: `newest version of every ${kind}`,
      needs: 'read',
      handle: async () => ({
        [plural[kind]]: (await deps.store.documents(kind)).map(({ name, version, digest, createdAt, author }) => ({
          name,
          version,
          digest,
          createdAt,
          author,
        })),
      }),
    }),
    route(deps, {
      method: 'get',
      path: `/${plural[kind]}/{name}`,
      summary: `one ${kind}, its newest version or another`,
      needs: 'read',
      params: z.object({ name: Name }),
      query: z.strictObject({
        version: z.coerce.number().int().min(1).optional(),
        environment: Environment.removeDefault().optional(),
      }),
      handle: async ({ params, query }) => {
        const found = await deps.store.document(kind, params.name, query.version);
        if (found === null)
          throw new NotFound(
            `there is no ${kind} ${params.name}${query.version === undefined ? '' : `@${query.version}`}`,
          );
        return found;
      },
    }),
  ];

  /** The name in the path is the document's own, or somebody mixed up two files. */
  const checkName = (name: string, document: { readonly [key: string]: unknown }) => {
    const own = z.object({ metadata: z.object({ name: z.string() }) }).safeParse(document);
    if (own.success && own.data.metadata.name !== name) {
      throw new Invalid(`the document is called ${own.data.metadata.name}, not ${name}`, [
        { path: 'metadata.name', message: 'differs from the path' },
      ]);
    }
  };

  /** The waves of a plan name their environments themselves. */
  const refuseForeignWaves = (document: unknown, principal: Principal) => {
    const parsed = parsePlan(document);
    const foreign = parsed.ok
      ? parsed.value.spec.waves.find(({ environment }) => !covers(principal, environment))
      : undefined;
    if (foreign !== undefined)
      throw new Forbidden(
        `wave ${foreign.name} is in ${foreign.environment}, this token is for ${principal.environment}`,
      );
  };

  const versioned = (kind: 'policy' | 'signal') =>
    route(deps, {
      method: 'put',
      path: `/${plural[kind]}/{name}`,
      summary: `store a version of a ${kind}`,
      // Nobody may tighten who may not loosen: whether this one is a tightening is asked once it has been read.
      needs: kind === 'policy' ? 'policy.loosen' : 'plan.apply',
      params: z.object({ name: Name }),
      query: z.strictObject({ dryRun: DryRun, environment: Environment.removeDefault().optional() }),
      body: Document,
      handle: async (call): Promise<ApplyResult> => {
        checkName(call.params.name, call.body);
        if (kind === 'policy') refuseUnless(call.principal, await deps.documents.permissionFor(call.body));
        const apply = kind === 'policy' ? deps.documents.applyPolicy : deps.documents.applySignal;
        const applied = await apply(call.body, call.query.dryRun, byOf(call), deps.now());
        return { ...applied, dryRun: call.query.dryRun, rollouts: [] };
      },
    });

  return [
    ...reading('plan'),
    ...reading('policy'),
    ...reading('signal'),
    versioned('policy'),
    versioned('signal'),
    route(deps, {
      method: 'put',
      path: '/plans/{name}',
      summary: 'apply a plan: never un-kills, never raises a live rollout',
      needs: 'plan.apply',
      params: z.object({ name: Name }),
      query: z.strictObject({ environment: Environment, dryRun: DryRun }),
      body: Document,
      handle: async (call): Promise<ApplyResult> => {
        checkName(call.params.name, call.body);
        refuseForeignWaves(call.body, call.principal);
        const { environment, dryRun } = call.query;
        const { rollouts, ...applied } = await deps.applyPlan(call.body, environment, dryRun, byOf(call), deps.clock());
        return {
          ...applied,
          dryRun,
          rollouts: dryRun && applied.change !== 'none' ? [] : await viewsOf(deps, rollouts),
        };
      },
    }),
  ];
}
