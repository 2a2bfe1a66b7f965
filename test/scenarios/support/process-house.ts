import { firstStart } from '../../../src/control/access.ts';
import { createDocuments } from '../../../src/control/apply-documents.ts';
import { createApplyPlan } from '../../../src/control/apply-plan.ts';
import type { By } from '../../../src/control/by.ts';
import { createChange } from '../../../src/control/change.ts';
import { createEvidenceReader } from '../../../src/control/evidence.ts';
import { createLibrary } from '../../../src/control/library.ts';
import { createStages } from '../../../src/control/look.ts';
import { createTicker } from '../../../src/control/tick.ts';
import { createVerbs } from '../../../src/control/verbs.ts';
import type { EvidenceArm } from '../../../src/domain/evidence.ts';
import { exposureOf } from '../../../src/domain/exposure.ts';
import type { AuthoredPlan } from '../../../src/domain/plan.ts';
import type { AuthoredPolicy } from '../../../src/domain/policy.ts';
import type { Rollout } from '../../../src/domain/rollout.ts';
import { createIngest } from '../../../src/ingest/flush.ts';
import { createIssuer } from '../../../src/ingest/issue.ts';
import { openSqlite } from '../../../src/store/sqlite.ts';
import { Conflict, type ControlStore } from '../../../src/store/store.ts';
import { noon, pageViewId } from '../../support/beacons.ts';

const bucketMs = 60_000;

export interface Visits {
  /** Units of each arm. */
  readonly treatment?: number;
  readonly control?: number;
  /** Stage epoch that their tokens name; the present one unless told. */
  readonly epoch?: number;
  /** Share of units with an error, 0..1: of either arm, and of the treatment when it is broken. */
  readonly errors?: number;
  readonly broken?: number;
}

/** Store, ingest, judge and ticker as the controller wires them, without sockets and on a clock that the test turns. */
export async function aHouse(policy: AuthoredPolicy, plan: AuthoredPlan) {
  let elapsedMs = 0;
  let units = 0;
  const failures: unknown[] = [];
  const now = () => ({ wall: noon + elapsedMs, mono: elapsedMs, boot: 'boot' });
  const { control: store, rum } = await openSqlite({ dir: ':memory:', mono: () => elapsedMs });
  let conflicts = 0;
  const control: ControlStore = {
    ...store,
    commit: (made) =>
      store.commit(made).catch((error: unknown) => {
        if (error instanceof Conflict) conflicts += 1;
        throw error;
      }),
  };
  await firstStart(control, null, now().wall);
  const library = createLibrary(control);
  const issuer = createIssuer();
  const failed = (error: unknown) => void failures.push(error);
  const ingest = createIngest({ store: rum, tokens: issuer.tokens, bucketMs, declared: () => false, failed });
  issuer.to(ingest);
  issuer.load(await control.signingKeys());
  const publish = async () => {};
  const look = {
    store: control,
    stages: createStages(control),
    library,
    evidence: createEvidenceReader({ rum, bucketMs }),
  };
  const change = createChange({ store: control, publish, code: 'test' });
  const ticker = createTicker({ ...look, store: control, change, newestFlush: ingest.lastFlush, report: failed });
  const verbs = createVerbs({ ...look, store: control, change, publish, now });
  const by: By = { actor: 'mkaya', role: 'admin', reason: 'test', idempotency: null };
  const deps = { store: control, library, publish };
  await createDocuments(deps).applyPolicy(policy, false, by, now().wall);
  await createApplyPlan(deps)(plan, 'production', false, by, now());

  const rollout = async (): Promise<Rollout> => {
    const [found] = await control.rollouts({ environment: 'production' });
    if (found === undefined) throw new Error('no rollout');
    return found;
  };

  const visit = async (shortId: number, epoch: number, arm: EvidenceArm, throws: boolean) => {
    units += 1;
    const at = now().wall;
    const request = {
      environment: 'production',
      targetingKey: `unit-${units}`,
      entries: [{ rollout: shortId, epoch, arm }],
      at,
    };
    const tok = issuer.mint(request);
    if (tok === null) throw new Error('no token');
    issuer.issued(request);
    return ingest.accept({
      beacon: {
        v: 1,
        id: pageViewId(units),
        q: 0,
        tok,
        x: [[0, 60]],
        age: 5_000,
        m: throws ? [['err', 1, 900]] : [],
        end: 1,
      },
      receivedAt: at,
      size: 300,
      token: issuer.tokens.verify(tok, at, at - 5_000),
      client: { device: 'desktop', browser: 'chrome', region: 'other' },
      network: '192.0.2',
      optedOut: false,
    });
  };

  return {
    control,
    verbs,
    failures,
    /** Commits that met a rollout which had moved. */
    conflicts: () => conflicts,
    rollout,
    beat: () => ticker.beat(now()),
    /** Looks until the first stage is served. */
    async start() {
      for (let looks = 0; (await rollout()).state.phase !== 'ramping'; looks += 1) {
        if (looks > 5) throw new Error('it does not start');
        elapsedMs += 60_000;
        await ticker.beat(now());
      }
    },
    now,
    exposure: async () => {
      const { state, plan: ref } = await rollout();
      return exposureOf(state, await library.plan(ref), (await control.latches()).length > 0);
    },
    pass: (ms: number) => {
      elapsedMs += ms;
    },
    /** Real tokens, real ingest; committed when it returns. */
    async visits({ treatment = 0, control: controls = 0, epoch, errors = 0.05, broken = errors }: Visits) {
      const { shortId, state } = await rollout();
      const of = epoch ?? state.epoch;
      const visitsOf = (arm: EvidenceArm, n: number, share: number) =>
        Array.from({ length: n }, (_, unit) => visit(shortId, of, arm, unit < share * n));
      const sent = [...visitsOf('treatment', treatment, broken), ...visitsOf('control', controls, errors)];
      await ingest.flushNow();
      await Promise.all(sent);
    },
    async close() {
      await ingest.close();
      await Promise.all([control.close(), rum.close()]);
    },
  };
}
export type House = Awaited<ReturnType<typeof aHouse>>;
