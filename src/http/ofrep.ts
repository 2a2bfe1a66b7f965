import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Context } from '@tidegate/core';
import { bulkAnswer, singleAnswer, type TokenRequest } from '../serve/answer.ts';
import type { Board, ScopeName, Shown } from '../serve/board.ts';
import type { Hub } from '../serve/hub.ts';
import { ofrepChannel, refetchEvent } from '../serve/publish.ts';
import { mintTicket, readTicket } from '../serve/ticket.ts';
import type { Principal } from './auth.ts';
import type { Cors } from './cors.ts';
import { readContext } from './ofrep-context.ts';
import { isJsonType, type RawHandler, readBody, send, sendJson, sendTagged, targetOf } from './raw.ts';

export interface OfrepDeps {
  /** Null: 401. Where browsers need no key, the anonymous caller comes as a client key. */
  authenticate(req: IncomingMessage): Principal | null;
  /** False once a key is revoked or expired: its stream tickets die with it. */
  keyIsLive(keyId: string): boolean;
  readonly board: Pick<Board, 'get'>;
  readonly hub: Pick<Hub, 'open' | 'size'>;
  readonly cors: Cors;
  /** Deterministic within its epoch; null: this unit gets none. */
  mintToken(request: TokenRequest): string | null;
  /** Called for every bulk answer that carries a token, on 200 and 304 alike. */
  issued(request: TokenRequest): void;
  /** Wall clock, epoch ms. */
  now(): number;
  readonly ticketKey: Uint8Array;
  /** Receives what should not have happened; the caller gets a 500 that says nothing. */
  failed(error: unknown): void;
}

const prefix = '/ofrep/v1/';
const bulkPath = `${prefix}evaluate/flags`;
const streamPath = `${prefix}sse`;
const bodyLimit = 65_536;
/** Seconds after which a hidden page may close its stream. */
const inactivitySec = 120;

/** Where a key without an environment of its own is at home, unless it names another. */
const defaultEnvironment = 'production';

export const environmentOf = (principal: Principal, query: string): string =>
  principal.environment ?? new URLSearchParams(query).get('environment') ?? defaultEnvironment;

function scopeFor({ role }: Principal): ScopeName | null {
  if (role === 'sdk-server') return 'all';
  return role === 'sdk-client' ? 'client' : null;
}

/** OFREP 0.3.0 (wire.md §4): single and bulk evaluation, and the stream that says when to ask again. */
export function ofrepHandler(deps: OfrepDeps): RawHandler {
  return (req, res) => {
    const { path, query } = targetOf(req);
    if (!path.startsWith(prefix)) return false;
    if (req.method === 'OPTIONS') {
      deps.cors.preflight(req, res);
      return true;
    }
    deps.cors.allow(req, res);
    const key = path.startsWith(`${bulkPath}/`) ? decoded(path.slice(bulkPath.length + 1)) : null;
    const work = async () => {
      if (path === streamPath) {
        if (onlyFor('GET', req, res)) openStream(deps, req, res, query);
      } else if (path === bulkPath || key !== null) {
        if (onlyFor('POST', req, res)) await evaluateFor(deps, req, res, query, key);
      } else {
        sendJson(res, 404, { errorDetails: 'no such OFREP route' });
      }
    };
    work().catch((error: unknown) => {
      deps.failed(error);
      sendJson(res, 500, { ...named(key), errorCode: 'GENERAL', errorDetails: 'something broke in the controller' });
    });
    return true;
  };
}

const named = (key: string | null) => (key === null ? {} : { key });

/** What is not percent-encoding is taken as it stands; no flag has that key. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function onlyFor(method: 'GET' | 'POST', req: IncomingMessage, res: ServerResponse): boolean {
  if (req.method === method) return true;
  sendJson(res, 405, { errorDetails: `use ${method}` }, { Allow: `${method}, OPTIONS` });
  return false;
}

async function evaluateFor(
  deps: OfrepDeps,
  req: IncomingMessage,
  res: ServerResponse,
  query: string,
  key: string | null,
): Promise<void> {
  const principal = deps.authenticate(req);
  if (principal === null) {
    sendJson(res, 401, { errorDetails: 'a valid key is needed' }, { 'WWW-Authenticate': 'Bearer' });
    return;
  }
  const name = scopeFor(principal);
  if (name === null || (name === 'client' && key !== null)) {
    const errorDetails =
      name === null ? `a key of role ${principal.role} evaluates nothing` : 'client keys evaluate in bulk only';
    sendJson(res, 403, { errorDetails });
    return;
  }
  const refuse = (status: number, errorCode: string, errorDetails: string, headers = {}) =>
    sendJson(res, status, { ...named(key), errorCode, errorDetails }, headers);
  if (!isJsonType(req.headers)) return refuse(415, 'PARSE_ERROR', 'send application/json');
  const read = await readBody(req, bodyLimit);
  if (!read.ok) {
    if (read.why === 'too_large') refuse(413, 'PARSE_ERROR', `at most ${bodyLimit} bytes`, { Connection: 'close' });
    return;
  }
  const parsed = readContext(read.bytes);
  if (!parsed.ok) return refuse(400, parsed.errorCode, parsed.errorDetails);
  const environment = environmentOf(principal, query);
  const shown = deps.board.get(environment);
  if (shown === null) return refuse(503, 'GENERAL', `environment ${environment} is not served`, { 'Retry-After': '2' });
  if (key === null) answerBulk(deps, req, res, { principal, name, shown, context: parsed.context });
  else answerSingle(deps, res, shown, key, parsed.context);
}

const statusOf = (errorCode: string | undefined): number => {
  if (errorCode === undefined) return 200;
  return errorCode === 'FLAG_NOT_FOUND' ? 404 : 400;
};

function answerSingle(deps: OfrepDeps, res: ServerResponse, shown: Shown, key: string, context: Context): void {
  const scope = shown.scopes.all;
  const { result, json } = singleAnswer(shown, scope, key, context, Math.floor(deps.now() / 1_000));
  send(
    res,
    statusOf(result.errorCode),
    { 'Content-Type': 'application/json', 'Cache-Control': 'private, no-cache' },
    json,
  );
}

function answerBulk(
  deps: OfrepDeps,
  req: IncomingMessage,
  res: ServerResponse,
  asked: { readonly principal: Principal; readonly name: ScopeName; readonly shown: Shown; readonly context: Context },
): void {
  const { principal, name, shown, context } = asked;
  const { environment } = shown.served;
  const scope = shown.scopes[name];
  const now = deps.now();
  const { targetingKey } = context;
  // Evidence is about page views: a server that evaluates for a visitor has no page that could report.
  const measured = name === 'client' && typeof targetingKey === 'string' && targetingKey !== '';
  const ticket = mintTicket(deps.ticketKey, { environment, keyId: principal.id, scope: name }, now);
  const text = bulkAnswer(shown, scope, context, {
    atSeconds: Math.floor(now / 1_000),
    streamUri: `${streamPath}?t=${ticket}&rev=${scope.revision}`,
    inactivitySec,
    token: measured ? (entries) => issue(deps, { environment, targetingKey, entries, at: now }) : null,
  });
  const body = Buffer.from(text);
  sendTagged(req, res, `"${createHash('sha256').update(body).digest('base64url')}"`, body);
}

function issue(deps: OfrepDeps, request: TokenRequest): string | null {
  const token = deps.mintToken(request);
  if (token !== null) deps.issued(request);
  return token;
}

function openStream(deps: OfrepDeps, req: IncomingMessage, res: ServerResponse, query: string): void {
  const wanted = new URLSearchParams(query);
  const now = deps.now();
  const ticket = readTicket(deps.ticketKey, wanted.get('t') ?? '', now);
  if (ticket === null || !deps.keyIsLive(ticket.keyId)) {
    sendJson(res, 401, { errorDetails: 'the stream ticket is not valid any more; evaluate again for a new one' });
    return;
  }
  const shown = deps.board.get(ticket.environment);
  if (shown === null) {
    sendJson(res, 503, { errorDetails: 'not served yet' }, { 'Retry-After': '2' });
    return;
  }
  const { revision } = shown.scopes[ticket.scope];
  // What the reader saw last: the last event, else the answer that named this URL. Anything else than the present
  // revision means that an event passed it by, and one event makes up for all of them.
  const seen = Number(req.headers['last-event-id'] ?? wanted.get('rev') ?? Number.NaN);
  const opened = deps.hub.open(res, {
    channel: ofrepChannel(ticket.environment, ticket.scope),
    keyId: ticket.keyId,
    first: seen === revision ? [] : [refetchEvent(revision, now)],
    seen: revision,
  });
  refuseStream(deps.hub, res, opened);
}

/** Answers a reader that found no room; the pauses differ, so that a storm does not come back at once. */
export function refuseStream(hub: Pick<Hub, 'size'>, res: ServerResponse, opened: ReturnType<Hub['open']>): void {
  if (opened === 'opened') return;
  const headers = { 'Retry-After': String(1 + (hub.size % 5)) };
  const full = opened === 'key_full';
  sendJson(
    res,
    full ? 429 : 503,
    { errorDetails: full ? 'this key has too many open streams' : 'too many streams' },
    headers,
  );
}
