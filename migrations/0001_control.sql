-- What people decided and what the judge decided. Read by SQLite (control.db) and PostgreSQL alike: times are epoch ms,
-- booleans 0/1, documents JSON text (people's free text lives inside JSON only, where any character is allowed), and
-- `bytea` is a type name that SQLite takes for bytes as well. A statement ends with a semicolon at the end of a line.

create table counter (
  name text primary key,
  value bigint not null
);
insert into counter (name, value) values ('audit', 0);

create table environment (
  name text primary key,
  protected bigint not null,
  created_at bigint not null
);

-- environment is null for what concerns the whole installation
create table audit (
  seq bigint primary key,
  at bigint not null,
  environment text,
  target text not null,
  body text not null
);
create index audit_environment on audit (environment, seq);
create index audit_target on audit (target, seq);

create table document (
  kind text not null,
  name text not null,
  version bigint not null,
  digest text not null,
  created_at bigint not null,
  author text not null,
  body text not null,
  primary key (kind, name, version)
);

create table flag (
  environment text not null,
  key text not null,
  body text not null,
  primary key (environment, key)
);
create table flag_set (
  environment text primary key,
  evaluators text,
  metadata text
);

-- progress and refs are saved by every tick; the rest changes with version only
create table rollout (
  id text primary key,
  short_id bigint not null unique,
  environment text not null,
  name text not null,
  flag text not null,
  phase text not null,
  version bigint not null,
  created_at bigint not null,
  body text not null,
  progress text not null,
  refs text not null
);
create unique index rollout_name on rollout (environment, name) where phase <> 'superseded';
create index rollout_flag on rollout (environment, flag);

-- wave is '' for every wave
create table latch (
  environment text not null,
  flag text not null,
  wave text not null,
  body text not null,
  primary key (environment, flag, wave)
);

-- environment is '' for everywhere
create table change_freeze (
  environment text primary key,
  body text not null
);

create table evidence (
  digest text primary key,
  body text not null
);

create table decision (
  seq bigint primary key,
  rollout text not null,
  body text not null
);
create index decision_rollout on decision (rollout, seq);

create table token (
  id text primary key,
  role text not null,
  subject text not null,
  environment text,
  secret_hash text not null,
  created_at bigint not null,
  expires_at bigint not null,
  revoked_at bigint
);

create table signing_key (
  kid bigint primary key,
  environment text not null,
  secret bytea not null,
  pepper bytea not null,
  created_at bigint not null
);

create table idempotency (
  subject text not null,
  key text not null,
  request text not null,
  status bigint not null,
  body text not null,
  at bigint not null,
  seq bigint not null,
  primary key (subject, key)
);
create index idempotency_at on idempotency (at);
