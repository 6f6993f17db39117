-- A run takes a briefing through its phases. It has its job's id. Each phase is a step with its place in the run, bought as a
-- passage of speech is: intent and hold, call, settlement, once. Lock order: job, assistant, purchase, month, hold, counters, run.

create table public.pipeline_runs (
    id             uuid primary key,                           -- also of its job
    account_id     uuid not null,
    profile_id     uuid not null,
    assistant_id   uuid not null references public.assistants on delete cascade,
    assistant      jsonb not null,                             -- as it was when the run was ordered
    project_id     uuid,
    clip_id        uuid,
    briefing       text not null,
    briefing_id    text,                                       -- its name in another program
    briefing_hash  text not null,
    status         text not null default 'running' check (status in ('running', 'completed', 'failed', 'cancelled')),
    ended_because  text check (ended_because in ('target', 'rounds', 'limit', 'worse')),
    error          text,
    input_tokens   bigint not null default 0,
    cached_tokens  bigint not null default 0,
    output_tokens  bigint not null default 0,
    total_cost_usd numeric(14,6) not null default 0,           -- what the ledger has for it
    best_score     numeric(5,2),
    version_id     uuid references public.prompt_versions on delete set null,
    created_by     uuid,
    started_at     timestamptz not null default private.utc_now(),
    ended_at       timestamptz,
    foreign key (account_id, profile_id) references public.profiles (account_id, id) on delete cascade
) with (fillfactor = 70);
create index pipeline_runs_account_profile on public.pipeline_runs (account_id, profile_id);
create index pipeline_runs_page on public.pipeline_runs (profile_id, started_at desc, id desc);
create index pipeline_runs_status on public.pipeline_runs (profile_id, status, started_at desc, id desc);
create index pipeline_runs_assistant on public.pipeline_runs (assistant_id, started_at desc, id desc);
create index pipeline_runs_version on public.pipeline_runs (version_id);

create table public.pipeline_steps (
    id            uuid primary key,
    account_id    uuid not null,
    profile_id    uuid not null,
    run_id        uuid not null references public.pipeline_runs on delete cascade,
    place         integer not null check (place >= 0),
    phase         text not null check (phase in ('prompt_generation', 'prompt_analysis', 'prompt_improvement')),
    round         integer not null check (round >= 0),         -- of improvement; the first text is round 0
    status        text not null default 'running' check (status in ('running', 'completed', 'failed')),
    provider      text not null,
    model         text not null,
    model_version text,                                        -- which one answered: a retired id is served by another
    input         jsonb not null,
    output        jsonb,
    error         text,
    input_tokens  bigint not null default 0,                   -- without those from the vendor's cache
    cached_tokens bigint not null default 0,
    output_tokens bigint not null default 0,                   -- what was thought included
    cost_usd      numeric(14,6) not null default 0,
    started_at    timestamptz not null default private.utc_now(),
    ended_at      timestamptz,
    unique (run_id, place),
    foreign key (account_id, profile_id) references public.profiles (account_id, id) on delete cascade
);
create index pipeline_steps_account_profile on public.pipeline_steps (account_id, profile_id);
create index pipeline_steps_phase on public.pipeline_steps (profile_id, phase, ended_at desc) where status = 'completed';

alter table public.prompt_versions add constraint prompt_versions_run_id_fkey
    foreign key (run_id) references public.pipeline_runs on delete set null;

-- A call of a phase is a purchase, too. Its units are tokens by kind.
alter table public.purchases add column step_id uuid references public.pipeline_steps on delete set null,
    add column units_held jsonb, add column units_used jsonb,
    add column model_billed text;                              -- which model answered, as the price book names it
create index purchases_step on public.purchases (step_id);
create index cost_entries_run on public.cost_entries (run_id) where run_id is not null;

do $$
declare
    v_table text;
begin
    foreach v_table in array array['pipeline_runs', 'pipeline_steps'] loop
        execute format('alter table public.%I enable row level security', v_table);
        execute format('grant select on public.%I to authenticated, service_role', v_table);
        execute format('create policy "people read their stores'' scripts" on public.%I for select to authenticated '
                       'using (profile_id in (select private.my_profile_ids()))', v_table);
    end loop;
end $$;

-- Where money and tokens of runs went, as the ledger has it.
create view public.v_pipeline_cost_breakdown with (security_invoker = true) as
    select r.id as run_id, r.account_id, a.slug as account_slug, r.profile_id, r.assistant_id,
           r.assistant ->> 'name' as assistant, r.status, r.started_at, r.ended_at,
           extract(epoch from r.ended_at - r.started_at) * 1000 as duration_ms, e.operation as phase,
           count(*) as calls, coalesce(sum((e.units ->> 'input_tokens')::numeric), 0) as input_tokens,
           coalesce(sum((e.units ->> 'cached_tokens')::numeric), 0) as cached_tokens,
           coalesce(sum((e.units ->> 'output_tokens')::numeric), 0) as output_tokens, sum(e.cost_usd) as cost_usd
    from public.pipeline_runs r
    join public.accounts a on a.id = r.account_id
    join public.cost_entries e on e.run_id = r.id
    group by r.id, a.slug, e.operation;
create view public.v_daily_costs_by_account with (security_invoker = true) as
    select e.booked_on as day, e.account_id, count(distinct e.run_id) as runs,
           coalesce(sum((e.units ->> 'input_tokens')::numeric), 0)
               + coalesce(sum((e.units ->> 'cached_tokens')::numeric), 0) as input_tokens,
           coalesce(sum((e.units ->> 'output_tokens')::numeric), 0) as output_tokens, sum(e.cost_usd) as cost_usd
    from public.cost_entries e where e.run_id is not null
    group by e.booked_on, e.account_id;
create view public.v_costs_by_assistant with (security_invoker = true) as
    select r.assistant_id, r.account_id, r.profile_id, count(distinct r.id) as runs,
           coalesce(sum((e.units ->> 'input_tokens')::numeric), 0)
               + coalesce(sum((e.units ->> 'cached_tokens')::numeric), 0) as input_tokens,
           coalesce(sum((e.units ->> 'output_tokens')::numeric), 0) as output_tokens, sum(e.cost_usd) as cost_usd,
           avg(e.cost_usd) filter (where e.operation = 'prompt_generation') as average_generation_usd,
           avg(e.cost_usd) filter (where e.operation = 'prompt_analysis') as average_analysis_usd,
           avg(e.cost_usd) filter (where e.operation = 'prompt_improvement') as average_improvement_usd,
           max(e.settled_at) as last_activity
    from public.pipeline_runs r join public.cost_entries e on e.run_id = r.id
    group by r.assistant_id, r.account_id, r.profile_id;
grant select on public.v_pipeline_cost_breakdown, public.v_daily_costs_by_account, public.v_costs_by_assistant
    to authenticated, service_role;

-- A run's totals follow its entries in the ledger.
create function private.add_to_run() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    update public.pipeline_runs r
    set total_cost_usd = r.total_cost_usd + new.cost_usd,
        input_tokens = r.input_tokens + coalesce((new.units ->> 'input_tokens')::numeric, 0),
        cached_tokens = r.cached_tokens + coalesce((new.units ->> 'cached_tokens')::numeric, 0),
        output_tokens = r.output_tokens + coalesce((new.units ->> 'output_tokens')::numeric, 0)
    where r.id = new.run_id;
    return null;
end $$;
create trigger run_totals after insert on public.cost_entries for each row
    when (new.run_id is not null) execute function private.add_to_run();

-- A run ends and begins again with its job; nothing stays running.
create function private.follow_script() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    if new.status in ('failed', 'cancelled') then
        update public.pipeline_steps s set status = 'failed', ended_at = private.utc_now(), error = coalesce(s.error, new.error)
        where s.run_id = new.id and s.status = 'running';
        update public.pipeline_runs r set status = new.status, error = new.error, ended_at = private.utc_now()
        where r.id = new.id and r.status = 'running';
    elsif old.status in ('failed', 'cancelled') then
        update public.pipeline_runs r set status = 'running', error = null, ended_at = null where r.id = new.id;
    end if;
    return null;
end $$;
create trigger follow_script after update of status on public.jobs for each row
    when (new.kind = 'script' and new.status <> old.status) execute function private.follow_script();

-- What a run costs -------------------------------------------------------------------------------------------------------

-- The most tokens of a phase's answer, thinking included: 6,000 and, where it is a script, one a character. Its call
-- announces no more.
create function private.most_output(p_phase text, p_assistant jsonb) returns integer
language sql immutable set search_path = '' as $$
    select 6000 + case p_phase when 'prompt_analysis' then 0 else (p_assistant ->> 'max_characters')::integer end
$$;

-- The most tokens that a phase reads: no vendor makes more than one of a byte, beside the 2,000 of its own words. What an
-- earlier phase wrote is at most its whole answer.
create function private.most_input(p_phase text, p_assistant jsonb, p_briefing text) returns integer
language sql immutable set search_path = '' as $$
    select 2000 + octet_length(p_briefing) + octet_length(p_assistant ->> 'instructions')
           + octet_length(p_assistant ->> 'tone') + octet_length(p_assistant ->> 'banned_words')
           + case when p_phase = 'prompt_generation' then 0 else private.most_output('prompt_generation', p_assistant) end
           + case when p_phase = 'prompt_improvement' then private.most_output('prompt_analysis', p_assistant) else 0 end
$$;

create function private.step_cost(p_account_id uuid, p_model text, p_input bigint, p_output bigint) returns numeric
language plpgsql stable set search_path = '' as $$
begin
    return (private.price_units(p_account_id, private.writer_of(p_model), p_model,
                                jsonb_build_object('input_tokens', p_input, 'output_tokens', p_output),
                                private.utc_now())).cost_usd;
end $$;

-- Each phase's largest cost, and its typical one: the mean of the store's last 20 of it with this model; without any, a token
-- for every four bytes read, and written what a measured run wrote: 2,800, 2,400 and 3,000 tokens, thinking included.
create function private.phase_costs(p_assistant public.assistants, p_briefing text)
returns table (phase text, model text, largest_usd numeric, typical_usd numeric, known integer)
language plpgsql stable set search_path = '' as $$
declare
    v_assistant jsonb := to_jsonb(p_assistant);
    v_input     integer;
    v_past      record;
begin
    foreach phase in array private.phases() loop
        model := p_assistant.models ->> phase;
        v_input := private.most_input(phase, v_assistant, p_briefing);
        largest_usd := private.step_cost(p_assistant.account_id, model, v_input, private.most_output(phase, v_assistant));
        select count(*) as count, avg(x.input_tokens + x.cached_tokens) as input, avg(x.output_tokens) as output into v_past
        from (select s.* from public.pipeline_steps s
              where s.profile_id = p_assistant.profile_id and s.phase = phase_costs.phase and s.status = 'completed'
                and s.model = phase_costs.model order by s.ended_at desc limit 20) x;
        known := v_past.count;
        typical_usd := private.step_cost(p_assistant.account_id, model,
            case when known > 0 then v_past.input else (2000 + octet_length(p_briefing)) / 4 end::bigint,
            case when known > 0 then v_past.output
                 else case phase when 'prompt_generation' then 2800 when 'prompt_analysis' then 2400 else 3000 end
            end::bigint);
        return next;
    end loop;
end $$;

-- What a run would cost now, at most and typically (one round of improvement, or none where none is wanted).
create function private.script_quote(p_assistant_id uuid, p_briefing text) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_assistant public.assistants;
    v_rounds    integer;
begin
    select * into v_assistant from public.assistants a
    where a.id = p_assistant_id and a.profile_id in (select private.my_profile_ids());
    if not found then
        perform private.fail('PT404', 'Assistant not found.');
    end if;
    v_rounds := v_assistant.max_rounds;
    return (
        select jsonb_build_object(
            'phases', jsonb_agg(jsonb_build_object('phase', c.phase, 'model', c.model, 'largest', c.largest_usd::text,
                                                   'typical', c.typical_usd::text, 'known', c.known)),
            'largest', sum(c.largest_usd * case c.phase when 'prompt_generation' then 1 when 'prompt_analysis' then v_rounds + 1
                                                        else v_rounds end)::text,
            'typical', sum(c.typical_usd * case c.phase when 'prompt_generation' then 1
                                                        when 'prompt_analysis' then least(v_rounds, 1) + 1
                                                        else least(v_rounds, 1) end)::text,
            'store', private.quota_state(v_assistant.account_id, v_assistant.profile_id),
            'company', private.quota_state(v_assistant.account_id, null))
        from private.phase_costs(v_assistant, p_briefing) c);
end $$;

-- Ordering --------------------------------------------------------------------------------------------------------------

-- The job and its run, with the first phase's largest cost held. The same id again is the same run.
create function private.start_script(
    p_run_id uuid, p_assistant_id uuid, p_briefing text, p_briefing_id text, p_project_id uuid, p_clip_id uuid
) returns uuid language plpgsql security definer set search_path = '' as $$
declare
    v_assistant public.assistants := private.my_assistant(p_assistant_id);
    v_job       public.jobs;
begin
    if v_assistant.archived_at is not null then
        perform private.fail('PT409', 'This assistant is archived. Bring it back first.');
    elsif char_length(coalesce(p_briefing, '')) not between 1 and 600000 or p_briefing !~ '\S' then
        perform private.fail('PT400', 'A briefing has 1 to 600,000 characters, some 200 pages.', '{"field": "briefing"}');
    end if;
    perform private.check_clip(v_assistant.profile_id, p_project_id, p_clip_id);
    insert into public.jobs (id, account_id, profile_id, kind, input, request_id, created_by)
    values (p_run_id, v_assistant.account_id, v_assistant.profile_id, 'script',
            jsonb_build_object('assistant', v_assistant.name), p_run_id, auth.uid())
    on conflict do nothing returning * into v_job;
    if not found then
        if not exists (select from public.pipeline_runs r where r.id = p_run_id and r.assistant_id = p_assistant_id) then
            perform private.fail('PT409', 'This request was sent before with other values.');
        end if;
        return p_run_id;
    end if;
    insert into public.pipeline_runs (id, account_id, profile_id, assistant_id, assistant, project_id, clip_id, briefing,
                                      briefing_id, briefing_hash, created_by)
    values (p_run_id, v_assistant.account_id, v_assistant.profile_id, p_assistant_id, to_jsonb(v_assistant), p_project_id,
            p_clip_id, p_briefing, nullif(btrim(p_briefing_id), ''), encode(sha256(convert_to(p_briefing, 'UTF8')), 'hex'),
            auth.uid());
    perform private.hold_for_job(v_job, p_run_id);
    return p_run_id;
end $$;

-- As before for speech; of a script what its next phase costs at most.
alter function private.job_price(public.jobs) rename to speech_price;
create function private.next_phase(p_run public.pipeline_runs) returns text language sql stable set search_path = '' as $$
    select coalesce((
        select case s.phase when 'prompt_analysis' then 'prompt_improvement' else 'prompt_analysis' end
        from public.pipeline_steps s where s.run_id = p_run.id and s.status = 'completed' order by s.place desc limit 1),
        'prompt_generation')
$$;
create function private.script_price(p_job public.jobs) returns numeric language plpgsql stable set search_path = '' as $$
declare
    v_run   public.pipeline_runs;
    v_phase text;
begin
    select * into strict v_run from public.pipeline_runs r where r.id = p_job.id;
    v_phase := private.next_phase(v_run);
    return private.step_cost(
        p_job.account_id, v_run.assistant -> 'models' ->> v_phase,
        private.most_input(v_phase, v_run.assistant, v_run.briefing), private.most_output(v_phase, v_run.assistant));
end $$;
create function private.job_price(p_job public.jobs, out first_usd numeric, out whole_usd numeric)
language plpgsql stable set search_path = '' as $$
declare
    v_price record;
begin
    if p_job.kind = 'script' then
        first_usd := private.script_price(p_job);
        whole_usd := first_usd;
        return;
    end if;
    v_price := private.speech_price(p_job);
    first_usd := v_price.first_usd;
    whole_usd := v_price.whole_usd;
end $$;

-- As before for speech; a script's next phase is held when it is ordered or retried, its later ones just before their calls.
alter function private.hold_for_job(public.jobs, uuid) rename to hold_for_speech;
create function private.hold_for_script(p_job public.jobs, p_request_id uuid) returns numeric
language plpgsql set search_path = '' as $$
declare
    v_run   public.pipeline_runs;
    v_store public.profiles;
    v_model text;
begin
    select * into strict v_run from public.pipeline_runs r where r.id = p_job.id;
    select * into v_store from public.profiles p where p.id = p_job.profile_id;
    perform private.refuse_closed_store(v_store);
    v_model := v_run.assistant -> 'models' ->> private.next_phase(v_run);
    perform private.refuse_paused(p_job.account_id, private.writer_of(v_model), v_model);
    return private.hold_cost(p_request_id, p_job.profile_id, private.script_price(p_job), private.writer_of(v_model),
                             p_job.id, auth.uid());
end $$;
create function private.hold_for_job(p_job public.jobs, p_request_id uuid) returns numeric
language plpgsql set search_path = '' as $$
begin
    return case p_job.kind when 'script' then private.hold_for_script(p_job, p_request_id)
                           else private.hold_for_speech(p_job, p_request_id) end;
end $$;

-- For the worker --------------------------------------------------------------------------------------------------------

-- A run under way with its finished steps, in order.
create function private.script_run(p_job_id uuid, p_attempt_token uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
    perform private.my_attempt(p_job_id, p_attempt_token);
    return (
        select to_jsonb(r) || jsonb_build_object('total_cost_usd', r.total_cost_usd::text, 'steps', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'place', s.place, 'phase', s.phase, 'round', s.round, 'output', s.output) order by s.place), '[]')
            from public.pipeline_steps s where s.run_id = r.id and s.status = 'completed'))
        from public.pipeline_runs r where r.id = p_job_id);
end $$;

-- The purchase of a phase of a run under way: the one that is there, or a new intent with its hold of p_units (the tokens that
-- it reads and may write). p_step: {place, phase, round, model, input}.
create function private.begin_step(p_job_id uuid, p_attempt_token uuid, p_step jsonb, p_units jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_job  public.jobs := private.my_attempt(p_job_id, p_attempt_token);
    v_mine public.purchases;
begin
    select * into v_mine from public.purchases p
    where p.job_id = p_job_id and p.place = (p_step ->> 'place')::integer and p.state <> 'refused' and p.again_at is null
    order by p.created_at desc limit 1 for no key update;
    if v_mine.state = 'intent' and (v_mine.model, v_mine.units_held) is distinct from (p_step ->> 'model', p_units) then
        perform private.refuse_purchase(v_mine.id, 'Something else was asked for before the call.', false);
        v_mine := null;
    end if;
    if v_mine.id is null then
        v_mine := private.new_call(v_job, p_step, p_units);
    end if;
    return private.purchase_json(v_mine);
end $$;

create function private.new_call(p_job public.jobs, p_step jsonb, p_units jsonb) returns public.purchases
language plpgsql set search_path = '' as $$
declare
    v_id       uuid := gen_random_uuid();
    v_model    text := p_step ->> 'model';
    v_provider text := private.writer_of(v_model);
    v_tokens   numeric := (select sum(u.value::numeric) from jsonb_each_text(p_units) u);
    v_new      public.purchases;
begin
    perform private.refuse_paused(p_job.account_id, v_provider, v_model);
    insert into public.pipeline_steps as s (id, account_id, profile_id, run_id, place, phase, round, provider, model, input)
    values (gen_random_uuid(), p_job.account_id, p_job.profile_id, p_job.id, (p_step ->> 'place')::integer,
            p_step ->> 'phase', (p_step ->> 'round')::integer, v_provider, v_model, p_step -> 'input')
    on conflict (run_id, place) do update
    set status = 'running', provider = excluded.provider, model = excluded.model, input = excluded.input, error = null,
        ended_at = null;
    insert into public.purchases (id, account_id, profile_id, job_id, request_id, place, provider, model, voice, part_hash,
                                  characters, units_expected, exact, step_id, units_held)
    values (v_id, p_job.account_id, p_job.profile_id, p_job.id, private.hold_call(p_job, v_id, v_provider, v_model, p_units),
            (p_step ->> 'place')::integer, v_provider, v_model, p_step ->> 'phase',
            encode(sha256(convert_to(p_step ->> 'input', 'UTF8')), 'hex'), char_length(p_step ->> 'input'), v_tokens, true,
            (select s.id from public.pipeline_steps s where s.run_id = p_job.id and s.place = (p_step ->> 'place')::integer),
            p_units)
    returning * into v_new;
    return v_new;
end $$;

-- The hold of a call: one of the job's that is not in use and covers it, or a new one under p_id. One that is too small is
-- given back first: a run never stands in its own way.
create function private.hold_call(p_job public.jobs, p_id uuid, p_provider text, p_model text, p_units jsonb) returns uuid
language plpgsql set search_path = '' as $$
declare
    v_cost    numeric := (private.price_units(p_job.account_id, p_provider, p_model, p_units, private.utc_now())).cost_usd;
    v_request uuid;
begin
    perform private.lock_holds(p_job.id);
    select h.request_id into v_request from public.cost_holds h
    where h.job_id = p_job.id and h.state = 'reserved' and h.service = p_provider and h.estimate_usd >= v_cost
      and h.month = private.month_of(private.utc_now())
    order by h.estimate_usd, h.occurred_at limit 1;
    if found then
        return v_request;
    end if;
    perform private.release_cost(h.request_id)
    from (select r.request_id from public.cost_holds r
          where r.job_id = p_job.id and r.state = 'reserved' order by r.month, r.request_id) h;
    perform private.hold_cost(p_id, p_job.profile_id, v_cost, p_provider, p_job.id, p_job.created_by);
    return p_id;
end $$;

-- As before for speech; a phase is booked under its name, run and step, with the tokens that were used, or those that were
-- held where nobody knows more, at the price of the model that answered where the book has it.
alter function private.book_purchase(public.purchases, numeric) rename to book_passage;
create function private.book_call(p_purchase public.purchases) returns numeric
language plpgsql set search_path = '' as $$
declare
    v_step public.pipeline_steps;
    v_run  public.pipeline_runs;
begin
    select * into v_step from public.pipeline_steps s where s.id = p_purchase.step_id;
    select * into v_run from public.pipeline_runs r where r.id = v_step.run_id;
    perform private.settle_cost(p_purchase.request_id, jsonb_build_array(jsonb_build_object(
        'id', p_purchase.id, 'operation', v_step.phase, 'category', 'text',
        'model', case when exists (select from public.prices b
                                   where b.account_id = p_purchase.account_id and b.provider = p_purchase.provider
                                     and b.model = p_purchase.model_billed and b.valid_from <= p_purchase.created_at)
                      then p_purchase.model_billed else p_purchase.model end,
        'units', coalesce(p_purchase.units_used, p_purchase.units_held), 'project_id', v_run.project_id,
        'clip_id', v_run.clip_id, 'run_id', v_run.id, 'step_id', v_step.id,
        'preview', private.preview(v_run.briefing))), true);
    return (select e.cost_usd from public.cost_entries e where e.id = p_purchase.id);
end $$;
create function private.book_purchase(p_purchase public.purchases, p_units numeric) returns numeric
language plpgsql set search_path = '' as $$
begin
    return case when p_purchase.step_id is null then private.book_passage(p_purchase, p_units)
                else private.book_call(p_purchase) end;
end $$;

-- The truth about a call, accepted always and once: the tokens used, the vendor's id, and what was answered. p_step:
-- {output, error, model_version, model_billed}; an answer that cannot be used is booked and its step failed. Returns its cost.
create function private.settle_step(p_purchase_id uuid, p_units jsonb, p_vendor_id text, p_step jsonb) returns numeric
language plpgsql security definer set search_path = '' as $$
declare
    v_purchase public.purchases;
    v_cost     numeric;
begin
    perform private.lock_job_of(p_purchase_id);
    update public.purchases p set units_used = p_units, model_billed = p_step ->> 'model_billed'
    where p.id = p_purchase_id and p.state not in ('settled', 'recovered') returning * into v_purchase;
    if not found then
        return (select p.cost_usd from public.purchases p where p.id = p_purchase_id);
    end if;
    v_cost := private.settle_purchase(p_purchase_id, (select sum(u.value::numeric) from jsonb_each_text(p_units) u),
                                      p_vendor_id, null, false);
    update public.purchases p set again_at = private.utc_now()  -- a retry buys it anew
    where p.id = p_purchase_id and jsonb_typeof(p_step -> 'output') is distinct from 'object';
    update public.pipeline_steps s
    set status = case when jsonb_typeof(p_step -> 'output') = 'object' then 'completed' else 'failed' end,
        output = p_step -> 'output', error = p_step ->> 'error', model_version = p_step ->> 'model_version',
        input_tokens = s.input_tokens + coalesce((p_units ->> 'input_tokens')::bigint, 0),
        cached_tokens = s.cached_tokens + coalesce((p_units ->> 'cached_tokens')::bigint, 0),
        output_tokens = s.output_tokens + coalesce((p_units ->> 'output_tokens')::bigint, 0),
        cost_usd = s.cost_usd + v_cost, ended_at = private.utc_now()
    where s.id = v_purchase.step_id;
    return v_cost;
end $$;

-- The run is done: its text is a version, unless the assistant has it already. p_end: {title, content, score, rounds,
-- because}.
create function private.save_script(p_job_id uuid, p_attempt_token uuid, p_end jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_job       public.jobs := private.my_attempt(p_job_id, p_attempt_token);
    v_run       public.pipeline_runs;
    v_assistant public.assistants;
    v_version   uuid;
begin
    select * into v_run from public.pipeline_runs r where r.id = p_job_id;
    select * into v_assistant from public.assistants a where a.id = v_run.assistant_id for no key update;
    perform private.lock_holds(p_job_id);
    perform private.release_cost(h.request_id)
    from (select r.request_id from public.cost_holds r
          where r.job_id = p_job_id and r.state = 'reserved' order by r.month, r.request_id) h;
    v_version := private.add_version(v_assistant, p_end || jsonb_build_object(
        'run_id', p_job_id, 'briefing_hash', v_run.briefing_hash, 'iterations', p_end -> 'rounds',
        'cost', (select r.total_cost_usd from public.pipeline_runs r where r.id = p_job_id),
        'created_by', v_run.created_by));
    update public.pipeline_runs r
    set status = 'completed', ended_because = p_end ->> 'because', best_score = (p_end ->> 'score')::numeric,
        version_id = v_version, error = null, ended_at = private.utc_now()
    where r.id = p_job_id;
    perform private.complete_job(p_job_id, p_attempt_token,
                                 jsonb_build_object('run_id', p_job_id, 'version_id', v_version));
end $$;

-- As before; calls of phases are found out about by give_up_calls: their vendor has no list of what it answered.
create or replace function private.lost_purchases(
    p_grace_seconds numeric, p_after_absent boolean, p_after_at timestamptz, p_after_id uuid
) returns jsonb language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_agg(private.purchase_json(x.purchase) || jsonb_build_object('input', x.input)
                              order by x.absent, x.created_at, x.id), '[]')
    from (
        select p as purchase, j.input, p.state = 'refused' as absent, p.created_at, p.id
        from public.purchases p join public.jobs j on j.id = p.job_id
        where p.step_id is null
          and ((p.state = 'sent' and p.deadline + make_interval(secs => p_grace_seconds::double precision)
                                     < private.utc_now()
                and not (j.status = 'pending' or (j.status = 'running' and j.lease_until > private.utc_now())))
               or (p.state = 'refused' and p.absent_at > private.utc_now() - interval '1 day'))
          and (p_after_id is null
               or (p.state = 'refused', p.created_at, p.id) > (p_after_absent, p_after_at, p_after_id))
        order by absent, p.created_at, p.id limit 100) x
$$;

-- Calls of phases whose answer never came and that no attempt looks after any more: a person decides. Returns how many.
create function private.give_up_calls(p_grace_seconds numeric) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    v_count integer;
begin
    update public.purchases p
    set state = 'unclear', error = 'The answer never came, and nobody can tell whether it was billed.'
    where p.step_id is not null and p.state = 'sent'
      and p.deadline + make_interval(secs => p_grace_seconds::double precision) < private.utc_now()
      and not exists (select from public.jobs j where j.id = p.job_id and (j.status = 'pending'
                      or (j.status = 'running' and j.lease_until > private.utc_now())));
    get diagnostics v_count = row_count;
    return v_count;
end $$;

create function public.script_quote(p_assistant_id uuid, p_briefing text) returns jsonb
language sql stable set search_path = '' as $$ select private.script_quote(p_assistant_id, p_briefing) $$;
create function public.start_script(
    p_run_id uuid, p_assistant_id uuid, p_briefing text, p_briefing_id text default null, p_project_id uuid default null,
    p_clip_id uuid default null
) returns uuid language sql set search_path = '' as
    $$ select private.start_script(p_run_id, p_assistant_id, p_briefing, p_briefing_id, p_project_id, p_clip_id) $$;
create function public.script_run(p_job_id uuid, p_attempt_token uuid) returns jsonb
language sql set search_path = '' as $$ select private.script_run(p_job_id, p_attempt_token) $$;
create function public.begin_step(p_job_id uuid, p_attempt_token uuid, p_step jsonb, p_units jsonb) returns jsonb
language sql set search_path = '' as $$ select private.begin_step(p_job_id, p_attempt_token, p_step, p_units) $$;
create function public.settle_step(p_purchase_id uuid, p_units jsonb, p_vendor_id text, p_step jsonb) returns numeric
language sql set search_path = '' as $$ select private.settle_step(p_purchase_id, p_units, p_vendor_id, p_step) $$;
create function public.save_script(p_job_id uuid, p_attempt_token uuid, p_end jsonb) returns void
language sql set search_path = '' as $$ select private.save_script(p_job_id, p_attempt_token, p_end) $$;
create function public.give_up_calls(p_grace_seconds numeric) returns integer
language sql set search_path = '' as $$ select private.give_up_calls(p_grace_seconds) $$;
grant execute on function
    public.script_quote(uuid, text), private.script_quote(uuid, text),
    public.start_script(uuid, uuid, text, text, uuid, uuid), private.start_script(uuid, uuid, text, text, uuid, uuid)
    to authenticated;
grant execute on function
    public.script_run(uuid, uuid), private.script_run(uuid, uuid),
    public.begin_step(uuid, uuid, jsonb, jsonb), private.begin_step(uuid, uuid, jsonb, jsonb),
    public.settle_step(uuid, jsonb, text, jsonb), private.settle_step(uuid, jsonb, text, jsonb),
    public.save_script(uuid, uuid, jsonb), private.save_script(uuid, uuid, jsonb),
    public.give_up_calls(numeric), private.give_up_calls(numeric)
    to service_role;
