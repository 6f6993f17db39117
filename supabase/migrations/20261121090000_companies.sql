-- Companies, people, stores, and who works where.

-- Nothing is reachable unless a migration grants it.
alter default privileges revoke execute on functions from public;
alter default privileges in schema public revoke all on tables from anon, authenticated, service_role;
alter default privileges in schema public revoke all on functions from anon, authenticated, service_role;

create schema private;
grant usage on schema private to anon, authenticated, service_role;

-- The one clock of all SQL: the transaction's start. Tests replace it.
create function private.utc_now() returns timestamptz language sql stable set search_path = '' as
    $$ select now() $$;

create function private.touch() returns trigger language plpgsql set search_path = '' as $$
begin
    new.updated_at := private.utc_now();
    return new;
end $$;

-- A time zone name that Postgres knows.
create function private.is_timezone(p_name text) returns boolean language plpgsql immutable set search_path = '' as $$
begin
    perform timestamptz '2026-01-01 00:00+00' at time zone p_name;
    return true;
exception when invalid_parameter_value then
    return false;
end $$;

create table public.accounts (
    id                uuid primary key,
    slug              text not null unique check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    name              text not null check (char_length(btrim(name)) between 1 and 120),
    timezone          text not null default 'UTC' check (private.is_timezone(timezone)),
    monthly_quota_usd numeric(10,2) not null default 0 check (monthly_quota_usd >= 0),
    settings          jsonb not null default '{}',
    is_demo           boolean not null default false,
    created_at        timestamptz not null default private.utc_now(),
    updated_at        timestamptz not null default private.utc_now()
);
comment on column public.accounts.monthly_quota_usd is 'US dollars a UTC calendar month over all stores; 0 = no limit';
create unique index accounts_one_demo on public.accounts (is_demo) where is_demo;

create table public.people (
    id             uuid primary key,                 -- the sign-in's user id; no foreign key, history outlives it
    email          text not null check (email like '%_@_%' and char_length(email) <= 254),
    name           text not null check (char_length(btrim(name)) between 1 and 120),
    deactivated_at timestamptz,
    created_at     timestamptz not null default private.utc_now(),
    updated_at     timestamptz not null default private.utc_now()
);
create unique index people_email on public.people (lower(email));

create table public.members (
    account_id uuid not null references public.accounts,
    person_id  uuid not null references public.people,
    role       text not null check (role in ('admin', 'manager', 'finance')),
    created_at timestamptz not null default private.utc_now(),
    updated_at timestamptz not null default private.utc_now(),
    primary key (account_id, person_id)
);
create index members_person on public.members (person_id);

create table public.profiles (
    id                          uuid primary key,
    account_id                  uuid not null references public.accounts,
    slug                        text not null check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    code                        text not null check (code ~ '^[A-Za-z0-9-]{1,16}$'),
    cost_centre                 text,
    name                        text not null check (char_length(btrim(name)) between 1 and 120),
    city                        text,
    phone                       text,
    timezone                    text not null default 'UTC' check (private.is_timezone(timezone)),
    monthly_quota_usd           numeric(10,2) not null default 0 check (monthly_quota_usd >= 0),
    tts_settings                jsonb not null default '{}',
    allow_free_voices_over_quota boolean not null default false,
    suspended_at                timestamptz,
    suspended_reason            text,
    archived_at                 timestamptz,
    created_at                  timestamptz not null default private.utc_now(),
    updated_at                  timestamptz not null default private.utc_now(),
    unique (account_id, slug),
    unique (account_id, code),
    unique (account_id, id)
);
comment on column public.profiles.monthly_quota_usd is 'US dollars a UTC calendar month; 0 = unlimited';

create table public.profile_members (
    profile_id uuid not null,
    account_id uuid not null,
    person_id  uuid not null,
    created_at timestamptz not null default private.utc_now(),
    primary key (profile_id, person_id),
    foreign key (account_id, profile_id) references public.profiles (account_id, id),
    foreign key (account_id, person_id) references public.members (account_id, person_id)
);
create index profile_members_account_profile on public.profile_members (account_id, profile_id);
create index profile_members_account_person on public.profile_members (account_id, person_id);

create trigger touch before update on public.accounts for each row execute function private.touch();
create trigger touch before update on public.people for each row execute function private.touch();
create trigger touch before update on public.members for each row execute function private.touch();
create trigger touch before update on public.profiles for each row execute function private.touch();

-- Who is asking: companies and stores of the person in the claims; nobody's when deactivated or anonymous. -------------

create function private.my_account_ids(p_roles text[] default null) returns setof uuid
language sql stable security definer set search_path = '' as $$
    select m.account_id from public.members m join public.people p on p.id = m.person_id
    where m.person_id = (select auth.uid()) and p.deactivated_at is null
      and (p_roles is null or m.role = any (p_roles))
$$;

create function private.my_profile_ids() returns setof uuid
language sql stable security definer set search_path = '' as $$
    select p.id from public.profiles p
    where p.account_id in (select private.my_account_ids('{admin,finance}'))
    union all
    select pm.profile_id from public.profile_members pm
    where pm.person_id = (select auth.uid()) and pm.account_id in (select private.my_account_ids('{manager}'))
$$;

-- Stores in which the person may make and spend: not finance, not archived stores.
create function private.my_work_profile_ids() returns setof uuid
language sql stable security definer set search_path = '' as $$
    select p.id from public.profiles p
    where p.archived_at is null and p.id in (select private.my_profile_ids())
      and p.account_id in (select private.my_account_ids('{admin,manager}'))
$$;

create function private.my_colleague_ids() returns setof uuid
language sql stable security definer set search_path = '' as $$
    select m.person_id from public.members m where m.account_id in (select private.my_account_ids())
$$;

grant execute on function private.utc_now(), private.is_timezone(text), private.my_account_ids(text[]),
    private.my_profile_ids(), private.my_work_profile_ids(), private.my_colleague_ids() to authenticated, service_role;

-- Rights ---------------------------------------------------------------------------------------------------------------

alter table public.accounts enable row level security;
alter table public.people enable row level security;
alter table public.members enable row level security;
alter table public.profiles enable row level security;
alter table public.profile_members enable row level security;

grant select on public.accounts, public.people, public.members, public.profiles, public.profile_members
    to authenticated, service_role;

create policy "people read their companies" on public.accounts for select to authenticated
    using (id in (select private.my_account_ids()));
create policy "people read their colleagues" on public.people for select to authenticated
    using (id in (select private.my_colleague_ids()));
create policy "people read their companies' roles" on public.members for select to authenticated
    using (account_id in (select private.my_account_ids()));
create policy "people read their stores" on public.profiles for select to authenticated
    using (id in (select private.my_profile_ids()));
create policy "people read who works in their stores" on public.profile_members for select to authenticated
    using (profile_id in (select private.my_profile_ids()));

-- Errors that carry a sentence: SQLSTATE PTnnn becomes HTTP status nnn over REST.
create function private.fail(p_state text, p_message text, p_detail jsonb default null) returns void
language plpgsql set search_path = '' as $$
begin
    raise exception '%', p_message using errcode = p_state, detail = coalesce(p_detail::text, '');
end $$;
grant execute on function private.fail(text, text, jsonb) to authenticated, service_role;

create function private.schema_version() returns text
language sql stable security definer set search_path = '' as
    $$ select max(version) from supabase_migrations.schema_migrations $$;
create function public.schema_version() returns text
language sql stable set search_path = '' as $$ select private.schema_version() $$;
grant execute on function public.schema_version(), private.schema_version() to anon, authenticated, service_role;
