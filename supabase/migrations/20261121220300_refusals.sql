-- Why was I refused? What a refusal said stays with its job, and how it stands now can be asked at any time: limits with
-- what raised them, what is held and by whom, who can raise it, and what stands in a job's way.

-- Facts -----------------------------------------------------------------------------------------------------------------

-- Why the job's last order was refused: {error, message, at} and, of a quota, the amounts of its arithmetic as text.
alter table public.jobs add column refusal jsonb;
create index jobs_refused on public.jobs (account_id, finished_at desc) where refusal is not null;

-- A job that runs again is refused no more.
create function private.forget_refusal() returns trigger language plpgsql set search_path = '' as $$
begin
    new.refusal := null;
    return new;
end $$;
create trigger forget_refusal before update of status on public.jobs for each row
    when (old.refusal is not null and new.status in ('pending', 'running', 'completed'))
    execute function private.forget_refusal();

alter function private.fail_job(uuid, uuid, text, numeric) rename to fail_attempt;
revoke execute on function private.fail_attempt(uuid, uuid, text, numeric) from service_role;
drop function public.fail_job(uuid, uuid, text, numeric);

-- As before; p_refusal says why an order was refused, where that is what failed it for good.
create function private.fail_job(
    p_job_id uuid, p_attempt_token uuid, p_error text, p_retry_seconds numeric, p_refusal jsonb
) returns text language plpgsql security definer set search_path = '' as $$
declare
    v_status text := private.fail_attempt(p_job_id, p_attempt_token, p_error, p_retry_seconds);
begin
    if v_status = 'failed' and p_refusal is not null then
        update public.jobs j set refusal = p_refusal || jsonb_build_object('at', private.utc_now()) where j.id = p_job_id;
    end if;
    return v_status;
end $$;

-- What is left to buy of a job: the first passage and all of them; null: nothing. A passage that begin_purchase would find
-- under way or done is not counted: a call under way has its money held.
create function private.job_price(p_job public.jobs, out first_usd numeric, out whole_usd numeric)
language plpgsql stable set search_path = '' as $$
declare
    v_store public.profiles;
begin
    if p_job.kind <> 'speech' then
        return;
    end if;
    select * into v_store from public.profiles p where p.id = p_job.profile_id;
    select (array_agg(c.cost_usd order by c.place))[1], sum(c.cost_usd) into first_usd, whole_usd
    from private.price_order(v_store, p_job.input) c
    where c.part_id is null and not c.again
      and not exists (select from public.purchases p where p.job_id = p_job.id and p.place = c.place
                      and p.state <> 'refused' and p.again_at is null);
end $$;

-- As before, with its price asked of job_price: hold the first passage that must be bought; refuse before anything is
-- bought what the month cannot cover as a whole.
create or replace function private.hold_for_job(p_job public.jobs, p_request_id uuid) returns numeric
language plpgsql set search_path = '' as $$
declare
    v_store public.profiles;
    v_price record;
begin
    if p_job.kind <> 'speech' then
        return null;
    end if;
    select * into v_store from public.profiles p where p.id = p_job.profile_id;
    perform private.refuse_closed_store(v_store);
    v_price := private.job_price(p_job);
    if v_price.first_usd is null then
        return null;                                           -- nothing is left to buy
    end if;
    perform private.refuse_paused(p_job.account_id, p_job.input ->> 'provider', p_job.input ->> 'model');
    if v_price.whole_usd > v_price.first_usd then
        perform private.refuse_whole(v_store, v_store.id, v_price.whole_usd);
        perform private.refuse_whole(v_store, null, v_price.whole_usd);
    end if;
    return private.hold_cost(p_request_id, p_job.profile_id, v_price.first_usd, p_job.input ->> 'provider', p_job.id,
                             auth.uid());
end $$;

-- A person's retry was refused, and with it went everything that it wrote. What refuses its hold now is kept with the job;
-- null: nothing does any more.
create function private.note_refusal(p_job_id uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_job     public.jobs := private.my_job(p_job_id);
    v_facts   text;
    v_refusal jsonb;
begin
    if v_job.status not in ('failed', 'cancelled') then
        return null;
    end if;
    begin
        perform private.hold_for_job(v_job, gen_random_uuid());
        raise exception using errcode = 'UN000';               -- tried only: undone
    exception
        when sqlstate 'UN000' then null;
        when sqlstate 'PT402' then
            get stacked diagnostics v_facts = pg_exception_detail;
            v_refusal := v_facts::jsonb || jsonb_build_object('at', private.utc_now());
    end;
    update public.jobs j set refusal = coalesce(v_refusal, j.refusal) where j.id = p_job_id;
    return v_refusal;
end $$;

-- The picture as it is now ----------------------------------------------------------------------------------------------

-- The dearest open holds of some stores this month, with who holds what for which job, and what all of them come to.
create function private.open_holds(p_profile_ids uuid[]) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    return (
        with held as (
            select h.* from public.cost_holds h
            where h.profile_id = any (p_profile_ids) and h.month = private.month_of(private.utc_now())
              and h.state in ('reserved', 'committed') and h.held_usd > 0)
        select jsonb_build_object(
            'count', count(*), 'usd', coalesce(sum(h.held_usd), 0)::text,
            'dearest', (
                select coalesce(jsonb_agg(jsonb_build_object(
                    'job_id', d.job_id, 'kind', j.kind, 'service', d.service, 'usd', d.held_usd::text,
                    'since', d.occurred_at, 'sent', d.state = 'committed', 'store', s.name, 'store_code', s.code,
                    'person', case when d.user_id is null then 'System'
                                   else (select p.name from public.people p where p.id = d.user_id) end)
                    order by d.held_usd desc, d.occurred_at), '[]')
                from (select * from held x order by x.held_usd desc, x.occurred_at limit 10) d
                join public.profiles s on s.id = d.profile_id
                left join public.jobs j on j.id = d.job_id))
        from held h);
end $$;

-- A limit this month: as quota_state, with its quota, since when, and the grants in force; of the company's limit managers
-- see the arithmetic and their own stores' holds only.
create function private.limit_picture(p_account_id uuid, p_profile_id uuid) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    v_whole  boolean := p_profile_id is not null or p_account_id in (select private.my_account_ids('{admin,finance}'));
    v_stores uuid[] := array(select p.id from public.profiles p
                             where p.account_id = p_account_id and p.id in (select private.my_profile_ids())
                               and p.id = coalesce(p_profile_id, p.id));
begin
    return private.quota_state(p_account_id, p_profile_id) || jsonb_build_object(
        'holds', private.open_holds(v_stores),
        'since', (select max(c.changed_at) from public.quota_changes c
                  where v_whole and c.account_id = p_account_id and c.profile_id is not distinct from p_profile_id),
        'grants', (
            select coalesce(jsonb_agg(jsonb_build_object('usd', g.amount_usd::text, 'from', g.valid_from,
                                                         'until', g.valid_until) order by g.valid_from), '[]')
            from public.quota_grants g
            where v_whole and g.account_id = p_account_id and g.profile_id is not distinct from p_profile_id
              and g.valid_from <= private.utc_now() and g.valid_until > private.utc_now()));
end $$;

-- What a job would have to hold now (null: nothing is left to buy), or the sentence of what stands in its way beside money.
create function private.job_outlook(p_job public.jobs) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    v_store   public.profiles;
    v_need    numeric;
    v_message text;
begin
    select * into v_store from public.profiles p where p.id = p_job.profile_id;
    perform private.refuse_closed_store(v_store);
    v_need := (private.job_price(p_job)).whole_usd;
    if v_need is not null then
        perform private.refuse_paused(p_job.account_id, p_job.input ->> 'provider', p_job.input ->> 'model');
    end if;
    return jsonb_build_object('need', v_need::text, 'obstacle', null);
exception
    when sqlstate 'PT400' or sqlstate 'PT404' or sqlstate 'PT409' or sqlstate 'PT422' or sqlstate 'PT423'
        or sqlstate 'PT424' then
        get stacked diagnostics v_message = message_text;
        return jsonb_build_object('need', null, 'obstacle', v_message);
end $$;

-- Limits of a store and its company as they are now, who can raise them, and what was asked of them already this month.
-- With one of the store's jobs also what a retry of it would need.
create function private.explain_refusal(p_profile_id uuid, p_job_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_store public.profiles;
    v_job   public.jobs;
begin
    select * into v_store from public.profiles p
    where p.id = p_profile_id and p.id in (select private.my_profile_ids());
    if not found then
        perform private.fail('PT404', 'Store not found.');
    end if;
    if p_job_id is not null then
        select * into v_job from public.jobs j where j.id = p_job_id and j.profile_id = p_profile_id;
        if not found then
            perform private.fail('PT404', 'Job not found.');
        end if;
    end if;
    return jsonb_build_object(
        'as_of', private.utc_now(),
        'store', private.limit_picture(v_store.account_id, v_store.id),
        'company', private.limit_picture(v_store.account_id, null),
        'job', case when v_job.id is not null then private.job_outlook(v_job) end,
        'admins', (
            select coalesce(jsonb_agg(jsonb_build_object('name', p.name, 'email', p.email) order by p.name, p.email), '[]')
            from public.members m join public.people p on p.id = m.person_id
            where m.account_id = v_store.account_id and m.role = 'admin' and m.deactivated_at is null
              and p.deactivated_at is null),
        'requests', (
            select coalesce(jsonb_agg(n.facts || jsonb_build_object('at', n.created_at) order by n.created_at desc), '[]')
            from public.notices n
            where n.account_id = v_store.account_id and n.profile_id = v_store.id and n.kind = 'quota_request'
              and n.resolved_at is null
              and n.facts ->> 'month' = to_char(private.month_of(private.utc_now()), 'YYYY-MM')));
end $$;

-- Asking an admin -------------------------------------------------------------------------------------------------------

alter function private.notice_kinds() rename to notice_kinds_of_work;
-- As before, with requests for more money, which only admins can grant.
create function private.notice_kinds() returns table (kind text, roles text[], email boolean)
language sql immutable set search_path = '' as $$
    select k.kind, k.roles, k.email from private.notice_kinds_of_work() k
    union all values ('quota_request', '{admin}'::text[], true)
$$;

-- Ask the company's admins to raise a limit (p_scope: store or company) by what is missing, in whole cents. Told once for
-- each store, month, limit and amount, until the limit is raised; returns whether it was told now.
create function private.ask_for_quota(p_profile_id uuid, p_scope text, p_missing_usd numeric) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    v_store   public.profiles := private.my_work_profile(p_profile_id);
    v_month   text := to_char(private.month_of(private.utc_now()), 'YYYY-MM');
    v_missing numeric := ceil(p_missing_usd * 100) / 100;
    v_quota   jsonb;
begin
    if (p_scope in ('store', 'company')) is not true then
        perform private.fail('PT400', 'Ask for the store''s limit or the company''s.', '{"field": "scope"}');
    elsif (v_missing between 0.01 and 99999999) is not true then
        perform private.fail('PT400', 'Ask for an amount above $0.', '{"field": "missing"}');
    end if;
    v_quota := private.quota_state(v_store.account_id, case p_scope when 'store' then v_store.id end);
    if v_quota ->> 'limit' is null then
        perform private.fail('PT409', 'There is no limit any more. Try again what was refused.');
    end if;
    if private.notice(
        v_store.account_id, 'quota_request',
        format('%s asks for %s more of the %s''s monthly quota (%s, UTC) for work in %s: the limit is %s, %s is spent and %s '
               'is held.', (select p.name from public.people p where p.id = auth.uid()), private.usd_text(v_missing),
               p_scope, v_month, v_store.name, private.usd_text((v_quota ->> 'limit')::numeric),
               private.usd_text((v_quota ->> 'settled')::numeric), private.usd_text((v_quota ->> 'held')::numeric)),
        jsonb_build_object('scope', p_scope, 'missing_usd', v_missing::text, 'month', v_month), v_store.id,
        format('quota_request:%s:%s:%s:%s', v_store.id, v_month, p_scope, v_missing)) is null then
        return false;
    end if;
    perform private.audit(v_store.account_id, 'quota_requested', v_store.name, v_store.id, null, null,
                          jsonb_build_object('scope', p_scope, 'missing_usd', v_missing::text, 'month', v_month));
    return true;
end $$;

-- Whoever raises a limit has answered: the same may be asked for again.
create function private.answer_requests() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    update public.notices n set resolved_at = private.utc_now()
    where n.account_id = new.account_id and n.kind = 'quota_request' and n.resolved_at is null
      and case when new.profile_id is null then n.facts ->> 'scope' = 'company'
               else n.facts ->> 'scope' = 'store' and n.profile_id = new.profile_id end;
    return null;
end $$;
create index notices_quota_requests on public.notices (account_id) where kind = 'quota_request' and resolved_at is null;
create trigger answer_requests after insert on public.quota_changes for each row
    when (new.after_usd = 0 or (new.before_usd <> 0 and new.after_usd > new.before_usd))
    execute function private.answer_requests();
create trigger answer_requests after insert on public.quota_grants for each row execute function private.answer_requests();

-- Jobs of a company or one of its stores whose last order was refused, the latest first. Row security decides which.
create function public.refused_jobs(p_account_id uuid, p_profile_id uuid default null, p_limit integer default 10)
returns jsonb language plpgsql stable set search_path = '' as $$
begin
    return (
        select coalesce(jsonb_agg(jsonb_build_object(
            'id', r.id, 'profile_id', r.profile_id, 'kind', r.kind, 'status', r.status, 'refusal', r.refusal,
            'characters', char_length(r.input ->> 'text'),
            'person', case when r.created_by is null then 'System'
                           else (select p.name from public.people p where p.id = r.created_by) end)
            order by r.finished_at desc), '[]')
        from (select j.* from public.jobs j
              where j.account_id = p_account_id and j.refusal is not null and j.profile_id is not null
                and (p_profile_id is null or j.profile_id = p_profile_id)
              order by j.finished_at desc limit least(p_limit, 100)) r);
end $$;

-- The doors -------------------------------------------------------------------------------------------------------------

create function public.fail_job(
    p_job_id uuid, p_attempt_token uuid, p_error text, p_retry_seconds numeric default null, p_refusal jsonb default null
) returns text language sql set search_path = '' as
    $$ select private.fail_job(p_job_id, p_attempt_token, p_error, p_retry_seconds, p_refusal) $$;
create function public.note_refusal(p_job_id uuid) returns jsonb
language sql set search_path = '' as $$ select private.note_refusal(p_job_id) $$;
create function public.explain_refusal(p_profile_id uuid, p_job_id uuid default null) returns jsonb
language sql stable set search_path = '' as $$ select private.explain_refusal(p_profile_id, p_job_id) $$;
create function public.ask_for_quota(p_profile_id uuid, p_scope text, p_missing_usd numeric) returns boolean
language sql set search_path = '' as $$ select private.ask_for_quota(p_profile_id, p_scope, p_missing_usd) $$;

grant execute on function public.fail_job(uuid, uuid, text, numeric, jsonb),
    private.fail_job(uuid, uuid, text, numeric, jsonb) to service_role;
grant execute on function public.note_refusal(uuid), private.note_refusal(uuid),
    public.explain_refusal(uuid, uuid), private.explain_refusal(uuid, uuid),
    public.ask_for_quota(uuid, text, numeric), private.ask_for_quota(uuid, text, numeric),
    public.refused_jobs(uuid, uuid, integer) to authenticated;
