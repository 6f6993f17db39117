-- Local accounts on plain Postgres: the functions that only the login clipdesk_app may run. Run again at each start.
create schema if not exists local;
grant usage on schema local, private to clipdesk_app;
drop function if exists local.add_person(jsonb);  -- of earlier versions
drop function if exists local.new_login(uuid, text, text, text, boolean);

-- The password hash behind an address; no row when there is none. The caller spends the same time either way.
create or replace function local.password_of(p_email text) returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object('person_id', u.id, 'hash', u.encrypted_password)
    from auth.users u join public.people p on p.id = u.id
    where lower(u.email) = lower(btrim(p_email)) and u.encrypted_password is not null and p.deactivated_at is null
$$;

-- Count a try under a key. Returns seconds to wait: 0 while fewer than p_limit came within the window.
create or replace function local.count_try(p_key text, p_limit integer, p_window_seconds integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    v_hash  bytea := private.hash_secret(p_key);
    v_since timestamptz := private.utc_now() - make_interval(secs => p_window_seconds);
    v_first timestamptz;
    v_count integer;
begin
    perform pg_advisory_xact_lock(hashtextextended(p_key, 1));
    select min(t.at), count(*) into v_first, v_count from private.sign_in_tries t
    where t.key_hash = v_hash and t.at > v_since;
    if v_count >= p_limit then
        return greatest(1, ceil(extract(epoch from v_first - v_since)));
    end if;
    insert into private.sign_in_tries (key_hash) values (v_hash);
    return 0;
end $$;

-- A success forgets the tries for its e-mail address; of those from its network address only its own: many people may
-- share one, and nobody shall wipe out their guesses by signing in between them.
create or replace function local.forget_tries(p_email_key text, p_address_key text) returns void
language sql security definer set search_path = '' as $$
    delete from private.sign_in_tries t where t.key_hash = private.hash_secret(p_email_key);
    delete from private.sign_in_tries t where t.ctid = (
        select x.ctid from private.sign_in_tries x where x.key_hash = private.hash_secret(p_address_key)
        order by x.at desc limit 1);
$$;

-- Open a session and return the secret that is in force: the browser's previous one where it belonged to the same person
-- and only ran out, so that pages still open there go on; else p_secret.
create or replace function local.start_session(
    p_person_id uuid, p_secret text, p_previous text, p_hours integer, p_address text, p_agent text
) returns text language plpgsql security definer set search_path = '' as $$
declare
    v_expires timestamptz := private.utc_now() + make_interval(hours => p_hours);
    v_secret  text := p_secret;
begin
    update private.sessions s set expires_at = v_expires, address = p_address, agent = left(p_agent, 200)
    where s.secret_hash = private.hash_secret(p_previous) and s.person_id = p_person_id
      and s.expires_at between private.utc_now() - interval '2 hours' and private.utc_now()
      and exists (select from public.people p where p.id = p_person_id and p.deactivated_at is null);
    if found then
        v_secret := p_previous;
    else
        insert into private.sessions (secret_hash, person_id, expires_at, address, agent)
        select private.hash_secret(p_secret), p.id, v_expires, p_address, left(p_agent, 200)
        from public.people p where p.id = p_person_id and p.deactivated_at is null;
        if not found then
            perform private.fail('PT401', 'This account is not active.');
        end if;
    end if;
    perform private.note_sign_in(p_person_id);
    return v_secret;
end $$;

create or replace function local.note_failed_sign_in(p_email text) returns void
language sql security definer set search_path = '' as $$
    select private.audit_everywhere(u.id, 'sign_in_failed') from auth.users u where lower(u.email) = lower(btrim(p_email))
$$;

-- A new password of the person in the claims ends all their sessions but this one.
create or replace function local.set_password(p_hash text, p_keep_secret text) returns void
language plpgsql security definer set search_path = '' as $$
begin
    update auth.users u set encrypted_password = p_hash where u.id = auth.uid();
    if not found then
        perform private.fail('PT404', 'There is no password to change.');
    end if;
    delete from private.sessions s
    where s.person_id = auth.uid() and s.secret_hash <> private.hash_secret(p_keep_secret);
    perform private.withdraw_links(auth.uid());
    perform private.audit_everywhere(auth.uid(), 'password_changed');
end $$;

create or replace function local.first_start() returns boolean
language sql stable security definer set search_path = '' as
    $$ select not exists (select from public.accounts a where not a.is_demo) $$;

-- The first company: {account_id, profile_id, person_id, company, slug, timezone, store, store_slug, code, store_timezone,
-- city, name, email, hash}. Only while there is none besides the demo.
create or replace function local.create_company(p jsonb) returns void
language plpgsql security definer set search_path = '' as $$
begin
    if not local.first_start() then
        perform private.fail('PT409', 'This installation already has a company. Sign in instead.');
    end if;
    begin
        insert into auth.users (id, email, encrypted_password)
        values ((p ->> 'person_id')::uuid, btrim(p ->> 'email'), p ->> 'hash');
        insert into public.people (id, email, name)
        values ((p ->> 'person_id')::uuid, btrim(p ->> 'email'), btrim(p ->> 'name'));
    exception when unique_violation then
        perform private.fail('PT409', 'A person with this e-mail address already exists.');
    end;
    perform private.create_company(p - 'hash');
end $$;

-- Links that an admin handed over: the hash of the secret is the permission. ---------------------------------------------

-- The person behind a link that still works; whoever uses it comes one after the other.
create or replace function local.look_at_link(p_token_hash text, p_kind text) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    v_link private.invitations;
begin
    select * into v_link from private.invitations i where i.token_hash = p_token_hash and i.kind = p_kind for update;
    if not found then
        perform private.fail('PT400', 'This link is not complete. Copy it once more, to its last letter.');
    elsif v_link.used_at is not null then
        perform private.fail('PT400', 'This link was used before. Sign in with the password that was chosen.');
    elsif v_link.withdrawn_at is not null then
        perform private.fail('PT400', 'This link was withdrawn or replaced by a newer one. Ask an admin of your company.');
    elsif v_link.expires_at <= private.utc_now() then
        perform private.fail('PT400', 'This link has run out. Ask an admin of your company for a new one.');
    elsif private.is_let_go(v_link.person_id) then
        perform private.fail('PT400', 'This account is not active. Ask an admin of your company.');
    end if;
    return v_link.person_id;
end $$;

-- Set the password of a link's person; the link is used up, their sessions end. Returns who it is.
create or replace function local.use_link(p_token_hash text, p_kind text, p_hash text) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    v_person uuid := local.look_at_link(p_token_hash, p_kind);
begin
    update private.invitations i set used_at = private.utc_now() where i.token_hash = p_token_hash;
    perform private.withdraw_links(v_person);
    update auth.users u set encrypted_password = p_hash where u.id = v_person;
    delete from private.sessions s where s.person_id = v_person;
    perform private.audit_everywhere(
        v_person, case p_kind when 'invite' then 'invitation_accepted' else 'password_changed' end);
    return v_person;
end $$;

-- The demo company: ask for it, watch it, enter it as one of its people.
create or replace function local.request_demo() returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('demo', 1));
    if exists (select from public.accounts a where a.is_demo)
        or exists (select from public.jobs j where j.kind = 'demo' and j.status in ('pending', 'running')) then
        return;
    end if;
    insert into public.jobs (id, kind, request_id) select x, 'demo', x from (select gen_random_uuid() as x) y;
end $$;

create or replace function local.demo_state() returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'job', (select jsonb_build_object('status', j.status, 'progress', j.progress, 'message', j.message,
                                          'error', j.error)
                from public.jobs j where j.kind = 'demo' order by j.created_at desc limit 1),
        'people', (select jsonb_agg(jsonb_build_object('id', p.id, 'name', p.name, 'role', m.role, 'stores', (
                       select string_agg(s.name, ', ' order by s.code) from public.profile_members pm
                       join public.profiles s on s.id = pm.profile_id where pm.person_id = p.id))
                       order by m.role, p.name)
                   from public.accounts a join public.members m on m.account_id = a.id
                   join public.people p on p.id = m.person_id where a.is_demo and m.deactivated_at is null))
$$;

-- Whether all of the person's companies are the demo: nobody with real work is entered without a password.
create or replace function local.is_demo_person(p_person_id uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select coalesce(bool_and(a.is_demo), false)
    from public.members m join public.accounts a on a.id = m.account_id
    where m.person_id = p_person_id
$$;

revoke execute on all functions in schema local from public;
grant execute on function local.password_of(text), local.count_try(text, integer, integer),
    local.forget_tries(text, text), local.start_session(uuid, text, text, integer, text, text),
    local.note_failed_sign_in(text), local.set_password(text, text), local.first_start(), local.create_company(jsonb),
    local.look_at_link(text, text), local.use_link(text, text, text), local.request_demo(), local.demo_state(),
    local.is_demo_person(uuid) to clipdesk_app;
