-- What stores publish. A bundle is one clip at one moment on channels of one account: one request to the vendor. Each of
-- its publications is one channel's. Nothing here is deleted: it is the record of what went out in a store's name.

alter table public.profile_credentials
    add column practice boolean not null default false;      -- the demo company's: nothing leaves this machine

-- What is known of a pinned channel beyond its being pinned.
alter table public.profile_channels
    add column disabled        boolean not null default false,
    add column reconnect_since timestamptz,                  -- the vendor lost its permission at the network
    add column differs         jsonb,                        -- as the vendor shows it now, where that is not as pinned:
    add column differs_since   timestamptz,                  -- nothing is sent there until an admin confirms
    add column checked_at      timestamptz;

create table public.bundles (
    id            uuid primary key,
    account_id    uuid not null references public.accounts on delete cascade,
    profile_id    uuid not null,
    clip_id       uuid not null,
    credential_id uuid references public.profile_credentials on delete set null,
    created_by    uuid,
    wanted_at     timestamptz,                               -- null: a draft without a date
    at_once       boolean not null default false,            -- wanted as soon as possible when it was scheduled
    version       integer not null default 1,
    -- the publisher's
    organization  text,                                      -- keyed hash of the vendor's address and key
    media         jsonb,                                     -- the vendor's own {id, path} of the uploaded clip
    due_at        timestamptz,                               -- the instant named to the vendor: unique for each channel
    requests      integer not null default 0,                -- POSTs that may have reached the vendor
    sent_at       timestamptz,                               -- the last of them
    token         uuid,                                      -- fences a publisher whose lease ran out
    lease_until   timestamptz,
    step          text check (step in ('upload', 'send', 'read')), -- what the publisher does next; null: nothing
    next_at       timestamptz not null default private.utc_now(),  -- and not before
    woken         boolean not null default false,            -- something of it was taken back since it was claimed
    trouble       text,                                      -- why it has to wait, as a sentence
    tries         integer not null default 0,                -- of the present step
    created_at    timestamptz not null default private.utc_now(),
    updated_at    timestamptz not null default private.utc_now(),
    unique (profile_id, id),
    foreign key (account_id, profile_id) references public.profiles (account_id, id) on delete cascade,
    foreign key (profile_id, clip_id) references public.clips (profile_id, id) on delete cascade  -- always of the same store
);
create index bundles_account on public.bundles (account_id, profile_id);
create index bundles_clip on public.bundles (profile_id, clip_id);
create index bundles_credential on public.bundles (credential_id);
create index bundles_organization on public.bundles (organization, wanted_at);
create index bundles_due on public.bundles (step, next_at) where step is not null;
create index bundles_moment on public.bundles (wanted_at) where step in ('upload', 'send');
create index bundles_token on public.bundles (token) where token is not null;

create table public.publications (
    id             uuid primary key,                         -- also the reference sent along
    account_id     uuid not null references public.accounts on delete cascade,
    profile_id     uuid not null,
    bundle_id      uuid not null,
    clip_id        uuid not null,
    credential_id  uuid,
    channel        text not null,                            -- the vendor's id; name, network and handle as they were pinned
    name           text not null,
    identifier     text not null,
    handle         text,
    picture        text,
    caption        text not null default '',
    settings       jsonb not null default '{}',
    state          text not null default 'draft' check (state in (
                       'draft', 'awaiting_approval', 'uploading', 'uploaded', 'sending', 'scheduled', 'published',
                       'failed', 'unconfirmed', 'missed', 'cancelled')),
    state_since    timestamptz not null default private.utc_now(),
    wanted_at      timestamptz,                              -- the bundle's, for reading by time
    organization   text,
    due_at         timestamptz,
    moved          boolean not null default false,           -- somebody moved it there at the vendor, to due_at
    vendor_post    text,                                     -- the vendor's id
    vendor_state   text,                                     -- as last listed: QUEUE, PUBLISHED, ERROR, DRAFT
    release_url    text,                                     -- where it is to be seen
    error          text,                                     -- a sentence: why not, and what to do
    comment_failed boolean not null default false,
    in_app_inbox   boolean not null default false,           -- handed to the network's app: a person finishes it there
    absent_lists   integer not null default 0,               -- lists without it since the last request
    absent_since   timestamptz,
    error_since    timestamptz,                              -- the vendor says ERROR, which may still turn into PUBLISHED
    withdraw_requested_at timestamptz,                       -- a person takes back what was handed over
    listed_at      timestamptz,
    published_at   timestamptz,
    created_at     timestamptz not null default private.utc_now(),
    updated_at     timestamptz not null default private.utc_now(),
    unique (bundle_id, channel),
    unique (organization, vendor_post),
    foreign key (account_id, profile_id) references public.profiles (account_id, id) on delete cascade,
    foreign key (profile_id, bundle_id) references public.bundles (profile_id, id) on delete cascade
);
create index publications_page on public.publications (profile_id, created_at desc, id desc);
create index publications_wanted on public.publications (profile_id, wanted_at desc, id desc);
create index publications_state on public.publications (profile_id, state, wanted_at desc, id desc);
create index publications_bundle on public.publications (profile_id, bundle_id);
create index publications_account on public.publications (account_id, profile_id);
create index publications_clip on public.publications (profile_id, clip_id);
create unique index publications_instant on public.publications (organization, channel, due_at) where not moved;
create index publications_channel on public.publications (channel, due_at);
create index publications_vendor_post on public.publications (vendor_post) where vendor_post is not null;
create index publications_open on public.publications (bundle_id)
    where state in ('uploading', 'uploaded', 'sending', 'scheduled', 'unconfirmed');

-- Posts on a store's pinned channels that nobody made here.
create table public.stray_posts (
    account_id   uuid not null references public.accounts on delete cascade,
    profile_id   uuid not null,
    channel      text not null,
    vendor_post  text not null,
    preview      text not null default '',
    publish_at   timestamptz,
    vendor_state text not null,
    release_url  text,
    seen_at      timestamptz not null default private.utc_now(),
    dismissed_at timestamptz,
    primary key (profile_id, vendor_post),
    foreign key (account_id, profile_id) references public.profiles (account_id, id) on delete cascade
);
create index stray_posts_account on public.stray_posts (account_id, profile_id);

-- How many requests a vendor's organization still takes in its present window. Across companies: it may be shared.
create table private.send_budgets (
    organization  text primary key,
    allowance     integer not null default 90 check (allowance >= 0),   -- requests a window, learned from headers
    used          integer not null default 0,
    window_ends   timestamptz,                               -- null: no request has opened one
    blocked_until timestamptz,                               -- after a refusal: no request before
    refusals      integer not null default 0,
    learned_at    timestamptz,                               -- when a header last said
    updated_at    timestamptz not null default private.utc_now()
);

-- Which organization a credential's present key opens.
create table private.credential_organizations (
    credential_id uuid primary key references public.profile_credentials on delete cascade,
    key_id        uuid,
    organization  text,
    channels_at   timestamptz,                               -- when its channels were last compared with the pinned ones
    listed_at     timestamptz                                -- when its posts were last looked through for strays
);
create index credential_organizations_organization on private.credential_organizations (organization);

-- When a store last sent on an organization's allowance: the one whose turn is longest ago is next.
create table private.send_turns (
    organization text not null,
    profile_id   uuid not null references public.profiles on delete cascade,
    sent_at      timestamptz not null,
    primary key (organization, profile_id)
);
create index send_turns_profile on private.send_turns (profile_id);

-- What an organization's library has already, so that a clip with many moments is uploaded once.
create table private.vendor_media (
    organization text not null,
    media_path   text not null,
    media        jsonb not null,
    uploaded_at  timestamptz not null,
    primary key (organization, media_path)
);

create trigger touch before update on public.bundles for each row execute function private.touch();
create trigger touch before update on public.publications for each row execute function private.touch();

alter table public.bundles enable row level security;
alter table public.publications enable row level security;
alter table public.stray_posts enable row level security;
alter table private.send_budgets enable row level security;
alter table private.credential_organizations enable row level security;
alter table private.send_turns enable row level security;
alter table private.vendor_media enable row level security;
grant select on public.bundles, public.publications, public.stray_posts to authenticated, service_role;
create policy "people read their stores' bundles" on public.bundles for select to authenticated
    using (profile_id in (select private.my_profile_ids()));
create policy "people read their stores' publications" on public.publications for select to authenticated
    using (profile_id in (select private.my_profile_ids()));
create policy "people read stray posts of their stores" on public.stray_posts for select to authenticated
    using (profile_id in (select private.my_profile_ids()));
