-- Covers: pictures that were drawn for a clip or a project (proposals of kind cover), and the one of them that is shown. A
-- clip's is its thumbnail; the film's own waits beside it.

alter table public.projects add column cover_id uuid references public.proposals on delete set null;
alter table public.clips
    add column cover_id            uuid references public.proposals on delete set null,
    add column film_thumbnail_path text;                       -- its own one, while a cover is its thumbnail
create index projects_cover on public.projects (cover_id);
create index clips_cover on public.clips (cover_id);
create index clips_film_thumbnail on public.clips (film_thumbnail_path) where film_thumbnail_path is not null;

-- A picture that was drawn for this clip, or without one for this project itself.
create function private.drawn_cover(p_cover_id uuid, p_profile_id uuid, p_project_id uuid, p_clip_id uuid)
returns public.proposals language plpgsql stable set search_path = '' as $$
declare
    v_cover public.proposals;
begin
    select * into v_cover from public.proposals p
    where p.id = p_cover_id and p.profile_id = p_profile_id and p.kind = 'cover' and p.status = 'completed'
      and p.clip_id is not distinct from p_clip_id and (p_clip_id is not null or p.project_id = p_project_id);
    if not found then
        perform private.fail('PT404', 'Cover not found. It may have been drawn for something else.');
    end if;
    return v_cover;
end $$;

-- Null: the film's own thumbnail again.
create function private.set_clip_cover(p_clip_id uuid, p_cover_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_clip public.clips := private.my_present_clip(p_clip_id);
    v_film text := case when v_clip.cover_id is null then v_clip.thumbnail_path else v_clip.film_thumbnail_path end;
begin
    if p_cover_id is null then
        update public.clips c set cover_id = null, thumbnail_path = v_film, film_thumbnail_path = null
        where c.id = p_clip_id;
        return;
    end if;
    update public.clips c
    set cover_id = p_cover_id, film_thumbnail_path = v_film,
        thumbnail_path = (private.drawn_cover(p_cover_id, v_clip.profile_id, null, p_clip_id)).output ->> 'thumbnail_path'
    where c.id = p_clip_id;
end $$;

-- Null: none.
create function private.set_project_cover(p_project_id uuid, p_cover_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_project public.projects := private.my_project(p_project_id);
begin
    if v_project.deleted_at is not null then
        perform private.fail('PT409', 'This project was deleted. Bring it back first.');
    elsif p_cover_id is not null then
        perform private.drawn_cover(p_cover_id, v_project.profile_id, p_project_id, null);
    end if;
    update public.projects p set cover_id = p_cover_id where p.id = p_project_id;
end $$;

-- As before; a cover stays the thumbnail of a clip that is prepared anew.
create or replace function private.clip_prepared(p_job_id uuid, p_attempt_token uuid, p_media jsonb, p_thumbnail text)
returns void language plpgsql security definer set search_path = '' as $$
declare
    v_id uuid := private.worked_clip(private.my_attempt(p_job_id, p_attempt_token));
begin
    perform private.set_media(v_id, p_media);
    update public.clips c
    set thumbnail_path = case when c.cover_id is null then p_thumbnail else c.thumbnail_path end,
        film_thumbnail_path = case when c.cover_id is not null then p_thumbnail end,
        subtitles_path = null, speech_id = null, speech_mode = null
    where c.id = v_id;
    perform private.complete_job(p_job_id, p_attempt_token, jsonb_build_object('clip_id', v_id));
end $$;

-- The proposal whose picture a path names: covers/<company>/<store>/<proposal>.jpg, and the same with -small.
create function private.cover_of(p_path text) returns uuid language sql immutable set search_path = '' as $$
    select substring(p_path from '^covers/[0-9a-f-]{36}/[0-9a-f-]{36}/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'
                                 '(?:-small)?\.jpg$')::uuid
$$;

-- As before, with thumbnails that wait behind a cover, and with covers: while one is drawn, and as long as there is what it
-- was drawn for.
alter function private.known_media(text[]) rename to known_media_but_covers;
create function private.known_media(p_paths text[]) returns text[]
language sql stable security definer set search_path = '' as $$
    select coalesce(array_agg(distinct k.path), '{}')
    from (
        select unnest(private.known_media_but_covers(p_paths)) as path
        union all
        select c.film_thumbnail_path from public.clips c where c.film_thumbnail_path = any (p_paths)
        union all
        select m.path from unnest(p_paths) m(path)
        join public.proposals p on p.id = private.cover_of(m.path) and p.kind = 'cover'
        where (p.status = 'running' or p.output is not null)
          and case when p.clip_id is null then exists (select from public.projects j where j.id = p.project_id)
                   else exists (select from public.clips c where c.id = p.clip_id) end) k
$$;

create function public.set_clip_cover(p_clip_id uuid, p_cover_id uuid default null) returns void
language sql set search_path = '' as $$ select private.set_clip_cover(p_clip_id, p_cover_id) $$;
create function public.set_project_cover(p_project_id uuid, p_cover_id uuid default null) returns void
language sql set search_path = '' as $$ select private.set_project_cover(p_project_id, p_cover_id) $$;
grant execute on function
    public.set_clip_cover(uuid, uuid), private.set_clip_cover(uuid, uuid),
    public.set_project_cover(uuid, uuid), private.set_project_cover(uuid, uuid) to authenticated;
grant execute on function private.known_media(text[]) to service_role;
