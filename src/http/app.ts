import express, { type ErrorRequestHandler, type Express } from 'express';
import { NotFound } from '../control/errors.ts';
import { type PageDeps, page } from './page.ts';
import { problemOf, sendProblem } from './problems.ts';
import { mount, type Route, type RouteDeps } from './route.ts';

export interface AppDeps {
  readonly routes: readonly Route[];
  readonly api: RouteDeps;
  readonly page: PageDeps;
  /** Whether a hop's address belongs to a proxy that is believed. */
  readonly trusted: (address: string) => boolean;
}

/** All that is not hot: the admin API, the page, and a problem document for whatever is neither. */
export function createApp({ routes, api, page: pageDeps, trusted }: AppDeps): Express {
  const app = express().disable('x-powered-by').set('query parser', 'simple').set('trust proxy', trusted);
  app.use('/api/v1', mount(routes, api));
  app.use(page(pageDeps));
  app.use((req) => {
    throw new NotFound(`there is no ${req.method} ${req.path}`);
  });
  // express's own answer is a page with the stack of the error.
  app.use(((error, req, res, next) => {
    if (res.headersSent) return next(error);
    const found = problemOf(error);
    if (found.status >= 500) api.report(error, req);
    sendProblem(res, found);
  }) as ErrorRequestHandler);
  return app;
}
