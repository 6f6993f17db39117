-- Prices, quotas, holds, the ledger and its sums. Amounts are US dollars, months and days UTC.

-- A column's check is read anew by each statement that writes the table, a domain's is not: for the tables that every
-- hold and settlement writes, that is a tenth of their time.
create domain private.amount_held as numeric(14,6) check (value >= 0);
create domain private.hold_state as text check (value in ('reserved', 'committed', 'settled', 'released'));
create domain private.cost_category as text check (value in ('text', 'image', 'speech', 'compute',
                                                             'storage operations', 'storage', 'e-mail', 'queue', 'other'));

create table public.prices (
    id         uuid primary key,
    account_id uuid not null references public.accounts,
    provider   text not null,
    model      text not null,
    unit_kind  text not null check (unit_kind in ('characters', 'frames', 'input_tokens', 'output_tokens',
                                                   'cached_tokens', 'requests', 'bytes')),
    usd        numeric(18,9) not null check (usd >= 0),        -- exactly 0 = free; no row = refused
    per_units  integer not null check (per_units in (1, 1000, 1000000)),
    valid_from timestamptz not null,
    created_by uuid,
    reason     text,
    created_at timestamptz not null default private.utc_now(),
    unique (account_id, provider, model, unit_kind, valid_from)
);

create table public.quota_grants (
    id           uuid primary key,
    account_id   uuid not null references public.accounts,
    profile_id   uuid,                                         -- null: raises the company's limit
    amount_usd   numeric(10,2) not null check (amount_usd > 0),
    valid_from   timestamptz not null,
    valid_until  timestamptz not null check (valid_until > valid_from),
    reason       text not null check (btrim(reason) <> ''),
    asked_by     uuid,
    granted_by   uuid not null,
    created_at   timestamptz not null default private.utc_now(),
    foreign key (account_id, profile_id) references public.profiles (account_id, id)
);
create index quota_grants_profile on public.quota_grants (account_id, profile_id, valid_until);

create table public.quota_changes (
    id         uuid primary key,
    account_id uuid not null references public.accounts,
    profile_id uuid,                                           -- null: the company's own limit
    before_usd numeric(10,2) not null,
    after_usd  numeric(10,2) not null,
    reason     text not null check (btrim(reason) <> ''),
    changed_by uuid not null,
    changed_at timestamptz not null default private.utc_now(),
    foreign key (account_id, profile_id) references public.profiles (account_id, id)
);
create index quota_changes_profile on public.quota_changes (account_id, profile_id, changed_at desc);

-- Settled and held of a store (scope = its id) or a company (scope = the company's id) in a month.
create table public.quota_counters (
    scope_id    uuid not null,
    month       date not null,                                 -- its first day
    account_id  uuid not null references public.accounts,
    settled_usd numeric(14,6) not null default 0,
    held_usd    private.amount_held not null default 0,
    overrun_usd numeric(14,6) not null default 0,
    primary key (scope_id, month)
) with (fillfactor = 50);                                      -- room for updates in place
create index quota_counters_account on public.quota_counters (account_id, month);

-- No foreign keys, as in the ledger: hold_cost has read the store, only the demo's are ever deleted, and the check would lock the
-- store's row in every hold.
create table public.cost_holds (
    request_id   uuid primary key,
    account_id   uuid not null,
    profile_id   uuid not null,
    user_id      uuid,                                         -- null: System
    job_id       uuid,
    service      text not null,
    estimate_usd numeric(14,6) not null,
    held_usd     private.amount_held not null,                 -- what is still set aside
    booked_usd   numeric(14,6) not null default 0,
    limit_usd    numeric(10,2),                                -- the store's limit in force; null = none
    company_limit_usd numeric(10,2),                           -- the company's; null = none
    left_usd     numeric(14,6),                                -- the answer given
    state        private.hold_state not null default 'reserved',
    occurred_at  timestamptz not null,
    month        date not null,
    closed_at    timestamptz
) with (fillfactor = 70);
create index cost_holds_account on public.cost_holds (account_id, month);
create index cost_holds_open on public.cost_holds (profile_id, month) where state in ('reserved', 'committed');
create index cost_holds_job on public.cost_holds (job_id);

create table public.cost_entries (
    id              uuid not null primary key,
    account_id      uuid not null,
    seq             bigint not null,                           -- within a company, seq order is commit order
    request_id      uuid not null,
    profile_id      uuid not null,
    profile_name    text not null,
    user_id         uuid,
    user_name       text,
    job_id          uuid,
    project_id      uuid,
    clip_id         uuid,
    run_id          uuid,
    step_id         uuid,
    service         text not null,
    operation       text not null,
    model           text not null,
    category        private.cost_category not null,
    units           jsonb not null,
    unit_prices     jsonb not null,
    cost_usd        numeric(14,6) not null,
    overrun_usd     numeric(14,6) not null default 0,
    counts_to_quota boolean not null default true,
    occurred_at     timestamptz not null,
    booked_on       date not null,
    settled_at      timestamptz not null,
    unique (account_id, seq)
);
create index cost_entries_profile_booked on public.cost_entries (profile_id, booked_on desc, seq desc);
create index cost_entries_request on public.cost_entries (request_id);
create trigger append_only before update or delete on public.cost_entries
    for each row execute function private.refuse_change();
create trigger append_only_whole before truncate on public.cost_entries
    for each statement execute function private.refuse_change();

-- What an entry bought, readable; deletable without touching an amount.
create table public.cost_entry_details (
    entry_id   uuid primary key,
    account_id uuid not null,
    profile_id uuid not null,
    details    jsonb not null
);
create index cost_entry_details_profile on public.cost_entry_details (profile_id);

create table private.ledger_counters (
    account_id uuid primary key,
    last_seq   bigint not null
) with (fillfactor = 50);

create table public.profile_monthly_costs (
    profile_id     uuid not null,
    month          date not null,
    account_id     uuid not null references public.accounts,
    total_cost_usd numeric(14,6) not null default 0,           -- counts towards the quota
    other_cost_usd numeric(14,6) not null default 0,           -- does not
    entries        bigint not null default 0,
    primary key (profile_id, month),
    foreign key (account_id, profile_id) references public.profiles (account_id, id)
) with (fillfactor = 50);
create index profile_monthly_costs_account on public.profile_monthly_costs (account_id, month);
create index profile_monthly_costs_account_profile on public.profile_monthly_costs (account_id, profile_id);

create table public.cost_daily (
    profile_id     uuid not null,
    day            date not null,
    service        text not null,
    operation      text not null,
    model          text not null,
    category       text not null,
    account_id     uuid not null references public.accounts,
    total_cost_usd numeric(14,6) not null default 0,
    other_cost_usd numeric(14,6) not null default 0,
    entries        bigint not null default 0,
    primary key (profile_id, day, service, operation, model, category),
    foreign key (account_id, profile_id) references public.profiles (account_id, id)
) with (fillfactor = 50);
create index cost_daily_account on public.cost_daily (account_id, day);
create index cost_daily_account_profile on public.cost_daily (account_id, profile_id);

-- Rights: people read, functions write. No one may update a quota, a price, a counter or the ledger. --------------------

do $$
declare
    v_table text;
begin
    foreach v_table in array array['prices', 'quota_grants', 'quota_changes', 'quota_counters', 'cost_holds',
        'cost_entries', 'cost_entry_details', 'profile_monthly_costs', 'cost_daily'] loop
        execute format('alter table public.%I enable row level security', v_table);
        execute format('grant select on public.%I to authenticated, service_role', v_table);
    end loop;
    foreach v_table in array array['cost_holds', 'cost_entries', 'cost_entry_details', 'profile_monthly_costs',
        'cost_daily'] loop
        execute format('create policy "people read their stores'' money" on public.%I for select to authenticated '
                       'using (profile_id in (select private.my_profile_ids()))', v_table);
    end loop;
    foreach v_table in array array['quota_grants', 'quota_changes'] loop
        execute format('create policy "people read their limits'' history" on public.%I for select to authenticated '
                       'using (profile_id in (select private.my_profile_ids()) or (profile_id is null '
                       'and account_id in (select private.my_account_ids(''{admin,finance}''))))', v_table);
    end loop;
end $$;
create policy "people read their company's prices" on public.prices for select to authenticated
    using (account_id in (select private.my_account_ids()));
create policy "people read their limits' counters" on public.quota_counters for select to authenticated
    using (scope_id in (select private.my_profile_ids())
           or scope_id in (select private.my_account_ids('{admin,finance}')));
