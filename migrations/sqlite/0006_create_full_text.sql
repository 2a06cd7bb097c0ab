-- Words of the current version of each resource that has any (registry::index::words); rowid = resource.rid. A term is a
-- keyed hash of type and word, never a word; `0` parts elements. Nothing but the index of the terms is kept.
create virtual table search_text using fts5 (
  narrative,
  content,
  content = '',
  contentless_delete = 1,
  tokenize = 'ascii'
);
