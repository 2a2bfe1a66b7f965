import { describe, expect, it } from 'vitest';
import { type Change, Conflict, type ControlStore, StoreUnavailable } from '../../src/store/store.ts';
import type { Subject } from './contract.ts';
import { aDecision, anEntry, aRollout, aState, noon, someEvidence, someProgress } from './fixtures.ts';

const hostile = 'Grüße 漢字 🏳️‍🌈 \u0000 \ud800 " \' ; -- ? $1 \\';

export function controlContract(subject: Subject): void {
  const control = (): ControlStore => subject.stores.control;
  const commit = (change: Partial<Change> = {}) => control().commit({ audit: anEntry(), ...change });
  const create = (over: Parameters<typeof aRollout>[0] = {}) =>
    commit({ rollouts: [{ before: null, after: aRollout(over) }] });

  describe('commit', () => {
    it('numbers changes from 1 without gaps, and head is the newest', async () => {
      expect(await control().head()).toBe(0);
      expect(await commit()).toEqual({ seq: 1 });
      expect(await commit()).toEqual({ seq: 2 });
      expect(await control().head()).toBe(2);
    });

    it('stays dense when many commit at once and some are refused', async () => {
      await create();
      const hold = () => commit({ rollouts: [{ before: 1, after: aRollout({ state: aState({ version: 2 }) }) }] });
      const outcomes = await Promise.allSettled(
        Array.from({ length: 30 }, (_, n) => (n % 3 === 0 ? hold() : commit())),
      );
      expect(outcomes.filter((outcome) => outcome.status === 'rejected')).toHaveLength(9);
      const seqs = (await control().audit({ limit: 100 })).map((record) => record.seq);
      expect(seqs).toEqual(Array.from({ length: 22 }, (_, n) => 22 - n));
      expect(await control().head()).toBe(22);
    });

    it('refuses a change of a version that has moved on, and writes nothing of it', async () => {
      await create();
      const change: Partial<Change> = {
        rollouts: [{ before: 7, after: aRollout({ state: aState({ phase: 'killed', version: 8 }) }) }],
        decision: aDecision(),
        evidence: { digest: 'sha256-1', body: someEvidence },
        flags: { environment: 'production', put: { a: { state: 'ENABLED', variants: { on: true } } }, remove: [] },
        idempotency: { key: 'k', subject: 'mkaya', request: 'r', status: 200, body: '{}', at: noon },
      };
      await expect(commit(change)).rejects.toThrow(Conflict);
      expect(await control().rollout('r_0000000001')).toEqual(aRollout());
      expect(await control().decisions({ limit: 10 })).toEqual([]);
      expect(await control().evidence('sha256-1')).toBeNull();
      expect(await control().flags('production')).toEqual({ flags: {} });
      expect(await control().idempotent('k', 'mkaya')).toBeNull();
      expect(await control().head()).toBe(1);
    });

    it('writes nothing of a change whose last part is refused', async () => {
      const idempotency = { key: 'k', subject: 'mkaya', request: 'r', status: 200, body: '{}', at: noon };
      await commit({ idempotency });
      const change: Partial<Change> = { rollouts: [{ before: null, after: aRollout() }], idempotency };
      await expect(commit(change)).rejects.toThrow(Conflict);
      expect(await control().rollouts({})).toEqual([]);
    });

    it('refuses a raise that is older than its guard allows, and takes it when it is not', async () => {
      await create();
      const raise: Partial<Change> = {
        rollouts: [{ before: 1, after: aRollout({ state: aState({ stage: 1, version: 2 }) }) }],
        raise: { notAfterMono: 2_000 },
      };
      subject.clock.mono = 2_001;
      await expect(commit(raise)).rejects.toThrow(Conflict);
      expect((await control().rollout('r_0000000001'))?.state.stage).toBe(0);
      expect(await control().head()).toBe(1);
      subject.clock.mono = 2_000;
      await commit(raise);
      expect((await control().rollout('r_0000000001'))?.state.stage).toBe(1);
    });

    it('keeps what was committed across a reopen', async () => {
      await create();
      await subject.reopen();
      expect(await control().rollout('r_0000000001')).toEqual(aRollout());
      expect(await commit()).toEqual({ seq: 2 });
    });

    it('says StoreUnavailable once it is closed', async () => {
      const closed = control();
      await closed.close();
      await expect(closed.commit({ audit: anEntry() })).rejects.toThrow(StoreUnavailable);
      await expect(closed.head()).rejects.toThrow(StoreUnavailable);
    });
  });

  describe('rollouts', () => {
    it('come back as they were saved, newest first', async () => {
      const references = { lcp: { bins: [1, 2, 3, 4, 5], since: noon } };
      await create({ references });
      await create({ id: 'r_2', shortId: 2, name: 'other', flag: 'other', createdAt: noon + 1, wave: 'eu' });
      expect((await control().rollouts({})).map(({ id }) => id)).toEqual(['r_2', 'r_0000000001']);
      expect(await control().rollout('r_0000000001')).toEqual(aRollout({ references }));
      expect(await control().rollout('r_nobody')).toBeNull();
    });

    it('are found by environment, flag, name and being current', async () => {
      await create();
      await create({ id: 'r_2', shortId: 2, environment: 'staging' });
      await create({ id: 'r_3', shortId: 3, name: 'old', state: aState({ phase: 'cancelled' }) });
      const ids = async (filter: Parameters<ControlStore['rollouts']>[0]) =>
        (await control().rollouts(filter)).map(({ id }) => id);
      expect(await ids({ environment: 'staging' })).toEqual(['r_2']);
      expect(await ids({ name: 'old' })).toEqual(['r_3']);
      expect(await ids({ flag: 'new-checkout', current: true })).toEqual(['r_2', 'r_0000000001']);
      expect(await ids({ flag: 'nothing' })).toEqual([]);
    });

    it('share no name in an environment unless the older one is superseded', async () => {
      await create();
      const next = aRollout({ id: 'r_2', shortId: 2, plan: { name: 'new-checkout', revision: 2 } });
      await expect(commit({ rollouts: [{ before: null, after: next }] })).rejects.toThrow(Conflict);
      const superseded = aRollout({ state: aState({ phase: 'superseded', version: 2 }) });
      await commit({
        rollouts: [
          { before: null, after: next },
          { before: 1, after: superseded },
        ],
      });
      expect(await control().rollouts({ name: 'new-checkout', current: true })).toEqual([next]);
    });

    it('get small numbers that are never given twice', async () => {
      expect(await control().nextShortId()).toBe(1);
      await create({ shortId: 41 });
      expect(await control().nextShortId()).toBe(42);
      await expect(create({ id: 'r_2', name: 'other', shortId: 41 })).rejects.toThrow(Conflict);
    });

    it('take progress without a new version, unless the version moved on', async () => {
      await create();
      const progress = someProgress({ bakedMs: 5_000, lastTick: { wall: noon, mono: 1.5, boot: 'b' } });
      const references = { lcp: { bins: [1, 2, 3, 4, 5], since: noon } };
      expect(await control().saveProgress('r_0000000001', 1, progress, references)).toBe(true);
      expect(await control().rollout('r_0000000001')).toEqual(aRollout({ progress, references }));
      expect(await control().head()).toBe(1);
      expect(await control().saveProgress('r_0000000001', 2, someProgress(), {})).toBe(false);
      expect((await control().rollout('r_0000000001'))?.progress).toEqual(progress);
    });
  });

  describe('decisions and evidence', () => {
    it('are numbered after the audit record that they belong to', async () => {
      await commit();
      await commit({ decision: aDecision(), evidence: { digest: 'sha256-1', body: someEvidence } });
      await commit({ decision: aDecision({ rollout: 'r_2' }), evidence: { digest: 'sha256-1', body: someEvidence } });
      expect(await control().decisions({ limit: 10 })).toEqual([
        { ...aDecision({ rollout: 'r_2' }), id: 'D-3' },
        { ...aDecision(), id: 'D-2' },
      ]);
      expect(await control().decisions({ id: 'D-2', limit: 10 })).toEqual([{ ...aDecision(), id: 'D-2' }]);
      expect(await control().decisions({ id: 'nonsense', limit: 10 })).toEqual([]);
      expect(await control().decisions({ rollout: 'r_2', limit: 10 })).toHaveLength(1);
      expect((await control().decisions({ before: 3, limit: 1 })).map(({ id }) => id)).toEqual(['D-2']);
      expect(await control().evidence('sha256-1')).toEqual(someEvidence);
      expect(await control().evidence('sha256-2')).toBeNull();
    });
  });

  describe('audit', () => {
    it('keeps who, what, where and why, in any script, newest first', async () => {
      const entry = anEntry({ reason: hostile, detail: { before: 5, after: hostile, list: [null, 1.5] } });
      await commit({ audit: entry });
      await commit({ audit: anEntry({ environment: null, target: 'tok1', action: 'token.create' }) });
      expect(await control().audit({ limit: 10 })).toEqual([
        { ...anEntry({ environment: null, target: 'tok1', action: 'token.create' }), seq: 2 },
        { ...entry, seq: 1 },
      ]);
      expect(await control().audit({ environment: 'production', limit: 10 })).toHaveLength(1);
      expect(await control().audit({ target: 'tok1', limit: 10 })).toHaveLength(1);
      expect(await control().audit({ before: 2, limit: 10 })).toHaveLength(1);
      expect(await control().audit({ limit: 1 })).toHaveLength(1);
    });
  });

  describe('documents', () => {
    const plan = (version: number, document: unknown = { kind: 'RolloutPlan', note: hostile }): Partial<Change> => ({
      documents: [{ kind: 'plan', name: 'new-checkout', version, document, digest: `sha256-${version}` }],
    });

    it('are read by version, newest unless told', async () => {
      await commit(plan(1));
      await commit(plan(2, { second: true }));
      const stored = { name: 'new-checkout', createdAt: noon, author: 'mkaya' };
      const first = { ...stored, version: 1, digest: 'sha256-1', document: { kind: 'RolloutPlan', note: hostile } };
      const second = { ...stored, version: 2, digest: 'sha256-2', document: { second: true } };
      expect(await control().document('plan', 'new-checkout')).toEqual(second);
      expect(await control().document('plan', 'new-checkout', 1)).toEqual(first);
      expect(await control().document('plan', 'new-checkout', 3)).toBeNull();
      expect(await control().document('policy', 'new-checkout')).toBeNull();
    });

    it('are listed once each, in their newest version', async () => {
      await commit(plan(1));
      await commit(plan(2));
      await commit({ documents: [{ kind: 'plan', name: 'a', version: 1, document: {}, digest: 'd' }] });
      const listed = (await control().documents('plan')).map(({ name, version }) => `${name}@${version}`);
      expect(listed).toEqual(['a@1', 'new-checkout@2']);
      expect(await control().documents('signal')).toEqual([]);
    });

    it('never change: the same version twice is a conflict', async () => {
      await commit(plan(1));
      await expect(commit(plan(1, {}))).rejects.toThrow(Conflict);
    });
  });

  describe('flags', () => {
    const on = { state: 'ENABLED', variants: { on: true, off: false }, defaultVariant: 'on' } as const;

    it('are put and removed per environment, with evaluators and metadata of their set', async () => {
      await commit({
        flags: {
          environment: 'production',
          put: { b: on, [hostile.replace('\u0000', '').replace('\ud800', '')]: on, a: on },
          remove: [],
          evaluators: { beta: { '==': [1, 1] } },
          metadata: { team: 'shop' },
        },
      });
      await commit({ flags: { environment: 'staging', put: { a: on }, remove: [] } });
      await commit({
        flags: { environment: 'production', put: { b: { ...on, state: 'DISABLED' } }, remove: ['a', 'gone'] },
      });
      const production = await control().flags('production');
      expect(Object.keys(production.flags)).toEqual([expect.stringContaining('漢字'), 'b']);
      expect(production.flags.b).toEqual({ ...on, state: 'DISABLED' });
      expect(production.$evaluators).toEqual({ beta: { '==': [1, 1] } });
      expect(production.metadata).toEqual({ team: 'shop' });
      expect(await control().flags('staging')).toEqual({ flags: { a: on } });
      expect(await control().flags('nowhere')).toEqual({ flags: {} });
    });

    it('come and go by the thousand in one change', async () => {
      const keys = Array.from({ length: 1_000 }, (_, n) => `flag-${n}`);
      const put = Object.fromEntries(keys.map((key) => [key, on]));
      await commit({ flags: { environment: 'production', put, remove: [] } });
      expect(Object.keys((await control().flags('production')).flags)).toEqual([...keys].sort());
      await commit({ flags: { environment: 'production', put: {}, remove: keys } });
      expect(await control().flags('production')).toEqual({ flags: {} });
    });

    it('keep a key that JavaScript is fond of to themselves', async () => {
      await commit({ flags: { environment: 'production', put: Object.fromEntries([['__proto__', on]]), remove: [] } });
      expect(Object.keys((await control().flags('production')).flags)).toEqual(['__proto__']);
    });
  });

  describe('latches and freezes', () => {
    const latch = { environment: 'production', flag: 'f', wave: null, setAt: noon, by: 'mkaya', reason: hostile };
    const freeze = { environment: null, reason: 'holidays', by: 'mkaya', from: noon, until: noon + 1 };

    it('a latch stands per flag and wave until it is cleared for the flag', async () => {
      await commit({ latch: { set: latch } });
      await commit({ latch: { set: { ...latch, by: 'controller' } } });
      await commit({ latch: { set: { ...latch, wave: 'eu' } } });
      await commit({ latch: { set: { ...latch, environment: 'staging' } } });
      expect(await control().latches('production')).toEqual([
        { ...latch, by: 'controller' },
        { ...latch, wave: 'eu' },
      ]);
      const seen = await control().latches('production');
      await commit({ latch: { clear: { environment: 'production', flag: 'f', seen } } });
      expect(await control().latches()).toEqual([{ ...latch, environment: 'staging' }]);
      await commit({ latch: { clear: { environment: 'production', flag: 'f', seen } } });
    });

    it('a latch that was set after the look of whoever clears it stands', async () => {
      await commit({ latch: { set: latch } });
      const seen = await control().latches('production');
      const clear = { latch: { clear: { environment: 'production', flag: 'f', seen } } };
      const newer = { ...latch, setAt: noon + 1 };
      await commit({ latch: { set: newer } });
      await expect(commit(clear)).rejects.toThrow(Conflict);
      await commit({ latch: { set: latch } });
      await commit({ latch: { set: { ...newer, wave: 'eu' } } });
      await expect(commit(clear)).rejects.toThrow(Conflict);
      expect(await control().latches('production')).toEqual([latch, { ...newer, wave: 'eu' }]);
      await commit({
        latch: { clear: { environment: 'production', flag: 'f', seen: [latch, { ...newer, wave: 'eu' }] } },
      });
      expect(await control().latches('production')).toEqual([]);
    });

    it('of a kill and a rearm at the same moment, the kill stands', async () => {
      await commit({ latch: { set: latch } });
      const seen = await control().latches('production');
      const newer = { ...latch, setAt: noon + 1 };
      await Promise.allSettled([
        commit({ latch: { set: newer } }),
        commit({ latch: { clear: { environment: 'production', flag: 'f', seen } } }),
      ]);
      expect(await control().latches('production')).toEqual([newer]);
    });

    describe('stop a raise that was decided before them', () => {
      const raise = (over: Parameters<typeof aRollout>[0] = {}): Partial<Change> => ({
        rollouts: [{ before: 1, after: aRollout({ state: aState({ stage: 1, version: 2 }), ...over }) }],
        raise: { notAfterMono: 2_000 },
      });
      const ofFlag = { ...latch, flag: 'new-checkout' };
      const stage = async () => (await control().rollout('r_0000000001'))?.state.stage;

      it.each([
        ['a latch on its flag', { latch: { set: ofFlag } }],
        ['a freeze of its environment', { freeze: { on: { ...freeze, environment: 'production' } } }],
        ['a freeze of everywhere', { freeze: { on: freeze } }],
        ['a freeze without an end', { freeze: { on: { ...freeze, until: null } } }],
      ])('%s', async (_, change: Partial<Change>) => {
        await create();
        await commit(change);
        const head = await control().head();
        await expect(commit(raise())).rejects.toThrow(Conflict);
        expect(await stage()).toBe(0);
        expect(await control().head()).toBe(head);
      });

      it.each([
        ['a latch on another flag', { latch: { set: latch } }],
        ['a latch on its flag elsewhere', { latch: { set: { ...ofFlag, environment: 'staging' } } }],
        ['a latch on another wave', { latch: { set: { ...ofFlag, wave: 'eu' } } }],
        ['a freeze of another environment', { freeze: { on: { ...freeze, environment: 'staging' } } }],
        ['a freeze that is over', { freeze: { on: { ...freeze, from: noon - 1, until: noon } } }],
      ])('but not %s', async (_, change: Partial<Change>) => {
        await create();
        await commit(change);
        await commit(raise());
        expect(await stage()).toBe(1);
      });

      it('and a latch on its own wave', async () => {
        await create({ wave: 'eu' });
        await commit({ latch: { set: { ...ofFlag, wave: 'eu' } } });
        await expect(commit(raise({ wave: 'eu' }))).rejects.toThrow(Conflict);
      });

      it('and nothing that does not raise', async () => {
        await create();
        await commit({ latch: { set: ofFlag }, freeze: { on: freeze } });
        const { raise: _, ...rest } = raise();
        await commit(rest);
        expect(await stage()).toBe(1);
      });
    });

    it('a freeze stands per environment, or everywhere, until it is lifted there', async () => {
      await commit({ freeze: { on: freeze } });
      await commit({ freeze: { on: { ...freeze, environment: 'production' } } });
      await commit({ freeze: { on: { ...freeze, until: null } } });
      expect(await control().freezes()).toEqual([
        { ...freeze, until: null },
        { ...freeze, environment: 'production' },
      ]);
      await commit({ freeze: { off: { environment: null } } });
      expect(await control().freezes()).toEqual([{ ...freeze, environment: 'production' }]);
    });
  });

  describe('environments, tokens and keys', () => {
    it('an environment is made once', async () => {
      const environment = { name: 'production', protected: true, createdAt: noon };
      await commit({ environment });
      await commit({ environment: { name: 'staging', protected: false, createdAt: noon + 1 } });
      await expect(commit({ environment })).rejects.toThrow(Conflict);
      expect(await control().environments()).toEqual([
        environment,
        { name: 'staging', protected: false, createdAt: noon + 1 },
      ]);
    });

    it('a token is kept without its secret, and revoked once', async () => {
      const token = {
        id: 'abcd1234',
        role: 'sdk-server',
        subject: 'shop',
        environment: null,
        secretHash: 'ab'.repeat(32),
        createdAt: noon,
        expiresAt: noon + 1,
        revokedAt: null,
      } as const;
      await commit({ token });
      expect(await control().tokens()).toEqual([token]);
      await expect(commit({ token })).rejects.toThrow(Conflict);
      await commit({ revokeToken: { id: 'abcd1234', at: noon + 5 } });
      expect(await control().tokens()).toEqual([{ ...token, revokedAt: noon + 5 }]);
      await expect(commit({ revokeToken: { id: 'abcd1234', at: noon + 6 } })).rejects.toThrow(Conflict);
    });

    it('a signing key keeps its bytes', async () => {
      const bytes = Uint8Array.from({ length: 256 }, (_, n) => n);
      const signingKey = { kid: 1, environment: 'production', secret: bytes, pepper: bytes.slice(7), createdAt: noon };
      await commit({ signingKey });
      expect(await control().signingKeys()).toEqual([signingKey]);
      await expect(commit({ signingKey })).rejects.toThrow(Conflict);
    });
  });

  describe('idempotent answers', () => {
    const answer = { key: 'k', subject: 'mkaya', request: 'sha', status: 200, body: hostile.slice(0, 8), at: noon };

    it('are found by key and subject with the change they belong to, and belong to one change only', async () => {
      await commit();
      await commit({ idempotency: answer });
      expect(await control().idempotent('k', 'mkaya')).toEqual({ ...answer, seq: 2 });
      expect(await control().idempotent('k', 'somebody')).toBeNull();
      await expect(commit({ idempotency: answer })).rejects.toThrow(Conflict);
      await commit({ idempotency: { ...answer, subject: 'somebody' } });
    });

    it('are forgotten when they are old', async () => {
      await commit({ idempotency: answer });
      await commit({ idempotency: { ...answer, key: 'k2', at: noon + 10 } });
      expect(await control().forgetIdempotent(noon + 10)).toBe(1);
      expect(await control().idempotent('k', 'mkaya')).toBeNull();
      expect(await control().idempotent('k2', 'mkaya')).not.toBeNull();
    });
  });
}
