"""Which stores a person may choose, their quota, first steps, and how an admin changes a limit."""

from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from services import profiles
from services.errors import AppError, InvalidInput, NotAllowed, NotFound, QuotaExceeded
from services.profiles import Quota
from tests.builders import World, speech
from tests.publishing.shop import connect

D = Decimal


@pytest.fixture
def account(shared_world: World) -> UUID:
    return shared_world.company()


def person(world: World, who: str, account: UUID, *stores: UUID) -> UUID:
    if who == "stranger":
        return world.person(None)
    if who == "foreign admin":
        return world.person(world.company(), "admin")
    return world.person(account, who, *stores)


def codes(world: World, person_id: UUID, account: UUID) -> list[str]:
    return [store.code for store in profiles.my_stores(world.as_person(person_id), account)]


class TestMyStores:
    @pytest.mark.parametrize(
        ("who", "seen"),
        [
            ("admin", ["001", "002", "003"]),
            ("finance", ["001", "002", "003"]),
            ("manager", ["001", "003"]),
            ("stranger", []),
            ("foreign admin", []),
        ],
    )
    def test_are_those_of_ones_role_by_number(self, shared_world, account, who, seen):
        third, first, _ = (shared_world.store(account, code=code) for code in ("003", "001", "002"))
        shared_world.store(account, code="000", archived_at="2026-01-01")
        member = person(shared_world, who, account, *([first, third] if who == "manager" else []))
        assert codes(shared_world, member, account) == seen

    def test_an_archived_store_is_gone_for_its_manager_too(self, shared_world, account):
        store = shared_world.store(account, archived_at="2026-01-01")
        manager = shared_world.person(account, "manager", store)
        assert codes(shared_world, manager, account) == []

    def test_companies_of_one_person_are_kept_apart(self, shared_world, account):
        other = shared_world.company()
        shared_world.store(account, code="A1")
        shared_world.store(other, code="B1")
        admin = shared_world.person(account, "admin")
        shared_world.insert("public.members", account_id=other, person_id=admin, role="finance")
        assert codes(shared_world, admin, account) == ["A1"]
        assert codes(shared_world, admin, other) == ["B1"]

    def test_say_all_a_page_needs(self, shared_world, account):
        store_id = shared_world.store(
            account, "Quay", quota="20", code="007", city="Bucharest", timezone="Europe/Bucharest",
            suspended_at="2026-01-01", suspended_reason="stocktaking", allow_free_voices_over_quota=True,
            tts_settings={"speed": 1.1},
        )  # fmt: skip
        (store,) = profiles.my_stores(shared_world.as_person(shared_world.person(account, "admin")), account)
        assert (store.id, store.account_id, store.label) == (store_id, account, "007 · Quay")
        assert (store.city, store.timezone, store.tts_settings) == ("Bucharest", "Europe/Bucharest", {"speed": 1.1})
        assert (store.suspended, store.suspended_reason) == (True, "stocktaking")
        assert store.allow_free_voices_over_quota
        assert store.quota == Quota(limit=D(20), settled=D(0), held=D(0), left=D(20), exceeded=False)

    def test_the_quota_knows_spent_held_and_grants(self, shared_world, account):
        store = shared_world.store(account, quota="10")
        admin = shared_world.person(account, "admin")
        shared_world.insert("public.quota_grants", id=uuid4(), account_id=account, profile_id=store, amount_usd="2.50",
                            valid_from="2020-01-01", valid_until="2100-01-01", reason="fair",
                            granted_by=admin)  # fmt: skip
        shared_world.spend(store, "4.25")
        shared_world.as_worker().call("hold_cost", p_request_id=uuid4(), p_profile_id=store, p_estimate_usd=D("0.75"),
                                      p_service="practice")  # fmt: skip
        (found,) = profiles.my_stores(shared_world.as_person(admin), account)
        assert found.quota == Quota(limit=D("12.5"), settled=D("4.25"), held=D("0.75"), left=D("7.5"), exceeded=False)
        assert found.quota.used_share == D("0.4")

    def test_unlimited_stores_still_report_what_they_spent(self, shared_world, account):
        store = shared_world.store(account)
        shared_world.spend(store, "4.25")
        (found,) = profiles.my_stores(shared_world.as_person(shared_world.person(account, "admin")), account)
        assert found.quota == Quota(limit=None, settled=D("4.25"), held=D(0), left=None, exceeded=False)
        assert (found.quota.used_share, found.quota.near) == (None, False)


class TestCheckQuota:
    @pytest.mark.parametrize("who", ["admin", "finance", "manager"])
    def test_tells_a_stores_limit_in_one_call(self, shared_world, account, who):
        store = shared_world.store(account, quota="10")
        door = shared_world.as_person(person(shared_world, who, account, *([store] if who == "manager" else [])))
        shared_world.spend(store, "9.999999")
        expected = {"limit": D(10), "settled": D("9.999999"), "held": D(0), "left": D("0.000001"), "exceeded": False}
        assert profiles.check_quota(door, store).model_dump() == expected
        shared_world.spend(store, "0.000001")
        assert profiles.check_quota(door, store).exceeded, "reaching it exactly counts"

    @pytest.mark.parametrize("who", ["manager", "stranger", "foreign admin"])
    def test_somebody_elses_store_is_not_found(self, shared_world, account, who):
        store = shared_world.store(account, quota="10")
        with pytest.raises(NotFound):
            profiles.check_quota(shared_world.as_person(person(shared_world, who, account)), store)


@pytest.mark.parametrize(
    ("settled", "held", "near"),
    [("8.999999", "0", False), ("9", "0", True), ("0", "9", True), ("4.5", "4.5", True), ("15", "0", True)],
)
def test_a_quota_warns_from_ninety_percent_on(settled, held, near):
    quota = Quota(limit=D(10), settled=D(settled), held=D(held), left=D(0), exceeded=False)
    assert quota.near is near


class TestChecklist:
    def test_each_step_is_ticked_by_a_fact(self, shared_world, account):
        store = shared_world.store(account)
        admin = shared_world.as_person(shared_world.person(account, "admin"))

        def ticks() -> set[str]:
            steps = profiles.checklist(admin, account)
            assert steps is not None
            assert steps.done == all(steps.model_dump().values())
            return {name for name, done in steps if done}

        assert ticks() == set()
        profiles.set_quota(admin, account, store, "0", "unlimited on purpose")
        assert ticks() == {"quota"}
        shared_world.person(account, "manager", store)
        assert ticks() == {"quota", "manager"}
        shared_world.clip(store, shared_world.project(store))
        connect(shared_world, account)
        assert ticks() == {"quota", "manager", "clip", "postiz"}
        made = uuid4()
        shared_world.insert(
            "public.speech_assets", id=made, account_id=account, profile_id=store, text="x", content_hash="h",
            provider="practice", model="premium", voice="heart", settings={}, format="mp3", characters=1,
            duration_seconds=1, bytes=1, media_path=str(made), cost_usd=0,
        )  # fmt: skip
        assert ticks() == {"quota", "manager", "clip", "postiz", "spoke"}

    @pytest.mark.parametrize("who", ["manager", "finance", "stranger", "foreign admin"])
    def test_others_see_none(self, shared_world, account, who):
        member = person(shared_world, who, account)
        assert profiles.checklist(shared_world.as_person(member), account) is None


class TestSetQuota:
    @pytest.fixture
    def store(self, shared_world: World, account: UUID) -> UUID:
        return shared_world.store(account, quota="10")

    @pytest.fixture
    def admin(self, shared_world: World, account: UUID) -> UUID:
        return shared_world.person(account, "admin", name="Boss")

    def quota(self, world: World, store: UUID) -> Decimal:
        return world.value("select monthly_quota_usd from public.profiles where id = %s", store)

    @pytest.mark.parametrize(
        ("typed", "quota"),
        [("25", "25"), (" $25.50 ", "25.50"), ("1,250.5", "1250.50"), ("12,345,678.90", "12345678.90"), ("0", "0"),
         ("0.01", "0.01"), ("99999999", "99999999"), ("007", "7"), ("10.00000", "10")],
    )  # fmt: skip
    def test_reads_what_admins_type(self, shared_world, account, store, admin, typed, quota):
        assert profiles.set_quota(shared_world.as_person(admin), account, store, typed, "why") == D(quota)
        assert self.quota(shared_world, store) == D(quota)

    @pytest.mark.parametrize(
        "typed",
        ["", " ", "ten", "$", "12,50", "1,25", ",5", "1.250,00", "1e3", "NaN", "Infinity", "1_000", "٢٥", "25 USD",
         "-1", "0.001", "9.999", "99999999.01", "1" * 400],
    )  # fmt: skip
    def test_refuses_what_is_no_amount_beside_its_field(self, shared_world, account, store, admin, typed):
        with pytest.raises(InvalidInput) as refused:
            profiles.set_quota(shared_world.as_person(admin), account, store, typed, "why")
        assert refused.value.field == "quota"
        assert self.quota(shared_world, store) == D(10)

    @pytest.mark.parametrize("reason", ["", "   "])
    def test_asks_for_a_reason(self, shared_world, account, store, admin, reason):
        with pytest.raises(InvalidInput) as refused:
            profiles.set_quota(shared_world.as_person(admin), account, store, "20", reason)
        assert refused.value.field == "reason"
        assert self.quota(shared_world, store) == D(10)

    def test_keeps_who_what_and_why(self, shared_world, account, store, admin):
        profiles.set_quota(shared_world.as_person(admin), account, store, "20", " Black Friday ")
        (change,) = shared_world.rows("select * from public.quota_changes where account_id = %s", account)
        assert (change["profile_id"], change["before_usd"], change["after_usd"]) == (store, D(10), D(20))
        assert (change["reason"], change["changed_by"]) == ("Black Friday", admin)
        (entry,) = shared_world.rows("select * from public.audit_log where account_id = %s", account)
        assert (entry["action"], entry["person_name"], entry["profile_id"]) == ("quota_changed", "Boss", store)
        assert (entry["before"], entry["after"]) == (
            {"monthly_quota_usd": "10.00"},
            {"monthly_quota_usd": "20"},
        )

    def test_the_company_has_a_limit_of_its_own(self, shared_world, account, store, admin):
        profiles.set_quota(shared_world.as_person(admin), account, None, "5", "all stores together")
        assert self.quota(shared_world, store) == D(10)
        shared_world.spend(store, "5")
        with pytest.raises(QuotaExceeded, match="company's monthly quota"):
            shared_world.spend(store, "0.01")

    def test_lowered_below_what_is_spent_it_only_stops_new_work(self, shared_world, account, store, admin):
        shared_world.spend(store, "6")
        manager = shared_world.as_person(shared_world.person(account, "manager", store))
        profiles.set_quota(shared_world.as_person(admin), account, store, "3", "savings")
        (found,) = profiles.my_stores(manager, account)
        assert (found.quota.settled, found.quota.left, found.quota.exceeded) == (D(6), D(0), True)
        assert found.quota.used_share == D(2)
        with pytest.raises(QuotaExceeded):
            manager.call("enqueue_speech", p_job_id=uuid4(), p_profile_id=store, p_speech=speech())

    @pytest.mark.parametrize(
        ("who", "error"),
        [("manager", NotAllowed), ("finance", NotAllowed), ("stranger", NotFound), ("foreign admin", NotFound)],
    )
    @pytest.mark.parametrize("whole_company", [False, True])
    def test_only_admins_may(self, shared_world, account, store, who, error, whole_company):
        asking = shared_world.as_person(person(shared_world, who, account, *([store] if who == "manager" else [])))
        with pytest.raises(AppError) as refused:
            profiles.set_quota(asking, account, None if whole_company else store, "9999", "mine")
        assert type(refused.value) is error
        assert self.quota(shared_world, store) == D(10)

    @pytest.mark.parametrize("theirs", [True, False])
    def test_a_store_of_another_company_is_not_found(self, shared_world, account, admin, theirs):
        foreign = shared_world.store(shared_world.company(), quota="10") if theirs else uuid4()
        with pytest.raises(NotFound, match="Store not found"):
            profiles.set_quota(shared_world.as_person(admin), account, foreign, "20", "why")
        assert shared_world.rows("select from public.quota_changes where profile_id = %s", foreign) == []
