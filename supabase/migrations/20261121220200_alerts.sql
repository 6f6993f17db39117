-- Alerts: rules over notices. One evaluator looks at each company's spending once a minute and tells what was reached and
-- what is over; holds and settlements tell nothing any more. It also suspends stores whose quota stays used up, where an
-- admin wants that. Locks: a look has the company's row of alert_looks; a store's counter and its row, in that order, only
-- to suspend it. Nobody who has one of these waits for a look.

create table public.alert_rules (
    id         uuid primary key,
    account_id uuid not null references public.accounts on delete cascade,
    scope      text not null check (scope in ('company', 'store', 'person')),
    target_id  uuid,                                           -- a store or person; null: the company, every store or person
    percent    integer check (percent between 1 and 200),      -- of the limit in force
    amount_usd numeric(10,2) check (amount_usd > 0),
    enabled    boolean not null default true,
    created_by uuid,                                           -- null: came with the company
    created_at timestamptz not null default private.utc_now(),
    updated_at timestamptz not null default private.utc_now(),
    check (num_nonnulls(percent, amount_usd) = 1),
    check (scope <> 'person' or percent is null),              -- persons have no limits
    check (scope <> 'company' or target_id is null),
    unique nulls not distinct (account_id, scope, target_id, percent, amount_usd)
);
create trigger touch before update on public.alert_rules for each row execute function private.touch();

-- When a company's spending was last read.
create table public.alert_looks (
    account_id uuid primary key references public.accounts on delete cascade,
    read_at    timestamptz not null default private.utc_now()
) with (fillfactor = 50);

create table public.suspension_settings (
    account_id uuid primary key references public.accounts on delete cascade,
    after_days integer check (after_days between 0 and 30),    -- null: no store is suspended by itself
    spared     uuid[] not null default '{}',                   -- stores that never are
    version    integer not null default 1
);

-- Thresholds that are reached; of several at once only the highest was told.
create table private.open_alerts (
    account_id uuid not null references public.accounts on delete cascade,
    scope_id   uuid not null,                                  -- the company, a store or a person
    month      date not null,
    mark       text not null,                                  -- the threshold: 80, or $50.00
    scope      text not null,
    limit_usd  numeric(14,6),                                  -- in force when it was reached
    reached_at timestamptz not null default private.utc_now(),
    primary key (account_id, scope_id, month, mark)
);

-- Stores that are to be suspended at due_at, or were.
create table private.automatic_suspensions (
    account_id   uuid not null,
    profile_id   uuid not null,
    month        date not null,
    due_at       timestamptz not null,
    suspended_at timestamptz,                                  -- equals the store's own while nobody else decided
    primary key (account_id, profile_id),
    foreign key (account_id, profile_id) references public.profiles (account_id, id) on delete cascade
);

alter table public.alert_rules enable row level security;
alter table public.alert_looks enable row level security;
alter table public.suspension_settings enable row level security;
grant select on public.alert_rules, public.alert_looks, public.suspension_settings to authenticated, service_role;
create policy "admins and finance read alerts, managers those of their stores" on public.alert_rules
    for select to authenticated
    using (account_id in (select private.my_account_ids('{admin,finance}'))
           or (scope = 'store' and (target_id in (select private.my_profile_ids())
                                    or (target_id is null and account_id in (select private.my_account_ids())))));
create policy "people read when their company's spending was read" on public.alert_looks for select to authenticated
    using (account_id in (select private.my_account_ids()));
create policy "admins and finance read what suspends stores" on public.suspension_settings for select to authenticated
    using (account_id in (select private.my_account_ids('{admin,finance}')));

-- What a company begins with; an admin may switch each of them off.
create function private.begin_alerts(p_account_id uuid) returns void language sql set search_path = '' as $$
    insert into public.alert_looks (account_id) values (p_account_id);
    insert into public.suspension_settings (account_id) values (p_account_id);
    insert into public.alert_rules (id, account_id, scope, percent)
    select gen_random_uuid(), p_account_id, s, p
    from unnest('{company,store}'::text[]) s cross join unnest('{50,80,90,100}'::integer[]) p
$$;
create function private.new_company_alerts() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    perform private.begin_alerts(new.id);
    return null;
end $$;
create trigger begin_alerts after insert on public.accounts
    for each row execute function private.new_company_alerts();
do $$ begin perform private.begin_alerts(a.id) from public.accounts a; end $$;

-- Holds and settlements tell nothing -----------------------------------------------------------------------------------

drop trigger notice on public.quota_changes;
drop function private.notice_quota_change();

-- What they have told: this month's is reached already and not told again, older is over.
insert into private.open_alerts (account_id, scope_id, month, mark, scope, limit_usd)
select n.account_id, coalesce(n.profile_id, n.account_id), private.month_of(private.utc_now()),
       n.facts ->> 'percent', case when n.profile_id is null then 'company' else 'store' end,
       (n.facts ->> 'limit_usd')::numeric
from public.notices n
where n.kind = 'quota' and n.resolved_at is null and n.dedupe_key = format(
    'quota:%s:%s:%s', coalesce(n.profile_id, n.account_id), private.month_of(private.utc_now()), n.facts ->> 'percent');
update public.notices n set resolved_at = private.utc_now()
where n.kind = 'quota' and n.resolved_at is null
  and n.facts ->> 'month' < to_char(private.month_of(private.utc_now()), 'YYYY-MM');

-- As in the beginning: without telling.
create or replace function private.check_limit(
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

create or replace function private.move_counter(
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

drop function private.look_at_quota(uuid, uuid, date);
drop function private.notice_quota(uuid, uuid, date, numeric, numeric);

-- Notices for one person alone -----------------------------------------------------------------------------------------

alter table public.notices add column person_id uuid references public.people on delete cascade;
comment on column public.notices.person_id is 'Told to this person alone, not to a role; null: to the roles of its kind';
create index notices_person on public.notices (person_id);
create index notices_told on public.notices (account_id, created_at desc);

drop policy "people read notices of their stores" on public.notices;
create policy "people read notices of their stores, and their own" on public.notices for select to authenticated
    using ((person_id = (select auth.uid()) and account_id in (select private.my_account_ids()))
           or (person_id is null
               and (profile_id in (select private.my_profile_ids())
                    or (profile_id is null
                        and (account_id in (select private.my_account_ids('{admin}'))
                             or (kind in ('quota', 'person_spending', 'spending_unreadable')
                                 and account_id in (select private.my_account_ids('{finance}'))))))));

-- As before; and of spending.
create or replace function private.notice_kinds() returns table (kind text, roles text[], email boolean)
language sql immutable set search_path = '' as $$
    values ('credential_dead', '{admin,manager}'::text[], true), ('job_failed', '{admin,manager}', false),
           ('quota', '{admin,manager,finance}', true), ('webhook_test', '{}', false),
           ('post_failed', '{admin,manager}', true), ('post_unconfirmed', '{admin,manager}', true),
           ('post_missed', '{admin,manager}', true), ('channel_reconnect', '{admin,manager}', true),
           ('channel_changed', '{admin,manager}', true),
           ('person_spending', '{admin,manager,finance}', true),  -- a manager: of their own only
           ('spending_unreadable', '{admin,finance}', true), ('store_suspension', '{admin,manager}', true)
$$;

-- As before, with p_person_id: they alone, as they wish to be told of this kind. A store's managers are looked up once,
-- not for each of the company's people.
drop function private.addressees(uuid, uuid, text);
create function private.addressees(p_account_id uuid, p_profile_id uuid, p_kind text, p_person_id uuid)
returns table (person_id uuid, inbox boolean, email boolean) language sql stable set search_path = '' as $$
    select m.person_id, coalesce(w.inbox, true), coalesce(w.email, k.email, false)
    from public.members m
    join public.people p on p.id = m.person_id and p.deactivated_at is null
    left join private.notice_kinds() k on k.kind = p_kind
    left join public.notice_preferences w
        on w.account_id = m.account_id and w.person_id = m.person_id and w.kind = p_kind
    where m.account_id = p_account_id and m.deactivated_at is null
      and (m.person_id = p_person_id
           or (p_person_id is null and m.role = any (coalesce(k.roles, '{admin,manager}'))
               and (m.role <> 'manager' or m.person_id in (
                   select pm.person_id from public.profile_members pm where pm.profile_id = p_profile_id))))
$$;

-- As before, with p_person_id.
drop function private.notice(uuid, text, text, jsonb, uuid, text);
create function private.notice(
    p_account_id uuid, p_kind text, p_text text, p_facts jsonb default '{}', p_profile_id uuid default null,
    p_dedupe text default null, p_person_id uuid default null
) returns uuid language plpgsql security definer set search_path = '' as $$
declare
    v_id uuid := gen_random_uuid();
begin
    insert into public.notices (id, account_id, profile_id, kind, text, facts, dedupe_key, person_id)
    values (v_id, p_account_id, p_profile_id, p_kind, left(btrim(p_text), 1000), coalesce(p_facts, '{}'),
            coalesce(p_dedupe, v_id::text), p_person_id)
    on conflict (account_id, dedupe_key) where resolved_at is null do nothing;
    if not found then
        return null;
    end if;
    insert into public.notice_readers (notice_id, person_id, account_id)
    select v_id, a.person_id, p_account_id
    from private.addressees(p_account_id, p_profile_id, p_kind, p_person_id) a where a.inbox;
    perform private.plan_deliveries(v_id, p_account_id, p_profile_id, p_kind);
    return v_id;
end $$;
grant execute on function private.notice(uuid, text, text, jsonb, uuid, text, uuid) to service_role;

-- As before; what one person alone is told is not for the company's webhook. Nothing is read of a table that grows while
-- many are told: a plan that was made for an empty one would be kept.
create or replace function private.plan_deliveries(p_notice_id uuid, p_account_id uuid, p_profile_id uuid, p_kind text)
returns void language plpgsql set search_path = '' as $$
declare
    v_person   uuid := (select n.person_id from public.notices n where n.id = p_notice_id);
    v_channels text[];
    v_channel  text;
    v_job      uuid;
begin
    if exists (select from public.accounts a where a.id = p_account_id and a.is_demo) then
        return;
    end if;
    with planned as (
        insert into private.notice_deliveries (notice_id, channel, target)
        select p_notice_id, 'email', a.person_id
        from private.addressees(p_account_id, p_profile_id, p_kind, v_person) a where a.email
        union all
        select p_notice_id, 'webhook', h.account_id from private.webhooks h
        where h.account_id = p_account_id and h.enabled and v_person is null
        returning channel)
    select coalesce(array_agg(distinct d.channel), '{}') into v_channels from planned d;
    foreach v_channel in array v_channels loop
        v_job := gen_random_uuid();
        insert into public.jobs (id, kind, slot, request_id)
        select v_job, 'send_' || v_channel, v_job::text, v_job
        where not exists (select from public.jobs j where j.kind = 'send_' || v_channel and j.status = 'pending');
    end loop;
end $$;

-- As before, of notices for one person too.
create or replace function private.delivery_facts(p_delivery private.notice_deliveries) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'id', p_delivery.id, 'token', p_delivery.token, 'attempts', p_delivery.attempts, 'notice_id', n.id,
        'kind', n.kind, 'text', n.text, 'facts', n.facts, 'created_at', n.created_at, 'resolved_at', n.resolved_at,
        'account_id', a.id, 'company', a.name, 'profile_id', s.id, 'store_code', s.code, 'store', s.name,
        'timezone', coalesce(s.timezone, a.timezone),
        'email', (select p.email from private.addressees(n.account_id, n.profile_id, n.kind, n.person_id) r
                  join public.people p on p.id = r.person_id
                  where r.person_id = p_delivery.target and r.email and p_delivery.channel = 'email'),
        'ciphertext', (select k.ciphertext from private.webhooks h join private.sealed_keys k on k.id = h.key_id
                       where h.account_id = p_delivery.target and h.enabled and p_delivery.channel = 'webhook'))
    from public.notices n join public.accounts a on a.id = n.account_id left join public.profiles s on s.id = n.profile_id
    where n.id = p_delivery.notice_id
$$;

-- What is spent, and what that reaches ---------------------------------------------------------------------------------

-- The company's and each store's counters beside the limit in force; null: none.
create function private.limits_now(p_account_id uuid, p_month date)
returns table (scope text, scope_id uuid, settled_usd numeric, used_usd numeric, limit_usd numeric)
language sql stable set search_path = '' as $$
    with quotas as (
        select 'company' as scope, a.id, a.monthly_quota_usd as usd from public.accounts a where a.id = p_account_id
        union all
        select 'store', p.id, p.monthly_quota_usd from public.profiles p where p.account_id = p_account_id),
    grants as (
        select coalesce(g.profile_id, p_account_id) as id, sum(g.amount_usd) as usd from public.quota_grants g
        where g.account_id = p_account_id and g.valid_from <= private.utc_now() and g.valid_until > private.utc_now()
        group by 1)
    select q.scope, q.id, coalesce(c.settled_usd, 0), coalesce(c.settled_usd + c.held_usd, 0),
           nullif(q.usd, 0) + coalesce(g.usd, 0)
    from quotas q
    left join grants g on g.id = q.id
    left join public.quota_counters c on c.scope_id = q.id and c.month = p_month
$$;

-- Whose spending a rule compares with what, where that is reached or was; people's is what was booked for them in all
-- stores. `open_limit_usd`: in force when it was reached.
create type private.watched as (
    scope text, scope_id uuid, mark text, percent integer, amount_usd numeric, threshold_usd numeric, used_usd numeric,
    limit_usd numeric, reached boolean, is_open boolean, open_limit_usd numeric
);

create function private.watched_spending(p_account_id uuid, p_month date) returns setof private.watched
language sql stable set search_path = '' as $$
    with rules as materialized (
        select r.*, coalesce(r.percent::text, private.usd_text(r.amount_usd)) as mark
        from public.alert_rules r where r.account_id = p_account_id and r.enabled),
    spending as materialized (                                 -- once, however few rows it is thought to have
        select l.scope, l.scope_id, l.used_usd, l.limit_usd from private.limits_now(p_account_id, p_month) l
        union all
        select 'person', u.user_id, sum(u.total_cost_usd), null from public.user_costs u
        where u.account_id = p_account_id and u.month = p_month and u.user_id is not null
          and exists (select from rules r where r.scope = 'person')
        group by u.user_id),
    compared as materialized (
        select s.scope, s.scope_id, r.mark, r.percent, r.amount_usd,
               coalesce(r.amount_usd, s.limit_usd * r.percent / 100) as threshold_usd, s.used_usd, s.limit_usd
        from spending s join rules r on r.scope = s.scope and (r.target_id is null or r.target_id = s.scope_id))
    select c.*, (c.used_usd >= c.threshold_usd) is true, o.mark is not null, o.limit_usd
    from compared c
    left join private.open_alerts o
        on o.account_id = p_account_id and o.scope_id = c.scope_id and o.month = p_month and o.mark = c.mark
    where c.used_usd >= c.threshold_usd or o.mark is not null
$$;

-- By which a threshold is told once a month.
create function private.alert_key(p_scope_id uuid, p_month date, p_mark text) returns text
language sql immutable set search_path = '' as $$ select format('quota:%s:%s:%s', p_scope_id, p_month, p_mark) $$;

-- The company's, the store's, Ada's.
create function private.whose(p_scope text, p_scope_id uuid) returns text language sql stable set search_path = '' as $$
    select case p_scope when 'company' then 'the company''s' when 'store' then 'the store''s'
                        else coalesce((select p.name from public.people p where p.id = p_scope_id), 'Somebody') || '''s' end
$$;

create function private.as_sentence(p_text text) returns text language sql immutable set search_path = '' as
    $$ select upper(left(p_text, 1)) || substr(p_text, 2) $$;

create function private.reached_text(w private.watched, p_whose text) returns text
language sql stable set search_path = '' as $$
    select private.as_sentence(case
        when w.scope = 'person' then
            format('%s spending this month has reached %s: %s are booked, in all stores.', p_whose,
                   private.usd_text(w.amount_usd), private.usd_text(w.used_usd))
        when w.percent is null then
            format('%s spending this month has reached %s: %s are spent or held by work under way.', p_whose,
                   private.usd_text(w.amount_usd), private.usd_text(w.used_usd))
        when w.percent = 100 then
            format('%s monthly quota of %s is used up: %s are spent or held by work under way. What costs more is refused '
                   'until the month ends (UTC) or an admin raises the quota.', p_whose, private.usd_text(w.limit_usd),
                   private.usd_text(w.used_usd))
        else
            format('%s %% of %s monthly quota of %s is used: %s are spent or held by work under way.', w.percent, p_whose,
                   private.usd_text(w.limit_usd), private.usd_text(w.used_usd)) end)
$$;

-- A person is told of their own spending as well, unless their role is anyway.
create function private.tell_reached(p_account_id uuid, p_month date, w private.watched) returns void
language plpgsql set search_path = '' as $$
declare
    v_facts jsonb := jsonb_strip_nulls(jsonb_build_object(
        'scope', w.scope, 'percent', w.percent, 'amount_usd', w.amount_usd::text, 'month', to_char(p_month, 'YYYY-MM'),
        'used_usd', w.used_usd::text, 'limit_usd', w.limit_usd::text,
        'person_id', case when w.scope = 'person' then w.scope_id end));
    v_key   text := private.alert_key(w.scope_id, p_month, w.mark);
begin
    perform private.notice(
        p_account_id, case w.scope when 'person' then 'person_spending' else 'quota' end,
        private.reached_text(w, private.whose(w.scope, w.scope_id)), v_facts,
        case w.scope when 'store' then w.scope_id end, v_key);
    if w.scope = 'person' and exists (select from public.members m
                                      where m.account_id = p_account_id and m.person_id = w.scope_id
                                        and m.role = 'manager') then
        perform private.notice(p_account_id, 'person_spending', private.reached_text(w, 'your'), v_facts,
                               p_dedupe => v_key || ':own', p_person_id => w.scope_id);
    end if;
end $$;

-- Open what is reached, for 100 at most; the highest threshold is told, unless a higher one has been. Returns for how many.
create function private.open_reached(p_account_id uuid, p_month date) returns integer
language plpgsql set search_path = '' as $$
declare
    v_new   record;
    v_count integer := 0;
begin
    for v_new in
        with watched as materialized (
            select x as w, x.scope_id, x.threshold_usd,
                   max(x.threshold_usd) filter (where x.is_open) over (partition by x.scope_id) as told_usd
            from private.watched_spending(p_account_id, p_month) x),
        reached as (select * from watched r where (r.w).reached and not (r.w).is_open),
        chosen as (select distinct r.scope_id from reached r order by r.scope_id limit 100),
        opened as (
            insert into private.open_alerts (account_id, scope_id, month, mark, scope, limit_usd)
            select p_account_id, r.scope_id, p_month, (r.w).mark, (r.w).scope, (r.w).limit_usd
            from reached r join chosen using (scope_id)
            on conflict do nothing)                            -- two rules may say the same
        select distinct on (r.scope_id) r.w, (r.threshold_usd <= r.told_usd) is not true as is_news
        from reached r join chosen using (scope_id)
        order by r.scope_id, r.threshold_usd desc, (r.w).percent
    loop
        if v_new.is_news then
            perform private.tell_reached(p_account_id, p_month, v_new.w);
        end if;
        v_count := v_count + 1;
    end loop;
    return v_count;
end $$;

-- Close what is over, for 100 at most: its month, its rule, or, since the limit was raised, its being reached. Money that
-- was held and came back ends nothing: near a limit, the same threshold would be told with every job. Returns for how many.
create function private.close_over(p_account_id uuid, p_month date) returns integer
language plpgsql set search_path = '' as $$
declare
    v_over  record;
    v_count integer := 0;
begin
    for v_over in
        with watched as materialized (
            select x.* from private.watched_spending(p_account_id, p_month) x where x.is_open),
        over as materialized (
            select o.scope, o.scope_id, o.month, o.mark, w.used_usd, w.limit_usd,
                   case when o.month < p_month then 'month' when w.mark is null then 'rule' else 'limit' end as why
            from private.open_alerts o
            left join watched w on w.scope_id = o.scope_id and w.mark = o.mark and o.month = p_month
            where o.account_id = p_account_id
              and (w.mark is null or (not w.reached and w.percent is not null
                                      and (w.limit_usd > w.open_limit_usd) is not false))),
        chosen as (select distinct v.scope_id from over v order by v.scope_id limit 100),
        closed as (
            delete from private.open_alerts o using over v join chosen using (scope_id)
            where o.account_id = p_account_id and (o.scope_id, o.month, o.mark) = (v.scope_id, v.month, v.mark))
        select v.scope, v.scope_id, v.why, v.used_usd, v.limit_usd,
               array_agg(private.alert_key(v.scope_id, v.month, v.mark)) as keys
        from over v join chosen using (scope_id)
        group by v.scope, v.scope_id, v.why, v.used_usd, v.limit_usd order by v.scope_id
    loop
        perform private.tell_over(p_account_id, v_over.why, v_over.scope, v_over.scope_id, v_over.used_usd,
                                  v_over.limit_usd, v_over.keys);
        v_count := v_count + 1;
    end loop;
    return v_count;
end $$;

create function private.over_text(p_why text, p_whose text, p_threshold text, p_used numeric, p_limit numeric) returns text
language sql stable set search_path = '' as $$
    select private.as_sentence(case
        when p_why = 'month' then
            format('a new month has begun (UTC): %s spending, which had reached %s, starts anew.', p_whose, p_threshold)
        when p_limit is null then
            format('there is no limit to %s spending any more; it had reached %s.', p_whose, p_threshold)
        else
            format('%s spending is below %s again: the limit is %s now, and %s are spent or held by work under way.', p_whose,
                   p_threshold, private.usd_text(p_limit), private.usd_text(p_used)) end)
$$;

-- Resolve what was told of these keys, and tell the same people once, naming the lowest threshold. A rule that an admin
-- switched off or removed ends quietly.
create function private.tell_over(
    p_account_id uuid, p_why text, p_scope text, p_scope_id uuid, p_used numeric, p_limit numeric, p_keys text[]
) returns void language plpgsql set search_path = '' as $$
declare
    v_keys text[] := p_keys || array(select k || ':own' from unnest(p_keys) k);
    v_told record;
begin
    for v_told in
        with resolved as (
            update public.notices n set resolved_at = private.utc_now()
            where n.account_id = p_account_id and n.resolved_at is null and n.dedupe_key = any (v_keys)
            returning n.*)
        select distinct on (r.person_id) r.* from resolved r where p_why <> 'rule'
        order by r.person_id, (r.facts ->> 'percent')::numeric, (r.facts ->> 'amount_usd')::numeric
    loop
        perform private.notice(
            p_account_id, v_told.kind,
            private.over_text(
                p_why, case when v_told.person_id is null then private.whose(p_scope, p_scope_id) else 'your' end,
                coalesce(v_told.facts ->> 'percent' || ' % of the monthly quota',
                         private.usd_text((v_told.facts ->> 'amount_usd')::numeric)), p_used, p_limit),
            v_told.facts || '{"resolved": true}', v_told.profile_id, p_person_id => v_told.person_id);
    end loop;
end $$;

-- Stores that suspend themselves ---------------------------------------------------------------------------------------

-- Whose quota is used up by what was really spent, held money apart, and who may be suspended for that.
create function private.exceeded_stores(p_account_id uuid, p_month date)
returns table (profile_id uuid, limit_usd numeric, settled_usd numeric) language sql stable set search_path = '' as $$
    select l.scope_id, l.limit_usd, l.settled_usd from private.limits_now(p_account_id, p_month) l
    where l.scope = 'store' and l.settled_usd >= l.limit_usd
$$;

-- Warn of what would come within this month.
create function private.announce_suspensions(p_account_id uuid, p_month date) returns void
language plpgsql set search_path = '' as $$
declare
    v_store record;
begin
    for v_store in
        with new as (
            insert into private.automatic_suspensions (account_id, profile_id, month, due_at)
            select p_account_id, e.profile_id, p_month, private.utc_now() + make_interval(days => t.after_days)
            from public.suspension_settings t cross join private.exceeded_stores(p_account_id, p_month) e
            join public.profiles s on s.id = e.profile_id
            where t.account_id = p_account_id and e.profile_id <> all (t.spared)
              and s.suspended_at is null and s.archived_at is null
              and private.utc_now() + make_interval(days => t.after_days)
                  < ((p_month + interval '1 month') at time zone 'UTC')
            on conflict do nothing returning profile_id, due_at)
        select n.profile_id, n.due_at, e.limit_usd from new n
        join private.exceeded_stores(p_account_id, p_month) e on e.profile_id = n.profile_id
        where n.due_at > private.utc_now() order by n.profile_id
    loop
        perform private.notice(
            p_account_id, 'store_suspension',
            format('The store''s monthly quota of %s is used up. If it still is on %s UTC, the store is suspended by itself: '
                   'nothing new can be made for it until an admin raises the quota, or the month ends (UTC).',
                   private.usd_text(v_store.limit_usd),
                   to_char(v_store.due_at at time zone 'UTC', 'FMDD Mon YYYY, HH24:MI')),
            jsonb_build_object('due_at', v_store.due_at, 'limit_usd', v_store.limit_usd::text), v_store.profile_id,
            format('suspension:%s:%s', v_store.profile_id, p_month));
    end loop;
end $$;

-- Suspend the stores whose grace is over, each under its counter: a quota that is being raised comes before or after.
create function private.suspend_due(p_account_id uuid, p_month date) returns void
language plpgsql set search_path = '' as $$
declare
    v_id      uuid;
    v_counter public.quota_counters;
    v_store   public.profiles;
    v_limit   numeric;
begin
    perform pg_advisory_xact_lock_shared(private.month_key(p_account_id, p_month));
    for v_id in select a.profile_id from private.automatic_suspensions a
                where a.account_id = p_account_id and a.suspended_at is null and a.due_at <= private.utc_now()
                order by a.profile_id loop
        v_counter := private.lock_counter(v_id, p_month, p_account_id);
        select * into v_store from public.profiles p where p.id = v_id for no key update;
        v_limit := private.limit_in_force(p_account_id, v_id);
        if v_store.suspended_at is null and v_store.archived_at is null and v_counter.settled_usd >= v_limit then
            perform private.suspend_exceeded(v_store, p_month, format(
                'The monthly quota of %s is used up: %s are spent. Suspended automatically.', private.usd_text(v_limit),
                private.usd_text(v_counter.settled_usd)));
        end if;
    end loop;
end $$;

create function private.suspend_exceeded(p_store public.profiles, p_month date, p_reason text) returns void
language plpgsql set search_path = '' as $$
begin
    update public.profiles p set suspended_at = private.utc_now(), suspended_reason = p_reason where p.id = p_store.id;
    update private.automatic_suspensions a set suspended_at = private.utc_now()
    where a.account_id = p_store.account_id and a.profile_id = p_store.id;
    perform private.audit(p_store.account_id, 'store_suspended', p_store.name, p_store.id, p_reason,
                          '{"suspended": null}', jsonb_build_object('suspended', p_reason));
    perform private.resolve_notice(p_store.account_id, format('suspension:%s:%s', p_store.id, p_month));
    perform private.notice(
        p_store.account_id, 'store_suspension',
        'The store is suspended. ' || p_reason || ' It opens by itself when an admin raises the quota, or when the next '
        'month begins (UTC).', jsonb_build_object('suspended', true), p_store.id,
        format('suspended:%s:%s', p_store.id, p_month));
end $$;

-- End what has lost its cause: an announcement also when an admin no longer wants it, a suspension only with its cause.
create function private.end_suspensions(p_account_id uuid, p_month date) returns void
language plpgsql set search_path = '' as $$
declare
    v_ended private.automatic_suspensions;
begin
    for v_ended in
        delete from private.automatic_suspensions a
        where a.account_id = p_account_id
          and (a.month < p_month
               or a.profile_id not in (select e.profile_id from private.exceeded_stores(p_account_id, p_month) e)
               or (a.suspended_at is null and exists (
                   select from public.suspension_settings t
                   where t.account_id = p_account_id and (t.after_days is null or a.profile_id = any (t.spared)))))
        returning a.*
    loop
        perform private.end_suspension(v_ended, case when v_ended.month < p_month then 'A new month has begun (UTC).'
                                                     else 'Its spending is below its limit again.' end);
    end loop;
end $$;

create function private.end_suspension(p_ended private.automatic_suspensions, p_why text) returns void
language plpgsql set search_path = '' as $$
declare
    v_store public.profiles;
    v_told  text;
begin
    select * into v_store from public.profiles p where p.id = p_ended.profile_id for no key update;
    if p_ended.suspended_at is null then
        v_told := 'The store is not going to be suspended any more.';
    elsif v_store.suspended_at = p_ended.suspended_at then     -- else an admin has decided since then
        update public.profiles p set suspended_at = null, suspended_reason = null where p.id = v_store.id;
        perform private.audit(v_store.account_id, 'suspension_lifted', v_store.name, v_store.id, p_why,
                              jsonb_build_object('suspended', v_store.suspended_reason), '{"suspended": null}');
        v_told := 'The store is open again. ' || p_why;
    end if;
    update public.notices n set resolved_at = private.utc_now()
    where n.account_id = p_ended.account_id and n.resolved_at is null
      and n.dedupe_key in (format('suspension:%s:%s', v_store.id, p_ended.month),
                           format('suspended:%s:%s', v_store.id, p_ended.month));
    if found and v_told is not null then
        perform private.notice(v_store.account_id, 'store_suspension', v_told, '{"resolved": true}', v_store.id);
    end if;
end $$;

-- The look -------------------------------------------------------------------------------------------------------------

-- Once for as long as it lasts, for whatever reason.
create function private.tell_unreadable(p_account_id uuid) returns void language plpgsql set search_path = '' as $$
begin
    perform private.notice(
        p_account_id, 'spending_unreadable',
        'Spending cannot be read, so there are no alerts and no store is suspended or opened by itself. Limits hold all the '
        'same. It is tried again each minute; the worker''s log says what is wrong.', p_dedupe => 'spending_unreadable');
end $$;

create function private.note_read(p_account_id uuid) returns void language plpgsql set search_path = '' as $$
begin
    update public.alert_looks k set read_at = private.utc_now() where k.account_id = p_account_id;
    update public.notices n set resolved_at = private.utc_now()
    where n.account_id = p_account_id and n.dedupe_key = 'spending_unreadable' and n.resolved_at is null;
    if found then
        perform private.notice(p_account_id, 'spending_unreadable', 'Spending can be read again. Alerts work as before.',
                               '{"resolved": true}');
    end if;
end $$;

-- Look at a company's spending, and tell what is new. One at a time; the same again changes nothing. Returns {unreadable:
-- why it cannot be read, more: whether there is more to tell}. What passes by itself is the caller's to try again.
create function private.look_at_alerts(p_account_id uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_month date := private.month_of(private.utc_now());
    v_told  integer;
begin
    perform from public.alert_looks k where k.account_id = p_account_id for no key update;
    if not found then
        return '{"unreadable": null, "more": false}';          -- the company was erased
    end if;
    begin
        v_told := greatest(private.close_over(p_account_id, v_month), private.open_reached(p_account_id, v_month));
        perform private.end_suspensions(p_account_id, v_month);
        perform private.announce_suspensions(p_account_id, v_month);
        perform private.suspend_due(p_account_id, v_month);
        perform private.note_read(p_account_id);
    exception when others then
        if sqlstate in ('40001', '40P01', '55P03') then
            raise;
        end if;
        perform private.tell_unreadable(p_account_id);
        return jsonb_build_object('unreadable', sqlerrm, 'more', false);
    end;
    return jsonb_build_object('unreadable', null, 'more', v_told >= 100);
end $$;

-- Tell of the companies whose spending nobody has read for ten minutes, whatever hinders it. Returns how many.
create function private.tell_unread_spending() returns integer
language plpgsql security definer set search_path = '' as $$
declare
    v_count integer;
begin
    perform private.tell_unreadable(k.account_id) from public.alert_looks k
    where k.read_at < private.utc_now() - interval '10 minutes';
    get diagnostics v_count = row_count;
    return v_count;
end $$;

create function private.alert_companies() returns jsonb language sql stable security definer set search_path = '' as
    $$ select coalesce(jsonb_agg(k.account_id order by k.account_id), '[]') from public.alert_looks k $$;

create function public.look_at_alerts(p_account_id uuid) returns jsonb language sql set search_path = '' as
    $$ select private.look_at_alerts(p_account_id) $$;
create function public.tell_unread_spending() returns integer language sql set search_path = '' as
    $$ select private.tell_unread_spending() $$;
create function public.alert_companies() returns jsonb language sql stable set search_path = '' as
    $$ select private.alert_companies() $$;
grant execute on function
    public.look_at_alerts(uuid), private.look_at_alerts(uuid),
    public.tell_unread_spending(), private.tell_unread_spending(),
    public.alert_companies(), private.alert_companies()
    to service_role;

-- What admins set ------------------------------------------------------------------------------------------------------

-- Quay: 80 % of the monthly quota. Every person: $50.00 a month.
create function private.rule_words(r public.alert_rules) returns text language sql stable set search_path = '' as $$
    select format('%s: %s',
        case when r.scope = 'company' then 'The company' when r.target_id is null then 'Every ' || r.scope
             when r.scope = 'store' then (select p.name from public.profiles p where p.id = r.target_id)
             else (select p.name from public.people p where p.id = r.target_id) end,
        coalesce(r.percent || ' % of the monthly quota', private.usd_text(r.amount_usd) || ' a month'))
$$;

create function private.check_rule(r public.alert_rules) returns void language plpgsql stable set search_path = '' as $$
begin
    if (r.scope in ('company', 'store', 'person')) is not true or (r.scope = 'company' and r.target_id is not null) then
        perform private.fail('PT400', 'An alert is for the company, a store or a person.', '{"field": "scope"}');
    elsif num_nonnulls(r.percent, r.amount_usd) <> 1 or (r.scope = 'person' and r.percent is not null) then
        perform private.fail('PT400', 'An alert has a share of the quota or an amount; a person''s has an amount.',
                             '{"field": "threshold"}');
    elsif r.percent not between 1 and 200 then
        perform private.fail('PT400', 'A share is a whole number of percent from 1 to 200.', '{"field": "threshold"}');
    elsif r.target_id is not null
        and not exists (select from public.profiles p where p.id = r.target_id and p.account_id = r.account_id
                        and p.archived_at is null and r.scope = 'store')
        and not exists (select from public.members m where m.person_id = r.target_id and m.account_id = r.account_id
                        and r.scope = 'person') then
        perform private.fail('PT404', 'Store or person not found.');
    end if;
end $$;

-- p_target_id null: every store, or every person. The same id again changes nothing.
create function private.add_alert_rule(
    p_id uuid, p_account_id uuid, p_scope text, p_target_id uuid, p_percent integer, p_amount_usd numeric, p_reason text
) returns void language plpgsql security definer set search_path = '' as $$
declare
    v_rule   public.alert_rules;
    v_reason text;
begin
    perform private.only_admin(p_account_id, 'adds an alert');
    if p_amount_usd is not null
        and (p_amount_usd between 0.01 and 99999999 and p_amount_usd = round(p_amount_usd, 2)) is not true then
        perform private.fail('PT400', 'An amount is at least $0.01, at most $99,999,999, in whole cents.',
                             '{"field": "threshold"}');
    end if;
    v_rule := row(p_id, p_account_id, p_scope, p_target_id, p_percent, p_amount_usd, true, auth.uid(), private.utc_now(),
                  private.utc_now());
    perform private.check_rule(v_rule);
    v_reason := private.given_reason(p_reason);
    insert into public.alert_rules select v_rule.* on conflict do nothing;
    if found then
        perform private.audit(p_account_id, 'alert_added', private.rule_words(v_rule), private.store_of_rule(v_rule),
                              v_reason);
    elsif not exists (select from public.alert_rules r where r.id = p_id and r.account_id = p_account_id) then
        perform private.fail('PT409', 'There is such an alert already. If it is off, switch it on.',
                             '{"field": "threshold"}');
    end if;
end $$;

create function private.store_of_rule(r public.alert_rules) returns uuid language sql immutable set search_path = '' as
    $$ select case r.scope when 'store' then r.target_id end $$;

-- An admin's rule, locked.
create function private.rule_of_admin(p_rule_id uuid, p_does text) returns public.alert_rules
language plpgsql set search_path = '' as $$
declare
    v_rule public.alert_rules;
begin
    select * into v_rule from public.alert_rules r
    where r.id = p_rule_id and r.account_id in (select private.my_account_ids()) for no key update;
    if not found then
        perform private.fail('PT404', 'Alert not found.');
    end if;
    perform private.only_admin(v_rule.account_id, p_does);
    return v_rule;
end $$;

create function private.switch_alert_rule(p_rule_id uuid, p_enabled boolean, p_reason text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_rule   public.alert_rules := private.rule_of_admin(p_rule_id, 'switches an alert on or off');
    v_reason text := private.given_reason(p_reason);
begin
    if p_enabled is null then
        perform private.fail('PT400', 'Say whether the alert is to be on.');
    elsif v_rule.enabled = p_enabled then
        perform private.fail('PT409', 'Somebody switched this alert meanwhile.');
    end if;
    update public.alert_rules r set enabled = p_enabled where r.id = p_rule_id;
    perform private.audit(v_rule.account_id, 'alert_switched', private.rule_words(v_rule), private.store_of_rule(v_rule),
                          v_reason, jsonb_build_object('on', v_rule.enabled), jsonb_build_object('on', p_enabled));
end $$;

-- Tell whoever asks, and nobody else, as the rule would tell them. Returns {inbox, email}: which ways they wish.
create function private.test_alert_rule(p_rule_id uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_rule public.alert_rules := private.rule_of_admin(p_rule_id, 'tests an alert');
    v_kind text := case v_rule.scope when 'person' then 'person_spending' else 'quota' end;
begin
    perform pg_advisory_xact_lock(hashtextextended('alert test ' || auth.uid(), 20261121));
    if exists (select from public.notices n
               where n.person_id = auth.uid() and n.facts ? 'test'
                 and n.created_at > private.utc_now() - interval '10 seconds') then
        perform private.fail('PT429', 'A test was sent just now. Wait a few seconds.', '{"seconds": 10}');
    end if;
    perform private.notice(
        v_rule.account_id, v_kind,
        format('This is a test of the alert “%s”. Nothing has happened.', private.rule_words(v_rule)),
        '{"test": true}', private.store_of_rule(v_rule), p_person_id => auth.uid());
    return (select jsonb_build_object('inbox', a.inbox, 'email', a.email and not c.is_demo)
            from private.addressees(v_rule.account_id, null, v_kind, auth.uid()) a
            join public.accounts c on c.id = v_rule.account_id);
end $$;

-- p_after_days null: no store is suspended by itself. What was announced keeps its day. Returns the version afterwards.
create function private.save_suspension(
    p_account_id uuid, p_after_days integer, p_spared uuid[], p_version integer, p_reason text
) returns integer language plpgsql security definer set search_path = '' as $$
declare
    v_old    public.suspension_settings;
    v_spared uuid[] := array(select distinct s from unnest(p_spared) s order by s);
    v_reason text;
begin
    perform private.only_admin(p_account_id, 'decides which stores suspend themselves');
    v_reason := private.given_reason(p_reason);
    if p_after_days not between 0 and 30 then
        perform private.fail('PT400', 'A store is suspended after 0 to 30 days.', '{"field": "after_days"}');
    elsif exists (select from unnest(v_spared) s where s not in (
        select p.id from public.profiles p where p.account_id = p_account_id)) then
        perform private.fail('PT404', 'Store not found.');
    end if;
    select * into v_old from public.suspension_settings t where t.account_id = p_account_id for no key update;
    perform private.expect_version(v_old.version, p_version);
    update public.suspension_settings t set after_days = p_after_days, spared = v_spared, version = t.version + 1
    where t.account_id = p_account_id;
    perform private.audit(
        p_account_id, 'automatic_suspension_changed', null, null, v_reason,
        jsonb_build_object('after_days', v_old.after_days, 'spared', private.codes_of(v_old.spared)),
        jsonb_build_object('after_days', p_after_days, 'spared', private.codes_of(v_spared)));
    return v_old.version + 1;
end $$;

create function private.codes_of(p_profile_ids uuid[]) returns jsonb language sql stable set search_path = '' as
    $$ select coalesce(jsonb_agg(p.code order by p.code), '[]') from public.profiles p where p.id = any (p_profile_ids) $$;

create function public.add_alert_rule(
    p_id uuid, p_account_id uuid, p_scope text, p_target_id uuid, p_percent integer, p_amount_usd numeric, p_reason text
) returns void language sql set search_path = '' as
    $$ select private.add_alert_rule(p_id, p_account_id, p_scope, p_target_id, p_percent, p_amount_usd, p_reason) $$;
create function public.switch_alert_rule(p_rule_id uuid, p_enabled boolean, p_reason text) returns void
language sql set search_path = '' as $$ select private.switch_alert_rule(p_rule_id, p_enabled, p_reason) $$;
create function public.test_alert_rule(p_rule_id uuid) returns jsonb language sql set search_path = '' as
    $$ select private.test_alert_rule(p_rule_id) $$;
create function public.save_suspension(
    p_account_id uuid, p_after_days integer, p_spared uuid[], p_version integer, p_reason text
) returns integer language sql set search_path = '' as
    $$ select private.save_suspension(p_account_id, p_after_days, p_spared, p_version, p_reason) $$;
grant execute on function
    public.add_alert_rule(uuid, uuid, text, uuid, integer, numeric, text),
    private.add_alert_rule(uuid, uuid, text, uuid, integer, numeric, text),
    public.switch_alert_rule(uuid, boolean, text), private.switch_alert_rule(uuid, boolean, text),
    public.test_alert_rule(uuid), private.test_alert_rule(uuid),
    public.save_suspension(uuid, integer, uuid[], integer, text),
    private.save_suspension(uuid, integer, uuid[], integer, text)
    to authenticated;
