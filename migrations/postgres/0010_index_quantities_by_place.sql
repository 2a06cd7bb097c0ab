-- Values of each parameter in the order of results: see migrations/sqlite/0010.
create index search_quantity_by_place on search_quantity (param, nsort, rid, lo, hi)
  include (unit_hash, sys_hash, patient) where code_hash = 0;
