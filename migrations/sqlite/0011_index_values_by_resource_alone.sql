-- For PostgreSQL alone: SQLite's statements name their indexes. See migrations/postgres/0011.
select 1;
