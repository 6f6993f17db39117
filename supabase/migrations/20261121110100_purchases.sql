-- Purchases: one row a passage that is spoken, written before its vendor is called.
--
--   intent ──▶ sent ──▶ settled          the answer came and is booked
--     │         ├────▶ recovered        the answer was lost and found at the vendor, booked
--     │         ├────▶ unclear          nobody can tell; an admin decides: settled or refused
--     └─────────┴────▶ refused          proof that nothing was bought (also by the vendor's list: absent_at)
--   reused: the store had bought this passage before
--
-- Lock order: job, purchase, then as in hold and settle (month, hold, counters, ledger counter).

create table public.purchases (
    id             uuid primary key,                           -- also of its ledger entry
    account_id     uuid not null,
    profile_id     uuid not null,
    job_id         uuid not null references public.jobs on delete cascade,
    request_id     uuid,                                       -- its hold; null: reused
    place          integer not null check (place >= 0),        -- which passage of the job
    provider       text not null,
    model          text not null,
    voice          text not null,
    part_hash      text not null,                              -- same spoken text, voice, model and settings
    characters     integer not null check (characters > 0),
    units_expected numeric(18,6) not null,
    units_billed   numeric(18,6),
    exact          boolean not null,                           -- whether the voice's multiplier was known
    state          text not null default 'intent'
                   check (state in ('intent', 'sent', 'settled', 'recovered', 'unclear', 'refused', 'reused')),
    vendor_id      text,                                       -- the vendor's own id, claimed once
    cost_usd       numeric(14,6) not null default 0,
    saved_usd      numeric(14,6) not null default 0,           -- what a reused passage would have cost
    media_path     text,
    error          text,
    sent_at        timestamptz,
    deadline       timestamptz,                                -- after it no call of this purchase is on its way
    sent_by        uuid,                                       -- the attempt that sent it
    absent_at      timestamptz,                                -- when the vendor's list showed that it was not made
    again_at       timestamptz,                                -- when a person clicked to buy it again
    again_by       uuid,
    decided_by     uuid,
    decided_reason text,
    closed_at      timestamptz,
    created_at     timestamptz not null default private.utc_now(),
    updated_at     timestamptz not null default private.utc_now(),
    foreign key (account_id, profile_id) references public.profiles (account_id, id)
);
create index purchases_job on public.purchases (job_id, place);
create index purchases_account_profile on public.purchases (account_id, profile_id);
create index purchases_part on public.purchases (profile_id, part_hash) where media_path is not null;
create index purchases_media on public.purchases (media_path) where media_path is not null;
create index purchases_open on public.purchases (deadline) where state = 'sent';
create index purchases_unclear on public.purchases (account_id) where state = 'unclear';
create index purchases_absent on public.purchases (absent_at) where absent_at is not null;
create index purchases_saved on public.purchases (profile_id, created_at) where saved_usd > 0;
create index purchases_request on public.purchases (request_id);
create unique index purchases_vendor on public.purchases (account_id, provider, vendor_id);
create trigger touch before update on public.purchases for each row execute function private.touch();
alter table public.purchases enable row level security;
grant select on public.purchases to authenticated, service_role;
create policy "people read their stores' purchases" on public.purchases for select to authenticated
    using (profile_id in (select private.my_profile_ids()));

alter table public.speech_assets add column saved_usd numeric(14,6) not null default 0;

-- Units may be fractions: vendors bill half a credit a character.
create or replace function private.price_units(
    p_account_id uuid, p_provider text, p_model text, p_units jsonb, p_at timestamptz,
    out cost_usd numeric, out unit_prices jsonb
) language plpgsql stable set search_path = '' as $$
declare
    v_kind  text;
    v_units text;
    v_price record;
begin
    cost_usd := 0;
    unit_prices := '{}';
    for v_kind, v_units in
        select u.key, u.value from jsonb_each_text(case jsonb_typeof(p_units) when 'object' then p_units end) u
    loop
        if (v_units ~ '^\d{1,15}(\.\d{1,6})?$') is not true then
            perform private.fail('PT400', 'Units must be numbers of at least 0 with at most six decimals.');
        end if;
        select b.id, b.usd, b.per_units into v_price from public.prices b
        where b.account_id = p_account_id and b.provider = p_provider and b.model = p_model
          and b.unit_kind = v_kind and b.valid_from <= p_at
        order by b.valid_from desc limit 1;
        if not found then
            perform private.fail('PT422', format(
                'The price book has no price for %s of %s (%s), so nothing was bought. An admin can add one.',
                replace(v_kind, '_', ' '), p_provider, p_model));
        end if;
        -- Times 0.001, not divided by 1000: a quotient would be rounded before its one rounding.
        cost_usd := cost_usd + v_units::numeric * v_price.usd * (1.0 / v_price.per_units);
        unit_prices := unit_prices || jsonb_build_object(v_kind, jsonb_build_object(
            'price_id', v_price.id, 'usd', v_price.usd::text, 'per_units', v_price.per_units));
    end loop;
    if unit_prices = '{}' then
        perform private.fail('PT400', 'Units must be numbers of at least 0 with at most six decimals.');
    end if;
    cost_usd := round(cost_usd, 6);
end $$;

create function private.refuse_paused(p_account_id uuid, p_provider text, p_model text) returns void
language plpgsql stable set search_path = '' as $$
declare
    v_pause public.model_pauses;
begin
    select * into v_pause from public.model_pauses m
    where m.account_id = p_account_id and m.provider = p_provider and m.model = p_model and m.confirmed_at is null
    order by m.paused_at limit 1;
    if found then
        perform private.fail('PT424', format(
            '%s (%s) is paused: it announced %s units for a passage and billed %s. An admin can confirm the price on '
            'the Admin page. Nothing was bought.', v_pause.model, v_pause.provider, trim_scale(v_pause.expected),
            trim_scale(v_pause.billed)));
    end if;
end $$;

create or replace function private.hold_step(
    p_request_id uuid, p_job_id uuid, p_provider text, p_model text, p_units jsonb
) returns numeric language plpgsql security definer set search_path = '' as $$
declare
    v_job  public.jobs;
    v_cost numeric;
begin
    select * into v_job from public.jobs j where j.id = p_job_id;
    if not found or v_job.profile_id is null then
        perform private.fail('PT404', 'Job not found.');
    end if;
    perform private.refuse_paused(v_job.account_id, p_provider, p_model);
    select p.cost_usd into v_cost
    from private.price_units(v_job.account_id, p_provider, p_model, p_units, private.utc_now()) p;
    return private.hold_cost(p_request_id, v_job.profile_id, v_cost, p_provider, p_job_id, v_job.created_by);
end $$;

-- Voices that no vendor bills, practice prices included: what is lost can be spoken again.
create function private.bills_nobody(p_provider text) returns boolean
language sql immutable set search_path = '' as
    $$ select p_provider in ('hibari', 'practice', 'edge', 'kokoro', 'coqui') $$;

-- Units a character costs. Learned or confirmed rates come first; then model times voice; a voice whose multiplier
-- nobody knows counts as the dearest the vendor documents.
create function private.unit_rate(
    p_account_id uuid, p_provider text, p_model text, p_voice text, out rate numeric, out exact boolean
) language plpgsql stable set search_path = '' as $$
declare
    v_model jsonb;
    v_voice numeric;
begin
    exact := true;
    rate := 1;
    if private.bills_nobody(p_provider) then
        return;
    end if;
    select s.models -> p_model into v_model from public.voice_services s
    where s.provider = p_provider and s.account_id = p_account_id and s.readiness = 'ready';
    if not found then
        perform private.fail('PT409', format(
            '%s is not connected for this company, so nothing was bought. An admin can connect it.', p_provider));
    elsif v_model is null then
        perform private.fail('PT400', format('%s does not offer the model %s any more. Choose another.', p_provider,
                                             p_model), '{"field": "model"}');
    end if;
    select r.rate into rate from public.voice_rates r
    where r.account_id = p_account_id and r.provider = p_provider and r.model = p_model and r.voice = p_voice;
    if found then
        return;
    end if;
    select v.multiplier into v_voice from public.voices v
    where v.account_id = p_account_id and v.provider = p_provider and v.voice = p_voice;
    exact := v_voice is not null;
    rate := (v_model ->> 'multiplier')::numeric * coalesce(v_voice, (v_model ->> 'dearest')::numeric);
end $$;

create function private.chunks_of(p_speech jsonb) returns jsonb language sql immutable set search_path = '' as $$
    select coalesce(p_speech -> 'chunks', jsonb_build_array(btrim(p_speech ->> 'text')))
$$;

-- Same spoken text, voice, model, settings and format = same hash. One passage hashes as its text.
create or replace function private.speech_hash(p_speech jsonb) returns text
language sql immutable set search_path = '' as $$
    select encode(sha256(convert_to(concat_ws(chr(31), p_speech ->> 'provider', p_speech ->> 'model',
        p_speech ->> 'voice', p_speech ->> 'format', (p_speech -> 'settings')::text,
        (select string_agg(c, chr(30) order by n)
         from jsonb_array_elements_text(private.chunks_of(p_speech)) with ordinality t(c, n))), 'UTF8')), 'hex')
$$;

create function private.part_hash(p_speech jsonb, p_chunk text) returns text
language sql immutable set search_path = '' as $$
    select encode(sha256(convert_to(concat_ws(chr(31), p_speech ->> 'provider', p_speech ->> 'model',
        p_speech ->> 'voice', (p_speech -> 'settings')::text, p_chunk), 'UTF8')), 'hex')
$$;

-- The passages of an order: units and price of each, and the store's own earlier purchase of it, if any.
create function private.price_chunks(p_store public.profiles, p_speech jsonb)
returns table (place integer, characters integer, units numeric, cost_usd numeric, part_id uuid)
language plpgsql stable set search_path = '' as $$
declare
    v_rate  record;
    v_chunk text;
begin
    v_rate := private.unit_rate(p_store.account_id, p_speech ->> 'provider', p_speech ->> 'model',
                                p_speech ->> 'voice');
    for v_chunk, place in
        select t.c, t.n::integer - 1 from jsonb_array_elements_text(private.chunks_of(p_speech))
        with ordinality t(c, n)
    loop
        characters := char_length(v_chunk);
        units := ceil(characters * v_rate.rate);
        select p.cost_usd into cost_usd
        from private.price_units(p_store.account_id, p_speech ->> 'provider', p_speech ->> 'model',
                                 jsonb_build_object('characters', units), private.utc_now()) p;
        part_id := private.bought_part(p_store.id, private.part_hash(p_speech, v_chunk));
        return next;
    end loop;
end $$;

create function private.bought_part(p_profile_id uuid, p_part_hash text) returns uuid
language plpgsql stable set search_path = '' as $$
begin
    return (select p.id from public.purchases p
            where p.profile_id = p_profile_id and p.part_hash = p_part_hash and p.media_path is not null
              and p.state in ('settled', 'recovered')
            order by p.created_at desc limit 1);
end $$;

-- What an order would cost: {characters, passages, bought, estimate, saved, exact, store, company, existing, running}.
create or replace function private.speech_quote(p_profile_id uuid, p_speech jsonb) returns jsonb
language plpgsql stable security definer set search_path = ''
set plan_cache_mode = force_generic_plan as $$
declare
    v_store public.profiles := private.my_work_profile(p_profile_id);
    v_hash  text := private.speech_hash(p_speech);
    v_sum   record;
begin
    perform private.check_chunks(private.chunks_of(p_speech));
    perform private.refuse_paused(v_store.account_id, p_speech ->> 'provider', p_speech ->> 'model');
    select sum(c.characters) as characters, count(*) as passages, count(c.part_id) as bought,
           coalesce(sum(c.cost_usd) filter (where c.part_id is null), 0) as estimate,
           coalesce(sum(c.cost_usd) filter (where c.part_id is not null), 0) as saved
    into v_sum from private.price_chunks(v_store, p_speech) c;
    return jsonb_build_object(
        'characters', v_sum.characters, 'passages', v_sum.passages, 'bought', v_sum.bought,
        'estimate', v_sum.estimate::text, 'saved', v_sum.saved::text,
        'exact', (private.unit_rate(v_store.account_id, p_speech ->> 'provider', p_speech ->> 'model',
                                    p_speech ->> 'voice')).exact,
        'allow_free_over_quota', v_store.allow_free_voices_over_quota,
        'store', private.quota_state(v_store.account_id, p_profile_id),
        'company', private.quota_state(v_store.account_id, null),
        'existing', (select a.id from public.speech_assets a
                     where a.profile_id = p_profile_id and a.content_hash = v_hash and a.deleted_at is null
                     order by a.created_at desc limit 1),
        'running', (select j.id from public.jobs j where j.profile_id = p_profile_id and j.dedupe_key = v_hash
                    and j.status in ('pending', 'running')));
end $$;

create function private.check_chunks(p_chunks jsonb) returns void
language plpgsql set search_path = '' as $$
begin
    if jsonb_typeof(p_chunks) is distinct from 'array' or jsonb_array_length(p_chunks) not between 1 and 4000
        or exists (select from jsonb_array_elements(p_chunks) c
                   where jsonb_typeof(c) <> 'string' or (c #>> '{}') !~ '\S')
        or (select sum(char_length(c)) from jsonb_array_elements_text(p_chunks) c) > 80000 then
        perform private.fail('PT400', 'The text cannot be cut into passages. Shorten it.', '{"field": "text"}');
    end if;
end $$;

-- Job row and the first passage's hold in one transaction. Speech: {text, chunks, provider, model, voice, format, settings,
-- project_id, clip_id}. The same id again, or the same speech while it is under way, returns the job that is there.
create or replace function private.enqueue_speech(p_job_id uuid, p_profile_id uuid, p_speech jsonb) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_store public.profiles := private.my_work_profile(p_profile_id);
    v_hash  text;
    v_input jsonb := p_speech || jsonb_build_object('text', btrim(p_speech ->> 'text'));
    v_job   public.jobs;
begin
    if char_length(coalesce(v_input ->> 'text', '')) not between 1 and 40000
        or v_input ->> 'text' !~ '\S' then
        perform private.fail('PT400', 'The text must have 1 to 40,000 characters.', '{"field": "text"}');
    elsif (v_input ->> 'format' in ('mp3', 'wav') and v_input ->> 'voice' <> ''
           and jsonb_typeof(v_input -> 'settings') = 'object') is not true then
        perform private.fail('PT400', 'Speech needs a voice, its settings, and mp3 or wav as its format.');
    end if;
    v_input := v_input || jsonb_build_object('chunks', private.chunks_of(v_input));
    perform private.check_chunks(v_input -> 'chunks');
    perform private.check_clip(p_profile_id, (p_speech ->> 'project_id')::uuid, (p_speech ->> 'clip_id')::uuid);
    v_hash := private.speech_hash(v_input);
    insert into public.jobs (id, account_id, profile_id, kind, input, request_id, dedupe_key, created_by)
    values (p_job_id, v_store.account_id, p_profile_id, 'speech', v_input, p_job_id, v_hash, auth.uid())
    on conflict do nothing returning * into v_job;
    if not found then
        return private.same_speech_job(p_job_id, p_profile_id, v_hash);
    end if;
    return jsonb_build_object('job_id', p_job_id, 'left', private.hold_for_job(v_job, p_job_id)::text);
end $$;

-- Hold the first passage that is not bought yet; refuse before anything is bought what the month cannot cover as a whole.
create or replace function private.hold_for_job(p_job public.jobs, p_request_id uuid) returns numeric
language plpgsql set search_path = '' as $$
declare
    v_store public.profiles;
    v_first numeric;
    v_whole numeric;
begin
    if p_job.kind <> 'speech' then
        return null;
    end if;
    select * into v_store from public.profiles p where p.id = p_job.profile_id;
    perform private.refuse_closed_store(v_store);
    select (array_agg(c.cost_usd order by c.place))[1], sum(c.cost_usd) into v_first, v_whole
    from private.price_chunks(v_store, p_job.input) c where c.part_id is null;
    if v_first is null then
        return null;                                           -- all of it was bought before
    end if;
    perform private.refuse_paused(p_job.account_id, p_job.input ->> 'provider', p_job.input ->> 'model');
    if v_whole > v_first then
        perform private.refuse_whole(v_store, v_store.id, v_whole);
        perform private.refuse_whole(v_store, null, v_whole);
    end if;
    return private.hold_cost(p_request_id, p_job.profile_id, v_first, p_job.input ->> 'provider', p_job.id, auth.uid());
end $$;

-- A look, not a hold: each passage holds for itself just before its call.
create function private.refuse_whole(p_store public.profiles, p_profile_id uuid, p_whole numeric) returns void
language plpgsql set search_path = '' as $$
declare
    v_quota   jsonb := private.quota_state(p_store.account_id, p_profile_id);
    v_settled numeric := (v_quota ->> 'settled')::numeric;
    v_held    numeric := (v_quota ->> 'held')::numeric;
begin
    if v_settled + v_held + p_whole > (v_quota ->> 'limit')::numeric then
        perform private.refuse_hold(case when p_profile_id is null then 'company' else 'store' end,
                                    v_settled, v_held, p_whole, (v_quota ->> 'limit')::numeric);
    end if;
end $$;

-- Buying a passage ---------------------------------------------------------------------------------------------------------

create function private.purchase_json(p_purchase public.purchases) returns jsonb
language sql stable set search_path = '' as $$
    select to_jsonb(p_purchase) || jsonb_build_object(
        'units_expected', (p_purchase).units_expected::text, 'units_billed', (p_purchase).units_billed::text,
        'cost_usd', (p_purchase).cost_usd::text, 'saved_usd', (p_purchase).saved_usd::text,
        'seconds_left', extract(epoch from (p_purchase).deadline - private.utc_now())::float8,
        -- another call that the vendor's list could confuse with it is on its way: what it lists may be the other's
        'rivals', exists (select from public.purchases r
                          where r.account_id = (p_purchase).account_id and r.provider = (p_purchase).provider
                            and r.model = (p_purchase).model and r.voice = (p_purchase).voice
                            and r.characters = (p_purchase).characters and r.id <> (p_purchase).id
                            and r.state = 'sent' and r.deadline > private.utc_now()))
$$;

-- The purchase of a passage of a job under way: the one that is there, a passage bought before, or a new intent with its
-- hold.
create function private.begin_purchase(p_job_id uuid, p_attempt_token uuid, p_place integer) returns jsonb
language plpgsql security definer set search_path = '' as $$
declare
    v_job   public.jobs := private.my_attempt(p_job_id, p_attempt_token);
    v_chunk text := private.chunks_of(v_job.input) ->> p_place;
    v_mine  public.purchases;
begin
    if v_chunk is null then
        perform private.fail('PT400', 'The job has no such passage.');
    end if;
    select * into v_mine from public.purchases p
    where p.job_id = p_job_id and p.place = p_place and p.state <> 'refused' and p.again_at is null
    order by p.created_at desc limit 1 for no key update;
    if not found then
        v_mine := private.new_purchase(v_job, p_place, v_chunk);
    end if;
    return private.purchase_json(v_mine);
end $$;

create function private.new_purchase(p_job public.jobs, p_place integer, p_chunk text) returns public.purchases
language plpgsql set search_path = '' as $$
declare
    v_id    uuid := gen_random_uuid();
    v_hash  text := private.part_hash(p_job.input, p_chunk);
    v_part  public.purchases;
    v_rate  record;
    v_units numeric;
    v_cost  numeric;
    v_new   public.purchases;
begin
    select * into v_part from public.purchases p where p.id = private.bought_part(p_job.profile_id, v_hash);
    if not found then
        perform private.refuse_paused(p_job.account_id, p_job.input ->> 'provider', p_job.input ->> 'model');
    end if;
    v_rate := private.unit_rate(p_job.account_id, p_job.input ->> 'provider', p_job.input ->> 'model',
                                p_job.input ->> 'voice');
    v_units := ceil(char_length(p_chunk) * v_rate.rate);
    select p.cost_usd into v_cost
    from private.price_units(p_job.account_id, p_job.input ->> 'provider', p_job.input ->> 'model',
                             jsonb_build_object('characters', v_units), private.utc_now()) p;
    insert into public.purchases (id, account_id, profile_id, job_id, request_id, place, provider, model, voice, part_hash,
                                  characters, units_expected, exact, state, saved_usd, media_path, closed_at)
    values (v_id, p_job.account_id, p_job.profile_id, p_job.id,
            case when v_part.id is null then private.hold_passage(p_job, v_id, v_cost) end, p_place,
            p_job.input ->> 'provider', p_job.input ->> 'model', p_job.input ->> 'voice', v_hash, char_length(p_chunk),
            v_units, v_rate.exact, case when v_part.id is null then 'intent' else 'reused' end,
            case when v_part.id is null then 0 else v_cost end, v_part.media_path,
            case when v_part.id is not null then private.utc_now() end)
    returning * into v_new;
    return v_new;
end $$;

-- The hold of a new passage: one that the job has, does not use and that covers it, or a new one under p_id.
create function private.hold_passage(p_job public.jobs, p_id uuid, p_cost numeric) returns uuid
language plpgsql set search_path = '' as $$
declare
    v_request uuid;
begin
    select h.request_id into v_request from public.cost_holds h
    where h.job_id = p_job.id and h.state = 'reserved'
      and h.estimate_usd >= p_cost and h.service = p_job.input ->> 'provider'
      and h.month = private.month_of(private.utc_now())        -- another month's money is not this month's
      and not exists (select from public.purchases p where p.request_id = h.request_id
                      and p.state in ('intent', 'sent', 'unclear'))
    order by h.estimate_usd, h.occurred_at limit 1;
    if found then
        return v_request;
    end if;
    perform private.hold_cost(p_id, p_job.profile_id, p_cost, p_job.input ->> 'provider', p_job.id, p_job.created_by);
    return p_id;
end $$;

-- Just before the call: from here on the vendor may bill it, so the hold does not end by itself. p_seconds bound the call.
create function private.send_purchase(p_job_id uuid, p_attempt_token uuid, p_purchase_id uuid, p_seconds numeric)
returns void language plpgsql security definer set search_path = '' as $$
declare
    v_purchase public.purchases;
begin
    perform private.my_attempt(p_job_id, p_attempt_token);
    select * into v_purchase from public.purchases p where p.id = p_purchase_id and p.job_id = p_job_id;
    update public.purchases p
    set state = 'sent', sent_by = p_attempt_token, sent_at = private.utc_now(),
        deadline = private.utc_now() + make_interval(secs => p_seconds::double precision)
    where p.id = v_purchase.id
      and (p.state = 'intent' or (p.state = 'sent' and p.sent_by = p_attempt_token));  -- an answer that got lost
    if not found then
        perform private.fail('PT409', 'This passage was sent before.');
    end if;
    update public.cost_holds h set state = 'committed'
    where h.request_id = v_purchase.request_id and h.state in ('reserved', 'committed');
    if not found then
        perform private.fail('PT409', 'The money of this passage is not held any more, so nothing was bought.');
    end if;
end $$;

-- The job before its purchase: whoever ends it has then released its holds, or has not begun to.
create function private.lock_job_of(p_purchase_id uuid) returns void language plpgsql set search_path = '' as $$
begin
    perform from public.jobs j where j.id = (select p.job_id from public.purchases p where p.id = p_purchase_id)
    for no key update;
end $$;

-- Proof that nothing was bought. p_absent: the vendor's own list says so.
create function private.refuse_purchase(p_purchase_id uuid, p_error text, p_absent boolean) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_purchase public.purchases;
begin
    perform private.lock_job_of(p_purchase_id);
    select * into v_purchase from public.purchases p where p.id = p_purchase_id for no key update;
    if v_purchase.state not in ('intent', 'sent', 'unclear') then
        return;
    end if;
    update public.purchases p
    set state = 'refused', error = p_error, closed_at = private.utc_now(),
        absent_at = case when p_absent then private.utc_now() end
    where p.id = p_purchase_id;
    if not p_absent                                            -- a late answer would take the next one's money
        and exists (select from public.jobs j where j.id = v_purchase.job_id and j.status in ('pending', 'running')) then
        update public.cost_holds h set state = 'reserved'
        where h.request_id = v_purchase.request_id and h.state = 'committed';
    else
        perform private.release_cost(v_purchase.request_id);
    end if;
end $$;

create function private.unclear_purchase(p_purchase_id uuid, p_error text) returns void
language sql security definer set search_path = '' as $$
    update public.purchases p set state = 'unclear', error = p_error where p.id = p_purchase_id and p.state = 'sent'
$$;

-- Bought and booked, but no sound to use: a person's retry buys it anew.
create function private.spoil_purchase(p_purchase_id uuid, p_error text) returns void
language sql security definer set search_path = '' as $$
    update public.purchases p set media_path = null, error = p_error, again_at = private.utc_now()
    where p.state in ('settled', 'recovered', 'reused')
      and (p.id = p_purchase_id
           or p.media_path = (select x.media_path from public.purchases x where x.id = p_purchase_id))
$$;

-- The truth about a purchase, accepted always and once: units billed, the vendor's id, where the audio lies. Returns its
-- cost. Only a recovered answer may be refused (PT409), when its vendor's id belongs to another purchase.
create function private.settle_purchase(
    p_purchase_id uuid, p_units numeric, p_vendor_id text, p_media_path text, p_recovered boolean
) returns numeric language plpgsql security definer set search_path = '' as $$
declare
    v_purchase public.purchases;
    v_vendor   text := p_vendor_id;
    v_units    numeric := round(p_units, 6);
    v_cost     numeric;
begin
    select * into v_purchase from public.purchases p where p.id = p_purchase_id for no key update;
    if not found then
        perform private.fail('PT404', 'Purchase not found.');
    elsif v_purchase.state = 'refused' and private.bills_nobody(v_purchase.provider) then
        return 0;                                              -- an attempt that was taken over; nobody bills it
    elsif v_purchase.state in ('settled', 'recovered') then
        update public.purchases p set media_path = coalesce(p.media_path, p_media_path)
        where p.id = p_purchase_id and p.error is null;        -- what was found useless stays so
        return v_purchase.cost_usd;
    end if;
    if v_vendor is not null then
        perform pg_advisory_xact_lock(hashtextextended(v_purchase.provider || v_vendor, 2));
        if exists (select from public.purchases p where p.account_id = v_purchase.account_id
                   and p.provider = v_purchase.provider and p.vendor_id = v_vendor and p.id <> p_purchase_id) then
            if p_recovered then
                perform private.fail('PT409', 'This answer belongs to another purchase.');
            end if;
            v_vendor := null;                                  -- this very bill is booked already, under the other
            v_units := 0;
        end if;
    end if;
    v_cost := private.book_purchase(v_purchase, v_units);
    update public.purchases p
    set state = case when p_recovered then 'recovered' else 'settled' end, units_billed = v_units, cost_usd = v_cost,
        vendor_id = v_vendor, media_path = p_media_path, error = null, closed_at = private.utc_now()
    where p.id = p_purchase_id;
    perform private.learn_rate(v_purchase, v_units);
    return v_cost;
end $$;

create function private.book_purchase(p_purchase public.purchases, p_units numeric) returns numeric
language plpgsql set search_path = '' as $$
declare
    v_input jsonb := (select j.input from public.jobs j where j.id = p_purchase.job_id);
begin
    perform private.settle_cost(p_purchase.request_id, jsonb_build_array(jsonb_build_object(
        'id', p_purchase.id, 'operation', 'tts', 'model', p_purchase.model, 'category', 'speech',
        'units', jsonb_build_object('characters', trim_scale(p_units)),
        'project_id', v_input ->> 'project_id', 'clip_id', v_input ->> 'clip_id',
        'preview', private.preview(private.chunks_of(v_input) ->> p_purchase.place))), true);
    return (select e.cost_usd from public.cost_entries e where e.id = p_purchase.id);
end $$;

-- A bill above what was announced pauses the model; one that tells an unknown multiplier is remembered.
create function private.learn_rate(p_purchase public.purchases, p_units numeric) returns void
language plpgsql set search_path = '' as $$
begin
    if p_units > p_purchase.units_expected then
        insert into public.model_pauses (id, account_id, provider, model, voice, characters, expected, billed)
        values (p_purchase.id, p_purchase.account_id, p_purchase.provider, p_purchase.model, p_purchase.voice,
                p_purchase.characters, p_purchase.units_expected, p_units)
        on conflict do nothing;
        perform private.audit(p_purchase.account_id, 'price_overrun', p_purchase.provider || ' ' || p_purchase.model,
                              p_purchase.profile_id, null,
                              jsonb_build_object('units', trim_scale(p_purchase.units_expected)),
                              jsonb_build_object('units', trim_scale(p_units), 'purchase', p_purchase.id));
    elsif not p_purchase.exact and p_units > 0 and p_units < p_purchase.units_expected then  -- at the dearest there is nothing to learn
        insert into public.voice_rates (account_id, provider, model, voice, rate)
        values (p_purchase.account_id, p_purchase.provider, p_purchase.model, p_purchase.voice,
                ceil(p_units / p_purchase.characters * 100) / 100)
        on conflict do nothing;
    end if;
end $$;

create function private.purchase(p_purchase_id uuid) returns jsonb
language sql stable security definer set search_path = '' as
    $$ select private.purchase_json(p) from public.purchases p where p.id = p_purchase_id $$;

-- Calls whose answer never came and that no attempt looks after any more, and those of the last day whose absence was
-- proven: a vendor may be late. Oldest first, at most 100.
create function private.lost_purchases(p_grace_seconds numeric) returns jsonb
language sql stable security definer set search_path = '' as $$
    select coalesce(jsonb_agg(private.purchase_json(x.purchase) || jsonb_build_object('input', x.input)
                              order by x.sent_at), '[]')
    from (
        select p as purchase, j.input, p.sent_at from public.purchases p join public.jobs j on j.id = p.job_id
        where (p.state = 'sent' and p.deadline + make_interval(secs => p_grace_seconds::double precision)
                                    < private.utc_now()
               and not (j.status = 'pending' or (j.status = 'running' and j.lease_until > private.utc_now())))
           or (p.state = 'refused' and p.absent_at > private.utc_now() - interval '1 day')
        order by p.state = 'refused', p.sent_at limit 100) x
$$;

-- Vendor ids that belong to other purchases since that instant.
create function private.claimed_vendor_ids(p_account_id uuid, p_provider text, p_since timestamptz) returns text[]
language sql stable security definer set search_path = '' as $$
    select coalesce(array_agg(p.vendor_id), '{}') from public.purchases p
    where p.account_id = p_account_id and p.provider = p_provider and p.vendor_id is not null
      and p.created_at >= p_since - interval '1 day'
$$;

-- Later: the attempt ends without counting, and the job is taken up again after that time.
create function private.postpone_job(p_job_id uuid, p_attempt_token uuid, p_seconds numeric, p_message text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs := private.my_attempt(p_job_id, p_attempt_token);
begin
    if v_job.cancel_requested_at is not null then
        perform private.end_job(v_job, 'cancelled', null);
        return;
    end if;
    update public.jobs j
    set status = 'pending', attempt = j.attempt - 1, attempt_token = null, lease_until = null, message = p_message,
        run_after = private.utc_now() + make_interval(secs => p_seconds::double precision)
    where j.id = p_job_id;
end $$;

-- End a job without a result: what was not sent is refused and its money released in the same transaction.
create or replace function private.end_job(p_job public.jobs, p_status text, p_error text) returns void
language plpgsql set search_path = '' as $$
begin
    update public.purchases p set state = 'refused', error = 'The job ended before the call.', closed_at = private.utc_now()
    where p.job_id = p_job.id and p.state = 'intent';
    perform private.lock_holds(p_job.id);
    perform private.release_cost(h.request_id)
    from (select r.request_id from public.cost_holds r
          where r.job_id = p_job.id and r.state = 'reserved' order by r.month, r.request_id) h;
    update public.jobs j
    set status = p_status, error = p_error, finished_at = private.utc_now(), lease_until = null, attempt_token = null,
        message = case p_status when 'cancelled' then 'Cancelled' else 'Failed' end
    where j.id = p_job.id;
end $$;

create or replace function private.close_hopeless_jobs() returns void language plpgsql set search_path = '' as $$
declare
    v_job public.jobs;
begin
    for v_job in
        select * from public.jobs j
        where j.status = 'running' and j.lease_until < private.utc_now()
          and (j.cancel_requested_at is not null or j.attempt >= j.max_attempts)
        order by j.id limit 1 for no key update skip locked
    loop
        perform private.end_job(v_job,
            case when v_job.cancel_requested_at is null then 'failed' else 'cancelled' end,
            case when v_job.cancel_requested_at is null
                 then format('The worker stopped unexpectedly %s times. What was bought is kept; retry when it runs '
                             'again.', v_job.attempt) end);
    end loop;
end $$;

-- Store finished speech: asset and job state in one transaction; its passages are booked already. Speech: {id, media_path,
-- duration_seconds, bytes}. A free passage's file has served.
create or replace function private.save_speech(p_job_id uuid, p_attempt_token uuid, p_speech jsonb) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs := private.my_attempt(p_job_id, p_attempt_token);
begin
    insert into public.speech_assets (id, account_id, profile_id, job_id, created_by, text, content_hash, provider,
        model, voice, settings, format, characters, duration_seconds, bytes, media_path, cost_usd, saved_usd)
    select (p_speech ->> 'id')::uuid, v_job.account_id, v_job.profile_id, v_job.id, v_job.created_by,
        v_job.input ->> 'text', v_job.dedupe_key, v_job.input ->> 'provider', v_job.input ->> 'model',
        v_job.input ->> 'voice', v_job.input -> 'settings', v_job.input ->> 'format',
        (select sum(char_length(c)) from jsonb_array_elements_text(private.chunks_of(v_job.input)) c),
        (p_speech ->> 'duration_seconds')::numeric, (p_speech ->> 'bytes')::bigint, p_speech ->> 'media_path',
        coalesce(sum(p.cost_usd), 0), coalesce(sum(p.saved_usd), 0)
    from public.purchases p where p.job_id = p_job_id;
    update public.purchases p set media_path = null
    where p.job_id = p_job_id and p.cost_usd = 0 and p.state in ('settled', 'recovered');
    perform private.lock_holds(p_job_id);                      -- held for passages that turned out to be bought already
    perform private.release_cost(h.request_id)
    from (select r.request_id from public.cost_holds r
          where r.job_id = p_job_id and r.state = 'reserved' order by r.month, r.request_id) h;
    perform private.complete_job(p_job_id, p_attempt_token, jsonb_build_object('speech_id', p_speech ->> 'id'));
end $$;

create or replace function private.known_media(p_paths text[]) returns text[]
language sql stable security definer set search_path = '' as $$
    select coalesce(array_agg(p), '{}') from unnest(p_paths) p
    where exists (select from public.speech_assets a where a.media_path = p)
       or exists (select from public.clips c where p in (c.media_path, c.thumbnail_path))
       or exists (select from public.purchases x where x.media_path = p)
       or exists (select from public.purchases x         -- bought, not booked yet
                  where x.id = substring(p from '/parts/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.')::uuid
                    and x.state in ('intent', 'sent', 'unclear'))
       or exists (select from public.jobs j              -- written a moment ago, its step not stored yet
                  where j.status = 'running' and p like '%/' || j.id || '-' || j.attempt_token || '.%')
       or exists (select from public.job_steps s join public.jobs j on j.id = s.job_id
                  where s.outcome ->> 'media_path' = p and j.status in ('pending', 'running'))
$$;

-- What people decide -------------------------------------------------------------------------------------------------------

-- Run a failed or cancelled job again, under a new hold. Finished steps and bought passages are not repeated.
create or replace function private.retry_job(p_job_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_job     public.jobs := private.my_job(p_job_id);
    v_request uuid := gen_random_uuid();
begin
    if v_job.status not in ('failed', 'cancelled') then
        perform private.fail('PT409', 'Only a failed or cancelled job can be retried.');
    elsif exists (select from public.purchases p
                  where p.job_id = p_job_id and p.again_at is null and p.state = 'unclear') then
        perform private.fail('PT428', 'Nobody can tell whether a passage of this job was billed. Buy it again, or let an '
                                      'admin decide first.');
    end if;
    update public.jobs j
    set status = 'pending', attempt = 0, request_id = v_request, error = null, result = null, finished_at = null,
        started_at = null, cancel_requested_at = null, progress = 0, message = 'Queued', run_after = private.utc_now()
    where j.id = p_job_id;
    perform private.hold_for_job(v_job, v_request);
    perform private.audit(v_job.account_id, 'job_retried', v_job.kind || ' ' || v_job.id, v_job.profile_id);
exception when unique_violation then                           -- jobs_dedupe
    perform private.fail('PT409', 'The same was ordered again meanwhile. Follow that job instead.');
end $$;

-- A person's click: buy again what may have been paid for. The unclear purchase stays for an admin to decide.
create function private.buy_again(p_job_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_job public.jobs := private.my_job(p_job_id);
begin
    update public.purchases p set again_at = private.utc_now(), again_by = auth.uid()
    where p.job_id = p_job_id and p.state = 'unclear' and p.again_at is null;
    if not found then
        perform private.fail('PT409', 'Nothing of this job is unclear any more. Retry it instead.');
    end if;
    perform private.audit(v_job.account_id, 'bought_again', v_job.kind || ' ' || v_job.id, v_job.profile_id);
    perform private.retry_job(p_job_id);
end $$;

-- An admin decides what nobody can tell: billed (booked as announced) or not (released).
create function private.decide_purchase(p_purchase_id uuid, p_billed boolean, p_reason text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_purchase public.purchases;
begin
    perform private.lock_job_of(p_purchase_id);
    select * into v_purchase from public.purchases p
    where p.id = p_purchase_id and p.profile_id in (select private.my_profile_ids()) for no key update;
    if not found then
        perform private.fail('PT404', 'Purchase not found.');
    elsif v_purchase.account_id not in (select private.my_account_ids('{admin}')) then
        perform private.fail('PT403', 'Only an admin decides what was billed.');
    elsif coalesce(btrim(p_reason), '') = '' then
        perform private.fail('PT400', 'Say how you know, so that the log can tell later.', '{"field": "reason"}');
    elsif v_purchase.state <> 'unclear' then
        perform private.fail('PT409', 'This purchase is not unclear any more.');
    end if;
    if p_billed then
        perform private.settle_purchase(p_purchase_id, v_purchase.units_expected, null, null, false);
    else
        perform private.refuse_purchase(p_purchase_id, 'Decided by an admin: not billed.', false);
    end if;
    update public.purchases p set decided_by = auth.uid(), decided_reason = btrim(p_reason), again_at = coalesce(
        p.again_at, private.utc_now())                         -- decided without its audio: a retry buys it anew
    where p.id = p_purchase_id;
    perform private.audit(v_purchase.account_id, 'purchase_decided', v_purchase.provider || ' ' || v_purchase.id,
                          v_purchase.profile_id, btrim(p_reason), null, jsonb_build_object('billed', p_billed));
end $$;

-- An admin accepts what a model billed: its voice is priced at that rate from now on, and the pause ends.
create function private.confirm_price(p_account_id uuid, p_provider text, p_model text, p_reason text) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_count integer;
begin
    if p_account_id not in (select private.my_account_ids()) then
        perform private.fail('PT404', 'Company not found.');
    elsif p_account_id not in (select private.my_account_ids('{admin}')) then
        perform private.fail('PT403', 'Only an admin confirms a price.');
    elsif coalesce(btrim(p_reason), '') = '' then
        perform private.fail('PT400', 'Say why, so that the log can tell later.', '{"field": "reason"}');
    end if;
    insert into public.voice_rates as r (account_id, provider, model, voice, rate)
    select p_account_id, p_provider, p_model, m.voice, max(ceil(m.billed / m.characters * 100) / 100)
    from public.model_pauses m
    where m.account_id = p_account_id and m.provider = p_provider and m.model = p_model and m.confirmed_at is null
    group by m.voice
    on conflict (account_id, provider, model, voice) do update
    set rate = excluded.rate, updated_at = private.utc_now();
    update public.model_pauses m
    set confirmed_at = private.utc_now(), confirmed_by = auth.uid(), reason = btrim(p_reason)
    where m.account_id = p_account_id and m.provider = p_provider and m.model = p_model and m.confirmed_at is null;
    get diagnostics v_count = row_count;
    if v_count = 0 then
        perform private.fail('PT409', 'This model is not paused.');
    end if;
    perform private.audit(p_account_id, 'price_confirmed', p_provider || ' ' || p_model, null, btrim(p_reason));
end $$;

-- What a store's reused passages would have cost this month (UTC). Row security decides which stores there are.
create function public.speech_saved(p_profile_id uuid) returns numeric
language sql stable set search_path = '' as $$
    select coalesce(sum(p.saved_usd), 0) from public.purchases p
    where p.profile_id = p_profile_id and p.saved_usd > 0
      and p.created_at >= date_trunc('month', private.utc_now() at time zone 'UTC') at time zone 'UTC'
$$;

create or replace function private.erase_demo(p_account_id uuid) returns void
language plpgsql security definer set search_path = '' as $$
declare
    v_table  text;
    v_people uuid[];
begin
    perform from public.accounts a where a.id = p_account_id and a.is_demo
        and a.id in (select private.my_account_ids('{admin}')) for update;
    if not found then
        perform private.fail('PT403', 'Only the demo company can be erased, and only by its admin.');
    end if;
    perform set_config('clipdesk.erasing', p_account_id::text, true);
    select array_agg(m.person_id) into v_people from public.members m where m.account_id = p_account_id;
    foreach v_table in array array['purchases', 'cost_holds', 'cost_entry_details', 'cost_entries', 'cost_daily',
        'profile_monthly_costs', 'quota_counters', 'quota_changes', 'quota_grants', 'prices', 'speech_assets',
        'voices', 'voice_services', 'voice_rates', 'model_pauses', 'pronunciations', 'jobs',
        'clips', 'projects', 'audit_log', 'profile_members', 'profiles', 'members'] loop
        execute format('delete from public.%I where account_id = $1', v_table) using p_account_id;
    end loop;
    delete from public.jobs j where j.kind = 'demo';
    delete from private.ledger_counters c where c.account_id = p_account_id;
    delete from private.sessions s where s.person_id = any (v_people);
    delete from public.people p where p.id = any (v_people)
        and not exists (select from public.members m where m.person_id = p.id);
    delete from auth.users u where u.id = any (v_people) and not exists (select from public.people p where p.id = u.id);
    delete from public.accounts a where a.id = p_account_id;
end $$;

create function public.begin_purchase(p_job_id uuid, p_attempt_token uuid, p_place integer) returns jsonb
language sql set search_path = '' as $$ select private.begin_purchase(p_job_id, p_attempt_token, p_place) $$;
create function public.send_purchase(p_job_id uuid, p_attempt_token uuid, p_purchase_id uuid, p_seconds numeric)
returns void language sql set search_path = '' as
    $$ select private.send_purchase(p_job_id, p_attempt_token, p_purchase_id, p_seconds) $$;
create function public.refuse_purchase(p_purchase_id uuid, p_error text, p_absent boolean default false) returns void
language sql set search_path = '' as $$ select private.refuse_purchase(p_purchase_id, p_error, p_absent) $$;
create function public.unclear_purchase(p_purchase_id uuid, p_error text) returns void
language sql set search_path = '' as $$ select private.unclear_purchase(p_purchase_id, p_error) $$;
create function public.spoil_purchase(p_purchase_id uuid, p_error text) returns void
language sql set search_path = '' as $$ select private.spoil_purchase(p_purchase_id, p_error) $$;
create function public.settle_purchase(
    p_purchase_id uuid, p_units numeric, p_vendor_id text, p_media_path text, p_recovered boolean default false
) returns numeric language sql set search_path = '' as
    $$ select private.settle_purchase(p_purchase_id, p_units, p_vendor_id, p_media_path, p_recovered) $$;
create function public.purchase(p_purchase_id uuid) returns jsonb
language sql stable set search_path = '' as $$ select private.purchase(p_purchase_id) $$;
create function public.lost_purchases(p_grace_seconds numeric) returns jsonb
language sql stable set search_path = '' as $$ select private.lost_purchases(p_grace_seconds) $$;
create function public.claimed_vendor_ids(p_account_id uuid, p_provider text, p_since timestamptz) returns text[]
language sql stable set search_path = '' as
    $$ select private.claimed_vendor_ids(p_account_id, p_provider, p_since) $$;
create function public.postpone_job(p_job_id uuid, p_attempt_token uuid, p_seconds numeric, p_message text) returns void
language sql set search_path = '' as
    $$ select private.postpone_job(p_job_id, p_attempt_token, p_seconds, p_message) $$;
create function public.buy_again(p_job_id uuid) returns void
language sql set search_path = '' as $$ select private.buy_again(p_job_id) $$;
create function public.decide_purchase(p_purchase_id uuid, p_billed boolean, p_reason text) returns void
language sql set search_path = '' as $$ select private.decide_purchase(p_purchase_id, p_billed, p_reason) $$;
create function public.confirm_price(p_account_id uuid, p_provider text, p_model text, p_reason text) returns void
language sql set search_path = '' as $$ select private.confirm_price(p_account_id, p_provider, p_model, p_reason) $$;

grant execute on function
    public.begin_purchase(uuid, uuid, integer), private.begin_purchase(uuid, uuid, integer),
    public.send_purchase(uuid, uuid, uuid, numeric), private.send_purchase(uuid, uuid, uuid, numeric),
    public.spoil_purchase(uuid, text), private.spoil_purchase(uuid, text),
    public.refuse_purchase(uuid, text, boolean), private.refuse_purchase(uuid, text, boolean),
    public.unclear_purchase(uuid, text), private.unclear_purchase(uuid, text),
    public.settle_purchase(uuid, numeric, text, text, boolean), private.settle_purchase(uuid, numeric, text, text, boolean),
    public.purchase(uuid), private.purchase(uuid), public.lost_purchases(numeric), private.lost_purchases(numeric),
    public.claimed_vendor_ids(uuid, text, timestamptz), private.claimed_vendor_ids(uuid, text, timestamptz),
    public.postpone_job(uuid, uuid, numeric, text), private.postpone_job(uuid, uuid, numeric, text)
    to service_role;
grant execute on function public.buy_again(uuid), private.buy_again(uuid),
    public.decide_purchase(uuid, boolean, text), private.decide_purchase(uuid, boolean, text),
    public.confirm_price(uuid, text, text, text), private.confirm_price(uuid, text, text, text)
    to authenticated;
grant execute on function public.speech_saved(uuid) to authenticated;
