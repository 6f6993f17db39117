-- Sign-in by Supabase Auth: the vendor's tokens, sealed by the app, live in the session; one replica at a time renews them.

alter table private.sessions
    add column tokens        text,          -- sealed; null: a local account's session
    add column tokens_until  timestamptz,   -- when the access token in them runs out
    add column refresh_until timestamptz;   -- somebody is renewing them until then

-- Where a request came from. Over REST the app tells it: the gateway would name the app's own machine.
create or replace function private.my_address() returns text language sql stable set search_path = '' as $$
    select coalesce(h ->> 'x-clipdesk-address', h ->> 'x-forwarded-for')
    from (select nullif(current_setting('request.headers', true), '')::jsonb as h) x
$$;

-- Whether the sign-in service still knows the person: neither banned nor deleted there.
create function private.may_sign_in(p_person_id uuid) returns boolean
language sql stable security definer set search_path = '' as $$
    select exists (select from auth.users u
                   where u.id = p_person_id and u.deleted_at is null
                     and (u.banned_until is null or u.banned_until < private.utc_now()))
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
            where m.person_id = p.id), '[]'))
    from private.sessions s join public.people p on p.id = s.person_id
    where s.secret_hash = private.hash_secret(p_secret)
      and s.expires_at > private.utc_now() and p.deactivated_at is null
      and (s.tokens is null or private.may_sign_in(p.id))
$$;

-- Open a session for the person whose token asks; as local.start_session does for local accounts. To renew takes an own
-- session that ran out lately, so that pages still open there go on. Returns whether there was one.
create function private.open_session(
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
    perform private.audit_everywhere(auth.uid(), 'signed_in');
    return true;
end $$;

-- The sealed tokens, for the one caller who may renew them now; null for everybody else until they are stored or the
-- lease has run out. So no two replicas ever show the vendor the same refresh token.
create function private.claim_refresh(p_secret text, p_seconds_left integer) returns text
language sql security definer set search_path = '' as $$
    update private.sessions s set refresh_until = private.utc_now() + interval '15 seconds'
    where s.secret_hash = private.hash_secret(p_secret) and s.expires_at > private.utc_now()
      and s.tokens_until < private.utc_now() + make_interval(secs => p_seconds_left)
      and (s.refresh_until is null or s.refresh_until < private.utc_now())
    returning s.tokens
$$;

create function private.store_tokens(p_secret text, p_tokens text, p_token_seconds integer) returns void
language sql security definer set search_path = '' as $$
    update private.sessions s
    set tokens = p_tokens, tokens_until = private.utc_now() + make_interval(secs => p_token_seconds), refresh_until = null
    where s.secret_hash = private.hash_secret(p_secret)
$$;

-- The person in the claims has a new password: their other sessions end.
create function private.password_changed(p_secret text) returns void
language plpgsql security definer set search_path = '' as $$
begin
    delete from private.sessions s
    where s.person_id = auth.uid() and s.secret_hash <> private.hash_secret(p_secret);
    update private.sessions s set must_change = false where s.person_id = auth.uid();
    perform private.audit_everywhere(auth.uid(), 'password_changed');
end $$;

-- The first company: {account_id, profile_id, person_id, company, slug, timezone, store, store_slug, code, store_timezone,
-- city, name, email}. The person can sign in already. Only while there is no company besides the demo.
create function private.create_company(p jsonb) returns void
language plpgsql security definer set search_path = '' as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('first company', 1));
    if exists (select from public.accounts a where not a.is_demo) then
        perform private.fail('PT409', 'This installation already has a company. Sign in instead.');
    end if;
    insert into public.people (id, email, name)
    values ((p ->> 'person_id')::uuid, btrim(p ->> 'email'), btrim(p ->> 'name')) on conflict (id) do nothing;
    perform private.new_company((p ->> 'account_id')::uuid, p ->> 'company', p ->> 'slug', p ->> 'timezone',
                                (p ->> 'person_id')::uuid);
    insert into public.profiles (id, account_id, slug, code, name, city, timezone)
    values ((p ->> 'profile_id')::uuid, (p ->> 'account_id')::uuid, p ->> 'store_slug', p ->> 'code', p ->> 'store',
            p ->> 'city', p ->> 'store_timezone');
    perform private.audit((p ->> 'account_id')::uuid, 'company_created', p ->> 'company',
                          p_person_id => (p ->> 'person_id')::uuid);
end $$;

-- Invitations and password resets are mails that the worker has sent.

create function private.may_add_people(p_account_id uuid) returns void
language plpgsql stable security definer set search_path = '' as $$
begin
    if p_account_id not in (select private.my_account_ids()) then
        perform private.fail('PT404', 'Company not found.');
    elsif p_account_id not in (select private.my_account_ids('{admin}')) then
        perform private.fail('PT403', 'Only an admin adds people.');
    end if;
end $$;

-- An admin invites: {job_id, account_id, name, email, role, profile_ids}. Somebody who works for another company already
-- keeps their sign-in. Returns the job's id.
create function private.invite_person(p jsonb) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    v_account uuid := (p ->> 'account_id')::uuid;
    v_job     public.jobs;
begin
    perform private.may_add_people(v_account);
    if exists (select from public.people x join public.members m on m.person_id = x.id
               where lower(x.email) = lower(btrim(p ->> 'email')) and m.account_id = v_account) then
        perform private.fail('PT409', 'A person with this e-mail address already exists.');
    elsif exists (select from jsonb_array_elements_text(p -> 'profile_ids') x
                  where x::uuid not in (select s.id from public.profiles s where s.account_id = v_account)) then
        perform private.fail('PT404', 'Store not found.');
    elsif exists (select from public.jobs j
                  where j.kind = 'invite' and j.account_id = v_account and j.status in ('pending', 'running')
                    and lower(j.input ->> 'email') = lower(btrim(p ->> 'email'))) then
        perform private.fail('PT409', 'An invitation to this address is under way.');
    end if;
    v_job.id := (p ->> 'job_id')::uuid;
    v_job.account_id := v_account;
    v_job.kind := 'invite';
    v_job.created_by := auth.uid();
    v_job.input := p - 'job_id' || jsonb_build_object('person_id', (
        select x.id from public.people x where lower(x.email) = lower(btrim(p ->> 'email'))));  -- of another company
    perform private.insert_job(v_job);
    return v_job.id;
end $$;

-- The invited person exists at the sign-in service: let them in, and end the job.
create function private.save_invited(p_job_id uuid, p_attempt_token uuid, p_person_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_job   public.jobs := private.my_attempt(p_job_id, p_attempt_token);
    v_email text := btrim(v_job.input ->> 'email');
begin
    insert into public.people (id, email, name) values (p_person_id, v_email, btrim(v_job.input ->> 'name'))
    on conflict (id) do nothing;
    insert into public.members (account_id, person_id, role)
    values (v_job.account_id, p_person_id, v_job.input ->> 'role') on conflict do nothing;
    insert into public.profile_members (account_id, profile_id, person_id)
    select v_job.account_id, x::uuid, p_person_id from jsonb_array_elements_text(v_job.input -> 'profile_ids') x
    where v_job.input ->> 'role' = 'manager' on conflict do nothing;
    perform private.audit(v_job.account_id, 'person_added', v_email, null, null, null,
                          jsonb_build_object('role', v_job.input ->> 'role', 'stores', v_job.input -> 'profile_ids'),
                          v_job.created_by);
    perform private.complete_job(p_job_id, p_attempt_token, jsonb_build_object('email', v_email));
end $$;

-- Somebody has forgotten the password of this address. One mail in ten minutes; whether the address is known is not told.
create function private.request_reset(p_email text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_job    public.jobs;
    v_email  text := lower(btrim(p_email));
    v_person public.people;
begin
    perform pg_advisory_xact_lock(hashtextextended('reset ' || v_email, 1));
    select * into v_person from public.people p where lower(p.email) = v_email and p.deactivated_at is null;
    if not found or exists (select from public.jobs j
                            where j.kind = 'password_reset' and j.input ->> 'person_id' = v_person.id::text
                              and j.created_at > private.utc_now() - interval '10 minutes') then
        return;
    end if;
    v_job.id := gen_random_uuid();
    v_job.kind := 'password_reset';
    v_job.input := jsonb_build_object('person_id', v_person.id, 'email', v_person.email);
    perform private.insert_job(v_job);
    perform private.audit_everywhere(v_person.id, 'password_reset_requested');
end $$;
create index jobs_mails on public.jobs (created_at) where kind in ('invite', 'password_reset');

create function public.open_session(
    p_secret text, p_renew boolean, p_tokens text, p_token_seconds integer, p_hours integer, p_agent text,
    p_must_change boolean default false
) returns boolean language sql set search_path = '' as
    $$ select private.open_session(p_secret, p_renew, p_tokens, p_token_seconds, p_hours, p_agent, p_must_change) $$;
create function public.claim_refresh(p_secret text, p_seconds_left integer) returns text
language sql set search_path = '' as $$ select private.claim_refresh(p_secret, p_seconds_left) $$;
create function public.store_tokens(p_secret text, p_tokens text, p_token_seconds integer) returns void
language sql set search_path = '' as $$ select private.store_tokens(p_secret, p_tokens, p_token_seconds) $$;
create function public.password_changed(p_secret text) returns void
language sql set search_path = '' as $$ select private.password_changed(p_secret) $$;
create function public.create_company(p jsonb) returns void
language sql set search_path = '' as $$ select private.create_company(p) $$;
create function public.invite_person(p jsonb) returns uuid
language sql set search_path = '' as $$ select private.invite_person(p) $$;
create function public.save_invited(p_job_id uuid, p_attempt_token uuid, p_person_id uuid) returns void
language sql set search_path = '' as $$ select private.save_invited(p_job_id, p_attempt_token, p_person_id) $$;
create function public.request_reset(p_email text) returns void
language sql set search_path = '' as $$ select private.request_reset(p_email) $$;

grant execute on function
    public.claim_refresh(text, integer), private.claim_refresh(text, integer),
    public.store_tokens(text, text, integer), private.store_tokens(text, text, integer),
    public.request_reset(text), private.request_reset(text)
    to anon;
grant execute on function
    public.open_session(text, boolean, text, integer, integer, text, boolean),
    private.open_session(text, boolean, text, integer, integer, text, boolean),
    public.password_changed(text), private.password_changed(text),
    public.invite_person(jsonb), private.invite_person(jsonb)
    to authenticated;
grant execute on function
    public.create_company(jsonb), private.create_company(jsonb),
    public.save_invited(uuid, uuid, uuid), private.save_invited(uuid, uuid, uuid)
    to service_role;
