-- Custom search parameters: what an active SearchParameter resource defines for one base type.
-- number is the `param` of its index rows; state: 1 its rows are being made, 2 they are whole, 3 they are being removed.
-- The setting `search_params` is the change number of the SearchParameter resources that these rows reflect.
create table search_param (
  number integer not null primary key,
  type integer not null,
  code text not null,
  definition text not null,
  source text not null,
  state integer not null check (state between 1 and 3)
);

-- Types whose index rows are being derived again: all resources up to rid `after` are done.
create table reindex_job (
  type integer not null primary key,
  after integer not null,
  done integer not null,
  total integer not null
);
