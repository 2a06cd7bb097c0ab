-- Registry on SQLite. Hashes are SipHash-2-4 of the installation's key (setting `index_key`), as signed 64 bit.
-- `type` is fhir::ResourceType::code, `param` is fhir::ParamId, times are microseconds since 1970 UTC.
-- `nsort` = -(clinical sort date, else time of creation): ascending is newest first, and (nsort, rid) is the default order.
-- `patient` = rid of the one patient in whose compartment a row is, 0 for none, -1 for several.

create table setting (
  name text not null primary key,
  value blob not null
) without rowid;

-- Current state of each resource. version 0 = placeholder of a patient that was named but never written (deleted = 1).
create table resource (
  rid integer not null primary key,
  type integer not null,
  id text not null,
  khash integer not null,
  version integer not null,
  change integer not null,
  updated_us integer not null,
  nsort integer not null,
  patient integer not null,
  deleted integer not null check (deleted in (0, 1))
);
-- Lookup by key: the row's type and id decide, the hash only leads there. The one writer keeps (type, id) unique.
create index resource_by_khash on resource (khash);
create index resource_by_type on resource (type, deleted, nsort, rid);
create index resource_by_update on resource (type, updated_us, rid);
create index resource_by_patient on resource (patient, type, nsort, rid) where patient <> 0;

-- Token, reference and quantity rows of the current version (registry::index::terms), for differences and includes.
create table resource_terms (
  rid integer not null primary key,
  terms blob not null
);

-- Every version, append-only. action: 1 create, 2 update, 3 delete.
create table resource_version (
  change integer not null primary key,
  rid integer not null,
  type integer not null,
  version integer not null,
  updated_us integer not null,
  action integer not null check (action between 1 and 3),
  patient integer not null,
  entry blob not null check (length(entry) = 36),
  salt_id blob not null check (length(salt_id) = 16),
  payload blob not null
);
create unique index resource_version_by_rid on resource_version (rid, version);
create index resource_version_by_type on resource_version (type, change);

-- Compartments of the resources and versions whose `patient` is -1.
create table compartment (
  patient integer not null,
  type integer not null,
  nsort integer not null,
  rid integer not null,
  primary key (patient, type, nsort, rid)
) without rowid;
create index compartment_by_rid on compartment (rid);
create table version_compartment (
  change integer not null,
  patient integer not null,
  primary key (change, patient)
) without rowid;

-- One row a coding, code or identifier. code_hash = hash of the code or value; sys_hash = hash of the system, 0 without one.
create table search_token (
  param integer not null,
  code_hash integer not null,
  nsort integer not null,
  rid integer not null,
  sys_hash integer not null,
  patient integer not null,
  primary key (param, code_hash, nsort, rid, sys_hash)
) without rowid;

-- target_hash = resource.khash of "Type/id" or the hash of an absolute URL. One row with code_hash 0 for each reference, and
-- for references to the patient one more for each code of the resource, so that patient and code are one range.
create table search_reference (
  param integer not null,
  target_hash integer not null,
  code_hash integer not null,
  nsort integer not null,
  rid integer not null,
  patient integer not null,
  primary key (param, target_hash, code_hash, nsort, rid)
) without rowid;

-- Half-open range [lo, hi) in microseconds.
create table search_date (
  param integer not null,
  lo integer not null,
  hi integer not null,
  nsort integer not null,
  rid integer not null,
  patient integer not null,
  primary key (param, lo, hi, nsort, rid)
) without rowid;
create index search_date_by_rid on search_date (rid, param, lo, hi);

create table search_number (
  param integer not null,
  lo real not null,
  hi real not null,
  nsort integer not null,
  rid integer not null,
  patient integer not null,
  primary key (param, lo, hi, nsort, rid)
) without rowid;
create index search_number_by_rid on search_number (rid, param, lo, hi);

-- code_hash 0 = the value alone; else the hash of the code, or of system|code, of the element that the value belongs to.
create table search_quantity (
  param integer not null,
  code_hash integer not null,
  lo real not null,
  hi real not null,
  nsort integer not null,
  rid integer not null,
  unit_hash integer not null,
  sys_hash integer not null,
  patient integer not null,
  primary key (param, code_hash, lo, hi, nsort, rid, unit_hash, sys_hash)
) without rowid;
create index search_quantity_by_rid on search_quantity (rid, param, lo, hi) where code_hash = 0;

-- norm = folded text (lower case, no diacritics); exact = the text as written.
create table search_string (
  param integer not null,
  norm text not null,
  nsort integer not null,
  rid integer not null,
  exact text not null,
  patient integer not null,
  primary key (param, norm, nsort, rid, exact)
) without rowid;
create index search_string_by_rid on search_string (rid, param);

create table search_uri (
  param integer not null,
  uri text not null,
  nsort integer not null,
  rid integer not null,
  patient integer not null,
  primary key (param, uri, nsort, rid)
) without rowid;
create index search_uri_by_rid on search_uri (rid, param);

-- Wrapped data keys; compartment is "Patient/id", or empty for the tenant's own key.
create table data_key (
  key_id integer not null primary key,
  compartment text not null unique,
  wrapped blob not null
);

create table idempotency (
  sender text not null,
  control_id text not null,
  answer blob not null,
  at_us integer not null,
  primary key (sender, control_id)
) without rowid;
create index idempotency_by_time on idempotency (at_us);

-- Ledger entries that wait for their place in the log; change is null for entries that are no resource version.
create table ledger_outbox (
  outbox_id integer not null primary key autoincrement,
  change integer,
  salt_id blob,
  entry blob not null check (length(entry) = 36)
);

-- Places in the log of what was in the outbox. Entries from elsewhere (access journal) leave no row; setting `sealed_size` counts all.
create table ledger_entry (
  log_index integer not null primary key,
  change integer,
  salt_id blob
);
create unique index ledger_entry_by_change on ledger_entry (change) where change is not null;
