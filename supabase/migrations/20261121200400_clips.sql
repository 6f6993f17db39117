-- What people do with projects and clips: make, rename, move, delete and bring back, put speech on, find again.

-- Each filter of the page has an index that gives its rows in the order in which they are shown.
create index clips_page_project on public.clips (profile_id, project_id, created_at desc, id desc) where deleted_at is null;
create index clips_page_status on public.clips (profile_id, final_status, created_at desc, id desc) where deleted_at is null;
create index clips_page_type on public.clips (profile_id, media_type, created_at desc, id desc) where deleted_at is null;
create index clips_page_deleted on public.clips (profile_id, created_at desc, id desc) where deleted_at is not null;
create index projects_page on public.projects (profile_id, created_at desc, id desc);

-- Words of a clip's name and of its file's, each behind its store: a store finds its own without passing by others'.
create function private.store_words(p_profile_id uuid, p_text text) returns text[]
language sql immutable set search_path = '' as $$
    select array_agg(replace(p_profile_id::text, '-', '') || w) from unnest(private.words(p_text)) w
$$;
-- To compute them takes a thousand times as long as to compare numbers; told of that, the planner uses their index.
create function private.clip_words(p_clip public.clips) returns tsvector
language sql immutable cost 1000 set search_path = '' as $$
    select array_to_tsvector(coalesce(
        private.store_words(p_clip.profile_id, concat_ws(' ', p_clip.name, p_clip.source_name)), '{}'))
$$;
create index clips_words on public.clips using gin (private.clip_words(clips));

-- Files that rows name, for the sweeper.
create function private.clip_files(p_clip public.clips) returns text[] language sql immutable set search_path = '' as $$
    select array[p_clip.source_path, p_clip.media_path, p_clip.thumbnail_path, p_clip.subtitles_path]
$$;
create index clips_files on public.clips using gin (private.clip_files(clips));

-- Words that all of them use -----------------------------------------------------------------------------------------

-- A store whose clips the person may change, or PT404/PT403.
create function private.clip_store(p_profile_id uuid) returns public.profiles
language plpgsql stable set search_path = '' as $$
declare
    v_store public.profiles;
begin
    select * into v_store from public.profiles p
    where p.id = p_profile_id and p.id in (select private.my_profile_ids()) and p.archived_at is null;
    if not found then
        perform private.fail('PT404', 'Store not found. It may have been archived.');
    elsif v_store.id not in (select private.my_work_profile_ids()) then
        perform private.fail('PT403', 'Finance reads; a manager of the store or an admin can change clips.');
    end if;
    return v_store;
end $$;

-- The same, and it is not suspended: something may be made for it.
create function private.open_clip_store(p_profile_id uuid) returns public.profiles
language plpgsql stable set search_path = '' as $$
declare
    v_store public.profiles := private.clip_store(p_profile_id);
begin
    perform private.refuse_closed_store(v_store);
    return v_store;
end $$;

-- A project the person may change, locked.
create function private.my_project(p_project_id uuid) returns public.projects
language plpgsql set search_path = '' as $$
declare
    v_project public.projects;
begin
    select * into v_project from public.projects p
    where p.id = p_project_id and p.profile_id in (select private.my_profile_ids()) for no key update;
    if not found then
        perform private.fail('PT404', 'Project not found.');
    end if;
    perform private.clip_store(v_project.profile_id);
    return v_project;
end $$;

-- A clip the person may change, locked. Whoever orders a post of it holds its key: this one waits for them, so that a
-- clip is not deleted while the post is being ordered.
create function private.my_clip(p_clip_id uuid) returns public.clips language plpgsql set search_path = '' as $$
declare
    v_clip public.clips;
begin
    select * into v_clip from public.clips c
    where c.id = p_clip_id and c.profile_id in (select private.my_profile_ids()) for update;
    if not found then
        perform private.fail('PT404', 'Clip not found.');
    end if;
    perform private.clip_store(v_clip.profile_id);
    return v_clip;
end $$;

-- The same, and it is not deleted.
create function private.my_present_clip(p_clip_id uuid) returns public.clips language plpgsql set search_path = '' as $$
declare
    v_clip public.clips := private.my_clip(p_clip_id);
begin
    if v_clip.deleted_at is not null then
        perform private.fail('PT409', 'This clip was deleted. Bring it back first.');
    end if;
    return v_clip;
end $$;

create function private.checked_name(p_name text) returns text language plpgsql immutable set search_path = '' as $$
declare
    v_name text := private.one_line(p_name);
begin
    if v_name is null or char_length(v_name) > 200 then
        perform private.fail('PT400', 'A name has 1 to 200 characters.', '{"field": "name"}');
    end if;
    return v_name;
end $$;

-- A present project of the store that takes media of this type.
create function private.project_for(p_profile_id uuid, p_project_id uuid, p_media_type text) returns void
language plpgsql set search_path = '' as $$
declare
    v_project public.projects;
begin
    select * into v_project from public.projects p
    where p.profile_id = p_profile_id and p.id = p_project_id for share;
    if not found then
        perform private.fail('PT404', 'Project not found in this store.', '{"field": "project"}');
    elsif v_project.deleted_at is not null then
        perform private.fail('PT409', format('The project %s was deleted. Bring it back, or choose another.',
                                             v_project.name));
    elsif p_media_type = 'audio' and v_project.kind <> 'podcast' then
        perform private.fail('PT400', 'A recording without pictures goes into a podcast project.', '{"field": "project"}');
    end if;
end $$;

-- Work on a clip: one job at a time.
create function private.order_clip_job(p_clip public.clips, p_kind text, p_input jsonb) returns uuid
language plpgsql set search_path = '' as $$
declare
    v_id uuid := gen_random_uuid();
begin
    insert into public.jobs (id, account_id, profile_id, kind, input, request_id, dedupe_key, created_by)
    values (v_id, p_clip.account_id, p_clip.profile_id, p_kind,
            jsonb_build_object('clip_id', p_clip.id, 'version', p_clip.version) || p_input, v_id,
            'clip ' || p_clip.id, auth.uid());
    return v_id;
exception when unique_violation then                           -- jobs_dedupe
    perform private.fail('PT409', 'This clip is being worked on. Wait until that is done, or cancel it.');
end $$;

create function private.order_preparing(p_clip public.clips) returns uuid language sql set search_path = '' as $$
    select private.order_clip_job(p_clip, 'prepare_clip', jsonb_build_object('path', p_clip.source_path))
$$;

-- A clip's status follows the job that works on it, however that ends or begins again. Only a job of the clip's present
-- version counts. What failed while speech was put on a finished clip leaves the clip as it was.
create function private.follow_clip_job() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    update public.clips c
    set final_status = case
            when new.status = 'pending' then 'pending'
            when new.status = 'running' then 'processing'
            when new.kind = 'put_speech' and c.media_path is not null then 'completed'
            else 'failed' end,
        error = case
            when new.status = 'failed' then coalesce(new.error, 'The work on this clip failed.')
            when new.status = 'cancelled' then 'The work on this clip was cancelled.' end
    where c.id = (new.input ->> 'clip_id')::uuid and c.profile_id = new.profile_id
      and c.version = (new.input ->> 'version')::integer;
    return null;
end $$;
create trigger follow_clip_job after update of status on public.jobs for each row
    when (new.kind in ('prepare_clip', 'put_speech') and new.status is distinct from old.status
          and new.status <> 'completed')
    execute function private.follow_clip_job();

-- Projects -------------------------------------------------------------------------------------------------------------

-- The same id and values again change nothing.
create function private.create_project(p_id uuid, p_profile_id uuid, p_kind text, p_name text) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    v_store public.profiles := private.open_clip_store(p_profile_id);
    v_name  text := private.checked_name(p_name);
begin
    if p_kind is null or p_kind not in ('video', 'podcast') then
        perform private.fail('PT400', 'A project is for videos or a podcast.', '{"field": "kind"}');
    end if;
    insert into public.projects (id, account_id, profile_id, kind, name, created_by)
    values (p_id, v_store.account_id, p_profile_id, p_kind, v_name, auth.uid()) on conflict do nothing;
    if not exists (select from public.projects p
                   where p.id = p_id and p.profile_id = p_profile_id and p.kind = p_kind and p.name = v_name) then
        perform private.fail('PT409', 'This request was sent before with other values.');
    end if;
    return p_id;
end $$;

create function private.rename_project(p_project_id uuid, p_name text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_project public.projects := private.my_project(p_project_id);
begin
    update public.projects p set name = private.checked_name(p_name) where p.id = v_project.id;
end $$;

-- Refuses what is being handed to a vendor right now. Posts that wait for their time there are the vendor's already.
create function private.refuse_posts_under_way(p_profile_id uuid, p_clip_ids uuid[]) returns void
language plpgsql stable set search_path = '' as $$
declare
    v_count integer;
begin
    select count(*) into v_count from public.publications p
    where p.profile_id = p_profile_id and p.clip_id = any (p_clip_ids) and p.state in ('uploading', 'uploaded', 'sending');
    if v_count > 0 then
        perform private.fail('PT409', format('%s on %s way. Cancel on the Publish page or wait, then delete.',
            case v_count when 1 then '1 post is' else v_count || ' posts are' end,
            case v_count when 1 then 'its' else 'their' end));
    end if;
end $$;

-- Its clips go with it, and come back with it: they bear the same instant. Returns how many went.
create function private.delete_project(p_project_id uuid) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    v_project public.projects := private.my_project(p_project_id);
    v_at      timestamptz := private.utc_now();
    v_clips   uuid[];
begin
    if v_project.deleted_at is not null then
        return 0;
    end if;
    select array_agg(c.id) into v_clips from (
        select k.id from public.clips k
        where k.profile_id = v_project.profile_id and k.project_id = p_project_id and k.deleted_at is null
        order by k.id for update) c;
    perform private.refuse_posts_under_way(v_project.profile_id, v_clips);
    update public.clips c set deleted_at = v_at where c.id = any (v_clips);
    update public.projects p set deleted_at = v_at where p.id = p_project_id;
    perform private.audit(v_project.account_id, 'project_deleted', v_project.name, v_project.profile_id, null, null,
                          jsonb_build_object('clips', coalesce(cardinality(v_clips), 0)));
    return coalesce(cardinality(v_clips), 0);
end $$;

create function private.restore_project(p_project_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_project public.projects := private.my_project(p_project_id);
begin
    if v_project.deleted_at is null then
        return;
    end if;
    update public.clips c set deleted_at = null
    where c.profile_id = v_project.profile_id and c.project_id = p_project_id and c.deleted_at = v_project.deleted_at;
    update public.projects p set deleted_at = null where p.id = p_project_id;
    perform private.audit(v_project.account_id, 'project_restored', v_project.name, v_project.profile_id);
end $$;

-- Clips ----------------------------------------------------------------------------------------------------------------

-- Whether the person may upload into this project now; returns the company, whose name is part of the file's path.
create function private.upload_target(p_profile_id uuid, p_project_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_store   public.profiles := private.open_clip_store(p_profile_id);
    v_project public.projects;
begin
    select * into v_project from public.projects p
    where p.profile_id = p_profile_id and p.id = p_project_id and p.deleted_at is null;
    if not found then
        perform private.fail('PT404', 'Project not found in this store.');
    end if;
    return jsonb_build_object('account_id', v_store.account_id, 'kind', v_project.kind);
end $$;

-- A clip and the job that prepares it, once its file is stored. Source: {path, name, bytes, media_type}. The same id and
-- file again change nothing.
create function private.add_clip(p_clip_id uuid, p_profile_id uuid, p_project_id uuid, p_name text, p_source jsonb)
returns uuid language plpgsql security definer set search_path = '' as $$
declare
    v_store public.profiles := private.open_clip_store(p_profile_id);
    v_clip  public.clips;
begin
    perform private.check_source(v_store, p_clip_id, p_source);
    select * into v_clip from public.clips c where c.id = p_clip_id;
    if found then
        if v_clip.profile_id <> p_profile_id or v_clip.source_path is distinct from p_source ->> 'path' then
            perform private.fail('PT409', 'This request was sent before with other values.');
        end if;
        return p_clip_id;
    end if;
    perform private.project_for(p_profile_id, p_project_id, p_source ->> 'media_type');
    insert into public.clips (id, account_id, profile_id, project_id, name, final_status, media_type, source_path,
                              source_name, bytes, created_by)
    values (p_clip_id, v_store.account_id, p_profile_id, p_project_id, private.checked_name(p_name), 'pending',
            p_source ->> 'media_type', p_source ->> 'path', private.one_line(left(p_source ->> 'name', 255)),
            (p_source ->> 'bytes')::bigint, auth.uid())
    returning * into v_clip;
    perform private.order_preparing(v_clip);
    return p_clip_id;
end $$;

-- The file is named by the clip and lies among the store's uploads: nobody names another store's file as theirs.
create function private.check_source(p_store public.profiles, p_clip_id uuid, p_source jsonb) returns void
language plpgsql immutable set search_path = '' as $$
begin
    if coalesce(p_source ->> 'path', '') !~ format('^uploads/%s/%s/%s\.[a-z0-9]{2,5}$', p_store.account_id, p_store.id,
                                                   p_clip_id) then
        perform private.fail('PT400', 'This file is not among the store''s uploads.');
    elsif coalesce(p_source ->> 'media_type', '') not in ('video', 'image', 'audio') then
        perform private.fail('PT400', 'A clip is a video, a picture or a recording.');
    elsif coalesce((p_source ->> 'bytes')::bigint, 0) <= 0 then
        perform private.fail('PT400', 'The file is empty.');
    end if;
end $$;

create function private.rename_clip(p_clip_id uuid, p_name text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_clip public.clips := private.my_present_clip(p_clip_id);
begin
    update public.clips c set name = private.checked_name(p_name) where c.id = v_clip.id;
end $$;

create function private.move_clip(p_clip_id uuid, p_project_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_clip public.clips := private.my_present_clip(p_clip_id);
begin
    perform private.project_for(v_clip.profile_id, p_project_id, v_clip.media_type);
    update public.clips c set project_id = p_project_id where c.id = p_clip_id;
end $$;

create function private.delete_clip(p_clip_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_clip public.clips := private.my_clip(p_clip_id);
begin
    if v_clip.deleted_at is not null then
        return;
    end if;
    perform private.refuse_posts_under_way(v_clip.profile_id, array[p_clip_id]);
    update public.clips c set deleted_at = private.utc_now() where c.id = p_clip_id;
    perform private.audit(v_clip.account_id, 'clip_deleted', v_clip.name, v_clip.profile_id);
end $$;

create function private.restore_clip(p_clip_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_clip public.clips := private.my_clip(p_clip_id);
begin
    if v_clip.deleted_at is null then
        return;
    end if;
    perform private.project_for(v_clip.profile_id, v_clip.project_id, v_clip.media_type);
    update public.clips c set deleted_at = null where c.id = p_clip_id;
    perform private.audit(v_clip.account_id, 'clip_restored', v_clip.name, v_clip.profile_id);
end $$;

-- Prepare a clip again whose preparing failed. Returns the job.
create function private.retry_clip(p_clip_id uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    v_clip public.clips := private.my_present_clip(p_clip_id);
begin
    perform private.open_clip_store(v_clip.profile_id);
    if v_clip.final_status <> 'failed' then
        perform private.fail('PT409', 'Only a clip that failed is tried again.');
    elsif v_clip.source_path is null then
        perform private.fail('PT409', 'The file of this clip is not kept. Upload it again.');
    end if;
    update public.clips c set final_status = 'pending', error = null where c.id = p_clip_id;
    return private.order_preparing(v_clip);
end $$;

-- Speech ---------------------------------------------------------------------------------------------------------------

-- Put speech of the same store on a clip, instead of its sound or over it. Returns the job.
create function private.put_speech(p_clip_id uuid, p_speech_id uuid, p_mode text, p_version integer) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    v_clip public.clips := private.my_present_clip(p_clip_id);
begin
    perform private.open_clip_store(v_clip.profile_id);
    perform private.expect_version(v_clip.version, p_version);
    if p_mode is null or p_mode not in ('replace', 'mix') then
        perform private.fail('PT400', 'Speech replaces a clip''s sound or is mixed with it.', '{"field": "mode"}');
    elsif v_clip.media_type is distinct from 'video' and v_clip.media_type is distinct from 'audio' then
        perform private.fail('PT400', 'Speech can be put on a video or a recording, not on a picture.');
    elsif v_clip.media_path is null then
        perform private.fail('PT409', 'This clip is not ready yet. Wait until it is, then put speech on it.');
    elsif not exists (select from public.speech_assets s
                      where s.id = p_speech_id and s.profile_id = v_clip.profile_id and s.deleted_at is null) then
        perform private.fail('PT404', 'Speech not found in this store.', '{"field": "speech"}');
    end if;
    return private.order_clip_job(private.next_version(v_clip), 'put_speech',
                                  jsonb_build_object('speech_id', p_speech_id, 'mode', p_mode));
end $$;

-- Back to the clip's own sound, by preparing the uploaded file again. Returns the job.
create function private.take_speech_off(p_clip_id uuid, p_version integer) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    v_clip public.clips := private.my_present_clip(p_clip_id);
begin
    perform private.open_clip_store(v_clip.profile_id);
    perform private.expect_version(v_clip.version, p_version);
    if v_clip.speech_id is null then
        perform private.fail('PT409', 'There is no speech on this clip.');
    elsif v_clip.source_path is null then
        perform private.fail('PT409', 'The file of this clip is not kept. Upload it again.');
    end if;
    return private.order_preparing(private.next_version(v_clip));
end $$;

create function private.next_version(p_clip public.clips) returns public.clips language sql set search_path = '' as $$
    update public.clips c set version = c.version + 1, final_status = 'pending', error = null
    where c.id = p_clip.id returning c.*
$$;

-- Finding clips --------------------------------------------------------------------------------------------------------

-- A store's clips, newest first, behind the key (p_before_at, p_before_id); at most 100. Null = any. Status: completed,
-- working, failed, or deleted. Words are found by their beginnings, all of them. Whether the store may be seen is asked
-- once, here: row security would keep the words' index from being used.
create function private.clips_page(
    p_profile_id uuid, p_project_id uuid, p_status text, p_media_type text, p_text text, p_before_at timestamptz,
    p_before_id uuid, p_limit integer
) returns jsonb language plpgsql stable security definer set search_path = '' as $$
declare
    v_words tsquery := (select string_agg(format('''%s'':*', w), ' & ')
                        from unnest(private.store_words(p_profile_id, p_text)) w);
    v_where text;
    v_clips jsonb;
begin
    if p_profile_id is null or p_profile_id not in (select private.my_profile_ids()) then
        perform private.fail('PT404', 'Store not found. It may have been archived.');
    end if;
    v_where := concat(
        case p_status when 'deleted' then ' and c.deleted_at is not null' else ' and c.deleted_at is null' end,
        case p_status when 'working' then ' and c.final_status in (''pending'', ''processing'')'
                      when 'completed' then ' and c.final_status = ''completed'''
                      when 'failed' then ' and c.final_status = ''failed''' end,
        case when p_project_id is not null then ' and c.project_id = $2' end,
        case when p_media_type is not null then ' and c.media_type = $3' end,
        case when v_words is not null then ' and private.clip_words(c) @@ $4' end,
        case when p_before_at is not null then ' and (c.created_at, c.id) < ($5, $6)' end);
    execute format(
        'select coalesce(jsonb_agg(to_jsonb(k) order by k.created_at desc, k.id desc), ''[]'') from ('
        '  select c.* from public.clips c where c.profile_id = $1 %s'
        '  order by c.created_at desc, c.id desc limit $7) k', v_where)
    into v_clips
    using p_profile_id, p_project_id, p_media_type, v_words, p_before_at, p_before_id, least(greatest(p_limit, 0), 100);
    return v_clips;
end $$;

-- Of these media paths, those that a row or an open job names; the sweeper deletes the others.
create or replace function private.known_media(p_paths text[]) returns text[]
language sql stable security definer set search_path = '' as $$
    select coalesce(array_agg(p), '{}') from unnest(p_paths) p
    where exists (select from public.speech_assets a where a.media_path = p)
       or exists (select from public.clips c where private.clip_files(c) @> array[p])
       or exists (select from public.purchases x where x.media_path = p)
       or exists (select from public.purchases x         -- bought, not booked yet
                  where x.id = substring(p from '/parts/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.')::uuid
                    and x.state in ('intent', 'sent', 'unclear'))
       or exists (select from public.jobs j              -- written a moment ago, its step not stored yet
                  where j.status = 'running' and p like '%/' || j.id || '-' || j.attempt_token || '.%')
       or exists (select from public.jobs j              -- the same of a clip, whose files bear the clip's id
                  where j.status = 'running' and j.kind in ('prepare_clip', 'put_speech')
                    and p like '%/' || (j.input ->> 'clip_id') || '-%')
       or exists (select from public.job_steps s join public.jobs j on j.id = s.job_id
                  where s.outcome ->> 'media_path' = p and j.status in ('pending', 'running'))
$$;

-- Public names -----------------------------------------------------------------------------------------------------------

create function public.create_project(p_id uuid, p_profile_id uuid, p_kind text, p_name text) returns uuid
language sql set search_path = '' as $$ select private.create_project(p_id, p_profile_id, p_kind, p_name) $$;
create function public.rename_project(p_project_id uuid, p_name text) returns void
language sql set search_path = '' as $$ select private.rename_project(p_project_id, p_name) $$;
create function public.delete_project(p_project_id uuid) returns integer
language sql set search_path = '' as $$ select private.delete_project(p_project_id) $$;
create function public.restore_project(p_project_id uuid) returns void
language sql set search_path = '' as $$ select private.restore_project(p_project_id) $$;
create function public.upload_target(p_profile_id uuid, p_project_id uuid) returns jsonb
language sql stable set search_path = '' as $$ select private.upload_target(p_profile_id, p_project_id) $$;
create function public.add_clip(p_clip_id uuid, p_profile_id uuid, p_project_id uuid, p_name text, p_source jsonb)
returns uuid language sql set search_path = '' as
    $$ select private.add_clip(p_clip_id, p_profile_id, p_project_id, p_name, p_source) $$;
create function public.rename_clip(p_clip_id uuid, p_name text) returns void
language sql set search_path = '' as $$ select private.rename_clip(p_clip_id, p_name) $$;
create function public.move_clip(p_clip_id uuid, p_project_id uuid) returns void
language sql set search_path = '' as $$ select private.move_clip(p_clip_id, p_project_id) $$;
create function public.delete_clip(p_clip_id uuid) returns void
language sql set search_path = '' as $$ select private.delete_clip(p_clip_id) $$;
create function public.restore_clip(p_clip_id uuid) returns void
language sql set search_path = '' as $$ select private.restore_clip(p_clip_id) $$;
create function public.retry_clip(p_clip_id uuid) returns uuid
language sql set search_path = '' as $$ select private.retry_clip(p_clip_id) $$;
create function public.put_speech(p_clip_id uuid, p_speech_id uuid, p_mode text, p_version integer) returns uuid
language sql set search_path = '' as $$ select private.put_speech(p_clip_id, p_speech_id, p_mode, p_version) $$;
create function public.take_speech_off(p_clip_id uuid, p_version integer) returns uuid
language sql set search_path = '' as $$ select private.take_speech_off(p_clip_id, p_version) $$;
create function public.clips_page(
    p_profile_id uuid, p_project_id uuid default null, p_status text default null, p_media_type text default null,
    p_text text default null, p_before_at timestamptz default null, p_before_id uuid default null,
    p_limit integer default 24
) returns jsonb language sql stable set search_path = '' as $$
    select private.clips_page(p_profile_id, p_project_id, p_status, p_media_type, p_text, p_before_at, p_before_id, p_limit)
$$;

grant execute on function
    public.create_project(uuid, uuid, text, text), private.create_project(uuid, uuid, text, text),
    public.rename_project(uuid, text), private.rename_project(uuid, text),
    public.delete_project(uuid), private.delete_project(uuid),
    public.restore_project(uuid), private.restore_project(uuid),
    public.upload_target(uuid, uuid), private.upload_target(uuid, uuid),
    public.add_clip(uuid, uuid, uuid, text, jsonb), private.add_clip(uuid, uuid, uuid, text, jsonb),
    public.rename_clip(uuid, text), private.rename_clip(uuid, text),
    public.move_clip(uuid, uuid), private.move_clip(uuid, uuid),
    public.delete_clip(uuid), private.delete_clip(uuid),
    public.restore_clip(uuid), private.restore_clip(uuid),
    public.retry_clip(uuid), private.retry_clip(uuid),
    public.put_speech(uuid, uuid, text, integer), private.put_speech(uuid, uuid, text, integer),
    public.take_speech_off(uuid, integer), private.take_speech_off(uuid, integer),
    public.clips_page(uuid, uuid, text, text, text, timestamptz, uuid, integer),
    private.clips_page(uuid, uuid, text, text, text, timestamptz, uuid, integer) to authenticated;
