import type { StreamHead } from '@tidegate/core';
import type { Board, ScopeName } from './board.ts';
import type { Served } from './compile.ts';
import { type Hub, sse } from './hub.ts';

/** Channel of our own providers: the changes themselves. */
export const syncChannel = (environment: string) => `sync/${environment}`;
/** Channel of OFREP clients: only that something changed. */
export const ofrepChannel = (environment: string, scope: ScopeName) => `ofrep/${scope}/${environment}`;

export const headEvent = (ver: number): Buffer => sse({ ver } satisfies StreamHead, { event: 'head' });

/** `at` is when the revision came to be, epoch ms. */
export const refetchEvent = (revision: number, at: number): Buffer =>
  sse({ type: 'refetchEvaluation', etag: `"rev-${revision}"`, lastModified: Math.floor(at / 1_000) }, { id: revision });

/**
 * Puts a compiled environment on the board and tells the streams, in that order: an event never precedes the state that
 * it announces. Call it after the commit. Steps up are spread over two seconds, since every OFREP client answers an
 * event with a request; whatever lowers an exposure goes out before this returns.
 */
export function createPublisher(deps: {
  readonly board: Board;
  readonly hub: Hub;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
}): (served: Served) => void {
  return (served) => {
    const before = deps.board.get(served.environment);
    const publication = deps.board.publish(served);
    if (publication === null) return;
    const { environment, ver } = served;
    const head = headEvent(ver);
    deps.hub.beat(syncChannel(environment), head);
    if (before === null) return;

    const { change, touched, lowers, shown } = publication;
    const bytes = change === null ? head : sse(change, { event: 'change', id: ver });
    deps.hub.send(syncChannel(environment), { id: ver, from: before.served.ver, bytes }, 'now');
    for (const scope of touched) {
      const { revision } = shown.scopes[scope];
      const event = { id: revision, from: before.scopes[scope].revision, bytes: refetchEvent(revision, deps.now()) };
      deps.hub.send(ofrepChannel(environment, scope), event, lowers ? 'now' : 'spread');
    }
  };
}
