"""The demo company: what it shows, that it is made whole or not at all, and that it can be erased without a trace."""

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import psycopg
import pytest
from psycopg.types.json import Jsonb

from services import audio, credentials, demo, identity, people
from services.costs import reports
from services.demo_data import ACCOUNT_ID, PEOPLE, STORES, Person, Store
from services.demo_history import OPEN_HOURS, OPENS, PEAK
from services.demo_rows import Rows, rows
from services.errors import NotAllowed, QuotaExceeded
from services.jobs import queue
from services.media.folder import Folder
from services.publishing import connect, posts
from services.speech import generation, registry
from services.speech.generation import SpeechOrder
from services.video.reading import facts
from tests import kill
from tests.builders import World, entry, fresh_world, installed

NOW = datetime(2026, 11, 21, 10, 22, 22, 500, tzinfo=UTC)
INSTANTS = (
    NOW,
    datetime(2026, 3, 1, tzinfo=UTC),
    datetime(2027, 1, 1, 18, 30, tzinfo=UTC),
    datetime(2028, 3, 1, 8, 59, 59, tzinfo=ZoneInfo("Asia/Tokyo")),  # still February in UTC, and a leap year
)
LIPSCANI, BOROUGH, HUDSON = STORES
ADMIN = next(person for person in PEOPLE if person.role == "admin")
FINANCE = next(person for person in PEOPLE if person.role == "finance")
any_instant = pytest.mark.parametrize("now", INSTANTS, ids=lambda now: f"{now:%Y-%m-%d %H:%M}")


def manager(store: Store) -> Person:
    return next(person for person in PEOPLE if store.code in person.stores)


@cache
def made(now: datetime) -> Rows:
    """To be read only."""
    return rows(now)


def loadable() -> Rows:
    """Rows as the job loads them; the audio is only said to be there."""
    assets = [{**row, "duration_seconds": "3.5", "bytes": 56_000} for row in made(NOW)["speech_assets"]]
    return {**made(NOW), "speech_assets": assets}


def load_rows(world: World, company: Rows | None = None) -> None:
    world.as_worker().call("load_demo", p_account_id=ACCOUNT_ID, p_rows=company or loadable())


def of(store: Store, table: str, now: datetime = NOW) -> list[dict[str, Any]]:
    return [row for row in made(now)[table] if row["profile_id"] == store.id]


def spent(store: Store, now: datetime = NOW) -> list[Decimal]:
    """By month, the current one last; months without spending are left out."""
    sums: Counter[date] = Counter()
    for row in of(store, "cost_entries", now):
        sums[row["booked_on"].replace(day=1)] += row["cost_usd"]
    return [sums[month] for month in sorted(sums)]


def counts(world: World) -> dict[str, int]:
    """Rows of every table that holds data."""
    tables = world.rows(
        "select table_schema || '.' || table_name as name from information_schema.tables"
        " where table_schema in ('public', 'private', 'auth') and table_type = 'BASE TABLE'"
    )
    return {row["name"]: world.value(f"select count(*) from {row['name']}") for row in tables}


def everything(world: World) -> dict[str, list[dict[str, Any]]]:
    return {name: world.rows(f"select * from {name} t order by t::text") for name in counts(world)}


# The history, without a database ----------------------------------------------------------------------------------


def test_the_same_day_gives_the_same_company():
    assert rows(NOW.replace(hour=23, minute=59)) == made(NOW)


def instants(value: Any) -> Iterator[datetime]:
    if isinstance(value, datetime):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from instants(part)


PLANNED = ("wanted_at", "due_at", "next_at")  # moments of posts, which may be still to come


def without_plans(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in PLANNED} for row in found]


@any_instant
def test_nothing_is_later_than_now_and_all_times_are_utc(now):
    found = list(instants(made(now)))
    assert max(found) <= now + timedelta(days=6)
    assert max(instants({name: without_plans(rows) for name, rows in made(now).items()})) <= now
    assert {at.utcoffset() for at in found} == {timedelta(0)}
    assert all(row["occurred_at"] <= row["settled_at"] for row in made(now)["cost_entries"])
    jobs = made(now)["jobs"]
    assert all(j["created_at"] <= j["started_at"] <= j["finished_at"] for j in jobs)


@any_instant
def test_quotas_show_ease_a_warning_and_a_refusal(now):
    quotas = {row["id"]: row["monthly_quota_usd"] for row in made(now)["profiles"]}
    this_month = now.astimezone(UTC).date().replace(day=1)
    used = {
        store: sum((r["cost_usd"] for r in of(store, "cost_entries", now) if r["booked_on"] >= this_month), Decimal(0))
        / quotas[store.id]
        for store in STORES
    }
    assert used[LIPSCANI] < Decimal("0.8")
    assert Decimal("0.92") <= used[BOROUGH] < Decimal("0.96")
    assert Decimal(1) <= used[HUDSON] < Decimal("1.1")


@any_instant
def test_quota_changes_tell_how_each_limit_came_about(now):
    limits = {None: made(now)["accounts"][0], **{row["id"]: row for row in made(now)["profiles"]}}
    for scope, limited in limits.items():
        changes = [row for row in made(now)["quota_changes"] if row["profile_id"] == scope]
        assert changes[0]["before_usd"] == 0
        assert changes[-1]["after_usd"] == limited["monthly_quota_usd"]
        assert all(one["after_usd"] == two["before_usd"] for one, two in pairwise(changes))
        assert all(row["reason"] and row["changed_by"] == ADMIN.id for row in changes)


@any_instant
def test_complete_months_stayed_within_their_limits(now):
    for store in STORES:
        changes = [row for row in made(now)["quota_changes"] if row["profile_id"] == store.id]
        for month, usd in enumerate(spent(store, now)[:6]):
            assert usd <= changes[1 if month == PEAK else 0]["after_usd"]


def test_stores_work_in_their_own_opening_hours():
    for store in STORES:
        hours = Counter(row["created_at"].astimezone(ZoneInfo(store.timezone)).hour for row in of(store, "jobs"))
        assert min(hours) == OPENS.hour
        assert max(hours) == OPENS.hour + OPEN_HOURS // timedelta(hours=1) - 1


def test_costs_have_sizes_growth_a_peak_and_a_week():
    by_store = [spent(store) for store in STORES]
    assert [len(months) for months in by_store] == [7, 7, 7]
    assert sum(by_store[0]) < sum(by_store[1]) < sum(by_store[2])
    months = [sum(parts) for parts in zip(*by_store, strict=True)]
    assert max(months) == months[PEAK]
    assert months[0] < months[2] < months[5]
    days = Counter(row["booked_on"].weekday() for row in made(NOW)["cost_entries"])
    assert days[4] > days[5] > days[0] > days[6]


def test_there_is_something_of_everything():
    company = made(NOW)
    assert Counter(row["role"] for row in company["members"]) == {"admin": 2, "manager": 4, "finance": 2}
    assert {row["timezone"] for row in company["profiles"]} == {"Europe/Bucharest", "Europe/London", "America/New_York"}
    assert {row["service"] for row in company["cost_entries"]} == {"hibari", "practice", "elevenlabs", "gemini"}
    for store in STORES:
        assert {row["final_status"] for row in of(store, "clips")} == {"pending", "processing", "completed", "failed"}
        assert {row["kind"] for row in of(store, "projects")} == {"video", "podcast"}
        assert {row["status"] for row in of(store, "jobs")} == {"completed", "failed", "cancelled"}
        assert len(of(store, "speech_assets")) == 4
    assert all((row["status"] == "failed") == bool(row["error"]) for row in company["jobs"])
    assert any(row["user_id"] is None for row in company["cost_entries"])


def test_ids_are_unique():
    for table, found in made(NOW).items():
        ids = [row["id"] for row in found if "id" in row]
        assert len(set(ids)) == len(ids), table


# The whole way: asked for, made by a worker, looked at. One company for the tests that only read -------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Folder:
    return Folder(tmp_path_factory.mktemp("demo") / "media")


@pytest.fixture(scope="module")
def made_by_worker(server, template, folder) -> Iterator[World]:
    """Asked for twice; the first worker is killed after two of twelve lines, the second makes it whole."""
    with fresh_world(server, template) as world, installed(world, folder.path("data")):
        demo.request()
        demo.request()
        (job,) = world.rows("select id from public.jobs where kind = 'demo'")
        kill.quiet(world)
        kill.die_at("written:2", server, world.admin.info.dbname, folder.path("x").parent)
        assert counts(world)["public.accounts"] == counts(world)["public.people"] == 0
        kill.expire(world, job["id"])
        run_to_end(world, folder, job["id"])
        yield world


def run_to_end(world: World, folder: Folder, job_id: UUID) -> None:
    worker = kill.inside(world, folder, job_lease_seconds=30)
    worker.start()
    try:
        (row,) = kill.wait_for_end(world, job_id)
    finally:
        worker.stop()
    assert row["status"] == "completed", row["error"]


def order(text: str = "Fresh bread at six.", provider: str = "practice", **values: Any) -> SpeechOrder:
    chosen = registry.provider(provider)
    voice = {"provider": provider, "model": chosen.models()[0].id, "voice": chosen.voices()[0].id}
    return SpeechOrder.model_validate({"text": text, **voice, **values})


def test_its_people_can_be_entered_with_one_click(made_by_worker):
    state = demo.state()
    assert state.job is not None
    assert (state.job["status"], state.job["progress"]) == ("completed", 1)
    assert [p["role"] for p in state.people] == ["admin"] * 2 + ["finance"] * 2 + ["manager"] * 4
    assert {p["id"] for p in demo.people()} == {str(person.id) for person in PEOPLE}
    assert next(p["stores"] for p in state.people if p["name"] == "Marcus Reed") == "Borough, Hudson"
    assert all(demo.is_demo_person(p["id"]) for p in state.people)


@pytest.mark.parametrize("nobody", ["", "nobody", "1234", "7856ff0e-67e6-4fa1-89a7-4caecf8f3af9"])
def test_nobody_else_can(made_by_worker, nobody):
    assert demo.is_demo_person(nobody) is False


def test_a_second_request_makes_nothing(made_by_worker):
    demo.request()
    assert made_by_worker.value("select count(*) from public.jobs where kind = 'demo'") == 1


def test_every_cost_is_what_sql_computes(made_by_worker):
    wrong = made_by_worker.rows(
        "select e.id from public.cost_entries e cross join lateral private.price_units("
        " e.account_id, e.service, e.model, e.units, e.occurred_at) p"
        " where (p.cost_usd, p.unit_prices) is distinct from (e.cost_usd, e.unit_prices)"
    )
    assert wrong == []
    assert made_by_worker.value("select count(*) from public.cost_entries") > 2000


def test_sums_and_counters_equal_the_ledger(made_by_worker):
    assert made_by_worker.money_differences() == []
    seq, entries, last = made_by_worker.rows(
        "select max(seq) as a, count(*) as b, (select last_seq from private.ledger_counters where account_id = %s) as c"
        " from public.cost_entries where account_id = %s",
        ACCOUNT_ID,
        ACCOUNT_ID,
    )[0].values()
    assert seq == entries == last


def test_seq_is_the_order_of_settling(made_by_worker):
    ordered = made_by_worker.rows("select settled_at from public.cost_entries order by seq")
    assert all(one["settled_at"] <= two["settled_at"] for one, two in pairwise(ordered))


def test_after_a_kill_every_speech_has_its_audio_and_every_file_its_speech(made_by_worker, folder):
    assets = made_by_worker.rows("select * from public.speech_assets")
    assert len(assets) == 12
    for asset in assets:
        data = folder.read(asset["media_path"])
        assert len(data) == asset["bytes"]
        assert audio.probe_duration(data) == pytest.approx(float(asset["duration_seconds"]), abs=0.1)
    assert set(folder.list("speech", datetime.now(UTC) + timedelta(days=1))) == {a["media_path"] for a in assets}


def test_each_store_has_clips_to_play_and_to_post(made_by_worker, folder):
    clips = made_by_worker.rows("select * from public.clips where media_path is not null")
    assert Counter(clip["profile_id"] for clip in clips) == dict.fromkeys({s.id for s in STORES}, demo.FILMS)
    for clip in clips:
        file = folder.path(clip["media_path"])
        assert (facts(file).width, facts(file).seconds, clip["bytes"]) == (clip["width"], 4, file.stat().st_size)
        assert folder.size(clip["thumbnail_path"]) > 1_000


def test_jobs_and_speech_carry_the_hash_that_reuse_goes_by(made_by_worker):
    wrong = "select id from public.jobs where kind = 'speech' and dedupe_key <> private.speech_hash(input)"
    assert made_by_worker.rows(wrong) == []
    store, person = HUDSON, manager(HUDSON)
    made_before = generation.recent(made_by_worker.as_person(person.id), store.id)[0]
    again = order(made_before.text, made_before.provider)
    quote = generation.quote(made_by_worker.as_person(person.id), store.id, again)
    assert quote.existing == made_before.id


def test_a_warning_and_a_refusal_can_be_seen_and_the_free_voice_still_speaks(made_by_worker):
    stores = {
        store: (made_by_worker.as_person(manager(store).id), generation.quote, store.id) for store in (BOROUGH, HUDSON)
    }
    near, over = (quote(person, store_id, order()) for person, quote, store_id in stores.values())
    assert near.store.near
    assert near.refusal is None
    assert over.refusal is not None
    database = made_by_worker.as_person(manager(HUDSON).id)
    with pytest.raises(QuotaExceeded):
        generation.order_speech(database, HUDSON.id, order(), uuid4())
    assert generation.quote(database, HUDSON.id, order(provider="hibari")).refusal is None


@pytest.mark.parametrize("time_range", ["7d", "30d", "90d", "all"])
def test_dashboards_show_services_and_activity(made_by_worker, time_range):
    shown = reports.account_dashboard(made_by_worker.as_person(FINANCE.id), ACCOUNT_ID, time_range)
    assert {point.service for point in shown.spend} == {"hibari", "practice", "elevenlabs", "gemini"}
    assert shown.stats.clips_count > shown.stats.rendered_count > 0
    assert [store.name for store in shown.stores] == ["Hudson", "Borough", "Lipscani"]


def test_a_failed_job_can_be_retried(made_by_worker):
    database = made_by_worker.as_person(manager(LIPSCANI).id)
    failed = queue.list_jobs(database, account_id=ACCOUNT_ID, profile_id=LIPSCANI.id, status="failed")[0]
    queue.retry(database, failed.id)
    assert queue.get_job(database, failed.id).status == "pending"
    queue.cancel(database, failed.id)


# What it published ------------------------------------------------------------------------------------------------


@any_instant
def test_each_store_published_on_three_channels_with_every_ending(now):
    clips = {row["id"]: row for row in made(now)["clips"]}
    bundles = {row["id"]: row for row in made(now)["bundles"]}
    for store in STORES:
        found = of(store, "publications", now)
        assert {row["state"] for row in found} == {
            "published", "failed", "missed", "cancelled", "scheduled", "draft"
        }  # fmt: skip
        assert len(found) >= 36
        assert {row["identifier"] for row in found} == {"instagram", "tiktok", "facebook"}
        assert all(clips[row["clip_id"]]["final_status"] == "completed" for row in found)
        assert all(clips[row["clip_id"]]["profile_id"] == store.id for row in found)
        assert all(bundles[row["bundle_id"]]["clip_id"] == row["clip_id"] for row in found)


@any_instant
def test_posts_are_over_or_to_come_as_they_say(now):
    for row in made(now)["publications"]:
        if row["state"] == "scheduled":
            assert row["due_at"] > now
        elif row["state"] == "published":
            assert row["created_at"] < row["published_at"] <= now
            assert row["release_url"] == f"/publish?practice={row['vendor_post']}"
        elif row["state"] in ("failed", "missed"):
            assert row["error"].endswith((".", "?"))
            assert "release_url" not in row


def test_its_posts_are_in_the_practice_account_and_its_desk_shows_them(made_by_worker):
    database = made_by_worker.as_person(manager(HUDSON).id)
    found = posts.desk(database, HUDSON.id, limit=100)
    assert sum(publication.group == "live" for publication in found.publications) >= 20
    assert {channel.identifier for channel in found.channels} == {"instagram", "tiktok", "facebook"}
    assert len(found.drafts) == 1
    account = posts.outlook(database, HUDSON.id).account
    assert account is not None
    assert account.practice
    opened = credentials.for_call(made_by_worker.as_worker(), kill.options(), ACCOUNT_ID, HUDSON.id, "postiz")
    assert opened is not None
    vendor = connect.vendor(made_by_worker.as_worker(), kill.options(), opened)
    there = {post.id: post for post in vendor.posts(NOW - timedelta(days=4000), NOW + timedelta(days=4000))}
    for row in made_by_worker.rows("select * from public.publications where state in ('published', 'scheduled')"):
        post = there[row["vendor_post"]]
        assert (post.reference, post.publish_at, post.channel) == (row["id"], row["due_at"], row["channel"])
        assert (post.state, post.release_url) == (row["vendor_state"], row["release_url"])
    assert {channel.id for channel in vendor.channels()} == {row["channel"] for row in made(NOW)["profile_channels"]}


# Interrupted and repeated --------------------------------------------------------------------------------------------


def test_an_attempt_after_the_rows_were_saved_only_ends_the_job(made_by_worker, tmp_path):
    before = counts(made_by_worker)
    job_id = made_by_worker.job("demo")
    run_to_end(made_by_worker, Folder(tmp_path / "media"), job_id)
    made_by_worker.execute("delete from public.jobs where id = %s", job_id)
    assert counts(made_by_worker) == before
    assert not (tmp_path / "media").exists()


def test_loading_twice_adds_nothing(made_by_worker):
    before = counts(made_by_worker)
    load_rows(made_by_worker)
    assert counts(made_by_worker) == before


# Refused ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared(server, template) -> Iterator[World]:
    with fresh_world(server, template) as world:
        yield world


def spoilt(table: str, **values: Any) -> Rows:
    """A small demo company with values of one table's first row changed."""
    company = {name: found[:10] for name, found in loadable().items()}
    return {**company, table: [{**company[table][0], **values}, *company[table][1:]]}


STRANGER = {"id": uuid4(), "email": "stranger@example.test", "name": "Stranger"}


@pytest.mark.parametrize(
    "company",
    [
        lambda: spoilt("accounts", is_demo=False),
        lambda: spoilt("accounts", id=uuid4()),
        lambda: {**spoilt("accounts"), "accounts": []},
        lambda: {},
        lambda: spoilt("prices", account_id=uuid4()),
        lambda: spoilt("cost_entries", account_id=uuid4()),
        lambda: spoilt("profile_credentials", practice=False, key_id=uuid4()),
        lambda: spoilt("publications", account_id=uuid4()),
        lambda: spoilt("jobs", account_id=None),
        lambda: spoilt("audit_log", account_id=None),
        lambda: spoilt("audit_log", account_id=None, id=ACCOUNT_ID),
        lambda: {**spoilt("people"), "people": [*made(NOW)["people"], STRANGER]},
        lambda: spoilt("members", person_id=uuid4()),
    ],
)
def test_rows_that_are_not_the_demo_companys_are_refused(shared, company):
    with pytest.raises(NotAllowed, match="Only the demo company"):
        shared.as_worker().call("load_demo", p_account_id=ACCOUNT_ID, p_rows=company())
    assert shared.value("select count(*) from public.accounts where is_demo") == 0


def test_a_real_company_cannot_be_the_target(shared):
    account = shared.company()
    company = {"accounts": [{"id": account, "is_demo": True}], "people": [], "members": []}
    with pytest.raises(NotAllowed):
        shared.as_worker().call("load_demo", p_account_id=account, p_rows=company)


def test_people_cannot_load(shared):
    admin = shared.person(shared.company(), "admin")
    for door in (shared.as_person(admin), shared.doors.anonymous()):
        with pytest.raises(NotAllowed):
            door.call("load_demo", p_account_id=ACCOUNT_ID, p_rows={})


@pytest.mark.parametrize("who", ["its manager", "its finance", "another admin", "a stranger", "nobody"])
def test_only_its_own_admin_erases_it(made_by_worker, who):
    world, before = made_by_worker, counts(made_by_worker)["public.cost_entries"]
    doors = {
        "its manager": lambda: world.as_person(manager(BOROUGH).id),
        "its finance": lambda: world.as_person(FINANCE.id),
        "another admin": lambda: world.as_person(world.person(world.company(), "admin")),
        "a stranger": lambda: world.as_person(world.person(None)),
        "nobody": world.doors.anonymous,
    }
    with pytest.raises(NotAllowed):
        doors[who]().call("erase_demo", p_account_id=ACCOUNT_ID)
    assert counts(world)["public.cost_entries"] == before > 0


def test_a_real_company_cannot_be_erased(shared):
    account = shared.company()
    with pytest.raises(NotAllowed):
        shared.as_person(shared.person(account, "admin")).call("erase_demo", p_account_id=account)
    assert shared.value("select count(*) from public.accounts where id = %s", account) == 1


# Erased -------------------------------------------------------------------------------------------------------------


def busy_company(world: World) -> None:
    """A real company with something in most tables."""
    account = world.company()
    store = world.store(account, quota="10")
    person = world.person(account, "manager", store)
    world.clip(store, world.project(store))
    world.spend(store, "1.25", person)
    generation.order_speech(world.as_person(person), store, order(), uuid4())
    identity.open_session(person, address=None, agent="test")


def use_demo(world: World) -> tuple[identity.Person, str]:
    """Leave traces wherever its people can; returns the admin and the manager's secret."""
    person = manager(LIPSCANI)
    secrets = [identity.open_session(p.id, address="127.0.0.1", agent="test") for p in (ADMIN, person)]
    admin = identity.load(secrets[0])
    assert admin is not None
    generation.order_speech(world.as_person(person.id), LIPSCANI.id, order(), uuid4())
    world.spend(LIPSCANI.id, "0.50", person.id)
    former = next(member for member in people.of_company(admin.database, ACCOUNT_ID) if member.role == "finance")
    people.remove(admin.database, ACCOUNT_ID, former.id, former.version, "She left")
    world.insert(
        "public.quota_grants", id=uuid4(), account_id=ACCOUNT_ID, profile_id=HUDSON.id, amount_usd=5,
        valid_from=NOW, valid_until=NOW + timedelta(days=3), reason="Holiday", granted_by=ADMIN.id,
    )  # fmt: skip
    return admin, secrets[1]


def test_erasing_leaves_nothing_behind_and_touches_nobody_else(desk):
    busy_company(desk)
    before, others = counts(desk), everything(desk)
    desk.job("demo", status="completed")
    load_rows(desk)
    admin, secret = use_demo(desk)
    assert identity.load(secret) is not None
    demo.erase(admin.database, ACCOUNT_ID)
    assert counts(desk) == before
    assert everything(desk) == others
    assert desk.money_differences() == []
    assert (demo.state().job, demo.people(), demo.is_demo_person(str(ADMIN.id))) == (None, [], False)
    assert identity.load(secret) is None
    with pytest.raises(NotAllowed):
        demo.erase(admin.database, ACCOUNT_ID)


def test_it_can_be_made_again(desk):
    load_rows(desk)
    assert identity.first_start()  # the installation still waits for its first company
    digest = "select md5(string_agg(t::text, '' order by id)) from public.{} t"
    desk.execute("delete from public.jobs where kind = 'channel_rules'")  # what the database adds for pinned channels
    tables = ("cost_entries", "jobs", "clips", "speech_assets", "publications", "profile_credentials")
    first = {name: desk.value(digest.format(name)) for name in tables}
    demo.erase(desk.as_person(ADMIN.id), ACCOUNT_ID)
    load_rows(desk)
    desk.execute("delete from public.jobs where kind = 'channel_rules'")
    assert {name: desk.value(digest.format(name)) for name in first} == first


def test_it_can_be_made_again_although_a_company_knows_somebody_of_it(desk):
    real = desk.company()
    boss = desk.as_person(desk.person(real, "admin"))
    load_rows(desk)
    desk.insert("public.members", account_id=real, person_id=FINANCE.id, role="finance")
    people.remove(boss, real, FINANCE.id, 1, "A mistake")
    for _ in range(2):
        demo.erase(desk.as_person(ADMIN.id), ACCOUNT_ID)
        assert identity.names(boss)[FINANCE.id] == FINANCE.name
        load_rows(desk)
    assert {UUID(person["id"]) for person in demo.people()} >= {ADMIN.id, FINANCE.id}


def hold(world: World) -> UUID:
    """Of what `entry()` costs; returns the request's id."""
    request_id = uuid4()
    world.as_worker().call(
        "hold_cost",
        p_request_id=request_id,
        p_profile_id=LIPSCANI.id,
        p_estimate_usd=Decimal("0.03"),
        p_service="practice",
    )
    return request_id


def test_nothing_is_booked_behind_the_back_of_erasing(world):
    """A settling that began before is waited for, and its entry goes, too."""
    load_rows(world)
    world.as_worker().call("settle_cost", p_request_id=hold(world), p_entries=[entry()])  # today has its sums
    request_id, before = hold(world), world.value("select count(*) from public.cost_entries")
    erase = world.as_person(ADMIN.id).call
    eraser = threading.Thread(target=erase, args=("erase_demo",), kwargs={"p_account_id": ACCOUNT_ID})
    with psycopg.connect(world.url) as till:
        till.execute("select private.settle_cost(%s, %s, true)", (request_id, Jsonb([entry()])))
        assert till.execute("select count(*) from public.cost_entries").fetchone() == (before + 1,)
        eraser.start()
        waiting = (
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        kill.wait_until(lambda: world.value(waiting), "erasing waits for the settling")
    eraser.join(kill.PATIENCE)
    assert world.value("select count(*) from public.accounts") == 0
    assert world.value("select count(*) from public.cost_entries") == 0
