"""Who is told of what, once: by the events themselves."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.database.door import Database
from services.errors import InvalidInput, NotFound
from services.jobs import queue
from services.notices import inbox
from services.notices.inbox import Wish
from tests.builders import World
from tests.notices.conftest import Town

OF_QUAY = {"admin", "manager of Quay"}


def test_a_store_s_notice_reaches_its_managers_and_the_admins(town: Town) -> None:
    town.tell(store=town.quay)
    assert set(town.told()) == OF_QUAY


def test_a_company_s_notice_reaches_the_admins_and_about_money_finance_too(town: Town) -> None:
    town.tell()
    town.tell("quota")
    assert town.told() == {"admin": ["quota", "credential_dead"], "finance": ["quota"]}


@pytest.mark.parametrize("who", ["foreign admin", "stranger", "deactivated", "nobody"])
def test_nobody_else_reads_it(town: Town, who: str) -> None:
    world = town.world
    people = {
        "foreign admin": world.person(world.company("Other"), "admin"),
        "stranger": world.person(None),
        "deactivated": world.person(town.account, "admin"),
    }
    world.execute("update public.people set deactivated_at = now() where id = %s", people["deactivated"])
    town.tell(store=town.quay)
    door: Database = world.doors.anonymous() if who == "nobody" else world.as_person(people[who])
    if who == "nobody":
        with pytest.raises(Exception, match="role"):
            inbox.inbox(door, town.account)
        return
    assert inbox.inbox(door, town.account) == []
    assert inbox.mark_read(door, town.account) == 0


def test_who_loses_the_store_loses_its_notices(town: Town) -> None:
    town.tell(store=town.quay)
    town.world.execute("delete from public.profile_members where person_id = %s", town.people["manager of Quay"])
    assert set(town.told()) == {"admin"}


def test_an_event_is_told_once_until_it_is_over(town: Town) -> None:
    worker = town.world.as_worker()
    assert town.tell(dedupe="dead:1")
    assert town.tell(dedupe="dead:1") is None
    inbox.resolve(worker, town.account, "dead:1")
    assert town.tell(dedupe="dead:1")
    assert [notice.resolved_at is None for notice in town.inbox_of("admin")] == [True, False]


def test_many_who_tell_the_same_at_once_tell_it_once(town: Town) -> None:
    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(lambda _: town.tell(dedupe="dead:1"), range(40)))
    assert len([one for one in told if one]) == 1
    assert town.told() == {"admin": ["credential_dead"]}


# What each person wants -------------------------------------------------------------------------------------


def test_what_is_not_wanted_is_not_told(town: Town) -> None:
    admin = town.world.as_person(town.people["admin"])
    inbox.set_wish(admin, town.account, Wish(kind="quota", inbox=False, email=False))
    town.tell("quota", store=town.quay)
    assert set(town.told()) == {"manager of Quay", "finance"}
    assert {row["target"] for row in town.deliveries()} == {town.people["manager of Quay"], town.people["finance"]}


def test_wishes_are_kept_and_start_as_the_kind_says(town: Town) -> None:
    finance, admin = (town.world.as_person(town.people[name]) for name in ("finance", "admin"))
    theirs = {wish.kind: wish for wish in inbox.notice_settings(finance, town.account).kinds}
    assert theirs["quota"] == Wish(kind="quota", inbox=True, email=True)
    assert "job_failed" not in theirs
    inbox.set_wish(admin, town.account, Wish(kind="job_failed", inbox=False, email=True))
    found = {wish.kind: wish for wish in inbox.notice_settings(admin, town.account).kinds}
    assert found["job_failed"] == Wish(kind="job_failed", inbox=False, email=True)
    assert found["credential_dead"] == Wish(kind="credential_dead", inbox=True, email=True)


def test_one_chooses_only_what_one_s_role_is_told_of(town: Town) -> None:
    finance = town.world.as_person(town.people["finance"])
    for kind in ("job_failed", "webhook_test", "nonsense"):
        with pytest.raises(InvalidInput, match="not told of this"):
            inbox.set_wish(finance, town.account, Wish(kind=kind, inbox=True, email=True))
    stranger = town.world.as_person(town.world.person(None))
    with pytest.raises(NotFound):
        inbox.set_wish(stranger, town.account, Wish(kind="quota", inbox=True, email=True))


def test_only_admins_see_how_the_channels_fare(town: Town) -> None:
    for name in town.people:
        found = inbox.notice_settings(town.world.as_person(town.people[name]), town.account)
        assert (found.email is not None) == (name == "admin")


# The inbox --------------------------------------------------------------------------------------------------


def test_unread_comes_first_and_pages_go_by_key(town: Town) -> None:
    admin = town.world.as_person(town.people["admin"])
    for number in range(5):
        town.tell(text=f"Number {number}")
    newest = inbox.inbox(admin, town.account)[0]
    assert inbox.mark_read(admin, town.account, [newest.id]) == 1
    assert inbox.unread_count(admin, town.account) == 4
    first = inbox.inbox(admin, town.account, limit=3)
    rest = inbox.inbox(admin, town.account, after=first[-1].key)
    assert [notice.text[-1] for notice in first + rest] == ["3", "2", "1", "0", "4"]
    assert inbox.mark_read(admin, town.account) == 4
    assert inbox.inbox(admin, town.account, unread=True) == []


def test_the_inbox_is_filtered_by_kind_and_store(town: Town) -> None:
    admin = town.world.as_person(town.people["admin"])
    town.tell("quota", store=town.quay)
    town.tell("quota", store=town.hill)
    town.tell(store=town.quay)
    assert len(inbox.inbox(admin, town.account, kind="quota")) == 2
    assert [notice.kind for notice in inbox.inbox(admin, town.account, kind="quota", profile_id=town.hill)] == ["quota"]


def test_reading_is_one_s_own(town: Town) -> None:
    town.tell(store=town.quay)
    inbox.mark_read(town.world.as_person(town.people["manager of Quay"]), town.account)
    assert inbox.unread_count(town.world.as_person(town.people["admin"]), town.account) == 1


# Jobs -------------------------------------------------------------------------------------------------------


def run_and_fail(world: World, retry: Decimal | None = None) -> None:
    worker = world.as_worker()
    claimed = worker.call("claim_job", p_worker="w", p_kinds=["work"], p_lease_seconds=30)
    mine = {"p_job_id": claimed["id"], "p_attempt_token": claimed["attempt_token"]}
    worker.call("fail_job", **mine, p_error="The disk is full.", p_retry_seconds=retry)


def test_a_job_that_failed_for_good_is_told_and_its_retry_resolves_it(town: Town) -> None:
    job = town.world.job("work", town.quay, max_attempts=2)
    run_and_fail(town.world, Decimal(0))
    assert town.told() == {}
    run_and_fail(town.world, Decimal(0))
    assert town.told() == {name: ["job_failed"] for name in OF_QUAY}
    (notice,) = town.inbox_of("admin")
    assert (notice.text, notice.facts) == ("Work failed: The disk is full.", {"job_id": str(job), "job_kind": "work"})
    queue.retry(town.world.as_person(town.people["admin"]), job)
    assert town.inbox_of("admin")[0].resolved_at
    run_and_fail(town.world)
    assert len(town.inbox_of("admin")) == 2, "the retry's failure is another event"


def test_a_cancelled_job_and_the_installation_s_own_are_no_news(town: Town) -> None:
    queue.cancel(town.world.as_person(town.people["admin"]), town.world.job("work", town.quay))
    town.world.job("work")
    run_and_fail(town.world)
    assert town.world.rows("select * from public.notices") == []


def test_a_job_whose_workers_all_died_is_told(town: Town) -> None:
    town.world.job("work", town.quay, status="running", attempt=3, lease_until="2020-01-01")
    town.world.as_worker().call("claim_job", p_worker="w", p_kinds=["none"], p_lease_seconds=30)
    assert "stopped unexpectedly 3 times" in town.inbox_of("manager of Quay")[0].text


# Credentials ------------------------------------------------------------------------------------------------


def credential(town: Town, store: UUID | None, **extra: Any) -> tuple[UUID, UUID]:
    """A saved one that worked; its id and its key's."""
    key, saved, whose = uuid4(), uuid4(), {"account_id": town.account, "profile_id": store, "provider": "elevenlabs"}
    town.world.insert("private.sealed_keys", id=key, ciphertext=f"v1.{'0' * 16}.sealed", **whose)
    values = {"id": saved, "key_id": key, "last4": "last", "test_ok": True, **whose, **extra}
    town.world.insert("public.profile_credentials", **values)
    return saved, key


def looked_at(town: Town, saved: tuple[UUID, UUID], ok: bool) -> None:
    result = {"p_ok": ok, "p_message": "The key is refused.", "p_facts": {}}
    town.world.as_worker().call("save_test_result", p_credential_id=saved[0], p_key_id=saved[1], **result)


def test_a_credential_that_stopped_working_is_told_until_it_works_again(town: Town) -> None:
    saved = credential(town, town.quay)
    for _ in range(3):
        looked_at(town, saved, ok=False)
    assert town.told() == {name: ["credential_dead"] for name in OF_QUAY}
    (notice,) = town.inbox_of("admin")
    assert notice.text == "The store's account at ElevenLabs stopped working: The key is refused."
    assert notice.facts == {"credential_id": str(saved[0]), "provider": "elevenlabs"}
    looked_at(town, saved, ok=True)
    assert town.inbox_of("admin")[0].resolved_at
    looked_at(town, saved, ok=False)
    assert len(town.inbox_of("admin")) == 2, "another event"
    town.world.execute("delete from public.profile_credentials where id = %s", saved[0])
    assert all(notice.resolved_at for notice in town.inbox_of("admin"))


def test_a_credential_that_never_worked_is_no_news_and_the_company_s_is_the_admins(town: Town) -> None:
    looked_at(town, credential(town, town.quay, test_ok=None), ok=False)
    assert town.told() == {}
    looked_at(town, credential(town, None), ok=False)
    assert town.told() == {"admin": ["credential_dead"]}
