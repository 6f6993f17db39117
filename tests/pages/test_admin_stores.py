"""Admin's sections Stores, Quotas, Prices and Company as an admin sees them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from services import stores
from services.costs import prices
from services.stores import Identity
from tests.builders import World, speech
from tests.pages.conftest import slug, texts


@pytest.fixture
def account(desk: World) -> UUID:
    return desk.company(timezone="Europe/London")


@pytest.fixture
def admin(desk: World, account: UUID) -> UUID:
    return desk.person(account, "admin", name="Ada")


@pytest.fixture
def section(open_page, admin: UUID):
    """`section("Quotas", store)`: that section of the page, a store being chosen in the sidebar."""

    def opened(name: str, store: str | None = None):
        test = open_page(admin, "admin", store)
        return test if name == "Stores" else test.segmented_control(key="part").set_value(name).run()

    return opened


def field(test, label: str, place: int = 0):
    """The input with this label; of several the one at `place`."""
    kinds = (test.text_input, test.selectbox, test.radio, test.multiselect)
    return [element for kind in kinds for element in kind if element.label == label][place]


def press(test, label: str):
    return next(button for button in test.button if button.label.startswith(label)).click().run()


def in_database(desk: World, store: UUID) -> dict:
    return desk.rows("select * from public.profiles where id = %s", store)[0]


class TestSections:
    def test_each_opens_without_an_error(self, desk: World, account: UUID, section):
        desk.store(account)
        for name in ("Stores", "People", "Quotas", "Alerts", "Prices", "Import", "Company"):
            test = section(name)
            assert not test.exception
            assert not test.error
            assert test.title[0].value == "Admin"

    def test_the_address_names_the_section(self, desk: World, account: UUID, admin: UUID, open_page):
        desk.store(account)
        test = open_page(admin, "admin", part="Company")
        assert "Company" in [header.value for header in test.header]

    @pytest.mark.parametrize("role", ["manager", "finance"])
    def test_other_roles_see_none(self, desk: World, account: UUID, open_page, role: str):
        test = open_page(desk.person(account, role, desk.store(account)), "admin")
        assert "Your role does not open this page" in texts(test)
        assert not test.segmented_control


class TestStores:
    def test_the_first_store_is_created(self, desk: World, account: UUID, section):
        test = section("Stores")
        assert "There is no store yet" in texts(test)
        for label, value in (("Number", "104"), ("Name", "Harbour Street"), ("Phone", "0117 496")):
            field(test, label).set_value(value)
        press(test, "Create store")
        (row,) = desk.rows("select * from public.profiles where account_id = %s", account)
        assert (row["code"], row["name"], row["phone"], row["timezone"]) == (
            "104", "Harbour Street", "0117 496", "Europe/London",
        )  # fmt: skip
        assert list(test.dataframe[0].value["Number"]) == ["104"]
        assert field(test, "Number").value == "", "the form is empty for the next one"

    def test_what_was_typed_stays_beside_its_error(self, desk: World, account: UUID, section):
        desk.store(account, "Old", code="7")
        test = section("Stores")
        field(test, "Number").set_value("7")
        field(test, "Name").set_value("New")
        press(test, "Create store")
        assert "Old has the number 7 already." in texts(test)
        assert field(test, "Name").value == "New"

    def test_renaming(self, desk: World, account: UUID, section):
        store = desk.store(account, "Quay", code="7")
        test = section("Stores")
        field(test, "Name", 1).set_value("Quay North")
        press(test, "Save")
        assert in_database(desk, store)["name"] == "Quay North"
        assert field(test, "Store to change").options == ["7 · Quay North"]

    def test_the_second_of_two_savers_is_told_and_may_insist(self, desk: World, account: UUID, admin: UUID, section):
        store = desk.store(account, "Quay", code="7", timezone="Europe/London")
        test = section("Stores")
        other = Identity(code="7", name="Quay South", timezone="Europe/London")
        stores.save(desk.as_person(admin), store, other, 1)
        field(test, "Name", 1).set_value("Quay North")
        press(test, "Save")
        assert "Somebody saved this meanwhile" in texts(test)
        assert "It says now\\: Number 7, Name Quay South" in texts(test)
        assert field(test, "Name", 1).value == "Quay North"
        assert in_database(desk, store)["name"] == "Quay South"
        press(test, "Save")
        assert in_database(desk, store)["name"] == "Quay North"
        assert "It says now" not in texts(test)

    def test_suspending_needs_a_reason_and_is_lifted(self, desk: World, account: UUID, section):
        store = desk.store(account, "Quay")
        test = section("Stores")
        press(test, "Suspend the store")
        assert "Say why" in texts(test)
        field(test, "Reason to suspend").set_value("Not paid")
        press(test, "Suspend the store")
        assert in_database(desk, store)["suspended_reason"] == "Not paid"
        assert "Suspended: Not paid" in list(test.dataframe[0].value["State"])
        field(test, "Reason to lift it").set_value("Paid")
        press(test, "Lift the suspension")
        assert in_database(desk, store)["suspended_at"] is None

    def test_archiving_asks_first_with_numbers(self, desk: World, account: UUID, admin: UUID, section):
        store = desk.store(account, "Quay", code="7", quota="10")
        job = UUID(int=7)
        door = desk.as_person(admin)
        door.call("enqueue_speech", p_job_id=job, p_profile_id=store, p_speech=speech())
        test = section("Stores")
        press(test, "Archive this store")
        assert "0 running and 1 waiting jobs, and $0.0057 is held by 1 of them" in texts(test)
        field(test, "Reason to archive").set_value("Lease ended")
        press(test, "Archive 7")
        assert "still has money set aside for work under way (1 open: $0.0057 for practice" in texts(test)
        assert in_database(desk, store)["archived_at"] is None
        door.call("cancel_job", p_job_id=job)
        press(test, "Archive 7")
        assert in_database(desk, store)["archived_at"]
        field(test, "Reason to bring it back").set_value("Lease renewed")
        press(test, "Bring it back")
        assert in_database(desk, store)["archived_at"] is None

    def test_one_may_think_again(self, desk: World, account: UUID, section):
        store = desk.store(account)
        test = section("Stores")
        press(test, "Archive this store")
        press(test, "Keep it")
        assert "Archive this store …" in [button.label for button in test.button]
        assert in_database(desk, store)["archived_at"] is None

    def test_settings_are_copied_as_previewed(self, desk: World, account: UUID, section):
        source = desk.store(account, "Quay", code="1", tts_settings={"voice": "heart"})
        target = desk.store(account, "Hill", code="2")
        test = section("Stores", slug(desk, source))
        field(test, "Stores to copy to").set_value([str(target)]).run()
        press(test, "Preview")
        table = next(frame.value for frame in test.dataframe if "Voice defaults" in frame.value)
        assert list(table["Voice defaults"]) == ["Changed"]
        field(test, "Reason to copy").set_value("One voice")
        press(test, "Copy to 1 store")
        assert in_database(desk, target)["tts_settings"] == {"voice": "heart"}

    def test_names_are_shown_as_typed(self, desk: World, account: UUID, section):
        desk.store(
            account, "[x](http://evil.example) $1", code="1", suspended_at=datetime.now(UTC), suspended_reason="<b>"
        )
        desk.store(account, "Two", code="2")
        test = section("Stores")
        assert not test.exception
        assert r"\[x\]" in "".join(expander.label for expander in test.expander)


class TestQuotas:
    def test_a_limit_is_set_with_a_reason_and_remembered(self, desk: World, account: UUID, section):
        store = desk.store(account, quota="3")
        test = section("Quotas", slug(desk, store))
        assert "Now: $3.00 a month; $0.00 spent and $0.00 held" in texts(test)
        field(test, "US dollars a month").set_value("25.00")
        press(test, "Set quota")
        assert "Say why" in texts(test)
        assert field(test, "US dollars a month").value == "25.00"
        field(test, "Reason").set_value("Black Friday")
        press(test, "Set quota")
        assert in_database(desk, store)["monthly_quota_usd"] == Decimal(25)
        history = next(frame.value for frame in test.dataframe if "Who" in frame.value)
        assert list(history.iloc[0])[1:] == ["Ada", "$3.00", "$25.00", "Black Friday"]

    @pytest.mark.parametrize("amount", ["", "lots", "-5", "1.234", "NaN", "Infinity", "1e20", "12,50"])
    def test_a_bad_amount_changes_nothing(self, desk: World, account: UUID, section, amount: str):
        store = desk.store(account, quota="3")
        test = section("Quotas", slug(desk, store))
        field(test, "US dollars a month").set_value(amount)
        field(test, "Reason").set_value("because")
        press(test, "Set quota")
        assert test.error
        assert not test.exception
        assert in_database(desk, store)["monthly_quota_usd"] == Decimal(3)

    @pytest.mark.parametrize("zero", ["0", "$0.00", "0.0"])
    def test_a_typed_zero_is_asked_about(self, desk: World, account: UUID, section, zero: str):
        store = desk.store(account, quota="3")
        test = section("Quotas", slug(desk, store))
        field(test, "US dollars a month").set_value(zero)
        field(test, "Reason").set_value("because")
        press(test, "Set quota")
        assert "Does 0 mean no limit?" in texts(test)
        assert in_database(desk, store)["monthly_quota_usd"] == Decimal(3)
        field(test, "New limit").set_value("No limit")
        press(test, "Set quota")
        assert in_database(desk, store)["monthly_quota_usd"] == 0

    def test_no_limit_beside_an_amount_is_asked_about(self, desk: World, account: UUID, section):
        store = desk.store(account, quota="3")
        test = section("Quotas", slug(desk, store))
        field(test, "New limit").set_value("No limit")
        field(test, "US dollars a month").set_value("5")
        press(test, "Set quota")
        assert "5 is typed and no limit is chosen" in texts(test)

    def test_what_was_typed_for_one_store_is_not_there_for_another(self, desk: World, account: UUID, section):
        store, other = desk.store(account, "Quay", quota="3"), desk.store(account, "Hill", quota="4")
        test = section("Quotas", slug(desk, store))
        field(test, "US dollars a month").set_value("25.00")
        field(test, "Reason").set_value("Black Friday").run()
        field(test, "Store or company").set_value(str(other)).run()
        assert (field(test, "US dollars a month").value, field(test, "Reason").value) == ("", "")

    def test_the_companys_limit_and_its_grants(self, desk: World, account: UUID, admin: UUID, section):
        desk.store(account)
        now = datetime.now(UTC)
        desk.insert(
            "public.quota_grants", id=UUID(int=1), account_id=account, amount_usd=Decimal(50), valid_from=now,
            valid_until=now + timedelta(days=3), reason="Launch week", granted_by=admin,
        )  # fmt: skip
        test = section("Quotas")
        assert "Now: No limit a month for all stores together" in texts(test)
        grants = next(frame.value for frame in test.dataframe if "Raised by" in frame.value)
        assert (grants["Raised by"][0], grants["Reason"][0]) == ("$50.00", "Launch week")
        assert "This limit has never been changed." in texts(test)


class TestPrices:
    def test_a_price_from_a_later_day_stands_in_the_book(self, desk: World, account: UUID, admin: UUID, section):
        desk.store(account)
        test = section("Prices")
        day = (datetime.now(UTC) + timedelta(days=9)).date()
        test.selectbox(key=f"price_{account}_model").set_value("practice/premium")
        test.text_input(key=f"price_{account}_amount").set_value("0.50")
        test.date_input(key=f"price_{account}_from").set_value(day)
        test.text_input(key=f"price_{account}_reason").set_value("New list")
        press(test, "Set price")
        book = next(frame.value for frame in test.dataframe if "State" in frame.value)
        shown = {(row["Price"], row["State"]) for _, row in book.iterrows() if row["Model"] == "premium"}
        assert shown == {("$0.5000 per 1,000 characters", "Coming"), ("$0.3000 per 1,000 characters", "In force")}
        assert book.iloc[0]["Set by"] == "Ada"
        now = prices.current(desk.as_person(admin), account)
        assert now["practice", "premium", "characters"].usd == Decimal("0.30")


class TestCompany:
    def test_name_zone_and_what_new_stores_start_with(self, desk: World, account: UUID, section):
        test = section("Company")
        field(test, "Company name").set_value("Bakers United")
        field(test, "New stores start with").set_value("Limit")
        field(test, "US dollars a month").set_value("12.50")
        press(test, "Save")
        assert "Say why" in texts(test)
        assert (field(test, "Company name").value, field(test, "US dollars a month").value) == (
            "Bakers United",
            "12.50",
        )
        assert desk.value("select version from public.accounts where id = %s", account) == 1
        field(test, "Reason").set_value("Lean year")
        press(test, "Save")
        (row,) = desk.rows("select * from public.accounts where id = %s", account)
        assert (row["name"], row["new_store_quota_usd"], row["version"]) == ("Bakers United", Decimal("12.50"), 2)

    @pytest.mark.parametrize(
        ("kind", "amount", "why"),
        [("Limit", "0", "Does 0 mean no limit?"), ("Limit", "lots", "Type an amount"), ("Limit", "", "Type an amount"),
         ("No limit", "5", "no limit is chosen")],
    )  # fmt: skip
    def test_a_bad_amount_changes_nothing(self, desk: World, account: UUID, section, kind: str, amount: str, why: str):
        test = section("Company")
        field(test, "New stores start with").set_value(kind)
        field(test, "US dollars a month").set_value(amount)
        field(test, "Company name").set_value("Typed")
        press(test, "Save")
        assert why in texts(test)
        assert field(test, "Company name").value == "Typed"
        assert desk.value("select version from public.accounts where id = %s", account) == 1

    def test_another_company_has_its_own_form(self, desk: World, account: UUID, admin: UUID, section):
        other = desk.company("Other", timezone="UTC")
        desk.execute("update public.accounts set version = 5 where id = %s", other)
        desk.insert("public.members", account_id=other, person_id=admin, role="admin")
        test = section("Company")
        if test.selectbox(key="account").value != str(account):
            test.selectbox(key="account").set_value(str(account)).run()
        field(test, "Company name").set_value("Typed").run()
        test.selectbox(key="account").set_value(str(other)).run()
        assert (field(test, "Company name").value, field(test, "Time zone").value) == ("Other", "UTC")
        field(test, "Time zone").set_value("Europe/London")
        press(test, "Save")
        (row,) = desk.rows("select * from public.accounts where id = %s", other)
        assert (row["name"], row["timezone"], row["version"]) == ("Other", "Europe/London", 6)
        assert desk.value("select version from public.accounts where id = %s", account) == 1

    def test_the_second_of_two_savers_is_told(self, desk: World, account: UUID, admin: UUID, section):
        test = section("Company")
        stores.save_company(
            desk.as_person(admin),
            account,
            name="Theirs",
            timezone="UTC",
            new_store_quota=Decimal(0),
            version=1,
        )
        field(test, "Company name").set_value("Ours")
        press(test, "Save")
        assert "It says now\\: Theirs, UTC, new stores\\: No limit" in texts(test)
        assert field(test, "Company name").value == "Ours"
