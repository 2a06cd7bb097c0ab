-- Search parameters that the current version has a value of, each number between commas, where their own tables find rows
-- by value only (tokens, references of one type): what `:missing` reads.
alter table resource_terms add column present text not null default '';
