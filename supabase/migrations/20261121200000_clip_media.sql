-- What is known of a clip's media: as it was uploaded, as it is published, and what was put on it.

alter table public.clips
    add column media_type     text check (media_type in ('video', 'image', 'audio')),
    add column source_path    text,                       -- as uploaded; media_path is what is played and published
    add column source_name    text,                       -- the person's own name of the file
    add column subtitles_path text,                       -- WebVTT of the speech that was put on it
    add column width          integer check (width > 0),
    add column height         integer check (height > 0),
    add column has_sound      boolean,
    add column speech_id      uuid,                       -- put on it; null: the clip's own sound
    add column speech_mode    text check (speech_mode in ('replace', 'mix')),
    add column error          text,                       -- a sentence for the operator
    add column version        integer not null default 1,
    add constraint clips_profile_id_key unique (profile_id, id);

-- A page of a store's clips, newest first, whatever their number.
create index clips_page on public.clips (profile_id, created_at desc, id desc) where deleted_at is null;
