"""What the Costs page shows, against plain sums over the ledger, entry by entry.

The server's own time zone is Auckland's (UTC+12 or +13) here: days and months must be UTC wherever it stands.
"""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.costs import desk, entries
from services.database import embedded
from services.database.migrate import MIGRATIONS
from services.errors import AppError, InvalidInput, NotFound
from tests.builders import World, entry, fresh_world
from tests.costs.till import Till, item

D = Decimal
NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)
TODAY = NOW.date()
MONTH = date(2026, 11, 1)
YEAR = (date(2025, 12, 1), TODAY)
SPANS = {
    "this month": (MONTH, TODAY),
    "last month": (date(2026, 10, 1), date(2026, 10, 31)),
    "a year": YEAR,
    "all": (date(2000, 1, 1), TODAY),
    "a week": (date(2026, 11, 15), TODAY),
    "inside a month": (date(2026, 10, 7), date(2026, 10, 19)),
    "across edges": (date(2026, 8, 17), date(2026, 10, 11)),
    "one day": (date(2026, 10, 31), date(2026, 10, 31)),
    "a century": (date(1950, 1, 1), date(2150, 12, 31)),
}
CATEGORIES = ("text", "image", "speech", "compute", "storage operations", "storage", "e-mail", "queue", "other")
LOAD = """
    insert into public.cost_entries (id, account_id, seq, request_id, profile_id, profile_name, user_id, user_name,
        project_id, clip_id, service, operation, model, category, units, unit_prices, cost_usd, counts_to_quota,
        occurred_at, booked_on, settled_at)
    select gen_random_uuid(), %(account)s, n, gen_random_uuid(), s.id, 'Quay',
           (%(people)s::uuid[])[1 + n %% 4], null, w.project,
           case when n %% 3 > 0 then w.clip end,
           (array['elevenlabs', 'gemini', 'practice'])[1 + n / 7 %% 3], (array['tts', 'analyse'])[1 + n / 5 %% 2],
           (array['premium', 'flash', 'pro'])[1 + n / 11 %% 3], (%(categories)s::text[])[1 + n %% 9],
           jsonb_build_object('characters', n %% 50, 'input_tokens', n %% 20, 'requests', 1, 'bytes', 2048,
                              'seconds', 3), '{}',
           round((n * 7919 %% 100003)::numeric / 1000000, 6), n %% 10 > 0, b.at, (b.at at time zone 'UTC')::date, b.at
    from generate_series(1, %(count)s) n
    cross join lateral (select %(now)s::timestamptz - (n::bigint * 104729 %% 40000000) * interval '1 second' as at) b
    cross join lateral (select 1 + n / 3 %% 3 as place) p
    cross join lateral (select (%(stores)s::uuid[])[p.place] as id) s
    cross join lateral (select (%(projects)s::uuid[])[p.place] as project,
                               (%(clips)s::uuid[])[p.place + 3 * (n / 9 %% 4)] as clip) w
"""


@dataclass
class Shop:
    """Three stores with work of four people (the last: nobody), over 15 months."""

    world: World
    account: UUID
    stores: list[UUID]
    people: list[UUID | None]
    projects: list[UUID]
    clips: list[UUID]
    admin: UUID
    manager: UUID  # of the first two stores, and one of the people

    @classmethod
    def opened(cls, world: World, count: int) -> "Shop":
        account = world.company(quota="100000")
        stores = [world.store(account, name, quota="5000") for name in ("Quay", "Dock", "Pier")]
        manager = world.person(account, "manager", *stores[:2], name="Mia")
        people = [manager, *(world.person(account, "manager", stores[2], name=n) for n in ("Ann", "Bob")), None]
        projects = [world.project(store, f"Project {n}") for n, store in enumerate(stores)]
        clips = [world.clip(stores[n % 3], projects[n % 3], name=f"Clip {n}") for n in range(12)]
        shop = cls(world, account, stores, people, projects, clips, world.person(account, "admin"), manager)
        values = {"account": account, "stores": stores, "people": people, "projects": projects, "clips": clips,
                  "categories": list(CATEGORIES), "count": count, "now": NOW}  # fmt: skip
        world.admin.execute(LOAD, values)
        world.execute("insert into private.ledger_counters (account_id, last_seq) values (%s, %s)", account, count)
        for row in world.rows("select distinct date_trunc('month', booked_on::timestamp)::date as month"
                              " from public.cost_entries where account_id = %s", account):  # fmt: skip
            world.as_worker().call("rebuild_cost_rollups", p_account_id=account, p_month=row["month"])
        return shop

    def settle_more(self) -> None:
        """A hundred entries booked now, ten a request, as speech and scripts book them."""
        worker = self.world.as_worker()
        for n in range(10):
            place = n % 3
            request = uuid4()
            worker.call("hold_cost", p_request_id=request, p_profile_id=self.stores[place], p_estimate_usd=D(5),
                        p_service="practice", p_user_id=self.people[n % 4])  # fmt: skip
            lines = [
                entry(units={"characters": 100 + k}, category=("speech", "text")[k % 2],
                      operation=("tts", "read")[k % 2], project_id=str(self.projects[place]),
                      clip_id=str(self.clips[place + 3 * (k % 4)]) if k else None)
                for k in range(10)
            ]  # fmt: skip
            worker.call("settle_cost", p_request_id=request, p_entries=lines)

    @cached_property
    def ledger(self) -> list[dict[str, Any]]:
        """Read once, when it is complete."""
        return self.world.rows("select * from public.cost_entries where account_id = %s", self.account)

    def booked(self, first: date, last: date, *stores: UUID) -> list[dict[str, Any]]:
        return [r for r in self.ledger if first <= r["booked_on"] <= last and (not stores or r["profile_id"] in stores)]


def add(rows: list[dict[str, Any]], key: Callable[[dict[str, Any]], Any]) -> dict[Any, tuple[Decimal, int]]:
    """Dollars and entries by key, entry by entry."""
    sums: dict[Any, tuple[Decimal, int]] = defaultdict(lambda: (D(0), 0))
    for row in rows:
        usd, count = sums[key(row)]
        sums[key(row)] = usd + row["cost_usd"], count + 1
    return dict(sums)


def shown(lines: list[Any], key: Callable[[Any], Any] = lambda line: line.key) -> dict[Any, tuple[Decimal, int]]:
    return {key(line): (line.usd, line.entries) for line in lines}


@pytest.fixture(scope="module")
def shared_world(server: embedded.Server, template: str) -> Iterator[World]:
    with fresh_world(server, template) as world:
        world.execute(f"alter database {world.value('select current_database()')} set timezone = 'Pacific/Auckland'")
        world.set_clock(NOW)
        yield world


@pytest.fixture(scope="module", params=[1_001, pytest.param(100_000, marks=pytest.mark.full)])
def shop(shared_world: World, request: pytest.FixtureRequest) -> Shop:
    made = Shop.opened(shared_world, request.param - 100)
    made.settle_more()
    elsewhere = shared_world.store(shared_world.company())
    shared_world.spend(elsewhere, "77")
    return made


@pytest.fixture(autouse=True)
def now(shared_world: World) -> None:
    shared_world.set_clock(NOW)


def ask(shop: Shop, who: UUID, span: tuple[date, date], store: UUID | None = None, grain: desk.Grain = "day"):
    return desk.ask(shop.world.as_person(who), shop.account, store, *span, grain)


def months_of(span: tuple[date, date]) -> tuple[date, date]:
    return span[0].replace(day=1), (span[1] + timedelta(days=31 - span[1].day + 1)).replace(day=1) - timedelta(days=1)


class TestSums:
    @pytest.mark.parametrize("span", SPANS.values(), ids=SPANS)
    @pytest.mark.parametrize("who", ["company", "manager", "one store"])
    def test_every_cut_is_the_ledgers(self, shop: Shop, span, who):
        person = shop.manager if who == "manager" else shop.admin
        store = shop.stores[1] if who == "one store" else None
        mine = {"company": [], "manager": shop.stores[:2], "one store": [shop.stores[1]]}[who]
        found, rows = ask(shop, person, span, store), shop.booked(*span, *mine)
        assert found.total == sum(row["cost_usd"] for row in rows)
        assert found.counted == sum(row["cost_usd"] for row in rows if row["counts_to_quota"])
        assert found.entries == len(rows)
        for cut in ("service", "operation", "category"):
            assert shown(found.cuts.get(cut, [])) == add(rows, lambda r, cut=cut: r[cut])
        assert shown(found.cuts.get("model", []), lambda line: (line.service, line.key)) == add(
            rows, lambda r: (r["service"], r["model"])
        )
        assert shown(found.stores) == add(rows, lambda r: r["profile_id"])
        assert sum(bar.usd for bar in found.trend) == found.total

    @pytest.mark.parametrize("span", SPANS.values(), ids=SPANS)
    def test_people_and_work_are_of_whole_months(self, shop: Shop, span):
        found, rows = ask(shop, shop.admin, span), shop.booked(*months_of(span))
        assert shown(found.people) == add(rows, lambda r: r["user_id"])
        assert shown(found.projects) == add(rows, lambda r: r["project_id"])
        with_clip = [row for row in rows if row["clip_id"]]
        assert shown(found.clips) == add(with_clip, lambda r: r["clip_id"])
        assert found.whole_months == sum(row["cost_usd"] for row in rows)
        assert found.rest(found.clips) == sum(row["cost_usd"] for row in rows if not row["clip_id"])

    @pytest.mark.parametrize("grain", ["day", "week", "month"])
    def test_bars_begin_where_their_time_begins(self, shop: Shop, grain):
        def begins(day: date) -> date:
            return {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}[grain]

        found = ask(shop, shop.admin, SPANS["across edges"], grain=grain)
        rows = shop.booked(*SPANS["across edges"])
        expected = add(rows, lambda r: (begins(r["booked_on"]), r["service"]))
        assert {(bar.day, bar.service): bar.usd for bar in found.trend} == {k: v[0] for k, v in expected.items()}

    def test_months_begin_with_the_one_before_the_range(self, shop: Shop):
        found = ask(shop, shop.admin, (MONTH, TODAY))
        october, november = (shop.booked(first, last) for first, last in
                             ((date(2026, 10, 1), date(2026, 10, 31)), (MONTH, date(2026, 11, 30))))  # fmt: skip
        usd = [sum(row["cost_usd"] for row in rows) for rows in (october, november)]
        assert [(line.month, line.usd) for line in found.months] == [(date(2026, 10, 1), usd[0]), (MONTH, usd[1])]
        assert (found.month.month, found.month.before, found.month.usd) == (MONTH, *usd)
        so_far = sum(row["cost_usd"] for row in october if row["booked_on"].day <= 21)
        assert found.month.before_so_far == so_far < usd[0]

    def test_a_finished_month_is_compared_whole(self, shop: Shop):
        found = ask(shop, shop.admin, (date(2026, 9, 1), date(2026, 9, 30)))
        assert (
            found.month.before_so_far
            == found.month.before
            == sum(row["cost_usd"] for row in shop.booked(date(2026, 8, 1), date(2026, 8, 31)))
        )

    def test_the_outlook_has_what_counts_by_day(self, shop: Shop):
        for store in (None, shop.stores[0]):
            found = ask(shop, shop.admin, (MONTH, TODAY), store).outlook
            rows = shop.booked(date(2026, 5, 1), TODAY, *([store] if store else []))
            by_day = add([row for row in rows if row["counts_to_quota"]], lambda r: r["booked_on"])
            assert {line.day: line.usd for line in found.days if line.usd} == {d: usd for d, (usd, _) in by_day.items()}
            assert found.quota is not None
            month = [row for row in rows if row["booked_on"] >= MONTH and row["counts_to_quota"]]
            assert found.quota.settled == sum(row["cost_usd"] for row in month)
        assert ask(shop, shop.manager, (MONTH, TODAY)).outlook.quota is None

    def test_it_says_up_to_where_it_counted(self, shop: Shop):
        found = ask(shop, shop.admin, (MONTH, TODAY))
        assert (found.as_of, found.today) == (NOW, TODAY)
        assert found.seq == shop.world.value(
            "select max(seq) from public.cost_entries where account_id = %s", shop.account
        )

    def test_sums_and_ledger_agree(self, shop: Shop):
        for row in shop.world.rows("select distinct month from public.user_costs where account_id = %s", shop.account):
            assert shop.world.rows("select * from private.check_desk_sums(%s, %s)", shop.account, row["month"]) == []

    def test_of_more_than_fifty_clips_the_dearest_are_shown(self, shared_world: World):
        till = Till.opened(shared_world)
        project = shared_world.project(till.store)
        clips = [shared_world.clip(till.store, project) for _ in range(60)]
        lines = [item(f"0.{n + 10}", clip_id=str(clip)) for n, clip in enumerate(clips)]
        till.settle(till.hold("60"), *lines, item("5"))
        admin = shared_world.as_person(shared_world.person(till.account, "admin"))
        found = desk.ask(admin, till.account, None, MONTH, TODAY)
        assert [line.key for line in found.clips] == clips[:9:-1]
        assert found.rest(found.clips) == 5 + sum(D(f"0.{n + 10}") for n in range(10))


class TestBadRanges:
    @pytest.mark.parametrize("ask", [desk.ask, entries.page])
    def test_backwards_is_refused(self, shop: Shop, ask):
        with pytest.raises(InvalidInput, match="must end on or after"):
            ask(shop.world.as_person(shop.admin), shop.account, None, TODAY, MONTH)

    @pytest.mark.parametrize("span", [(date(1, 1, 1), date(1, 1, 2)), (date(9999, 1, 1), date(9999, 12, 31)),
                                      (date(2010, 1, 1), date(2010, 12, 31))])  # fmt: skip
    def test_where_nothing_was_booked_all_is_zero(self, shop: Shop, span):
        found = ask(shop, shop.admin, span)
        assert (found.total, found.entries, found.month.usd) == (0, 0, 0)
        assert (found.stores, found.people, found.projects, found.clips, found.trend) == ([], [], [], [], [])
        assert entries.page(shop.world.as_person(shop.admin), shop.account, None, *span).entries == []

    def test_other_grains_and_filters_are_refused(self, shop: Shop):
        door = shop.world.as_person(shop.admin)
        with pytest.raises(InvalidInput):
            door.call("costs_desk", p_account_id=shop.account, p_profile_id=None, p_from=MONTH, p_to=TODAY,
                      p_grain="hour")  # fmt: skip
        for filters in ({"account_id": str(shop.account)}, {"clip_id": "x'; drop table public.cost_entries; --"}):
            with pytest.raises(InvalidInput):
                entries.page(door, shop.account, None, MONTH, TODAY, filters)

    @pytest.mark.parametrize(
        ("choice", "span"),
        [("month", (MONTH, TODAY)), ("last", (date(2026, 10, 1), date(2026, 10, 31))),
         ("3m", (date(2026, 9, 1), TODAY)), ("12m", YEAR), ("all", (date(2000, 1, 1), TODAY))],
    )  # fmt: skip
    def test_named_ranges(self, choice, span):
        assert desk.span(choice, TODAY) == span

    @pytest.mark.parametrize("given", [("custom", None, TODAY), ("custom", TODAY, MONTH), ("decade", None, None)])
    def test_a_range_that_is_none_is_refused(self, given):
        with pytest.raises(InvalidInput):
            desk.span(given[0], TODAY, *given[1:])

    def test_too_many_bars_become_coarser(self):
        assert desk.fitting_grain("day", *SPANS["a year"]) == "day"
        assert desk.fitting_grain("day", date(2024, 1, 1), TODAY) == "week"
        assert desk.fitting_grain("week", date(1950, 1, 1), TODAY) == "month"


class TestEntries:
    def pages(self, shop: Shop, who: UUID, span, filters=None, store=None, limit=50) -> list[entries.Entry]:
        door, found, before = shop.world.as_person(who), [], None
        while True:
            page = entries.page(door, shop.account, store, *span, filters, limit=limit, before=before)
            found += page.entries
            if (before := page.next) is None or len(found) > 2_000:
                return found

    @pytest.mark.parametrize("cut", ["none", "service", "operation", "model", "category", "user_id", "system",
                                     "project_id", "clip_id", "two"])  # fmt: skip
    def test_pages_hold_each_entry_behind_a_sum_once(self, shop: Shop, cut):
        span = SPANS["across edges"]
        (some, *_) = (row for row in shop.booked(*span) if row["clip_id"] and row["user_id"])
        wanted = {"none": {}, "two": {k: some[k] for k in ("service", "model")}, "system": {"user_id": None}}.get(
            cut, {cut: some.get(cut)}
        )
        rows = [row for row in shop.booked(*span) if all(row[k] == v for k, v in wanted.items())]
        filters = {k: "system" if v is None else str(v) for k, v in wanted.items()}
        found = self.pages(shop, shop.admin, span, filters, limit=20 if len(rows) < 1_000 else 500)
        expected = sorted(rows, key=lambda r: (r["booked_on"], r["seq"]), reverse=True)[: len(found)]
        assert [(line.id, line.cost_usd) for line in found] == [(r["id"], r["cost_usd"]) for r in expected]
        assert len(found) == len(rows) or len(found) > 2_000

    def test_a_manager_reads_own_stores_entries_and_who_spent(self, shop: Shop):
        found = self.pages(shop, shop.manager, SPANS["last month"], limit=500)
        assert {line.profile_id for line in found} == set(shop.stores[:2])
        assert {"Ann", "Bob", "Mia", "System"} == {line.person for line in found}

    def test_a_place_that_is_not_there_is_refused(self, shop: Shop):
        with pytest.raises(InvalidInput):
            entries.page(shop.world.as_person(shop.admin), shop.account, None, MONTH, TODAY, before=10**12)


class TestPeople:
    def test_ones_own_sums_are_the_ledgers(self, shop: Shop):
        found = entries.summary(shop.world.as_person(shop.manager), shop.account, shop.manager)
        rows = [r for r in shop.booked(*SPANS["all"], *shop.stores[:2]) if r["user_id"] == shop.manager]
        assert (found.total_cost_usd, found.entries, found.name) == (sum(r["cost_usd"] for r in rows), len(rows), "Mia")
        by_category = add(rows, lambda r: r["category"])
        assert found.by_category == {name: by_category.get(name, (D(0), 0))[0] for name in CATEGORIES}
        assert found.this_month == sum(r["cost_usd"] for r in rows if r["booked_on"] >= MONTH)
        assert {(m.month, m.usd) for m in found.months} == {
            (month, usd) for month, (usd, _) in add(rows, lambda r: r["booked_on"].replace(day=1)).items()
        }

    def test_usage_is_counted_by_category(self, shop: Shop):
        rows = [r for r in shop.booked(*SPANS["all"]) if r["user_id"] is None]
        found = entries.summary(shop.world.as_person(shop.admin), shop.account, None)

        def units(kind: str, *kinds: str) -> int:
            return sum(r["units"].get(kind, 0) for r in rows if not kinds or r["category"] in kinds)

        assert found.name == "System"
        assert found.usage == {
            "characters": units("characters"), "tokens": units("input_tokens"),
            "emails_sent": units("requests", "e-mail"), "storage_operations": units("requests", "storage operations"),
            "storage_mb": round(D(units("bytes", "storage")) / 1048576, 3),
            "compute_seconds": units("seconds", "compute"),
        }  # fmt: skip

    def test_events_are_listed_with_their_number(self, shop: Shop):
        door = shop.world.as_person(shop.manager)
        rows = [r for r in shop.booked(*SPANS["all"], *shop.stores[:2]) if r["user_id"] == shop.manager]
        first = entries.of_person(door, shop.account, shop.manager, limit=30)
        second = entries.of_person(door, shop.account, shop.manager, limit=30, before=first.next)
        expected = sorted(rows, key=lambda r: (r["booked_on"], r["seq"]), reverse=True)[:60]
        assert [line.id for line in first.entries + second.entries] == [row["id"] for row in expected]
        assert first.total == second.total == len(rows)

    def test_who_spent_nothing_has_zeros(self, shop: Shop):
        new = shop.world.person(shop.account, "manager", shop.stores[0])
        found = entries.summary(shop.world.as_person(new), shop.account, new)
        assert (found.total_cost_usd, found.entries, found.cost_calculated_at) == (0, 0, None)
        assert set(found.by_category.values()) == set(found.usage.values()) == {0}
        events = entries.of_person(shop.world.as_person(new), shop.account, new)
        assert (events.entries, events.total, events.next) == ([], 0, None)

    def test_a_manager_sees_only_their_own_totals(self, shop: Shop):
        door = shop.world.as_person(shop.manager)
        assert [line.key for line in ask(shop, shop.manager, YEAR).people] == [shop.manager]
        for other in (shop.people[1], None, shop.admin):
            for read in (entries.summary, entries.of_person):
                with pytest.raises(NotFound):
                    read(door, shop.account, other)
        seen = self.rest(shop, shop.manager, "select distinct user_id from public.user_costs")
        assert [row["user_id"] for row in seen] == [shop.manager]
        assert self.rest(shop, shop.manager, "select * from public.company_daily_costs") == []
        stores = self.rest(shop, shop.manager, "select distinct profile_id from public.work_costs")
        assert {row["profile_id"] for row in stores} == set(shop.stores[:2])

    @pytest.mark.parametrize("role", ["finance", "admin"])
    def test_finance_and_admins_see_everybodys(self, shop: Shop, role):
        person = shop.world.person(shop.account, role)
        assert {line.key for line in ask(shop, person, YEAR).people} == set(shop.people)
        for other in shop.people:
            assert entries.summary(shop.world.as_person(person), shop.account, other).entries > 0
        seen = self.rest(shop, person, "select distinct user_id from public.user_costs")
        assert {row["user_id"] for row in seen} == set(shop.people)

    def test_strangers_and_nobody_find_nothing(self, shop: Shop):
        foreign = shop.world.person(shop.world.company(), "admin")
        for person in (foreign, shop.world.person(None)):
            for read in (
                lambda door: desk.ask(door, shop.account, None, MONTH, TODAY),
                lambda door: desk.ask(door, shop.account, shop.stores[0], MONTH, TODAY),
                lambda door: entries.page(door, shop.account, None, MONTH, TODAY),
                lambda door, person=person: entries.summary(door, shop.account, person),
                lambda door: entries.of_person(door, shop.account, shop.manager),
            ):
                with pytest.raises(NotFound):
                    read(shop.world.as_person(person))
        with pytest.raises(AppError):
            desk.ask(shop.world.doors.anonymous(), shop.account, None, MONTH, TODAY)
        with pytest.raises(NotFound):
            ask(shop, shop.manager, YEAR, shop.stores[2])

    @staticmethod
    def rest(shop: Shop, person: UUID, query: str) -> list[dict[str, Any]]:
        """What the person's own claims let through, table by table, as over REST."""
        with shop.world.admin.transaction(force_rollback=True):
            shop.world.execute("select set_config('request.jwt.claims', %s, true)", f'{{"sub": "{person}"}}')
            shop.world.execute("set local role authenticated")
            return shop.world.rows(query)


class TestHistoryStays:
    def test_with_names_of_who_and_what_is_gone(self, shared_world: World):
        shop = Shop.opened(shared_world, 500)
        before = ask(shop, shop.admin, YEAR)
        gone = shop.people[1]
        for query, row in {
            "update public.people set deactivated_at = now() where id = %s": gone,
            "update public.profiles set archived_at = now() where id = %s": shop.stores[2],
            "update public.clips set deleted_at = now() where id = %s": shop.clips[0],
            "update public.projects set deleted_at = now() where id = %s": shop.projects[0],
        }.items():
            shared_world.execute(query, row)
        after = ask(shop, shop.admin, YEAR)
        for what in ("stores", "people", "projects", "clips"):
            assert shown(getattr(after, what)) == shown(getattr(before, what))
            assert [line.name for line in getattr(after, what)] == [line.name for line in getattr(before, what)]
        assert [line.name for line in after.people if line.deactivated] == ["Ann"]
        assert [line.name for line in after.stores if line.archived] == ["Pier"]
        assert [line.name for line in after.clips if line.deleted] == ["Clip 0"]
        door = shared_world.as_person(shop.admin)
        (line, *_) = entries.page(door, shop.account, None, *YEAR, {"clip_id": str(shop.clips[0])}).entries
        assert (line.clip, line.project, line.store) == ("Clip 0", "Project 0", "Quay")
        assert entries.summary(door, shop.account, gone).name == "Ann"


class TestRollups:
    TABLES = ("profile_daily_costs", "company_daily_costs", "user_costs", "work_costs")

    def test_a_rebuild_restores_damaged_sums(self, shared_world: World):
        shop = Shop.opened(shared_world, 300)
        shop.settle_more()
        shared_world.execute("update public.user_costs set cost_calculated_at = null, last_updated = %s", NOW)
        read = {
            table: f"select to_jsonb(t) - 'cost_calculated_at' as row from public.{table} t" for table in self.TABLES
        }
        before = {table: sorted(map(str, shared_world.rows(read[table]))) for table in self.TABLES}
        kinds = {"profile_daily_costs": {"store's day"}, "company_daily_costs": {"company's day"},
                 "user_costs": {"person"}, "work_costs": {"project", "clip"}}  # fmt: skip
        for table in self.TABLES:
            amount = "cost_usd" if table == "work_costs" else "total_cost_usd"
            month = "day" if table.endswith("daily_costs") else "month"
            for damage in (
                f"update public.{table} set {amount} = {amount} + 1",
                f"update public.{table} set entries = 0",
                f"delete from public.{table}",
            ):
                shared_world.execute(f"{damage} where account_id = %s and {month} >= %s", shop.account, MONTH)
                wrong = shared_world.rows("select * from private.check_money(%s, %s)", shop.account, MONTH)
                assert {row["what"] for row in wrong} == kinds[table], damage
                shared_world.as_worker().call("rebuild_cost_rollups", p_account_id=shop.account, p_month=MONTH)
                assert sorted(map(str, shared_world.rows(read[table]))) == before[table], damage

    def test_rebuilds_while_eight_writers_write(self, shared_world: World):
        shared_world.set_clock(None)
        till = Till.opened(shared_world)
        tills = [till, till.beside(), till.beside()]
        people = [None, *(shared_world.person(till.account, "manager", till.store) for _ in range(3))]
        projects = [shared_world.project(one.store) for one in tills]
        done = threading.Event()

        def rebuild() -> list[Any]:
            seen: list[Any] = []
            while not done.is_set():
                month = shared_world.value("select private.month_of(now())")
                till.worker.call("rebuild_cost_rollups", p_account_id=till.account, p_month=month)
                seen += till.differences()
            return seen

        def write(writer: int) -> None:
            for n in range(8):
                one, project = tills[(writer + n) % 3], str(projects[(writer + n) % 3])
                request = one.hold("1", p_user_id=people[(writer + n) % 4])
                lines = [item("0.1", project_id=project), item("0.2", operation="read", project_id=project)]
                one.settle(request, *lines[:: 1 if n % 2 else -1])

        with ThreadPoolExecutor(9) as threads:
            looking = threads.submit(rebuild)
            with ExitStack() as stack:
                stack.callback(done.set)
                list(threads.map(write, range(8)))
            assert looking.result(timeout=30) == []
        assert till.differences() == []
        total = shared_world.value(
            "select sum(total_cost_usd) from public.user_costs where account_id = %s", till.account
        )
        assert total == 64 * D("0.3")

    def test_an_existing_ledger_is_added_up_by_the_migration(self, shared_world: World):
        """Its last block, run again over sums that are not there."""
        shop = Shop.opened(shared_world, 200)
        for table in self.TABLES:
            shared_world.execute(f"delete from public.{table} where account_id = %s", shop.account)
        migration = next(MIGRATIONS.glob("*_cost_rollups.sql")).read_text("utf-8")
        shared_world.admin.execute(migration[migration.index("-- What the ledger holds already.") :])
        for row in shared_world.rows(
            "select distinct month from public.user_costs where account_id = %s", shop.account
        ):
            assert shared_world.rows("select * from private.check_desk_sums(%s, %s)", shop.account, row["month"]) == []
