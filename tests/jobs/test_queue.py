"""Jobs as people see and change them."""

import logging
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from services.errors import Conflict, NotAllowed, NotFound, QuotaExceeded
from services.jobs import queue
from tests.kill import claim, job_row, order

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)


def test_filters_work_in_the_database_newest_first(world, shop):
    second = world.store(shop.account)
    admin = world.as_person(world.person(shop.account, "admin"))
    made = {
        name: world.job(kind, store, status=status, created_at=NOON + timedelta(minutes=minute))
        for minute, (name, kind, store, status) in enumerate(
            [
                ("old", "speech", shop.store, "completed"),
                ("failed", "speech", shop.store, "failed"),
                ("export", "export", shop.store, "failed"),
                ("other", "speech", second, "failed"),
            ]
        )
    }

    def names(**filters):
        jobs = queue.list_jobs(admin, account_id=shop.account, **filters)
        return [name for job in jobs for name, job_id in made.items() if job.id == job_id]

    assert names() == ["other", "export", "failed", "old"]
    assert names(profile_id=shop.store) == ["export", "failed", "old"]
    assert names(status="failed", profile_id=shop.store) == ["export", "failed"]
    assert names(kind="speech", status="failed") == ["other", "failed"]
    assert names(limit=1) == ["other"]
    assert names(status="running") == []


def test_paging_by_key_shows_every_job_once_though_times_are_equal(world, shop):
    made = {world.job("speech", shop.store, created_at=NOON) for _ in range(7)}
    seen, after = [], None
    while page := queue.list_jobs(shop.database, account_id=shop.account, limit=3, after=after):
        seen += [job.id for job in page]
        after = page[-1].key
        world.job("speech", shop.store)  # newer ones do not shift the pages
    assert len(seen) == 7
    assert set(seen) == made


def test_a_manager_sees_the_jobs_of_own_stores_only(world, shop):
    foreign = world.job("speech", world.store(shop.account))
    installation = world.job("tidy")
    mine = world.job("speech", shop.store)
    assert [job.id for job in queue.list_jobs(shop.database, account_id=shop.account)] == [mine]
    for job_id in (foreign, installation, uuid4()):
        for use in (queue.get_job, queue.cancel, queue.retry):
            with pytest.raises(NotFound):
                use(shop.database, job_id)


def test_finance_reads_but_changes_nothing(world, shop):
    finance = world.as_person(world.person(shop.account, "finance"))
    job_id = world.job("speech", shop.store)
    assert queue.get_job(finance, job_id).kind == "speech"
    for change in (queue.cancel, queue.retry):
        with pytest.raises(NotAllowed):
            change(finance, job_id)
    assert job_row(world, job_id)["status"] == "pending"


def test_a_pending_job_is_cancelled_at_once_and_its_money_released(world, shop):
    job_id = order(world, shop.store, shop.manager, "Fresh bread at six.")
    assert world.value("select held_usd from public.cost_holds where job_id = %s", job_id) > 0
    assert queue.cancel(shop.database, job_id) == "cancelled"
    job = queue.get_job(shop.database, job_id)
    assert (job.status, job.message, job.open) == ("cancelled", "Cancelled", False)
    assert world.value("select state from public.cost_holds where job_id = %s", job_id) == "released"
    assert world.money_differences() == []


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
def test_an_ended_job_cannot_be_cancelled(world, shop, status):
    with pytest.raises(Conflict, match="already ended"):
        queue.cancel(shop.database, world.job("speech", shop.store, status=status))


@pytest.mark.parametrize("status", ["pending", "running", "completed"])
def test_only_failed_and_cancelled_jobs_are_retried(world, shop, status):
    with pytest.raises(Conflict, match="Only a failed or cancelled job"):
        queue.retry(shop.database, world.job("speech", shop.store, status=status))


def test_a_retry_starts_anew_under_a_hold_of_its_own(world, shop, folder):
    job_id = order(world, shop.store, shop.manager, "Fresh bread at six.")
    context = claim(world, folder, "speech")
    context.write("save_step", p_name="speak", p_outcome={"media_path": "speech/a.mp3"})
    context.fail("The voice gave no usable audio.", None)
    queue.retry(shop.database, job_id)
    job = queue.get_job(shop.database, job_id)
    assert (job.status, job.attempt, job.error, job.message, job.progress) == ("pending", 0, None, "Queued", 0)
    holds = world.rows("select state from public.cost_holds where job_id = %s order by state desc", job_id)
    assert [hold["state"] for hold in holds] == ["reserved", "released"]
    assert claim(world, folder, "speech").steps == {"speak": {"media_path": "speech/a.mp3"}}
    assert world.money_differences() == []


def test_a_retry_that_the_quota_does_not_cover_leaves_the_job_failed(world, shop, folder):
    job_id = order(world, shop.store, shop.manager, "Fresh bread at six.")
    claim(world, folder, "speech").fail("The voice gave no usable audio.", None)
    world.spend(shop.store, "9.999")
    with pytest.raises(QuotaExceeded) as refused:
        queue.retry(shop.database, job_id)
    assert refused.value.refusal.scope == "store"
    assert (job_row(world, job_id)["status"], job_row(world, job_id)["attempt"]) == ("failed", 1)
    assert world.money_differences() == []


def test_creating_is_logged_at_info_and_changing_at_debug_with_the_store(world, shop, caplog):
    caplog.set_level(logging.DEBUG, logger="services")
    job_id = order(world, shop.store, shop.manager, "Fresh bread at six.")
    queue.cancel(shop.database, job_id)
    queue.retry(shop.database, job_id)
    lines = [record for record in caplog.records if str(job_id) in record.getMessage()]
    assert [record.levelname for record in lines] == ["INFO", "DEBUG", "DEBUG"]
    assert all(record.getMessage().startswith(f"[Profile {shop.store}]") for record in lines)
