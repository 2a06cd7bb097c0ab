-- Current resources of a type by id: see migrations/sqlite/0008.
create index resource_by_id on resource (type, id, rid) include (patient) where deleted = 0;
