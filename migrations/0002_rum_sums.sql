-- Sums over shards of units and over units, packed like cells; conventions as in 0001_control.sql.
create table rum_sum (
  rollout bigint not null,
  epoch bigint not null,
  arm text not null,
  writer text not null,
  flush bigint not null,
  blob bytea not null,
  primary key (rollout, epoch, arm, writer)
);
create index rum_sum_flush on rum_sum (rollout, flush);
drop table rum_shard;

-- Sums over units cannot be made up for units that were counted without them: collecting begins anew.
delete from rum_page_view;
delete from rum_unit;
delete from rum_cell;
