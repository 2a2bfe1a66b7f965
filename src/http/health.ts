import { type RawHandler, sendJson, targetOf } from './raw.ts';

export interface HealthDeps {
  /** Resolves when the store answers; rejects when it does not. */
  readonly store: () => Promise<unknown>;
  /** Wall ms of the newest finished heartbeat. */
  readonly lastBeatAt: () => number;
  readonly beatMs: number;
  readonly now: () => number;
}

/** `/healthz`: the process answers. `/readyz`: it can also decide and save, or says why not. */
export function healthHandler(deps: HealthDeps): RawHandler {
  const ready = async (): Promise<readonly string[]> => {
    const late = deps.now() - deps.lastBeatAt() > 3 * deps.beatMs + 5_000;
    const store = await deps.store().then(
      () => [],
      () => ['store_unavailable'],
    );
    return late ? [...store, 'heartbeat_late'] : store;
  };
  return (req, res) => {
    const { path } = targetOf(req);
    if (path === '/healthz') {
      sendJson(res, 200, { status: 'ok' });
      return true;
    }
    if (path !== '/readyz') return false;
    void ready().then((reasons) =>
      sendJson(res, reasons.length === 0 ? 200 : 503, {
        status: reasons.length === 0 ? 'ready' : 'not ready',
        reasons,
      }),
    );
    return true;
  };
}
