"""Corrections of the ledger: what they book, what they refuse, that they happen once, and that all sums agree."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from services.costs import corrections, entries
from services.costs.entries import Entry
from services.costs.prices import OtherPrice
from services.database.door import Database
from services.errors import AppError, Conflict, InvalidInput, NotAllowed, NotFound, TimedOut
from tests.builders import World
from tests.costs.conftest import OpenTill
from tests.costs.till import Till, item

D = Decimal
SUMS = ("profile_monthly_costs", "cost_daily", "profile_daily_costs", "company_daily_costs", "user_costs", "work_costs")
LAST_MONTH = datetime(2026, 10, 9, 12, tzinfo=UTC)
OCTOBER = date(2026, 10, 1)
TODAY = datetime(2026, 11, 21, 23, 30, tzinfo=UTC)  # the 22nd where the server stands
PRICE = OtherPrice(provider="practice", model="micro", usd=D("0.000002"), unit_kind="requests", per_units=1)


@dataclass
class Desk:
    """A store whose clip cost $3 last month, and the company's admin."""

    till: Till
    boss: Database
    mia: UUID
    entry_id: UUID = field(default_factory=uuid4)

    @property
    def world(self) -> World:
        return self.till.world

    def buy(self, usd: str = "3", **values: Any) -> UUID:
        entry_id = uuid4()
        request = self.till.hold(usd, p_user_id=self.mia)
        self.till.settle(request, item(usd, id=str(entry_id), **values))
        return entry_id

    def adjust(self, usd: str, entry_id: UUID | None = None, correction_id: UUID | None = None,
               reason: str = "Their invoice", seen: str | None = None) -> dict[str, Any]:  # fmt: skip
        answer: dict[str, Any] = self.boss.call(
            "adjust_cost", p_id=correction_id or uuid4(), p_entry_id=entry_id or self.entry_id, p_usd=D(usd),
            p_reason=reason, p_seen_usd=D(seen) if seen else None,
        )  # fmt: skip
        return answer

    def adjust_model(
        self,
        price: OtherPrice = PRICE,
        month: date = OCTOBER,
        store: UUID | None = None,
        correction_id: UUID | None = None,
    ) -> corrections.ModelCorrected:
        account, id_ = self.till.account, correction_id or uuid4()
        return corrections.adjust_model(self.boss, id_, account, store, month, price, "Their invoice")

    def made(self) -> list[dict[str, Any]]:
        """All corrections of the company, in the order of booking."""
        return self.world.rows(
            "select e.*, d.details from public.cost_entries e"
            " left join public.cost_entry_details d on d.entry_id = e.id"
            " where e.account_id = %s and e.corrects_id is not null order by e.seq",
            self.till.account,
        )

    def look(self, door: Database | None = None, entry_id: UUID | None = None) -> Entry:
        found = entries.page(door or self.boss, self.till.account, None, date(2026, 1, 1), date(2026, 12, 31))
        return next(entry for entry in found.entries if entry.id == (entry_id or self.entry_id))

    def sums(self) -> dict[str, list[str]]:
        """Every row of every sum, and the counters, but when they were written."""
        line = "to_jsonb(s) - '{last_updated,cost_calculated_at}'::text[]"
        return {
            name: [
                str(row["line"])
                for row in self.world.rows(
                    f"select {line} as line from public.{name} s where account_id = %s order by ({line})::text",
                    self.till.account,
                )
            ]
            for name in (*SUMS, "quota_counters")
        }

    def assert_sums_are_the_ledgers(self) -> None:
        assert self.till.differences() == []
        before = self.sums()
        for month in (date(2026, 10, 1), date(2026, 11, 1)):
            self.till.worker.call("rebuild_cost_rollups", p_account_id=self.till.account, p_month=month)
        assert self.sums() == before


@pytest.fixture
def desk(open_till: OpenTill, world: World) -> Desk:
    till = open_till("100")
    boss = world.as_person(world.person(till.account, "admin", name="Ada"))
    opened = Desk(till, boss, world.person(till.account, "manager", till.store, name="Mia"))
    project = world.project(till.store)
    work = {"project_id": str(project), "clip_id": str(world.clip(till.store, project))}
    world.set_clock(LAST_MONTH)
    opened.entry_id = opened.buy(**work)
    world.set_clock(TODAY)
    return opened


# One entry -------------------------------------------------------------------------------------------------------


def test_a_correction_is_an_entry_of_today_that_names_what_it_corrects(desk: Desk) -> None:
    seen = desk.look()
    made = corrections.adjust(desk.boss, uuid4(), desk.entry_id, D("-0.5"), " Their  invoice ", seen.corrected_usd)
    assert (made.before, made.after) == (3, D("2.5"))
    (row,), original = desk.made(), desk.till.entries()[0]
    same = ("account_id", "profile_id", "profile_name", "user_id", "user_name", "job_id", "project_id", "clip_id",
            "run_id", "step_id", "service", "model", "category")  # fmt: skip
    assert {name: row[name] for name in same} == {name: original[name] for name in same}
    assert (row["operation"], row["cost_usd"], row["counts_to_quota"], row["units"]) == (
        "adjustment",
        D("-0.5"),
        False,
        {},
    )
    assert (row["booked_on"], row["corrects_id"], row["corrects_month"]) == (
        date(2026, 11, 21), desk.entry_id, date(2026, 10, 1),
    )  # fmt: skip
    assert row["details"] == {"reason": "Their invoice"}
    assert row["seq"] == original["seq"] + 1
    desk.assert_sums_are_the_ledgers()


def test_the_entry_shows_its_corrections_and_they_show_the_entry(desk: Desk) -> None:
    correction = uuid4()
    desk.adjust("-0.5", correction_id=correction)
    desk.adjust("0.25")
    seen = desk.look()
    assert [made.cost_usd for made in seen.corrections] == [D("-0.5"), D("0.25")]
    assert (seen.corrected_usd, seen.reason, seen.corrects) == (D("2.75"), None, None)
    made = desk.look(entry_id=correction)
    assert made.corrects
    assert (made.corrects.id, made.corrects.seq, made.corrects.cost_usd) == (desk.entry_id, seen.seq, 3)
    assert (made.reason, made.preview, made.corrections) == ("Their invoice", None, [])


def test_corrections_count_towards_no_quota_but_everywhere_else(desk: Desk) -> None:
    counters = desk.till.counter(), desk.till.company_counter()
    desk.adjust("1.5")
    assert (desk.till.counter(), desk.till.company_counter()) == counters
    rows = desk.sums()
    assert all("1.5" in str(rows[table]) for table in SUMS)
    worth = desk.world.rows("select total_cost_usd, other_cost_usd from public.profile_monthly_costs"
                            " where profile_id = %s and month = '2026-11-01'", desk.till.store)  # fmt: skip
    assert worth == [{"total_cost_usd": 0, "other_cost_usd": D("1.5")}]


def test_a_correction_happens_once(desk: Desk) -> None:
    correction = uuid4()
    first = desk.adjust("-0.5", correction_id=correction)
    desk.adjust("-1")
    assert desk.adjust("-0.5", correction_id=correction) == first
    assert [row["cost_usd"] for row in desk.made()] == [D("-0.5"), -1]
    other = desk.buy("1")
    for values in ({"usd": "-0.4"}, {"usd": "-0.5", "reason": "Other"}, {"usd": "-0.5", "entry_id": other}):
        with pytest.raises(Conflict, match="sent before with other values"):
            desk.adjust(correction_id=correction, **values)
    with pytest.raises(Conflict, match="sent before"):
        desk.adjust("1", correction_id=other)
    desk.assert_sums_are_the_ledgers()


def test_an_entry_never_costs_less_than_nothing(desk: Desk) -> None:
    desk.adjust("-2")
    with pytest.raises(InvalidInput, match=r"costs \$1.00 with its corrections") as refused:
        desk.adjust("-1.000001")
    assert refused.value.field == "usd"
    assert desk.adjust("-1")["after"] == "0.000000"
    with pytest.raises(InvalidInput):
        desk.adjust("-0.000001")


def test_who_saw_another_amount_is_told(desk: Desk) -> None:
    desk.adjust("-1", seen="3")
    with pytest.raises(Conflict, match=r"costs \$2.00 now"):
        desk.adjust("-1", seen="3")
    assert len(desk.made()) == 1


@pytest.mark.parametrize("usd", ["0", "NaN", "0.0000001", "1e9", "-1e9"])
def test_amounts_that_cannot_be(desk: Desk, usd: str) -> None:
    with pytest.raises(InvalidInput):
        desk.adjust(usd)
    assert desk.made() == []


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
def test_a_correction_needs_a_reason(desk: Desk, reason: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        desk.adjust("1", reason=reason)
    assert refused.value.field == "reason"


def test_a_correction_is_not_corrected(desk: Desk) -> None:
    correction = uuid4()
    desk.adjust("1", correction_id=correction)
    with pytest.raises(InvalidInput, match="Correct the entry that it names"):
        desk.adjust("1", entry_id=correction)


def test_only_the_companys_admins_correct(desk: Desk, open_till: OpenTill) -> None:
    world, elsewhere = desk.world, open_till()
    manager, finance = (world.person(desk.till.account, role, *stores)
                        for role, stores in (("manager", [desk.till.store]), ("finance", [])))  # fmt: skip
    tried = [(manager, NotAllowed), (finance, NotAllowed), (world.person(None), NotFound),
             (world.person(desk.till.account, "manager"), NotFound),
             (world.person(elsewhere.account, "admin"), NotFound)]  # fmt: skip
    for person, error in tried:
        with pytest.raises(error):
            Desk(desk.till, world.as_person(person), desk.mia, desk.entry_id).adjust("1")
    with pytest.raises(NotFound):
        desk.adjust("1", entry_id=uuid4())
    with pytest.raises(AppError):
        desk.till.worker.call("adjust_cost", p_id=uuid4(), p_entry_id=desk.entry_id, p_usd=D(1), p_reason="x")
    assert desk.made() == []


def test_the_log_tells_who_and_why(desk: Desk) -> None:
    desk.adjust("-0.5")
    (line,) = desk.world.rows("select * from public.audit_log where account_id = %s and action = 'cost_corrected'",
                              desk.till.account)  # fmt: skip
    assert (line["person_name"], line["reason"], line["profile_id"]) == ("Ada", "Their invoice", desk.till.store)
    assert (line["before"], line["after"]) == ({"usd": "3.000000"}, {"usd": "2.500000"})


def test_what_should_have_been_typed() -> None:
    entry = Entry.model_construct(cost_usd=D("3"), corrections=[])
    assert corrections.difference(entry, " $2.25 ") == D("-0.75")
    for typed in ("", "lots", "-1", "1e3", "0.0000001", "NaN", "1,5", "3", "3.00"):
        with pytest.raises(InvalidInput):
            corrections.difference(entry, typed)


# A model's month -------------------------------------------------------------------------------------------------


def test_a_month_of_a_model_is_corrected_to_another_price(desk: Desk) -> None:
    with desk.world.at(LAST_MONTH):
        others = [desk.buy("0.000001"), desk.buy("0.5")]
    desk.world.set_clock(TODAY)
    november = desk.buy("1")
    desk.adjust("0.1", entry_id=others[1])
    made = desk.adjust_model()
    assert (made.entries, made.usd) == (3, D("3.400001"))
    assert [desk.look(entry_id=one).corrected_usd for one in (desk.entry_id, *others, november)] == [
        6, D("0.000002"), 1, 1,
    ]  # fmt: skip
    desk.assert_sums_are_the_ledgers()


def test_it_happens_once_and_nothing_is_left_to_correct(desk: Desk) -> None:
    correction = uuid4()
    assert desk.adjust_model(correction_id=correction) == desk.adjust_model(correction_id=correction)
    assert len(desk.made()) == 1
    assert desk.adjust_model().entries == 0
    with pytest.raises(Conflict):
        desk.adjust_model(PRICE.model_copy(update={"usd": D("0.000003")}), correction_id=correction)
    assert len(desk.made()) == 1


def test_one_store_is_corrected_alone_and_two_together(desk: Desk) -> None:
    other = Desk(desk.till.beside(), desk.boss, desk.mia)
    with desk.world.at(LAST_MONTH):
        other.buy("1")
    desk.world.set_clock(TODAY)
    assert desk.adjust_model(store=desk.till.store).usd == 3
    assert desk.adjust_model().usd == 1
    desk.assert_sums_are_the_ledgers()


def test_entries_with_other_units_too_are_left_alone(desk: Desk) -> None:
    with desk.world.at(LAST_MONTH):
        desk.world.price(desk.till.account, "practice", "micro", "1")
        request = desk.till.hold("5")
        desk.till.settle(request, {**item("1"), "units": {"requests": 1, "characters": 1000}})
    desk.world.set_clock(TODAY)
    assert desk.adjust_model().entries == 1


@pytest.mark.parametrize(
    ("other", "field"),
    [({"usd": D("-1")}, "price"), ({"usd": D(10) ** 7}, "price"), ({"usd": D("0.0000000001")}, "price"),
     ({"per_units": 7}, "price"), ({"model": ""}, "model"), ({"provider": ""}, "model")],
)  # fmt: skip
def test_bad_prices_correct_nothing(desk: Desk, other: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        desk.adjust_model(PRICE.model_copy(update=other))
    assert refused.value.field == field
    assert desk.made() == []


def test_nobody_else_corrects_a_month(desk: Desk, open_till: OpenTill) -> None:
    world, elsewhere = desk.world, open_till()
    for person, error in ((world.person(desk.till.account, "finance"), NotAllowed), (world.person(None), NotFound),
                          (world.person(elsewhere.account, "admin"), NotFound)):  # fmt: skip
        with pytest.raises(error):
            Desk(desk.till, world.as_person(person), desk.mia).adjust_model()
    with pytest.raises(NotFound):
        desk.adjust_model(store=elsewhere.store)
    assert desk.made() == []


# Many at once ----------------------------------------------------------------------------------------------------


def test_adjusting_and_settling_at_once_adds_up_and_nothing_doubles(desk: Desk) -> None:
    """Eight threads: four settle, in two stores, two correct one entry each way, two correct the model's month."""
    other = Desk(desk.till.beside(), desk.boss, desk.mia)
    down, up = ([uuid4() for _ in range(12)] for _ in range(2))
    ready = threading.Barrier(8)

    def settle(one: Desk) -> None:
        ready.wait(10)
        for _ in range(12):
            one.buy("0.01")

    def adjust(ids: list[UUID], usd: str) -> None:
        ready.wait(10)
        for correction in ids:
            desk.adjust(usd, correction_id=correction)
            desk.adjust(usd, correction_id=correction)

    def adjust_all() -> None:
        ready.wait(10)
        for n in range(6):
            other.adjust_model(PRICE.model_copy(update={"usd": D("0.000001") * (n + 2)}), TODAY.date())

    with ThreadPoolExecutor(8) as crew:
        work = [crew.submit(settle, one) for one in (desk, desk, other, other)]
        work += [crew.submit(adjust, down, "-0.05"), crew.submit(adjust, up, "0.02")]
        work += [crew.submit(adjust_all) for _ in range(2)]
        for done in work:
            done.result(timeout=60)
    mine = [row["cost_usd"] for row in desk.made() if row["corrects_id"] == desk.entry_id]
    assert sorted(mine) == [D("-0.05")] * 12 + [D("0.02")] * 12
    assert desk.till.counter()[0] == other.till.counter()[0] == D("0.24")
    assert desk.world.value(
        "select count(*) = max(seq) from public.cost_entries where account_id = %s", desk.till.account
    )
    desk.assert_sums_are_the_ledgers()


def test_eight_who_take_the_last_of_an_entry_take_it_once(desk: Desk) -> None:
    ready = threading.Barrier(8)

    def take(_: int) -> bool:
        ready.wait(10)
        try:
            desk.adjust("-3")
        except InvalidInput:
            return False
        return True

    with ThreadPoolExecutor(8) as crew:
        assert sorted(crew.map(take, range(8))) == [False] * 7 + [True]
    desk.assert_sums_are_the_ledgers()


def test_a_correction_killed_at_its_last_lock_leaves_nothing(desk: Desk) -> None:
    """It waits for the ledger's number, everything else written, when its connection dies."""
    admin = psycopg.connect(desk.world.url)
    with admin, ThreadPoolExecutor(1) as crew:
        admin.execute("select 1 from private.ledger_counters where account_id = %s for update", (desk.till.account,))
        before = desk.sums()
        correction = uuid4()
        waiting = crew.submit(desk.adjust, "1", correction_id=correction)
        blocked = "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        while not (found := desk.world.rows(blocked)):
            threading.Event().wait(0.02)
        desk.world.execute("select pg_terminate_backend(%s, 5000)", found[0]["pid"])
        with pytest.raises(AppError):
            waiting.result(timeout=30)
        assert desk.sums() == before
        assert desk.made() == []
    desk.adjust("1", correction_id=correction)
    assert len(desk.made()) == 1
    desk.assert_sums_are_the_ledgers()


@pytest.mark.full
def test_five_thousand_entries_are_corrected_at_once_and_more_are_refused(desk: Desk) -> None:
    desk.world.execute(
        "insert into public.cost_entries select (jsonb_populate_record(e, jsonb_build_object('id', gen_random_uuid(),"
        " 'seq', 100 + n))).* from public.cost_entries e, generate_series(1, 4999) n where e.id = %s", desk.entry_id,
    )  # fmt: skip
    desk.world.execute("update private.ledger_counters set last_seq = 20000 where account_id = %s", desk.till.account)
    desk.till.worker.call("rebuild_cost_rollups", p_account_id=desk.till.account, p_month=OCTOBER)
    try:
        assert desk.adjust_model().entries == 5_000
    except TimedOut:
        pytest.fail("five thousand corrections take longer than a person may wait")
    desk.assert_sums_are_the_ledgers()
    desk.world.execute(
        "insert into public.cost_entries select (jsonb_populate_record(e, jsonb_build_object('id', gen_random_uuid(),"
        " 'seq', 50000))).* from public.cost_entries e where e.id = %s", desk.entry_id,
    )  # fmt: skip
    with pytest.raises(InvalidInput, match="Choose one store"):
        desk.adjust_model(PRICE.model_copy(update={"usd": D("0.000005")}))
