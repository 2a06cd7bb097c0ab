-- For PostgreSQL alone: SQLite's statements name their indexes. See migrations/postgres/0012.
select 1;
