-- Costs as files: what a person asks for, made by a job as that person may see it then; and the ledger, a file a month,
-- for other programs. Both lie in the media store.

create table private.exports (
    id          uuid primary key references public.jobs on delete cascade,
    account_id  uuid not null references public.accounts on delete cascade,
    asked_by    uuid not null references public.people on delete cascade,
    profile_ids uuid[],                                -- whose costs, sorted; null: the whole company's
    wanted      jsonb not null,                        -- {view, format, profile_id, from_day, to_day, grain, filters}
    seq         bigint not null,                       -- entries up to this one
    path        text unique,                           -- null: not made yet
    file_name   text,
    bytes       bigint,
    lines       bigint,                                -- of the table
    total_usd   numeric,
    as_of       timestamptz,
    created_at  timestamptz not null default private.utc_now(),
    expires_at  timestamptz not null default private.utc_now() + interval '30 days'
);
create index exports_account on private.exports (account_id);
create index exports_asked on private.exports (asked_by, account_id, created_at desc);

create table private.ledger_schedules (
    account_id uuid primary key references public.accounts on delete cascade,
    period     text not null check (period in ('off', 'daily', 'monthly')),
    error      text,                                   -- why the last try failed; null: it did not
    tried_at   timestamptz
);

create table private.ledger_files (
    id         uuid primary key default gen_random_uuid(),
    account_id uuid not null references public.accounts on delete cascade,
    month      date not null,
    path       text not null unique,
    bytes      bigint not null,
    lines      bigint not null,
    total_usd  numeric not null,
    seq        bigint not null,
    written_at timestamptz not null default private.utc_now(),
    unique (account_id, month)
);

-- Asking ----------------------------------------------------------------------------------------------------------------

create function private.export_scope(p_account_id uuid, p_profile_id uuid) returns uuid[]
language plpgsql stable set search_path = '' as $$
declare
    v_ids uuid[] := private.cost_scope(p_account_id, p_profile_id);
begin
    return case when v_ids is not null then array(select i from unnest(v_ids) i order by i) end;
end $$;

-- What is wanted, with every key; PT400 where it is none of what the Costs page shows.
create function private.checked_export(p_wanted jsonb) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    v_filters jsonb := jsonb_strip_nulls(coalesce(p_wanted -> 'filters', '{}'));
    v_range   private.day_range := private.cost_range((p_wanted ->> 'from_day')::date,
                                                          (p_wanted ->> 'to_day')::date);
    v_field   text;
begin
    if (p_wanted ->> 'view' in ('store', 'person', 'service', 'operation', 'model', 'category', 'project', 'clip',
                                'months', 'trend', 'spending', 'entries', 'published', 'unpublished', 'savings')) is not true
    then
        perform private.fail('PT400', 'This cannot be exported.', '{"field": "view"}');
    elsif (p_wanted ->> 'format' in ('csv', 'xlsx')) is not true then
        perform private.fail('PT400', 'A file is CSV or XLSX.', '{"field": "format"}');
    elsif coalesce(p_wanted ->> 'grain', 'day') not in ('day', 'week', 'month') then
        perform private.fail('PT400', 'The trend is by day, week or month.', '{"field": "grain"}');
    elsif p_wanted ->> 'view' = 'spending' and v_filters ->> 'user_id' is null then
        perform private.fail('PT400', 'Choose whose spending is exported.', '{"field": "filters"}');
    end if;
    foreach v_field in array array(select jsonb_object_keys(v_filters)) loop
        if v_field in ('user_id', 'project_id', 'clip_id') and (v_field, v_filters ->> v_field) <> ('user_id', 'system')
        then                                           -- as ids are written; 22P02 where it is none
            v_filters := v_filters || jsonb_build_object(v_field, (v_filters ->> v_field)::uuid);
        elsif v_field not in ('service', 'operation', 'model', 'category', 'user_id') then
            perform private.fail('PT400', 'Entries cannot be filtered by this.', '{"field": "filters"}');
        end if;
    end loop;
    return jsonb_build_object(
        'view', p_wanted ->> 'view', 'format', p_wanted ->> 'format', 'profile_id', (p_wanted ->> 'profile_id')::uuid,
        'from_day', v_range.from_day, 'to_day', v_range.to_day, 'grain', coalesce(p_wanted ->> 'grain', 'day'),
        'filters', v_filters);
end $$;

create function private.ledger_seq(p_account_id uuid) returns bigint language sql stable set search_path = '' as $$
    select coalesce(max(c.last_seq), 0) from private.ledger_counters c where c.account_id = p_account_id
$$;

-- Have a file made; returns its job: the one under way where the same was asked for a moment ago.
create function private.enqueue_export(p_job_id uuid, p_account_id uuid, p_wanted jsonb) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    v_wanted jsonb := private.checked_export(p_wanted);
    v_store  uuid := (v_wanted ->> 'profile_id')::uuid;
    v_ids    uuid[] := private.export_scope(p_account_id, v_store);
    v_open   uuid[];
    v_same   uuid;
begin
    if v_wanted ->> 'view' = 'spending' then
        perform private.check_person_costs(p_account_id, nullif(v_wanted #>> '{filters,user_id}', 'system')::uuid);
    end if;
    perform from public.people p where p.id = auth.uid() for no key update;      -- one order a person at a time
    select array_agg(e.id), (array_agg(e.id) filter (
        where e.id = p_job_id or (e.wanted = v_wanted and e.profile_ids is not distinct from v_ids)))[1]
    into v_open, v_same
    from private.exports e join public.jobs j on j.id = e.id
    where e.asked_by = auth.uid() and e.account_id = p_account_id
      and (j.status in ('pending', 'running') or e.id = p_job_id);
    if v_same is not null then
        return v_same;
    elsif cardinality(v_open) >= 5 then
        perform private.fail('PT409', 'Five exports of yours are under way. Wait until one of them is done.');
    end if;
    insert into public.jobs (id, account_id, profile_id, kind, request_id, created_by)
    values (p_job_id, p_account_id, v_store, 'export_costs', p_job_id, auth.uid());
    insert into private.exports (id, account_id, asked_by, profile_ids, wanted, seq)
    values (p_job_id, p_account_id, auth.uid(), v_ids, v_wanted, private.ledger_seq(p_account_id));
    return p_job_id;
end $$;

-- Files that the person may open: own ones of stores that are still theirs, and for admins and finance the ledger's.
create function private.my_export_files() returns table (id uuid, path text, file_name text)
language sql stable security definer set search_path = '' as $$
    select e.id, e.path, e.file_name from private.exports e
    where e.asked_by = (select auth.uid()) and e.path is not null and e.expires_at > private.utc_now()
      and e.account_id in (select private.my_account_ids())
      and case when e.profile_ids is null then e.account_id in (select private.my_account_ids('{admin,finance}'))
               else e.profile_ids <@ array(select private.my_profile_ids()) end
    union all
    select f.id, f.path, substring(f.path from '[^/]+$') from private.ledger_files f
    where f.account_id in (select private.my_account_ids('{admin,finance}'))
$$;

create function private.export_file(p_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_file jsonb;
begin
    select jsonb_build_object('path', f.path, 'file_name', f.file_name) into v_file
    from private.my_export_files() f where f.id = p_id;
    if not found then
        perform private.fail('PT404', 'Export not found. Files are kept for 30 days.');
    end if;
    return v_file;
end $$;

-- The person's latest exports, and for admins and finance the scheduled one: {mine, ledger}.
create function private.exports_desk(p_account_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
    if p_account_id not in (select private.my_account_ids()) then
        perform private.fail('PT404', 'Company not found.');
    end if;
    return jsonb_build_object(
        'mine', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'id', x.id, 'wanted', x.wanted, 'status', x.status, 'progress', x.progress, 'message', x.message,
                'error', x.error, 'bytes', x.bytes, 'lines', x.lines, 'total_usd', x.total_usd::text,
                'created_at', x.created_at, 'expires_at', x.expires_at) order by x.created_at desc), '[]')
            from (select e.*, j.status, j.progress, j.message, j.error
                  from private.exports e join public.jobs j on j.id = e.id
                  where e.asked_by = auth.uid() and e.account_id = p_account_id
                    and e.expires_at > private.utc_now()
                  order by e.created_at desc limit 10) x),
        'ledger', case when p_account_id in (select private.my_account_ids('{admin,finance}')) then
            jsonb_build_object(
                'period', coalesce((select s.period from private.ledger_schedules s
                                    where s.account_id = p_account_id), 'off'),
                'error', (select s.error from private.ledger_schedules s where s.account_id = p_account_id),
                'tried_at', (select s.tried_at from private.ledger_schedules s where s.account_id = p_account_id),
                'files', (
                    select coalesce(jsonb_agg(jsonb_build_object(
                        'id', f.id, 'month', f.month, 'path', f.path, 'bytes', f.bytes, 'lines', f.lines,
                        'total_usd', f.total_usd::text, 'seq', f.seq, 'written_at', f.written_at)
                        order by f.month desc), '[]')
                    from (select * from private.ledger_files g where g.account_id = p_account_id
                          order by g.month desc limit 12) f)) end);
end $$;

-- How often the ledger goes to the media store. Files that are there stay when it is turned off.
create function private.set_ledger_schedule(p_account_id uuid, p_period text, p_reason text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_before text;
    v_job_id uuid := gen_random_uuid();
begin
    perform private.only_admin(p_account_id, 'sets the scheduled export');
    if (p_period in ('off', 'daily', 'monthly')) is not true then
        perform private.fail('PT400', 'Choose off, daily or monthly.', '{"field": "period"}');
    end if;
    perform from public.accounts a where a.id = p_account_id for no key update;
    select s.period into v_before from private.ledger_schedules s where s.account_id = p_account_id;
    if coalesce(v_before, 'off') = p_period then
        return;
    end if;
    insert into private.ledger_schedules (account_id, period) values (p_account_id, p_period)
    on conflict (account_id) do update set period = excluded.period, error = null;
    perform private.audit(p_account_id, 'ledger_schedule_changed', null, null, private.given_reason(p_reason),
                          jsonb_build_object('period', coalesce(v_before, 'off')),
                          jsonb_build_object('period', p_period));
    if p_period <> 'off' then                          -- the first files now, not tomorrow
        insert into public.jobs (id, account_id, kind, request_id, created_by)
        values (v_job_id, p_account_id, 'export_ledger', v_job_id, auth.uid());
    end if;
end $$;

-- Making ----------------------------------------------------------------------------------------------------------------

-- Lines of the ledger, the oldest first, of at most 5 000 entries behind p_after: {lines, after}. Reading by seq costs
-- the same wherever the page lies. Names are today's; of what is gone the entry's own.
create function private.ledger_lines(
    p_account_id uuid, p_profile_ids uuid[], p_from date, p_to date, p_filters jsonb, p_after bigint, p_until bigint,
    p_previews boolean
) returns jsonb language sql stable set search_path = '' as $$
    with page as materialized (
        select e.* from public.cost_entries e
        where e.account_id = p_account_id and e.seq > p_after and e.seq <= least(p_after + 5000, p_until))
    select jsonb_build_object('after', least(p_after + 5000, p_until), 'lines', coalesce(jsonb_agg(jsonb_build_array(
        e.seq, to_char(e.occurred_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'), e.booked_on, p.code,
        coalesce(p.name, e.profile_name), case when e.user_id is null then 'System' else coalesce(u.name, e.user_name) end,
        e.service, e.operation, e.model, e.category, e.units, e.cost_usd::text, e.overrun_usd::text, e.counts_to_quota,
        d.details ->> 'preview', r.name, c.name, e.job_id, e.id) order by e.seq), '[]'))
    from page e
    left join public.profiles p on p.id = e.profile_id
    left join public.people u on u.id = e.user_id
    left join public.projects r on r.id = e.project_id
    left join public.clips c on c.id = e.clip_id
    left join public.cost_entry_details d on p_previews and d.entry_id = e.id
    where e.booked_on between p_from and p_to
      and (p_profile_ids is null or e.profile_id = any (p_profile_ids))
      and (p_filters ->> 'service' is null or e.service = p_filters ->> 'service')
      and (p_filters ->> 'operation' is null or e.operation = p_filters ->> 'operation')
      and (p_filters ->> 'model' is null or e.model = p_filters ->> 'model')
      and (p_filters ->> 'category' is null or e.category::text = p_filters ->> 'category')
      and (p_filters ->> 'user_id' is null or coalesce(e.user_id::text, 'system') = p_filters ->> 'user_id')
      and (p_filters ->> 'project_id' is null or e.project_id::text = p_filters ->> 'project_id')
      and (p_filters ->> 'clip_id' is null or e.clip_id::text = p_filters ->> 'clip_id')
$$;

-- An export for its job. From here to the transaction's end the worker acts as the person who asked: that person's rights
-- of this moment decide, and where they are not what they were, nothing is exported.
create function private.export_as_asked(p_job_id uuid) returns private.exports
language plpgsql stable set search_path = '' as $$
declare
    v_export private.exports;
begin
    select * into v_export from private.exports e where e.id = p_job_id;
    if not found then
        perform private.fail('PT404', 'This export is not kept any more. Ask for it again.');
    end if;
    perform set_config('request.jwt.claims', jsonb_build_object('sub', v_export.asked_by)::text, true);
    if v_export.profile_ids is distinct from
        private.export_scope(v_export.account_id, (v_export.wanted ->> 'profile_id')::uuid) then
        perform private.fail('PT404', 'The stores that you see have changed since. Ask for the export again.');
    end if;
    return v_export;
end $$;

-- What an export is of, and of views the answer that the page shows: {wanted, company, person, stores, as_of, seq, answer}
create function private.export_order(p_job_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_export private.exports := private.export_as_asked(p_job_id);
    v_wanted jsonb := v_export.wanted;
    v_lines  boolean := v_wanted ->> 'view' = 'entries';       -- those of when it was asked for; figures are today's
begin
    return jsonb_build_object(
        'wanted', v_wanted, 'account_id', v_export.account_id,
        'as_of', case when v_lines then v_export.created_at else private.utc_now() end,
        'seq', case when v_lines then v_export.seq else private.ledger_seq(v_export.account_id) end,
        'company', (select a.name from public.accounts a where a.id = v_export.account_id),
        'person', (select p.name from public.people p where p.id = v_export.asked_by),
        'stores', (select jsonb_agg(p.code || ' ' || p.name order by p.code) from public.profiles p
                   where p.id = any (v_export.profile_ids)),
        'names', private.filter_names(v_wanted -> 'filters'),
        'answer', case
            when v_lines then null
            when v_wanted ->> 'view' = 'spending' then private.user_cost_summary(
                v_export.account_id, nullif(v_wanted #>> '{filters,user_id}', 'system')::uuid)
            when v_wanted ->> 'view' in ('published', 'unpublished', 'savings') then private.cost_value(
                v_export.account_id, (v_wanted ->> 'profile_id')::uuid, (v_wanted ->> 'from_day')::date,
                (v_wanted ->> 'to_day')::date)
            else private.costs_desk(v_export.account_id, (v_wanted ->> 'profile_id')::uuid,
                                    (v_wanted ->> 'from_day')::date, (v_wanted ->> 'to_day')::date, v_wanted ->> 'grain') end);
end $$;

-- Names of the person, project and clip that entries are filtered by.
create function private.filter_names(p_filters jsonb) returns jsonb language sql stable set search_path = '' as $$
    select jsonb_strip_nulls(jsonb_build_object(
        'user_id', case when p_filters ->> 'user_id' = 'system' then 'System'
                        else (select p.name from public.people p where p.id::text = p_filters ->> 'user_id') end,
        'project_id', (select r.name from public.projects r where r.id::text = p_filters ->> 'project_id'),
        'clip_id', (select c.name from public.clips c where c.id::text = p_filters ->> 'clip_id')))
$$;

-- The export's next lines, as `ledger_lines` has them.
create function private.export_lines(p_job_id uuid, p_after bigint) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_export private.exports := private.export_as_asked(p_job_id);
begin
    return private.ledger_lines(
        v_export.account_id, v_export.profile_ids, (v_export.wanted ->> 'from_day')::date,
        (v_export.wanted ->> 'to_day')::date, v_export.wanted -> 'filters', p_after, v_export.seq, true);
end $$;

-- The file counts from here on. p_file: {path, file_name, bytes, lines, total_usd, seq, as_of}
create function private.export_made(p_job_id uuid, p_attempt_token uuid, p_file jsonb) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform private.my_attempt(p_job_id, p_attempt_token);
    update private.exports e
    set path = p_file ->> 'path', file_name = p_file ->> 'file_name', bytes = (p_file ->> 'bytes')::bigint,
        lines = (p_file ->> 'lines')::bigint, total_usd = (p_file ->> 'total_usd')::numeric,
        seq = (p_file ->> 'seq')::bigint, as_of = (p_file ->> 'as_of')::timestamptz,
        expires_at = private.utc_now() + interval '30 days'
    where e.id = p_job_id;
    perform private.complete_job(p_job_id, p_attempt_token, null);
end $$;

-- Months of the ledger that have no file, or entries that are not in it, the latest first. The ledger only grows, so as
-- many entries are the same ones. Monthly: finished months only. p_account_id null: of all companies.
create function private.ledgers_due(p_account_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    with months as (
        select s.account_id, date_trunc('month', d.day::timestamp)::date as month, sum(d.entries) as entries
        from private.ledger_schedules s join public.company_daily_costs d on d.account_id = s.account_id
        where s.period <> 'off' and (p_account_id is null or s.account_id = p_account_id)
        group by 1, 2
        union all                                      -- this month's is there from its first day on
        select s.account_id, private.month_of(private.utc_now()), 0 from private.ledger_schedules s
        where s.period = 'daily' and (p_account_id is null or s.account_id = p_account_id)),
    wanted as (
        select m.account_id, m.month, sum(m.entries) as entries
        from months m join private.ledger_schedules s on s.account_id = m.account_id
        where s.period = 'daily' or m.month < private.month_of(private.utc_now())
        group by 1, 2)
    select coalesce(jsonb_agg(jsonb_build_object(
        'account_id', w.account_id, 'month', w.month, 'seq', private.ledger_seq(w.account_id),
        'entries', w.entries) order by w.account_id, w.month desc), '[]')
    from wanted w left join private.ledger_files f on f.account_id = w.account_id and f.month = w.month
    where f.lines is distinct from w.entries
$$;

create function private.month_lines(p_account_id uuid, p_month date, p_after bigint, p_until bigint) returns jsonb
language sql stable security definer set search_path = '' as $$
    select private.ledger_lines(p_account_id, null, p_month, (p_month + interval '1 month')::date - 1, '{}', p_after,
                                p_until, false)
$$;

-- A month's file was written. p_file: {path, bytes, lines, total_usd, seq}
create function private.ledger_written(
    p_job_id uuid, p_attempt_token uuid, p_account_id uuid, p_month date, p_file jsonb
) returns void language plpgsql security definer set search_path = '' as $$
begin
    perform private.my_attempt(p_job_id, p_attempt_token);
    insert into private.ledger_files as f (account_id, month, path, bytes, lines, total_usd, seq)
    values (p_account_id, p_month, p_file ->> 'path', (p_file ->> 'bytes')::bigint, (p_file ->> 'lines')::bigint,
            (p_file ->> 'total_usd')::numeric, (p_file ->> 'seq')::bigint)
    on conflict (account_id, month) do update
    set path = excluded.path, bytes = excluded.bytes, lines = excluded.lines, total_usd = excluded.total_usd,
        seq = excluded.seq, written_at = private.utc_now();
end $$;

-- How a company's scheduled export went: p_error null, or why it failed.
create function private.ledger_tried(p_job_id uuid, p_attempt_token uuid, p_account_id uuid, p_error text) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform private.my_attempt(p_job_id, p_attempt_token);
    update private.ledger_schedules s set error = p_error, tried_at = private.utc_now()
    where s.account_id = p_account_id;
end $$;

-- Expired exports go; the sweeper deletes their files.
create function private.forget_exports() returns void language sql security definer set search_path = '' as $$
    delete from private.exports e where e.expires_at < private.utc_now()
        and not exists (select from public.jobs j where j.id = e.id and j.status in ('pending', 'running'))
$$;

-- As before, with the files of exports: what was known_media is known_work_media now.
alter function private.known_media(text[]) rename to known_work_media;
create function private.known_media(p_paths text[]) returns text[]
language sql stable security definer set search_path = '' as $$
    select coalesce(array_agg(distinct k.path), '{}')
    from (
        select unnest(private.known_work_media(p_paths)) as path
        union all
        select e.path from private.exports e where e.path = any (p_paths) and e.expires_at > private.utc_now()
        union all
        select f.path from private.ledger_files f where f.path = any (p_paths)) k
$$;

-- Public names ----------------------------------------------------------------------------------------------------------

create function public.enqueue_export(p_job_id uuid, p_account_id uuid, p_wanted jsonb) returns uuid
language sql set search_path = '' as $$ select private.enqueue_export(p_job_id, p_account_id, p_wanted) $$;
create function public.export_file(p_id uuid) returns jsonb
language sql stable set search_path = '' as $$ select private.export_file(p_id) $$;
create function public.exports_desk(p_account_id uuid) returns jsonb
language sql stable set search_path = '' as $$ select private.exports_desk(p_account_id) $$;
create function public.set_ledger_schedule(p_account_id uuid, p_period text, p_reason text) returns void
language sql set search_path = '' as $$ select private.set_ledger_schedule(p_account_id, p_period, p_reason) $$;
create function public.export_order(p_job_id uuid) returns jsonb
language sql stable set search_path = '' as $$ select private.export_order(p_job_id) $$;
create function public.export_lines(p_job_id uuid, p_after bigint) returns jsonb
language sql stable set search_path = '' as $$ select private.export_lines(p_job_id, p_after) $$;
create function public.export_made(p_job_id uuid, p_attempt_token uuid, p_file jsonb) returns void
language sql set search_path = '' as $$ select private.export_made(p_job_id, p_attempt_token, p_file) $$;
create function public.ledgers_due(p_account_id uuid default null) returns jsonb
language sql stable set search_path = '' as $$ select private.ledgers_due(p_account_id) $$;
create function public.month_lines(p_account_id uuid, p_month date, p_after bigint, p_until bigint) returns jsonb
language sql stable set search_path = '' as $$ select private.month_lines(p_account_id, p_month, p_after, p_until) $$;
create function public.ledger_written(
    p_job_id uuid, p_attempt_token uuid, p_account_id uuid, p_month date, p_file jsonb
) returns void language sql set search_path = '' as
    $$ select private.ledger_written(p_job_id, p_attempt_token, p_account_id, p_month, p_file) $$;
create function public.ledger_tried(
    p_job_id uuid, p_attempt_token uuid, p_account_id uuid, p_error text default null
) returns void language sql set search_path = '' as
    $$ select private.ledger_tried(p_job_id, p_attempt_token, p_account_id, p_error) $$;
create function public.forget_exports() returns void
language sql set search_path = '' as $$ select private.forget_exports() $$;

grant execute on function
    public.enqueue_export(uuid, uuid, jsonb), private.enqueue_export(uuid, uuid, jsonb),
    public.export_file(uuid), private.export_file(uuid), public.exports_desk(uuid), private.exports_desk(uuid),
    public.set_ledger_schedule(uuid, text, text), private.set_ledger_schedule(uuid, text, text),
    private.my_export_files() to authenticated;
grant execute on function
    private.known_media(text[]), public.export_order(uuid), private.export_order(uuid),
    public.export_lines(uuid, bigint), private.export_lines(uuid, bigint),
    public.export_made(uuid, uuid, jsonb), private.export_made(uuid, uuid, jsonb),
    public.ledgers_due(uuid), private.ledgers_due(uuid),
    public.month_lines(uuid, date, bigint, bigint), private.month_lines(uuid, date, bigint, bigint),
    public.ledger_written(uuid, uuid, uuid, date, jsonb), private.ledger_written(uuid, uuid, uuid, date, jsonb),
    public.ledger_tried(uuid, uuid, uuid, text), private.ledger_tried(uuid, uuid, uuid, text),
    public.forget_exports(), private.forget_exports() to service_role;

-- Only where there is Supabase Storage: files that the person may open are fetched with their own token. As before, with
-- exports, whose paths name no store.
do $$
begin
    if to_regclass('storage.buckets') is not null then
        alter policy "people read their stores' media" on storage.objects
            using (bucket_id = 'media' and (private.media_folder(name) in (select private.my_media_folders(false))
                                            or name in (select f.path from private.my_export_files() f)));
    end if;
end $$;
