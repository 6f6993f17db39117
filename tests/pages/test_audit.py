"""The Audit page: who opens it, what it shows of an entry, filters in the address, paging and export."""

from datetime import UTC, datetime, timedelta

import pytest

from services import audit
from services.errors import Unavailable
from tests.builders import World
from tests.pages.conftest import slug, texts

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def shop(desk: World):
    account = desk.company(timezone="America/New_York")
    store = desk.store(account, "Quay", timezone="Europe/Berlin")
    return account, store, desk.person(account, "admin", name="Ada")


@pytest.fixture
def note(desk: World, shop):
    def noted(action: str = "seen", at: datetime = NOON, **values) -> None:
        values = {"account_id": shop[0], "person_name": "System", **values}
        desk.insert("public.audit_log", action=action, at=at, **values)

    return noted


@pytest.fixture
def audit_page(shop, open_page):
    return lambda store=None, **address: open_page(shop[2], "audit", store, **address)


def said(test) -> str:
    return texts(test).replace("\\", "")


@pytest.mark.parametrize("role", ["manager", "finance"])
def test_other_roles_are_told_no(desk: World, shop, note, open_page, role: str):
    note(subject="Secret of the admins")
    test = open_page(desk.person(shop[0], role, *([shop[1]] * (role == "manager"))), "audit")
    assert "Your role does not open this page" in texts(test)
    assert "Secret of the admins" not in texts(test)
    assert not test.title


def test_an_entry_says_who_when_where_what_and_why(desk: World, shop, note, audit_page):
    note("quota_changed", person_id=shop[2], person_name="Ada", address="203.0.113.9", profile_id=shop[1],
         reason="Black *Friday*", before={"monthly_quota_usd": "5.00", "same": 1, "api_key": "hunter2"},
         after={"monthly_quota_usd": "9.00", "same": 1, "api_key": "hunter3"})  # fmt: skip
    test = audit_page()
    shown = said(test)
    for part in (
        "Changed the monthly quota",
        "Ada · from 203.0.113.9",
        "· Quay",
        "Reason: Black *Friday*",
        "monthly quota usd: 5.00 → 9.00",
        "api key: changed, never shown",
        "10 Mar 2026, 08:00 EDT",
    ):
        assert part in shown
    assert "Times and days in America/New_York." in shown
    assert "same" not in shown
    assert "hunter" not in shown
    assert "10 Mar 2026, 13:00 CET" in said(audit_page(slug(desk, shop[1])))


def test_an_unknown_action_is_shown_as_it_is(note, audit_page):
    note("made_tea", subject="for [two](http://a.test)")
    assert "made_tea: for [two](http://a.test)" in said(audit_page())


@pytest.mark.parametrize(
    ("address", "found"),
    [({"who": "System"}, {"one", "two", "old"}), ({"who": "Ada"}, {"hers"}), ({"action": "Signed in"}, {"two"}),
     ({"since": "2026-03-10"}, {"one", "two", "hers"}), ({"until": "2026-03-09"}, {"old", "hers"}),
     ({"find": "ON"}, {"one"}), ({"who": "System", "since": "2026-03-10", "find": "t"}, {"two"})],
)  # fmt: skip
def test_filters_in_the_address_are_obeyed(shop, note, audit_page, address, found):
    note(subject="one", address="::1")
    note("signed_in", subject="two")
    note(subject="old", at=NOON - timedelta(days=1))
    note(subject="hers", person_id=shop[2], person_name="Ada")
    note("signed_out", subject="hers", person_id=shop[2], person_name="Ada", at=NOON - timedelta(days=400))
    shown = said(audit_page(**address))
    assert {word for word in ("one", "two", "old", "hers") if f": {word}" in shown} == found


def test_the_switchers_store_is_a_filter(desk: World, shop, note, audit_page):
    note(subject="company's")
    note(subject="store's", profile_id=shop[1])
    shown = said(audit_page(slug(desk, shop[1])))
    assert "store's" in shown
    assert "company's" not in shown


def test_what_the_address_asks_for_and_is_not_there_is_said(note, audit_page):
    note()
    assert "Person in the address: the log has no such entry." in said(audit_page(who="Nobody"))


def test_days_the_wrong_way_round_are_said(note, audit_page):
    note(subject="one")
    test = audit_page(since="2026-03-10", until="2026-03-09")
    assert "The last day lies before the first." in said(test)
    assert ": one" not in said(test)


def test_nothing_found_is_said(note, audit_page):
    note()
    assert "Nothing in the log matches" in said(audit_page(find="unfindable"))


def test_pages_are_turned_by_key_and_filters_begin_anew(note, audit_page):
    for number in range(60):
        note(subject=f"number {number:02}", at=NOON + timedelta(minutes=number))
    test = audit_page(since="2026-03-01")
    assert "number 59" in said(test)
    test.button(key="audit_older").click().run()
    assert "number 34" in said(test)
    assert "number 59" not in said(test)
    test.button(key="audit_older").click().run()
    assert "number 00" in said(test)
    assert not [button for button in test.button if button.key == "audit_older"]
    test.text_input(key="find").set_value("number").run()
    assert "number 59" in said(test)


def test_people_of_one_name_are_told_apart(desk: World, shop, note, audit_page):
    twin = desk.person(shop[0], "finance", name="Ada")
    note(subject="first", person_id=shop[2], person_name="Ada")
    note(subject="second", person_id=twin, person_name="Ada")
    test = audit_page()
    label = f"Ada ({str(twin)[:8]})"
    assert label in test.selectbox(key="who").options
    assert "second" in said(audit_page(who=label))
    assert "first" not in said(audit_page(who=label))


def test_what_is_shown_can_be_exported_while_the_filters_stay(note, audit_page):
    note(subject="one")
    test = audit_page()
    assert not test.get("download_button")
    test.button(key="audit_prepare").click().run()
    (button,) = test.get("download_button")
    assert button.proto.label == "Export as CSV"
    assert b"one" in test.session_state["audit_file"][1]
    test.text_input(key="find").set_value("two").run()
    assert not test.get("download_button")


def test_a_file_that_cannot_be_made_is_said(note, audit_page, monkeypatch):
    def away(*_):
        raise Unavailable

    note()
    monkeypatch.setattr(audit, "csv_file", away)
    test = audit_page()
    test.button(key="audit_prepare").click().run()
    assert not test.exception
    assert "The database does not answer" in texts(test)
