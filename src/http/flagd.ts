import type { IncomingMessage } from 'node:http';
import type { Board } from '../serve/board.ts';
import type { Principal } from './auth.ts';
import { type RawHandler, sendJson, sendTagged, targetOf } from './raw.ts';

export interface FlagdDeps {
  authenticate(req: IncomingMessage): Principal | null;
  readonly board: Pick<Board, 'get'>;
  /** Rules are readable without a key. */
  readonly isPublic: boolean;
}

const route = /^\/flagd\/v1\/([^/]+)\/flags\.json$/;

/**
 * `GET /flagd/v1/{environment}/flags.json`: the served set as flagd reads it, for daemons and files. Whole fleets of
 * daemons ask every 5 s at the same instant, so both answers come from a buffer made when the set was published.
 */
export function flagdHandler(deps: FlagdDeps): RawHandler {
  return (req, res) => {
    const { path } = targetOf(req);
    const environment = route.exec(path)?.[1];
    if (environment === undefined) return false;
    const refuse = (status: number, errorDetails: string, headers = {}): true => {
      sendJson(res, status, { errorDetails }, headers);
      return true;
    };
    if (req.method !== 'GET' && req.method !== 'HEAD') return refuse(405, 'use GET', { Allow: 'GET, HEAD' });
    if (!deps.isPublic) {
      const principal = deps.authenticate(req);
      if (principal === null) return refuse(401, 'a valid server key is needed', { 'WWW-Authenticate': 'Bearer' });
      const foreign = principal.environment !== null && principal.environment !== environment;
      if (principal.role !== 'sdk-server' || foreign)
        return refuse(403, 'rules leave only to server keys of this environment');
    }
    const fixed = deps.board.get(environment)?.flagd;
    if (fixed === undefined) return refuse(404, 'no such environment');
    sendTagged(req, res, fixed.etag, fixed.bytes);
    return true;
  };
}
