"""What the Jobs page asks for at once: whose jobs, in which order, and what is told of their money."""

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from services import desks
from services.database import embedded, supabase
from services.database.door import Database
from services.errors import AppError
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


def told(world: World, database: Database, shop, order) -> None:
    """All that is told of a failed job with a bought, an overrun and an unclear call, and of a completed one."""
    failed, done = order("failed", 1), order("completed", 2)
    book(world, done, entry(units={"characters": "12.345"}))
    bought = world.purchase(failed, "settled", cost_usd=Decimal("0.030001"), media_path="parts/a.mp3")
    lost = world.purchase(failed, "unclear", place=1, units_expected=Decimal("33.3"))
    world.pause(shop[0], "practice", "premium", 100, 250, id=bought)
    desk = desks.jobs(database, shop[0])
    assert [job.id for job in desk.jobs] == [failed, done]
    assert desk.people == {shop[2]: "Mia"}
    assert desk.costs == {done: Decimal("0.003704")}
    assert desk.overruns == {failed: Decimal("2.5")}
    assert desk.waiting == 1
    spent = desk.spent[failed]
    assert (spent.booked, spent.kept, spent.under_way) == (Decimal("0.030001"), 1, 0)
    assert [(call.id, call.place, call.units_expected) for call in spent.undecided] == [(lost, 1, Decimal("33.3"))]
    assert desk.book["practice", "premium", "characters"].usd == Decimal("0.30")


def test_what_is_told_over_a_connection(world: World, shop, order):
    told(world, world.as_person(shop[2]), shop, order)


def test_what_is_told_over_rest(world: World, server: embedded.Server, shop, order):
    database = world.value("select current_database()")
    with fake_cloud(server, database) as project, supabase.open_http(20) as http:
        told(world, rest_door(project, http, shop[2]), shop, order)


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
