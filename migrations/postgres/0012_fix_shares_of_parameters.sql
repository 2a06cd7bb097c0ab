-- The planner is told no values: which share of a table one parameter has, it takes from how many parameters it saw when
-- it last looked. Where nearly all rows are of one it saw one, and read an index by resource from end to end instead of
-- the few rows of a rare parameter. From now on it takes a share as small as it does of a table that it never looked at.
alter table search_token alter column param set (n_distinct = 200);
alter table search_reference alter column param set (n_distinct = 200);
alter table search_date alter column param set (n_distinct = 200);
alter table search_number alter column param set (n_distinct = 200);
alter table search_quantity alter column param set (n_distinct = 200);
alter table search_string alter column param set (n_distinct = 200);
alter table search_uri alter column param set (n_distinct = 200);
-- It counts from the next look on.
do $$
begin
  if exists (select 1 from resource) then
    analyze search_token, search_reference, search_date, search_number, search_quantity, search_string, search_uri;
  end if;
end $$;
