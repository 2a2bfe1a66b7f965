import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Flag, FlagSet, FlagValue, Lease, Metadata, Snapshot, SnapshotChange } from '@tidegate/core';

/** What a bulk answer says about one flag. */
export interface BulkFlag {
  readonly value?: FlagValue;
  readonly variant?: string;
  readonly reason?: string;
  readonly errorCode?: string;
  readonly metadata?: Metadata;
}

export interface Seen {
  readonly path: string;
  readonly method: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** A status that a route answers instead of its work; `headers` ride along. */
export interface Fault {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
}

type Route = 'snapshot' | 'stream' | 'bulk' | 'sse' | 'rum';

const routes: Readonly<Record<string, Route>> = {
  '/v1/snapshot': 'snapshot',
  '/v1/stream': 'stream',
  '/ofrep/v1/evaluate/flags': 'bulk',
  '/ofrep/v1/sse': 'sse',
  '/v1/rum': 'rum',
};

/**
 * The controller's wire surface on loopback, without a judge: a test says what is in force, cuts streams and breaks
 * routes. It has no timers; heartbeats are sent when the test says so.
 */
export class FakeController {
  /** Every request, in order of arrival. */
  readonly seen: Seen[] = [];
  /** Bodies of accepted beacons. */
  readonly beacons: string[] = [];
  /** Faults by route; a route without one works. */
  readonly faults = new Map<Route, Fault>();
  /** Routes that accept a request and never answer. */
  readonly silent = new Set<Route>();
  env = 'production';
  bulkMetadata: Metadata = {};
  /** Called with the context of each bulk request; may delay the answer. */
  onBulk: (context: unknown) => Promise<void> | void = () => {};
  #flags: Record<string, Flag> = {};
  #lease: Record<string, Lease> = {};
  #bulk: Record<string, BulkFlag> | ((context: Record<string, unknown>) => Record<string, BulkFlag>) = {};
  #ver = 1;
  #streams = new Set<ServerResponse>();
  #eventSources = new Set<ServerResponse>();
  #server = createServer((request, response) => void this.#answer(request, response));
  #port = 0;

  /** Listens on a free port, or again on the port it had before `stop`. */
  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
    return this;
  }

  /** As a crash does: every socket is cut. */
  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#streams.clear();
    this.#eventSources.clear();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get ver(): number {
    return this.#ver;
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  get openEventSources(): number {
    return this.#eventSources.size;
  }

  /** Requests to one path. */
  to(path: string): Seen[] {
    return this.seen.filter((request) => request.path === path);
  }

  /** Puts flags in force and says nothing to open streams: a change event that got lost. */
  setQuietly(flags: Record<string, Flag | null>, lease: Record<string, Lease> = {}): SnapshotChange {
    const from = this.#ver;
    this.#ver += 1;
    for (const [key, flag] of Object.entries(flags)) {
      if (flag === null) delete this.#flags[key];
      else this.#flags[key] = flag;
    }
    Object.assign(this.#lease, lease);
    return { ver: this.#ver, from, flags, lease };
  }

  /** Puts flags in force and sends the change to every open stream. */
  set(flags: Record<string, Flag | null>, lease: Record<string, Lease> = {}): SnapshotChange {
    const change = this.setQuietly(flags, lease);
    this.send('change', change);
    return change;
  }

  send(event: string, data: unknown): void {
    for (const stream of this.#streams) write(stream, event, data, this.#ver);
  }

  heartbeat(): void {
    this.send('head', { ver: this.#ver });
  }

  /** Ends every stream, as a proxy that gives up does. */
  cutStreams(): void {
    for (const stream of [...this.#streams, ...this.#eventSources]) stream.destroy();
  }

  /** What bulk requests are answered; says nothing to event sources. */
  setBulkQuietly(
    bulk: Record<string, BulkFlag> | ((context: Record<string, unknown>) => Record<string, BulkFlag>),
  ): void {
    this.#bulk = bulk;
    this.#ver += 1;
  }

  /** What bulk requests are answered; tells every event source to fetch. */
  setBulk(bulk: Record<string, BulkFlag> | ((context: Record<string, unknown>) => Record<string, BulkFlag>)): void {
    this.setBulkQuietly(bulk);
    const data = JSON.stringify({ type: 'refetchEvaluation', etag: `"${this.#ver}"`, lastModified: 0 });
    for (const source of this.#eventSources) source.write(`id: ${this.#ver}\ndata: ${data}\n\n`);
  }

  snapshot(): Snapshot {
    const flagSet: FlagSet = {
      flags: { ...this.#flags },
      metadata: { flagSetId: this.env, version: String(this.#ver) },
    };
    return {
      v: 1,
      env: this.env,
      ver: this.#ver,
      count: Object.keys(this.#flags).length,
      digest: `sha256-${createHash('sha256').update(JSON.stringify(flagSet)).digest('hex')}`,
      full: true,
      flagSet,
      lease: { ...this.#lease },
    };
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', 'http://fake').pathname;
    const route = routes[path];
    let body = '';
    for await (const chunk of request) body += chunk;
    response.setHeader('access-control-allow-origin', request.headers.origin ?? '*');
    response.setHeader('access-control-allow-headers', 'content-type, if-none-match, authorization, x-api-key');
    response.setHeader('access-control-expose-headers', 'etag, retry-after');
    if (request.method === 'OPTIONS') return void response.writeHead(204).end();
    // sendBeacon is credentialed, so a real browser refuses the answer without this; the message has arrived anyway.
    response.setHeader('access-control-allow-credentials', 'true');
    this.seen.push({ path, method: request.method ?? '', headers: request.headers, body });
    if (route === undefined) return void response.writeHead(404).end();
    if (this.silent.has(route)) return;
    const fault = this.faults.get(route);
    if (fault) return void response.writeHead(fault.status, fault.headers).end();

    switch (route) {
      case 'snapshot':
        return conditional(request, response, JSON.stringify(this.snapshot()));
      case 'stream':
        openStream(response, this.#streams);
        return write(response, 'head', { ver: this.#ver }, this.#ver);
      case 'bulk': {
        const { context } = JSON.parse(body) as { context: Record<string, unknown> };
        const answer = this.#bulkAnswer(context);
        await this.onBulk(context);
        return conditional(request, response, answer);
      }
      case 'sse':
        openStream(response, this.#eventSources);
        return void response.write(`retry: 500\n\n`);
      case 'rum':
        this.beacons.push(body);
        return void response.writeHead(204).end();
    }
  }

  #bulkAnswer(context: Record<string, unknown>): string {
    const bulk = typeof this.#bulk === 'function' ? this.#bulk(context) : this.#bulk;
    return JSON.stringify({
      flags: Object.entries(bulk).map(([key, flag]) => ({
        key,
        ...(flag.errorCode === undefined ? { reason: 'STATIC' } : {}),
        ...flag,
      })),
      metadata: { flagSetId: this.env, version: String(this.#ver), ...this.bulkMetadata },
      eventStreams: [
        { type: 'sse', endpoint: { requestUri: `/ofrep/v1/sse?t=ticket&rev=${this.#ver}` }, inactivityDelaySec: 120 },
      ],
    });
  }
}

function openStream(response: ServerResponse, among: Set<ServerResponse>): void {
  among.add(response);
  response.on('close', () => among.delete(response));
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache, no-transform' });
  response.flushHeaders();
}

function write(stream: ServerResponse, event: string, data: unknown, id: number): void {
  stream.write(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

function conditional(request: IncomingMessage, response: ServerResponse, body: string): void {
  const etag = `"${createHash('sha256').update(body).digest('hex')}"`;
  response.setHeader('etag', etag);
  if (request.headers['if-none-match'] === etag) return void response.writeHead(304).end();
  response.setHeader('content-type', 'application/json');
  response.end(body);
}
