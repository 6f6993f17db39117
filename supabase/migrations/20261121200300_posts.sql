-- What people do with posts: write, order, change, take back, repeat, decide. The publisher's side is in publisher.sql.
-- Locks: the bundle's row first, then its publications. The publisher takes them in the same order.

alter table public.bundles add column copy_of uuid;        -- the bundle that this one takes the place of, or repeats
create index bundles_copies on public.bundles (copy_of) where copy_of is not null;
alter table public.profile_channels
    add column rules    jsonb,                             -- of the vendor: {max_length, rules, settings, choices}
    add column rules_at timestamptz;

-- A post of a store in which the person works, locked. Of an archived store too: what is on its way can be taken back.
create function private.my_bundle(p_bundle_id uuid) returns public.bundles language plpgsql set search_path = '' as $$
declare
    v_bundle public.bundles;
begin
    select * into v_bundle from public.bundles b
    where b.id = p_bundle_id and b.profile_id in (select private.my_profile_ids()) for no key update;
    if not found then
        perform private.fail('PT404', 'Post not found. It may have been deleted.');
    elsif v_bundle.account_id not in (select private.my_account_ids('{admin,manager}')) then
        perform private.fail('PT403', 'Finance reads posts; a manager of the store or an admin can change them.');
    end if;
    return v_bundle;
end $$;

-- A clip of the store that may be posted; when it is ordered, its media must be ready.
create function private.my_clip_to_post(p_profile_id uuid, p_clip_id uuid, p_order boolean) returns void
language plpgsql set search_path = '' as $$
declare
    v_clip public.clips;
begin
    select * into v_clip from public.clips c
    where c.profile_id = p_profile_id and c.id = p_clip_id and c.deleted_at is null for key share;
    if not found then
        perform private.fail('PT404', 'Clip not found. It may have been deleted or belong to another store.');
    elsif p_order and (v_clip.final_status <> 'completed' or v_clip.media_path is null) then
        perform private.fail('PT400', 'This clip is not ready yet. Save a draft, or wait until the clip is done.',
                             '{"field": "clip"}');
    end if;
end $$;

-- The account that the store speaks through; null where there is none.
create function private.store_account(p_store public.profiles) returns uuid
language sql stable set search_path = '' as $$
    select u.credential_id from private.account_in_use(p_store.account_id, p_store.id, 'postiz') u where u.usable
$$;

-- What was typed for each channel, with the channel as it is pinned. Other channels than pinned ones are refused.
create function private.post_channels(p_store public.profiles, p_credential_id uuid, p_publications jsonb)
returns setof public.publications language plpgsql set search_path = '' as $$
begin
    if p_publications is null or jsonb_array_length(p_publications) not between 1 and 50 then
        perform private.fail('PT400', 'Choose at least one channel.', '{"field": "channels"}');
    elsif (select count(distinct t ->> 'channel') from jsonb_array_elements(p_publications) t)
          <> jsonb_array_length(p_publications) then
        perform private.fail('PT400', 'Each channel can be chosen once.', '{"field": "channels"}');
    elsif exists (
        select from jsonb_array_elements(p_publications) t
        where not exists (
            select from public.profile_channels x
            where x.profile_id = p_store.id and x.credential_id = p_credential_id and x.channel = t ->> 'channel')) then
        perform private.fail('PT409', 'A channel is not pinned to this store any more. Look at the channels, then choose again.',
                             '{"field": "channels"}');
    end if;
    return query
        select (jsonb_populate_record(null::public.publications, jsonb_build_object(
            'channel', x.channel, 'name', x.name, 'identifier', x.identifier, 'handle', x.handle, 'picture', x.picture,
            'caption', coalesce(t ->> 'caption', ''), 'settings', coalesce(t -> 'settings', '{}')))).*
        from jsonb_array_elements(p_publications) t
        join public.profile_channels x on x.credential_id = p_credential_id and x.channel = t ->> 'channel'
        where x.profile_id = p_store.id;
end $$;

-- Save a post as a draft, or order it (p_order). p_version is the one seen, 0 for a new one. A post may be changed as long
-- as nothing of it has been handed over. p_wanted_at null with p_order: as soon as possible. Returns {id, version}.
create function private.save_post(
    p_id uuid, p_profile_id uuid, p_clip_id uuid, p_wanted_at timestamptz, p_publications jsonb, p_version integer,
    p_order boolean, p_copy_of uuid
) returns jsonb language plpgsql security definer set search_path = '' as $$
declare
    v_store      public.profiles := private.my_work_profile(p_profile_id);
    v_credential uuid := private.store_account(v_store);
    v_bundle     public.bundles;
    v_wanted     timestamptz := case when p_order then coalesce(p_wanted_at, private.utc_now() + interval '3 minutes')
                                     else p_wanted_at end;
begin
    perform private.refuse_closed_store(v_store);
    if v_credential is null then
        perform private.fail('PT400', 'No Postiz account is connected to this store. An admin connects one under Settings.',
                             '{"field": "channels"}');
    elsif p_order and v_wanted < private.utc_now() + interval '2 minutes' then
        perform private.fail('PT400', 'This moment is past or too near. Choose one at least 3 minutes from now.',
                             '{"field": "wanted_at"}');
    elsif v_wanted > private.utc_now() + interval '2 years' then
        perform private.fail('PT400', 'Choose a moment within the next two years.', '{"field": "wanted_at"}');
    end if;
    perform private.my_clip_to_post(p_profile_id, p_clip_id, p_order);
    v_bundle := private.open_bundle(p_id, v_store, p_clip_id, p_version, p_copy_of);
    if p_order then
        perform private.refuse_open_original(
            v_bundle.copy_of, array(select t ->> 'channel' from jsonb_array_elements(p_publications) t));
    end if;
    update public.bundles b
    set clip_id = p_clip_id, credential_id = v_credential, wanted_at = v_wanted,
        at_once = p_order and p_wanted_at is null, version = b.version + 1, organization = null, media = null,
        due_at = null, token = null, lease_until = null, next_at = private.utc_now(), trouble = null, tries = 0
    where b.id = p_id returning * into v_bundle;
    delete from public.publications p where p.bundle_id = p_id;
    insert into public.publications (id, account_id, profile_id, bundle_id, clip_id, credential_id, channel, name,
                                     identifier, handle, picture, caption, settings, state, wanted_at)
    select gen_random_uuid(), v_store.account_id, p_profile_id, p_id, p_clip_id, v_credential, c.channel, c.name,
           c.identifier, c.handle, c.picture, c.caption, c.settings, case when p_order then 'uploading' else 'draft' end,
           v_wanted
    from private.post_channels(v_store, v_credential, p_publications) c;
    if p_order then
        perform private.refuse_late(v_bundle);
        perform private.audit(v_store.account_id, 'post_ordered', null, p_profile_id, null, null, (
            select jsonb_build_object('clip', c.name, 'wanted_at', v_wanted, 'channels', (
                select jsonb_agg(p.name order by p.name) from public.publications p where p.bundle_id = p_id))
            from public.clips c where c.id = p_clip_id));
    end if;
    return jsonb_build_object('id', p_id, 'version', v_bundle.version, 'wanted_at', v_wanted);
end $$;

-- The bundle to be written: a new one, or one of which nothing has been handed over, as it was seen.
create function private.open_bundle(
    p_id uuid, p_store public.profiles, p_clip_id uuid, p_version integer, p_copy_of uuid
) returns public.bundles language plpgsql set search_path = '' as $$
declare
    v_bundle public.bundles;
begin
    if p_version = 0 then
        insert into public.bundles (id, account_id, profile_id, clip_id, created_by, version, copy_of)
        values (p_id, p_store.account_id, p_store.id, p_clip_id, auth.uid(), 0,
                (select b.id from public.bundles b where b.id = p_copy_of and b.profile_id = p_store.id))
        on conflict (id) do nothing returning * into v_bundle;
        if v_bundle.id is null then
            perform private.fail('PT409', 'This post was saved before. Reload the page to see it.');
        end if;
        return v_bundle;
    end if;
    v_bundle := private.my_bundle(p_id);
    if v_bundle.version <> p_version then
        perform private.fail('PT409', 'Somebody changed this post meanwhile. What you typed is still here: look at theirs first.');
    end if;
    perform private.refuse_handed_over(p_id);
    if v_bundle.requests > 0 then
        perform private.fail('PT409', 'An earlier answer to this post was lost, and it is sent again. Take it back, then write a new one.');
    end if;
    return v_bundle;
end $$;

-- Locks a bundle's publications; PT409 unless all of them may still be changed.
create function private.refuse_handed_over(p_bundle_id uuid) returns void language plpgsql set search_path = '' as $$
declare
    v_state text;
begin
    for v_state in select p.state from public.publications p where p.bundle_id = p_bundle_id order by p.id for no key update loop
        if v_state not in ('draft', 'uploading', 'uploaded') then
            perform private.fail('PT409', case v_state
                when 'sending' then 'This post is being handed over right now. Look again in a minute.'
                else 'This post was handed over or has ended. Take it back, or write a new one.' end);
        end if;
    end loop;
end $$;

-- A post that takes another's place, or repeats it, waits until that one is really gone from these channels.
create function private.refuse_open_original(p_bundle_id uuid, p_channels text[]) returns void
language plpgsql set search_path = '' as $$
declare
    v_state text;
begin
    select p.state into v_state from public.publications p
    where p.bundle_id = p_bundle_id and p.channel = any (p_channels) and p.state not in ('failed', 'missed', 'cancelled')
    order by p.state = 'published' desc limit 1;
    if v_state = 'published' then
        perform private.fail('PT409', 'The post that this one takes the place of went live before it could be taken back. '
                                      'Delete it on the network itself, and write a new post if you still want this one.');
    elsif found then
        perform private.fail('PT409', 'The post that this one takes the place of is still on its way. Try again in a minute.');
    end if;
end $$;

-- Whether, and as what, these channels' posts were ordered again.
create function private.is_repeated(p_bundle_id uuid, p_channels text[]) returns boolean
language sql stable security definer set search_path = '' as $$
    select exists (
        select from public.bundles c join public.publications p on p.bundle_id = c.id
        where c.copy_of = p_bundle_id and p.channel = any (p_channels)
          and p.state in ('uploading', 'uploaded', 'sending', 'scheduled', 'published', 'unconfirmed'))
$$;

-- When the post of this place in the queue is handed over, at the latest: as services/publishing/budget.py says.
create function private.handed_over(
    p_budget private.send_budgets, p_place bigint, p_wanted_at timestamptz, p_now timestamptz
) returns timestamptz language sql immutable set search_path = '' as $$
    select case when p_place <= b.room then p_now
                else case when b.opens = p_now then p_now + interval '3602 seconds' else b.opens end
                     + ((p_place - greatest(b.room, 0) - 1) / b.share) * interval '3602 seconds' end
    from (select case when p_budget.blocked_until > p_now then 0
                      else greatest(coalesce(p_budget.allowance, 90)
                                    - case when p_budget.window_ends > p_now then p_budget.used else 0 end, 0) end
                 - case when p_wanted_at < coalesce(greatest(p_budget.window_ends, p_now), p_now) + interval '2 minutes'
                             or coalesce(p_budget.window_ends, p_now) <= p_now and p_wanted_at < p_now + interval '3602 seconds'
                        then 0 else coalesce(p_budget.allowance, 90) / 10 end as room,
                 greatest(coalesce(p_budget.allowance, 90) - coalesce(p_budget.allowance, 90) / 10, 1) as share,
                 greatest(p_budget.window_ends, p_budget.blocked_until, p_now) as opens) b
$$;

-- PT400 where this post, or one that was ordered before, would not be handed over a minute before its moment. The
-- organization's budget is locked: of two who order at once, the second counts the first.
create function private.refuse_late(p_bundle public.bundles) returns void language plpgsql set search_path = '' as $$
declare
    v_now    timestamptz := private.utc_now();
    v_org    text := (select o.organization from private.credential_organizations o
                      where o.credential_id = p_bundle.credential_id);
    v_budget private.send_budgets;
    v_late   record;
begin
    select * into v_budget from private.send_budgets s where s.organization = v_org for no key update;
    select w.id, private.handed_over(v_budget, w.place, w.wanted_at, v_now) as at into v_late
    from (select q.id, q.wanted_at, q.at_once, row_number() over (order by q.wanted_at, q.id) as place,
                 count(*) filter (where q.id <> p_bundle.id) over (order by q.wanted_at, q.id) as place_before
          from private.waiting_posts(p_bundle.credential_id, v_org) q) w
    where w.wanted_at >= p_bundle.wanted_at and not w.at_once
      and private.handed_over(v_budget, w.place, w.wanted_at, v_now) > w.wanted_at - interval '1 minute'
      and (w.id = p_bundle.id
           or private.handed_over(v_budget, w.place_before, w.wanted_at, v_now) <= w.wanted_at - interval '1 minute')
    order by w.id = p_bundle.id desc, w.wanted_at limit 1;
    if v_late.id = p_bundle.id then
        perform private.fail('PT400', format(
            'Postiz takes no more requests in time: this post could be handed over at %s UTC at the earliest. Choose a later '
            'moment.', to_char(v_late.at at time zone 'UTC', 'HH24:MI')), '{"field": "wanted_at"}');
    elsif v_late.id is not null then
        perform private.fail('PT400', 'Postiz takes only so many requests an hour: with this post, one that was ordered '
                                      'before would miss its moment. Choose a later one.', '{"field": "wanted_at"}');
    end if;
end $$;

-- What waits for its turn on the same key, other stores' included.
create function private.waiting_posts(p_credential_id uuid, p_organization text)
returns table (id uuid, wanted_at timestamptz, at_once boolean) language sql stable set search_path = '' as $$
    select b.id, b.wanted_at, b.at_once from public.bundles b
    where b.step in ('upload', 'send')
      and (b.credential_id = p_credential_id
           or b.credential_id in (select o.credential_id from private.credential_organizations o
                                  where o.organization = p_organization))
$$;

-- Take a publication back. Not handed over: at once. Handed over: the publisher deletes it at the vendor, which removes
-- nothing from a network. Returns the state shown: cancelled, or withdrawing.
create function private.cancel_publication(p_publication_id uuid) returns text
language plpgsql security definer set search_path = '' as $$
declare
    v_one    public.publications;
    v_bundle public.bundles;
begin
    select * into v_one from public.publications p where p.id = p_publication_id;
    v_bundle := private.my_bundle(v_one.bundle_id);
    select * into v_one from public.publications p where p.id = p_publication_id for no key update;
    if v_one.state in ('draft', 'uploading', 'uploaded') then
        update public.publications p set state = 'cancelled', state_since = private.utc_now(), error = null
        where p.id = p_publication_id;
    elsif v_one.state = 'scheduled' then
        update public.publications p set withdraw_requested_at = coalesce(p.withdraw_requested_at, private.utc_now())
        where p.id = p_publication_id;
        update public.bundles b set next_at = private.utc_now() where b.id = v_bundle.id;
    elsif v_one.state = 'sending' then
        perform private.fail('PT409', 'This post is being handed over right now. Look again in a minute.');
    else
        perform private.fail('PT409', 'This post has ended; there is nothing to take back.');
    end if;
    perform private.audit(v_one.account_id, 'post_taken_back', v_one.name, v_one.profile_id);
    return case v_one.state when 'scheduled' then 'withdrawing' else 'cancelled' end;
end $$;

-- Delete a draft; what was ever ordered stays as the record.
create function private.delete_draft(p_bundle_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_bundle public.bundles := private.my_bundle(p_bundle_id);
begin
    if exists (select from public.publications p where p.bundle_id = p_bundle_id and p.state <> 'draft') then
        perform private.fail('PT409', 'Only a draft can be deleted. Take the post back instead.');
    end if;
    delete from public.bundles b where b.id = v_bundle.id;
end $$;

-- Post the same again on these channels of a post (p_order), at another moment (null: as soon as possible); or make a
-- draft of it that takes its place. p_id names the new post: asked for twice, it is made once.
create function private.repeat_post(p_bundle_id uuid, p_id uuid, p_channels text[], p_wanted_at timestamptz, p_order boolean)
returns void language plpgsql security definer set search_path = '' as $$
declare
    v_bundle public.bundles := private.my_bundle(p_bundle_id);
begin
    if p_order and private.is_repeated(p_bundle_id, p_channels) then
        perform private.fail('PT409', 'It was ordered again before. Follow that post.');
    end if;
    perform private.save_post(
        p_id, v_bundle.profile_id, v_bundle.clip_id, p_wanted_at,
        (select jsonb_agg(jsonb_build_object('channel', p.channel, 'caption', p.caption, 'settings', p.settings) order by p.id)
         from public.publications p where p.bundle_id = p_bundle_id and p.channel = any (p_channels)),
        0, p_order, p_bundle_id);
end $$;

-- A person looked at the network: what nobody could tell is live there, or is not. What is not is taken back first, in case
-- that it still waits at the vendor: the publisher ends it with its next look into the list.
create function private.decide_publication(p_publication_id uuid, p_live boolean, p_release_url text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_one public.publications;
begin
    select * into v_one from public.publications p where p.id = p_publication_id;
    perform private.my_bundle(v_one.bundle_id);
    update public.publications p
    set state = case when p_live then 'published' else p.state end,
        state_since = case when p_live then private.utc_now() else p.state_since end,
        release_url = coalesce(nullif(btrim(p_release_url), ''), p.release_url),
        published_at = case when p_live then coalesce(p.due_at, private.utc_now()) end,
        error = case when not p_live then 'Somebody looked: it is not there. Clipdesk makes sure that Postiz does not publish it '
                                          'later; then it can be posted again.' end,
        withdraw_requested_at = case when not p_live then private.utc_now() end
    where p.id = p_publication_id and p.state = 'unconfirmed';
    if not found then
        perform private.fail('PT409', 'What became of this post is known by now. Reload the page.');
    end if;
    perform private.audit(v_one.account_id, 'post_decided', v_one.name, v_one.profile_id, null,
                          jsonb_build_object('state', 'unconfirmed'),
                          jsonb_build_object('state', case when p_live then 'published' else 'not there' end));
end $$;

create function private.dismiss_stray(p_profile_id uuid, p_vendor_post text) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform private.my_work_profile(p_profile_id);
    update public.stray_posts s set dismissed_at = coalesce(s.dismissed_at, private.utc_now())
    where s.profile_id = p_profile_id and s.vendor_post = p_vendor_post;
end $$;

-- Reading ---------------------------------------------------------------------------------------------------------------

-- The Publish page: where the store speaks, its posts in these states (null: all but drafts; the newest moment first, behind
-- the key p_before_at, p_before_id), drafts, strays, and how many posts of each state the last 90 days have and the future.
create function public.publish_desk(
    p_profile_id uuid, p_states text[] default null, p_channel text default null, p_limit integer default 25,
    p_before_at timestamptz default null, p_before_id uuid default null
) returns jsonb language plpgsql stable set search_path = '' set plan_cache_mode = force_custom_plan as $$
declare
    v_since timestamptz := private.utc_now() - interval '90 days';
begin
    return (
        with shown as materialized (
            select p.* from public.publications p
            where p.profile_id = p_profile_id and p.state <> 'draft' and (p_states is null or p.state = any (p_states))
              and p.wanted_at is not null and (p_channel is null or p.channel = p_channel)
              and (p_before_at is null or (p.wanted_at, p.id) < (p_before_at, p_before_id))
            order by p.wanted_at desc, p.id desc limit least(p_limit, 200)),
        again as (
            select distinct c.copy_of, p.channel
            from shown s join public.bundles c on c.copy_of = s.bundle_id join public.publications p on p.bundle_id = c.id
            where p.state in ('uploading', 'uploaded', 'sending', 'scheduled', 'published', 'unconfirmed')),
        drafts as materialized (
            select b.* from public.bundles b
            where b.profile_id = p_profile_id
              and exists (select from public.publications p where p.bundle_id = b.id and p.state = 'draft')
            order by b.created_at desc, b.id desc limit 50),
        clip as (
            select c.* from public.clips c
            where c.id in (select s.clip_id from shown s union select d.clip_id from drafts d))
        select jsonb_build_object(
            'publications', coalesce((
                select jsonb_agg(to_jsonb(s) || jsonb_build_object(
                           'trouble', b.trouble, 'version', b.version, 'created_by', b.created_by, 'copy_of', b.copy_of,
                           'repeated', exists (select from again a where a.copy_of = s.bundle_id and a.channel = s.channel))
                       order by s.wanted_at desc, s.id desc)
                from shown s join public.bundles b on b.id = s.bundle_id), '[]'),
            'drafts', coalesce((
                select jsonb_agg(to_jsonb(d) || jsonb_build_object('publications', (
                           select jsonb_agg(to_jsonb(p) order by p.name, p.id) from public.publications p
                           where p.bundle_id = d.id)) order by d.created_at desc, d.id desc)
                from drafts d), '[]'),
            'clips', coalesce((
                select jsonb_object_agg(c.id, jsonb_build_object(
                    'id', c.id, 'name', c.name, 'thumbnail_path', c.thumbnail_path, 'media_type', c.media_type,
                    'deleted', c.deleted_at is not null)) from clip c), '{}'),
            'people', coalesce((
                select jsonb_object_agg(n.id, n.name) from public.people n
                where n.id in (select b.created_by from public.bundles b
                               where b.id in (select s.bundle_id from shown s union select d.id from drafts d))), '{}'),
            'counts', coalesce((
                select jsonb_object_agg(g.state, g.many) from (
                    select p.state, count(*) as many from public.publications p
                    where p.profile_id = p_profile_id and p.wanted_at >= v_since and p.state <> 'draft'
                    group by p.state) g), '{}'),
            'channels', coalesce((
                select jsonb_agg(to_jsonb(x) - '{account_id,pinned_by,rules}'::text[] order by x.name, x.channel)
                from public.profile_channels x where x.profile_id = p_profile_id), '[]'),
            'strays', coalesce((
                select jsonb_agg(to_jsonb(y) - 'account_id' order by y.publish_at desc nulls last) from (
                    select * from public.stray_posts t
                    where t.profile_id = p_profile_id and t.dismissed_at is null
                    order by t.publish_at desc nulls last limit 20) y), '[]')));
end $$;

-- What the page needs to know before it orders: whose account speaks, and what its key still takes. Of other stores on the
-- same key only how many requests wait, and how many of them for a moment before p_wanted_at.
create function private.publishing_outlook(p_profile_id uuid, p_wanted_at timestamptz) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_store public.profiles;
    v_use   record;
    v_org   text;
begin
    select * into v_store from public.profiles p
    where p.id = p_profile_id and p.id in (select private.my_profile_ids());
    if not found then
        perform private.fail('PT404', 'Store not found.');
    end if;
    v_use := private.account_in_use(v_store.account_id, p_profile_id, 'postiz');
    select o.organization into v_org from private.credential_organizations o where o.credential_id = v_use.credential_id;
    return jsonb_build_object(
        'uses', v_use.uses, 'credential_id', case when v_use.usable then v_use.credential_id end,
        'account', (select jsonb_build_object('address', c.shown_address, 'practice', c.practice, 'test_ok', c.test_ok,
                                              'test_message', c.test_message, 'tested_at', c.tested_at)
                    from public.profile_credentials c where c.id = v_use.credential_id),
        'budget', (select jsonb_build_object('allowance', s.allowance, 'used', s.used, 'window_ends', s.window_ends,
                                             'blocked_until', s.blocked_until, 'refusals', s.refusals)
                   from private.send_budgets s where s.organization = v_org),
        'waiting', (select count(*) from private.waiting_posts(v_use.credential_id, v_org)),
        'ahead', (select count(*) from private.waiting_posts(v_use.credential_id, v_org) w where w.wanted_at <= p_wanted_at));
end $$;

-- What was or will be said of the same clip, or in the same words, on these channels within a week of a moment.
create function private.similar_posts(
    p_profile_id uuid, p_clip_id uuid, p_publications jsonb, p_wanted_at timestamptz, p_except uuid
) returns jsonb language plpgsql stable security definer set search_path = '' as $$
begin
    if p_profile_id not in (select private.my_profile_ids()) then
        perform private.fail('PT404', 'Store not found.');
    end if;
    return (
        select coalesce(jsonb_agg(jsonb_build_object(
                   'name', p.name, 'identifier', p.identifier, 'wanted_at', p.wanted_at, 'state', p.state,
                   'same_clip', p.clip_id = p_clip_id) order by p.wanted_at), '[]')
        from public.publications p
        join jsonb_array_elements(p_publications) t on t ->> 'channel' = p.channel
        where p.profile_id = p_profile_id and p.bundle_id is distinct from p_except
          and p.wanted_at between p_wanted_at - interval '7 days' and p_wanted_at + interval '7 days'
          and p.state in ('uploading', 'uploaded', 'sending', 'scheduled', 'published', 'unconfirmed')
          and (p.clip_id = p_clip_id
               or private.same_words(p.caption) <> '' and private.same_words(p.caption) = private.same_words(t ->> 'caption')));
end $$;

-- A caption for comparing: letters and digits only, whatever their case, spaces and marks.
create function private.same_words(p_text text) returns text language sql immutable set search_path = '' as $$
    select lower(regexp_replace(coalesce(p_text, ''), '[^[:alnum:]]+', '', 'g'))
$$;

-- Live rules of channels ---------------------------------------------------------------------------------------------------

-- For the worker: what the vendor says of a channel, as {max_length, rules, settings, choices}.
create function private.save_channel_rules(p_credential_id uuid, p_channel text, p_rules jsonb) returns void
language sql security definer set search_path = '' as $$
    update public.profile_channels x set rules = p_rules, rules_at = private.utc_now()
    where x.credential_id = p_credential_id and x.channel = p_channel
$$;

-- For the worker: pinned channels of one store or of all: [{account_id, profile_id, credential_id, channel, identifier}].
create function private.channels_to_ask(p_profile_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_agg(jsonb_build_object(
               'account_id', x.account_id, 'profile_id', x.profile_id, 'credential_id', x.credential_id,
               'channel', x.channel, 'identifier', x.identifier) order by x.account_id, x.profile_id, x.channel), '[]')
    from public.profile_channels x
    join public.profiles p on p.id = x.profile_id and p.archived_at is null
    where p_profile_id is null or x.profile_id = p_profile_id
$$;

-- The job that asks the vendor for the rules of a store's channels; the one that waits or runs already, where there is one.
create function private.ask_for_rules(p_account_id uuid, p_profile_id uuid) returns uuid
language plpgsql set search_path = '' as $$
declare
    v_id uuid := gen_random_uuid();
begin
    insert into public.jobs (id, account_id, profile_id, kind, request_id, dedupe_key, created_by)
    values (v_id, p_account_id, p_profile_id, 'channel_rules', v_id, 'channel_rules', auth.uid())
    on conflict (profile_id, dedupe_key) where status in ('pending', 'running') do nothing;
    return (select j.id from public.jobs j
            where j.profile_id = p_profile_id and j.dedupe_key = 'channel_rules' and j.status in ('pending', 'running'));
end $$;

-- Asked for by a person.
create function private.request_channel_rules(p_profile_id uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    v_store public.profiles := private.my_work_profile(p_profile_id);
begin
    return private.ask_for_rules(v_store.account_id, p_profile_id);
end $$;

-- Channels that were just pinned are asked at once.
create function private.ask_new_channels() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    perform private.ask_for_rules(n.account_id, n.profile_id)
    from (select distinct x.account_id, x.profile_id from pinned x where x.rules is null) n;
    return null;
end $$;
create trigger ask_new_channels after insert on public.profile_channels referencing new table as pinned
    for each statement execute function private.ask_new_channels();

create function public.save_post(
    p_id uuid, p_profile_id uuid, p_clip_id uuid, p_wanted_at timestamptz, p_publications jsonb,
    p_version integer default 0, p_order boolean default false, p_copy_of uuid default null
) returns jsonb language sql set search_path = '' as $$
    select private.save_post(p_id, p_profile_id, p_clip_id, p_wanted_at, p_publications, p_version, p_order, p_copy_of)
$$;
create function public.cancel_publication(p_publication_id uuid) returns text
language sql set search_path = '' as $$ select private.cancel_publication(p_publication_id) $$;
create function public.delete_draft(p_bundle_id uuid) returns void
language sql set search_path = '' as $$ select private.delete_draft(p_bundle_id) $$;
create function public.repeat_post(
    p_bundle_id uuid, p_id uuid, p_channels text[], p_wanted_at timestamptz default null, p_order boolean default false
) returns void language sql set search_path = '' as
    $$ select private.repeat_post(p_bundle_id, p_id, p_channels, p_wanted_at, p_order) $$;
create function public.decide_publication(p_publication_id uuid, p_live boolean, p_release_url text default null) returns void
language sql set search_path = '' as $$ select private.decide_publication(p_publication_id, p_live, p_release_url) $$;
create function public.dismiss_stray(p_profile_id uuid, p_vendor_post text) returns void
language sql set search_path = '' as $$ select private.dismiss_stray(p_profile_id, p_vendor_post) $$;
create function public.publishing_outlook(p_profile_id uuid, p_wanted_at timestamptz default null) returns jsonb
language sql stable set search_path = '' as $$ select private.publishing_outlook(p_profile_id, p_wanted_at) $$;
create function public.similar_posts(
    p_profile_id uuid, p_clip_id uuid, p_publications jsonb, p_wanted_at timestamptz, p_except uuid default null
) returns jsonb language sql stable set search_path = '' as
    $$ select private.similar_posts(p_profile_id, p_clip_id, p_publications, p_wanted_at, p_except) $$;
create function public.request_channel_rules(p_profile_id uuid) returns uuid
language sql set search_path = '' as $$ select private.request_channel_rules(p_profile_id) $$;
create function public.channels_to_ask(p_profile_id uuid default null) returns jsonb
language sql stable set search_path = '' as $$ select private.channels_to_ask(p_profile_id) $$;
create function public.save_channel_rules(p_credential_id uuid, p_channel text, p_rules jsonb) returns void
language sql set search_path = '' as $$ select private.save_channel_rules(p_credential_id, p_channel, p_rules) $$;

grant execute on function
    public.save_post(uuid, uuid, uuid, timestamptz, jsonb, integer, boolean, uuid),
    private.save_post(uuid, uuid, uuid, timestamptz, jsonb, integer, boolean, uuid),
    public.cancel_publication(uuid), private.cancel_publication(uuid),
    public.delete_draft(uuid), private.delete_draft(uuid),
    public.repeat_post(uuid, uuid, text[], timestamptz, boolean),
    private.repeat_post(uuid, uuid, text[], timestamptz, boolean),
    public.decide_publication(uuid, boolean, text), private.decide_publication(uuid, boolean, text),
    public.dismiss_stray(uuid, text), private.dismiss_stray(uuid, text),
    public.publish_desk(uuid, text[], text, integer, timestamptz, uuid),
    public.publishing_outlook(uuid, timestamptz), private.publishing_outlook(uuid, timestamptz),
    public.similar_posts(uuid, uuid, jsonb, timestamptz, uuid), private.similar_posts(uuid, uuid, jsonb, timestamptz, uuid),
    public.request_channel_rules(uuid), private.request_channel_rules(uuid)
    to authenticated;
grant execute on function
    public.channels_to_ask(uuid), private.channels_to_ask(uuid),
    public.save_channel_rules(uuid, text, jsonb), private.save_channel_rules(uuid, text, jsonb) to service_role;
