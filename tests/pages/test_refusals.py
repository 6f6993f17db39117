"""The panel that says why an order was refused: on Voice, on Jobs, on Costs; asking the admins, and other refusals."""

from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from services.costs import refusals
from services.errors import QuotaExceeded, Unavailable
from services.jobs import queue
from services.speech import generation
from services.speech.generation import SpeechOrder
from tests.builders import World, speech
from tests.pages.conftest import slug, texts

TEXT = "x" * 100  # one passage, costs $0.03


def tables(test):
    return [table.value for table in test.table]


@pytest.fixture
def shop(desk: World) -> tuple[UUID, UUID, UUID]:
    """Company, store (quota $10) and its manager; an admin named Ada."""
    account = desk.company()
    store = desk.store(account, quota="10")
    desk.person(account, "admin", name="Ada")
    return account, store, desk.person(account, "manager", store, name="Mia")


def refused_job(desk: World, shop) -> UUID:
    """A failed job whose retry the quota did not cover."""
    values = SpeechOrder.model_validate(speech(TEXT, voice="premium"))
    job = generation.order_speech(desk.as_person(shop[2]), shop[1], values, uuid4())
    desk.execute("select private.end_job(j, 'failed', 'It broke.') from public.jobs j where id = %s", job)
    desk.spend(shop[1], "9.98")
    with pytest.raises(QuotaExceeded):
        queue.retry(desk.as_person(shop[2]), job)
    return job


def set_quota(desk: World, shop, usd: str) -> None:
    boss = desk.as_person(desk.person(shop[0], "admin", name="Bob"))
    boss.call("set_quota", p_account_id=shop[0], p_profile_id=shop[1], p_quota_usd=Decimal(usd), p_reason="Fair")


@pytest.fixture
def jobs(desk: World, shop, open_page):
    """The Jobs page, the refused job's card open."""
    job = refused_job(desk, shop)

    def opened(person: UUID | None = None):
        test = open_page(person or shop[2], "jobs", slug(desk, shop[1]))
        test.session_state[f"why_{job}"] = True
        return test.run()

    return job, opened


class TestJobs:
    def test_a_refusal_can_be_looked_at_afterwards(self, desk: World, shop, jobs):
        test = jobs[1]()
        assert not test.exception
        assert "This month's quota of Quay does not cover it." in texts(test)
        (table,) = tables(test)
        assert table["Amount"].tolist() == ["$10.00", "$9.98", "$0.00", "$0.0300", "$0.0100"]
        assert "Ask an admin to raise the quota: Ada" in texts(test)
        assert "Shorten the text: 66 of its 100 characters fit." in texts(test)

    def test_what_changed_since_stands_beside_it(self, desk: World, shop, jobs):
        desk.spend(shop[1], "0.01")
        (table,) = tables(jobs[1]())
        then, now = table.iloc[:, 1].tolist(), table.iloc[:, 2].tolist()
        assert (then[1], now[1], now[4]) == ("$9.98", "$9.99", "$0.0200")
        assert table.columns[1].startswith("Refused ")
        assert table.columns[2].startswith("Now (")

    def test_it_says_when_it_fits_and_a_retry_closes_it(self, desk: World, shop, jobs):
        set_quota(desk, shop, "20")
        test = jobs[1]()
        assert "It fits now: try again." in texts(test)
        assert "Ways on" not in texts(test)
        test.button(key=f"retry_{jobs[0]}").click().run()
        assert not [e for e in test.expander if e.label == "Why was it refused?"]

    def test_one_click_asks_the_admins_once(self, desk: World, shop, jobs):
        test = jobs[1]()
        test.button(key=f"refusal_{jobs[0]}_ask").click().run()
        assert "The admins are told." in texts(test)
        test.run()
        assert "The admins were asked for" in texts(test)
        assert not [button for button in test.button if "Ask the admins" in button.label]
        assert desk.value("select count(*) from public.notices where kind = 'quota_request'") == 1

    def test_admins_and_finance_are_not_asked_to_ask(self, desk: World, shop, jobs):
        for role, said in (("admin", "Raise the quota on the Admin page."), ("finance", "Ask an admin")):
            test = jobs[1](desk.person(shop[0], role))
            assert said in texts(test)
            assert not [button for button in test.button if "Ask the admins" in button.label]

    def test_what_else_stands_in_the_way_is_said(self, desk: World, shop, jobs):
        set_quota(desk, shop, "20")
        desk.pause(shop[0], "practice", "premium")
        test = jobs[1]()
        assert "is paused" in texts(test)
        assert "It fits now" not in texts(test)

    def test_when_it_cannot_be_asked_the_refusal_stands_all_the_same(self, desk: World, shop, jobs, monkeypatch):
        def away(*_):
            raise Unavailable

        monkeypatch.setattr(refusals, "explain", away)
        test = jobs[1]()
        assert not test.exception
        assert tables(test)[0]["Amount"].tolist()[0] == "$10.00"
        assert "cannot be read" in texts(test)

    def test_another_refusal_is_a_sentence_and_who_can_change_it(self, desk: World, shop, jobs):
        kept = '{"error": "price_missing", "message": "The price book has no price.", "at": "2026-11-21T10:00:00Z"}'
        desk.execute("update public.jobs set refusal = %s where id = %s", kept, jobs[0])
        test = jobs[1]()
        assert "The price book has no price." in texts(test)
        assert "An admin can change that: Ada" in texts(test)
        assert not tables(test)


class TestVoice:
    @pytest.fixture
    def voice(self, desk: World, shop, open_page):
        def opened():
            test = open_page(shop[2], "voice", slug(desk, shop[1]))
            test.radio(key="voice_provider").set_value("practice")
            return test

        return opened

    def test_holds_are_told_with_who_and_since_when(self, desk: World, shop, voice):
        other = desk.person(shop[0], "manager", shop[1], name="Noa")
        values = SpeechOrder.model_validate(speech("y" * 100, voice="premium"))
        generation.order_speech(desk.as_person(other), shop[1], values, uuid4())
        desk.spend(shop[1], "9.95")
        test = voice()
        test.text_area(key="voice_text").set_value(TEXT).run()
        assert not test.exception
        assert "of Noa since" in texts(test)
        assert "not called yet" in texts(test)
        test.button(key="refusal_ask").click().run()
        assert "The admins are told." in texts(test)

    def test_a_suspended_store_says_who_can_change_it(self, desk: World, shop, voice):
        suspend = "update public.profiles set suspended_at = now(), suspended_reason = 'Flood' where id = %s"
        desk.execute(suspend, shop[1])
        assert "An admin can change that: Ada" in texts(voice().run())


class TestCosts:
    def test_what_was_refused_lately_is_listed_when_opened(self, desk: World, shop, open_page):
        job = refused_job(desk, shop)
        test = open_page(shop[2], "costs")
        assert not tables(test)
        test.session_state["costs_refused"] = True
        test.run()
        assert not test.exception
        assert test.selectbox(key="costs_refused_job").value == str(job)
        assert "does not cover it" in texts(test)
        assert len(tables(test)) == 1

    def test_others_see_none_of_it(self, desk: World, shop, open_page):
        refused_job(desk, shop)
        other = desk.person(shop[0], "manager", desk.store(shop[0], "Dock"))
        test = open_page(other, "costs")
        test.session_state["costs_refused"] = True
        test.run()
        assert "No job was refused" in texts(test)
