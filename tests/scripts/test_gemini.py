"""Gemini through the vendor's SDK, against a stand-in that keeps its own bill."""

import json
import logging
import ssl
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, SecretStr

from services.connections.transport import trusted
from services.errors import (
    AnswerLost,
    AppError,
    InvalidInput,
    KeyChanged,
    Overloaded,
    PermissionMissing,
    ProviderFailed,
    ProviderUnavailable,
    VendorBusy,
)
from services.scripts import gemini
from services.scripts.gemini import Gemini, open_writer
from services.scripts.gemini_errors import free_error, paid_error
from services.scripts.phases import Draft, Improved, Review
from services.scripts.writer import NOTHING, Answer, Drawing, Image, Picture, Request, Units, Writer
from tests.fakes.gemini import (
    COUNT,
    GENERATE,
    FakeGemini,
    Turn,
    gave_up,
    internal,
    out_for_today,
    overloaded,
    refusal,
    throttled,
)
from tests.fakes.gemini_wire import PIXEL
from tests.fakes.web import HANG_UP, Reply, html, json_reply, redirect

HANGING = 2.0  # seconds of a deadline that is meant to run out
DRAFT = json.dumps({"title": "Bread", "script": "Fresh bread at six.", "notes": "Short."})
LOAF = Drawing(model="gemini-3.1-flash-image", prompt="A loaf of bread on a wooden table")


class Clock:
    """Time that only passes while somebody sleeps."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return 1_000.0 + sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def changed(order: Request[Draft], **values: Any) -> Request[Draft]:
    return order.model_copy(update=values)


def total(answers: list[Answer[Draft]]) -> dict[str, int]:
    return sum((answer.usage for answer in answers), NOTHING).priced()


class TestAnswers:
    def test_it_is_a_writer(self, writer: Gemini) -> None:
        any_writer: Writer = writer
        assert (any_writer.name, any_writer.paid_outside) == ("gemini", True)

    def test_a_draft_with_what_it_used(self, writer: Gemini, fake: FakeGemini, order: Request[Draft]) -> None:
        fake.say(Turn(DRAFT, thinking=300, cached=100, tool_use=7))
        answer = writer.write(order)
        assert answer.parsed == Draft(title="Bread", script="Fresh bread at six.", notes="Short.")
        assert (answer.finish, answer.sentence, answer.model_version) == ("done", "", "gemini-3.8-flash")
        assert answer.usage.priced() == fake.billed()
        assert (answer.usage.cached_tokens, answer.usage.thinking_tokens) == (100, 300)
        assert answer.usage.output_tokens == fake.bill[0].output > 300
        assert answer.response_id == fake.bill[0].response_id
        assert answer.seconds > 0

    def test_what_is_sent(self, writer: Gemini, fake: FakeGemini, order: Request[Draft]) -> None:
        writer.write(order)
        (body,) = fake.bodies()
        config = body["generationConfig"]
        assert body["systemInstruction"]["parts"][0]["text"] == order.system
        assert body["contents"][0]["parts"][-1]["text"] == order.prompt
        assert (config["maxOutputTokens"], config["thinkingConfig"]) == (9_000, {"thinkingLevel": "LOW"})
        assert config["responseSchema"]["required"] == ["title", "script", "notes"]
        assert not {"temperature", "topP", "topK", "candidateCount", "continuationToken"} & set(config)
        request = fake.requests[0]
        assert request.path == "/v1/models/gemini-3.8-flash:generateContent"
        assert request.headers["x-goog-api-key"] == fake.key

    def test_previews_are_asked_where_they_are(self, writer: Gemini, fake: FakeGemini, order: Request[Draft]) -> None:
        assert writer.write(changed(order, model="gemini-3.1-pro-preview")).done
        assert fake.requests[0].path.startswith("/v1beta/")

    @pytest.mark.parametrize("schema", [Draft, Review, Improved])
    def test_every_shape_can_be_asked_for(self, writer: Gemini, order: Request[Draft], schema: type[BaseModel]) -> None:
        answer = writer.write(changed(order, answer_schema=schema))
        assert isinstance(answer.parsed, schema)

    def test_frames_go_along_at_low_resolution(self, writer: Gemini, fake: FakeGemini, order: Request[Draft]) -> None:
        frame = Image(data=PIXEL, mime="image/png")
        answer = writer.write(changed(order, images=(frame, frame)))
        parts = fake.bodies()[0]["contents"][0]["parts"]
        assert [part["inlineData"]["mimeType"] for part in parts[:2]] == ["image/png"] * 2
        assert fake.bodies()[0]["generationConfig"]["mediaResolution"] == "MEDIA_RESOLUTION_LOW"
        assert answer.usage.input_tokens > 2 * 280

    def test_thoughts_are_no_part_of_the_answer(self, writer: Gemini, fake: FakeGemini, order: Request[Draft]) -> None:
        fake.say(Turn(DRAFT, thoughts=("Let me think: {", "Bread sells."), thinking=50))
        answer = writer.write(order)
        assert answer.done
        assert answer.text == DRAFT

    @pytest.mark.parametrize(
        ("turn", "finish", "says"),
        [
            (Turn(DRAFT[:40], finish="MAX_TOKENS", thinking=80), "cut_off", "cut off"),
            (Turn("", finish="MAX_TOKENS", thinking=9_000), "cut_off", "cut off"),
            (Turn(DRAFT[:40], finish="CONTINUATION"), "cut_off", "cut off"),
            (Turn(block="PROHIBITED_CONTENT"), "blocked", "blocked the prompt: Gemini found forbidden content"),
            (Turn(block="SAFETY"), "blocked", "blocked the prompt"),
            (Turn(block="NEW_REASON_2027"), "blocked", "blocked the prompt"),
            (Turn("", finish="SAFETY"), "blocked", "blocked its answer"),
            (Turn(DRAFT, finish="RECITATION"), "blocked", "protected work"),
            (Turn("", finish="SPII"), "blocked", "personal data"),
            (Turn("", finish="NEW_REASON_2027"), "unreadable", "unusual"),
            (Turn("", finish="MALFORMED_RESPONSE"), "unreadable", "unusual"),
            (Turn("Sorry, I cannot do that."), "unreadable", "shape"),
            (Turn('{"title": 7}'), "unreadable", "shape"),
            (Turn("[" * 5_000), "unreadable", "shape"),
            (Turn(" \n"), "unreadable", "empty"),
            (Turn(""), "unreadable", "empty"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:NEW_REASON")
    def test_what_is_no_use_is_billed_and_explained(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft], turn: Turn, finish: str, says: str
    ) -> None:
        fake.say(turn)
        answer = writer.write(order)
        assert (answer.finish, answer.parsed) == (finish, None)
        assert says in answer.sentence
        assert "billed" in answer.sentence
        assert answer.usage.priced() == fake.billed()
        assert len(fake.bill) == 1

    @pytest.mark.parametrize("left_out", ["promptTokenCount", "candidatesTokenCount", "totalTokenCount"])
    def test_a_count_may_be_missing(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft], left_out: str
    ) -> None:
        fake.say(Turn(DRAFT, thinking=20, usage={left_out: None}))
        used = writer.write(order).usage
        missing = fake.billed()["output_tokens"] - 20 if left_out == "candidatesTokenCount" else 0
        assert used.output_tokens == fake.billed()["output_tokens"] - missing
        assert used.input_tokens == fake.billed()["input_tokens"]

    def test_an_answer_that_does_not_say_what_it_used(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft]
    ) -> None:
        fake.say(Turn(DRAFT, usage=None))
        with pytest.raises(AnswerLost, match="what it used"):
            writer.write(order)

    def test_another_model_in_the_place_of_a_retired_one_is_named(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(writer, "_today", lambda: date(2026, 11, 30))
        fake.unlisted[1].served_by = "gemini-3.8-flash"
        answer = writer.write(changed(order, model="gemini-2.5-pro", thinking=None))
        assert answer.done
        assert (answer.model_version, answer.billed_model) == ("gemini-3.8-flash", "gemini-3.8-flash")
        assert "gemini-3.8-flash instead of gemini-2.5-pro" in answer.sentence

    def test_what_no_database_keeps_is_left_out_of_names_and_text(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft]
    ) -> None:
        fake.say(Turn("odd\0 text", version="odd\0\n" + "x" * 500))
        answer = writer.write(order)
        assert (answer.text, answer.model_version) == ("odd text", "odd" + "x" * 77)

    def test_answers_and_pictures_can_be_kept_as_json(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft]
    ) -> None:
        fake.say(Turn(DRAFT), Turn(pictures=(PIXEL,)))
        answer, picture = writer.write(order), writer.draw(LOAF)
        assert Answer[Draft].model_validate_json(answer.model_dump_json()).model_dump() == answer.model_dump()
        assert answer.model_dump()["parsed"] == json.loads(DRAFT)
        assert Picture.model_validate_json(picture.model_dump_json()) == picture

    def test_several_threads_share_one_client(
        self, fake: FakeGemini, order: Request[Draft], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = []
        original = gemini.Connection._connect
        monkeypatch.setattr(gemini.Connection, "_connect", lambda own: made.append(own) or original(own))

        def write(_: int) -> Answer[Draft]:
            return open_writer(SecretStr(fake.key), fake.url, private=True).write(order)

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(write, range(24)))
        assert len(made) == 1
        assert total(answers) == fake.billed()
        assert {answer.response_id for answer in answers} == {charge.response_id for charge in fake.bill}


class TestLost:
    @pytest.mark.parametrize(
        "lost",
        [
            lambda reply: HANG_UP,
            lambda reply: html(),
            lambda reply: html(status=502),
            lambda reply: html(status=500),
            lambda reply: html(status=503),
            lambda reply: replace(reply, cut=True),
            lambda reply: replace(reply, body=b""),
            lambda reply: replace(reply, body=b"[1, 2"),
            lambda reply: gave_up(),
            lambda reply: refusal(499, "CANCELLED", "Cancelled."),
            lambda reply: refusal(408, "CANCELLED", "Too slow."),
        ],
    )
    def test_what_may_have_been_billed_is_lost_and_not_asked_again(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft], lost: Any
    ) -> None:
        fake.say(Turn(DRAFT, lost=lost))
        with pytest.raises(AnswerLost, match="billed"):
            writer.write(order)
        assert (len(fake.requests), len(fake.bill)) == (1, 1)

    @pytest.mark.parametrize("reply", [HANG_UP, html(), html(status=504)])
    def test_so_is_what_was_not_billed_but_cannot_be_told_from_it(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft], reply: Reply
    ) -> None:
        fake.misbehave(reply, GENERATE)
        with pytest.raises(AnswerLost):
            writer.write(order)
        assert (len(fake.requests), fake.bill) == (1, [])

    @pytest.mark.parametrize("slow", [{"seconds": 30.0}, {"drip": 0.2}])
    def test_a_slow_answer_ends_with_the_deadline(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft], slow: dict[str, float]
    ) -> None:
        fake.say(Turn(DRAFT, lost=lambda reply: replace(reply, **slow)))
        with pytest.raises(AnswerLost, match="Timeout"):
            writer.write(changed(order, deadline_seconds=HANGING))
        assert (len(fake.requests), len(fake.bill)) == (1, 1)

    def test_a_picture_is_lost_alike(self, writer: Gemini, fake: FakeGemini) -> None:
        fake.say(Turn(pictures=(PIXEL,), lost=lambda reply: HANG_UP))
        with pytest.raises(AnswerLost):
            writer.draw(LOAF)
        assert len(fake.bill) == len(fake.requests) == 1


class TestRefusals:
    @pytest.mark.parametrize("reply", [throttled("0.05s"), throttled("0s"), internal(), overloaded(), refusal(
        429, "RESOURCE_EXHAUSTED", "Slow down.")])  # fmt: skip
    def test_what_the_vendor_did_not_do_is_asked_again(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft], reply: Reply
    ) -> None:
        fake.misbehave(reply, GENERATE, times=2)
        answer = writer.write(order)
        assert answer.done
        assert len(fake.requests) == 3
        assert answer.usage.priced() == fake.billed()
        assert len(fake.bill) == 1

    def test_the_pause_that_is_asked_for_is_kept(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = Clock()
        monkeypatch.setattr(gemini, "time", clock)
        fake.misbehave(throttled("17.5s"), GENERATE, times=1)
        assert writer.write(order).done
        assert clock.slept == [17.5]

    def test_one_beyond_the_deadline_is_not_waited_for(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft]
    ) -> None:
        fake.misbehave(throttled("61s"), GENERATE)
        with pytest.raises(Overloaded, match="61 seconds, longer") as caught:
            writer.write(changed(order, deadline_seconds=120))
        assert "Nothing was bought" in str(caught.value)
        assert (len(fake.requests), fake.bill) == (1, [])

    def test_without_end_it_gives_up_in_time(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = Clock()
        monkeypatch.setattr(gemini, "time", clock)
        monkeypatch.setattr(gemini, "FIRST_PAUSE", 1.0)
        fake.misbehave(overloaded(), GENERATE)
        with pytest.raises(Overloaded, match="Nothing was bought"):
            writer.write(changed(order, deadline_seconds=120.0))
        assert 52 < sum(clock.slept) <= 60
        assert max(clock.slept) <= gemini.LONGEST_PAUSE
        assert len(fake.requests) == len(clock.slept) + 1
        assert fake.bill == []

    @pytest.mark.parametrize(
        ("reply", "kind", "says"),
        [
            (out_for_today(), ProviderUnavailable, "a day"),
            (refusal(400, "INVALID_ARGUMENT", "API key not valid.", "API_KEY_INVALID"), ProviderUnavailable, "key"),
            (refusal(400, "FAILED_PRECONDITION", "Location."), ProviderUnavailable, "billing"),
            (refusal(402, "RESOURCE_EXHAUSTED", "Prepaid credits."), ProviderUnavailable, "credits"),
            (refusal(403, "PERMISSION_DENIED", "No."), PermissionMissing, "may not use"),
            (refusal(401, "UNAUTHENTICATED", "No."), ProviderUnavailable, "key"),
            (refusal(404, "NOT_FOUND", "models/x is not found."), InvalidInput, "Choose another"),
            (refusal(400, "INVALID_ARGUMENT", "The input token count (9) exceeds."), InvalidInput, "Shorten"),
            (refusal(400, "INVALID_ARGUMENT", "Unknown name."), InvalidInput, "as it stands"),
            (refusal(413, "INVALID_ARGUMENT", "Too large."), InvalidInput, "Shorten"),
            (refusal(409, "ABORTED", "Try another."), ProviderFailed, "409"),
            (html(status=403), ProviderUnavailable, "GEMINI_URL"),
            (html(status=404), ProviderUnavailable, "GEMINI_URL"),
            (redirect("https://elsewhere.test/login"), ProviderUnavailable, "GEMINI_URL"),
            (json_reply([1], 400), ProviderUnavailable, "GEMINI_URL"),
        ],
    )
    def test_what_is_refused_for_good_is_asked_once_and_bought_nothing(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft], reply: Reply, kind: type[AppError], says: str
    ) -> None:
        fake.misbehave(reply, GENERATE)
        with pytest.raises(kind, match=says) as caught:
            writer.write(order)
        assert not isinstance(caught.value, AnswerLost)
        assert (len(fake.requests), fake.bill) == (1, [])

    def test_a_key_that_was_revoked_between_two_calls(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft]
    ) -> None:
        writer.write(order)
        fake.keys.clear()
        with pytest.raises(ProviderUnavailable, match="does not accept the key"):
            writer.write(order)
        assert len(fake.bill) == 1

    def test_a_model_that_was_retired_between_two_calls(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft]
    ) -> None:
        writer.write(order)
        fake.models.pop(0)
        with pytest.raises(InvalidInput, match="Choose another") as caught:
            writer.write(order)
        assert caught.value.field == "model"

    def test_nobody_at_the_address(self, order: Request[Draft]) -> None:
        with FakeGemini() as fake:
            url = fake.url
        with pytest.raises(VendorBusy, match="cannot be reached"):
            open_writer(SecretStr("AQ.someone"), url, private=True).write(order)

    def test_a_private_address_is_called_only_where_that_is_allowed(
        self, fake: FakeGemini, order: Request[Draft]
    ) -> None:
        with pytest.raises(ProviderUnavailable, match="private network"):
            open_writer(SecretStr(fake.key), fake.url).write(order)
        assert fake.requests == []

    def test_the_last_question_before_each_try(self, fake: FakeGemini, order: Request[Draft]) -> None:
        asked: list[int] = []

        def confirm() -> None:
            asked.append(len(fake.requests))
            if len(asked) == 3:
                raise KeyChanged

        writer = open_writer(SecretStr(fake.key), fake.url, private=True, confirm=confirm)
        fake.misbehave(overloaded(), GENERATE)
        with pytest.raises(KeyChanged):
            writer.write(order)
        assert (asked, fake.bill) == ([0, 1, 2], [])

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"model": "gpt-7"}, "model"),
            ({"model": "../../v1/files"}, "model"),
            ({"model": "gemini-2.0-flash"}, "model"),
            ({"model": "gemini-3.1-flash-image"}, "model"),
            ({"thinking": "minimal"}, "thinking"),
            ({"model": "gemini-2.5-flash-lite", "thinking": "low"}, "thinking"),
            ({"prompt": " \n"}, "prompt"),
            ({"images": (Image(data=b"\0" * (15 * 1024 * 1024), mime="image/png"),)}, "images"),
        ],
    )
    def test_what_cannot_work_is_never_sent(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft], values: dict[str, object], field: str
    ) -> None:
        for ask in (writer.write, writer.estimate):
            with pytest.raises(InvalidInput) as caught:
                ask(changed(order, **values))
            assert caught.value.field == field
        assert fake.requests == []

    @pytest.mark.parametrize("key", ["", "AQ.ключ", "AQ.a\nb"])
    def test_a_key_that_no_header_takes(self, key: str) -> None:
        with pytest.raises(ProviderUnavailable, match="type it again") as caught:
            open_writer(SecretStr(key))
        assert not key or key not in str(caught.value)

    def test_errors_that_only_some_networks_have(self) -> None:
        assert isinstance(paid_error(httpx.PoolTimeout("full")), VendorBusy)
        assert isinstance(paid_error(httpx.InvalidURL("no")), ProviderUnavailable)
        assert isinstance(paid_error(RuntimeError("odd")), AnswerLost)
        assert isinstance(free_error(httpx.ReadTimeout("slow")), VendorBusy)
        assert isinstance(free_error(ValueError("odd")), ProviderUnavailable)


class TestEstimates:
    def test_no_call_is_billed_more_than_was_announced(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft]
    ) -> None:
        frame = Image(data=PIXEL, mime="image/png")
        for one in (order, changed(order, images=(frame,)), changed(order, prompt="grüezi " * 5_000)):
            fake.say(Turn("x" * 100_000, thinking=2_000))
            most = writer.estimate(one)
            used = writer.write(one).usage
            assert used.input_tokens <= most.input_tokens < used.input_tokens * 1.06 + 120
            assert used.output_tokens == most.output_tokens == one.max_output_tokens

    @pytest.mark.parametrize("reply", [HANG_UP, throttled(), internal(), overloaded(), gave_up(), json_reply({})])
    def test_without_a_count_it_is_the_most_it_can_be(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft], reply: Reply
    ) -> None:
        fake.misbehave(reply, COUNT)
        frame = Image(data=PIXEL, mime="image/png")
        most = writer.estimate(changed(order, images=(frame,)))
        assert most.input_tokens > 2_240 + len(order.prompt) + len(order.system)
        assert fake.bill == []

    def test_a_wrong_key_is_told(self, writer: Gemini, fake: FakeGemini, order: Request[Draft]) -> None:
        fake.keys.clear()
        with pytest.raises(ProviderUnavailable, match="key"):
            writer.estimate(order)

    def test_what_answers_is_not_gemini(self, writer: Gemini, fake: FakeGemini, order: Request[Draft]) -> None:
        fake.misbehave(html(), COUNT)
        with pytest.raises(ProviderUnavailable, match="GEMINI_URL"):
            writer.estimate(order)

    def test_more_than_the_model_takes(self, writer: Gemini, fake: FakeGemini, order: Request[Draft]) -> None:
        fake.misbehave(json_reply({"totalTokens": 1_100_000}), COUNT)
        with pytest.raises(InvalidInput, match="Shorten") as caught:
            writer.estimate(order)
        assert caught.value.field == "prompt"

    def test_the_counts_of_the_price_book(self) -> None:
        units = Units(input_tokens=1, cached_tokens=2, output_tokens=5, thinking_tokens=3)
        assert units.priced() == {"input_tokens": 1, "cached_tokens": 2, "output_tokens": 5}
        assert units + units == Units(input_tokens=2, cached_tokens=4, output_tokens=10, thinking_tokens=6)


class TestPictures:
    def test_a_picture_with_what_it_used(self, writer: Gemini, fake: FakeGemini) -> None:
        fake.say(Turn(pictures=(b"a draft", PIXEL), thinking=90))
        picture = writer.draw(LOAF)
        assert (picture.data, picture.mime, picture.finish) == (PIXEL, "image/png", "done")
        assert picture.usage.priced() == fake.billed()
        most = writer.estimate(LOAF)
        assert picture.usage.output_tokens <= most.output_tokens
        assert picture.usage.input_tokens <= most.input_tokens
        config = fake.bodies()[0]["generationConfig"]
        assert (config["responseModalities"], config["imageConfig"]) == (["IMAGE"], {"aspectRatio": "16:9"})

    @pytest.mark.parametrize(
        ("turn", "finish", "says"),
        [
            (Turn("", finish="IMAGE_SAFETY"), "blocked", "unsafe"),
            (Turn("", finish="NO_IMAGE"), "blocked", "blocked"),
            (Turn(block="PROHIBITED_CONTENT"), "blocked", "forbidden"),
            (Turn("I can only describe it."), "unreadable", "no picture"),
            (Turn("", finish="MAX_TOKENS"), "cut_off", "cut off"),
        ],
    )
    def test_without_a_picture_it_is_billed_and_explained(
        self, writer: Gemini, fake: FakeGemini, turn: Turn, finish: str, says: str
    ) -> None:
        fake.say(turn)
        picture = writer.draw(LOAF)
        assert (picture.finish, picture.data) == (finish, None)
        assert says in picture.sentence
        assert picture.usage.priced() == fake.billed()

    def test_a_writing_model_draws_nothing(self, writer: Gemini, fake: FakeGemini) -> None:
        with pytest.raises(InvalidInput, match=r"gemini-3\.1-flash-image") as caught:
            writer.draw(LOAF.model_copy(update={"model": "gemini-3.8-flash"}))
        assert caught.value.field == "model"
        assert fake.requests == []


class TestSurroundings:
    def test_the_environment_leads_nobody_astray(
        self, fake: FakeGemini, order: Request[Draft], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in {
            "GOOGLE_GENAI_USE_VERTEXAI": "1", "GOOGLE_GENAI_USE_ENTERPRISE": "true", "GOOGLE_CLOUD_PROJECT": "p",
            "GOOGLE_CLOUD_LOCATION": "us", "GOOGLE_API_KEY": "AIza-other", "GEMINI_API_KEY": "AIza-other",
            "GOOGLE_GEMINI_BASE_URL": "http://127.0.0.1:9", "GOOGLE_GENAI_API_VERSION": "v9",
            "GOOGLE_GENAI_HTTP_CLIENT": "httpx2", "HTTPS_PROXY": "nonsense://proxy", "HTTP_PROXY": "nonsense://proxy",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        gemini._connection.cache_clear()
        assert open_writer(SecretStr(fake.key), fake.url, private=True).write(order).done
        assert fake.requests[0].headers["x-goog-api-key"] == fake.key
        assert fake.requests[0].path.startswith("/v1/models/")

    def test_the_sdk_is_loaded_with_the_first_call_only(self) -> None:
        code = (
            "import sys; from pydantic import SecretStr; import services.scripts.connect as c;"
            "c.open_writer(SecretStr('AQ.abcdefgh')); sys.exit('google.genai' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

    def test_a_client_starts_without_reading_the_issuers_of_certificates_again(
        self, fake: FakeGemini, order: Request[Draft], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("each reading takes 30 ms")

        trusted()
        monkeypatch.setattr(ssl, "create_default_context", refuse)
        gemini._connection.cache_clear()
        assert open_writer(SecretStr(fake.key), fake.url, private=True).write(order).done

    def test_a_client_that_cannot_start_has_bought_nothing(
        self, writer: Gemini, fake: FakeGemini, order: Request[Draft], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(connection: object) -> None:
            raise ImportError("half installed")

        monkeypatch.setattr(gemini.Connection, "_connect", broken)
        with pytest.raises(ProviderUnavailable, match="cannot start"):
            writer.write(order)
        assert fake.requests == []

    def test_neither_key_nor_text_is_in_errors_logs_and_shapes(
        self, fake: FakeGemini, order: Request[Draft], caplog: pytest.LogCaptureFixture, capfd: Any
    ) -> None:
        caplog.set_level(logging.INFO)  # libraries a level lower than the product lets them speak
        caplog.set_level(logging.DEBUG, "services")
        fake.key = "AQ.planted-4711-key"
        fake.keys = {fake.key}
        secret = changed(order, prompt="planted-briefing-4712", system="planted-system-4713")
        writer = open_writer(SecretStr(fake.key), fake.url, private=True)
        said = {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": f"{fake.key} planted-briefing-4712"}}
        replies = (
            json_reply(said, 400), json_reply({**said, "status": fake.key}, 500), html(fake.key.encode()), HANG_UP,
            redirect(f"https://elsewhere.test/?key={fake.key}"), Reply(200, f'["{fake.key}"'.encode(), cut=True),
            json_reply(said), refusal(403, "PERMISSION_DENIED", fake.key), refusal(404, "NOT_FOUND", fake.key),
        )  # fmt: skip
        told = [repr(writer), repr(secret), repr(writer._connection), str(writer.write(secret))]
        for reply in replies:
            for ask in (writer.write, writer.estimate):
                fake.behave()
                fake.misbehave(reply)
                told.append(failure(ask, changed(secret, deadline_seconds=0.2)))
        output = capfd.readouterr()
        told += [caplog.text, output.out, output.err, *(str(vars(record)) for record in caplog.records)]
        assert [text for text in told if "planted" in text] == []


def failure(ask: Any, order: Request[Draft]) -> str:
    """All that a log would have of what went wrong."""
    try:
        return str(ask(order))
    except AppError as error:
        return "".join(traceback.format_exception(error))
