-- What the Overview says of publishing.

-- As before, with the posts of the range that failed, missed their moment or are unknown, the newest live one, and whether
-- the account that the store publishes through has stopped working.
create or replace function private.store_rows(p_account_id uuid, p_profile_ids uuid[], p_from date) returns jsonb
language sql stable set search_path = '' as $$
    select coalesce(jsonb_agg(to_jsonb(s) order by s.used_share desc nulls last, s.failed_posts + s.unknown_posts desc,
                              s.account_dead desc, s.failed_jobs desc, s.code), '[]')
    from (
        select p.id, p.code, p.name, p.city, p.timezone, p.suspended_at is not null as suspended, q.state as quota,
               ((q.state ->> 'settled')::numeric + (q.state ->> 'held')::numeric) / (q.state ->> 'limit')::numeric
                   as used_share,
               coalesce((select sum(d.total_cost_usd + d.other_cost_usd) from public.cost_daily d
                         where d.profile_id = p.id and d.day >= p_from), 0)::text as spent,
               (select count(*) from public.jobs j where j.profile_id = p.id and j.status = 'failed'
                and j.created_at >= private.utc_start(p_from)) as failed_jobs,
               (select max(a.created_at) from public.speech_assets a where a.profile_id = p.id) as last_speech_at,
               (select count(*) from public.publications x where x.profile_id = p.id and x.state in ('failed', 'missed')
                and x.wanted_at >= private.utc_start(p_from)) as failed_posts,
               (select count(*) from public.publications x where x.profile_id = p.id and x.state = 'unconfirmed')
                   as unknown_posts,
               (select x.wanted_at from public.publications x where x.profile_id = p.id and x.state = 'published'
                order by x.wanted_at desc limit 1) as last_post_at,
               exists (select from private.account_in_use(p_account_id, p.id, 'postiz') u
                       join public.profile_credentials c on c.id = u.credential_id
                       where u.usable and c.test_ok is false) as account_dead
        from public.profiles p
        cross join lateral (select private.quota_state(p_account_id, p.id) as state) q
        where p.id = any (p_profile_ids) and p.archived_at is null) s
$$;

-- First steps of a new company, each ticked by a fact.
create or replace function private.checklist(p_account_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'spoke', exists (select from public.speech_assets a where a.account_id = p_account_id),
        'clip', exists (select from public.clips c where c.account_id = p_account_id),
        'postiz', exists (select from public.profile_credentials c
                          where c.account_id = p_account_id and c.provider = 'postiz'),
        'quota', exists (select from public.quota_changes q where q.account_id = p_account_id),
        'manager', exists (select from public.members m where m.account_id = p_account_id and m.role = 'manager'))
    where p_account_id in (select private.my_account_ids('{admin}'))
$$;
