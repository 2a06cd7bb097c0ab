-- Current resources of a type by id: `_sort=_id` walks it instead of sorting all matches.
create index resource_by_id on resource (type, id, rid) where deleted = 0;
