-- What browsers reported. Read by SQLite (rum.db) and PostgreSQL alike; conventions as in 0001_control.sql.
-- Rows that carry a writer are overwritten by that writer only; readers merge.

create table rum_writer (
  writer text primary key,
  flush bigint not null
);

create table rum_page_view (
  key bytea primary key,
  at bigint not null,
  state text not null
);
create index rum_page_view_at on rum_page_view (at);

create table rum_unit (
  rollout bigint not null,
  epoch bigint not null,
  unit bytea not null,
  state text not null,
  primary key (rollout, epoch, unit)
);

-- dim and val are '' for the pooled cell
create table rum_cell (
  rollout bigint not null,
  epoch bigint not null,
  bucket bigint not null,
  arm text not null,
  dim text not null,
  val text not null,
  writer text not null,
  flush bigint not null,
  blob bytea not null,
  primary key (rollout, epoch, bucket, arm, dim, val, writer)
);
create index rum_cell_flush on rum_cell (rollout, flush);
create index rum_cell_bucket on rum_cell (bucket);

create table rum_shard (
  rollout bigint not null,
  epoch bigint not null,
  arm text not null,
  metric text not null,
  writer text not null,
  shards text not null,
  primary key (rollout, epoch, arm, metric, writer)
);

create table rum_stat (
  bucket bigint not null,
  reason text not null,
  writer text not null,
  n bigint not null,
  primary key (bucket, reason, writer)
);
