import type { IncomingMessage, ServerResponse } from 'node:http';

export interface Cors {
  /** Sets the headers that let a page read the answer. Call before the answer is written, on errors too. */
  allow(req: IncomingMessage, res: ServerResponse): void;
  /** Answers a preflight; it carries no credentials, so it is never asked for any. */
  preflight(req: IncomingMessage, res: ServerResponse): void;
}

/**
 * CORS for the routes that pages call. No origins listed = any origin. Cookies are never allowed, so an answer is worth
 * nothing to a page that does not hold a key of its own.
 */
export function createCors(origins: readonly string[]): Cors {
  const listed = new Set(origins);
  const allowed = (req: IncomingMessage): string | null => {
    const origin = req.headers.origin;
    if (origin === undefined) return null;
    if (listed.size === 0) return '*';
    return listed.has(origin) ? origin : null;
  };
  const allow = (req: IncomingMessage, res: ServerResponse): void => {
    res.setHeader('Vary', 'Origin');
    const origin = allowed(req);
    if (origin === null) return;
    res.setHeader('Access-Control-Allow-Origin', origin);
    // Without these a page never sees the ETag, sends none, and never gets a 304.
    res.setHeader('Access-Control-Expose-Headers', 'ETag, Retry-After');
  };
  return {
    allow,
    preflight(req, res) {
      allow(req, res);
      if (allowed(req) !== null) {
        res.setHeader('Access-Control-Allow-Methods', 'GET, POST, OPTIONS');
        res.setHeader('Access-Control-Allow-Headers', 'Content-Type, If-None-Match, Authorization, X-API-Key');
        res.setHeader('Access-Control-Max-Age', '7200');
      }
      res.writeHead(204);
      res.end();
    },
  };
}
