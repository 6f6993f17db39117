"""Stores as admins keep them: who may, what is kept, and two who save at once."""

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from services import stores
from services.costs import prices
from services.errors import Conflict, InvalidInput, NotAllowed, NotFound, QuotaExceeded, StoreSuspended
from services.profiles import my_stores
from services.speech import dictionary
from services.stores import Identity, StoreRecord
from tests.builders import World, speech

ZONE = "Europe/London"


def identity(code: str = "104", name: str = "Harbour Street", **more: str) -> Identity:
    return Identity(**{"code": code, "name": name, "timezone": ZONE, **more})


@pytest.fixture
def company(shared_world: World) -> UUID:
    return shared_world.company()


@pytest.fixture
def admin(shared_world: World, company: UUID) -> UUID:
    return shared_world.person(company, "admin", name="Ada")


@pytest.fixture
def desk(shared_world: World, admin: UUID):
    return shared_world.as_person(admin)


def record(desk, company: UUID, store: UUID) -> StoreRecord:
    return next(found for found in stores.of_company(desk, company) if found.id == store)


def log(world: World, store: UUID, action: str) -> dict:
    query = "select reason, before, after, person_name from public.audit_log where profile_id = %s and action = %s"
    (row,) = world.rows(query, store, action)
    return row


class TestIdentity:
    def test_a_new_store_is_there_with_everything(self, shared_world: World, desk, company: UUID):
        store = uuid4()
        stores.create(desk, company, store, identity(city=" Bristol ", phone="+44 117 496 0104", cost_centre="4104"))
        found = record(desk, company, store)
        assert (found.code, found.name, found.city, found.phone) == (
            "104",
            "Harbour Street",
            "Bristol",
            "+44 117 496 0104",
        )
        assert (found.cost_centre, found.timezone, found.version) == ("4104", ZONE, 1)
        assert log(shared_world, store, "store_created")["after"]["city"] == "Bristol"
        assert [s.slug for s in my_stores(desk, company)] == ["harbour-street"]

    def test_the_same_request_again_changes_nothing(self, desk, company: UUID):
        store = uuid4()
        for _ in range(2):
            stores.create(desk, company, store, identity())
        assert len(stores.of_company(desk, company)) == 1
        with pytest.raises(Conflict, match="sent before"):
            stores.create(desk, company, store, identity(name="Elsewhere"))

    def test_addresses_of_stores_of_one_name_differ(self, desk, company: UUID):
        for code, name in (("1", "Quay"), ("2", "Quay"), ("3", "All"), ("4", "東京")):
            stores.create(desk, company, uuid4(), identity(code, name))
        assert [store.slug for store in my_stores(desk, company)] == ["quay", "quay-2", "store-all", "store"]

    @pytest.mark.parametrize(
        ("field", "value"),
        [("code", ""), ("code", "a b"), ("code", "x" * 17), ("name", "  "), ("name", "x" * 121), ("phone", "call me"),
         ("city", "x" * 81), ("cost_centre", "x" * 41), ("timezone", "Mars/Base"), ("timezone", "")],
    )  # fmt: skip
    def test_bad_input_is_said_beside_its_field(self, desk, company: UUID, field: str, value: str):
        with pytest.raises(InvalidInput) as told:
            stores.create(desk, company, uuid4(), identity().model_copy(update={field: value}))
        assert told.value.field == field
        assert stores.of_company(desk, company) == []

    def test_a_number_is_given_once_in_capitals_or_not(self, shared_world: World, desk, company: UUID):
        shared_world.store(company, "Old", code="A1", archived_at=datetime.now(UTC))
        with pytest.raises(InvalidInput, match=r"archived store Old has the number A1\. Bring it back") as told:
            stores.create(desk, company, uuid4(), identity("a1"))
        assert told.value.field == "code"

    def test_a_change_is_logged_before_and_after(self, shared_world: World, desk, company: UUID):
        store = shared_world.store(company, "Quay", code="7", city="Hull")
        assert stores.save(desk, store, identity("8", "Quay", city="Hull"), 1) == 2
        entry = log(shared_world, store, "store_changed")
        assert (entry["person_name"], entry["before"]["code"], entry["after"]["code"]) == ("Ada", "7", "8")
        assert "city" not in entry["after"]

    def test_saving_what_is_there_counts_for_nothing(self, shared_world: World, desk, company: UUID):
        store = shared_world.store(company, "Harbour Street", code="104", timezone=ZONE)
        assert stores.save(desk, store, identity(), 1) == 1
        assert shared_world.rows("select from public.audit_log where profile_id = %s", store) == []

    def test_many_stores_come_whole(self, shared_world: World, desk, company: UUID, monkeypatch):
        monkeypatch.setattr(stores, "ROW_CAP", 2)
        for code in "12345":
            shared_world.store(company, code=code)
        assert [found.code for found in stores.of_company(desk, company)] == list("12345")

    @pytest.mark.parametrize("role", ["manager", "finance"])
    def test_other_roles_change_nothing(self, shared_world: World, company: UUID, role: str):
        store = shared_world.store(company)
        door = shared_world.as_person(shared_world.person(company, role, store))
        for change in (
            lambda: stores.create(door, company, uuid4(), identity()),
            lambda: stores.save(door, store, identity(), 1),
            lambda: stores.suspend(door, store, "because"),
            lambda: stores.archive(door, store, "because"),
            lambda: stores.restore(door, store, "because"),
            lambda: stores.copy_settings(door, store, [store], ["voice"], "because", ""),
        ):
            with pytest.raises(NotAllowed, match="Only an admin"):
                change()

    def test_strangers_find_nothing(self, shared_world: World, company: UUID):
        store = shared_world.store(company)
        stranger = shared_world.as_person(shared_world.person(shared_world.company("Rival"), "admin"))
        for change in (
            lambda: stores.create(stranger, company, uuid4(), identity()),
            lambda: stores.save(stranger, store, identity(), 1),
            lambda: stores.work(stranger, store),
            lambda: stores.preview_copy(stranger, store, [store], ["voice"]),
        ):
            with pytest.raises(NotFound):
                change()


class TestTwoAdmins:
    def test_the_second_of_one_store_is_told(self, shared_world: World, desk, company: UUID):
        store = shared_world.store(company, "Quay", code="7")
        second = shared_world.as_person(shared_world.person(company, "admin"))
        stores.save(desk, store, identity("7", "Quay North"), 1)
        with pytest.raises(Conflict, match="Somebody saved this meanwhile"):
            stores.save(second, store, identity("7", "Quay South"), 1)
        assert record(desk, company, store).name == "Quay North"

    def test_at_the_same_instant_one_wins(self, shared_world: World, desk, company: UUID):
        store, told, start = shared_world.store(company, "Quay", code="7"), [], threading.Barrier(8)

        def save(number: int) -> None:
            start.wait()
            try:
                stores.save(desk, store, identity("7", f"Quay {number}"), 1)
            except Conflict as exc:
                told.append(str(exc))

        run_all([threading.Thread(target=save, args=(number,)) for number in range(8)])
        assert len(told) == 7
        assert record(desk, company, store).version == 2

    def test_different_stores_and_sections_all_survive(self, shared_world: World, desk, company: UUID):
        several = [shared_world.store(company, f"Store {n}", code=f"{n}") for n in range(4)]
        changes = [
            *(
                lambda s=store, n=n: stores.save(desk, s, identity(f"{n}", f"New {n}"), 1)
                for n, store in enumerate(several)
            ),
            lambda: stores.suspend(desk, several[0], "Flooded"),
            lambda: stores.save_company(
                desk, company, name="Bakers", timezone=ZONE, new_store_quota=Decimal(5), version=1, reason="Budget"
            ),
        ]
        run_all([threading.Thread(target=change) for change in changes])
        found = [record(desk, company, store) for store in several]
        assert [store.name for store in found] == ["New 0", "New 1", "New 2", "New 3"]
        assert found[0].suspended_reason == "Flooded"
        assert stores.company(desk, company).name == "Bakers"

    def test_two_new_stores_cannot_take_one_number(self, desk, company: UUID):
        told, start = [], threading.Barrier(6)

        def create(number: int) -> None:
            start.wait()
            try:
                stores.create(desk, company, uuid4(), identity("7", f"Quay {number}"))
            except InvalidInput as exc:
                told.append(str(exc))

        run_all([threading.Thread(target=create, args=(number,)) for number in range(6)])
        assert len(told) == 5
        assert all("has the number 7 already" in sentence for sentence in told)


def run_all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class TestSuspending:
    def test_it_stops_new_orders_until_it_is_lifted(self, shared_world: World, desk, company: UUID):
        store = shared_world.store(company)
        stores.suspend(desk, store, "Not paid")
        with pytest.raises(StoreSuspended, match="Not paid"):
            order(desk, store)
        stores.lift_suspension(desk, store, "Paid")
        order(desk, store)
        assert log(shared_world, store, "store_suspended")["after"] == {"suspended": "Not paid"}
        assert log(shared_world, store, "suspension_lifted")["reason"] == "Paid"

    def test_twice_is_told(self, shared_world: World, desk, company: UUID):
        store = shared_world.store(company)
        stores.suspend(desk, store, "Not paid")
        with pytest.raises(Conflict, match="Somebody suspended"):
            stores.suspend(desk, store, "Flooded")
        assert record(desk, company, store).suspended_reason == "Not paid"

    @pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
    def test_a_reason_is_needed(self, shared_world: World, desk, company: UUID, reason: str):
        store = shared_world.store(company)
        for change in (stores.suspend, stores.archive, stores.lift_suspension):
            with pytest.raises(InvalidInput) as told:
                change(desk, store, reason)
            assert told.value.field == "reason"


def order(desk, store: UUID) -> UUID:
    job = uuid4()
    desk.call("enqueue_speech", p_job_id=job, p_profile_id=store, p_speech=speech())
    return job


class TestArchiving:
    def test_an_archived_store_keeps_its_history_under_its_name(self, shared_world: World, desk, company: UUID):
        store = shared_world.store(company, "Quay", quota="10")
        shared_world.spend(store, "1.5")
        stores.archive(desk, store, "Lease ended")
        assert my_stores(desk, company) == []
        assert record(desk, company, store).archived_at
        (entry,) = shared_world.rows(
            "select profile_name, cost_usd from public.cost_entries where profile_id = %s", store
        )
        assert entry == {"profile_name": "Quay", "cost_usd": Decimal("1.5")}
        assert log(shared_world, store, "store_archived")["reason"] == "Lease ended"
        with pytest.raises(NotFound):
            order(desk, store)
        stores.restore(desk, store, "Lease renewed")
        assert [found.name for found in my_stores(desk, company)] == ["Quay"]
        order(desk, store)

    def test_not_while_money_is_held(self, shared_world: World, desk, company: UUID):
        store = shared_world.store(company, "Quay", quota="10")
        job = order(desk, store)
        work = stores.work(desk, store)
        assert (work.waiting, work.running, work.open, work.held) == (1, 0, 1, Decimal("0.0057"))
        assert work.holds[0].job_id == job
        with pytest.raises(Conflict, match=r"\(1 open: \$0\.0057 for practice since .* UTC\)"):
            stores.archive(desk, store, "Lease ended")
        desk.call("cancel_job", p_job_id=job)
        stores.archive(desk, store, "Lease ended")

    def test_an_order_at_the_same_instant_is_counted_or_refused(self, shared_world: World, desk, company: UUID):
        for _ in range(5):
            store, orders, archived, start = shared_world.store(company), [], [], threading.Barrier(2)
            run_all(
                [
                    threading.Thread(target=attempt, args=(start, orders, lambda s=store: order(desk, s))),
                    threading.Thread(
                        target=attempt, args=(start, archived, lambda s=store: stores.archive(desk, s, "x"))
                    ),
                ]
            )
            assert orders != archived, "one of them comes first, and the other is told"

    def test_it_is_not_renamed_while_archived(self, shared_world: World, desk, company: UUID):
        store = shared_world.store(company)
        stores.archive(desk, store, "Lease ended")
        with pytest.raises(Conflict, match="Bring it back first"):
            stores.save(desk, store, identity(), 1)


def attempt(start: threading.Barrier, done: list[bool], change) -> None:
    start.wait()
    try:
        change()
    except (Conflict, NotFound):
        done.append(False)
    else:
        done.append(True)


class TestCopying:
    @pytest.fixture
    def source(self, shared_world: World, desk, company: UUID) -> UUID:
        store = shared_world.store(
            company, "Quay", tts_settings={"voice": "heart", "speed": 1.1}, allow_free_voices_over_quota=True
        )
        dictionary.say(desk, store, "Rye", "rai")
        dictionary.say(desk, store, "Cinder", "sinder")
        return store

    def test_what_was_previewed_is_copied_and_no_more(self, shared_world: World, desk, company: UUID, source: UUID):
        target, other = shared_world.store(company, "Hill"), shared_world.store(company, "Other")
        dictionary.say(desk, target, "rye", "ree")
        dictionary.say(desk, target, "Own", "oan")
        seen = stores.preview_copy(desk, source, [target], ["voice", "free", "words"])
        (one,) = seen.stores
        assert (one.voice, one.free, one.words_new, one.words_changed) == (True, True, 1, 1)
        assert stores.copy_settings(desk, source, [target], ["voice", "free", "words"], "One voice", seen.mark) == 1
        (row,) = shared_world.rows("select * from public.profiles where id = %s", target)
        assert (row["tts_settings"], row["allow_free_voices_over_quota"]) == ({"voice": "heart", "speed": 1.1}, True)
        assert {w.term: w.say for w in dictionary.words(desk, target)} == {
            "Cinder": "sinder",
            "Own": "oan",
            "Rye": "rai",
        }
        assert shared_world.value("select tts_settings from public.profiles where id = %s", other) == {}
        entry = log(shared_world, target, "settings_copied")
        assert (entry["reason"], entry["before"]["voice"], entry["after"]["voice"]["voice"]) == (
            "One voice",
            {},
            "heart",
        )

    def test_a_part_that_was_not_chosen_stays(self, shared_world: World, desk, company: UUID, source: UUID):
        target = shared_world.store(company)
        seen = stores.preview_copy(desk, source, [target], ["words"])
        stores.copy_settings(desk, source, [target], ["words"], "Names", seen.mark)
        (row,) = shared_world.rows("select * from public.profiles where id = %s", target)
        assert (row["tts_settings"], row["allow_free_voices_over_quota"]) == ({}, False)

    def test_a_stale_preview_is_refused(self, shared_world: World, desk, company: UUID, source: UUID):
        target = shared_world.store(company)
        seen = stores.preview_copy(desk, source, [target], ["words"])
        dictionary.say(desk, source, "Bap", "bæp")
        with pytest.raises(Conflict, match="Look at the preview again"):
            stores.copy_settings(desk, source, [target], ["words"], "Names", seen.mark)
        assert dictionary.words(desk, target) == []

    def test_only_own_present_stores_are_copied_to(self, shared_world: World, desk, company: UUID, source: UUID):
        foreign = shared_world.store(shared_world.company("Rival"))
        gone = shared_world.store(company, archived_at=datetime.now(UTC))
        for target in (foreign, gone, source):
            with pytest.raises(InvalidInput, match="Choose other stores"):
                stores.preview_copy(desk, source, [target], ["voice"])
        with pytest.raises(InvalidInput, match="Choose what to copy"):
            stores.preview_copy(desk, source, [shared_world.store(company)], [])

    def test_a_dictionary_does_not_grow_beyond_its_bound(self, shared_world: World, desk, company: UUID, source: UUID):
        target = shared_world.store(company, "Full")
        shared_world.execute(
            "insert into public.pronunciations (id, account_id, profile_id, term, say)"
            " select gen_random_uuid(), %s, %s, 'w' || n, 'x' from generate_series(1, 499) n",
            company, target,
        )  # fmt: skip
        seen = stores.preview_copy(desk, source, [target], ["words"])
        with pytest.raises(InvalidInput, match="dictionary of Full"):
            stores.copy_settings(desk, source, [target], ["words"], "Names", seen.mark)


class TestCompany:
    def test_new_stores_start_with_the_companys_default(self, shared_world: World, desk, company: UUID):
        values = {"name": "Bakers", "timezone": ZONE, "new_store_quota": Decimal("0.01")}
        stores.save_company(desk, company, **values, version=1, reason="Budget")
        store = uuid4()
        stores.create(desk, company, store, identity())
        assert record(desk, company, store).monthly_quota_usd == Decimal("0.01")
        (change,) = stores.quota_history(desk, company, store)
        assert (change.before_usd, change.after_usd, change.reason) == (
            0,
            Decimal("0.01"),
            "What new stores start with",
        )
        order(desk, store)
        with pytest.raises(QuotaExceeded):
            desk.call("enqueue_speech", p_job_id=uuid4(), p_profile_id=store, p_speech=speech("x" * 40))

    def test_the_second_of_two_savers_is_told(self, desk, company: UUID):
        values = {"name": "Bakers", "timezone": ZONE, "new_store_quota": Decimal(0)}
        assert stores.save_company(desk, company, **values, version=1) == 2
        with pytest.raises(Conflict, match="Somebody saved this meanwhile"):
            stores.save_company(desk, company, **values, version=1)

    @pytest.mark.parametrize(
        ("field", "value"),
        [("name", " "), ("name", "x" * 121), ("timezone", "Mars/Base"), ("new_store_quota_usd", Decimal("-1")),
         ("new_store_quota_usd", Decimal("1.234"))],
    )  # fmt: skip
    def test_bad_input_is_said_beside_its_field(self, desk, company: UUID, field: str, value):
        values = {"name": "Bakers", "timezone": ZONE, "new_store_quota": Decimal(0)}
        with pytest.raises(InvalidInput) as told:
            stores.save_company(desk, company, **{**values, field.removesuffix("_usd"): value}, version=1)
        assert told.value.field == field

    @pytest.mark.parametrize("reason", ["", " \n", "x" * 501])
    def test_another_limit_for_new_stores_needs_a_reason(self, desk, company: UUID, reason: str):
        values = {"name": "Bakers", "timezone": ZONE, "new_store_quota": Decimal(5)}
        before = stores.company(desk, company)
        with pytest.raises(InvalidInput, match=r"Say why|at most 500") as told:
            stores.save_company(desk, company, **values, version=1, reason=reason)
        assert (told.value.field, stores.company(desk, company)) == ("reason", before)

    def test_the_log_keeps_it(self, shared_world: World, desk, company: UUID):
        values = {"name": "Bakers", "timezone": ZONE}
        stores.save_company(desk, company, **values, new_store_quota=Decimal(5), version=1, reason=" Lean year ")
        stores.save_company(desk, company, **{**values, "name": "Bakery"}, new_store_quota=Decimal(5), version=2)
        stores.save_company(desk, company, **values, new_store_quota=Decimal(5), version=3, reason="Back")
        query = "select reason from public.audit_log where account_id = %s and action = 'company_changed' order by id"
        assert [row["reason"] for row in shared_world.rows(query, company)] == ["Lean year", None, "Back"]

    @pytest.mark.parametrize("role", ["manager", "finance"])
    def test_only_admins_save_it(self, shared_world: World, company: UUID, role: str):
        door = shared_world.as_person(shared_world.person(company, role))
        with pytest.raises(NotAllowed, match="Only an admin"):
            stores.save_company(door, company, name="Mine", timezone=ZONE, new_store_quota=Decimal(0), version=1)


class TestPricesFromALaterDay:
    def day(self, days: int) -> datetime:
        return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)

    def test_it_counts_from_its_day_on(self, shared_world: World, desk, company: UUID):
        prices.set_price(desk, company, "practice", "premium", "0.50", "New list", self.day(3))
        key = ("practice", "premium", "characters")
        assert prices.current(desk, company)[key].usd == Decimal("0.30")
        lines = [line for line in prices.history(desk, company) if line.model == "premium"]
        assert [line.usd for line in lines] == [Decimal("0.50"), Decimal("0.30")]
        priced = "select cost_usd from private.price_units(%s, 'practice', 'premium', '{\"characters\": 1000}', %s)"
        assert shared_world.value(priced, company, self.day(3)) == Decimal("0.50")
        assert shared_world.value(priced, company, self.day(3) - timedelta(seconds=1)) == Decimal("0.30")

    def test_a_second_one_for_the_day_replaces_the_first_which_stays(self, shared_world: World, desk, company: UUID):
        for amount in ("0.50", "0.40"):
            prices.set_price(desk, company, "practice", "premium", amount, "New list", self.day(3))
        lines = [line for line in prices.history(desk, company) if line.model == "premium"]
        assert [line.usd for line in lines] == [Decimal("0.40"), Decimal("0.50"), Decimal("0.30")]
        later = prices.in_force(lines, self.day(4))
        assert later == {0}
        assert prices.in_force(lines, datetime.now(UTC)) == {2}

    def test_what_was_bought_keeps_its_price(self, desk, company: UUID):
        for days in (-1, 0, 3_000):
            with pytest.raises(InvalidInput, match="Choose a day to come") as told:
                prices.set_price(desk, company, "practice", "premium", "0.50", "New list", self.day(days))
            assert told.value.field == "valid_from"

    def test_only_admins_set_it(self, shared_world: World, company: UUID):
        door = shared_world.as_person(shared_world.person(company, "finance"))
        with pytest.raises(NotAllowed):
            prices.set_price(door, company, "practice", "premium", "0.50", "New list", self.day(3))
