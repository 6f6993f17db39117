-- Prices that are withdrawn before they begin, what a month would have cost under others, and corrections of the ledger:
-- entries of their own, booked today, that name what they correct.

-- Coming prices ---------------------------------------------------------------------------------------------------------

-- Prices that never were in force: whoever held money was never told of them.
create table public.withdrawn_prices (
    id               uuid primary key,
    account_id       uuid not null references public.accounts on delete cascade,
    provider         text not null,
    model            text not null,
    unit_kind        text not null,
    usd              numeric(18,9) not null,
    per_units        integer not null,
    valid_from       timestamptz not null,
    created_by       uuid,
    reason           text,
    created_at       timestamptz not null,
    withdrawn_by     uuid not null,
    withdrawn_reason text not null check (btrim(withdrawn_reason) <> ''),
    withdrawn_at     timestamptz not null default private.utc_now()
);
create index withdrawn_prices_account on public.withdrawn_prices (account_id, valid_from desc);
alter table public.withdrawn_prices enable row level security;
grant select on public.withdrawn_prices to authenticated, service_role;
create policy "people read their company's withdrawn prices" on public.withdrawn_prices for select to authenticated
    using (account_id in (select private.my_account_ids()));

-- Take a coming price out of the book. In its last minute it stays: a hold that begins now may be priced by it.
create function private.withdraw_price(p_price_id uuid, p_reason text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_price  public.prices;
    v_reason text;
begin
    select * into v_price from public.prices b
    where b.id = p_price_id and b.account_id in (select private.my_account_ids());
    if not found then
        perform private.fail('PT404', 'Price not found. It may have been withdrawn.');
    end if;
    perform private.only_admin(v_price.account_id, 'withdraws a price');
    v_reason := private.given_reason(p_reason);
    delete from public.prices b where b.id = p_price_id and b.valid_from > private.utc_now() + interval '1 minute';
    if not found then
        perform private.fail('PT409', 'This price counts already, or was withdrawn. Set another one instead.');
    end if;
    insert into public.withdrawn_prices (id, account_id, provider, model, unit_kind, usd, per_units, valid_from, created_by,
                                         reason, created_at, withdrawn_by, withdrawn_reason)
    values (v_price.id, v_price.account_id, v_price.provider, v_price.model, v_price.unit_kind, v_price.usd,
            v_price.per_units, v_price.valid_from, v_price.created_by, v_price.reason, v_price.created_at, auth.uid(),
            v_reason);
    perform private.audit(v_price.account_id, 'price_withdrawn', v_price.provider || ' ' || v_price.model, null, v_reason,
                          jsonb_build_object('usd', v_price.usd::text, 'per_units', v_price.per_units,
                                             'unit', v_price.unit_kind, 'valid_from', v_price.valid_from));
end $$;

-- A month under other prices --------------------------------------------------------------------------------------------

alter table public.cost_entries
    add column corrects_id uuid,                               -- the entry whose cost this one corrects
    add column corrects_month date;                            -- the month that one was booked in
create index cost_entries_corrects on public.cost_entries (corrects_id) where corrects_id is not null;
create index cost_entries_corrected_month on public.cost_entries (account_id, corrects_month)
    where corrects_id is not null;

create type private.book_line as (provider text, model text, unit_kind text, usd numeric, per_units integer);

-- A price as an admin types it: {provider, model, unit_kind, usd, per_units}.
create function private.typed_price(p_price jsonb) returns private.book_line
language plpgsql immutable set search_path = '' as $$
declare
    v_line private.book_line;
begin
    if (p_price ->> 'usd' ~ '^\d{1,6}(\.\d{1,9})?$') is not true then
        perform private.fail('PT400', 'A price is an amount of at least $0; 0 means free.', '{"field": "price"}');
    elsif coalesce(p_price ->> 'provider', '') = '' or coalesce(p_price ->> 'model', '') = '' then
        perform private.fail('PT400', 'Choose the model that the price is for.', '{"field": "model"}');
    elsif (p_price ->> 'per_units' in ('1', '1000', '1000000')) is not true
        or coalesce(p_price ->> 'unit_kind', '') = '' then
        perform private.fail('PT400', 'A price is for 1, 1,000 or 1,000,000 units of a kind.', '{"field": "price"}');
    end if;
    v_line.provider := p_price ->> 'provider';
    v_line.model := p_price ->> 'model';
    v_line.unit_kind := p_price ->> 'unit_kind';
    v_line.usd := (p_price ->> 'usd')::numeric;
    v_line.per_units := (p_price ->> 'per_units')::integer;
    return v_line;
end $$;

-- The price book as it is at an instant, with one price (or null) in the place of the book's own.
create function private.book_at(p_account_id uuid, p_at timestamptz, p_other private.book_line)
returns setof private.book_line language sql stable set search_path = '' as $$
    (select distinct on (b.provider, b.model, b.unit_kind) b.provider, b.model, b.unit_kind, b.usd, b.per_units
     from public.prices b
     where b.account_id = p_account_id and b.valid_from <= p_at
       and (b.provider, b.model, b.unit_kind)
           is distinct from ((p_other).provider, (p_other).model, (p_other).unit_kind)
     order by b.provider, b.model, b.unit_kind, b.valid_from desc)
    union all
    select (p_other).* where (p_other).provider is not null
$$;

-- A month's entries under the price book of p_at, with one price (or null) in the place of the book's own: by store and
-- model what was booked and what it would be; entries with units that the book does not price are counted apart. Exact:
-- each entry is rounded once, as price_units does; those with the same units share one calculation. Corrections are not
-- re-rated; what they came to for this month is told beside.
create function private.price_preview(p_account_id uuid, p_month date, p_at timestamptz, p_price jsonb) returns jsonb
language plpgsql stable security definer set search_path = '' as $$
declare
    v_month date := date_trunc('month', p_month::timestamp)::date;
    v_other private.book_line;
begin
    perform private.only_admin(p_account_id, 'sees what other prices would have cost');
    if (v_month between '2000-01-01' and '2199-12-01') is not true then
        perform private.fail('PT400', 'Choose a month.', '{"field": "month"}');
    elsif p_price is not null then
        v_other := private.typed_price(p_price);
    end if;
    return (
        with book as materialized (
            select * from private.book_at(p_account_id, coalesce(p_at, private.utc_now()), v_other)),
        booked as materialized (
            select e.profile_id, e.service, e.model, e.units, count(*) as entries, sum(e.cost_usd) as usd
            from public.cost_entries e
            where e.account_id = p_account_id and e.corrects_id is null
              and e.booked_on >= v_month and e.booked_on < (v_month + interval '1 month')::date
            group by e.profile_id, e.service, e.model, e.units),
        lines as (
            select x.profile_id, x.service, x.model,
                   coalesce(sum(x.entries) filter (where p.missing is null), 0) as entries,
                   coalesce(sum(x.usd) filter (where p.missing is null), 0) as old_usd,
                   coalesce(sum(p.usd * x.entries) filter (where p.missing is null), 0) as new_usd,
                   coalesce(sum(x.entries) filter (where p.missing is not null), 0) as unpriced,
                   coalesce(sum(x.usd) filter (where p.missing is not null), 0) as unpriced_usd,
                   array(select distinct m from unnest(string_to_array(
                             string_agg(array_to_string(p.missing, ','), ','), ',')) m order by m) as missing
            from booked x
            cross join lateral (                               -- a join was planned for the few rows foreseen
                select round(sum(u.value::numeric * b.usd * (1.0 / b.per_units)), 6) as usd,
                       array_agg(coalesce(u.key, 'no units')) filter (where b.usd is null) as missing
                from (select) one
                left join jsonb_each_text(x.units) u on true
                left join book b on b.provider = x.service and b.model = x.model and b.unit_kind = u.key) p
            group by x.profile_id, x.service, x.model)
        select jsonb_build_object(
            'month', v_month, 'as_of', private.utc_now(),
            'corrections_usd', (select coalesce(sum(c.cost_usd), 0)::text from public.cost_entries c
                                where c.account_id = p_account_id and c.corrects_id is not null
                                  and c.corrects_month = v_month),
            'lines', coalesce(jsonb_agg(jsonb_build_object(
                'profile_id', l.profile_id, 'store', s.name, 'store_code', s.code, 'service', l.service,
                'model', l.model, 'entries', l.entries, 'old_usd', l.old_usd::text, 'new_usd', l.new_usd::text,
                'unpriced', l.unpriced, 'unpriced_usd', l.unpriced_usd::text, 'missing', l.missing)
                order by s.code, l.service, l.model), '[]'))
        from lines l left join public.profiles s on s.id = l.profile_id);
end $$;

-- Corrections -----------------------------------------------------------------------------------------------------------
--
-- Lock order as in settle_cost, and a lock that all corrections of a company share in the place of its hold: month
-- (shared), the company's corrections, the stores' counters by id, their sums, the company's counter, its sums, its ledger
-- counter last. Corrections count towards no quota, so the counters are locked for their sums' sake and stay as they are.

create function private.lock_corrections(p_account_id uuid) returns void language plpgsql set search_path = '' as $$
begin
    perform pg_advisory_xact_lock_shared(private.month_key(p_account_id, private.month_of(private.utc_now())));
    perform pg_advisory_xact_lock(hashtextextended('corrections ' || p_account_id::text, 1));
end $$;

-- What an entry costs with its corrections.
create function private.corrected_usd(e public.cost_entries) returns numeric
language plpgsql stable set search_path = '' as $$
begin
    return e.cost_usd + coalesce((select sum(c.cost_usd) from public.cost_entries c where c.corrects_id = e.id), 0);
end $$;

-- An entry of today that corrects e by p_usd; its seq is drawn when it is written.
create function private.correction_of(e public.cost_entries, p_id uuid, p_request_id uuid, p_usd numeric)
returns public.cost_entries language plpgsql stable set search_path = '' as $$
declare
    v_new public.cost_entries := e;
begin
    v_new.id := p_id;
    v_new.request_id := p_request_id;
    v_new.operation := 'adjustment';
    v_new.units := '{}';
    v_new.unit_prices := '{}';
    v_new.cost_usd := p_usd;
    v_new.overrun_usd := 0;
    v_new.counts_to_quota := false;
    v_new.occurred_at := private.utc_now();
    v_new.booked_on := (private.utc_now() at time zone 'UTC')::date;
    v_new.settled_at := private.utc_now();
    v_new.corrects_id := e.id;
    v_new.corrects_month := date_trunc('month', e.booked_on::timestamp)::date;
    return v_new;
end $$;

-- The sums of the stores; their counters are locked.
create function private.add_corrections(p_account_id uuid, p_day date, p_rows public.cost_entries[]) returns void
language plpgsql set search_path = '' as $$
declare
    v_month date := date_trunc('month', p_day::timestamp)::date;
begin
    insert into public.profile_monthly_costs as s (profile_id, month, account_id, other_cost_usd, entries)
    select r.profile_id, v_month, p_account_id, sum(r.cost_usd), count(*)
    from unnest(p_rows) r group by r.profile_id order by r.profile_id
    on conflict (profile_id, month) do update
    set other_cost_usd = s.other_cost_usd + excluded.other_cost_usd, entries = s.entries + excluded.entries;
    insert into public.cost_daily as s (profile_id, day, service, operation, model, category, account_id, other_cost_usd,
                                        entries)
    select r.profile_id, p_day, r.service, r.operation, r.model, r.category, p_account_id, sum(r.cost_usd), count(*)
    from unnest(p_rows) r group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3, 4, 5, 6
    on conflict (profile_id, day, service, operation, model, category) do update
    set other_cost_usd = s.other_cost_usd + excluded.other_cost_usd, entries = s.entries + excluded.entries;
    insert into public.profile_daily_costs as s (profile_id, day, account_id, other_cost_usd, entries)
    select r.profile_id, p_day, p_account_id, sum(r.cost_usd), count(*)
    from unnest(p_rows) r group by r.profile_id order by r.profile_id
    on conflict (profile_id, day) do update
    set other_cost_usd = s.other_cost_usd + excluded.other_cost_usd, entries = s.entries + excluded.entries;
    perform private.add_corrections_to_people(p_account_id, v_month, p_rows);
    insert into public.work_costs as s (work_id, month, profile_id, kind, account_id, cost_usd, entries)
    select w.id, v_month, r.profile_id, w.kind, p_account_id, sum(r.cost_usd), count(*)
    from unnest(p_rows) r
    cross join lateral (values ('project', r.project_id), ('clip', r.clip_id)) as w(kind, id)
    where w.id is not null
    group by w.id, r.profile_id, w.kind order by w.id, r.profile_id
    on conflict (work_id, month, profile_id) do update
    set cost_usd = s.cost_usd + excluded.cost_usd, entries = s.entries + excluded.entries;
end $$;

-- Through add_to_user_costs, which takes one person's entries in one store under their hold; corrections have none.
create function private.add_corrections_to_people(p_account_id uuid, p_month date, p_rows public.cost_entries[])
returns void language plpgsql set search_path = '' as $$
declare
    v_hold    public.cost_holds;
    v_entries private.priced_entry[];
begin
    v_hold.account_id := p_account_id;
    v_hold.month := p_month;
    for v_hold.profile_id, v_hold.user_id, v_entries in
        select r.profile_id, r.user_id,
               array_agg(row(r.id, 0, r.operation, r.model, r.category, r.units, r.unit_prices, r.cost_usd, 0,
                             r.project_id, r.clip_id, r.run_id, r.step_id, null)::private.priced_entry)
        from unnest(p_rows) r group by r.profile_id, r.user_id order by r.profile_id, r.user_id
    loop
        perform private.add_to_user_costs(v_hold, v_entries);
    end loop;
end $$;

-- Book corrections of one company, made by correction_of in this transaction.
create function private.book_corrections(p_account_id uuid, p_rows public.cost_entries[], p_reason text) returns void
language plpgsql set search_path = '' as $$
declare
    v_day   date := (p_rows[1]).booked_on;
    v_month date := date_trunc('month', v_day::timestamp)::date;
begin
    perform private.lock_counter(r.profile_id, v_month, p_account_id)
    from (select distinct x.profile_id from unnest(p_rows) x order by x.profile_id) r;
    perform private.add_corrections(p_account_id, v_day, p_rows);
    perform private.lock_counter(p_account_id, v_month, p_account_id);
    insert into public.company_daily_costs as s (account_id, day, service, operation, model, category, other_cost_usd,
                                                 entries)
    select p_account_id, v_day, r.service, r.operation, r.model, r.category, sum(r.cost_usd), count(*)
    from unnest(p_rows) r group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3, 4, 5, 6
    on conflict (account_id, day, service, operation, model, category) do update
    set other_cost_usd = s.other_cost_usd + excluded.other_cost_usd, entries = s.entries + excluded.entries;
    perform private.write_corrections(p_account_id, p_rows, p_reason);
end $$;

create function private.write_corrections(p_account_id uuid, p_rows public.cost_entries[], p_reason text) returns void
language plpgsql set search_path = '' as $$
declare
    v_row  public.cost_entries;
    v_seq  bigint;
begin
    insert into private.ledger_counters as c (account_id, last_seq) values (p_account_id, cardinality(p_rows))
    on conflict (account_id) do update set last_seq = c.last_seq + excluded.last_seq
    returning last_seq - cardinality(p_rows) into v_seq;
    foreach v_row in array p_rows loop
        v_seq := v_seq + 1;
        v_row.seq := v_seq;
        insert into public.cost_entries values (v_row.*);
    end loop;
    insert into public.cost_entry_details (entry_id, account_id, profile_id, details)
    select r.id, p_account_id, r.profile_id, jsonb_build_object('reason', p_reason) from unnest(p_rows) r;
end $$;

-- The admin's entry that is to be corrected.
create function private.entry_of_admin(p_entry_id uuid) returns public.cost_entries
language plpgsql stable set search_path = '' as $$
declare
    v_entry public.cost_entries;
begin
    select * into v_entry from public.cost_entries e
    where e.id = p_entry_id and e.profile_id in (select private.my_profile_ids());
    if not found then
        perform private.fail('PT404', 'Entry not found.');
    end if;
    perform private.only_admin(v_entry.account_id, 'corrects what was booked');
    if v_entry.corrects_id is not null then
        perform private.fail('PT400', 'This entry is a correction itself. Correct the entry that it names.',
                             '{"field": "entry"}');
    end if;
    return v_entry;
end $$;

-- Correct a booked entry by p_usd, up or down, never below 0. p_seen_usd: what it cost, corrections included, when the
-- admin looked; PT409 if that has changed. The same id again books nothing and gets the same answer: {id, before, after}.
create function private.adjust_cost(p_id uuid, p_entry_id uuid, p_usd numeric, p_reason text, p_seen_usd numeric)
returns jsonb language plpgsql security definer set search_path = '' as $$
declare
    v_entry  public.cost_entries := private.entry_of_admin(p_entry_id);
    v_reason text := private.given_reason(p_reason);
    v_before numeric;
begin
    if p_id is null or (abs(p_usd) <= 99999999 and p_usd <> 0 and p_usd = round(p_usd, 6)) is not true then
        perform private.fail('PT400', 'A correction is an amount other than $0 with at most six decimals.',
                             '{"field": "usd"}');
    end if;
    perform private.lock_corrections(v_entry.account_id);
    if exists (select from public.cost_entries c where c.id = p_id) then
        return private.repeat_correction(p_id, v_entry, p_usd, v_reason);
    end if;
    v_before := private.corrected_usd(v_entry);
    if p_seen_usd <> v_before then
        perform private.fail('PT409', format('This entry costs %s now. Look at it again, then correct it.',
                                             private.usd_text(v_before)));
    elsif v_before + p_usd < 0 then
        perform private.fail('PT400', format('This entry costs %s with its corrections; it cannot cost less than $0.',
                                             private.usd_text(v_before)), '{"field": "usd"}');
    end if;
    perform private.book_corrections(v_entry.account_id, array[private.correction_of(v_entry, p_id, p_id, p_usd)], v_reason);
    perform private.audit(v_entry.account_id, 'cost_corrected', format('entry %s', v_entry.seq), v_entry.profile_id,
                          v_reason, jsonb_build_object('usd', v_before::text),
                          jsonb_build_object('usd', (v_before + p_usd)::text));
    return jsonb_build_object('id', p_id, 'before', v_before::text, 'after', (v_before + p_usd)::text);
end $$;

create function private.repeat_correction(p_id uuid, p_entry public.cost_entries, p_usd numeric, p_reason text)
returns jsonb language plpgsql stable set search_path = '' as $$
declare
    v_made   public.cost_entries;
    v_before numeric;
begin
    select * into v_made from public.cost_entries c where c.id = p_id;
    if (v_made.corrects_id, v_made.cost_usd) is distinct from (p_entry.id, p_usd)
        or exists (select from public.cost_entry_details d
                   where d.entry_id = p_id and d.details ->> 'reason' is distinct from p_reason) then
        perform private.fail('PT409', 'This correction was sent before with other values.');
    end if;
    select p_entry.cost_usd + coalesce(sum(c.cost_usd), 0) into v_before from public.cost_entries c
    where c.corrects_id = p_entry.id and c.seq < v_made.seq;
    return jsonb_build_object('id', p_id, 'before', v_before::text, 'after', (v_before + v_made.cost_usd)::text);
end $$;

-- Correct all entries of a model in a month, in a store or (null) in all, to another price of their units: {provider,
-- model, unit_kind, usd, per_units}. Entries that count other units too are left for single corrections. All or nothing,
-- at most 5,000: the company's holds wait meanwhile. The same id again books nothing more; with other values PT409.
-- Returns {entries, usd}: how many were corrected, and by how much together.
create function private.adjust_model(
    p_id uuid, p_account_id uuid, p_profile_id uuid, p_month date, p_price jsonb, p_reason text
) returns jsonb language plpgsql security definer set search_path = '' as $$
declare
    v_price  private.book_line;
    v_reason text;
    v_rows   public.cost_entries[];
    v_made   jsonb;
begin
    perform private.only_admin(p_account_id, 'corrects what was booked');
    perform private.cost_scope(p_account_id, p_profile_id);
    v_price := private.typed_price(p_price);
    v_reason := private.given_reason(p_reason);
    if p_id is null or p_month is null then
        perform private.fail('PT400', 'Choose a month.', '{"field": "month"}');
    end if;
    perform private.lock_corrections(p_account_id);
    v_rows := private.corrections_to(p_id, p_account_id, p_profile_id, p_month, v_price);
    v_made := private.corrections_made(p_account_id, p_id);
    if (v_made ->> 'entries')::integer > 0 then
        if cardinality(v_rows) > 0 then
            perform private.fail('PT409', 'This correction was sent before with other values.');
        end if;
        return v_made;
    elsif cardinality(v_rows) = 0 then
        return v_made;
    elsif cardinality(v_rows) > 5000 then
        perform private.fail('PT400', 'More than 5,000 entries would be corrected at once. Choose one store.',
                             '{"field": "store"}');
    end if;
    perform private.book_corrections(p_account_id, v_rows, v_reason);
    v_made := private.corrections_made(p_account_id, p_id);
    perform private.audit(p_account_id, 'costs_corrected', v_price.provider || ' ' || v_price.model, p_profile_id, v_reason,
                          null, p_price || v_made || jsonb_build_object('month', to_char(p_month, 'YYYY-MM')));
    return v_made;
end $$;

-- The corrections by which a month's entries of a model come to cost what their units do at p_price. Each entry's earlier
-- corrections are looked up by its id: a join was planned for the few that the statistics knew of.
create function private.corrections_to(
    p_id uuid, p_account_id uuid, p_profile_id uuid, p_month date, p_price private.book_line
) returns public.cost_entries[] language plpgsql stable set search_path = '' as $$
declare
    v_month date := date_trunc('month', p_month::timestamp)::date;
begin
    return array(
        select private.correction_of(x.e, md5(p_id::text || (x.e).id::text)::uuid, p_id, x.delta)
        from (select e, round(((e.units ->> p_price.unit_kind)::numeric * p_price.usd * (1.0 / p_price.per_units)), 6)
                        - e.cost_usd - coalesce(c.usd, 0) as delta
              from public.cost_entries e
              cross join lateral (select sum(k.cost_usd) as usd from public.cost_entries k where k.corrects_id = e.id) c
              where e.account_id = p_account_id and e.corrects_id is null
                and e.booked_on >= v_month and e.booked_on < (v_month + interval '1 month')::date
                and e.profile_id = coalesce(p_profile_id, e.profile_id)
                and e.service = p_price.provider and e.model = p_price.model
                and e.units ? p_price.unit_kind and e.units - p_price.unit_kind = '{}') x
        where x.delta <> 0 order by (x.e).seq limit 5001);
end $$;

create function private.corrections_made(p_account_id uuid, p_request_id uuid) returns jsonb
language plpgsql stable set search_path = '' as $$
begin
    return (select jsonb_build_object('entries', count(*), 'usd', coalesce(sum(c.cost_usd), 0)::text)
            from public.cost_entries c
            where c.request_id = p_request_id and c.account_id = p_account_id and c.corrects_id is not null);
end $$;

-- As before, with what an entry corrects and why, and the corrections of an entry.
create or replace function private.cost_entry_json(e public.cost_entries) returns jsonb
language sql stable set search_path = '' as $$
    select jsonb_build_object(
        'id', e.id, 'seq', e.seq, 'occurred_at', e.occurred_at, 'booked_on', e.booked_on, 'profile_id', e.profile_id,
        'store', coalesce((select p.name from public.profiles p where p.id = e.profile_id), e.profile_name),
        'user_id', e.user_id,
        'person', case when e.user_id is null then 'System'
                       else coalesce((select p.name from public.people p where p.id = e.user_id), e.user_name) end,
        'job_id', e.job_id, 'project_id', e.project_id,
        'project', (select r.name from public.projects r where r.id = e.project_id),
        'clip_id', e.clip_id, 'clip', (select c.name from public.clips c where c.id = e.clip_id),
        'service', e.service, 'operation', e.operation, 'model', e.model, 'category', e.category, 'units', e.units,
        'unit_prices', e.unit_prices, 'cost_usd', e.cost_usd::text, 'overrun_usd', e.overrun_usd::text,
        'counts_to_quota', e.counts_to_quota, 'preview', d.details ->> 'preview', 'reason', d.details ->> 'reason',
        'corrects', (
            select jsonb_build_object('id', o.id, 'seq', o.seq, 'booked_on', o.booked_on, 'cost_usd', o.cost_usd::text)
            from public.cost_entries o where o.id = e.corrects_id),
        'corrections', (
            select coalesce(jsonb_agg(jsonb_build_object(
                'id', c.id, 'seq', c.seq, 'booked_on', c.booked_on, 'cost_usd', c.cost_usd::text) order by c.seq), '[]')
            from public.cost_entries c where c.corrects_id = e.id))
    from (select) one left join public.cost_entry_details d on d.entry_id = e.id
$$;

-- The doors -------------------------------------------------------------------------------------------------------------

create function public.withdraw_price(p_price_id uuid, p_reason text) returns void
language sql set search_path = '' as $$ select private.withdraw_price(p_price_id, p_reason) $$;
create function public.price_preview(
    p_account_id uuid, p_month date, p_at timestamptz default null, p_price jsonb default null
) returns jsonb language sql stable set search_path = '' as
    $$ select private.price_preview(p_account_id, p_month, p_at, p_price) $$;
create function public.adjust_cost(
    p_id uuid, p_entry_id uuid, p_usd numeric, p_reason text, p_seen_usd numeric default null
) returns jsonb language sql set search_path = '' as
    $$ select private.adjust_cost(p_id, p_entry_id, p_usd, p_reason, p_seen_usd) $$;
create function public.adjust_model(
    p_id uuid, p_account_id uuid, p_profile_id uuid, p_month date, p_price jsonb, p_reason text
) returns jsonb language sql set search_path = '' as
    $$ select private.adjust_model(p_id, p_account_id, p_profile_id, p_month, p_price, p_reason) $$;

grant execute on function public.withdraw_price(uuid, text), private.withdraw_price(uuid, text),
    public.price_preview(uuid, date, timestamptz, jsonb), private.price_preview(uuid, date, timestamptz, jsonb),
    public.adjust_cost(uuid, uuid, numeric, text, numeric), private.adjust_cost(uuid, uuid, numeric, text, numeric),
    public.adjust_model(uuid, uuid, uuid, date, jsonb, text), private.adjust_model(uuid, uuid, uuid, date, jsonb, text)
    to authenticated;
