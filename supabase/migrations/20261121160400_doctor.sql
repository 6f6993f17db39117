-- What `python -m services.doctor` asks the database about itself.

create function private.examine() returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'now', private.utc_now(),
        'server', current_setting('server_version'),
        'versions', (select jsonb_agg(m.version order by m.version) from supabase_migrations.schema_migrations m),
        'open_tables', (                          -- tables and views that a token reaches without row security
            select coalesce(jsonb_agg(c.relname order by c.relname), '[]')
            from pg_catalog.pg_class c
            where c.relnamespace = 'public'::regnamespace
              and ((c.relkind in ('r', 'p') and not c.relrowsecurity)
                   or (c.relkind = 'v' and not coalesce(c.reloptions @> '{security_invoker=true}', false)))),
        'anonymous_tables', (                     -- what nobody in particular may read or write
            select coalesce(jsonb_agg(c.relname order by c.relname), '[]')
            from pg_catalog.pg_class c
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
              and has_table_privilege('anon', c.oid, 'select, insert, update, delete')),
        'anonymous_functions', (
            select coalesce(jsonb_agg(p.proname order by p.proname), '[]')
            from pg_catalog.pg_proc p
            where p.pronamespace = 'public'::regnamespace and has_function_privilege('anon', p.oid, 'execute')),
        'unreadable_tables', (                    -- tables that the worker cannot read: a grant is missing
            select coalesce(jsonb_agg(c.relname order by c.relname), '[]')
            from pg_catalog.pg_class c
            where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
              and not has_table_privilege('service_role', c.oid, 'select')),
        'waiting_seconds', (                      -- how long the oldest job that could run has been waiting
            select extract(epoch from private.utc_now() - min(j.run_after))::integer from public.jobs j
            where j.status = 'pending' and j.run_after <= private.utc_now()),
        'companies', (select count(*) from public.accounts a where not a.is_demo))
$$;
create function public.examine() returns jsonb
language sql stable set search_path = '' as $$ select private.examine() $$;

-- As many rows as an answer holds at most, where the service above the database does not hold fewer.
create function public.thousand_rows() returns setof integer
language sql stable set search_path = '' as $$ select generate_series(1, 1000) $$;

grant execute on function public.examine(), private.examine(), public.thousand_rows() to service_role;

-- One document instead of rows: a server that answers with few rows at a time must not hide a difference.
drop function public.check_money(uuid, date);
create function public.check_money(p_account_id uuid, p_month date) returns jsonb
language sql stable set search_path = '' as
    $$ select coalesce(jsonb_agg(to_jsonb(c)), '[]') from private.check_money(p_account_id, p_month) c $$;
grant execute on function public.check_money(uuid, date) to service_role;
