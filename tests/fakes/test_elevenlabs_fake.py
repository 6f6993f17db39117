"""The stand-in speaks the wire that the vendor's own client reads, and its books are right."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from services import audio
from tests.fakes.elevenlabs import FakeElevenLabs

pytest.importorskip("elevenlabs")
from elevenlabs.client import ElevenLabs
from elevenlabs.core.api_error import ApiError

ONCE: Any = {"max_retries": 0}
ORDINARY, DOUBLE, UNKNOWN, OWN = (
    "Ordinary1voice0Heart",
    "Double2rate0Voice000",
    "Unknown3rate0Voice00",
    "Own4cloned0Voice0000",
)


@pytest.fixture
def fake() -> Iterator[FakeElevenLabs]:
    with FakeElevenLabs() as running:
        yield running


@pytest.fixture
def client(fake: FakeElevenLabs) -> Iterator[ElevenLabs]:
    with httpx.Client() as transport:
        yield connect(fake, transport, fake.key)


def connect(fake: FakeElevenLabs, transport: httpx.Client, key: str) -> ElevenLabs:
    return ElevenLabs(api_key=key, base_url=fake.url, timeout=5, httpx_client=transport)


def speak(client: ElevenLabs, text: str = "Good morning.", voice: str = ORDINARY, **values: Any):
    """The answer's bytes and headers."""
    chosen = {"model_id": "eleven_multilingual_v2", "output_format": "mp3_44100_128", **values}
    with client.text_to_speech.with_raw_response.convert(voice, text=text, request_options=ONCE, **chosen) as answer:
        return b"".join(answer.data), answer.headers


def refused(client: ElevenLabs, *words: Any, **values: Any) -> tuple[int | None, Any]:
    with pytest.raises(ApiError) as caught:
        speak(client, *words, **values)
    return caught.value.status_code, caught.value.body["detail"]


def test_speech_is_real_sound_and_billed(fake: FakeElevenLabs, client: ElevenLabs) -> None:
    data, headers = speak(client, "x" * 50, DOUBLE, model_id="eleven_flash_v2_5")
    (charge,) = fake.bill
    assert audio.probe_duration(data) == pytest.approx(3.0, abs=0.05)
    assert audio.loudness(data) > -30
    assert (headers["character-cost"], headers["request-id"]) == ("50", charge.request_id)
    assert (headers["content-type"], headers["transfer-encoding"]) == ("audio/mpeg", "chunked")
    assert (headers["current-concurrent-requests"], headers["maximum-concurrent-requests"]) == ("1", "5")
    assert charge[2:6] == (DOUBLE, "eleven_flash_v2_5", "x" * 50, Decimal(50))
    assert fake.requests[-1].path == f"/v1/text-to-speech/{DOUBLE}"


def test_every_generation_is_its_own_file(client: ElevenLabs) -> None:
    assert speak(client)[0] != speak(client)[0]


def test_long_text_is_quick_to_make(client: ElevenLabs) -> None:
    data, _ = speak(client, "word " * 2_000)
    assert len(data) == pytest.approx(600 * 16_000, rel=0.01)


def test_bill_factor_and_half_credits(fake: FakeElevenLabs, client: ElevenLabs) -> None:
    fake.bill_factor = Decimal(4)
    _, headers = speak(client, "abc")
    fake.bill_factor = Decimal(1)
    _, half = speak(client, "abc", model_id="eleven_flash_v2_5")
    assert (headers["character-cost"], half["character-cost"]) == ("12", "1.5")
    assert fake.billed(fake.key) == fake.billed() == fake.accounts[fake.key].used == Decimal("13.5")


def test_listings(client: ElevenLabs) -> None:
    first = client.voices.search(page_size=3, request_options=ONCE)
    rest = client.voices.search(page_size=3, next_page_token=first.next_page_token, request_options=ONCE)
    voices = {voice.voice_id: voice for voice in (*first.voices, *rest.voices)}
    assert (first.has_more, rest.has_more, rest.next_page_token) == (True, False, None)
    assert {key: voice.sharing and voice.sharing.rate for key, voice in voices.items()} == {
        ORDINARY: 1.0,
        DOUBLE: 2.0,
        UNKNOWN: None,
        OWN: None,
    }
    assert voices[ORDINARY].verified_languages[1].locale == "de-DE"
    assert [voice.name for voice in client.voices.search(search="BRITISH", request_options=ONCE).voices] == ["Rupert"]
    speaking = [model for model in client.models.list(request_options=ONCE) if model.can_do_text_to_speech]
    assert [model.maximum_text_length_per_request for model in speaking] == [10_000, 40_000, 5_000]
    assert [model.model_rates.character_cost_multiplier for model in speaking] == [1.0, 0.5, 1.0]


def test_subscription_counts(fake: FakeElevenLabs, client: ElevenLabs) -> None:
    speak(client, "abc")
    seen = client.user.subscription.get(request_options=ONCE)
    assert (seen.tier, seen.character_count, seen.character_limit, seen.status) == ("creator", 3, 100_000, "active")


def test_history_has_what_was_sent(fake: FakeElevenLabs, client: ElevenLabs) -> None:
    sent = [speak(client, f"Line {number}.")[0] for number in range(5)]
    page = client.history.list(page_size=3, request_options=ONCE)
    rest = client.history.list(page_size=3, start_after_history_item_id=page.last_history_item_id, request_options=ONCE)
    items = [*page.history, *rest.history]
    assert (page.has_more, rest.has_more) == (True, False)
    assert [item.text for item in items] == [f"Line {number}." for number in (4, 3, 2, 1, 0)]
    assert [item.request_id for item in items] == [charge.request_id for charge in reversed(fake.bill)]
    assert b"".join(client.history.get_audio(items[0].history_item_id)) == sent[4]
    one = client.history.get(items[4].history_item_id, request_options=ONCE)
    assert one.character_count_change_to - one.character_count_change_from == 7


@pytest.mark.parametrize(
    ("choice", "count"),
    [
        ({"voice_id": DOUBLE}, 1),
        ({"model_id": "eleven_v3", "source": "TTS"}, 1),
        ({"search": "second"}, 1),
        ({"source": "STS"}, 0),
        ({"date_after_unix": 1_000}, 3),
        ({"date_before_unix": 1_000}, 0),
    ],
)
def test_history_filters(client: ElevenLabs, choice: dict[str, Any], count: int) -> None:
    speak(client, "First.")
    speak(client, "Second.", DOUBLE)
    speak(client, "Third.", model_id="eleven_v3")
    assert len(client.history.list(**choice, request_options=ONCE).history) == count


def test_late_history(fake: FakeElevenLabs, client: ElevenLabs) -> None:
    fake.misbehave("text-to-speech", "lost", "late_history", late=60)
    with pytest.raises(httpx.RemoteProtocolError):
        speak(client)
    assert client.history.list(request_options=ONCE).history == []
    later = fake.bill[0].at + timedelta(seconds=61)
    fake.clock = lambda: later
    assert len(client.history.list(request_options=ONCE).history) == 1


def test_keys_are_apart(fake: FakeElevenLabs, client: ElevenLabs) -> None:
    other = fake.account(permissions={"text_to_speech"}, credits=Decimal(4))
    with httpx.Client() as transport:
        limited = connect(fake, transport, other.key)
        speak(limited, "abc")
        status, detail = refused(limited, "abc")
        assert (status, detail["status"]) == (401, "quota_exceeded")
        assert "1 credits remaining" in detail["message"]
        with pytest.raises(ApiError) as caught:
            limited.user.subscription.get(request_options=ONCE)
        assert caught.value.body["detail"]["status"] == "missing_permissions"
        assert refused(connect(fake, transport, "sk_wrong"))[1]["status"] == "invalid_api_key"
    assert client.history.list(request_options=ONCE).history == []
    assert [charge.key for charge in fake.bill] == [other.key]


@pytest.mark.parametrize(
    ("text", "choice", "expected"),
    [
        ("x" * 5_001, {"model_id": "eleven_v3"}, (400, "max_character_limit_exceeded")),
        ("x", {"model_id": "eleven_v3", "previous_text": "y"}, (400, "unsupported_model")),
        ("x", {"model_id": "eleven_multilingual_sts_v2"}, (400, "unsupported_model")),
        ("x", {"model_id": "eleven_gone"}, (400, "model_not_found")),
        ("x", {"voice": "Nobody"}, (404, "voice_not_found")),
        ("x", {"voice_settings": {"speed": 2.0}}, (400, "invalid_voice_settings")),
    ],
)
def test_refused_orders_cost_nothing(
    fake: FakeElevenLabs, client: ElevenLabs, text: str, choice: dict[str, Any], expected: tuple[int, str]
) -> None:
    status, detail = refused(client, text, **choice)
    assert (status, detail["status"]) == expected
    assert fake.bill == []


def test_refused_accounts(fake: FakeElevenLabs, client: ElevenLabs) -> None:
    account = fake.accounts[fake.key]
    account.tier = "free"
    assert refused(client, "x", DOUBLE)[1]["code"] == "paid_plan_required"
    account.unusual_activity = True
    assert refused(client)[1]["code"] == "detected_unusual_activity"
    status, problems = refused(client, "")
    assert (status, problems[0]["loc"]) == (422, ["body", "text"])


def test_voice_and_model_can_go(fake: FakeElevenLabs, client: ElevenLabs) -> None:
    del fake.voices[ORDINARY], fake.models["eleven_v3"]
    assert refused(client)[0] == 404
    assert refused(client, voice=OWN, model_id="eleven_v3")[0] == 400


def test_concurrency_is_limited_for_each_key(fake: FakeElevenLabs, client: ElevenLabs) -> None:
    fake.accounts[fake.key].max_concurrency = 2
    full, released = threading.Barrier(3), threading.Event()

    def wait(charge: object) -> None:
        full.wait(5)
        released.wait(5)

    fake.on_billed = wait
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(speak, client) for _ in range(2)]
        full.wait(5)
        status, detail = refused(client)
        released.set()
        headers = [done.result()[1] for done in running]
    fake.on_billed = lambda charge: None
    assert (status, detail["status"]) == (429, "too_many_concurrent_requests")
    assert detail["code"] == "concurrent_limit_exceeded"
    assert sorted(h["current-concurrent-requests"] for h in headers) == ["1", "2"]
    speak(client)
    assert len(fake.bill) == 3


@pytest.mark.parametrize(("kind", "billed"), [("lost_before", 0), ("lost", 1), ("cut", 1)])
def test_broken_connections(fake: FakeElevenLabs, client: ElevenLabs, kind: Any, billed: int) -> None:
    fake.misbehave("text-to-speech", kind)
    with pytest.raises(httpx.RemoteProtocolError):
        speak(client)
    assert len(fake.bill) == len(client.history.list(request_options=ONCE).history) == billed
    assert speak(client)[0]


@pytest.mark.parametrize(
    ("kind", "status", "billed"),
    [
        ("error_before", 503, 0),
        ("error", 503, 1),
        ("system_busy", 429, 0),
        ("too_many_concurrent_requests", 429, 0),
        ("refuse", 503, 0),
    ],
)
def test_error_answers(fake: FakeElevenLabs, client: ElevenLabs, kind: Any, status: int, billed: int) -> None:
    fake.misbehave("text-to-speech", kind, status=503, times=2)
    assert [refused(client)[0], refused(client)[0]] == [status, status]
    assert speak(client)[0]
    assert len(fake.bill) == 2 * billed + 1


def test_odd_bodies(fake: FakeElevenLabs, client: ElevenLabs) -> None:
    for kind in ("silence", "wrong_format", "garbage", "empty", "html", "html_before", "no_cost"):
        fake.misbehave("text-to-speech", kind)
    silence, wav, garbage, empty, html, unbilled, uncounted = (speak(client) for _ in range(7))
    assert audio.loudness(silence[0]) == audio.SILENT
    assert (wav[0][:4], wav[1]["content-type"]) == (b"RIFF", "audio/wav")
    assert (garbage[1]["content-type"], empty[0]) == ("audio/mpeg", b"")
    assert (html[1]["content-type"], unbilled[1]["content-type"]) == ("text/html", "text/html")
    assert "character-cost" not in uncounted[1]
    assert len(fake.bill) == 6


@pytest.mark.parametrize(("kind", "billed"), [("delay_before", 0), ("delay", 1)])
def test_delays_outlast_the_client(fake: FakeElevenLabs, client: ElevenLabs, kind: Any, billed: int) -> None:
    fake.misbehave("text-to-speech", kind, seconds=30)
    patience: Any = {"max_retries": 0, "timeout_in_seconds": 0.3}
    with (
        pytest.raises(httpx.ReadTimeout),
        client.text_to_speech.with_raw_response.convert(ORDINARY, text="x", request_options=patience) as answer,
    ):
        list(answer.data)
    assert len(fake.bill) == billed


def test_misbehaviour_of_listings_and_of_one_text(fake: FakeElevenLabs, client: ElevenLabs) -> None:
    fake.misbehave("history", "error", status=502, times=None)
    fake.misbehave("text-to-speech", "lost", containing="second")
    speak(client, "first")
    with pytest.raises(httpx.RemoteProtocolError):
        speak(client, "the second")
    for _ in range(2):
        with pytest.raises(ApiError):
            client.history.list(request_options=ONCE)
    fake.behave()
    assert len(client.history.list(request_options=ONCE).history) == 2


def test_unknown_misbehaviour_is_refused(fake: FakeElevenLabs) -> None:
    wrong: Any = "losst"
    with pytest.raises(ValueError, match="losst"):
        fake.misbehave("text-to-speech", wrong)
