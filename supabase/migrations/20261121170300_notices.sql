-- Notices: what people are told of an event, once, in the transaction of the event: in their inbox, by e-mail, and to the
-- company's webhook. Locks: a notice is written under its event's locks (a job's row, a counter), its key being drawn from
-- the same event, so that nobody waits for a key who does not hold those. Nobody who sends takes any of them.

create table public.notices (
    id          uuid primary key,
    account_id  uuid not null references public.accounts on delete cascade,
    profile_id  uuid,                                          -- null: concerns the company
    kind        text not null check (kind ~ '^[a-z_]{1,40}$'),
    text        text not null check (btrim(text) <> ''),       -- sentences for the operator
    facts       jsonb not null default '{}',                   -- what it is about; never a secret
    dedupe_key  text not null,
    created_at  timestamptz not null default private.utc_now(),
    resolved_at timestamptz,                                   -- what it says is over
    foreign key (account_id, profile_id) references public.profiles (account_id, id) on delete cascade
);
create unique index notices_once on public.notices (account_id, dedupe_key) where resolved_at is null;
create index notices_account_profile on public.notices (account_id, profile_id);

-- Whose inbox it is in.
create table public.notice_readers (
    notice_id  uuid not null references public.notices on delete cascade,
    person_id  uuid not null references public.people on delete cascade,
    account_id uuid not null references public.accounts on delete cascade,
    read_at    timestamptz,
    primary key (notice_id, person_id)
);
create index notice_readers_person on public.notice_readers (person_id, account_id);
create index notice_readers_account on public.notice_readers (account_id);

create table public.notice_preferences (
    account_id uuid not null references public.accounts on delete cascade,
    person_id  uuid not null references public.people on delete cascade,
    kind       text not null,
    inbox      boolean not null,
    email      boolean not null,
    primary key (account_id, person_id, kind)
);
create index notice_preferences_person on public.notice_preferences (person_id);

-- pending → claimed → sent; an e-mail is handed between the two, from where nobody can tell what became of it.
create table private.notice_deliveries (
    id          uuid primary key default gen_random_uuid(),
    notice_id   uuid not null references public.notices on delete cascade,
    channel     text not null check (channel in ('email', 'webhook')),
    target      uuid not null,                                 -- the person, or the company whose webhook it is
    state       text not null default 'pending'
                check (state in ('pending', 'claimed', 'handed', 'sent', 'unknown', 'given_up')),
    attempts    integer not null default 0,
    next_try    timestamptz not null default private.utc_now(),
    token       uuid,                                          -- fences a sender whose lease ran out
    lease_until timestamptz,
    error       text,
    created_at  timestamptz not null default private.utc_now(),
    ended_at    timestamptz,
    unique (notice_id, channel, target)
);
create index notice_deliveries_due on private.notice_deliveries (channel, next_try) where state = 'pending';
create index notice_deliveries_age on private.notice_deliveries (created_at) where state = 'pending';
create index notice_deliveries_leases on private.notice_deliveries (lease_until) where state in ('claimed', 'handed');
create index notice_deliveries_target on private.notice_deliveries (target, created_at desc);

alter table public.notices enable row level security;
alter table public.notice_readers enable row level security;
alter table public.notice_preferences enable row level security;
grant select on public.notices, public.notice_readers, public.notice_preferences to authenticated, service_role;
create policy "people read notices of their stores" on public.notices for select to authenticated
    using (profile_id in (select private.my_profile_ids())
           or (profile_id is null
               and (account_id in (select private.my_account_ids('{admin}'))
                    or kind = 'quota' and account_id in (select private.my_account_ids('{finance}')))));
create policy "people read what is in their inbox" on public.notice_readers for select to authenticated
    using (person_id = (select auth.uid()) and account_id in (select private.my_account_ids()));
create policy "people read their own wishes" on public.notice_preferences for select to authenticated
    using (person_id = (select auth.uid()) and account_id in (select private.my_account_ids()));

create view public.v_inbox with (security_invoker = true) as
    select n.id, n.account_id, n.profile_id, n.kind, n.text, n.facts, n.created_at, n.resolved_at, r.read_at,
           r.read_at is null as unread
    from public.notice_readers r join public.notices n on n.id = r.notice_id;
grant select on public.v_inbox to authenticated, service_role;

-- Telling ---------------------------------------------------------------------------------------------------------------

-- What there is to be told, to whom, and whether by e-mail unless they say otherwise. Managers: those of the store.
create function private.notice_kinds() returns table (kind text, roles text[], email boolean)
language sql immutable set search_path = '' as $$
    values ('credential_dead', '{admin,manager}'::text[], true), ('job_failed', '{admin,manager}', false),
           ('quota', '{admin,manager,finance}', true), ('webhook_test', '{}', false)
$$;

-- Who is told of a kind, by which ways. Kinds that are not listed go to the inbox of admins and managers.
create function private.addressees(p_account_id uuid, p_profile_id uuid, p_kind text)
returns table (person_id uuid, inbox boolean, email boolean) language sql stable set search_path = '' as $$
    select m.person_id, coalesce(w.inbox, true), coalesce(w.email, k.email, false)
    from public.members m
    join public.people p on p.id = m.person_id and p.deactivated_at is null
    left join private.notice_kinds() k on k.kind = p_kind
    left join public.notice_preferences w
        on w.account_id = m.account_id and w.person_id = m.person_id and w.kind = p_kind
    where m.account_id = p_account_id and m.deactivated_at is null and m.role = any (coalesce(k.roles, '{admin,manager}'))
      and (m.role <> 'manager' or exists (
          select from public.profile_members pm where pm.profile_id = p_profile_id and pm.person_id = m.person_id))
$$;

-- Tell of an event, within its transaction. An event is told once: by its key, for as long as it is not resolved.
-- p_facts are shown and sent as they are. Returns the notice's id; null when it was told before.
create function private.notice(
    p_account_id uuid, p_kind text, p_text text, p_facts jsonb default '{}', p_profile_id uuid default null,
    p_dedupe text default null
) returns uuid language plpgsql security definer set search_path = '' as $$
declare
    v_id uuid := gen_random_uuid();
begin
    insert into public.notices (id, account_id, profile_id, kind, text, facts, dedupe_key)
    values (v_id, p_account_id, p_profile_id, p_kind, left(btrim(p_text), 1000), coalesce(p_facts, '{}'),
            coalesce(p_dedupe, v_id::text))
    on conflict (account_id, dedupe_key) where resolved_at is null do nothing;
    if not found then
        return null;
    end if;
    insert into public.notice_readers (notice_id, person_id, account_id)
    select v_id, a.person_id, p_account_id from private.addressees(p_account_id, p_profile_id, p_kind) a where a.inbox;
    perform private.plan_deliveries(v_id, p_account_id, p_profile_id, p_kind);
    return v_id;
end $$;

-- What an unresolved notice says is over: the same may happen, and be told, again.
create function private.resolve_notice(p_account_id uuid, p_dedupe text) returns void
language sql security definer set search_path = '' as $$
    update public.notices n set resolved_at = private.utc_now()
    where n.account_id = p_account_id and n.dedupe_key = p_dedupe and n.resolved_at is null
$$;

-- For the worker.
create function public.publish_notice(
    p_account_id uuid, p_kind text, p_text text, p_facts jsonb default '{}', p_profile_id uuid default null,
    p_dedupe text default null
) returns uuid language sql set search_path = '' as
    $$ select private.notice(p_account_id, p_kind, p_text, p_facts, p_profile_id, p_dedupe) $$;
create function public.resolve_notice(p_account_id uuid, p_dedupe text) returns void
language sql set search_path = '' as $$ select private.resolve_notice(p_account_id, p_dedupe) $$;
grant execute on function
    public.publish_notice(uuid, text, text, jsonb, uuid, text), private.notice(uuid, text, text, jsonb, uuid, text),
    public.resolve_notice(uuid, text), private.resolve_notice(uuid, text)
    to service_role;

-- Events ----------------------------------------------------------------------------------------------------------------

create function private.notice_job() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    if new.status = 'failed' then
        perform private.notice(
            new.account_id, 'job_failed',
            format('%s failed: %s', initcap(replace(new.kind, '_', ' ')), coalesce(new.error, 'no reason is known.')),
            jsonb_build_object('job_id', new.id, 'job_kind', new.kind), new.profile_id,
            format('job_failed:%s:%s', new.id, new.request_id));
    else
        perform private.resolve_notice(old.account_id, format('job_failed:%s:%s', old.id, old.request_id));
    end if;
    return null;
end $$;
create trigger notice after update of status on public.jobs for each row
    when (new.account_id is not null and new.status <> old.status and (new.status = 'failed' or old.status = 'failed'))
    execute function private.notice_job();

-- A test that failed after one that worked, of the same credential. It is over when a test works again, or the credential
-- is removed.
create function private.notice_credential() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    v_key text := 'credential_dead:' || old.id;
begin
    if tg_op = 'UPDATE' and old.test_ok and not new.test_ok then
        perform private.notice(
            new.account_id, 'credential_dead',
            format('The %s account at %s stopped working: %s',
                   case when new.profile_id is null then 'company''s' else 'store''s' end,
                   case new.provider when 'elevenlabs' then 'ElevenLabs' else initcap(new.provider) end,
                   new.test_message),
            jsonb_build_object('credential_id', new.id, 'provider', new.provider), new.profile_id, v_key);
    elsif tg_op = 'DELETE' or new.test_ok then
        perform private.resolve_notice(old.account_id, v_key);
    end if;
    return null;
end $$;
create trigger notice after update of test_ok on public.profile_credentials for each row
    when (old.test_ok is distinct from new.test_ok) execute function private.notice_credential();
create trigger notice_removal after delete on public.profile_credentials for each row
    execute function private.notice_credential();

-- Tell, once a month, that 90 % of a limit is used, or all of it (p_profile_id null: the company's). Its counter is locked.
create function private.notice_quota(
    p_account_id uuid, p_profile_id uuid, p_month date, p_used numeric, p_limit numeric
) returns void language plpgsql set search_path = '' as $$
declare
    v_key   text := format('quota:%s:%s:', coalesce(p_profile_id, p_account_id), p_month);
    v_share text := case when p_used >= p_limit then '100' else '90' end;
begin
    if exists (select from public.notices n
               where n.account_id = p_account_id and n.resolved_at is null
                 and n.dedupe_key in (v_key || v_share, v_key || '100')) then
        return;
    end if;
    perform private.notice(
        p_account_id, 'quota',
        format(case v_share when '100' then 'The %s''s monthly quota of %s is used up: %s are spent or held by work under '
                                            'way. What costs more is refused until the month ends (UTC) or an admin '
                                            'raises the quota.'
                            else '90 %% of the %s''s monthly quota of %s is used: %s are spent or held by work under way.' end,
               case when p_profile_id is null then 'company' else 'store' end,
               private.usd_text(p_limit), private.usd_text(p_used)),
        jsonb_build_object('percent', v_share::integer, 'month', to_char(p_month, 'YYYY-MM'), 'used_usd', p_used::text,
                           'limit_usd', p_limit::text),
        p_profile_id, v_key || v_share);
end $$;

-- The same of a counter as it stands; the caller has locked it.
create function private.look_at_quota(p_account_id uuid, p_profile_id uuid, p_month date) returns void
language plpgsql set search_path = '' as $$
declare
    v_limit numeric := private.limit_in_force(p_account_id, p_profile_id);
    v_used  numeric;
begin
    select c.settled_usd + c.held_usd into v_used from public.quota_counters c
    where c.scope_id = coalesce(p_profile_id, p_account_id) and c.month = p_month;
    if v_used >= 0.9 * v_limit then
        perform private.notice_quota(p_account_id, p_profile_id, p_month, v_used, v_limit);
    end if;
end $$;

-- As before; tells when 90 % are reached. The limit is at hand here: a hold that stays below costs a comparison more.
create or replace function private.check_limit(
    p_counter public.quota_counters, p_profile_id uuid, p_estimate numeric, p_exempt boolean,
    out limit_usd numeric, out left_usd numeric
) language plpgsql set search_path = '' as $$
declare
    v_settled numeric := p_counter.settled_usd;
    v_held    numeric := p_counter.held_usd;
begin
    limit_usd := private.limit_in_force(p_counter.account_id, p_profile_id);
    if not p_exempt and (v_settled + v_held + p_estimate > limit_usd or v_settled >= limit_usd) then
        perform private.refuse_hold(case when p_profile_id is null then 'company' else 'store' end,
                                    v_settled, v_held, p_estimate, limit_usd);
    end if;
    left_usd := limit_usd - v_settled - v_held - p_estimate;
    if left_usd <= 0.1 * limit_usd then
        perform private.notice_quota(p_counter.account_id, p_profile_id, p_counter.month, limit_usd - left_usd, limit_usd);
    end if;
end $$;

-- As before; only what a vendor billed beyond the hold adds to what is used.
create or replace function private.move_counter(
    p_scope_id uuid, p_hold public.cost_holds, p_booked numeric, p_freed numeric, p_overrun numeric
) returns void language plpgsql set search_path = '' as $$
begin
    update public.quota_counters c
    set settled_usd = c.settled_usd + p_booked, held_usd = c.held_usd - p_freed,
        overrun_usd = c.overrun_usd + p_overrun
    where c.scope_id = p_scope_id and c.month = p_hold.month;
    if not found then                                          -- a rebuild found nothing to count before this came
        insert into public.quota_counters as c (scope_id, month, account_id, settled_usd, overrun_usd)
        values (p_scope_id, p_hold.month, p_hold.account_id, p_booked, p_overrun)
        on conflict (scope_id, month) do update                -- and another came at the same time
        set settled_usd = c.settled_usd + excluded.settled_usd, overrun_usd = c.overrun_usd + excluded.overrun_usd;
    end if;
    if p_overrun > 0 and p_hold.month = private.month_of(private.utc_now()) then
        perform private.look_at_quota(p_hold.account_id, nullif(p_scope_id, p_hold.account_id), p_hold.month);
    end if;
end $$;

-- A quota that was lowered below what is used refuses every hold, and a refused hold can tell nobody. One that was raised
-- ends what was told of the old one, so that the new one is told of again.
create function private.notice_quota_change() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    v_month date := private.month_of(private.utc_now());
    v_scope uuid := coalesce(new.profile_id, new.account_id);
    v_limit numeric := private.limit_in_force(new.account_id, new.profile_id);
    v_used  numeric := coalesce((select c.settled_usd + c.held_usd from public.quota_counters c
                                 where c.scope_id = v_scope and c.month = v_month), 0);
begin
    if v_limit is null or v_used < v_limit then
        perform private.resolve_notice(new.account_id, format('quota:%s:%s:100', v_scope, v_month));
    end if;
    if v_limit is null or v_used < 0.9 * v_limit then
        perform private.resolve_notice(new.account_id, format('quota:%s:%s:90', v_scope, v_month));
    end if;
    perform private.look_at_quota(new.account_id, new.profile_id, v_month);
    return null;
end $$;
create trigger notice after insert on public.quota_changes for each row execute function private.notice_quota_change();

-- The inbox and what each person wants ----------------------------------------------------------------------------------

-- Mark as read: these, or (null) all of the company's. Returns how many were unread.
create function private.read_notices(p_account_id uuid, p_ids uuid[]) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    v_count integer;
begin
    update public.notice_readers r set read_at = private.utc_now()
    where r.person_id = auth.uid() and r.account_id = p_account_id and r.read_at is null
      and r.account_id in (select private.my_account_ids())
      and (p_ids is null or r.notice_id = any (p_ids));
    get diagnostics v_count = row_count;
    return v_count;
end $$;

-- The kinds that the person's role is told of.
create function private.my_notice_kinds(p_account_id uuid) returns setof text
language sql stable security definer set search_path = '' as $$
    select k.kind from private.notice_kinds() k
    join public.members m on m.account_id = p_account_id and m.person_id = auth.uid() and m.role = any (k.roles)
    where p_account_id in (select private.my_account_ids())
$$;

create function private.set_notice_preference(p_account_id uuid, p_kind text, p_inbox boolean, p_email boolean)
returns void language plpgsql security definer set search_path = '' as $$
begin
    if p_account_id not in (select private.my_account_ids()) then
        perform private.fail('PT404', 'Company not found.');
    elsif p_kind is null or p_kind not in (select private.my_notice_kinds(p_account_id)) then
        perform private.fail('PT400', 'Your role is not told of this, so there is nothing to choose.');
    end if;
    insert into public.notice_preferences as w (account_id, person_id, kind, inbox, email)
    values (p_account_id, auth.uid(), p_kind, p_inbox, p_email)
    on conflict (account_id, person_id, kind) do update set inbox = excluded.inbox, email = excluded.email;
end $$;

-- What the person's role is told of and how; for admins also how e-mail and webhook fare.
create function private.notice_settings(p_account_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_admin boolean := p_account_id in (select private.my_account_ids('{admin}'));
begin
    return jsonb_build_object(
        'kinds', (select coalesce(jsonb_agg(jsonb_build_object(
                             'kind', k.kind, 'inbox', coalesce(w.inbox, true), 'email', coalesce(w.email, k.email))
                             order by k.kind), '[]')
                  from private.notice_kinds() k
                  left join public.notice_preferences w
                      on w.account_id = p_account_id and w.person_id = auth.uid() and w.kind = k.kind
                  where k.kind in (select private.my_notice_kinds(p_account_id))),
        'email', case when v_admin then private.channel_state(p_account_id, 'email') end,
        'webhook_state', case when v_admin then private.channel_state(p_account_id, 'webhook') end,
        'webhook', (select jsonb_build_object('shown_address', h.shown_address, 'last4', h.last4, 'enabled', h.enabled,
                                              'version', h.version)
                    from private.webhooks h where h.account_id = p_account_id and v_admin));
end $$;

-- How a channel of a company fared in the last 30 days.
create function private.channel_state(p_account_id uuid, p_channel text) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'waiting', count(*) filter (where d.state in ('pending', 'claimed', 'handed')),
        'sent', count(*) filter (where d.state = 'sent'),
        'unknown', count(*) filter (where d.state = 'unknown'),
        'given_up', count(*) filter (where d.state = 'given_up'),
        'last_sent_at', max(d.ended_at) filter (where d.state = 'sent'),
        'last_error', (array_agg(d.error order by d.created_at desc, d.id)
                       filter (where d.error is not null and d.state <> 'sent'))[1])
    from public.notices n join private.notice_deliveries d on d.notice_id = n.id and d.channel = p_channel
    where n.account_id = p_account_id and d.created_at > private.utc_now() - interval '30 days'
$$;

create function public.read_notices(p_account_id uuid, p_ids uuid[] default null) returns integer
language sql set search_path = '' as $$ select private.read_notices(p_account_id, p_ids) $$;
create function public.set_notice_preference(p_account_id uuid, p_kind text, p_inbox boolean, p_email boolean)
returns void language sql set search_path = '' as
    $$ select private.set_notice_preference(p_account_id, p_kind, p_inbox, p_email) $$;
create function public.notice_settings(p_account_id uuid) returns jsonb
language sql stable set search_path = '' as $$ select private.notice_settings(p_account_id) $$;
grant execute on function
    public.read_notices(uuid, uuid[]), private.read_notices(uuid, uuid[]),
    public.set_notice_preference(uuid, text, boolean, boolean),
    private.set_notice_preference(uuid, text, boolean, boolean),
    public.notice_settings(uuid), private.notice_settings(uuid)
    to authenticated;

-- The webhook of a company ----------------------------------------------------------------------------------------------

-- Address and signing secret are sealed together as any credential; admins see the host and the secret's last characters.
create table private.webhooks (
    account_id    uuid primary key references public.accounts on delete cascade,
    key_id        uuid not null unique references private.sealed_keys on delete cascade,
    shown_address text not null check (char_length(shown_address) <= 300),
    last4         text not null check (char_length(last4) <= 4),
    enabled       boolean not null,
    version       integer not null default 1,
    updated_at    timestamptz not null default private.utc_now()
);
create trigger touch before update on private.webhooks for each row execute function private.touch();

-- As before; a webhook's is needed as well.
create or replace function private.is_needed(p_key_id uuid) returns boolean
language sql stable set search_path = '' as $$
    select exists (select from public.profile_credentials c where c.key_id = p_key_id)
        or exists (select from private.webhooks h where h.key_id = p_key_id)
        or exists (select from public.purchases p where p.key_id = p_key_id
                   and (p.state = 'sent' or p.absent_at > private.utc_now() - interval '1 day'))
$$;

-- The company's webhook, locked, if it is still what an admin saw (null: none).
create function private.webhook_to_change(p_account_id uuid, p_version integer) returns private.webhooks
language plpgsql set search_path = '' as $$
declare
    v_hook private.webhooks;
begin
    if p_account_id is null or p_account_id not in (select private.my_account_ids()) then
        perform private.fail('PT404', 'Company not found.');
    elsif p_account_id not in (select private.my_account_ids('{admin}')) then
        perform private.fail('PT403', 'Only an admin changes the webhook.');
    elsif exists (select from public.accounts a where a.id = p_account_id and a.is_demo) then
        perform private.fail('PT403', 'The demo company sends nothing to the outside.');
    end if;
    perform pg_advisory_xact_lock(hashtextextended('webhook ' || p_account_id, 20261121));
    select * into v_hook from private.webhooks h where h.account_id = p_account_id for no key update;
    if v_hook.version is distinct from p_version then
        perform private.fail('PT409', 'Somebody saved this meanwhile. Reload the page to see it, then change it again.');
    end if;
    return v_hook;
end $$;

create function private.shown_webhook(p_hook private.webhooks) returns jsonb language sql immutable set search_path = '' as
    $$ select case when p_hook.account_id is not null then jsonb_build_object(
                  'address', p_hook.shown_address, 'secret', '…' || p_hook.last4, 'enabled', p_hook.enabled) end $$;

-- {ciphertext, shown_address, last4}: null keeps what is saved. p_version is the one that was seen, null: none.
create function private.save_webhook(p_account_id uuid, p_sealed jsonb, p_enabled boolean, p_version integer) returns integer
language plpgsql security definer set search_path = '' as $$
declare
    v_before private.webhooks := private.webhook_to_change(p_account_id, p_version);
    v_after  private.webhooks;
begin
    if p_sealed is null and v_before.account_id is null then
        perform private.fail('PT400', 'Type the address of the webhook.', '{"field": "address"}');
    end if;
    insert into private.webhooks as h (account_id, key_id, shown_address, last4, enabled)
    values (p_account_id, coalesce(private.keep_sealed(p_account_id, null, 'webhook', p_sealed), v_before.key_id),
            coalesce(p_sealed ->> 'shown_address', v_before.shown_address),
            coalesce(p_sealed ->> 'last4', v_before.last4), p_enabled)
    on conflict (account_id) do update
    set key_id = excluded.key_id, shown_address = excluded.shown_address, last4 = excluded.last4,
        enabled = excluded.enabled, version = h.version + 1
    returning * into v_after;
    perform private.forget_key(v_before.key_id);
    perform private.audit(p_account_id, 'webhook_saved', null, null, null, private.shown_webhook(v_before),
                          private.shown_webhook(v_after) || jsonb_build_object('replaced', p_sealed is not null));
    return v_after.version;
end $$;

create function private.remove_webhook(p_account_id uuid, p_version integer) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_before private.webhooks := private.webhook_to_change(p_account_id, p_version);
begin
    delete from private.webhooks h where h.account_id = p_account_id;
    perform private.forget_key(v_before.key_id);
    update private.notice_deliveries d
    set state = 'given_up', error = 'The webhook was removed.', ended_at = private.utc_now()
    where d.channel = 'webhook' and d.target = p_account_id and d.state = 'pending';
    perform private.audit(p_account_id, 'webhook_removed', null, null, null, private.shown_webhook(v_before));
end $$;

-- Have the saved webhook told of a test. Returns the delivery's id, by which `webhook_test` tells what became of it.
create function private.try_webhook(p_account_id uuid) returns uuid
language plpgsql security definer set search_path = '' as $$
declare
    v_notice uuid;
begin
    if p_account_id not in (select private.my_account_ids('{admin}')) then
        perform private.fail('PT404', 'Company not found.');
    elsif not exists (select from private.webhooks h where h.account_id = p_account_id and h.enabled) then
        perform private.fail('PT409', 'Save the webhook, switched on, before testing it.');
    elsif exists (select from private.notice_deliveries d join public.notices n on n.id = d.notice_id
                  where d.target = p_account_id and d.channel = 'webhook' and n.kind = 'webhook_test'
                    and d.created_at > private.utc_now() - interval '10 seconds') then
        perform private.fail('PT429', 'A test was sent just now. Wait a few seconds.', '{"seconds": 10}');
    end if;
    v_notice := private.notice(p_account_id, 'webhook_test', 'This is a test of the webhook. Nothing has happened.');
    return (select d.id from private.notice_deliveries d where d.notice_id = v_notice and d.channel = 'webhook');
end $$;

create function private.webhook_test(p_account_id uuid, p_delivery_id uuid) returns jsonb
language sql stable security definer set search_path = '' as $$
    select jsonb_build_object('state', d.state, 'error', d.error)
    from private.notice_deliveries d
    where d.id = p_delivery_id and d.channel = 'webhook' and d.target = p_account_id
      and p_account_id in (select private.my_account_ids('{admin}'))
$$;

create function public.save_webhook(p_account_id uuid, p_sealed jsonb, p_enabled boolean, p_version integer) returns integer
language sql set search_path = '' as $$ select private.save_webhook(p_account_id, p_sealed, p_enabled, p_version) $$;
create function public.remove_webhook(p_account_id uuid, p_version integer) returns void
language sql set search_path = '' as $$ select private.remove_webhook(p_account_id, p_version) $$;
create function public.try_webhook(p_account_id uuid) returns uuid
language sql set search_path = '' as $$ select private.try_webhook(p_account_id) $$;
create function public.webhook_test(p_account_id uuid, p_delivery_id uuid) returns jsonb
language sql stable set search_path = '' as $$ select private.webhook_test(p_account_id, p_delivery_id) $$;
grant execute on function
    public.save_webhook(uuid, jsonb, boolean, integer), private.save_webhook(uuid, jsonb, boolean, integer),
    public.remove_webhook(uuid, integer), private.remove_webhook(uuid, integer),
    public.try_webhook(uuid), private.try_webhook(uuid), public.webhook_test(uuid, uuid), private.webhook_test(uuid, uuid)
    to authenticated;

-- Sending ---------------------------------------------------------------------------------------------------------------

-- E-mails and webhooks of a new notice, and a job that sends them soon unless one waits already. The demo sends nothing.
create function private.plan_deliveries(p_notice_id uuid, p_account_id uuid, p_profile_id uuid, p_kind text) returns void
language plpgsql set search_path = '' as $$
declare
    v_channel text;
    v_job     uuid;
begin
    if exists (select from public.accounts a where a.id = p_account_id and a.is_demo) then
        return;
    end if;
    insert into private.notice_deliveries (notice_id, channel, target)
    select p_notice_id, 'email', a.person_id from private.addressees(p_account_id, p_profile_id, p_kind) a where a.email
    union all
    select p_notice_id, 'webhook', h.account_id from private.webhooks h where h.account_id = p_account_id and h.enabled;
    for v_channel in select distinct d.channel from private.notice_deliveries d where d.notice_id = p_notice_id loop
        v_job := gen_random_uuid();
        insert into public.jobs (id, kind, slot, request_id)
        select v_job, 'send_' || v_channel, v_job::text, v_job
        where not exists (select from public.jobs j where j.kind = 'send_' || v_channel and j.status = 'pending');
    end loop;
end $$;

-- Deliveries whose sender vanished: before anything was handed over they are tried again, afterwards nobody can tell. And
-- those that nobody could send for three days.
create function private.close_deliveries() returns void language sql set search_path = '' as $$
    update private.notice_deliveries d
    set state = case d.state when 'handed' then 'unknown' else 'pending' end, lease_until = null,
        error = case d.state when 'handed' then 'The worker stopped while the mail server took this e-mail. It is not sent '
                                                'again, so that nobody gets it twice.'
                             else 'The worker stopped before this was sent.' end,
        ended_at = case d.state when 'handed' then private.utc_now() end
    where d.id in (select x.id from private.notice_deliveries x
                   where x.state in ('claimed', 'handed') and x.lease_until < private.utc_now()
                   order by x.id for no key update skip locked);
    update private.notice_deliveries d
    set state = 'given_up', ended_at = private.utc_now(), error = coalesce(d.error, 'Nobody could send it for three days.')
    where d.id in (select x.id from private.notice_deliveries x
                   where x.state = 'pending' and x.created_at < private.utc_now() - interval '3 days'
                   order by x.id for no key update skip locked);
$$;

-- Take the next due delivery of a channel, or null. It is this caller's until the lease runs out.
create function private.claim_delivery(p_channel text, p_lease_seconds numeric) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_delivery private.notice_deliveries;
begin
    perform private.close_deliveries();
    select * into v_delivery from private.notice_deliveries d
    where d.channel = p_channel and d.state = 'pending' and d.next_try <= private.utc_now()
    order by d.next_try, d.id
    limit 1 for no key update skip locked;
    if not found then
        return null;
    end if;
    update private.notice_deliveries d
    set state = 'claimed', attempts = d.attempts + 1, token = gen_random_uuid(),
        lease_until = private.utc_now() + make_interval(secs => p_lease_seconds::double precision)
    where d.id = v_delivery.id returning * into v_delivery;
    return private.delivery_facts(v_delivery);
end $$;

-- `email` or `ciphertext` are null when the person is not to be told any more, or there is no webhook any more.
create function private.delivery_facts(p_delivery private.notice_deliveries) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'id', p_delivery.id, 'token', p_delivery.token, 'attempts', p_delivery.attempts, 'notice_id', n.id,
        'kind', n.kind, 'text', n.text, 'facts', n.facts, 'created_at', n.created_at, 'resolved_at', n.resolved_at,
        'account_id', a.id, 'company', a.name, 'profile_id', s.id, 'store_code', s.code, 'store', s.name,
        'timezone', coalesce(s.timezone, a.timezone),
        'email', (select p.email from private.addressees(n.account_id, n.profile_id, n.kind) r
                  join public.people p on p.id = r.person_id
                  where r.person_id = p_delivery.target and r.email and p_delivery.channel = 'email'),
        'ciphertext', (select k.ciphertext from private.webhooks h join private.sealed_keys k on k.id = h.key_id
                       where h.account_id = p_delivery.target and h.enabled and p_delivery.channel = 'webhook'))
    from public.notices n join public.accounts a on a.id = n.account_id left join public.profiles s on s.id = n.profile_id
    where n.id = p_delivery.notice_id
$$;

-- The mail server gets the e-mail now: from here on it is not sent again unless it is certain that it was not taken.
create function private.hand_over_delivery(p_delivery_id uuid, p_token uuid, p_lease_seconds numeric) returns void
language plpgsql security definer set search_path = '' as $$
begin
    update private.notice_deliveries d
    set state = 'handed',
        lease_until = private.utc_now() + make_interval(secs => p_lease_seconds::double precision)
    where d.id = p_delivery_id and d.token = p_token and d.state = 'claimed';
    if not found then
        perform private.fail('PT412', 'Another worker has taken over this delivery.');
    end if;
end $$;

-- How an attempt ended: sent, pending (tried again after p_retry_seconds), unknown, given_up. A webhook that failed gets
-- nothing else of its company's before then either.
create function private.end_delivery(
    p_delivery_id uuid, p_token uuid, p_state text, p_error text, p_retry_seconds numeric
) returns void language plpgsql security definer set search_path = '' as $$
declare
    v_again    timestamptz := private.utc_now() + make_interval(secs => p_retry_seconds::double precision);
    v_delivery private.notice_deliveries;
begin
    if p_state not in ('sent', 'pending', 'unknown', 'given_up') or (p_state = 'pending' and v_again is null) then
        perform private.fail('PT400', 'An attempt ends as sent, pending with a time, unknown or given_up.');
    end if;
    update private.notice_deliveries d
    set state = p_state, error = left(p_error, 500), lease_until = null, next_try = coalesce(v_again, d.next_try),
        ended_at = case when p_state <> 'pending' then private.utc_now() end
    where d.id = p_delivery_id and d.token = p_token
      and (d.state in ('claimed', 'handed') or (d.state = 'unknown' and p_state = 'sent'))
    returning * into v_delivery;
    if not found then
        perform private.fail('PT412', 'Another worker has taken over this delivery.');
    elsif p_state = 'pending' and v_delivery.channel = 'webhook' then
        update private.notice_deliveries d set next_try = v_again
        where d.id in (select x.id from private.notice_deliveries x
                       where x.channel = 'webhook' and x.target = v_delivery.target and x.state = 'pending'
                         and x.next_try < v_again order by x.id for no key update skip locked);
    end if;
end $$;

create function public.claim_delivery(p_channel text, p_lease_seconds numeric) returns jsonb
language sql set search_path = '' as $$ select private.claim_delivery(p_channel, p_lease_seconds) $$;
create function public.hand_over_delivery(p_delivery_id uuid, p_token uuid, p_lease_seconds numeric) returns void
language sql set search_path = '' as $$ select private.hand_over_delivery(p_delivery_id, p_token, p_lease_seconds) $$;
create function public.end_delivery(
    p_delivery_id uuid, p_token uuid, p_state text, p_error text default null, p_retry_seconds numeric default null
) returns void language sql set search_path = '' as
    $$ select private.end_delivery(p_delivery_id, p_token, p_state, p_error, p_retry_seconds) $$;
grant execute on function
    public.claim_delivery(text, numeric), private.claim_delivery(text, numeric),
    public.hand_over_delivery(uuid, uuid, numeric), private.hand_over_delivery(uuid, uuid, numeric),
    public.end_delivery(uuid, uuid, text, text, numeric), private.end_delivery(uuid, uuid, text, text, numeric)
    to service_role;
