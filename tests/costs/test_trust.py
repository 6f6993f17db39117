"""Sums checked against the ledger, sums made anew while others write, and texts that are not kept for ever."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.costs import entries, trust
from services.costs.trust import Trust
from services.database import embedded
from services.errors import AppError, Conflict, InvalidInput, NotAllowed, NotFound
from services.jobs.context import Context
from services.media.folder import Folder
from services.notices import inbox
from tests import kill
from tests.builders import World, fresh_world
from tests.costs.till import Till, item

D = Decimal
THIS_MONTH = "private.month_of(private.utc_now())"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "media")


@pytest.fixture
def admin(till: Till) -> UUID:
    return till.world.person(till.account, "admin")


def run(till: Till, folder: Folder, kind: str, handler: Callable[[Context], Any]) -> Any:
    """The result of a job of the till's company; what other tests ordered is out of the way."""
    till.world.execute("update public.jobs set status = 'cancelled' where kind = %s and status = 'pending'", kind)
    till.world.job(kind, account_id=till.account)
    context = kill.claim(till.world, folder, kind)
    result = handler(context)
    context.write("complete_job", p_result=result)
    return result


def check(till: Till, folder: Folder) -> int:
    """Check all months; how many sums differ."""
    found: int = run(till, folder, "check_money_of", trust.check_company)["differences"]
    return found


def seen(till: Till, person: UUID) -> Trust:
    return trust.state(till.world.as_person(person), till.account)


class TestChecks:
    def test_equal_sums_are_kept_with_the_ledgers_number_and_the_time(self, till: Till, admin: UUID, folder: Folder):
        assert (seen(till, admin).checked_at, seen(till, admin).seq) == (None, None)
        till.spend("1")
        till.hold("2")
        before = datetime.now(UTC)
        assert check(till, folder) == 0
        found = seen(till, admin)
        assert before <= found.checked_at <= datetime.now(UTC)
        assert (found.seq, found.months, found.differences, found.differing) == (1, 2, 0, [])

    @pytest.mark.parametrize(
        ("harm", "what"),
        [
            ("update public.quota_counters set settled_usd = settled_usd + 1 where scope_id = %(store)s", "settled"),
            ("update public.quota_counters set held_usd = held_usd + 1 where scope_id = %(account)s", "held"),
            ("update public.quota_counters set overrun_usd = 1 where scope_id = %(store)s", "overrun"),
            ("update public.cost_daily set total_cost_usd = 9 where profile_id = %(store)s", "daily sum"),
            ("update public.profile_monthly_costs set total_cost_usd = 9 where profile_id = %(store)s", "monthly sum"),
            ("update public.profile_daily_costs set total_cost_usd = 9 where profile_id = %(store)s", "store's day"),
            ("delete from public.company_daily_costs where account_id = %(account)s", "company's day"),
            ("update public.user_costs set total_cost_usd = 9 where profile_id = %(store)s", "person"),
            ("update public.cost_holds set booked_usd = 9 where profile_id = %(store)s and state = 'settled'", "hold "),
            ("update public.cost_holds set state = 'released' where held_usd = 2 and profile_id = %(store)s",
             "closed hold "),
            ("update public.cost_holds set left_usd = -1 where held_usd = 2 and profile_id = %(store)s",
             "left after hold "),
            ("update public.cost_holds set limit_usd = 2 where profile_id = %(store)s",
             "settled and held beyond the limit"),
            ("update private.ledger_counters set last_seq = 7 where account_id = %(account)s",
             "entries and their numbers"),
        ],
    )  # fmt: skip
    def test_each_promise_that_is_broken_is_found(self, till: Till, admin: UUID, folder: Folder, harm: str, what: str):
        till.spend("1")
        till.hold("2")
        assert check(till, folder) == 0
        till.world.admin.execute(harm, {"store": till.store, "account": till.account})
        assert check(till, folder) > 0
        found = seen(till, admin)
        assert found.differences == len(found.differing)
        assert any(line.what.startswith(what) and line.stored != line.ledger for line in found.differing)
        assert {line.month for line in found.differing} == {datetime.now(UTC).date().replace(day=1)}

    def test_an_overrun_is_no_breach(self, till: Till, folder: Folder):
        till.settle(till.hold("10"), item("25"))
        assert check(till, folder) == 0

    def test_a_free_hold_beyond_the_limit_is_no_breach(self, open_till: Callable[..., Till], folder: Folder):
        till = open_till("1", allow_free_voices_over_quota=True)
        till.spend("1")
        till.spend("0")
        assert check(till, folder) == 0

    def test_a_limit_lowered_or_lifted_later_is_no_breach(self, till: Till, folder: Folder):
        till.spend("8")
        for quota in ("5", "0"):
            till.world.execute("update public.profiles set monthly_quota_usd = %s where id = %s", D(quota), till.store)
            if quota == "0":
                till.spend("90")
            assert check(till, folder) == 0

    def test_a_hundred_are_listed_and_all_are_counted(self, till: Till, admin: UUID, folder: Folder):
        for _ in range(101):
            till.beside()
        till.world.execute(
            "insert into public.quota_counters (scope_id, month, account_id, settled_usd)"
            f" select id, {THIS_MONTH}, account_id, 1 from public.profiles where account_id = %s", till.account,
        )  # fmt: skip
        assert check(till, folder) == 102
        assert (seen(till, admin).differences, len(seen(till, admin).differing)) == (102, 100)

    def test_every_month_since_the_first_is_checked(self, till: Till, admin: UUID, folder: Folder):
        with till.world.at(datetime.now(UTC) - timedelta(days=200)):
            till.spend("1")
        assert check(till, folder) == 0
        assert seen(till, admin).months in (7, 8)

    def test_while_others_write_nothing_seems_to_differ(self, till: Till):
        """What is stored and what the ledger says are one picture."""
        ends = threading.Event()

        def write() -> None:
            while not ends.is_set():
                till.spend("0.000001")

        with ThreadPoolExecutor(3) as writers:
            writing = [writers.submit(write) for _ in range(3)]
            try:
                found = [
                    till.worker.call("keep_money_check", p_account_id=till.account, p_month=datetime.now(UTC).date())
                    for _ in range(40)
                ]
            finally:
                ends.set()
            [writer.result() for writer in writing]
        assert set(found) == {0}


class TestNightly:
    def night(self, till: Till, folder: Folder) -> None:
        till.world.job("check_money", account_id=till.account)
        trust.check_recent(kill.claim(till.world, folder, "check_money"), till.account)

    def test_what_was_never_checked_or_differed_is_checked_again_the_rest_is_not(
        self, till: Till, admin: UUID, folder: Folder
    ):
        with till.world.at(datetime.now(UTC) - timedelta(days=150)):
            till.spend("1")
        self.night(till, folder)
        months = till.world.rows("select month from public.money_checks where account_id = %s", till.account)
        assert len(months) in (5, 6)
        first = min(row["month"] for row in months)
        broken = "update public.quota_counters set settled_usd = %s where scope_id = %s"
        till.world.execute(broken, D(3), till.store)
        self.night(till, folder)
        assert seen(till, admin).differences == 0, "an old month is not read every night"
        check(till, folder)
        assert {line.month for line in seen(till, admin).differing} == {first}
        till.world.execute(broken, D(1), till.store)
        self.night(till, folder)
        assert seen(till, admin).differences == 0

    def test_admins_and_finance_are_told_once_and_when_all_is_equal_again(
        self, till: Till, admin: UUID, folder: Folder
    ):
        world = till.world
        finance = world.person(till.account, "finance")
        manager = world.person(till.account, "manager", till.store)

        def told(person: UUID) -> list[tuple[str, bool]]:
            found = inbox.inbox(world.as_person(person), till.account)
            return [(n.kind, n.resolved_at is not None) for n in found if n.kind.startswith("money")]

        till.spend("1")
        self.night(till, folder)
        assert told(admin) == []
        world.execute("update public.quota_counters set settled_usd = 2 where scope_id = %s", till.store)
        for _ in range(2):
            self.night(till, folder)
            assert told(admin) == told(finance) == [("money_differs", False)]
        world.execute("update public.quota_counters set settled_usd = 1 where scope_id = %s", till.store)
        for _ in range(2):
            self.night(till, folder)
            assert told(admin) == told(finance) == [("money_equal", False), ("money_differs", True)]
        assert told(manager) == []

    def test_every_company_has_its_night(self, till: Till, open_till: Callable[..., Till], folder: Folder):
        other = open_till()
        other.spend("1")
        till.world.job("check_money")
        assert {till.account, other.account} <= set(trust.companies(till.worker))


class TestWhoMay:
    def test_admins_order_both_finance_a_check_managers_nothing(self, till: Till, admin: UUID):
        world = till.world
        finance = world.as_person(world.person(till.account, "finance"))
        manager = world.as_person(world.person(till.account, "manager", till.store))
        job = trust.order_check(finance, till.account, uuid4())
        assert trust.order_check(world.as_person(admin), till.account, uuid4()) == job, "one at a time"
        with pytest.raises(Conflict, match="A check is under way"):
            trust.order_rebuild(world.as_person(admin), till.account, uuid4(), "They differ")
        for refused in (lambda: trust.order_rebuild(finance, till.account, uuid4(), "x"),
                        lambda: trust.order_rebuild(manager, till.account, uuid4(), "x"),
                        lambda: trust.order_check(manager, till.account, uuid4()),
                        lambda: trust.state(manager, till.account),
                        lambda: trust.set_preview_days(finance, till.account, 90, "x"),
                        lambda: trust.set_preview_days(manager, till.account, 90, "x")):  # fmt: skip
            with pytest.raises(NotAllowed):
                refused()

    def test_strangers_find_no_company_and_nobody_may_ask(self, till: Till):
        world = till.world
        stranger = world.as_person(world.person(world.company(), "admin"))
        for door, error in ((stranger, NotFound), (world.doors.anonymous(), AppError)):
            for ask in (lambda door=door: trust.state(door, till.account),
                        lambda door=door: trust.order_check(door, till.account, uuid4()),
                        lambda door=door: trust.order_rebuild(door, till.account, uuid4(), "x"),
                        lambda door=door: trust.set_preview_days(door, till.account, 90, "x")):  # fmt: skip
                with pytest.raises(error):
                    ask()
        assert world.rows("select * from public.jobs where account_id = %s", till.account) == []

    def test_a_rebuild_needs_a_reason_and_is_in_the_log(self, till: Till, admin: UUID):
        door = till.world.as_person(admin)
        with pytest.raises(InvalidInput):
            trust.order_rebuild(door, till.account, uuid4(), " ")
        job = trust.order_rebuild(door, till.account, uuid4(), "They differ")
        assert trust.order_rebuild(door, till.account, uuid4(), "Again") == job == seen(till, admin).job_id
        logged = "select reason from public.audit_log where action = 'costs_rebuilt' and account_id = %s"
        assert [row["reason"] for row in till.world.rows(logged, till.account)] == ["They differ"]

    def test_two_orders_at_once_make_one_job(self, till: Till, admin: UUID):
        door = till.world.as_person(admin)
        with ThreadPoolExecutor(8) as clickers:
            jobs = set(clickers.map(lambda _: trust.order_check(door, till.account, uuid4()), range(8)))
        assert len(jobs) == 1


class TestRebuild:
    def test_sums_of_persons_and_stores_add_up_again(self, till: Till, admin: UUID, folder: Folder):
        """A row that is there is made anew, one that is missing is made; both by category."""
        person = till.world.person(till.account, "manager", till.store)
        for category, usd in (("speech", "1.25"), ("text", "0.000001"), ("image", "2")):
            till.settle(till.hold(usd, p_user_id=person), item(usd, category=category))
        till.settle(till.hold("1", p_user_id=admin), item("1"))
        till.world.execute("update public.user_costs set speech_cost_usd = 9, total_cost_usd = 0 where user_id = %s",
                           person)  # fmt: skip
        till.world.execute("delete from public.user_costs where user_id = %s", admin)
        till.world.execute("update public.quota_counters set settled_usd = 0, held_usd = 5 where account_id = %s",
                           till.account)  # fmt: skip
        result = run(till, folder, "rebuild_costs", trust.rebuild)
        assert result == {"months": 2, "differences": 0}
        found = entries.summary(till.world.as_person(admin), till.account, person)
        assert (found.total_cost_usd, found.this_month, found.entries) == (D("3.250001"), D("3.250001"), 3)
        assert {name: usd for name, usd in found.by_category.items() if usd} == {
            "speech": D("1.25"), "text": D("0.000001"), "image": D(2),
        }  # fmt: skip
        assert found.cost_calculated_at is not None
        assert entries.summary(till.world.as_person(admin), till.account, admin).total_cost_usd == D(1)
        assert till.counter() == (D("4.250001"), D(0), D(0))

    def test_while_eight_writers_write_in_two_months_sums_equal_the_ledger_at_the_end(
        self, open_till: Callable[..., Till], folder: Folder
    ):
        """Money held last month is settled now, into last month, beside what this month holds and settles."""
        till = open_till("0", "100000")
        beside = till.beside()
        with till.world.at(datetime.now(UTC).replace(day=1) - timedelta(days=3)):
            earlier = [shop.hold("0.5") for shop in (till, beside) for _ in range(40)]
        with writing(8, [till, beside], earlier):
            for _ in range(3):
                result = run(till, folder, "rebuild_costs", trust.rebuild)
                assert result["differences"] == 0
        booked = till.world.value("select count(*) from public.cost_entries where account_id = %s", till.account)
        assert booked >= len(earlier) + 8 * EACH * 2 // 3
        assert till.differences() == []
        assert check(till, folder) == 0

    def test_killed_between_two_months_it_goes_on_after_the_one_that_is_done(
        self, server: embedded.Server, template: str, tmp_path: Path
    ):
        with fresh_world(server, template) as world:
            name, till = world.value("select current_database()"), Till.opened(world, "100")
            for days in (100, 70, 40, 0):
                with world.at(datetime.now(UTC) - timedelta(days=days)):
                    till.spend("1")
            world.execute("update public.quota_counters set settled_usd = 7 where account_id = %s", till.account)
            admin = world.person(till.account, "admin")
            job = trust.order_rebuild(world.as_person(admin), till.account, uuid4(), "They differ")
            kill.quiet(world)
            kill.die_at("step_saved:2", server, name, tmp_path / "media")
            done = steps(world, job)
            assert len(done) == 2
            kill.expire(world, job)
            with kill.processes(1, server, name, tmp_path / "media"):
                (row,) = kill.wait_for_end(world, job)
            assert (row["status"], row["result"]["differences"]) == ("completed", 0)
            assert row["attempt"] > 1
            assert steps(world, job)[:2] == done, "what was done is not done again"
            assert till.differences() == []
            assert till.counter() == (D(1), D(0), D(0))


EACH = 15  # rounds of a writer


@contextmanager
def writing(count: int, shops: list[Till], earlier: list[UUID]) -> Iterator[None]:
    """Writers that hold, settle in parts, overrun and release while the block runs, each at least `EACH` rounds."""
    ends, waiting = threading.Event(), list(earlier)

    def write(number: int) -> None:
        rounds = 0
        while rounds < EACH or not ends.is_set():
            shop = shops[(number + rounds) % len(shops)]
            _round(shop, number + rounds)
            if waiting:
                _settle_earlier(shops[0], waiting)
            rounds += 1

    with ThreadPoolExecutor(count) as writers:
        running = [writers.submit(write, number) for number in range(count)]
        try:
            yield
        finally:
            ends.set()
        [writer.result() for writer in running]
    while waiting:
        _settle_earlier(shops[0], waiting)


def _round(shop: Till, number: int) -> None:
    request = shop.hold("0.3")
    if number % 3 == 0:
        shop.release(request)
        return
    shop.settle(request, item("0.1"), final=False)
    shop.settle(request, item("0.25" if number % 3 == 1 else "0.05"))


def _settle_earlier(shop: Till, waiting: list[UUID]) -> None:
    try:
        request = waiting.pop()
    except IndexError:
        return
    shop.settle(request, item("0.4"))


def steps(world: World, job: UUID) -> list[dict[str, Any]]:
    query = "select name, created_at from public.job_steps where job_id = %s order by created_at, name"
    return world.rows(query, job)


class TestTexts:
    @pytest.fixture
    def told(self, till: Till) -> dict[int, UUID]:
        """Entries with a text, by their age in days."""
        made = {}
        for days in (400, 100, 31, 0):
            with till.world.at(datetime.now(UTC) - timedelta(days=days)):
                entry_id = uuid4()
                till.settle(till.hold("1"), item("1", id=str(entry_id), preview=f"{days} days ago"))
                made[days] = entry_id
        return made

    def forget(self, till: Till, folder: Folder) -> int:
        deleted: int = run(till, folder, "forget_previews", trust.forget_previews)["deleted"]
        return deleted

    def shown(self, till: Till, person: UUID) -> dict[str | None, bool]:
        """Texts of entries, and whether one says that it is not kept any more."""
        page = entries.page(till.world.as_person(person), till.account, None, date(2000, 1, 1), date(2100, 1, 1))
        return {entry.preview or str(entry.id): entry.preview_gone for entry in page.entries}

    def test_they_are_kept_until_an_admin_says_otherwise(
        self, till: Till, admin: UUID, told: dict[int, UUID], folder: Folder
    ):
        assert trust.preview_days(till.world.as_person(admin), till.account) is None
        assert self.forget(till, folder) == 0
        assert set(self.shown(till, admin).values()) == {False}

    def test_older_ones_are_deleted_and_no_amount_changes(
        self, till: Till, admin: UUID, told: dict[int, UUID], folder: Folder, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(trust, "BATCH", 1)
        other = Till.opened(till.world)
        with till.world.at(datetime.now(UTC) - timedelta(days=400)):
            other.settle(other.hold("1"), item("1", preview="theirs"))
        ledger = till.entries()
        trust.set_preview_days(till.world.as_person(admin), till.account, 90, "Privacy")
        assert self.forget(till, folder) == 2
        assert self.shown(till, admin) == {
            str(told[400]): True, str(told[100]): True, "31 days ago": False, "0 days ago": False,
        }  # fmt: skip
        assert till.entries() == ledger
        assert till.differences() == []
        theirs = "select count(*) from public.cost_entry_details where account_id = %s"
        assert till.world.value(theirs, other.account) == 1

    def test_what_else_is_written_there_stays(self, till: Till, admin: UUID, told: dict[int, UUID], folder: Folder):
        reason = "update public.cost_entry_details set details = details || %s::jsonb where entry_id = %s"
        till.world.execute(reason, '{"reason": "Billed twice"}', told[400])
        trust.set_preview_days(till.world.as_person(admin), till.account, 30, "Privacy")
        assert (self.forget(till, folder), self.forget(till, folder)) == (3, 0)
        left = "select details from public.cost_entry_details where entry_id = %s"
        assert till.world.value(left, told[400]) == {"reason": "Billed twice"}

    def test_an_entry_that_never_had_a_text_does_not_say_so_while_texts_are_kept(self, till: Till, admin: UUID):
        till.spend("1")
        assert set(self.shown(till, admin).values()) == {False}

    @pytest.mark.parametrize("days", [29, 3651, 0, -1])
    def test_absurd_times_are_refused(self, till: Till, admin: UUID, days: int):
        with pytest.raises(InvalidInput) as refused:
            trust.set_preview_days(till.world.as_person(admin), till.account, days, "x")
        assert refused.value.field == "preview_days"
        assert trust.preview_days(till.world.as_person(admin), till.account) is None

    def test_a_change_needs_a_reason_and_is_in_the_log(self, till: Till, admin: UUID):
        door = till.world.as_person(admin)
        with pytest.raises(InvalidInput):
            trust.set_preview_days(door, till.account, 30, "")
        for days in (30, 30, 3650, None):
            trust.set_preview_days(door, till.account, days, "Privacy")
            assert trust.preview_days(door, till.account) == days
        logged = "select before, after from public.audit_log where action = 'preview_days_changed' and account_id = %s"
        changes = till.world.rows(f"{logged} order by id", till.account)
        assert [(row["before"]["days"], row["after"]["days"]) for row in changes] == [
            (None, 30), (30, 3650), (3650, None),
        ]  # fmt: skip
