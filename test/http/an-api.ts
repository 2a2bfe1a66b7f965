import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import request from 'supertest';
import type { AdminDeps } from '../../src/http/admin.ts';
import { createAuth } from '../../src/http/auth.ts';
import { documentRoutes } from '../../src/http/documents.ts';
import { flagRoutes } from '../../src/http/flags.ts';
import { governanceRoutes } from '../../src/http/governance.ts';
import { rolloutRoutes } from '../../src/http/rollouts.ts';
import { mount, type Route } from '../../src/http/route.ts';
import type { Role } from '../../src/store/store.ts';
import { ana, type Control } from '../support/a-controller.ts';

/** The admin API on a real socket, over a control layer whose clock the test holds. */
export async function anApi(world: Control, extra: (deps: AdminDeps) => readonly Route[] = () => []) {
  const auth = createAuth(() => world.now().wall);
  const deps: AdminDeps = {
    store: world.store,
    library: world.library,
    clock: world.now,
    now: () => world.now().wall,
    seen: (id) => world.ticker.seen(id),
    idempotent: world.store.idempotent,
    verbs: world.verbs,
    documents: world.documents,
    applyPlan: (document, environment, dryRun, by) => world.applyPlan(document, { environment, dryRun, by }),
    applyFlags: world.applyFlags,
    freezing: world.freezing,
    access: world.access,
    board: { get: () => null },
  };
  const routes = [
    ...rolloutRoutes(deps),
    ...documentRoutes(deps),
    ...flagRoutes(deps),
    ...governanceRoutes(deps),
    ...extra(deps),
  ];
  const reported: unknown[] = [];
  const app = express().disable('x-powered-by').set('query parser', 'simple');
  app.use(
    '/api/v1',
    mount(routes, { auth, idempotent: deps.idempotent, now: deps.now, report: (error) => reported.push(error) }),
  );
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const http = request(url);
  return {
    url,
    http,
    routes,
    reported,
    async token(role: Role, environment: string | null = null): Promise<string> {
      const wanted = { role, subject: `${role}-${environment ?? 'anywhere'}`, environment, days: null };
      const { token } = await world.access.createToken(wanted, ana, world.now().wall);
      auth.load(await world.store.tokens());
      return token;
    },
    as: (token: string) => ({
      send: (method: 'get' | 'post' | 'put' | 'delete', path: string, body?: object) => {
        const asked = http[method](`/api/v1${path}`).auth(token, { type: 'bearer' });
        return body === undefined ? asked : asked.send(body);
      },
    }),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await world.close();
    },
  };
}

export type Api = Awaited<ReturnType<typeof anApi>>;
