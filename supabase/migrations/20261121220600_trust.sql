-- Why the numbers can be trusted: checks of every month against the ledger, kept with their time; sums made anew by a job,
-- month by month; and texts of entries that are not kept for ever, apart from the amounts, which are.

-- The last check of a company's month.
create table public.money_checks (
    account_id  uuid not null references public.accounts on delete cascade,
    month       date not null,
    checked_at  timestamptz not null,
    seq         bigint not null,                               -- the ledger's last entry that is in it
    differences integer not null,
    differing   jsonb not null default '[]',                   -- the first hundred: {scope_id, what, stored, ledger}
    primary key (account_id, month)
);
alter table public.money_checks enable row level security;
grant select on public.money_checks to authenticated, service_role;
create policy "admins and finance read their company's checks" on public.money_checks for select to authenticated
    using (account_id in (select private.my_account_ids('{admin,finance}')));

-- Checking --------------------------------------------------------------------------------------------------------------

-- What must hold of a month beside its sums. A limit only binds where each hold of the month was granted under one; a
-- hold of nothing may be granted beyond it and adds nothing.
create function private.check_promises(p_account_id uuid, p_month date)
returns table (scope_id uuid, what text, stored numeric, ledger numeric)
language sql stable set search_path = '' as $$
    with holds as materialized (
        select * from public.cost_holds h where h.account_id = p_account_id and h.month = p_month),
    booked as materialized (
        select e.request_id, e.profile_id, sum(e.cost_usd) as usd, sum(e.overrun_usd) as overrun
        from public.cost_entries e
        where e.account_id = p_account_id and e.booked_on >= p_month and e.booked_on < p_month + interval '1 month'
        group by e.request_id, e.profile_id),
    limits as (
        select h.profile_id as scope_id, max(h.limit_usd) as usd from holds h where h.estimate_usd > 0
        group by h.profile_id having bool_and(h.limit_usd is not null)
        union all
        select p_account_id, max(h.company_limit_usd) from holds h where h.estimate_usd > 0
        having bool_and(h.company_limit_usd is not null)),
    overruns as (
        select coalesce(b.profile_id, p_account_id) as scope_id, sum(b.overrun) as usd
        from booked b group by grouping sets ((b.profile_id), ()))
    select h.profile_id, 'hold ' || h.request_id, h.booked_usd, coalesce(b.usd, 0)
    from holds h left join booked b on b.request_id = h.request_id
    where h.booked_usd <> coalesce(b.usd, 0)
    union all
    select h.profile_id, 'closed hold ' || h.request_id, h.held_usd, 0
    from holds h where h.state in ('settled', 'released') and h.held_usd <> 0
    union all
    select h.profile_id, 'left after hold ' || h.request_id, h.left_usd, 0
    from holds h where h.estimate_usd > 0 and h.left_usd < 0
    union all
    select c.scope_id, 'overrun', c.overrun_usd, coalesce(o.usd, 0)
    from public.quota_counters c left join overruns o on o.scope_id = c.scope_id
    where c.account_id = p_account_id and c.month = p_month and c.overrun_usd <> coalesce(o.usd, 0)
    union all
    select c.scope_id, 'settled and held beyond the limit', c.settled_usd + c.held_usd, l.usd + c.overrun_usd
    from public.quota_counters c join limits l on l.scope_id = c.scope_id
    where c.month = p_month and c.settled_usd + c.held_usd > l.usd + c.overrun_usd
$$;

-- The ledger's numbers run from 1 to its counter's without a gap; that none comes twice is the table's promise.
create function private.check_order(p_account_id uuid)
returns table (scope_id uuid, what text, stored numeric, ledger numeric)
language sql stable set search_path = '' as $$
    select p_account_id, 'entries and their numbers', x.last_seq, x.entries
    from (select coalesce((select c.last_seq from private.ledger_counters c where c.account_id = p_account_id), 0)
                     as last_seq,
                 count(*) as entries, coalesce(min(e.seq), 1) as first, coalesce(max(e.seq), 0) as last
          from public.cost_entries e where e.account_id = p_account_id) x
    where (x.entries, x.first, x.last) is distinct from (x.last_seq, 1, x.last_seq)
$$;

-- Check a month, the present one with the ledger's order, and keep what was found. One statement, hence one picture of
-- the ledger and its sums, whoever writes meanwhile. Returns the number of differences.
create function private.keep_money_check(p_account_id uuid, p_month date) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    v_month date := date_trunc('month', p_month::timestamp)::date;
    v_count integer;
begin
    insert into public.money_checks as m (account_id, month, checked_at, seq, differences, differing)
    select p_account_id, v_month, private.utc_now(),
           coalesce((select c.last_seq from private.ledger_counters c where c.account_id = p_account_id), 0), count(*),
           coalesce(jsonb_agg(jsonb_build_object('scope_id', d.scope_id, 'what', d.what, 'stored', d.stored::text,
                                                 'ledger', d.ledger::text) order by d.n) filter (where d.n <= 100), '[]')
    from (select x.*, row_number() over (order by x.what, x.scope_id) as n
          from (select * from private.check_money(p_account_id, v_month)
                union all select * from private.check_promises(p_account_id, v_month)
                union all select * from private.check_order(p_account_id)
                where v_month = private.month_of(private.utc_now())) x) d
    on conflict (account_id, month) do update
    set checked_at = excluded.checked_at, seq = excluded.seq, differences = excluded.differences,
        differing = excluded.differing
    where m.checked_at <= excluded.checked_at                  -- not by a check that began before
    returning m.differences into v_count;
    return coalesce(v_count, 0);
end $$;

-- Tell admins and finance when sums begin to differ, and when all are equal again. One at a time: see notices.sql.
create function private.tell_money(p_account_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_found record;
begin
    perform pg_advisory_xact_lock(hashtextextended('tell money ' || p_account_id, 20261121));
    select sum(m.differences) as differences, min(m.month) as first, max(m.month) as last into v_found
    from public.money_checks m where m.account_id = p_account_id and m.differences > 0;
    if v_found.differences > 0 then
        perform private.notice(
            p_account_id, 'money_differs',
            format('%s sums differ from the ledger (%s). The Costs page shows which; an admin can make them anew there.',
                   v_found.differences,
                   concat_ws(' to ', to_char(v_found.first, 'YYYY-MM'),
                             to_char(nullif(v_found.last, v_found.first), 'YYYY-MM'))),
            jsonb_build_object('differences', v_found.differences, 'first_month', to_char(v_found.first, 'YYYY-MM'),
                               'last_month', to_char(v_found.last, 'YYYY-MM')), null, 'money_differs');
    elsif exists (select from public.notices n where n.account_id = p_account_id and n.dedupe_key = 'money_differs'
                  and n.resolved_at is null) then
        perform private.resolve_notice(p_account_id, 'money_differs');
        perform private.notice(p_account_id, 'money_equal', 'All sums equal the ledger again.');
    end if;
end $$;

-- Months from the first in which something was booked or held to the present; p_recent: the last two, and those that
-- differed when they were checked last or were never checked.
create function private.money_months(p_account_id uuid, p_recent boolean) returns date[]
language sql stable security definer set search_path = '' as $$
    with now as (select private.month_of(private.utc_now()) as month)
    select array(
        select m.month::date
        from now, generate_series(
            least((select date_trunc('month', min(e.booked_on)::timestamp) from public.cost_entries e
                   where e.account_id = p_account_id),
                  (select min(c.month)::timestamp from public.quota_counters c where c.account_id = p_account_id),
                  now.month - interval '1 month'),
            now.month::timestamp, interval '1 month') m(month)
        where not p_recent or m.month >= now.month - interval '1 month'
           or not exists (select from public.money_checks k
                          where k.account_id = p_account_id and k.month = m.month::date and k.differences = 0)
        order by 1)
$$;

-- What people see and order --------------------------------------------------------------------------------------------

-- {checked_at, seq, months, differences, differing: the first hundred by month, job_id, read_at}; checked_at and seq are the
-- last check's, null before the first, job_id is of a check or rebuild under way, read_at when spending was last read.
create function private.money_trust(p_account_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
    if p_account_id is null or p_account_id not in (select private.my_account_ids()) then
        perform private.fail('PT404', 'Company not found.');
    elsif p_account_id not in (select private.my_account_ids('{admin,finance}')) then
        perform private.fail('PT403', 'Admins and finance see the checks of the company''s sums.');
    end if;
    return (
        select jsonb_build_object(
            'checked_at', max(m.checked_at), 'seq', max(m.seq), 'months', count(*), 'differences', coalesce(sum(m.differences), 0),
            'differing', coalesce((
                select jsonb_agg(x.line order by x.month, x.n)
                from (select k.month, d.n, d.line || jsonb_build_object(
                                 'month', k.month, 'store', (select p.name from public.profiles p
                                                             where p.id = (d.line ->> 'scope_id')::uuid)) as line
                      from public.money_checks k
                      cross join lateral jsonb_array_elements(k.differing) with ordinality d(line, n)
                      where k.account_id = p_account_id and k.differences > 0
                      order by k.month, d.n limit 100) x), '[]'),
            'job_id', (select j.id from public.jobs j
                       where j.account_id = p_account_id and j.kind in ('check_money_of', 'rebuild_costs')
                         and j.status in ('pending', 'running') order by j.created_at desc limit 1),
            'read_at', (select l.read_at from public.alert_looks l where l.account_id = p_account_id))
        from public.money_checks m where m.account_id = p_account_id);
end $$;

-- One job a company at a time: who orders while one is under way follows that.
create function private.order_money_job(p_job_id uuid, p_account_id uuid, p_kind text) returns uuid
language plpgsql set search_path = '' as $$
declare
    v_open public.jobs;
begin
    perform pg_advisory_xact_lock(hashtextextended('money job ' || p_account_id, 20261121));
    select * into v_open from public.jobs j
    where j.account_id = p_account_id and j.kind in ('check_money_of', 'rebuild_costs')
      and j.status in ('pending', 'running') order by j.created_at desc limit 1;
    if not found then
        insert into public.jobs (id, account_id, kind, request_id, created_by)
        values (p_job_id, p_account_id, p_kind, p_job_id, auth.uid());
        return p_job_id;
    elsif v_open.kind <> p_kind then
        perform private.fail('PT409', format('%s is under way. Wait until it has ended.',
            case v_open.kind when 'rebuild_costs' then 'A rebuild' else 'A check' end));
    end if;
    return v_open.id;
end $$;

create function private.order_money_check(p_job_id uuid, p_account_id uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
begin
    if p_account_id is null or p_account_id not in (select private.my_account_ids()) then
        perform private.fail('PT404', 'Company not found.');
    elsif p_account_id not in (select private.my_account_ids('{admin,finance}')) then
        perform private.fail('PT403', 'Admins and finance have the company''s sums checked.');
    end if;
    return private.order_money_job(p_job_id, p_account_id, 'check_money_of');
end $$;

create function private.order_cost_rebuild(p_job_id uuid, p_account_id uuid, p_reason text) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    v_reason text;
    v_job    uuid;
begin
    perform private.only_admin(p_account_id, 'has the sums made anew');
    v_reason := private.given_reason(p_reason);
    v_job := private.order_money_job(p_job_id, p_account_id, 'rebuild_costs');
    if v_job = p_job_id then
        perform private.audit(p_account_id, 'costs_rebuilt', null, null, v_reason);
    end if;
    return v_job;
end $$;

-- Texts of entries ------------------------------------------------------------------------------------------------------

alter table public.accounts
    add column preview_days        integer check (preview_days between 30 and 3650),  -- null: kept for ever
    add column previews_gone_until timestamptz;                -- texts written before it are not kept any more

alter table public.cost_entry_details add column created_at timestamptz not null default private.utc_now();
update public.cost_entry_details d set created_at = e.settled_at from public.cost_entries e where e.id = d.entry_id;
create index cost_entry_details_age on public.cost_entry_details (account_id, created_at);

create function private.set_preview_days(p_account_id uuid, p_days integer, p_reason text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_before integer;
    v_reason text;
begin
    perform private.only_admin(p_account_id, 'decides how long texts are kept');
    v_reason := private.given_reason(p_reason);
    if p_days not between 30 and 3650 then
        perform private.fail('PT400', 'Texts are kept 30 to 3,650 days, or for ever.', '{"field": "preview_days"}');
    end if;
    select a.preview_days into v_before from public.accounts a where a.id = p_account_id for no key update;
    if v_before is not distinct from p_days then
        return;
    end if;
    update public.accounts a set preview_days = p_days where a.id = p_account_id;
    perform private.audit(p_account_id, 'preview_days_changed', null, null, v_reason,
                          jsonb_build_object('days', v_before), jsonb_build_object('days', p_days));
end $$;

-- Delete at most p_limit texts of one company that are older than it keeps them; returns how many were. What else is
-- written there stays.
create function private.forget_previews(p_account_id uuid, p_limit integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    v_until timestamptz;
    v_count integer;
begin
    select private.utc_now() - make_interval(days => a.preview_days) into v_until
    from public.accounts a where a.id = p_account_id;
    if v_until is null then
        return 0;
    end if;
    with old as materialized (
        select x.entry_id, x.details - 'preview' as rest from public.cost_entry_details x
        where x.account_id = p_account_id and x.created_at < v_until and x.details ? 'preview'
        order by x.created_at limit p_limit),
    kept as (
        update public.cost_entry_details d set details = o.rest from old o
        where d.entry_id = o.entry_id and o.rest <> '{}'),
    gone as (
        delete from public.cost_entry_details d using old o where d.entry_id = o.entry_id and o.rest = '{}')
    select count(*) into v_count from old;
    update public.accounts a set previews_gone_until = v_until
    where a.id = p_account_id and v_count > 0 and v_until > coalesce(a.previews_gone_until, '-infinity');
    return v_count;
end $$;

-- As before; says of an entry without its text whether it may have had one that is not kept any more.
alter function private.cost_entry_json(public.cost_entries) rename to cost_entry_facts;

create function private.cost_entry_json(e public.cost_entries) returns jsonb
language sql stable set search_path = '' as $$
    select f.facts || jsonb_build_object('preview_gone', f.facts ->> 'preview' is null and e.settled_at < coalesce(
        (select a.previews_gone_until from public.accounts a where a.id = e.account_id), '-infinity'))
    from (select private.cost_entry_facts(e) as facts) f
$$;

-- Notices ---------------------------------------------------------------------------------------------------------------

-- As before; and of sums that differ from the ledger.
alter function private.notice_kinds() rename to notice_kinds_before_trust;
create function private.notice_kinds() returns table (kind text, roles text[], email boolean)
language sql immutable set search_path = '' as $$
    select * from private.notice_kinds_before_trust()
    union all
    values ('money_differs', '{admin,finance}'::text[], true), ('money_equal', '{admin,finance}', false)
$$;

create function private.finance_notice_kinds() returns setof text
language sql stable security definer set search_path = '' as $$
    select k.kind from private.notice_kinds() k where 'finance' = any (k.roles)
$$;
grant execute on function private.finance_notice_kinds() to authenticated;

-- As before; and finance reads every notice of the company that finance is told of. One policy, not two: each would be
-- asked for each row.
do $$
declare
    v_policy record;
begin
    select p.polname, pg_get_expr(p.polqual, p.polrelid) as condition into strict v_policy
    from pg_policy p where p.polrelid = 'public.notices'::regclass and p.polcmd = 'r';
    execute format('alter policy %I on public.notices using ((%s) or (profile_id is null '
                   'and account_id in (select private.my_account_ids(''{finance}'')) '
                   'and kind in (select private.finance_notice_kinds())))', v_policy.polname, v_policy.condition);
end $$;

-- Public names ----------------------------------------------------------------------------------------------------------

create function public.keep_money_check(p_account_id uuid, p_month date) returns integer
language sql set search_path = '' as $$ select private.keep_money_check(p_account_id, p_month) $$;
create function public.tell_money(p_account_id uuid) returns void
language sql set search_path = '' as $$ select private.tell_money(p_account_id) $$;
create function public.money_months(p_account_id uuid, p_recent boolean default false) returns date[]
language sql stable set search_path = '' as $$ select private.money_months(p_account_id, p_recent) $$;
create function public.forget_previews(p_account_id uuid, p_limit integer) returns integer
language sql set search_path = '' as $$ select private.forget_previews(p_account_id, p_limit) $$;
create function public.money_trust(p_account_id uuid) returns jsonb
language sql stable set search_path = '' as $$ select private.money_trust(p_account_id) $$;
create function public.order_money_check(p_job_id uuid, p_account_id uuid) returns uuid
language sql set search_path = '' as $$ select private.order_money_check(p_job_id, p_account_id) $$;
create function public.order_cost_rebuild(p_job_id uuid, p_account_id uuid, p_reason text) returns uuid
language sql set search_path = '' as $$ select private.order_cost_rebuild(p_job_id, p_account_id, p_reason) $$;
create function public.set_preview_days(p_account_id uuid, p_days integer, p_reason text) returns void
language sql set search_path = '' as $$ select private.set_preview_days(p_account_id, p_days, p_reason) $$;

grant execute on function
    public.keep_money_check(uuid, date), private.keep_money_check(uuid, date),
    public.tell_money(uuid), private.tell_money(uuid),
    public.money_months(uuid, boolean), private.money_months(uuid, boolean),
    public.forget_previews(uuid, integer), private.forget_previews(uuid, integer)
    to service_role;
grant execute on function
    public.money_trust(uuid), private.money_trust(uuid),
    public.order_money_check(uuid, uuid), private.order_money_check(uuid, uuid),
    public.order_cost_rebuild(uuid, uuid, text), private.order_cost_rebuild(uuid, uuid, text),
    public.set_preview_days(uuid, integer, text), private.set_preview_days(uuid, integer, text)
    to authenticated;
