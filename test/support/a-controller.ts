import type { FlagSet } from '@tidegate/core';
import { pino } from 'pino';
import request from 'supertest';
import { readConfig } from '../../src/config.ts';
import { createAccess, firstStart } from '../../src/control/access.ts';
import { createDocuments } from '../../src/control/apply-documents.ts';
import { createApplyFlags } from '../../src/control/apply-flags.ts';
import { createApplyPlan } from '../../src/control/apply-plan.ts';
import type { By } from '../../src/control/by.ts';
import { createChange } from '../../src/control/change.ts';
import { createEvidenceReader } from '../../src/control/evidence.ts';
import { createFreezing } from '../../src/control/freezing.ts';
import { createLibrary } from '../../src/control/library.ts';
import { createStages, type LookDeps, noEvidence } from '../../src/control/look.ts';
import { createPublish } from '../../src/control/publish.ts';
import { createTicker } from '../../src/control/tick.ts';
import { createVerbs } from '../../src/control/verbs.ts';
import { startController } from '../../src/controller.ts';
import type { Evidence } from '../../src/domain/evidence.ts';
import type { Now } from '../../src/domain/now.ts';
import type { AuthoredPlan } from '../../src/domain/plan.ts';
import type { AuthoredPolicy } from '../../src/domain/policy.ts';
import type { Rollout } from '../../src/domain/rollout.ts';
import type { Served } from '../../src/serve/compile.ts';
import type { ControlStore, Role, RumStore } from '../../src/store/store.ts';
import { aStratum } from '../domain/gates/an-evidence.ts';
import { minute, monday } from './a-rollout.ts';
import { tempStore } from './temp-store.ts';

export const ana: By = { actor: 'ana', role: 'admin', reason: 'because', idempotency: null };

/** One kill gate on errors, looked at every 30 s. */
export function aPolicyDocument(spec: Partial<AuthoredPolicy['spec']> = {}, version = 1): AuthoredPolicy {
  const runbook = 'https://run.example/e';
  return {
    apiVersion: 'tidegate.dev/v1',
    kind: 'GatePolicy',
    metadata: { name: 'web', version, owner: 'sre' },
    spec: {
      gates: [
        {
          name: 'errors-kill',
          signal: 'js_error_rate',
          tier: 'kill',
          owner: 'sre',
          runbook,
          tests: [{ type: 'relative', margin: '100%', confidence: 'lower_bound' }],
        },
      ],
      ...spec,
    },
  };
}

/** 10, 40 and 100 %, ten minutes each. */
export function aPlanDocument(
  spec: Partial<AuthoredPlan['spec']> = {},
  metadata: Partial<AuthoredPlan['metadata']> = {},
): AuthoredPlan {
  return {
    apiVersion: 'tidegate.dev/v1',
    kind: 'RolloutPlan',
    metadata: { name: 'checkout', flag: 'checkout', owner: 'shop', ...metadata },
    spec: {
      policy: 'web@1',
      comparison: { control: { ratio: 'matched' }, holdback: { percent: 1, for: '1d' } },
      stages: [
        { name: 'first', exposure: 10, bake: '10m', maxDwell: '300d' },
        { name: 'more', exposure: 40, bake: '10m', maxDwell: '300d' },
        { name: 'full', exposure: 100 },
      ],
      soak: { bake: '10m' },
      ...spec,
    },
  };
}

/**
 * Fresh beacons of both arms in every stage so far. 1 % of the units saw an error, in treatment 1 % times `worse`. The last
 * stage has only its holdback to compare with.
 */
export function beaconsOf(rollout: Rollout, now: Now, worse = 1): Evidence {
  const { epoch, stage } = rollout.state;
  const units = 198_000;
  const strata = Array.from({ length: epoch }, (_, index) => {
    const then = Math.max(0, stage - (epoch - 1 - index));
    const controls = then === 2 ? units / 99 : units;
    return aStratum({
      epoch: index + 1,
      stage: then,
      treatment: { units, errors: Math.round(units * 0.01 * worse) },
      control: { units: controls, errors: Math.round(controls * 0.01) },
    });
  });
  const newest = { treatment: now.wall, control: now.wall };
  return { ...noEvidence(now), strata, newest, ingest: { accepted: 1000, invalid: 0, duplicate: 0, late: 0 } };
}

type Seam = {
  /** Stands between the control layer and the store, to make it fail. */
  readonly store?: (store: ControlStore) => ControlStore;
  readonly rum?: (rum: RumStore) => RumStore;
  /** What beacons say; without it the real (empty) rum store is read. */
  readonly evidence?: (rollout: Rollout, now: Now) => Evidence;
  /** Told before every such reading whether it was asked for segments. */
  readonly asked?: (segments: boolean) => void;
  readonly breathe?: () => Promise<void>;
};

/** The control layer on real SQLite in memory, with a clock that stands still until `world.after` is moved. */
export async function aControl(seam: Seam = {}) {
  const clock = { after: 0, mono: null as number | null, boot: 'b1', flush: 0 };
  const now = (): Now => ({
    wall: monday + clock.after,
    mono: clock.mono ?? 1_000_000 + clock.after,
    boot: clock.boot,
  });
  const temp = await tempStore(() => now().mono);
  const store = seam.store?.(temp.control) ?? temp.control;
  const rum = seam.rum?.(temp.rum) ?? temp.rum;
  await firstStart(temp.control, null, now().wall);

  const library = createLibrary(store);
  const served = new Map<string, Served>();
  const published: string[] = [];
  const compile = createPublish({ store, library, show: (set) => served.set(set.environment, set) });
  const publish = async (environment: string) => {
    published.push(environment);
    await compile(environment);
  };
  const reader = createEvidenceReader({ rum, bucketMs: minute });
  const { evidence } = seam;
  const read: LookDeps['evidence']['read'] =
    evidence === undefined
      ? reader.read
      : async (rollout, _stages, _lag, _now, asked) => {
          seam.asked?.(asked?.segments === true);
          return evidence(rollout, now());
        };
  const forgotten: number[] = [];
  const forget = ({ shortId }: { readonly shortId: number }) => {
    forgotten.push(shortId);
    reader.forget({ shortId });
  };
  const look = { library, stages: createStages(store), evidence: { read, forget } };
  const change = createChange({ store, publish, code: 'test' });
  const reported: { readonly error: unknown; readonly rollout: string }[] = [];
  const aTicker = () =>
    createTicker({
      ...look,
      store,
      change,
      newestFlush: () => clock.flush,
      ...(seam.breathe === undefined ? {} : { breathe: seam.breathe }),
      report: (error, rollout) => reported.push({ error, rollout: rollout.name }),
    });
  const documents = { store, library, publish };
  const applyPlan = createApplyPlan(documents);
  const world = {
    clock,
    now,
    store,
    library,
    served,
    published,
    reported,
    forgotten,
    change,
    publish,
    aTicker,
    ticker: aTicker(),
    verbs: createVerbs({ ...look, store, change, publish, now }),
    documents: createDocuments(documents),
    applyFlags: createApplyFlags(documents),
    freezing: createFreezing(store),
    access: createAccess({ store, changed: async () => {}, publish }),
    applyPlan: (
      document: unknown,
      {
        environment = 'production',
        dryRun = false,
        by = ana,
      }: { environment?: string; dryRun?: boolean; by?: By } = {},
    ) => applyPlan(document, environment, dryRun, by, now()),
    applyPolicy: (document: unknown = aPolicyDocument(), by = ana) =>
      world.documents.applyPolicy(document, false, by, now().wall),
    /** Moves the clock, then beats once. */
    beat: async (afterMs = 0) => {
      clock.after += afterMs;
      await world.ticker.beat(now());
    },
    rollout: async (name = 'checkout', environment = 'production'): Promise<Rollout> => {
      const [found] = await store.rollouts({ environment, name });
      if (found === undefined) throw new Error(`no rollout ${name}`);
      return found;
    },
    phase: async (name = 'checkout', environment = 'production') =>
      (await world.rollout(name, environment)).state.phase,
    where: { environment: 'production', name: 'checkout' },
    close: temp.close,
  };
  return world;
}

export type Control = Awaited<ReturnType<typeof aControl>>;

/** A rollout that the first beats have started: ramping at its first stage. */
export async function aRamping(seam: Seam = {}, plan = aPlanDocument()): Promise<Control> {
  const world = await aControl(seam);
  await world.beat();
  await world.applyPolicy();
  await world.applyPlan(plan);
  await world.beat(1_000);
  return world;
}

export const flagSetOf = (flags: FlagSet['flags']): FlagSet => ({ flags });

/** With the signs of base64, which a cookie has to carry as well. */
export const adminToken = 'an-admin+token/for=the-tests==';

/** The whole controller on a real socket, its store in memory. It beats when it starts and then leaves us alone. */
export async function aController() {
  const config = readConfig({
    TIDEGATE_PORT: '0',
    TIDEGATE_DATA_DIR: ':memory:',
    TIDEGATE_ADMIN_TOKEN: adminToken,
    TIDEGATE_LOG_LEVEL: 'silent',
  });
  const controller = await startController({ config, log: pino({ level: 'silent' }), beatMs: 1_000_000 });
  const api = request(controller.url);
  const as = (token: string) => ({
    get: (path: string) => api.get(`/api/v1${path}`).auth(token, { type: 'bearer' }),
    post: (path: string, body: object = {}) => api.post(`/api/v1${path}`).auth(token, { type: 'bearer' }).send(body),
    put: (path: string, body: object = {}) => api.put(`/api/v1${path}`).auth(token, { type: 'bearer' }).send(body),
    delete: (path: string, body: object = {}) =>
      api.delete(`/api/v1${path}`).auth(token, { type: 'bearer' }).send(body),
  });
  const admin = as(adminToken);
  return {
    url: controller.url,
    api,
    as,
    admin,
    /** A token of this role, through the front door. */
    async token(role: Role, environment?: string, subject = `${role}-${environment ?? 'anywhere'}`): Promise<string> {
      const made = await admin.post('/tokens', {
        role,
        subject,
        ...(environment === undefined ? {} : { environment }),
      });
      if (made.status !== 201) throw new Error(made.text);
      return String(made.body.token);
    },
    async aPlan(document = aPlanDocument(), environment = 'production') {
      await admin.put('/policies/web', aPolicyDocument()).expect(200);
      await admin.put(`/plans/${document.metadata.name}?environment=${environment}`, document).expect(200);
    },
    close: controller.close,
  };
}

export type RunningController = Awaited<ReturnType<typeof aController>>;
