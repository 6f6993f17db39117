-- The practice account: what the demo company publishes through. Posts stay in this database, so nobody is billed and nothing
-- leaves this machine; it takes as many requests as a real one. And the environment's Postiz pair, adopted as a credential.

alter table public.profile_credentials
    alter column key_id drop not null,
    add constraint profile_credentials_key check (practice or key_id is not null),  -- a practice account has no key
    add column from_environment boolean not null default false,  -- the installation's pair, sealed like a typed one
    add column environment_gone boolean not null default false;  -- it is set no more

-- Posts -----------------------------------------------------------------------------------------------------------------

create table private.practice_posts (
    id            uuid primary key,
    account_id    uuid not null references public.accounts on delete cascade,
    channel       text not null,
    identifier    text not null,
    content       text not null,
    reference     uuid,
    publish_at    timestamptz not null,
    draft         boolean not null default false,
    created_at    timestamptz not null default private.utc_now()
);
create index practice_posts_time on private.practice_posts (account_id, publish_at);

-- Requests for posts in the present window, which the first one opens.
create table private.practice_windows (
    account_id    uuid primary key references public.accounts on delete cascade,
    used          integer not null,
    ends_at       timestamptz not null,
    blocked_until timestamptz
);
alter table private.practice_posts enable row level security;
alter table private.practice_windows enable row level security;

-- Counts a request: {limit, remaining, seconds} of the window, or {blocked} seconds. The first excess blocks for an hour.
create function private.practice_request(p_account_id uuid) returns jsonb language plpgsql set search_path = '' as $$
declare
    v_now    timestamptz := private.utc_now();
    v_limit  integer := 90;
    v_window private.practice_windows;
begin
    insert into private.practice_windows as w (account_id, used, ends_at) values (p_account_id, 1, v_now + interval '1 hour')
    on conflict (account_id) do update
    set used = case when w.ends_at <= v_now then 1 else w.used + 1 end,
        ends_at = case when w.ends_at <= v_now then v_now + interval '1 hour' else w.ends_at end
    returning * into v_window;
    if v_window.used > v_limit and coalesce(v_window.blocked_until <= v_now, true) then
        update private.practice_windows w
        set blocked_until = v_now + interval '1 hour', ends_at = v_now + interval '1 hour'
        where w.account_id = p_account_id returning * into v_window;
    end if;
    if v_window.blocked_until > v_now then
        return jsonb_build_object('blocked', ceil(extract(epoch from v_window.blocked_until - v_now)));
    end if;
    return jsonb_build_object('limit', v_limit, 'remaining', v_limit - v_window.used,
                              'seconds', ceil(extract(epoch from v_window.ends_at - v_now)));
end $$;

-- Whose practice account it is; PT404 for any other credential.
create function private.practice_account(p_credential_id uuid) returns uuid
language plpgsql stable set search_path = '' as $$
declare
    v_id uuid := (select c.account_id from public.profile_credentials c join public.accounts a on a.id = c.account_id
                  where c.id = p_credential_id and c.practice and a.is_demo);
begin
    if v_id is null then
        perform private.fail('PT404', 'The practice account is gone.');
    end if;
    return v_id;
end $$;

-- One request for posts at p_date: [{id, channel, identifier, content, reference}]. Returns what practice_request does.
create function private.practice_create(p_credential_id uuid, p_date timestamptz, p_entries jsonb, p_draft boolean)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
    v_account uuid := private.practice_account(p_credential_id);
    v_left    jsonb := private.practice_request(v_account);
begin
    if not v_left ? 'blocked' then
        insert into private.practice_posts (id, account_id, channel, identifier, content, reference, publish_at, draft)
        select (e ->> 'id')::uuid, v_account, e ->> 'channel', e ->> 'identifier', e ->> 'content',
               (e ->> 'reference')::uuid, greatest(p_date, case when not p_draft then private.utc_now() end), p_draft
        from jsonb_array_elements(p_entries) e;
    end if;
    return v_left;
end $$;

-- [{id, content, publish_at, state, release_url, channel, identifier, reference}]: published a few seconds after its moment.
create function private.practice_list(p_credential_id uuid, p_from timestamptz, p_to timestamptz) returns jsonb
language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_agg(jsonb_build_object(
        'id', p.id, 'content', p.content, 'publish_at', p.publish_at, 'channel', p.channel, 'identifier', p.identifier,
        'reference', p.reference,
        'state', case when p.draft then 'DRAFT' when x.live then 'PUBLISHED' else 'QUEUE' end,
        'release_url', case when x.live then '/publish?practice=' || p.id end) order by p.publish_at, p.id), '[]')
    from private.practice_posts p
    cross join lateral (select not p.draft and p.publish_at <= private.utc_now() - interval '5 seconds' as live) x
    where p.account_id = private.practice_account(p_credential_id) and p.publish_at between p_from and p_to
$$;

-- p_state: deleted, or schedule for a draft that is to go out after all. One that is not there is fine.
create function private.practice_change(p_credential_id uuid, p_id uuid, p_state text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_account uuid := private.practice_account(p_credential_id);
begin
    if p_state = 'deleted' then
        delete from private.practice_posts p where p.id = p_id and p.account_id = v_account;
    else
        update private.practice_posts p set draft = false where p.id = p_id and p.account_id = v_account;
    end if;
end $$;

-- Whose account is used ---------------------------------------------------------------------------------------------------

-- As before; the demo uses its practice account and nothing else, nobody else uses one, and the environment's pair serves
-- only while it is set and there is one company besides the demo.
create or replace function private.account_in_use(
    p_account_id uuid, p_profile_id uuid, p_provider text,
    out uses text, out usable boolean, out credential_id uuid, out key_id uuid
) language plpgsql stable set search_path = '' as $$
declare
    v_demo    boolean := coalesce((select a.is_demo from public.accounts a where a.id = p_account_id), true);
    v_own     public.profile_credentials;
    v_company public.profile_credentials;
begin
    select * into v_own from public.profile_credentials c
    where c.account_id = p_account_id and c.profile_id = p_profile_id and c.provider = p_provider and not c.practice;
    select * into v_company from public.profile_credentials c
    where c.account_id = p_account_id and c.profile_id is null and c.provider = p_provider and c.practice = v_demo;
    select c.uses into uses from public.profile_account_choices c
    where c.profile_id = p_profile_id and c.provider = p_provider;
    if v_demo then
        uses := case when v_company.id is null then 'none' else 'company' end;
    elsif uses is null then
        uses := case when v_own.id is not null then 'own'
                     when p_profile_id is null or coalesce(v_company.shared, true) then 'company' else 'none' end;
    end if;
    usable := case uses when 'own' then coalesce(v_own.enabled, false)
                        when 'company' then coalesce(v_company.enabled and not private.is_withdrawn(v_company), true)
                        else false end;
    if usable then
        credential_id := case uses when 'own' then v_own.id else v_company.id end;
        key_id := case uses when 'own' then v_own.key_id else v_company.key_id end;
    end if;
end $$;

-- Whether it is the environment's pair, and that may not be used (any more).
create function private.is_withdrawn(p public.profile_credentials) returns boolean
language sql stable set search_path = '' as $$
    select (p).from_environment and ((p).environment_gone or private.key_account() is distinct from (p).account_id)
$$;

-- As before; of a demo company only a practice account, and that without a key: {practice: true, id, version, …}.
create or replace function private.sealed_credential(p_credential_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object('id', c.id, 'version', c.version, 'key_id', c.key_id, 'account_id', c.account_id,
                              'profile_id', c.profile_id, 'provider', c.provider)
           || case when c.practice then '{"practice": true}' else jsonb_build_object('ciphertext', k.ciphertext) end
    from public.profile_credentials c join public.accounts a on a.id = c.account_id and a.is_demo = c.practice
    left join private.sealed_keys k on k.id = c.key_id
    where c.id = p_credential_id and not private.is_withdrawn(c)
$$;

-- As before; what the demo practises with is neither replaced nor removed.
create or replace function private.check_place(p_account_id uuid, p_profile_id uuid, p_provider text) returns void
language plpgsql stable set search_path = '' as $$
begin
    perform private.keep_practice(c) from public.profile_credentials c
    where c.account_id = p_account_id and c.profile_id is not distinct from p_profile_id and c.provider = p_provider;
    if exists (select from public.accounts a where a.id = p_account_id and a.is_demo) then
        perform private.fail('PT403', 'The demo never uses real accounts, so it keeps no keys.');
    elsif p_profile_id is not null and not exists (
        select from public.profiles p
        where p.id = p_profile_id and p.account_id = p_account_id and p.archived_at is null) then
        perform private.fail('PT404', 'Store not found.');
    elsif (p_provider in ('elevenlabs', 'gemini', 'postiz')) is not true then
        perform private.fail('PT400', 'There is no such service.');
    end if;
end $$;

create function private.keep_practice(p public.profile_credentials) returns void
language plpgsql stable set search_path = '' as $$
begin
    if (p).practice then
        perform private.fail('PT403', 'The practice account belongs to the demo.');
    end if;
end $$;

create or replace function private.remove_credential(p_credential_id uuid, p_version integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_row public.profile_credentials;
begin
    select * into v_row from public.profile_credentials c
    where c.id = p_credential_id and c.account_id in (select private.my_account_ids()) for update;
    if not found then
        perform private.fail('PT404', 'Credential not found. Somebody may have removed it.');
    end if;
    perform private.refuse_stranger(v_row.account_id);
    perform private.keep_practice(v_row);
    if v_row.version is distinct from p_version then
        perform private.fail('PT409', 'Somebody saved this meanwhile. Reload the page to see what is there now.');
    end if;
    delete from public.profile_credentials c where c.id = p_credential_id;
    perform private.forget_key(v_row.key_id);
    delete from public.voices v where v.provider = v_row.provider and v.account_id = v_row.account_id
        and v.profile_id is not distinct from v_row.profile_id;
    delete from public.voice_services s where s.provider = v_row.provider and s.account_id = v_row.account_id
        and s.profile_id is not distinct from v_row.profile_id;
    perform private.audit(v_row.account_id, 'credential_removed', v_row.provider, v_row.profile_id, null,
                          private.told_credential(v_row));
end $$;

-- The environment's pair ----------------------------------------------------------------------------------------------------

-- What the one company besides the demo has for Postiz: {account_id, key_id, typed, sealed}, where `sealed` is what
-- sealed_credential tells; null: there is no such company.
create function private.adoption() returns jsonb language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'account_id', a.id, 'key_id', c.key_id, 'typed', c.id is not null and not c.from_environment,
        'sealed', private.sealed_credential(c.id))
    from public.accounts a
    left join public.profile_credentials c on c.account_id = a.id and c.profile_id is null and c.provider = 'postiz'
    where a.id = private.key_account()
$$;

-- Take the environment's pair as the company's credential, shared with its stores: p_sealed {ciphertext, last4,
-- shown_address}. One that an admin typed wins. p_key_id is the one that the worker saw there (null: none). Returns whether
-- it was taken.
create function private.adopt_environment(p_account_id uuid, p_key_id uuid, p_sealed jsonb) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    v_before public.profile_credentials;
    v_after  public.profile_credentials;
begin
    perform pg_advisory_xact_lock(hashtextextended('adopt environment', 1));
    select * into v_before from public.profile_credentials c
    where c.account_id = p_account_id and c.profile_id is null and c.provider = 'postiz' for no key update;
    if p_account_id is distinct from private.key_account() or v_before.key_id is distinct from p_key_id
        or v_before.id is not null and not v_before.from_environment then
        return false;
    end if;
    insert into public.profile_credentials as c
        (id, account_id, provider, key_id, last4, shown_address, shared, from_environment)
    values (gen_random_uuid(), p_account_id, 'postiz', private.keep_sealed(p_account_id, null, 'postiz', p_sealed),
            p_sealed ->> 'last4', p_sealed ->> 'shown_address', true, true)
    on conflict (account_id, profile_id, provider) do update
    set key_id = excluded.key_id, last4 = excluded.last4, shown_address = excluded.shown_address,
        environment_gone = false, version = c.version + 1
    returning * into v_after;
    perform private.note_test(v_after, true, null);
    perform private.forget_key(v_before.key_id);
    perform private.audit(p_account_id, 'environment_adopted', 'postiz', null, null,
                          private.told_credential(v_before), private.told_credential(v_after));
    return true;
end $$;

-- The pair is set no more: what was adopted is used no longer, and its channels stay pinned. Returns whether there was one.
create function private.withdraw_environment() returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    v_account uuid;
begin
    update public.profile_credentials c set environment_gone = true, version = c.version + 1
    where c.from_environment and not c.environment_gone returning c.account_id into v_account;
    if v_account is not null then
        perform private.audit(v_account, 'environment_withdrawn', 'postiz');
    end if;
    return v_account is not null;
end $$;

-- Whoever types a key makes the credential their own.
create function private.typed_key() returns trigger language plpgsql set search_path = '' as $$
begin
    if new.key_id is distinct from old.key_id and auth.uid() is not null then
        new.from_environment := false;
        new.environment_gone := false;
    end if;
    return new;
end $$;
create trigger typed_key before update on public.profile_credentials
    for each row when (old.from_environment) execute function private.typed_key();

-- The demo ------------------------------------------------------------------------------------------------------------------

-- As before, with its practice account, the channels of its stores and what they published.
create or replace function private.load_demo(p_account_id uuid, p_rows jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_table text;
    v_month date;
begin
    perform private.check_demo_rows(p_account_id, p_rows);
    if exists (select from jsonb_array_elements(coalesce(p_rows -> 'profile_credentials', '[]')) r
               where r ->> 'practice' is distinct from 'true' or r ->> 'key_id' is not null) then
        perform private.fail('PT403', 'Only the demo company can be loaded.');
    end if;
    perform pg_advisory_xact_lock(hashtextextended('load demo', 1));
    if exists (select from public.accounts a where a.is_demo) then
        return;
    end if;
    insert into public.people select * from jsonb_populate_recordset(null::public.people, p_rows -> 'people')
    on conflict (id) do nothing;
    foreach v_table in array array['accounts', 'members', 'profiles', 'profile_members', 'prices', 'projects',
        'clips', 'jobs', 'speech_assets', 'cost_entries', 'cost_entry_details', 'quota_changes', 'profile_credentials',
        'profile_channels', 'bundles', 'publications', 'audit_log'] loop
        execute format('insert into public.%1$I overriding user value '
                       'select * from jsonb_populate_recordset(null::public.%1$I, $1)', v_table)
        using coalesce(p_rows -> v_table, '[]');
    end loop;
    perform private.load_practice(p_account_id);
    insert into private.ledger_counters (account_id, last_seq)
    select p_account_id, coalesce(max(e.seq), 0) from public.cost_entries e where e.account_id = p_account_id;
    for v_month in select distinct private.month_of(e.occurred_at) from public.cost_entries e
                   where e.account_id = p_account_id loop
        perform private.rebuild_cost_rollups(p_account_id, v_month);
    end loop;
end $$;

-- What the demo's publications say was handed over lies in its practice account, which is watched from then on.
create function private.load_practice(p_account_id uuid) returns void language plpgsql set search_path = '' as $$
begin
    insert into private.practice_posts (id, account_id, channel, identifier, content, reference, publish_at, created_at)
    select p.vendor_post::uuid, p.account_id, p.channel, p.identifier, p.caption, p.id, p.due_at, p.created_at
    from public.publications p
    where p.account_id = p_account_id and p.vendor_post is not null and p.state in ('published', 'scheduled');
    insert into private.credential_organizations (credential_id, organization)
    select c.id, 'practice:' || c.account_id from public.profile_credentials c where c.account_id = p_account_id;
end $$;

-- As before, with what the publisher keeps of the practice account.
create or replace function private.erase_demo(p_account_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_table  text;
    v_people uuid[];
begin
    perform from public.accounts a where a.id = p_account_id and a.is_demo
        and a.id in (select private.my_account_ids('{admin}')) for update;
    if not found then
        perform private.fail('PT403', 'Only the demo company can be erased, and only by its admin.');
    end if;
    perform set_config('clipdesk.erasing', p_account_id::text, true);
    select array_agg(m.person_id) into v_people from public.members m where m.account_id = p_account_id;
    foreach v_table in array array['stray_posts', 'publications', 'bundles', 'profile_channels', 'profile_credentials',
        'purchases', 'cost_holds', 'cost_entry_details', 'cost_entries', 'cost_daily',
        'profile_monthly_costs', 'quota_counters', 'quota_changes', 'quota_grants', 'prices', 'speech_assets',
        'voices', 'voice_services', 'voice_rates', 'model_pauses', 'pronunciations', 'jobs',
        'clips', 'projects', 'audit_log', 'profile_members', 'profiles', 'members'] loop
        execute format('delete from public.%I where account_id = $1', v_table) using p_account_id;
    end loop;
    foreach v_table in array array['send_budgets', 'vendor_media', 'send_turns'] loop
        execute format('delete from private.%I where organization = $1', v_table) using 'practice:' || p_account_id;
    end loop;
    delete from public.jobs j where j.kind = 'demo';
    delete from private.ledger_counters c where c.account_id = p_account_id;
    delete from private.sessions s where s.person_id = any (v_people);
    delete from public.people p where p.id = any (v_people)
        and not exists (select from public.members m where m.person_id = p.id)
        and not exists (select from private.former_members f where f.person_id = p.id and f.account_id <> p_account_id);
    delete from auth.users u where u.id = any (v_people) and not exists (select from public.people p where p.id = u.id);
    delete from public.accounts a where a.id = p_account_id;
end $$;

-- The doors -----------------------------------------------------------------------------------------------------------------

create function public.practice_create(p_credential_id uuid, p_date timestamptz, p_entries jsonb, p_draft boolean default false)
returns jsonb language sql set search_path = '' as
    $$ select private.practice_create(p_credential_id, p_date, p_entries, p_draft) $$;
create function public.practice_list(p_credential_id uuid, p_from timestamptz, p_to timestamptz) returns jsonb
language sql stable set search_path = '' as $$ select private.practice_list(p_credential_id, p_from, p_to) $$;
create function public.practice_change(p_credential_id uuid, p_id uuid, p_state text) returns void
language sql set search_path = '' as $$ select private.practice_change(p_credential_id, p_id, p_state) $$;
create function public.adoption() returns jsonb language sql stable set search_path = '' as
    $$ select private.adoption() $$;
create function public.adopt_environment(p_account_id uuid, p_key_id uuid, p_sealed jsonb) returns boolean
language sql set search_path = '' as $$ select private.adopt_environment(p_account_id, p_key_id, p_sealed) $$;
create function public.withdraw_environment() returns boolean language sql set search_path = '' as
    $$ select private.withdraw_environment() $$;

grant execute on function
    public.practice_create(uuid, timestamptz, jsonb, boolean), private.practice_create(uuid, timestamptz, jsonb, boolean),
    public.practice_list(uuid, timestamptz, timestamptz), private.practice_list(uuid, timestamptz, timestamptz),
    public.practice_change(uuid, uuid, text), private.practice_change(uuid, uuid, text),
    public.adoption(), private.adoption(), public.adopt_environment(uuid, uuid, jsonb),
    private.adopt_environment(uuid, uuid, jsonb), public.withdraw_environment(), private.withdraw_environment()
    to service_role;
