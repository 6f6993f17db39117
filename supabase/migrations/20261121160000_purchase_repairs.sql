-- Purchases hold what must be bought and no more: a job never stands in its own way, what was bought before is reused
-- whatever its vendor does now, and no pause ends without its rate. Lock order as in purchases.

-- What a passage costs that must be bought now.
create function private.passage_price(
    p_job public.jobs, p_chunk text, out units numeric, out cost_usd numeric, out exact boolean
) language plpgsql stable set search_path = '' as $$
declare
    v_rate record;
begin
    v_rate := private.unit_rate(p_job.account_id, p_job.input ->> 'provider', p_job.input ->> 'model',
                                p_job.input ->> 'voice');
    exact := v_rate.exact;
    units := ceil(char_length(p_chunk) * v_rate.rate);
    select p.cost_usd into cost_usd
    from private.price_units(p_job.account_id, p_job.input ->> 'provider', p_job.input ->> 'model',
                             jsonb_build_object('characters', units), private.utc_now()) p;
end $$;

-- The passages of an order: units and price of each, and the store's own earlier purchase of it, if any. Such a one
-- counts with what it cost then: it is reused even where its vendor is not connected or has no price any more.
create or replace function private.price_chunks(p_store public.profiles, p_speech jsonb)
returns table (place integer, characters integer, units numeric, cost_usd numeric, part_id uuid)
language plpgsql stable set search_path = '' as $$
declare
    v_rate  numeric;                                           -- asked for at the first passage that must be bought
    v_chunk text;
begin
    for v_chunk, place in
        select t.c, t.n::integer - 1 from jsonb_array_elements_text(private.chunks_of(p_speech))
        with ordinality t(c, n)
    loop
        characters := char_length(v_chunk);
        part_id := private.bought_part(p_store.id, private.part_hash(p_speech, v_chunk));
        if part_id is not null then
            select p.units_expected, p.cost_usd into units, cost_usd from public.purchases p where p.id = part_id;
        else
            v_rate := coalesce(v_rate, (private.unit_rate(p_store.account_id, p_speech ->> 'provider',
                                                          p_speech ->> 'model', p_speech ->> 'voice')).rate);
            units := ceil(characters * v_rate);
            select p.cost_usd into cost_usd
            from private.price_units(p_store.account_id, p_speech ->> 'provider', p_speech ->> 'model',
                                     jsonb_build_object('characters', units), private.utc_now()) p;
        end if;
        return next;
    end loop;
end $$;

-- What an order would cost: {characters, passages, bought, estimate, saved, exact, store, company, existing, running}.
-- Refused while the model is paused only if something must be bought.
create or replace function private.speech_quote(p_profile_id uuid, p_speech jsonb) returns jsonb
language plpgsql stable security definer set search_path = ''
set plan_cache_mode = force_generic_plan as $$
declare
    v_store public.profiles := private.my_work_profile(p_profile_id);
    v_hash  text := private.speech_hash(p_speech);
    v_sum   record;
    v_exact boolean := true;
begin
    perform private.check_chunks(private.chunks_of(p_speech));
    select sum(c.characters) as characters, count(*) as passages, count(c.part_id) as bought,
           coalesce(sum(c.cost_usd) filter (where c.part_id is null), 0) as estimate,
           coalesce(sum(c.cost_usd) filter (where c.part_id is not null), 0) as saved
    into v_sum from private.price_chunks(v_store, p_speech) c;
    if v_sum.bought < v_sum.passages then
        perform private.refuse_paused(v_store.account_id, p_speech ->> 'provider', p_speech ->> 'model');
        v_exact := (private.unit_rate(v_store.account_id, p_speech ->> 'provider', p_speech ->> 'model',
                                      p_speech ->> 'voice')).exact;
    end if;
    return jsonb_build_object(
        'characters', v_sum.characters, 'passages', v_sum.passages, 'bought', v_sum.bought,
        'estimate', v_sum.estimate::text, 'saved', v_sum.saved::text, 'exact', v_exact,
        'allow_free_over_quota', v_store.allow_free_voices_over_quota,
        'store', private.quota_state(v_store.account_id, p_profile_id),
        'company', private.quota_state(v_store.account_id, null),
        'existing', (select a.id from public.speech_assets a
                     where a.profile_id = p_profile_id and a.content_hash = v_hash and a.deleted_at is null
                     order by a.created_at desc limit 1),
        'running', (select j.id from public.jobs j where j.profile_id = p_profile_id and j.dedupe_key = v_hash
                    and j.status in ('pending', 'running')));
end $$;

-- Hold the first passage that must be bought; refuse before anything is bought what the month cannot cover as a whole.
-- A passage that begin_purchase would find under way or done is not counted: a call under way has its money held.
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
    from private.price_chunks(v_store, p_job.input) c
    where c.part_id is null
      and not exists (select from public.purchases p where p.job_id = p_job.id and p.place = c.place
                      and p.state <> 'refused' and p.again_at is null);
    if v_first is null then
        return null;                                           -- nothing is left to buy
    end if;
    perform private.refuse_paused(p_job.account_id, p_job.input ->> 'provider', p_job.input ->> 'model');
    if v_whole > v_first then
        perform private.refuse_whole(v_store, v_store.id, v_whole);
        perform private.refuse_whole(v_store, null, v_whole);
    end if;
    return private.hold_cost(p_request_id, p_job.profile_id, v_first, p_job.input ->> 'provider', p_job.id,
                             auth.uid());
end $$;

-- The purchase of a passage of a job under way: the one that is there, a passage bought before, or a new intent with
-- its hold.
create or replace function private.begin_purchase(p_job_id uuid, p_attempt_token uuid, p_place integer) returns jsonb
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
    if private.is_outdated(v_job, v_chunk, v_mine) then
        update public.purchases p
        set state = 'refused', error = 'Bought elsewhere or dearer before the call.', closed_at = private.utc_now()
        where p.id = v_mine.id;
        v_mine := null;
    end if;
    if v_mine.id is null then
        v_mine := private.new_purchase(v_job, p_place, v_chunk);
    end if;
    return private.purchase_json(v_mine);
end $$;

-- An intent of an attempt that stopped before the call, whose passage was bought or became dearer since.
create function private.is_outdated(p_job public.jobs, p_chunk text, p_purchase public.purchases) returns boolean
language plpgsql stable set search_path = '' as $$
begin
    if p_purchase.state is distinct from 'intent' then
        return false;
    elsif private.bought_part(p_job.profile_id, p_purchase.part_hash) is not null then
        return true;
    end if;
    return (private.passage_price(p_job, p_chunk)).units > p_purchase.units_expected;
end $$;

create or replace function private.new_purchase(p_job public.jobs, p_place integer, p_chunk text)
returns public.purchases language plpgsql set search_path = '' as $$
declare
    v_id      uuid := gen_random_uuid();
    v_hash    text := private.part_hash(p_job.input, p_chunk);
    v_part    public.purchases;
    v_price   record;
    v_request uuid;
    v_new     public.purchases;
begin
    select * into v_part from public.purchases p where p.id = private.bought_part(p_job.profile_id, v_hash);
    if found then
        select v_part.units_expected as units, v_part.cost_usd as cost_usd, v_part.exact as exact into v_price;
    else
        perform private.refuse_paused(p_job.account_id, p_job.input ->> 'provider', p_job.input ->> 'model');
        v_price := private.passage_price(p_job, p_chunk);
        v_request := private.hold_passage(p_job, v_id, v_price.units, v_price.cost_usd);
    end if;
    insert into public.purchases (id, account_id, profile_id, job_id, request_id, place, provider, model, voice,
                                  part_hash, characters, units_expected, exact, state, saved_usd, media_path, closed_at)
    values (v_id, p_job.account_id, p_job.profile_id, p_job.id, v_request, p_place, p_job.input ->> 'provider',
            p_job.input ->> 'model', p_job.input ->> 'voice', v_hash, char_length(p_chunk), v_price.units,
            v_price.exact, case when v_request is null then 'reused' else 'intent' end,
            case when v_request is null then v_price.cost_usd else 0 end, v_part.media_path,
            case when v_request is null then private.utc_now() end)
    returning * into v_new;
    return v_new;
end $$;

-- The hold of a new passage: one that the job has, does not use and that covers it, else a new one under p_id, for
-- which the job's unused ones of this month make room. A hold is settled at the prices of its own instant, so it must
-- cover the units at these as well.
drop function private.hold_passage(public.jobs, uuid, numeric);
create function private.hold_passage(p_job public.jobs, p_id uuid, p_units numeric, p_cost numeric) returns uuid
language plpgsql set search_path = '' as $$
declare
    v_request uuid;
begin
    select h.request_id into v_request from private.unused_holds(p_job) h
    where h.estimate_usd >= greatest(p_cost, (
        select c.cost_usd from private.price_units(p_job.account_id, h.service, p_job.input ->> 'model',
                                                   jsonb_build_object('characters', p_units), h.occurred_at) c))
    order by h.estimate_usd, h.occurred_at limit 1;
    if found then
        return v_request;
    end if;
    perform private.lock_holds(p_job.id);
    perform private.release_cost(h.request_id) from private.unused_holds(p_job) h;
    perform private.hold_cost(p_id, p_job.profile_id, p_cost, p_job.input ->> 'provider', p_job.id, p_job.created_by);
    return p_id;
end $$;

-- What a job holds in this month for no purchase of its own; another month's money is not this month's.
create function private.unused_holds(p_job public.jobs) returns setof public.cost_holds
language sql stable set search_path = '' as $$
    select h.* from public.cost_holds h
    where h.job_id = p_job.id and h.state = 'reserved' and h.service = p_job.input ->> 'provider'
      and h.month = private.month_of(private.utc_now())
      and not exists (select from public.purchases p where p.request_id = h.request_id
                      and p.state in ('intent', 'sent', 'unclear'))
$$;

-- Just before the call: from here on the vendor may bill it, so the hold does not end by itself. p_seconds bound the
-- call.
create or replace function private.send_purchase(
    p_job_id uuid, p_attempt_token uuid, p_purchase_id uuid, p_seconds numeric
) returns void language plpgsql security definer set search_path = '' as $$
declare
    v_purchase public.purchases;
begin
    perform private.my_attempt(p_job_id, p_attempt_token);
    select * into v_purchase from public.purchases p where p.id = p_purchase_id and p.job_id = p_job_id;
    if v_purchase.state = 'intent' then                        -- its model may have been paused since it began
        perform private.refuse_paused(v_purchase.account_id, v_purchase.provider, v_purchase.model);
    end if;
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

-- An admin accepts what a model billed: its voice is priced at that rate from now on, and the pause ends. One
-- statement sees one set of pauses: a bill that comes meanwhile stays to be confirmed. A call begun before an earlier
-- confirmation may have billed less than that one's; it does not lower the rate.
create or replace function private.confirm_price(p_account_id uuid, p_provider text, p_model text, p_reason text)
returns void language plpgsql security definer set search_path = '' as $$
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
    with confirmed as (
        update public.model_pauses m
        set confirmed_at = private.utc_now(), confirmed_by = auth.uid(), reason = btrim(p_reason)
        where m.account_id = p_account_id and m.provider = p_provider and m.model = p_model and m.confirmed_at is null
        returning m.voice, m.billed, m.characters),
    rates as (
        insert into public.voice_rates as r (account_id, provider, model, voice, rate)
        select p_account_id, p_provider, p_model, c.voice, max(ceil(c.billed / c.characters * 100) / 100)
        from confirmed c group by c.voice order by c.voice
        on conflict (account_id, provider, model, voice) do update
        set rate = greatest(r.rate, excluded.rate), updated_at = private.utc_now())
    select count(*) into v_count from confirmed;
    if v_count = 0 then
        perform private.fail('PT409', 'This model is not paused.');
    end if;
    perform private.audit(p_account_id, 'price_confirmed', p_provider || ' ' || p_model, null, btrim(p_reason));
end $$;
