-- Rows of one resource are found by it, and by nothing else: where the parameter was a key as well, the planner, which
-- is not told any value, read all of an index to find an open range of a parameter, and searches became slower with
-- the table.
drop index search_date_by_rid;
drop index search_number_by_rid;
drop index search_quantity_by_rid;
drop index search_string_by_rid;
drop index search_uri_by_rid;
create index search_date_by_rid on search_date (rid) include (param, lo, hi);
create index search_number_by_rid on search_number (rid) include (param, lo, hi);
create index search_quantity_by_rid on search_quantity (rid) include (param, lo, hi) where code_hash = 0;
create index search_string_by_rid on search_string (rid) include (param);
create index search_uri_by_rid on search_uri (rid) include (param);
