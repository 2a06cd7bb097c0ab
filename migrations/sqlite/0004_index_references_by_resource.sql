-- References of one resource: chains are followed from each candidate where the targets are too many to list, and
-- `:missing` looks here instead of listing every resource that has the reference.
create index search_reference_by_rid on search_reference (rid, param, target_hash) where code_hash = 0;
