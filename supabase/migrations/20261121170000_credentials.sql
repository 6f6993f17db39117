-- Credentials of outside services: a company's and its stores' own, sealed; whose account a store uses; and the calls
-- that were made with which key.
--
-- What a person may read of a credential stands in public.profile_credentials. The key itself lies sealed in
-- private.sealed_keys, which no person reaches and only the worker's private key opens. Each key or address that is
-- typed gets a row there of its own; one that was replaced stays as long as a lost call may have to be asked for with it.

-- Which key of the vault seals now. One row; the worker writes it.
create table private.vault_keys (
    one         boolean primary key default true check (one),
    fingerprint text not null check (fingerprint ~ '^[0-9a-f]{16}$'),
    noted_at    timestamptz not null default private.utc_now()
);

create table private.sealed_keys (
    id         uuid primary key default gen_random_uuid(),
    account_id uuid not null references public.accounts on delete cascade,
    profile_id uuid,                                           -- null: the company's
    provider   text not null,
    ciphertext text not null check (ciphertext ~ '^v1\.[0-9a-f]{16}\.[A-Za-z0-9_=-]+$'
                                    and char_length(ciphertext) <= 9000),
    created_at timestamptz not null default private.utc_now()
);
create index sealed_keys_account on private.sealed_keys (account_id);

create table public.profile_credentials (
    id            uuid primary key,
    account_id    uuid not null references public.accounts on delete cascade,
    profile_id    uuid,                                        -- null: the company's
    provider      text not null check (provider in ('elevenlabs', 'gemini', 'postiz')),
    key_id        uuid not null unique references private.sealed_keys,
    last4         text not null check (char_length(last4) <= 4),
    shown_address text,                                        -- its host only
    enabled       boolean not null default true,
    shared        boolean not null default false,              -- stores that chose nothing may use the company's
    version       integer not null default 1,
    tested_at     timestamptz,
    test_ok       boolean,
    test_message  text,
    facts         jsonb not null default '{}',                 -- what the last test found: plan, credits, channels, …
    updated_by    uuid,
    created_at    timestamptz not null default private.utc_now(),
    updated_at    timestamptz not null default private.utc_now(),
    unique nulls not distinct (account_id, profile_id, provider),
    foreign key (account_id, profile_id) references public.profiles (account_id, id) on delete cascade,
    check (profile_id is null or not shared)
);
create trigger touch before update on public.profile_credentials for each row execute function private.touch();

create table public.profile_account_choices (
    profile_id uuid not null,
    account_id uuid not null,
    provider   text not null check (provider in ('elevenlabs', 'gemini', 'postiz')),
    uses       text not null check (uses in ('own', 'company', 'none')),
    version    integer not null default 1,
    updated_by uuid,
    created_at timestamptz not null default private.utc_now(),
    updated_at timestamptz not null default private.utc_now(),
    primary key (profile_id, provider),
    foreign key (account_id, profile_id) references public.profiles (account_id, id) on delete cascade
);
create index profile_account_choices_account_profile on public.profile_account_choices (account_id, profile_id);
create trigger touch before update on public.profile_account_choices for each row execute function private.touch();

alter table public.profile_credentials enable row level security;
alter table public.profile_account_choices enable row level security;
grant select on public.profile_credentials, public.profile_account_choices to authenticated, service_role;
create policy "admins read all credentials, managers their stores' and the company's" on public.profile_credentials
    for select to authenticated
    using (account_id in (select private.my_account_ids('{admin}'))
           or (account_id in (select private.my_account_ids('{manager}'))
               and (profile_id is null or profile_id in (select private.my_profile_ids()))));
create policy "people read whose accounts their stores use" on public.profile_account_choices for select to authenticated
    using (profile_id in (select private.my_profile_ids()));

-- The key that a paid call was made with; null: the environment's.
alter table public.purchases add column key_id uuid;
create index purchases_key on public.purchases (key_id) where key_id is not null;

-- Whose account is used ----------------------------------------------------------------------------------------------------

-- What a store's calls go through (p_profile_id null: the company's own work). `usable` false: through nothing. Without a
-- credential, `uses` 'company' means the environment's pair, where there is one. The demo never uses a real key.
create function private.account_in_use(
    p_account_id uuid, p_profile_id uuid, p_provider text,
    out uses text, out usable boolean, out credential_id uuid, out key_id uuid
) language plpgsql stable set search_path = '' as $$
declare
    v_own     public.profile_credentials;
    v_company public.profile_credentials;
begin
    select * into v_own from public.profile_credentials c
    where c.account_id = p_account_id and c.profile_id = p_profile_id and c.provider = p_provider;
    select * into v_company from public.profile_credentials c
    where c.account_id = p_account_id and c.profile_id is null and c.provider = p_provider;
    select c.uses into uses from public.profile_account_choices c
    where c.profile_id = p_profile_id and c.provider = p_provider;
    if (select a.is_demo from public.accounts a where a.id = p_account_id) is not false then
        uses := 'none';
    elsif uses is null then
        uses := case when v_own.id is not null then 'own'
                     when p_profile_id is null or coalesce(v_company.shared, true) then 'company' else 'none' end;
    end if;
    usable := case uses when 'own' then coalesce(v_own.enabled, false)
                        when 'company' then coalesce(v_company.enabled, true) else false end;
    if usable then
        credential_id := case uses when 'own' then v_own.id else v_company.id end;
        key_id := case uses when 'own' then v_own.key_id else v_company.key_id end;
    end if;
end $$;

-- For the worker: {id, version, key_id, account_id, profile_id, provider, ciphertext}.
create function private.sealed_credential(p_credential_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object('id', c.id, 'version', c.version, 'key_id', c.key_id, 'account_id', c.account_id,
                              'profile_id', c.profile_id, 'provider', c.provider, 'ciphertext', k.ciphertext)
    from public.profile_credentials c join private.sealed_keys k on k.id = c.key_id
    where c.id = p_credential_id
$$;

-- What the next call of this store goes through: a credential as above, {environment: true}, or null for nothing.
create function private.credential_for(p_account_id uuid, p_profile_id uuid, p_provider text) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_use record := private.account_in_use(p_account_id, p_profile_id, p_provider);
begin
    if not v_use.usable then
        return null;
    elsif v_use.credential_id is not null then
        return private.sealed_credential(v_use.credential_id);
    end if;
    return case when p_account_id = private.key_account() then '{"environment": true}'::jsonb end;
end $$;

-- The key that a purchase's call was made with, as above without id and version; null: gone.
create function private.key_of_purchase(p_purchase_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select case when p.key_id is null then '{"environment": true}'::jsonb else (
        select jsonb_build_object('key_id', k.id, 'account_id', k.account_id, 'profile_id', k.profile_id,
                                  'provider', k.provider, 'ciphertext', k.ciphertext)
        from private.sealed_keys k
        where k.id = p.key_id and k.account_id = p.account_id and k.provider = p.provider
          and (k.profile_id is null or k.profile_id = p.profile_id)) end
    from public.purchases p where p.id = p_purchase_id
$$;

-- The credentials to list voices of and to test: [{id, account_id, profile_id, provider}].
create function private.enabled_credentials(p_provider text, p_account_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'account_id', c.account_id, 'profile_id', c.profile_id,
                                                 'provider', c.provider) order by c.id), '[]')
    from public.profile_credentials c
    join public.accounts a on a.id = c.account_id and not a.is_demo
    left join public.profiles p on p.id = c.profile_id
    where c.enabled and p.archived_at is null
      and (p_provider is null or c.provider = p_provider) and (p_account_id is null or c.account_id = p_account_id)
$$;

-- Whose account a store uses, a provider each: {elevenlabs: own|company|none, …}.
create function private.store_accounts(p_profile_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_account uuid := (select p.account_id from public.profiles p
                       where p.id = p_profile_id and p.id in (select private.my_profile_ids()));
begin
    if v_account is null then
        perform private.fail('PT404', 'Store not found.');
    end if;
    return (select jsonb_object_agg(x, (private.account_in_use(v_account, p_profile_id, x)).uses)
            from unnest(array['elevenlabs', 'gemini', 'postiz']) x);
end $$;

-- What admins do -----------------------------------------------------------------------------------------------------------

create function private.refuse_stranger(p_account_id uuid) returns void
language plpgsql stable set search_path = '' as $$
begin
    if p_account_id is null or p_account_id not in (select private.my_account_ids()) then
        perform private.fail('PT404', 'Company not found.');
    elsif p_account_id not in (select private.my_account_ids('{admin}')) then
        perform private.fail('PT403', 'Only an admin changes which accounts are used.');
    end if;
end $$;

-- What the log tells of a credential.
create function private.told_credential(p public.profile_credentials) returns jsonb
language sql immutable set search_path = '' as $$
    select case when (p).id is not null then jsonb_build_object(
        'last4', (p).last4, 'address', (p).shown_address, 'enabled', (p).enabled, 'shared', (p).shared) end
$$;

-- Save a company's (p_profile_id null) or a store's credential. p_version: the one the person saw, 0 = none was there.
-- p_sealed: {ciphertext, last4, shown_address}, or null to keep the key. p_found: {ok, message, facts} of a test of what is
-- saved, or null. Returns {id, version, job_id}: a job that tests it, where it was not tested.
create function private.save_credential(
    p_id uuid, p_account_id uuid, p_profile_id uuid, p_provider text, p_version integer, p_enabled boolean,
    p_shared boolean, p_sealed jsonb, p_found jsonb
) returns jsonb language plpgsql security definer set search_path = '' as $$
declare
    v_before public.profile_credentials;
    v_after  public.profile_credentials;
    v_key    uuid;
    v_job    uuid;
begin
    perform private.refuse_stranger(p_account_id);
    perform private.check_place(p_account_id, p_profile_id, p_provider);
    select * into v_before from public.profile_credentials c
    where c.account_id = p_account_id and c.profile_id is not distinct from p_profile_id and c.provider = p_provider
    for no key update;
    if coalesce(v_before.version, 0) <> coalesce(p_version, 0) then
        perform private.fail('PT409', 'Somebody saved this meanwhile. Reload the page to see what is there now.');
    elsif v_before.id is null and p_sealed is null then
        perform private.fail('PT400', 'Type the key.', '{"field": "key"}');
    end if;
    v_key := coalesce(private.keep_sealed(p_account_id, p_profile_id, p_provider, p_sealed), v_before.key_id);
    insert into public.profile_credentials as c (id, account_id, profile_id, provider, key_id, last4, shown_address,
                                                 enabled, shared, updated_by)
    values (p_id, p_account_id, p_profile_id, p_provider, v_key, coalesce(p_sealed ->> 'last4', v_before.last4, ''),
            case when p_sealed is null then v_before.shown_address else p_sealed ->> 'shown_address' end,
            coalesce(p_enabled, true), p_profile_id is null and coalesce(p_shared, false), auth.uid())
    on conflict (account_id, profile_id, provider) do update
    set key_id = excluded.key_id, last4 = excluded.last4, shown_address = excluded.shown_address,
        enabled = excluded.enabled, shared = excluded.shared, updated_by = excluded.updated_by, version = c.version + 1
    where c.version = p_version
    returning * into v_after;
    if not found then
        perform private.fail('PT409', 'Somebody saved this meanwhile. Reload the page to see what is there now.');
    end if;
    v_job := private.note_test(v_after, v_before.key_id is distinct from v_key, p_found);
    perform private.forget_key(v_before.key_id);
    perform private.relist_voices(v_after);
    perform private.audit(p_account_id, 'credential_saved', p_provider, p_profile_id, null,
                          private.told_credential(v_before), private.told_credential(v_after));
    return jsonb_build_object('id', v_after.id, 'version', v_after.version, 'job_id', v_job);
exception when unique_violation then                           -- the same id for another place
    perform private.fail('PT409', 'Somebody saved this meanwhile. Reload the page to see what is there now.');
end $$;

create function private.check_place(p_account_id uuid, p_profile_id uuid, p_provider text) returns void
language plpgsql stable set search_path = '' as $$
begin
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

-- Keep a sealed key; refused unless it was sealed with the vault's key that is in force. Returns its id; null: none given.
create function private.keep_sealed(p_account_id uuid, p_profile_id uuid, p_provider text, p_sealed jsonb) returns uuid
language plpgsql set search_path = '' as $$
declare
    v_force text;
    v_id    uuid;
begin
    if p_sealed is null then
        return null;
    end if;
    select k.fingerprint into v_force from private.vault_keys k for share;  -- a rotation waits for this save
    if split_part(p_sealed ->> 'ciphertext', '.', 2) is distinct from v_force then
        perform private.fail('PT409', 'This app seals with another key than the one in force, so nothing was saved. '
                                      '`python -m services.doctor` says what to do.');
    end if;
    insert into private.sealed_keys (account_id, profile_id, provider, ciphertext)
    values (p_account_id, p_profile_id, p_provider, p_sealed ->> 'ciphertext') returning id into v_id;
    return v_id;
end $$;

-- Note the test of what was saved; a new key that was not tested gets a job that does. Returns that job.
create function private.note_test(p public.profile_credentials, p_new_key boolean, p_found jsonb) returns uuid
language plpgsql set search_path = '' as $$
begin
    if p_found is not null then
        update public.profile_credentials c
        set tested_at = private.utc_now(), test_ok = (p_found ->> 'ok')::boolean, test_message = p_found ->> 'message',
            facts = coalesce(p_found -> 'facts', '{}')
        where c.id = p.id;
    elsif p_new_key then
        update public.profile_credentials c set tested_at = null, test_ok = null, test_message = null, facts = '{}'
        where c.id = p.id;
        return private.order_test(p);
    end if;
    return null;
end $$;

create function private.order_test(p public.profile_credentials) returns uuid
language plpgsql set search_path = '' as $$
declare
    v_id uuid;
begin
    perform pg_advisory_xact_lock(hashtextextended('test ' || (p).id, 1));
    select j.id into v_id from public.jobs j
    where j.account_id = p.account_id and j.profile_id is not distinct from p.profile_id and j.kind = 'test_credential'
      and j.status = 'pending' and j.input ->> 'credential_id' = p.id::text limit 1;
    if not found then
        v_id := gen_random_uuid();
        insert into public.jobs (id, account_id, profile_id, kind, input, request_id, created_by)
        values (v_id, p.account_id, p.profile_id, 'test_credential', jsonb_build_object('credential_id', p.id), v_id,
                auth.uid());
    end if;
    return v_id;
end $$;

-- Another account may have other voices. The old list serves until the worker has the new one.
create function private.relist_voices(p public.profile_credentials) returns void
language plpgsql set search_path = '' as $$
begin
    if p.provider = 'elevenlabs' and p.enabled
        and not exists (select from public.jobs j where j.account_id = p.account_id and j.profile_id is null
                        and j.kind = 'voices' and j.status = 'pending') then
        perform private.order_voices(gen_random_uuid(), p.account_id);
    end if;
end $$;

create function private.remove_credential(p_credential_id uuid, p_version integer) returns void
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

-- A sealed key goes as soon as no credential has it and no call that was made with it may have to be asked for.
create function private.is_needed(p_key_id uuid) returns boolean
language sql stable set search_path = '' as $$
    select exists (select from public.profile_credentials c where c.key_id = p_key_id)
        or exists (select from public.purchases p where p.key_id = p_key_id
                   and (p.state = 'sent' or p.absent_at > private.utc_now() - interval '1 day'))
$$;

create function private.forget_key(p_key_id uuid) returns void
language sql set search_path = '' as $$
    delete from private.sealed_keys k where k.id = p_key_id and not private.is_needed(k.id)
$$;

create function private.forget_keys() returns void language sql security definer set search_path = '' as $$
    delete from private.sealed_keys k where not private.is_needed(k.id)
$$;

-- p_version: the one the person saw, 0 = nothing was chosen. Returns the new one.
create function private.choose_account(p_profile_id uuid, p_provider text, p_uses text, p_version integer)
returns integer language plpgsql security definer set search_path = '' as $$
declare
    v_account uuid := (select p.account_id from public.profiles p
                       where p.id = p_profile_id and p.id in (select private.my_profile_ids()));
    v_before  public.profile_account_choices;
    v_version integer;
begin
    if v_account is null then
        perform private.fail('PT404', 'Store not found.');
    end if;
    perform private.refuse_stranger(v_account);
    perform private.check_place(v_account, p_profile_id, p_provider);
    if (p_uses in ('own', 'company', 'none')) is not true then
        perform private.fail('PT400', 'A store uses its own account, the company''s or none.', '{"field": "uses"}');
    end if;
    select * into v_before from public.profile_account_choices c
    where c.profile_id = p_profile_id and c.provider = p_provider for no key update;
    if coalesce(v_before.version, 0) = coalesce(p_version, 0) then
        insert into public.profile_account_choices as c (profile_id, account_id, provider, uses, updated_by)
        values (p_profile_id, v_account, p_provider, p_uses, auth.uid())
        on conflict (profile_id, provider) do update
        set uses = excluded.uses, updated_by = excluded.updated_by, version = c.version + 1
        where c.version = p_version
        returning c.version into v_version;
    end if;
    if v_version is null then
        perform private.fail('PT409', 'Somebody saved this meanwhile. Reload the page to see what is there now.');
    end if;
    perform private.audit(v_account, 'account_chosen', p_provider, p_profile_id, null,
                          jsonb_build_object('uses', v_before.uses), jsonb_build_object('uses', p_uses));
    return v_version;
end $$;

-- Have the saved credential tested by the worker; returns the job. A manager may ask for what their stores use.
create function private.retest_credential(p_credential_id uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    v_row public.profile_credentials;
begin
    select * into v_row from public.profile_credentials c
    where c.id = p_credential_id and c.account_id in (select private.my_account_ids())
      and (c.profile_id is null or c.profile_id in (select private.my_profile_ids()));
    if not found then
        perform private.fail('PT404', 'Credential not found. Somebody may have removed it.');
    elsif v_row.account_id not in (select private.my_account_ids('{admin,manager}')) then
        perform private.fail('PT403', 'A manager of the store or an admin can test its accounts.');
    end if;
    return private.order_test(v_row);
end $$;

-- What the worker tells --------------------------------------------------------------------------------------------------

-- What a test of that key found; of a key that was replaced meanwhile it tells nothing. Returns whether it was noted.
create function private.save_test_result(
    p_credential_id uuid, p_key_id uuid, p_ok boolean, p_message text, p_facts jsonb
) returns boolean language plpgsql security definer set search_path = '' as $$
begin
    update public.profile_credentials c
    set tested_at = private.utc_now(), test_ok = p_ok, test_message = p_message,
        facts = case when p_ok then coalesce(p_facts, '{}') else c.facts end
    where c.id = p_credential_id and c.key_id = p_key_id;
    return found;
end $$;

create function private.vault_key() returns text language sql stable security definer set search_path = '' as
    $$ select k.fingerprint from private.vault_keys k $$;

-- The fingerprint that is in force: this one if there was none or p_replace says so.
create function private.note_vault_key(p_fingerprint text, p_replace boolean) returns text
language plpgsql security definer set search_path = '' as $$
declare
    v_before text;
begin
    insert into private.vault_keys (fingerprint) values (p_fingerprint) on conflict do nothing;
    select k.fingerprint into v_before from private.vault_keys k for update;
    if p_replace and v_before <> p_fingerprint then
        update private.vault_keys k set fingerprint = p_fingerprint, noted_at = private.utc_now();
        perform private.audit(null, 'vault_key_replaced', null, null, null, jsonb_build_object('fingerprint', v_before),
                              jsonb_build_object('fingerprint', p_fingerprint));
        return p_fingerprint;
    end if;
    return v_before;
end $$;

-- What is sealed with another key than this one, 100 at a time in the order of their ids.
create function private.sealed_otherwise(p_fingerprint text, p_after uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(x) order by x.key_id), '[]')
    from (select k.id as key_id, k.account_id, k.profile_id, k.provider, k.ciphertext from private.sealed_keys k
          where split_part(k.ciphertext, '.', 2) <> p_fingerprint and (p_after is null or k.id > p_after)
          order by k.id limit 100) x
$$;

-- The same key sealed anew; false where it was replaced or forgotten meanwhile.
create function private.reseal(p_key_id uuid, p_before text, p_after text) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
    update private.sealed_keys k set ciphertext = p_after where k.id = p_key_id and k.ciphertext = p_before;
    return found;
end $$;

-- Voices of each account -------------------------------------------------------------------------------------------------

-- Stores with an account of their own have a list of their own. What a voice turned out to cost (voice_rates) and what was
-- paused (model_pauses) stays the company's: both are facts of the vendor's voice, the same through every account.
alter table public.voice_services add column profile_id uuid,
    add foreign key (account_id, profile_id) references public.profiles (account_id, id) on delete cascade,
    drop constraint voice_services_account_id_provider_key,
    add constraint voice_services_list unique nulls not distinct (account_id, profile_id, provider);
alter table public.voices add column profile_id uuid,
    add foreign key (account_id, profile_id) references public.profiles (account_id, id) on delete cascade,
    drop constraint voices_account_id_provider_voice_key,
    add constraint voices_list unique nulls not distinct (account_id, profile_id, provider, voice);

do $$
declare
    v_table text;
begin
    foreach v_table in array array['voice_services', 'voices'] loop
        execute format('drop policy "people read what their company can speak with" on public.%I', v_table);
        execute format('create policy "people read what their company and stores can speak with" on public.%I '
                       'for select to authenticated using (account_id is null '
                       'or (profile_id is null and account_id in (select private.my_account_ids())) '
                       'or profile_id in (select private.my_profile_ids()))', v_table);
    end loop;
end $$;

drop function public.save_voices(uuid, text, jsonb, jsonb);
drop function private.save_voices(uuid, text, jsonb, jsonb);
-- What the worker found: {readiness, message, models} and, unless null, all voices: [{voice, name, …}] in their order.
create function private.save_voices(
    p_account_id uuid, p_provider text, p_service jsonb, p_voices jsonb, p_profile_id uuid
) returns void language plpgsql security definer set search_path = '' as $$
begin
    insert into public.voice_services as s (account_id, profile_id, provider, readiness, message, models)
    values (p_account_id, p_profile_id, p_provider, p_service ->> 'readiness', p_service ->> 'message',
            coalesce(p_service -> 'models', '{}'))
    on conflict (account_id, profile_id, provider) do update
    set readiness = excluded.readiness, message = excluded.message, checked_at = private.utc_now(),
        models = case when p_service ? 'models' then excluded.models else s.models end;
    if p_voices is null then
        return;
    end if;
    delete from public.voices v where v.provider = p_provider and v.account_id is not distinct from p_account_id
        and v.profile_id is not distinct from p_profile_id;
    insert into public.voices (account_id, profile_id, provider, voice, place, name, language, description, preview_url,
                               multiplier)
    select p_account_id, p_profile_id, p_provider, x ->> 'id', n, x ->> 'name', x ->> 'language', x ->> 'description',
           x ->> 'preview_url', (x ->> 'multiplier')::numeric
    from jsonb_array_elements(p_voices) with ordinality t(x, n)
    on conflict do nothing;                                    -- a vendor's list may repeat itself between pages
end $$;

create function private.may_list(p_account_id uuid, p_profile_id uuid, p_provider text) returns boolean
language sql stable set search_path = '' as $$
    select coalesce(
        (select c.enabled from public.profile_credentials c
         where c.account_id = p_account_id and c.profile_id is not distinct from p_profile_id and c.provider = p_provider),
        p_profile_id is null and p_account_id is not distinct from private.key_account() and p_account_id is not null)
$$;

-- A key that is gone or may no longer be used takes its list along, and with it the right to speak.
drop function public.drop_voices(text, uuid);
drop function private.drop_voices(text, uuid);
create function private.drop_voices(p_provider text) returns void
language sql security definer set search_path = '' as $$
    delete from public.voices v where v.provider = p_provider
        and not private.may_list(v.account_id, v.profile_id, p_provider);
    delete from public.voice_services s where s.provider = p_provider
        and not private.may_list(s.account_id, s.profile_id, p_provider);
$$;

-- Units a character costs in this store. Learned or confirmed rates come first; then model times voice; a voice whose
-- multiplier nobody knows counts as the dearest the vendor documents.
create function private.unit_rate(
    p_store public.profiles, p_provider text, p_model text, p_voice text, out rate numeric, out exact boolean
) language plpgsql stable set search_path = '' as $$
declare
    v_use   record;
    v_list  uuid;
    v_model jsonb;
    v_voice numeric;
begin
    exact := true;
    rate := 1;
    if private.bills_nobody(p_provider) then
        return;
    end if;
    v_use := private.account_in_use(p_store.account_id, p_store.id, p_provider);
    v_list := case v_use.uses when 'own' then p_store.id end;
    select s.models -> p_model into v_model from public.voice_services s
    where s.provider = p_provider and s.account_id = p_store.account_id and s.profile_id is not distinct from v_list
      and s.readiness = 'ready' and v_use.usable;
    if not found then
        perform private.fail('PT409', format(
            '%s is not connected for this store, so nothing was bought. An admin can connect it.', p_provider));
    elsif v_model is null then
        perform private.fail('PT400', format('%s does not offer the model %s any more. Choose another.', p_provider,
                                             p_model), '{"field": "model"}');
    end if;
    select r.rate into rate from public.voice_rates r
    where r.account_id = p_store.account_id and r.provider = p_provider and r.model = p_model and r.voice = p_voice;
    if found then
        return;
    end if;
    select v.multiplier into v_voice from public.voices v
    where v.account_id = p_store.account_id and v.profile_id is not distinct from v_list and v.provider = p_provider
      and v.voice = p_voice;
    exact := v_voice is not null;
    rate := (v_model ->> 'multiplier')::numeric * coalesce(v_voice, (v_model ->> 'dearest')::numeric);
end $$;
drop function private.unit_rate(uuid, text, text, text);

-- What a passage costs that must be bought now.
create or replace function private.passage_price(
    p_job public.jobs, p_chunk text, out units numeric, out cost_usd numeric, out exact boolean
) language plpgsql stable set search_path = '' as $$
declare
    v_store public.profiles;
    v_rate  record;
begin
    select * into v_store from public.profiles p where p.id = p_job.profile_id;
    v_rate := private.unit_rate(v_store, p_job.input ->> 'provider', p_job.input ->> 'model', p_job.input ->> 'voice');
    exact := v_rate.exact;
    units := ceil(char_length(p_chunk) * v_rate.rate);
    select p.cost_usd into cost_usd
    from private.price_units(p_job.account_id, p_job.input ->> 'provider', p_job.input ->> 'model',
                             jsonb_build_object('characters', units), private.utc_now()) p;
end $$;

-- The passages of an order: units and price of each, and the store's own earlier purchase of it, if any. Such a one
-- counts with what it cost then: it is reused even where its vendor is not connected or has no price any more.
create or replace function private.price_chunks(p_store public.profiles, p_speech jsonb)
returns table (place integer, characters integer, units numeric, cost_usd numeric, part_id uuid)
language plpgsql stable set search_path = '' as $$
declare
    v_rate  numeric;                                           -- asked for at the first passage that must be bought
    v_chunk text;
begin
    for v_chunk, place in
        select t.c, t.n::integer - 1 from jsonb_array_elements_text(private.chunks_of(p_speech))
        with ordinality t(c, n)
    loop
        characters := char_length(v_chunk);
        part_id := private.bought_part(p_store.id, private.part_hash(p_speech, v_chunk));
        if part_id is not null then
            select p.units_expected, p.cost_usd into units, cost_usd from public.purchases p where p.id = part_id;
        else
            v_rate := coalesce(v_rate, (private.unit_rate(p_store, p_speech ->> 'provider', p_speech ->> 'model',
                                                          p_speech ->> 'voice')).rate);
            units := ceil(characters * v_rate);
            select p.cost_usd into cost_usd
            from private.price_units(p_store.account_id, p_speech ->> 'provider', p_speech ->> 'model',
                                     jsonb_build_object('characters', units), private.utc_now()) p;
        end if;
        return next;
    end loop;
end $$;

-- What an order would cost: {characters, passages, bought, estimate, saved, exact, store, company, existing, running}.
-- Refused while the model is paused only if something must be bought.
create or replace function private.speech_quote(p_profile_id uuid, p_speech jsonb) returns jsonb
language plpgsql stable security definer set search_path = ''
set plan_cache_mode = force_generic_plan as $$
declare
    v_store public.profiles := private.my_work_profile(p_profile_id);
    v_hash  text := private.speech_hash(p_speech);
    v_sum   record;
    v_exact boolean := true;
begin
    perform private.check_chunks(private.chunks_of(p_speech));
    select sum(c.characters) as characters, count(*) as passages, count(c.part_id) as bought,
           coalesce(sum(c.cost_usd) filter (where c.part_id is null), 0) as estimate,
           coalesce(sum(c.cost_usd) filter (where c.part_id is not null), 0) as saved
    into v_sum from private.price_chunks(v_store, p_speech) c;
    if v_sum.bought < v_sum.passages then
        perform private.refuse_paused(v_store.account_id, p_speech ->> 'provider', p_speech ->> 'model');
        v_exact := (private.unit_rate(v_store, p_speech ->> 'provider', p_speech ->> 'model',
                                      p_speech ->> 'voice')).exact;
    end if;
    return jsonb_build_object(
        'characters', v_sum.characters, 'passages', v_sum.passages, 'bought', v_sum.bought,
        'estimate', v_sum.estimate::text, 'saved', v_sum.saved::text, 'exact', v_exact,
        'allow_free_over_quota', v_store.allow_free_voices_over_quota,
        'store', private.quota_state(v_store.account_id, p_profile_id),
        'company', private.quota_state(v_store.account_id, null),
        'existing', (select a.id from public.speech_assets a
                     where a.profile_id = p_profile_id and a.content_hash = v_hash and a.deleted_at is null
                     order by a.created_at desc limit 1),
        'running', (select j.id from public.jobs j where j.profile_id = p_profile_id and j.dedupe_key = v_hash
                    and j.status in ('pending', 'running')));
end $$;

drop function public.send_purchase(uuid, uuid, uuid, numeric);
drop function private.send_purchase(uuid, uuid, uuid, numeric);
-- Just before the call: from here on the vendor may bill it, so the hold does not end by itself. p_seconds bound the
-- call; p_key_id is the key it will be made with.
create function private.send_purchase(
    p_job_id uuid, p_attempt_token uuid, p_purchase_id uuid, p_seconds numeric, p_key_id uuid
) returns void language plpgsql security definer set search_path = '' as $$
declare
    v_purchase public.purchases;
begin
    perform private.my_attempt(p_job_id, p_attempt_token);
    select * into v_purchase from public.purchases p where p.id = p_purchase_id and p.job_id = p_job_id;
    if v_purchase.state = 'intent' then                        -- its model may have been paused since it began
        perform private.refuse_paused(v_purchase.account_id, v_purchase.provider, v_purchase.model);
        perform private.refuse_old_key(v_purchase, p_key_id);
    end if;
    update public.purchases p
    set state = 'sent', key_id = p_key_id, sent_by = p_attempt_token, sent_at = private.utc_now(),
        deadline = private.utc_now() + make_interval(secs => p_seconds::double precision)
    where p.id = v_purchase.id
      and (p.state = 'intent' or (p.state = 'sent' and p.sent_by = p_attempt_token));  -- an answer that got lost
    if not found then
        perform private.fail('PT409', 'This passage was sent before.');
    end if;
    update public.cost_holds h set state = 'committed'
    where h.request_id = v_purchase.request_id and h.state in ('reserved', 'committed');
    if not found then
        perform private.fail('PT409', 'The money of this passage is not held any more, so nothing was bought.');
    end if;
end $$;

-- The call would be made with a key that was replaced since the worker read it. Whoever replaces it waits for this
-- transaction, then sees its call as sent and keeps the key for its answer.
create function private.refuse_old_key(p_purchase public.purchases, p_key_id uuid) returns void
language plpgsql set search_path = '' as $$
declare
    v_use record;
begin
    if private.bills_nobody(p_purchase.provider) then
        return;
    end if;
    perform from public.profile_credentials c where c.key_id = p_key_id for share;
    v_use := private.account_in_use(p_purchase.account_id, p_purchase.profile_id, p_purchase.provider);
    if not v_use.usable or p_key_id is distinct from v_use.key_id then
        perform private.fail('PT409', 'The account of this voice service was changed meanwhile. Nothing was bought.');
    end if;
end $$;

-- Public names and rights ------------------------------------------------------------------------------------------------

create function public.save_voices(
    p_account_id uuid, p_provider text, p_service jsonb, p_voices jsonb default null, p_profile_id uuid default null
) returns void language sql set search_path = '' as
    $$ select private.save_voices(p_account_id, p_provider, p_service, p_voices, p_profile_id) $$;
create function public.drop_voices(p_provider text) returns void
language sql set search_path = '' as $$ select private.drop_voices(p_provider) $$;
create function public.send_purchase(
    p_job_id uuid, p_attempt_token uuid, p_purchase_id uuid, p_seconds numeric, p_key_id uuid default null
) returns void language sql set search_path = '' as
    $$ select private.send_purchase(p_job_id, p_attempt_token, p_purchase_id, p_seconds, p_key_id) $$;
create function public.sealed_credential(p_credential_id uuid) returns jsonb
language sql stable set search_path = '' as $$ select private.sealed_credential(p_credential_id) $$;
create function public.credential_for(p_account_id uuid, p_profile_id uuid, p_provider text) returns jsonb
language sql stable set search_path = '' as $$ select private.credential_for(p_account_id, p_profile_id, p_provider) $$;
create function public.key_of_purchase(p_purchase_id uuid) returns jsonb
language sql stable set search_path = '' as $$ select private.key_of_purchase(p_purchase_id) $$;
create function public.enabled_credentials(p_provider text default null, p_account_id uuid default null) returns jsonb
language sql stable set search_path = '' as $$ select private.enabled_credentials(p_provider, p_account_id) $$;
create function public.forget_keys() returns void
language sql set search_path = '' as $$ select private.forget_keys() $$;
create function public.save_test_result(
    p_credential_id uuid, p_key_id uuid, p_ok boolean, p_message text, p_facts jsonb
) returns boolean language sql set search_path = '' as
    $$ select private.save_test_result(p_credential_id, p_key_id, p_ok, p_message, p_facts) $$;
create function public.note_vault_key(p_fingerprint text, p_replace boolean default false) returns text
language sql set search_path = '' as $$ select private.note_vault_key(p_fingerprint, p_replace) $$;
create function public.sealed_otherwise(p_fingerprint text, p_after uuid default null) returns jsonb
language sql stable set search_path = '' as $$ select private.sealed_otherwise(p_fingerprint, p_after) $$;
create function public.reseal(p_key_id uuid, p_before text, p_after text) returns boolean
language sql set search_path = '' as $$ select private.reseal(p_key_id, p_before, p_after) $$;
create function public.vault_key() returns text
language sql stable set search_path = '' as $$ select private.vault_key() $$;
create function public.store_accounts(p_profile_id uuid) returns jsonb
language sql stable set search_path = '' as $$ select private.store_accounts(p_profile_id) $$;
create function public.save_credential(
    p_id uuid, p_account_id uuid, p_profile_id uuid, p_provider text, p_version integer, p_enabled boolean,
    p_shared boolean, p_sealed jsonb default null, p_found jsonb default null
) returns jsonb language sql set search_path = '' as $$
    select private.save_credential(p_id, p_account_id, p_profile_id, p_provider, p_version, p_enabled, p_shared, p_sealed,
                                   p_found)
$$;
create function public.remove_credential(p_credential_id uuid, p_version integer) returns void
language sql set search_path = '' as $$ select private.remove_credential(p_credential_id, p_version) $$;
create function public.choose_account(p_profile_id uuid, p_provider text, p_uses text, p_version integer)
returns integer language sql set search_path = '' as
    $$ select private.choose_account(p_profile_id, p_provider, p_uses, p_version) $$;
create function public.retest_credential(p_credential_id uuid) returns uuid
language sql set search_path = '' as $$ select private.retest_credential(p_credential_id) $$;

grant execute on function
    public.save_voices(uuid, text, jsonb, jsonb, uuid), private.save_voices(uuid, text, jsonb, jsonb, uuid),
    public.drop_voices(text), private.drop_voices(text),
    public.send_purchase(uuid, uuid, uuid, numeric, uuid), private.send_purchase(uuid, uuid, uuid, numeric, uuid),
    public.sealed_credential(uuid), private.sealed_credential(uuid),
    public.credential_for(uuid, uuid, text), private.credential_for(uuid, uuid, text),
    public.key_of_purchase(uuid), private.key_of_purchase(uuid),
    public.enabled_credentials(text, uuid), private.enabled_credentials(text, uuid),
    public.forget_keys(), private.forget_keys(),
    public.save_test_result(uuid, uuid, boolean, text, jsonb), private.save_test_result(uuid, uuid, boolean, text, jsonb),
    public.note_vault_key(text, boolean), private.note_vault_key(text, boolean),
    public.sealed_otherwise(text, uuid), private.sealed_otherwise(text, uuid),
    public.reseal(uuid, text, text), private.reseal(uuid, text, text),
    public.vault_key(), private.vault_key()
    to service_role;
grant execute on function
    public.vault_key(), private.vault_key(), public.store_accounts(uuid), private.store_accounts(uuid),
    public.save_credential(uuid, uuid, uuid, text, integer, boolean, boolean, jsonb, jsonb),
    private.save_credential(uuid, uuid, uuid, text, integer, boolean, boolean, jsonb, jsonb),
    public.remove_credential(uuid, integer), private.remove_credential(uuid, integer),
    public.choose_account(uuid, text, text, integer), private.choose_account(uuid, text, text, integer),
    public.retest_credential(uuid), private.retest_credential(uuid)
    to authenticated;
