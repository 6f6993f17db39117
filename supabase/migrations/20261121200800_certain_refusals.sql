-- What the vendor certainly did not take leaves no trace on a post: it may be changed again, and counts as never sent.

-- The last request is known to have brought nothing. After a 429 a moment does not move along any more.
create function private.forget_request(p_bundle_id uuid, p_limited boolean) returns void
language sql set search_path = '' as $$
    update public.bundles b
    set requests = greatest(b.requests - 1, 0), at_once = b.at_once and not p_limited where b.id = p_bundle_id
$$;

-- As before; a moment moves along only when the request can be made now.
create or replace function private.moved_along(p_bundle public.bundles, p_now timestamptz) returns public.bundles
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

-- As before; and the request is forgotten.
create or replace function private.bundle_refused(
    p_token uuid, p_ids uuid[], p_error text, p_allowance jsonb, p_now timestamptz
) returns void language plpgsql security definer set search_path = '' as $$
declare
    v_now    timestamptz := coalesce(p_now, private.utc_now());
    v_bundle public.bundles := private.held_bundle(p_token);
begin
    update public.publications p
    set state = case when p_ids is null or p.id = any (p_ids) then 'failed' else 'uploaded' end, state_since = v_now,
        error = case when p_ids is null or p.id = any (p_ids) then p_error end
    where p.bundle_id = v_bundle.id and (p.state = 'sending' or p.state = 'uploading' and p_ids is null);
    perform private.forget_request(v_bundle.id, false);
    perform private.release_bundle(v_bundle.id, v_now, null);
    perform private.learn_allowance(v_bundle.organization, p_allowance, v_now);
end $$;

-- As before; and the request is forgotten.
create or replace function private.bundle_not_sent(
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

-- As before; without an order it stops at the first instant that is free instead of looking at all five hundred.
create or replace function private.draw_due(p_bundle public.bundles, p_channels text[]) returns timestamptz
language sql stable set search_path = '' as $$
    select coalesce(
        case when p_bundle.due_at >= p_bundle.wanted_at and p_bundle.due_at < p_bundle.wanted_at + interval '1 second'
                  and not exists (
                      select from public.publications p
                      where p.organization = p_bundle.organization and p.due_at = p_bundle.due_at
                        and p.channel = any (p_channels) and p.bundle_id <> p_bundle.id)
             then p_bundle.due_at end,
        (select x.due from (
             select date_trunc('second', p_bundle.wanted_at) + make_interval(secs => (2 * n + 1) / 1000.0) as due
             from generate_series(0, 499) n) x
         where x.due >= p_bundle.wanted_at and not exists (
             select from public.publications p
             where p.organization = p_bundle.organization and p.due_at = x.due and p.channel = any (p_channels))
         limit 1),
        date_trunc('milliseconds', p_bundle.wanted_at))
$$;

-- As before; of the publisher's jobs, six a minute, only an hour is kept.
create or replace function private.tidy() returns void language sql security definer set search_path = '' as $$
    delete from private.sessions s where s.expires_at < private.utc_now() - interval '1 day';  -- may be renewed until then
    delete from private.sign_in_tries t where t.at < private.utc_now() - interval '1 day';
    delete from public.jobs j
    where j.slot is not null
      and j.finished_at < private.utc_now() - case j.kind when 'publish' then interval '1 hour' else interval '14 days' end;
$$;
