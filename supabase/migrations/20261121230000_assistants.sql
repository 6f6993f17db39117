-- Assistants write for a store. What they wrote are numbered versions, of which at most one is deployed: the one that
-- Voice and Publish offer first.

create table public.assistants (
    id           uuid primary key,
    account_id   uuid not null,
    profile_id   uuid not null,
    external_id  text,                                         -- its name in another program, where it came from there
    name         text not null,
    instructions text not null default '',
    tone         text not null default '',
    language     text not null default 'en' check (language ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$'),
    banned_words text[] not null default '{}',
    models       jsonb not null,                               -- phase → model
    target_score numeric(5,2) not null default 85 check (target_score between 0 and 100),
    max_rounds   integer not null default 3 check (max_rounds between 0 and 10),
    max_characters integer not null default 3000 check (max_characters between 100 and 40000),  -- of a script
    thinking     text check (thinking in ('minimal', 'low', 'medium', 'high')),  -- null: as the model does by itself
    template     text not null default '',                     -- of the injection file; empty: the text as it stands
    version      integer not null default 1,
    created_by   uuid,
    archived_at  timestamptz,
    created_at   timestamptz not null default private.utc_now(),
    updated_at   timestamptz not null default private.utc_now(),
    unique (account_id, external_id),
    foreign key (account_id, profile_id) references public.profiles (account_id, id) on delete cascade
);
create index assistants_account_profile on public.assistants (account_id, profile_id);
create index assistants_profile on public.assistants (profile_id, name) where archived_at is null;
create trigger touch before update on public.assistants for each row execute function private.touch();

create table public.prompt_versions (
    id                uuid primary key,
    account_id        uuid not null,
    profile_id        uuid not null,
    assistant_id      uuid not null references public.assistants on delete cascade,
    run_id            uuid,                                    -- null: imported
    number            integer not null check (number > 0),
    title             text not null default '',
    content           text not null check (content ~ '\S'),    -- the finished text, spoken or posted as it stands
    content_hash      text not null,                           -- SHA-256 of the content, in hex
    injection_content text not null default '',                -- the same in the assistant's export template
    injection_path    text not null default '',                -- that file's name
    briefing_hash     text,
    iterations        integer not null default 0,              -- rounds of improvement
    final_score       numeric(5,2),
    cost_usd          numeric(14,6) not null default 0,        -- of its run
    status            text not null default 'draft' check (status in ('draft', 'final', 'deployed', 'archived')),
    deployed_at       timestamptz,
    notes             text not null default '',
    created_by        uuid,
    created_at        timestamptz not null default private.utc_now(),
    updated_at        timestamptz not null default private.utc_now(),
    unique (assistant_id, number),
    unique (assistant_id, content_hash),
    check ((status = 'deployed') = (deployed_at is not null)),
    foreign key (account_id, profile_id) references public.profiles (account_id, id) on delete cascade
);
create index prompt_versions_account_profile on public.prompt_versions (account_id, profile_id);
create index prompt_versions_profile on public.prompt_versions (profile_id, created_at desc);
create index prompt_versions_run on public.prompt_versions (run_id);
create unique index prompt_versions_deployed on public.prompt_versions (assistant_id) where status = 'deployed';
create trigger touch before update on public.prompt_versions for each row execute function private.touch();

do $$
declare
    v_table text;
begin
    foreach v_table in array array['assistants', 'prompt_versions'] loop
        execute format('alter table public.%I enable row level security', v_table);
        execute format('grant select on public.%I to authenticated, service_role', v_table);
        execute format('create policy "people read their stores'' scripts" on public.%I for select to authenticated '
                       'using (profile_id in (select private.my_profile_ids()))', v_table);
    end loop;
end $$;

-- The phases of a run, in their order.
create function private.phases() returns text[] language sql immutable set search_path = '' as
    $$ select '{prompt_generation,prompt_analysis,prompt_improvement}'::text[] $$;

-- Who writes with a model: the practice writer, which is no AI and which nobody bills, or the vendor.
create function private.writer_of(p_model text) returns text language sql immutable set search_path = '' as
    $$ select case p_model when 'practice' then 'practice' else 'gemini' end $$;

-- The built-in writer is free in every company.
create function private.add_writer_price() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    insert into public.prices (id, account_id, provider, model, unit_kind, usd, per_units, valid_from, reason)
    select gen_random_uuid(), new.id, 'practice', 'practice', u.kind, 0, 1000000, '2020-01-01',
           'Comes with Clipdesk: writes by rules, on this machine'
    from unnest(array['input_tokens', 'cached_tokens', 'output_tokens']) u(kind);
    return null;
end $$;
create trigger writer_price after insert on public.accounts for each row execute function private.add_writer_price();
insert into public.prices (id, account_id, provider, model, unit_kind, usd, per_units, valid_from, reason)
select gen_random_uuid(), a.id, 'practice', 'practice', u.kind, 0, 1000000, '2020-01-01',
       'Comes with Clipdesk: writes by rules, on this machine'
from public.accounts a, unnest(array['input_tokens', 'cached_tokens', 'output_tokens']) u(kind);

-- Assistants ------------------------------------------------------------------------------------------------------------

-- A store whose scripts the person may change, or PT404/PT403.
create function private.script_store(p_profile_id uuid) returns public.profiles
language plpgsql stable set search_path = '' as $$
declare
    v_store public.profiles;
begin
    select * into v_store from public.profiles p
    where p.id = p_profile_id and p.id in (select private.my_profile_ids()) and p.archived_at is null;
    if not found then
        perform private.fail('PT404', 'Store not found. It may have been archived.');
    elsif v_store.id not in (select private.my_work_profile_ids()) then
        perform private.fail('PT403', 'Finance reads; a manager of the store or an admin can change scripts.');
    end if;
    return v_store;
end $$;

-- An assistant the person may change, locked.
create function private.my_assistant(p_assistant_id uuid) returns public.assistants
language plpgsql set search_path = '' as $$
declare
    v_assistant public.assistants;
begin
    select * into v_assistant from public.assistants a
    where a.id = p_assistant_id and a.profile_id in (select private.my_profile_ids()) for no key update;
    if not found then
        perform private.fail('PT404', 'Assistant not found.');
    end if;
    perform private.script_store(v_assistant.profile_id);
    return v_assistant;
end $$;

create function private.check_assistant(p_values jsonb) returns void language plpgsql set search_path = '' as $$
declare
    v_field text;
begin
    v_field := case
        when char_length(coalesce(private.one_line(p_values ->> 'name'), '')) not between 1 and 200 then 'name'
        when char_length(p_values ->> 'instructions') > 20000 then 'instructions'
        when char_length(p_values ->> 'tone') > 500 then 'tone'
        when (p_values ->> 'language' ~ '^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$') is not true then 'language'
        when jsonb_typeof(p_values -> 'banned_words') is distinct from 'array'
             or jsonb_array_length(p_values -> 'banned_words') > 500 then 'banned_words'
        when ((p_values ->> 'target_score')::numeric between 0 and 100) is not true then 'target_score'
        when ((p_values ->> 'max_rounds')::integer between 0 and 10) is not true then 'max_rounds'
        when ((p_values ->> 'max_characters')::integer between 100 and 40000) is not true then 'max_characters'
        when (coalesce(p_values ->> 'thinking', 'low') in ('minimal', 'low', 'medium', 'high')) is not true then 'thinking'
        when char_length(p_values ->> 'template') > 20000
             or p_values ->> 'template' <> '' and p_values ->> 'template' not like '%{content}%' then 'template'
        when (select count(*) from unnest(private.phases()) f(phase)
              where p_values -> 'models' ->> f.phase ~ '^[a-z0-9][a-z0-9.-]{0,80}$') <> 3 then 'models' end;
    if v_field is not null then
        perform private.fail('PT400', case v_field
            when 'name' then 'A name has 1 to 200 characters.'
            when 'instructions' then 'Instructions have at most 20,000 characters.'
            when 'tone' then 'A tone has at most 500 characters.'
            when 'language' then 'The language must be a code such as en or pt-BR.'
            when 'banned_words' then 'At most 500 words can be banned.'
            when 'target_score' then 'The target score must be between 0 and 100.'
            when 'max_rounds' then 'The rounds of improvement must be between 0 and 10.'
            when 'max_characters' then 'A script has 100 to 40,000 characters.'
            when 'thinking' then 'A model thinks minimally, little, some or much.'
            when 'template' then 'The template must hold {content}, and at most 20,000 characters.'
            else 'Choose a model for each phase.' end, jsonb_build_object('field', v_field));
    end if;
exception when invalid_text_representation or numeric_value_out_of_range then
    perform private.fail('PT400', 'Score and rounds must be numbers.', '{"field": "target_score"}');
end $$;

-- Make (p_version null) or change an assistant: {external_id, name, instructions, tone, language, banned_words, models,
-- target_score, max_rounds, max_characters, thinking, template}. Returns its version; PT409 where somebody else changed it meanwhile.
create function private.save_assistant(p_id uuid, p_profile_id uuid, p_values jsonb, p_version integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    v_store public.profiles := private.script_store(p_profile_id);
    v_old   public.assistants;
    v_new   public.assistants;
begin
    perform private.check_assistant(p_values);
    if p_version is not null then
        v_old := private.my_assistant(p_id);
        if v_old.profile_id <> p_profile_id or v_old.version <> p_version then
            perform private.fail('PT409', 'Somebody else has changed this assistant meanwhile. Look at it again.');
        end if;
    end if;
    insert into public.assistants as a (id, account_id, profile_id, external_id, name, instructions, tone, language,
                                        banned_words, models, target_score, max_rounds, max_characters, thinking,
                                        template, created_by)
    values (p_id, v_store.account_id, p_profile_id, nullif(btrim(p_values ->> 'external_id'), ''),
            private.one_line(p_values ->> 'name'), coalesce(p_values ->> 'instructions', ''),
            coalesce(p_values ->> 'tone', ''), p_values ->> 'language',
            array(select distinct btrim(w) from jsonb_array_elements_text(p_values -> 'banned_words') w where w ~ '\S'),
            p_values -> 'models', (p_values ->> 'target_score')::numeric, (p_values ->> 'max_rounds')::integer,
            (p_values ->> 'max_characters')::integer, p_values ->> 'thinking', coalesce(p_values ->> 'template', ''),
            auth.uid())
    on conflict (id) do update
    set external_id = excluded.external_id, name = excluded.name, instructions = excluded.instructions,
        tone = excluded.tone, language = excluded.language, banned_words = excluded.banned_words,
        models = excluded.models, target_score = excluded.target_score, max_rounds = excluded.max_rounds,
        max_characters = excluded.max_characters, thinking = excluded.thinking, template = excluded.template,
        version = a.version + 1
    where a.version = p_version
    returning * into v_new;
    if v_new.id is null then                                   -- the same click again, or somebody else's id
        v_old := private.my_assistant(p_id);
        if v_old.profile_id <> p_profile_id then
            perform private.fail('PT404', 'Assistant not found.');
        end if;
        return v_old.version;
    end if;
    perform private.audit(v_store.account_id, 'assistant_saved', v_new.name, p_profile_id);
    return v_new.version;
exception when unique_violation then
    perform private.fail('PT409', 'Another assistant of the company has this external id.', '{"field": "external_id"}');
end $$;

-- Put away, or bring back. Its versions and runs stay.
create function private.archive_assistant(p_assistant_id uuid, p_archive boolean) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_assistant public.assistants := private.my_assistant(p_assistant_id);
begin
    update public.assistants a set archived_at = case when p_archive then coalesce(a.archived_at, private.utc_now()) end
    where a.id = p_assistant_id;
    perform private.audit(v_assistant.account_id,
                          case when p_archive then 'assistant_archived' else 'assistant_restored' end,
                          v_assistant.name, v_assistant.profile_id);
end $$;

-- Versions --------------------------------------------------------------------------------------------------------------

-- A version's text in its assistant's export template, which knows {content}, {title}, {version}, {assistant}, {score}.
create function private.injection(p_assistant public.assistants, p_number integer, p_title text, p_content text,
                                  p_score numeric) returns text
language sql immutable set search_path = '' as $$
    select replace(replace(replace(replace(replace(
               case p_assistant.template when '' then '{content}' else p_assistant.template end,
               '{title}', p_title), '{version}', 'v' || p_number), '{assistant}', p_assistant.name),
               '{score}', coalesce(p_score::text, '')), '{content}', p_content)
$$;

-- The next number of an assistant's versions. Its row is locked by whoever takes it.
create function private.next_version_number(p_assistant_id uuid) returns integer
language sql stable set search_path = '' as $$
    select coalesce(max(v.number), 0) + 1 from public.prompt_versions v where v.assistant_id = p_assistant_id
$$;

-- Keep a text as the assistant's next version; the same text again is the version that is there. {title, content,
-- briefing_hash, iterations, score, cost, run_id, created_by, notes, status}. The assistant is locked.
create function private.add_version(p_assistant public.assistants, p_version jsonb) returns uuid
language plpgsql set search_path = '' as $$
declare
    v_hash   text := encode(sha256(convert_to(p_version ->> 'content', 'UTF8')), 'hex');
    v_number integer := private.next_version_number(p_assistant.id);
    v_title  text := left(coalesce(private.one_line(p_version ->> 'title'), ''), 200);
    v_id     uuid;
begin
    select v.id into v_id from public.prompt_versions v
    where v.assistant_id = p_assistant.id and v.content_hash = v_hash;
    if found then
        return v_id;
    end if;
    insert into public.prompt_versions (id, account_id, profile_id, assistant_id, run_id, number, title, content,
        content_hash, injection_content, injection_path, briefing_hash, iterations, final_score, cost_usd, notes,
        created_by)
    values (gen_random_uuid(), p_assistant.account_id, p_assistant.profile_id, p_assistant.id,
            (p_version ->> 'run_id')::uuid, v_number, v_title, p_version ->> 'content', v_hash,
            private.injection(p_assistant, v_number, v_title, p_version ->> 'content', (p_version ->> 'score')::numeric),
            format('%s-v%s.txt', coalesce(p_assistant.external_id, 'assistant'), v_number),
            p_version ->> 'briefing_hash', coalesce((p_version ->> 'iterations')::integer, 0),
            (p_version ->> 'score')::numeric, coalesce((p_version ->> 'cost')::numeric, 0),
            coalesce(p_version ->> 'notes', ''), (p_version ->> 'created_by')::uuid)
    returning id into v_id;
    return v_id;
end $$;

-- A version the person may change; its assistant is locked.
create function private.my_version(p_version_id uuid) returns public.prompt_versions
language plpgsql set search_path = '' as $$
declare
    v_version public.prompt_versions;
begin
    perform private.my_assistant(v.assistant_id) from public.prompt_versions v where v.id = p_version_id;
    if not found then
        perform private.fail('PT404', 'Version not found.');
    end if;
    select * into v_version from public.prompt_versions v where v.id = p_version_id;
    return v_version;
end $$;

-- Draft, final, deployed or archived. Deployed takes the place of the one that was, which is final again; so an earlier
-- version is brought back by deploying it.
create function private.set_version_status(p_version_id uuid, p_status text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_version public.prompt_versions := private.my_version(p_version_id);
begin
    if (p_status in ('draft', 'final', 'deployed', 'archived')) is not true then
        perform private.fail('PT400', 'A version is a draft, final, deployed or archived.', '{"field": "status"}');
    elsif v_version.status = p_status then
        return;
    elsif p_status = 'draft' and v_version.status = 'deployed' then
        perform private.fail('PT409', 'A deployed version becomes final or archived.', '{"field": "status"}');
    end if;
    if p_status = 'deployed' then
        update public.prompt_versions v set status = 'final', deployed_at = null
        where v.assistant_id = v_version.assistant_id and v.status = 'deployed';
    end if;
    update public.prompt_versions v
    set status = p_status, deployed_at = case when p_status = 'deployed' then private.utc_now() end
    where v.id = p_version_id;
    perform private.audit(v_version.account_id,
                          case p_status when 'draft' then 'version_draft' when 'final' then 'version_final'
                                        when 'deployed' then 'version_deployed' else 'version_archived' end, 'v' || v_version.number || ' ' || v_version.title,
                          v_version.profile_id, null, jsonb_build_object('status', v_version.status),
                          jsonb_build_object('status', p_status));
end $$;

create function private.set_version_notes(p_version_id uuid, p_notes text) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform private.my_version(p_version_id);
    if char_length(p_notes) > 5000 then
        perform private.fail('PT400', 'Notes have at most 5,000 characters.', '{"field": "notes"}');
    end if;
    update public.prompt_versions v set notes = coalesce(p_notes, '') where v.id = p_version_id;
end $$;

create function public.save_assistant(p_id uuid, p_profile_id uuid, p_values jsonb, p_version integer default null)
returns integer language sql set search_path = '' as
    $$ select private.save_assistant(p_id, p_profile_id, p_values, p_version) $$;
create function public.archive_assistant(p_assistant_id uuid, p_archive boolean) returns void
language sql set search_path = '' as $$ select private.archive_assistant(p_assistant_id, p_archive) $$;
create function public.set_version_status(p_version_id uuid, p_status text) returns void
language sql set search_path = '' as $$ select private.set_version_status(p_version_id, p_status) $$;
create function public.set_version_notes(p_version_id uuid, p_notes text) returns void
language sql set search_path = '' as $$ select private.set_version_notes(p_version_id, p_notes) $$;
grant execute on function
    public.save_assistant(uuid, uuid, jsonb, integer), private.save_assistant(uuid, uuid, jsonb, integer),
    public.archive_assistant(uuid, boolean), private.archive_assistant(uuid, boolean),
    public.set_version_status(uuid, text), private.set_version_status(uuid, text),
    public.set_version_notes(uuid, text), private.set_version_notes(uuid, text)
    to authenticated;
