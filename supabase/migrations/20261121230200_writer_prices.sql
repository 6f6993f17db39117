-- What pages of scripts need besides: the three prices of a writing model in one click, the deployed scripts on the Voice
-- page, and scripts in the demo company.

-- The prices of a model for reading, for reading again from the vendor's cache, and for writing, in US dollars per 1,000,000
-- tokens; all three or none. In force from now on, or from p_valid_from.
create function private.set_writer_prices(
    p_account_id uuid, p_model text, p_prices jsonb, p_reason text, p_valid_from timestamptz
) returns void language plpgsql security definer set search_path = '' as $$
declare
    v_kind text;
    v_usd  numeric;
begin
    perform private.only_admin(p_account_id, 'changes a price');
    if private.writer_of(p_model) = 'practice' then
        perform private.fail('PT400', 'The practice writer is free.', '{"field": "model"}');
    end if;
    foreach v_kind in array array['input_tokens', 'cached_tokens', 'output_tokens'] loop
        v_usd := (p_prices ->> v_kind)::numeric;
        if (v_usd between 0 and 999999) is not true then
            perform private.fail('PT400', 'A price is an amount of at least $0; 0 means free.',
                                 jsonb_build_object('field', v_kind));
        elsif p_valid_from is null then
            perform private.set_price(p_account_id, private.writer_of(p_model), p_model, v_kind, v_usd, 1000000, p_reason);
        else
            perform private.set_price_from(p_account_id, private.writer_of(p_model), p_model, v_kind, v_usd, 1000000,
                                           p_reason, p_valid_from);
        end if;
    end loop;
end $$;

create function public.set_writer_prices(
    p_account_id uuid, p_model text, p_prices jsonb, p_reason text, p_valid_from timestamptz default null
) returns void language sql set search_path = '' as
    $$ select private.set_writer_prices(p_account_id, p_model, p_prices, p_reason, p_valid_from) $$;
grant execute on function
    public.set_writer_prices(uuid, text, jsonb, text, timestamptz),
    private.set_writer_prices(uuid, text, jsonb, text, timestamptz) to authenticated;

-- As before, with the store's deployed scripts, the latest first.
create index prompt_versions_offered on public.prompt_versions (profile_id, deployed_at desc) where status = 'deployed';
alter function public.voice_desk(uuid, uuid, text, integer, integer) set schema private;
create function public.voice_desk(
    p_account_id uuid, p_profile_id uuid, p_provider text default null, p_speeches integer default 10,
    p_jobs integer default 10
) returns jsonb language sql stable set search_path = '' as $$
    select private.voice_desk(p_account_id, p_profile_id, p_provider, p_speeches, p_jobs)
           || jsonb_build_object('deployed', coalesce((
                  select jsonb_agg(jsonb_build_object(
                      'id', v.id, 'profile_id', v.profile_id, 'number', v.number, 'title', v.title, 'content', v.content,
                      'status', v.status, 'deployed_at', v.deployed_at) order by v.deployed_at desc)
                  from (select d.* from public.prompt_versions d
                        where d.profile_id = p_profile_id and d.status = 'deployed'
                        order by d.deployed_at desc limit 5) v), '[]'))
$$;
grant execute on function public.voice_desk(uuid, uuid, text, integer, integer) to authenticated;

-- As before, with assistants, their runs and versions. Runs come before the ledger, whose entries add up in them.
create or replace function private.load_demo(p_account_id uuid, p_rows jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_table text;
    v_month date;
begin
    perform private.check_demo_rows(p_account_id, p_rows);
    if exists (select from jsonb_array_elements(coalesce(p_rows -> 'profile_credentials', '[]')) r
               where r ->> 'practice' is distinct from 'true' or r ->> 'key_id' is not null) then
        perform private.fail('PT403', 'Only the demo company can be loaded.');
    end if;
    perform pg_advisory_xact_lock(hashtextextended('load demo', 1));
    if exists (select from public.accounts a where a.is_demo) then
        return;
    end if;
    insert into public.people select * from jsonb_populate_recordset(null::public.people, p_rows -> 'people')
    on conflict (id) do nothing;
    foreach v_table in array array['accounts', 'members', 'profiles', 'profile_members', 'prices', 'projects',
        'clips', 'jobs', 'speech_assets', 'assistants', 'pipeline_runs', 'pipeline_steps', 'prompt_versions',
        'cost_entries', 'cost_entry_details', 'quota_changes', 'profile_credentials', 'profile_channels', 'bundles',
        'publications', 'audit_log'] loop
        execute format('insert into public.%1$I overriding user value '
                       'select * from jsonb_populate_recordset(null::public.%1$I, $1)', v_table)
        using coalesce(p_rows -> v_table, '[]');
    end loop;
    update public.pipeline_runs r set version_id = v.id
    from public.prompt_versions v where v.run_id = r.id and r.account_id = p_account_id;
    perform private.load_practice(p_account_id);
    insert into private.ledger_counters (account_id, last_seq)
    select p_account_id, coalesce(max(e.seq), 0) from public.cost_entries e where e.account_id = p_account_id;
    for v_month in select distinct private.month_of(e.occurred_at) from public.cost_entries e
                   where e.account_id = p_account_id loop
        perform private.rebuild_cost_rollups(p_account_id, v_month);
    end loop;
end $$;
