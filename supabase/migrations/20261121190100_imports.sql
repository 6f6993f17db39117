-- Imports in steps of whole sets: 5,000 rows of any kind within the 8 seconds that a person's statement may take. Each row
-- by itself cost 3 to 36 ms, and more the more there were. And why somebody imports, told with every change.

create function private.slug_base(p_name text) returns text language sql immutable set search_path = '' as $$
    select case when b in ('', 'all') then btrim('store-' || b, '-') else b end
    from (select left(btrim(regexp_replace(lower(p_name), '[^a-z0-9]+', '-', 'g'), '-'), 50)) x (b)
$$;

-- Free names for the addresses of new stores, in the order of their names: each store's own, where nobody has it, else
-- that and the next number. "shop-3" counts for "shop" as well, so that no two end up with the same.
create function private.free_slugs(p_account_id uuid, p_names text[]) returns table (place bigint, slug text)
language sql stable set search_path = '' as $$
    with named as materialized (
        select n.place, b.base, row_number() over (partition by b.base order by n.place) as nth
        from unnest(p_names) with ordinality n (name, place) cross join lateral private.slug_base(n.name) b (base)),
    used as materialized (select s.slug from public.profiles s where s.account_id = p_account_id),
    highest as materialized (
        select regexp_replace(u.slug, '-\d{1,8}$', '') as stem, max(substring(u.slug from '-(\d{1,8})$')::integer) as number
        from (select x.slug from used x union select x.base from named x) u where u.slug ~ '-\d{1,8}$' group by 1)
    select n.place, case when f.free and n.nth = 1 then n.base
                         else n.base || '-' || greatest(h.number, 1) + n.nth - case when f.free then 1 else 0 end end
    from named n
    cross join lateral (select n.base not in (select x.slug from used x) as free) f
    left join highest h on h.stem = n.base
$$;

create or replace function private.free_slug(p_account_id uuid, p_name text) returns text
language sql stable set search_path = '' as $$ select f.slug from private.free_slugs(p_account_id, array[p_name]) f $$;

-- One entry for each of [{subject, profile_id, reason, before, after}], in this order.
create function private.audit_all(p_account_id uuid, p_action text, p_entries jsonb) returns void
language sql set search_path = '' as $$
    insert into public.audit_log (account_id, person_id, person_name, address, action, profile_id, subject, reason,
                                  before, after)
    select p_account_id, auth.uid(), coalesce((select p.name from public.people p where p.id = auth.uid()), 'System'),
           private.my_address(), p_action, (e ->> 'profile_id')::uuid, e ->> 'subject', e ->> 'reason',
           nullif(e -> 'before', 'null'), nullif(e -> 'after', 'null')
    from jsonb_array_elements(coalesce(p_entries, '[]')) with ordinality x (e, place) order by x.place
$$;

-- Whether a text may hold anything that `without_keys` or `redacted` would take away. Most hold nothing, and to look at one
-- field after the other costs a millisecond an entry. A backslash: what JSON escapes could hide the beginning of a key.
create function private.may_hold_keys(p_text text) returns boolean language sql immutable set search_path = '' as $$
    select p_text ~* ('key|secret|passw|passphrase|token|cipher|authori[sz]ation|cookie|credential|bearer|sk[-_]|AIza|eyJ'
                      '|://|[a-z0-9_]{32}|\\')
$$;

-- As before, where there may be something to take away.
create or replace function private.redact_audit() returns trigger language plpgsql set search_path = '' as $$
begin
    if private.may_hold_keys(concat_ws(' ', new.subject, new.reason, new.before, new.after)) then
        new.subject := private.without_keys(new.subject);
        new.reason := private.without_keys(new.reason);
        new.before := private.redacted(new.before);
        new.after := private.redacted(new.after);
    end if;
    return new;
end $$;

-- Stores --------------------------------------------------------------------------------------------------------------

-- As before, without a call for each of a row's fields.
create or replace function private.given_identity(p_store jsonb) returns jsonb
language sql immutable set search_path = '' as $$
    select coalesce(jsonb_object_agg(g.key, to_jsonb(nullif(btrim(regexp_replace(g.value, '\s+', ' ', 'g')), ''))), '{}')
    from jsonb_each_text(case jsonb_typeof(p_store) when 'object' then p_store end) g
    where g.key in ('code', 'name', 'city', 'phone', 'cost_centre', 'timezone')
$$;

-- What is wrong with an identity by itself, best known first.
create function private.identity_faults(p_store jsonb)
returns table (field text, message text) language sql immutable set search_path = '' as $$
    select f.field, f.message from (values
        ('code', p_store ->> 'code' ~ '^[A-Za-z0-9-]{1,16}$', 'A store number has 1 to 16 letters, digits or hyphens.'),
        ('name', char_length(p_store ->> 'name') <= 120, 'The store needs a name of 1 to 120 characters.'),
        ('city', coalesce(char_length(p_store ->> 'city'), 0) <= 80, 'A city has at most 80 characters.'),
        ('phone', coalesce(p_store ->> 'phone', '') ~ '^[0-9+()/. -]{0,40}$',
         'A phone number has up to 40 digits, blanks and + ( ) / . -'),
        ('cost_centre', coalesce(char_length(p_store ->> 'cost_centre'), 0) <= 40,
         'A cost centre has at most 40 characters.'),
        ('timezone', p_store ->> 'timezone' ~ '^[A-Za-z_]+(/[A-Za-z0-9_+-]+)*$'
                     and private.is_timezone(p_store ->> 'timezone'), 'Choose a time zone such as Europe/London.')
    ) as f(field, fine, message) where f.fine is not true
$$;

create or replace function private.store_faults(p_account_id uuid, p_profile_id uuid, p_store jsonb)
returns table (field text, message text) language sql stable set search_path = '' as $$
    select f.field, f.message from private.identity_faults(p_store) f
    union all
    select 'code', case when s.archived_at is null then format('%s has the number %s already.', s.name, s.code)
                        else format('The archived store %s has the number %s. Bring it back, or choose another number.',
                                    s.name, s.code) end
    from public.profiles s
    where s.account_id = p_account_id and lower(s.code) = lower(p_store ->> 'code') and s.id is distinct from p_profile_id
$$;

-- As before, without looking for each number by itself: stores are known by it, so none of theirs is taken. And who can be
-- given no link, as it would open another company too, is said beside the address.
drop function private.import_codes(uuid, jsonb);
create or replace function private.import_problems(p_account_id uuid, p_rows jsonb)
returns table (kind text, line integer, field text, message text) language sql stable set search_path = '' as $$
    with stores as materialized (select * from private.import_stores(p_account_id, p_rows)),
    codes as materialized (      -- of the stores that there are, or will be
        select lower(s.code) as code from public.profiles s where s.account_id = p_account_id and s.archived_at is null
        union
        select coalesce(lower(n.after ->> 'code'), '') from stores n where n.profile_id is null),
    people as materialized (select * from private.import_people(p_account_id, p_rows)),
    pairs as materialized (select * from private.import_pairs(p_rows)),
    roles as materialized (      -- of everybody who is here or in the file
        select lower(x.email) as email, m.role, true as here from public.members m
        join public.people x on x.id = m.person_id where m.account_id = p_account_id
        union all
        select n.email, n.role, false from people n where n.present_role is null),
    quotas as materialized (select * from private.import_quotas(p_account_id, p_rows)),
    found (kind, line, field, message) as (
        select 'stores', s.line, f.field, f.message
        from stores s cross join lateral private.identity_faults(s.after) f where not s.archived
        union all
        select 'stores', s.line, 'code', 'This store is archived. Bring it back first.' from stores s where s.archived
        union all
        select 'stores', s.line, 'code', 'This number is in the file more than once.' from stores s where s.times > 1
        union all
        select 'people', n.line, 'name', 'A person needs a name of 1 to 120 characters.' from people n
        where n.present_role is null and (char_length(n.name) <= 120) is not true
        union all
        select 'people', n.line, 'email', 'That is not an e-mail address.' from people n
        where (n.email ~ '^[^@\s]+@[^@\s]+\.[^@\s]+$' and char_length(n.email) <= 254) is not true
        union all
        select 'people', n.line, 'email', 'This address is in the file more than once.' from people n where n.times > 1
        union all
        select 'people', n.line, 'email', 'This person is deactivated. Let them back in under People first.' from people n
        where n.deactivated and n.present_role is not null
        union all
        select 'people', n.line, 'email',
               'Another company''s invitation to this person is still open. Let them follow it first.'
        from people n join public.people p on lower(p.email) = n.email
        where n.present_role is null and private.keeps_passwords() and private.works_elsewhere(p.id, p_account_id)
          and not exists (select from auth.users u where u.id = p.id and u.encrypted_password is not null)
        union all
        select 'people', n.line, 'role', 'Write admin, manager or finance.' from people n
        where (n.role in ('admin', 'manager', 'finance')) is not true
        union all
        select 'people', n.line, 'role', format('Is %s here. Roles are changed under People, one by one.', n.present_role)
        from people n where n.present_role <> n.role
        union all
        select 'people', n.line, 'stores', 'A manager works in at least one store.' from people n
        where n.present_role is null and n.role = 'manager' and n.email not in (select coalesce(q.email, '') from pairs q)
        union all
        select q.kind, q.line, case q.kind when 'people' then 'stores' else 'store' end,
               format('There is no store with the number %s.', coalesce(nullif(q.code, ''), '(none)'))
        from pairs q where coalesce(q.code, '') not in (select c.code from codes c)
        union all
        select q.kind, q.line, case q.kind when 'people' then 'stores' else 'email' end,
               format('Only managers are given stores; %s sees all of them.', r.role)
        from pairs q join roles r on r.email = q.email where r.role <> 'manager'
        union all
        select q.kind, q.line, 'email', 'Nobody with this address works here. Put them into the people file.'
        from pairs q where q.kind = 'assignments' and coalesce(q.email, '') not in (select coalesce(r.email, '#') from roles r)
        union all
        select 'quotas', l.line, 'store', format('There is no store with the number %s.', coalesce(nullif(l.code, ''), '(none)'))
        from quotas l where coalesce(l.code, '') not in (select c.code from codes c)
        union all
        select 'quotas', l.line, 'store', 'This number is in the file more than once.' from quotas l where l.times > 1
        union all
        select 'quotas', l.line, 'limit', 'Write "No limit", or an amount in US dollars such as 25.00.' from quotas l
        where (l.usd ~ '^\d{1,8}(\.\d{1,2})?$') is not true
        union all
        select 'quotas', l.line, 'reason', 'Say why, in at most 500 characters, so that the log can tell later.' from quotas l
        where (char_length(l.reason) between 1 and 500) is not true)
    select distinct f.kind, f.line, f.field, f.message from found f
$$;

drop function private.import_new_stores(uuid, jsonb);
create function private.import_new_stores(p_account_id uuid, p_rows jsonb, p_reason text) returns void
language plpgsql set search_path = '' as $$
declare
    v_quota  numeric := (select a.new_store_quota_usd from public.accounts a where a.id = p_account_id);
    v_stores jsonb;      -- [{id, line, after}]
begin
    select jsonb_agg(jsonb_build_object('id', gen_random_uuid(), 'line', s.line, 'after', s.after) order by s.line)
    into v_stores from private.import_stores(p_account_id, p_rows) s where s.profile_id is null;
    insert into public.profiles (id, account_id, slug, code, name, city, phone, cost_centre, timezone, monthly_quota_usd)
    select (s ->> 'id')::uuid, p_account_id, f.slug, i.*, v_quota
    from jsonb_array_elements(v_stores) with ordinality x (s, place)
    join private.free_slugs(p_account_id, array(select y #>> '{after,name}' from jsonb_array_elements(v_stores)
                                                with ordinality z (y, place) order by z.place)) f using (place)
    cross join lateral jsonb_to_record(s -> 'after') as i (
        code text, name text, city text, phone text, cost_centre text, timezone text);
    perform private.audit_all(p_account_id, 'store_created', (
        select jsonb_agg(jsonb_build_object('subject', s #> '{after,name}', 'profile_id', s -> 'id', 'reason', p_reason,
                                            'after', s -> 'after') order by (s ->> 'line')::integer)
        from jsonb_array_elements(v_stores) s));
    insert into public.quota_changes (id, account_id, profile_id, before_usd, after_usd, reason, changed_by)
    select gen_random_uuid(), p_account_id, (s ->> 'id')::uuid, 0, v_quota, 'What new stores start with', auth.uid()
    from jsonb_array_elements(v_stores) s where v_quota > 0;
end $$;

drop function private.import_changed_stores(uuid, jsonb);
create function private.import_changed_stores(p_account_id uuid, p_rows jsonb, p_reason text) returns void
language plpgsql set search_path = '' as $$
declare
    v_changes jsonb;      -- [{id, before, after}], each store locked
begin
    select jsonb_agg(jsonb_build_object('id', l.id, 'before', l.before, 'after', l.after) order by l.id)
    into v_changes
    from (select p.id, private.store_identity(p) as before, s.after
          from private.import_stores(p_account_id, p_rows) s join public.profiles p on p.id = s.profile_id
          where s.before <> s.after order by p.id for no key update of p) l;
    update public.profiles p
    set code = i.code, name = i.name, city = i.city, phone = i.phone, cost_centre = i.cost_centre, timezone = i.timezone,
        version = p.version + 1
    from jsonb_array_elements(v_changes) c cross join lateral jsonb_to_record(c -> 'after') as i (
        code text, name text, city text, phone text, cost_centre text, timezone text)
    where p.id = (c ->> 'id')::uuid;
    perform private.audit_all(p_account_id, 'store_changed', (
        select jsonb_agg(jsonb_build_object(
            'subject', c #> '{after,name}', 'profile_id', c -> 'id', 'reason', p_reason,
            'before', private.differing(c -> 'before', c -> 'after'),
            'after', private.differing(c -> 'after', c -> 'before')) order by c -> 'id')
        from jsonb_array_elements(v_changes) c));
end $$;

-- Limits --------------------------------------------------------------------------------------------------------------

-- As before, at the cost of one step where nothing was used yet.
create or replace function private.notice_quota_change() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    v_month date := private.month_of(private.utc_now());
    v_scope uuid := coalesce(new.profile_id, new.account_id);
    v_used  numeric := (select c.settled_usd + c.held_usd from public.quota_counters c
                        where c.scope_id = v_scope and c.month = v_month);
    v_limit numeric;
begin
    if v_used > 0 then
        v_limit := private.limit_in_force(new.account_id, new.profile_id);
    end if;
    update public.notices n set resolved_at = private.utc_now()
    where n.account_id = new.account_id and n.resolved_at is null
      and (n.dedupe_key = format('quota:%s:%s:100', v_scope, v_month) and (v_used < v_limit) is not false
           or n.dedupe_key = format('quota:%s:%s:90', v_scope, v_month) and (v_used < 0.9 * v_limit) is not false);
    if v_limit is not null then
        perform private.look_at_quota(new.account_id, new.profile_id, v_month);
    end if;
    return null;
end $$;

-- As set_quota: the counters first, then the stores, each in the order of their ids.
create or replace function private.import_limits(p_account_id uuid, p_rows jsonb) returns void
language plpgsql set search_path = '' as $$
declare
    v_month  date := private.month_of(private.utc_now());
    v_stores uuid[];
    v_limits jsonb;       -- [{id, usd, reason, before}], each counter and store locked
begin
    v_stores := array(select l.profile_id from private.import_quotas(p_account_id, p_rows) l
                      where l.before <> l.usd::numeric order by l.profile_id);
    perform pg_advisory_xact_lock_shared(private.month_key(p_account_id, v_month));
    insert into public.quota_counters (scope_id, month, account_id)
    select s, v_month, p_account_id from unnest(v_stores) s order by s on conflict do nothing;
    perform from public.quota_counters c where c.scope_id = any (v_stores) and c.month = v_month
    order by c.scope_id for no key update;
    perform from public.profiles p where p.id = any (v_stores) order by p.id for no key update;
    select jsonb_agg(jsonb_build_object('id', l.profile_id, 'usd', l.usd::numeric, 'reason', l.reason, 'before', l.before)
                     order by l.profile_id)
    into v_limits from private.import_quotas(p_account_id, p_rows) l
    where l.profile_id = any (v_stores) and l.before <> l.usd::numeric;
    update public.profiles p set monthly_quota_usd = (l ->> 'usd')::numeric
    from jsonb_array_elements(v_limits) l where p.id = (l ->> 'id')::uuid;
    insert into public.quota_changes (id, account_id, profile_id, before_usd, after_usd, reason, changed_by)
    select gen_random_uuid(), p_account_id, (l ->> 'id')::uuid, (l ->> 'before')::numeric, (l ->> 'usd')::numeric,
           l ->> 'reason', auth.uid()
    from jsonb_array_elements(v_limits) l;
    perform private.audit_all(p_account_id, 'quota_changed', (
        select jsonb_agg(jsonb_build_object(
            'profile_id', l -> 'id', 'reason', l -> 'reason',
            'before', jsonb_build_object('monthly_quota_usd', l ->> 'before'),
            'after', jsonb_build_object('monthly_quota_usd', l ->> 'usd')) order by l -> 'id')
        from jsonb_array_elements(v_limits) l));
end $$;

-- People --------------------------------------------------------------------------------------------------------------

-- Whoever is to be let in: {name, email, role, token_hash, profile_ids}, with `known`: the database has them, for another
-- company or from an earlier time here.
create function private.import_newcomers(p_account_id uuid, p_rows jsonb) returns setof jsonb
language sql stable set search_path = '' as $$
    with stores as materialized (
        select q.email, jsonb_agg(distinct s.id) as ids from private.import_pairs(p_rows) q
        join public.profiles s on s.account_id = p_account_id and lower(s.code) = q.code and s.archived_at is null
        group by q.email)
    select jsonb_build_object('name', n.name, 'email', n.email, 'role', n.role, 'token_hash', n.token_hash,
                              'profile_ids', coalesce(s.ids, '[]'),
                              'known', exists (select from public.people p where lower(p.email) = n.email))
    from private.import_people(p_account_id, p_rows) n left join stores s on s.email = n.email
    where n.present_role is null and not n.invited order by n.line
$$;

-- People whom nobody knew, where passwords are kept here: each with a link to hand over, or one to be made later. Returns
-- what add_or_invite does, of each.
create function private.let_in(p_account_id uuid, p_people jsonb, p_reason text) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_until timestamptz := private.utc_now() + interval '7 days';
    v_all   jsonb := (select jsonb_agg(p || jsonb_build_object('person_id', gen_random_uuid()) order by x.place)
                      from jsonb_array_elements(p_people) with ordinality x (p, place));
begin
    insert into auth.users (id, email)
    select (p ->> 'person_id')::uuid, p ->> 'email' from jsonb_array_elements(v_all) p;
    insert into public.people (id, email, name)
    select (p ->> 'person_id')::uuid, p ->> 'email', p ->> 'name' from jsonb_array_elements(v_all) p;
    insert into public.members (account_id, person_id, role)
    select p_account_id, (p ->> 'person_id')::uuid, p ->> 'role' from jsonb_array_elements(v_all) p;
    insert into public.profile_members (account_id, profile_id, person_id)
    select p_account_id, s::uuid, (p ->> 'person_id')::uuid
    from jsonb_array_elements(v_all) p cross join jsonb_array_elements_text(p -> 'profile_ids') s
    where p ->> 'role' = 'manager';
    insert into private.invitations (account_id, person_id, kind, token_hash, expires_at, created_by)
    select p_account_id, (p ->> 'person_id')::uuid, 'invite', p ->> 'token_hash',
           case when p ->> 'token_hash' is null then private.utc_now() else v_until end, auth.uid()
    from jsonb_array_elements(v_all) p;
    perform private.audit_all(p_account_id, 'person_added', (
        select jsonb_agg(jsonb_build_object(
            'subject', p -> 'email', 'reason', p_reason,
            'after', private.member_facts(p_account_id, (p ->> 'person_id')::uuid)) order by x.place)
        from jsonb_array_elements(v_all) with ordinality x (p, place)));
    return (select coalesce(jsonb_agg(jsonb_build_object(
                'person_id', p -> 'person_id', 'link', p ->> 'token_hash' is not null, 'expires_at', v_until,
                'name', p -> 'name', 'email', p -> 'email', 'role', p -> 'role') order by x.place), '[]')
            from jsonb_array_elements(v_all) with ordinality x (p, place));
exception when unique_violation then
    perform private.fail('PT409', 'Somebody let one of these people in meanwhile. Nothing was changed; import again.');
end $$;

-- People whom the sign-in service does not know: a job each has it mail the invitation. Returns as let_in.
create function private.invite_all(p_account_id uuid, p_people jsonb, p_reason text) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_all jsonb := (select jsonb_agg(p || jsonb_build_object('job_id', gen_random_uuid()) order by x.place)
                    from jsonb_array_elements(p_people) with ordinality x (p, place));
begin
    perform private.insert_job(j) from jsonb_array_elements(v_all) p
    cross join lateral jsonb_populate_record(null::public.jobs, jsonb_build_object(
        'id', p -> 'job_id', 'account_id', p_account_id, 'kind', 'invite', 'created_by', auth.uid(),
        'input', jsonb_build_object('name', p -> 'name', 'email', p -> 'email', 'role', p -> 'role',
                                    'profile_ids', p -> 'profile_ids', 'reason', p_reason))) j;
    return (select coalesce(jsonb_agg(jsonb_build_object(
                'person_id', null, 'link', false, 'job_id', p -> 'job_id',
                'name', p -> 'name', 'email', p -> 'email', 'role', p -> 'role') order by x.place), '[]')
            from jsonb_array_elements(v_all) with ordinality x (p, place));
end $$;

drop function private.import_new_people(uuid, jsonb);
create function private.import_new_people(p_account_id uuid, p_rows jsonb, p_reason text) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_new     jsonb;
    v_unknown jsonb;
    v_person  jsonb;
    v_added   jsonb;
begin
    if not exists (select from private.import_list(p_rows, 'people')) then
        return '[]';
    end if;
    perform private.lock_people(p_account_id);
    v_new := coalesce((select jsonb_agg(n) from private.import_newcomers(p_account_id, p_rows) n), '[]');
    if v_new <> '[]' then
        perform private.refuse_demo(p_account_id);
    end if;
    v_unknown := jsonb_path_query_array(v_new, '$[*] ? (@.known == false)');
    v_added := case when private.keeps_passwords() then private.let_in(p_account_id, v_unknown, p_reason)
                    else private.invite_all(p_account_id, v_unknown, p_reason) end;
    for v_person in select jsonb_path_query(v_new, '$[*] ? (@.known == true)') loop
        v_added := v_added || jsonb_build_array(
            private.add_or_invite(p_account_id, v_person || jsonb_build_object('reason', p_reason))
            || jsonb_build_object('name', v_person -> 'name', 'email', v_person -> 'email', 'role', v_person -> 'role'));
    end loop;
    return v_added;
end $$;

-- The people who were here before. New ones have been let in with their stores.
drop function private.import_assignments(uuid, jsonb);
create function private.import_assignments(p_account_id uuid, p_rows jsonb, p_reason text) returns void
language plpgsql set search_path = '' as $$
declare
    v_given jsonb;
begin
    with wanted as materialized (
        select distinct m.person_id, s.id as profile_id from private.import_pairs(p_rows) q
        join public.people x on lower(x.email) = q.email
        join public.members m on m.account_id = p_account_id and m.person_id = x.id and m.role = 'manager'
        join public.profiles s on s.account_id = p_account_id and lower(s.code) = q.code and s.archived_at is null
        order by m.person_id, s.id),
    added as (
        insert into public.profile_members (account_id, profile_id, person_id)
        select p_account_id, w.profile_id, w.person_id from wanted w on conflict do nothing
        returning profile_id, person_id),
    given as (
        select x.email, jsonb_agg(s.code order by s.code) as codes from added a
        join public.people x on x.id = a.person_id join public.profiles s on s.id = a.profile_id group by x.email)
    select jsonb_agg(jsonb_build_object('subject', g.email, 'reason', p_reason,
                                        'after', jsonb_build_object('stores', g.codes)) order by g.email)
    into v_given from given g;
    perform private.audit_all(p_account_id, 'stores_assigned', v_given);
end $$;

-- All of it -----------------------------------------------------------------------------------------------------------

-- As before, with the reason that every change of the import is noted with; limits have one each.
drop function public.import_rows(uuid, jsonb);
drop function private.import_rows(uuid, jsonb);
create function private.import_rows(p_account_id uuid, p_rows jsonb, p_reason text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_reason  text;
    v_checked jsonb;
    v_did     jsonb;
    v_people  jsonb;
begin
    perform private.may_import(p_account_id, p_rows);
    v_reason := private.given_reason(p_reason);
    perform private.lock_stores(p_account_id);
    v_checked := private.check_import(p_account_id, p_rows);
    if (v_checked ->> 'wrong')::integer > 0 then
        perform private.fail('PT400', format('%s of the files'' cells are wrong, the first in row %s of %s: %s Nothing was changed.',
            v_checked ->> 'wrong', v_checked #>> '{problems,0,row}', v_checked #>> '{problems,0,kind}',
            v_checked #>> '{problems,0,message}'));
    end if;
    select jsonb_object_agg(k, (select count(*) from jsonb_array_elements(v_checked -> 'effects') e
                                where e ->> 'kind' = k and e ->> 'does' in ('new', 'changed')))
    into v_did from unnest('{stores,people,assignments,quotas}'::text[]) k;
    perform private.import_new_stores(p_account_id, p_rows, v_reason);
    perform private.import_limits(p_account_id, p_rows);       -- counters first: a hold has them before the company's row
    v_people := private.import_new_people(p_account_id, p_rows, v_reason);
    perform private.import_assignments(p_account_id, p_rows, v_reason);
    perform private.import_changed_stores(p_account_id, p_rows, v_reason);
    if v_did <> '{"stores": 0, "people": 0, "assignments": 0, "quotas": 0}' then
        perform private.audit(p_account_id, 'imported', null, null, v_reason, null, v_did);
    end if;
    return v_did || jsonb_build_object('added', v_people);
end $$;
create function public.import_rows(p_account_id uuid, p_rows jsonb, p_reason text default null) returns jsonb
language sql set search_path = '' as $$ select private.import_rows(p_account_id, p_rows, p_reason) $$;
grant execute on function public.import_rows(uuid, jsonb, text), private.import_rows(uuid, jsonb, text) to authenticated;
