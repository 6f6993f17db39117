-- What the money was good for: what a published clip costs, paid audio that was never published, and what reuse saved.
-- docs/costs.md defines each number. Everything is found from posts, clips, speech and purchases by index; of the ledger
-- only single entries are read, and the sums of clips.

create index publications_live on public.publications (profile_id, published_at, clip_id) where state = 'published';
create index clips_speech on public.clips (speech_id) where speech_id is not null;
create index speech_assets_job on public.speech_assets (job_id);
create index speech_assets_paid on public.speech_assets (profile_id, created_at) where cost_usd > 0;

-- What was paid for the audio of speeches: their own passages, and those that they reused from earlier ones. Speech that
-- was loaded without its purchases has one entry, under its own id.
create function private.paid_audio(p_speech_ids uuid[])
returns table (speech_id uuid, entry_id uuid, own boolean, media_path text, usd numeric)
language plpgsql stable set search_path = '' as $$
begin
    return query
        with asked as materialized (
            select a.id, a.job_id, a.cost_usd from unnest(p_speech_ids) s(id) join public.speech_assets a on a.id = s.id),
        found as materialized (
            select a.id as speech_id, u.id as entry_id, true as own, u.media_path, u.cost_usd as usd
            from asked a join public.purchases u on u.job_id = a.job_id
            where u.state in ('settled', 'recovered') and u.cost_usd > 0
            union                                              -- a passage that is said twice was bought once
            select a.id, o.id, o.job_id = a.job_id, o.media_path, o.cost_usd
            from asked a
            join public.purchases u on u.job_id = a.job_id and u.state = 'reused'
            join public.purchases o on o.media_path = u.media_path
            where o.state in ('settled', 'recovered') and o.cost_usd > 0)
        select * from found
        union all
        select a.id, a.id, true, null, a.cost_usd from asked a
        where a.cost_usd > 0 and not exists (select from found f where f.speech_id = a.id);
end $$;

-- The clips on which pieces of paid audio are: whose present speech has them.
create function private.clips_with_audio(p_entry_ids uuid[], p_media_paths text[])
returns table (entry_id uuid, clip_id uuid, profile_id uuid) language plpgsql stable set search_path = '' as $$
begin
    return query
        with asked as materialized (
            select distinct x.entry_id, x.media_path from unnest(p_entry_ids, p_media_paths) x(entry_id, media_path)),
        speech as (
            select q.entry_id, q.entry_id as speech_id from asked q
            union
            select q.entry_id, a.id from asked q
            join public.purchases u on u.id = q.entry_id join public.speech_assets a on a.job_id = u.job_id
            union
            select q.entry_id, a.id from asked q
            join public.purchases u on u.media_path = q.media_path and u.state = 'reused'
            join public.speech_assets a on a.job_id = u.job_id)
        select s.entry_id, c.id, c.profile_id from speech s join public.clips c on c.speech_id = s.speech_id;
end $$;

create type private.live_clip as (
    clip_id uuid, profile_id uuid, speech_id uuid, name text, deleted boolean, first_at timestamptz, posts bigint
);

-- Clips whose first live post is in the range.
create function private.live_clips(p_profile_ids uuid[], p_from timestamptz, p_until timestamptz)
returns setof private.live_clip language plpgsql stable set search_path = '' as $$
begin
    return query
        select c.id, c.profile_id, c.speech_id, c.name, c.deleted_at is not null, l.first_at, l.posts
        from (select distinct p.clip_id from public.publications p
              where p.profile_id = any (p_profile_ids) and p.state = 'published'
                and p.published_at >= p_from and p.published_at < p_until) x
        join public.clips c on c.id = x.clip_id
        cross join lateral (
            select min(p.published_at) as first_at, count(*) as posts from public.publications p
            where p.profile_id = c.profile_id and p.clip_id = c.id and p.state = 'published') l
        where l.first_at >= p_from;
end $$;

-- What the speech of live clips cost. A piece of audio counts once: for the clip that its entry names, if that one is live
-- (it is among that clip's own entries), else for the first live clip that has it.
create function private.speech_of_clips(p_clips private.live_clip[]) returns table (clip_id uuid, usd numeric)
language plpgsql stable set search_path = '' as $$
begin
    return query
        with pieces as materialized (
            select l.clip_id, a.entry_id, a.media_path, coalesce(e.cost_usd, a.usd) as usd
            from private.paid_audio(array(select distinct s.speech_id from unnest(p_clips) s)) a
            join unnest(p_clips) l on l.speech_id = a.speech_id
            left join public.cost_entries e on e.id = a.entry_id
            where e.clip_id is null
               or e.clip_id <> l.clip_id and not exists (
                   select from public.publications p
                   where p.profile_id = l.profile_id and p.clip_id = e.clip_id and p.state = 'published')),
        payers as (
            select distinct on (h.entry_id) h.entry_id, h.clip_id
            from private.clips_with_audio(array(select p.entry_id from pieces p order by p.entry_id, p.clip_id),
                                          array(select p.media_path from pieces p order by p.entry_id, p.clip_id)) h
            cross join lateral (
                select min(p.published_at) as first_at from public.publications p
                where p.profile_id = h.profile_id and p.clip_id = h.clip_id and p.state = 'published') l
            where l.first_at is not null
            order by h.entry_id, l.first_at, h.clip_id)
        select p.clip_id, sum(p.usd) from pieces p join payers y using (entry_id, clip_id) group by p.clip_id;
end $$;

-- Clips of these stores that went live in the range, with what they cost ever.
create function private.value_of_clips(p_profile_ids uuid[], p_from timestamptz, p_until timestamptz)
returns table (clip_id uuid, profile_id uuid, name text, deleted boolean, first_at timestamptz, posts bigint,
               own_usd numeric, speech_usd numeric)
language plpgsql stable set search_path = '' as $$
declare
    v_live private.live_clip[] := array(select l from private.live_clips(p_profile_ids, p_from, p_until) l);
begin
    return query
        select l.clip_id, l.profile_id, l.name, l.deleted, l.first_at, l.posts,
               coalesce((select sum(w.cost_usd) from public.work_costs w where w.work_id = l.clip_id), 0),
               coalesce(s.usd, 0)
        from unnest(v_live) l left join private.speech_of_clips(v_live) s on s.clip_id = l.clip_id;
end $$;

-- Paid audio of the range's speech that is on no clip with a post that is live or on its way.
create function private.unpublished_speech(p_profile_ids uuid[], p_from timestamptz, p_until timestamptz)
returns table (speech_id uuid, usd numeric) language plpgsql stable set search_path = '' as $$
declare
    v_ids uuid[] := array(select a.id from public.speech_assets a
                          where a.profile_id = any (p_profile_ids) and a.created_at >= p_from
                            and a.created_at < p_until and a.cost_usd > 0);
begin
    return query
        with pieces as materialized (select * from private.paid_audio(v_ids) a where a.own),
        heard as (
            select h.entry_id
            from private.clips_with_audio(array(select p.entry_id from pieces p order by p.entry_id),
                                          array(select p.media_path from pieces p order by p.entry_id)) h
            where exists (
                select from public.publications p
                where p.profile_id = h.profile_id and p.clip_id = h.clip_id
                  and p.state in ('uploading', 'uploaded', 'sending', 'scheduled', 'unconfirmed', 'published')))
        select p.speech_id, sum(p.usd) from pieces p
        where p.entry_id not in (select h.entry_id from heard h)
        group by p.speech_id;
end $$;

create function private.value_clips_json(p_profile_ids uuid[], p_from timestamptz, p_until timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    return (
        with found as materialized (
            select v.*, v.own_usd + v.speech_usd as usd
            from private.value_of_clips(p_profile_ids, p_from, p_until) v)
        select jsonb_build_object(
            'stores', coalesce((
                select jsonb_agg(jsonb_build_object('key', s.id, 'name', s.name, 'code', s.code,
                                                    'archived', s.archived_at is not null, 'clips', x.clips,
                                                    'posts', x.posts, 'usd', x.usd::text) order by s.code)
                from (select f.profile_id, count(*) as clips, sum(f.posts) as posts, sum(f.usd) as usd
                      from found f group by f.profile_id) x
                join public.profiles s on s.id = x.profile_id), '[]'),
            'clips', coalesce((
                select jsonb_agg(jsonb_build_object(
                    'key', f.clip_id, 'name', f.name, 'deleted', f.deleted, 'profile_id', f.profile_id,
                    'store', s.name, 'code', s.code, 'first_at', f.first_at, 'posts', f.posts,
                    'own_usd', f.own_usd::text, 'speech_usd', f.speech_usd::text) order by f.usd desc, f.clip_id)
                from (select * from found d order by d.usd desc, d.clip_id limit 100) f
                join public.profiles s on s.id = f.profile_id), '[]')));
end $$;

create function private.unpublished_json(p_profile_ids uuid[], p_from timestamptz, p_until timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    return (
        with found as materialized (select * from private.unpublished_speech(p_profile_ids, p_from, p_until))
        select jsonb_build_object(
            'count', count(*), 'usd', coalesce(sum(u.usd), 0)::text,
            'speech', coalesce((
                select jsonb_agg(jsonb_build_object(
                    'key', a.id, 'profile_id', a.profile_id, 'store', s.name, 'code', s.code,
                    'created_at', a.created_at, 'text', left(a.text, 160), 'provider', a.provider,
                    'on_clip', exists (select from public.clips c where c.speech_id = a.id and c.deleted_at is null),
                    'usd', f.usd::text) order by f.usd desc, a.id)
                from (select * from found d order by d.usd desc, d.speech_id limit 100) f
                join public.speech_assets a on a.id = f.speech_id
                join public.profiles s on s.id = a.profile_id), '[]'))
        from found u);
end $$;

-- By UTC month and store, what reused passages would have cost.
create function private.savings_json(p_profile_ids uuid[], p_from timestamptz, p_until timestamptz) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    return (
        select coalesce(jsonb_agg(jsonb_build_object(
            'month', x.month, 'key', x.profile_id, 'name', s.name, 'code', s.code, 'passages', x.passages,
            'usd', x.usd::text) order by x.month desc, x.usd desc, s.code), '[]')
        from (select private.month_of(p.created_at) as month, p.profile_id, count(*) as passages,
                     sum(p.saved_usd) as usd
              from public.purchases p
              where p.profile_id = any (p_profile_ids) and p.saved_usd > 0
                and p.created_at >= p_from and p.created_at < p_until
              group by 1, 2) x
        join public.profiles s on s.id = x.profile_id);
end $$;

-- {clips, stores, unpublished, savings, ...} of a range of UTC days. Audio younger than a week may still be published.
create function private.cost_value(p_account_id uuid, p_profile_id uuid, p_from date, p_to date) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_ids   uuid[] := coalesce(private.cost_scope(p_account_id, p_profile_id),
                               array(select p.id from public.profiles p where p.account_id = p_account_id));
    v_range private.day_range := private.cost_range(p_from, p_to);
    v_from  timestamptz := v_range.from_day::timestamp at time zone 'UTC';
    v_until timestamptz := (v_range.to_day + 1)::timestamp at time zone 'UTC';
begin
    return private.value_clips_json(v_ids, v_from, v_until) || jsonb_build_object(
        'profile_id', p_profile_id, 'from_day', v_range.from_day, 'to_day', v_range.to_day, 'as_of', private.utc_now(),
        'seq', coalesce((select c.last_seq from private.ledger_counters c where c.account_id = p_account_id), 0),
        'unpublished', private.unpublished_json(v_ids, v_from,
                                                least(v_until, private.utc_now() - interval '7 days')),
        'savings', private.savings_json(v_ids, v_from, v_until));
end $$;

create function public.cost_value(p_account_id uuid, p_profile_id uuid, p_from date, p_to date) returns jsonb
language sql stable set search_path = '' as
    $$ select private.cost_value(p_account_id, p_profile_id, p_from, p_to) $$;
grant execute on function public.cost_value(uuid, uuid, date, date), private.cost_value(uuid, uuid, date, date)
    to authenticated;
