-- Tests that tell nothing of a credential, and all that the Voice page shows in one answer.

-- Tests in a row that ended in a trouble of the way or the vendor, and said nothing about the credential.
alter table public.profile_credentials add column passing_tests integer not null default 0 check (passing_tests >= 0);

-- What a test found. p_ok null: a passing trouble, so whether the credential works stays as it was last known; of a new
-- key nothing is known. p_facts null: what was found last is still what it was.
create function private.note_result(
    p_credential_id uuid, p_new_key boolean, p_ok boolean, p_message text, p_facts jsonb
) returns void language sql set search_path = '' as $$
    update public.profile_credentials c
    set tested_at = private.utc_now(), test_message = p_message, facts = coalesce(p_facts, c.facts),
        test_ok = case when p_ok is null and not p_new_key then c.test_ok else p_ok end,
        passing_tests = case when p_ok is not null then 0 when p_new_key then 1 else c.passing_tests + 1 end
    where c.id = p_credential_id
$$;

create or replace function private.note_test(p public.profile_credentials, p_new_key boolean, p_found jsonb)
returns uuid language plpgsql set search_path = '' as $$
declare
    v_passing boolean := coalesce((p_found ->> 'passing')::boolean, false);
begin
    if p_found is not null then
        perform private.note_result(
            p.id, p_new_key, case when not v_passing then (p_found ->> 'ok')::boolean end, p_found ->> 'message',
            case when p_new_key or not v_passing then coalesce(p_found -> 'facts', '{}') end);
    elsif p_new_key then
        update public.profile_credentials c
        set tested_at = null, test_ok = null, test_message = null, facts = '{}', passing_tests = 0
        where c.id = p.id;
        return private.order_test(p);
    end if;
    return null;
end $$;

-- As before, and with p_ok null for a passing trouble.
create or replace function private.save_test_result(
    p_credential_id uuid, p_key_id uuid, p_ok boolean, p_message text, p_facts jsonb
) returns boolean language plpgsql security definer set search_path = '' as $$
begin
    perform from public.profile_credentials c
    where c.id = p_credential_id and c.key_id = p_key_id for no key update;
    if not found then
        return false;
    end if;
    perform private.note_result(
        p_credential_id, false, p_ok, p_message, case when p_ok then coalesce(p_facts, '{}') end);
    return true;
end $$;

-- The Voice page of one store: the services and whose accounts speak, the voices of one service (those of the account that
-- the store uses), prices in force, the dictionary, the latest p_speeches speeches, what reuse saved this month, which models
-- billed too much and for which jobs, and the latest p_jobs jobs that speak, as jobs_desk tells of them. Amounts are text.
-- Row security decides which rows there are. Raises PT404 for somebody else's store.
create function public.voice_desk(
    p_account_id uuid, p_profile_id uuid, p_provider text default null, p_speeches integer default 10,
    p_jobs integer default 10
) returns jsonb language plpgsql stable set search_path = '' as $$
declare
    v_accounts jsonb := public.store_accounts(p_profile_id);
    v_list_of  uuid := case when v_accounts ->> p_provider = 'own' then p_profile_id end;
begin
    return (
        with overrun as materialized (
            select m.* from public.model_pauses m where m.account_id = p_account_id order by m.paused_at desc limit 100)
        select jsonb_build_object(
            'accounts', v_accounts,
            'services', coalesce((
                select jsonb_agg(to_jsonb(s)) from public.voice_services s
                where coalesce(s.account_id, p_account_id) = p_account_id
                  and coalesce(s.profile_id, p_profile_id) = p_profile_id), '[]'),
            'voices', coalesce((
                select jsonb_agg(to_jsonb(v) || jsonb_build_object('multiplier', v.multiplier::text)
                                 order by v.place, v.voice)
                from (select l.* from public.voices l
                      where l.provider = p_provider and coalesce(l.account_id, p_account_id) = p_account_id
                        and l.profile_id is not distinct from v_list_of
                      order by l.place, l.voice limit 1000) v), '[]'),
            'prices', coalesce((
                select jsonb_agg(jsonb_build_object(
                    'provider', b.provider, 'model', b.model, 'unit_kind', b.unit_kind, 'usd', b.usd::text,
                    'per_units', b.per_units, 'valid_from', b.valid_from))
                from (select distinct on (p.provider, p.model, p.unit_kind) p.* from public.prices p
                      where p.account_id = p_account_id and p.valid_from <= private.utc_now()
                      order by p.provider, p.model, p.unit_kind, p.valid_from desc) b), '[]'),
            'words', coalesce((
                select jsonb_agg(jsonb_build_object('profile_id', w.profile_id, 'term', w.term, 'say', w.say)
                                 order by w.term)
                from public.pronunciations w where w.profile_id = p_profile_id), '[]'),
            'speeches', coalesce((
                select jsonb_agg(to_jsonb(a) || jsonb_build_object('cost_usd', a.cost_usd::text,
                                                                   'saved_usd', a.saved_usd::text)
                                 order by a.created_at desc, a.id desc)
                from (select s.* from public.speech_assets s
                      where s.profile_id = p_profile_id and s.deleted_at is null
                      order by s.created_at desc, s.id desc limit least(p_speeches, 1000)) a), '[]'),
            'saved', public.speech_saved(p_profile_id)::text,
            'overruns', coalesce((
                select jsonb_agg(jsonb_build_object(
                    'id', o.id, 'provider', o.provider, 'model', o.model, 'voice', o.voice, 'characters', o.characters,
                    'expected', o.expected::text, 'billed', o.billed::text, 'paused_at', o.paused_at)
                    order by o.paused_at desc)
                from overrun o), '[]'),
            'overrun_calls', coalesce((
                select jsonb_agg(jsonb_build_object('id', c.id, 'job_id', c.job_id))
                from public.purchases c where c.id in (select o.id from overrun o)), '[]'),
            'jobs', public.jobs_desk(p_account_id, p_profile_id, null, 'speech', null, null, p_jobs)));
end $$;

grant execute on function public.voice_desk(uuid, uuid, text, integer, integer) to authenticated;
