-- Columns of auth.users that came later. As clipdesk_admin: once set up, its address is all that an operator may give.
alter table auth.users
    add column if not exists banned_until timestamptz,
    add column if not exists deleted_at   timestamptz;
