-- What workers store of a clip: made ready to publish, or speech put on it. A failure's sentence comes by its job.

-- The clip that this attempt works on, locked; PT409 if it was changed after the job was ordered.
create function private.worked_clip(p_job public.jobs) returns uuid language plpgsql set search_path = '' as $$
declare
    v_id uuid;
begin
    select c.id into v_id from public.clips c
    where c.id = (p_job.input ->> 'clip_id')::uuid and c.profile_id = p_job.profile_id
      and c.version = (p_job.input ->> 'version')::integer
    for no key update;
    if not found then
        perform private.fail('PT409', 'This clip was changed while it was being worked on, so the result was dropped.');
    end if;
    return v_id;
end $$;

-- Media: {media_path, media_type, duration_seconds, bytes, width, height, has_sound}, as it is played and published.
create function private.set_media(p_clip_id uuid, p_media jsonb) returns void language sql set search_path = '' as $$
    update public.clips c
    set final_status = 'completed', error = null, media_path = p_media ->> 'media_path',
        media_type = p_media ->> 'media_type', duration_seconds = (p_media ->> 'duration_seconds')::numeric,
        bytes = (p_media ->> 'bytes')::bigint, width = (p_media ->> 'width')::integer,
        height = (p_media ->> 'height')::integer, has_sound = (p_media ->> 'has_sound')::boolean
    where c.id = p_clip_id
$$;

-- Store a clip that can be published, with its own sound and its thumbnail: row and job in one transaction.
create function private.clip_prepared(p_job_id uuid, p_attempt_token uuid, p_media jsonb, p_thumbnail text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_id uuid := private.worked_clip(private.my_attempt(p_job_id, p_attempt_token));
begin
    perform private.set_media(v_id, p_media);
    update public.clips c
    set thumbnail_path = p_thumbnail, subtitles_path = null, speech_id = null, speech_mode = null
    where c.id = v_id;
    perform private.complete_job(p_job_id, p_attempt_token, jsonb_build_object('clip_id', v_id));
end $$;

-- Store a clip with speech on it, and the speech's subtitles where their times are known.
create function private.speech_put(p_job_id uuid, p_attempt_token uuid, p_media jsonb, p_subtitles text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs := private.my_attempt(p_job_id, p_attempt_token);
    v_id  uuid := private.worked_clip(v_job);
begin
    perform private.set_media(v_id, p_media);
    update public.clips c
    set subtitles_path = p_subtitles, speech_id = (v_job.input ->> 'speech_id')::uuid,
        speech_mode = v_job.input ->> 'mode'
    where c.id = v_id;
    perform private.complete_job(p_job_id, p_attempt_token, jsonb_build_object('clip_id', v_id));
end $$;

-- A speech's passages as they were spoken, and where in its file each is heard: {passages, spans}, spans null for speech
-- from before they were noted. Null if the job that made it is gone.
create function private.speech_spans(p_speech_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object('passages', private.chunks_of(j.input), 'spans', s.outcome -> 'spans')
    from public.speech_assets a
    join public.jobs j on j.id = a.job_id
    left join public.job_steps s on s.job_id = j.id and s.name = 'join'
    where a.id = p_speech_id
$$;

create function public.clip_prepared(
    p_job_id uuid, p_attempt_token uuid, p_media jsonb, p_thumbnail text default null
) returns void language sql set search_path = '' as
    $$ select private.clip_prepared(p_job_id, p_attempt_token, p_media, p_thumbnail) $$;
create function public.speech_put(
    p_job_id uuid, p_attempt_token uuid, p_media jsonb, p_subtitles text default null
) returns void language sql set search_path = '' as
    $$ select private.speech_put(p_job_id, p_attempt_token, p_media, p_subtitles) $$;
create function public.speech_spans(p_speech_id uuid) returns jsonb
language sql stable set search_path = '' as $$ select private.speech_spans(p_speech_id) $$;

grant execute on function
    public.clip_prepared(uuid, uuid, jsonb, text), private.clip_prepared(uuid, uuid, jsonb, text),
    public.speech_put(uuid, uuid, jsonb, text), private.speech_put(uuid, uuid, jsonb, text),
    public.speech_spans(uuid), private.speech_spans(uuid) to service_role;
