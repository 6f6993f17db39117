-- What the database linter asked for.

-- A key of its own: replication and the table editor need one to name a row.
alter table private.sign_in_tries add column id bigint generated always as identity primary key;
