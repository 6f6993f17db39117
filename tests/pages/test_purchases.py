"""Jobs: what lost jobs were charged and what stays unclear. Admin: prices and paused models."""

from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from services.costs import prices
from services.speech import generation
from services.speech.generation import SpeechOrder
from tests.builders import World, entry, speech
from tests.pages.conftest import slug, texts

LINE = "x" * 100  # $0.03 in the practice voice


@pytest.fixture
def lost(desk: World, shop):
    """A job that ended like this, with one purchase in this state: `lost("failed", "unclear")` → job, purchase."""

    def made(status: str, state: str | None = None, **purchase) -> tuple[UUID, UUID | None]:
        order = SpeechOrder.model_validate(speech(LINE, voice="premium"))
        job = generation.order_speech(desk.as_person(shop[2]), shop[1], order, uuid4())
        bought = desk.purchase(job, state, **purchase) if state else None
        desk.execute("update public.jobs set status = %s, error = 'It broke.' where id = %s", status, job)
        return job, bought

    return made


@pytest.fixture
def jobs(desk: World, shop, open_page):
    """The Jobs page of the shop's manager, or of somebody else of the company."""

    def opened(role: str | None = None, **address):
        person = desk.person(shop[0], role) if role else shop[2]
        return open_page(person, "jobs", slug(desk, shop[1]), **address)

    return opened


def keys(test) -> set[str]:
    return {button.key for button in test.button if button.key}


class TestLostJobs:
    @pytest.mark.parametrize("status", ["failed", "cancelled"])
    def test_nothing_was_charged_only_where_that_is_true(self, lost, jobs, status: str):
        lost(status)
        assert "Nothing was charged." in texts(jobs())

    @pytest.mark.parametrize("status", ["failed", "cancelled"])
    def test_what_was_bought_is_told_and_kept(self, lost, jobs, status: str):
        job, _ = lost(status, "settled", cost_usd=Decimal("0.03"), media_path="parts/a.mp3")
        test = jobs()
        said = texts(test).replace("\\", "")
        assert "$0.0300 was charged. 1 passage was bought and kept: a retry reuses what was bought." in said
        assert "Nothing was charged" not in said
        assert f"retry_{job}" in keys(test)

    def test_a_call_still_being_found_out_is_no_promise(self, lost, jobs):
        lost("cancelled", "sent")
        assert "Whether a call was billed is being found out." in texts(jobs())

    def test_a_spoiled_passage_is_not_called_kept(self, lost, jobs):
        lost("failed", "settled", cost_usd=Decimal("0.03"), again_at="2026-11-21T10:00:00Z")
        said = texts(jobs())
        assert "was charged" in said
        assert "kept" not in said

    def test_a_job_of_more_passages_than_an_answer_holds_is_summed_whole(self, desk: World, lost, jobs):
        job, _ = lost("failed", "settled", cost_usd=Decimal("0.001"), media_path="a")
        desk.execute(
            "insert into public.purchases (id, account_id, profile_id, job_id, place, provider, model, voice,"
            " part_hash, characters, units_expected, exact, state, cost_usd, media_path)"
            " select gen_random_uuid(), account_id, profile_id, job_id, n, provider, model, voice, n::text, 1, 1, true,"
            " 'settled', 0.001, 'm' from public.purchases, generate_series(1, 1499) n where job_id = %s",
            job,
        )
        assert "$1.50 was charged. 1,500 passages were bought and kept" in texts(jobs()).replace("\\", "")


class TestWhatItCost:
    @pytest.fixture
    def booked(self, desk: World, shop, lost):
        """An ended job with this many entries in the ledger, of 100 characters each."""

        def made(count: int = 1, status: str = "completed") -> UUID:
            job, _ = lost(status)
            request = desk.value("select request_id from public.cost_holds where job_id = %s", job)
            entries = [entry(preview=f"Passage {number}") for number in range(count)]
            desk.as_worker().call("settle_cost", p_request_id=request, p_entries=entries)
            return job

        return made

    @pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
    def test_it_is_read_when_it_is_opened(self, booked, jobs, status: str):
        job = booked(2, status)
        test = jobs()
        (card,) = costs(test)
        assert card.label.replace("\\", "") == "What it cost · $0.0600"
        assert not test.dataframe
        test.session_state[f"cost_{job}"] = True
        test.run()
        (table,) = test.dataframe
        first, second = table.value.to_dict("records")
        assert (first["What"], second["What"]) == ("Passage 0", "Passage 1")
        assert (first["Units"], first["Price"]) == ("100 characters", "$0.30/1000 chars")
        assert (first["Service"], first["Model"], first["Cost, US dollars"]) == (
            "Practice premium", "premium", "$0.0300",
        )  # fmt: skip
        assert not test.exception

    def test_many_entries_are_turned_in_pages(self, booked, jobs):
        job = booked(60)
        test = jobs()
        test.session_state[f"cost_{job}"] = True
        test.run()
        assert len(test.dataframe[0].value) == 50
        test.button(key=f"ledger_{job}_older").click().run()
        assert list(test.dataframe[0].value["What"]) == [f"Passage {number}" for number in range(50, 60)]

    def test_jobs_that_booked_nothing_or_still_run_have_none(self, desk: World, booked, lost, jobs):
        lost("completed")
        desk.execute("update public.jobs set status = 'running' where id = %s", booked())
        test = jobs()
        assert not costs(test)

    def test_finance_reads_it_too(self, booked, jobs):
        booked()
        assert len(costs(jobs("finance"))) == 1


def costs(test) -> list:
    return [card for card in test.expander if card.label.startswith("What it cost")]


class TestReuseWhilePaused:
    @pytest.fixture
    def paused(self, desk: World, shop, lost):
        """The practice voice is paused, and LINE was bought from it before."""
        job, bought = lost("failed", "settled", cost_usd=Decimal("0.03"), media_path="parts/a.mp3")
        part = desk.value(
            "select private.part_hash(input, input -> 'chunks' ->> 0) from public.jobs where id = %s", job
        )
        desk.execute("update public.purchases set part_hash = %s where id = %s", part, bought)
        desk.execute("update public.cost_holds set state = 'released', held_usd = 0 where job_id = %s", job)
        desk.pause(shop[0], "practice", "premium")

    @pytest.fixture
    def voice(self, desk: World, shop, open_page):
        def typed(text: str):
            test = open_page(shop[2], "voice", slug(desk, shop[1]))
            test.radio(key="voice_provider").set_value("practice")
            test.text_area(key="voice_text").set_value(text)
            return test.run()

        return typed

    @pytest.mark.usefixtures("paused")
    def test_what_was_bought_before_is_made_again_for_nothing(self, desk: World, shop, voice):
        test = voice(LINE)
        button = test.button(key="voice_generate")
        assert button.label == "Generate · free"
        assert not button.disabled
        assert "This model is paused" not in texts(test)
        before = desk.value("select count(*) from public.jobs")
        button.click().run()
        assert not test.exception
        assert desk.value("select count(*) from public.jobs") == before + 1
        assert desk.value("select coalesce(sum(held_usd), 0) from public.cost_holds") == 0

    @pytest.mark.usefixtures("paused")
    def test_what_would_have_to_be_bought_is_not(self, voice):
        test = voice(f"{LINE}\nAnd something new.")
        assert "This model is paused" in texts(test)
        assert "voice_generate" not in keys(test)

    def test_a_pause_that_began_a_moment_ago_is_said(self, desk: World, shop, voice):
        """What pages remember of pauses may be half a minute old."""
        test = voice(LINE)
        desk.pause(shop[0], "practice", "premium")
        test.text_area(key="voice_text").set_value("Another text.").run()
        assert "paused" in texts(test)
        assert "voice_generate" not in keys(test)


class TestUnclear:
    def test_a_manager_buys_again_in_two_clicks_beside_the_amount(self, desk: World, lost, jobs):
        job, bought = lost("failed", "unclear")
        test = jobs()
        assert "Nobody can tell whether a call was billed" in texts(test)
        assert "it may be paid twice" in texts(test)
        assert f"retry_{job}" not in keys(test)
        assert f"billed_{bought}" not in keys(test)
        again = test.button(key=f"again_{job}")
        assert again.label == "Pay $0.0300 again if need be"
        again.click().run()
        assert desk.value("select status from public.jobs where id = %s", job) == "pending"
        assert desk.value("select again_by is not null from public.purchases where id = %s", bought)
        assert desk.money_differences() == []

    @pytest.mark.parametrize(("answer", "cost"), [("billed", Decimal("0.03")), ("not_billed", Decimal(0))])
    def test_an_admin_decides_with_a_reason(self, desk: World, lost, jobs, answer: str, cost: Decimal):
        _job, bought = lost("failed", "unclear")
        test = jobs("admin")
        test.button(key=f"{answer}_{bought}").click().run()
        assert "Say how you know" in texts(test)
        assert desk.value("select state from public.purchases") == "unclear"
        test.text_input(key=f"reason_{bought}").set_value("Usage page")
        test.button(key=f"{answer}_{bought}").click().run()
        assert desk.value("select coalesce(sum(cost_usd), 0) from public.cost_entries") == cost
        assert desk.value("select reason from public.audit_log where action = 'purchase_decided'") == "Usage page"
        assert "Nobody can tell" not in texts(test)
        assert desk.money_differences() == []

    def test_finance_reads_and_decides_nothing(self, lost, jobs):
        job, bought = lost("failed", "unclear")
        test = jobs("finance")
        assert "Nobody can tell" in texts(test)
        assert not keys(test) & {f"again_{job}", f"billed_{bought}", f"retry_{job}"}

    def test_an_old_one_stands_first_on_the_first_page(self, desk: World, lost, jobs, shop):
        job, _ = lost("failed", "unclear")
        desk.execute("update public.jobs set created_at = now() - interval '9 days' where id = %s", job)
        for _ in range(30):
            desk.job("speech", shop[1], status="completed", input={"text": "New."})
        test = jobs()
        assert f"again_{job}" in keys(test)
        test.button(key="jobs_older").click().run()
        assert "Choose any state and kind" in texts(test)

    def test_one_that_was_bought_again_can_still_be_decided(self, lost, jobs):
        _, bought = lost("completed", "unclear", again_at="2026-11-21T10:00:00Z")
        test = jobs("admin")
        assert "It was bought again." in texts(test)
        assert f"billed_{bought}" in keys(test)

    def test_without_a_price_the_amount_is_called_unknown(self, desk: World, lost, jobs):
        job, _ = lost("failed", "unclear")
        desk.execute("delete from public.prices where provider = 'practice'")
        assert jobs().button(key=f"again_{job}").label == "Pay an unknown amount again if need be"


def test_a_job_billed_above_its_price_is_marked(desk: World, lost, jobs, shop):
    _, bought = lost("completed", "settled", cost_usd=Decimal("0.12"))
    desk.pause(shop[0], "practice", "premium", 100, 400, id=bought)
    assert "Billed ×4 of what was announced" in texts(jobs())


def test_the_voice_list_is_a_kind_of_job(desk: World, jobs, shop):
    desk.job("voices", account_id=shop[0])
    test = jobs("admin")
    assert "Voice list" in test.selectbox(key="kind").options


# Admin ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def admin(desk: World, shop, open_page):
    desk.service("elevenlabs", {"id": "v3", "name": "Eleven v3"}, account_id=shop[0])
    return open_page(desk.person(shop[0], "admin"), "admin", slug(desk, shop[1]), part="Prices")


def price_of(desk: World, shop) -> Decimal | None:
    book = prices.current(desk.as_person(shop[2]), shop[0])
    found = book.get(("elevenlabs", "v3", "characters"))
    return found.usd if found else None


def keyed(widgets, ending: str):
    """The widget whose key ends so: it begins with the form's and the company's name."""
    return next(widget for widget in widgets if widget.key and widget.key.endswith(ending))


def set_price(test, amount: str, reason: str = "") -> None:
    keyed(test.selectbox, "_model").set_value("elevenlabs/v3")
    keyed(test.text_input, "_amount").set_value(amount)
    keyed(test.text_input, "_reason").set_value(reason)
    submit(test, "Set price")


def submit(test, label: str) -> None:
    next(button for button in test.button if button.label == label).click().run()


class TestPrices:
    def test_every_model_stands_there_with_or_without_a_price(self, admin):
        table = next(frame.value for frame in admin.dataframe if "Price per 1,000" in frame.value)
        shown = dict(zip(table["Model"], table["Price per 1,000"], strict=True))
        assert shown == {"Heart": "Free", "Practice premium": "$0.3000", "Eleven v3": "No price"}
        assert "2020" in table["Since"].iloc[0]

    def test_a_price_needs_a_reason_and_counts_at_once(self, desk: World, shop, admin):
        set_price(admin, "0.10")
        assert "Say where this price comes from" in texts(admin)
        assert keyed(admin.text_input, "_amount").value == "0.10"
        set_price(admin, "0.10", "Creator plan")
        assert price_of(desk, shop) == Decimal("0.10")
        table = next(frame.value for frame in admin.dataframe if "Price per 1,000" in frame.value)
        assert "$0.1000" in set(table["Price per 1,000"])
        assert desk.value("select reason from public.audit_log where action = 'price_set'") == "Creator plan"

    @pytest.mark.parametrize("amount", ["", "lots", "-1", "NaN", "Infinity", "1e3", "0,10", "0.12345678901"])
    def test_a_bad_amount_changes_nothing(self, desk: World, shop, admin, amount: str):
        set_price(admin, amount, "because")
        assert "Type an amount in US dollars" in texts(admin)
        assert not admin.exception
        assert price_of(desk, shop) is None

    @pytest.mark.parametrize("zero", ["0", "$0.00"])
    def test_zero_is_free_only_when_ticked(self, desk: World, shop, admin, zero: str):
        assert not [box for box in admin.checkbox if box.key.endswith("_free")]
        set_price(admin, zero, "A gift")
        assert "0 means free" in texts(admin)
        assert price_of(desk, shop) is None
        keyed(admin.checkbox, "_free").set_value(True)
        submit(admin, "Set price")
        assert price_of(desk, shop) == 0


class TestPausedModels:
    def test_a_pause_shows_its_bill_and_ends_with_a_reason(self, desk: World, shop, open_page):
        desk.pause(shop[0], "elevenlabs", "v3", 100, 250)
        test = open_page(desk.person(shop[0], "admin"), "admin", slug(desk, shop[1]), part="Prices")
        assert "100 units were announced for 100 characters, and 250 were billed (×2.5)" in texts(test)
        submit(test, "Confirm the price")
        assert "Say why" in texts(test)
        test.text_input(key=f"confirm_elevenlabs_v3_{shop[0]}_reason").set_value("New price list")
        submit(test, "Confirm the price")
        assert "None: every model has billed what it announced." in texts(test)
        assert desk.value("select rate from public.voice_rates") == Decimal("2.5")

    def test_none_is_said(self, admin):
        assert "None: every model has billed what it announced." in texts(admin)
