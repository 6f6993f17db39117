"""The key is told to the vendor and to nobody else, whatever goes wrong."""

import gc
import logging
import traceback

import pytest

from services import connections
from services.config import Settings
from services.connections import Provider, calls
from services.errors import InvalidInput
from tests.fakes.postiz import FakePostiz
from tests.fakes.web import HANG_UP, LOGIN_PAGE, Reply, html, json_reply, redirect

KEY = "hunter2hunter2hunter2hunter2"
ECHO = {"connected": True, "key": KEY}
CHANNEL = {"id": KEY, "name": f"Shop {KEY}", "identifier": "x", "picture": f"https://x.example.com/?{KEY}"}
DETAIL = {
    "detail": {"status": KEY, "message": KEY},
    "error": {"status": KEY, "message": KEY},
    "msg": KEY,
    "message": KEY,
}

REPLIES = [
    None, HANG_UP, html(), html(LOGIN_PAGE + KEY.encode(), 403), redirect(f"/auth?key={KEY}"),
    redirect(f"https://{KEY}.example.com/"), redirect(f"https://{KEY}:{KEY}@example.com/{KEY}"),
    json_reply(ECHO, x_key=KEY), json_reply([CHANNEL]), json_reply({"models": [{"name": KEY}]}),
    *(json_reply(DETAIL, status) for status in (400, 401, 402, 403, 404, 422, 429, 500)),
    Reply(body=KEY.encode() * 100_000), Reply(body=KEY.encode(), content_type="text/plain"), Reply(seconds=30),
    Reply(429, headers={"retry-after": KEY}),
]  # fmt: skip


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("provider", ["elevenlabs", "gemini", "postiz"])
def test_the_key_is_nowhere_else(
    provider: Provider,
    reply: Reply | None,
    postiz: FakePostiz,
    private: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(calls, "WHOLE_SECONDS", 0.6)
    postiz.organisation([], key=KEY)
    if reply is not None:
        postiz.misbehave(reply)
    key = connections.clean_key(provider, KEY)
    with caplog.at_level(logging.DEBUG):
        found = connections.test(provider, postiz.api, key, private)
    told = [found.message, repr(found), found.model_dump_json(), repr(key), *capfd.readouterr()]
    assert KEY not in "".join(told)
    own = [record.getMessage() for record in caplog.records if record.name.startswith(("services", "httpx"))]
    assert KEY not in "".join(own)
    assert any(KEY in str(request.headers) for request in postiz.requests), "the test sent no key"


def test_even_the_library_s_debug_log_has_no_key(
    postiz: FakePostiz, private: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        connections.test("postiz", postiz.api, connections.clean_key("postiz", postiz.key), private)
    assert any(record.name.startswith("httpcore") for record in caplog.records)
    assert postiz.key not in caplog.text


def test_a_shape_s_error_quotes_nothing(postiz: FakePostiz, private: Settings) -> None:
    """Whoever formats the exception with all its causes still sees no key and no answer."""
    postiz.misbehave(json_reply({"connected": KEY}))
    caller = calls.Caller("Authorization", connections.clean_key("postiz", KEY), private=True)
    with caller, pytest.raises(Exception) as caught:  # noqa: PT011 - whatever it is, its text counts
        connections.postiz._knock(caller, postiz.api)
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("typed", [f"{KEY}\n{KEY}", f"Bearer {KEY}", f"{KEY}é", f'"{KEY}"', f"{KEY}\0"])
@pytest.mark.parametrize("provider", ["elevenlabs", "gemini", "postiz"])
def test_what_cannot_be_sent_is_refused_before_a_call(
    provider: Provider, typed: str, postiz: FakePostiz, private: Settings
) -> None:
    from pydantic import SecretStr

    with pytest.raises(InvalidInput) as caught:
        connections.test(provider, postiz.api, SecretStr(typed), private)
    assert caught.value.field == "key"
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert postiz.requests == []


def test_nothing_stays_open(postiz: FakePostiz, private: Settings) -> None:
    postiz.misbehave(Reply(body=b"x" * 2 * 1024 * 1024))
    connections.test("postiz", postiz.api, connections.clean_key("postiz", KEY), private)
    gc.collect()  # an unclosed socket would warn, and a warning of that kind is an error here
