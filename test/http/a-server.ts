import { createServer, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Principal } from '../../src/http/auth.ts';
import { createCors } from '../../src/http/cors.ts';
import { flagdHandler } from '../../src/http/flagd.ts';
import { ofrepHandler } from '../../src/http/ofrep.ts';
import { firstOf } from '../../src/http/raw.ts';
import { syncHandler } from '../../src/http/sync.ts';
import type { TokenRequest } from '../../src/serve/answer.ts';
import { createBoard } from '../../src/serve/board.ts';
import type { Served } from '../../src/serve/compile.ts';
import { createHub, type HubLimits, realTimers } from '../../src/serve/hub.ts';
import { createPublisher } from '../../src/serve/publish.ts';

const key = (id: string, role: Principal['role'], environment: string | null = 'production'): Principal => ({
  id,
  role,
  subject: id,
  environment,
});

const keys = new Map([
  ['server', key('server', 'sdk-server')],
  ['client', key('client', 'sdk-client')],
  ['anywhere', key('anywhere', 'sdk-server', null)],
  ['staging', key('staging', 'sdk-server', 'staging')],
  ['admin', key('admin', 'admin', null)],
]);

function authenticate(req: IncomingMessage): Principal | null {
  const given = req.headers.authorization?.replace('Bearer ', '') || req.headers['x-api-key'];
  return keys.get(String(given)) ?? null;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

export interface Reading {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Resolves with everything read so far as soon as it contains `text`. */
  until(text: string): Promise<string>;
  readonly ended: Promise<void>;
  close(): void;
}

/** The data plane on a real socket: raw handlers in front of an application that says 418. */
export async function aServer(
  about: {
    publicRules?: boolean;
    anonymous?: boolean;
    origins?: readonly string[];
    limits?: Partial<HubLimits>;
    mintToken?: (request: TokenRequest) => string | null;
    breakBoard?: boolean;
  } = {},
) {
  const clock = { now: 1_800_000_000_000 };
  const board = createBoard();
  const hub = createHub({ timers: realTimers, now: () => performance.now() }, about.limits);
  const show: (served: Served) => void = createPublisher({ board, hub, now: () => clock.now });
  const issued: TokenRequest[] = [];
  const failures: unknown[] = [];
  const dead = new Set<string>();
  const shared = {
    authenticate: (req: IncomingMessage) =>
      authenticate(req) ?? (about.anonymous === true ? key('public', 'sdk-client') : null),
    board: about.breakBoard === true ? { get: () => breaks() } : board,
    hub,
    failed: (error: unknown) => failures.push(error),
  };
  const raw = firstOf([
    ofrepHandler({
      ...shared,
      keyIsLive: (id) => !dead.has(id),
      cors: createCors(about.origins ?? []),
      mintToken: about.mintToken ?? (() => null),
      issued: (request) => issued.push(request),
      now: () => clock.now,
      ticketKey: Buffer.alloc(32, 1),
    }),
    syncHandler(shared),
    flagdHandler({ ...shared, isPublic: about.publicRules === true }),
  ]);
  const server = createServer((req, res) => {
    if (raw(req, res)) return;
    res.writeHead(418);
    res.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const base = `http://127.0.0.1:${port}`;

  const ask = async (
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: string,
  ): Promise<Answer> => {
    const answer = await fetch(`${base}${path}`, { method, headers, ...(body === undefined ? {} : { body }) });
    const text = await answer.text();
    const json: unknown =
      answer.headers.get('content-type')?.includes('json') === true && text !== '' ? JSON.parse(text) : {};
    return { status: answer.status, headers: Object.fromEntries(answer.headers), text, json: json as Answer['json'] };
  };

  return {
    base,
    clock,
    hub,
    board,
    show,
    issued,
    failures,
    dead,
    ask,
    single: (flag: string, context: unknown, headers: Record<string, string> = {}) =>
      ask(
        'POST',
        `/ofrep/v1/evaluate/flags/${flag}`,
        { 'Content-Type': 'application/json', Authorization: 'Bearer server', ...headers },
        JSON.stringify({ context }),
      ),
    bulk: (context: unknown, headers: Record<string, string> = {}) =>
      ask(
        'POST',
        '/ofrep/v1/evaluate/flags',
        { 'Content-Type': 'application/json', 'X-API-Key': 'client', ...headers },
        JSON.stringify({ context }),
      ),
    read: (path: string, headers: Record<string, string> = {}): Promise<Reading> =>
      new Promise((resolve, reject) => {
        const req = httpRequest(`${base}${path}`, { headers, agent: false }, (res) => {
          let all = '';
          const waiting = new Set<{ text: string; resolve: (all: string) => void }>();
          const look = () => {
            for (const entry of waiting) {
              if (!all.includes(entry.text)) continue;
              waiting.delete(entry);
              entry.resolve(all);
            }
          };
          res.setEncoding('utf8').on('data', (chunk: string) => {
            all += chunk;
            look();
          });
          const ended = new Promise<void>((done) => res.on('close', () => done()).on('error', () => {}));
          resolve({
            status: res.statusCode ?? 0,
            headers: res.headers,
            ended,
            until: (text) =>
              new Promise((found) => {
                waiting.add({ text, resolve: found });
                look();
              }),
            close: () => req.destroy(),
          });
        });
        req.on('error', reject);
        req.end();
      }),
    async [Symbol.asyncDispose]() {
      hub.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function breaks(): never {
  throw new Error('the board fell down');
}
