import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import type { Role } from '../../src/domain/permissions.ts';
import {
  type Answer,
  type Api,
  act,
  bulkOf,
  codeIn,
  newToken,
  ok,
  rolloutOf,
  seed,
  until,
  viewIn,
} from './support/process-api.ts';
import { aPlan, aPolicy } from './support/process-documents.ts';
import { aWorld, type World } from './support/process-world.ts';

// A real controller on a busy machine: what is waited for has deadlines of its own.
vi.setConfig({ testTimeout: 20_000, hookTimeout: 20_000 });

const people = ['viewer', 'operator', 'approver', 'ci'] as const satisfies readonly Role[];
const stages = [
  { name: 'early', exposure: 5, bake: '1d', minSamples: 200, maxDwell: '30d' },
  { name: 'quarter', exposure: 25, bake: '1d', minSamples: 200, maxDwell: '30d', approval: { roles: ['approver'] } },
  { name: 'half', exposure: 50 },
];

let world: World;
let admin: Api;
let as: { readonly [role in (typeof people)[number]]: Api };

beforeEach(async () => {
  world = await aWorld();
  admin = world.admin;
  const tokens = await Promise.all(people.map((role) => newToken(admin, role)));
  const [viewer, operator, approver, ci] = tokens.map((token) => admin.as(token));
  if (!viewer || !operator || !approver || !ci) throw new Error('no tokens');
  as = { viewer, operator, approver, ci };
});
afterEach(async () => {
  await world.close();
});

/** Applied by CI, as in a pipeline; ramping at its first stage when it returns, unless somebody must approve. */
async function ramping(spec: Parameters<typeof aPlan>[0] = {}): Promise<void> {
  await seed(admin, [aPolicy({ interval: '1s' })]);
  await seed(as.ci, [aPlan({ stages, ...spec })]);
  await until('the first stage', async () => (await rolloutOf(admin)).state.phase === 'ramping');
}

const said = async (answer: Promise<Answer>) => {
  const got = await answer;
  return got.status === 200 ? 200 : `${got.status} ${codeIn(got)}`;
};
const valueFor = async (targetingKey: string) => (await bulkOf(admin.as(null), targetingKey)).flag.value;

describe('an operator', () => {
  it('holds, resumes and steps back, with a reason each', async () => {
    await ramping();
    expect(await said(act(as.operator, 'hold'))).toBe('409 reason_required');
    const held = await act(as.operator, 'hold', 'looking at SHOP-991');
    expect(viewIn(held)).toMatchObject({ exposure: 5, state: { phase: 'held', heldBy: 'operator' } });
    const resumed = await act(as.operator, 'resume', 'it was the CDN');
    expect(viewIn(resumed)).toMatchObject({ exposure: 5, state: { phase: 'ramping' } });
    expect(await said(act(as.operator, 'step-back', 'too slow'))).toBe('409 nothing_to_step_back');
    expect(viewIn(await act(as.operator, 'skip-bake', 'hotfix'))).toMatchObject({ exposure: 25 });
    const back = await act(as.operator, 'step-back', 'too slow');
    expect(viewIn(back)).toMatchObject({ exposure: 5, state: { phase: 'held', stage: 0 } });
  });

  it('kills without a reason, and everybody is on control in the next answer', async () => {
    await ramping({ audience: { always: { treatment: ['boss'] } } });
    expect(await valueFor('boss')).toBe(true);
    expect(viewIn(await act(as.operator, 'kill'))).toMatchObject({ exposure: 0, state: { phase: 'killed' } });
    expect(await valueFor('boss')).toBe(false);
  });

  it('does not approve', async () => {
    await ramping();
    expect(await said(act(as.operator, 'approve'))).toBe('403 forbidden');
  });
});

describe('an approver', () => {
  it('starts what CI has seeded, and nothing is served before', async () => {
    await seed(admin, [aPolicy({ interval: '1s' })]);
    await seed(as.ci, [aPlan({ stages, start: { approval: { roles: ['approver'] } } })]);
    expect(await rolloutOf(admin)).toMatchObject({ exposure: 0, state: { phase: 'pending_approval' } });
    expect(await said(act(as.approver, 'approve'))).toBe(200);
    await until('the first stage', async () => (await rolloutOf(admin)).exposure === 5);
  });

  it('does not apply plans', async () => {
    await seed(admin, [aPolicy({ interval: '1s' })]);
    const applied = as.approver.call('PUT', '/api/v1/plans/checkout', { body: aPlan() });
    expect(await said(applied)).toBe('403 forbidden');
  });

  it('approves a stage last, when the evidence is there', async () => {
    await ramping();
    expect(await said(act(as.approver, 'approve'))).toBe('409 waiting');
    expect((await rolloutOf(admin)).exposure).toBe(5);
  });
});

describe('CI', () => {
  it('kills and holds, and neither resumes nor tidies up', async () => {
    await ramping();
    expect(await said(act(as.ci, 'hold', 'error rate in staging'))).toBe(200);
    expect(await said(act(as.ci, 'resume', 'green again'))).toBe('403 forbidden');
    expect(await said(act(as.ci, 'cancel', 'not needed'))).toBe('403 forbidden');
    expect(await said(act(as.ci, 'kill', 'smoke test fails'))).toBe(200);
    expect((await rolloutOf(admin)).exposure).toBe(0);
  });
});

describe('a viewer', () => {
  it('reads, and changes nothing', async () => {
    await ramping();
    expect((await rolloutOf(as.viewer)).exposure).toBe(5);
    for (const verb of ['kill', 'hold', 'resume', 'approve', 'promote', 'rearm', 'cancel', 'skip-bake'])
      expect([verb, await said(act(as.viewer, verb, 'because'))]).toEqual([verb, '403 forbidden']);
    const freeze = as.viewer.call('PUT', '/api/v1/freezes', { body: { reason: 'because' } });
    expect(await said(freeze)).toBe('403 forbidden');
    expect((await rolloutOf(as.viewer)).exposure).toBe(5);
  });

  it('is nobody once the token is revoked', async () => {
    await ramping();
    const { tokens } = z
      .object({ tokens: z.array(z.object({ id: z.string(), role: z.string() })) })
      .parse(await ok(admin.call('GET', '/api/v1/tokens')));
    const id = tokens.find(({ role }) => role === 'viewer')?.id;
    await ok(admin.call('DELETE', `/api/v1/tokens/${id}`));
    expect(await said(as.viewer.call('GET', '/api/v1/rollouts'))).toBe('401 unauthenticated');
  });
});

describe('a repeated request', () => {
  const once = { 'Idempotency-Key': 'shift-4' };

  it('says that it is one, does nothing, and tells how things stand', async () => {
    await ramping();
    const first = await act(as.operator, 'hold', 'a look', once);
    expect(first.headers.get('idempotency-replayed')).toBeNull();
    await act(as.operator, 'resume', 'all clear');
    for (let again = 0; again < 4; again += 1) {
      const repeat = await act(as.operator, 'hold', 'a look', once);
      expect([repeat.status, repeat.headers.get('idempotency-replayed')]).toEqual([200, 'true']);
      // Its hold was ended since: it must not claim to be in force.
      expect(viewIn(repeat).state.phase).toBe('ramping');
    }
    const decisions = z
      .object({ decisions: z.array(z.object({ action: z.string() })) })
      .parse(await ok(admin.call('GET', '/api/v1/decisions?rollout=checkout')));
    expect(decisions.decisions.filter(({ action }) => action === 'hold')).toHaveLength(1);
  });

  it('is refused when the key was used for something else', async () => {
    await ramping();
    await act(as.operator, 'hold', 'a look', once);
    expect(await said(act(as.operator, 'hold', 'another look', once))).toBe('422 idempotency_key_reused');
    expect(await said(act(as.operator, 'resume', 'a look', once))).toBe('422 idempotency_key_reused');
    expect((await rolloutOf(admin)).state.phase).toBe('held');
  });

  it('is one change also when five copies come at once', async () => {
    await ramping();
    const copies = await Promise.all(Array.from({ length: 5 }, () => act(as.operator, 'kill', 'payments fail', once)));
    expect(copies.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect(copies.filter(({ headers }) => headers.get('idempotency-replayed') === 'true')).toHaveLength(4);
    const audit = z
      .object({ records: z.array(z.object({ action: z.string() })) })
      .parse(await ok(admin.call('GET', '/api/v1/audit?target=checkout')));
    expect(audit.records.filter(({ action }) => action === 'rollout.kill')).toHaveLength(1);
  });

  it('is somebody else’s when another subject sends the same key', async () => {
    await ramping();
    await act(as.operator, 'hold', 'a look', once);
    const other = await act(as.ci, 'kill', 'smoke test fails', once);
    expect([other.status, other.headers.get('idempotency-replayed')]).toEqual([200, null]);
    expect(viewIn(other).state.phase).toBe('killed');
  });
});

describe('a freeze', () => {
  const freeze = (reason: string) =>
    as.operator.call('PUT', '/api/v1/freezes?environment=production', { body: { reason } });

  it('blocks every raise, by whomever, and no kill', async () => {
    await ramping();
    await ok(freeze('black friday'));
    expect(await rolloutOf(admin)).toMatchObject({ frozen: true, exposure: 5 });
    expect(await said(act(as.operator, 'skip-bake', 'hotfix'))).toBe('409 frozen');
    expect(await said(act(admin, 'promote', 'security fix'))).toBe('409 frozen');
    expect(viewIn(await act(as.operator, 'kill', 'payments fail'))).toMatchObject({ exposure: 0 });
  });

  it('keeps a rollout from starting, and lets it start when it ends', async () => {
    await ok(freeze('black friday'));
    await seed(admin, [aPolicy({ interval: '1s' })]);
    await seed(as.ci, [aPlan({ stages })]);
    await until('a look', async () => (await rolloutOf(admin)).waitingFor.some((wait) => wait.for === 'freeze'));
    expect((await rolloutOf(admin)).exposure).toBe(0);
    await ok(admin.call('DELETE', '/api/v1/freezes?environment=production', { body: { reason: 'over' } }));
    await until('the first stage', async () => (await rolloutOf(admin)).exposure === 5, 15_000);
  }, 20_000);
});

describe('rearm', () => {
  it('asks for a reason, and goes back to waiting for approval at 0', async () => {
    await ramping();
    await act(as.operator, 'kill', 'payments fail');
    expect(await said(act(as.operator, 'rearm'))).toBe('409 reason_required');
    const rearmed = await act(as.operator, 'rearm', 'null cart fixed');
    expect(viewIn(rearmed)).toMatchObject({
      exposure: 0,
      latch: null,
      state: { phase: 'pending_approval', stage: -1 },
    });
    expect(await said(act(as.approver, 'approve'))).toBe(200);
    // No tick starts it again by itself: that takes a person too.
    await until('a look', async () => (await rolloutOf(admin)).waitingFor.some((wait) => wait.for === 'start'));
    expect((await rolloutOf(admin)).exposure).toBe(0);
    expect(viewIn(await act(as.operator, 'start', 'with the fix'))).toMatchObject({ exposure: 5, state: { stage: 0 } });
  });
});

describe('promote, cancel and the flag as a whole', () => {
  it('promote goes to the last stage at once', async () => {
    await ramping();
    expect(viewIn(await act(admin, 'promote', 'security fix'))).toMatchObject({ exposure: 50, state: { stage: 2 } });
  });

  it('cancel ends it at 0', async () => {
    await ramping();
    expect(viewIn(await act(as.operator, 'cancel', 'v3 comes'))).toMatchObject({
      exposure: 0,
      state: { phase: 'cancelled' },
    });
    expect(await said(act(as.operator, 'resume', 'no, wait'))).toBe('409 not_allowed');
  });

  it('killing the flag kills its rollout, and rearming the flag clears the latch', async () => {
    await ramping({ audience: { always: { treatment: ['boss'] } } });
    await ok(as.operator.call('POST', '/api/v1/flags/checkout/kill', { body: {} }));
    expect(await rolloutOf(admin)).toMatchObject({ exposure: 0, state: { phase: 'killed' } });
    expect(await valueFor('boss')).toBe(false);
    await ok(as.operator.call('POST', '/api/v1/flags/checkout/rearm', { body: { reason: 'fixed' } }));
    expect(await rolloutOf(admin)).toMatchObject({ latch: null, state: { phase: 'pending_approval' } });
    expect(await valueFor('boss')).toBe(false);
  });
});
