-- What each assistant's runs cost, by month and phase, so that neither page adds up a hundred thousand runs. The view
-- v_costs_by_assistant says the same of the whole ledger. Lock order: ..., counters, run, sum of its assistant.
create table public.assistant_costs (
    assistant_id  uuid not null references public.assistants on delete cascade,
    month         date not null,
    phase         text not null,
    account_id    uuid not null,
    profile_id    uuid not null,
    runs          bigint not null default 0,                   -- whose first charged call this was
    calls         bigint not null default 0,
    tokens        numeric(20,0) not null default 0,
    cost_usd      numeric(14,6) not null default 0,
    last_activity timestamptz not null,
    primary key (assistant_id, month, phase),
    foreign key (account_id, profile_id) references public.profiles (account_id, id) on delete cascade
) with (fillfactor = 50);
create index assistant_costs_account on public.assistant_costs (account_id, profile_id, month);
alter table public.assistant_costs enable row level security;
grant select on public.assistant_costs to authenticated, service_role;
create policy "people read their stores' money" on public.assistant_costs for select to authenticated
    using (profile_id in (select private.my_profile_ids()));

create function private.tokens_of(p_units jsonb) returns numeric language sql immutable set search_path = '' as $$
    select coalesce((p_units ->> 'input_tokens')::numeric, 0) + coalesce((p_units ->> 'cached_tokens')::numeric, 0)
           + coalesce((p_units ->> 'output_tokens')::numeric, 0)
$$;

create function private.add_to_assistant(p_entry public.cost_entries, p_run public.pipeline_runs) returns void
language plpgsql set search_path = '' as $$
declare
    v_first bigint := case when exists (select from public.cost_entries e
                                        where e.run_id = p_entry.run_id and e.seq < p_entry.seq) then 0 else 1 end;
begin
    insert into public.assistant_costs as c (assistant_id, month, phase, account_id, profile_id, runs, calls, tokens, cost_usd,
                                             last_activity)
    values (p_run.assistant_id, date_trunc('month', p_entry.booked_on)::date, p_entry.operation, p_run.account_id,
            p_run.profile_id, v_first, 1, private.tokens_of(p_entry.units), p_entry.cost_usd, p_entry.settled_at)
    on conflict (assistant_id, month, phase) do update
    set runs = c.runs + excluded.runs, calls = c.calls + 1, tokens = c.tokens + excluded.tokens,
        cost_usd = c.cost_usd + excluded.cost_usd, last_activity = greatest(c.last_activity, excluded.last_activity);
end $$;

-- As before, with the assistant's sum.
create or replace function private.add_to_run() returns trigger language plpgsql security definer set search_path = '' as $$
declare
    v_run public.pipeline_runs;
begin
    update public.pipeline_runs r
    set total_cost_usd = r.total_cost_usd + new.cost_usd,
        input_tokens = r.input_tokens + coalesce((new.units ->> 'input_tokens')::numeric, 0),
        cached_tokens = r.cached_tokens + coalesce((new.units ->> 'cached_tokens')::numeric, 0),
        output_tokens = r.output_tokens + coalesce((new.units ->> 'output_tokens')::numeric, 0)
    where r.id = new.run_id returning * into v_run;
    if found then
        perform private.add_to_assistant(new, v_run);
    end if;
    return null;
end $$;

-- The month's rows as the ledger has them.
create function private.assistant_lines(p_account_id uuid, p_month date) returns setof public.assistant_costs
language plpgsql stable set search_path = '' as $$
begin
    return query
        select r.assistant_id, p_month, e.operation, r.account_id, r.profile_id,
               count(*) filter (where not exists (select from public.cost_entries b
                                                  where b.run_id = e.run_id and b.seq < e.seq)),
               count(*), sum(private.tokens_of(e.units))::numeric(20,0), sum(e.cost_usd)::numeric(14,6), max(e.settled_at)
        from public.cost_entries e join public.pipeline_runs r on r.id = e.run_id
        where e.account_id = p_account_id and e.booked_on >= p_month and e.booked_on < p_month + interval '1 month'
        group by r.assistant_id, e.operation, r.account_id, r.profile_id;
end $$;

-- In a month that nobody else writes.
create function private.rebuild_assistant_costs(p_account_id uuid, p_month date) returns void
language plpgsql set search_path = '' as $$
begin
    delete from public.assistant_costs c where c.account_id = p_account_id and c.month = p_month;
    insert into public.assistant_costs select l.* from private.assistant_lines(p_account_id, p_month) l;
end $$;

-- As before, with the assistants' sums.
alter function private.rebuild_cost_rollups(uuid, date) rename to rebuild_sums_but_assistants;
create function private.rebuild_cost_rollups(p_account_id uuid, p_month date) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform private.rebuild_sums_but_assistants(p_account_id, p_month);  -- takes the month's lock
    perform private.rebuild_assistant_costs(p_account_id, date_trunc('month', p_month)::date);
end $$;
alter function private.check_money(uuid, date) rename to check_sums_but_assistants;
create function private.check_money(p_account_id uuid, p_month date)
returns table (scope_id uuid, what text, stored numeric, ledger numeric)
language sql stable security definer set search_path = '' as $$
    select c.* from private.check_sums_but_assistants(p_account_id, p_month) c
    union all
    select coalesce(s.profile_id, l.profile_id), 'assistant', coalesce(s.cost_usd, 0), coalesce(l.cost_usd, 0)
    from (select * from public.assistant_costs c where c.account_id = p_account_id and c.month = p_month) s
    full join private.assistant_lines(p_account_id, p_month) l using (assistant_id, phase)
    where (s.cost_usd, s.calls, s.runs) is distinct from (l.cost_usd, l.calls, l.runs)
$$;
revoke execute on function private.rebuild_sums_but_assistants(uuid, date), private.check_sums_but_assistants(uuid, date)
    from service_role;
grant execute on function private.rebuild_cost_rollups(uuid, date), private.check_money(uuid, date) to service_role;

select private.rebuild_assistant_costs(m.account_id, m.month)
from (select distinct e.account_id, date_trunc('month', e.booked_on::timestamp)::date as month
      from public.cost_entries e where e.run_id is not null) m;

-- What assistants cost from month to month, the dearest first, at most 200: of a store, or of all stores one may see.
-- In plpgsql: before Postgres 18 a function in SQL is planned at each call.
create function public.assistant_costs(p_account_id uuid, p_profile_id uuid, p_from date, p_to date) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    return (
        select coalesce(jsonb_agg(to_jsonb(x) order by x.usd desc, x.assistant_id), '[]')
        from (
            select a.assistant_id, s.name, a.profile_id, p.name as store, p.code, a.runs, a.usd, a.cost_usd, a.tokens::text,
                   a.last_activity, a.phases
            from (select l.assistant_id, l.profile_id, sum(l.runs) as runs, sum(l.usd) as usd, sum(l.usd)::text as cost_usd,
                         sum(l.tokens) as tokens, max(l.last_activity) as last_activity,
                         jsonb_object_agg(l.phase, jsonb_build_object('calls', l.calls, 'cost_usd', l.usd::text)) as phases
                  from (select c.assistant_id, c.profile_id, c.phase, sum(c.runs) as runs, sum(c.calls) as calls,
                               sum(c.cost_usd) as usd, sum(c.tokens) as tokens, max(c.last_activity) as last_activity
                        from public.assistant_costs c
                        where c.account_id = p_account_id and (p_profile_id is null or c.profile_id = p_profile_id)
                          and c.month between date_trunc('month', p_from)::date and p_to
                        group by c.assistant_id, c.profile_id, c.phase) l
                  group by l.assistant_id, l.profile_id) a
            join public.assistants s on s.id = a.assistant_id
            join public.profiles p on p.id = a.profile_id
            order by a.usd desc, a.assistant_id limit 200) x);
end $$;
grant execute on function public.assistant_costs(uuid, uuid, date, date) to authenticated;

-- As before, with the assistants: one question for the page.
create or replace function public.costs_desk(
    p_account_id uuid, p_profile_id uuid, p_from date, p_to date, p_grain text default 'day'
) returns jsonb language sql stable set search_path = '' as $$
    select private.costs_desk(p_account_id, p_profile_id, p_from, p_to, p_grain)
           || jsonb_build_object('assistants', public.assistant_costs(p_account_id, p_profile_id, p_from, p_to))
$$;
