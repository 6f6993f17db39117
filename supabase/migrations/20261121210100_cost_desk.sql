-- What the Costs page reads: sums only, in one question; the entries behind a sum in another, by pages.

-- The stores whose money is asked for; null: the whole company, for admins and finance.
create function private.cost_scope(p_account_id uuid, p_profile_id uuid) returns uuid[]
language plpgsql stable set search_path = '' as $$
begin
    if p_account_id not in (select private.my_account_ids()) then
        perform private.fail('PT404', 'Store or company not found.');
    elsif p_profile_id is not null then
        if not exists (select from public.profiles p where p.id = p_profile_id and p.account_id = p_account_id
                       and p.id in (select private.my_profile_ids())) then
            perform private.fail('PT404', 'Store or company not found.');
        end if;
        return array[p_profile_id];
    elsif p_account_id in (select private.my_account_ids('{admin,finance}')) then
        return null;
    end if;
    return array(select p.id from public.profiles p
                 where p.account_id = p_account_id and p.id in (select private.my_profile_ids()));
end $$;

-- A range of UTC days inside what a ledger can hold, and the months that it touches.
create type private.day_range as (from_day date, to_day date, from_month date, to_month date);

create function private.cost_range(p_from date, p_to date) returns private.day_range
language plpgsql stable set search_path = '' as $$
declare
    v_range private.day_range;
begin
    if (p_from <= p_to) is not true then
        perform private.fail('PT400', 'The range must end on or after the day it begins.', '{"field": "range"}');
    end if;
    v_range.from_day := greatest(least(p_from, date '2199-12-31'), date '2000-01-01');
    v_range.to_day := least(greatest(p_to, date '2000-01-01'), date '2199-12-31');
    v_range.from_month := date_trunc('month', v_range.from_day::timestamp)::date;
    v_range.to_month := date_trunc('month', v_range.to_day::timestamp)::date;
    return v_range;
end $$;

create type private.cost_day as (
    day date, service text, operation text, model text, category text, usd numeric, counted_usd numeric, entries bigint
);

-- Days of some stores, or (null) of the company.
create function private.cost_days(p_account_id uuid, p_profile_ids uuid[], p_from date, p_to date)
returns setof private.cost_day language plpgsql stable set search_path = '' as $$
begin
    if p_profile_ids is null then
        return query
            select d.day, d.service, d.operation, d.model, d.category, d.total_cost_usd + d.other_cost_usd,
                   d.total_cost_usd, d.entries
            from public.company_daily_costs d where d.account_id = p_account_id and d.day between p_from and p_to;
    else
        return query
            select d.day, d.service, d.operation, d.model, d.category, d.total_cost_usd + d.other_cost_usd,
                   d.total_cost_usd, d.entries
            from public.cost_daily d where d.profile_id = any (p_profile_ids) and d.day between p_from and p_to;
    end if;
end $$;

-- Sums of a range, of its months and of the month before, in one pass over the days from p_range's first month's
-- predecessor to its last month's end.
create function private.cost_figures(
    p_account_id uuid, p_profile_ids uuid[], p_range private.day_range, p_grain text, p_today date
) returns jsonb language plpgsql stable set search_path = '' as $$
declare
    v_before date := (p_range.to_month - interval '1 month')::date;
    v_answer jsonb;
begin
    with days as materialized (
        select * from private.cost_days(p_account_id, p_profile_ids, (p_range.from_month - interval '1 month')::date,
                                        (p_range.to_month + interval '1 month')::date - 1)),
    inside as (select * from days d where d.day between p_range.from_day and p_range.to_day),
    cuts as (
        select case when grouping(i.operation) = 0 then 'operation' when grouping(i.category) = 0 then 'category'
                    when grouping(i.model) = 0 then 'model' else 'service' end as cut,
               coalesce(i.operation, i.category, i.model, i.service) as key,
               case when grouping(i.model) = 0 then i.service end as service,
               sum(i.usd) as usd, sum(i.entries) as entries
        from inside i group by grouping sets ((i.service), (i.operation), (i.service, i.model), (i.category))),
    bars as (
        select date_trunc(p_grain, i.day::timestamp)::date as day, i.service, sum(i.usd) as usd
        from inside i group by 1, 2),
    months as (
        select date_trunc('month', d.day::timestamp)::date as month, sum(d.usd) as usd, sum(d.entries) as entries
        from days d group by 1)
    select jsonb_build_object(
        'total', (select coalesce(sum(i.usd), 0)::text from inside i),
        'counted', (select coalesce(sum(i.counted_usd), 0)::text from inside i),
        'entries', (select coalesce(sum(i.entries), 0) from inside i),
        'whole_months', (select coalesce(sum(d.usd), 0)::text from days d where d.day >= p_range.from_month),
        'month', jsonb_build_object(
            'month', p_range.to_month,
            'usd', (select coalesce(sum(m.usd), 0)::text from months m where m.month = p_range.to_month),
            'before', (select coalesce(sum(m.usd), 0)::text from months m where m.month = v_before),
            'before_so_far', (
                select coalesce(sum(d.usd), 0)::text from days d
                where d.day >= v_before and d.day < p_range.to_month
                  and d.day - v_before <= case when p_today < (p_range.to_month + interval '1 month')::date
                                               then p_today - p_range.to_month else 31 end)),
        'months', (select coalesce(jsonb_agg(jsonb_build_object('month', m.month, 'usd', m.usd::text,
                                                                'entries', m.entries) order by m.month), '[]')
                   from months m),
        'trend', (select coalesce(jsonb_agg(jsonb_build_object('day', b.day, 'service', b.service, 'usd', b.usd::text)
                                            order by b.day, b.service), '[]') from bars b),
        'cuts', (select coalesce(jsonb_object_agg(c.cut, c.lines), '{}')
                 from (select x.cut, jsonb_agg(jsonb_build_object('key', x.key, 'service', x.service,
                                                                  'usd', x.usd::text, 'entries', x.entries)
                                               order by x.usd desc, x.key) as lines
                       from cuts x group by x.cut) c))
    into v_answer;
    return v_answer;
end $$;

-- Sums by store: whole months where the range has them, days at its edges. Nothing is booked after today, so a range
-- that reaches it has the whole month.
create function private.cost_by_store(p_account_id uuid, p_profile_ids uuid[], p_range private.day_range, p_today date)
returns jsonb language plpgsql stable set search_path = '' as $$
declare
    v_last  date := case when p_range.to_day >= p_today
                         then (p_range.to_month + interval '1 month')::date - 1 else p_range.to_day end;
    v_first date := p_range.from_month + case when p_range.from_day > p_range.from_month then interval '1 month'
                                              else interval '0' end;
    v_after date := date_trunc('month', (v_last + 1)::timestamp)::date;  -- the first month that is not whole
begin
    if v_first >= v_after then
        v_first := p_range.to_day + 1;                         -- none is whole: days only
        v_after := p_range.to_day + 1;
    end if;
    return (
        select coalesce(jsonb_agg(jsonb_build_object(
            'key', s.profile_id, 'name', p.name, 'code', p.code, 'archived', p.archived_at is not null,
            'usd', s.usd::text, 'entries', s.entries) order by s.usd desc, p.code), '[]')
        from (
            select x.profile_id, sum(x.usd) as usd, sum(x.entries) as entries
            from (
                select m.profile_id, m.total_cost_usd + m.other_cost_usd as usd, m.entries
                from public.profile_monthly_costs m
                where m.account_id = p_account_id and m.month >= v_first and m.month < v_after
                union all
                select d.profile_id, d.total_cost_usd + d.other_cost_usd, d.entries
                from public.profile_daily_costs d
                where d.account_id = p_account_id
                  and (d.day between p_range.from_day and least(v_first - 1, p_range.to_day)
                       or d.day between greatest(v_after, p_range.from_day) and p_range.to_day)) x
            where p_profile_ids is null or x.profile_id = any (p_profile_ids)
            group by x.profile_id) s
        left join public.profiles p on p.id = s.profile_id);
end $$;

-- Sums by person over whole months. Managers see their own only.
create function private.cost_by_person(p_account_id uuid, p_profile_ids uuid[], p_range private.day_range) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    v_all boolean := p_account_id in (select private.my_account_ids('{admin,finance}'));
begin
    return (
        select coalesce(jsonb_agg(jsonb_build_object(
            'key', s.user_id, 'name', coalesce(p.name, case when s.user_id is null then 'System' end),
            'deactivated', p.deactivated_at is not null, 'usd', s.usd::text, 'entries', s.entries)
            order by s.usd desc, p.name), '[]')
        from (
            select u.user_id, sum(u.total_cost_usd) as usd, sum(u.entries) as entries
            from public.user_costs u
            where u.account_id = p_account_id and u.month between p_range.from_month and p_range.to_month
              and (p_profile_ids is null or u.profile_id = any (p_profile_ids))
              and (v_all or u.user_id = auth.uid())
            group by u.user_id) s
        left join public.people p on p.id = s.user_id);
end $$;

-- The 50 dearest projects or clips over whole months, from the hundred dearest of each month (and store, where not the
-- whole company is asked for). The amounts are exact; of one month the choice is, too.
create function private.cost_by_work(p_account_id uuid, p_profile_ids uuid[], p_kind text, p_months date[])
returns jsonb language plpgsql stable set search_path = '' as $$
declare
    v_ids uuid[];
begin
    if p_profile_ids is null then
        select array_agg(distinct w.work_id) into v_ids
        from unnest(p_months) m(month)
        cross join lateral (
            select c.work_id from public.work_costs c
            where c.account_id = p_account_id and c.kind = p_kind and c.month = m.month
            order by c.cost_usd desc limit 100) w;
    else
        select array_agg(distinct w.work_id) into v_ids
        from unnest(p_months) m(month)
        cross join unnest(p_profile_ids) s(id)
        cross join lateral (
            select c.work_id from public.work_costs c
            where c.profile_id = s.id and c.kind = p_kind and c.month = m.month
            order by c.cost_usd desc limit 100) w;
    end if;
    return (
        select coalesce(jsonb_agg(jsonb_build_object(
            'key', s.work_id, 'name', coalesce(c.name, r.name), 'store', p.name,
            'deleted', coalesce(c.deleted_at, r.deleted_at) is not null, 'usd', s.usd::text, 'entries', s.entries)
            order by s.usd desc, s.work_id), '[]')
        from (
            select w.work_id, w.profile_id, sum(w.cost_usd) as usd, sum(w.entries) as entries
            from public.work_costs w
            where w.work_id = any (v_ids) and w.month = any (p_months)
              and (p_profile_ids is null or w.profile_id = any (p_profile_ids))
            group by w.work_id, w.profile_id
            order by usd desc, w.work_id limit 50) s
        left join public.clips c on c.id = s.work_id
        left join public.projects r on r.id = s.work_id
        left join public.profiles p on p.id = s.profile_id);
end $$;

-- This month's limit and what counts towards it, day by day, with half a year before it for the forecast.
create function private.cost_outlook(p_account_id uuid, p_profile_id uuid, p_profile_ids uuid[], p_today date)
returns jsonb language plpgsql stable set search_path = '' as $$
declare
    v_from  date := (date_trunc('month', p_today::timestamp) - interval '6 months')::date;
    v_quota jsonb;
begin
    if p_profile_id is not null or p_profile_ids is null then
        v_quota := private.quota_state(p_account_id, p_profile_id);
    end if;
    return jsonb_build_object('quota', v_quota, 'days', (
        select coalesce(jsonb_agg(jsonb_build_object('day', x.day, 'usd', x.usd::text) order by x.day), '[]')
        from (
            select d.day, sum(d.total_cost_usd) as usd from public.company_daily_costs d
            where p_profile_ids is null and d.account_id = p_account_id and d.day >= v_from group by d.day
            union all
            select d.day, sum(d.total_cost_usd) from public.profile_daily_costs d
            where d.profile_id = any (p_profile_ids) and d.day >= v_from group by d.day) x));
end $$;

create function private.costs_desk(p_account_id uuid, p_profile_id uuid, p_from date, p_to date, p_grain text)
returns jsonb language plpgsql stable security definer set search_path = '' as $$
declare
    v_ids     uuid[] := private.cost_scope(p_account_id, p_profile_id);
    v_today   date := (private.utc_now() at time zone 'UTC')::date;
    v_range   private.day_range := private.cost_range(p_from, p_to);
    v_figures jsonb;
    v_months  date[];
begin
    if (p_grain in ('day', 'week', 'month')) is not true then
        perform private.fail('PT400', 'The trend is by day, week or month.', '{"field": "grain"}');
    end if;
    v_figures := private.cost_figures(p_account_id, v_ids, v_range, p_grain, v_today);
    v_months := array(select m.month from jsonb_to_recordset(v_figures -> 'months') m(month date)
                      where m.month >= v_range.from_month);
    return v_figures || jsonb_build_object(
        'profile_id', p_profile_id, 'from_day', v_range.from_day, 'to_day', v_range.to_day,
        'from_month', v_range.from_month, 'to_month', v_range.to_month, 'grain', p_grain,
        'as_of', private.utc_now(),
        'seq', coalesce((select c.last_seq from private.ledger_counters c where c.account_id = p_account_id), 0),
        'all_people', p_account_id in (select private.my_account_ids('{admin,finance}')),
        'stores', private.cost_by_store(p_account_id, v_ids, v_range, v_today),
        'people', private.cost_by_person(p_account_id, v_ids, v_range),
        'projects', private.cost_by_work(p_account_id, v_ids, 'project', v_months),
        'clips', private.cost_by_work(p_account_id, v_ids, 'clip', v_months),
        'outlook', private.cost_outlook(p_account_id, p_profile_id, v_ids, v_today));
end $$;

-- People ----------------------------------------------------------------------------------------------------------------

-- Whose sums may be asked for: one's own; anybody's (null: System) by admins and finance.
create function private.check_person_costs(p_account_id uuid, p_user_id uuid) returns void
language plpgsql stable set search_path = '' as $$
begin
    if p_account_id not in (select private.my_account_ids('{admin,finance}'))
        and (p_account_id not in (select private.my_account_ids()) or p_user_id is distinct from auth.uid())
        or p_user_id is not null and p_user_id <> auth.uid()
           and not exists (select from public.user_costs u where u.account_id = p_account_id and u.user_id = p_user_id)
           and not exists (select from public.members m
                           where m.account_id = p_account_id and m.person_id = p_user_id) then
        perform private.fail('PT404', 'Person not found.');
    end if;
end $$;

-- What a person (null: System) spent ever, in the stores that the asking person sees; zeros where nothing was spent.
create function private.user_cost_summary(p_account_id uuid, p_user_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
    perform private.check_person_costs(p_account_id, p_user_id);
    return (
        with mine as materialized (
            select u.* from public.user_costs u
            where u.account_id = p_account_id and u.user_id is not distinct from p_user_id
              and u.profile_id in (select private.my_profile_ids()))
        select jsonb_build_object(
            'user_id', p_user_id, 'as_of', private.utc_now(),
            'name', case when p_user_id is null then 'System'
                         else (select p.name from public.people p where p.id = p_user_id) end,
            'total_cost_usd', coalesce(sum(m.total_cost_usd), 0)::text,
            'this_month', coalesce(sum(m.total_cost_usd)
                                   filter (where m.month = private.month_of(private.utc_now())), 0)::text,
            'by_category', jsonb_build_object(
                'text', coalesce(sum(m.text_cost_usd), 0)::text, 'image', coalesce(sum(m.image_cost_usd), 0)::text,
                'speech', coalesce(sum(m.speech_cost_usd), 0)::text,
                'compute', coalesce(sum(m.compute_cost_usd), 0)::text,
                'storage operations', coalesce(sum(m.storage_operations_cost_usd), 0)::text,
                'storage', coalesce(sum(m.storage_cost_usd), 0)::text,
                'e-mail', coalesce(sum(m.email_cost_usd), 0)::text, 'queue', coalesce(sum(m.queue_cost_usd), 0)::text,
                'other', coalesce(sum(m.other_cost_usd), 0)::text),
            'usage', jsonb_build_object(
                'characters', coalesce(sum(m.characters), 0)::text, 'tokens', coalesce(sum(m.tokens), 0)::text,
                'emails_sent', coalesce(sum(m.emails_sent), 0)::text,
                'storage_operations', coalesce(sum(m.storage_operations), 0)::text,
                'storage_mb', round(coalesce(sum(m.storage_bytes), 0) / 1048576, 3)::text,
                'compute_seconds', coalesce(sum(m.compute_seconds), 0)::text),
            'entries', coalesce(sum(m.entries), 0),
            'cost_calculated_at', max(m.cost_calculated_at), 'last_updated', max(m.last_updated),
            'months', (
                select coalesce(jsonb_agg(jsonb_build_object('month', x.month, 'usd', x.usd::text,
                                                             'entries', x.entries) order by x.month), '[]')
                from (select y.month, sum(y.total_cost_usd) as usd, sum(y.entries) as entries
                      from mine y group by y.month) x))
        from mine m);
end $$;

-- Entries ---------------------------------------------------------------------------------------------------------------

create function private.cost_entry_json(e public.cost_entries) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'id', e.id, 'seq', e.seq, 'occurred_at', e.occurred_at, 'booked_on', e.booked_on, 'profile_id', e.profile_id,
        'store', coalesce((select p.name from public.profiles p where p.id = e.profile_id), e.profile_name),
        'user_id', e.user_id,
        'person', case when e.user_id is null then 'System'
                       else coalesce((select p.name from public.people p where p.id = e.user_id), e.user_name) end,
        'job_id', e.job_id, 'project_id', e.project_id,
        'project', (select r.name from public.projects r where r.id = e.project_id),
        'clip_id', e.clip_id, 'clip', (select c.name from public.clips c where c.id = e.clip_id),
        'service', e.service, 'operation', e.operation, 'model', e.model, 'category', e.category, 'units', e.units,
        'unit_prices', e.unit_prices, 'cost_usd', e.cost_usd::text, 'overrun_usd', e.overrun_usd::text,
        'counts_to_quota', e.counts_to_quota,
        'preview', (select d.details ->> 'preview' from public.cost_entry_details d where d.entry_id = e.id))
$$;

-- Days of a range, the latest first, on which what is asked for was booked: as many as a page of entries needs, by the
-- counts of the sums. A rare model is found so without reading everybody else's entries. Of p_begun, the day that the
-- page begins in, all may have been seen before.
create function private.entry_days(
    p_account_id uuid, p_profile_ids uuid[], p_from date, p_to date, p_filters jsonb, p_limit integer, p_begun date
) returns date[] language sql stable set search_path = '' as $$
    select array(
        select x.day
        from (
            select d.day, coalesce(sum(sum(d.entries) filter (where d.day <> p_begun)) over (
                       order by d.day desc rows between unbounded preceding and 1 preceding), 0) as newer
            from private.cost_days(p_account_id, p_profile_ids, p_from, p_to) d
            where d.service = coalesce(p_filters ->> 'service', d.service)
              and d.operation = coalesce(p_filters ->> 'operation', d.operation)
              and d.model = coalesce(p_filters ->> 'model', d.model)
              and d.category = coalesce(p_filters ->> 'category', d.category)
            group by d.day) x
        where x.newer <= p_limit order by x.day desc)
$$;

-- The conditions of a page of entries, for one statement with the parameters account, stores, from, to, filters, days,
-- the page's key (day, seq). Each names only columns and parameters.
create function private.entry_conditions(p_profile_ids uuid[], p_filters jsonb) returns text
language plpgsql immutable set search_path = '' as $$
declare
    v_field text;
    v_text  text := 'e.account_id = $1 and e.booked_on between $3 and $4 and (e.booked_on, e.seq) < ($7, $8)';
begin
    if p_profile_ids is not null then
        v_text := v_text || ' and e.profile_id = any ($2)';
    end if;
    foreach v_field in array array['service', 'operation', 'model', 'category'] loop
        if p_filters ->> v_field is not null then
            v_text := v_text || format(' and e.%I = $5 ->> %L', v_field, v_field);
        end if;
    end loop;
    foreach v_field in array array['user_id', 'project_id', 'clip_id'] loop
        if p_filters ->> v_field = 'system' and v_field = 'user_id' then
            v_text := v_text || ' and e.user_id is null';
        elsif p_filters ->> v_field is not null then
            v_text := v_text || format(' and e.%I = ($5 ->> %L)::uuid', v_field, v_field);
        end if;
    end loop;
    return v_text || case when p_filters ?| array['user_id', 'project_id', 'clip_id'] then ''
                          else ' and e.booked_on = any ($6)' end;
end $$;

-- Entries of a range, the latest first; p_before is the seq of the last one seen. {entries, next, as_of, seq}
create function private.read_entries(
    p_account_id uuid, p_profile_ids uuid[], p_from date, p_to date, p_filters jsonb, p_limit integer, p_before bigint
) returns jsonb language plpgsql stable set search_path = '' as $$
declare
    v_limit   integer := greatest(1, least(coalesce(p_limit, 50), 500));
    v_day     date := 'infinity';
    v_days    date[];
    v_entries public.cost_entries[];
begin
    if p_before is not null then
        select e.booked_on into v_day from public.cost_entries e where e.account_id = p_account_id and e.seq = p_before;
        if not found then
            perform private.fail('PT400', 'The list has no such place; begin at its top.', '{"field": "before"}');
        end if;
    end if;
    if not p_filters ?| array['user_id', 'project_id', 'clip_id'] then
        v_days := private.entry_days(p_account_id, p_profile_ids, p_from, least(p_to, v_day), p_filters, v_limit,
                                     v_day);
    end if;
    execute format('select array(select e from public.cost_entries e where %s order by e.booked_on desc, e.seq desc '
                   'limit $9)', private.entry_conditions(p_profile_ids, p_filters))
    into v_entries
    using p_account_id, p_profile_ids, p_from, p_to, p_filters, v_days, v_day,
          coalesce(p_before, 9223372036854775807), v_limit + 1;
    return jsonb_build_object(
        'entries', (select coalesce(jsonb_agg(private.cost_entry_json(e) order by e.booked_on desc, e.seq desc), '[]')
                    from unnest(v_entries[:v_limit]) e),
        'next', case when cardinality(v_entries) > v_limit then v_entries[v_limit].seq end,
        'as_of', private.utc_now(),
        'seq', coalesce((select c.last_seq from private.ledger_counters c where c.account_id = p_account_id), 0));
end $$;

-- p_filters: service, operation, model, category, user_id ('system': nobody), project_id, clip_id.
create function private.cost_entries_page(
    p_account_id uuid, p_profile_id uuid, p_from date, p_to date, p_filters jsonb, p_limit integer, p_before bigint
) returns jsonb language plpgsql stable security definer set search_path = '' as $$
declare
    v_ids   uuid[] := private.cost_scope(p_account_id, p_profile_id);
    v_range private.day_range := private.cost_range(p_from, p_to);
begin
    if exists (select from jsonb_object_keys(coalesce(p_filters, '{}')) k
               where k not in ('service', 'operation', 'model', 'category', 'user_id', 'project_id', 'clip_id')) then
        perform private.fail('PT400', 'Entries cannot be filtered by this.', '{"field": "filters"}');
    end if;
    return private.read_entries(p_account_id, v_ids, v_range.from_day, v_range.to_day,
                                jsonb_strip_nulls(coalesce(p_filters, '{}')), p_limit, p_before);
exception when invalid_text_representation then
    perform private.fail('PT400', 'Entries cannot be filtered by this.', '{"field": "filters"}');
end $$;

-- A person's entries in the stores that the asking person sees, the latest first, and how many there are.
create function private.user_cost_events(p_account_id uuid, p_user_id uuid, p_limit integer, p_before bigint)
returns jsonb language plpgsql stable security definer set search_path = '' as $$
declare
    v_ids uuid[];
begin
    perform private.check_person_costs(p_account_id, p_user_id);
    v_ids := private.cost_scope(p_account_id, null);
    return private.read_entries(
        p_account_id, v_ids, '2000-01-01', '2199-12-31',
        jsonb_build_object('user_id', coalesce(p_user_id::text, 'system')), p_limit, p_before)
        || jsonb_build_object('total', (
            select coalesce(sum(u.entries), 0) from public.user_costs u
            where u.account_id = p_account_id and u.user_id is not distinct from p_user_id
              and (v_ids is null or u.profile_id = any (v_ids))));
end $$;

create function public.costs_desk(
    p_account_id uuid, p_profile_id uuid, p_from date, p_to date, p_grain text default 'day'
) returns jsonb language sql stable set search_path = '' as
    $$ select private.costs_desk(p_account_id, p_profile_id, p_from, p_to, p_grain) $$;
create function public.user_cost_summary(p_account_id uuid, p_user_id uuid) returns jsonb
language sql stable set search_path = '' as $$ select private.user_cost_summary(p_account_id, p_user_id) $$;
create function public.user_cost_events(
    p_account_id uuid, p_user_id uuid, p_limit integer default 50, p_before bigint default null
) returns jsonb language sql stable set search_path = '' as
    $$ select private.user_cost_events(p_account_id, p_user_id, p_limit, p_before) $$;
create function public.cost_entries_page(
    p_account_id uuid, p_profile_id uuid, p_from date, p_to date, p_filters jsonb default '{}',
    p_limit integer default 50, p_before bigint default null
) returns jsonb language sql stable set search_path = '' as $$
    select private.cost_entries_page(p_account_id, p_profile_id, p_from, p_to, p_filters, p_limit, p_before)
$$;
grant execute on function
    public.costs_desk(uuid, uuid, date, date, text), private.costs_desk(uuid, uuid, date, date, text),
    public.user_cost_summary(uuid, uuid), private.user_cost_summary(uuid, uuid),
    public.user_cost_events(uuid, uuid, integer, bigint), private.user_cost_events(uuid, uuid, integer, bigint),
    public.cost_entries_page(uuid, uuid, date, date, jsonb, integer, bigint),
    private.cost_entries_page(uuid, uuid, date, date, jsonb, integer, bigint)
    to authenticated;
