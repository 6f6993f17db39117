-- People of a company: invited by a link or by mail, given roles and stores, stopped, let go. Whoever is let go stays
-- known, so that jobs and ledgers still have a name for them.

alter table public.members
    add column deactivated_at timestamptz,               -- stopped in this company only
    add column version        integer not null default 1;

create table private.former_members (
    account_id uuid not null references public.accounts on delete cascade,
    person_id  uuid not null references public.people on delete cascade,
    at         timestamptz not null default private.utc_now(),
    primary key (account_id, person_id)
);
create index former_members_person on private.former_members (person_id);

-- With the demo company goes whoever it had let go, unless they work elsewhere.
create function private.forget_former_member() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    delete from public.people p
    where p.id = old.person_id and not exists (select from public.members m where m.person_id = p.id)
      and not exists (select from private.former_members f where f.person_id = p.id);
    delete from auth.users u where u.id = old.person_id and not exists (select from public.people p where p.id = u.id);
    return null;
end $$;
create trigger forget after delete on private.former_members
    for each row execute function private.forget_former_member();

create or replace function private.my_colleague_ids() returns setof uuid
language sql stable security definer set search_path = '' as $$
    select m.person_id from public.members m where m.account_id in (select private.my_account_ids())
    union all
    select f.person_id from private.former_members f where f.account_id in (select private.my_account_ids())
$$;

create function private.count_version() returns trigger language plpgsql set search_path = '' as $$
begin
    new.version := case tg_op when 'INSERT' then 1 else old.version + 1 end;
    return new;
end $$;
create trigger count_version before insert or update on public.members
    for each row execute function private.count_version();

create table private.sign_ins (
    person_id uuid primary key references public.people on delete cascade,
    at        timestamptz not null       -- the last one
);

-- Links with which somebody chooses a password. The secret in a link is known to whoever holds it and to nobody else.
create table private.invitations (
    id           uuid primary key default gen_random_uuid(),
    account_id   uuid not null references public.accounts on delete cascade,
    person_id    uuid not null references public.people on delete cascade,
    kind         text not null check (kind in ('invite', 'recovery')),
    token_hash   text unique check (token_hash ~ '^[0-9a-f]{64}$'),  -- null: the sign-in service made and mailed it
    expires_at   timestamptz not null,
    created_by   uuid,
    created_at   timestamptz not null default private.utc_now(),
    used_at      timestamptz,
    withdrawn_at timestamptz
);
create index invitations_account on private.invitations (account_id);
create index invitations_person on private.invitations (person_id);

-- Whether the person was invited and has not followed a link yet.
create function private.awaits_link(p_person_id uuid) returns boolean
language sql stable set search_path = '' as $$
    select coalesce(bool_and(i.used_at is null), false)
    from private.invitations i where i.person_id = p_person_id and i.kind = 'invite'
$$;

create function private.withdraw_links(p_person_id uuid, p_account_id uuid default null) returns void
language sql set search_path = '' as $$
    update private.invitations i set withdrawn_at = private.utc_now()
    where i.person_id = p_person_id and i.used_at is null and i.withdrawn_at is null
      and (p_account_id is null or i.account_id = p_account_id)
$$;

-- Only active memberships count ----------------------------------------------------------------------------------------

create or replace function private.my_account_ids(p_roles text[] default null) returns setof uuid
language sql stable security definer set search_path = '' as $$
    select m.account_id from public.members m join public.people p on p.id = m.person_id
    where m.person_id = (select auth.uid()) and p.deactivated_at is null and m.deactivated_at is null
      and (p_roles is null or m.role = any (p_roles))
$$;

create function private.works_elsewhere(p_person_id uuid, p_account_id uuid) returns boolean
language sql stable set search_path = '' as $$
    select exists (select from public.members m
                   where m.person_id = p_person_id and m.account_id <> p_account_id)
$$;

-- Whether the companies the person worked for have all stopped that.
create function private.is_let_go(p_person_id uuid) returns boolean
language sql stable set search_path = '' as $$
    select not exists (select from public.members m where m.person_id = p_person_id and m.deactivated_at is null)
       and (exists (select from public.members m where m.person_id = p_person_id)
            or exists (select from private.former_members f where f.person_id = p_person_id))
$$;

create or replace function private.load_session(p_secret text) returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object(
        'id', p.id, 'name', p.name, 'email', p.email, 'expires_at', s.expires_at, 'address', s.address,
        'must_change', s.must_change, 'tokens', s.tokens,
        'token_seconds', extract(epoch from s.tokens_until - private.utc_now())::integer,
        'memberships', coalesce((
            select jsonb_agg(jsonb_build_object('account_id', a.id, 'account_name', a.name, 'timezone', a.timezone,
                                                'role', m.role, 'is_demo', a.is_demo) order by a.name)
            from public.members m join public.accounts a on a.id = m.account_id
            where m.person_id = p.id and m.deactivated_at is null), '[]'))
    from private.sessions s join public.people p on p.id = s.person_id
    where s.secret_hash = private.hash_secret(p_secret)
      and s.expires_at > private.utc_now() and p.deactivated_at is null
      and (s.tokens is null or private.may_sign_in(p.id))
$$;

create or replace function private.audit_everywhere(p_person_id uuid, p_action text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_account uuid;
begin
    for v_account in select m.account_id from public.members m
                     where m.person_id = p_person_id and m.deactivated_at is null loop
        perform private.audit(v_account, p_action, p_person_id => p_person_id);
    end loop;
end $$;

-- Somebody signs in. A link that the sign-in service mailed led here, if one was waiting.
create function private.note_sign_in(p_person_id uuid) returns void
language plpgsql set search_path = '' as $$
begin
    if private.is_let_go(p_person_id) then
        perform private.fail('PT401', 'This account is not active. Ask an admin of your company.');
    end if;
    insert into private.sign_ins (person_id, at) values (p_person_id, private.utc_now())
    on conflict (person_id) do update set at = excluded.at;
    update private.invitations i set used_at = private.utc_now()
    where i.person_id = p_person_id and i.token_hash is null and i.used_at is null and i.withdrawn_at is null;
    perform private.audit_everywhere(p_person_id, 'signed_in');
end $$;

create or replace function private.open_session(
    p_secret text, p_renew boolean, p_tokens text, p_token_seconds integer, p_hours integer, p_agent text,
    p_must_change boolean
) returns boolean language plpgsql security definer set search_path = '' as $$
declare
    v_now     timestamptz := private.utc_now();
    v_expires timestamptz := v_now + make_interval(hours => p_hours);
    v_until   timestamptz := v_now + make_interval(secs => p_token_seconds);
begin
    if not exists (select from public.people p where p.id = auth.uid() and p.deactivated_at is null) then
        perform private.fail('PT401', 'This account does not belong to a company here. Ask an admin to invite you.');
    end if;
    if p_renew then
        update private.sessions s
        set expires_at = v_expires, address = private.my_address(), agent = left(p_agent, 200), tokens = p_tokens,
            tokens_until = v_until, refresh_until = null, must_change = p_must_change
        where s.secret_hash = private.hash_secret(p_secret) and s.person_id = auth.uid()
          and s.expires_at between v_now - interval '2 hours' and v_now;
        if not found then
            return false;
        end if;
    else
        insert into private.sessions (secret_hash, person_id, expires_at, address, agent, must_change, tokens, tokens_until)
        values (private.hash_secret(p_secret), auth.uid(), v_expires, private.my_address(), left(p_agent, 200),
                p_must_change, p_tokens, v_until);
    end if;
    perform private.note_sign_in(auth.uid());
    return true;
end $$;

-- Who may change whom --------------------------------------------------------------------------------------------------

create or replace function private.may_add_people(p_account_id uuid) returns void
language plpgsql stable security definer set search_path = '' as $$
begin
    if p_account_id is null or p_account_id not in (select private.my_account_ids()) then
        perform private.fail('PT404', 'Company not found.');
    elsif p_account_id not in (select private.my_account_ids('{admin}')) then
        perform private.fail('PT403', 'Only an admin of the company does this.');
    end if;
end $$;

-- Anybody at this machine may look through the demo's admin's eyes: nobody real comes in by way of them.
create function private.refuse_demo(p_account_id uuid) returns void
language plpgsql stable set search_path = '' as $$
begin
    if exists (select from public.accounts a where a.id = p_account_id and a.is_demo) then
        perform private.fail('PT403', 'The demo company invites nobody: its people are made up. Try it in your own.');
    end if;
end $$;

-- A company's people are changed one after the other: of two admins who end each other's rights, the second has none left.
create function private.lock_people(p_account_id uuid) returns void
language plpgsql set search_path = '' as $$
begin
    perform private.may_add_people(p_account_id);
    perform from public.accounts a where a.id = p_account_id for no key update;
    perform private.may_add_people(p_account_id);
end $$;

create function private.find_member(p_account_id uuid, p_person_id uuid) returns public.members
language plpgsql set search_path = '' as $$
declare
    v_member public.members;
begin
    perform private.lock_people(p_account_id);
    select * into v_member from public.members m
    where m.account_id = p_account_id and m.person_id = p_person_id;
    if not found then
        perform private.fail('PT404', 'This person does not work for the company.');
    end if;
    return v_member;
end $$;

create function private.find_member(p_account_id uuid, p_person_id uuid, p_version integer) returns public.members
language plpgsql set search_path = '' as $$
declare
    v_member public.members := private.find_member(p_account_id, p_person_id);
begin
    if v_member.version is distinct from p_version then
        perform private.fail('PT409', 'Somebody saved this meanwhile. Look at it again, then repeat your change.');
    end if;
    return v_member;
end $$;

create function private.keep_an_admin(p_account_id uuid) returns void
language plpgsql set search_path = '' as $$
begin
    if not exists (select from public.members m join public.people p on p.id = m.person_id
                   where m.account_id = p_account_id and m.role = 'admin' and m.deactivated_at is null
                     and p.deactivated_at is null and not private.awaits_link(m.person_id)) then
        perform private.fail('PT409', 'The company would have no active admin left. Make somebody else admin first.');
    end if;
end $$;

-- What the log says of somebody: role, and stores by number and name.
create function private.member_facts(p_account_id uuid, p_person_id uuid) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object('role', m.role, 'stores', coalesce((
        select jsonb_agg(s.code || ' · ' || s.name order by s.code)
        from public.profile_members pm join public.profiles s on s.id = pm.profile_id
        where pm.account_id = m.account_id and pm.person_id = m.person_id), '[]'))
    from public.members m where m.account_id = p_account_id and m.person_id = p_person_id
$$;

create function private.email_of(p_person_id uuid) returns text language sql stable set search_path = '' as
    $$ select p.email from public.people p where p.id = p_person_id $$;

-- Whoever works nowhere else is signed out; others lose this company, which the database asks at every call.
create function private.end_sessions_of(p_person_id uuid) returns void
language sql set search_path = '' as
    $$ delete from private.sessions s where s.person_id = p_person_id and private.is_let_go(p_person_id) $$;

-- Roles and stores -----------------------------------------------------------------------------------------------------

create function private.check_place(p_account_id uuid, p_role text, p_profile_ids uuid[]) returns void
language plpgsql stable set search_path = '' as $$
begin
    if p_role is null or p_role not in ('admin', 'manager', 'finance') then
        perform private.fail('PT400', 'Choose a role: admin, manager or finance.', '{"field": "role"}');
    elsif p_role = 'manager' and coalesce(cardinality(p_profile_ids), 0) = 0 then
        perform private.fail('PT400', 'A manager works in at least one store.', '{"field": "stores"}');
    elsif exists (select from unnest(p_profile_ids) x
                  where not exists (select from public.profiles s where s.id = x and s.account_id = p_account_id)) then
        perform private.fail('PT404', 'Store not found.');
    end if;
end $$;

create function private.write_member(p_account_id uuid, p_person_id uuid, p_role text, p_profile_ids uuid[]) returns void
language plpgsql set search_path = '' as $$
begin
    insert into public.members (account_id, person_id, role) values (p_account_id, p_person_id, p_role)
    on conflict (account_id, person_id) do update set role = excluded.role;
    delete from public.profile_members pm
    where pm.account_id = p_account_id and pm.person_id = p_person_id
      and (p_role <> 'manager' or pm.profile_id <> all (p_profile_ids));
    insert into public.profile_members (account_id, profile_id, person_id)
    select p_account_id, x, p_person_id from unnest(p_profile_ids) x where p_role = 'manager' on conflict do nothing;
end $$;

-- Give somebody a role and, as a manager, stores. Nobody's own role: another admin's signature is needed for that.
create function private.set_member(
    p_account_id uuid, p_person_id uuid, p_role text, p_profile_ids uuid[], p_version integer
) returns void language plpgsql security definer set search_path = '' as $$
declare
    v_member public.members := private.find_member(p_account_id, p_person_id, p_version);
    v_before jsonb := private.member_facts(p_account_id, p_person_id);
begin
    if p_person_id = auth.uid() then
        perform private.fail('PT403', 'Nobody changes their own role. Another admin of the company can.');
    end if;
    perform private.check_place(p_account_id, p_role, p_profile_ids);
    perform private.write_member(p_account_id, p_person_id, p_role, p_profile_ids);
    perform private.audit(p_account_id, 'person_changed', private.email_of(p_person_id), null, null, v_before,
                          private.member_facts(p_account_id, p_person_id));
end $$;

create function private.deactivate_member(p_account_id uuid, p_person_id uuid, p_version integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_member public.members := private.find_member(p_account_id, p_person_id, p_version);
begin
    update public.members m set deactivated_at = coalesce(m.deactivated_at, private.utc_now())
    where m.account_id = p_account_id and m.person_id = p_person_id;
    perform private.keep_an_admin(p_account_id);
    perform private.end_sessions_of(p_person_id);
    perform private.audit(p_account_id, 'person_deactivated', private.email_of(p_person_id), null, null,
                          jsonb_build_object('active', v_member.deactivated_at is null), '{"active": false}');
end $$;

create function private.reactivate_member(p_account_id uuid, p_person_id uuid, p_version integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_member public.members := private.find_member(p_account_id, p_person_id, p_version);
begin
    if exists (select from public.people p where p.id = p_person_id and p.deactivated_at is not null) then
        perform private.fail('PT409', 'Whoever runs this installation has stopped this person in all companies.');
    end if;
    update public.members m set deactivated_at = null where m.account_id = p_account_id and m.person_id = p_person_id;
    perform private.audit(p_account_id, 'person_reactivated', private.email_of(p_person_id), null, null,
                          jsonb_build_object('active', v_member.deactivated_at is null), '{"active": true}');
end $$;

-- Let somebody go, or withdraw an invitation that was not followed yet.
create function private.remove_member(p_account_id uuid, p_person_id uuid, p_version integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_member public.members := private.find_member(p_account_id, p_person_id, p_version);
    v_before jsonb := private.member_facts(p_account_id, p_person_id);
    v_action text := case when private.awaits_link(p_person_id) then 'invitation_withdrawn' else 'person_removed' end;
begin
    delete from public.profile_members pm where pm.account_id = p_account_id and pm.person_id = p_person_id;
    delete from public.members m where m.account_id = p_account_id and m.person_id = p_person_id;
    insert into private.former_members (account_id, person_id) values (p_account_id, p_person_id) on conflict do nothing;
    perform private.keep_an_admin(p_account_id);
    perform private.withdraw_links(p_person_id, p_account_id);
    perform private.end_sessions_of(p_person_id);
    perform private.audit(p_account_id, v_action, private.email_of(p_person_id), null, null, v_before);
end $$;

-- End all sessions of somebody. Returns how many there were.
create function private.sign_out_member(p_account_id uuid, p_person_id uuid) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    v_member public.members := private.find_member(p_account_id, p_person_id);
    v_count  integer;
begin
    delete from private.sessions s where s.person_id = v_member.person_id;
    get diagnostics v_count = row_count;
    perform private.audit(p_account_id, 'person_signed_out', private.email_of(p_person_id), null, null, null,
                          jsonb_build_object('sessions', v_count));
    return v_count;
end $$;

-- Invitations and links ------------------------------------------------------------------------------------------------

-- Whether this installation keeps the passwords, so that links are handed over: its app signs in by a name of its own,
-- the REST layer by another.
create function private.keeps_passwords() returns boolean language sql stable set search_path = '' as
    $$ select session_user = 'clipdesk_app' $$;

-- Keep the hash of a link that the admin hands over; older links of the person end.
create function private.keep_link(p_account_id uuid, p_person_id uuid, p_kind text, p_token_hash text) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_until timestamptz := private.utc_now() + case p_kind when 'invite' then interval '7 days' else interval '24 hours' end;
begin
    if not private.keeps_passwords() then
        perform private.fail('PT403', 'Here links are mailed by the sign-in service.');
    elsif private.works_elsewhere(p_person_id, p_account_id) then
        perform private.fail('PT403', 'This person belongs to another company too, which the link would open as well.');
    elsif not exists (select from auth.users u where u.id = p_person_id) then
        perform private.fail('PT409', 'This person signs in without a password.');
    end if;
    perform private.withdraw_links(p_person_id);
    insert into private.invitations (account_id, person_id, kind, token_hash, expires_at, created_by)
    values (p_account_id, p_person_id, p_kind, p_token_hash, v_until, auth.uid());
    return jsonb_build_object('person_id', p_person_id, 'link', true, 'expires_at', v_until);
end $$;

-- Have the sign-in service mail a link with which the person, whom it knows, chooses a password.
create function private.mail_link(p_account_id uuid, p_person_id uuid, p_kind text) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_job public.jobs;
begin
    if private.keeps_passwords() then
        perform private.fail('PT403', 'Here links are handed over, not mailed.');
    end if;
    v_job.id := gen_random_uuid();
    v_job.account_id := p_account_id;
    v_job.kind := 'password_reset';
    v_job.created_by := auth.uid();
    v_job.input := jsonb_build_object('person_id', p_person_id, 'email', private.email_of(p_person_id));
    perform private.insert_job(v_job);
    if p_kind = 'invite' then
        perform private.withdraw_links(p_person_id);
        perform private.note_invited(p_account_id, p_person_id, auth.uid(), interval '1 hour');
    end if;
    return jsonb_build_object('person_id', p_person_id, 'link', false, 'job_id', v_job.id);
end $$;

-- An invitation whose link is not ours: the sign-in service's works for an hour (otp_expiry in supabase/config.toml), one
-- that nobody has made yet for no time.
create function private.note_invited(p_account_id uuid, p_person_id uuid, p_created_by uuid, p_for interval) returns void
language sql set search_path = '' as $$
    insert into private.invitations (account_id, person_id, kind, expires_at, created_by)
    values (p_account_id, p_person_id, 'invite', private.utc_now() + p_for, p_created_by)
$$;

-- The sign-in service does not know the person yet: the worker has it mail an invitation, then lets them in.
create function private.mail_invitation(p_account_id uuid, p_person jsonb) returns jsonb
language plpgsql set search_path = '' as $$
declare
    v_job public.jobs;
begin
    if exists (select from public.jobs j
               where j.kind = 'invite' and j.account_id = p_account_id and j.status in ('pending', 'running')
                 and lower(j.input ->> 'email') = lower(btrim(p_person ->> 'email'))) then
        perform private.fail('PT409', 'An invitation to this address is under way.', '{"field": "email"}');
    end if;
    v_job.id := gen_random_uuid();
    v_job.account_id := p_account_id;
    v_job.kind := 'invite';
    v_job.created_by := auth.uid();
    v_job.input := jsonb_build_object('name', btrim(p_person ->> 'name'), 'email', btrim(p_person ->> 'email'),
                                      'role', p_person ->> 'role',
                                      'profile_ids', coalesce(p_person -> 'profile_ids', '[]'));
    perform private.insert_job(v_job);
    return jsonb_build_object('person_id', null, 'link', false, 'job_id', v_job.id);
end $$;

-- Somebody new, who has no password yet.
create function private.new_person(p_person jsonb) returns uuid
language plpgsql set search_path = '' as $$
declare
    v_id    uuid := coalesce((p_person ->> 'person_id')::uuid, gen_random_uuid());
    v_email text := btrim(p_person ->> 'email');
begin
    insert into auth.users (id, email) values (v_id, v_email);
    insert into public.people (id, email, name) values (v_id, v_email, btrim(p_person ->> 'name'));
    return v_id;
exception when unique_violation then
    perform private.fail('PT409', 'A person with this e-mail address already exists.', '{"field": "email"}');
end $$;

-- What somebody of the company needs to sign in: a link that is kept, mailed or wanted later, or nothing.
create function private.open_door(p_account_id uuid, p_person_id uuid, p_token_hash text) returns jsonb
language plpgsql set search_path = '' as $$
begin
    if private.keeps_passwords() then
        if exists (select from auth.users u where u.id = p_person_id and u.encrypted_password is not null) then
            return jsonb_build_object('person_id', p_person_id, 'link', false);
        elsif p_token_hash is not null then
            return private.keep_link(p_account_id, p_person_id, 'invite', p_token_hash);
        end if;
        perform private.note_invited(p_account_id, p_person_id, auth.uid(), interval '0');
    elsif private.awaits_link(p_person_id) then
        return private.mail_link(p_account_id, p_person_id, 'invite');
    end if;
    return jsonb_build_object('person_id', p_person_id, 'link', false);
end $$;

-- An admin lets somebody in: {name, email, role, profile_ids, person_id, token_hash}. Where passwords are kept here, a
-- token_hash is that of a link to hand over, without which one can be made later; elsewhere the sign-in service mails.
-- Who can sign in already, for another company or from an earlier time here, needs neither. Returns {person_id: null while
-- it is mailed, link: whether the token_hash is kept, expires_at, job_id}.
create function private.add_or_invite(p_account_id uuid, p_person jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_role   text := p_person ->> 'role';
    v_stores uuid[] := array(select x::uuid from jsonb_array_elements_text(coalesce(p_person -> 'profile_ids', '[]')) x);
    v_person uuid;
begin
    perform private.lock_people(p_account_id);
    perform private.refuse_demo(p_account_id);
    perform private.check_place(p_account_id, v_role, v_stores);
    v_person := (select p.id from public.people p where lower(p.email) = lower(btrim(p_person ->> 'email')));
    if exists (select from public.members m where m.account_id = p_account_id and m.person_id = v_person) then
        perform private.fail('PT409', 'A person with this e-mail address already exists.', '{"field": "email"}');
    elsif v_person is null and not private.keeps_passwords() then
        return private.mail_invitation(p_account_id, p_person);
    end if;
    v_person := coalesce(v_person, private.new_person(p_person));
    perform private.withdraw_links(v_person);  -- what another company's admin may hold must not open this one
    perform private.write_member(p_account_id, v_person, v_role, v_stores);
    perform private.audit(p_account_id, 'person_added', private.email_of(v_person), null, null, null,
                          private.member_facts(p_account_id, v_person));
    return private.open_door(p_account_id, v_person, p_person ->> 'token_hash');
end $$;

-- A new link for somebody of the company: p_kind "invite" renews an invitation, "recovery" replaces a forgotten password.
-- Without a p_token_hash the sign-in service mails it. Returns as add_or_invite does.
create function private.send_link(p_account_id uuid, p_person_id uuid, p_kind text, p_token_hash text) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_member public.members := private.find_member(p_account_id, p_person_id);
    v_awaits boolean := private.awaits_link(p_person_id);
begin
    perform private.refuse_demo(p_account_id);
    if p_person_id = auth.uid() then
        perform private.fail('PT403', 'Change your own password with "Change password".');
    elsif p_kind not in ('invite', 'recovery') then
        perform private.fail('PT400', 'There is no such link.');
    elsif v_member.deactivated_at is not null then
        perform private.fail('PT409', 'This person is deactivated. Reactivate them first.');
    elsif p_kind = 'invite' and not v_awaits then
        perform private.fail('PT409', 'This person has accepted the invitation already.');
    elsif p_kind = 'recovery' and v_awaits then
        perform private.fail('PT409', 'This person has not accepted the invitation yet. Renew that instead.');
    elsif p_token_hash is null and exists (
        select from public.jobs j where j.kind = 'password_reset' and j.input ->> 'person_id' = p_person_id::text
          and j.status <> 'failed' and j.created_at > private.utc_now() - interval '10 minutes') then
        perform private.fail('PT409', 'A mail to this person was ordered less than ten minutes ago.');
    end if;
    perform private.audit(
        p_account_id, case p_kind when 'invite' then 'invitation_renewed' else 'password_reset_requested' end,
        private.email_of(p_person_id));
    if p_token_hash is null then
        return private.mail_link(p_account_id, p_person_id, p_kind);
    end if;
    return private.keep_link(p_account_id, p_person_id, p_kind, p_token_hash);
end $$;

-- The invited person exists at the sign-in service: let them in, and end the job.
create or replace function private.save_invited(p_job_id uuid, p_attempt_token uuid, p_person_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_job     public.jobs := private.my_attempt(p_job_id, p_attempt_token);
    v_email   text := btrim(v_job.input ->> 'email');
    v_account uuid := v_job.account_id;
begin
    perform from public.accounts a where a.id = v_account for no key update;
    insert into public.people (id, email, name) values (p_person_id, v_email, btrim(v_job.input ->> 'name'))
    on conflict (id) do nothing;
    if not exists (select from public.members m
                   where m.account_id = v_account and m.person_id = p_person_id) then
        perform private.write_member(
            v_account, p_person_id, v_job.input ->> 'role',
            array(select x::uuid from jsonb_array_elements_text(v_job.input -> 'profile_ids') x));
        if not exists (select from private.sign_ins s where s.person_id = p_person_id) then
            perform private.note_invited(v_account, p_person_id, v_job.created_by, interval '1 hour');
        end if;
        perform private.audit(v_account, 'person_added', v_email, null, null, null,
                              private.member_facts(v_account, p_person_id), v_job.created_by);
    end if;
    perform private.complete_job(p_job_id, p_attempt_token, jsonb_build_object('email', v_email));
end $$;
drop function public.invite_person(jsonb);
drop function private.invite_person(jsonb);

-- The list of people ---------------------------------------------------------------------------------------------------

-- Until when somebody may follow the newest link of an invitation; null: nothing is open.
create function private.invited_until(p_person_id uuid) returns timestamptz
language sql stable set search_path = '' as $$
    select max(i.expires_at) filter (where i.withdrawn_at is null) from private.invitations i
    where i.person_id = p_person_id and i.kind = 'invite' having bool_and(i.used_at is null)
$$;

-- Invitations whose mail has not gone out, as rows of the list; the id is the job's.
create function private.unsent_invitations(p_account_id uuid) returns setof jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object('id', j.id, 'name', j.input ->> 'name', 'email', j.input ->> 'email',
                              'role', j.input ->> 'role', 'profile_ids', j.input -> 'profile_ids', 'version', 0,
                              'mail', j.status)
    from (select distinct on (lower(x.input ->> 'email')) x.* from public.jobs x
          where x.account_id = p_account_id and x.kind = 'invite'
          order by lower(x.input ->> 'email'), x.created_at desc) j
    where j.status in ('pending', 'running', 'failed')
      and not exists (select from public.people p join public.members m on m.person_id = p.id
                      where lower(p.email) = lower(j.input ->> 'email') and m.account_id = p_account_id)
$$;

create function private.people_rows(p_account_id uuid) returns setof jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'id', p.id, 'name', p.name, 'email', p.email, 'role', m.role, 'version', m.version,
        'profile_ids', (select coalesce(jsonb_agg(pm.profile_id), '[]') from public.profile_members pm
                        where pm.account_id = m.account_id and pm.person_id = p.id),
        'signed_in_at', s.at, 'deactivated_at', coalesce(m.deactivated_at, p.deactivated_at),
        'invited_until', private.invited_until(p.id))
    from public.members m join public.people p on p.id = m.person_id left join private.sign_ins s on s.person_id = p.id
    where m.account_id = p_account_id
$$;

-- The company's people for its admins, by name: [{id, name, email, role, profile_ids, version, signed_in_at,
-- deactivated_at, invited_until, mail: status of an invitation that has not gone out}].
create function private.people_of(p_account_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
begin
    perform private.may_add_people(p_account_id);
    return (select coalesce(jsonb_agg(x order by lower(x ->> 'name'), x ->> 'email'), '[]')
            from (select private.people_rows(p_account_id) union all select private.unsent_invitations(p_account_id))
                 as r (x));
end $$;

create function public.people_of(p_account_id uuid) returns jsonb
language sql stable set search_path = '' as $$ select private.people_of(p_account_id) $$;
create function public.add_or_invite(p_account_id uuid, p_person jsonb) returns jsonb
language sql set search_path = '' as $$ select private.add_or_invite(p_account_id, p_person) $$;
create function public.send_link(p_account_id uuid, p_person_id uuid, p_kind text, p_token_hash text default null)
returns jsonb language sql set search_path = '' as
    $$ select private.send_link(p_account_id, p_person_id, p_kind, p_token_hash) $$;
create function public.set_member(
    p_account_id uuid, p_person_id uuid, p_role text, p_profile_ids uuid[], p_version integer
) returns void language sql set search_path = '' as
    $$ select private.set_member(p_account_id, p_person_id, p_role, p_profile_ids, p_version) $$;
create function public.deactivate_member(p_account_id uuid, p_person_id uuid, p_version integer) returns void
language sql set search_path = '' as $$ select private.deactivate_member(p_account_id, p_person_id, p_version) $$;
create function public.reactivate_member(p_account_id uuid, p_person_id uuid, p_version integer) returns void
language sql set search_path = '' as $$ select private.reactivate_member(p_account_id, p_person_id, p_version) $$;
create function public.remove_member(p_account_id uuid, p_person_id uuid, p_version integer) returns void
language sql set search_path = '' as $$ select private.remove_member(p_account_id, p_person_id, p_version) $$;
create function public.sign_out_member(p_account_id uuid, p_person_id uuid) returns integer
language sql set search_path = '' as $$ select private.sign_out_member(p_account_id, p_person_id) $$;

grant execute on function
    public.people_of(uuid), private.people_of(uuid),
    public.add_or_invite(uuid, jsonb), private.add_or_invite(uuid, jsonb),
    public.send_link(uuid, uuid, text, text), private.send_link(uuid, uuid, text, text),
    public.set_member(uuid, uuid, text, uuid[], integer), private.set_member(uuid, uuid, text, uuid[], integer),
    public.deactivate_member(uuid, uuid, integer), private.deactivate_member(uuid, uuid, integer),
    public.reactivate_member(uuid, uuid, integer), private.reactivate_member(uuid, uuid, integer),
    public.remove_member(uuid, uuid, integer), private.remove_member(uuid, uuid, integer),
    public.sign_out_member(uuid, uuid), private.sign_out_member(uuid, uuid)
    to authenticated;
