-- Index rows of the current version of some resources. kind: 0 terms, 1 date, 2 number, 3 string, 4 uri.
select 0::smallint as kind, rid, 0::smallint as param, null::bigint as lo, null::bigint as hi,
       null::double precision as lo_number, null::double precision as hi_number,
       null::text as norm, null::text as exact, terms
from resource_terms
where rid = any($1)
union all
select 1::smallint, rid, param, lo, hi, null, null, null, null, null
from search_date
where rid = any($1)
union all
select 2::smallint, rid, param, null, null, lo, hi, null, null, null
from search_number
where rid = any($1)
union all
select 3::smallint, rid, param, null, null, null, null, norm, exact, null
from search_string
where rid = any($1)
union all
select 4::smallint, rid, param, null, null, null, null, null, uri, null
from search_uri
where rid = any($1)
