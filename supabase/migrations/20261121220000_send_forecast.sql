-- One forecast of the send budget, for the page and for who orders.

-- When the post of this place among all that wait is handed over. The vendor counts an hour from a window's first request;
-- its clock is not ours.
create or replace function private.handed_over(
    p_budget private.send_budgets, p_place bigint, p_wanted_at timestamptz, p_now timestamptz
) returns timestamptz language sql immutable set search_path = '' as $$
    select case when p_place <= b.room then p_now
                else case when b.opens > p_now then b.opens else p_now + interval '3602 seconds' end
                     + (p_place - greatest(b.room, 0) - 1) / b.share * interval '3602 seconds' end
    from (select case when p_budget.blocked_until > p_now then 0
                      else a.allowance - case when p_budget.window_ends > p_now then p_budget.used else 0 end end
                 - case when private.is_urgent(p_budget, p_wanted_at, p_now) then 0 else a.allowance / 10 end as room,
                 greatest(a.allowance - a.allowance / 10, 1) as share,
                 greatest(p_budget.window_ends, p_budget.blocked_until, p_now) as opens
          from (select coalesce(p_budget.allowance, 90) as allowance) a) b
$$;

-- What the page needs to know before it orders: whose account speaks, and what its key still takes. Of other stores on the
-- same key only how many posts wait, and when one for p_wanted_at would be handed over.
create or replace function private.publishing_outlook(p_profile_id uuid, p_wanted_at timestamptz) returns jsonb
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
        'handed_over', (
            select private.handed_over(s, 1 + (select count(*) from private.waiting_posts(v_use.credential_id, v_org) w
                                               where w.wanted_at <= p_wanted_at), p_wanted_at, private.utc_now())
            from (values (1)) one left join private.send_budgets s on s.organization = v_org
            where p_wanted_at is not null));
end $$;
