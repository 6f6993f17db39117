"""What the Overview says, against plain sums over the ledger and plain counts of what was made.

The server's own time zone is Auckland's (UTC+12 or +13) here: days and months must be UTC wherever it stands.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.costs import reports
from services.costs.reports import RANGES, Dashboard
from services.database import embedded
from services.errors import AppError, InvalidInput, NotFound
from tests.builders import World, fresh_world

D = Decimal
NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
FROM = {"7d": date(2026, 11, 15), "30d": date(2026, 10, 23), "90d": date(2026, 8, 24), "all": date(2000, 1, 1)}
STARTS = {name: datetime.combine(day, time(), UTC) for name, day in FROM.items()}
# Both sides of each range's first instant and of the month's, now, and long ago.
INSTANTS = [
    datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC),
    *(edge for name in ("90d", "30d", "7d") for edge in (STARTS[name] - MOMENT, STARTS[name])),
    datetime(2026, 11, 1, tzinfo=UTC) - MOMENT,
    datetime(2026, 11, 1, tzinfo=UTC),
    datetime(2026, 11, 21, tzinfo=UTC) - MOMENT,
    datetime(2026, 11, 21, tzinfo=UTC),
    NOW,
]
SERVICES = ("elevenlabs", "gemini", "practice")


@pytest.fixture(scope="module")
def shared_world(server: embedded.Server, template: str) -> Iterator[World]:
    with fresh_world(server, template) as world:
        world.execute(f"alter database {world.value('select current_database()')} set timezone = 'Pacific/Auckland'")
        yield world


@dataclass
class Shop:
    """A store with work and costs at every edge, and a store beside it with other ones."""

    world: World
    account: UUID
    store: UUID
    beside: UUID
    admin: UUID
    made: list[tuple[str, UUID, datetime]] = field(default_factory=list)

    def ledger(self, *stores: UUID, since: datetime, counts: bool | None = None) -> dict[str, Decimal]:
        """Dollars by service, entry by entry."""
        totals: dict[str, Decimal] = {}
        for row in self.world.rows("select * from public.cost_entries where account_id = %s", self.account):
            if row["profile_id"] in stores and row["occurred_at"] >= since and counts in (None, row["counts_to_quota"]):
                totals[row["service"]] = totals.get(row["service"], D(0)) + row["cost_usd"]
        return totals

    def count(self, kind: str, *stores: UUID, since: datetime) -> int:
        return sum(made == kind and store in stores and at >= since for made, store, at in self.made)

    def make(self, kind: str, store: UUID, at: datetime, **extra: Any) -> None:
        world = self.world
        if kind == "speech":
            made = uuid4()
            world.insert(
                "public.speech_assets", id=made, account_id=self.account, profile_id=store, text="x",
                content_hash="h", provider="practice", model="premium", voice="heart", settings={}, format="mp3",
                characters=1, duration_seconds=1, bytes=1, media_path=str(made), cost_usd=0, created_at=at, **extra,
            )  # fmt: skip
        elif kind == "projects":
            project = world.project(store)
            world.execute("update public.projects set created_at = %s where id = %s", at, project)
        else:
            project = world.project(store)
            world.execute("update public.projects set deleted_at = now() where id = %s", project)
            status = "completed" if kind == "rendered" else "failed"
            world.clip(store, project, created_at=at, final_status=status, **extra)
        if not extra.get("deleted_at"):
            self.made.append((kind, store, at))


@pytest.fixture(scope="module")
def shop(shared_world: World) -> Shop:
    world = shared_world
    account = world.company(quota="10000")
    store, beside = world.store(account, "Quay", quota="700", code="001"), world.store(account, "Dock", code="002")
    made = Shop(world, account, store, beside, world.person(account, "admin"))
    for number, (instant, service) in enumerate(product(INSTANTS, SERVICES)):
        with world.at(instant):
            world.spend(store, f"{number}.{number:06d}", service=service)
            world.spend(beside, "0.000001", service=service)
    overhead(made, store, "0.123456", NOW - timedelta(days=3))
    for kind, instant in product(("projects", "clips", "rendered", "speech"), INSTANTS):
        made.make(kind, store, instant)
        made.make(kind, beside, instant)
    made.make("speech", store, NOW, deleted_at=NOW)
    made.make("clips", store, NOW, deleted_at=NOW)
    elsewhere = world.store(world.company())
    world.spend(elsewhere, "77")
    return made


def overhead(shop: Shop, store: UUID, usd: str, at: datetime) -> None:
    """A metered cost that does not count towards the quota."""
    seq = shop.world.value("update private.ledger_counters set last_seq = last_seq + 1 where account_id = %s "
                           "returning last_seq", shop.account)  # fmt: skip
    shop.world.insert(
        "public.cost_entries", id=uuid4(), account_id=shop.account, seq=seq, request_id=uuid4(), profile_id=store,
        profile_name="Quay", service="storage", operation="keep", model="disk", category="storage", units={},
        unit_prices={}, cost_usd=D(usd), counts_to_quota=False, occurred_at=at,
        booked_on=at.astimezone(UTC).date(), settled_at=at,
    )  # fmt: skip
    shop.world.as_worker().call("rebuild_cost_rollups", p_account_id=shop.account, p_month=date(2026, 11, 1))


@pytest.fixture(autouse=True)
def now(shared_world: World, shop: Shop) -> Iterator[None]:
    with shared_world.at(NOW):
        yield


@pytest.fixture
def of_store(shared_world: World, shop: Shop) -> Any:
    return lambda *args: reports.profile_dashboard(shared_world.as_person(shop.admin), shop.store, *args)


@pytest.fixture
def of_all(shared_world: World, shop: Shop) -> Any:
    return lambda *args: reports.account_dashboard(shared_world.as_person(shop.admin), shop.account, *args)


def asking(world: World, who: str, shop: Shop) -> UUID:
    if who == "stranger":
        return world.person(None)
    if who == "foreign admin":
        return world.person(world.company(), "admin")
    if who == "other manager":
        return world.person(shop.account, "manager", shop.beside)
    if who == "storeless manager":
        return world.person(shop.account, "manager")
    return world.person(shop.account, who, *([shop.store] if who == "manager" else []))


def test_the_example_covers_both_sides_of_every_edge(shop: Shop) -> None:
    """Otherwise the comparisons below could agree by chance."""
    sums = [sum(shop.ledger(shop.store, since=start).values()) for start in STARTS.values()]
    assert sums == sorted(set(sums))
    assert shop.world.money_differences() == []


class TestOneStore:
    @pytest.mark.parametrize("name", RANGES)
    def test_says_what_it_is_about(self, shop, of_store, name):
        found = of_store(name)
        assert (found.profile_id, found.time_range) == (shop.store, name)
        assert (found.from_day, found.as_of) == (FROM[name], NOW)
        assert found.bucket == ("month" if name == "all" else "day")
        assert found.stores == []

    def test_without_a_range_it_is_thirty_days(self, shared_world, shop, of_store):
        assert of_store().time_range == "30d"
        raw = shared_world.as_person(shop.admin).call("profile_dashboard", p_profile_id=shop.store)
        assert raw["time_range"] == "30d"

    @pytest.mark.parametrize("name", ["", "1d", "7D", "7d ", "all time", "'; drop table jobs"])
    def test_another_range_is_refused(self, shared_world, shop, of_store, of_all, name):
        door = shared_world.as_person(shop.admin)
        for ask in (
            lambda: of_store(name),
            lambda: of_all(name),
            lambda: door.call("profile_dashboard", p_profile_id=shop.store, p_range=name),
            lambda: door.call("account_dashboard", p_account_id=shop.account, p_range=name),
        ):
            with pytest.raises(InvalidInput, match="7d, 30d, 90d or all") as refused:
                ask()
            assert refused.value.field == "range"

    @pytest.mark.parametrize("name", RANGES)
    def test_counts_what_was_made_in_the_range(self, shop, of_store, name):
        counts = {kind: shop.count(kind, shop.store, since=STARTS[name])
                  for kind in ("projects", "clips", "rendered", "speech")}  # fmt: skip
        stats = of_store(name).stats
        assert stats.projects_count == counts["projects"]
        assert stats.clips_count == counts["clips"] + counts["rendered"]
        assert stats.rendered_count == counts["rendered"]
        assert stats.speech_count == counts["speech"]

    @pytest.mark.parametrize("name", RANGES)
    def test_costs_are_the_ledgers(self, shop, of_store, name):
        ledger, costs = shop.ledger(shop.store, since=STARTS[name]), of_store(name).costs
        assert costs.by_service == ledger
        assert (costs.elevenlabs, costs.gemini) == (ledger["elevenlabs"], ledger["gemini"])
        assert costs.total == sum(ledger.values())
        assert "storage" in costs.by_service

    @pytest.mark.parametrize("name", RANGES)
    def test_month_and_quota_stay_the_same_whatever_the_range(self, shop, of_store, name):
        month = sum(shop.ledger(shop.store, since=datetime(2026, 11, 1, tzinfo=UTC), counts=True).values())
        found = of_store(name)
        assert found.costs.monthly == found.quota.settled == month
        assert found.costs.monthly_quota == found.quota.limit == D(700)
        assert found.costs.quota_remaining == found.quota.left == D(700) - month > 0

    @pytest.mark.parametrize("name", RANGES)
    def test_the_bars_add_up_to_the_numbers(self, shop, of_store, name):
        found = of_store(name)
        assert sum(point.usd for point in found.spend) == found.costs.total
        assert {point.day for point in found.spend} >= {point.day for point in found.activity}
        assert min(point.day for point in found.spend) >= found.from_day
        stats = found.stats
        assert sum(point.count for point in found.activity) == (
            stats.projects_count + stats.clips_count + stats.speech_count
        )

    def test_each_bar_is_its_utc_days(self, shop, of_store):
        days: dict[tuple[date, str], Decimal] = {}
        for row in shop.world.rows("select * from public.cost_entries where profile_id = %s", shop.store):
            key = (row["occurred_at"].astimezone(UTC).date(), row["service"])
            days[key] = days.get(key, D(0)) + row["cost_usd"]
        found = {(point.day, point.service): point.usd for point in of_store("90d").spend}
        assert found == {key: usd for key, usd in days.items() if key[0] >= FROM["90d"]}

    def test_each_activity_bar_is_its_utc_days(self, shop, of_store):
        found = {(point.day, point.kind): point.count for point in of_store("90d").activity}
        for kind, names in {"projects": ("projects",), "clips": ("clips", "rendered"), "speech": ("speech",)}.items():
            for day in {at.date() for at in INSTANTS if at >= STARTS["90d"]}:
                made = sum(k in names and s == shop.store and at.date() == day for k, s, at in shop.made)
                assert found[day, kind] == made

    def test_over_all_time_a_bar_is_a_month(self, of_store):
        found = of_store("all")
        assert {point.day for point in found.spend} == {
            date(2024, 2, 1), date(2026, 8, 1), date(2026, 10, 1), date(2026, 11, 1),
        }  # fmt: skip

    def test_frames_hold_the_same_for_drawing(self, of_store):
        found = of_store("90d")
        spend, activity = found.spend_frame(), found.activity_frame()
        assert list(spend.columns) == ["day", "service", "usd"]
        assert list(activity.columns) == ["day", "kind", "count"]
        assert spend["usd"].sum() == pytest.approx(float(found.costs.total))
        assert activity["count"].sum() == sum(point.count for point in found.activity)

    def test_the_ten_newest_clips_are_shown(self, shop, of_store):
        clips = of_store("7d").recent_clips
        assert len(clips) == 10
        newest = sorted((at for kind, s, at in shop.made if kind in ("clips", "rendered") and s == shop.store))[-10:]
        assert [clip.created_at for clip in clips] == newest[::-1]
        assert {clip.final_status for clip in clips} == {"completed", "failed"}

    def test_an_unlimited_store_still_reports_its_spend(self, shared_world, shop):
        found = reports.profile_dashboard(shared_world.as_person(shop.admin), shop.beside, "all")
        assert found.costs.total == sum(shop.ledger(shop.beside, since=STARTS["all"]).values()) > 0
        assert found.costs.monthly > 0
        assert (found.costs.quota_remaining, found.costs.monthly_quota) == (None, 0)
        assert (found.quota.limit, found.quota.left, found.quota.exceeded) == (None, None, False)

    def test_a_lowered_quota_leaves_nothing_not_less(self, shared_world):
        account = shared_world.company()
        store = shared_world.store(account, quota="5")
        admin = shared_world.as_person(shared_world.person(account, "admin"))
        shared_world.spend(store, "5")
        shared_world.execute("update public.profiles set monthly_quota_usd = 2 where id = %s", store)
        found = reports.profile_dashboard(admin, store)
        assert (found.costs.monthly, found.costs.monthly_quota, found.costs.quota_remaining) == (5, 2, 0)
        assert found.quota.exceeded

    def test_what_is_held_is_not_left_but_not_spent_either(self, shared_world):
        account = shared_world.company()
        store = shared_world.store(account, quota="5")
        shared_world.as_worker().call("hold_cost", p_request_id=uuid4(), p_profile_id=store, p_estimate_usd=D(2),
                                      p_service="practice")  # fmt: skip
        found = reports.profile_dashboard(shared_world.as_person(shared_world.person(account, "admin")), store)
        assert (found.costs.total, found.costs.monthly, found.costs.quota_remaining) == (0, 0, 5)
        assert (found.quota.held, found.quota.left) == (2, 3)

    @pytest.mark.parametrize("name", RANGES)
    def test_a_new_store_has_zeros(self, shared_world, name):
        account = shared_world.company()
        store = shared_world.store(account)
        found = reports.profile_dashboard(shared_world.as_person(shared_world.person(account, "admin")), store, name)
        assert set(found.stats.model_dump().values()) == {0}
        assert (found.costs.total, found.costs.monthly, found.costs.by_service) == (0, 0, {})
        assert (found.spend, found.activity, found.recent_clips) == ([], [], [])
        assert found.spend_frame().empty
        assert found.activity_frame().empty

    @pytest.mark.parametrize("who", ["admin", "finance", "manager"])
    def test_whoever_may_read_it_reads_the_same(self, shared_world, shop, of_store, who):
        door = shared_world.as_person(asking(shared_world, who, shop))
        assert reports.profile_dashboard(door, shop.store, "90d") == of_store("90d")

    @pytest.mark.parametrize("who", ["other manager", "storeless manager", "stranger", "foreign admin"])
    def test_for_others_it_does_not_exist(self, shared_world, shop, who):
        door = shared_world.as_person(asking(shared_world, who, shop))
        with pytest.raises(NotFound) as theirs:
            reports.profile_dashboard(door, shop.store)
        with pytest.raises(NotFound) as nobodys:
            reports.profile_dashboard(door, uuid4())
        assert str(theirs.value) == str(nobodys.value)

    def test_nobody_anonymous_is_answered(self, shared_world, shop):
        for door in (shared_world.doors.anonymous(), shared_world.doors.local()):
            with pytest.raises(AppError):
                reports.profile_dashboard(door, shop.store)

    def test_an_archived_stores_history_can_be_read(self, shared_world):
        account = shared_world.company()
        store = shared_world.store(account)
        shared_world.spend(store, "5")
        shared_world.execute("update public.profiles set archived_at = now() where id = %s", store)
        admin = shared_world.as_person(shared_world.person(account, "admin"))
        assert reports.profile_dashboard(admin, store).costs.total == 5


class TestAllStores:
    @pytest.mark.parametrize("name", RANGES)
    def test_sums_are_the_ledgers_over_all_stores(self, shop, of_all, name):
        found: Dashboard = of_all(name)
        both, since = (shop.store, shop.beside), STARTS[name]
        assert found.costs.by_service == shop.ledger(*both, since=since)
        assert found.costs.total == sum(found.costs.by_service.values()) == sum(row.spent for row in found.stores)
        assert found.stats.speech_count == shop.count("speech", *both, since=since)
        assert found.stats.rendered_count == shop.count("rendered", *both, since=since)
        assert (found.profile_id, found.recent_clips, found.time_range) == (None, [], name)

    def test_the_companys_month_is_its_quotas(self, shop, of_all):
        found = of_all("7d")
        both = shop.ledger(shop.store, shop.beside, since=datetime(2026, 11, 1, tzinfo=UTC), counts=True)
        assert found.costs.monthly == found.quota.settled == sum(both.values())
        assert found.quota.limit == 10_000

    @pytest.mark.parametrize("name", RANGES)
    def test_each_row_is_its_stores_own_dashboard(self, shared_world, shop, of_all, name):
        for row in of_all(name).stores:
            own = reports.profile_dashboard(shared_world.as_person(shop.admin), row.id, name)
            assert (row.quota, row.spent) == (own.quota, own.costs.total)

    @pytest.mark.parametrize(
        ("who", "codes", "sees_company"),
        [("admin", {"001", "002"}, True), ("finance", {"001", "002"}, True), ("manager", {"001"}, False),
         ("other manager", {"002"}, False), ("storeless manager", set(), False)],
    )  # fmt: skip
    def test_shows_ones_own_stores_only(self, shared_world, shop, who, codes, sees_company):
        found = reports.account_dashboard(shared_world.as_person(asking(shared_world, who, shop)), shop.account, "all")
        stores = [store for store, code in ((shop.store, "001"), (shop.beside, "002")) if code in codes]
        assert {row.code for row in found.stores} == codes
        assert found.costs.by_service == shop.ledger(*stores, since=STARTS["all"])
        assert found.stats.speech_count == shop.count("speech", *stores, since=STARTS["all"])
        assert sum(point.usd for point in found.spend) == found.costs.total
        assert (found.quota is not None) == sees_company

    @pytest.mark.parametrize("who", ["stranger", "foreign admin"])
    def test_for_others_the_company_does_not_exist(self, shared_world, shop, who):
        door = shared_world.as_person(asking(shared_world, who, shop))
        with pytest.raises(NotFound):
            reports.account_dashboard(door, shop.account)

    def test_the_worst_store_comes_first(self, shared_world):
        account = shared_world.company()
        admin = shared_world.as_person(shared_world.person(account, "admin"))
        spent = {"C-near": ("10", "9.5"), "E-over": ("2", "2"), "B-half": ("4", "2"), "D-half": ("4", "2"),
                 "A-fine": ("10", "1"), "G-free": ("0", "500"), "F-free": ("0", "0.5")}  # fmt: skip
        for code, (quota, usd) in spent.items():
            store = shared_world.store(account, code=code, quota=quota)
            shared_world.spend(store, usd)
            if code in ("D-half", "G-free"):
                fail(shared_world, account, store, NOW)
        shared_world.execute("update public.profiles set monthly_quota_usd = 1 where account_id = %s and code = %s",
                             account, "E-over")  # fmt: skip
        rows = reports.account_dashboard(admin, account).stores
        assert [row.code for row in rows] == [
            "E-over", "C-near", "D-half", "B-half", "A-fine", "G-free", "F-free",
        ]  # fmt: skip
        assert [row.used_share for row in rows] == [2, D("0.95"), D("0.5"), D("0.5"), D("0.1"), None, None]
        assert [row.failed_jobs for row in rows] == [0, 0, 1, 0, 0, 1, 0]

    def test_failed_jobs_obey_the_range_and_the_last_speech_does_not(self, shared_world):
        account = shared_world.company()
        store = shared_world.store(account, suspended_at=NOW)
        admin = shared_world.as_person(shared_world.person(account, "admin"))
        for at in (STARTS["7d"], STARTS["7d"] - MOMENT):
            fail(shared_world, account, store, at)
        long_ago = datetime(2025, 1, 1, tzinfo=UTC)
        Shop(shared_world, account, store, store, UUID(int=0)).make("speech", store, long_ago)
        (week,) = reports.account_dashboard(admin, account, "7d").stores
        (ever,) = reports.account_dashboard(admin, account, "all").stores
        assert (week.failed_jobs, ever.failed_jobs) == (1, 2)
        assert week.last_speech_at == ever.last_speech_at == long_ago
        assert week.suspended

    def test_archived_stores_have_no_row_but_their_money_is_not_lost(self, shared_world):
        account = shared_world.company(quota="100")
        kept, gone = shared_world.store(account, code="001"), shared_world.store(account, code="002")
        shared_world.spend(kept, "3")
        shared_world.spend(gone, "4")
        shared_world.execute("update public.profiles set archived_at = now() where id = %s", gone)
        admin = shared_world.as_person(shared_world.person(account, "admin"))
        found = reports.account_dashboard(admin, account)
        assert [row.code for row in found.stores] == ["001"]
        assert found.costs.total == found.costs.monthly == found.quota.settled == 7


def fail(world: World, account: UUID, store: UUID, at: datetime) -> None:
    job = uuid4()
    world.insert("public.jobs", id=job, account_id=account, profile_id=store, kind="speech", status="failed",
                 request_id=job, created_at=at)  # fmt: skip


class TestSummary:
    TODAY = datetime(2026, 11, 21, tzinfo=UTC)

    @pytest.mark.parametrize(("who", "codes"), [("admin", "QD"), ("finance", "QD"), ("manager", "Q"),
                                                ("other manager", "D"), ("storeless manager", "")])  # fmt: skip
    def test_adds_up_what_the_person_sees(self, shared_world, shop, who, codes):
        door = shared_world.as_person(asking(shared_world, who, shop))
        seen = [store for store, code in ((shop.store, "Q"), (shop.beside, "D")) if code in codes]
        for stores, asked in [(seen, None), *(([store], store) for store in seen)]:
            found = reports.summary(door, shop.account, asked)
            assert found.as_of == NOW
            assert found.all_time == sum(shop.ledger(*stores, since=STARTS["all"]).values())
            assert found.today == sum(shop.ledger(*stores, since=self.TODAY).values())

    @pytest.mark.parametrize("who", ["stranger", "foreign admin"])
    def test_a_company_that_is_not_the_persons_is_not_found(self, shared_world, shop, who):
        with pytest.raises(NotFound):
            reports.summary(shared_world.as_person(asking(shared_world, who, shop)), shop.account)

    @pytest.mark.parametrize("who", ["other manager", "storeless manager"])
    def test_a_store_that_is_not_the_persons_is_not_found(self, shared_world, shop, who):
        with pytest.raises(NotFound):
            reports.summary(shared_world.as_person(asking(shared_world, who, shop)), shop.account, shop.store)

    def test_a_store_of_another_company_is_not_found(self, shared_world, shop):
        foreign = shared_world.store(shared_world.company())
        with pytest.raises(NotFound):
            reports.summary(shared_world.as_person(shop.admin), shop.account, foreign)


class TestMonthlyCost:
    @pytest.mark.parametrize("day", [date(2026, 10, 1), date(2026, 10, 31), date(2026, 11, 15), date(2024, 2, 29)])
    def test_is_the_ledgers_of_that_utc_month(self, shared_world, shop, day):
        first = datetime(day.year, day.month, 1, tzinfo=UTC)
        after = datetime(day.year, day.month + 1, 1, tzinfo=UTC)
        expected = sum(shop.ledger(shop.store, since=first, counts=True).values()) - sum(
            shop.ledger(shop.store, since=after, counts=True).values()
        )
        assert reports.monthly_cost(shared_world.as_person(shop.admin), shop.store, day) == expected > 0

    def test_a_month_without_costs_has_none(self, shared_world, shop):
        assert reports.monthly_cost(shared_world.as_person(shop.admin), shop.store, date(2026, 9, 1)) == 0

    @pytest.mark.parametrize("who", ["other manager", "stranger", "foreign admin"])
    def test_somebody_elses_store_is_not_found(self, shared_world, shop, who):
        with pytest.raises(NotFound):
            reports.monthly_cost(shared_world.as_person(asking(shared_world, who, shop)), shop.store, NOW.date())
