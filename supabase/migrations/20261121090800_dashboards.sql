-- What the pages read: one function a page. Reading costs the same however long the ledger grows: sums only.
-- In plpgsql with generic plans: functions in SQL are planned at each call, which took a third of a dashboard's time.

-- First UTC day of a range and the width of its bars. 7d = today and the six days before. 'all': bars are months.
create function private.range_start(p_range text, out from_day date, out bucket text)
language plpgsql stable set search_path = '' as $$
declare
    v_today date := (private.utc_now() at time zone 'UTC')::date;
begin
    bucket := case when p_range = 'all' then 'month' else 'day' end;
    from_day := case p_range when '7d' then v_today - 6 when '30d' then v_today - 29 when '90d' then v_today - 89
                             when 'all' then date '2000-01-01' end;
    if from_day is null then
        perform private.fail('PT400', 'The range must be 7d, 30d, 90d or all.', '{"field": "range"}');
    end if;
end $$;

-- By way of timestamp: a date itself would first become midnight in the session's own zone.
create function private.utc_start(p_day date) returns timestamptz language sql immutable set search_path = '' as
    $$ select p_day::timestamp at time zone 'UTC' $$;

-- Spend by bar and service, and what was made by bar and kind, of some stores.
create function private.spend_series(p_profile_ids uuid[], p_from date, p_bucket text) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    return (
        select coalesce(jsonb_agg(jsonb_build_object('day', s.day, 'service', s.service, 'usd', s.usd::text)
                                  order by s.day, s.service), '[]')
        from (select date_trunc(p_bucket, d.day::timestamp)::date as day, d.service,
                     sum(d.total_cost_usd + d.other_cost_usd) as usd
              from public.cost_daily d where d.profile_id = any (p_profile_ids) and d.day >= p_from
              group by 1, 2) s);
end $$;

create function private.activity_series(p_profile_ids uuid[], p_from date, p_bucket text) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    v_from timestamptz := private.utc_start(p_from);
begin
    return (
        with made as (
            select 'speech' as kind, a.created_at from public.speech_assets a
            where a.profile_id = any (p_profile_ids) and a.created_at >= v_from and a.deleted_at is null
            union all
            select 'clips', c.created_at from public.clips c
            where c.profile_id = any (p_profile_ids) and c.created_at >= v_from and c.deleted_at is null
            union all
            select 'projects', r.created_at from public.projects r
            where r.profile_id = any (p_profile_ids) and r.created_at >= v_from and r.deleted_at is null)
        select coalesce(jsonb_agg(jsonb_build_object('day', m.day, 'kind', m.kind, 'count', m.n)
                                  order by m.day, m.kind), '[]')
        from (select date_trunc(p_bucket, x.created_at at time zone 'UTC')::date as day, x.kind, count(*) as n
              from made x group by 1, 2) m);
end $$;

create function private.work_counts(p_profile_ids uuid[], p_from date) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    v_from timestamptz := private.utc_start(p_from);
begin
    return (
        select jsonb_build_object(
            'projects_count', (select count(*) from public.projects r where r.profile_id = any (p_profile_ids)
                               and r.created_at >= v_from and r.deleted_at is null),
            'clips_count', count(*),
            'rendered_count', count(*) filter (where c.final_status = 'completed'),
            'speech_count', (select count(*) from public.speech_assets a where a.profile_id = any (p_profile_ids)
                             and a.created_at >= v_from and a.deleted_at is null))
        from public.clips c
        where c.profile_id = any (p_profile_ids) and c.created_at >= v_from and c.deleted_at is null);
end $$;

-- Totals by service of what spend_series returned.
create function private.cost_totals(p_spend jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    return (
        with services as (
            select b.service, sum(b.usd) as usd
            from jsonb_to_recordset(p_spend) as b(service text, usd numeric) group by b.service)
        select jsonb_build_object(
            'elevenlabs', coalesce(sum(s.usd) filter (where s.service = 'elevenlabs'), 0)::text,
            'gemini', coalesce(sum(s.usd) filter (where s.service = 'gemini'), 0)::text,
            'total', coalesce(sum(s.usd), 0)::text,
            'by_service', coalesce(jsonb_object_agg(s.service, s.usd::text) filter (where s.service is not null), '{}'))
        from services s);
end $$;

create function private.profile_dashboard(p_profile_id uuid, p_range text) returns jsonb
language plpgsql stable security definer set search_path = ''
set plan_cache_mode = force_generic_plan as $$
declare
    v_store  public.profiles;
    v_from   date;
    v_bucket text;
    v_quota  jsonb;
    v_spend  jsonb;
begin
    select r.from_day, r.bucket into v_from, v_bucket from private.range_start(p_range) r;
    select * into v_store from public.profiles p
    where p.id = p_profile_id and p.id in (select private.my_profile_ids());
    if not found then
        perform private.fail('PT404', 'Store not found.');
    end if;
    v_quota := private.quota_state(v_store.account_id, p_profile_id);
    v_spend := private.spend_series(array[p_profile_id], v_from, v_bucket);
    return jsonb_build_object(
        'profile_id', p_profile_id, 'time_range', p_range, 'bucket', v_bucket, 'from_day', v_from,
        'as_of', private.utc_now(),
        'stats', private.work_counts(array[p_profile_id], v_from),
        'costs', private.cost_totals(v_spend) || jsonb_build_object(
            'monthly', v_quota -> 'settled',
            'monthly_quota', coalesce(v_quota ->> 'limit', '0'),
            'quota_remaining', case when v_quota ->> 'limit' is not null then
                greatest((v_quota ->> 'limit')::numeric - (v_quota ->> 'settled')::numeric, 0)::text end),
        'quota', v_quota,
        'spend', v_spend,
        'activity', private.activity_series(array[p_profile_id], v_from, v_bucket),
        'recent_clips', (
            select coalesce(jsonb_agg(to_jsonb(c) order by c.created_at desc), '[]')
            from (select c.id, c.name, c.created_at, c.final_status, c.thumbnail_path from public.clips c
                  where c.profile_id = p_profile_id and c.deleted_at is null
                  order by c.created_at desc limit 10) c));
end $$;

-- All stores of a company that the person sees, worst first: used up, then near the limit, then with failed jobs.
-- What archived stores made and spent stays in the sums, so that they agree with the company's quota.
create function private.account_dashboard(p_account_id uuid, p_range text) returns jsonb
language plpgsql stable security definer set search_path = ''
set plan_cache_mode = force_generic_plan as $$
declare
    v_ids    uuid[];
    v_from   date;
    v_bucket text;
    v_spend  jsonb;
begin
    select r.from_day, r.bucket into v_from, v_bucket from private.range_start(p_range) r;
    if p_account_id not in (select private.my_account_ids()) then
        perform private.fail('PT404', 'Company not found.');
    end if;
    select coalesce(array_agg(p.id), '{}') into v_ids from public.profiles p
    where p.account_id = p_account_id and p.id in (select private.my_profile_ids());
    v_spend := private.spend_series(v_ids, v_from, v_bucket);
    return jsonb_build_object(
        'time_range', p_range, 'bucket', v_bucket, 'from_day', v_from, 'as_of', private.utc_now(),
        'stats', private.work_counts(v_ids, v_from),
        'costs', private.cost_totals(v_spend) || jsonb_build_object('monthly', (
            select coalesce(sum(m.total_cost_usd), 0)::text from public.profile_monthly_costs m
            where m.profile_id = any (v_ids) and m.month = private.month_of(private.utc_now()))),
        'quota', case when p_account_id in (select private.my_account_ids('{admin,finance}'))
                      then private.quota_state(p_account_id, null) end,
        'spend', v_spend,
        'activity', private.activity_series(v_ids, v_from, v_bucket),
        'stores', private.store_rows(p_account_id, v_ids, v_from));
end $$;

create function private.store_rows(p_account_id uuid, p_profile_ids uuid[], p_from date) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(s) order by s.used_share desc nulls last, s.failed_jobs desc, s.code), '[]')
    from (
        select p.id, p.code, p.name, p.city, p.timezone, p.suspended_at is not null as suspended, q.state as quota,
               ((q.state ->> 'settled')::numeric + (q.state ->> 'held')::numeric) / (q.state ->> 'limit')::numeric
                   as used_share,
               coalesce((select sum(d.total_cost_usd + d.other_cost_usd) from public.cost_daily d
                         where d.profile_id = p.id and d.day >= p_from), 0)::text as spent,
               (select count(*) from public.jobs j where j.profile_id = p.id and j.status = 'failed'
                and j.created_at >= private.utc_start(p_from)) as failed_jobs,
               (select max(a.created_at) from public.speech_assets a where a.profile_id = p.id) as last_speech_at
        from public.profiles p
        cross join lateral (select private.quota_state(p_account_id, p.id) as state) q
        where p.id = any (p_profile_ids) and p.archived_at is null) s
$$;

-- The stores the switcher offers, with this month's quota, and whether the person may make speech there.
create function private.my_stores(p_account_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_agg(jsonb_build_object(
        'id', p.id, 'account_id', p.account_id, 'slug', p.slug, 'code', p.code, 'name', p.name, 'city', p.city,
        'timezone', p.timezone, 'suspended_reason', p.suspended_reason, 'suspended', p.suspended_at is not null,
        'allow_free_voices_over_quota', p.allow_free_voices_over_quota, 'tts_settings', p.tts_settings,
        'quota', private.quota_state(p.account_id, p.id)) order by p.code), '[]')
    from public.profiles p
    where p.account_id = p_account_id and p.archived_at is null and p.id in (select private.my_profile_ids())
$$;

-- First steps of a new company, each ticked by a fact: {spoke, quota, managers}.
create function private.checklist(p_account_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'spoke', exists (select from public.speech_assets a where a.account_id = p_account_id),
        'quota', exists (select from public.quota_changes q where q.account_id = p_account_id),
        'manager', exists (select from public.members m where m.account_id = p_account_id and m.role = 'manager'))
    where p_account_id in (select private.my_account_ids('{admin}'))
$$;

-- Spend of all time and of today (UTC), of one store or (null) of all that the person sees in the company.
create function private.cost_summary(p_account_id uuid, p_profile_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
    if p_account_id not in (select private.my_account_ids())
        or p_profile_id is not null and p_profile_id not in (select private.my_profile_ids()) then
        perform private.fail('PT404', 'Store or company not found.');
    end if;
    return (
        select jsonb_build_object(
            'as_of', private.utc_now(),
            'all_time', coalesce(sum(d.total_cost_usd + d.other_cost_usd), 0)::text,
            'today', coalesce(sum(d.total_cost_usd + d.other_cost_usd)
                              filter (where d.day = (private.utc_now() at time zone 'UTC')::date), 0)::text)
        from public.cost_daily d
        where d.account_id = p_account_id and (p_profile_id is null or d.profile_id = p_profile_id)
          and d.profile_id in (select private.my_profile_ids()));
end $$;

-- A store's limit this month: {limit, settled, held, left, exceeded}.
create function private.check_quota(p_profile_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_account uuid;
begin
    select p.account_id into v_account from public.profiles p
    where p.id = p_profile_id and p.id in (select private.my_profile_ids());
    if not found then
        perform private.fail('PT404', 'Store not found.');
    end if;
    return private.quota_state(v_account, p_profile_id);
end $$;

create function public.cost_summary(p_account_id uuid, p_profile_id uuid default null) returns jsonb
language sql stable set search_path = '' as $$ select private.cost_summary(p_account_id, p_profile_id) $$;
create function public.check_quota(p_profile_id uuid) returns jsonb
language sql stable set search_path = '' as $$ select private.check_quota(p_profile_id) $$;
create function public.profile_dashboard(p_profile_id uuid, p_range text default '30d') returns jsonb
language sql stable set search_path = '' as $$ select private.profile_dashboard(p_profile_id, p_range) $$;
create function public.account_dashboard(p_account_id uuid, p_range text default '30d') returns jsonb
language sql stable set search_path = '' as $$ select private.account_dashboard(p_account_id, p_range) $$;
create function public.my_stores(p_account_id uuid) returns jsonb
language sql stable set search_path = '' as $$ select private.my_stores(p_account_id) $$;
create function public.checklist(p_account_id uuid) returns jsonb
language sql stable set search_path = '' as $$ select private.checklist(p_account_id) $$;

grant execute on function public.profile_dashboard(uuid, text), private.profile_dashboard(uuid, text),
    public.account_dashboard(uuid, text), private.account_dashboard(uuid, text),
    public.cost_summary(uuid, uuid), private.cost_summary(uuid, uuid),
    public.check_quota(uuid), private.check_quota(uuid), public.my_stores(uuid), private.my_stores(uuid), public.checklist(uuid), private.checklist(uuid) to authenticated;
