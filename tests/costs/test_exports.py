"""Costs as files: what is in them against plain sums, who gets them, crashes, and the scheduled ledger."""

import csv
import io
import tracemalloc
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args
from uuid import UUID, uuid4

import openpyxl
import pytest

from services import audit
from services.costs import desk, exports, value
from services.costs.export_files import Table, write_csv, write_xlsx
from services.costs.export_views import COST, ENTRIES, Tally
from services.costs.exports import Wanted
from services.errors import AppError, Conflict, InvalidInput, NotAllowed, NotFound, StorageFull
from services.jobs import attempt
from services.jobs.handlers import HANDLERS
from services.media.folder import Folder
from tests import kill
from tests.builders import World
from tests.costs.test_desk import LOAD, MONTH, NOW, TODAY, Shop
from tests.costs.till import Till, item

D = Decimal
VIEWS = [view for view in get_args(exports.View) if view not in exports.VALUED]
YEAR = (date(2025, 12, 10), TODAY)
TOMORROW = datetime.now(UTC) + timedelta(days=1)


@dataclass
class Made:
    """A finished export, read back."""

    about: dict[str, Any]
    headings: list[str]
    lines: list[list[Any]]
    row: dict[str, Any]

    def column(self, heading: str) -> list[Any]:
        place = self.headings.index(heading)
        return [line[place] for line in self.lines]

    @property
    def sum(self) -> Decimal:
        return sum((D(str(cost)) for cost in self.column(COST)), D(0))

    @property
    def total(self) -> Decimal:
        return D(str(self.about["Total (US dollars)"]))


@dataclass
class Office:
    """People who ask for files, and a worker's hand that makes them."""

    world: World
    folder: Folder
    place: Path

    def ask(self, person: UUID, account: UUID, view: str = "entries", **changes: Any) -> UUID:
        values = {"view": view, "format": "csv", "profile_id": None, "from_day": YEAR[0], "to_day": YEAR[1], **changes}
        return exports.order(self.world.as_person(person), account, Wanted.model_validate(values), uuid4())

    def work(self, kind: str = "export_costs") -> dict[str, Any]:
        """Do the next job of this kind; its row afterwards."""
        context = kill.claim(self.world, self.folder, kind, clipdesk_data=self.place)
        attempt.run(context, HANDLERS[kind])
        return kill.job_row(self.world, context.job.id)

    def made(self, person: UUID, account: UUID, view: str = "entries", **changes: Any) -> Made:
        job_id = self.ask(person, account, view, **changes)
        job = self.work()
        assert (job["id"], job["status"]) == (job_id, "completed"), job["error"]
        return self.read(person, job_id)

    def read(self, person: UUID, job_id: UUID) -> Made:
        path = exports.file(self.world.as_person(person), job_id).path
        (row,) = self.world.rows("select * from private.exports where id = %s", job_id)
        return Made(*(_csv if path.endswith(".csv") else _xlsx)(self.folder.path(path)), row)


def _csv(file: Path) -> tuple[dict[str, Any], list[str], list[list[Any]]]:
    rows = list(csv.reader(io.StringIO(file.read_text("utf-8-sig"), newline="")))
    gap = rows.index([])
    return dict(rows[:gap]), rows[gap + 1], rows[gap + 2 :]


def _xlsx(file: Path) -> tuple[dict[str, Any], list[str], list[list[Any]]]:
    book = openpyxl.load_workbook(file, read_only=True)
    try:
        about, *sheets = ([list(row) for row in sheet.iter_rows(values_only=True)] for sheet in book.worksheets)
        assert all(sheet[0] == sheets[0][0] for sheet in sheets)
        return dict(about), sheets[0][0], [line for sheet in sheets for line in sheet[1:]]
    finally:
        book.close()


@pytest.fixture
def office(world: World, tmp_path: Path) -> Office:
    world.execute("update public.jobs set status = 'cancelled' where status in ('pending', 'running')")
    world.execute("delete from public.jobs where slot is not null")
    kill.quiet(world)
    return Office(world, Folder(tmp_path / "media"), tmp_path / "data")


@pytest.fixture(scope="module")
def shop(shared_world: World) -> Shop:
    return Shop.opened(shared_world, 1_001)


@pytest.fixture
def till(world: World) -> Till:
    return Till.opened(world, code=f"T{uuid4().hex[:6]}")


# What is in them ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", get_args(exports.Format))
def test_every_view_adds_up_to_what_the_page_says(office: Office, shop: Shop, view: str, kind: str) -> None:
    filters = {"user_id": str(shop.manager)} if view == "spending" else {}
    made = office.made(shop.admin, shop.account, view, format=kind, filters=filters)
    seen = desk.ask(shop.world.as_person(shop.admin), shop.account, None, *YEAR)
    whole = {"person", "project", "clip", "months"}
    own = sum((r["cost_usd"] for r in shop.ledger if r["user_id"] == shop.manager), D(0))
    assert made.total == (own if view == "spending" else seen.whole_months if view in whole else seen.total)
    assert made.sum == made.total == made.row["total_usd"]
    assert int(made.about["Lines"]) == len(made.lines) == made.row["lines"]
    assert int(made.about["Up to entry of the ledger"]) == seen.seq == made.row["seq"]
    assert (made.about["Stores"], made.about["Currency"]) == ("All stores", "US dollars")
    assert made.about["As of"].endswith(" UTC")


@pytest.mark.parametrize(
    "filters",
    [{}, {"service": "gemini"}, {"model": "pro", "service": "practice"}, {"operation": "tts"}, {"category": "e-mail"},
     {"user_id": "system"}, {"user_id": 0}, {"project_id": 1}, {"clip_id": 2}],
)  # fmt: skip
def test_entries_are_those_of_range_store_and_filters(office: Office, shop: Shop, filters: dict[str, Any]) -> None:
    ids = {"user_id": shop.people, "project_id": shop.projects, "clip_id": shop.clips}
    filters = {name: str(ids[name][value]) if isinstance(value, int) else value for name, value in filters.items()}
    asked = {name: value.upper() if name in ids and value != "system" else value for name, value in filters.items()}
    span = {"from_day": date(2026, 8, 17), "to_day": date(2026, 10, 11), "profile_id": shop.stores[1]}
    made = office.made(shop.manager, shop.account, filters=asked, **span)
    expected = [
        row for row in sorted(shop.booked(span["from_day"], span["to_day"], shop.stores[1]), key=lambda r: r["seq"])
        if all((str(row[name]) if row[name] else "system") == value for name, value in filters.items())
    ]  # fmt: skip
    assert made.headings == list(ENTRIES)
    assert [int(seq) for seq in made.column("Entry")] == [row["seq"] for row in expected]
    assert made.column(COST) == [f"{row['cost_usd']:.6f}" for row in expected]
    assert made.total == sum((row["cost_usd"] for row in expected), D(0))
    assert made.column("When (UTC)") == [row["occurred_at"].astimezone(UTC).strftime("%F %T") for row in expected]
    code = shop.world.value("select code from public.profiles where id = %s", shop.stores[1])
    assert set(made.column("Store code")) <= {code}
    assert made.about["Stores"] == f"{code} Dock"
    assert made.about["Range (UTC days)"] == "2026-08-17 to 2026-10-11"
    assert (made.about["Only"] == "Everything in the range") == (not filters)


def test_the_whole_ledger_is_every_entry_up_to_when_it_was_asked_for(office: Office, till: Till) -> None:
    admin = till.world.person(till.account, "admin")
    for usd in ("1.5", "0.000001", "2"):
        till.spend(usd)
    wanted = Wanted.ledger("csv", None, datetime.now(UTC).date())
    job_id = exports.order(till.world.as_person(admin), till.account, wanted, uuid4())
    till.spend("9")
    office.work()
    made = office.read(admin, job_id)
    assert (made.total, made.sum, len(made.lines)) == (D("3.500001"), D("3.500001"), 3)
    assert made.about["Up to entry of the ledger"] == "3"


@pytest.mark.parametrize("kind", get_args(exports.Format))
@pytest.mark.parametrize("view", ["entries", "store", "trend", "person", "clip", "months"])
def test_an_empty_view_is_a_file_that_says_so(office: Office, shop: Shop, view: str, kind: str) -> None:
    long_ago = {"from_day": date(2001, 1, 1), "to_day": date(2001, 1, 31)}
    made = office.made(shop.admin, shop.account, view, format=kind, **long_ago)
    assert (made.lines, made.total, COST in made.headings) == ([], 0, True)
    assert made.about["Note"] == "Nothing was spent here in this range."


def test_sums_over_whole_months_say_so(office: Office, shop: Shop) -> None:
    with shop.world.at(NOW):
        about = office.made(shop.admin, shop.account, "clip").about
        of_month = office.made(shop.admin, shop.account, "clip", from_day=MONTH).about
    assert about["Range (UTC days)"].endswith("summed over the whole months 2025-12 to 2026-11")
    assert "whole" not in of_month["Range (UTC days)"]


def test_names_of_what_is_gone_stay(office: Office, till: Till) -> None:
    world = till.world
    admin, mia = world.person(till.account, "admin"), world.person(till.account, "manager", till.store, name="Mia")
    project = world.project(till.store, "Autumn")
    clip = world.clip(till.store, project, name="Bread at six")
    request = till.hold("1", p_user_id=mia)
    till.settle(request, item("1", project_id=str(project), clip_id=str(clip)))
    world.execute("update public.profiles set archived_at = now() where id = %s", till.store)
    world.execute("update public.clips set deleted_at = now() where id = %s", clip)
    world.execute("update public.people set deactivated_at = now() where id = %s", mia)
    today = {"from_day": MONTH, "to_day": datetime.now(UTC).date()}
    made = office.made(admin, till.account, **today)
    assert [made.column(name) for name in ("Store", "Person", "Project", "Clip")] == [
        ["Quay"], ["Mia"], ["Autumn"], ["Bread at six"],
    ]  # fmt: skip
    states = {view: office.made(admin, till.account, view, **today).column("State")
              for view in ("store", "person", "clip")}  # fmt: skip
    assert states == {"store": ["archived"], "person": ["deactivated"], "clip": ["deleted"]}


EVIL = ("=1+1", "+SUM(A1)", "-2", "@now", "  =1+1", "\t=1", "http://evil.example", 'a"b,c\nd', "<r><f>1+1</f></r>",
        "<r></sheetData></r>", "&lt;")  # fmt: skip


@pytest.mark.parametrize("text", EVIL)
def test_no_name_becomes_a_formula(tmp_path: Path, text: str) -> None:
    def table() -> Table:
        return Tally().over(Table(("Name", COST), [(text, D("-2.5"))]))

    write_csv(tmp_path / "a.csv", table(), lambda: [("Company", text)])
    about, _, ((name, cost),) = _csv(tmp_path / "a.csv")
    assert name == about["Company"]
    assert name.lstrip("'") == text
    assert name[:1] not in "=+-@\t\r"
    assert name.lstrip()[:1] not in "=+-@"
    assert cost == "-2.500000"
    write_xlsx(tmp_path / "a.xlsx", table(), lambda: [("Company", text)])
    sheet = openpyxl.load_workbook(tmp_path / "a.xlsx")["Costs"]
    assert (sheet["A2"].data_type, sheet["A2"].value.rstrip(), sheet["A2"].hyperlink) == ("s", text, None)
    assert (sheet["B2"].data_type, sheet["B2"].value) == ("n", -2.5)


@pytest.mark.parametrize(("lines", "sheets"), [(0, [0]), (3, [3]), (4, [3, 1]), (6, [3, 3]), (7, [3, 3, 1])])
def test_sheets_are_split_at_their_limit(tmp_path: Path, lines: int, sheets: list[int]) -> None:
    table = Table((COST,), ((D(n),) for n in range(lines)))
    write_xlsx(tmp_path / "a.xlsx", table, lambda: [("Lines", lines)], most_rows=4)
    about, *costs = openpyxl.load_workbook(tmp_path / "a.xlsx").worksheets
    assert about["B1"].value == lines
    assert [sheet.max_row - 1 for sheet in costs] == sheets
    assert [cell.value for sheet in costs for (cell,) in sheet.iter_rows(min_row=2)] == list(range(lines))


# Who gets them ------------------------------------------------------------------------------------------------------


def test_a_manager_gets_own_stores_and_of_totals_per_person_their_own(office: Office, shop: Shop) -> None:
    made = office.made(shop.manager, shop.account)
    expected = shop.booked(*YEAR, *shop.stores[:2])
    assert (len(made.lines), made.total) == (len(expected), sum((r["cost_usd"] for r in expected), D(0)))
    assert set(made.column("Store")) == {"Quay", "Dock"}
    people = office.made(shop.manager, shop.account, "person")
    assert people.column("Person") == ["Mia"]
    assert people.about["Note"] == "Of totals per person you see your own."
    with pytest.raises(NotFound):
        office.ask(shop.manager, shop.account, profile_id=shop.stores[2])
    with pytest.raises(NotFound):
        office.ask(shop.manager, shop.account, "spending", filters={"user_id": str(shop.admin)})


def test_strangers_and_nobody_get_nothing(office: Office, shop: Shop) -> None:
    job_id = office.ask(shop.admin, shop.account)
    office.work()
    world = shop.world
    others = [world.person(None), world.person(world.company(), "admin"), world.person(shop.account, "admin")]
    for other in others:
        with pytest.raises(NotFound):
            exports.file(world.as_person(other), job_id)
    for other in others[:2]:
        with pytest.raises(NotFound):
            office.ask(other, shop.account)
        with pytest.raises(NotFound):
            exports.desk(world.as_person(other), shop.account)
    assert exports.desk(world.as_person(others[2]), shop.account).mine == []
    nobody = world.doors.anonymous()
    for ask in (lambda: exports.file(nobody, job_id), lambda: exports.desk(nobody, shop.account)):
        with pytest.raises(NotAllowed):
            ask()


LOSSES = {
    "store": "delete from public.profile_members where person_id = %s",
    "company": "update public.members set deactivated_at = now() where person_id = %s",
    "all": "update public.people set deactivated_at = now() where id = %s",
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("one_store", [True, False])
def test_who_lost_the_store_before_it_was_made_gets_nothing(office, till: Till, loss: str, one_store: bool) -> None:
    till.spend("1")
    mia = till.world.person(till.account, "manager", till.store)
    office.ask(mia, till.account, profile_id=till.store if one_store else None)
    till.world.execute(loss, mia)
    job = office.work()
    assert (job["status"], "again" in job["error"] or "not found" in job["error"]) == ("failed", True)
    assert list(office.place.rglob("*.csv")) == list(office.folder.list("exports", TOMORROW)) == []


def test_an_admin_who_became_manager_meanwhile_gets_nothing(office: Office, till: Till) -> None:
    boss = till.world.person(till.account, "admin")
    office.ask(boss, till.account)
    till.world.execute("update public.members set role = 'manager' where person_id = %s", boss)
    assert "stores that you see have changed" in office.work()["error"]


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_who_lost_the_store_afterwards_cannot_open_the_file(office: Office, till: Till, loss: str) -> None:
    till.spend("1")
    mia = till.world.person(till.account, "manager", till.store)
    job_id = office.ask(mia, till.account)
    office.work()
    assert exports.file(till.world.as_person(mia), job_id)
    till.world.execute(loss, mia)
    with pytest.raises(NotFound):
        exports.file(till.world.as_person(mia), job_id)


@pytest.mark.parametrize(
    ("change", "error"),
    [({"view": "secrets"}, InvalidInput), ({"format": "exe"}, InvalidInput), ({"grain": "hour"}, InvalidInput),
     ({"from_day": "2026-03-02", "to_day": "2026-03-01"}, InvalidInput), ({"from_day": None}, InvalidInput),
     ({"from_day": "soon"}, InvalidInput), ({"filters": {"cost_usd": "1"}}, InvalidInput),
     ({"view": None}, InvalidInput), ({"filters": {"user_id": "x"}}, InvalidInput),
     ({"view": "spending"}, InvalidInput), ({"profile_id": "x"}, InvalidInput),
     ({"profile_id": str(uuid4())}, NotFound)],
)  # fmt: skip
def test_what_cannot_be_exported_is_refused(shop: Shop, change: dict[str, Any], error: type[AppError]) -> None:
    wanted = {"view": "entries", "format": "csv", "from_day": "2026-01-01", "to_day": "2026-02-01", **change}
    door = shop.world.as_person(shop.admin)
    with pytest.raises(error):
        door.call("enqueue_export", p_job_id=uuid4(), p_account_id=shop.account, p_wanted=wanted)


# Many clicks, crashes, sweeping -------------------------------------------------------------------------------------


def test_two_clicks_make_one_file(office: Office, till: Till) -> None:
    boss = till.world.person(till.account, "admin")
    with ThreadPoolExecutor(8) as pool:
        jobs = set(pool.map(lambda _: office.ask(boss, till.account), range(8)))
    assert len(jobs) == 1
    assert till.world.value("select count(*) from private.exports where asked_by = %s", boss) == 1
    assert office.ask(till.world.person(till.account, "admin"), till.account) not in jobs


def test_five_exports_of_a_person_may_be_under_way(office: Office, till: Till) -> None:
    boss = till.world.person(till.account, "admin")
    for view in VIEWS[:5]:
        office.ask(boss, till.account, view)
    with pytest.raises(Conflict, match="Five exports"):
        office.ask(boss, till.account, "months")
    office.work()
    assert office.ask(boss, till.account, "months")


@pytest.mark.parametrize(
    ("kind", "place", "attempts"),  # of what, where the worker dies, the attempt that ends it
    [("csv", "lines_read:1", 2), ("xlsx", "lines_read:1", 2), ("csv", "export_stored:1", 2), ("csv", "ended:1", 1)],
)
def test_a_killed_export_is_made_anew_and_leaves_no_half_file(server, office, shop, kind, place, attempts, tmp_path):
    job_id = office.ask(shop.admin, shop.account, format=kind)
    kill.die_at(place, server, shop.world.value("select current_database()"), tmp_path / "media")
    shown = exports.desk(shop.world.as_person(shop.admin), shop.account).mine[0]
    assert (shown.id, shown.open) == (job_id, attempts == 2)
    if shown.open:
        with pytest.raises(NotFound):
            exports.file(shop.world.as_person(shop.admin), job_id)
        kill.expire(shop.world, job_id)
        job = office.work()
        assert (job["id"], job["status"], job["attempt"]) == (job_id, "completed", attempts)
    assert office.read(shop.admin, job_id).sum == sum((r["cost_usd"] for r in shop.booked(*YEAR)), D(0))
    kill.sweep(shop.world, office.folder)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert list(office.folder.list("exports", tomorrow)) == [
        exports.file(shop.world.as_person(shop.admin), job_id).path
    ]
    assert list((office.place / "work").glob("*")) == []


def test_a_file_is_swept_once_it_has_expired(office: Office, till: Till) -> None:
    boss = till.world.person(till.account, "admin")
    job_id = office.ask(boss, till.account)
    office.work()
    path = exports.file(till.world.as_person(boss), job_id).path
    kill.sweep(till.world, office.folder)
    assert office.folder.exists(path)
    till.world.execute("update private.exports set expires_at = now() where id = %s", job_id)
    with pytest.raises(NotFound, match="30 days"):
        exports.file(till.world.as_person(boss), job_id)
    kill.sweep(till.world, office.folder)
    assert not office.folder.exists(path)
    till.world.as_worker().call("forget_exports")
    assert till.world.rows("select from private.exports where id = %s", job_id) == []


def test_a_demo_is_erased_with_its_exports(office: Office, till: Till) -> None:
    till.world.execute("update public.accounts set is_demo = true where id = %s", till.account)
    boss = till.world.person(till.account, "admin")
    till.spend("1")
    office.ask(boss, till.account)
    office.work()
    exports.schedule(till.world.as_person(boss), till.account, "daily", "To look around")
    office.work("export_ledger")
    till.world.as_person(boss).call("erase_demo", p_account_id=till.account)
    for table in ("exports", "ledger_files", "ledger_schedules"):
        assert till.world.rows(f"select from private.{table} where account_id = %s", till.account) == []


# The scheduled ledger -----------------------------------------------------------------------------------------------


def months_of(shop: Shop) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(D)
    for row in shop.ledger:
        sums[f"{row['booked_on']:%Y-%m}"] += row["cost_usd"]
    return sums


def ledger_files(office: Office, account: UUID) -> dict[str, list[dict[str, str]]]:
    """By month, as any program reads them."""
    found = {}
    for path in office.folder.list(f"exports/{account}", TOMORROW):
        with office.folder.path(path).open(encoding="utf-8-sig", newline="") as file:
            found[path[-11:-4]] = list(csv.DictReader(file))
    return found


def test_the_ledger_is_written_month_by_month_and_only_where_it_grew(office: Office, shared_world: World) -> None:
    shop = Shop.opened(shared_world, 1_001)
    door = shop.world.as_person(shop.admin)
    shop.world.set_clock(datetime(2026, 11, 21, 15, tzinfo=UTC))
    exports.schedule(door, shop.account, "daily", "For our own sheets")
    office.work("export_ledger")
    found = ledger_files(office, shop.account)
    assert {month: sum(D(line[COST]) for line in lines) for month, lines in found.items()} == months_of(shop)
    assert sum(len(lines) for lines in found.values()) == 1_001
    ledger = exports.desk(door, shop.account).ledger
    assert ledger is not None
    assert (ledger.period, ledger.error, ledger.files[0].month) == ("daily", None, MONTH)
    assert ledger.files[0].total_usd == months_of(shop)["2026-11"]
    kill.sweep(shop.world, office.folder)
    assert len(ledger_files(office, shop.account)) == len(found)

    assert due(shop) == []
    shop.settle_more()
    assert due(shop) == ["2026-11-01"]
    shop.world.set_clock(None)


def due(shop: Shop) -> list[str]:
    return [month["month"] for month in shop.world.as_worker().call("ledgers_due", p_account_id=shop.account)]


def test_monthly_writes_finished_months_and_daily_begins_an_empty_one(office: Office, till: Till) -> None:
    boss = till.world.as_person(till.world.person(till.account, "admin"))
    exports.schedule(boss, till.account, "monthly", "For the tax office")
    till.spend("1")
    assert office.work("export_ledger")["result"] == {"files": 0, "failed": []}
    exports.schedule(boss, till.account, "daily", "Rather each day")
    office.work("export_ledger")
    ((month, lines),) = ledger_files(office, till.account).items()
    assert (month, [line[COST] for line in lines]) == (f"{datetime.now(UTC):%Y-%m}", ["1.000000"])
    empty = Till.opened(till.world)
    boss = till.world.as_person(till.world.person(empty.account, "admin"))
    exports.schedule(boss, empty.account, "daily", "From the first day on")
    office.work("export_ledger")
    assert list(ledger_files(office, empty.account).values()) == [[]]
    exports.schedule(boss, empty.account, "off", "No longer needed")
    assert till.world.as_worker().call("ledgers_due", p_account_id=empty.account) == []


def test_only_an_admin_sets_it_with_a_reason_and_it_is_audited(office: Office, till: Till) -> None:
    world, account = till.world, till.account
    boss = world.person(account, "admin")
    for other in (world.person(account, "finance"), world.person(account, "manager", till.store)):
        with pytest.raises(NotAllowed):
            exports.schedule(world.as_person(other), account, "daily", "Mine")
    with pytest.raises(NotFound):
        exports.schedule(world.as_person(world.person(None)), account, "daily", "Mine")
    for period, reason, field in (("daily", " ", "reason"), ("hourly", "Often", "period")):
        with pytest.raises(InvalidInput) as told:
            exports.schedule(world.as_person(boss), account, period, reason)  # type: ignore[arg-type] - bad on purpose
        assert told.value.field == field
    exports.schedule(world.as_person(boss), account, "daily", "For our sheets")
    exports.schedule(world.as_person(boss), account, "daily", "Again")
    (entry,) = world.rows("select * from public.audit_log where account_id = %s and action = 'ledger_schedule_changed'",
                          account)  # fmt: skip
    assert (entry["reason"], entry["after"]) == ("For our sheets", {"period": "daily"})
    assert audit.words("ledger_schedule_changed") != "ledger_schedule_changed"
    assert (
        world.value("select count(*) from public.jobs where kind = 'export_ledger' and account_id = %s", account) == 1
    )


def test_its_files_are_for_admins_and_finance(office: Office, till: Till) -> None:
    world, account = till.world, till.account
    boss, mia = world.person(account, "admin"), world.person(account, "manager", till.store)
    exports.schedule(world.as_person(boss), account, "daily", "For our sheets")
    office.work("export_ledger")
    for reader in (boss, world.person(account, "finance")):
        ledger = exports.desk(world.as_person(reader), account).ledger
        assert ledger is not None
        (file,) = ledger.files
        assert exports.file(world.as_person(reader), file.id).file_name == f"ledger-{datetime.now(UTC):%Y-%m}.csv"
    assert exports.desk(world.as_person(mia), account).ledger is None
    for other in (mia, world.person(None), world.person(world.company(), "admin")):
        with pytest.raises(NotFound):
            exports.file(world.as_person(other), file.id)


def test_why_it_failed_is_told_and_the_others_are_written(office: Office, till: Till, monkeypatch) -> None:
    full, fine = sorted((till, Till.opened(till.world)), key=lambda t: str(t.account))
    for one in (full, fine):
        boss = till.world.as_person(till.world.person(one.account, "admin"))
        exports.schedule(boss, one.account, "daily", "For our sheets")
    till.world.execute("update public.jobs set status = 'cancelled' where kind = 'export_ledger'")
    till.world.job("export_ledger", slot=str(uuid4()))
    write = Folder.write

    def no_room(self: Folder, path: str, data: Any) -> None:
        if str(full.account) in path:
            raise StorageFull("The disk is full.")
        write(self, path, data)

    monkeypatch.setattr(Folder, "write", no_room)
    assert office.work("export_ledger")["result"]["failed"] == [str(full.account)]
    errors = "select error from private.ledger_schedules where account_id = %s"
    assert till.world.value(errors, full.account) == "The disk is full."
    assert till.world.value(errors, fine.account) is None
    assert len(ledger_files(office, fine.account)) == 1


# Large --------------------------------------------------------------------------------------------------------------


@pytest.mark.full
@pytest.mark.parametrize(("kind", "count"), [("csv", 200_000), ("xlsx", 60_000)])
def test_many_entries_need_the_memory_of_a_page(office: Office, shared_world: World, kind: str, count: int) -> None:
    shop = Shop.opened(shared_world, 0)
    values = {"account": shop.account, "stores": shop.stores, "people": shop.people, "projects": shop.projects,
              "clips": shop.clips, "categories": ["speech"] * 9, "count": count, "now": NOW}  # fmt: skip
    shop.world.admin.execute(LOAD, values)
    shop.world.execute("update private.ledger_counters set last_seq = %s where account_id = %s", count, shop.account)
    job_id = office.ask(shop.admin, shop.account, format=kind, from_day=date(2000, 1, 1), to_day=date(2100, 1, 1))
    tracemalloc.start()
    try:
        assert office.work()["status"] == "completed"
        assert tracemalloc.get_traced_memory()[1] < 40 << 20  # all lines of the smaller file would need twice as much
    finally:
        tracemalloc.stop()
    (row,) = shop.world.rows("select lines, total_usd from private.exports where id = %s", job_id)
    whole = "select count(*) as lines, sum(cost_usd) as total_usd from public.cost_entries where account_id = %s"
    assert [row] == shop.world.rows(whole, shop.account)


@pytest.mark.parametrize("view", exports.VALUED)
@pytest.mark.parametrize("kind", get_args(exports.Format))
def test_what_money_was_good_for_adds_up_to_what_the_page_says(
    office: Office, shop: Shop, view: str, kind: str
) -> None:
    made = office.made(shop.admin, shop.account, view, format=kind)
    seen = value.ask(shop.world.as_person(shop.admin), shop.account, None, *YEAR)
    assert made.total == {"published": seen.usd, "unpublished": seen.unpublished.usd, "savings": seen.saved}[view]
