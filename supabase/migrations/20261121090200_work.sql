-- What stores make: projects, clips, speech.

create table public.projects (
    id         uuid primary key,
    account_id uuid not null,
    profile_id uuid not null,
    kind       text not null default 'video' check (kind in ('video', 'podcast')),
    name       text not null check (char_length(btrim(name)) between 1 and 200),
    created_by uuid,
    deleted_at timestamptz,
    created_at timestamptz not null default private.utc_now(),
    updated_at timestamptz not null default private.utc_now(),
    unique (profile_id, id),
    foreign key (account_id, profile_id) references public.profiles (account_id, id)
);
create index projects_profile_created on public.projects (profile_id, created_at desc);
create index projects_account_profile on public.projects (account_id, profile_id);

create table public.clips (
    id               uuid primary key,
    account_id       uuid not null,
    profile_id       uuid not null,
    project_id       uuid not null,
    name             text not null check (char_length(btrim(name)) between 1 and 200),
    final_status     text not null default 'pending'
                     check (final_status in ('pending', 'processing', 'completed', 'failed')),
    media_path       text,
    thumbnail_path   text,
    duration_seconds numeric(10,3) check (duration_seconds >= 0),
    bytes            bigint check (bytes >= 0),
    created_by       uuid,
    deleted_at       timestamptz,
    created_at       timestamptz not null default private.utc_now(),
    updated_at       timestamptz not null default private.utc_now(),
    foreign key (account_id, profile_id) references public.profiles (account_id, id),
    foreign key (profile_id, project_id) references public.projects (profile_id, id)  -- always of the same store
);
create index clips_profile_created on public.clips (profile_id, created_at desc);
create index clips_profile_project on public.clips (profile_id, project_id);
create index clips_account_profile on public.clips (account_id, profile_id);

create table public.speech_assets (
    id               uuid primary key,
    account_id       uuid not null,
    profile_id       uuid not null,
    job_id           uuid,
    created_by       uuid,
    text             text not null,
    content_hash     text not null,                  -- same text, voice, model and settings = same hash
    provider         text not null,
    model            text not null,
    voice            text not null,
    settings         jsonb not null,
    format           text not null check (format in ('mp3', 'wav')),
    characters       integer not null check (characters > 0),
    duration_seconds numeric(10,3) not null check (duration_seconds > 0),
    bytes            bigint not null check (bytes > 0),
    media_path       text not null unique,
    cost_usd         numeric(14,6) not null check (cost_usd >= 0),
    provider_request text,                           -- the vendor's own id
    deleted_at       timestamptz,
    created_at       timestamptz not null default private.utc_now(),
    updated_at       timestamptz not null default private.utc_now(),
    foreign key (account_id, profile_id) references public.profiles (account_id, id)
);
create index speech_assets_profile_created on public.speech_assets (profile_id, created_at desc);
create index speech_assets_profile_hash on public.speech_assets (profile_id, content_hash);
create index speech_assets_account_profile on public.speech_assets (account_id, profile_id);

create trigger touch before update on public.projects for each row execute function private.touch();
create trigger touch before update on public.clips for each row execute function private.touch();
create trigger touch before update on public.speech_assets for each row execute function private.touch();

alter table public.projects enable row level security;
alter table public.clips enable row level security;
alter table public.speech_assets enable row level security;
grant select on public.projects, public.clips, public.speech_assets to authenticated, service_role;
create policy "people read their stores' projects" on public.projects for select to authenticated
    using (profile_id in (select private.my_profile_ids()));
create policy "people read their stores' clips" on public.clips for select to authenticated
    using (profile_id in (select private.my_profile_ids()));
create policy "people read their stores' speech" on public.speech_assets for select to authenticated
    using (profile_id in (select private.my_profile_ids()));
