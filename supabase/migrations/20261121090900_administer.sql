-- What admins change: limits, with a reason that stays.

-- Set the month's quota of a store, or (p_profile_id null) of the company; 0 = unlimited. Holds granted under the old
-- limit stay; new ones see the new limit, because both lock the same counter.
create function private.set_quota(p_account_id uuid, p_profile_id uuid, p_quota_usd numeric, p_reason text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_before numeric;
    v_month  date := private.month_of(private.utc_now());
begin
    if p_account_id not in (select private.my_account_ids()) then
        perform private.fail('PT404', 'Company not found.');
    elsif p_account_id not in (select private.my_account_ids('{admin}')) then
        perform private.fail('PT403', 'Only an admin changes a quota.');
    elsif p_quota_usd is null or p_quota_usd < 0 or p_quota_usd > 99999999 or p_quota_usd <> round(p_quota_usd, 2) then
        perform private.fail('PT400', 'A quota is an amount of at least $0.00 in whole cents; 0 means unlimited.',
                             '{"field": "quota"}');
    elsif coalesce(btrim(p_reason), '') = '' then
        perform private.fail('PT400', 'Say why, so that the log can tell later.', '{"field": "reason"}');
    end if;
    perform pg_advisory_xact_lock_shared(private.month_key(p_account_id, v_month));
    perform private.lock_counter(coalesce(p_profile_id, p_account_id), v_month, p_account_id);
    v_before := private.write_quota(p_account_id, p_profile_id, p_quota_usd);
    insert into public.quota_changes (id, account_id, profile_id, before_usd, after_usd, reason, changed_by)
    values (gen_random_uuid(), p_account_id, p_profile_id, v_before, p_quota_usd, btrim(p_reason), auth.uid());
    perform private.audit(p_account_id, 'quota_changed', null, p_profile_id, btrim(p_reason),
                          jsonb_build_object('monthly_quota_usd', v_before::text),
                          jsonb_build_object('monthly_quota_usd', p_quota_usd::text));
end $$;

-- Returns the quota before.
create function private.write_quota(p_account_id uuid, p_profile_id uuid, p_quota_usd numeric) returns numeric
language plpgsql set search_path = '' as $$
declare
    v_before numeric;
begin
    if p_profile_id is null then
        select a.monthly_quota_usd into v_before from public.accounts a where a.id = p_account_id for no key update;
        update public.accounts a set monthly_quota_usd = p_quota_usd where a.id = p_account_id;
        return v_before;
    end if;
    select p.monthly_quota_usd into v_before from public.profiles p
    where p.id = p_profile_id and p.account_id = p_account_id for no key update;
    if not found then
        perform private.fail('PT404', 'Store not found.');
    end if;
    update public.profiles p set monthly_quota_usd = p_quota_usd where p.id = p_profile_id;
    return v_before;
end $$;

create function public.set_quota(p_account_id uuid, p_profile_id uuid, p_quota_usd numeric, p_reason text) returns void
language sql set search_path = '' as $$ select private.set_quota(p_account_id, p_profile_id, p_quota_usd, p_reason) $$;
grant execute on function public.set_quota(uuid, uuid, numeric, text), private.set_quota(uuid, uuid, numeric, text)
    to authenticated;

-- A company with its first store and the free embedded voice in its price book. Called by sign-in's first start only.
create function private.new_company(p_account_id uuid, p_name text, p_slug text, p_timezone text, p_person_id uuid)
returns void language plpgsql set search_path = '' as $$
begin
    insert into public.accounts (id, slug, name, timezone) values (p_account_id, p_slug, p_name, p_timezone);
    insert into public.members (account_id, person_id, role) values (p_account_id, p_person_id, 'admin');
    insert into public.prices (id, account_id, provider, model, unit_kind, usd, per_units, valid_from, reason)
    values (gen_random_uuid(), p_account_id, 'hibari', 'heart', 'characters', 0, 1000, private.utc_now(),
            'Comes with Clipdesk: speaks on this machine');
end $$;

create table private.sign_in_tries (
    key_hash bytea not null,
    at       timestamptz not null default private.utc_now()
);
create index sign_in_tries_key on private.sign_in_tries (key_hash, at);

-- Old sessions, tries and finished periodic jobs.
create function private.tidy() returns void language sql security definer set search_path = '' as $$
    delete from private.sessions s where s.expires_at < private.utc_now() - interval '1 day';  -- may be renewed until then
    delete from private.sign_in_tries t where t.at < private.utc_now() - interval '1 day';
    delete from public.jobs j where j.slot is not null and j.finished_at < private.utc_now() - interval '14 days';
$$;
create function public.tidy() returns void language sql set search_path = '' as $$ select private.tidy() $$;
grant execute on function public.tidy(), private.tidy() to service_role;
