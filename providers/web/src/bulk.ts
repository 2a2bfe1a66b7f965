import type { Answer } from './answer.ts';
import { parseAnswer } from './answer.ts';
import type { Clock } from './clock.ts';

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export type Bulk =
  | { readonly is: 'answer'; readonly answer: Answer; readonly etag: string | undefined }
  | { readonly is: 'unchanged' }
  | { readonly is: 'refused'; readonly status: number }
  | { readonly is: 'later'; readonly afterMs: number }
  | { readonly is: 'failed'; readonly because: string };

export interface BulkRequest {
  readonly url: string;
  readonly key: string | undefined;
  readonly context: unknown;
  readonly etag: string | undefined;
  readonly withinMs: number;
}

/** A longer `Retry-After` is shortened: a kill has to find its way back in. */
const longestRetryAfterMs = 300_000;

/** One OFREP bulk evaluation. Resolves whatever happens. */
export async function postBulk(request: BulkRequest, fetch: Fetch, clock: Clock): Promise<Bulk> {
  const deadline = new AbortController();
  const cancel = clock.after(request.withinMs, () => deadline.abort());
  try {
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (request.key !== undefined) headers.authorization = `Bearer ${request.key}`;
    if (request.etag !== undefined) headers['if-none-match'] = request.etag;
    const response = await fetch(`${request.url}/ofrep/v1/evaluate/flags`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ context: request.context }),
      // The provider keeps its own ETag; the HTTP cache of the browser would only hide a 304 from it.
      cache: 'no-store',
      credentials: 'omit',
      signal: deadline.signal,
    });
    return await bulkOf(response);
  } catch (error) {
    return { is: 'failed', because: error instanceof Error ? error.message : String(error) };
  } finally {
    cancel();
  }
}

async function bulkOf(response: Response): Promise<Bulk> {
  const { status } = response;
  if (status === 304) return { is: 'unchanged' };
  if (status === 401 || status === 403) return { is: 'refused', status };
  if (status === 429 || status === 503) {
    const seconds = Number(response.headers.get('retry-after') ?? 0);
    return { is: 'later', afterMs: Math.min(Math.max(seconds * 1000 || 0, 0), longestRetryAfterMs) };
  }
  if (status !== 200) return { is: 'failed', because: `the controller answered ${status}` };
  const answer = parseAnswer(await response.json());
  if (!answer) return { is: 'failed', because: 'the controller sent no readable bulk answer' };
  return { is: 'answer', answer, etag: response.headers.get('etag') ?? undefined };
}
