-- Erasures of patients: one for each data key that was destroyed, or is being destroyed.
-- patient = rid of the patient, key_id = the key of his compartment, salt_id, entry and body = what the ledger holds of it.
-- ended = number of the erasure in the order of their ends; null until the key is gone. Nobody seals under a key that was
-- known when a smaller number was the largest.
create table erasure (
  erasure_id bigint not null primary key generated always as identity,
  patient bigint not null,
  key_id bigint not null unique,
  salt_id bytea not null unique check (length(salt_id) = 16),
  entry bytea not null check (length(entry) = 36),
  body bytea not null,
  resources bigint not null default 0,
  versions bigint not null default 0,
  ended bigint unique
);
create unique index erasure_by_patient on erasure (patient) where ended is null;

-- Patients in whose compartment a resource was before: its older versions are under their keys.
create table former_patient (
  patient bigint not null,
  rid bigint not null,
  primary key (patient, rid)
);
insert into former_patient (patient, rid)
  select v.patient, v.rid from resource_version v join resource r on r.rid = v.rid
  where v.patient > 0 and v.patient <> r.patient
  union
  select c.patient, v.rid from version_compartment c join resource_version v on v.change = c.change
  where not exists (select 1 from compartment m where m.rid = v.rid and m.patient = c.patient);
