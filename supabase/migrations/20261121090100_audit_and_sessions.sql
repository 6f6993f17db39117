-- Who did what, and who is signed in.

create table public.audit_log (
    id           bigint generated always as identity primary key,
    account_id   uuid references public.accounts,   -- null: concerns the installation
    at           timestamptz not null default private.utc_now(),
    person_id    uuid,                              -- null: System. No foreign key: history stays
    person_name  text not null,
    address      text,                              -- network address the person came from
    action       text not null,
    profile_id   uuid,
    subject      text,
    reason       text,
    before       jsonb,
    after        jsonb
);
create index audit_log_account on public.audit_log (account_id, id desc);
alter table public.audit_log enable row level security;
grant select on public.audit_log to authenticated, service_role;
create policy "admins read their company's log" on public.audit_log for select to authenticated
    using (account_id in (select private.my_account_ids('{admin}')));

create function private.refuse_change() returns trigger language plpgsql set search_path = '' as $$
begin
    -- Only erasing the demo company may remove history, and only its own; the flag lives one transaction.
    if tg_op = 'DELETE' then
        if old.account_id::text = current_setting('clipdesk.erasing', true) then
            return old;
        end if;
    end if;
    raise exception 'History is append only.' using errcode = 'PT403';
end $$;
create trigger append_only before update or delete on public.audit_log
    for each row execute function private.refuse_change();
create trigger append_only_whole before truncate on public.audit_log
    for each statement execute function private.refuse_change();

create function private.my_address() returns text language sql stable set search_path = '' as $$
    select nullif(current_setting('request.headers', true), '')::jsonb ->> 'x-forwarded-for'
$$;

-- Note what the person in the claims (or System) did. Callers redact secrets before they get here.
create function private.audit(
    p_account_id uuid, p_action text, p_subject text default null, p_profile_id uuid default null,
    p_reason text default null, p_before jsonb default null, p_after jsonb default null,
    p_person_id uuid default null
) returns void language plpgsql security definer set search_path = '' as $$
declare
    v_person uuid := coalesce(p_person_id, auth.uid());
begin
    insert into public.audit_log (account_id, person_id, person_name, address, action, profile_id, subject, reason,
                                  before, after)
    values (p_account_id, v_person,
            coalesce((select p.name from public.people p where p.id = v_person), 'System'),
            private.my_address(), p_action, p_profile_id, p_subject, p_reason, p_before, p_after);
end $$;

create table private.sessions (
    secret_hash bytea primary key,                   -- sha256 of the cookie's secret
    person_id   uuid not null references public.people,
    created_at  timestamptz not null default private.utc_now(),
    expires_at  timestamptz not null,
    address     text,
    agent       text,
    must_change boolean not null default false       -- signed in with a one-time password
);
create index sessions_person on private.sessions (person_id);
create index sessions_expiry on private.sessions (expires_at);

create function private.hash_secret(p_secret text) returns bytea language sql immutable set search_path = '' as
    $$ select sha256(convert_to(p_secret, 'UTF8')) $$;

-- The person behind a cookie, with their companies; null when there is none. The secret is the permission.
create function private.load_session(p_secret text) returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'id', p.id, 'name', p.name, 'email', p.email, 'expires_at', s.expires_at, 'address', s.address,
        'must_change', s.must_change,
        'memberships', coalesce((
            select jsonb_agg(jsonb_build_object('account_id', a.id, 'account_name', a.name, 'timezone', a.timezone,
                                                'role', m.role, 'is_demo', a.is_demo) order by a.name)
            from public.members m join public.accounts a on a.id = m.account_id
            where m.person_id = p.id), '[]'))
    from private.sessions s join public.people p on p.id = s.person_id
    where s.secret_hash = private.hash_secret(p_secret)
      and s.expires_at > private.utc_now() and p.deactivated_at is null
$$;
create function public.load_session(p_secret text) returns jsonb
language sql stable set search_path = '' as $$ select private.load_session(p_secret) $$;

create function private.end_session(p_secret text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_person uuid;
begin
    delete from private.sessions s where s.secret_hash = private.hash_secret(p_secret) returning s.person_id into v_person;
    if found then
        perform private.audit_everywhere(v_person, 'signed_out');
    end if;
end $$;
create function public.end_session(p_secret text) returns void
language sql set search_path = '' as $$ select private.end_session(p_secret) $$;

-- A sign-in or sign-out concerns every company the person works for.
create function private.audit_everywhere(p_person_id uuid, p_action text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_account uuid;
begin
    for v_account in select m.account_id from public.members m where m.person_id = p_person_id loop
        perform private.audit(v_account, p_action, p_person_id => p_person_id);
    end loop;
end $$;

-- Sign out everywhere. Returns how many sessions ended.
create function private.end_my_sessions() returns integer
language plpgsql security definer set search_path = '' as $$
declare
    v_count integer;
begin
    delete from private.sessions s where s.person_id = auth.uid();
    get diagnostics v_count = row_count;
    if v_count > 0 then
        perform private.audit_everywhere(auth.uid(), 'signed_out_everywhere');
    end if;
    return v_count;
end $$;
create function public.end_my_sessions() returns integer
language sql set search_path = '' as $$ select private.end_my_sessions() $$;

grant execute on function public.load_session(text), private.load_session(text), public.end_session(text),
    private.end_session(text) to anon;
grant execute on function public.end_my_sessions(), private.end_my_sessions() to authenticated;
