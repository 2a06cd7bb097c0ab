-- Access records of commits, written with the data, until they stand in the access journal.
create table access_outbox (
  access_id bigint generated always as identity primary key,
  salt_id bytea not null check (length(salt_id) = 16),
  entry bytea not null check (length(entry) = 36),
  body bytea not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
