import type { EventStream } from '@tidegate/web-provider';

/** An EventSource that a test opens, feeds and breaks by hand. */
export class FakeEventSource implements EventStream {
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onerror: ((event: Event) => void) | null = null;
  isClosed = false;
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  close(): void {
    this.isClosed = true;
  }

  open(): void {
    this.onopen?.(new Event('open'));
  }

  fail(): void {
    this.onerror?.(new Event('error'));
  }

  announce(data: unknown = { type: 'refetchEvaluation' }): void {
    this.onmessage?.(new MessageEvent('message', { data: JSON.stringify(data) }));
  }
}
