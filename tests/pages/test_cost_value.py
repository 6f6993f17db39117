"""The Costs page's part Value, the line that says whether its sums are right, and how long texts are kept."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest

from services.costs import trust, value
from services.errors import Unavailable
from tests.builders import World
from tests.costs.test_value import Studio
from tests.costs.till import Till, item
from tests.pages.conftest import slug, texts
from ui import formats

WEEKS_AGO = datetime.now(UTC) - timedelta(days=14)


@pytest.fixture
def studio(desk: World) -> Studio:
    """A store with a published clip for $1.25, speech for $2 that nobody heard, and $0.25 saved."""
    till = Till.opened(desk)
    studio = Studio(till, desk.person(till.account, "admin", name="Ada"))
    speech, (passage,) = studio.speech("0.25", made=WEEKS_AGO)
    clip = studio.clip(speech, name="Morning")
    studio.work(clip, "1")
    studio.post(clip, WEEKS_AGO)
    studio.speech("2", reused=[passage], made=WEEKS_AGO, text="Nobody heard this.")
    return studio


def opened(studio: Studio, open_page, person: UUID | None = None, store: str | None = None, **address: str):
    asked = {"costs_part": "Value", "costs_range": "All time"} | address
    test = open_page(person or studio.admin, "costs", store, **asked)
    assert not test.exception
    return test


def numbers(test) -> dict[str, str]:
    return {metric.label: metric.value for metric in test.metric}


def table(test, column: str):
    return next(frame.value for frame in test.dataframe if column in frame.value.columns)


def test_numbers_are_those_of_the_ledger_and_say_as_of_when(studio: Studio, open_page):
    test = opened(studio, open_page)
    assert numbers(test) == {
        "Clips that went live": "1", "What they cost": "$1.25", "Per published clip": "$1.25",
        "Never published": "$2.00", "Saved by reuse": "$0.2500",
    }  # fmt: skip
    assert all("As of" in metric.help for metric in test.metric)
    clip = table(test, "Clip").iloc[0]
    assert (clip["Clip"], clip["Its own"], clip["Speech on it"], clip["Live posts"]) == (
        "Morning",
        "$1.00",
        "$0.2500",
        1,
    )
    (code,) = (row["code"] for row in studio.world.rows("select code from public.profiles"))
    assert parse_qs(urlsplit(clip["Open"]).query)["profile"] == [f"{code} · Quay"], "as the switcher shows it"
    unheard = table(test, "Paid").iloc[0]
    assert (unheard["Text"], unheard["Paid"], unheard["Where"]) == ("Nobody heard this.", "$2.00", "On no clip")
    assert "&speech=" in unheard["Use it"]
    assert table(test, "Saved").iloc[0]["Saved"] == "$0.2500"


def test_the_link_puts_the_speech_on_a_clip(studio: Studio, open_page):
    link = table(opened(studio, open_page), "Paid").iloc[0]["Use it"]
    speech = link.partition("speech=")[2]
    test = open_page(studio.admin, "clips", slug(studio.world, studio.till.store), speech=speech)
    assert "Put on a clip" in texts(test)
    assert "Nobody heard this." in texts(test)


def test_stores_are_compared_only_where_there_are_several(studio: Studio, open_page):
    beside = Studio(studio.till.beside(name="Dock"), studio.admin)
    clip = beside.clip()
    beside.work(clip, "3")
    beside.post(clip, WEEKS_AGO)
    shown = table(opened(studio, open_page), "Cost per published clip")
    assert list(shown["Cost per published clip"]) == ["$3.00", "$1.25"]
    alone = opened(studio, open_page, store=slug(studio.world, studio.till.store))
    assert numbers(alone)["What they cost"] == "$1.25"
    assert not any("Cost per published clip" in frame.value.columns for frame in alone.dataframe)


def test_a_manager_sees_own_stores_and_finance_gets_no_links_to_pages_it_may_not_open(studio: Studio, open_page):
    beside = Studio(studio.till.beside(name="Dock"), studio.admin)
    beside.speech("5", made=WEEKS_AGO)
    manager = studio.world.person(studio.till.account, "manager", studio.till.store)
    assert numbers(opened(studio, open_page, manager))["Never published"] == "$2.00"
    finance = opened(studio, open_page, studio.world.person(studio.till.account, "finance"))
    assert numbers(finance)["Never published"] == "$7.00"
    assert "Use it" not in table(finance, "Paid").columns
    assert "Open" not in table(finance, "Clip").columns


def test_where_there_is_nothing_it_says_what_to_do(desk: World, open_page):
    test = open_page(desk.person(desk.company(), "admin"), "costs", costs_part="Value")
    assert not test.exception
    assert numbers(test)["Per published clip"] == "–"
    for sentence in ("No clip went live in this range. Publish one", "All paid audio of this range is published",
                     "Nothing was reused in this range."):  # fmt: skip
        assert sentence in texts(test)


def test_what_cannot_be_read_is_said_and_never_zero(studio: Studio, open_page, monkeypatch: pytest.MonkeyPatch):
    def away(*_: object) -> None:
        raise Unavailable()

    monkeypatch.setattr(value, "ask", away)
    test = opened(studio, open_page)
    assert str(Unavailable()) in test.error[0].value
    assert not test.metric
    assert not test.dataframe


class TestTrust:
    def check(self, studio: Studio) -> None:
        month = datetime.now(UTC).date()
        studio.world.as_worker().call("keep_money_check", p_account_id=studio.till.account, p_month=month)

    def shown(self, studio: Studio, open_page, role: str = "admin"):
        person = studio.admin if role == "admin" else studio.world.person(studio.till.account, role, studio.till.store)
        if role == "finance":
            person = studio.world.person(studio.till.account, "finance")
        test = open_page(person, "costs")
        assert not test.exception
        return test

    @pytest.mark.parametrize("role", ["admin", "finance"])
    def test_a_quiet_line_when_all_is_equal(self, studio: Studio, open_page, role: str):
        assert "That has not happened yet." in texts(self.shown(studio, open_page, role))
        self.check(studio)
        told = texts(self.shown(studio, open_page, role))
        at = studio.world.value("select checked_at from public.money_checks")
        entry = studio.world.value("select max(seq) from public.cost_entries")
        assert f"All sums equal the ledger · checked {formats.moment(at, 'UTC')} · entry {entry:,}" in told

    def test_a_warning_with_what_differs(self, studio: Studio, open_page):
        studio.world.execute("update public.quota_counters set settled_usd = 9 where scope_id = %s", studio.till.store)
        self.check(studio)
        test = self.shown(studio, open_page)
        assert "1 sum differs from the ledger" in test.warning[0].value
        line = table(test, "By the ledger").iloc[0]
        settled = studio.world.value("select sum(cost_usd) from public.cost_entries")
        assert (line["Store"], line["Sum"]) == ("Quay", "settled")
        assert (Decimal(line["Stored"]), Decimal(line["By the ledger"])) == (9, settled)

    def test_managers_see_neither_the_line_nor_its_buttons(self, studio: Studio, open_page):
        self.check(studio)
        test = self.shown(studio, open_page, "manager")
        assert "equal the ledger" not in texts(test)
        assert not [button for button in test.button if button.key in ("costs_check", "costs_rebuild_order")]

    def test_finance_has_it_checked_and_follows_the_job(self, studio: Studio, open_page):
        test = self.shown(studio, open_page, "finance")
        assert not [button for button in test.button if button.key == "costs_rebuild_order"]
        test.button(key="costs_check").click().run()
        assert not test.exception
        (job,) = studio.world.rows("select kind, status from public.jobs where kind like '%%money%%'")
        assert job == {"kind": "check_money_of", "status": "pending"}
        assert not [button for button in test.button if button.key == "costs_check"], "one at a time"

    def test_an_admin_has_the_sums_made_anew_with_a_reason(self, studio: Studio, open_page):
        test = self.shown(studio, open_page)
        test.button(key="costs_rebuild_order").click().run()
        assert "Say why" in test.error[0].value
        test.text_input(key="costs_rebuild_reason").set_value("They differ").run()
        test.button(key="costs_rebuild_order").click().run()
        assert not test.error
        assert studio.world.value("select count(*) from public.jobs where kind = 'rebuild_costs'") == 1
        assert studio.world.value("select reason from public.audit_log where action = 'costs_rebuilt'") == "They differ"

    def test_a_check_that_cannot_be_read_does_not_hide_the_page(
        self, studio: Studio, open_page, monkeypatch: pytest.MonkeyPatch
    ):
        def away(*_: object) -> None:
            raise Unavailable()

        monkeypatch.setattr(trust, "state", away)
        test = self.shown(studio, open_page)
        assert str(Unavailable()) in test.warning[0].value
        assert test.metric


class TestTexts:
    def test_an_admin_says_how_long_they_are_kept(self, studio: Studio, open_page):
        test = open_page(studio.admin, "admin", part="Company")
        radio = next(radio for radio in test.radio if radio.label == "Keep texts")
        assert radio.value == "For ever"
        radio.set_value("For some days")
        next(box for box in test.number_input if box.label == "Days").set_value(90)
        test.button(key="texts_save").click().run()
        assert "Say why" in test.error[0].value
        reasons = [box for box in test.text_input if box.label == "Reason"]
        reasons[-1].set_value("Privacy")
        test.button(key="texts_save").click().run()
        assert not test.exception
        assert not test.error
        assert studio.world.value("select preview_days from public.accounts where id = %s", studio.till.account) == 90
        assert next(radio for radio in test.radio if radio.label == "Keep texts").value == "For some days"

    def test_an_entry_says_that_its_text_is_not_kept(self, studio: Studio, open_page):
        till, entry_id = studio.till, uuid4()
        till.settle(till.hold("1"), item("1", id=str(entry_id), preview="Long ago"))
        asked = {"costs_part": "Entries", "costs_range": "All time"}
        assert "Long ago" in set(open_page(studio.admin, "costs", **asked).dataframe[0].value["What"])
        studio.world.execute("delete from public.cost_entry_details")
        studio.world.execute("update public.accounts set previews_gone_until = now() + interval '1 minute'")
        assert set(open_page(studio.admin, "costs", **asked).dataframe[0].value["What"]) == {"text no longer kept"}
