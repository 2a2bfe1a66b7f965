import type { SnapshotChange } from '@tidegate/core';
import { createParser } from 'eventsource-parser';
import { parseChange, parseHead, parseJson } from './parse.ts';
import type { Endpoint, Unanswered } from './request.ts';
import { headersOf, reasonOf, unanswered } from './request.ts';
import { silenceMs } from './state.ts';

export interface StreamHandler {
  opened(): void;
  /** First event of a stream, then every 10 s. */
  head(ver: number): void;
  change(change: SnapshotChange): void;
  /** A change that cannot be read: something happened, the snapshot says what. */
  unreadable(): void;
}

export type StreamEnd = { readonly is: 'closed' } | { readonly is: 'silent' } | Unanswered;

/** One connection to `GET /v1/stream`, from request to its end. Resolves whatever happens. */
export async function readStream(
  endpoint: Endpoint,
  lastVer: number | undefined,
  signal: AbortSignal,
  handler: StreamHandler,
): Promise<StreamEnd> {
  const connection = new AbortController();
  const hangUp = () => connection.abort();
  signal.addEventListener('abort', hangUp, { once: true });
  let silent = false;
  const listen = () =>
    endpoint.clock.after(silenceMs, () => {
      silent = true;
      hangUp();
    });
  let stopListening = listen();

  try {
    const headers = headersOf(endpoint, 'text/event-stream');
    const response = await endpoint.fetch(`${endpoint.url}/v1/stream`, {
      headers: lastVer === undefined ? headers : { ...headers, 'last-event-id': String(lastVer) },
      signal: connection.signal,
    });
    if (response.status !== 200 || !response.body) {
      hangUp();
      return unanswered(response, endpoint.clock);
    }
    handler.opened();
    const parser = createParser({
      onEvent(event) {
        stopListening();
        stopListening = listen();
        deliver(event.event, event.data, handler);
      },
    });
    const decoder = new TextDecoder();
    for await (const chunk of response.body) parser.feed(decoder.decode(chunk, { stream: true }));
    return { is: 'closed' };
  } catch (error) {
    return silent ? { is: 'silent' } : { is: 'failed', because: reasonOf(error) };
  } finally {
    stopListening();
    signal.removeEventListener('abort', hangUp);
  }
}

/** Unknown event names are for newer providers. */
function deliver(name: string | undefined, data: string, handler: StreamHandler): void {
  if (name === 'head') {
    const head = parseHead(parseJson(data));
    if (head) handler.head(head.ver);
    return;
  }
  if (name !== 'change') return;
  const change = parseChange(parseJson(data));
  if (change) handler.change(change);
  else handler.unreadable();
}
