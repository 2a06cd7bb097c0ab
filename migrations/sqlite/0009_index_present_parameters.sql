-- The set of parameters in `present` as one number with its type, 0 for what is deleted: `:missing` alone walks its index.
alter table resource_terms add column present_set integer not null default 0;
create index resource_terms_by_set on resource_terms (present_set);
