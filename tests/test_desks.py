"""What a page asks for at once: whose rows, in which order, and what is told of their money."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from services import desks
from services.costs import prices
from services.database import embedded, supabase
from services.database.door import Database
from services.desks import VoiceDesk
from services.errors import AppError, NotFound
from services.speech import catalogue, generation
from tests.builders import World, entry, speech
from tests.cloud import fake_cloud, rest_door

LINE = "x" * 100  # $0.03 in the practice voice


@pytest.fixture
def shop(world: World):
    account = world.company()
    store = world.store(account, quota="10")
    return account, store, world.person(account, "manager", store, name="Mia")


@pytest.fixture
def order(world: World, shop) -> Callable[..., UUID]:
    """A job of the shop's manager that ended so, this many minutes ago."""

    def ordered(status: str = "completed", minutes: int = 0) -> UUID:
        job = uuid4()
        values = speech(f"{LINE[:-6]}{job.hex[:6]}", voice="premium")
        world.as_person(shop[2]).call("enqueue_speech", p_job_id=job, p_profile_id=shop[1], p_speech=values)
        world.execute(
            "update public.jobs set status = %s, created_at = now() - %s * interval '1 minute' where id = %s",
            status, minutes, job,
        )  # fmt: skip
        return job

    return ordered


def book(world: World, job: UUID, *entries: dict) -> None:
    request = world.value("select request_id from public.cost_holds where job_id = %s", job)
    world.as_worker().call("settle_cost", p_request_id=request, p_entries=list(entries))


@pytest.fixture(params=["connection", "REST"])
def door(request: pytest.FixtureRequest, world: World, server: embedded.Server, shop) -> Iterator[Database]:
    """The manager's, in each way to the database."""
    if request.param == "connection":
        yield world.as_person(shop[2])
        return
    with fake_cloud(server, world.admin.info.dbname) as project, supabase.open_http(20) as http:
        yield rest_door(project, http, shop[2])


def test_what_is_told_of_jobs(world: World, door: Database, shop, order):
    """All that is told of a failed job with a bought, an overrun and an unclear call, and of a completed one."""
    failed, done = order("failed", 1), order("completed", 2)
    book(world, done, entry(units={"characters": "12.345"}))
    bought = world.purchase(failed, "settled", cost_usd=Decimal("0.030001"), media_path="parts/a.mp3")
    lost = world.purchase(failed, "unclear", place=1, units_expected=Decimal("33.3"))
    world.pause(shop[0], "practice", "premium", 100, 250, id=bought)
    desk = desks.jobs(door, shop[0])
    assert [job.id for job in desk.jobs] == [failed, done]
    assert desk.people == {shop[2]: "Mia"}
    assert desk.costs == {done: Decimal("0.003704")}
    assert desk.overruns == {failed: Decimal("2.5")}
    assert desk.waiting == 1
    spent = desk.spent[failed]
    assert (spent.booked, spent.kept, spent.under_way) == (Decimal("0.030001"), 1, 0)
    assert [(call.id, call.place, call.units_expected) for call in spent.undecided] == [(lost, 1, Decimal("33.3"))]
    assert desk.book["practice", "premium", "characters"].usd == Decimal("0.30")


def test_pages_and_filters(world: World, shop, order):
    jobs = [order("failed" if minutes % 2 else "completed", minutes) for minutes in range(5)]
    other = world.store(shop[0])
    elsewhere = world.job("speech", other)
    database = world.as_person(world.person(shop[0], "admin"))
    mine = {"profile_id": shop[1]}
    first = desks.jobs(database, shop[0], limit=3, **mine).jobs
    second = desks.jobs(database, shop[0], limit=3, after=first[-1].key, **mine).jobs
    assert [job.id for job in (*first, *second)] == jobs
    assert [job.id for job in desks.jobs(database, shop[0], status="failed").jobs] == [jobs[1], jobs[3]]
    assert [job.id for job in desks.jobs(database, shop[0], profile_id=other).jobs] == [elsewhere]
    assert desks.jobs(database, shop[0], kind="voices").jobs == []


def test_older_jobs_that_wait_stand_first_on_the_unfiltered_first_page(world: World, shop, order):
    waiting = order("failed", 60)
    world.purchase(waiting, "unclear")
    new = [order(minutes=minutes) for minutes in range(3)]
    database = world.as_person(shop[2])
    first = desks.jobs(database, shop[0], limit=2)
    assert [job.id for job in first.jobs] == [waiting, *new[:2]]
    second = desks.jobs(database, shop[0], limit=2, after=first.jobs[-1].key)
    assert [job.id for job in second.jobs] == [new[2], waiting]
    filtered = desks.jobs(database, shop[0], limit=2, status="completed")
    assert [job.id for job in filtered.jobs] == new[:2]
    assert (first.waiting, second.waiting, filtered.waiting) == (1, 1, 1)


def test_everybody_sees_their_own(world: World, shop, order):
    job = order("failed")
    world.purchase(job, "unclear")
    colleague = world.person(shop[0], "manager", world.store(shop[0]))
    for person in (colleague, world.person(world.company(), "admin"), world.person(None)):
        desk = desks.jobs(world.as_person(person), shop[0])
        assert (desk.jobs, desk.spent, desk.costs, desk.waiting) == ([], {}, {}, 0)
    assert [found.id for found in desks.jobs(world.as_person(world.person(shop[0], "finance")), shop[0]).jobs] == [job]
    with pytest.raises(AppError):
        desks.jobs(world.doors.anonymous(), shop[0])


def test_no_worker_secret_is_told(world: World, shop, order):
    order()
    (row,) = world.as_person(shop[2]).call("jobs_desk", p_account_id=shop[0])["jobs"]
    assert not row.keys() & {"attempt_token", "worker", "lease_until"}


# Voice ------------------------------------------------------------------------------------------------------------


def voice(database: Database, shop, provider: str | None = "elevenlabs", speeches: int = 10) -> VoiceDesk:
    return desks.voice(database, shop[0], shop[1], provider, speeches=speeches, jobs=10)


def speech_of(world: World, store: UUID, text: str, minutes: int, **extra: object) -> UUID:
    made = uuid4()
    values = {
        "account_id": world.account_of(store), "profile_id": store, "text": text, "content_hash": text,
        "provider": "practice", "model": "premium", "voice": "premium", "settings": {}, "format": "mp3",
        "characters": len(text), "duration_seconds": Decimal("1.5"), "bytes": 9, "media_path": f"{made}.mp3",
        "cost_usd": Decimal("0.030001"), "created_at": datetime.now(UTC) - timedelta(minutes=minutes), **extra,
    }  # fmt: skip
    world.insert("public.speech_assets", id=made, **values)
    return made


def test_what_is_told_of_voice(world: World, door: Database, shop, order):
    """What a store has and what others have, each of which must be told to the first alone."""
    account, store, _ = shop
    other, foreign = world.store(account), world.company()
    for company, name in ((account, "anna"), (foreign, "else")):
        world.service("elevenlabs", {"id": name}, account_id=company)
        world.voice("elevenlabs", name, company, multiplier=Decimal("1.25"))
    world.service("elevenlabs", {"id": "own"}, account_id=account, profile_id=other)
    world.voice("elevenlabs", "own", account, profile_id=other)
    world.price(account, "elevenlabs", "anna", "0.10")
    world.price(account, "elevenlabs", "anna", "0.123456789", valid_from="2021-01-01T00:00:00+00:00")
    world.price(account, "elevenlabs", "anna", "9", valid_from="2100-01-01T00:00:00+00:00")
    for place in (store, other):
        world.as_person(world.person(account, "admin")).call(
            "set_pronunciation", p_profile_id=place, p_term=f"quay {place}", p_say="key"
        )
    made = [speech_of(world, store, f"Line {minutes}", minutes) for minutes in range(3)]
    speech_of(world, store, "Gone", 0, deleted_at=datetime.now(UTC))
    speech_of(world, other, "Elsewhere", 0)
    job = order()
    world.pause(account, "practice", "premium", 100, 250, id=(bought := world.purchase(job, "settled")))
    desk = voice(door, shop, speeches=2)
    assert desk.accounts["elevenlabs"] == "company"
    assert [list(service.models) for service in desk.services if service.provider == "elevenlabs"] == [["anna"]]
    assert [(found.voice, found.multiplier) for found in desk.voices] == [("anna", Decimal("1.25"))]
    assert prices.as_book(desk.prices)["elevenlabs", "anna", "characters"].usd == Decimal("0.123456789")
    assert [(word.profile_id, word.say) for word in desk.words] == [(store, "key")]
    assert [speech.id for speech in desk.speeches] == made[:2]
    assert desk.speeches[0].cost_usd == Decimal("0.030001")
    assert [(pause.id, pause.factor) for pause in desk.overruns] == [(bought, Decimal("2.5"))]
    assert [(call.id, call.job_id) for call in desk.overrun_calls] == [(bought, job)]
    assert [found.id for found in desk.jobs.jobs] == [job]


def test_a_store_with_its_own_account_is_told_that_one_s_voices(world: World, shop):
    world.voice("elevenlabs", "company", shop[0])
    world.voice("elevenlabs", "own", shop[0], profile_id=shop[1])
    world.insert("public.profile_account_choices", profile_id=shop[1], account_id=shop[0], provider="elevenlabs",
                 uses="own")  # fmt: skip
    desk = voice(world.as_person(shop[2]), shop)
    assert [found.voice for found in desk.voices] == ["own"]
    assert voice(world.as_person(shop[2]), shop, provider=None).voices == []


def test_what_is_told_is_what_the_pieces_ask_for(world: World, shop, order):
    """The same rows as one by one, so that what is remembered of them is the same."""
    for minutes in range(4):
        speech_of(world, shop[1], f"Line {minutes}", minutes)
    world.purchase(order(), "settled", saved_usd=Decimal("0.020001"))
    database = world.as_person(shop[2])
    desk = voice(database, shop)
    assert desk.speeches == generation.recent(database, shop[1], limit=10)
    assert desk.saved == generation.saved_this_month(database, shop[1]) == Decimal("0.020001")
    assert prices.as_book(desk.prices) == prices.current(database, shop[0])
    assert desk.jobs == desks.jobs(database, shop[0], profile_id=shop[1], kind="speech", limit=10)


def test_who_works_for_two_companies_is_told_of_one(world: World, shop):
    other = world.company()
    world.insert("public.members", account_id=other, person_id=shop[2], role="admin")
    for account, name in ((shop[0], "anna"), (other, "bert")):
        world.voice("elevenlabs", name, account)
    database = world.as_person(shop[2])
    assert [found.voice for found in voice(database, shop).voices] == ["anna"]
    assert [found.id for found in catalogue.voices(database, shop[0], "elevenlabs")] == ["anna"]
    assert [found.id for found in catalogue.voices(database, other, "elevenlabs")] == ["bert"]


def test_nobody_is_told_of_another_s_store(world: World, shop):
    colleague = world.person(shop[0], "manager", world.store(shop[0]))
    for person in (colleague, world.person(world.company(), "admin"), world.person(None)):
        with pytest.raises(NotFound):
            voice(world.as_person(person), shop)
    with pytest.raises(AppError):
        voice(world.doors.anonymous(), shop)
