-- Rows of one resource are found by it, and by nothing else: where the parameter was a key as well, the planner, which
-- is not told any value, read all of an index to find an open range of a parameter, and searches became slower with
-- the table.
-- Writers wait (their lock), searches go on until the last moment: the new indexes are made before the old ones go.
select pg_advisory_xact_lock(32481091427721593);
create index search_date_of_resource on search_date (rid) include (param, lo, hi);
create index search_number_of_resource on search_number (rid) include (param, lo, hi);
create index search_quantity_of_resource on search_quantity (rid) include (param, lo, hi) where code_hash = 0;
create index search_string_of_resource on search_string (rid) include (param);
create index search_uri_of_resource on search_uri (rid) include (param);
drop index search_date_by_rid, search_number_by_rid, search_quantity_by_rid, search_string_by_rid, search_uri_by_rid;
