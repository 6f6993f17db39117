-- What another program wrote and paid for becomes history of a store: assistants, versions, runs, and entries of the ledger at
-- the cost that was logged. And runs ordered from the command line, by whoever has the worker's login, as a named person.

-- Lines of cost logs on their way in: a folder's are sent in batches, then taken in one transaction. Left behind by a process
-- that died, they mean nothing and go with the next import after a day.
create table private.import_lines (
    import_id  uuid not null,
    place      integer not null,                               -- among the folder's lines
    account_id uuid not null references public.accounts on delete cascade,
    id         uuid not null,                                  -- of the entry: made from what the line says
    run_id     uuid,
    run_name   text,                                           -- the run's name in the other program
    assistant  text,                                           -- the assistant's name there
    at         timestamptz not null,
    seconds    numeric not null,                               -- that the call took; 0: not known
    service    text not null,
    operation  text not null,
    model      text not null,
    category   private.cost_category not null,
    units      jsonb not null,
    cost_usd   numeric(14,6) not null check (cost_usd >= 0),
    details    jsonb not null,
    sent_at    timestamptz not null,
    primary key (import_id, place)
);
create index import_lines_account on private.import_lines (account_id, sent_at);
alter table private.import_lines enable row level security;

-- Whose history it becomes: {account_id, person_id, company, person, stores: [{id, code, slug, name, archived}]}.
create function private.import_target(p_company text, p_email text) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_account public.accounts;
    v_person  public.people;
begin
    select * into v_account from public.accounts a where a.slug = p_company;
    if not found then
        perform private.fail('PT404', format('There is no company with the short name %s. There are: %s.', p_company, (
            select string_agg(a.slug, ', ' order by a.slug) from (select slug from public.accounts order by slug limit 10) a)));
    end if;
    select p.* into v_person from public.people p join public.members m on m.person_id = p.id
    where m.account_id = v_account.id and lower(p.email) = lower(btrim(p_email));
    if not found then
        perform private.fail('PT404', format('Nobody with the address %s works at %s.', p_email, v_account.name));
    end if;
    return jsonb_build_object(
        'account_id', v_account.id, 'company', v_account.name, 'person_id', v_person.id, 'person', v_person.name,
        'stores', (select coalesce(jsonb_agg(jsonb_build_object(
                              'id', s.id, 'code', s.code, 'slug', s.slug, 'name', s.name,
                              'archived', s.archived_at is not null) order by s.code), '[]')
                   from public.profiles s where s.account_id = v_account.id));
end $$;

create function private.send_import_lines(p_import_id uuid, p_account_id uuid, p_lines jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_now timestamptz := private.utc_now();
begin
    delete from private.import_lines l where l.account_id = p_account_id and l.sent_at < v_now - interval '1 day';
    insert into private.import_lines (import_id, place, account_id, id, run_id, run_name, assistant, at, seconds, service,
                                      operation, model, category, units, cost_usd, details, sent_at)
    select p_import_id, l.place, p_account_id, l.id, l.run_id, l.run_name, l.assistant, l.at, l.seconds, l.service,
           l.operation, l.model, l.category, l.units, l.cost_usd, l.details, v_now
    from jsonb_populate_recordset(null::private.import_lines, p_lines) l
    on conflict (import_id, place) do nothing;                 -- the same batch, sent again
end $$;

-- Assistants and versions -----------------------------------------------------------------------------------------------

-- The assistants that are not there yet, by their external ids: [{external_id, …as save_assistant takes them}]. Those that
-- are there stay as they are. A name that another store's assistant has is put behind the folder's.
-- Returns {external_id: {id, new, external_id}}.
create function private.import_assistants(
    p_store public.profiles, p_person_id uuid, p_folder text, p_assistants jsonb
) returns jsonb language plpgsql set search_path = '' as $$
declare
    v         jsonb;
    v_name    text;
    v_id      uuid;
    v_made    jsonb := '{}';
begin
    for v in select * from jsonb_array_elements(p_assistants) loop
        v_name := v ->> 'external_id';
        if exists (select from public.assistants a where a.account_id = p_store.account_id and a.external_id = v_name
                   and a.profile_id <> p_store.id) then
            v_name := p_folder || '/' || v_name;
        end if;
        select a.id into v_id from public.assistants a
        where a.account_id = p_store.account_id and a.external_id = v_name and a.profile_id = p_store.id
        for no key update;
        v_made := v_made || jsonb_build_object(v ->> 'external_id', jsonb_build_object(
            'id', coalesce(v_id, private.import_assistant(p_store, p_person_id, v_name, v)), 'new', v_id is null,
            'external_id', v_name));
    end loop;
    return v_made;
end $$;

create function private.import_assistant(
    p_store public.profiles, p_person_id uuid, p_external_id text, p_values jsonb
) returns uuid language plpgsql set search_path = '' as $$
declare
    v_id uuid := gen_random_uuid();
begin
    perform private.check_assistant(p_values);
    insert into public.assistants (id, account_id, profile_id, external_id, name, instructions, tone, language,
                                   banned_words, models, target_score, max_rounds, max_characters, thinking, template,
                                   created_by)
    values (v_id, p_store.account_id, p_store.id, p_external_id, private.one_line(p_values ->> 'name'),
            p_values ->> 'instructions', p_values ->> 'tone', p_values ->> 'language',
            array(select distinct btrim(w) from jsonb_array_elements_text(p_values -> 'banned_words') w where w ~ '\S'),
            p_values -> 'models', (p_values ->> 'target_score')::numeric, (p_values ->> 'max_rounds')::integer,
            (p_values ->> 'max_characters')::integer, p_values ->> 'thinking', coalesce(p_values ->> 'template', ''),
            p_person_id);
    return v_id;
end $$;

-- Versions under their own numbers: [{place, assistant, number, title, content, injection_content, injection_path,
-- briefing_hash, iterations, score, status, notes, run_id, created_at, deployed_at}]. A text that its assistant has already,
-- or a number that another text has, changes nothing. Returns [{place, does: new, same, taken or final, number}]; final: it
-- was deployed there, and the assistant has a deployed version here.
create function private.import_versions(p_person_id uuid, p_assistants jsonb, p_versions jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v           jsonb;
    v_assistant public.assistants;
    v_there     public.prompt_versions;
    v_does      text;
    v_made      jsonb := '[]';
begin
    for v in select x from jsonb_array_elements(p_versions) x order by (x ->> 'number')::integer, (x ->> 'place')::integer loop
        select * into v_assistant from public.assistants a
        where a.id = (p_assistants -> (v ->> 'assistant') ->> 'id')::uuid for no key update;
        select * into v_there from public.prompt_versions p
        where p.assistant_id = v_assistant.id
          and (p.number = (v ->> 'number')::integer
               or p.content_hash = encode(sha256(convert_to(v ->> 'content', 'UTF8')), 'hex'))
        order by p.content_hash = encode(sha256(convert_to(v ->> 'content', 'UTF8')), 'hex') desc limit 1;
        v_does := case when v_there.content = v ->> 'content' then 'same'
                       when v_there.id is not null then 'taken'
                       else private.import_version(p_person_id, v_assistant, v) end;
        v_made := v_made || jsonb_build_object('place', v -> 'place', 'does', v_does, 'number', v_there.number);
    end loop;
    return v_made;
end $$;

create function private.import_version(p_person_id uuid, p_assistant public.assistants, p_version jsonb) returns text
language plpgsql set search_path = '' as $$
declare
    v_number integer := (p_version ->> 'number')::integer;
    v_title  text := left(coalesce(private.one_line(p_version ->> 'title'), ''), 200);
    v_at     timestamptz := (p_version ->> 'created_at')::timestamptz;
    v_status text := p_version ->> 'status';
begin
    if v_status = 'deployed' and exists (select from public.prompt_versions p
                                         where p.assistant_id = p_assistant.id and p.status = 'deployed') then
        v_status := 'final';
    end if;
    insert into public.prompt_versions (id, account_id, profile_id, assistant_id, run_id, number, title, content,
        content_hash, injection_content, injection_path, briefing_hash, iterations, final_score, status, deployed_at, notes,
        created_by, created_at)
    values (gen_random_uuid(), p_assistant.account_id, p_assistant.profile_id, p_assistant.id,
            (select r.id from public.pipeline_runs r where r.id = (p_version ->> 'run_id')::uuid), v_number, v_title,
            p_version ->> 'content', encode(sha256(convert_to(p_version ->> 'content', 'UTF8')), 'hex'),
            coalesce(p_version ->> 'injection_content',
                     private.injection(p_assistant, v_number, v_title, p_version ->> 'content',
                                       (p_version ->> 'score')::numeric)),
            coalesce(p_version ->> 'injection_path', format('%s-v%s.txt', p_assistant.external_id, v_number)),
            p_version ->> 'briefing_hash', (p_version ->> 'iterations')::integer, (p_version ->> 'score')::numeric,
            v_status, case v_status when 'deployed' then coalesce((p_version ->> 'deployed_at')::timestamptz, v_at) end,
            p_version ->> 'notes', p_person_id, v_at);
    return case when v_status = p_version ->> 'status' then 'new' else v_status end;
end $$;

-- A version that names its run is that run's, with what it cost.
create function private.link_versions(p_assistants jsonb) returns void language sql set search_path = '' as $$
    update public.prompt_versions v set cost_usd = r.total_cost_usd
    from public.pipeline_runs r, jsonb_each(p_assistants) a
    where v.assistant_id = (a.value ->> 'id')::uuid and r.id = v.run_id and v.cost_usd <> r.total_cost_usd
      and not exists (select from public.jobs j where j.id = r.id);
    update public.pipeline_runs r set version_id = v.id, best_score = v.final_score
    from public.prompt_versions v, jsonb_each(p_assistants) a
    where v.assistant_id = (a.value ->> 'id')::uuid and r.id = v.run_id and r.version_id is null
      and not exists (select from public.jobs j where j.id = r.id);
$$;

-- Costs and runs --------------------------------------------------------------------------------------------------------
--
-- Entries of history have no hold: they were paid elsewhere, so they count towards no quota, take nothing from what is left
-- and refuse nobody. Lock order as in settle_cost: months (shared), the store's counters, the company's, its ledger counter;
-- the sums, which the counters guard, are added to last and read from the ledger itself.

-- Book the lines that are left. Returns how many.
create function private.book_history(p_import_id uuid, p_store public.profiles, p_person public.people) returns integer
language plpgsql set search_path = '' as $$
declare
    v_account uuid := p_store.account_id;
    v_now     timestamptz := private.utc_now();
    v_months  date[] := array(select distinct date_trunc('month', l.at at time zone 'UTC')::date
                              from private.import_lines l where l.import_id = p_import_id order by 1);
    v_count   integer := (select count(*) from private.import_lines l where l.import_id = p_import_id);
    v_seq     bigint;
begin
    if v_count = 0 then
        return 0;
    end if;
    perform pg_advisory_xact_lock_shared(private.month_key(v_account, m.month)) from unnest(v_months) m(month);
    perform private.lock_counter(p_store.id, m.month, v_account) from unnest(v_months) m(month);
    perform private.lock_counter(v_account, m.month, v_account) from unnest(v_months) m(month);
    insert into private.ledger_counters as c (account_id, last_seq) values (v_account, v_count)
    on conflict (account_id) do update set last_seq = c.last_seq + excluded.last_seq
    returning last_seq - v_count into v_seq;
    insert into public.cost_entries (
        id, account_id, seq, request_id, profile_id, profile_name, user_id, user_name, run_id, step_id, service, operation,
        model, category, units, unit_prices, cost_usd, counts_to_quota, occurred_at, booked_on, settled_at)
    select l.id, v_account, v_seq + row_number() over (order by l.at, l.place), p_import_id, p_store.id, p_store.name,
           p_person.id, p_person.name, l.run_id, case when l.run_id is not null then l.id end, l.service, l.operation,
           l.model, l.category, l.units, '{}', l.cost_usd, false, l.at, (l.at at time zone 'UTC')::date, v_now
    from private.import_lines l where l.import_id = p_import_id;
    insert into public.cost_entry_details (entry_id, account_id, profile_id, details, created_at)
    select l.id, v_account, p_store.id, l.details, v_now from private.import_lines l where l.import_id = p_import_id;
    perform private.add_history(p_import_id, p_store);
    return v_count;
end $$;

-- The sums of what an import booked.
create function private.add_history(p_import_id uuid, p_store public.profiles) returns void
language plpgsql set search_path = '' as $$
declare
    v_month date;
    v_rows  public.cost_entries[];
begin
    insert into public.cost_daily as s (profile_id, day, service, operation, model, category, account_id, other_cost_usd,
                                        entries)
    select e.profile_id, e.booked_on, e.service, e.operation, e.model, e.category, e.account_id, sum(e.cost_usd), count(*)
    from public.cost_entries e where e.request_id = p_import_id group by 1, 2, 3, 4, 5, 6, 7 order by 1, 2, 3, 4, 5, 6
    on conflict (profile_id, day, service, operation, model, category) do update
    set other_cost_usd = s.other_cost_usd + excluded.other_cost_usd, entries = s.entries + excluded.entries;
    insert into public.profile_daily_costs as s (profile_id, day, account_id, other_cost_usd, entries)
    select e.profile_id, e.booked_on, e.account_id, sum(e.cost_usd), count(*)
    from public.cost_entries e where e.request_id = p_import_id group by 1, 2, 3 order by 1, 2
    on conflict (profile_id, day) do update
    set other_cost_usd = s.other_cost_usd + excluded.other_cost_usd, entries = s.entries + excluded.entries;
    for v_month, v_rows in
        select date_trunc('month', e.booked_on::timestamp)::date, array_agg(e)
        from public.cost_entries e where e.request_id = p_import_id group by 1 order by 1
    loop
        insert into public.profile_monthly_costs as s (profile_id, month, account_id, other_cost_usd, entries)
        select p_store.id, v_month, p_store.account_id, sum(r.cost_usd), count(*) from unnest(v_rows) r
        on conflict (profile_id, month) do update
        set other_cost_usd = s.other_cost_usd + excluded.other_cost_usd, entries = s.entries + excluded.entries;
        perform private.add_corrections_to_people(p_store.account_id, v_month, v_rows);
    end loop;
    insert into public.company_daily_costs as s (account_id, day, service, operation, model, category, other_cost_usd,
                                                 entries)
    select e.account_id, e.booked_on, e.service, e.operation, e.model, e.category, sum(e.cost_usd), count(*)
    from public.cost_entries e where e.request_id = p_import_id group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3, 4, 5, 6
    on conflict (account_id, day, service, operation, model, category) do update
    set other_cost_usd = s.other_cost_usd + excluded.other_cost_usd, entries = s.entries + excluded.entries;
end $$;

-- The runs that the lines name, with a step for each line. A run that is there has got their tokens and cost by the ledger's
-- trigger, as a run has that goes on; a new one is made after it, with what the lines come to. Returns how many are new.
create function private.import_runs(p_import_id uuid, p_store public.profiles, p_person_id uuid, p_assistants jsonb)
returns integer language plpgsql set search_path = '' as $$
declare
    v_count integer;
begin
    update public.pipeline_runs r
    set started_at = least(r.started_at, x.began), ended_at = greatest(r.ended_at, x.ended)
    from (select l.run_id, min(l.at - make_interval(secs => l.seconds::double precision)) as began, max(l.at) as ended
          from private.import_lines l where l.import_id = p_import_id and l.run_id is not null group by l.run_id) x
    where r.id = x.run_id;
    insert into public.pipeline_runs (id, account_id, profile_id, assistant_id, assistant, briefing, briefing_id,
        briefing_hash, status, input_tokens, cached_tokens, output_tokens, total_cost_usd, created_by, started_at, ended_at)
    select x.run_id, a.account_id, a.profile_id, a.id, to_jsonb(a), '', x.run_name, encode(sha256(''), 'hex'), 'completed',
           x.input, x.cached, x.output, x.usd, p_person_id, x.began, x.ended
    from (select l.run_id, min(l.run_name) as run_name, min(l.assistant) as assistant,
                 coalesce(sum((l.units ->> 'input_tokens')::bigint), 0) as input,
                 coalesce(sum((l.units ->> 'cached_tokens')::bigint), 0) as cached,
                 coalesce(sum((l.units ->> 'output_tokens')::bigint), 0) as output, sum(l.cost_usd) as usd,
                 min(l.at - make_interval(secs => l.seconds::double precision)) as began, max(l.at) as ended
          from private.import_lines l where l.import_id = p_import_id and l.run_id is not null group by l.run_id) x
    join public.assistants a on a.id = (p_assistants -> x.assistant ->> 'id')::uuid
    on conflict (id) do nothing;
    get diagnostics v_count = row_count;
    insert into public.pipeline_steps (id, account_id, profile_id, run_id, place, phase, round, status, provider, model,
        model_version, input, input_tokens, cached_tokens, output_tokens, cost_usd, started_at, ended_at)
    select l.id, p_store.account_id, p_store.id, l.run_id,
           coalesce(t.place, -1) + row_number() over lines,
           l.operation, coalesce(t.round, 0) + count(*) filter (where l.operation = 'prompt_improvement') over lines,
           'completed', l.service, l.model, l.model, '{}', coalesce((l.units ->> 'input_tokens')::bigint, 0),
           coalesce((l.units ->> 'cached_tokens')::bigint, 0), coalesce((l.units ->> 'output_tokens')::bigint, 0),
           l.cost_usd, l.at - make_interval(secs => l.seconds::double precision), l.at
    from private.import_lines l
    left join (select s.run_id, max(s.place) as place, max(s.round) as round from public.pipeline_steps s
               where s.run_id in (select n.run_id from private.import_lines n where n.import_id = p_import_id)
               group by s.run_id) t on t.run_id = l.run_id
    where l.import_id = p_import_id and l.run_id is not null
    window lines as (partition by l.run_id order by l.at, l.place);
    perform private.rebuild_assistant_costs(p_store.account_id, m.month)  -- the ledger's trigger saw no run of new ones
    from (select distinct date_trunc('month', l.at at time zone 'UTC')::date as month
          from private.import_lines l where l.import_id = p_import_id and l.run_id is not null order by 1) m;
    return v_count;
end $$;

-- A folder ---------------------------------------------------------------------------------------------------------------

-- {assistants: as import_assistants says, versions: as import_versions says, entries, usd, runs: what is new, again: [the
-- places of lines that the ledger had already]}
create function private.take_folder(
    p_import_id uuid, p_store public.profiles, p_person public.people, p_folder jsonb
) returns jsonb language plpgsql set search_path = '' as $$
declare
    v_assistants jsonb;
    v_versions   jsonb;
    v_again      jsonb;
    v_usd        numeric;
    v_entries    integer;
    v_runs       integer;
begin
    v_assistants := private.import_assistants(p_store, p_person.id, p_folder ->> 'name', p_folder -> 'assistants');
    with gone as (
        delete from private.import_lines l
        where l.import_id = p_import_id and exists (select from public.cost_entries e where e.id = l.id) returning l.place)
    select coalesce(jsonb_agg(g.place order by g.place), '[]') into v_again from gone g;
    select coalesce(sum(l.cost_usd), 0) into v_usd from private.import_lines l where l.import_id = p_import_id;
    v_entries := private.book_history(p_import_id, p_store, p_person);
    v_runs := private.import_runs(p_import_id, p_store, p_person.id, v_assistants);
    v_versions := private.import_versions(p_person.id, v_assistants, p_folder -> 'versions');
    perform private.link_versions(v_assistants);
    return jsonb_build_object('assistants', v_assistants, 'versions', v_versions, 'entries', v_entries, 'usd', v_usd::text,
                              'runs', v_runs, 'again', v_again);
end $$;

-- Take a folder whose lines have been sent, whole or not at all; p_dry_run: do it, tell what came of it, and undo it.
-- p_folder: {name, assistants, versions}. One folder of a company at a time.
create function private.import_folder(
    p_import_id uuid, p_profile_id uuid, p_person_id uuid, p_folder jsonb, p_dry_run boolean
) returns jsonb language plpgsql security definer set search_path = '' as $$
declare
    v_store  public.profiles;
    v_person public.people;
    v_report jsonb;
    v_new    jsonb;
begin
    select s.* into v_store from public.profiles s join public.members m on m.account_id = s.account_id
    where s.id = p_profile_id and m.person_id = p_person_id;
    if not found then
        perform private.fail('PT404', 'The person does not work at the store''s company.');
    end if;
    select * into v_person from public.people p where p.id = p_person_id;
    perform pg_advisory_xact_lock(hashtextextended('import ' || v_store.account_id, 20261122));
    begin
        v_report := private.take_folder(p_import_id, v_store, v_person, p_folder);
        if p_dry_run then
            raise exception using errcode = 'UN000';               -- tried only: undone
        end if;
    exception when sqlstate 'UN000' then
        null;
    end;
    delete from private.import_lines l where l.import_id = p_import_id;
    v_new := jsonb_build_object(
        'assistants', (select count(*) from jsonb_each(v_report -> 'assistants') a where (a.value ->> 'new')::boolean),
        'versions', (select count(*) from jsonb_array_elements(v_report -> 'versions') x where x ->> 'does' in ('new', 'final')),
        'runs', v_report -> 'runs', 'entries', v_report -> 'entries');
    if not p_dry_run and exists (select from jsonb_each_text(v_new) n where n.value <> '0') then
        perform private.audit(v_store.account_id, 'history_imported', p_folder ->> 'name', v_store.id, null, null,
                              v_new || jsonb_build_object('usd', v_report ->> 'usd', 'assigned_to', v_person.name));
    end if;
    return v_report;
end $$;

-- Runs from the command line ---------------------------------------------------------------------------------------------
--
-- Whoever has the worker's login may order in the name of a person. From here to the transaction's end that person acts: their
-- rights of this moment decide, and their quota holds.

create function private.act_in_store(p_person_id uuid, p_profile_id uuid) returns void
language plpgsql set search_path = '' as $$
begin
    perform set_config('request.jwt.claims', jsonb_build_object('sub', p_person_id)::text, true);
    if p_profile_id is null or p_profile_id not in (select private.my_profile_ids()) then
        perform private.fail('PT403', format('%s may not work in this store.',
            coalesce((select p.name from public.people p where p.id = p_person_id), 'The person')));
    end if;
end $$;

create function private.script_quote_as(p_person_id uuid, p_profile_id uuid, p_assistant_id uuid, p_briefing text)
returns jsonb language plpgsql security definer set search_path = '' as $$
begin
    perform private.act_in_store(p_person_id, p_profile_id);
    return private.script_quote(p_assistant_id, p_briefing);
end $$;

create function private.start_script_as(
    p_person_id uuid, p_profile_id uuid, p_run_id uuid, p_assistant_id uuid, p_briefing text
) returns uuid language plpgsql security definer set search_path = '' as $$
begin
    perform private.act_in_store(p_person_id, p_profile_id);
    return private.start_script(p_run_id, p_assistant_id, p_briefing, null, null, null);
end $$;

create function private.cancel_job_as(p_person_id uuid, p_profile_id uuid, p_job_id uuid) returns text
language plpgsql security definer set search_path = '' as $$
begin
    perform private.act_in_store(p_person_id, p_profile_id);
    return private.cancel_job(p_job_id);
end $$;

-- As claim_job, of one job; null where it cannot be had now.
create function private.claim_this_job(p_job_id uuid, p_worker text, p_lease_seconds numeric) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs;
begin
    update public.jobs j
    set status = 'running', attempt = j.attempt + 1, attempt_token = gen_random_uuid(), worker = p_worker,
        lease_until = private.utc_now() + make_interval(secs => p_lease_seconds::double precision),
        started_at = coalesce(j.started_at, private.utc_now()), message = 'Started'
    where j.id = (select k.id from public.jobs k
                  where k.id = p_job_id
                    and ((k.status = 'pending' and k.run_after <= private.utc_now())
                         or (k.status = 'running' and k.lease_until < private.utc_now()
                             and k.cancel_requested_at is null and k.attempt < k.max_attempts))
                  for no key update skip locked)
    returning * into v_job;
    return to_jsonb(v_job) || jsonb_build_object('steps', (
        select coalesce(jsonb_object_agg(s.name, s.outcome), '{}') from public.job_steps s where s.job_id = v_job.id));
end $$;

-- The doors --------------------------------------------------------------------------------------------------------------

create function public.import_target(p_company text, p_email text) returns jsonb
language sql stable set search_path = '' as $$ select private.import_target(p_company, p_email) $$;
create function public.send_import_lines(p_import_id uuid, p_account_id uuid, p_lines jsonb) returns void
language sql set search_path = '' as $$ select private.send_import_lines(p_import_id, p_account_id, p_lines) $$;
-- A folder of 100,000 lines takes seconds on a quiet machine; on another one it may take longer than a call usually may.
create function public.import_folder(
    p_import_id uuid, p_profile_id uuid, p_person_id uuid, p_folder jsonb, p_dry_run boolean
) returns jsonb language sql set search_path = '' set statement_timeout = '10min' set lock_timeout = '10min' as
    $$ select private.import_folder(p_import_id, p_profile_id, p_person_id, p_folder, p_dry_run) $$;
create function public.script_quote_as(p_person_id uuid, p_profile_id uuid, p_assistant_id uuid, p_briefing text)
returns jsonb language sql set search_path = '' as
    $$ select private.script_quote_as(p_person_id, p_profile_id, p_assistant_id, p_briefing) $$;
create function public.start_script_as(
    p_person_id uuid, p_profile_id uuid, p_run_id uuid, p_assistant_id uuid, p_briefing text
) returns uuid language sql set search_path = '' as
    $$ select private.start_script_as(p_person_id, p_profile_id, p_run_id, p_assistant_id, p_briefing) $$;
create function public.cancel_job_as(p_person_id uuid, p_profile_id uuid, p_job_id uuid) returns text
language sql set search_path = '' as $$ select private.cancel_job_as(p_person_id, p_profile_id, p_job_id) $$;
create function public.claim_this_job(p_job_id uuid, p_worker text, p_lease_seconds numeric) returns jsonb
language sql set search_path = '' as $$ select private.claim_this_job(p_job_id, p_worker, p_lease_seconds) $$;
grant execute on function
    public.script_quote_as(uuid, uuid, uuid, text), private.script_quote_as(uuid, uuid, uuid, text),
    public.start_script_as(uuid, uuid, uuid, uuid, text), private.start_script_as(uuid, uuid, uuid, uuid, text),
    public.cancel_job_as(uuid, uuid, uuid), private.cancel_job_as(uuid, uuid, uuid),
    public.claim_this_job(uuid, text, numeric), private.claim_this_job(uuid, text, numeric),
    public.import_target(text, text), private.import_target(text, text),
    public.send_import_lines(uuid, uuid, jsonb), private.send_import_lines(uuid, uuid, jsonb),
    public.import_folder(uuid, uuid, uuid, jsonb, boolean), private.import_folder(uuid, uuid, uuid, jsonb, boolean)
    to service_role;
