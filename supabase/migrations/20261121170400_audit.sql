-- The log as admins read it: without secrets, in pages by key, by person, action, store, days and words.

-- Secrets never get in: callers leave them out, and what slips through stops here.

-- Keys and passwords by their shape, and after their name or in an address.
create function private.without_keys(p_text text) returns text language sql immutable set search_path = '' as $$
    select regexp_replace(regexp_replace(regexp_replace(p_text,
        '\m(sk[-_][A-Za-z0-9_-]{16,}|AIza[A-Za-z0-9_-]{20,}|sb_secret_[A-Za-z0-9_-]+|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_.-]+'
        '|(?=[A-Za-z_]*[0-9])[A-Za-z0-9_]{32,})', '[hidden]', 'g'),
        '((key|token|secret|password)=|bearer\s+)[^\s&]+', '\1[hidden]', 'gi'),
        '://[^/@\s]*:[^/@\s]*@', '://[hidden]@', 'g')
$$;

-- Fields that are named like a key lose their value, at any depth; whether they are set and their end may be told.
create function private.redacted(p_value jsonb) returns jsonb language plpgsql immutable set search_path = '' as $$
begin
    return case jsonb_typeof(p_value)
        when 'object' then (
            select coalesce(jsonb_object_agg(f.key, case when private.is_secret(f.key, f.value) then '"[hidden]"'
                                                         else private.redacted(f.value) end), '{}')
            from jsonb_each(p_value) f)
        when 'array' then (
            select coalesce(jsonb_agg(private.redacted(i.value) order by i.ordinality), '[]')
            from jsonb_array_elements(p_value) with ordinality i)
        when 'string' then to_jsonb(private.without_keys(p_value #>> '{}'))
        else p_value
    end;
end $$;

create function private.is_secret(p_name text, p_value jsonb) returns boolean
language sql immutable set search_path = '' as $$
    select p_name ~* '(key|secret|passw|passphrase|token|cipher|authori[sz]ation|cookie|^credentials?$)'
       and jsonb_typeof(p_value) not in ('boolean', 'null')
       and p_value #>> '{}' !~ '^….{0,4}$'                     -- the last characters, by which people know a key
       and not (p_name ~* 'last_?(4|four)$' and length(p_value #>> '{}') <= 4)
$$;

create function private.redact_audit() returns trigger language plpgsql set search_path = '' as $$
begin
    new.subject := private.without_keys(new.subject);
    new.reason := private.without_keys(new.reason);
    new.before := private.redacted(new.before);
    new.after := private.redacted(new.after);
    return new;
end $$;
create trigger redact before insert on public.audit_log for each row execute function private.redact_audit();

-- Words for searching: each run of letters and digits, in small letters. A word is cut at 100 characters and a text at
-- 10 000, because the index refuses longer ones and an entry must always get in.
create function private.words(p_text text) returns text[] language sql immutable set search_path = '' as $$
    select coalesce(array_agg(distinct left(w, 100)), '{}')
    from regexp_split_to_table(lower(left(p_text, 10000)), '[^[:alnum:]]+') w where w <> ''
$$;

create function private.audit_words(p_entry public.audit_log) returns tsvector
language sql immutable set search_path = '' as $$
    select array_to_tsvector(private.words(concat_ws(' ', p_entry.action, p_entry.subject, p_entry.reason,
        p_entry.person_name, p_entry.address, p_entry.before::text, p_entry.after::text)))
$$;

-- Every filter has an index that gives its rows in the order in which they are shown. System is the person of zeros: an
-- index gives no order behind "is null".
create function private.actor(p_person_id uuid) returns uuid language sql immutable set search_path = '' as
    $$ select coalesce(p_person_id, '00000000-0000-0000-0000-000000000000') $$;

drop index public.audit_log_account;
create index audit_log_account on public.audit_log (account_id, at, id);
create index audit_log_person on public.audit_log (account_id, private.actor(person_id), at, id);
create index audit_log_action on public.audit_log (account_id, action, at, id);
create index audit_log_profile on public.audit_log (account_id, profile_id, at, id);
create index audit_log_words on public.audit_log using gin (private.audit_words(audit_log));

create function private.only_admins(p_account_id uuid) returns void language plpgsql stable set search_path = '' as $$
begin
    if p_account_id is null or p_account_id not in (select private.my_account_ids()) then
        perform private.fail('PT404', 'Company not found.');
    elsif p_account_id not in (select private.my_account_ids('{admin}')) then
        perform private.fail('PT403', 'Only an admin reads the audit log.');
    end if;
end $$;

-- A company's entries, newest first, behind the key (p_before_at, p_before_id); at most 1 000. Null = any; p_from is
-- within, p_until is not. Words are found by their beginnings, all of them. The role is asked once, here: row security
-- would keep the words' index from being used.
create function private.audit_page(
    p_account_id uuid, p_person_id uuid, p_action text, p_profile_id uuid, p_from timestamptz, p_until timestamptz,
    p_text text, p_before_at timestamptz, p_before_id bigint, p_limit integer
) returns jsonb language plpgsql stable security definer set search_path = '' as $$
declare
    v_words   tsquery := (select string_agg(format('''%s'':*', w), ' & ') from unnest(private.words(p_text)) w);
    v_where   text := '';
    v_entries jsonb;
begin
    perform private.only_admins(p_account_id);
    v_where := concat(
        case when p_person_id is not null then ' and private.actor(l.person_id) = $2' end,
        case when p_action is not null then ' and l.action = $3' end,
        case when p_profile_id is not null then ' and l.profile_id = $4' end,
        case when p_from is not null then ' and l.at >= $5' end,
        case when p_until is not null then ' and l.at < $6' end,
        case when v_words is not null then ' and private.audit_words(l) @@ $7' end,
        case when p_before_at is not null then ' and (l.at, l.id) < ($8, $9)' end);
    execute format(
        'select coalesce(jsonb_agg(to_jsonb(e) order by e.at desc, e.id desc), ''[]'') from ('
        '  select l.id, l.at, l.person_id, l.person_name, l.address, l.action, l.subject, l.reason, l.before, l.after,'
        '         l.profile_id, (select p.code || '' · '' || p.name from public.profiles p where p.id = l.profile_id) as store'
        '  from public.audit_log l where l.account_id = $1 %s order by l.at desc, l.id desc limit $10) e', v_where)
    into v_entries
    using p_account_id, p_person_id, p_action, p_profile_id, p_from, p_until, v_words, p_before_at, p_before_id,
          least(greatest(p_limit, 0), 1000);
    return v_entries;
end $$;

create function public.audit_page(
    p_account_id uuid, p_person_id uuid default null, p_action text default null, p_profile_id uuid default null,
    p_from timestamptz default null, p_until timestamptz default null, p_text text default null,
    p_before_at timestamptz default null, p_before_id bigint default null, p_limit integer default 50
) returns jsonb language sql stable set search_path = '' as $$
    select private.audit_page(p_account_id, p_person_id, p_action, p_profile_id, p_from, p_until, p_text, p_before_at,
                              p_before_id, p_limit)
$$;

-- What the log can be filtered by: its actions and its people, each found by one step along an index.
create function private.audit_choices(p_account_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
    perform private.only_admins(p_account_id);
    return (
        with recursive actions as (
            (select l.action from public.audit_log l where l.account_id = p_account_id order by l.action limit 1)
            union all
            select (select l.action from public.audit_log l where l.account_id = p_account_id and l.action > a.action
                    order by l.action limit 1)
            from actions a where a.action is not null),
        actors as (
            (select private.actor(l.person_id) as id from public.audit_log l where l.account_id = p_account_id
             order by private.actor(l.person_id) limit 1)
            union all
            select (select private.actor(l.person_id) from public.audit_log l
                    where l.account_id = p_account_id and private.actor(l.person_id) > a.id
                    order by private.actor(l.person_id) limit 1)
            from actors a where a.id is not null)
        select jsonb_build_object(
            'actions', coalesce((select jsonb_agg(a.action) from actions a where a.action is not null), '[]'),
            'people', coalesce((
                select jsonb_object_agg(a.id, coalesce(p.name, (
                    select l.person_name from public.audit_log l
                    where l.account_id = p_account_id and private.actor(l.person_id) = a.id
                    order by l.at desc, l.id desc limit 1)))
                from actors a left join public.people p on p.id = a.id where a.id is not null), '{}')));
end $$;

create function public.audit_choices(p_account_id uuid) returns jsonb
language sql stable set search_path = '' as $$ select private.audit_choices(p_account_id) $$;

grant execute on function
    public.audit_page(uuid, uuid, text, uuid, timestamptz, timestamptz, text, timestamptz, bigint, integer),
    private.audit_page(uuid, uuid, text, uuid, timestamptz, timestamptz, text, timestamptz, bigint, integer),
    public.audit_choices(uuid), private.audit_choices(uuid) to authenticated;
