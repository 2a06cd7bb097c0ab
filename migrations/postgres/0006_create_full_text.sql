-- Words of the current version of each resource that has any (registry::index::words): weight A in the narrative, D in
-- the rest. A term is a keyed hash of type and word, never a word.
create table search_text (
  rid bigint not null primary key,
  words tsvector not null
);
-- What waits to be sorted into the index is read through by every search, so it is kept short.
create index search_text_by_word on search_text using gin (words) with (gin_pending_list_limit = 256);

-- Resources whose words match, at most so many. An index of this kind is read by bitmap only, which sessions forbid
-- elsewhere; a function with settings of its own is planned by these, and is the only one that reads it.
create function search_text_matches(query tsquery, most bigint) returns setof bigint
language sql stable rows 1000
set enable_bitmapscan = on
set enable_indexscan = off
set enable_indexonlyscan = off
as $$ select rid from search_text where words @@ query limit most $$;
