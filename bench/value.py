"""The Costs page's part Value: the same clips, speech and posts of 200 stores beside a small ledger and a large one."""

from contextlib import ExitStack
from datetime import date
from functools import partial
from uuid import UUID

from bench.costs import LARGE, LARGE_IN_SMALL, SMALL, SMALL_IN_SMALL, STORES, Ledger, load, year
from bench.measure import in_turns, ratio, show_ratio, show_times
from bench.place import fresh_server, fresh_world

CLIPS = 1_000  # live, three posts each; as many speeches wait unused

# Speech `n` has three passages of its own and one of the speech before it; those to `clips` are on the clip `n`.
FILL = """
    create temp table shop on commit drop as
        select n, (%(stores)s::uuid[])[1 + n %% %(many)s] as store, lpad(to_hex(4096 + n), 32, 'c')::uuid as clip,
               md5('job ' || n)::uuid as job, md5('speech ' || n)::uuid as speech,
               now() - n * interval '4 hours' - interval '8 days' as made
        from generate_series(1, 2 * %(clips)s) n;
    insert into public.projects (id, account_id, profile_id, name)
    select md5('project ' || n)::uuid, %(account)s, store, 'Project' from shop where n <= %(many)s;
    insert into public.clips (id, account_id, profile_id, project_id, name, speech_id)
    select clip, %(account)s, store,
           (select p.id from public.projects p where p.profile_id = store limit 1), 'Clip ' || n, speech
    from shop where n <= %(clips)s;
    insert into public.jobs (id, account_id, profile_id, kind, status, request_id)
    select job, %(account)s, store, 'speech', 'completed', job from shop;
    insert into public.speech_assets (id, account_id, profile_id, job_id, text, content_hash, provider, model, voice,
        settings, format, characters, duration_seconds, bytes, media_path, cost_usd, created_at)
    select speech, %(account)s, store, job, 'Fresh bread at six.', n::text, 'practice', 'premium', 'v', '{}', 'mp3', 9,
           1, 1, speech::text, 0.09, made from shop;
    insert into public.purchases (id, account_id, profile_id, job_id, place, provider, model, voice, part_hash,
        characters, units_expected, exact, state, cost_usd, saved_usd, media_path, created_at)
    select case when k < 3 then lpad(to_hex(10 * (%(clips)s + n) + k), 32, '0')::uuid else gen_random_uuid() end,
           %(account)s, store, job, k, 'practice', 'premium', 'v', n || '-' || k, 9, 9, true,
           case when k < 3 then 'settled' else 'reused' end, case when k < 3 then 0.03 else 0 end,
           case when k < 3 then 0 else 0.03 end, case when k < 3 then n || '-' || k else (n - 1) || '-0' end, made
    from shop cross join generate_series(0, 3) k;
    insert into public.bundles (id, account_id, profile_id, clip_id)
    select md5(n || ' post ' || k)::uuid, %(account)s, store, clip
    from shop cross join generate_series(0, 2) k where n <= %(clips)s;
    insert into public.publications (id, account_id, profile_id, bundle_id, clip_id, channel, name, identifier, state,
        published_at)
    select b.id, b.account_id, b.profile_id, b.id, b.clip_id, 'c', 'c', 'instagram', 'published', s.made
    from public.bundles b join shop s on s.clip = b.clip_id;
"""


def run(full: bool) -> None:
    sizes = (SMALL, LARGE) if full else (SMALL_IN_SMALL, LARGE_IN_SMALL)
    print(f"\nValue: {CLIPS:,} live clips and as many unused speeches of {STORES} stores, beside a ledger of "
          f"{sizes[0]:,} and of {sizes[1]:,} rows")  # fmt: skip
    with fresh_server() as server, ExitStack() as stack:
        small, large = (load(stack.enter_context(fresh_world(server, f"value_{rows}")), rows) for rows in sizes)
        for ledger in (small, large):
            furnish(ledger)
        compare(small, large, rounds=15 if full else 5)


def furnish(ledger: Ledger) -> None:
    values = {"account": ledger.account, "stores": ledger.stores, "many": STORES, "clips": CLIPS}
    with ledger.world.admin.transaction():
        for statement in FILL.split(";\n")[:-1]:
            ledger.world.admin.execute(statement, values)
    ledger.world.execute("vacuum analyze")


def ask(ledger: Ledger, first: date, last: date, store: UUID | None = None) -> object:
    return ledger.world.doors.person(ledger.admin).call(
        "cost_value", p_account_id=ledger.account, p_profile_id=store, p_from=first, p_to=last
    )


def compare(small: Ledger, large: Ledger, rounds: int) -> None:
    first, today = year()
    calls = {
        "all stores, this month": lambda ledger: ask(ledger, today.replace(day=1), today),
        "all stores, 12 months": lambda ledger: ask(ledger, first, today),
        "one store, 12 months": lambda ledger: ask(ledger, first, today, ledger.stores[7]),
    }
    asked = {(what, ledger.rows): partial(call, ledger) for what, call in calls.items() for ledger in (small, large)}
    times = in_turns(asked, rounds=rounds, calls=3, warm_up=2)
    for (what, rows), spread in times.items():
        show_times(f"{what}, {rows:,} rows", spread)
    for what in calls:
        grown = ratio(times[what, large.rows], times[what, small.rows])
        show_ratio(f"{what}: {large.rows:,} ÷ {small.rows:,} rows", grown, "≤ 1.3")
