-- What Supabase brings and a plain Postgres lacks: roles, sign-in users, claims. Run as a superuser, again at each start.
do $$
declare
    v_role text;
begin
    foreach v_role in array array['anon', 'authenticated', 'service_role'] loop
        if not exists (select from pg_roles where rolname = v_role) then
            execute format('create role %I nologin noinherit', v_role);
        end if;
    end loop;
    foreach v_role in array array['clipdesk_admin', 'clipdesk_app', 'clipdesk_worker'] loop
        if not exists (select from pg_roles where rolname = v_role) then
            execute format('create role %I login noinherit', v_role);
        end if;
    end loop;
end $$;

alter role service_role bypassrls;
grant anon, authenticated to clipdesk_app;
grant service_role to clipdesk_worker;

do $$
begin
    execute format('grant connect, create, temporary on database %I to clipdesk_admin', current_database());
    execute format('grant connect on database %I to clipdesk_app, clipdesk_worker', current_database());
    execute format('revoke all on database %I from public', current_database());
end $$;

create schema if not exists extensions authorization clipdesk_admin;
create schema if not exists auth authorization clipdesk_admin;
grant usage on schema auth, extensions to anon, authenticated, service_role;
grant create, usage on schema public to clipdesk_admin with grant option;
grant usage on schema public to anon, authenticated, service_role;

create table if not exists auth.users (
    id                 uuid primary key,
    email              text not null,
    encrypted_password text,                          -- argon2id; null: cannot sign in with a password
    must_change        boolean not null default false, -- the link in the mail is not followed yet
    created_at         timestamptz not null default now()
);
create unique index if not exists users_email on auth.users (lower(email));
alter table auth.users owner to clipdesk_admin;

create or replace function auth.jwt() returns jsonb language sql stable set search_path = '' as
    $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb $$;
create or replace function auth.uid() returns uuid language sql stable set search_path = '' as
    $$ select (auth.jwt() ->> 'sub')::uuid $$;
alter function auth.jwt() owner to clipdesk_admin;
alter function auth.uid() owner to clipdesk_admin;
grant execute on function auth.jwt(), auth.uid() to anon, authenticated, service_role;
