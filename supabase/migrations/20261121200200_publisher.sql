-- The publisher's side of posts: what is due, and what became of it. For the worker only; docs/publishing.md tells the whole.
--
-- A piece of work is claimed under a lease with a token, and every write carries the token. What may have reached the vendor
-- is `sending` before it leaves, and leaves that state only by an answer or by what the vendor's lists show.
-- Locks: bundles first, then their publications, then credentials and channels, the organization's budget last. Clocks: each
-- function takes the instant, so that a test can play a day in a second; null is now.

-- What a bundle's publications want done next ----------------------------------------------------------------------------

create function private.next_step(p_bundle_id uuid) returns text language sql stable set search_path = '' as $$
    select case when bool_or(p.withdraw_requested_at is not null and p.state in ('scheduled', 'unconfirmed'))
                     or bool_or(p.state = 'sending') then 'read'
                when bool_or(p.state = 'uploading') then 'upload'
                when bool_or(p.state = 'uploaded') then 'send'
                when bool_or(p.state in ('scheduled', 'unconfirmed')) then 'read' end
    from public.publications p
    where p.bundle_id = p_bundle_id and p.state in ('uploading', 'uploaded', 'sending', 'scheduled', 'unconfirmed')
$$;

-- Keeps `step` true whoever changes a publication. A new step is due at once; so is what a person takes back.
create function private.plan_bundles() returns trigger language plpgsql security definer set search_path = '' as $$
declare
    v_woken uuid[] := '{}';
begin
    if tg_op = 'UPDATE' then
        select coalesce(array_agg(distinct n.bundle_id), '{}') into v_woken
        from changed n join before o on o.id = n.id
        where n.withdraw_requested_at is not null and o.withdraw_requested_at is null;
    end if;
    update public.bundles b
    set step = x.step, next_at = case when x.step is not null then timestamptz 'epoch' else b.next_at end,
        tries = case when x.step is distinct from b.step then 0 else b.tries end, woken = b.woken or b.id = any (v_woken)
    from (select d.bundle_id, private.next_step(d.bundle_id) as step from (select distinct bundle_id from changed) d) x
    where b.id = x.bundle_id and (b.step is distinct from x.step or b.id = any (v_woken));
    return null;
end $$;
create trigger plan_inserted after insert on public.publications
    referencing new table as changed for each statement execute function private.plan_bundles();
create trigger plan_updated after update on public.publications
    referencing old table as before new table as changed for each statement execute function private.plan_bundles();

-- Claiming --------------------------------------------------------------------------------------------------------------

-- The bundles of a token, locked. PT412 once another publisher has them, or a person has changed them.
create function private.held_bundles(p_token uuid) returns setof public.bundles
language plpgsql set search_path = '' as $$
begin
    return query select * from public.bundles b where b.token = p_token order by b.id for no key update;
    if not found then
        perform private.fail('PT412', 'Another publisher has this by now, or somebody changed it.');
    end if;
end $$;

create function private.held_bundle(p_token uuid) returns public.bundles language sql set search_path = '' as
    $$ select * from private.held_bundles(p_token) limit 1 $$;

-- Give back what is held; it is looked at again then, or at once where something was taken back meanwhile.
create function private.release_bundle(p_bundle_id uuid, p_next timestamptz, p_trouble text) returns void
language sql set search_path = '' as $$
    update public.bundles b
    set token = null, lease_until = null, next_at = case when b.woken then 'epoch' else p_next end, trouble = p_trouble,
        tries = case when p_trouble is null then 0 else b.tries + 1 end
    where b.id = p_bundle_id
$$;

create function private.is_free(p_bundle public.bundles, p_now timestamptz) returns boolean
language sql immutable set search_path = '' as $$ select p_bundle.lease_until is null or p_bundle.lease_until <= p_now $$;

-- A moment that somebody wants at once moves along for an hour while it waits for its turn; every other one is fixed.
create function private.too_late(p_bundle public.bundles, p_now timestamptz) returns boolean
language sql immutable set search_path = '' as $$
    select p_now > p_bundle.wanted_at - interval '30 seconds'
                   + case when p_bundle.at_once and p_bundle.requests = 0 then interval '1 hour' else interval '0' end
$$;

-- Whatever was not handed over in time is missed; nothing of it was posted.
create function private.miss(p_bundle public.bundles, p_now timestamptz) returns void
language sql set search_path = '' as $$
    update public.publications p
    set state = 'missed', state_since = p_now,
        error = 'Its moment passed before it could be handed over, so nothing was posted. '
                || coalesce(p.error || ' ', p_bundle.trouble || ' ', '') || 'Choose a new moment.'
    where p.bundle_id = p_bundle.id and p.state in ('uploading', 'uploaded')
$$;

create function private.close_missed(p_now timestamptz) returns void language plpgsql set search_path = '' as $$
declare
    v_bundle public.bundles;
begin
    for v_bundle in
        select * from public.bundles b
        where b.step in ('upload', 'send') and b.wanted_at < p_now + interval '30 seconds'
          and private.is_free(b, p_now) and private.too_late(b, p_now)
        order by b.id limit 100 for no key update skip locked
    loop
        perform private.miss(v_bundle, p_now);
    end loop;
end $$;

-- When an organization's present window ends; without one, after the one that the next request opens.
create function private.window_end(p_budget private.send_budgets, p_now timestamptz) returns timestamptz
language sql immutable set search_path = '' as $$
    select case when p_budget.window_ends > p_now then p_budget.window_ends else p_now + interval '1 hour' end
$$;

-- Whether a post of that moment cannot wait for the next window.
create function private.is_urgent(p_budget private.send_budgets, p_wanted_at timestamptz, p_now timestamptz) returns boolean
language sql immutable set search_path = '' as
    $$ select p_wanted_at < private.window_end(p_budget, p_now) + interval '2 minutes' $$;

-- Until when nothing may be sent; null: now. A tenth of the allowance is kept for what is urgent.
create function private.waits_until(p_budget private.send_budgets, p_wanted_at timestamptz, p_now timestamptz)
returns timestamptz language sql immutable set search_path = '' as $$
    select case
        when p_budget.blocked_until > p_now then p_budget.blocked_until
        when p_budget.organization is null then null
        when case when p_budget.window_ends > p_now then p_budget.used else 0 end
             >= p_budget.allowance - case when private.is_urgent(p_budget, p_wanted_at, p_now) then 0
                                          else p_budget.allowance / 10 end
        then private.window_end(p_budget, p_now) end
$$;

-- The next to be sent: what is urgent by its moment, else store by store, each by its moments.
create function private.next_to_send(p_now timestamptz) returns public.bundles
language sql set search_path = '' as $$
    with budget as materialized (
        select s.organization, private.window_end(s, p_now) + interval '2 minutes' as urgent_before,
               private.waits_until(s, p_now, p_now) is null as takes_urgent,
               private.waits_until(s, 'infinity', p_now) is null as takes_any
        from private.send_budgets s)
    select b.* from public.bundles b
    -- With a new key nobody knows yet whose budget it is: that shows when it is about to be sent.
    left join public.profile_credentials c on c.id = b.credential_id
    left join private.credential_organizations o on o.credential_id = c.id and o.key_id is not distinct from c.key_id
    left join budget s on s.organization = b.organization and o.organization = s.organization
    left join private.send_turns t on t.organization = b.organization and t.profile_id = b.profile_id
    where b.step = 'send' and b.next_at <= p_now and (b.lease_until is null or b.lease_until <= p_now)
      and (s.organization is null or s.takes_any or s.takes_urgent and b.wanted_at < s.urgent_before)
    order by b.wanted_at < coalesce(s.urgent_before, p_now + interval '62 minutes') desc,
             case when b.wanted_at < coalesce(s.urgent_before, p_now + interval '62 minutes') then b.wanted_at end,
             t.sent_at nulls first, b.wanted_at, b.id
    limit 1 for no key update of b skip locked
$$;

create function private.next_of(p_step text, p_now timestamptz) returns public.bundles
language sql set search_path = '' as $$
    select b.* from public.bundles b
    where b.step = p_step and b.next_at <= p_now and (b.lease_until is null or b.lease_until <= p_now)
      -- One upload of an account at a time: they may be long, and the workers have other things to do.
      and not (p_step = 'upload' and exists (
          select from public.bundles o
          where o.step = 'upload' and o.credential_id = b.credential_id and o.lease_until > p_now))
    order by b.next_at, b.wanted_at, b.id
    limit 1 for no key update skip locked
$$;

-- What was sent more than once and still has to be sent in part: what was handed over of it is looked at all the same,
-- after the last request and before its instant, while a surplus can still be taken back.
create function private.next_surplus(p_now timestamptz) returns public.bundles
language sql set search_path = '' as $$
    select b.* from public.bundles b
    where b.step = 'send' and b.requests > 1 and b.next_at <= p_now and private.is_free(b, p_now) and exists (
        select from public.publications p
        where p.bundle_id = b.id and p.state = 'scheduled'
          and (p.listed_at is null or p.listed_at <= b.sent_at
               or p.due_at < p_now + interval '3 minutes' and p.listed_at <= p_now - interval '30 seconds'))
    order by b.id limit 1 for no key update skip locked
$$;

-- Up to 50 bundles of the same account that one list shows: due within half an hour of each other.
create function private.take_along(p_bundle public.bundles, p_now timestamptz) returns uuid[]
language sql set search_path = '' as $$
    select array_agg(x.id) from (
        select b.id from public.bundles b
        where b.step = 'read' and b.next_at <= p_now and (b.lease_until is null or b.lease_until <= p_now)
          and b.credential_id = p_bundle.credential_id and b.organization = p_bundle.organization
          and b.due_at between p_bundle.due_at - interval '30 minutes' and p_bundle.due_at + interval '30 minutes'
        order by b.id limit 50 for no key update skip locked) x
$$;

-- The vendor's ids of what other publications have at this one's channel and instant: never taken for its own.
create function private.at_same_instant(p_publication public.publications) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(o.vendor_post), '[]') from public.publications o
    where o.channel = p_publication.channel and o.due_at = p_publication.due_at and o.id <> p_publication.id
      and o.vendor_post is not null
$$;

create function private.bundle_facts(p_bundle public.bundles) returns jsonb language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'id', p_bundle.id, 'account_id', p_bundle.account_id, 'profile_id', p_bundle.profile_id,
        'credential_id', p_bundle.credential_id, 'organization', p_bundle.organization, 'wanted_at', p_bundle.wanted_at,
        'tries', p_bundle.tries, 'media', p_bundle.media,
        'publications', (select jsonb_agg(to_jsonb(p) || jsonb_build_object('requests', p_bundle.requests,
                                                                            'others', private.at_same_instant(p)) order by p.id)
                         from public.publications p
                         where p.bundle_id = p_bundle.id
                           and p.state in ('uploading', 'uploaded', 'sending', 'scheduled', 'unconfirmed')))
$$;

-- The next due piece of work, or null: {task, token, now, channels_at, bundles}. It is this caller's until the
-- lease runs out; an upload only with p_uploads. First what is due within the hour, then lists and uploads, so that all
-- stores' posts are ready when the rest of an allowance is shared.
create function private.claim_publishing(p_lease_seconds numeric, p_now timestamptz, p_uploads boolean) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_now    timestamptz := coalesce(p_now, private.utc_now());
    v_token  uuid := gen_random_uuid();
    v_send   public.bundles;
    v_bundle public.bundles;
    v_task   text;
    v_ids    uuid[];
begin
    perform private.close_missed(v_now);
    v_bundle := private.next_surplus(v_now);
    v_task := case when v_bundle.id is not null then 'read' end;
    v_send := case when v_task is null then private.next_to_send(v_now) end;
    if v_send.wanted_at < v_now + interval '62 minutes' then
        v_bundle := v_send;
    elsif v_task is null then
        v_bundle := private.next_of('read', v_now);
        if v_bundle.id is null and p_uploads then
            v_bundle := private.next_of('upload', v_now);
        end if;
        if v_bundle.id is null then
            v_bundle := v_send;
        end if;
        if v_bundle.id is null then
            return null;
        end if;
    end if;
    v_task := coalesce(v_task, v_bundle.step);
    v_ids := array[v_bundle.id];
    if v_task = 'read' then
        v_ids := v_ids || coalesce(private.take_along(v_bundle, v_now), '{}');
    end if;
    update public.bundles b
    set token = v_token, lease_until = v_now + make_interval(secs => p_lease_seconds::double precision), woken = false
    where b.id = any (v_ids);
    return jsonb_build_object(
        'task', v_task, 'token', v_token, 'now', v_now,
        'channels_at', (select o.channels_at from private.credential_organizations o
                        where o.credential_id = v_bundle.credential_id),
        'bundles', (select jsonb_agg(private.bundle_facts(b) order by b.id) from public.bundles b where b.token = v_token));
end $$;

-- A long upload goes on.
create function private.keep_bundle(p_token uuid, p_lease_seconds numeric, p_now timestamptz) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform private.held_bundles(p_token);
    update public.bundles b
    set lease_until = coalesce(p_now, private.utc_now()) + make_interval(secs => p_lease_seconds::double precision)
    where b.token = p_token;
end $$;

-- Nothing came of it, and nothing was posted: try again then. What was handed over stays so, but nobody can tell what
-- became of it once its moment has passed.
create function private.bundle_waits(p_token uuid, p_seconds numeric, p_trouble text, p_now timestamptz) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_now    timestamptz := coalesce(p_now, private.utc_now());
    v_bundle public.bundles;
begin
    for v_bundle in select * from private.held_bundles(p_token) loop
        update public.publications p
        set state = 'unconfirmed', state_since = v_now, withdraw_requested_at = null,
            error = 'Its moment has passed, and Postiz'' list, which would show what became of it, cannot be read. '
                    'Clipdesk keeps looking; do not post it again before this is clear. ' || p_trouble
        where p.bundle_id = v_bundle.id
          and (p.state = 'sending' and p.due_at <= v_now or p.state = 'scheduled' and p.due_at < v_now - interval '2 days');
        perform private.release_bundle(
            v_bundle.id, v_now + case when v_bundle.wanted_at < v_now - interval '30 days' then interval '1 year'
                                      else make_interval(secs => p_seconds::double precision) end, p_trouble);
    end loop;
end $$;

-- Uploading -------------------------------------------------------------------------------------------------------------

create function private.note_organization(p_credential_id uuid, p_organization text, p_key_id uuid) returns void
language sql set search_path = '' as $$
    insert into private.credential_organizations as o (credential_id, key_id, organization)
    values (p_credential_id, p_key_id, p_organization)
    on conflict (credential_id) do update
    set key_id = excluded.key_id, organization = excluded.organization,
        channels_at = case when o.organization = excluded.organization then o.channels_at end
    where (o.key_id, o.organization) is distinct from (excluded.key_id, excluded.organization)
$$;

-- What organizations' names are keyed with: drawn once, so that they outlast every key of the vault.
create table private.publishing_pepper (
    only_one boolean primary key default true check (only_one),
    value    text not null default gen_random_uuid()::text || gen_random_uuid()
);
alter table private.publishing_pepper enable row level security;

create function private.publishing_pepper() returns text
language plpgsql security definer set search_path = '' as $$
begin
    insert into private.publishing_pepper default values on conflict do nothing;
    return (select p.value from private.publishing_pepper p);
end $$;

-- A file of ours that the organization's library has: {id, path}, the vendor's own.
create function private.uploaded_file(p_organization text, p_path text, p_now timestamptz) returns jsonb
language sql stable set search_path = '' as $$
    select m.media from private.vendor_media m
    where m.organization = p_organization and m.media_path = p_path and m.uploaded_at > p_now - interval '7 days'
$$;

-- Pinterest takes a video only with an image beside it.
create function private.needs_cover(p_bundle_id uuid, p_clip public.clips) returns boolean
language sql stable set search_path = '' as $$
    select (p_clip).media_type = 'video' and (p_clip).thumbnail_path is not null and exists (
        select from public.publications p
        where p.bundle_id = p_bundle_id and p.identifier = 'pinterest' and p.state in ('uploading', 'uploaded'))
$$;

-- All posts of the clip whose files the organization's library has go on. p_media: what was uploaded just now, {id, path,
-- source: our own path}, which need not be the clip's any more; null: nothing. Returns {done}; where it is not, with the path
-- of ours that is to be uploaded next, null while the clip is deleted or not ready.
create function private.uploaded_bundle(
    p_token uuid, p_organization text, p_key_id uuid, p_media jsonb, p_now timestamptz
) returns jsonb language plpgsql security definer set search_path = '' as $$
declare
    v_now    timestamptz := coalesce(p_now, private.utc_now());
    v_bundle public.bundles := private.held_bundle(p_token);
    v_clip   public.clips;
    v_media  jsonb;
    v_cover  jsonb;
    v_ids    uuid[];
begin
    insert into private.vendor_media as m (organization, media_path, media, uploaded_at)
    select p_organization, p_media ->> 'source', p_media - 'source', v_now where p_media is not null
    on conflict (organization, media_path) do update set media = excluded.media, uploaded_at = excluded.uploaded_at;
    select * into v_clip from public.clips c where c.id = v_bundle.clip_id;
    v_media := private.uploaded_file(p_organization, v_clip.media_path, v_now);
    v_cover := private.uploaded_file(p_organization, v_clip.thumbnail_path, v_now);
    if v_media is null or v_cover is null and private.needs_cover(v_bundle.id, v_clip) then
        return jsonb_build_object('done', false, 'path', case
            when v_clip.deleted_at is not null then null
            when v_media is null then v_clip.media_path else v_clip.thumbnail_path end);
    end if;
    perform private.note_organization(v_bundle.credential_id, p_organization, p_key_id);
    select array_agg(x.id) into v_ids from (
        select b.id from public.bundles b
        where b.step = 'upload' and b.clip_id = v_bundle.clip_id and b.credential_id = v_bundle.credential_id
          and (b.id = v_bundle.id or private.is_free(b, v_now))
          and (v_cover is not null or not private.needs_cover(b.id, v_clip))
        order by b.id for no key update skip locked) x;
    update public.bundles b
    set organization = p_organization,
        media = v_media || jsonb_strip_nulls(jsonb_build_object('source', v_clip.media_path, 'cover', v_cover)),
        due_at = case when b.organization = p_organization then b.due_at end,
        token = null, lease_until = null, trouble = null
    where b.id = any (v_ids);
    update public.publications p
    set state = 'uploaded', state_since = v_now, organization = p_organization,
        due_at = case when p.organization = p_organization then p.due_at end
    where p.bundle_id = any (v_ids) and p.state = 'uploading';
    return '{"done": true}';
end $$;

-- Sending ---------------------------------------------------------------------------------------------------------------

-- Why nothing of this bundle may be sent now; null: it may.
create function private.why_not(p_bundle public.bundles, p_key_id uuid) returns text
language plpgsql set search_path = '' as $$
declare
    v_store public.profiles;
    v_saved public.profile_credentials;
    v_use   record;
begin
    select * into v_store from public.profiles s where s.id = p_bundle.profile_id;
    select * into v_saved from public.profile_credentials c where c.id = p_bundle.credential_id for share;
    v_use := private.account_in_use(p_bundle.account_id, p_bundle.profile_id, 'postiz');
    return case
        when v_store.suspended_at is not null then
            format('%s is suspended: nothing is sent until an admin lifts that.', v_store.name)
        when v_store.archived_at is not null then format('%s is archived.', v_store.name)
        when exists (select from public.clips c where c.id = p_bundle.clip_id and c.deleted_at is not null) then
            'Its clip was deleted. Restore the clip or take the post back.'
        when v_saved.id is null then 'The Postiz account of this post was removed. An admin can connect one.'
        when not v_saved.enabled then 'The Postiz account is switched off. An admin can switch it on.'
        when not v_saved.practice and (not v_use.usable or v_use.credential_id is distinct from v_saved.id) then
            'The store does not use this Postiz account any more. An admin can choose it again.'
        when p_key_id is distinct from v_saved.key_id then 'The Postiz account was changed just now; it is tried again.' end;
end $$;

-- Marks on each waiting publication why its own channel takes nothing, and drops those whose channel is not the store's any
-- more. Returns the channels that may be sent to.
create function private.open_channels(p_bundle public.bundles, p_now timestamptz) returns text[]
language plpgsql set search_path = '' as $$
begin
    update public.publications p
    set state = 'failed', state_since = p_now,
        error = 'This channel is not pinned to the store any more, so nothing was posted there. An admin can pin it again.'
    where p.bundle_id = p_bundle.id and p.state = 'uploaded' and not exists (
        select from public.profile_channels x
        where x.profile_id = p_bundle.profile_id and x.credential_id = p_bundle.credential_id and x.channel = p.channel);
    update public.publications p
    set error = case
        when x.differs ? 'missing' then 'Postiz does not show this channel any more. An admin looks at the channels under Settings.'
        when x.differs is not null then
            format('Postiz now shows this channel as “%s”. Nothing is sent there until an admin pins it again.', x.differs ->> 'name')
        when x.disabled then 'This channel is switched off in Postiz. Switch it on there.' end
    from public.profile_channels x
    where p.bundle_id = p_bundle.id and p.state = 'uploaded'
      and x.profile_id = p_bundle.profile_id and x.credential_id = p_bundle.credential_id and x.channel = p.channel;
    return array(select p.channel from public.publications p
                 where p.bundle_id = p_bundle.id and p.state = 'uploaded' and p.error is null order by p.id);
end $$;

-- Count a request on the organization's allowance, and lock it. Returns until when there is none; null: it is counted.
create function private.take_request(p_organization text, p_wanted_at timestamptz, p_now timestamptz) returns timestamptz
language plpgsql set search_path = '' as $$
declare
    v_budget private.send_budgets;
    v_until  timestamptz;
begin
    insert into private.send_budgets (organization) values (p_organization) on conflict do nothing;
    select * into v_budget from private.send_budgets s where s.organization = p_organization for no key update;
    v_until := private.waits_until(v_budget, p_wanted_at, p_now);
    if v_until is null then
        -- Until a header says, a window is taken to end a minute late: its first request may have been slow.
        update private.send_budgets s
        set used = case when s.window_ends > p_now then s.used else 0 end + 1, blocked_until = null,
            window_ends = case when s.window_ends > p_now then s.window_ends else p_now + interval '61 minutes' end,
            updated_at = p_now
        where s.organization = p_organization;
    end if;
    return v_until;
end $$;

-- The instant named to the vendor: an odd millisecond after the moment, not yet used on any of these channels, whatever key
-- it was used with. The lock on the organization's budget keeps others from drawing the same; without an order the search
-- stops at the first that is free.
create function private.draw_due(p_bundle public.bundles, p_channels text[]) returns timestamptz
language sql stable set search_path = '' as $$
    select coalesce(
        case when p_bundle.due_at >= p_bundle.wanted_at and p_bundle.due_at < p_bundle.wanted_at + interval '1 second'
                  and not exists (
                      select from public.publications p
                      where p.due_at = p_bundle.due_at and p.channel = any (p_channels) and p.bundle_id <> p_bundle.id)
             then p_bundle.due_at end,
        (select x.due from (
             select date_trunc('second', p_bundle.wanted_at) + make_interval(secs => (2 * n + 1) / 1000.0) as due
             from generate_series(0, 499) n) x
         where x.due >= p_bundle.wanted_at and not exists (
             select from public.publications p
             where p.due_at = x.due and p.channel = any (p_channels))
         limit 1),
        date_trunc('milliseconds', p_bundle.wanted_at))
$$;

-- Why the clip has to be uploaded once more; null: it has not. What may have reached the vendor stays as it was sent.
create function private.why_again(p_bundle public.bundles, p_organization text) returns text
language sql stable set search_path = '' as $$
    select case
        when p_bundle.organization is distinct from p_organization then
            'The Postiz account was changed: the clip is uploaded to it again.'
        when p_bundle.requests = 0 and c.media_path is distinct from p_bundle.media ->> 'source' then
            'The clip was changed: it is uploaded again.' end
    from public.clips c where c.id = p_bundle.clip_id
$$;

-- Just before the request leaves: from here on it may have been taken. Returns {go, due_at, seconds until then,
-- publications: [ids]}; without `go` nothing may be sent, and the bundle is given back.
create function private.begin_sending(p_token uuid, p_organization text, p_key_id uuid, p_now timestamptz) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_now      timestamptz := coalesce(p_now, private.utc_now());
    v_bundle   public.bundles := private.held_bundle(p_token);
    v_trouble  text := private.why_not(v_bundle, p_key_id);
    v_again    text := private.why_again(v_bundle, p_organization);
    v_channels text[];
    v_until    timestamptz;
    v_due      timestamptz;
begin
    if private.too_late(v_bundle, v_now) then
        perform private.miss(v_bundle, v_now);
        perform private.release_bundle(v_bundle.id, v_now, null);
    elsif v_again is not null then
        update public.publications p set state = 'uploading', state_since = v_now
        where p.bundle_id = v_bundle.id and p.state = 'uploaded';
        perform private.release_bundle(v_bundle.id, v_now, v_again);
    elsif v_trouble is not null then
        perform private.release_bundle(v_bundle.id, v_now + interval '1 minute', v_trouble);
    else
        perform private.note_organization(v_bundle.credential_id, p_organization, p_key_id);
        v_channels := private.open_channels(v_bundle, v_now);
        if v_channels <> '{}' then
            v_bundle := private.moved_along(v_bundle, v_now);
            v_until := private.take_request(p_organization, v_bundle.wanted_at, v_now);
        end if;
        if v_channels = '{}' or v_until is not null then
            perform private.release_bundle(
                v_bundle.id, v_now + interval '1 minute',
                case when v_until is not null then 'Waits for its turn: Postiz takes only so many requests an hour.'
                     else 'None of its channels can be used now.' end);
        else
            v_due := private.draw_due(v_bundle, v_channels);
            perform private.note_intent(v_bundle, v_channels, v_due, v_now);
            return jsonb_build_object(
                'go', true, 'due_at', v_due, 'seconds', extract(epoch from v_due - v_now), 'publications', (
                    select jsonb_agg(p.id order by p.id) from public.publications p
                    where p.bundle_id = v_bundle.id and p.state = 'sending'));
        end if;
    end if;
    return '{"go": false}';
end $$;

-- What is wanted at once and had to wait is wanted three minutes from now, once the request can be made.
create function private.moved_along(p_bundle public.bundles, p_now timestamptz) returns public.bundles
language plpgsql set search_path = '' as $$
begin
    if p_bundle.at_once and p_bundle.requests = 0 and p_bundle.wanted_at < p_now + interval '2 minutes'
        and not exists (select from private.send_budgets s
                        where s.organization = p_bundle.organization
                          and private.waits_until(s, p_bundle.wanted_at, p_now) is not null) then
        update public.bundles b set wanted_at = date_trunc('second', p_now) + interval '3 minutes', at_once = false
        where b.id = p_bundle.id returning * into p_bundle;
        update public.publications p set wanted_at = p_bundle.wanted_at
        where p.bundle_id = p_bundle.id and p.state = 'uploaded';
    end if;
    return p_bundle;
end $$;

create function private.note_intent(
    p_bundle public.bundles, p_channels text[], p_due timestamptz, p_now timestamptz
) returns void language plpgsql set search_path = '' as $$
begin
    update public.bundles b set due_at = p_due, sent_at = p_now, requests = b.requests + 1, trouble = null
    where b.id = p_bundle.id;
    update public.publications p
    set state = 'sending', state_since = p_now, due_at = p_due, organization = p_bundle.organization,
        absent_lists = 0, absent_since = null
    where p.bundle_id = p_bundle.id and p.state = 'uploaded' and p.channel = any (p_channels);
    insert into private.send_turns as t (organization, profile_id, sent_at)
    values (p_bundle.organization, p_bundle.profile_id, clock_timestamp())   -- turns are an order, not a time
    on conflict (organization, profile_id) do update set sent_at = excluded.sent_at;
end $$;

-- What an answer's headers say of the allowance {limit, remaining, seconds}. Within one window the higher count is right:
-- answers overtake each other, and others use the same key.
create function private.learn_allowance(p_organization text, p_allowance jsonb, p_now timestamptz) returns void
language sql set search_path = '' as $$
    update private.send_budgets s
    set allowance = (p_allowance ->> 'limit')::integer, learned_at = p_now, updated_at = p_now,
        window_ends = x.ends,
        used = greatest((p_allowance ->> 'limit')::integer - (p_allowance ->> 'remaining')::integer,
                        case when x.ends > s.window_ends + interval '5 seconds' then 0 else s.used end)
    from (select p_now + make_interval(secs => (p_allowance ->> 'seconds')::double precision + 2) as ends) x
    where s.organization = p_organization and p_allowance is not null
$$;

-- Takes back what a store has handed over on channels that it has no more, and all of it when it was archived. p_bundle_id
-- null: whatever bundle it is of.
create function private.recall(p_profile_id uuid, p_bundle_id uuid) returns void language sql set search_path = '' as $$
    select from public.bundles b
    where b.profile_id = p_profile_id and b.step is not null and (p_bundle_id is null or b.id = p_bundle_id)
    order by b.id for no key update;
    update public.publications p
    set withdraw_requested_at = private.utc_now(),
        error = case when s.archived_at is null then 'The channel was taken from this store.'
                     else 'The store was archived.' end
    from public.profiles s
    where s.id = p_profile_id and p.profile_id = s.id and p.state = 'scheduled' and p.withdraw_requested_at is null
      and (p_bundle_id is null or p.bundle_id = p_bundle_id)
      and (s.archived_at is not null or not exists (
          select from public.profile_channels x
          where x.profile_id = p.profile_id and x.credential_id = p.credential_id and x.channel = p.channel))
$$;

-- The vendor took it: p_posts [{id, vendor_post}]. What it did not name stays `sending` until the list shows it.
create function private.bundle_sent(p_token uuid, p_posts jsonb, p_allowance jsonb, p_now timestamptz) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_now    timestamptz := coalesce(p_now, private.utc_now());
    v_bundle public.bundles := private.held_bundle(p_token);
begin
    update public.publications p
    set state = 'scheduled', state_since = v_now, vendor_post = t ->> 'vendor_post', vendor_state = 'QUEUE', error = null,
        absent_lists = 0, absent_since = null
    from jsonb_array_elements(p_posts) t
    where p.bundle_id = v_bundle.id and p.state = 'sending' and p.id = (t ->> 'id')::uuid;
    perform private.recall(v_bundle.profile_id, v_bundle.id);
    -- What was sent more than once is looked at before its moment, while a surplus can still be taken back.
    perform private.release_bundle(
        v_bundle.id, case when v_bundle.requests > 1 or exists (
                               select from public.publications p where p.bundle_id = v_bundle.id and p.state = 'sending')
                          then v_now + interval '15 seconds'
                          when private.next_step(v_bundle.id) = 'read' then v_bundle.due_at + interval '1 minute'
                          else v_now + interval '1 minute' end, null);
    perform private.learn_allowance(v_bundle.organization, p_allowance, v_now);
end $$;

-- The last request is known to have brought nothing: the post may be changed again, and counts as never sent. After a 429 a
-- moment does not move along any more.
create function private.forget_request(p_bundle_id uuid, p_limited boolean) returns void
language sql set search_path = '' as $$
    update public.bundles b
    set requests = greatest(b.requests - 1, 0), at_once = b.at_once and not p_limited where b.id = p_bundle_id
$$;

-- The vendor refused these for good (null: all of the request, or the clip itself), and took nothing; the others are sent
-- again.
create function private.bundle_refused(p_token uuid, p_ids uuid[], p_error text, p_allowance jsonb, p_now timestamptz)
returns void language plpgsql security definer set search_path = '' as $$
declare
    v_now    timestamptz := coalesce(p_now, private.utc_now());
    v_bundle public.bundles := private.held_bundle(p_token);
begin
    -- A refused clip was never in a request.
    if exists (select from public.publications p where p.bundle_id = v_bundle.id and p.state = 'sending') then
        perform private.forget_request(v_bundle.id, false);
    end if;
    update public.publications p
    set state = case when p_ids is null or p.id = any (p_ids) then 'failed' else 'uploaded' end, state_since = v_now,
        error = case when p_ids is null or p.id = any (p_ids) then p_error end
    where p.bundle_id = v_bundle.id and (p.state = 'sending' or p.state = 'uploading' and p_ids is null);
    perform private.release_bundle(v_bundle.id, v_now, null);
    perform private.learn_allowance(v_bundle.organization, p_allowance, v_now);
end $$;

-- The vendor certainly took nothing: it is sent again after p_seconds. p_limited: and takes nothing from anybody before;
-- p_counted: the request counts all the same.
create function private.bundle_not_sent(
    p_token uuid, p_seconds numeric, p_trouble text, p_limited boolean, p_counted boolean, p_now timestamptz
) returns void language plpgsql security definer set search_path = '' as $$
declare
    v_now    timestamptz := coalesce(p_now, private.utc_now());
    v_until  timestamptz := v_now + make_interval(secs => p_seconds::double precision);
    v_bundle public.bundles := private.held_bundle(p_token);
begin
    update public.publications p set state = 'uploaded', state_since = v_now
    where p.bundle_id = v_bundle.id and p.state = 'sending';
    perform private.forget_request(v_bundle.id, p_limited);
    -- The budget itself keeps what waits for the vendor; with another key it need not wait.
    perform private.release_bundle(v_bundle.id, case when p_limited then v_now + interval '1 minute' else v_until end,
                                   p_trouble);
    update private.send_budgets s
    set used = case when p_limited then 0 when p_counted then s.used else greatest(s.used - 1, 0) end,
        window_ends = case when not p_limited then s.window_ends end,
        blocked_until = case when p_limited then greatest(s.blocked_until, v_until + interval '2 seconds')
                             else s.blocked_until end,
        refusals = s.refusals + case when p_limited then 1 else 0 end, updated_at = v_now
    where s.organization = v_bundle.organization;
end $$;

-- Nobody can tell whether it was taken: the list will.
create function private.bundle_unclear(p_token uuid, p_trouble text, p_allowance jsonb, p_now timestamptz) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_now    timestamptz := coalesce(p_now, private.utc_now());
    v_bundle public.bundles := private.held_bundle(p_token);
begin
    perform private.release_bundle(v_bundle.id, v_now + interval '15 seconds', p_trouble);
    perform private.learn_allowance(v_bundle.organization, p_allowance, v_now);
end $$;

-- What the lists show -----------------------------------------------------------------------------------------------------

-- Whether a publication may go from one state to another by what was read.
create function private.may_read(p_before text, p_after text) returns boolean language sql immutable set search_path = '' as $$
    select case p_before
        when 'sending' then p_after in ('sending', 'scheduled', 'published', 'failed', 'uploaded', 'missed', 'unconfirmed', 'cancelled')
        when 'scheduled' then p_after in ('scheduled', 'published', 'failed', 'unconfirmed', 'cancelled')
        when 'unconfirmed' then p_after in ('unconfirmed', 'scheduled', 'published', 'failed', 'missed', 'cancelled')
        else false end
$$;

-- Proven absent: three lists without it, over ten minutes or more, all of them after the last request left.
create function private.is_absent(p_reading jsonb, p_sent_at timestamptz, p_now timestamptz) returns boolean
language sql immutable set search_path = '' as $$
    select (p_reading ->> 'absent_lists')::integer >= 3
       and (p_reading ->> 'absent_since')::timestamptz > p_sent_at
       and p_now - (p_reading ->> 'absent_since')::timestamptz >= interval '10 minutes'
$$;

-- What a list showed of publications: p_readings [{id, state, next_seconds, and whatever else changed}]. To be sent again it
-- must be proven absent, with two minutes left before its moment; afterwards it is missed.
create function private.save_readings(p_token uuid, p_readings jsonb, p_trouble text, p_now timestamptz) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_now    timestamptz := coalesce(p_now, private.utc_now());
    v_bundle public.bundles;
begin
    for v_bundle in select * from private.held_bundles(p_token) loop
        begin
            perform private.save_bundle_readings(v_bundle, p_readings, p_trouble, v_now);
        exception when unique_violation then                   -- the other bundles of this list are none the worse
            perform private.release_bundle(v_bundle.id, v_now + interval '5 minutes',
                                           'Postiz shows one and the same post for two of ours. It is looked at again.');
        end;
    end loop;
end $$;

create function private.save_bundle_readings(p_bundle public.bundles, p_readings jsonb, p_trouble text, p_now timestamptz)
returns void language plpgsql set search_path = '' as $$
declare
    v_read jsonb;
    v_next numeric;
begin
    for v_read in select t from jsonb_array_elements(p_readings) t
                  join public.publications p on p.id = (t ->> 'id')::uuid and p.bundle_id = p_bundle.id loop
        perform private.save_reading(p_bundle, v_read, p_now);
        v_next := least(v_next, (v_read ->> 'next_seconds')::numeric);
    end loop;
    perform private.release_bundle(
        p_bundle.id, case when private.next_step(p_bundle.id) = 'read'
                          then p_now + make_interval(secs => coalesce(v_next, 60)::double precision) else p_now end, p_trouble);
end $$;

create function private.save_reading(p_bundle public.bundles, p_reading jsonb, p_now timestamptz) returns void
language plpgsql set search_path = '' as $$
declare
    v_state  text := p_reading ->> 'state';
    v_before text := (select p.state from public.publications p where p.id = (p_reading ->> 'id')::uuid);
begin
    if v_state = 'uploaded' and not private.is_absent(p_reading, p_bundle.sent_at, p_now) then
        perform private.fail('PT400', 'Only what is proven absent is sent again.');
    elsif v_state = 'uploaded' and p_now > p_bundle.wanted_at - interval '2 minutes' then
        v_state := 'missed';
    end if;
    update public.publications p
    set state = v_state, state_since = case when p.state <> v_state then p_now else p.state_since end,
        vendor_post = coalesce(p_reading ->> 'vendor_post', p.vendor_post),
        vendor_state = coalesce(p_reading ->> 'vendor_state', p.vendor_state),
        release_url = coalesce(p_reading ->> 'release_url', p.release_url), error = p_reading ->> 'error',
        due_at = coalesce((p_reading ->> 'due_at')::timestamptz, p.due_at), moved = p.moved or p_reading ->> 'due_at' is not null,
        comment_failed = coalesce((p_reading ->> 'comment_failed')::boolean, p.comment_failed),
        in_app_inbox = coalesce((p_reading ->> 'in_app_inbox')::boolean, p.in_app_inbox),
        absent_lists = coalesce((p_reading ->> 'absent_lists')::integer, 0),
        absent_since = (p_reading ->> 'absent_since')::timestamptz, error_since = (p_reading ->> 'error_since')::timestamptz,
        listed_at = p_now, published_at = case when v_state = 'published' then coalesce(p.published_at, p_now) end,
        -- Of what is unconfirmed it says that a person looked: nobody has yet when it has just become so.
        withdraw_requested_at = case when v_state in ('scheduled', 'sending') or v_state = p.state
                                     then case when (p_reading ->> 'withdrawn') is distinct from 'too late'
                                               then p.withdraw_requested_at end end
    where p.id = (p_reading ->> 'id')::uuid and p.bundle_id = p_bundle.id and private.may_read(p.state, v_state);
    if v_before = 'sending' and v_state = 'scheduled' then
        perform private.recall(p_bundle.profile_id, p_bundle.id);
    end if;
    if v_state = 'published' then
        update public.profile_channels x set reconnect_since = null
        from public.publications p
        where p.id = (p_reading ->> 'id')::uuid and x.credential_id = p_bundle.credential_id and x.channel = p.channel
          and x.reconnect_since < p.due_at;
    end if;
end $$;

-- Channels --------------------------------------------------------------------------------------------------------------

-- Nothing goes out on a channel that was taken from its store, nor of a store that was archived.
create function private.recall_unpinned() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    perform private.recall(x.profile_id, null) from (select distinct profile_id from gone) x;
    return null;
end $$;
create trigger recall_unpinned after delete on public.profile_channels referencing old table as gone
    for each statement execute function private.recall_unpinned();

create function private.recall_archived() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    perform private.recall(new.id, null);
    return null;
end $$;
create trigger recall_archived after update of archived_at on public.profiles for each row
    when (old.archived_at is null and new.archived_at is not null) execute function private.recall_archived();

-- Pinning is an admin's word that this is the channel as it is meant.
create function private.confirm_channel() returns trigger language plpgsql set search_path = '' as $$
begin
    new.differs := null;
    new.differs_since := null;
    return new;
end $$;
create trigger confirm before update of name, handle on public.profile_channels
    for each row execute function private.confirm_channel();

-- How a channel is shown now, where that is not as it was pinned; null: as it was.
create function private.channel_differs(p_channel public.profile_channels, p_shown jsonb) returns jsonb
language sql immutable set search_path = '' as $$
    select case when p_shown is null then jsonb_build_object('missing', true)
                when (p_shown ->> 'name', p_shown ->> 'identifier', p_shown ->> 'handle')
                     is distinct from (p_channel.name, p_channel.identifier, p_channel.handle)
                then jsonb_build_object('name', p_shown ->> 'name', 'identifier', p_shown ->> 'identifier',
                                        'handle', p_shown ->> 'handle') end
$$;

-- The account's channels as they are shown now: [{id, name, identifier, handle, disabled}].
create function private.watch_channels(p_credential_id uuid, p_channels jsonb, p_now timestamptz) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_now timestamptz := coalesce(p_now, private.utc_now());
begin
    perform from public.profile_channels x where x.credential_id = p_credential_id order by x.id for no key update;
    update public.profile_channels x
    set differs = d.differs, differs_since = case when d.differs is not null then coalesce(x.differs_since, v_now) end,
        disabled = coalesce(d.disabled, false), checked_at = v_now
    from (select c.id, private.channel_differs(c, f) as differs, (f ->> 'disabled')::boolean as disabled
          from public.profile_channels c
          left join jsonb_array_elements(p_channels) f on f ->> 'id' = c.channel
          where c.credential_id = p_credential_id) d
    where x.id = d.id;
    update private.credential_organizations o set channels_at = v_now where o.credential_id = p_credential_id;
end $$;

-- The vendor lost its permission on these: [{network, name (null: not said), at}]. Without a name only a channel that is the
-- only one of its network is meant.
create function private.note_reconnects(p_credential_id uuid, p_told jsonb) returns void
language sql security definer set search_path = '' as $$
    update public.profile_channels x set reconnect_since = t.at
    from (select lower(n ->> 'network') as network, n ->> 'name' as name, max((n ->> 'at')::timestamptz) as at
          from jsonb_array_elements(p_told) n group by 1, 2) t
    where x.credential_id = p_credential_id and x.identifier = t.network and x.reconnect_since is null
      and (t.name = x.name or t.name is null and 1 = (
              select count(*) from public.profile_channels y
              where y.credential_id = p_credential_id and y.identifier = t.network))
      and not exists (select from public.publications p
                      where p.profile_id = x.profile_id and p.channel = x.channel and p.state = 'published'
                        and p.published_at > t.at)
$$;

-- Posts that nobody made here -----------------------------------------------------------------------------------------------

-- An account whose list was not looked through for a quarter of an hour: {credential_id, account_id}; or null.
create function private.claim_strays(p_now timestamptz) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_now timestamptz := coalesce(p_now, private.utc_now());
    v_id  uuid;
begin
    select c.id into v_id from public.profile_credentials c
    left join private.credential_organizations o on o.credential_id = c.id
    where c.provider = 'postiz' and c.enabled and (o.listed_at is null or o.listed_at <= v_now - interval '15 minutes')
      and exists (select from public.profile_channels x where x.credential_id = c.id)
    order by o.listed_at nulls first, c.id limit 1;
    if v_id is null then
        return null;
    end if;
    insert into private.credential_organizations as o (credential_id, listed_at) values (v_id, v_now)
    on conflict (credential_id) do update set listed_at = excluded.listed_at
    where o.listed_at is null or o.listed_at <= v_now - interval '15 minutes';
    if not found then
        return null;                                           -- another publisher was quicker
    end if;
    return (select jsonb_build_object('credential_id', c.id, 'account_id', c.account_id, 'profile_id', c.profile_id)
            from public.profile_credentials c where c.id = v_id);
end $$;

-- Whether the publisher looks after its posts; what has ended elsewise and is still at the vendor is for people to see.
create function private.is_handed_over(p_publication public.publications) returns boolean
language sql immutable set search_path = '' as
    $$ select p_publication.state in ('uploading', 'uploaded', 'sending', 'scheduled', 'unconfirmed') $$;

-- What the account's list holds between two instants: [{id, channel, publish_at, state, release_url, reference, preview}].
-- Posts on pinned channels that are none of ours are shown to the store; those that went are forgotten. What was thought to
-- have failed and is live after all is told so.
create function private.save_strays(
    p_credential_id uuid, p_organization text, p_posts jsonb, p_from timestamptz, p_to timestamptz, p_now timestamptz
) returns void language plpgsql security definer set search_path = '' as $$
declare
    v_now timestamptz := coalesce(p_now, private.utc_now());
begin
    perform private.find_live(p_credential_id, p_posts, v_now);
    insert into public.stray_posts as s (account_id, profile_id, channel, vendor_post, preview, publish_at, vendor_state,
                                         release_url, seen_at)
    select distinct on (t ->> 'id') x.account_id, x.profile_id, x.channel, t ->> 'id', left(t ->> 'preview', 200),
           (t ->> 'publish_at')::timestamptz, t ->> 'state', t ->> 'release_url', v_now
    from jsonb_array_elements(p_posts) t
    join public.profile_channels x on x.credential_id = p_credential_id and x.channel = t ->> 'channel'
    where not exists (select from public.publications p where p.vendor_post = t ->> 'id')
      and not exists (select from public.publications p
                      where p.id = (t ->> 'reference')::uuid and private.is_handed_over(p))
      and not exists (select from public.publications p
                      where p.organization = p_organization and p.channel = t ->> 'channel'
                        and p.due_at = (t ->> 'publish_at')::timestamptz and private.is_handed_over(p))
    order by t ->> 'id', (t ->> 'publish_at')::timestamptz
    on conflict (profile_id, vendor_post) do update
    set preview = excluded.preview, publish_at = excluded.publish_at, vendor_state = excluded.vendor_state,
        release_url = excluded.release_url, seen_at = excluded.seen_at;
    delete from public.stray_posts s
    using public.profile_channels x
    where x.credential_id = p_credential_id and x.profile_id = s.profile_id and x.channel = s.channel
      and s.publish_at between p_from and p_to and s.seen_at < v_now;
end $$;

-- Whatever this side believes, what the vendor shows as published under an id or a reference of ours is live; and an ERROR
-- with an address is a post that is live, of which a comment failed.
create function private.find_live(p_credential_id uuid, p_posts jsonb, p_now timestamptz) returns void
language sql set search_path = '' as $$
    select from public.bundles b
    where b.id in (select p.bundle_id from jsonb_array_elements(p_posts) t
                   join public.publications p on p.credential_id = p_credential_id
                    and (p.vendor_post = t ->> 'id' or p.vendor_post is null and p.id = (t ->> 'reference')::uuid))
    order by b.id for no key update;
    update public.publications p
    set state = 'published', state_since = case when p.state = 'published' then p.state_since else p_now end,
        vendor_post = t ->> 'id', vendor_state = t ->> 'state', error = case when p.state = 'published' then p.error end,
        comment_failed = t ->> 'state' = 'ERROR', withdraw_requested_at = null,
        release_url = coalesce(t ->> 'release_url', p.release_url), published_at = coalesce(p.published_at, p_now)
    from jsonb_array_elements(p_posts) t
    where p.credential_id = p_credential_id
      and (p.vendor_post = t ->> 'id' or p.vendor_post is null and p.id = (t ->> 'reference')::uuid)
      and (t ->> 'state' = 'PUBLISHED' and p.state in ('failed', 'missed', 'cancelled')
           or t ->> 'state' = 'ERROR' and t ->> 'release_url' is not null and p.state in ('published', 'failed', 'missed')
              and not p.comment_failed)
$$;

-- Notices -----------------------------------------------------------------------------------------------------------------

-- As before; and of posts and channels.
create or replace function private.notice_kinds() returns table (kind text, roles text[], email boolean)
language sql immutable set search_path = '' as $$
    values ('credential_dead', '{admin,manager}'::text[], true), ('job_failed', '{admin,manager}', false),
           ('quota', '{admin,manager,finance}', true), ('webhook_test', '{}', false),
           ('post_failed', '{admin,manager}', true), ('post_unconfirmed', '{admin,manager}', true),
           ('post_missed', '{admin,manager}', true), ('channel_reconnect', '{admin,manager}', true),
           ('channel_changed', '{admin,manager}', true)
$$;

-- A post that failed, was missed or cannot be told of; it is over as soon as it is none of these.
create function private.notice_publication() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    if old.state in ('failed', 'missed', 'unconfirmed') then
        perform private.resolve_notice(old.account_id, format('post_%s:%s', old.state, old.id));
    end if;
    if new.state in ('failed', 'missed', 'unconfirmed') then
        perform private.notice(
            new.account_id, 'post_' || new.state,
            format('The post on %s (%s) %s %s', new.name, new.identifier,
                   case new.state when 'failed' then 'failed.' when 'missed' then 'was missed.'
                                  else 'may be live or not.' end, coalesce(new.error, '')),
            jsonb_build_object('publication_id', new.id, 'bundle_id', new.bundle_id, 'clip_id', new.clip_id,
                               'channel', new.channel, 'name', new.name, 'network', new.identifier,
                               'wanted_at', new.wanted_at),
            new.profile_id, format('post_%s:%s', new.state, new.id));
    end if;
    return null;
end $$;
create trigger notice after update of state on public.publications for each row
    when (old.state <> new.state and (old.state in ('failed', 'missed', 'unconfirmed')
                                      or new.state in ('failed', 'missed', 'unconfirmed')))
    execute function private.notice_publication();

create function private.notice_channel() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    if tg_op = 'DELETE' or new.reconnect_since is null then
        perform private.resolve_notice(old.account_id, 'channel_reconnect:' || old.id);
    elsif old.reconnect_since is null then
        perform private.notice(
            new.account_id, 'channel_reconnect',
            format('Postiz lost its permission on %s (%s). Reconnect the channel in Postiz, or posts there will fail.',
                   new.name, new.identifier),
            jsonb_build_object('channel', new.channel, 'name', new.name, 'network', new.identifier), new.profile_id,
            'channel_reconnect:' || new.id);
    end if;
    if tg_op = 'DELETE' or new.differs_since is null then
        perform private.resolve_notice(old.account_id, 'channel_changed:' || old.id);
    elsif old.differs_since is null then
        perform private.notice(
            new.account_id, 'channel_changed',
            format('%s (%s) is not as it was pinned: Postiz shows %s. Nothing is sent there until an admin pins it again.',
                   new.name, new.identifier,
                   case when new.differs ? 'missing' then 'no such channel' else '“' || (new.differs ->> 'name') || '”' end),
            jsonb_build_object('channel', new.channel, 'name', new.name, 'network', new.identifier), new.profile_id,
            'channel_changed:' || new.id);
    end if;
    return null;
end $$;
create trigger notice after update of reconnect_since, differs_since, name on public.profile_channels for each row
    when (old.reconnect_since is distinct from new.reconnect_since or old.differs_since is distinct from new.differs_since)
    execute function private.notice_channel();
create trigger notice_removal after delete on public.profile_channels for each row
    when (old.reconnect_since is not null or old.differs_since is not null) execute function private.notice_channel();

-- As before; of the publisher's jobs, six a minute, only an hour is kept.
create or replace function private.tidy() returns void language sql security definer set search_path = '' as $$
    delete from private.sessions s where s.expires_at < private.utc_now() - interval '1 day';  -- may be renewed until then
    delete from private.sign_in_tries t where t.at < private.utc_now() - interval '1 day';
    delete from public.jobs j
    where j.slot is not null
      and j.finished_at < private.utc_now() - case j.kind when 'publish' then interval '1 hour' else interval '14 days' end;
$$;

-- Public names and rights ------------------------------------------------------------------------------------------------

create function public.claim_publishing(
    p_lease_seconds numeric, p_now timestamptz default null, p_uploads boolean default true
) returns jsonb language sql set search_path = '' as
    $$ select private.claim_publishing(p_lease_seconds, p_now, p_uploads) $$;
create function public.keep_bundle(p_token uuid, p_lease_seconds numeric, p_now timestamptz default null) returns void
language sql set search_path = '' as $$ select private.keep_bundle(p_token, p_lease_seconds, p_now) $$;
create function public.bundle_waits(p_token uuid, p_seconds numeric, p_trouble text, p_now timestamptz default null)
returns void language sql set search_path = '' as
    $$ select private.bundle_waits(p_token, p_seconds, p_trouble, p_now) $$;
create function public.publishing_pepper() returns text language sql set search_path = '' as
    $$ select private.publishing_pepper() $$;
create function public.uploaded_bundle(
    p_token uuid, p_organization text, p_key_id uuid, p_media jsonb default null, p_now timestamptz default null
) returns jsonb language sql set search_path = '' as
    $$ select private.uploaded_bundle(p_token, p_organization, p_key_id, p_media, p_now) $$;
create function public.begin_sending(
    p_token uuid, p_organization text, p_key_id uuid, p_now timestamptz default null
) returns jsonb language sql set search_path = '' as
    $$ select private.begin_sending(p_token, p_organization, p_key_id, p_now) $$;
create function public.bundle_sent(p_token uuid, p_posts jsonb, p_allowance jsonb, p_now timestamptz default null)
returns void language sql set search_path = '' as $$ select private.bundle_sent(p_token, p_posts, p_allowance, p_now) $$;
create function public.bundle_refused(
    p_token uuid, p_ids uuid[], p_error text, p_allowance jsonb, p_now timestamptz default null
) returns void language sql set search_path = '' as
    $$ select private.bundle_refused(p_token, p_ids, p_error, p_allowance, p_now) $$;
create function public.bundle_not_sent(
    p_token uuid, p_seconds numeric, p_trouble text, p_limited boolean default false, p_counted boolean default false,
    p_now timestamptz default null
) returns void language sql set search_path = '' as
    $$ select private.bundle_not_sent(p_token, p_seconds, p_trouble, p_limited, p_counted, p_now) $$;
create function public.bundle_unclear(p_token uuid, p_trouble text, p_allowance jsonb, p_now timestamptz default null)
returns void language sql set search_path = '' as
    $$ select private.bundle_unclear(p_token, p_trouble, p_allowance, p_now) $$;
create function public.save_readings(p_token uuid, p_readings jsonb, p_trouble text default null, p_now timestamptz default null)
returns void language sql set search_path = '' as $$ select private.save_readings(p_token, p_readings, p_trouble, p_now) $$;
create function public.watch_channels(p_credential_id uuid, p_channels jsonb, p_now timestamptz default null) returns void
language sql set search_path = '' as $$ select private.watch_channels(p_credential_id, p_channels, p_now) $$;
create function public.note_reconnects(p_credential_id uuid, p_told jsonb) returns void
language sql set search_path = '' as $$ select private.note_reconnects(p_credential_id, p_told) $$;
create function public.claim_strays(p_now timestamptz default null) returns jsonb
language sql set search_path = '' as $$ select private.claim_strays(p_now) $$;
create function public.save_strays(
    p_credential_id uuid, p_organization text, p_posts jsonb, p_from timestamptz, p_to timestamptz,
    p_now timestamptz default null
) returns void language sql set search_path = '' as
    $$ select private.save_strays(p_credential_id, p_organization, p_posts, p_from, p_to, p_now) $$;
grant execute on function
    public.claim_publishing(numeric, timestamptz, boolean), private.claim_publishing(numeric, timestamptz, boolean),
    public.publishing_pepper(), private.publishing_pepper(),
    public.keep_bundle(uuid, numeric, timestamptz), private.keep_bundle(uuid, numeric, timestamptz),
    public.bundle_waits(uuid, numeric, text, timestamptz), private.bundle_waits(uuid, numeric, text, timestamptz),
    public.uploaded_bundle(uuid, text, uuid, jsonb, timestamptz), private.uploaded_bundle(uuid, text, uuid, jsonb, timestamptz),
    public.begin_sending(uuid, text, uuid, timestamptz), private.begin_sending(uuid, text, uuid, timestamptz),
    public.bundle_sent(uuid, jsonb, jsonb, timestamptz), private.bundle_sent(uuid, jsonb, jsonb, timestamptz),
    public.bundle_refused(uuid, uuid[], text, jsonb, timestamptz),
    private.bundle_refused(uuid, uuid[], text, jsonb, timestamptz),
    public.bundle_not_sent(uuid, numeric, text, boolean, boolean, timestamptz),
    private.bundle_not_sent(uuid, numeric, text, boolean, boolean, timestamptz),
    public.bundle_unclear(uuid, text, jsonb, timestamptz), private.bundle_unclear(uuid, text, jsonb, timestamptz),
    public.save_readings(uuid, jsonb, text, timestamptz), private.save_readings(uuid, jsonb, text, timestamptz),
    public.watch_channels(uuid, jsonb, timestamptz), private.watch_channels(uuid, jsonb, timestamptz),
    public.note_reconnects(uuid, jsonb), private.note_reconnects(uuid, jsonb),
    public.claim_strays(timestamptz), private.claim_strays(timestamptz),
    public.save_strays(uuid, text, jsonb, timestamptz, timestamptz, timestamptz),
    private.save_strays(uuid, text, jsonb, timestamptz, timestamptz, timestamptz)
    to service_role;
