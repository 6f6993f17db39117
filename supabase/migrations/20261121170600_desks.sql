-- What a page shows, in one answer.

-- What one job bought, in the order of booking.
create index cost_entries_job on public.cost_entries (job_id, seq) where job_id is not null;

-- The Jobs page: jobs of a company or one of its stores, newest first behind the key (p_before_at, p_before_id). On the
-- unfiltered first page up to 10 older jobs with a call that somebody must decide stand first. Beside them: what lost jobs
-- and those with such calls were charged, what ended jobs cost, which were billed above what was announced, who ordered
-- them, prices of the undecided calls, and how many such calls there are. Amounts are text. Row security decides which
-- rows there are; the plan is made for each question, because every filter may be absent.
create function public.jobs_desk(
    p_account_id uuid, p_profile_id uuid default null, p_status text default null, p_kind text default null,
    p_before_at timestamptz default null, p_before_id uuid default null, p_limit integer default 25
) returns jsonb language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan as $$
begin
    return (
        with listed as materialized (
            select j.* from public.jobs j
            where j.account_id = p_account_id and (p_profile_id is null or j.profile_id = p_profile_id)
              and (p_status is null or j.status = p_status) and (p_kind is null or j.kind = p_kind)
              and (p_before_at is null or (j.created_at, j.id) < (p_before_at, p_before_id))
            order by j.created_at desc, j.id desc limit least(p_limit, 1000)),
        waiting as materialized (
            select p.job_id, p.provider, p.model, p.sent_at from public.purchases p
            where p.account_id = p_account_id and p.state = 'unclear'
              and (p_profile_id is null or p.profile_id = p_profile_id)),
        older as (
            select w.job_id, min(w.sent_at) as since from waiting w
            where p_status is null and p_kind is null and p_before_at is null
              and w.job_id not in (select l.id from listed l)
            group by w.job_id order by since limit 10),
        shown as materialized (
            select l.*, null::timestamptz as since from listed l
            union all
            select j.*, o.since from older o join public.jobs j on j.id = o.job_id),
        calls as (
            select p.* from public.purchases p join shown s on s.id = p.job_id
            where p.state in ('sent', 'unclear', 'settled', 'recovered')
              and (s.status in ('failed', 'cancelled') or s.id in (select w.job_id from waiting w))),
        overrun as (
            select m.id, m.billed, m.expected from public.model_pauses m where m.account_id = p_account_id
            order by m.paused_at desc limit 100)
        select jsonb_build_object(
            'jobs', coalesce((
                select jsonb_agg(to_jsonb(s) - '{since,attempt_token,worker,lease_until,request_id,slot,dedupe_key}'::text[]
                                 order by s.since, s.created_at desc, s.id desc)
                from shown s), '[]'),
            'spent', coalesce((
                select jsonb_object_agg(c.job_id, c.spent) from (
                    select k.job_id, jsonb_build_object(
                        'booked', sum(k.cost_usd)::text,
                        'kept', count(*) filter (where k.cost_usd > 0 and k.again_at is null),
                        'open', coalesce(jsonb_agg(
                            jsonb_build_object(
                                'id', k.id, 'job_id', k.job_id, 'place', k.place, 'provider', k.provider,
                                'model', k.model, 'state', k.state, 'characters', k.characters,
                                'units_expected', k.units_expected::text, 'cost_usd', k.cost_usd::text,
                                'again_at', k.again_at) order by k.place)
                            filter (where k.state in ('sent', 'unclear')), '[]')) as spent
                    from calls k group by k.job_id) c), '{}'),
            'costs', coalesce((
                select jsonb_object_agg(c.job_id, c.usd::text) from (
                    select e.job_id, sum(e.cost_usd) as usd from public.cost_entries e
                    where e.job_id in (select s.id from shown s where s.status not in ('pending', 'running'))
                    group by e.job_id having sum(e.cost_usd) <> 0) c), '{}'),
            'overruns', coalesce((
                select jsonb_object_agg(o.job_id, o.factor::text) from (
                    select p.job_id, max(m.billed / m.expected) as factor
                    from overrun m join public.purchases p on p.id = m.id
                    where m.expected > 0 and p.job_id in (select s.id from shown s) group by p.job_id) o), '{}'),
            'people', coalesce((
                select jsonb_object_agg(p.id, p.name) from public.people p
                where p.id in (select s.created_by from shown s)), '{}'),
            'prices', coalesce((
                select jsonb_agg(jsonb_build_object(
                    'provider', b.provider, 'model', b.model, 'unit_kind', b.unit_kind, 'usd', b.usd::text,
                    'per_units', b.per_units, 'valid_from', b.valid_from) order by b.valid_from)
                from public.prices b
                where b.account_id = p_account_id and b.valid_from <= private.utc_now()
                  and (b.provider, b.model) in (select w.provider, w.model from waiting w)), '[]'),
            'waiting', (select count(*) from waiting)));
end $$;
grant execute on function
    public.jobs_desk(uuid, uuid, text, text, timestamptz, uuid, integer) to authenticated;
