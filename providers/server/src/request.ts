import type { Snapshot } from '@tidegate/core';
import type { Clock } from './clock.ts';
import { parseJson, parseSnapshot } from './parse.ts';

export type Fetch = typeof globalThis.fetch;

/** Where the controller is and how we introduce ourselves. */
export interface Endpoint {
  readonly url: string;
  readonly key: string;
  readonly fetch: Fetch;
  readonly clock: Clock;
}

/** Answers that are no document; the snapshot and the stream share them. */
export type Unanswered =
  | { readonly is: 'refused'; readonly status: number }
  /** 429 or 503; `afterMs` when the controller named a time. */
  | { readonly is: 'later'; readonly afterMs: number }
  | { readonly is: 'failed'; readonly because: string };

export type Fetched =
  | { readonly is: 'snapshot'; readonly snapshot: Snapshot; readonly etag: string | undefined }
  | { readonly is: 'unchanged' }
  | Unanswered;

/** A controller that answers nothing for this long is not there. */
const answerWithinMs = 10_000;
/** A longer `Retry-After` is shortened: a kill has to find its way back in. */
const longestRetryAfterMs = 300_000;

export function headersOf(endpoint: Endpoint, accept: string): Record<string, string> {
  return {
    accept,
    authorization: `Bearer ${endpoint.key}`,
    'tidegate-provider': '0.1.0; bucketing=v2',
  };
}

/** `GET /v1/snapshot`, conditional on `etag`. Resolves whatever happens. */
export async function fetchSnapshot(
  endpoint: Endpoint,
  etag: string | undefined,
  signal: AbortSignal,
): Promise<Fetched> {
  const deadline = new AbortController();
  const give = () => deadline.abort();
  signal.addEventListener('abort', give, { once: true });
  const cancel = endpoint.clock.after(answerWithinMs, give);
  try {
    const headers = headersOf(endpoint, 'application/json');
    const response = await endpoint.fetch(`${endpoint.url}/v1/snapshot`, {
      headers: etag === undefined ? headers : { ...headers, 'if-none-match': etag },
      signal: deadline.signal,
    });
    const text = await response.text();
    if (response.status === 304) return { is: 'unchanged' };
    if (response.status !== 200) return unanswered(response, endpoint.clock);
    const snapshot = parseSnapshot(parseJson(text));
    if (!snapshot) return { is: 'failed', because: 'the controller sent no readable snapshot' };
    return { is: 'snapshot', snapshot, etag: response.headers.get('etag') ?? undefined };
  } catch (error) {
    return { is: 'failed', because: reasonOf(error) };
  } finally {
    cancel();
    signal.removeEventListener('abort', give);
  }
}

export function unanswered(response: Response, clock: Clock): Unanswered {
  const { status } = response;
  if (status === 401 || status === 403) return { is: 'refused', status };
  if (status === 429 || status === 503)
    return { is: 'later', afterMs: retryAfterMs(response.headers.get('retry-after'), clock) };
  return { is: 'failed', because: `the controller answered ${status}` };
}

/** Seconds or an HTTP date; 0 when absent or unreadable, at most five minutes. */
function retryAfterMs(header: string | null, clock: Clock): number {
  if (header === null) return 0;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - clock.wallMs();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), longestRetryAfterMs) : 0;
}

/** undici hides the useful half ("ECONNREFUSED") in `cause`. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
