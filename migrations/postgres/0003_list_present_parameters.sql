-- Search parameters that the current version has a value or an element of, each number between commas: what `:missing` reads.
alter table resource_terms add column present text collate "C" not null default '';
