import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Board, Shown } from '../serve/board.ts';
import type { Hub } from '../serve/hub.ts';
import { headEvent, syncChannel } from '../serve/publish.ts';
import type { Principal } from './auth.ts';
import { environmentOf, refuseStream } from './ofrep.ts';
import { type RawHandler, sendJson, sendTagged, targetOf } from './raw.ts';

export interface SyncDeps {
  authenticate(req: IncomingMessage): Principal | null;
  readonly board: Pick<Board, 'get'>;
  readonly hub: Pick<Hub, 'open' | 'since' | 'size'>;
  /** Receives what should not have happened; the caller gets a 500. */
  failed(error: unknown): void;
}

/** `GET /v1/snapshot` and `GET /v1/stream`: the full rules of one environment, for server keys only. */
export function syncHandler(deps: SyncDeps): RawHandler {
  return (req, res) => {
    const { path, query } = targetOf(req);
    const answer = path === '/v1/snapshot' ? sendSnapshot : path === '/v1/stream' ? openStream : null;
    if (answer === null) return false;
    try {
      const view = allowedView(deps, req, res, query);
      if (view !== null) answer(deps, req, res, view);
    } catch (error) {
      deps.failed(error);
      sendJson(res, 500, { errorDetails: 'something broke in the controller' });
    }
    return true;
  };
}

interface View {
  readonly shown: Shown;
  readonly keyId: string;
}

/** The environment that this key may read, or null after an answer that says why not. */
function allowedView(deps: SyncDeps, req: IncomingMessage, res: ServerResponse, query: string): View | null {
  const refuse = (status: number, errorDetails: string, headers = {}): null => {
    sendJson(res, status, { errorDetails }, headers);
    return null;
  };
  if (req.method !== 'GET') return refuse(405, 'use GET', { Allow: 'GET' });
  const principal = deps.authenticate(req);
  if (principal === null) return refuse(401, 'a valid server key is needed', { 'WWW-Authenticate': 'Bearer' });
  if (principal.role !== 'sdk-server') return refuse(403, 'rules leave only to server keys');
  const environment = environmentOf(principal, query);
  const shown = deps.board.get(environment);
  if (shown === null) return refuse(503, `environment ${environment} is not served`, { 'Retry-After': '2' });
  return { shown, keyId: principal.id };
}

function sendSnapshot(_deps: SyncDeps, req: IncomingMessage, res: ServerResponse, { shown }: View): void {
  sendTagged(req, res, shown.snapshot.etag, shown.snapshot.bytes);
}

function openStream(deps: SyncDeps, req: IncomingMessage, res: ServerResponse, { shown, keyId }: View): void {
  const { environment, ver } = shown.served;
  const channel = syncChannel(environment);
  const last = req.headers['last-event-id'];
  // What the ring no longer holds cannot be replayed: the head alone then tells the provider to fetch the snapshot.
  const missed = last === undefined ? null : deps.hub.since(channel, Number(last));
  const opened = deps.hub.open(res, {
    channel,
    keyId,
    first: [headEvent(ver), ...(missed ?? [])],
    seen: ver,
  });
  refuseStream(deps.hub, res, opened);
}
