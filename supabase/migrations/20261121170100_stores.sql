-- What admins set up: stores, singly and by file, the company itself, and prices from a later day.

-- Sections are saved by version: `version` counts changes of a store's name, number and place, and of the company's own.
alter table public.profiles add column version integer not null default 1;
alter table public.accounts
    add column version             integer not null default 1,
    add column new_store_quota_usd numeric(10,2) not null default 0 check (new_store_quota_usd >= 0);
comment on column public.accounts.new_store_quota_usd is 'US dollars a month that a new store starts with; 0 = no limit';
create index profiles_account_code_lower on public.profiles (account_id, lower(code));

-- Words that all of them use -----------------------------------------------------------------------------------------

create function private.only_admin(p_account_id uuid, p_does text) returns void
language plpgsql stable set search_path = '' as $$
begin
    if p_account_id is null or p_account_id not in (select private.my_account_ids()) then
        perform private.fail('PT404', 'Company not found.');
    elsif p_account_id not in (select private.my_account_ids('{admin}')) then
        perform private.fail('PT403', format('Only an admin %s.', p_does));
    end if;
end $$;

-- The admin's store, locked. Number and slug are compared within the company, so whoever may change one waits here.
create function private.store_of_admin(p_profile_id uuid, p_does text) returns public.profiles
language plpgsql set search_path = '' as $$
declare
    v_store public.profiles;
begin
    select * into v_store from public.profiles p
    where p.id = p_profile_id and p.id in (select private.my_profile_ids());
    if not found then
        perform private.fail('PT404', 'Store not found.');
    end if;
    perform private.only_admin(v_store.account_id, p_does);
    perform private.lock_stores(v_store.account_id);
    select * into v_store from public.profiles p where p.id = p_profile_id for no key update;
    return v_store;
end $$;

create function private.lock_stores(p_account_id uuid) returns void language sql set search_path = '' as
    $$ select pg_advisory_xact_lock(hashtextextended('stores ' || p_account_id::text, 1)) $$;

create function private.need_reason(p_reason text) returns void language plpgsql set search_path = '' as $$
begin
    if coalesce(btrim(p_reason), '') = '' then
        perform private.fail('PT400', 'Say why, so that the log can tell later.', '{"field": "reason"}');
    elsif char_length(p_reason) > 500 then
        perform private.fail('PT400', 'A reason has at most 500 characters.', '{"field": "reason"}');
    end if;
end $$;

create function private.expect_version(p_present integer, p_seen integer) returns void
language plpgsql set search_path = '' as $$
begin
    if p_present is distinct from p_seen then
        perform private.fail('PT409', 'Somebody saved this meanwhile. Look at what it says now, then save again.');
    end if;
end $$;

-- Blanks at the ends and double ones go; nothing left is null.
create function private.one_line(p_text text) returns text language sql immutable set search_path = '' as
    $$ select nullif(btrim(regexp_replace(p_text, '\s+', ' ', 'g')), '') $$;

-- What of p_one is otherwise in p_other.
create function private.differing(p_one jsonb, p_other jsonb) returns jsonb language sql immutable set search_path = '' as $$
    select coalesce(jsonb_object_agg(o.key, o.value), '{}') from jsonb_each(p_one) o
    where p_other -> o.key is distinct from o.value
$$;

-- A store's name, number and place ------------------------------------------------------------------------------------

create function private.store_identity(p_store public.profiles) returns jsonb
language sql immutable set search_path = '' as $$
    select jsonb_build_object('code', p_store.code, 'name', p_store.name, 'city', p_store.city, 'phone', p_store.phone,
                              'cost_centre', p_store.cost_centre, 'timezone', p_store.timezone)
$$;

-- The keys of an identity that were given, tidied; an empty text is null.
create function private.given_identity(p_store jsonb) returns jsonb language sql immutable set search_path = '' as $$
    select coalesce(jsonb_object_agg(g.key, to_jsonb(private.one_line(g.value))), '{}')
    from jsonb_each_text(case jsonb_typeof(p_store) when 'object' then p_store end) g
    where g.key in ('code', 'name', 'city', 'phone', 'cost_centre', 'timezone')
$$;

-- What is wrong with an identity, best known first.
create function private.store_faults(p_account_id uuid, p_profile_id uuid, p_store jsonb)
returns table (field text, message text) language sql stable set search_path = '' as $$
    select f.field, f.message from (values
        ('code', p_store ->> 'code' ~ '^[A-Za-z0-9-]{1,16}$', 'A store number has 1 to 16 letters, digits or hyphens.'),
        ('name', char_length(p_store ->> 'name') <= 120, 'The store needs a name of 1 to 120 characters.'),
        ('city', coalesce(char_length(p_store ->> 'city'), 0) <= 80, 'A city has at most 80 characters.'),
        ('phone', coalesce(p_store ->> 'phone', '') ~ '^[0-9+()/. -]{0,40}$',
         'A phone number has up to 40 digits, blanks and + ( ) / . -'),
        ('cost_centre', coalesce(char_length(p_store ->> 'cost_centre'), 0) <= 40,
         'A cost centre has at most 40 characters.'),
        ('timezone', p_store ->> 'timezone' ~ '^[A-Za-z_]+(/[A-Za-z0-9_+-]+)*$'
                     and private.is_timezone(p_store ->> 'timezone'), 'Choose a time zone such as Europe/London.')
    ) as f(field, fine, message) where f.fine is not true
    union all
    select 'code', case when s.archived_at is null then format('%s has the number %s already.', s.name, s.code)
                        else format('The archived store %s has the number %s. Bring it back, or choose another number.',
                                    s.name, s.code) end
    from public.profiles s
    where s.account_id = p_account_id and lower(s.code) = lower(p_store ->> 'code') and s.id is distinct from p_profile_id
$$;

create function private.refuse_faults(p_account_id uuid, p_profile_id uuid, p_store jsonb) returns void
language plpgsql stable set search_path = '' as $$
declare
    v_fault record;
begin
    select * into v_fault from private.store_faults(p_account_id, p_profile_id, p_store) limit 1;
    if found then
        perform private.fail('PT400', v_fault.message, jsonb_build_object('field', v_fault.field));
    end if;
end $$;

-- A free name for addresses, from the store's own. "all" is the switcher's word for every store.
create function private.free_slug(p_account_id uuid, p_name text) returns text
language plpgsql stable set search_path = '' as $$
declare
    v_base   text := left(btrim(regexp_replace(lower(p_name), '[^a-z0-9]+', '-', 'g'), '-'), 50);
    v_number integer := 1;
    v_slug   text;
begin
    v_base := case when v_base in ('', 'all') then btrim('store-' || v_base, '-') else v_base end;
    v_slug := v_base;
    while exists (select from public.profiles s where s.account_id = p_account_id and s.slug = v_slug) loop
        v_number := v_number + 1;
        v_slug := v_base || '-' || v_number;
    end loop;
    return v_slug;
end $$;

-- A checked identity becomes a store, with the limit that the company gives new ones.
create function private.insert_store(p_account_id uuid, p_profile_id uuid, p_store jsonb) returns void
language plpgsql set search_path = '' as $$
declare
    v_quota numeric;
begin
    select a.new_store_quota_usd into v_quota from public.accounts a where a.id = p_account_id;
    insert into public.profiles (id, account_id, slug, code, name, city, phone, cost_centre, timezone, monthly_quota_usd)
    values (p_profile_id, p_account_id, private.free_slug(p_account_id, p_store ->> 'name'), p_store ->> 'code',
            p_store ->> 'name', p_store ->> 'city', p_store ->> 'phone', p_store ->> 'cost_centre',
            p_store ->> 'timezone', v_quota);
    perform private.audit(p_account_id, 'store_created', p_store ->> 'name', p_profile_id, null, null, p_store);
    if v_quota > 0 then
        insert into public.quota_changes (id, account_id, profile_id, before_usd, after_usd, reason, changed_by)
        values (gen_random_uuid(), p_account_id, p_profile_id, 0, v_quota, 'What new stores start with', auth.uid());
    end if;
end $$;

create function private.update_store(p_store public.profiles, p_identity jsonb) returns void
language plpgsql set search_path = '' as $$
declare
    v_before jsonb := private.store_identity(p_store);
begin
    update public.profiles p
    set code = p_identity ->> 'code', name = p_identity ->> 'name', city = p_identity ->> 'city',
        phone = p_identity ->> 'phone', cost_centre = p_identity ->> 'cost_centre', timezone = p_identity ->> 'timezone',
        version = p.version + 1
    where p.id = p_store.id;
    perform private.audit(p_store.account_id, 'store_changed', p_identity ->> 'name', p_store.id, null,
                          private.differing(v_before, p_identity), private.differing(p_identity, v_before));
end $$;

-- A new store: {id, code, name, city, phone, cost_centre, timezone}. The same id and values again change nothing.
create function private.create_store(p_account_id uuid, p_store jsonb) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    v_id    uuid := (p_store ->> 'id')::uuid;
    v_given jsonb := '{"city": null, "phone": null, "cost_centre": null}' || private.given_identity(p_store);
    v_there public.profiles;
begin
    perform private.only_admin(p_account_id, 'creates a store');
    perform private.lock_stores(p_account_id);
    select * into v_there from public.profiles s where s.id = v_id;
    if found then
        if v_there.account_id <> p_account_id or private.store_identity(v_there) <> v_given then
            perform private.fail('PT409', 'This request was sent before with other values.');
        end if;
        return v_id;
    end if;
    perform private.refuse_faults(p_account_id, null, v_given);
    perform private.insert_store(p_account_id, v_id, v_given);
    return v_id;
end $$;

-- Returns the section's version afterwards. Keys that are not given stay as they are.
create function private.save_store(p_profile_id uuid, p_store jsonb, p_version integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    v_store public.profiles := private.store_of_admin(p_profile_id, 'changes a store');
    v_after jsonb := private.store_identity(v_store) || private.given_identity(p_store);
begin
    perform private.expect_version(v_store.version, p_version);
    if v_store.archived_at is not null then
        perform private.fail('PT409', 'This store is archived. Bring it back first.');
    end if;
    perform private.refuse_faults(v_store.account_id, p_profile_id, v_after);
    if v_after = private.store_identity(v_store) then
        return v_store.version;
    end if;
    perform private.update_store(v_store, v_after);
    return v_store.version + 1;
end $$;

-- Suspending and archiving --------------------------------------------------------------------------------------------

-- Stop a store, or lift that (p_suspended false): nothing new is held for it until then.
create function private.suspend_store(p_profile_id uuid, p_suspended boolean, p_reason text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_store public.profiles := private.store_of_admin(p_profile_id, 'suspends a store or lifts that');
begin
    perform private.need_reason(p_reason);
    if v_store.archived_at is not null then
        perform private.fail('PT409', 'This store is archived. Bring it back first.');
    elsif p_suspended is null then
        perform private.fail('PT400', 'Say whether the store is to be suspended.');
    elsif (v_store.suspended_at is not null) = p_suspended then
        perform private.fail('PT409', case when p_suspended then 'Somebody suspended this store meanwhile.'
                                           else 'Somebody lifted this suspension meanwhile.' end);
    end if;
    update public.profiles p
    set suspended_at = case when p_suspended then private.utc_now() end,
        suspended_reason = case when p_suspended then btrim(p_reason) end
    where p.id = p_profile_id;
    perform private.audit(v_store.account_id, case when p_suspended then 'store_suspended' else 'suspension_lifted' end,
                          v_store.name, p_profile_id, btrim(p_reason),
                          jsonb_build_object('suspended', v_store.suspended_reason),
                          jsonb_build_object('suspended', case when p_suspended then btrim(p_reason) end));
end $$;

-- What is under way in a store: {waiting, running, held, holds: the oldest 20, open: how many}.
create function private.work_under_way(p_profile_id uuid) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'waiting', (select count(*) from public.jobs j where j.profile_id = p_profile_id and j.status = 'pending'),
        'running', (select count(*) from public.jobs j where j.profile_id = p_profile_id and j.status = 'running'),
        'open', (select count(*) from public.cost_holds h
                 where h.profile_id = p_profile_id and h.state in ('reserved', 'committed')),
        'held', coalesce((select sum(h.held_usd) from public.cost_holds h
                          where h.profile_id = p_profile_id and h.state in ('reserved', 'committed')), 0)::text,
        'holds', coalesce((
            select jsonb_agg(jsonb_build_object('job_id', o.job_id, 'service', o.service, 'usd', o.held_usd::text,
                                                'state', o.state, 'since', o.occurred_at) order by o.occurred_at)
            from (select * from public.cost_holds h where h.profile_id = p_profile_id
                  and h.state in ('reserved', 'committed') order by h.occurred_at limit 20) o), '[]'))
$$;

create function private.store_work(p_profile_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
    if p_profile_id is null or p_profile_id not in (
        select p.id from public.profiles p where p.account_id in (select private.my_account_ids('{admin}'))) then
        perform private.fail('PT404', 'Store not found.');
    end if;
    return private.work_under_way(p_profile_id);
end $$;

-- Put a store away with everything it has. Not while money is held: its work would end in a store that nobody sees.
create function private.archive_store(p_profile_id uuid, p_reason text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_store public.profiles := private.store_of_admin(p_profile_id, 'archives a store');
    v_month date := private.month_of(private.utc_now());
    v_work  jsonb;
    v_holds text;
begin
    perform private.need_reason(p_reason);
    if v_store.archived_at is not null then
        perform private.fail('PT409', 'Somebody archived this store meanwhile.');
    end if;
    -- Every hold waits for the store's counter: it is counted below, or it comes later and finds the store archived.
    perform pg_advisory_xact_lock_shared(private.month_key(v_store.account_id, v_month));
    perform private.lock_counter(p_profile_id, v_month, v_store.account_id);
    v_work := private.work_under_way(p_profile_id);
    if (v_work ->> 'open')::integer > 0 then
        select string_agg(format('%s for %s since %s UTC', private.usd_text((h ->> 'usd')::numeric), h ->> 'service',
                                 to_char((h ->> 'since')::timestamptz at time zone 'UTC', 'FMDD Mon HH24:MI')), ', ')
        into v_holds from (select x as h from jsonb_array_elements(v_work -> 'holds') x limit 5) o;
        perform private.fail('PT409', format(
            '%s still has money set aside for work under way (%s open: %s). Wait until it is done, or end it on the '
            'Jobs page.', v_store.name, v_work ->> 'open', v_holds));
    end if;
    update public.profiles p set archived_at = private.utc_now() where p.id = p_profile_id;
    perform private.audit(v_store.account_id, 'store_archived', v_store.name, p_profile_id, btrim(p_reason),
                          '{"archived": false}', '{"archived": true}');
end $$;

-- As before, of the store as it is now: who waited for its counter may have waited for its archiving.
create or replace function private.refuse_closed_store(p_store public.profiles) returns void
language plpgsql set search_path = '' as $$
declare
    v_store public.profiles;
begin
    select * into v_store from public.profiles p where p.id = p_store.id;
    if v_store.archived_at is not null then
        perform private.fail('PT404', 'This store is archived; nothing can be made for it.');
    elsif v_store.suspended_at is not null then
        perform private.fail('PT423', format('%s is suspended: %s', v_store.name,
                                             coalesce(v_store.suspended_reason, 'no reason was given.')));
    end if;
end $$;

create function private.restore_store(p_profile_id uuid, p_reason text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_store public.profiles := private.store_of_admin(p_profile_id, 'brings a store back');
begin
    perform private.need_reason(p_reason);
    if v_store.archived_at is null then
        perform private.fail('PT409', 'Somebody brought this store back meanwhile.');
    end if;
    update public.profiles p set archived_at = null where p.id = p_profile_id;
    perform private.audit(v_store.account_id, 'store_restored', v_store.name, p_profile_id, btrim(p_reason),
                          '{"archived": true}', '{"archived": false}');
end $$;

-- Copying one store's settings ----------------------------------------------------------------------------------------

-- What copying would change, by store: {id, code, name, voice, free, words_new, words_changed, words_after}. Parts are
-- 'voice', 'free' and 'words'. Words that only the other store has stay there.
create function private.copy_plan(p_profile_id uuid, p_target_ids uuid[], p_parts text[]) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(jsonb_build_object(
        'id', t.id, 'code', t.code, 'name', t.name,
        'voice', 'voice' = any (p_parts) and t.tts_settings <> s.tts_settings,
        'free', 'free' = any (p_parts) and t.allow_free_voices_over_quota <> s.allow_free_voices_over_quota,
        'words_new', w.new, 'words_changed', w.changed,
        'words_after', w.new + (select count(*) from public.pronunciations x where x.profile_id = t.id)) order by t.code), '[]')
    from public.profiles s
    join public.profiles t on t.account_id = s.account_id and t.id = any (p_target_ids) and t.id <> s.id
                           and t.archived_at is null
    cross join lateral (
        select count(*) filter (where o.id is null) as new, count(*) filter (where o.say <> n.say) as changed
        from public.pronunciations n
        left join public.pronunciations o on o.profile_id = t.id and lower(o.term) = lower(n.term)
        where n.profile_id = s.id and 'words' = any (p_parts)) w
    where s.id = p_profile_id
$$;

-- {stores: the plan, mark}: the mark stands for everything that the plan was made of.
create function private.copy_preview(p_profile_id uuid, p_target_ids uuid[], p_parts text[]) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_plan jsonb;
begin
    if p_profile_id is null or p_profile_id not in (
        select p.id from public.profiles p where p.account_id in (select private.my_account_ids('{admin}'))) then
        perform private.fail('PT404', 'Store not found.');
    elsif coalesce(cardinality(p_parts), 0) = 0 or not p_parts <@ '{voice,free,words}' then
        perform private.fail('PT400', 'Choose what to copy.', '{"field": "parts"}');
    end if;
    v_plan := private.copy_plan(p_profile_id, p_target_ids, p_parts);
    if jsonb_array_length(v_plan) = 0
        or jsonb_array_length(v_plan) <> (select count(distinct t) from unnest(p_target_ids) t) then
        perform private.fail('PT400', 'Choose other stores of this company that are not archived.',
                             '{"field": "targets"}');
    end if;
    return jsonb_build_object('stores', v_plan, 'mark', md5(v_plan::text || (
        select jsonb_build_array(p.tts_settings, p.allow_free_voices_over_quota)::text
               || coalesce((select string_agg(w.term || w.say, chr(31) order by w.term)
                            from public.pronunciations w where w.profile_id = p.id), '')
        from public.profiles p where p.id = p_profile_id)));
end $$;

-- Returns how many stores changed. Free voices over quota lift a limit, hence the reason.
create function private.copy_settings(
    p_profile_id uuid, p_target_ids uuid[], p_parts text[], p_reason text, p_mark text
) returns integer language plpgsql security definer set search_path = '' as $$
declare
    v_source public.profiles := private.store_of_admin(p_profile_id, 'copies a store''s settings');
    v_seen   jsonb;
    v_to     jsonb;
    v_count  integer := 0;
begin
    perform from public.profiles p where p.id = any (p_target_ids) and p.account_id = v_source.account_id
        order by p.id for no key update;
    v_seen := private.copy_preview(p_profile_id, p_target_ids, p_parts);
    perform private.need_reason(p_reason);
    if v_seen ->> 'mark' is distinct from p_mark then
        perform private.fail('PT409', 'Somebody changed these stores meanwhile. Look at the preview again.');
    end if;
    for v_to in select x from jsonb_array_elements(v_seen -> 'stores') x
                where (x ->> 'voice')::boolean or (x ->> 'free')::boolean or (x ->> 'words_new')::integer > 0
                   or (x ->> 'words_changed')::integer > 0 loop
        if (v_to ->> 'words_after')::integer > 500 then
            perform private.fail('PT400', format('The dictionary of %s would have more than 500 words.', v_to ->> 'name'),
                                 '{"field": "targets"}');
        end if;
        perform private.copy_to(v_source, v_to, p_parts, btrim(p_reason));
        v_count := v_count + 1;
    end loop;
    return v_count;
end $$;

create function private.copy_to(p_source public.profiles, p_to jsonb, p_parts text[], p_reason text) returns void
language plpgsql set search_path = '' as $$
declare
    v_id    uuid := p_to ->> 'id';
    v_store public.profiles;
begin
    select * into v_store from public.profiles p where p.id = v_id;
    update public.profiles p
    set tts_settings = case when 'voice' = any (p_parts) then p_source.tts_settings else p.tts_settings end,
        allow_free_voices_over_quota = case when 'free' = any (p_parts) then p_source.allow_free_voices_over_quota
                                            else p.allow_free_voices_over_quota end,
        voice_version = p.voice_version + 1
    where p.id = v_id and ((p_to ->> 'voice')::boolean or (p_to ->> 'free')::boolean);
    insert into public.pronunciations as o (id, account_id, profile_id, term, say, created_by)
    select gen_random_uuid(), v_store.account_id, v_id, w.term, w.say, auth.uid()
    from public.pronunciations w where w.profile_id = p_source.id and 'words' = any (p_parts)
    on conflict (profile_id, lower(term)) do update set term = excluded.term, say = excluded.say
    where o.say <> excluded.say;
    perform private.audit(
        v_store.account_id, 'settings_copied', p_source.name, v_id, p_reason,
        jsonb_build_object('voice', v_store.tts_settings, 'free_voices_over_quota', v_store.allow_free_voices_over_quota),
        (select jsonb_build_object('voice', p.tts_settings, 'free_voices_over_quota', p.allow_free_voices_over_quota,
                                   'words_added', p_to -> 'words_new', 'words_changed', p_to -> 'words_changed')
         from public.profiles p where p.id = v_id));
end $$;

-- The company ------------------------------------------------------------------------------------------------------------

-- {name, timezone, new_store_quota_usd}: keys that are not given stay. Returns the version afterwards.
create function private.save_company(p_account_id uuid, p_company jsonb, p_version integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    v_old    public.accounts;
    v_before jsonb;
    v_after  jsonb;
begin
    perform private.only_admin(p_account_id, 'changes the company');
    select * into v_old from public.accounts a where a.id = p_account_id for no key update;
    perform private.expect_version(v_old.version, p_version);
    v_before := jsonb_build_object('name', v_old.name, 'timezone', v_old.timezone,
                                   'new_store_quota_usd', v_old.new_store_quota_usd::text);
    v_after := v_before || private.given_company(p_company);
    if v_after = v_before then
        return v_old.version;
    end if;
    update public.accounts a
    set name = v_after ->> 'name', timezone = v_after ->> 'timezone',
        new_store_quota_usd = (v_after ->> 'new_store_quota_usd')::numeric, version = a.version + 1
    where a.id = p_account_id;
    perform private.audit(p_account_id, 'company_changed', v_after ->> 'name', null, null,
                          private.differing(v_before, v_after), private.differing(v_after, v_before));
    return v_old.version + 1;
end $$;

create function private.given_company(p_company jsonb) returns jsonb language plpgsql stable set search_path = '' as $$
declare
    v_given jsonb := coalesce((
        select jsonb_object_agg(g.key, coalesce(private.one_line(g.value), ''))
        from jsonb_each_text(case jsonb_typeof(p_company) when 'object' then p_company end) g
        where g.key in ('name', 'timezone', 'new_store_quota_usd')), '{}');
begin
    if char_length(v_given ->> 'name') not between 1 and 120 then
        perform private.fail('PT400', 'The company needs a name of 1 to 120 characters.', '{"field": "name"}');
    elsif not (v_given ->> 'timezone' ~ '^[A-Za-z_]+(/[A-Za-z0-9_+-]+)*$' and private.is_timezone(v_given ->> 'timezone')) then
        perform private.fail('PT400', 'Choose a time zone such as Europe/London.', '{"field": "timezone"}');
    elsif v_given ->> 'new_store_quota_usd' !~ '^\d{1,8}(\.\d{1,2})?$' then
        perform private.fail('PT400', 'A quota is an amount of at least $0.00 in whole cents; 0 means no limit.',
                             '{"field": "new_store_quota_usd"}');
    end if;
    return v_given || case when v_given ? 'new_store_quota_usd' then
        jsonb_build_object('new_store_quota_usd', ((v_given ->> 'new_store_quota_usd')::numeric(10,2))::text) else '{}' end;
end $$;

-- Prices from a later day ---------------------------------------------------------------------------------------------

-- Like set_price, in force from p_valid_from on. Prices are never edited: a second one for the same instant is put the
-- smallest step after the first, and so replaces it.
create function private.set_price_from(
    p_account_id uuid, p_provider text, p_model text, p_unit_kind text, p_usd numeric, p_per_units integer,
    p_reason text, p_valid_from timestamptz
) returns void language plpgsql security definer set search_path = '' as $$
declare
    v_from   timestamptz;
    v_before text;
begin
    perform private.only_admin(p_account_id, 'changes a price');
    if (p_usd between 0 and 999999 and p_usd = round(p_usd, 9)) is not true then
        perform private.fail('PT400', 'A price is an amount of at least $0; 0 means free.', '{"field": "price"}');
    elsif coalesce(btrim(p_provider), '') = '' or coalesce(btrim(p_model), '') = '' then
        perform private.fail('PT400', 'Choose the model that the price is for.', '{"field": "model"}');
    elsif (p_valid_from > private.utc_now() and p_valid_from < private.utc_now() + interval '5 years') is not true then
        perform private.fail('PT400', 'Choose a day to come, within five years: what was bought keeps its price.',
                             '{"field": "valid_from"}');
    end if;
    perform private.need_reason(p_reason);
    perform pg_advisory_xact_lock(hashtextextended('prices ' || p_account_id::text, 1));
    select coalesce(max(b.valid_from) + interval '1 microsecond', p_valid_from) into v_from from public.prices b
    where b.account_id = p_account_id and b.provider = p_provider and b.model = p_model and b.unit_kind = p_unit_kind
      and b.valid_from >= p_valid_from and b.valid_from < p_valid_from + interval '1 second';
    select b.usd::text into v_before from public.prices b
    where b.account_id = p_account_id and b.provider = p_provider and b.model = p_model
      and b.unit_kind = p_unit_kind and b.valid_from < v_from order by b.valid_from desc limit 1;
    insert into public.prices (id, account_id, provider, model, unit_kind, usd, per_units, valid_from, created_by, reason)
    values (gen_random_uuid(), p_account_id, p_provider, p_model, p_unit_kind, p_usd, p_per_units, v_from, auth.uid(),
            btrim(p_reason));
    perform private.audit(p_account_id, 'price_set', p_provider || ' ' || p_model, null, btrim(p_reason),
                          jsonb_build_object('usd', v_before),
                          jsonb_build_object('usd', p_usd::text, 'per_units', p_per_units, 'unit', p_unit_kind,
                                             'valid_from', p_valid_from));
end $$;

-- Stores, people, assignments and quotas by file ----------------------------------------------------------------------

-- Rows: {stores: [{row, code, name, city, phone, cost_centre, timezone}], people: [{row, name, email, role, stores: [code],
-- token_hash}], assignments: [{row, email, store}], quotas: [{row, store, limit, reason}]}; `row` is the line in the file,
-- `limit` US dollars as text, "0" = none, `token_hash` that of a link to hand over. Stores are known by number, people by
-- address, in capitals or not. A file adds and changes; it takes nobody out of a store.

create function private.import_list(p_rows jsonb, p_kind text) returns setof jsonb
language sql immutable set search_path = '' as $$
    select jsonb_array_elements(case jsonb_typeof(p_rows -> p_kind) when 'array' then p_rows -> p_kind else '[]' end)
$$;

create function private.import_stores(p_account_id uuid, p_rows jsonb)
returns table (line integer, profile_id uuid, archived boolean, before jsonb, after jsonb, times bigint)
language sql stable set search_path = '' as $$
    select (r ->> 'row')::integer, s.id, s.archived_at is not null, b.identity,
           coalesce(b.identity, jsonb_build_object('city', null, 'phone', null, 'cost_centre', null, 'timezone', a.timezone))
               || jsonb_strip_nulls(private.given_identity(r))
               || case when s.id is null then '{}' else jsonb_build_object('code', s.code) end,
           count(*) over (partition by lower(btrim(r ->> 'code')))
    from public.accounts a
    cross join private.import_list(p_rows, 'stores') r
    left join public.profiles s on s.account_id = a.id and lower(s.code) = lower(btrim(r ->> 'code'))
    cross join lateral (select case when s.id is not null then private.store_identity(s) end as identity) b
    where a.id = p_account_id
$$;

create function private.import_people(p_account_id uuid, p_rows jsonb)
returns table (line integer, email text, name text, role text, token_hash text, present_role text, deactivated boolean,
               invited boolean, times bigint)
language sql stable set search_path = '' as $$
    select (r ->> 'row')::integer, lower(btrim(r ->> 'email')), private.one_line(r ->> 'name'), r ->> 'role', r ->> 'token_hash',
           m.role,
           coalesce(x.deactivated_at::text, to_jsonb(m) ->> 'deactivated_at') is not null,  -- the latter is a later file's
           coalesce(lower(btrim(r ->> 'email')) in (
               select lower(j.input ->> 'email') from public.jobs j
               where j.kind = 'invite' and j.account_id = p_account_id and j.status in ('pending', 'running')), false),
           count(*) over (partition by lower(btrim(r ->> 'email')))
    from private.import_list(p_rows, 'people') r
    left join public.people x on lower(x.email) = lower(btrim(r ->> 'email'))
    left join public.members m on m.account_id = p_account_id and m.person_id = x.id
$$;

-- Who is to work where, by either file: email and store number in small letters.
create function private.import_pairs(p_rows jsonb)
returns table (kind text, line integer, email text, code text) language sql stable set search_path = '' as $$
    select 'people', (r ->> 'row')::integer, lower(btrim(r ->> 'email')), lower(btrim(c #>> '{}'))
    from private.import_list(p_rows, 'people') r cross join lateral private.import_list(r, 'stores') c
    union all
    select 'assignments', (r ->> 'row')::integer, lower(btrim(r ->> 'email')), lower(btrim(r ->> 'store'))
    from private.import_list(p_rows, 'assignments') r
$$;

create function private.import_quotas(p_account_id uuid, p_rows jsonb)
returns table (line integer, code text, usd text, reason text, profile_id uuid, before numeric, times bigint)
language sql stable set search_path = '' as $$
    select (r ->> 'row')::integer, lower(btrim(r ->> 'store')), r ->> 'limit', btrim(r ->> 'reason'), s.id,
           coalesce(s.monthly_quota_usd, a.new_store_quota_usd), count(*) over (partition by lower(btrim(r ->> 'store')))
    from public.accounts a
    cross join private.import_list(p_rows, 'quotas') r
    left join public.profiles s on s.account_id = a.id and s.archived_at is null
                               and lower(s.code) = lower(btrim(r ->> 'store'))
    where a.id = p_account_id
$$;

-- Numbers of the stores that there are, or will be.
create function private.import_codes(p_account_id uuid, p_rows jsonb) returns setof text
language sql stable set search_path = '' as $$
    select lower(s.code) from public.profiles s where s.account_id = p_account_id and s.archived_at is null
    union
    select lower(n.after ->> 'code') from private.import_stores(p_account_id, p_rows) n where n.profile_id is null
$$;

-- Everything that keeps the files from being taken.
create function private.import_problems(p_account_id uuid, p_rows jsonb)
returns table (kind text, line integer, field text, message text) language sql stable set search_path = '' as $$
    with codes as materialized (select coalesce(c, '') as code from private.import_codes(p_account_id, p_rows) c),
    stores as materialized (select * from private.import_stores(p_account_id, p_rows)),
    people as materialized (select * from private.import_people(p_account_id, p_rows)),
    pairs as materialized (select * from private.import_pairs(p_rows)),
    roles as materialized (      -- of everybody who is here or in the file
        select lower(x.email) as email, m.role, true as here from public.members m
        join public.people x on x.id = m.person_id where m.account_id = p_account_id
        union all
        select n.email, n.role, false from people n where n.present_role is null),
    quotas as materialized (select * from private.import_quotas(p_account_id, p_rows)),
    found (kind, line, field, message) as (
        select 'stores', s.line, f.field, f.message
        from stores s cross join lateral private.store_faults(p_account_id, s.profile_id, s.after) f where not s.archived
        union all
        select 'stores', s.line, 'code', 'This store is archived. Bring it back first.' from stores s where s.archived
        union all
        select 'stores', s.line, 'code', 'This number is in the file more than once.' from stores s where s.times > 1
        union all
        select 'people', n.line, 'name', 'A person needs a name of 1 to 120 characters.' from people n
        where n.present_role is null and (char_length(n.name) <= 120) is not true
        union all
        select 'people', n.line, 'email', 'That is not an e-mail address.' from people n
        where (n.email ~ '^[^@\s]+@[^@\s]+\.[^@\s]+$' and char_length(n.email) <= 254) is not true
        union all
        select 'people', n.line, 'email', 'This address is in the file more than once.' from people n where n.times > 1
        union all
        select 'people', n.line, 'email', 'This person is deactivated. Let them back in under People first.' from people n
        where n.deactivated and n.present_role is not null
        union all
        select 'people', n.line, 'role', 'Write admin, manager or finance.' from people n
        where (n.role in ('admin', 'manager', 'finance')) is not true
        union all
        select 'people', n.line, 'role', format('Is %s here. Roles are changed under People, one by one.', n.present_role)
        from people n where n.present_role <> n.role
        union all
        select 'people', n.line, 'stores', 'A manager works in at least one store.' from people n
        where n.present_role is null and n.role = 'manager' and n.email not in (select coalesce(q.email, '') from pairs q)
        union all
        select q.kind, q.line, case q.kind when 'people' then 'stores' else 'store' end,
               format('There is no store with the number %s.', coalesce(nullif(q.code, ''), '(none)'))
        from pairs q where coalesce(q.code, '') not in (select c.code from codes c)
        union all
        select q.kind, q.line, case q.kind when 'people' then 'stores' else 'email' end,
               format('Only managers are given stores; %s sees all of them.', r.role)
        from pairs q join roles r on r.email = q.email where r.role <> 'manager'
        union all
        select q.kind, q.line, 'email', 'Nobody with this address works here. Put them into the people file.'
        from pairs q where q.kind = 'assignments' and coalesce(q.email, '') not in (select coalesce(r.email, '#') from roles r)
        union all
        select 'quotas', l.line, 'store', format('There is no store with the number %s.', coalesce(nullif(l.code, ''), '(none)'))
        from quotas l where coalesce(l.code, '') not in (select c.code from codes c)
        union all
        select 'quotas', l.line, 'store', 'This number is in the file more than once.' from quotas l where l.times > 1
        union all
        select 'quotas', l.line, 'limit', 'Write "No limit", or an amount in US dollars such as 25.00.' from quotas l
        where (l.usd ~ '^\d{1,8}(\.\d{1,2})?$') is not true
        union all
        select 'quotas', l.line, 'reason', 'Say why, in at most 500 characters, so that the log can tell later.' from quotas l
        where (char_length(l.reason) between 1 and 500) is not true)
    select distinct f.kind, f.line, f.field, f.message from found f
$$;

-- What each row does: new, changed, same, or invited (the invitation is under way).
create function private.import_effects(p_account_id uuid, p_rows jsonb)
returns table (kind text, line integer, does text, before jsonb, after jsonb)
language sql stable set search_path = '' as $$
    with working as materialized (
        select lower(x.email) as email, lower(s.code) as code from public.profile_members w
        join public.people x on x.id = w.person_id join public.profiles s on s.id = w.profile_id
        where w.account_id = p_account_id),
    missing as materialized (
        select q.kind, q.line, jsonb_agg(q.code) as codes from private.import_pairs(p_rows) q
        where (q.email, q.code) not in (select w.email, w.code from working w) group by q.kind, q.line)
    select 'stores', s.line, case when s.profile_id is null then 'new' when s.before = s.after then 'same' else 'changed' end,
           private.differing(s.before, s.after), private.differing(s.after, coalesce(s.before, '{}'))
    from private.import_stores(p_account_id, p_rows) s
    union all
    select 'people', n.line, case when n.present_role is not null then case when m.line is null then 'same' else 'changed' end
                                  when n.invited then 'invited' else 'new' end,
           null, case when n.present_role is not null and m.line is not null then jsonb_build_object('stores', m.codes) end
    from private.import_people(p_account_id, p_rows) n left join missing m on m.kind = 'people' and m.line = n.line
    union all
    select 'assignments', (r ->> 'row')::integer, case when m.line is null then 'same' else 'new' end, null, null
    from private.import_list(p_rows, 'assignments') r
    left join missing m on m.kind = 'assignments' and m.line = (r ->> 'row')::integer
    union all
    select 'quotas', l.line, case when l.before = l.usd::numeric then 'same' else 'changed' end,
           jsonb_build_object('limit', l.before::text), jsonb_build_object('limit', l.usd)
    from private.import_quotas(p_account_id, p_rows) l
$$;

create function private.may_import(p_account_id uuid, p_rows jsonb) returns void
language plpgsql stable set search_path = '' as $$
begin
    perform private.only_admin(p_account_id, 'imports');
    if (select count(*) from unnest('{stores,people,assignments,quotas}'::text[]) k
        cross join lateral private.import_list(p_rows, k) r) > 5000 then
        perform private.fail('PT400', 'At most 5,000 rows can be imported at once.');
    end if;
end $$;

-- {problems: the first 500 as [{kind, row, column, message}], wrong: how many, effects: [{kind, row, does, before, after}]},
-- without effects while anything is wrong.
create function private.check_import(p_account_id uuid, p_rows jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_problems jsonb;
    v_wrong    integer;
begin
    perform private.may_import(p_account_id, p_rows);
    select count(*), coalesce(jsonb_agg(jsonb_build_object('kind', q.kind, 'row', q.line, 'column', q.field,
                                                           'message', q.message) order by q.place)
                              filter (where q.place <= 500), '[]')
    into v_wrong, v_problems
    from (select x.*, row_number() over (order by x.kind, x.line, x.field) as place
          from private.import_problems(p_account_id, p_rows) x) q;
    return jsonb_build_object('problems', v_problems, 'wrong', v_wrong, 'effects', case when v_wrong = 0 then (
        select coalesce(jsonb_agg(jsonb_build_object('kind', e.kind, 'row', e.line, 'does', e.does, 'before', e.before,
                                                     'after', e.after) order by e.kind, e.line), '[]')
        from private.import_effects(p_account_id, p_rows) e) else '[]' end);
end $$;

-- All or nothing. The same rows again change nothing. Returns {stores, people, assignments, quotas}: how many were new
-- or changed, and {added: what became of each new person}.
create function private.import_rows(p_account_id uuid, p_rows jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_checked jsonb;
    v_did     jsonb;
    v_people  jsonb;
begin
    perform private.may_import(p_account_id, p_rows);
    perform private.lock_stores(p_account_id);
    v_checked := private.check_import(p_account_id, p_rows);
    if (v_checked ->> 'wrong')::integer > 0 then
        perform private.fail('PT400', format('%s of the files'' cells are wrong, the first in row %s of %s: %s Nothing was changed.',
            v_checked ->> 'wrong', v_checked #>> '{problems,0,row}', v_checked #>> '{problems,0,kind}',
            v_checked #>> '{problems,0,message}'));
    end if;
    select jsonb_object_agg(k, (select count(*) from jsonb_array_elements(v_checked -> 'effects') e
                                where e ->> 'kind' = k and e ->> 'does' in ('new', 'changed')))
    into v_did from unnest('{stores,people,assignments,quotas}'::text[]) k;
    perform private.import_new_stores(p_account_id, p_rows);
    perform private.import_limits(p_account_id, p_rows);       -- counters first: a hold has them before the company's row
    v_people := private.import_new_people(p_account_id, p_rows);
    perform private.import_assignments(p_account_id, p_rows);
    perform private.import_changed_stores(p_account_id, p_rows);
    if v_did <> '{"stores": 0, "people": 0, "assignments": 0, "quotas": 0}' then
        perform private.audit(p_account_id, 'imported', null, null, null, null, v_did);
    end if;
    return v_did || jsonb_build_object('added', v_people);
end $$;

-- The table grows while this runs: a plan that was made for an empty one and kept took 4 ms a store instead of 0.1.
create function private.import_new_stores(p_account_id uuid, p_rows jsonb) returns void
language plpgsql set search_path = ''
set plan_cache_mode = force_custom_plan as $$
declare
    v_store jsonb;
begin
    for v_store in select s.after from private.import_stores(p_account_id, p_rows) s
                   where s.profile_id is null order by s.line loop
        perform private.insert_store(p_account_id, gen_random_uuid(), v_store);
    end loop;
end $$;

create function private.import_new_people(p_account_id uuid, p_rows jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_person jsonb;
    v_added  jsonb := '[]';
begin
    for v_person in
        select jsonb_build_object('name', n.name, 'email', n.email, 'role', n.role, 'token_hash', n.token_hash,
                                  'profile_ids', coalesce((
            select jsonb_agg(distinct s.id) from private.import_pairs(p_rows) q
            join public.profiles s on s.account_id = p_account_id and lower(s.code) = q.code and s.archived_at is null
            where q.email = n.email), '[]'))
        from private.import_people(p_account_id, p_rows) n
        where n.present_role is null and not n.invited order by n.line
    loop
        v_added := v_added || jsonb_build_array(
            private.add_or_invite(p_account_id, v_person) || (v_person - '{profile_ids,token_hash}'::text[]));
    end loop;
    return v_added;
end $$;

-- The people who were here before. New ones have been let in with their stores.
create function private.import_assignments(p_account_id uuid, p_rows jsonb) returns void
language plpgsql set search_path = '' as $$
declare
    v_new record;
begin
    for v_new in
        with wanted as (
            select distinct m.person_id, x.email, s.id as profile_id, s.code from private.import_pairs(p_rows) q
            join public.people x on lower(x.email) = q.email
            join public.members m on m.account_id = p_account_id and m.person_id = x.id and m.role = 'manager'
            join public.profiles s on s.account_id = p_account_id and lower(s.code) = q.code and s.archived_at is null
            order by m.person_id, s.id),
        added as (
            insert into public.profile_members (account_id, profile_id, person_id)
            select p_account_id, w.profile_id, w.person_id from wanted w on conflict do nothing
            returning profile_id, person_id)
        select w.email, jsonb_agg(w.code order by w.code) as codes from added a
        join wanted w using (profile_id, person_id) group by w.email
    loop
        perform private.audit(p_account_id, 'stores_assigned', v_new.email, null, null, null,
                              jsonb_build_object('stores', v_new.codes));
    end loop;
end $$;

-- Before the stores' own rows: to set a quota locks the counter first, then the store.
create function private.import_limits(p_account_id uuid, p_rows jsonb) returns void
language plpgsql set search_path = '' as $$
declare
    v_limit record;
begin
    for v_limit in select l.profile_id, l.usd::numeric as usd, l.reason from private.import_quotas(p_account_id, p_rows) l
                   where l.before <> l.usd::numeric order by l.profile_id loop
        perform private.set_quota(p_account_id, v_limit.profile_id, v_limit.usd, v_limit.reason);
    end loop;
end $$;

create function private.import_changed_stores(p_account_id uuid, p_rows jsonb) returns void
language plpgsql set search_path = '' as $$
declare
    v_change record;
    v_store  public.profiles;
begin
    for v_change in select s.profile_id, s.after from private.import_stores(p_account_id, p_rows) s
                    where s.before <> s.after order by s.profile_id loop
        select * into v_store from public.profiles p where p.id = v_change.profile_id for no key update;
        perform private.update_store(v_store, v_change.after);
    end loop;
end $$;

-- For people ----------------------------------------------------------------------------------------------------------

create function public.create_store(p_account_id uuid, p_store jsonb) returns uuid
language sql set search_path = '' as $$ select private.create_store(p_account_id, p_store) $$;
create function public.save_store(p_profile_id uuid, p_store jsonb, p_version integer) returns integer
language sql set search_path = '' as $$ select private.save_store(p_profile_id, p_store, p_version) $$;
create function public.suspend_store(p_profile_id uuid, p_suspended boolean, p_reason text) returns void
language sql set search_path = '' as $$ select private.suspend_store(p_profile_id, p_suspended, p_reason) $$;
create function public.store_work(p_profile_id uuid) returns jsonb
language sql stable set search_path = '' as $$ select private.store_work(p_profile_id) $$;
create function public.archive_store(p_profile_id uuid, p_reason text) returns void
language sql set search_path = '' as $$ select private.archive_store(p_profile_id, p_reason) $$;
create function public.restore_store(p_profile_id uuid, p_reason text) returns void
language sql set search_path = '' as $$ select private.restore_store(p_profile_id, p_reason) $$;
create function public.copy_preview(p_profile_id uuid, p_target_ids uuid[], p_parts text[]) returns jsonb
language sql stable set search_path = '' as $$ select private.copy_preview(p_profile_id, p_target_ids, p_parts) $$;
create function public.copy_settings(
    p_profile_id uuid, p_target_ids uuid[], p_parts text[], p_reason text, p_mark text
) returns integer language sql set search_path = '' as
    $$ select private.copy_settings(p_profile_id, p_target_ids, p_parts, p_reason, p_mark) $$;
create function public.save_company(p_account_id uuid, p_company jsonb, p_version integer) returns integer
language sql set search_path = '' as $$ select private.save_company(p_account_id, p_company, p_version) $$;
create function public.set_price_from(
    p_account_id uuid, p_provider text, p_model text, p_unit_kind text, p_usd numeric, p_per_units integer,
    p_reason text, p_valid_from timestamptz
) returns void language sql set search_path = '' as
    $$ select private.set_price_from(p_account_id, p_provider, p_model, p_unit_kind, p_usd, p_per_units, p_reason,
                                     p_valid_from) $$;
create function public.check_import(p_account_id uuid, p_rows jsonb) returns jsonb
language sql stable set search_path = '' as $$ select private.check_import(p_account_id, p_rows) $$;
create function public.import_rows(p_account_id uuid, p_rows jsonb) returns jsonb
language sql set search_path = '' as $$ select private.import_rows(p_account_id, p_rows) $$;

grant execute on function
    public.create_store(uuid, jsonb), private.create_store(uuid, jsonb),
    public.save_store(uuid, jsonb, integer), private.save_store(uuid, jsonb, integer),
    public.suspend_store(uuid, boolean, text), private.suspend_store(uuid, boolean, text),
    public.store_work(uuid), private.store_work(uuid),
    public.archive_store(uuid, text), private.archive_store(uuid, text),
    public.restore_store(uuid, text), private.restore_store(uuid, text),
    public.copy_preview(uuid, uuid[], text[]), private.copy_preview(uuid, uuid[], text[]),
    public.copy_settings(uuid, uuid[], text[], text, text), private.copy_settings(uuid, uuid[], text[], text, text),
    public.save_company(uuid, jsonb, integer), private.save_company(uuid, jsonb, integer),
    public.set_price_from(uuid, text, text, text, numeric, integer, text, timestamptz),
    private.set_price_from(uuid, text, text, text, numeric, integer, text, timestamptz),
    public.check_import(uuid, jsonb), private.check_import(uuid, jsonb),
    public.import_rows(uuid, jsonb), private.import_rows(uuid, jsonb)
    to authenticated;
