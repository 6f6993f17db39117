"""Every cause has its own sentence, and every sentence is told by what really causes it."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from services import connections
from services.config import Settings
from services.connections import calls, transport
from services.connections.causes import PASSING, SENTENCES, Cause
from services.connections.found import Found
from tests.connections.conftest import PUBLIC, Authority, Network
from tests.fakes import gemini as gemini_fake
from tests.fakes import postiz as postiz_fake
from tests.fakes.elevenlabs import FakeElevenLabs
from tests.fakes.gemini import FakeGemini
from tests.fakes.postiz import FakePostiz
from tests.fakes.web import HANG_UP, Reply, html, json_reply, redirect

NAME = "postiz.example.com"


def tried(address: str, options: Settings, key: str = "k" * 64) -> Found:
    found = connections.test("postiz", address, connections.clean_key("postiz", key), options)
    assert not found.ok
    assert found.facts == {}
    return found


# Before any answer ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (socket.gaierror(socket.EAI_NONAME, ""), f"There is no server named {NAME} (DNS). "
         "Check the address for typing errors."),
        (UnicodeError(), f"There is no server named {NAME} (DNS). Check the address for typing errors."),
        (socket.gaierror(socket.EAI_AGAIN, ""), "This server's name look-up (DNS) does not answer for "
         f"{NAME}. Try again in a minute."),
    ],
)  # fmt: skip
def test_names(error: Exception, sentence: str, strict: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(transport.socket, "getaddrinfo", fail)
    assert tried(f"https://{NAME}", strict).message == sentence


def test_a_name_look_up_that_hangs_is_given_up(strict: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(transport, "CONNECT_SECONDS", 0.1)
    monkeypatch.setattr(transport, "resolve", lambda *_: release.wait(30) and [PUBLIC])
    assert tried(f"https://{NAME}", strict).message.startswith("This server's name look-up (DNS) does not answer")
    release.set()


def test_nobody_listens(private: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    found = tried(f"http://127.0.0.1:{port}", private)
    assert found.message == (
        f"127.0.0.1 takes no connections on port {port}. Check the port, and that Postiz runs there."
    )


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(101, "Network is unreachable"), f"{NAME} cannot be reached from this server. "
         "Check its network and firewall."),
        (TimeoutError(), f"{NAME} did not take the connection within 5 seconds. "
         "Check the address, the port and any firewall between."),
    ],
)  # fmt: skip
def test_the_way_there(
    error: Exception, sentence: str, network: Network, strict: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    network.names[NAME] = [[PUBLIC]]
    monkeypatch.setattr(transport.socket, "create_connection", fail)
    assert tried(f"https://{NAME}", strict).message == sentence


@pytest.mark.parametrize(
    "reply",
    [
        Reply(seconds=30), Reply(body=b"{}" * 500, drip=0.05),
        Reply(headers={f"x-{number}": "x" * 50 for number in range(50)}, drip=0.05),
    ],
    ids=["silent", "body drips", "head drips"],
)  # fmt: skip
def test_an_answer_that_takes_too_long(
    reply: Reply, postiz: FakePostiz, private: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "WHOLE_SECONDS", 0.5)
    postiz.misbehave(reply)
    assert tried(postiz.api, private).message == (
        "127.0.0.1 took the call but had not answered in full after 0.5 seconds. Try again in a few minutes."
    )


def test_calls_of_one_test_share_its_time(
    postiz: FakePostiz, private: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "WHOLE_SECONDS", 0.6)
    postiz.misbehave(Reply(404, b"{}", seconds=0.25))
    assert "had not answered in full" in tried(f"{postiz.url}/desk", private).message


@pytest.mark.parametrize("reply", [HANG_UP, Reply(body=b"x" * 1000, cut=True)], ids=["hangs up", "cut"])
def test_an_answer_that_breaks_off(reply: Reply, postiz: FakePostiz, private: Settings) -> None:
    postiz.misbehave(reply)
    assert tried(postiz.api, private).message == (
        "127.0.0.1 broke the connection off before its answer was complete. Check the port, then try again."
    )


def test_what_is_no_web_server_is_told_likewise(private: Settings) -> None:
    with talking(b"220 mail.example.com ESMTP\r\n") as port:
        assert "broke the connection off" in tried(f"http://127.0.0.1:{port}", private).message


@contextmanager
def talking(words: bytes) -> Iterator[int]:
    """A port where somebody says these words to whoever comes, and waits."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(words)
                    connection.settimeout(1)
                    try:
                        while connection.recv(1024):
                            time.sleep(0.01)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


# TLS --------------------------------------------------------------------------------------------------------


def test_an_expired_certificate(authority: Authority, network: Network, strict: Settings) -> None:
    sentence = secured(authority, network, strict, NAME, ends=timedelta(hours=-1))
    assert sentence == f"The TLS certificate of {NAME} has expired. Whoever runs {NAME} must renew it."


def test_another_name_s_certificate(authority: Authority, network: Network, strict: Settings) -> None:
    sentence = secured(authority, network, strict, "other.example.com")
    assert sentence.startswith(f"The TLS certificate of {NAME} is for another name. ")


def test_an_unknown_issuer(
    authority: Authority, network: Network, strict: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    sentence = secured(authority, network, strict, NAME)
    assert sentence.startswith(f"The TLS certificate of {NAME} is of an issuer this server does not trust")


def secured(authority: Authority, network: Network, options: Settings, *names: str, **values: timedelta) -> str:
    with FakePostiz(tls=authority.context(*names, **values)) as fake:
        network.port, network.names[NAME] = fake.port, [[PUBLIC]]
        found = tried(f"https://{NAME}/api", options, fake.key)
        assert fake.requests == [], "the key was sent before the certificate was checked"
        return found.message


def test_a_server_without_tls(postiz: FakePostiz, network: Network, strict: Settings) -> None:
    network.port, network.names[NAME] = postiz.port, [[PUBLIC]]
    assert tried(f"https://{NAME}/api", strict).message == (
        f"{NAME} does not speak TLS on port 443. Check the port, and whether https:// is right."
    )


def test_tls_that_fails_otherwise(network: Network, strict: Settings) -> None:
    with talking(bytes.fromhex("15030300020228")) as port:  # an alert: handshake failure
        network.port, network.names[NAME] = port, [[PUBLIC]]
        assert tried(f"https://{NAME}", strict).message == (
            f"No secure connection (TLS) to {NAME} came about. Check its TLS settings."
        )


# Answers that are not the API's -----------------------------------------------------------------------------

ANSWERS = [
    (Reply(body=b"x" * 10 * 1024 * 1024), "127.0.0.1 answered with more than 1 MB, which the Postiz API never does. "
     "Check the address."),
    (redirect("/auth/login"), "{api} leads on to another page, such as a login page, instead of the Postiz API. "
     "Check the address."),
    (redirect("https://sso.example.com/?next=hunter2"), "{api} leads on to another page, such as a login page, "
     "instead of the Postiz API. Check the address."),
    (redirect("https://desk.example.com/x?next=hunter2"), "127.0.0.1 sends calls on to https://desk.example.com, "
     "where Clipdesk does not follow. If that is right, type that address."),
    (redirect("javascript:hunter2"), "{api} leads on to another page, such as a login page, instead of the Postiz API. "
     "Check the address."),
    (html(), "{api} answers with a web page instead of the Postiz API. Check the address, and any proxy between."),
    (html(status=403), "{api} answers with a web page instead of the Postiz API. "
     "Check the address, and any proxy between."),
    (Reply(body=b" <html>", content_type="text/plain"), "{api} answers with a web page instead of the Postiz API. "
     "Check the address, and any proxy between."),
    (Reply(body=b"pong", content_type="text/plain"), "{api} answers with something other than JSON, "
     "so it is not the Postiz API. Check the address."),
    (Reply(), "{api} answers with something other than JSON, so it is not the Postiz API. Check the address."),
    (Reply(body=b"[" * 100_000), "{api} answers with something other than JSON, so it is not the Postiz API. "
     "Check the address."),
    (Reply(body=b"\xff\xfe{}"), "{api} answers with something other than JSON, so it is not the Postiz API. "
     "Check the address."),
    (json_reply({"connected": "hunter2"}), "{api} answers, but not in the way of the Postiz API. "
     "Check the address, and any proxy between."),
    (json_reply([1]), "{api} answers, but not in the way of the Postiz API. Check the address, and any proxy between."),
    (json_reply(None), "{api} answers, but not in the way of the Postiz API. "
     "Check the address, and any proxy between."),
    (postiz_fake.string_refusal("Cannot GET hunter2", 404), "127.0.0.1 answers, but has no Postiz API at {api}. "
     "Check the address."),
    (postiz_fake.throttled(42), "Postiz got too many calls with this key. Try again in 42 seconds."),
    (postiz_fake.throttled(3600), "Postiz got too many calls with this key. Try again in 60 minutes."),
    (html(status=429), "Postiz got too many calls with this key. Try again in a few minutes."),
    (postiz_fake.said("hunter2", 500), "Postiz has a fault of its own right now (status 500). "
     "Try again in a few minutes."),
    (html(status=502), "Postiz has a fault of its own right now (status 502). Try again in a few minutes."),
    (postiz_fake.validation("hunter2"), "Postiz refused the call (status 400). Check the address and the key."),
    (postiz_fake.provider_refusal("x", "hunter2", ""), "Postiz refused the call (status 400). "
     "Check the address and the key."),
    (postiz_fake.said("hunter2", 403), "Postiz knows the key but does not allow it this. "
     "Give the key more permissions there."),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "sentence"), ANSWERS)
def test_answers_that_are_not_the_api_s(reply: Reply, sentence: str, postiz: FakePostiz, private: Settings) -> None:
    postiz.misbehave(reply)
    found = tried(postiz.api, private, postiz.key)
    assert found.message == sentence.format(api=postiz.api)


# Refusals of the vendors ------------------------------------------------------------------------------------


def test_postiz_refusals(postiz: FakePostiz, private: Settings) -> None:
    wrong = tried(postiz.api, private).message
    assert wrong.startswith("Postiz does not accept the key. Copy it anew in Postiz")
    assert tried(postiz.api, private, "pos_" + "k" * 64).message == wrong
    unpaid = postiz.organisation([], subscribed=False).key
    assert tried(postiz.api, private, unpaid).message == (
        "Postiz accepts the key, but the account has no plan that includes the API."
    )
    down = postiz.organisation([], database_down=True).key
    assert tried(postiz.api, private, down).message.startswith("Postiz has a fault of its own right now")


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (gemini_fake.refusal(400, "INVALID_ARGUMENT", "hunter2", "API_KEY_INVALID"), "Gemini does not accept the key."),
        (gemini_fake.refusal(401, "UNAUTHENTICATED", "hunter2"), "Gemini does not accept the key."),
        (gemini_fake.refusal(401, "UNAUTHENTICATED", "hunter2", "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
         "The key is right but may not use the Gemini API from here."),
        (gemini_fake.refusal(403, "PERMISSION_DENIED", "hunter2", "API_KEY_IP_ADDRESS_BLOCKED"),
         "The key is right but may not use the Gemini API from here."),
        (gemini_fake.refusal(400, "FAILED_PRECONDITION", "hunter2"), "Gemini serves this account only with billing"),
        (gemini_fake.throttled("17s"), "Gemini got too many calls with this key. Try again in 17 seconds."),
        (gemini_fake.throttled("0.5s"), "Gemini got too many calls with this key. Try again in 1 second."),
        (gemini_fake.throttled("soon"), "Gemini got too many calls with this key. Try again in a few minutes."),
        (gemini_fake.throttled("30s", "GenerateRequestsPerDayPerProject"), "Gemini's limit of calls a day is used up"),
        (gemini_fake.refusal(503, "UNAVAILABLE", "hunter2"), "Gemini has a fault of its own right now (status 503)."),
        (gemini_fake.refusal(400, "INVALID_ARGUMENT", "hunter2"), "Gemini refused the call (status 400)."),
        (gemini_fake.refusal(404, "NOT_FOUND", "hunter2"), "127.0.0.1 answers, but has no Gemini API at"),
        (json_reply({"error": "hunter2"}, 400), "Gemini refused the call (status 400)."),
        (json_reply({"error": {"details": 1, "status": ["hunter2"]}}, 403), "The key is right but may not use"),
        (json_reply({}), "http://127.0.0.1:"), (html(), "http://127.0.0.1:"),
    ],
)  # fmt: skip
def test_gemini_refusals(reply: Reply, sentence: str, gemini: FakeGemini, private: Settings) -> None:
    gemini.misbehave(reply)
    found = connections.test("gemini", gemini.url, connections.clean_key("gemini", gemini.key), private)
    assert not found.ok
    assert found.message.startswith(sentence)
    assert "hunter2" not in found.message


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (401, "invalid_api_key", "ElevenLabs does not accept the key."),
        (401, "needs_authorization", "ElevenLabs does not accept the key."),
        (401, "detected_unusual_activity", "ElevenLabs has blocked this account's free plan"),
        (402, "payment_required", "ElevenLabs accepts the key, but the account has no plan that includes the API."),
        (401, "", "ElevenLabs does not accept the key."), (429, "system_busy", "ElevenLabs got too many calls"),
        (500, "hunter2", "ElevenLabs has a fault of its own right now (status 500)."),
        (404, "", "127.0.0.1 answers, but has no ElevenLabs API at"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("fields", [("status", "message"), ("type", "code", "status", "message")])
def test_elevenlabs_refusals(
    fields: tuple[str, ...], status: int, code: str, sentence: str, elevenlabs: FakeElevenLabs, private: Settings
) -> None:
    elevenlabs.error_fields = fields
    elevenlabs.misbehave("subscription", "refuse", status=status, code=code)
    key = connections.clean_key("elevenlabs", elevenlabs.key)
    found = connections.test("elevenlabs", elevenlabs.url, key, private)
    assert not found.ok
    assert found.message.startswith(sentence)


# Passing ones ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "passing"),
    [
        (HANG_UP, True), (html(status=502), True), (postiz_fake.said("hunter2", 500), True),
        (postiz_fake.throttled(42), True), (html(), False), (redirect("/auth/login"), False),
        (postiz_fake.said("hunter2", 403), False), (postiz_fake.said("Invalid API key", 401), False),
        (postiz_fake.said("No subscription found", 401), False),
    ],
)  # fmt: skip
def test_what_says_nothing_about_the_key(reply: Reply, passing: bool, postiz: FakePostiz, private: Settings) -> None:
    postiz.misbehave(reply)
    assert tried(postiz.api, private, postiz.key).passing is passing


def test_a_server_that_is_away_says_nothing_about_the_key(private: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert tried(f"http://127.0.0.1:{port}", private).passing


def test_what_somebody_must_mend_does_not_pass() -> None:
    lasting = {Cause.WRONG_KEY, Cause.LIMITED_KEY, Cause.BLOCKED, Cause.NO_PLAN, Cause.CERTIFICATE_EXPIRED, Cause.MOVED}
    assert not lasting & PASSING


# All of them ------------------------------------------------------------------------------------------------


def test_no_two_causes_share_a_sentence() -> None:
    assert set(SENTENCES) == set(Cause)
    assert len(set(SENTENCES.values())) == len(Cause)


@pytest.mark.parametrize("cause", list(Cause))
def test_every_sentence_ends_and_names_the_vendor_or_the_server(cause: Cause) -> None:
    sentence = SENTENCES[cause]
    assert sentence.endswith(".")
    assert any(name in sentence for name in ("{label}", "{host}", "{address}"))
