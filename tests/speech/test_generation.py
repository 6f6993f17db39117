"""Speech from order to file: real Postgres, real embedded voice, a worker in this process."""

import os
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import uuid4

import pytest

from services import audio
from services.errors import (
    AttemptLost,
    Conflict,
    InvalidInput,
    NotAllowed,
    NotFound,
    PriceMissing,
    ProviderFailed,
    QuotaExceeded,
    StorageFull,
    StoreSuspended,
    Unavailable,
)
from services.jobs import attempt, queue
from services.media.folder import Folder
from services.speech import generation, registry
from services.speech.generation import SpeechOrder, order_speech, quote, speak
from tests import kill

TEXT = "Fresh bread at six."  # 19 characters: $0.0057 at $0.30 a thousand
PRICE = Decimal("0.0057")


def paid(text: str = TEXT, **values) -> SpeechOrder:
    return SpeechOrder(text=text, provider="practice", model="premium", voice="premium", **values)


def free(text: str = TEXT, **values) -> SpeechOrder:
    return SpeechOrder(text=text, provider="hibari", model="heart", voice="heart", **values)


def hold_state(world, job_id):
    return [row["state"] for row in world.rows("select state from public.cost_holds where job_id = %s", job_id)]


@pytest.fixture
def run(world, folder):
    """Run the oldest waiting speech job once, in this thread; returns its row."""

    def once(**settings):
        context = kill.claim(world, folder, "speech", **settings)
        attempt.run(context, speak)
        return kill.job_row(world, context.job.id)

    return once


# Quote -----------------------------------------------------------------------------------------------------------


def test_a_quote_says_what_it_costs_and_what_is_left(world, shop):
    answer = quote(shop.database, shop.store, paid())
    assert (answer.characters, answer.estimate, answer.free) == (19, PRICE, False)
    assert (answer.store.limit, answer.store.left, answer.store.settled) == (10, 10, 0)
    assert answer.company.limit is None
    assert answer.left_after == Decimal("9.9943")
    assert answer.more_like_it == 1753  # 9.9943 / 0.0057 = 1753.4
    assert (answer.refusal, answer.existing, answer.running) == (None, None, None)


def test_spaces_around_the_text_are_neither_counted_nor_billed(shop):
    assert quote(shop.database, shop.store, paid(f"\n\t {TEXT} \r\n")).characters == 19


def test_free_speech_and_unlimited_stores_have_no_number_to_run_out_of(world, shop):
    unlimited = world.store(shop.account)
    admin = world.as_person(world.person(shop.account, "admin"))
    answer = quote(admin, unlimited, paid())
    assert (answer.left_after, answer.more_like_it, answer.refusal) == (None, None, None)
    assert quote(shop.database, shop.store, free()).more_like_it is None


def test_the_smaller_limit_counts(world, shop):
    world.execute("update public.accounts set monthly_quota_usd = 2 where id = %s", shop.account)
    answer = quote(shop.database, shop.store, paid())
    assert answer.left_after == 2 - PRICE


@pytest.mark.parametrize(
    ("spent", "held_text", "company_quota", "wanted", "scope"),
    [
        ("9.9943", None, "0", paid(), None),  # fits exactly
        ("9.994301", None, "0", paid(), "store"),  # a millionth too much
        ("9.9943", "x", "0", paid(), "store"),  # another order holds some
        ("10", None, "0", free(), "store"),  # reached = exceeded, also for what is free
        ("1", None, "1.001", paid(), "company"),
        ("0", None, "0", paid(), None),
    ],
)
def test_the_quote_refuses_exactly_when_the_hold_does(world, shop, spent, held_text, company_quota, wanted, scope):
    world.execute(
        "update public.accounts set monthly_quota_usd = %s where id = %s", Decimal(company_quota), shop.account
    )
    if spent != "0":
        world.spend(shop.store, spent, service="other")
    if held_text:
        order_speech(shop.database, shop.store, paid(held_text), uuid4())
    foretold = quote(shop.database, shop.store, wanted).refusal
    if scope is None:
        assert foretold is None
        order_speech(shop.database, shop.store, wanted, uuid4())
        return
    with pytest.raises(QuotaExceeded) as refused:
        order_speech(shop.database, shop.store, wanted, uuid4())
    real = refused.value.refusal
    assert foretold.scope == real.scope == scope
    for name in ("estimate", "monthly_quota", "shortfall"):
        assert getattr(foretold, name) == getattr(real, name), name
    assert foretold.current_costs + foretold.held == real.current_costs + real.held
    if scope == "store":
        assert (foretold.current_costs, foretold.held) == (real.current_costs, real.held)


def test_free_speech_over_quota_where_the_store_allows_it(world, shop):
    world.spend(shop.store, "10", service="other")
    world.execute("update public.profiles set allow_free_voices_over_quota = true where id = %s", shop.store)
    assert quote(shop.database, shop.store, free()).refusal is None
    order_speech(shop.database, shop.store, free(), uuid4())


# Ordering --------------------------------------------------------------------------------------------------------


def test_speech_is_made_stored_and_booked_in_one_piece(world, shop, folder, run):
    project = world.project(shop.store)
    clip = world.clip(shop.store, project)
    job_id = order_speech(shop.database, shop.store, paid(project_id=project, clip_id=clip), uuid4())
    assert run()["status"] == "completed"
    job = queue.get_job(shop.database, job_id)
    (asset,) = generation.recent(shop.database, shop.store)
    assert job.result == {"speech_id": str(asset.id)}
    assert generation.get(shop.database, asset.id) == asset
    assert (asset.text, asset.characters, asset.cost_usd, asset.created_by) == (TEXT, 19, PRICE, shop.manager)
    assert (asset.voice, asset.settings, asset.job_id) == ("premium", {"speed": 1.0}, job_id)
    assert asset.file_name == "fresh-bread-at-six.mp3"
    sound = folder.read(asset.media_path)
    assert len(sound) == asset.bytes
    assert abs(audio.probe_duration(sound) - asset.duration_seconds) < 0.1
    (entry,) = world.rows("select * from public.cost_entries")
    assert (entry["job_id"], entry["cost_usd"], entry["units"]) == (job_id, PRICE, {"characters": 19})
    assert world.value("select state from public.purchases where id = %s", entry["id"]) == "settled"
    assert (entry["project_id"], entry["clip_id"], entry["user_id"]) == (project, clip, shop.manager)
    assert hold_state(world, job_id) == ["settled"]
    kill.assert_nothing_lost(world, folder)


def test_wav_is_made_as_well_and_the_worker_inside_does_it_all(world, shop, folder, start):
    start({"speech": speak}, job_poll_seconds=60)
    job_id = order_speech(shop.database, shop.store, free(format="wav"), uuid4())
    assert kill.wait_for_end(world, job_id)[0]["status"] == "completed"
    (asset,) = generation.recent(shop.database, shop.store)
    assert asset.media_path.endswith(".wav")
    assert folder.read(asset.media_path)[:4] == b"RIFF"
    assert asset.cost_usd == 0


def test_a_double_click_and_a_second_tab_make_one_job(world, shop):
    one = uuid4()
    with ThreadPoolExecutor(8) as pool:
        ids = list(
            pool.map(lambda n: order_speech(shop.database, shop.store, paid(), one if n % 2 else uuid4()), range(8))
        )
    assert len(set(ids)) == 1
    assert world.value("select count(*) from public.cost_holds") == 1
    assert quote(shop.database, shop.store, paid()).running == ids[0]


def test_the_same_id_with_another_text_is_refused(world, shop):
    job_id = order_speech(shop.database, shop.store, paid(), uuid4())
    with pytest.raises(Conflict):
        order_speech(shop.database, shop.store, paid("Something else."), job_id)


def test_what_was_made_before_is_offered_for_nothing_in_its_own_store_only(world, shop, run):
    other = world.store(shop.account)
    admin = world.as_person(world.person(shop.account, "admin"))
    order_speech(shop.database, shop.store, paid(), uuid4())
    run()
    (asset,) = generation.recent(shop.database, shop.store)
    assert quote(shop.database, shop.store, paid(f" {TEXT} ")).existing == asset.id
    for different in (paid("Another text."), paid(settings={"speed": 1.5}), paid(format="wav"), free()):
        assert quote(shop.database, shop.store, different).existing is None
    assert quote(admin, other, paid()).existing is None


@pytest.mark.parametrize("text", ["", "   \n ", "🥖🥐", "\u200b\u200b", "x" * 40_001, "Привет", "שלום עולם"])
def test_text_that_cannot_be_spoken_is_refused_beside_the_field(world, shop, text):
    with pytest.raises(InvalidInput) as refused:
        order_speech(shop.database, shop.store, paid(text), uuid4())
    assert refused.value.field == "text"
    assert world.value("select count(*) from public.jobs") == 0


@pytest.mark.parametrize("ask", [quote, lambda *a: order_speech(*a, uuid4())])
def test_nothing_without_a_price_or_in_somebody_elses_store(world, shop, ask):
    world.execute("delete from public.prices where provider = 'practice'")
    with pytest.raises(PriceMissing, match="no price for characters of practice"):
        ask(shop.database, shop.store, paid())
    stranger = world.as_person(world.person(world.company(), "admin"))
    with pytest.raises(NotFound):
        ask(stranger, shop.store, free())
    finance = world.as_person(world.person(shop.account, "finance"))
    with pytest.raises(NotAllowed):
        ask(finance, shop.store, free())
    assert world.value("select count(*) from public.jobs") == 0


def test_a_suspended_store_orders_nothing(world, shop):
    world.execute(
        "update public.profiles set suspended_at = now(), suspended_reason = 'audit' where id = %s", shop.store
    )
    with pytest.raises(StoreSuspended, match="audit"):
        order_speech(shop.database, shop.store, paid(), uuid4())
    assert world.value("select count(*) from public.jobs") == 0


def test_history_pages_by_key_and_shows_own_stores_only(world, shop, run):
    for number in range(5):
        order_speech(shop.database, shop.store, free(f"Loaf {number}."), uuid4())
        run()
    first = generation.recent(shop.database, shop.store, limit=3)
    rest = generation.recent(shop.database, shop.store, limit=3, after=first[-1].key)
    assert [asset.text for asset in first + rest] == [f"Loaf {number}." for number in (4, 3, 2, 1, 0)]
    stranger = world.as_person(world.person(world.company(), "admin"))
    assert generation.recent(stranger, shop.store) == []
    with pytest.raises(NotFound):
        generation.get(stranger, first[0].id)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Crème brûlée: 2 for $5!", "cr-me-br-l-e-2.mp3"),
        ("../../etc/passwd", "etc-passwd.mp3"),
        ("…", "speech.mp3"),
        ("one two three four five six seven", "one-two-three-four-five-six.mp3"),
    ],
)
def test_a_download_is_named_after_its_first_words(world, shop, text, name):
    asset = generation.SpeechAsset.model_construct(text=text, format="mp3")
    assert asset.file_name == name


# Going wrong -----------------------------------------------------------------------------------------------------


def test_a_full_disk_is_told_on_the_job_releases_the_money_and_a_retry_mends_it(world, shop, folder, run, monkeypatch):
    job_id = order_speech(shop.database, shop.store, paid(), uuid4())
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        row = run()
    assert (row["status"], row["error"]) == ("failed", StorageFull.sentence)
    assert hold_state(world, job_id) == ["released"]
    kill.assert_nothing_lost(world, folder)
    queue.retry(shop.database, job_id)
    assert run()["status"] == "completed"
    assert sorted(hold_state(world, job_id)) == ["released", "settled"]
    kill.assert_nothing_lost(world, folder)


def test_a_voice_that_fails_is_told_on_the_job_and_nothing_is_charged(world, shop, folder, run, monkeypatch):
    job_id = order_speech(shop.database, shop.store, paid(), uuid4())

    def fail(*_, **__):
        raise ProviderFailed("The embedded voice stumbled over this text.")

    monkeypatch.setattr(type(registry.provider("practice")), "synthesize", fail)
    row = run()
    assert (row["status"], row["error"]) == ("failed", "The embedded voice stumbled over this text.")
    assert hold_state(world, job_id) == ["released"]
    kill.assert_nothing_lost(world, folder)


def test_a_cancel_during_the_call_books_what_was_made_and_a_retry_uses_it(world, shop, folder, run, monkeypatch):
    job_id = order_speech(shop.database, shop.store, paid(), uuid4())
    write = Folder.write
    with monkeypatch.context() as clicking:

        def write_and_cancel(self, path, data):
            write(self, path, data)
            queue.cancel(shop.database, job_id)

        clicking.setattr(Folder, "write", write_and_cancel)
        assert run()["status"] == "cancelled"
    assert hold_state(world, job_id) == ["settled"]
    assert generation.recent(shop.database, shop.store) == []
    kill.assert_nothing_lost(world, folder)
    queue.retry(shop.database, job_id)
    assert run()["status"] == "completed"
    assert world.value("select count(*) from public.cost_entries") == 1
    kill.assert_nothing_lost(world, folder)


def test_an_attempt_that_was_taken_over_saves_nothing_and_its_file_is_swept(world, shop, folder, run):
    job_id = order_speech(shop.database, shop.store, paid(), uuid4())
    paused = kill.claim(world, folder, "speech")
    made = generation._join(paused, paid(), list(generation._parts(paused, paid())))
    kill.expire(world, job_id)
    assert run()["status"] == "completed"
    with pytest.raises(AttemptLost):
        paused.write("save_step", p_name="join", p_outcome=made)
    with pytest.raises(AttemptLost):
        paused.finish("save_speech", p_speech={**made, "id": made["speech_id"]})
    assert folder.exists(made["media_path"])
    kill.assert_nothing_lost(world, folder)
    assert not folder.exists(made["media_path"])


def interrupted(world, folder, job_id):
    """Speak, join and store the step, then vanish; returns the step's outcome."""
    context = kill.claim(world, folder, "speech")
    parts = list(generation._parts(context, paid()))
    made = context.step("join", lambda: generation._join(context, paid(), parts))
    kill.expire(world, job_id)
    return made


def test_the_next_attempt_uses_the_file_of_the_last(world, shop, folder, run):
    made = interrupted(world, folder, order_speech(shop.database, shop.store, paid(), uuid4()))
    run()
    (asset,) = generation.recent(shop.database, shop.store)
    assert (str(asset.id), asset.media_path) == (made["speech_id"], made["media_path"])
    kill.assert_nothing_lost(world, folder)


@pytest.mark.parametrize("why", ["swept", "about to be swept"])
def test_the_next_attempt_joins_again_where_the_file_is_gone_or_may_go(world, shop, folder, run, why):
    made = interrupted(world, folder, order_speech(shop.database, shop.store, paid(), uuid4()))
    if why == "swept":
        folder.delete(made["media_path"])
    run(sweep_hours=24 if why == "swept" else 0)
    (asset,) = generation.recent(shop.database, shop.store)
    assert asset.media_path != made["media_path"]
    assert folder.exists(asset.media_path)
    assert world.value("select count(*) from public.cost_entries") == 1
    kill.assert_nothing_lost(world, folder)


def test_a_retry_by_somebody_else_is_booked_under_their_name(world, shop, folder, run):
    job_id = order_speech(shop.database, shop.store, paid(), uuid4())
    kill.claim(world, folder, "speech").fail("The voice gave no usable audio.", None)
    admin = world.person(shop.account, "admin")
    queue.retry(world.as_person(admin), job_id)
    run()
    assert world.value("select user_id from public.cost_entries") == admin
    kill.assert_nothing_lost(world, folder)


def test_an_attempt_without_a_database_is_tried_again_and_charged_once(world, shop, folder, run, monkeypatch):
    monkeypatch.setattr(attempt, "backoff", lambda _: 0.0)
    order_speech(shop.database, shop.store, paid(), uuid4())
    write, failures = Folder.write, [Unavailable()]

    def once(self, path, data):
        if failures:
            raise failures.pop()
        write(self, path, data)

    monkeypatch.setattr(Folder, "write", once)
    assert run()["status"] == "pending"
    assert run()["status"] == "completed"
    assert world.value("select count(*) from public.cost_entries") == 1
    kill.assert_nothing_lost(world, folder)
