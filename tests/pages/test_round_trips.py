"""How often a page asks the database: counted at the door, with everything new and with what is at most 30 s old."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.database.connect import Doors
from services.database.door import Database
from services.speech import dictionary
from tests.builders import World, entry
from tests.pages.conftest import half_a_minute_later, slug, texts
from tests.pages.test_voices import FLASH, LINE, V3, buy
from ui import recent, voice_desk
from ui.recent import Recent

GOAL = 3  # round trips of a run whose data was shown before


@dataclass
class Counter:
    """What was asked since `clear`, in order."""

    asked: list[str] = field(default_factory=list)

    def clear(self) -> None:
        self.asked.clear()


class Counted:
    """A door that notes each round trip."""

    def __init__(self, door: Database, counter: Counter) -> None:
        self._door, self._counter = door, counter

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._door, name)

        def asking(what: Any, *args: Any, **options: Any) -> Any:
            self._counter.asked.append(what if isinstance(what, str) else f"{name} {what.__name__}")
            return method(what, *args, **options)

        return asking


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter]:
    made = Counter()
    for name in ("person", "anonymous", "local"):
        real = getattr(Doors, name)
        monkeypatch.setattr(Doors, name, lambda self, *a, _real=real, **k: Counted(_real(self, *a, **k), made))
    return made


@pytest.fixture
def shop(desk: World) -> tuple[UUID, UUID, UUID]:
    """Company, store and admin: a paid voice with a price, and another model of it that billed too much."""
    account = desk.company()
    store = desk.store(account, quota="10")
    desk.service("elevenlabs", V3, FLASH, account_id=account)
    desk.price(account, "elevenlabs", "v3", "0.10")
    desk.voice("elevenlabs", "anna", account)
    return account, store, desk.person(account, "admin")


@pytest.fixture
def busy(desk: World, shop) -> None:
    """One call was overrun, one is unclear, a job has failed, another runs."""
    _, store, _ = shop
    desk.pause(shop[0], "elevenlabs", "flash", id=buy(desk, shop, "The first paragraph."))
    desk.purchase(desk.value("select job_id from public.purchases"), "unclear")
    desk.job("speech", store, status="failed", input={"text": "x"}, error="It broke.")
    desk.job("speech", store, status="running", input={"text": "x"})


@pytest.fixture
def opened(desk: World, shop, open_page):
    """A page of the shop's admin; Voice with the paid voice chosen and a text typed."""

    def opened(page: str):
        test = open_page(shop[2], page, slug(desk, shop[1]))
        if page == "voice":
            test.radio(key="voice_provider").set_value("elevenlabs")
            test.text_area(key="voice_text").set_value(LINE).run()
        return test

    return opened


def again(test, counter: Counter) -> list[str]:
    """Run the page once more; what that asked."""
    counter.clear()
    test.run()
    assert not test.exception
    return list(counter.asked)


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("page", ["overview", "voice", "scripts", "jobs", "admin", "audit", "costs"])
def test_a_page_shown_again_asks_at_most_three_times(opened, counter: Counter, page: str):
    test = opened(page)
    assert len(again(test, counter)) <= GOAL
    half_a_minute_later()
    assert len(again(test, counter)) >= GOAL, "the counter sees what is asked"


@pytest.mark.usefixtures("busy")
def test_jobs_are_asked_for_once_by_whoever_opens_the_page(opened, counter: Counter):
    """Beside what the shell asks on every page."""
    test = opened("jobs")
    half_a_minute_later()
    assert set(again(test, counter)) - {"count Notice"} == {"my_stores", "jobs_desk"}
    assert len(counter.asked) <= GOAL
    assert again(test, counter) == ["jobs_desk"]


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize(
    ("part", "asked"),
    [("Summary", {"costs_desk", "money_trust"}), ("Entries", {"money_trust", "cost_entries_page"}),
     ("People", {"costs_desk", "money_trust"}), ("Value", {"cost_value", "money_trust"}),
     ("My costs", {"user_cost_summary", "user_cost_events"})],
)  # fmt: skip
def test_costs_are_asked_for_in_at_most_two_questions(desk: World, shop, open_page, counter: Counter, part, asked):
    """Beside what the shell asks on every page; shown again nothing is asked."""
    test = open_page(shop[2], "costs", slug(desk, shop[1]), costs_part=part)
    half_a_minute_later()
    assert set(again(test, counter)) - {"count Notice", "my_stores"} == asked
    assert len(counter.asked) <= GOAL + 1
    assert again(test, counter) == []


@pytest.mark.usefixtures("busy")
def test_a_store_s_voice_is_asked_for_at_once(opened, counter: Counter):
    """Beside what the shell asks on every page; the price of a typed text is a question of its own."""
    test = opened("voice")
    half_a_minute_later()
    assert again(test, counter) == ["count Notice", "my_stores", "voice_desk", "speech_quote"]
    test.text_area(key="voice_text").set_value("").run()
    half_a_minute_later()
    assert again(test, counter) == ["count Notice", "my_stores", "voice_desk"]
    assert len(counter.asked) <= GOAL


@pytest.mark.usefixtures("busy")
def test_asked_at_once_the_voice_page_shows_what_it_shows_piece_by_piece(
    desk: World, shop, opened, work, monkeypatch: pytest.MonkeyPatch
):
    dictionary.say(desk.as_person(shop[2]), shop[1], "quay", "key")
    test = opened("voice")
    test.radio(key="voice_provider").set_value("hibari").run()
    test.button(key="voice_generate").click().run()
    work(desk)
    test.radio(key="voice_provider").set_value("elevenlabs").run()
    shown = [texts(opened("voice"))]
    monkeypatch.setattr(voice_desk, "ask", lambda *_: None)
    shown.append(texts(opened("voice")))
    assert shown[0] == shown[1]
    assert "Nothing yet" not in shown[0]


def test_what_is_asked_at_once_replaces_what_its_pieces_remember(desk: World, shop, opened, counter: Counter):
    """They would last five seconds more, and then be asked for one by one."""
    test = opened("voice")
    dictionary.say(desk.as_person(desk.person(shop[0], "admin")), shop[1], "Brandless", "brand less")
    desk.voice("elevenlabs", "bert", shop[0])
    assert "Brandless" not in texts(test.run())
    voice_desk._asked.clear()
    assert again(test, counter) == ["voice_desk", "speech_quote"]
    assert "Brandless" in texts(test)
    assert len(test.selectbox(key="voice_voice_elevenlabs").options) == 2


@pytest.mark.usefixtures("busy")
def test_what_a_job_cost_is_asked_once_and_only_when_opened(desk: World, shop, opened, counter: Counter):
    job = desk.value("select id from public.jobs where status = 'failed' limit 1")
    worker, hold = desk.as_worker(), uuid4()
    worker.call("hold_cost", p_request_id=hold, p_profile_id=shop[1], p_estimate_usd=Decimal("1"),
                p_service="practice", p_job_id=job)  # fmt: skip
    worker.call("settle_cost", p_request_id=hold, p_entries=[entry(preview="One."), entry(preview="Two.")])
    test = opened("jobs")
    read = {"select CostEntry", "select _Details"}
    assert not read & set(again(test, counter))
    test.session_state[f"cost_{job}"] = True
    assert read <= set(again(test, counter))
    assert len(again(test, counter)) <= GOAL
    assert not read & set(counter.asked)


@pytest.mark.parametrize(
    ("part", "asked"),
    [("Write", ["select SavedAssistant", "select Job"]), ("Runs", ["select Listed"]),
     ("Versions", ["select Listed", "select Version"]), ("Assistants", ["select SavedAssistant"])],
)  # fmt: skip
def test_scripts_are_asked_for_in_at_most_two_questions(desk: World, shop, open_page, counter: Counter, part, asked):
    """Shown again, with an assistant and a version."""
    writer, whose = uuid4(), {"account_id": shop[0], "profile_id": shop[1]}
    models = dict.fromkeys(("prompt_generation", "prompt_analysis", "prompt_improvement"), "practice")
    desk.insert("public.assistants", id=writer, name="Baker", models=models, **whose)
    desk.insert("public.prompt_versions", id=uuid4(), assistant_id=writer, number=1, content="Fresh.",
                content_hash="x", **whose)  # fmt: skip
    test = open_page(shop[2], "scripts", slug(desk, shop[1]), script_part=part)
    assert again(test, counter) == asked


def test_another_text_is_priced_in_one_question(opened, counter: Counter):
    test = opened("voice")
    counter.clear()
    test.text_area(key="voice_text").set_value(f"{LINE} Come early.").run()
    assert counter.asked == ["speech_quote", "select Job"]


@pytest.mark.parametrize("others", [0, 1])
def test_what_is_done_stands_in_the_list_at_once(desk: World, shop, opened, work, others: int):
    """Also while other jobs of the store go on."""
    for _ in range(others):
        desk.job("speech", shop[1], status="running", input={"text": "x"}, lease_until="2100-01-01T00:00:00Z")
    test = opened("voice")
    test.radio(key="voice_provider").set_value("hibari").run()
    test.button(key="voice_generate").click().run()
    assert "Nothing yet" in texts(test)
    work(desk)
    test.run()
    assert "Nothing yet" not in texts(test)


def test_a_click_is_answered_from_the_words_of_this_moment(desk: World, shop, opened):
    """A colleague's word, that this page has not read yet, makes the text longer than the price that was shown."""
    test = opened("voice")
    dictionary.say(desk.as_person(desk.person(shop[0], "admin")), shop[1], "quay", "the key of the quay")
    test.button(key="voice_generate").click().run()
    assert "Press again to generate" in texts(test)
    assert desk.value("select count(*) from public.jobs where kind = 'speech'") == 0


def test_people_do_not_share_what_is_remembered(desk: World, shop):
    """The same question to the same cache: a manager of another store gets an answer of their own."""
    account, store, admin = shop
    other = desk.person(account, "manager", desk.store(account))
    dictionary.say(desk.as_person(admin), store, "Quay", "key")
    seen = [
        dictionary.words(
            Recent(account_id=account, person_id=person, role="manager", profile_id=store,
                   database=desk.as_person(person)), store
        )
        for person in (admin, other)
    ]  # fmt: skip
    assert [len(words) for words in seen] == [1, 0]


def test_one_companys_changes_leave_anothers_cache_alone():
    first, second = uuid4(), uuid4()
    before = recent.mark(first), recent.mark(second)
    recent.forget(first)
    assert recent.mark(first) != before[0]
    assert recent.mark(second) == before[1]
