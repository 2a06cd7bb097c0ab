-- Custom search parameters: see migrations/sqlite/0005.
create table search_param (
  number smallint not null primary key,
  type smallint not null,
  code text not null,
  definition text not null,
  source text not null,
  state smallint not null check (state between 1 and 3)
);

create table reindex_job (
  type smallint not null primary key,
  after bigint not null,
  done bigint not null,
  total bigint not null
);
