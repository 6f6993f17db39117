"""Admin's tools for prices and what was booked: the preview, withdrawing a coming price, corrections."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from services.costs import prices
from tests.builders import World, entry
from tests.pages.conftest import slug, texts
from tests.pages.test_purchases import keyed, submit

NEXT_WEEK = timedelta(days=7)


@pytest.fixture
def shop(desk: World) -> tuple[UUID, UUID, UUID]:
    """Company, store, and its admin Ada; last month 2,000 characters of Eleven v3 cost $0.20."""
    account = desk.company()
    store = desk.store(account, quota="10", code="001")
    desk.service("elevenlabs", {"id": "v3", "name": "Eleven v3"}, account_id=account)
    desk.price(account, "elevenlabs", "v3", "0.10")
    with desk.at(datetime.now(UTC).replace(day=1) - timedelta(days=3)):
        book(desk, store)
    return account, store, desk.person(account, "admin", name="Ada")


def book(desk: World, store: UUID) -> None:
    request, worker = uuid4(), desk.as_worker()
    worker.call("hold_cost", p_request_id=request, p_profile_id=store, p_estimate_usd=Decimal("0.2"),
                p_service="elevenlabs")  # fmt: skip
    worker.call("settle_cost", p_request_id=request, p_entries=[entry(model="v3", units={"characters": 2000})])


@pytest.fixture
def admin(desk: World, shop, open_page):
    return open_page(shop[2], "admin", slug(desk, shop[1]), part="Prices")


def numbers(test) -> dict[str, str]:
    return {metric.label: metric.value for metric in test.metric}


def preview(test, amount: str) -> None:
    keyed(test.selectbox, "_model").set_value("elevenlabs/v3")
    keyed(test.text_input, "_amount").set_value(amount)
    submit(test, "Preview")


class TestPreview:
    def test_last_month_under_the_typed_price(self, desk: World, shop, admin):
        preview(admin, "0.25")
        assert not admin.exception
        assert numbers(admin) == {"As booked": "$0.2000", "At this price": "$0.5000", "Difference": "+$0.3000"}
        (stores,) = (frame.value for frame in admin.dataframe if "Store" in frame.value)
        assert stores["Under these prices"].tolist() == ["$0.5000"]
        (models,) = (frame.value for frame in admin.dataframe if {"Without a price", "Model"} <= {*frame.value.columns})
        assert models["As booked"].tolist() == ["$0.2000", "$0.2000"]
        assert prices.current(desk.as_person(shop[2]), shop[0])["elevenlabs", "v3", "characters"].usd == Decimal("0.10")

    def test_without_an_amount_under_the_book(self, admin):
        preview(admin, "")
        assert not numbers(admin)
        assert "Each entry is rounded once" in texts(admin)

    def test_a_month_without_entries_says_so(self, admin):
        preview(admin, "0.25")
        keyed(admin.selectbox, "_month").select_index(0).run()
        assert "Nothing of this model was booked in this month." in texts(admin)

    @pytest.mark.parametrize("amount", ["lots", "-1", "1e3"])
    def test_a_bad_amount_shows_nothing(self, admin, amount: str):
        preview(admin, amount)
        assert "Type an amount in US dollars" in texts(admin)
        assert not numbers(admin)

    def test_what_was_booked_is_corrected_to_it_with_a_reason(self, desk: World, shop, admin):
        preview(admin, "0.25")
        submit(admin, "Book the corrections")
        assert "Say why" in texts(admin)
        keyed([one for one in admin.text_input if "reprice" in one.key], "_reason_0").set_value("Their invoice")
        submit(admin, "Book the corrections")
        assert not admin.exception
        assert desk.value("select sum(cost_usd) from public.cost_entries where corrects_id is not null") == Decimal(
            "0.3"
        )
        assert "Corrections of this month come to" in texts(admin)
        assert desk.money_differences() == []


class TestComingPrices:
    def test_one_is_withdrawn_with_a_reason_and_stays_listed(self, desk: World, shop, open_page):
        door = desk.as_person(shop[2])
        prices.set_price(door, shop[0], "elevenlabs", "v3", "0.5", "New list", datetime.now(UTC) + NEXT_WEEK)
        test = open_page(shop[2], "admin", slug(desk, shop[1]), part="Prices")
        submit(test, "Withdraw")
        assert "Say why" in texts(test)
        keyed([one for one in test.text_input if "withdraw" in one.key], "_reason_0").set_value("They keep the old one")
        submit(test, "Withdraw")
        assert not test.exception
        (book,) = (frame.value for frame in test.dataframe if "State" in frame.value)
        assert "Withdrawn by Ada: They keep the old one" in book["State"].tolist()
        assert not [button for button in test.button if button.label == "Withdraw"]

    def test_without_one_nothing_is_offered(self, admin):
        assert not [button for button in admin.button if button.label == "Withdraw"]


class TestCorrecting:
    @pytest.fixture
    def entries(self, desk: World, shop, open_page):
        def opened(person: UUID | None = None):
            test = open_page(person or shop[2], "costs", costs_part="Entries", costs_range="All time")
            test.session_state["costs_correct"] = True
            return test.run()

        return opened

    def test_before_and_after_are_shown_then_it_is_booked(self, desk: World, shop, entries):
        test = entries()
        keyed(test.text_input, "_usd_0").set_value("0.15")
        keyed(test.text_input, "_reason_0").set_value("Their invoice")
        submit(test, "Look at the correction")
        (table,) = (one.value for one in test.table)
        assert table[["Before", "Correction", "After"]].iloc[0].tolist() == ["$0.200000", "−$0.050000", "$0.150000"]
        assert desk.value("select count(*) from public.cost_entries") == 1
        test.button(key="costs_correct_book").click().run()
        assert not test.exception
        notes = next(frame.value for frame in test.dataframe if "Note" in frame.value)["Note"].tolist()
        assert "corrects entry 1 of" in notes[0]
        assert ": Their invoice" in notes[0]
        assert notes[1] == "corrected by entry 2: costs $0.1500 with it"
        assert not test.table
        assert desk.money_differences() == []

    @pytest.mark.parametrize(
        ("usd", "reason", "said"),
        [("", "x", "Type what it should have cost"), ("-1", "x", "Type what it should have cost"),
         ("0.2", "x", "what it costs already"), ("0.1", " ", "Say why")],
    )  # fmt: skip
    def test_bad_input_is_said_beside_it(self, entries, usd: str, reason: str, said: str):
        test = entries()
        keyed(test.text_input, "_usd_0").set_value(usd)
        keyed(test.text_input, "_reason_0").set_value(reason)
        submit(test, "Look at the correction")
        assert said in texts(test)
        assert not test.table

    def test_who_was_overtaken_is_told(self, desk: World, shop, entries):
        test = entries()
        keyed(test.text_input, "_usd_0").set_value("0.15")
        keyed(test.text_input, "_reason_0").set_value("Their invoice")
        submit(test, "Look at the correction")
        entry_id = desk.value("select id from public.cost_entries")
        other = {"p_id": uuid4(), "p_entry_id": entry_id, "p_usd": Decimal(1), "p_reason": "First"}
        desk.as_person(shop[2]).call("adjust_cost", **other)
        test.button(key="costs_correct_book").click().run()
        assert "This entry costs $1.20 now." in texts(test)
        assert desk.value("select count(*) from public.cost_entries") == 2

    @pytest.mark.parametrize("role", ["manager", "finance"])
    def test_only_admins_correct(self, desk: World, shop, entries, role: str):
        stores = [shop[1]] if role == "manager" else []
        test = entries(desk.person(shop[0], role, *stores))
        assert not test.exception
        assert not [one for one in test.expander if one.label == "Correct an entry"]
