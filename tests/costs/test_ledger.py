"""Reading the ledger entry by entry: the right person, a stranger, nobody."""

from decimal import Decimal
from uuid import uuid4

import pytest

from services.costs import ledger
from services.errors import AppError
from tests.builders import World, entry

LONG = "Fresh bread at six, every day of the week, and on Sundays at seven, with butter, honey and a very good coffee."


@pytest.fixture
def bought(world: World):
    account = world.company()
    store = world.store(account)
    manager = world.person(account, "manager", store)
    job = world.job("speech", store)
    worker, request = world.as_worker(), uuid4()
    worker.call("hold_cost", p_request_id=request, p_profile_id=store, p_estimate_usd=Decimal("1"),
                p_service="practice", p_job_id=job)  # fmt: skip
    entries = [entry(preview=LONG[:100] + "..."), entry(units={"characters": 12.5}, preview="Short.")]
    worker.call("settle_cost", p_request_id=request, p_entries=entries)
    return world, manager, job


def test_a_manager_reads_what_a_job_bought(bought) -> None:
    world, manager, job = bought
    database = world.as_person(manager)
    first, second = ledger.of_job(database, job)
    assert (first.service, first.operation, first.input_units, first.cost_usd) == (
        "practice",
        "tts",
        100,
        Decimal("0.03"),
    )
    assert (second.input_units, second.cost_usd) == (Decimal("12.5"), Decimal("0.00375"))
    assert first.rate == "$0.30/1000 chars"
    texts = ledger.previews(database, [first, second])
    assert texts[first.id] == LONG[:100] + "..."
    assert texts[second.id] == "Short."


def test_strangers_and_nobody_read_nothing(bought) -> None:
    world, _, job = bought
    assert ledger.of_job(world.as_person(world.person(world.company(), "admin")), job) == []
    with pytest.raises(AppError):
        ledger.of_job(world.doors.anonymous(), job)


def test_a_long_job_is_read_in_pages(bought) -> None:
    world, manager, job = bought
    database = world.as_person(manager)
    (first,) = ledger.of_job(database, job, limit=1)
    (second,) = ledger.of_job(database, job, limit=1, after=(first.seq,))
    assert [first, second] == ledger.of_job(database, job)
    assert ledger.of_job(database, job, after=(second.seq,)) == []
