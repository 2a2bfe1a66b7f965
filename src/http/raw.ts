import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** A plain node:http route, tried before express. True: it has taken the request and will answer it. */
export type RawHandler = (req: IncomingMessage, res: ServerResponse) => boolean;

/** Asks the handlers in order; the hot routes come first because express costs more than they do. */
export function firstOf(handlers: readonly RawHandler[]): RawHandler {
  return (req, res) => handlers.some((handle) => handle(req, res));
}

/** Path and query of a request target, without building a `URL`: that costs more than answering from a buffer. */
export function targetOf(req: Pick<IncomingMessage, 'url'>): { readonly path: string; readonly query: string } {
  const url = req.url ?? '/';
  const at = url.indexOf('?');
  return at < 0 ? { path: url, query: '' } : { path: url.slice(0, at), query: url.slice(at + 1) };
}

/** Ends the response with a whole body; headers are set before, so that CORS and this cannot overwrite each other. */
export function send(res: ServerResponse, status: number, headers: OutgoingHttpHeaders, body: string | Buffer): void {
  if (res.headersSent || res.destroyed) return;
  res.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) });
  res.end(body);
}

export const sendJson = (res: ServerResponse, status: number, body: unknown, headers: OutgoingHttpHeaders = {}) =>
  send(
    res,
    status,
    { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers },
    JSON.stringify(body),
  );

/**
 * 200 with the JSON body, or 304 when the caller has it. By hand, because the ETag of a POST answer is nobody's default.
 * `private, no-cache`: ask every time, and let no shared cache answer for us.
 */
export function sendTagged(req: IncomingMessage, res: ServerResponse, etag: string, body: string | Buffer): void {
  const headers = { ETag: etag, 'Cache-Control': 'private, no-cache' };
  if (noneMatch(req.headers['if-none-match'], etag)) {
    send(res, 200, { ...headers, 'Content-Type': 'application/json' }, body);
    return;
  }
  res.writeHead(304, headers);
  res.end();
}

export type BodyRead =
  | { readonly ok: true; readonly bytes: Buffer }
  | { readonly ok: false; readonly why: 'too_large' | 'aborted' };

/**
 * Reads a whole body of at most `limit` bytes; never rejects. `Content-Length` is believed when it says too much and
 * counted when it says little. After `too_large` answer with `Connection: close`, or the sender keeps the socket busy.
 */
export function readBody(req: IncomingMessage, limit: number): Promise<BodyRead> {
  const declared = Number(req.headers['content-length'] ?? 0);
  if (declared > limit) return Promise.resolve({ ok: false, why: 'too_large' });
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const finish = (read: BodyRead) => {
      req.off('data', onData).off('end', onEnd).off('error', onAborted).off('close', onAborted);
      resolve(read);
    };
    const onAborted = () => finish({ ok: false, why: 'aborted' });
    const onEnd = () => {
      const [only] = chunks;
      finish({ ok: true, bytes: chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, size) });
    };
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      chunks.push(chunk);
      if (size > limit) finish({ ok: false, why: 'too_large' });
    };
    req.on('data', onData).on('end', onEnd).on('error', onAborted).on('close', onAborted);
  });
}

/**
 * Deepest nesting of a JSON text, found by a byte scan before anything parses it: recursive readers of a parsed value
 * overflow the stack long before `JSON.parse` does. Counts on in malformed text; the parser refuses that later.
 */
export function jsonDepth(bytes: Uint8Array): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0; i < bytes.length; i += 1) {
    const byte = bytes[i];
    if (inString) {
      if (byte === 0x5c) i += 1;
      if (byte === 0x22) inString = false;
      continue;
    }
    switch (byte) {
      case 0x22:
        inString = true;
        break;
      case 0x5b:
      case 0x7b:
        depth += 1;
        if (depth > deepest) deepest = depth;
        break;
      case 0x5d:
      case 0x7d:
        depth -= 1;
        break;
    }
  }
  return deepest;
}

/** No type at all is let through to the parser; a wrong one is refused, so that nothing guesses. */
export function isJsonType(headers: IncomingHttpHeaders): boolean {
  const type = headers['content-type'];
  return type === undefined || /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(type);
}

/** RFC 9110 §13.1.2, weak comparison: lists, `*` and `W/`. Quotes left out by a proxy or a client are forgiven. */
function noneMatch(header: string | undefined, etag: string): boolean {
  if (header === undefined) return true;
  const bare = (tag: string) => tag.trim().replace(/^W\//, '').replace(/^"|"$/g, '');
  const wanted = bare(etag);
  return !header.split(',').some((tag) => tag.trim() === '*' || bare(tag) === wanted);
}
