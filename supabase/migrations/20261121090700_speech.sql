-- Speech: what it would cost, ordering it, storing it.

-- Same text, voice, model, settings and format = same hash. Spaces at the ends do not count.
create function private.speech_hash(p_speech jsonb) returns text language sql immutable set search_path = '' as $$
    select encode(sha256(convert_to(concat_ws(chr(31), p_speech ->> 'provider', p_speech ->> 'model',
        p_speech ->> 'voice', p_speech ->> 'format', (p_speech -> 'settings')::text, btrim(p_speech ->> 'text')),
        'UTF8')), 'hex')
$$;

-- Money of a limit this month: {limit, settled, held, left} as text and exceeded; limit and left null = no limit.
create function private.quota_state(p_account_id uuid, p_profile_id uuid) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    return (
        select jsonb_build_object(
            'limit', l.usd::text, 'settled', coalesce(c.settled_usd, 0)::text, 'held', coalesce(c.held_usd, 0)::text,
            'left', case when l.usd is not null
                         then greatest(l.usd - coalesce(c.settled_usd, 0) - coalesce(c.held_usd, 0), 0)::text end,
            'exceeded', coalesce(coalesce(c.settled_usd, 0) >= l.usd, false))
        from (select private.limit_in_force(p_account_id, p_profile_id) as usd) l
        left join public.quota_counters c
            on c.scope_id = coalesce(p_profile_id, p_account_id) and c.month = private.month_of(private.utc_now()));
end $$;

-- A store in which the person works, or PT404/PT403.
create function private.my_work_profile(p_profile_id uuid) returns public.profiles
language plpgsql stable set search_path = '' as $$
declare
    v_store public.profiles;
begin
    select * into v_store from public.profiles p
    where p.id = p_profile_id and p.id in (select private.my_profile_ids()) and p.archived_at is null;
    if not found then
        perform private.fail('PT404', 'Store not found. It may have been archived.');
    elsif v_store.id not in (select private.my_work_profile_ids()) then
        perform private.fail('PT403', 'Finance reads; a manager of the store or an admin can make speech.');
    end if;
    return v_store;
end $$;

-- What a text would cost: {characters, estimate, store, company, existing, running}. Prices and counts are SQL's own.
create function private.speech_quote(p_profile_id uuid, p_speech jsonb) returns jsonb
language plpgsql stable security definer set search_path = ''
set plan_cache_mode = force_generic_plan as $$
declare
    v_store      public.profiles := private.my_work_profile(p_profile_id);
    v_characters integer := char_length(btrim(p_speech ->> 'text'));
    v_hash       text := private.speech_hash(p_speech);
    v_cost       numeric;
    v_prices     jsonb;
begin
    select p.cost_usd, p.unit_prices into v_cost, v_prices
    from private.price_units(v_store.account_id, p_speech ->> 'provider', p_speech ->> 'model',
                             jsonb_build_object('characters', v_characters), private.utc_now()) p;
    return jsonb_build_object(
        'characters', v_characters, 'estimate', v_cost::text, 'unit_price', v_prices -> 'characters',
        'allow_free_over_quota', v_store.allow_free_voices_over_quota,
        'store', private.quota_state(v_store.account_id, p_profile_id),
        'company', private.quota_state(v_store.account_id, null),
        'existing', (select a.id from public.speech_assets a
                     where a.profile_id = p_profile_id and a.content_hash = v_hash and a.deleted_at is null
                     order by a.created_at desc limit 1),
        'running', (select j.id from public.jobs j where j.profile_id = p_profile_id and j.dedupe_key = v_hash
                    and j.status in ('pending', 'running')));
end $$;

-- Job row and hold in one transaction. Speech: {text, provider, model, voice, format, settings, project_id, clip_id}.
-- The same id again, or the same speech while it is under way, returns the job that is there: nothing is bought twice.
create function private.enqueue_speech(p_job_id uuid, p_profile_id uuid, p_speech jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_store public.profiles := private.my_work_profile(p_profile_id);
    v_hash  text;
    v_input jsonb := p_speech || jsonb_build_object('text', btrim(p_speech ->> 'text'));
    v_job   public.jobs;
begin
    if char_length(coalesce(v_input ->> 'text', '')) not between 1 and 40000
        or v_input ->> 'text' !~ '\S' then
        perform private.fail('PT400', 'The text must have 1 to 40,000 characters.', '{"field": "text"}');
    elsif (v_input ->> 'format' in ('mp3', 'wav') and v_input ->> 'voice' <> ''
           and jsonb_typeof(v_input -> 'settings') = 'object') is not true then
        perform private.fail('PT400', 'Speech needs a voice, its settings, and mp3 or wav as its format.');
    end if;
    perform private.check_clip(p_profile_id, (p_speech ->> 'project_id')::uuid, (p_speech ->> 'clip_id')::uuid);
    v_hash := private.speech_hash(v_input);
    insert into public.jobs (id, account_id, profile_id, kind, input, request_id, dedupe_key, created_by)
    values (p_job_id, v_store.account_id, p_profile_id, 'speech', v_input, p_job_id, v_hash, auth.uid())
    on conflict do nothing returning * into v_job;
    if not found then
        return private.same_speech_job(p_job_id, p_profile_id, v_hash);
    end if;
    return jsonb_build_object('job_id', p_job_id, 'left', private.hold_for_job(v_job, p_job_id)::text);
end $$;

create function private.same_speech_job(p_job_id uuid, p_profile_id uuid, p_hash text) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_job public.jobs;
begin
    select * into v_job from public.jobs j where j.id = p_job_id;
    if found and (v_job.profile_id is distinct from p_profile_id or v_job.dedupe_key is distinct from p_hash) then
        perform private.fail('PT409', 'This request was sent before with other values.');
    elsif not found then
        select * into v_job from public.jobs j
        where j.profile_id = p_profile_id and j.dedupe_key = p_hash and j.status in ('pending', 'running');
        if not found then                                      -- it ended between the two looks
            perform private.fail('PT409', 'The same speech has just been made. Use it from the list below.');
        end if;
    end if;
    return jsonb_build_object('job_id', v_job.id, 'left', null);
end $$;

create function private.check_clip(p_profile_id uuid, p_project_id uuid, p_clip_id uuid) returns void
language plpgsql set search_path = '' as $$
begin
    if p_project_id is not null and not exists (
        select from public.projects p where p.id = p_project_id and p.profile_id = p_profile_id) then
        perform private.fail('PT404', 'Project not found in this store.');
    elsif p_clip_id is not null and not exists (
        select from public.clips c where c.id = p_clip_id and c.profile_id = p_profile_id) then
        perform private.fail('PT404', 'Clip not found in this store.');
    end if;
end $$;

-- Price the job's paid step from its own input and hold it. Jobs that cost nothing hold nothing.
create function private.hold_for_job(p_job public.jobs, p_request_id uuid) returns numeric
language plpgsql set search_path = '' as $$
declare
    v_cost numeric;
begin
    if p_job.kind <> 'speech' then
        return null;
    end if;
    select p.cost_usd into v_cost
    from private.price_units(p_job.account_id, p_job.input ->> 'provider', p_job.input ->> 'model',
                             jsonb_build_object('characters', char_length(p_job.input ->> 'text')),
                             private.utc_now()) p;
    return private.hold_cost(p_request_id, p_job.profile_id, v_cost, p_job.input ->> 'provider', p_job.id, auth.uid());
end $$;

-- Store finished speech: asset, ledger entry and job state in one transaction. Speech: {id, media_path,
-- duration_seconds, bytes}. The entry's id is the asset's, so a repeat books nothing.
create function private.save_speech(p_job_id uuid, p_attempt_token uuid, p_speech jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_job  public.jobs := private.my_attempt(p_job_id, p_attempt_token);
    v_cost numeric;
begin
    v_cost := private.settle_cost(v_job.request_id, jsonb_build_array(jsonb_build_object(
        'id', p_speech ->> 'id', 'operation', 'tts', 'model', v_job.input ->> 'model', 'category', 'speech',
        'units', jsonb_build_object('characters', char_length(v_job.input ->> 'text')),
        'project_id', v_job.input ->> 'project_id', 'clip_id', v_job.input ->> 'clip_id',
        'preview', private.preview(v_job.input ->> 'text'))), true);
    insert into public.speech_assets (id, account_id, profile_id, job_id, created_by, text, content_hash, provider,
        model, voice, settings, format, characters, duration_seconds, bytes, media_path, cost_usd)
    values ((p_speech ->> 'id')::uuid, v_job.account_id, v_job.profile_id, v_job.id, v_job.created_by,
        v_job.input ->> 'text', v_job.dedupe_key, v_job.input ->> 'provider', v_job.input ->> 'model',
        v_job.input ->> 'voice', v_job.input -> 'settings', v_job.input ->> 'format',
        char_length(v_job.input ->> 'text'), (p_speech ->> 'duration_seconds')::numeric,
        (p_speech ->> 'bytes')::bigint, p_speech ->> 'media_path', v_cost);
    perform private.complete_job(p_job_id, p_attempt_token, jsonb_build_object('speech_id', p_speech ->> 'id'));
end $$;

-- The first 100 characters, then three dots if there are more.
create function private.preview(p_text text) returns text language sql immutable set search_path = '' as $$
    select left(p_text, 100) || case when char_length(p_text) > 100 then '...' else '' end
$$;

-- Of these media paths, those that a row or an open job names; the sweeper deletes the others.
create function private.known_media(p_paths text[]) returns text[]
language sql stable security definer set search_path = '' as $$
    select coalesce(array_agg(p), '{}') from unnest(p_paths) p
    where exists (select from public.speech_assets a where a.media_path = p)
       or exists (select from public.clips c where p in (c.media_path, c.thumbnail_path))
       or exists (select from public.jobs j              -- written a moment ago, its step not stored yet
                  where j.status = 'running' and p like '%/' || j.id || '-' || j.attempt_token || '.%')
       or exists (select from public.job_steps s join public.jobs j on j.id = s.job_id
                  where s.outcome ->> 'media_path' = p and j.status in ('pending', 'running'))
$$;

create function public.speech_quote(p_profile_id uuid, p_speech jsonb) returns jsonb
language sql stable set search_path = '' as $$ select private.speech_quote(p_profile_id, p_speech) $$;
create function public.enqueue_speech(p_job_id uuid, p_profile_id uuid, p_speech jsonb) returns jsonb
language sql set search_path = '' as $$ select private.enqueue_speech(p_job_id, p_profile_id, p_speech) $$;
create function public.save_speech(p_job_id uuid, p_attempt_token uuid, p_speech jsonb) returns void
language sql set search_path = '' as $$ select private.save_speech(p_job_id, p_attempt_token, p_speech) $$;
create function public.known_media(p_paths text[]) returns text[]
language sql stable set search_path = '' as $$ select private.known_media(p_paths) $$;

grant execute on function public.speech_quote(uuid, jsonb), private.speech_quote(uuid, jsonb),
    public.enqueue_speech(uuid, uuid, jsonb), private.enqueue_speech(uuid, uuid, jsonb) to authenticated;
grant execute on function public.save_speech(uuid, uuid, jsonb), private.save_speech(uuid, uuid, jsonb),
    public.known_media(text[]), private.known_media(text[]) to service_role;
