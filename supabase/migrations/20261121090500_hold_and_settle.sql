-- Hold, buy, settle. Lock order everywhere: month (shared), the hold, the store's counter, its sums, the company's
-- counter, the company's ledger counter last; a new hold's row, which nobody can wait for, is written at the end. So no
-- two of these functions can wait for each other.
--
-- Every statement here finds its rows by key, so hold and settle run with generic plans: planning anew, which Postgres
-- otherwise goes on doing for some of them, took half of their time.

create function private.month_of(p_at timestamptz) returns date language sql immutable set search_path = '' as
    $$ select date_trunc('month', p_at at time zone 'UTC')::date $$;

-- Shared by writers of a company's month, exclusive for its rebuild.
create function private.month_key(p_account_id uuid, p_month date) returns bigint
language sql immutable set search_path = '' as
    $$ select hashtextextended(p_account_id::text || p_month::text, 20261121) $$;

-- How amounts are written in sentences: four decimals under one dollar, else two.
create function private.usd_text(p_usd numeric) returns text language sql immutable set search_path = '' as $$
    select '$' || case when abs(p_usd) < 1 and p_usd <> 0 then to_char(p_usd, 'FM0.0000')
                       else to_char(p_usd, 'FM999999999990.00') end
$$;

-- Price of units at an instant, rounded once half away from zero, and the prices used. Units: {kind: whole number}.
create function private.price_units(
    p_account_id uuid, p_provider text, p_model text, p_units jsonb, p_at timestamptz,
    out cost_usd numeric, out unit_prices jsonb
) language plpgsql stable set search_path = '' as $$
declare
    v_kind  text;
    v_units text;
    v_price record;
begin
    cost_usd := 0;
    unit_prices := '{}';
    for v_kind, v_units in
        select u.key, u.value from jsonb_each_text(case jsonb_typeof(p_units) when 'object' then p_units end) u
    loop
        if (v_units ~ '^\d{1,15}$') is not true then
            perform private.fail('PT400', 'Units must be whole numbers of at least 0.');
        end if;
        select b.id, b.usd, b.per_units into v_price from public.prices b
        where b.account_id = p_account_id and b.provider = p_provider and b.model = p_model
          and b.unit_kind = v_kind and b.valid_from <= p_at
        order by b.valid_from desc limit 1;
        if not found then
            perform private.fail('PT422', format(
                'The price book has no price for %s of %s (%s), so nothing was bought. An admin can add one.',
                replace(v_kind, '_', ' '), p_provider, p_model));
        end if;
        -- Times 0.001, not divided by 1000: a quotient would be rounded before its one rounding.
        cost_usd := cost_usd + v_units::numeric * v_price.usd * (1.0 / v_price.per_units);
        unit_prices := unit_prices || jsonb_build_object(v_kind, jsonb_build_object(
            'price_id', v_price.id, 'usd', v_price.usd::text, 'per_units', v_price.per_units));
    end loop;
    if unit_prices = '{}' then
        perform private.fail('PT400', 'Units must be whole numbers of at least 0.');
    end if;
    cost_usd := round(cost_usd, 6);
end $$;

-- Limit in force of a store or company now: quota plus active grants; null = no limit.
create function private.limit_in_force(p_account_id uuid, p_profile_id uuid) returns numeric
language plpgsql stable set search_path = '' as $$
declare
    v_quota numeric;
begin
    if p_profile_id is null then
        select a.monthly_quota_usd into v_quota from public.accounts a where a.id = p_account_id;
    else
        select p.monthly_quota_usd into v_quota from public.profiles p where p.id = p_profile_id;
    end if;
    if v_quota = 0 then
        return null;
    end if;
    return v_quota + coalesce((
        select sum(g.amount_usd) from public.quota_grants g
        where g.account_id = p_account_id and g.profile_id is not distinct from p_profile_id
          and g.valid_from <= private.utc_now() and g.valid_until > private.utc_now()), 0);
end $$;

create function private.refuse_hold(
    p_scope text, p_settled numeric, p_held numeric, p_estimate numeric, p_limit numeric
) returns void language plpgsql set search_path = '' as $$
declare
    v_message text := format(
        'The %s''s monthly quota of %s does not cover this: %s is spent, %s is held by work under way and this needs '
        '%s. Nothing was bought.', p_scope, private.usd_text(p_limit), private.usd_text(p_settled),
        private.usd_text(p_held), private.usd_text(p_estimate));
begin
    perform private.fail('PT402', v_message, jsonb_build_object(
        'error', 'quota_exceeded', 'message', v_message, 'scope', p_scope, 'current_costs', p_settled::text,
        'held', p_held::text, 'estimate', p_estimate::text, 'monthly_quota', p_limit::text,
        'shortfall', greatest(p_settled + p_held + p_estimate - p_limit, 0)::text));
end $$;

-- Refuse what a limit does not cover (p_profile_id null: the company's). Its counter is locked: the limit read here is
-- the one in force, because a change of quota locks the same row first.
create function private.check_limit(
    p_counter public.quota_counters, p_profile_id uuid, p_estimate numeric, p_exempt boolean,
    out limit_usd numeric, out left_usd numeric
) language plpgsql set search_path = '' as $$
declare
    v_settled numeric := p_counter.settled_usd;
    v_held    numeric := p_counter.held_usd;
begin
    limit_usd := private.limit_in_force(p_counter.account_id, p_profile_id);
    if not p_exempt and (v_settled + v_held + p_estimate > limit_usd or v_settled >= limit_usd) then
        perform private.refuse_hold(case when p_profile_id is null then 'company' else 'store' end,
                                    v_settled, v_held, p_estimate, limit_usd);
    end if;
    left_usd := limit_usd - v_settled - v_held - p_estimate;
end $$;

create function private.lock_counter(p_scope_id uuid, p_month date, p_account_id uuid) returns public.quota_counters
language plpgsql set search_path = '' as $$
declare
    v_counter public.quota_counters;
begin
    loop
        select * into v_counter from public.quota_counters c
        where c.scope_id = p_scope_id and c.month = p_month for no key update;
        exit when found;
        insert into public.quota_counters (scope_id, month, account_id) values (p_scope_id, p_month, p_account_id)
        on conflict do nothing;
    end loop;
    return v_counter;
end $$;

create function private.hold_cost(
    p_request_id uuid, p_profile_id uuid, p_estimate_usd numeric, p_service text, p_job_id uuid, p_user_id uuid
) returns numeric language plpgsql security definer set search_path = ''
set plan_cache_mode = force_generic_plan as $$
declare
    v_now     timestamptz := private.utc_now();
    v_month   date := private.month_of(v_now);
    v_store   public.profiles;
    v_exempt  boolean;
    v_counter public.quota_counters;
    v_own     record;                                          -- what is left of the store's limit
    v_company record;
    v_left    numeric;
begin
    if (p_estimate_usd between 0 and 99999999 and p_estimate_usd = round(p_estimate_usd, 6)) is not true then
        perform private.fail('PT400', 'An estimate is at least 0 and has at most six decimals.');
    end if;
    select * into v_store from public.profiles p where p.id = p_profile_id;
    if not found then
        perform private.fail('PT404', 'Store not found.');
    end if;
    perform pg_advisory_xact_lock_shared(private.month_key(v_store.account_id, v_month));
    v_counter := private.lock_counter(p_profile_id, v_month, v_store.account_id);
    if exists (select from public.cost_holds h where h.request_id = p_request_id) then
        return private.repeat_hold(p_request_id, p_profile_id, p_estimate_usd, p_service, p_job_id, p_user_id);
    end if;
    perform private.refuse_closed_store(v_store);
    v_exempt := p_estimate_usd = 0 and v_store.allow_free_voices_over_quota;
    v_own := private.check_limit(v_counter, p_profile_id, p_estimate_usd, v_exempt);
    v_counter := private.lock_counter(v_store.account_id, v_month, v_store.account_id);
    v_company := private.check_limit(v_counter, null, p_estimate_usd, v_exempt);
    v_left := least(v_own.left_usd, v_company.left_usd);       -- least() passes over "no limit"
    update public.quota_counters c set held_usd = c.held_usd + p_estimate_usd
    where c.scope_id in (p_profile_id, v_store.account_id) and c.month = v_month;
    insert into public.cost_holds (request_id, account_id, profile_id, user_id, job_id, service, estimate_usd, held_usd,
                                   limit_usd, company_limit_usd, left_usd, occurred_at, month)
    values (p_request_id, v_store.account_id, p_profile_id, p_user_id, p_job_id, p_service, p_estimate_usd,
            p_estimate_usd, v_own.limit_usd, v_company.limit_usd, v_left, v_now, v_month)
    on conflict do nothing;
    if not found then                                          -- the same id under another counter, this very instant
        perform private.fail('40001', 'The same request is under way.');
    end if;
    return v_left;
end $$;

create function private.refuse_closed_store(p_store public.profiles) returns void
language plpgsql set search_path = '' as $$
begin
    if p_store.archived_at is not null then
        perform private.fail('PT404', 'This store is archived; nothing can be made for it.');
    elsif p_store.suspended_at is not null then
        perform private.fail('PT423', format('%s is suspended: %s', p_store.name,
                                             coalesce(p_store.suspended_reason, 'no reason was given.')));
    end if;
end $$;

-- The same question again gets the same answer; another question under the same id is refused.
create function private.repeat_hold(
    p_request_id uuid, p_profile_id uuid, p_estimate_usd numeric, p_service text, p_job_id uuid, p_user_id uuid
) returns numeric language plpgsql set search_path = '' as $$
declare
    v_hold public.cost_holds;
begin
    select * into strict v_hold from public.cost_holds h where h.request_id = p_request_id;
    if (v_hold.profile_id, v_hold.estimate_usd, v_hold.service) is distinct from (p_profile_id, p_estimate_usd, p_service)
        or v_hold.job_id is distinct from p_job_id or v_hold.user_id is distinct from p_user_id then
        perform private.fail('PT409', 'This request was sent before with other values.');
    end if;
    return v_hold.left_usd;
end $$;

-- Price a later step of a job and hold it, for the job's own store and person.
create function private.hold_step(
    p_request_id uuid, p_job_id uuid, p_provider text, p_model text, p_units jsonb
) returns numeric language plpgsql security definer set search_path = '' as $$
declare
    v_job  public.jobs;
    v_cost numeric;
begin
    select * into v_job from public.jobs j where j.id = p_job_id;
    if not found or v_job.profile_id is null then
        perform private.fail('PT404', 'Job not found.');
    end if;
    select p.cost_usd into v_cost
    from private.price_units(v_job.account_id, p_provider, p_model, p_units, private.utc_now()) p;
    return private.hold_cost(p_request_id, v_job.profile_id, v_cost, p_provider, p_job_id, v_job.created_by);
end $$;

-- An entry as it will be booked, priced.
create type private.priced_entry as (
    id uuid, place bigint, operation text, model text, category text, units jsonb, unit_prices jsonb,
    cost_usd numeric, overrun_usd numeric, project_id uuid, clip_id uuid, run_id uuid, step_id uuid, details jsonb
);

-- Those of p_entries that are not booked yet, each id once, priced at the instant of the hold. What exceeds the rest of
-- the hold is overrun, entry by entry in the order given. Each is looked up by its key: a join would keep the plan that
-- suited the ledger's size at the session's first settlement.
create function private.price_entries(p_hold public.cost_holds, p_entries jsonb) returns private.priced_entry[]
language plpgsql stable set search_path = '' as $$
declare
    e         jsonb;
    v_id      uuid;
    v_under   uuid;
    v_price   record;
    v_ids     uuid[] := '{}';
    v_sum     numeric := 0;
    v_entries private.priced_entry[] := '{}';
begin
    if jsonb_typeof(p_entries) is distinct from 'array' then
        perform private.fail('PT400', 'The entries of a settlement must be a list.');
    end if;
    for e in select * from jsonb_array_elements(p_entries) loop
        v_id := e ->> 'id';
        select c.request_id into v_under from public.cost_entries c where c.id = v_id;
        if v_under <> p_hold.request_id then
            perform private.fail('PT409', 'An entry with this id belongs to another request.');
        end if;
        continue when v_under is not null or v_id = any (v_ids);
        v_price := private.price_units(p_hold.account_id, p_hold.service, e ->> 'model', e -> 'units',
                                       p_hold.occurred_at);
        v_sum := v_sum + v_price.cost_usd;
        v_ids := v_ids || v_id;
        v_entries := v_entries || row(
            v_id, cardinality(v_ids), e ->> 'operation', e ->> 'model', e ->> 'category', e -> 'units',
            v_price.unit_prices, v_price.cost_usd, greatest(0, least(v_price.cost_usd, v_sum - p_hold.held_usd)),
            e ->> 'project_id', e ->> 'clip_id', e ->> 'run_id', e ->> 'step_id',
            jsonb_build_object('preview', e ->> 'preview'))::private.priced_entry;
    end loop;
    return v_entries;
end $$;

create function private.settle_cost(p_request_id uuid, p_entries jsonb, p_final boolean) returns numeric
language plpgsql security definer set search_path = ''
set plan_cache_mode = force_generic_plan as $$
declare
    v_hold    public.cost_holds;
    v_entries private.priced_entry[];
    v_new     numeric;
    v_overrun numeric;
    v_free    numeric;                                         -- how much of the hold ends
begin
    v_hold := private.lock_hold(p_request_id);
    v_entries := private.price_entries(v_hold, p_entries);
    select coalesce(sum(e.cost_usd), 0), coalesce(sum(e.overrun_usd), 0) into v_new, v_overrun from unnest(v_entries) e;
    v_free := case when p_final then v_hold.held_usd else least(v_hold.held_usd, v_new) end;
    update public.cost_holds h
    set held_usd = h.held_usd - v_free, booked_usd = h.booked_usd + v_new,
        state = case when p_final then 'settled' else h.state end,
        closed_at = case when p_final then coalesce(h.closed_at, private.utc_now()) else h.closed_at end
    where h.request_id = p_request_id;
    perform private.move_counter(v_hold.profile_id, v_hold, v_new, v_free, v_overrun);
    if cardinality(v_entries) > 0 then
        perform private.add_to_sums(v_hold, v_entries, v_new);
    end if;
    perform private.move_counter(v_hold.account_id, v_hold, v_new, v_free, v_overrun);
    if cardinality(v_entries) > 0 then
        perform private.book(v_hold, v_entries);
    end if;
    return v_hold.booked_usd + v_new;
end $$;

create function private.lock_hold(p_request_id uuid) returns public.cost_holds
language plpgsql set search_path = '' as $$
declare
    v_hold public.cost_holds;
begin
    perform pg_advisory_xact_lock_shared(private.month_key(h.account_id, h.month))
    from public.cost_holds h where h.request_id = p_request_id;
    if not found then
        perform private.fail('PT404', 'No money was held under this request.');
    end if;
    select * into v_hold from public.cost_holds h where h.request_id = p_request_id for no key update;
    return v_hold;
end $$;

create function private.move_counter(
    p_scope_id uuid, p_hold public.cost_holds, p_booked numeric, p_freed numeric, p_overrun numeric
) returns void language plpgsql set search_path = '' as $$
begin
    update public.quota_counters c
    set settled_usd = c.settled_usd + p_booked, held_usd = c.held_usd - p_freed,
        overrun_usd = c.overrun_usd + p_overrun
    where c.scope_id = p_scope_id and c.month = p_hold.month;
    if not found then                                          -- a rebuild found nothing to count before this came
        insert into public.quota_counters as c (scope_id, month, account_id, settled_usd, overrun_usd)
        values (p_scope_id, p_hold.month, p_hold.account_id, p_booked, p_overrun)
        on conflict (scope_id, month) do update                -- and another came at the same time
        set settled_usd = c.settled_usd + excluded.settled_usd, overrun_usd = c.overrun_usd + excluded.overrun_usd;
    end if;
end $$;

create function private.add_to_sums(p_hold public.cost_holds, p_entries private.priced_entry[], p_new numeric)
returns void language plpgsql set search_path = '' as $$
begin
    insert into public.profile_monthly_costs as s (profile_id, month, account_id, total_cost_usd, entries)
    values (p_hold.profile_id, p_hold.month, p_hold.account_id, p_new, cardinality(p_entries))
    on conflict (profile_id, month) do update
    set total_cost_usd = s.total_cost_usd + excluded.total_cost_usd, entries = s.entries + excluded.entries;
    insert into public.cost_daily as s (profile_id, day, service, operation, model, category, account_id,
                                        total_cost_usd, entries)
    select p_hold.profile_id, (p_hold.occurred_at at time zone 'UTC')::date, p_hold.service, e.operation, e.model,
           e.category, p_hold.account_id, sum(e.cost_usd), count(*)
    from unnest(p_entries) e
    group by e.operation, e.model, e.category
    order by e.operation, e.model, e.category                  -- sorted by key: opposite batches cannot deadlock
    on conflict (profile_id, day, service, operation, model, category) do update
    set total_cost_usd = s.total_cost_usd + excluded.total_cost_usd, entries = s.entries + excluded.entries;
end $$;

-- Draw sequence numbers and write the entries: the last lock of the transaction, held until its commit.
create function private.book(p_hold public.cost_holds, p_entries private.priced_entry[]) returns void
language plpgsql set search_path = '' as $$
declare
    e      private.priced_entry;
    v_last bigint;
begin
    insert into private.ledger_counters as c (account_id, last_seq) values (p_hold.account_id, cardinality(p_entries))
    on conflict (account_id) do update set last_seq = c.last_seq + excluded.last_seq
    returning last_seq into v_last;
    foreach e in array p_entries loop
        insert into public.cost_entries (
            id, account_id, seq, request_id, profile_id, profile_name, user_id, user_name, job_id, project_id, clip_id,
            run_id, step_id, service, operation, model, category, units, unit_prices, cost_usd, overrun_usd,
            occurred_at, booked_on, settled_at)
        values (
            e.id, p_hold.account_id, v_last - cardinality(p_entries) + e.place, p_hold.request_id, p_hold.profile_id,
            (select s.name from public.profiles s where s.id = p_hold.profile_id), p_hold.user_id,
            (select p.name from public.people p where p.id = p_hold.user_id), p_hold.job_id, e.project_id, e.clip_id,
            e.run_id, e.step_id, p_hold.service, e.operation, e.model, e.category, e.units, e.unit_prices, e.cost_usd,
            e.overrun_usd, p_hold.occurred_at, (p_hold.occurred_at at time zone 'UTC')::date, private.utc_now());
        if e.details ->> 'preview' is not null then
            insert into public.cost_entry_details (entry_id, account_id, profile_id, details)
            values (e.id, p_hold.account_id, p_hold.profile_id, e.details);
        end if;
    end loop;
end $$;

create function private.release_cost(p_request_id uuid) returns void
language plpgsql security definer set search_path = ''
set plan_cache_mode = force_generic_plan as $$
declare
    v_hold public.cost_holds;
begin
    v_hold := private.lock_hold(p_request_id);
    if v_hold.state in ('settled', 'released') then
        return;
    end if;
    update public.cost_holds h set held_usd = 0, state = 'released', closed_at = private.utc_now()
    where h.request_id = p_request_id;
    perform private.move_counter(v_hold.profile_id, v_hold, 0, v_hold.held_usd, 0);
    perform private.move_counter(v_hold.account_id, v_hold, 0, v_hold.held_usd, 0);
end $$;

-- What a store spent towards its quota in a month. Row security decides which stores there are.
create function public.monthly_cost(p_profile_id uuid, p_month date) returns numeric
language plpgsql stable set search_path = '' as $$
begin
    if not exists (select from public.profiles p where p.id = p_profile_id) then
        perform private.fail('PT404', 'Store not found.');
    end if;
    return coalesce((select s.total_cost_usd from public.profile_monthly_costs s
                     where s.profile_id = p_profile_id and s.month = date_trunc('month', p_month)::date), 0);
end $$;

-- Recompute a month's sums and counters from the ledger and the open holds, alone in that company's month.
create function private.rebuild_cost_rollups(p_account_id uuid, p_month date) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_month date := date_trunc('month', p_month)::date;
    v_next  date := (v_month + interval '1 month')::date;
begin
    perform pg_advisory_xact_lock(private.month_key(p_account_id, v_month));
    delete from public.profile_monthly_costs s where s.account_id = p_account_id and s.month = v_month;
    delete from public.cost_daily s where s.account_id = p_account_id and s.day >= v_month and s.day < v_next;
    delete from public.quota_counters c where c.account_id = p_account_id and c.month = v_month;
    insert into public.cost_daily (profile_id, day, service, operation, model, category, account_id, total_cost_usd,
                                   other_cost_usd, entries)
    select e.profile_id, e.booked_on, e.service, e.operation, e.model, e.category, p_account_id,
           coalesce(sum(e.cost_usd) filter (where e.counts_to_quota), 0),
           coalesce(sum(e.cost_usd) filter (where not e.counts_to_quota), 0), count(*)
    from public.cost_entries e
    where e.account_id = p_account_id and e.booked_on >= v_month and e.booked_on < v_next
    group by 1, 2, 3, 4, 5, 6;
    insert into public.profile_monthly_costs (profile_id, month, account_id, total_cost_usd, other_cost_usd, entries)
    select d.profile_id, v_month, p_account_id, sum(d.total_cost_usd), sum(d.other_cost_usd), sum(d.entries)
    from public.cost_daily d where d.account_id = p_account_id and d.day >= v_month and d.day < v_next
    group by d.profile_id;
    perform private.rebuild_counters(p_account_id, v_month, v_next);
end $$;

create function private.rebuild_counters(p_account_id uuid, p_month date, p_next date) returns void
language sql set search_path = '' as $$
    with facts as (
        select e.profile_id, sum(e.cost_usd) filter (where e.counts_to_quota) as settled, 0::numeric as held,
               sum(e.overrun_usd) as overrun
        from public.cost_entries e
        where e.account_id = p_account_id and e.booked_on >= p_month and e.booked_on < p_next
        group by e.profile_id
        union all
        select h.profile_id, 0, sum(h.held_usd), 0 from public.cost_holds h
        where h.account_id = p_account_id and h.month = p_month and h.state in ('reserved', 'committed')
        group by h.profile_id)
    insert into public.quota_counters (scope_id, month, account_id, settled_usd, held_usd, overrun_usd)
    select coalesce(f.profile_id, p_account_id), p_month, p_account_id, coalesce(sum(f.settled), 0), sum(f.held),
           sum(f.overrun)
    from facts f
    group by grouping sets ((f.profile_id), ())
    having count(*) > 0
$$;

-- Where counters or sums differ from a full sum of the ledger and the open holds; no row = all is well.
create function private.check_money(p_account_id uuid, p_month date)
returns table (scope_id uuid, what text, stored numeric, ledger numeric)
language sql stable security definer set search_path = '' as $$
    with ledger as materialized (                               -- once, not for each store
        select e.profile_id, sum(e.cost_usd) filter (where e.counts_to_quota) as settled, count(*) as entries
        from public.cost_entries e
        where e.account_id = p_account_id and e.booked_on >= p_month and e.booked_on < p_month + interval '1 month'
        group by grouping sets ((e.profile_id), ())),
    holds as materialized (
        select h.profile_id, sum(h.held_usd) as held from public.cost_holds h
        where h.account_id = p_account_id and h.month = p_month group by grouping sets ((h.profile_id), ())),
    facts as (
        select coalesce(s.id, p_account_id) as scope_id, s.id as profile_id,
               coalesce((select l.settled from ledger l where l.profile_id is not distinct from s.id), 0) as settled,
               coalesce((select h.held from holds h where h.profile_id is not distinct from s.id), 0) as held
        from (select p.id from public.profiles p where p.account_id = p_account_id union all select null) s)
    select f.scope_id, w.what, w.stored, w.ledger
    from facts f
    left join public.quota_counters c on c.scope_id = f.scope_id and c.month = p_month
    cross join lateral (values
        ('settled', coalesce(c.settled_usd, 0), f.settled),
        ('held', coalesce(c.held_usd, 0), f.held),
        ('monthly sum', (select coalesce(sum(m.total_cost_usd), 0) from public.profile_monthly_costs m
                         where m.account_id = p_account_id and m.month = p_month
                           and (f.profile_id is null or m.profile_id = f.profile_id)), f.settled),
        ('daily sum', (select coalesce(sum(d.total_cost_usd), 0) from public.cost_daily d
                       where d.account_id = p_account_id
                         and d.day >= p_month and d.day < p_month + interval '1 month'
                         and (f.profile_id is null or d.profile_id = f.profile_id)), f.settled)
        ) as w(what, stored, ledger)
    where w.stored <> w.ledger
$$;

-- The names other programs call. hold_cost and settle_cost in plpgsql: before Postgres 18 a function in SQL is planned at
-- each call. ------------------------------------------------------------------------------------------------------------

create function public.hold_cost(
    p_request_id uuid, p_profile_id uuid, p_estimate_usd numeric, p_service text, p_job_id uuid default null,
    p_user_id uuid default null
) returns numeric language plpgsql set search_path = '' as
    $$ begin return private.hold_cost(p_request_id, p_profile_id, p_estimate_usd, p_service, p_job_id, p_user_id); end $$;
create function public.hold_step(
    p_request_id uuid, p_job_id uuid, p_provider text, p_model text, p_units jsonb
) returns numeric language sql set search_path = '' as
    $$ select private.hold_step(p_request_id, p_job_id, p_provider, p_model, p_units) $$;
create function public.settle_cost(p_request_id uuid, p_entries jsonb, p_final boolean default true) returns numeric
language plpgsql set search_path = '' as $$ begin return private.settle_cost(p_request_id, p_entries, p_final); end $$;
create function public.release_cost(p_request_id uuid) returns void
language sql set search_path = '' as $$ select private.release_cost(p_request_id) $$;
create function public.rebuild_cost_rollups(p_account_id uuid, p_month date) returns void
language sql set search_path = '' as $$ select private.rebuild_cost_rollups(p_account_id, p_month) $$;
create function public.check_money(p_account_id uuid, p_month date)
returns table (scope_id uuid, what text, stored numeric, ledger numeric)
language sql stable set search_path = '' as $$ select * from private.check_money(p_account_id, p_month) $$;

grant execute on function
    public.hold_cost(uuid, uuid, numeric, text, uuid, uuid), private.hold_cost(uuid, uuid, numeric, text, uuid, uuid),
    public.hold_step(uuid, uuid, text, text, jsonb), private.hold_step(uuid, uuid, text, text, jsonb),
    public.settle_cost(uuid, jsonb, boolean), private.settle_cost(uuid, jsonb, boolean),
    public.release_cost(uuid), private.release_cost(uuid),
    public.rebuild_cost_rollups(uuid, date), private.rebuild_cost_rollups(uuid, date),
    public.check_money(uuid, date), private.check_money(uuid, date)
    to service_role;
grant execute on function public.monthly_cost(uuid, date) to authenticated, service_role;
