-- A proposal is what one call to a writer offers for a clip or a project: captions, or a cover. It has its job's id. Its call
-- is a purchase as a phase's is. Lock order: job, purchase, month, hold, counters, proposal.

create table public.proposals (
    id            uuid primary key,                            -- also of its job
    account_id    uuid not null,
    profile_id    uuid not null,
    kind          text not null check (kind in ('captions', 'cover')),  -- also of its job
    project_id    uuid,
    clip_id       uuid,
    wanted        jsonb not null,                              -- what was ordered
    file_hash     text,                                        -- SHA-256 of the film that was looked at
    details       jsonb not null default '{}',                 -- what the ledger keeps beside its cost
    provider      text not null,
    model         text not null,
    model_version text,                                        -- which one answered
    status        text not null default 'running' check (status in ('running', 'completed', 'failed', 'cancelled')),
    output        jsonb,
    error         text,
    input_tokens  bigint not null default 0,                   -- without those from the vendor's cache
    cached_tokens bigint not null default 0,
    output_tokens bigint not null default 0,
    cost_usd      numeric(14,6) not null default 0,
    created_by    uuid,
    started_at    timestamptz not null default private.utc_now(),
    ended_at      timestamptz,
    foreign key (account_id, profile_id) references public.profiles (account_id, id) on delete cascade
);
create index proposals_account_profile on public.proposals (account_id, profile_id);
create index proposals_clip on public.proposals (clip_id, kind, started_at desc) where clip_id is not null;
create index proposals_project on public.proposals (project_id, kind, started_at desc) where project_id is not null;
create index proposals_file on public.proposals (profile_id, file_hash, kind) where status = 'completed';
create index proposals_past on public.proposals (profile_id, kind, model, ended_at desc) where status = 'completed';
alter table public.proposals enable row level security;
grant select on public.proposals to authenticated, service_role;
create policy "people read their stores' proposals" on public.proposals for select to authenticated
    using (profile_id in (select private.my_profile_ids()));

create function private.is_proposal(p_kind text) returns boolean language sql immutable set search_path = '' as
    $$ select p_kind in ('captions', 'cover') $$;

-- A proposal ends and begins again with its job.
create function private.follow_proposal() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    if new.status in ('failed', 'cancelled') then
        update public.proposals p set status = new.status, error = new.error, ended_at = private.utc_now()
        where p.id = new.id and p.status = 'running';
    elsif old.status in ('failed', 'cancelled') then
        update public.proposals p set status = 'running', error = null, ended_at = null where p.id = new.id;
    end if;
    return null;
end $$;
create trigger follow_proposal after update of status on public.jobs for each row
    when (new.kind in ('captions', 'cover') and new.status <> old.status) execute function private.follow_proposal();

-- What one costs -------------------------------------------------------------------------------------------------------

-- The most that a call may use; no worker asks for more. Captions: twelve frames of at most 2,240 tokens, and words. A cover:
-- its prompt, and a picture of some 1,300 tokens with what the vendor may write beside it.
create function private.most_units(p_kind text) returns jsonb language sql immutable set search_path = '' as $$
    select case p_kind when 'captions' then '{"input_tokens": 40000, "output_tokens": 8192}'::jsonb
                       else '{"input_tokens": 10000, "output_tokens": 4096}'::jsonb end
$$;

create function private.proposal_cost(p_account_id uuid, p_kind text, p_model text) returns numeric
language plpgsql stable set search_path = '' as $$
begin
    return (private.price_units(p_account_id, private.writer_of(p_model), p_model, private.most_units(p_kind),
                                private.utc_now())).cost_usd;
end $$;

-- What a proposal would cost now in a store, at most and typically: the mean of its last 20 of this kind and model.
create function private.proposal_quote(p_profile_id uuid, p_kind text, p_model text) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_account uuid := (select p.account_id from public.profiles p
                       where p.id = p_profile_id and p.id in (select private.my_profile_ids()));
    v_past    record;
begin
    if v_account is null then
        perform private.fail('PT404', 'Store not found. It may have been archived.');
    elsif not private.is_proposal(p_kind) then
        perform private.fail('PT400', 'There is no such proposal.');
    end if;
    select count(*) as count, avg(x.cost_usd) as usd into v_past
    from (select p.cost_usd from public.proposals p
          where p.profile_id = p_profile_id and p.kind = p_kind and p.model = p_model and p.status = 'completed'
            and p.cost_usd > 0
          order by p.ended_at desc limit 20) x;
    return jsonb_build_object(
        'largest', private.proposal_cost(v_account, p_kind, p_model)::text, 'typical', round(v_past.usd, 6)::text,
        'known', v_past.count, 'store', private.quota_state(v_account, p_profile_id),
        'company', private.quota_state(v_account, null));
end $$;

-- As before; of a proposal what its call costs at most, as long as it has no answer.
alter function private.job_price(public.jobs) rename to phase_or_speech_price;
create function private.job_price(p_job public.jobs, out first_usd numeric, out whole_usd numeric)
language plpgsql stable set search_path = '' as $$
declare
    v_price record;
begin
    if private.is_proposal(p_job.kind) then
        select private.proposal_cost(p.account_id, p.kind, p.model) into first_usd
        from public.proposals p where p.id = p_job.id and p.output is null;
        whole_usd := first_usd;
        return;
    end if;
    v_price := private.phase_or_speech_price(p_job);
    first_usd := v_price.first_usd;
    whole_usd := v_price.whole_usd;
end $$;

alter function private.hold_for_job(public.jobs, uuid) rename to hold_for_phase_or_speech;
create function private.hold_for_proposal(p_job public.jobs, p_request_id uuid) returns numeric
language plpgsql set search_path = '' as $$
declare
    v_price    numeric := (private.job_price(p_job)).first_usd;
    v_proposal public.proposals;
    v_store    public.profiles;
begin
    select * into v_store from public.profiles p where p.id = p_job.profile_id;
    perform private.refuse_closed_store(v_store);
    if v_price is null then
        return null;                                           -- the answer is there: nothing is left to buy
    end if;
    select * into strict v_proposal from public.proposals p where p.id = p_job.id;
    perform private.refuse_paused(p_job.account_id, v_proposal.provider, v_proposal.model);
    return private.hold_cost(p_request_id, p_job.profile_id, v_price, v_proposal.provider, p_job.id, auth.uid());
end $$;
create function private.hold_for_job(p_job public.jobs, p_request_id uuid) returns numeric
language plpgsql set search_path = '' as $$
begin
    return case when private.is_proposal(p_job.kind) then private.hold_for_proposal(p_job, p_request_id)
                else private.hold_for_phase_or_speech(p_job, p_request_id) end;
end $$;

-- Ordering -------------------------------------------------------------------------------------------------------------

-- A store in which the person may work, or PT404/PT403; p_what: what finance may only read.
create function private.work_store(p_profile_id uuid, p_what text) returns public.profiles
language plpgsql stable set search_path = '' as $$
declare
    v_store public.profiles;
begin
    select * into v_store from public.profiles p
    where p.id = p_profile_id and p.id in (select private.my_profile_ids()) and p.archived_at is null;
    if not found then
        perform private.fail('PT404', 'Store not found. It may have been archived.');
    elsif v_store.id not in (select private.my_work_profile_ids()) then
        perform private.fail('PT403', format('Finance reads; a manager of the store or an admin can %s.', p_what));
    end if;
    return v_store;
end $$;
-- As before, by the one rule.
create or replace function private.my_work_profile(p_profile_id uuid) returns public.profiles
language plpgsql stable set search_path = '' as $$
begin
    return private.work_store(p_profile_id, 'make speech');
end $$;
create or replace function private.clip_store(p_profile_id uuid) returns public.profiles
language plpgsql stable set search_path = '' as $$
begin
    return private.work_store(p_profile_id, 'change clips');
end $$;
create or replace function private.script_store(p_profile_id uuid) returns public.profiles
language plpgsql stable set search_path = '' as $$
begin
    return private.work_store(p_profile_id, 'change scripts');
end $$;

-- The project that a proposal is for: the clip's, or the one that is named.
create function private.proposal_project(p_profile_id uuid, p_project_id uuid, p_clip_id uuid) returns uuid
language plpgsql stable set search_path = '' as $$
declare
    v_project uuid := p_project_id;
begin
    if p_clip_id is not null then
        select c.project_id into v_project from public.clips c
        where c.id = p_clip_id and c.profile_id = p_profile_id and c.deleted_at is null;
        if not found then
            perform private.fail('PT404', 'Clip not found in this store.');
        end if;
    elsif not exists (select from public.projects p
                      where p.id = p_project_id and p.profile_id = p_profile_id and p.deleted_at is null) then
        perform private.fail('PT404', 'Project not found in this store.');
    end if;
    return v_project;
end $$;

-- The job and its proposal, with its largest cost held. The same id again is the same order.
create function private.start_proposal(
    p_id uuid, p_kind text, p_profile_id uuid, p_model text, p_wanted jsonb, p_project_id uuid, p_clip_id uuid
) returns uuid language plpgsql security definer set search_path = '' as $$
declare
    v_store    public.profiles := private.work_store(p_profile_id, 'ask for proposals');
    v_project  uuid := private.proposal_project(p_profile_id, p_project_id, p_clip_id);
    v_provider text := private.writer_of(p_model);
    v_job      public.jobs;
begin
    if private.is_proposal(p_kind) is not true or (p_kind = 'captions' and p_clip_id is null) then
        perform private.fail('PT400', 'There is no such proposal.');
    elsif jsonb_typeof(p_wanted) is distinct from 'object' or octet_length(p_wanted::text) > 20000 then
        perform private.fail('PT400', 'This asks for too much. Shorten it.', '{"field": "prompt"}');
    end if;
    insert into public.jobs (id, account_id, profile_id, kind, input, request_id, created_by)
    values (p_id, v_store.account_id, p_profile_id, p_kind,
            jsonb_build_object('provider', v_provider, 'model', p_model, 'clip_id', p_clip_id, 'project_id', v_project),
            p_id, auth.uid())
    on conflict do nothing returning * into v_job;
    if not found then
        if not exists (select from public.proposals p where p.id = p_id and p.profile_id = p_profile_id
                       and (p.kind, p.model, p.wanted, p.project_id) = (p_kind, p_model, p_wanted, v_project)
                       and p.clip_id is not distinct from p_clip_id) then
            perform private.fail('PT409', 'This request was sent before with other values.');
        end if;
        return p_id;
    end if;
    insert into public.proposals (id, account_id, profile_id, kind, project_id, clip_id, wanted, provider, model, created_by)
    values (p_id, v_store.account_id, p_profile_id, p_kind, v_project, p_clip_id, p_wanted, v_provider, p_model, auth.uid());
    perform private.hold_for_job(v_job, p_id);
    return p_id;
end $$;

-- For the worker -------------------------------------------------------------------------------------------------------

-- A proposal under way.
create function private.proposal_order(p_job_id uuid, p_attempt_token uuid) returns jsonb
language plpgsql security definer set search_path = '' as $$
begin
    perform private.my_attempt(p_job_id, p_attempt_token);
    return (select to_jsonb(p) || jsonb_build_object('cost_usd', p.cost_usd::text)
            from public.proposals p where p.id = p_job_id);
end $$;

-- The purchase of its call: the one that is there, or a new intent with its hold of p_units. p_details: what the ledger keeps
-- beside its cost, such as the frames that are sent.
create function private.begin_proposal(p_job_id uuid, p_attempt_token uuid, p_units jsonb, p_details jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_job      public.jobs := private.my_attempt(p_job_id, p_attempt_token);
    v_proposal public.proposals;
    v_mine     public.purchases;
begin
    update public.proposals p set details = p_details where p.id = p_job_id returning * into v_proposal;
    v_mine := private.call_under_way(v_job, 0, v_proposal.model, p_units);
    if v_mine.id is null then
        v_mine := private.new_proposal_call(v_job, v_proposal, p_units);
    end if;
    return private.purchase_json(v_mine);
end $$;

create function private.new_proposal_call(p_job public.jobs, p_proposal public.proposals, p_units jsonb)
returns public.purchases language plpgsql set search_path = '' as $$
declare
    v_id  uuid := gen_random_uuid();
    v_new public.purchases;
begin
    perform private.refuse_paused(p_job.account_id, p_proposal.provider, p_proposal.model);
    insert into public.purchases (id, account_id, profile_id, job_id, request_id, place, provider, model, voice, part_hash,
                                  characters, units_expected, exact, units_held)
    values (v_id, p_job.account_id, p_job.profile_id, p_job.id,
            private.hold_call(p_job, v_id, p_proposal.provider, p_proposal.model, p_units), 0, p_proposal.provider,
            p_proposal.model, p_proposal.kind, encode(sha256(convert_to(p_proposal.wanted::text, 'UTF8')), 'hex'),
            char_length(p_proposal.wanted::text), (select sum(u.value::numeric) from jsonb_each_text(p_units) u), true,
            p_units)
    returning * into v_new;
    return v_new;
end $$;

-- Billing --------------------------------------------------------------------------------------------------------------

-- What was used at the price of the model that answered, where the book has it; else of the one that was asked.
create function private.billed_model(p_purchase public.purchases) returns text
language sql stable set search_path = '' as $$
    select case when exists (select from public.prices b
                             where b.account_id = p_purchase.account_id and b.provider = p_purchase.provider
                               and b.model = p_purchase.model_billed and b.valid_from <= p_purchase.created_at)
                then p_purchase.model_billed else p_purchase.model end
$$;

create function private.book_proposal(p_purchase public.purchases) returns numeric
language plpgsql set search_path = '' as $$
declare
    v_proposal public.proposals;
begin
    select * into v_proposal from public.proposals p where p.id = p_purchase.job_id;
    perform private.settle_cost(p_purchase.request_id, jsonb_build_array(jsonb_build_object(
        'id', p_purchase.id, 'operation', case v_proposal.kind when 'captions' then 'clip_analysis' else 'cover_image' end,
        'category', case v_proposal.kind when 'captions' then 'text' else 'image' end,
        'model', private.billed_model(p_purchase), 'units', coalesce(p_purchase.units_used, p_purchase.units_held),
        'project_id', v_proposal.project_id, 'clip_id', v_proposal.clip_id,
        'preview', private.preview(coalesce(v_proposal.details ->> 'preview', v_proposal.wanted ->> 'prompt', '')))), true);
    update public.cost_entry_details d set details = v_proposal.details || d.details where d.entry_id = p_purchase.id;
    return (select e.cost_usd from public.cost_entries e where e.id = p_purchase.id);
end $$;

-- As before for speech and phases. Only calls to a writer hold units of several kinds.
create or replace function private.book_purchase(p_purchase public.purchases, p_units numeric) returns numeric
language plpgsql set search_path = '' as $$
begin
    return case when p_purchase.units_held is null then private.book_passage(p_purchase, p_units)
                when p_purchase.step_id is null then private.book_proposal(p_purchase)
                else private.book_call(p_purchase) end;
end $$;

-- As close_call says; what was answered is told to the phase or the proposal.
create function private.settle_call(p_purchase_id uuid, p_units jsonb, p_vendor_id text, p_answer jsonb) returns numeric
language plpgsql security definer set search_path = '' as $$
declare
    v_purchase public.purchases;
    v_cost     numeric;
begin
    perform private.lock_job_of(p_purchase_id);
    v_cost := private.close_call(p_purchase_id, p_units, p_vendor_id, p_answer);
    select * into v_purchase from public.purchases p where p.id = p_purchase_id;
    if v_cost is null then
        return v_purchase.cost_usd;
    elsif v_purchase.step_id is null then
        perform private.end_proposal(v_purchase.job_id, p_units, v_cost, p_answer);
    else
        perform private.end_step(v_purchase.step_id, p_units, v_cost, p_answer);
    end if;
    return v_cost;
end $$;

create function private.end_proposal(p_id uuid, p_units jsonb, p_cost numeric, p_answer jsonb) returns void
language plpgsql set search_path = '' as $$
begin
    update public.proposals p
    set output = case when jsonb_typeof(p_answer -> 'output') = 'object' then p_answer -> 'output' end,
        error = p_answer ->> 'error', model_version = p_answer ->> 'model_version',
        input_tokens = p.input_tokens + coalesce((p_units ->> 'input_tokens')::bigint, 0),
        cached_tokens = p.cached_tokens + coalesce((p_units ->> 'cached_tokens')::bigint, 0),
        output_tokens = p.output_tokens + coalesce((p_units ->> 'output_tokens')::bigint, 0),
        cost_usd = p.cost_usd + p_cost
    where p.id = p_id;
end $$;

-- The proposal has its answer: its job is done, and what it still holds is given back.
create function private.finish_proposal(p_job_id uuid, p_attempt_token uuid) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform private.my_attempt(p_job_id, p_attempt_token);
    perform private.lock_holds(p_job_id);
    perform private.release_cost(h.request_id)
    from (select r.request_id from public.cost_holds r
          where r.job_id = p_job_id and r.state = 'reserved' order by r.month, r.request_id) h;
    update public.proposals p set status = 'completed', error = null, ended_at = private.utc_now() where p.id = p_job_id;
    perform private.complete_job(p_job_id, p_attempt_token, jsonb_build_object('proposal_id', p_job_id));
end $$;

-- As before, for all calls to a writer.
create or replace function private.lost_purchases(
    p_grace_seconds numeric, p_after_absent boolean, p_after_at timestamptz, p_after_id uuid
) returns jsonb language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_agg(private.purchase_json(x.purchase) || jsonb_build_object('input', x.input)
                              order by x.absent, x.created_at, x.id), '[]')
    from (
        select p as purchase, j.input, p.state = 'refused' as absent, p.created_at, p.id
        from public.purchases p join public.jobs j on j.id = p.job_id
        where p.units_held is null
          and ((p.state = 'sent' and p.deadline + make_interval(secs => p_grace_seconds::double precision)
                                     < private.utc_now()
                and not (j.status = 'pending' or (j.status = 'running' and j.lease_until > private.utc_now())))
               or (p.state = 'refused' and p.absent_at > private.utc_now() - interval '1 day'))
          and (p_after_id is null
               or (p.state = 'refused', p.created_at, p.id) > (p_after_absent, p_after_at, p_after_id))
        order by absent, p.created_at, p.id limit 100) x
$$;
create or replace function private.give_up_calls(p_grace_seconds numeric) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    v_count integer;
begin
    update public.purchases p
    set state = 'unclear', error = 'The answer never came, and nobody can tell whether it was billed.'
    where p.units_held is not null and p.state = 'sent'
      and p.deadline + make_interval(secs => p_grace_seconds::double precision) < private.utc_now()
      and not exists (select from public.jobs j where j.id = p.job_id and (j.status = 'pending'
                      or (j.status = 'running' and j.lease_until > private.utc_now())));
    get diagnostics v_count = row_count;
    return v_count;
end $$;

create function public.proposal_quote(p_profile_id uuid, p_kind text, p_model text) returns jsonb
language sql stable set search_path = '' as $$ select private.proposal_quote(p_profile_id, p_kind, p_model) $$;
create function public.start_proposal(
    p_id uuid, p_kind text, p_profile_id uuid, p_model text, p_wanted jsonb, p_project_id uuid default null,
    p_clip_id uuid default null
) returns uuid language sql set search_path = '' as
    $$ select private.start_proposal(p_id, p_kind, p_profile_id, p_model, p_wanted, p_project_id, p_clip_id) $$;
create function public.proposal_order(p_job_id uuid, p_attempt_token uuid) returns jsonb
language sql set search_path = '' as $$ select private.proposal_order(p_job_id, p_attempt_token) $$;
create function public.begin_proposal(p_job_id uuid, p_attempt_token uuid, p_units jsonb, p_details jsonb) returns jsonb
language sql set search_path = '' as $$ select private.begin_proposal(p_job_id, p_attempt_token, p_units, p_details) $$;
create function public.settle_call(p_purchase_id uuid, p_units jsonb, p_vendor_id text, p_answer jsonb) returns numeric
language sql set search_path = '' as $$ select private.settle_call(p_purchase_id, p_units, p_vendor_id, p_answer) $$;
create function public.finish_proposal(p_job_id uuid, p_attempt_token uuid) returns void
language sql set search_path = '' as $$ select private.finish_proposal(p_job_id, p_attempt_token) $$;
grant execute on function
    public.proposal_quote(uuid, text, text), private.proposal_quote(uuid, text, text),
    public.start_proposal(uuid, text, uuid, text, jsonb, uuid, uuid),
    private.start_proposal(uuid, text, uuid, text, jsonb, uuid, uuid)
    to authenticated;
grant execute on function
    public.proposal_order(uuid, uuid), private.proposal_order(uuid, uuid),
    public.begin_proposal(uuid, uuid, jsonb, jsonb), private.begin_proposal(uuid, uuid, jsonb, jsonb),
    public.settle_call(uuid, jsonb, text, jsonb), private.settle_call(uuid, jsonb, text, jsonb),
    public.finish_proposal(uuid, uuid), private.finish_proposal(uuid, uuid)
    to service_role;
