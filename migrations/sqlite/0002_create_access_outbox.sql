-- Access records of commits, written with the data, until they stand in the access journal.
create table access_outbox (
  access_id integer not null primary key autoincrement,
  salt_id blob not null check (length(salt_id) = 16),
  entry blob not null check (length(entry) = 36),
  body blob not null
);
