"""Exports on the Costs page: what each part offers, one's own files, progress, refusals, and the scheduled ledger."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from services.costs import exports
from services.errors import Unavailable
from tests.builders import World
from tests.pages.conftest import half_a_minute_later, slug, texts
from ui import cost_filters

SUMMARY = ["By store", "By person", "By service", "By operation", "By model", "By category", "By project", "By clip",
           "Trend", "Months", "Entries of the range", "The whole ledger"]  # fmt: skip


@pytest.fixture
def shop(desk: World):
    """Company, store Quay, manager Mia of Quay, admin."""
    account = desk.company()
    quay = desk.store(account, "Quay", quota="20", code="001")
    mia = desk.person(account, "manager", quay, name="Mia")
    with desk.at(datetime.now(UTC) - timedelta(days=40)):
        desk.spend(quay, "3", mia, service="elevenlabs")
    desk.spend(quay, "0.25", mia)
    desk.spend(desk.store(account, "Dock", code="002"), "7")
    return account, quay, mia, desk.person(account, "admin", name="Ada")


@pytest.fixture
def open_exports(open_page):
    """The page with its exports opened, as a click does."""

    def opened(person, store=None, **address):
        test = open_page(person, "costs", store, **address)
        test.session_state["costs_export"] = True
        test.run()
        assert not test.exception
        return test

    return opened


def make(test, what: str, kind: str | None = None):
    test.selectbox(key="costs_export_what").set_value(what)
    if kind:
        test.button_group(key="costs_export_as").set_value(kind)
    test.button(key="costs_export_make").click().run()
    assert not test.exception
    return test


def test_closed_it_asks_nothing_and_shows_one_button(shop, open_page):
    test = open_page(shop[3], "costs")
    assert not [box for box in test.selectbox if box.key == "costs_export_what"]


@pytest.mark.parametrize(
    ("part", "offered"),
    [("Summary", SUMMARY), ("Entries", ["These entries", "The whole ledger"]),
     ("Value", ["Published clips", "Paid audio never published", "Saved by reuse"]),
     ("My costs", ["My months", "My entries"]), ("People", ["People", "System: months", "System: entries"])],
)  # fmt: skip
def test_each_part_offers_what_it_shows(shop, open_exports, part, offered):
    test = open_exports(shop[3], costs_part=part)
    assert test.selectbox(key="costs_export_what").options == offered


def test_the_cut_that_is_shown_comes_first(shop, open_exports):
    test = open_exports(shop[2], costs_by="Model")
    assert test.selectbox(key="costs_export_what").options[:2] == ["By model", "By store"]


def test_an_export_is_made_and_can_be_fetched(desk: World, shop, open_exports, work):
    test = make(open_exports(shop[3], costs_range="All time"), "By service", "xlsx")
    (row,) = desk.rows("select * from private.exports")
    assert (row["wanted"]["view"], row["wanted"]["format"], row["asked_by"]) == ("service", "xlsx", shop[3])
    assert [bar.proto.text for bar in test.get("progress")] == ["Costs by service, XLSX: Queued"]
    work(desk)
    half_a_minute_later()
    test.run()
    assert f"[Costs by service, XLSX](/files/exports/{row['id']}?download=1)" in texts(test)
    assert r"2 lines · \$10.25" in texts(test)
    assert "All time" in texts(test)


@pytest.mark.parametrize("part", cost_filters.parts("admin"))
def test_everything_offered_can_be_made(desk: World, shop, open_exports, work, part):
    test = open_exports(shop[3], slug(desk, shop[1]), costs_part=part)
    for what in test.selectbox(key="costs_export_what").options:
        make(test, what)
        work(desk)
    states = desk.rows("select status, error from public.jobs where kind = 'export_costs'")
    assert states == [{"status": "completed", "error": None}] * len(test.selectbox(key="costs_export_what").options)


def test_these_entries_are_those_that_the_page_shows(desk: World, shop, open_exports, work):
    test = open_exports(shop[3], costs_part="Entries", costs_range="All time", only="service:elevenlabs")
    make(test, "These entries")
    work(desk)
    assert desk.value("select total_usd from private.exports") == Decimal(3)


def test_a_manager_gets_own_stores_only(desk: World, shop, open_exports, work):
    make(open_exports(shop[2], costs_range="All time"), "The whole ledger")
    work(desk)
    (row,) = desk.rows("select profile_ids, total_usd from private.exports")
    assert (row["profile_ids"], row["total_usd"]) == ([shop[1]], Decimal("3.25"))


def test_two_clicks_make_one(desk: World, shop, open_exports):
    test = open_exports(shop[2])
    make(make(test, "Months"), "Months")
    assert desk.value("select count(*) from private.exports") == 1


def test_why_it_failed_is_said(desk: World, shop, open_exports, work):
    test = make(open_exports(shop[2]), "Months")
    desk.execute("update private.exports set profile_ids = '{}'")
    work(desk)
    half_a_minute_later()
    assert "The stores that you see have changed since." in texts(test.run())


def test_an_absent_database_is_said(shop, open_exports, monkeypatch):
    test = open_exports(shop[2])

    def away(*args):
        raise Unavailable

    monkeypatch.setattr(exports, "desk", away)
    assert Unavailable.sentence in texts(test.run())


def test_an_admin_has_the_ledger_written_for_other_programs(desk: World, shop, open_exports, work):
    test = open_exports(shop[3])
    form = f"ledger_schedule_{shop[0]}"
    test.selectbox(key=f"{form}_period_0").set_value("daily")
    next(button for button in test.button if button.label == "Save").click().run()
    assert "Say why, so that the log can tell later." in texts(test)
    test.text_input(key=f"{form}_reason_0").set_value("For our sheets")
    next(button for button in test.button if button.label == "Save").click().run()
    assert not test.exception
    work(desk)
    half_a_minute_later()
    test.run()
    assert "Ledger for other programs: each day" in [box.label for box in test.expander]
    file = desk.value("select id from private.ledger_files order by month desc limit 1")
    assert f"[{datetime.now(UTC):%B %Y}](/files/exports/{file}?download=1)" in texts(test)
    desk.execute("update private.ledger_schedules set error = 'The disk is full.'")
    assert "The disk is full." in texts(test.run())


@pytest.mark.parametrize(("role", "told"), [("finance", True), ("manager", False)])
def test_others_do_not_set_it(desk: World, shop, open_exports, role, told):
    test = open_exports(desk.person(shop[0], "finance") if role == "finance" else shop[2])
    ledger = [box.label for box in test.expander if box.label.startswith("Ledger")]
    assert ledger == ["Ledger for other programs: off"] * told
    assert "Save" not in [button.label for button in test.button]
