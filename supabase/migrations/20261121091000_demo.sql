-- The demo company: the only kind that can be loaded whole and erased.

-- Refuse rows that are not the demo company's own: each names it, and its people are exactly its members.
create function private.check_demo_rows(p_account_id uuid, p_rows jsonb) returns void
language plpgsql stable set search_path = '' as $$
declare
    v_people  text[] := array(select r ->> 'id' from jsonb_array_elements(p_rows -> 'people') r order by 1);
    v_members text[] := array(select r ->> 'person_id' from jsonb_array_elements(p_rows -> 'members') r order by 1);
begin
    if p_rows #>> '{accounts,0,is_demo}' is distinct from 'true' or v_people <> v_members
        or exists (select from public.accounts a where a.id = p_account_id and not a.is_demo)
        or exists (select from jsonb_each(p_rows) t cross join jsonb_array_elements(t.value) r
                   where t.key <> 'people' and r ->> case t.key when 'accounts' then 'id' else 'account_id' end
                         is distinct from p_account_id::text) then
        perform private.fail('PT403', 'Only the demo company can be loaded.');
    end if;
end $$;

-- Load rows of the demo company as given: {table: [rows]}. Nothing happens when it is there already.
create function private.load_demo(p_account_id uuid, p_rows jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_table text;
    v_month date;
begin
    perform private.check_demo_rows(p_account_id, p_rows);
    perform pg_advisory_xact_lock(hashtextextended('load demo', 1));
    if exists (select from public.accounts a where a.is_demo) then
        return;
    end if;
    foreach v_table in array array['people', 'accounts', 'members', 'profiles', 'profile_members', 'prices', 'projects',
        'clips', 'jobs', 'speech_assets', 'cost_entries', 'cost_entry_details', 'quota_changes', 'audit_log'] loop
        execute format('insert into public.%1$I overriding user value '
                       'select * from jsonb_populate_recordset(null::public.%1$I, $1)', v_table)
        using coalesce(p_rows -> v_table, '[]');
    end loop;
    insert into private.ledger_counters (account_id, last_seq)
    select p_account_id, coalesce(max(e.seq), 0) from public.cost_entries e where e.account_id = p_account_id;
    for v_month in select distinct private.month_of(e.occurred_at) from public.cost_entries e
                   where e.account_id = p_account_id loop
        perform private.rebuild_cost_rollups(p_account_id, v_month);
    end loop;
end $$;

-- Erase the demo company with everything it had; its own admin only. Files go with the next sweep. The holds go first:
-- without one nothing is booked any more, and what is being booked ends before.
create function private.erase_demo(p_account_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_table  text;
    v_people uuid[];
begin
    perform from public.accounts a where a.id = p_account_id and a.is_demo
        and a.id in (select private.my_account_ids('{admin}')) for update;
    if not found then
        perform private.fail('PT403', 'Only the demo company can be erased, and only by its admin.');
    end if;
    perform set_config('clipdesk.erasing', p_account_id::text, true);
    select array_agg(m.person_id) into v_people from public.members m where m.account_id = p_account_id;
    foreach v_table in array array['cost_holds', 'cost_entry_details', 'cost_entries', 'cost_daily',
        'profile_monthly_costs', 'quota_counters', 'quota_changes', 'quota_grants', 'prices', 'speech_assets', 'jobs',
        'clips', 'projects', 'audit_log', 'profile_members', 'profiles', 'members'] loop
        execute format('delete from public.%I where account_id = $1', v_table) using p_account_id;
    end loop;
    delete from public.jobs j where j.kind = 'demo';
    delete from private.ledger_counters c where c.account_id = p_account_id;
    delete from private.sessions s where s.person_id = any (v_people);
    delete from public.people p where p.id = any (v_people)
        and not exists (select from public.members m where m.person_id = p.id);
    delete from auth.users u where u.id = any (v_people) and not exists (select from public.people p where p.id = u.id);
    delete from public.accounts a where a.id = p_account_id;
end $$;

create function public.load_demo(p_account_id uuid, p_rows jsonb) returns void
language sql set search_path = '' as $$ select private.load_demo(p_account_id, p_rows) $$;
create function public.erase_demo(p_account_id uuid) returns void
language sql set search_path = '' as $$ select private.erase_demo(p_account_id) $$;
grant execute on function public.load_demo(uuid, jsonb), private.load_demo(uuid, jsonb) to service_role;
grant execute on function public.erase_demo(uuid), private.erase_demo(uuid) to authenticated;
