-- Background work. States: pending → running → completed | failed | cancelled; failed and cancelled → pending by a retry.

create table public.jobs (
    id                  uuid primary key,
    account_id          uuid references public.accounts,   -- null: work of the installation
    profile_id          uuid,
    kind                text not null check (kind ~ '^[a-z_]{1,40}$'),
    status              text not null default 'pending'
                        check (status in ('pending', 'running', 'completed', 'failed', 'cancelled')),
    progress            numeric(4,3) not null default 0 check (progress between 0 and 1),
    message             text not null default 'Queued',
    input               jsonb not null default '{}',
    result              jsonb,
    error               text,                              -- a sentence for the operator
    request_id          uuid not null,                     -- names the hold; a retry by a person draws a new one
    dedupe_key          text,                              -- two open jobs of one store never share it
    slot                text,                              -- periodic work: one job a kind and slot
    attempt             integer not null default 0,
    max_attempts        integer not null default 3 check (max_attempts between 1 and 20),
    attempt_token       uuid,                              -- fences the writes of an attempt that was taken over
    worker              text,
    lease_until         timestamptz,
    run_after           timestamptz not null default private.utc_now(),
    cancel_requested_at timestamptz,
    created_by          uuid,                              -- null: System
    started_at          timestamptz,
    finished_at         timestamptz,
    created_at          timestamptz not null default private.utc_now(),
    updated_at          timestamptz not null default private.utc_now(),
    unique (kind, slot),
    foreign key (account_id, profile_id) references public.profiles (account_id, id),
    check (profile_id is null or account_id is not null)
);
create index jobs_pending on public.jobs (run_after, id) where status = 'pending';
create index jobs_leases on public.jobs (lease_until) where status = 'running';
create index jobs_account on public.jobs (account_id, created_at desc, id desc);
create index jobs_account_profile on public.jobs (account_id, profile_id, created_at desc);
create index jobs_profile on public.jobs (profile_id, created_at desc);
create unique index jobs_dedupe on public.jobs (profile_id, dedupe_key) where status in ('pending', 'running');

create table public.job_steps (
    job_id     uuid not null references public.jobs on delete cascade,
    name       text not null check (char_length(name) <= 80),
    outcome    jsonb not null,
    created_at timestamptz not null default private.utc_now(),
    primary key (job_id, name)
);

create trigger touch before update on public.jobs for each row execute function private.touch();

alter table public.jobs enable row level security;
alter table public.job_steps enable row level security;
grant select on public.jobs, public.job_steps to authenticated, service_role;
create policy "people read their stores' jobs" on public.jobs for select to authenticated
    using (profile_id in (select private.my_profile_ids())
           or (profile_id is null and account_id in (select private.my_account_ids('{admin,finance}'))));
create policy "people read their jobs' steps" on public.job_steps for select to authenticated
    using (job_id in (select j.id from public.jobs j));
