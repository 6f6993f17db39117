-- The queue: enqueue, claim, heartbeat, finish. Every write of an attempt carries its token (PT412 when it was taken over).

create function private.insert_job(p_job public.jobs) returns void
language sql set search_path = '' as $$
    insert into public.jobs (id, account_id, profile_id, kind, input, request_id, dedupe_key, slot, max_attempts,
                             created_by, run_after)
    values (p_job.id, p_job.account_id, p_job.profile_id, p_job.kind, coalesce(p_job.input, '{}'),
            coalesce(p_job.request_id, p_job.id), p_job.dedupe_key, p_job.slot, coalesce(p_job.max_attempts, 3),
            p_job.created_by, coalesce(p_job.run_after, private.utc_now()))
$$;

-- Periodic work: the first caller of a slot makes the job. Returns whether it did.
create function private.ensure_periodic(p_kind text, p_slot text) returns boolean
language plpgsql security definer set search_path = '' as $$
declare
    v_id uuid := gen_random_uuid();
begin
    insert into public.jobs (id, kind, slot, request_id) values (v_id, p_kind, p_slot, v_id)
    on conflict (kind, slot) do nothing;
    return found;
end $$;

-- Take the next job of these kinds, or null. A running job whose lease ran out is taken over.
create function private.claim_job(p_worker text, p_kinds text[], p_lease_seconds numeric) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs;
begin
    perform private.close_hopeless_jobs();
    select * into v_job from public.jobs j
    where j.kind = any (p_kinds)
      and ((j.status = 'pending' and j.run_after <= private.utc_now())
           or (j.status = 'running' and j.lease_until < private.utc_now()
               and j.cancel_requested_at is null and j.attempt < j.max_attempts))
    order by j.run_after, j.id
    limit 1 for no key update skip locked;
    if not found then
        return null;
    end if;
    update public.jobs j
    set status = 'running', attempt = j.attempt + 1, attempt_token = gen_random_uuid(), worker = p_worker,
        lease_until = private.utc_now() + make_interval(secs => p_lease_seconds::double precision),
        started_at = coalesce(j.started_at, private.utc_now()), message = 'Started'
    where j.id = v_job.id returning * into v_job;
    return to_jsonb(v_job) || jsonb_build_object('steps', (
        select coalesce(jsonb_object_agg(s.name, s.outcome), '{}') from public.job_steps s where s.job_id = v_job.id));
end $$;

-- Jobs whose worker vanished and that may not or need not run again: out of attempts, or told to stop. One a
-- transaction: ending it locks its store's and company's counters, and two stores' in a row could deadlock.
create function private.close_hopeless_jobs() returns void language plpgsql set search_path = '' as $$
declare
    v_job public.jobs;
begin
    for v_job in
        select * from public.jobs j
        where j.status = 'running' and j.lease_until < private.utc_now()
          and (j.cancel_requested_at is not null or j.attempt >= j.max_attempts)
        order by j.id limit 1 for no key update skip locked
    loop
        perform private.end_job(v_job,
            case when v_job.cancel_requested_at is null then 'failed' else 'cancelled' end,
            case when v_job.cancel_requested_at is null
                 then format('The worker stopped unexpectedly %s times. Nothing was charged; retry when it runs again.',
                             v_job.attempt) end);
    end loop;
end $$;

-- End a job without a result: its money is released in the same transaction.
create function private.end_job(p_job public.jobs, p_status text, p_error text) returns void
language plpgsql set search_path = '' as $$
begin
    perform private.lock_holds(p_job.id);
    perform private.release_cost(h.request_id)
    from (select r.request_id from public.cost_holds r
          where r.job_id = p_job.id and r.state = 'reserved' order by r.month, r.request_id) h;
    update public.jobs j
    set status = p_status, error = p_error, finished_at = private.utc_now(), lease_until = null, attempt_token = null,
        message = case p_status when 'cancelled' then 'Cancelled' else 'Failed' end
    where j.id = p_job.id;
end $$;

-- All months and holds of a job before the first counter, so that nobody who settles one of them can wait for us.
create function private.lock_holds(p_job_id uuid) returns void language plpgsql set search_path = '' as $$
begin
    perform pg_advisory_xact_lock_shared(private.month_key(h.account_id, h.month))
    from (select distinct r.account_id, r.month from public.cost_holds r
          where r.job_id = p_job_id and r.state = 'reserved' order by r.month) h;
    perform from public.cost_holds r
    where r.job_id = p_job_id and r.state = 'reserved' order by r.request_id for no key update;
end $$;

-- The job of a live attempt, locked; PT412 when a newer attempt has begun or the job has ended.
create function private.my_attempt(p_job_id uuid, p_attempt_token uuid) returns public.jobs
language plpgsql set search_path = '' as $$
declare
    v_job public.jobs;
begin
    select * into v_job from public.jobs j
    where j.id = p_job_id and j.attempt_token = p_attempt_token and j.status = 'running' for no key update;
    if not found then
        perform private.fail('PT412', 'Another worker has taken over this job, or it has ended.');
    end if;
    return v_job;
end $$;

-- Extend the lease and, where given, tell progress. Returns whether the job was told to stop.
create function private.heartbeat_job(
    p_job_id uuid, p_attempt_token uuid, p_lease_seconds numeric, p_progress numeric, p_message text
) returns boolean language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs := private.my_attempt(p_job_id, p_attempt_token);
begin
    update public.jobs j
    set lease_until = private.utc_now() + make_interval(secs => p_lease_seconds::double precision),
        progress = coalesce(least(greatest(p_progress, 0), 1), j.progress),
        message = case when j.cancel_requested_at is null then coalesce(p_message, j.message) else j.message end
    where j.id = p_job_id;
    return v_job.cancel_requested_at is not null;
end $$;

create function private.save_step(p_job_id uuid, p_attempt_token uuid, p_name text, p_outcome jsonb) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform private.my_attempt(p_job_id, p_attempt_token);
    insert into public.job_steps (job_id, name, outcome) values (p_job_id, p_name, p_outcome)
    on conflict (job_id, name) do update set outcome = excluded.outcome;
end $$;

create function private.complete_job(p_job_id uuid, p_attempt_token uuid, p_result jsonb) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform private.my_attempt(p_job_id, p_attempt_token);
    update public.jobs j
    set status = 'completed', progress = 1, message = 'Done', result = p_result, error = null,
        finished_at = private.utc_now(), lease_until = null, attempt_token = null
    where j.id = p_job_id;
end $$;

-- End an attempt that went wrong: tried again after p_retry_seconds while attempts are left, else failed for good.
create function private.fail_job(p_job_id uuid, p_attempt_token uuid, p_error text, p_retry_seconds numeric) returns text
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs := private.my_attempt(p_job_id, p_attempt_token);
begin
    if v_job.cancel_requested_at is not null then
        perform private.end_job(v_job, 'cancelled', null);
        return 'cancelled';
    elsif p_retry_seconds is null or v_job.attempt >= v_job.max_attempts then
        perform private.end_job(v_job, 'failed', p_error);
        return 'failed';
    end if;
    update public.jobs j
    set status = 'pending', lease_until = null, attempt_token = null, error = p_error,
        message = format('Trying again soon (attempt %s of %s)', v_job.attempt + 1, v_job.max_attempts),
        run_after = private.utc_now() + make_interval(secs => p_retry_seconds::double precision)
    where j.id = p_job_id;
    return 'pending';
end $$;

-- A worker that is stopped hands its job to the next one; the attempt does not count.
create function private.give_back_job(p_job_id uuid, p_attempt_token uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs := private.my_attempt(p_job_id, p_attempt_token);
begin
    if v_job.cancel_requested_at is not null then
        perform private.end_job(v_job, 'cancelled', null);
        return;
    end if;
    update public.jobs j
    set status = 'pending', attempt = j.attempt - 1, attempt_token = null, lease_until = null,
        run_after = private.utc_now(), message = 'Waiting for a worker'
    where j.id = p_job_id;
end $$;

-- What people do with jobs. ---------------------------------------------------------------------------------------------

-- A job the person may cancel or retry, locked.
create function private.my_job(p_job_id uuid) returns public.jobs
language plpgsql set search_path = '' as $$
declare
    v_job public.jobs;
begin
    select * into v_job from public.jobs j
    where j.id = p_job_id and (j.profile_id in (select private.my_profile_ids())
          or (j.profile_id is null and j.account_id in (select private.my_account_ids('{admin,finance}'))))
    for no key update;
    if not found then
        perform private.fail('PT404', 'Job not found.');
    elsif v_job.account_id not in (select private.my_account_ids('{admin,manager}')) then
        perform private.fail('PT403', 'Finance reads jobs; a manager of the store or an admin can change them.');
    end if;
    return v_job;
end $$;

-- Pending: cancelled at once. Running: asked to stop; the worker answers at its next heartbeat. Returns the state shown.
create function private.cancel_job(p_job_id uuid) returns text
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs := private.my_job(p_job_id);
begin
    if v_job.status = 'pending' then
        perform private.end_job(v_job, 'cancelled', null);
    elsif v_job.status = 'running' then
        update public.jobs j
        set cancel_requested_at = coalesce(j.cancel_requested_at, private.utc_now()), message = 'Stopping…'
        where j.id = p_job_id;
    else
        perform private.fail('PT409', 'The job has already ended.');
    end if;
    perform private.audit(v_job.account_id, 'job_cancelled', v_job.kind || ' ' || v_job.id, v_job.profile_id);
    return case v_job.status when 'pending' then 'cancelled' else 'stopping' end;
end $$;

-- Run a failed or cancelled job again, under a new hold. Finished steps are not repeated.
create function private.retry_job(p_job_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_job     public.jobs := private.my_job(p_job_id);
    v_request uuid := gen_random_uuid();
begin
    if v_job.status not in ('failed', 'cancelled') then
        perform private.fail('PT409', 'Only a failed or cancelled job can be retried.');
    end if;
    update public.jobs j
    set status = 'pending', attempt = 0, request_id = v_request, error = null, result = null, finished_at = null,
        started_at = null, cancel_requested_at = null, progress = 0, message = 'Queued', run_after = private.utc_now()
    where j.id = p_job_id;
    perform private.hold_for_job(v_job, v_request);
    perform private.audit(v_job.account_id, 'job_retried', v_job.kind || ' ' || v_job.id, v_job.profile_id);
exception when unique_violation then                           -- jobs_dedupe
    perform private.fail('PT409', 'The same was ordered again meanwhile. Follow that job instead.');
end $$;

create function public.ensure_periodic(p_kind text, p_slot text) returns boolean
language sql set search_path = '' as $$ select private.ensure_periodic(p_kind, p_slot) $$;
create function public.claim_job(p_worker text, p_kinds text[], p_lease_seconds numeric) returns jsonb
language sql set search_path = '' as $$ select private.claim_job(p_worker, p_kinds, p_lease_seconds) $$;
create function public.heartbeat_job(
    p_job_id uuid, p_attempt_token uuid, p_lease_seconds numeric, p_progress numeric default null,
    p_message text default null
) returns boolean language sql set search_path = '' as
    $$ select private.heartbeat_job(p_job_id, p_attempt_token, p_lease_seconds, p_progress, p_message) $$;
create function public.save_step(p_job_id uuid, p_attempt_token uuid, p_name text, p_outcome jsonb) returns void
language sql set search_path = '' as $$ select private.save_step(p_job_id, p_attempt_token, p_name, p_outcome) $$;
create function public.complete_job(p_job_id uuid, p_attempt_token uuid, p_result jsonb) returns void
language sql set search_path = '' as $$ select private.complete_job(p_job_id, p_attempt_token, p_result) $$;
create function public.fail_job(
    p_job_id uuid, p_attempt_token uuid, p_error text, p_retry_seconds numeric default null
) returns text language sql set search_path = '' as
    $$ select private.fail_job(p_job_id, p_attempt_token, p_error, p_retry_seconds) $$;
create function public.give_back_job(p_job_id uuid, p_attempt_token uuid) returns void
language sql set search_path = '' as $$ select private.give_back_job(p_job_id, p_attempt_token) $$;
create function public.cancel_job(p_job_id uuid) returns text
language sql set search_path = '' as $$ select private.cancel_job(p_job_id) $$;
create function public.retry_job(p_job_id uuid) returns void
language sql set search_path = '' as $$ select private.retry_job(p_job_id) $$;

grant execute on function
    public.ensure_periodic(text, text), private.ensure_periodic(text, text),
    public.claim_job(text, text[], numeric), private.claim_job(text, text[], numeric),
    public.heartbeat_job(uuid, uuid, numeric, numeric, text), private.heartbeat_job(uuid, uuid, numeric, numeric, text),
    public.save_step(uuid, uuid, text, jsonb), private.save_step(uuid, uuid, text, jsonb),
    public.complete_job(uuid, uuid, jsonb), private.complete_job(uuid, uuid, jsonb),
    public.fail_job(uuid, uuid, text, numeric), private.fail_job(uuid, uuid, text, numeric),
    public.give_back_job(uuid, uuid), private.give_back_job(uuid, uuid)
    to service_role;
grant execute on function public.cancel_job(uuid), private.cancel_job(uuid), public.retry_job(uuid),
    private.retry_job(uuid) to authenticated;
