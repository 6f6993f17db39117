"""Overview, Jobs and Admin as each role sees them."""

from datetime import UTC, date, datetime
from uuid import UUID, uuid4

from services.costs import reports
from services.errors import Unavailable
from services.jobs import queue
from services.speech import generation
from services.speech.generation import SpeechOrder
from tests.builders import World, speech
from tests.pages.conftest import slug, texts
from ui import charts


def order(desk: World, store: UUID, person: UUID, text: str = "Fresh bread at six.") -> UUID:
    """A queued speech job of this person."""
    values = SpeechOrder.model_validate(speech(text, voice="premium"))
    return generation.order_speech(desk.as_person(person), store, values, uuid4())


class TestOverview:
    def test_numbers_are_the_ledgers(self, desk: World, open_page):
        account = desk.company()
        store = desk.store(account, quota="10")
        desk.spend(store, "1.5")
        desk.spend(store, "0.25", service="elevenlabs")
        test = open_page(desk.person(account, "finance"), store=slug(desk, store))
        numbers = {metric.label: metric.value for metric in test.metric}
        assert numbers["Spent, 30 days"] == "$1.75"
        assert numbers["Spent this month"] == "$1.75"
        assert numbers["Left this month"] == "$8.25"
        assert len(test.get("plotly_chart")) == 1

    def test_all_stores_worst_first(self, desk: World, open_page):
        account = desk.company()
        calm, hot = desk.store(account, "Calm", quota="10"), desk.store(account, "Hot", quota="10")
        desk.spend(calm, "1")
        desk.spend(hot, "9")
        test = open_page(desk.person(account, "admin"))
        assert [name.split(" · ")[1] for name in test.dataframe[0].value["Store"]] == ["Hot", "Calm"]

    def test_range_in_the_address_is_obeyed(self, desk: World, open_page):
        account = desk.company()
        desk.store(account)
        test = open_page(desk.person(account, "admin"), range="7 days")
        assert any(metric.label == "Spent, 7 days" for metric in test.metric)

    def test_ones_own_work_counts_at_once(self, desk: World, open_page, work):
        account = desk.company()
        store = desk.store(account)
        person = desk.person(account, "manager", store)
        test = open_page(person, store=slug(desk, store))
        assert {m.label: m.value for m in test.metric}["Speech, 30 days"] == "0"
        voice = test.switch_page("../pages/voice.py").run()
        voice.radio(key="voice_provider").set_value("hibari")
        voice.text_area(key="voice_text").set_value("Counted at once.").run()
        voice.button(key="voice_generate").click().run()
        work(desk)
        overview = voice.switch_page("../pages/overview.py").run()
        assert {m.label: m.value for m in overview.metric}["Speech, 30 days"] == "1"

    def test_today_is_the_utc_day_whatever_the_servers_zone(self, desk: World, open_page, monkeypatch):
        drawn = []
        monkeypatch.setattr(charts, "stacked_bars", lambda *_, last, **__: drawn.append(last) or {"data": []})
        account = desk.company()
        store = desk.store(account)
        desk.set_clock(datetime(2026, 11, 21, 2, tzinfo=UTC))
        desk.spend(store, "1")
        desk.execute(f"alter database {desk.admin.info.dbname} set timezone = 'America/New_York'")
        for pool in (desk.doors.app_pool, desk.doors.worker_pool):
            pool.check()
        open_page(desk.person(account, "admin"), store=slug(desk, store))
        assert drawn == [date(2026, 11, 21)]

    def test_first_steps_are_ticked_by_fact(self, desk: World, open_page):
        account = desk.company()
        store = desk.store(account)
        admin = desk.person(account, "admin")
        test = open_page(admin)
        assert "First steps" in texts(test)
        desk.as_person(admin).call(
            "set_quota", p_account_id=account, p_profile_id=store, p_quota_usd="5", p_reason="start"
        )
        links = [(link.proto.label, link.proto.query_string) for link in open_page(admin).get("page_link")]
        assert links == [
            ("Speak a line", ""), ("Add a clip", ""), ("Connect Postiz", ""), ("Set a quota (done)", "part=Quotas"),
            ("Add a manager", "part=People"),
        ]  # fmt: skip

    def test_an_outage_is_said_and_not_shown_as_zero(self, desk: World, open_page, monkeypatch):
        account = desk.company()
        desk.store(account)
        person = desk.person(account, "admin")

        def away(*_):
            raise Unavailable

        monkeypatch.setattr(reports, "account_dashboard", away)
        test = open_page(person)
        assert "The database does not answer" in texts(test)
        assert not test.metric


class TestJobs:
    def test_cancel_and_retry(self, desk: World, open_page):
        account = desk.company()
        store = desk.store(account, quota="10")
        person = desk.person(account, "manager", store)
        job = order(desk, store, person)
        test = open_page(person, "jobs", slug(desk, store))
        test.button(key=f"cancel_{job}").click().run()
        assert queue.get_job(desk.as_person(person), job).status == "cancelled"
        assert desk.value("select held_usd from public.quota_counters where scope_id = %s", store) == 0
        test.run()
        test.button(key=f"retry_{job}").click().run()
        assert queue.get_job(desk.as_person(person), job).status == "pending"

    def test_a_refused_retry_explains_itself(self, desk: World, open_page):
        account = desk.company()
        store = desk.store(account, quota="10")
        person = desk.person(account, "manager", store)
        job = order(desk, store, person, "x" * 100)
        test = open_page(person, "jobs", slug(desk, store))
        test.button(key=f"cancel_{job}").click().run()
        desk.spend(store, "9.99")
        test.run()
        test.button(key=f"retry_{job}").click().run()
        assert "does not cover it" in texts(test)
        assert list(test.table[0].value["Amount"])[-1] == "$0.0200"

    def test_an_archived_stores_job_is_named_so_and_not_retried(self, desk: World, open_page):
        account = desk.company()
        store = desk.store(account)
        job = order(desk, store, desk.person(account, "manager", store))
        desk.execute("update public.jobs set status = 'failed', error = 'x' where id = %s", job)
        desk.execute("update public.profiles set archived_at = now() where id = %s", store)
        test = open_page(desk.person(account, "admin"), "jobs")
        assert "A store that was archived" in texts(test)
        assert not [button for button in test.button if button.key == f"retry_{job}"]

    def test_a_failure_is_a_sentence(self, desk: World, open_page):
        account = desk.company()
        store = desk.store(account)
        person = desk.person(account, "manager", store)
        job = order(desk, store, person)
        desk.execute("update public.jobs set status = 'failed', error = 'The disk is full.' where id = %s", job)
        assert "The disk is full." in texts(open_page(person, "jobs", slug(desk, store)))

    def test_finance_reads_and_touches_nothing(self, desk: World, open_page):
        account = desk.company()
        store = desk.store(account)
        job = order(desk, store, desk.person(account, "manager", store))
        test = open_page(desk.person(account, "finance"), "jobs")
        assert "Fresh bread" in texts(test)
        assert not [button for button in test.button if button.key == f"cancel_{job}"]

    def test_another_stores_jobs_are_absent(self, desk: World, open_page):
        account = desk.company()
        mine, other = desk.store(account), desk.store(account)
        order(desk, other, desk.person(account, "manager", other), "Secret of the other store.")
        test = open_page(desk.person(account, "manager", mine), "jobs")
        assert "Secret" not in texts(test)
        assert "Nothing has run here yet" in texts(test)

    def test_pages_are_turned_by_key(self, desk: World, open_page):
        account = desk.company()
        store = desk.store(account)
        person = desk.person(account, "manager", store)
        for number in range(30):
            order(desk, store, person, f"Line number {number} of thirty.")
        test = open_page(person, "jobs", slug(desk, store))
        assert "Line number 29 of" in texts(test)
        test.button(key="jobs_older").click().run()
        assert "Line number 0 of" in texts(test)
        assert "Line number 29 of" not in texts(test)
