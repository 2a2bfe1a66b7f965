import type { Flag, FlagSet } from '@tidegate/core';
import type { Decision } from '../domain/decision.ts';
import type { Evidence } from '../domain/evidence.ts';
import type { Freeze, Latch, Rollout } from '../domain/rollout.ts';
import { stepsOf } from './control-changes.ts';
import type { Driver } from './driver.ts';
import { bytes, integer, integerOrNull, json, type Row, text, textOrNull, word } from './row.ts';
import { raw, type Sql, sql, where } from './sql.ts';
import type { AuditEntry, AuditRecord, ControlStore, Role, RolloutFilter, StoredDocument } from './store.ts';

const roles: readonly Role[] = ['viewer', 'operator', 'approver', 'admin', 'ci', 'ingest', 'sdk-server', 'sdk-client'];

/** control.db, or its tables in PostgreSQL. */
export function createControlStore(driver: Driver): ControlStore {
  const first = async (statement: Sql): Promise<Row | undefined> => (await driver.all(statement))[0];
  const head = async () => integer((await first(sql`select value from counter where name = 'audit'`)) ?? {}, 'value');
  return {
    head,
    async commit(change) {
      const [counted] = await driver.batch(stepsOf(change), change.raise);
      return { seq: integer(counted?.[0] ?? {}, 'value') };
    },
    async saveProgress(id, version, progress, references) {
      const saved = await driver.all(sql`update rollout
        set progress = ${JSON.stringify(progress)}, refs = ${JSON.stringify(references)}
        where id = ${id} and version = ${version} returning id`);
      return saved.length === 1;
    },

    async environments() {
      const rows = await driver.all(sql`select name, protected, created_at from environment order by created_at, name`);
      return rows.map((row) => ({
        name: text(row, 'name'),
        protected: integer(row, 'protected') === 1,
        createdAt: integer(row, 'created_at'),
      }));
    },
    async flags(environment) {
      return flagSetOf(await driver.all(flagSetQuery(environment)));
    },
    async document(kind, name, version) {
      const which = version === undefined ? raw('') : sql` and version = ${version}`;
      const row = await first(sql`select ${documentColumns} from document
        where kind = ${kind} and name = ${name}${which} order by version desc limit 1`);
      return row === undefined ? null : documentOf(row);
    },
    async documents(kind) {
      const rows = await driver.all(sql`select ${documentColumns} from document d where kind = ${kind}
        and version = (select max(version) from document n where n.kind = d.kind and n.name = d.name)`);
      return rows.map(documentOf).sort((a, b) => (a.name < b.name ? -1 : 1));
    },

    async rollouts(filter) {
      const rows = await driver.all(sql`select body, progress, refs from rollout${where(rolloutConditions(filter))}
        order by created_at desc, short_id desc`);
      return rows.map(rolloutOf);
    },
    async rollout(id) {
      const row = await first(sql`select body, progress, refs from rollout where id = ${id}`);
      return row === undefined ? null : rolloutOf(row);
    },
    async nextShortId() {
      // Rollouts are never deleted; two that take the same number at once meet at the unique key.
      return integer((await first(sql`select coalesce(max(short_id), 0) + 1 as next from rollout`)) ?? {}, 'next');
    },
    async latches(environment) {
      const conditions = environment === undefined ? [] : [sql`environment = ${environment}`];
      const rows = await driver.all(sql`select body from latch${where(conditions)} order by environment, flag, wave`);
      return rows.map((row) => json<Latch>(row, 'body'));
    },
    async freezes() {
      const rows = await driver.all(sql`select body from change_freeze order by environment`);
      return rows.map((row) => json<Freeze>(row, 'body'));
    },

    async decisions({ rollout, id, before, limit }) {
      const seq = id === undefined ? null : seqOf(id);
      if (id !== undefined && seq === null) return [];
      const conditions = [
        ...(rollout === undefined ? [] : [sql`rollout = ${rollout}`]),
        ...(seq === null ? [] : [sql`seq = ${seq}`]),
        ...(before === undefined ? [] : [sql`seq < ${before}`]),
      ];
      const rows = await driver.all(
        sql`select seq, body from decision${where(conditions)} order by seq desc limit ${limit}`,
      );
      return rows.map((row) => ({ ...json<Omit<Decision, 'id'>>(row, 'body'), id: `D-${integer(row, 'seq')}` }));
    },
    async evidence(digest) {
      const row = await first(sql`select body from evidence where digest = ${digest}`);
      return row === undefined ? null : json<Evidence>(row, 'body');
    },
    async audit({ environment, target, before, limit }) {
      const conditions = [
        ...(environment === undefined ? [] : [sql`environment = ${environment}`]),
        ...(target === undefined ? [] : [sql`target = ${target}`]),
        ...(before === undefined ? [] : [sql`seq < ${before}`]),
      ];
      const rows = await driver.all(sql`select seq, at, environment, target, body from audit${where(conditions)}
        order by seq desc limit ${limit}`);
      return rows.map(auditOf);
    },

    async tokens() {
      const rows = await driver.all(sql`select * from token order by created_at, id`);
      return rows.map((row) => ({
        id: text(row, 'id'),
        role: word(row, 'role', roles),
        subject: text(row, 'subject'),
        environment: textOrNull(row, 'environment'),
        secretHash: text(row, 'secret_hash'),
        createdAt: integer(row, 'created_at'),
        expiresAt: integer(row, 'expires_at'),
        revokedAt: integerOrNull(row, 'revoked_at'),
      }));
    },
    async signingKeys() {
      const rows = await driver.all(sql`select * from signing_key order by kid`);
      return rows.map((row) => ({
        kid: integer(row, 'kid'),
        environment: text(row, 'environment'),
        secret: bytes(row, 'secret'),
        pepper: bytes(row, 'pepper'),
        createdAt: integer(row, 'created_at'),
      }));
    },
    async idempotent(key, subject) {
      const row = await first(sql`select request, status, body, at, seq from idempotency
        where subject = ${subject} and key = ${key}`);
      if (row === undefined) return null;
      return {
        key,
        subject,
        request: text(row, 'request'),
        status: integer(row, 'status'),
        body: text(row, 'body'),
        at: integer(row, 'at'),
        seq: integer(row, 'seq'),
      };
    },
    async forgetIdempotent(before) {
      return (await driver.all(sql`delete from idempotency where at < ${before} returning at`)).length;
    },
    close: () => driver.close(),
  };
}

/** One statement, so that flags, evaluators and metadata are of one moment. */
function flagSetQuery(environment: string): Sql {
  return sql`select 'flag' as part, key, body from flag where environment = ${environment}
    union all select 'evaluators', '', evaluators from flag_set where environment = ${environment}
    union all select 'metadata', '', metadata from flag_set where environment = ${environment}`;
}

/** Sorted by key here: databases disagree on the order of letters, and the set is hashed. */
function flagSetOf(rows: readonly Row[]): FlagSet {
  const part = (name: string) => rows.filter((row) => row.part === name && row.body !== null);
  const flags = part('flag').map((row) => [text(row, 'key'), json<Flag>(row, 'body')] as const);
  const [evaluators] = part('evaluators');
  const [metadata] = part('metadata');
  return {
    flags: Object.fromEntries(flags.sort(([a], [b]) => (a < b ? -1 : 1))),
    ...(evaluators === undefined ? {} : { $evaluators: json<NonNullable<FlagSet['$evaluators']>>(evaluators, 'body') }),
    ...(metadata === undefined ? {} : { metadata: json<NonNullable<FlagSet['metadata']>>(metadata, 'body') }),
  };
}

const documentColumns = raw('name, version, digest, created_at, author, body');

function documentOf(row: Row): StoredDocument<unknown> {
  return {
    name: text(row, 'name'),
    version: integer(row, 'version'),
    document: json<unknown>(row, 'body'),
    digest: text(row, 'digest'),
    createdAt: integer(row, 'created_at'),
    author: text(row, 'author'),
  };
}

function rolloutConditions({ environment, flag, name, current }: RolloutFilter): Sql[] {
  return [
    ...(environment === undefined ? [] : [sql`environment = ${environment}`]),
    ...(flag === undefined ? [] : [sql`flag = ${flag}`]),
    ...(name === undefined ? [] : [sql`name = ${name}`]),
    ...(current === true ? [sql`phase not in ('superseded', 'cancelled')`] : []),
  ];
}

function rolloutOf(row: Row): Rollout {
  // A row from before `evidenceFrom` was kept lacks it: all of its evidence counts.
  type Body = Omit<Rollout, 'progress' | 'references' | 'evidenceFrom'> & Partial<Pick<Rollout, 'evidenceFrom'>>;
  const body = json<Body>(row, 'body');
  return {
    ...body,
    evidenceFrom: body.evidenceFrom ?? 0,
    progress: json<Rollout['progress']>(row, 'progress'),
    references: json<Rollout['references']>(row, 'refs'),
  };
}

function auditOf(row: Row): AuditRecord {
  return {
    ...json<Pick<AuditEntry, 'actor' | 'action' | 'reason' | 'detail'>>(row, 'body'),
    seq: integer(row, 'seq'),
    at: integer(row, 'at'),
    environment: textOrNull(row, 'environment'),
    target: text(row, 'target'),
  };
}

/** Number behind `D-`, or null when it is no decision's id. */
function seqOf(id: string): number | null {
  const digits = /^D-(\d{1,15})$/.exec(id)?.[1];
  return digits === undefined ? null : Number(digits);
}
