"""Why was I refused: facts that stay with the job, the picture as it is now, who sees what, and asking the admins."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.costs import refusals
from services.database.door import Database
from services.errors import (
    AppError,
    Conflict,
    InvalidInput,
    ModelPaused,
    NotAllowed,
    NotFound,
    PriceMissing,
    QuotaExceeded,
    Refusal,
    StoreSuspended,
)
from services.jobs import attempt, queue
from services.jobs.context import Claimed, Context
from services.media.folder import Folder
from services.speech import generation
from tests import kill
from tests.builders import World, speech
from tests.costs.conftest import OpenTill
from tests.costs.till import Till

D = Decimal
TEXT = "x" * 1000  # costs $0.30 in the practice voice


@pytest.fixture
def manager(till: Till) -> UUID:
    return till.world.person(till.account, "manager", till.store, name="Mia")


@pytest.fixture
def mia(till: Till, manager: UUID) -> Database:
    return till.world.as_person(manager)


@pytest.fixture
def boss(till: Till) -> Database:
    return till.world.as_person(till.world.person(till.account, "admin", name="Ada"))


def order(door: Database, store: UUID, *chunks: str) -> UUID:
    job_id = uuid4()
    words = speech(" ".join(chunks), chunks=list(chunks))
    door.call("enqueue_speech", p_job_id=job_id, p_profile_id=store, p_speech=words)
    return job_id


def at_work(till: Till, job_id: UUID, folder: Any) -> Context:
    """An attempt of its own at that job."""
    token = uuid4()
    till.world.execute(
        "update public.jobs set status = 'running', attempt = attempt + 1, attempt_token = %s,"
        " lease_until = now() + interval '1 minute' where id = %s", token, job_id,
    )  # fmt: skip
    (row,) = till.world.rows("select * from public.jobs where id = %s", job_id)
    return Context(Claimed.model_validate({**row, "steps": {}}), till.worker, Folder(folder), kill.options())


def buy(context: Context, place: int) -> None:
    bought = context.write("begin_purchase", p_place=place)
    context.write("send_purchase", p_purchase_id=bought["id"], p_seconds=Decimal(60))
    context.tell("settle_purchase", p_purchase_id=bought["id"], p_units=D(1000), p_vendor_id=None, p_media_path="a.mp3")


def refuse_later_passage(till: Till, door: Database, folder: Any) -> UUID:
    """A job of two passages; before the second one somebody else spends what is left."""
    job_id = order(door, till.store, TEXT, "y" * 1000)

    def speak(context: Context) -> None:
        buy(context, 0)
        till.spend("9.5")
        buy(context, 1)

    attempt.run(at_work(till, job_id, folder), speak)
    return job_id


# Facts that stay with the job ------------------------------------------------------------------------------------


def test_a_passage_refused_while_the_job_ran_leaves_its_arithmetic(till: Till, mia: Database, tmp_path: Any) -> None:
    job = queue.get_job(mia, refuse_later_passage(till, mia, tmp_path))
    assert job.status == "failed"
    error = refusals.told(job.refusal or {})
    assert isinstance(error, QuotaExceeded)
    why = error.refusal
    assert why
    assert (why.scope, why.monthly_quota, why.current_costs, why.held, why.estimate, why.shortfall) == (
        "store", 10, D("9.8"), 0, D("0.3"), D("0.1"),
    )  # fmt: skip
    assert why.at
    assert abs((datetime.now(UTC) - why.at).total_seconds()) < 60
    assert job.error == str(error)


def test_a_refused_retry_leaves_its_arithmetic_and_the_next_one_that_fits_takes_it_away(
    till: Till, mia: Database, boss: Database, tmp_path: Any
) -> None:
    job_id = order(mia, till.store, TEXT)
    at_work(till, job_id, tmp_path).fail("The voice gave no usable audio.", None)
    assert queue.get_job(mia, job_id).refusal is None
    till.spend("9.9")
    with pytest.raises(QuotaExceeded) as refused:
        queue.retry(mia, job_id)
    kept = queue.get_job(mia, job_id)
    told = refusals.told(kept.refusal or {})
    assert isinstance(told, QuotaExceeded)
    assert told.refusal
    assert told.refusal.model_copy(update={"at": None}) == refused.value.refusal
    assert (kept.status, till.differences()) == ("failed", [])
    boss.call("set_quota", p_account_id=till.account, p_profile_id=till.store, p_quota_usd=D(20), p_reason="Fair")
    queue.retry(mia, job_id)
    assert queue.get_job(mia, job_id).refusal is None


def test_what_refuses_no_more_is_not_noted(till: Till, mia: Database, tmp_path: Any) -> None:
    job_id = order(mia, till.store, TEXT)
    at_work(till, job_id, tmp_path).fail("Broken.", None)
    held = till.counter()
    assert mia.call("note_refusal", p_job_id=job_id) is None
    assert (till.counter(), queue.get_job(mia, job_id).refusal) == (held, None)
    till.world.execute("update public.jobs set status = 'completed' where id = %s", job_id)
    assert mia.call("note_refusal", p_job_id=job_id) is None


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (ModelPaused("Paused."), {"error": "model_paused", "message": "Paused."}),
        (PriceMissing("No price."), {"error": "price_missing", "message": "No price."}),
        (StoreSuspended("Shut."), {"error": "store_suspended", "message": "Shut."}),
    ],
)
def test_other_refusals_leave_their_sentence(
    till: Till, mia: Database, tmp_path: Any, error: AppError, kept: dict[str, str]
) -> None:
    job_id = order(mia, till.store, TEXT)

    def refuse(context: Context) -> None:
        raise error

    attempt.run(at_work(till, job_id, tmp_path), refuse)
    found = queue.get_job(mia, job_id).refusal or {}
    assert found | kept == found
    assert type(refusals.told(found)) is type(error)
    assert str(refusals.told(found)) == str(error)


def test_failures_that_are_no_refusals_keep_nothing(till: Till, mia: Database, tmp_path: Any) -> None:
    job_id = order(mia, till.store, TEXT)
    attempt.run(at_work(till, job_id, tmp_path), lambda _: 1 / 0)  # type: ignore[arg-type]
    assert queue.get_job(mia, job_id).refusal is None
    assert refusals.facts(QuotaExceeded()) is None


def test_facts_survive_the_way_through_json() -> None:
    amounts = {"current_costs": D("9.8"), "held": D(0), "estimate": D("0.300000"), "monthly_quota": D(10),
               "shortfall": D("0.1")}  # fmt: skip
    error = QuotaExceeded("No.", Refusal(message="No.", scope="store", **amounts))
    told = refusals.told(refusals.facts(error) or {})
    assert isinstance(told, QuotaExceeded)
    assert told.refusal == error.refusal


# The picture as it is now ----------------------------------------------------------------------------------------


def test_the_picture_tells_the_limit_its_grants_and_who_holds_what(
    till: Till, manager: UUID, mia: Database, boss: Database
) -> None:
    world = till.world
    boss.call("set_quota", p_account_id=till.account, p_profile_id=till.store, p_quota_usd=D(12), p_reason="More")
    world.insert("public.quota_grants", id=uuid4(), account_id=till.account, profile_id=till.store, amount_usd=D("2.5"),
                 valid_from="2026-01-01T00:00:00Z", valid_until="2099-01-01T00:00:00Z", reason="Fair",
                 granted_by=manager)  # fmt: skip
    world.insert("public.quota_grants", id=uuid4(), account_id=till.account, profile_id=till.store, amount_usd=D(7),
                 valid_from="2020-01-01T00:00:00Z", valid_until="2020-02-01T00:00:00Z", reason="Over",
                 granted_by=manager)  # fmt: skip
    till.spend("3")
    job_id = order(mia, till.store, TEXT)
    till.hold("1.5")
    now = refusals.explain(mia, till.store)
    store = now.store
    assert (store.limit, store.settled, store.held, store.left) == (D("14.5"), 3, D("1.8"), D("9.7"))
    assert [(grant.usd, grant.begins.year, grant.until.year) for grant in store.grants] == [(D("2.5"), 2026, 2099)]
    assert store.since
    assert [(h.usd, h.kind, h.person, h.job_id, h.sent) for h in store.holds.dearest] == [
        (D("1.5"), None, "System", None, False), (D("0.3"), "speech", "Mia", job_id, False),
    ]  # fmt: skip
    assert [admin.name for admin in now.admins] == ["Ada"]
    assert now.company.limit is None
    assert now.covers(D("9.7"))
    assert not now.covers(D("9.700001"))
    assert store.missing(D("9.8")) == D("0.1")


def test_a_used_up_limit_covers_not_even_nothing_unless_free_voices_may(till: Till, mia: Database) -> None:
    till.spend("10")
    now = refusals.explain(mia, till.store)
    assert now.store.missing(D(0)) == D("0.01")
    assert not now.covers(D(0))
    assert now.covers(D(0), exempt=True)
    assert not now.covers(D("0.01"), exempt=True)


def test_of_the_company_managers_see_the_arithmetic_and_their_own_stores_holds(open_till: OpenTill) -> None:
    till = open_till(company="10")
    other = till.beside()
    till.hold("1")
    other.hold("2")
    world = till.world
    world.insert("public.quota_grants", id=uuid4(), account_id=till.account, amount_usd=D(5),
                 valid_from="2026-01-01T00:00:00Z", valid_until="2099-01-01T00:00:00Z", reason="Fair",
                 granted_by=uuid4())  # fmt: skip
    mine = refusals.explain(world.as_person(world.person(till.account, "manager", till.store)), till.store).company
    assert (mine.limit, mine.held, mine.holds.usd, mine.held_elsewhere, mine.grants) == (15, 3, 1, 2, [])
    for role in ("admin", "finance"):
        whole = refusals.explain(world.as_person(world.person(till.account, role)), till.store).company
        assert (whole.holds.count, whole.holds.usd, whole.held_elsewhere, len(whole.grants)) == (2, 3, 0, 1)


def test_what_a_retry_would_need_is_the_rest_of_the_job(
    till: Till, mia: Database, boss: Database, tmp_path: Any
) -> None:
    job_id = refuse_later_passage(till, mia, tmp_path)
    now = refusals.explain(mia, till.store, job_id)
    assert now.job
    assert (now.job.need, now.job.obstacle) == (D("0.3"), None)
    assert not now.covers(now.job.need)
    boss.call("set_quota", p_account_id=till.account, p_profile_id=till.store, p_quota_usd=D("10.1"), p_reason="A cent")
    now = refusals.explain(mia, till.store, job_id)
    assert now.covers(D("0.3"))
    queue.retry(mia, job_id)


def test_what_else_stands_in_the_way_is_said(till: Till, mia: Database, tmp_path: Any) -> None:
    job_id = order(mia, till.store, TEXT)
    at_work(till, job_id, tmp_path).fail("Broken.", None)
    now = refusals.explain(mia, till.store, job_id)
    assert now.job
    assert (now.job.need, now.job.obstacle) == (D("0.3"), None)
    till.world.pause(till.account, "practice", "premium")
    paused = refusals.explain(mia, till.store, job_id).job
    assert paused
    assert "is paused" in (paused.obstacle or "")
    till.world.execute("delete from public.prices where account_id = %s and model = 'premium'", till.account)
    missing = refusals.explain(mia, till.store, job_id).job
    assert missing
    assert "has no price" in (missing.obstacle or "")
    till.world.execute(
        "update public.profiles set suspended_at = now(), suspended_reason = 'Flood' where id = %s", till.store
    )
    shut = refusals.explain(mia, till.store, job_id).job
    assert shut
    assert shut.obstacle == "Quay is suspended: Flood"


def test_a_job_that_bought_everything_needs_nothing(till: Till, mia: Database, tmp_path: Any) -> None:
    job_id = order(mia, till.store, TEXT)
    context = at_work(till, job_id, tmp_path)
    buy(context, 0)
    context.fail("The disk was full.", None)
    now = refusals.explain(mia, till.store, job_id)
    assert now.job
    assert (now.job.need, now.job.obstacle) == (None, None)


def test_strangers_and_other_stores_find_nothing(till: Till, mia: Database) -> None:
    world = till.world
    other = till.beside()
    theirs = order(world.as_person(world.person(till.account, "manager", other.store)), other.store, TEXT)
    stranger = world.as_person(world.person(None))
    for door, store, job in ((stranger, till.store, None), (mia, other.store, None), (mia, till.store, theirs)):
        with pytest.raises(NotFound):
            refusals.explain(door, store, job)
    with pytest.raises(NotFound):
        mia.call("note_refusal", p_job_id=theirs)
    with pytest.raises(AppError):
        refusals.explain(world.doors.anonymous(), till.store)


def test_refused_jobs_are_listed_for_who_may_see_them(till: Till, mia: Database, boss: Database, tmp_path: Any) -> None:
    other = till.beside(quota="10")
    world = till.world
    theirs = world.as_person(world.person(till.account, "manager", other.store))
    mine, elsewhere = refuse_later_passage(till, mia, tmp_path), refuse_later_passage(other, theirs, tmp_path)
    assert [(job.id, job.person, job.characters) for job in refusals.recent(mia, till.account, None)] == [
        (mine, "Mia", 2001)
    ]
    assert [job.id for job in refusals.recent(boss, till.account, None)] == [elsewhere, mine]
    assert [job.id for job in refusals.recent(boss, till.account, till.store)] == [mine]
    assert refusals.recent(world.as_person(world.person(None)), till.account, None) == []


# Asking an admin -------------------------------------------------------------------------------------------------


def notices(world: World, account: UUID) -> list[dict[str, Any]]:
    return world.rows(
        "select n.*, array(select p.name from public.notice_readers r join public.people p on p.id = r.person_id"
        " where r.notice_id = n.id) as readers from public.notices n"
        " where n.account_id = %s and n.kind = 'quota_request' order by n.created_at",
        account,
    )


def test_the_admins_are_asked_once_for_a_month_limit_and_amount(till: Till, mia: Database, boss: Database) -> None:
    till.spend("9")
    assert refusals.ask_admins(mia, till.store, "store", D("0.500001"))
    assert not refusals.ask_admins(mia, till.store, "store", D("0.51"))
    (notice,) = notices(till.world, till.account)
    assert notice["readers"] == ["Ada"]
    assert notice["profile_id"] == till.store
    assert notice["text"].startswith("Mia asks for $0.5100 more of the store's monthly quota")
    assert "the limit is $10.00, $9.00 is spent and $0.00 is held." in notice["text"]
    audited = "select count(*) from public.audit_log where account_id = %s and action = 'quota_requested'"
    assert till.world.value(audited, till.account) == 1
    now = refusals.explain(mia, till.store)
    assert now.asked("store", D("0.500001"))
    assert not now.asked("store", D("0.52"))
    assert not now.asked("company", D("0.5"))


def test_a_raised_limit_answers_the_request(till: Till, mia: Database, boss: Database) -> None:
    refusals.ask_admins(mia, till.store, "store", D(5))
    change = {"p_account_id": till.account, "p_profile_id": till.store, "p_reason": "Asked"}
    boss.call("set_quota", **change, p_quota_usd=D(5))
    assert len(refusals.explain(mia, till.store).requests) == 1
    boss.call("set_quota", **change, p_quota_usd=D(15))
    assert refusals.explain(mia, till.store).requests == []
    assert refusals.ask_admins(mia, till.store, "store", D(5))


def test_bad_requests_tell_nobody(till: Till, mia: Database) -> None:
    world = till.world
    for scope, amount in (("store", "0"), ("store", "-1"), ("store", "NaN"), ("store", "1e12"), ("planet", "1")):
        with pytest.raises(InvalidInput):
            refusals.ask_admins(mia, till.store, scope, D(amount))
    with pytest.raises(Conflict, match="no limit any more"):
        refusals.ask_admins(mia, till.store, "company", D(1))
    with pytest.raises(NotAllowed):
        refusals.ask_admins(world.as_person(world.person(till.account, "finance")), till.store, "store", D(1))
    for door in (world.as_person(world.person(None)), world.as_person(world.person(till.account, "manager"))):
        with pytest.raises(NotFound):
            refusals.ask_admins(door, till.store, "store", D(1))
    assert notices(world, till.account) == []


def test_the_quote_and_the_picture_agree(till: Till, mia: Database) -> None:
    till.spend("9.8")
    quoted = generation.Quote.model_validate(
        mia.call("speech_quote", p_profile_id=till.store, p_speech=speech(TEXT))
    ).refusal
    assert quoted
    now = refusals.explain(mia, till.store).store
    assert (now.limit, now.settled, now.held) == (quoted.monthly_quota, quoted.current_costs, quoted.held)
    assert now.missing(quoted.estimate) == quoted.shortfall
