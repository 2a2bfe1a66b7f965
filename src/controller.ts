import { createHmac } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { type Logger, pino } from 'pino';
import type { Config } from './config.ts';
import { createAccess, ensureAdmin, firstStart } from './control/access.ts';
import { createDocuments } from './control/apply-documents.ts';
import { createApplyFlags } from './control/apply-flags.ts';
import { createApplyPlan } from './control/apply-plan.ts';
import { createBreathe } from './control/breathe.ts';
import { startCalendar } from './control/calendar.ts';
import { createChange } from './control/change.ts';
import { type Clock, systemClock } from './control/clock.ts';
import { createEvidenceReader } from './control/evidence.ts';
import { createFreezing } from './control/freezing.ts';
import { createLibrary } from './control/library.ts';
import { createStages } from './control/look.ts';
import { createPublish } from './control/publish.ts';
import { createTicker } from './control/tick.ts';
import { createVerbs } from './control/verbs.ts';
import type { AdminDeps } from './http/admin.ts';
import { createApp } from './http/app.ts';
import { covers, createAuth, withPublic } from './http/auth.ts';
import { createCors } from './http/cors.ts';
import { documentRoutes } from './http/documents.ts';
import { flagdHandler } from './http/flagd.ts';
import { flagRoutes } from './http/flags.ts';
import { governanceRoutes } from './http/governance.ts';
import { healthHandler } from './http/health.ts';
import { ofrepHandler } from './http/ofrep.ts';
import { Forbidden } from './http/problems.ts';
import { firstOf } from './http/raw.ts';
import { rolloutRoutes } from './http/rollouts.ts';
import { createRumHandler } from './http/rum.ts';
import { addressList, createHttpServer, drain, listen } from './http/server.ts';
import { syncHandler } from './http/sync.ts';
import { viewsOf } from './http/view.ts';
import { createIngest } from './ingest/flush.ts';
import { createIssuer } from './ingest/issue.ts';
import { createBoard } from './serve/board.ts';
import { createHub, realTimers } from './serve/hub.ts';
import { createPublisher } from './serve/publish.ts';
import { openPostgres } from './store/postgres.ts';
import { openSqlite } from './store/sqlite.ts';
import { createUndo, type Undo } from './undo.ts';
import { version } from './version.ts';

export interface ControllerOptions {
  readonly config: Config;
  readonly log?: Logger;
  readonly clock?: Clock;
  /** Width of an evidence bucket, ms; a minute outside demos and tests. */
  readonly bucketMs?: number;
  /** Heartbeat, ms. */
  readonly beatMs?: number;
  /** PostgreSQL schema, for tests that share a database. */
  readonly schema?: string;
}

export interface Controller {
  readonly url: string;
  /** Text of the admin token that this start made; null when there was one already. */
  readonly adminToken: string | null;
  /** Finishes what is under way, commits what is waiting, lets go of the store. */
  close(): Promise<void>;
}

/** Starts everything, or, when something of it cannot be had, nothing: what was started by then is stopped again. */
export async function startController(options: ControllerOptions): Promise<Controller> {
  const undo = createUndo();
  try {
    return { ...(await compose(options, undo)), close: undo.run };
  } catch (error) {
    // What kept it from starting says more than what then went wrong in stopping.
    await undo.run().catch(() => {});
    throw error;
  }
}

/** The composition root: opens the store, wires every part once, and listens. */
async function compose(options: ControllerOptions, undo: Undo): Promise<Omit<Controller, 'close'>> {
  const { config, clock = systemClock(), bucketMs = 60_000, beatMs = 1_000 } = options;
  const log =
    options.log ??
    pino({ level: config.logLevel, redact: ['req.headers.authorization', 'req.headers.cookie'] }, pino.destination(2));
  const wall = () => clock.now().wall;
  const mono = () => clock.now().mono;
  const failed = (what: string) => (error: unknown) => log.error({ err: error }, what);

  const trusted = addressList(config.trustedProxies);
  const store =
    config.databaseUrl === null
      ? await openSqlite({ dir: config.dataDir, mono })
      : await openPostgres({
          url: config.databaseUrl,
          mono,
          ...(options.schema === undefined ? {} : { schema: options.schema }),
        });
  const { control, rum } = store;
  undo.add(() => Promise.all([control.close(), rum.close()]));
  await firstStart(control, config.adminToken, wall());

  const auth = createAuth(wall);
  const issuer = createIssuer();
  const library = createLibrary(control);
  const conversions = new Set<string>();
  const ingest = createIngest({
    store: rum,
    tokens: issuer.tokens,
    bucketMs,
    declared: (name) => conversions.has(name),
    failed: failed('beacons were not committed'),
  });
  undo.add(ingest.close);
  issuer.to(ingest);
  const accessChanged = async () => {
    auth.load(await control.tokens());
    issuer.load(await control.signingKeys());
  };
  await accessChanged();

  const board = createBoard();
  const hub = createHub({ timers: realTimers, now: wall });
  const compileAndShow = createPublish({ store: control, library, show: createPublisher({ board, hub, now: wall }) });
  const behind = new Set<string>();
  /** What is committed stays committed when it cannot be shown at once: the heartbeat tries again. */
  const publish = async (environment: string) => {
    behind.add(environment);
    await compileAndShow(environment).then(
      () => behind.delete(environment),
      failed(`${environment} could not be published`),
    );
  };

  const breathe = createBreathe(() => clock.now().mono, setImmediate);
  const look = {
    store: control,
    stages: createStages(control),
    library,
    evidence: createEvidenceReader({ rum, bucketMs, concentrations: ingest.concentrations, breathe }),
  };
  const change = createChange({ store: control, publish, code: version });
  const ticker = createTicker({
    ...look,
    store: control,
    change,
    newestFlush: ingest.lastFlush,
    breathe,
    report: (error, rollout) =>
      log.error({ err: error, rollout: rollout.name, environment: rollout.environment }, 'a look failed'),
  });

  const documentDeps = { store: control, library, publish };
  const verbs = createVerbs({ ...look, store: control, change, publish, now: clock.now });
  const admin: AdminDeps = {
    store: control,
    library,
    clock: clock.now,
    now: wall,
    seen: ticker.seen,
    idempotent: control.idempotent,
    verbs,
    documents: createDocuments(documentDeps),
    applyPlan: createApplyPlan(documentDeps),
    applyFlags: createApplyFlags(documentDeps),
    freezing: createFreezing(control),
    access: createAccess({ store: control, changed: accessChanged, publish }),
    board,
  };

  const door = config.publicEvaluation ? withPublic(auth) : auth;
  const cors = createCors(config.allowedOrigins);
  const [firstKey] = await control.signingKeys();
  const raw = firstOf([
    createRumHandler({
      ingest,
      tokens: issuer.tokens,
      cors,
      trusted,
      regionHeader: config.regionHeader,
      regions: config.regions,
      now: wall,
    }),
    ofrepHandler({
      authenticate: door.authenticate,
      keyIsLive: door.isLive,
      board,
      hub,
      cors,
      mintToken: issuer.mint,
      issued: issuer.issued,
      now: wall,
      ticketKey: createHmac('sha256', firstKey?.secret ?? '')
        .update('stream tickets')
        .digest(),
      failed: failed('an OFREP answer failed'),
    }),
    syncHandler({ authenticate: auth.authenticate, board, hub, failed: failed('a sync answer failed') }),
    flagdHandler({ authenticate: auth.authenticate, board, isPublic: false }),
    healthHandler({ store: control.head, lastBeatAt: ticker.lastBeatAt, beatMs, now: wall }),
  ]);

  const inEnvironment = (environment: string | null) => (environment === null ? {} : { environment });
  const app = createApp({
    trusted,
    routes: [...rolloutRoutes(admin), ...documentRoutes(admin), ...flagRoutes(admin), ...governanceRoutes(admin)],
    api: { auth, idempotent: control.idempotent, now: wall, report: failed('a request failed') },
    page: {
      auth,
      now: wall,
      rollouts: async (environment) =>
        viewsOf(admin, await control.rollouts({ current: true, ...inEnvironment(environment) })),
      decisions: async (environment) =>
        (await control.decisions({ limit: environment === null ? 30 : 500 }))
          .filter((decision) => environment === null || decision.environment === environment)
          .slice(0, 30),
      kill: async (where, principal, reason) => {
        if (!covers(principal, where.environment))
          throw new Forbidden(`this token is for the environment ${principal.environment}`);
        await verbs.act(where, 'kill', { actor: principal.subject, role: principal.role, reason, idempotency: null });
      },
    },
  });
  const server = createHttpServer(raw, app);
  undo.add(() => drain(server, 5_000));
  // Before the server drains: streams never end by themselves.
  undo.add(hub.close);

  for (const { name } of await control.environments()) await publish(name);
  const beat = async () => {
    for (const { spec } of await library.signals())
      if (spec.source.event === 'conversion') conversions.add(spec.source.field);
    for (const environment of behind) await publish(environment);
    await ticker.beat(clock.now());
  };
  await beat();
  undo.add(startHeartbeat(beat, beatMs, failed('a heartbeat failed')));
  undo.add(startCalendar({ control, rum, evidence: look.evidence, now: wall, report: failed('retention failed') }));
  const port = await listen(server, config.port, config.host);
  // Last, because a start that fails shows no token, and the next one would make no other.
  const adminToken = await ensureAdmin(control, wall());
  if (adminToken !== null) await accessChanged();
  const host = config.host.includes(':') ? `[${config.host}]` : config.host;
  log.info({ port, host: config.host, store: config.databaseUrl === null ? 'sqlite' : 'postgres' }, 'listening');
  return { url: `http://${host}:${port}`, adminToken };
}

/** Beats until it is stopped; stopping waits for the beats that are under way. */
function startHeartbeat(beat: () => Promise<void>, everyMs: number, failed: (error: unknown) => void) {
  let beats: Promise<unknown> = Promise.resolve();
  const heartbeat = setInterval(() => {
    beats = Promise.all([beats, beat().catch(failed)]);
  }, everyMs);
  return async () => {
    clearInterval(heartbeat);
    await beats;
  };
}
