"""The Costs page: its numbers beside the ledger's, its questions in the address, who sees what, and errors."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
import streamlit as st

from services.costs import desk as costs_desk
from services.costs import entries
from services.errors import Unavailable
from tests.builders import World, entry
from tests.pages.conftest import slug, texts
from ui import cost_filters, cost_lines, formats
from ui.cost_filters import Only


@pytest.fixture
def shop(desk: World, monkeypatch: pytest.MonkeyPatch):
    """Company, stores Quay (quota 20) and Dock, manager Mia of Quay, admin."""
    account = desk.company(timezone="Europe/London")
    quay, dock = desk.store(account, "Quay", quota="20", code="001"), desk.store(account, "Dock", code="002")
    mia = desk.person(account, "manager", quay, name="Mia")
    for days, usd in ((40, "3"), (12, "1.5"), (3, "0.25"), (0, "0.0123")):
        with desk.at(datetime.now(UTC) - timedelta(days=days)):
            desk.spend(quay, usd, mia, service="elevenlabs" if days else "practice")
    desk.spend(dock, "7")
    return account, quay, dock, mia, desk.person(account, "admin", name="Ada")


def spent(world: World, *stores: UUID, since: str = "2000-01-01") -> Decimal:
    return world.value("select sum(cost_usd) from public.cost_entries where profile_id = any (%s) and booked_on >= %s",
                       list(stores), since)  # fmt: skip


def numbers(test) -> dict[str, str]:
    return {metric.label: metric.value for metric in test.metric}


def lines(test, column: str) -> dict[str, str]:
    """The table that has this column, by it: what each costs."""
    (table,) = (frame.value for frame in test.dataframe if {column, "Cost"} <= {*frame.value.columns})
    return dict(zip(table[column], table["Cost"], strict=True))


def test_finance_lands_here_and_others_on_the_overview(desk: World, shop, open_page):
    finance = open_page(desk.person(shop[0], "finance"), "costs")
    assert [title.value for title in finance.title] == ["Costs"]
    assert finance.switch_page("../pages/overview.py").run().title[0].value == "All my stores"
    assert open_page(shop[4]).title[0].value == "All my stores"


def test_what_is_written_is_the_ledgers_sum_formatted(desk: World, shop, open_page):
    test = open_page(shop[4], "costs", costs_range="All time")
    assert not test.exception
    whole = formats.usd(spent(desk, shop[1], shop[2]))
    assert numbers(test)["Spent in the range"] == whole == "$11.76"
    assert lines(test, "Store") == {"002 · Dock": "$7.00", "001 · Quay": formats.usd(spent(desk, shop[1]))}
    assert "of the ledger" in texts(test)
    assert len(test.get("plotly_chart")) == 3


def test_one_store_has_its_own(desk: World, shop, open_page):
    test = open_page(shop[4], "costs", slug(desk, shop[1]), costs_range="All time", costs_by="Service")
    assert test.title[0].value == "Costs of Quay"
    assert lines(test, "Service") == {"ElevenLabs": "$4.75", "Practice premium": "$0.0123"}
    month = spent(desk, shop[1], since=datetime.now(UTC).date().replace(day=1).isoformat())
    assert numbers(test)["Left this month"] == formats.usd_left(20 - month)
    assert "The month will end near" in texts(test)


@pytest.mark.parametrize("cut", cost_filters.CUTS.values())
def test_every_breakdown_adds_up_or_says_what_is_missing(desk: World, shop, open_page, cut):
    test = open_page(shop[4], "costs", costs_range="All time", costs_by=cut)
    assert not test.exception
    if cut in ("Project", "Clip"):
        assert "Nothing was spent in this range." in texts(test)
    else:
        assert sum(Decimal(usd.strip("$")) for usd in lines(test, cut).values()) == pytest.approx(
            Decimal("11.76"), abs=1
        )


def test_every_number_says_as_of_when(shop, open_page):
    test = open_page(shop[4], "costs")
    assert all("As of" in metric.help for metric in test.metric)
    assert all("As of" in header.proto.help for header in test.header)


def test_a_range_in_the_address_is_obeyed(desk: World, shop, open_page):
    day = (datetime.now(UTC) - timedelta(days=12)).date().isoformat()
    asked = {"costs_range": "From … to", "costs_from": day, "costs_to": day, "costs_by": "Service"}
    test = open_page(shop[4], "costs", **asked)
    assert numbers(test)["Spent in the range"] == "$1.50"
    assert lines(test, "Service") == {"ElevenLabs": "$1.50"}


def test_a_range_backwards_is_said(shop, open_page):
    asked = {"costs_range": "From … to", "costs_from": "2026-03-02", "costs_to": "2026-03-01"}
    assert "The last day lies before the first." in texts(open_page(shop[4], "costs", **asked))
    assert "Choose the first and the last day." in texts(open_page(shop[4], "costs", costs_range="From … to"))


def test_a_range_without_spending_says_so(shop, open_page):
    asked = {"costs_range": "From … to", "costs_from": "2020-01-01", "costs_to": "2020-01-31"}
    test = open_page(shop[4], "costs", **asked)
    assert not test.exception
    assert numbers(test)["Spent in the range"] == "$0.00"
    assert texts(test).count("Nothing was spent in this range.") == 3


def test_a_new_company_sees_no_forecast_and_no_errors(desk: World, open_page):
    account = desk.company()
    for person in (desk.person(account, "admin"), desk.person(account, "manager", desk.store(account))):
        for part in cost_filters.parts("manager"):
            test = open_page(person, "costs", costs_part=part)
            assert not test.exception
            assert not test.error
        assert "it needs seven days" in texts(open_page(person, "costs"))


class TestEntries:
    def opened(self, shop, open_page, only: str = "", store: str | None = None):
        address = {"costs_part": "Entries", "costs_range": "All time"} | ({"only": only} if only else {})
        return open_page(shop[4], "costs", store, **address)

    def shown(self, test) -> list[str]:
        return list(test.dataframe[0].value["Cost, US dollars"]) if test.dataframe else []

    def test_all_of_the_range_the_latest_first(self, shop, open_page):
        assert self.shown(self.opened(shop, open_page)) == ["$7.00", "$0.0123", "$0.2500", "$1.50", "$3.00"]

    def test_of_a_bar(self, desk: World, shop, open_page):
        _, _, dock, mia, _ = shop
        for only, expected, named in (
            ("service:elevenlabs", ["$0.2500", "$1.50", "$3.00"], "ElevenLabs"),
            (f"person:{mia}", ["$0.0123", "$0.2500", "$1.50", "$3.00"], "Mia"),
            ("person:system", ["$7.00"], "System"),
            (f"store:{dock}", ["$7.00"], "Dock"),
            (f"clip:{uuid4()}", [], "without entries here"),
        ):
            test = self.opened(shop, open_page, only)
            assert self.shown(test) == expected
            assert f"**{named}**" in texts(test)

    def test_a_model_is_its_services(self, desk: World, shop, open_page):
        model = desk.value(
            "select model from public.cost_entries where service = 'practice' and profile_id = %s", shop[1]
        )
        assert self.shown(self.opened(shop, open_page, f"model:practice/{model}")) == ["$0.0123"]
        assert self.shown(self.opened(shop, open_page, f"model:gemini/{model}")) == []

    @pytest.mark.parametrize("only", ["person:nobody", "secret:x", "store:", "clip:' or true", "x"])
    def test_an_address_that_names_nothing_limits_nothing(self, shop, open_page, only):
        assert len(self.shown(self.opened(shop, open_page, only))) == 5

    def test_show_all_ends_it(self, shop, open_page):
        test = self.opened(shop, open_page, "service:elevenlabs")
        test.button(key="costs_show_all").click().run()
        assert len(self.shown(test)) == 5

    def test_older_ones_are_on_the_next_page(self, desk: World, shop, open_page):
        worker, request = desk.as_worker(), uuid4()
        worker.call("hold_cost", p_request_id=request, p_profile_id=shop[2], p_estimate_usd=Decimal(2),
                    p_service="practice")  # fmt: skip
        worker.call("settle_cost", p_request_id=request, p_entries=[entry() for _ in range(60)])
        test = self.opened(shop, open_page)
        assert len(self.shown(test)) == entries.PAGE
        test.button(key="costs_entries_older").click().run()
        assert self.shown(test)[-1] == "$3.00"
        assert len(self.shown(test)) == 65 - entries.PAGE

    def test_a_bar_leads_to_its_entries(self, desk: World, shop, open_page):
        """What a click's callback does; the line is one that the breakdown draws."""
        found = costs_desk.ask(
            desk.as_person(shop[4]), shop[0], None, *costs_desk.span("all", datetime.now(UTC).date())
        )
        for cut in ("store", "person", "service", "operation", "model", "category"):
            for row in cost_lines.rows(found, cut):
                listed = self.shown(self.opened(shop, open_page, f"{row.only.cut}:{row.only.key}"))
                assert len(listed) == row.entries
                assert sum(Decimal(usd.strip("$")) for usd in listed) == pytest.approx(row.usd, abs=Decimal("0.001"))


class TestWhoSeesWhat:
    def test_a_manager_sees_own_stores_and_own_totals(self, desk: World, shop, open_page):
        desk.spend(shop[1], "0.5", desk.person(shop[0], "manager", shop[1], name="Ann"))
        test = open_page(shop[3], "costs", costs_range="All time", costs_by="Person")
        assert numbers(test)["Spent in the range"] == formats.usd(spent(desk, shop[1]))
        assert lines(test, "Person") == {"Mia": "$4.76"}
        assert "People" not in test.segmented_control(key="costs_part").options
        listed = open_page(shop[3], "costs", costs_range="All time", costs_part="Entries").dataframe[0].value
        assert set(listed["Person"]) == {"Mia", "Ann"}
        assert set(listed["Store"]) == {"Quay"}

    def test_the_address_of_a_part_that_is_not_theirs_shows_the_summary(self, shop, open_page):
        test = open_page(shop[3], "costs", costs_part="People")
        assert test.segmented_control(key="costs_part").value == "Summary"

    def test_anothers_store_in_the_address_is_not_found(self, shop, open_page):
        test = open_page(shop[3], "costs", costs_part="Entries", only=f"store:{shop[2]}")
        assert "not found" in test.error[0].value

    @pytest.mark.parametrize("role", ["manager", "finance", "admin"])
    def test_everybody_has_their_own_costs(self, desk: World, shop, open_page, role):
        person = shop[3] if role == "manager" else desk.person(shop[0], role)
        test = open_page(person, "costs", costs_part="My costs")
        assert numbers(test)["Spent ever"] == ("$4.76" if role == "manager" else "$0.00")
        assert ("Nothing was spent yet." in texts(test)) == (role != "manager")

    def test_finance_sees_people(self, desk: World, shop, open_page):
        desk.execute("update public.people set deactivated_at = now() where id = %s", shop[3])
        test = open_page(desk.person(shop[0], "finance"), "costs", costs_part="People", costs_range="All time")
        assert lines(test, "Person") == {"System": "$7.00", "Mia (deactivated)": "$4.76"}
        assert numbers(test)["Spent ever"] == "$7.00"
        test.selectbox(key="costs_person").select(str(shop[3])).run()
        assert numbers(test)["Spent ever"] == "$4.76"


@pytest.mark.parametrize("part", ["Summary", "Entries", "My costs", "People"])
def test_what_cannot_be_read_is_said_and_never_zero(shop, open_page, monkeypatch: pytest.MonkeyPatch, part):
    def away(*_: object, **__: object) -> None:
        raise Unavailable()

    for module, name in ((costs_desk, "ask"), (entries, "page"), (entries, "summary"), (entries, "of_person")):
        monkeypatch.setattr(module, name, away)
    test = open_page(shop[4], "costs", costs_part=part)
    assert str(Unavailable()) in test.error[0].value
    assert not test.metric
    assert not test.dataframe


def test_choices_become_questions(monkeypatch: pytest.MonkeyPatch):
    state: dict[str, object] = {}
    monkeypatch.setattr(st, "session_state", state)
    monkeypatch.setattr(st, "query_params", {})
    asked = (date(2026, 1, 15), date(2026, 2, 10))
    cost_filters.show_bar("gemini", asked[0].replace(day=1), "month", asked)
    assert (state["costs_from"], state["costs_to"]) == (asked[0], asked[0].replace(day=31))
    cost_filters.show_bar("gemini", asked[1].replace(day=9), "week", asked)
    assert (state["costs_from"], state["costs_to"]) == (asked[1].replace(day=9), asked[1])
    assert cost_filters.only() == Only("service", "gemini")
    assert state["costs_part"] == "Entries"
