-- Who changes members, channels or what new stores start with says why. And repairs: erasing a demo whose people worked
-- elsewhere, resets for people who were let go, lost calls beyond the first hundred, passages that an order says twice.

-- A reason as the log keeps it. One that is not p_needed may be left out.
create function private.given_reason(p_reason text, p_needed boolean default true) returns text
language plpgsql set search_path = '' as $$
declare
    v_reason text := private.one_line(p_reason);
begin
    if p_needed or v_reason is not null then
        perform private.need_reason(v_reason);
    end if;
    return v_reason;
end $$;

-- Members --------------------------------------------------------------------------------------------------------------

drop function public.set_member(uuid, uuid, text, uuid[], integer);
drop function private.set_member(uuid, uuid, text, uuid[], integer);
drop function public.deactivate_member(uuid, uuid, integer);
drop function private.deactivate_member(uuid, uuid, integer);
drop function public.reactivate_member(uuid, uuid, integer);
drop function private.reactivate_member(uuid, uuid, integer);
drop function public.remove_member(uuid, uuid, integer);
drop function private.remove_member(uuid, uuid, integer);

-- Give somebody a role and, as a manager, stores. Nobody's own role: another admin's signature is needed for that.
create function private.set_member(
    p_account_id uuid, p_person_id uuid, p_role text, p_profile_ids uuid[], p_version integer, p_reason text
) returns void language plpgsql security definer set search_path = '' as $$
declare
    v_member public.members := private.find_member(p_account_id, p_person_id, p_version);
    v_before jsonb := private.member_facts(p_account_id, p_person_id);
begin
    if p_person_id = auth.uid() then
        perform private.fail('PT403', 'Nobody changes their own role. Another admin of the company can.');
    end if;
    perform private.check_place(p_account_id, p_role, p_profile_ids);
    perform private.write_member(p_account_id, p_person_id, p_role, p_profile_ids);
    perform private.audit(p_account_id, 'person_changed', private.email_of(p_person_id), null,
                          private.given_reason(p_reason), v_before, private.member_facts(p_account_id, p_person_id));
end $$;

create function private.deactivate_member(p_account_id uuid, p_person_id uuid, p_version integer, p_reason text)
returns void language plpgsql security definer set search_path = '' as $$
declare
    v_member public.members := private.find_member(p_account_id, p_person_id, p_version);
begin
    update public.members m set deactivated_at = coalesce(m.deactivated_at, private.utc_now())
    where m.account_id = p_account_id and m.person_id = p_person_id;
    perform private.keep_an_admin(p_account_id);
    perform private.end_sessions_of(p_person_id);
    perform private.audit(p_account_id, 'person_deactivated', private.email_of(p_person_id), null,
                          private.given_reason(p_reason),
                          jsonb_build_object('active', v_member.deactivated_at is null), '{"active": false}');
end $$;

create function private.reactivate_member(p_account_id uuid, p_person_id uuid, p_version integer, p_reason text)
returns void language plpgsql security definer set search_path = '' as $$
declare
    v_member public.members := private.find_member(p_account_id, p_person_id, p_version);
begin
    if exists (select from public.people p where p.id = p_person_id and p.deactivated_at is not null) then
        perform private.fail('PT409', 'Whoever runs this installation has stopped this person in all companies.');
    end if;
    update public.members m set deactivated_at = null where m.account_id = p_account_id and m.person_id = p_person_id;
    perform private.audit(p_account_id, 'person_reactivated', private.email_of(p_person_id), null,
                          private.given_reason(p_reason),
                          jsonb_build_object('active', v_member.deactivated_at is null), '{"active": true}');
end $$;

-- Let somebody go, or withdraw an invitation that was not followed yet.
create function private.remove_member(p_account_id uuid, p_person_id uuid, p_version integer, p_reason text)
returns void language plpgsql security definer set search_path = '' as $$
declare
    v_member public.members := private.find_member(p_account_id, p_person_id, p_version);
    v_before jsonb := private.member_facts(p_account_id, p_person_id);
    v_action text := case when private.awaits_link(p_person_id) then 'invitation_withdrawn' else 'person_removed' end;
begin
    delete from public.profile_members pm where pm.account_id = p_account_id and pm.person_id = p_person_id;
    delete from public.members m where m.account_id = p_account_id and m.person_id = p_person_id;
    insert into private.former_members (account_id, person_id) values (p_account_id, p_person_id) on conflict do nothing;
    perform private.keep_an_admin(p_account_id);
    perform private.withdraw_links(p_person_id, p_account_id);
    perform private.end_sessions_of(p_person_id);
    perform private.audit(p_account_id, v_action, private.email_of(p_person_id), null, private.given_reason(p_reason),
                          v_before);
end $$;

-- Letting somebody in: `reason` of p_person may be left out ---------------------------------------------------------------

-- An admin lets somebody in: {name, email, role, profile_ids, reason, person_id, token_hash}. Where passwords are kept
-- here, a token_hash is that of a link to hand over, without which one can be made later; elsewhere the sign-in service
-- mails. Who can sign in already, for another company or from an earlier time here, needs neither. Returns {person_id:
-- null while it is mailed, link: whether the token_hash is kept, expires_at, job_id}.
create or replace function private.add_or_invite(p_account_id uuid, p_person jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_role   text := p_person ->> 'role';
    v_stores uuid[] := array(select x::uuid from jsonb_array_elements_text(coalesce(p_person -> 'profile_ids', '[]')) x);
    v_reason text;
    v_person uuid;
begin
    perform private.lock_people(p_account_id);
    perform private.refuse_demo(p_account_id);
    perform private.check_place(p_account_id, v_role, v_stores);
    v_reason := private.given_reason(p_person ->> 'reason', false);
    v_person := (select p.id from public.people p where lower(p.email) = lower(btrim(p_person ->> 'email')));
    if exists (select from public.members m where m.account_id = p_account_id and m.person_id = v_person) then
        perform private.fail('PT409', 'A person with this e-mail address already exists.', '{"field": "email"}');
    elsif v_person is null and not private.keeps_passwords() then
        return private.mail_invitation(p_account_id, p_person);
    end if;
    v_person := coalesce(v_person, private.new_person(p_person));
    perform private.withdraw_links(v_person);  -- what another company's admin may hold must not open this one
    perform private.write_member(p_account_id, v_person, v_role, v_stores);
    perform private.audit(p_account_id, 'person_added', private.email_of(v_person), null, v_reason, null,
                          private.member_facts(p_account_id, v_person));
    return private.open_door(p_account_id, v_person, p_person ->> 'token_hash');
end $$;

-- The sign-in service does not know the person yet: the worker has it mail an invitation, then lets them in.
create or replace function private.mail_invitation(p_account_id uuid, p_person jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_job public.jobs;
begin
    if exists (select from public.jobs j
               where j.kind = 'invite' and j.account_id = p_account_id and j.status in ('pending', 'running')
                 and lower(j.input ->> 'email') = lower(btrim(p_person ->> 'email'))) then
        perform private.fail('PT409', 'An invitation to this address is under way.', '{"field": "email"}');
    end if;
    v_job.id := gen_random_uuid();
    v_job.account_id := p_account_id;
    v_job.kind := 'invite';
    v_job.created_by := auth.uid();
    v_job.input := jsonb_build_object('name', btrim(p_person ->> 'name'), 'email', btrim(p_person ->> 'email'),
                                      'role', p_person ->> 'role', 'reason', private.one_line(p_person ->> 'reason'),
                                      'profile_ids', coalesce(p_person -> 'profile_ids', '[]'));
    perform private.insert_job(v_job);
    return jsonb_build_object('person_id', null, 'link', false, 'job_id', v_job.id);
end $$;

-- The invited person exists at the sign-in service: let them in, and end the job.
create or replace function private.save_invited(p_job_id uuid, p_attempt_token uuid, p_person_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_job     public.jobs := private.my_attempt(p_job_id, p_attempt_token);
    v_email   text := btrim(v_job.input ->> 'email');
    v_account uuid := v_job.account_id;
begin
    perform from public.accounts a where a.id = v_account for no key update;
    insert into public.people (id, email, name) values (p_person_id, v_email, btrim(v_job.input ->> 'name'))
    on conflict (id) do nothing;
    if not exists (select from public.members m
                   where m.account_id = v_account and m.person_id = p_person_id) then
        perform private.write_member(
            v_account, p_person_id, v_job.input ->> 'role',
            array(select x::uuid from jsonb_array_elements_text(v_job.input -> 'profile_ids') x));
        if not exists (select from private.sign_ins s where s.person_id = p_person_id) then
            perform private.note_invited(v_account, p_person_id, v_job.created_by, interval '1 hour');
        end if;
        perform private.audit(v_account, 'person_added', v_email, null, v_job.input ->> 'reason', null,
                              private.member_facts(v_account, p_person_id), v_job.created_by);
    end if;
    perform private.complete_job(p_job_id, p_attempt_token, jsonb_build_object('email', v_email));
end $$;

-- The company: another limit for new stores needs a reason -----------------------------------------------------------------

drop function public.save_company(uuid, jsonb, integer);
drop function private.save_company(uuid, jsonb, integer);
-- {name, timezone, new_store_quota_usd}: keys that are not given stay. Returns the version afterwards.
create function private.save_company(p_account_id uuid, p_company jsonb, p_version integer, p_reason text)
returns integer language plpgsql security definer set search_path = '' as $$
declare
    v_old    public.accounts;
    v_before jsonb;
    v_after  jsonb;
    v_limits boolean;
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
    v_limits := v_after -> 'new_store_quota_usd' <> v_before -> 'new_store_quota_usd';
    update public.accounts a
    set name = v_after ->> 'name', timezone = v_after ->> 'timezone',
        new_store_quota_usd = (v_after ->> 'new_store_quota_usd')::numeric, version = a.version + 1
    where a.id = p_account_id;
    perform private.audit(p_account_id, 'company_changed', v_after ->> 'name', null,
                          private.given_reason(p_reason, v_limits),
                          private.differing(v_before, v_after), private.differing(v_after, v_before));
    return v_old.version + 1;
end $$;

-- Channels -------------------------------------------------------------------------------------------------------------

drop function public.pin_channels(uuid, uuid, text[], text[]);
drop function private.pin_channels(uuid, uuid, text[], text[]);

-- What the account's last test found, locked; refused where the admin's choice does not fit to what is there by now.
create function private.channels_to_pin(
    p_store public.profiles, p_credential_id uuid, p_channels text[], p_seen text[]
) returns jsonb language plpgsql set search_path = '' as $$
declare
    v_found jsonb;
    v_taken text;
begin
    select coalesce(c.facts -> 'channels', '[]') into v_found from public.profile_credentials c
    where c.id = p_credential_id and c.account_id = p_store.account_id and c.provider = 'postiz'
      and (c.profile_id is null or c.profile_id = p_store.id) for no key update;
    if not found then
        perform private.fail('PT404', 'Account not found.');
    elsif array(select x.channel from public.profile_channels x where x.profile_id = p_store.id order by 1)
        is distinct from array(select x from unnest(p_seen) x order by 1) then
        perform private.fail('PT409', 'Somebody pinned other channels meanwhile. Look at them, then choose again.');
    elsif exists (select from unnest(p_channels) x
                  where x not in (select f ->> 'id' from jsonb_array_elements(v_found) f)) then
        perform private.fail('PT409', 'The account does not show this channel any more. Test it, then choose again.');
    end if;
    select x.name || ' is pinned to ' || s.name into v_taken
    from public.profile_channels x join public.profiles s on s.id = x.profile_id
    where x.credential_id = p_credential_id and x.channel = any (p_channels) and x.profile_id <> p_store.id limit 1;
    if found then
        perform private.fail('PT409', v_taken || '. Take it from there first.');
    end if;
    return v_found;
end $$;

create function private.pinned_names(p_profile_id uuid) returns jsonb language sql stable set search_path = '' as $$
    select jsonb_build_object('channels', jsonb_agg(x.name order by x.name))
    from public.profile_channels x where x.profile_id = p_profile_id
$$;

-- An admin pins these channels of the account, and no others, to the store; p_seen are those that were pinned when the
-- admin decided. They are taken as the account's last test found them: names that nobody has seen are never pinned.
create function private.pin_channels(
    p_profile_id uuid, p_credential_id uuid, p_channels text[], p_seen text[], p_reason text
) returns void language plpgsql security definer set search_path = '' as $$
declare
    v_store  public.profiles := private.my_work_profile(p_profile_id);
    v_before jsonb := private.pinned_names(p_profile_id);
    v_found  jsonb;
begin
    if v_store.account_id not in (select private.my_account_ids('{admin}')) then
        perform private.fail('PT403', 'Only an admin pins channels.');
    end if;
    v_found := private.channels_to_pin(v_store, p_credential_id, p_channels, p_seen);
    delete from public.profile_channels x
    where x.profile_id = p_profile_id and not (x.credential_id = p_credential_id and x.channel = any (p_channels));
    insert into public.profile_channels as x
        (account_id, profile_id, credential_id, channel, name, identifier, handle, picture, pinned_by)
    select v_store.account_id, p_profile_id, p_credential_id, f ->> 'id', f ->> 'name', f ->> 'identifier',
           f ->> 'profile', f ->> 'picture', auth.uid()
    from jsonb_array_elements(v_found) f where f ->> 'id' = any (p_channels)
    on conflict (credential_id, channel) do update
    set name = excluded.name, handle = excluded.handle, picture = excluded.picture;
    perform private.audit(v_store.account_id, 'channels_pinned', null, p_profile_id, private.given_reason(p_reason),
                          v_before, private.pinned_names(p_profile_id));
end $$;

-- The demo -------------------------------------------------------------------------------------------------------------

-- Load rows of the demo company as given: {table: [rows]}. Nothing happens when it is there already. Its people may be
-- known from an earlier time, to companies that had added them.
create or replace function private.load_demo(p_account_id uuid, p_rows jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_table text;
    v_month date;
begin
    perform private.check_demo_rows(p_account_id, p_rows);
    perform pg_advisory_xact_lock(hashtextextended('load demo', 1));
    if exists (select from public.accounts a where a.is_demo) then
        return;
    end if;
    insert into public.people select * from jsonb_populate_recordset(null::public.people, p_rows -> 'people')
    on conflict (id) do nothing;
    foreach v_table in array array['accounts', 'members', 'profiles', 'profile_members', 'prices', 'projects',
        'clips', 'jobs', 'speech_assets', 'cost_entries', 'cost_entry_details', 'quota_changes', 'audit_log'] loop
        execute format('insert into public.%1$I overriding user value '
                       'select * from jsonb_populate_recordset(null::public.%1$I, $1)', v_table)
        using coalesce(p_rows -> v_table, '[]');
    end loop;
    insert into private.ledger_counters (account_id, last_seq)
    select p_account_id, coalesce(max(e.seq), 0) from public.cost_entries e where e.account_id = p_account_id;
    for v_month in select distinct private.month_of(e.occurred_at) from public.cost_entries e
                   where e.account_id = p_account_id loop
        perform private.rebuild_cost_rollups(p_account_id, v_month);
    end loop;
end $$;

-- Erase the demo company with everything it had; its own admin only. Files go with the next sweep. The holds go first:
-- without one nothing is booked any more, and what is being booked ends before. Whoever worked for another company, too,
-- stays known to it.
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
    foreach v_table in array array['purchases', 'cost_holds', 'cost_entry_details', 'cost_entries', 'cost_daily',
        'profile_monthly_costs', 'quota_counters', 'quota_changes', 'quota_grants', 'prices', 'speech_assets',
        'voices', 'voice_services', 'voice_rates', 'model_pauses', 'pronunciations', 'jobs',
        'clips', 'projects', 'audit_log', 'profile_members', 'profiles', 'members'] loop
        execute format('delete from public.%I where account_id = $1', v_table) using p_account_id;
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

-- A forgotten password --------------------------------------------------------------------------------------------------

-- Somebody has forgotten the password of this address. One mail in ten minutes, none to whom every company has let go:
-- they could not sign in. Whether the address is known is not told.
create or replace function private.request_reset(p_email text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_job    public.jobs;
    v_email  text := lower(btrim(p_email));
    v_person public.people;
begin
    perform pg_advisory_xact_lock(hashtextextended('reset ' || v_email, 1));
    select * into v_person from public.people p where lower(p.email) = v_email and p.deactivated_at is null;
    if not found or private.is_let_go(v_person.id)
        or exists (select from public.jobs j
                   where j.kind = 'password_reset' and j.input ->> 'person_id' = v_person.id::text
                     and j.created_at > private.utc_now() - interval '10 minutes') then
        return;
    end if;
    v_job.id := gen_random_uuid();
    v_job.kind := 'password_reset';
    v_job.input := jsonb_build_object('person_id', v_person.id, 'email', v_person.email);
    perform private.insert_job(v_job);
    perform private.audit(m.account_id, 'password_reset_requested', v_person.email, p_person_id => v_person.id)
    from public.members m where m.person_id = v_person.id and m.deactivated_at is null;
end $$;

-- Lost calls -----------------------------------------------------------------------------------------------------------

drop function public.lost_purchases(numeric);
drop function private.lost_purchases(numeric);
-- Calls whose answer never came and that no attempt looks after any more, then those of the last day whose absence was
-- proven: a vendor may be late. Each kind oldest first, 100 at a time, behind the key of the last one seen: whether it is
-- one of the latter, its created_at and its id.
create function private.lost_purchases(
    p_grace_seconds numeric, p_after_absent boolean, p_after_at timestamptz, p_after_id uuid
) returns jsonb language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_agg(private.purchase_json(x.purchase) || jsonb_build_object('input', x.input)
                              order by x.absent, x.created_at, x.id), '[]')
    from (
        select p as purchase, j.input, p.state = 'refused' as absent, p.created_at, p.id
        from public.purchases p join public.jobs j on j.id = p.job_id
        where ((p.state = 'sent' and p.deadline + make_interval(secs => p_grace_seconds::double precision)
                                     < private.utc_now()
                and not (j.status = 'pending' or (j.status = 'running' and j.lease_until > private.utc_now())))
               or (p.state = 'refused' and p.absent_at > private.utc_now() - interval '1 day'))
          and (p_after_id is null
               or (p.state = 'refused', p.created_at, p.id) > (p_after_absent, p_after_at, p_after_id))
        order by absent, p.created_at, p.id limit 100) x
$$;

-- What an order would cost ---------------------------------------------------------------------------------------------

-- The passages of an order with their prices. `again`: an earlier one says the same. It is bought there and used here.
create function private.price_order(p_store public.profiles, p_speech jsonb)
returns table (place integer, characters integer, units numeric, cost_usd numeric, part_id uuid, again boolean)
language sql stable set search_path = '' as $$
    select c.*, row_number() over (partition by o.chunks ->> c.place order by c.place) > 1
    from (select private.chunks_of(p_speech) as chunks) o cross join private.price_chunks(p_store, p_speech) c
$$;

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
           coalesce(sum(c.cost_usd) filter (where c.part_id is null and not c.again), 0) as estimate,
           coalesce(sum(c.cost_usd) filter (where c.part_id is not null), 0) as saved
    into v_sum from private.price_order(v_store, p_speech) c;
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

-- Hold the first passage that must be bought; refuse before anything is bought what the month cannot cover as a whole.
-- A passage that begin_purchase would find under way or done is not counted: a call under way has its money held.
create or replace function private.hold_for_job(p_job public.jobs, p_request_id uuid) returns numeric
language plpgsql set search_path = '' as $$
declare
    v_store public.profiles;
    v_first numeric;
    v_whole numeric;
begin
    if p_job.kind <> 'speech' then
        return null;
    end if;
    select * into v_store from public.profiles p where p.id = p_job.profile_id;
    perform private.refuse_closed_store(v_store);
    select (array_agg(c.cost_usd order by c.place))[1], sum(c.cost_usd) into v_first, v_whole
    from private.price_order(v_store, p_job.input) c
    where c.part_id is null and not c.again
      and not exists (select from public.purchases p where p.job_id = p_job.id and p.place = c.place
                      and p.state <> 'refused' and p.again_at is null);
    if v_first is null then
        return null;                                           -- nothing is left to buy
    end if;
    perform private.refuse_paused(p_job.account_id, p_job.input ->> 'provider', p_job.input ->> 'model');
    if v_whole > v_first then
        perform private.refuse_whole(v_store, v_store.id, v_whole);
        perform private.refuse_whole(v_store, null, v_whole);
    end if;
    return private.hold_cost(p_request_id, p_job.profile_id, v_first, p_job.input ->> 'provider', p_job.id,
                             auth.uid());
end $$;

-- Public names and rights ------------------------------------------------------------------------------------------------

create function public.set_member(
    p_account_id uuid, p_person_id uuid, p_role text, p_profile_ids uuid[], p_version integer, p_reason text
) returns void language sql set search_path = '' as
    $$ select private.set_member(p_account_id, p_person_id, p_role, p_profile_ids, p_version, p_reason) $$;
create function public.deactivate_member(p_account_id uuid, p_person_id uuid, p_version integer, p_reason text)
returns void language sql set search_path = '' as
    $$ select private.deactivate_member(p_account_id, p_person_id, p_version, p_reason) $$;
create function public.reactivate_member(p_account_id uuid, p_person_id uuid, p_version integer, p_reason text)
returns void language sql set search_path = '' as
    $$ select private.reactivate_member(p_account_id, p_person_id, p_version, p_reason) $$;
create function public.remove_member(p_account_id uuid, p_person_id uuid, p_version integer, p_reason text)
returns void language sql set search_path = '' as
    $$ select private.remove_member(p_account_id, p_person_id, p_version, p_reason) $$;
create function public.save_company(
    p_account_id uuid, p_company jsonb, p_version integer, p_reason text default null
) returns integer language sql set search_path = '' as
    $$ select private.save_company(p_account_id, p_company, p_version, p_reason) $$;
create function public.pin_channels(
    p_profile_id uuid, p_credential_id uuid, p_channels text[], p_seen text[], p_reason text
) returns void language sql set search_path = '' as
    $$ select private.pin_channels(p_profile_id, p_credential_id, p_channels, p_seen, p_reason) $$;
create function public.lost_purchases(
    p_grace_seconds numeric, p_after_absent boolean default null, p_after_at timestamptz default null,
    p_after_id uuid default null
) returns jsonb language sql stable set search_path = '' as
    $$ select private.lost_purchases(p_grace_seconds, p_after_absent, p_after_at, p_after_id) $$;

grant execute on function
    public.set_member(uuid, uuid, text, uuid[], integer, text),
    private.set_member(uuid, uuid, text, uuid[], integer, text),
    public.deactivate_member(uuid, uuid, integer, text), private.deactivate_member(uuid, uuid, integer, text),
    public.reactivate_member(uuid, uuid, integer, text), private.reactivate_member(uuid, uuid, integer, text),
    public.remove_member(uuid, uuid, integer, text), private.remove_member(uuid, uuid, integer, text),
    public.save_company(uuid, jsonb, integer, text), private.save_company(uuid, jsonb, integer, text),
    public.pin_channels(uuid, uuid, text[], text[], text), private.pin_channels(uuid, uuid, text[], text[], text)
    to authenticated;
grant execute on function public.lost_purchases(numeric, boolean, timestamptz, uuid),
    private.lost_purchases(numeric, boolean, timestamptz, uuid) to service_role;
