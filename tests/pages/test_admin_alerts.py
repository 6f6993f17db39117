"""Admin's section Alerts as an admin sees it, and the warning while nobody reads spending."""

from decimal import Decimal
from uuid import UUID

import pytest

from services.costs import alerts
from tests.builders import World
from tests.pages.conftest import half_a_minute_later, texts


@pytest.fixture
def account(desk: World) -> UUID:
    return desk.company(timezone="Europe/London")


@pytest.fixture
def store(desk: World, account: UUID) -> UUID:
    return desk.store(account, "Quay", quota="10", code="7")


@pytest.fixture
def admin(desk: World, account: UUID, store: UUID) -> UUID:
    return desk.person(account, "admin", name="Ada")


@pytest.fixture
def section(open_page, admin: UUID):
    return lambda: open_page(admin, "admin", part="Alerts")


def press(test, label: str):
    return next(button for button in test.button if button.label.startswith(label)).click().run()


def field(test, label: str):
    kinds = (test.text_input, test.selectbox, test.radio, test.multiselect, test.number_input)
    return next(element for kind in kinds for element in kind if element.label == label)


def table(test, column: str):
    return next(frame.value for frame in test.dataframe if column in frame.value.columns)


def rules(desk: World, account: UUID) -> list[dict]:
    return desk.rows("select * from public.alert_rules where account_id = %s and created_by is not null", account)


def test_what_the_company_began_with_is_listed(section):
    test = section()
    assert not test.exception
    assert not test.error
    assert not test.warning
    lines = table(test, "At")
    assert list(lines["For"]) == ["The company"] * 4 + ["Every store"] * 4
    assert list(lines["At"])[:4] == [f"{share} % of the quota" for share in (50, 80, 90, 100)]
    assert set(lines["State"]) == {"On"}
    assert set(lines["By"]) == {"System"}
    assert "Nothing had to be told yet." in texts(test)


@pytest.mark.parametrize("role", ["manager", "finance"])
def test_other_roles_see_none(desk: World, account: UUID, store: UUID, open_page, role: str):
    test = open_page(desk.person(account, role, store), "admin", part="Alerts")
    assert "Your role does not open this page" in texts(test)
    assert not test.dataframe


def test_an_amount_for_one_store_is_added(desk: World, account: UUID, store: UUID, section):
    test = section()
    field(test, "For").set_value("One store").run()
    field(test, "Measured in").set_value("US dollars a month")
    field(test, "Threshold").set_value("12,50")
    press(test, "Add the alert")
    assert "Type an amount in US dollars" in texts(test)
    assert field(test, "Threshold").value == "12,50"
    field(test, "Threshold").set_value("$12.50")
    press(test, "Add the alert")
    assert "Say why" in texts(test)
    field(test, "Reason").set_value("A tight month")
    press(test, "Add the alert")
    (rule,) = rules(desk, account)
    assert (rule["scope"], rule["target_id"], rule["amount_usd"]) == ("store", store, Decimal("12.50"))
    assert {"7 · Quay", "$12.50 a month", "Ada"} <= set(table(test, "At").iloc[-1])
    field(test, "Threshold").set_value("12.50")
    field(test, "Reason").set_value("Again")
    press(test, "Add the alert")
    assert "There is such an alert already" in texts(test)


def test_people_have_amounts_only(desk: World, account: UUID, admin: UUID, section):
    test = section()
    field(test, "For").set_value("One person").run()
    assert "Measured in" not in [radio.label for radio in test.radio]
    field(test, "Threshold").set_value("5")
    field(test, "Reason").set_value("Trial")
    press(test, "Add the alert")
    (rule,) = rules(desk, account)
    assert (rule["scope"], rule["target_id"], rule["amount_usd"]) == ("person", admin, 5)


def test_an_alert_is_switched_off_and_on_with_a_reason(desk: World, account: UUID, section):
    test = section()
    press(test, "Switch off")
    assert "Say why" in texts(test)
    field(test, "Reason to switch it").set_value("Told too often")
    press(test, "Switch off")
    assert list(table(test, "At")["State"]).count("Off") == 1
    field(test, "Reason to switch it").set_value("After all")
    press(test, "Switch on")
    assert set(table(test, "At")["State"]) == {"On"}


def test_a_test_says_where_it_went(desk: World, admin: UUID, account: UUID, section):
    test = press(section(), "Send me a test")
    assert "The test is in your inbox and comes by e-mail. Only you are told." in texts(test)
    assert "A test was sent just now." in texts(press(test, "Send me a test"))
    assert desk.value("select count(*) from public.notice_readers where account_id = %s", account) == 1


def test_stores_suspend_themselves_when_an_admin_says_so(desk: World, account: UUID, admin: UUID, store: UUID, section):
    test = section()
    field(test, "A store whose quota is used up").set_value("Is suspended by itself")
    field(test, "Days from the warning on").set_value(3)
    field(test, "Never suspend").set_value([store])
    press(test, "Save")
    assert "Say why" in texts(test)
    alerts.save_suspension(desk.as_person(admin), account, 9, [], 1, "quicker than Ada")
    field(test, "Reason for it").set_value("Policy")
    press(test, "Save")
    assert "Somebody saved this meanwhile" in texts(test)
    assert "It says now\\: a store whose quota is used up is suspended after 9 days; never\\: none." in texts(test)
    press(test, "Save")
    saved = alerts.suspension(desk.as_person(admin), account)
    assert (saved.after_days, saved.spared) == (3, [store])


def test_what_was_told_is_listed(desk: World, account: UUID, store: UUID, section):
    desk.spend(store, "8")
    desk.as_worker().call("look_at_alerts", p_account_id=account)
    said = texts(section())
    assert "80 % of the store's monthly quota of $10.00 is used: $8.00 are spent" in said
    assert "7 · Quay · " in said


def test_where_nobody_reads_spending_the_pages_say_so(desk: World, account: UUID, store: UUID, section, open_page):
    desk.execute("update public.alert_looks set read_at = '2026-03-02 10:00Z' where account_id = %s", account)
    said = "Spending was last read for alerts on 2 Mar 2026, 10:00 GMT."
    assert said in texts(section())
    manager = desk.person(account, "manager", store)
    assert said in texts(open_page(manager, "costs"))
    desk.as_worker().call("look_at_alerts", p_account_id=account)
    half_a_minute_later()
    assert said not in texts(open_page(manager, "costs"))
