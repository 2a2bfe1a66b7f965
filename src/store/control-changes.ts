import type { Freeze, Latch } from '../domain/rollout.ts';
import { freezeOn, latchOn } from '../domain/world.ts';
import type { Step } from './driver.ts';
import { json } from './row.ts';
import { raw, type Sql, slices, sql, values } from './sql.ts';
import { type Change, Conflict } from './store.ts';

type Part<K extends keyof Change> = NonNullable<Change[K]>;

/** The audit sequence number of the batch that this stands in. */
const ownSeq = sql`(select value from counter where name = 'audit')`;

/**
 * One change as one batch. The first statement takes the next audit number and locks it, so that changes of several
 * processes line up there and numbers stay dense: one that is refused gives its number back.
 */
export function stepsOf(change: Change): readonly Step[] {
  return [
    { sql: sql`update counter set value = value + 1 where name = 'audit' returning value`, expectRows: 1 },
    ...(change.raise === undefined
      ? []
      : (change.rollouts ?? []).flatMap(({ after }) => raiseSteps(after, change.audit))),
    { sql: auditOf(change.audit) },
    ...(change.rollouts === undefined ? [] : rolloutSteps(change.rollouts)),
    ...(change.decision === undefined ? [] : [{ sql: decisionOf(change.decision) }]),
    ...(change.evidence === undefined ? [] : [{ sql: evidenceOf(change.evidence) }]),
    ...(change.documents ?? []).map((document) => ({ sql: documentOf(document, change.audit) })),
    ...(change.flags === undefined ? [] : flagSteps(change.flags)),
    ...(change.latch === undefined ? [] : latchSteps(change.latch)),
    ...(change.freeze === undefined ? [] : [{ sql: freezeOf(change.freeze) }]),
    ...(change.environment === undefined ? [] : [{ sql: environmentOf(change.environment) }]),
    ...(change.token === undefined ? [] : [{ sql: tokenOf(change.token) }]),
    ...(change.revokeToken === undefined ? [] : [{ sql: revocationOf(change.revokeToken), expectRows: 1 }]),
    ...(change.signingKey === undefined ? [] : [{ sql: signingKeyOf(change.signingKey) }]),
    ...(change.idempotency === undefined ? [] : [{ sql: idempotencyOf(change.idempotency) }]),
  ];
}

function auditOf({ at, environment, target, ...rest }: Part<'audit'>): Sql {
  return sql`insert into audit (seq, at, environment, target, body)
    values (${ownSeq}, ${at}, ${environment}, ${target}, ${JSON.stringify(rest)})`;
}

/**
 * A kill or a freeze that was answered outlasts every raise that was decided before it. Behind the counter nobody can
 * set one between this look and the commit.
 */
function raiseSteps(rollout: Part<'rollouts'>[number]['after'], { at }: Part<'audit'>): Step[] {
  const { environment, flag } = rollout;
  return [
    {
      sql: latchesOf(rollout),
      check: (rows) => {
        const latch = latchOn(
          rollout,
          rows.map((row) => json<Latch>(row, 'body')),
        );
        if (latch !== null) throw new Conflict(`${flag} in ${environment} is killed by ${latch.by}: nothing raises it`);
      },
    },
    {
      sql: sql`select body from change_freeze where environment in ('', ${environment})`,
      check: (rows) => {
        const freeze = freezeOn(rollout, { freezes: rows.map((row) => json<Freeze>(row, 'body')) }, at);
        if (freeze !== null) throw new Conflict(`${environment} is frozen by ${freeze.by}: nothing raises there`);
      },
    },
  ];
}

/** Updates first: a rollout that is superseded makes room for its successor's name. */
function rolloutSteps(rollouts: Part<'rollouts'>): Step[] {
  const updates = rollouts.flatMap(({ before, after }) =>
    before === null ? [] : [{ sql: rolloutUpdate(before, after), expectRows: 1 }],
  );
  const inserts = rollouts.flatMap(({ before, after }) => (before === null ? [{ sql: rolloutInsert(after) }] : []));
  return [...updates, ...inserts];
}

function rolloutInsert(rollout: Part<'rollouts'>[number]['after']): Sql {
  const { progress, references, ...body } = rollout;
  return sql`insert into rollout (id, short_id, environment, name, flag, phase, version, created_at, body, progress, refs)
    values (${rollout.id}, ${rollout.shortId}, ${rollout.environment}, ${rollout.name}, ${rollout.flag},
      ${rollout.state.phase}, ${rollout.state.version}, ${rollout.createdAt},
      ${JSON.stringify(body)}, ${JSON.stringify(progress)}, ${JSON.stringify(references)})`;
}

function rolloutUpdate(before: number, { progress, references, ...body }: Part<'rollouts'>[number]['after']): Sql {
  return sql`update rollout set phase = ${body.state.phase}, version = ${body.state.version},
      body = ${JSON.stringify(body)}, progress = ${JSON.stringify(progress)}, refs = ${JSON.stringify(references)}
    where id = ${body.id} and version = ${before}`;
}

function decisionOf(decision: Part<'decision'>): Sql {
  return sql`insert into decision (seq, rollout, body) values (${ownSeq}, ${decision.rollout}, ${JSON.stringify(decision)})`;
}

function evidenceOf({ digest, body }: Part<'evidence'>): Sql {
  return sql`insert into evidence (digest, body) values (${digest}, ${JSON.stringify(body)}) on conflict (digest) do nothing`;
}

function documentOf(document: Part<'documents'>[number], { at, actor }: Part<'audit'>): Sql {
  return sql`insert into document (kind, name, version, digest, created_at, author, body)
    values (${document.kind}, ${document.name}, ${document.version}, ${document.digest}, ${at}, ${actor},
      ${JSON.stringify(document.document)})`;
}

function flagSteps({ environment, put, remove, evaluators, metadata }: Part<'flags'>): Step[] {
  const puts = Object.entries(put).map(([key, flag]) => [environment, key, JSON.stringify(flag)]);
  const setPart = (column: 'evaluators' | 'metadata', value: unknown): Step[] =>
    value === undefined
      ? []
      : [
          {
            sql: sql`insert into flag_set (environment, ${raw(column)}) values (${environment}, ${JSON.stringify(value)})
              on conflict (environment) do update set ${raw(`${column} = excluded.${column}`)}`,
          },
        ];
  return [
    ...slices(remove.map((key) => [environment, key])).map((keys) => ({
      sql: sql`delete from flag where (environment, key) in (${values(keys)})`,
    })),
    ...slices(puts).map((rows) => ({
      sql: sql`insert into flag (environment, key, body) ${values(rows)}
        on conflict (environment, key) do update set body = excluded.body`,
    })),
    ...setPart('evaluators', evaluators),
    ...setPart('metadata', metadata),
  ];
}

function latchSteps(latch: Part<'latch'>): Step[] {
  return 'clear' in latch ? clearSteps(latch.clear) : [{ sql: latchOf(latch.set) }];
}

const latchesOf = ({ environment, flag }: Pick<Latch, 'environment' | 'flag'>): Sql =>
  sql`select body from latch where environment = ${environment} and flag = ${flag}`;

/** A kill that came after the look of whoever rearms stands. One that is gone already needs no clearing. */
function clearSteps(clear: {
  readonly environment: string;
  readonly flag: string;
  readonly seen: readonly Latch[];
}): Step[] {
  const { environment, flag, seen } = clear;
  const wasSeen = (latch: Latch) =>
    seen.some(
      (known) =>
        known.flag === latch.flag &&
        known.wave === latch.wave &&
        known.setAt === latch.setAt &&
        known.by === latch.by &&
        known.reason === latch.reason,
    );
  return [
    {
      sql: latchesOf(clear),
      check: (rows) => {
        const newer = rows.map((row) => json<Latch>(row, 'body')).find((latch) => !wasSeen(latch));
        if (newer !== undefined) throw new Conflict(`${flag} in ${environment} was killed again by ${newer.by}`);
      },
    },
    { sql: sql`delete from latch where environment = ${environment} and flag = ${flag}` },
  ];
}

function latchOf(latch: Latch): Sql {
  const { environment, flag, wave } = latch;
  return sql`insert into latch (environment, flag, wave, body)
    values (${environment}, ${flag}, ${wave ?? ''}, ${JSON.stringify(latch)})
    on conflict (environment, flag, wave) do update set body = excluded.body`;
}

function freezeOf(freeze: Part<'freeze'>): Sql {
  if ('off' in freeze) return sql`delete from change_freeze where environment = ${freeze.off.environment ?? ''}`;
  return sql`insert into change_freeze (environment, body) values (${freeze.on.environment ?? ''}, ${JSON.stringify(freeze.on)})
    on conflict (environment) do update set body = excluded.body`;
}

function environmentOf({ name, protected: isProtected, createdAt }: Part<'environment'>): Sql {
  return sql`insert into environment (name, protected, created_at) values (${name}, ${Number(isProtected)}, ${createdAt})`;
}

function tokenOf(token: Part<'token'>): Sql {
  return sql`insert into token (id, role, subject, environment, secret_hash, created_at, expires_at, revoked_at)
    values (${token.id}, ${token.role}, ${token.subject}, ${token.environment}, ${token.secretHash},
      ${token.createdAt}, ${token.expiresAt}, ${token.revokedAt})`;
}

function revocationOf({ id, at }: Part<'revokeToken'>): Sql {
  return sql`update token set revoked_at = ${at} where id = ${id} and revoked_at is null`;
}

function signingKeyOf({ kid, environment, secret, pepper, createdAt }: Part<'signingKey'>): Sql {
  return sql`insert into signing_key (kid, environment, secret, pepper, created_at)
    values (${kid}, ${environment}, ${secret}, ${pepper}, ${createdAt})`;
}

function idempotencyOf({ subject, key, request, status, body, at }: Part<'idempotency'>): Sql {
  return sql`insert into idempotency (subject, key, request, status, body, at, seq)
    values (${subject}, ${key}, ${request}, ${status}, ${body}, ${at}, ${ownSeq})`;
}
