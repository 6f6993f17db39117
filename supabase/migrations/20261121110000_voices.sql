-- What the voice services offer, what their voices turned out to cost, and how a store says its brand names.

-- One row a service: of a company where it speaks with the company's account, else of the installation (account_id null).
create table public.voice_services (
    id         uuid primary key default gen_random_uuid(),
    account_id uuid references public.accounts,
    provider   text not null,
    readiness  text not null check (readiness in ('ready', 'not installed', 'model missing', 'no key', 'broken')),
    message    text not null,                                  -- what works, or the exact thing to do
    models     jsonb not null default '{}',                    -- {id: {name, max_characters, multiplier, dearest, …}}
    checked_at timestamptz not null default private.utc_now(),
    unique nulls not distinct (account_id, provider)
);

create table public.voices (
    id          uuid primary key default gen_random_uuid(),
    account_id  uuid references public.accounts,
    provider    text not null,
    voice       text not null,                                 -- the provider's own id
    place       integer not null,                              -- the provider's order
    name        text not null,
    language    text not null,
    description text not null,
    preview_url text,
    multiplier  numeric(9,4) check (multiplier >= 0),          -- null: the vendor does not say
    unique nulls not distinct (account_id, provider, voice)
);
create index voices_provider_place on public.voices (provider, place);

-- Units a character really cost, learned from a bill where the vendor does not say, or confirmed by an admin.
create table public.voice_rates (
    account_id uuid not null references public.accounts,
    provider   text not null,
    model      text not null,
    voice      text not null,
    rate       numeric(12,4) not null check (rate >= 0),
    updated_at timestamptz not null default private.utc_now(),
    primary key (account_id, provider, model, voice)
);

-- A model that billed more than it announced, until an admin confirms. The id is the purchase's.
create table public.model_pauses (
    id           uuid primary key,
    account_id   uuid not null references public.accounts,
    provider     text not null,
    model        text not null,
    voice        text not null,
    characters   integer not null,
    expected     numeric(18,6) not null,                       -- units
    billed       numeric(18,6) not null,
    paused_at    timestamptz not null default private.utc_now(),
    confirmed_at timestamptz,
    confirmed_by uuid,
    reason       text
);
create index model_pauses_open on public.model_pauses (account_id, provider, model) where confirmed_at is null;
create index model_pauses_account on public.model_pauses (account_id, paused_at desc);

create table public.pronunciations (
    id         uuid primary key,
    account_id uuid not null,
    profile_id uuid not null,
    term       text not null check (char_length(btrim(term)) between 1 and 80),
    say        text not null check (char_length(btrim(say)) between 1 and 200),
    created_by uuid,
    created_at timestamptz not null default private.utc_now(),
    updated_at timestamptz not null default private.utc_now(),
    foreign key (account_id, profile_id) references public.profiles (account_id, id)
);
create unique index pronunciations_term on public.pronunciations (profile_id, lower(term));
create index pronunciations_account_profile on public.pronunciations (account_id, profile_id);
create trigger touch before update on public.pronunciations for each row execute function private.touch();

do $$
declare
    v_table text;
begin
    foreach v_table in array array['voice_services', 'voices', 'voice_rates', 'model_pauses', 'pronunciations'] loop
        execute format('alter table public.%I enable row level security', v_table);
        execute format('grant select on public.%I to authenticated, service_role', v_table);
    end loop;
    foreach v_table in array array['voice_services', 'voices'] loop
        execute format('create policy "people read what their company can speak with" on public.%I for select '
                       'to authenticated using (account_id is null or account_id in (select private.my_account_ids()))',
                       v_table);
    end loop;
    foreach v_table in array array['voice_rates', 'model_pauses'] loop
        execute format('create policy "people read what their company was billed" on public.%I for select '
                       'to authenticated using (account_id in (select private.my_account_ids()))', v_table);
    end loop;
end $$;
create policy "people read their stores' dictionary" on public.pronunciations for select to authenticated
    using (profile_id in (select private.my_profile_ids()));

-- The company whose stores may speak with the installation's own keys: the only one besides the demo.
create function private.key_account() returns uuid
language plpgsql stable security definer set search_path = '' as $$
declare
    v_ids uuid[] := array(select a.id from public.accounts a where not a.is_demo limit 2);
begin
    return case when cardinality(v_ids) = 1 then v_ids[1] end;
end $$;

-- What the worker found: {readiness, message, models} and, unless null, all voices: [{voice, name, …}] in their order.
create function private.save_voices(p_account_id uuid, p_provider text, p_service jsonb, p_voices jsonb) returns void
language plpgsql security definer set search_path = '' as $$
begin
    insert into public.voice_services as s (account_id, provider, readiness, message, models)
    values (p_account_id, p_provider, p_service ->> 'readiness', p_service ->> 'message',
            coalesce(p_service -> 'models', '{}'))
    on conflict (account_id, provider) do update
    set readiness = excluded.readiness, message = excluded.message, checked_at = private.utc_now(),
        models = case when p_service ? 'models' then excluded.models else s.models end;
    if p_voices is null then
        return;
    end if;
    delete from public.voices v where v.provider = p_provider and v.account_id is not distinct from p_account_id;
    insert into public.voices (account_id, provider, voice, place, name, language, description, preview_url, multiplier)
    select p_account_id, p_provider, x ->> 'id', n, x ->> 'name', x ->> 'language', x ->> 'description',
           x ->> 'preview_url', (x ->> 'multiplier')::numeric
    from jsonb_array_elements(p_voices) with ordinality t(x, n)
    on conflict do nothing;                                    -- a vendor's list may repeat itself between pages
end $$;

-- A company's key that is gone or may no longer be used takes its list along, and with it the right to speak.
create function private.drop_voices(p_provider text, p_but_account_id uuid) returns void
language sql security definer set search_path = '' as $$
    delete from public.voices v where v.provider = p_provider and v.account_id is distinct from p_but_account_id;
    delete from public.voice_services s
    where s.provider = p_provider and s.account_id is distinct from p_but_account_id;
$$;

-- Ask for a fresh list; asked again while one is under way, that job is returned.
create function private.refresh_voices(p_account_id uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    v_id uuid := gen_random_uuid();
begin
    if p_account_id not in (select private.my_account_ids()) then
        perform private.fail('PT404', 'Company not found.');
    elsif p_account_id not in (select private.my_account_ids('{admin,manager}')) then
        perform private.fail('PT403', 'Finance reads; a manager or an admin can refresh the voices.');
    end if;
    perform pg_advisory_xact_lock(hashtextextended('voices ' || p_account_id, 1));
    return coalesce(
        (select j.id from public.jobs j where j.account_id = p_account_id and j.profile_id is null and j.kind = 'voices'
         and j.status in ('pending', 'running') limit 1),
        private.order_voices(v_id, p_account_id));
end $$;

create function private.order_voices(p_job_id uuid, p_account_id uuid) returns uuid
language sql set search_path = '' as $$
    insert into public.jobs (id, account_id, kind, request_id, created_by)
    values (p_job_id, p_account_id, 'voices', p_job_id, auth.uid()) returning id
$$;

-- The dictionary ---------------------------------------------------------------------------------------------------------

create function private.set_pronunciation(p_profile_id uuid, p_term text, p_say text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_store public.profiles := private.my_work_profile(p_profile_id);
    v_term  text := btrim(regexp_replace(p_term, '\s+', ' ', 'g'));
    v_say   text := btrim(regexp_replace(p_say, '\s+', ' ', 'g'));
begin
    if coalesce(char_length(v_term), 0) not between 1 and 80 then
        perform private.fail('PT400', 'Type the word as it is written, up to 80 characters.', '{"field": "term"}');
    elsif coalesce(char_length(v_say), 0) not between 1 and 200 then
        perform private.fail('PT400', 'Type how it is said, up to 200 characters.', '{"field": "say"}');
    elsif (select count(*) from public.pronunciations w where w.profile_id = p_profile_id) >= 500 then
        perform private.fail('PT400', 'A store''s dictionary holds 500 words. Remove one first.', '{"field": "term"}');
    end if;
    insert into public.pronunciations (id, account_id, profile_id, term, say, created_by)
    values (gen_random_uuid(), v_store.account_id, p_profile_id, v_term, v_say, auth.uid())
    on conflict (profile_id, lower(term)) do update set term = excluded.term, say = excluded.say;
end $$;

create function private.remove_pronunciation(p_profile_id uuid, p_term text) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform private.my_work_profile(p_profile_id);
    delete from public.pronunciations w where w.profile_id = p_profile_id and lower(w.term) = lower(btrim(p_term));
end $$;

-- Prices ------------------------------------------------------------------------------------------------------------------

-- A price from now on; earlier ones stay as they were.
create function private.set_price(
    p_account_id uuid, p_provider text, p_model text, p_unit_kind text, p_usd numeric, p_per_units integer, p_reason text
) returns void language plpgsql security definer set search_path = '' as $$
declare
    v_before text;
begin
    if p_account_id not in (select private.my_account_ids()) then
        perform private.fail('PT404', 'Company not found.');
    elsif p_account_id not in (select private.my_account_ids('{admin}')) then
        perform private.fail('PT403', 'Only an admin changes a price.');
    elsif (p_usd between 0 and 999999 and p_usd = round(p_usd, 9)) is not true then
        perform private.fail('PT400', 'A price is an amount of at least $0; 0 means free.', '{"field": "price"}');
    elsif coalesce(btrim(p_reason), '') = '' then
        perform private.fail('PT400', 'Say where this price comes from, so that the log can tell later.',
                             '{"field": "reason"}');
    elsif coalesce(btrim(p_provider), '') = '' or coalesce(btrim(p_model), '') = '' then
        perform private.fail('PT400', 'Choose the model that the price is for.', '{"field": "model"}');
    end if;
    select b.usd::text into v_before from public.prices b
    where b.account_id = p_account_id and b.provider = p_provider and b.model = p_model
      and b.unit_kind = p_unit_kind and b.valid_from <= private.utc_now() order by b.valid_from desc limit 1;
    insert into public.prices (id, account_id, provider, model, unit_kind, usd, per_units, valid_from, created_by, reason)
    values (gen_random_uuid(), p_account_id, p_provider, p_model, p_unit_kind, p_usd, p_per_units, private.utc_now(),
            auth.uid(), btrim(p_reason));
    perform private.audit(p_account_id, 'price_set', p_provider || ' ' || p_model, null, btrim(p_reason),
                          jsonb_build_object('usd', v_before),
                          jsonb_build_object('usd', p_usd::text, 'per_units', p_per_units, 'unit', p_unit_kind));
exception when unique_violation then
    perform private.fail('PT409', 'This price was set a moment ago. Reload the page.');
end $$;

-- The free voices that may be added to an installation: exactly 0, so that they can be used as soon as they are ready.
create function private.add_free_prices(p_account_id uuid) returns void language sql set search_path = '' as $$
    insert into public.prices (id, account_id, provider, model, unit_kind, usd, per_units, valid_from, reason)
    select gen_random_uuid(), p_account_id, f.provider, f.model, 'characters', 0, 1000, private.utc_now(),
           'Free: nobody bills it'
    from (values ('edge', 'edge'), ('kokoro', 'kokoro'), ('coqui', 'tts_models/en/ljspeech/vits'),
                 ('coqui', 'tts_models/en/vctk/vits')) as f(provider, model)
    where not exists (select from public.prices b where b.account_id = p_account_id and b.provider = f.provider
                      and b.model = f.model and b.unit_kind = 'characters')
$$;
select private.add_free_prices(a.id) from public.accounts a;

create or replace function private.new_company(p_account_id uuid, p_name text, p_slug text, p_timezone text, p_person_id uuid)
returns void language plpgsql set search_path = '' as $$
begin
    insert into public.accounts (id, slug, name, timezone) values (p_account_id, p_slug, p_name, p_timezone);
    insert into public.members (account_id, person_id, role) values (p_account_id, p_person_id, 'admin');
    insert into public.prices (id, account_id, provider, model, unit_kind, usd, per_units, valid_from, reason)
    values (gen_random_uuid(), p_account_id, 'hibari', 'heart', 'characters', 0, 1000, private.utc_now(),
            'Comes with Clipdesk: speaks on this machine');
    perform private.add_free_prices(p_account_id);
end $$;

create function public.key_account() returns uuid
language sql stable set search_path = '' as $$ select private.key_account() $$;
create function public.save_voices(p_account_id uuid, p_provider text, p_service jsonb, p_voices jsonb default null)
returns void language sql set search_path = '' as
    $$ select private.save_voices(p_account_id, p_provider, p_service, p_voices) $$;
create function public.drop_voices(p_provider text, p_but_account_id uuid default null) returns void
language sql set search_path = '' as $$ select private.drop_voices(p_provider, p_but_account_id) $$;
create function public.refresh_voices(p_account_id uuid) returns uuid
language sql set search_path = '' as $$ select private.refresh_voices(p_account_id) $$;
create function public.set_pronunciation(p_profile_id uuid, p_term text, p_say text) returns void
language sql set search_path = '' as $$ select private.set_pronunciation(p_profile_id, p_term, p_say) $$;
create function public.remove_pronunciation(p_profile_id uuid, p_term text) returns void
language sql set search_path = '' as $$ select private.remove_pronunciation(p_profile_id, p_term) $$;
create function public.set_price(
    p_account_id uuid, p_provider text, p_model text, p_unit_kind text, p_usd numeric, p_per_units integer, p_reason text
) returns void language sql set search_path = '' as
    $$ select private.set_price(p_account_id, p_provider, p_model, p_unit_kind, p_usd, p_per_units, p_reason) $$;

grant execute on function public.key_account(), private.key_account(),
    public.save_voices(uuid, text, jsonb, jsonb), private.save_voices(uuid, text, jsonb, jsonb),
    public.drop_voices(text, uuid), private.drop_voices(text, uuid) to service_role;
grant execute on function public.refresh_voices(uuid), private.refresh_voices(uuid),
    public.set_pronunciation(uuid, text, text), private.set_pronunciation(uuid, text, text),
    public.remove_pronunciation(uuid, text), private.remove_pronunciation(uuid, text),
    public.set_price(uuid, text, text, text, numeric, integer, text),
    private.set_price(uuid, text, text, text, numeric, integer, text) to authenticated;
