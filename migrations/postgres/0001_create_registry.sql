-- Registry on PostgreSQL 15 or newer: the tables of migrations/sqlite with this engine's types.
-- Texts compare by code point (collate "C"). Keys of index tables include `patient`, so that searches read the index alone.
-- Whoever writes holds the writer's lock (docs/adr/007-postgres-writer.md): change numbers ascend in commit order.

create table setting (
  name text collate "C" not null primary key,
  value bytea not null
);

-- Current state of each resource. version 0 = placeholder of a patient that was named but never written (deleted = 1).
create table resource (
  rid bigint not null primary key,
  type smallint not null,
  id text collate "C" not null,
  khash bigint not null,
  version bigint not null,
  change bigint not null,
  updated_us bigint not null,
  nsort bigint not null,
  patient bigint not null,
  deleted smallint not null check (deleted in (0, 1))
);
-- Lookup by key, and the rule that a key has one row.
create unique index resource_by_khash on resource (khash, type, id);
create index resource_by_type on resource (type, deleted, nsort, rid) include (patient);
create index resource_by_update on resource (type, updated_us, rid);
create index resource_by_patient on resource (patient, type, nsort, rid) where patient <> 0;

-- Token, reference and quantity rows of the current version (registry::index::terms), for differences and includes.
create table resource_terms (
  rid bigint not null primary key,
  terms bytea not null
);
alter table resource_terms alter column terms set storage external;

-- Every version, append-only. action: 1 create, 2 update, 3 delete.
create table resource_version (
  change bigint not null primary key with (fillfactor = 100),
  rid bigint not null,
  type smallint not null,
  version bigint not null,
  updated_us bigint not null,
  action smallint not null check (action between 1 and 3),
  patient bigint not null,
  entry bytea not null check (length(entry) = 36),
  salt_id bytea not null check (length(salt_id) = 16),
  payload bytea not null
) with (fillfactor = 100);
-- Payloads are compressed and encrypted before they come here.
alter table resource_version alter column payload set storage external;
create unique index resource_version_by_rid on resource_version (rid, version);
create index resource_version_by_type on resource_version (type, change);

-- Compartments of the resources and versions whose `patient` is -1.
create table compartment (
  patient bigint not null,
  type smallint not null,
  nsort bigint not null,
  rid bigint not null,
  primary key (patient, type, nsort, rid)
);
create index compartment_by_rid on compartment (rid);
create table version_compartment (
  change bigint not null,
  patient bigint not null,
  primary key (change, patient) with (fillfactor = 100)
) with (fillfactor = 100);

-- One row a coding, code or identifier. code_hash = hash of the code or value; sys_hash = hash of the system, 0 without one.
create table search_token (
  param smallint not null,
  code_hash bigint not null,
  nsort bigint not null,
  rid bigint not null,
  sys_hash bigint not null,
  patient bigint not null,
  primary key (param, code_hash, nsort, rid, sys_hash) include (patient)
);

-- target_hash = resource.khash of "Type/id" or the hash of an absolute URL. One row with code_hash 0 for each reference, and
-- for references to the patient one more for each code of the resource, so that patient and code are one range.
create table search_reference (
  param smallint not null,
  target_hash bigint not null,
  code_hash bigint not null,
  nsort bigint not null,
  rid bigint not null,
  patient bigint not null,
  primary key (param, target_hash, code_hash, nsort, rid) include (patient)
);

-- Half-open range [lo, hi) in microseconds.
create table search_date (
  param smallint not null,
  lo bigint not null,
  hi bigint not null,
  nsort bigint not null,
  rid bigint not null,
  patient bigint not null,
  primary key (param, lo, hi, nsort, rid) include (patient)
);
create index search_date_by_rid on search_date (rid, param, lo, hi);

create table search_number (
  param smallint not null,
  lo double precision not null,
  hi double precision not null,
  nsort bigint not null,
  rid bigint not null,
  patient bigint not null,
  primary key (param, lo, hi, nsort, rid) include (patient)
);
create index search_number_by_rid on search_number (rid, param, lo, hi);

-- code_hash 0 = the value alone; else the hash of the code, or of system|code, of the element that the value belongs to.
create table search_quantity (
  param smallint not null,
  code_hash bigint not null,
  lo double precision not null,
  hi double precision not null,
  nsort bigint not null,
  rid bigint not null,
  unit_hash bigint not null,
  sys_hash bigint not null,
  patient bigint not null,
  primary key (param, code_hash, lo, hi, nsort, rid, unit_hash, sys_hash) include (patient)
);
create index search_quantity_by_rid on search_quantity (rid, param, lo, hi) where code_hash = 0;

-- norm = folded text (lower case, no diacritics); exact = the text as written.
create table search_string (
  param smallint not null,
  norm text collate "C" not null,
  nsort bigint not null,
  rid bigint not null,
  exact text collate "C" not null,
  patient bigint not null,
  primary key (param, norm, nsort, rid, exact) include (patient)
);
create index search_string_by_rid on search_string (rid, param);

create table search_uri (
  param smallint not null,
  uri text collate "C" not null,
  nsort bigint not null,
  rid bigint not null,
  patient bigint not null,
  primary key (param, uri, nsort, rid) include (patient)
);
create index search_uri_by_rid on search_uri (rid, param);

-- Wrapped data keys; compartment is "Patient/id", or empty for the tenant's own key.
create table data_key (
  key_id bigint not null primary key,
  compartment text collate "C" not null unique,
  wrapped bytea not null
);

-- Names of senders are bytes: they come from messages and may hold anything.
create table idempotency (
  sender bytea not null,
  control_id bytea not null,
  answer bytea not null,
  at_us bigint not null,
  primary key (sender, control_id)
);
create index idempotency_by_time on idempotency (at_us);

-- Ledger entries that wait for their place in the log; change is null for entries that are no resource version.
create table ledger_outbox (
  outbox_id bigint generated always as identity primary key,
  change bigint,
  salt_id bytea,
  entry bytea not null check (length(entry) = 36)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

-- Places in the log of what was in the outbox. Entries from elsewhere (access journal) leave no row; setting `sealed_size` counts all.
create table ledger_entry (
  log_index bigint not null primary key with (fillfactor = 100),
  change bigint,
  salt_id bytea
) with (fillfactor = 100);
create unique index ledger_entry_by_change on ledger_entry (change) where change is not null;
