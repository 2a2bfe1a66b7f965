import type { IncomingMessage, ServerResponse } from 'node:http';
import { beaconLimits } from '@tidegate/core';
import { clientOf, regionOf } from '../ingest/client.ts';
import type { Ingest } from '../ingest/flush.ts';
import { createRateLimit, networkLimit, networkOf, type RateLimit, senderOf } from '../ingest/network.ts';
import { isBeaconType, parseBeacon } from '../ingest/parse.ts';
import type { Tokens } from '../ingest/token.ts';
import type { Cors } from './cors.ts';
import { type RawHandler, readBody, send, targetOf } from './raw.ts';

export interface RumDeps {
  readonly ingest: Pick<Ingest, 'accept'>;
  readonly tokens: Pick<Tokens, 'verify'>;
  readonly cors: Cors;
  /** Whether a hop's address belongs to a proxy whose X-Forwarded-For and region header are believed. */
  readonly trusted: (address: string) => boolean;
  readonly regionHeader: string | null;
  readonly regions: readonly string[];
  /** Wall clock, epoch ms. */
  readonly now: () => number;
  readonly limit?: RateLimit;
  /** Hears of every status that is answered, for metrics. */
  readonly answered?: (status: number) => void;
}

const path = '/v1/rum';

/**
 * `POST /v1/rum`. The exposure token is the only credential: `sendBeacon` cannot send another, and cookies are never
 * read. 204 says that the message is committed, not that its token was good: a forger learns nothing.
 */
export function createRumHandler(deps: RumDeps): RawHandler {
  const waitFor = createRateLimit(deps.limit ?? networkLimit);

  const answer = (res: ServerResponse, status: number, headers: { readonly [name: string]: string } = {}, why = '') => {
    deps.answered?.(status);
    if (status === 204) {
      if (res.destroyed) return;
      res.writeHead(204, headers);
      res.end();
      return;
    }
    const body = { type: 'about:blank', title: titles[status] ?? 'Error', status, detail: why };
    send(res, status, { 'Content-Type': 'application/problem+json', ...headers }, JSON.stringify(body));
  };

  const receive = async (req: IncomingMessage, res: ServerResponse): Promise<void> => {
    const peer = req.socket.remoteAddress ?? '';
    const forwarded = req.headers['x-forwarded-for'];
    const sender = senderOf(peer, Array.isArray(forwarded) ? forwarded.join(',') : forwarded, deps.trusted);
    const network = networkOf(sender);
    const waitMs = waitFor(network, deps.now());
    if (waitMs > 0) {
      const headers = { 'Retry-After': String(Math.ceil(waitMs / 1000)), ...closing };
      return answer(res, 429, headers, 'Too many messages from this network.');
    }
    if (req.headers['content-encoding'] !== undefined || !isBeaconType(req.headers['content-type'])) {
      return answer(res, 415, closing, 'Send text/plain or application/json, not compressed.');
    }
    const read = await readBody(req, beaconLimits.bodyBytes);
    if (!read.ok && read.why === 'aborted') return;
    if (!read.ok) return answer(res, 413, closing, `A message has at most ${beaconLimits.bodyBytes} bytes.`);
    const parsed = parseBeacon(read.bytes, req.headers['content-type']);
    if (!parsed.ok) return answer(res, 400, {}, parsed.detail);

    const { beacon } = parsed;
    const receivedAt = deps.now();
    const region = deps.regionHeader !== null && deps.trusted(peer) ? req.headers[deps.regionHeader] : undefined;
    const outcome = await deps.ingest.accept({
      beacon,
      receivedAt,
      size: read.bytes.length,
      token: deps.tokens.verify(beacon.tok, receivedAt, receivedAt - beacon.age),
      client: clientOf(req.headers, regionOf(region, deps.regions)),
      network,
      optedOut: req.headers.dnt === '1' || req.headers['sec-gpc'] === '1',
    });
    if (outcome === 'stored') return answer(res, 204);
    answer(res, 503, { 'Retry-After': '1' }, 'The controller cannot take more messages now.');
  };

  return (req, res) => {
    if (targetOf(req).path !== path) return false;
    if (req.method === 'OPTIONS') {
      deps.cors.preflight(req, res);
      return true;
    }
    deps.cors.allow(req, res);
    if (req.method !== 'POST') {
      answer(res, 405, { Allow: 'POST, OPTIONS', ...closing }, 'Send POST.');
      return true;
    }
    receive(req, res).catch(() => answer(res, 500, {}, 'The message was not counted.'));
    return true;
  };
}

/** The body was not read: the connection cannot be used for another request. */
const closing = { Connection: 'close' } as const;

const titles: { readonly [status: number]: string } = {
  400: 'Not a beacon',
  405: 'Method not allowed',
  413: 'Message too large',
  415: 'Unsupported content type',
  429: 'Too many messages',
  500: 'Internal error',
  503: 'Busy',
};
