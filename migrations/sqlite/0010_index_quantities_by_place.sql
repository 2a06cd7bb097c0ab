-- Values of each parameter in the order of results: a page of a large range is read in it instead of sorting the range.
create index search_quantity_by_place on search_quantity (param, nsort, rid, lo, hi, unit_hash, sys_hash, patient) where code_hash = 0;
