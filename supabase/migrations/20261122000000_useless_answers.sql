alter table public.purchases add column answer_error text;     -- a sentence: billed, but of no use

-- An attempt that died after it had booked an answer that is no use has said nothing: the next one says it, and pays for no
-- other before a person's retry, with which the job starts anew.
create function private.refuse_unasked(p_job public.jobs, p_place integer) returns void
language plpgsql stable set search_path = '' as $$
declare
    v_error text;
begin
    select p.answer_error into v_error from public.purchases p
    where p.job_id = p_job.id and p.place = p_place and p.state = 'settled' and p.answer_error is not null
      and p.closed_at >= p_job.started_at limit 1;
    if found then
        perform private.fail('PT409', v_error);
    end if;
end $$;

-- The purchase of a writer's call in a job under way: the one that is there, or null where another may begin. An intent for
-- something else is given up.
create function private.call_under_way(p_job public.jobs, p_place integer, p_model text, p_units jsonb)
returns public.purchases language plpgsql set search_path = '' as $$
declare
    v_mine public.purchases;
begin
    select * into v_mine from public.purchases p
    where p.job_id = p_job.id and p.place = p_place and p.state <> 'refused' and p.again_at is null
    order by p.created_at desc limit 1 for no key update;
    if v_mine.state = 'intent' and (v_mine.model, v_mine.units_held) is distinct from (p_model, p_units) then
        perform private.refuse_purchase(v_mine.id, 'Something else was asked for before the call.', false);
        v_mine := null;
    end if;
    if v_mine.id is null then
        perform private.refuse_unasked(p_job, p_place);
    end if;
    return v_mine;
end $$;

-- As before, with that.
create or replace function private.begin_step(p_job_id uuid, p_attempt_token uuid, p_step jsonb, p_units jsonb)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
    v_job  public.jobs := private.my_attempt(p_job_id, p_attempt_token);
    v_mine public.purchases;
begin
    v_mine := private.call_under_way(v_job, (p_step ->> 'place')::integer, p_step ->> 'model', p_units);
    if v_mine.id is null then
        v_mine := private.new_call(v_job, p_step, p_units);
    end if;
    return private.purchase_json(v_mine);
end $$;

-- The truth about a call, accepted always and once: what it used (p_units), the vendor's id, and what was answered. p_answer:
-- {output, error, model_version, model_billed}; without an output it is booked, and only a retry buys another. Returns its
-- cost; null where it was told before.
create function private.close_call(p_purchase_id uuid, p_units jsonb, p_vendor_id text, p_answer jsonb) returns numeric
language plpgsql set search_path = '' as $$
declare
    v_cost numeric;
begin
    update public.purchases p set units_used = p_units, model_billed = p_answer ->> 'model_billed'
    where p.id = p_purchase_id and p.state not in ('settled', 'recovered');
    if not found then
        return null;
    end if;
    v_cost := private.settle_purchase(p_purchase_id, (select sum(u.value::numeric) from jsonb_each_text(p_units) u),
                                      p_vendor_id, null, false);
    update public.purchases p
    set again_at = private.utc_now(), answer_error = coalesce(p_answer ->> 'error', 'The answer was billed and is no use.')
    where p.id = p_purchase_id and jsonb_typeof(p_answer -> 'output') is distinct from 'object';
    return v_cost;
end $$;

-- As before; settle_call is what a worker calls.
drop function public.settle_step(uuid, jsonb, text, jsonb);
drop function private.settle_step(uuid, jsonb, text, jsonb);
create function private.end_step(p_step_id uuid, p_units jsonb, p_cost numeric, p_answer jsonb) returns void
language plpgsql set search_path = '' as $$
begin
    update public.pipeline_steps s
    set status = case when jsonb_typeof(p_answer -> 'output') = 'object' then 'completed' else 'failed' end,
        output = p_answer -> 'output', error = p_answer ->> 'error', model_version = p_answer ->> 'model_version',
        input_tokens = s.input_tokens + coalesce((p_units ->> 'input_tokens')::bigint, 0),
        cached_tokens = s.cached_tokens + coalesce((p_units ->> 'cached_tokens')::bigint, 0),
        output_tokens = s.output_tokens + coalesce((p_units ->> 'output_tokens')::bigint, 0),
        cost_usd = s.cost_usd + p_cost, ended_at = private.utc_now()
    where s.id = p_step_id;
end $$;
