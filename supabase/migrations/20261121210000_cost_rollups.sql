-- Sums for the Costs page, so that each of its charts reads a few thousand rows however long the ledger is. They are
-- written with the entries: what belongs to a store under its counter, before the company's is locked; what belongs to
-- the company under that one. So whoever books holds the lock that guards the rows they add to.

create table public.profile_daily_costs (
    profile_id     uuid not null,
    day            date not null,
    account_id     uuid not null references public.accounts on delete cascade,
    total_cost_usd numeric(14,6) not null default 0,           -- counts towards the quota
    other_cost_usd numeric(14,6) not null default 0,           -- does not
    entries        bigint not null default 0,
    primary key (profile_id, day)
) with (fillfactor = 50);
create index profile_daily_costs_account on public.profile_daily_costs (account_id, day);

create table public.company_daily_costs (
    account_id     uuid not null references public.accounts on delete cascade,
    day            date not null,
    service        text not null,
    operation      text not null,
    model          text not null,
    category       text not null,
    total_cost_usd numeric(14,6) not null default 0,
    other_cost_usd numeric(14,6) not null default 0,
    entries        bigint not null default 0,
    primary key (account_id, day, service, operation, model, category)
) with (fillfactor = 50);

-- What a person spent in a store in a month, by category; amounts count towards the quota or not.
create table public.user_costs (
    account_id                  uuid not null references public.accounts on delete cascade,
    month                       date not null,
    profile_id                  uuid not null,
    user_id                     uuid,                          -- null: System
    person_key                  uuid not null generated always as  -- the same without nulls
        (coalesce(user_id, '00000000-0000-0000-0000-000000000000')) stored,
    text_cost_usd               numeric(14,6) not null default 0,
    image_cost_usd              numeric(14,6) not null default 0,
    speech_cost_usd             numeric(14,6) not null default 0,
    compute_cost_usd            numeric(14,6) not null default 0,
    storage_operations_cost_usd numeric(14,6) not null default 0,
    storage_cost_usd            numeric(14,6) not null default 0,
    email_cost_usd              numeric(14,6) not null default 0,
    queue_cost_usd              numeric(14,6) not null default 0,
    other_cost_usd              numeric(14,6) not null default 0,
    total_cost_usd              numeric(14,6) not null default 0,
    characters                  numeric(20,3) not null default 0,
    tokens                      numeric(20,3) not null default 0,
    emails_sent                 numeric(20,3) not null default 0,
    storage_operations          numeric(20,3) not null default 0,
    storage_bytes               numeric(20,3) not null default 0,
    compute_seconds             numeric(20,3) not null default 0,
    entries                     bigint not null default 0,
    cost_calculated_at          timestamptz,                   -- the last rebuild
    last_updated                timestamptz not null default private.utc_now(),
    primary key (account_id, month, profile_id, person_key)
) with (fillfactor = 50);
create index user_costs_user on public.user_costs (account_id, user_id, month);
create index user_costs_total on public.user_costs (account_id, month, total_cost_usd desc);

-- What a project or clip cost in a month. An entry of a clip counts for its project too.
create table public.work_costs (
    work_id    uuid not null,
    month      date not null,
    profile_id uuid not null,
    kind       text not null check (kind in ('project', 'clip')),
    account_id uuid not null references public.accounts on delete cascade,
    cost_usd   numeric(14,6) not null default 0,
    entries    bigint not null default 0,
    primary key (work_id, month, profile_id)
) with (fillfactor = 50);
create index work_costs_dearest on public.work_costs (account_id, kind, month, cost_usd desc);
create index work_costs_store_dearest on public.work_costs (profile_id, kind, month, cost_usd desc);

create index cost_entries_account_booked on public.cost_entries (account_id, booked_on desc, seq desc);
create index cost_entries_user on public.cost_entries (account_id, user_id, booked_on desc, seq desc);
create index cost_entries_clip on public.cost_entries (clip_id) where clip_id is not null;
create index cost_entries_project on public.cost_entries (project_id) where project_id is not null;

do $$
declare
    v_table text;
begin
    foreach v_table in array array['profile_daily_costs', 'company_daily_costs', 'user_costs', 'work_costs'] loop
        execute format('alter table public.%I enable row level security', v_table);
        execute format('grant select on public.%I to authenticated, service_role', v_table);
    end loop;
    foreach v_table in array array['profile_daily_costs', 'work_costs'] loop
        execute format('create policy "people read their stores'' money" on public.%I for select to authenticated '
                       'using (profile_id in (select private.my_profile_ids()))', v_table);
    end loop;
end $$;
create policy "admins and finance read their company's money" on public.company_daily_costs for select to authenticated
    using (account_id in (select private.my_account_ids('{admin,finance}')));
create policy "people read their own sums, admins and finance everybody's" on public.user_costs
    for select to authenticated
    using (account_id in (select private.my_account_ids('{admin,finance}'))
           or (user_id = (select auth.uid()) and profile_id in (select private.my_profile_ids())));

-- Written with the entries ----------------------------------------------------------------------------------------------

-- What a person's entries of one category in one store add up to.
create type private.user_line as (
    profile_id uuid, user_id uuid, category text, cost_usd numeric, characters numeric, tokens numeric,
    requests numeric, bytes numeric, seconds numeric, entries bigint
);

-- Rows of user_costs, from its profile_id on. Requests are e-mails or operations of storage by their category.
-- In plpgsql: before Postgres 18 a function in SQL is planned at each call.
create function private.user_sums(p_lines private.user_line[])
returns table (
    profile_id uuid, user_id uuid, text_usd numeric, image_usd numeric, speech_usd numeric, compute_usd numeric,
    storage_operations_usd numeric, storage_usd numeric, email_usd numeric, queue_usd numeric, other_usd numeric,
    total_usd numeric, characters numeric, tokens numeric, emails_sent numeric, storage_operations numeric,
    storage_bytes numeric, compute_seconds numeric, entries bigint
) language plpgsql immutable set search_path = '' as $$
begin
    return query
        select l.profile_id, l.user_id,
               coalesce(sum(l.cost_usd) filter (where l.category = 'text'), 0),
               coalesce(sum(l.cost_usd) filter (where l.category = 'image'), 0),
               coalesce(sum(l.cost_usd) filter (where l.category = 'speech'), 0),
               coalesce(sum(l.cost_usd) filter (where l.category = 'compute'), 0),
               coalesce(sum(l.cost_usd) filter (where l.category = 'storage operations'), 0),
               coalesce(sum(l.cost_usd) filter (where l.category = 'storage'), 0),
               coalesce(sum(l.cost_usd) filter (where l.category = 'e-mail'), 0),
               coalesce(sum(l.cost_usd) filter (where l.category = 'queue'), 0),
               coalesce(sum(l.cost_usd) filter (where l.category = 'other'), 0),
               sum(l.cost_usd), coalesce(sum(l.characters), 0), sum(l.tokens),
               coalesce(sum(l.requests) filter (where l.category = 'e-mail'), 0),
               coalesce(sum(l.requests) filter (where l.category = 'storage operations'), 0),
               coalesce(sum(l.bytes) filter (where l.category = 'storage'), 0),
               coalesce(sum(l.seconds) filter (where l.category = 'compute'), 0), sum(l.entries)::bigint
        from unnest(p_lines) l
        group by l.profile_id, l.user_id;
end $$;

alter function private.add_to_sums(public.cost_holds, private.priced_entry[], numeric) rename to add_to_store_sums;

create function private.add_to_sums(p_hold public.cost_holds, p_entries private.priced_entry[], p_new numeric)
returns void language plpgsql set search_path = '' as $$
begin
    perform private.add_to_store_sums(p_hold, p_entries, p_new);
    insert into public.profile_daily_costs as s (profile_id, day, account_id, total_cost_usd, entries)
    values (p_hold.profile_id, (p_hold.occurred_at at time zone 'UTC')::date, p_hold.account_id, p_new,
            cardinality(p_entries))
    on conflict (profile_id, day) do update
    set total_cost_usd = s.total_cost_usd + excluded.total_cost_usd, entries = s.entries + excluded.entries;
    perform private.add_to_user_costs(p_hold, p_entries);
    if exists (select from unnest(p_entries) e where e.project_id is not null or e.clip_id is not null) then
        insert into public.work_costs as s (work_id, month, profile_id, kind, account_id, cost_usd, entries)
        select w.id, p_hold.month, p_hold.profile_id, w.kind, p_hold.account_id, sum(e.cost_usd), count(*)
        from unnest(p_entries) e
        cross join lateral (values ('project', e.project_id), ('clip', e.clip_id)) as w(kind, id)
        where w.id is not null
        group by w.id, w.kind
        order by w.id                                          -- sorted by key
        on conflict (work_id, month, profile_id) do update
        set cost_usd = s.cost_usd + excluded.cost_usd, entries = s.entries + excluded.entries;
    end if;
end $$;

create function private.add_to_user_costs(p_hold public.cost_holds, p_entries private.priced_entry[]) returns void
language plpgsql set search_path = '' as $$
begin
    insert into public.user_costs as s (
        account_id, month, profile_id, user_id, text_cost_usd, image_cost_usd, speech_cost_usd, compute_cost_usd,
        storage_operations_cost_usd, storage_cost_usd, email_cost_usd, queue_cost_usd, other_cost_usd, total_cost_usd,
        characters, tokens, emails_sent, storage_operations, storage_bytes, compute_seconds, entries)
    select p_hold.account_id, p_hold.month, u.*
    from private.user_sums(array(
        select row(p_hold.profile_id, p_hold.user_id, e.category, sum(e.cost_usd),
                   sum((e.units ->> 'characters')::numeric),
                   coalesce(sum((e.units ->> 'input_tokens')::numeric), 0)
                       + coalesce(sum((e.units ->> 'output_tokens')::numeric), 0)
                       + coalesce(sum((e.units ->> 'cached_tokens')::numeric), 0),
                   sum((e.units ->> 'requests')::numeric), sum((e.units ->> 'bytes')::numeric),
                   sum((e.units ->> 'seconds')::numeric), count(*))::private.user_line
        from unnest(p_entries) e group by e.category)) u
    on conflict (account_id, month, profile_id, person_key) do update
    set text_cost_usd = s.text_cost_usd + excluded.text_cost_usd,
        image_cost_usd = s.image_cost_usd + excluded.image_cost_usd,
        speech_cost_usd = s.speech_cost_usd + excluded.speech_cost_usd,
        compute_cost_usd = s.compute_cost_usd + excluded.compute_cost_usd,
        storage_operations_cost_usd = s.storage_operations_cost_usd + excluded.storage_operations_cost_usd,
        storage_cost_usd = s.storage_cost_usd + excluded.storage_cost_usd,
        email_cost_usd = s.email_cost_usd + excluded.email_cost_usd,
        queue_cost_usd = s.queue_cost_usd + excluded.queue_cost_usd,
        other_cost_usd = s.other_cost_usd + excluded.other_cost_usd,
        total_cost_usd = s.total_cost_usd + excluded.total_cost_usd,
        characters = s.characters + excluded.characters, tokens = s.tokens + excluded.tokens,
        emails_sent = s.emails_sent + excluded.emails_sent,
        storage_operations = s.storage_operations + excluded.storage_operations,
        storage_bytes = s.storage_bytes + excluded.storage_bytes,
        compute_seconds = s.compute_seconds + excluded.compute_seconds,
        entries = s.entries + excluded.entries, last_updated = private.utc_now();
end $$;

-- The company's day is added to under its counter, which settle_cost has locked by then.
alter function private.book(public.cost_holds, private.priced_entry[]) rename to write_entries;

create function private.book(p_hold public.cost_holds, p_entries private.priced_entry[]) returns void
language plpgsql set search_path = '' as $$
begin
    insert into public.company_daily_costs as s (account_id, day, service, operation, model, category, total_cost_usd,
                                                 entries)
    select p_hold.account_id, (p_hold.occurred_at at time zone 'UTC')::date, p_hold.service, e.operation, e.model,
           e.category, sum(e.cost_usd), count(*)
    from unnest(p_entries) e
    group by e.operation, e.model, e.category
    order by e.operation, e.model, e.category                  -- sorted by key
    on conflict (account_id, day, service, operation, model, category) do update
    set total_cost_usd = s.total_cost_usd + excluded.total_cost_usd, entries = s.entries + excluded.entries;
    perform private.write_entries(p_hold, p_entries);
end $$;

-- Rebuild and check -----------------------------------------------------------------------------------------------------

create function private.rebuild_user_costs(p_account_id uuid, p_month date, p_next date) returns void
language sql set search_path = '' as $$
    insert into public.user_costs (
        account_id, month, profile_id, user_id, text_cost_usd, image_cost_usd, speech_cost_usd, compute_cost_usd,
        storage_operations_cost_usd, storage_cost_usd, email_cost_usd, queue_cost_usd, other_cost_usd, total_cost_usd,
        characters, tokens, emails_sent, storage_operations, storage_bytes, compute_seconds, entries,
        cost_calculated_at)
    select p_account_id, p_month, u.*, private.utc_now()
    from private.user_sums(array(
        select row(e.profile_id, e.user_id, e.category, sum(e.cost_usd), sum((e.units ->> 'characters')::numeric),
                   coalesce(sum((e.units ->> 'input_tokens')::numeric), 0)
                       + coalesce(sum((e.units ->> 'output_tokens')::numeric), 0)
                       + coalesce(sum((e.units ->> 'cached_tokens')::numeric), 0),
                   sum((e.units ->> 'requests')::numeric), sum((e.units ->> 'bytes')::numeric),
                   sum((e.units ->> 'seconds')::numeric), count(*))::private.user_line
        from public.cost_entries e
        where e.account_id = p_account_id and e.booked_on >= p_month and e.booked_on < p_next
        group by e.profile_id, e.user_id, e.category)) u
$$;

-- From the ledger, in a month that nobody else writes: see rebuild_cost_rollups.
create function private.rebuild_desk_sums(p_account_id uuid, p_month date, p_next date) returns void
language plpgsql set search_path = '' as $$
begin
    delete from public.profile_daily_costs s where s.account_id = p_account_id and s.day >= p_month and s.day < p_next;
    delete from public.company_daily_costs s where s.account_id = p_account_id and s.day >= p_month and s.day < p_next;
    delete from public.user_costs s where s.account_id = p_account_id and s.month = p_month;
    delete from public.work_costs s where s.account_id = p_account_id and s.month = p_month;
    insert into public.profile_daily_costs (profile_id, day, account_id, total_cost_usd, other_cost_usd, entries)
    select d.profile_id, d.day, p_account_id, sum(d.total_cost_usd), sum(d.other_cost_usd), sum(d.entries)
    from public.cost_daily d
    where d.account_id = p_account_id and d.day >= p_month and d.day < p_next
    group by d.profile_id, d.day;
    insert into public.company_daily_costs (account_id, day, service, operation, model, category, total_cost_usd,
                                            other_cost_usd, entries)
    select p_account_id, d.day, d.service, d.operation, d.model, d.category, sum(d.total_cost_usd),
           sum(d.other_cost_usd), sum(d.entries)
    from public.cost_daily d
    where d.account_id = p_account_id and d.day >= p_month and d.day < p_next
    group by d.day, d.service, d.operation, d.model, d.category;
    insert into public.work_costs (work_id, month, profile_id, kind, account_id, cost_usd, entries)
    select w.id, p_month, e.profile_id, w.kind, p_account_id, sum(e.cost_usd), count(*)
    from public.cost_entries e
    cross join lateral (values ('project', e.project_id), ('clip', e.clip_id)) as w(kind, id)
    where e.account_id = p_account_id and e.booked_on >= p_month and e.booked_on < p_next and w.id is not null
    group by w.id, w.kind, e.profile_id;
    perform private.rebuild_user_costs(p_account_id, p_month, p_next);
end $$;

alter function private.rebuild_cost_rollups(uuid, date) rename to rebuild_store_sums;  -- takes the month's lock

create function private.rebuild_cost_rollups(p_account_id uuid, p_month date) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_month date := date_trunc('month', p_month)::date;
begin
    perform private.rebuild_store_sums(p_account_id, v_month);
    perform private.rebuild_desk_sums(p_account_id, v_month, (v_month + interval '1 month')::date);
end $$;

alter function private.check_money(uuid, date) rename to check_store_sums;

-- Where the page's sums differ from the ledger, key by key.
create function private.check_desk_sums(p_account_id uuid, p_month date)
returns table (scope_id uuid, what text, stored numeric, ledger numeric)
language sql stable set search_path = '' as $$
    with booked as materialized (
        select e.* from public.cost_entries e
        where e.account_id = p_account_id and e.booked_on >= p_month and e.booked_on < p_month + interval '1 month'),
    facts as (
        select b.profile_id as scope_id, 'store''s day' as what, b.booked_on::text as key, sum(b.cost_usd) as usd,
               count(*) as entries
        from booked b group by b.profile_id, b.booked_on
        union all
        select p_account_id, 'company''s day', concat_ws('|', b.booked_on, b.service, b.operation, b.model, b.category),
               sum(b.cost_usd), count(*)
        from booked b group by b.booked_on, b.service, b.operation, b.model, b.category
        union all
        select b.profile_id, 'person', coalesce(b.user_id::text, ''), sum(b.cost_usd), count(*)
        from booked b group by b.profile_id, b.user_id
        union all
        select b.profile_id, w.kind, w.id::text, sum(b.cost_usd), count(*)
        from booked b cross join lateral (values ('project', b.project_id), ('clip', b.clip_id)) as w(kind, id)
        where w.id is not null group by b.profile_id, w.kind, w.id),
    sums as (
        select s.profile_id as scope_id, 'store''s day' as what, s.day::text as key,
               s.total_cost_usd + s.other_cost_usd as usd, s.entries
        from public.profile_daily_costs s
        where s.account_id = p_account_id and s.day >= p_month and s.day < p_month + interval '1 month'
        union all
        select p_account_id, 'company''s day', concat_ws('|', s.day, s.service, s.operation, s.model, s.category),
               s.total_cost_usd + s.other_cost_usd, s.entries
        from public.company_daily_costs s
        where s.account_id = p_account_id and s.day >= p_month and s.day < p_month + interval '1 month'
        union all
        select s.profile_id, 'person', coalesce(s.user_id::text, ''), s.total_cost_usd, s.entries
        from public.user_costs s where s.account_id = p_account_id and s.month = p_month
        union all
        select s.profile_id, s.kind, s.work_id::text, s.cost_usd, s.entries
        from public.work_costs s where s.account_id = p_account_id and s.month = p_month)
    select coalesce(s.scope_id, f.scope_id), coalesce(s.what, f.what), coalesce(s.usd, 0), coalesce(f.usd, 0)
    from sums s full join facts f using (scope_id, what, key)
    where (s.usd, s.entries) is distinct from (f.usd, f.entries)
$$;

create function private.check_money(p_account_id uuid, p_month date)
returns table (scope_id uuid, what text, stored numeric, ledger numeric)
language sql stable security definer set search_path = '' as $$
    select c.* from private.check_store_sums(p_account_id, p_month) c
    union all
    select d.* from private.check_desk_sums(p_account_id, p_month) d
$$;

revoke execute on function private.rebuild_store_sums(uuid, date), private.check_store_sums(uuid, date)
    from service_role;
grant execute on function private.rebuild_cost_rollups(uuid, date), private.check_money(uuid, date) to service_role;

-- What the ledger holds already.
do $$
declare
    v_account uuid;
    v_month   date;
begin
    for v_account, v_month in
        select distinct e.account_id, date_trunc('month', e.booked_on::timestamp)::date from public.cost_entries e
    loop
        perform private.rebuild_desk_sums(v_account, v_month, (v_month + interval '1 month')::date);
    end loop;
end $$;
